//! The protocol as pure functions of octets: names, queries, EDNS, and the writer of replies.

pub mod name;
pub mod rtype;

pub use name::{Name, NameError};
pub use rtype::RecordType;
