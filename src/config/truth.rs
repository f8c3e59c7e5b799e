//! Resolves and checks the tables of the file, which gives the configuration of the program.
//!
//! [`model`] has the types of the result. The other modules make them from the tables, one module
//! for each part of the file, and [`resolve()`](resolve::resolve) calls them. In the result every
//! value is checked, every name is resolved and every default is filled in. A module that finds a
//! mistake reports it and continues with a placeholder, so that one run reports every mistake.

pub mod model;
pub mod resolve;

pub mod announce;
mod answers;
mod certificates;
mod checks;
mod combinations;
mod dnssec;
mod endpoints;
mod fences;
pub mod fleet;
mod listen;
mod names;
mod policies;
mod pools;
mod request_headers;
mod services;
mod ttl;
mod upstreams;
mod zones;

pub use listen::{EncryptedListen, IdentityFiles};
pub use names::is_name;
