//! The truth that the rest of the program works with: every value checked, every name resolved, every default in place.
//!
//! [`model`] has the types; the other modules make them from the tables of the file, one module for each part of it.
//! [`resolve()`](resolve::resolve) is the way in. Each module reports what does not go together, and goes on with a stand-in,
//! so that one run tells every mistake.

pub mod model;
pub mod resolve;

mod certificates;
mod checks;
mod combinations;
mod endpoints;
mod fences;
mod listen;
mod names;
mod request_headers;
mod services;
mod zones;

pub use listen::{EncryptedListen, IdentityFiles};
pub use names::is_name;
