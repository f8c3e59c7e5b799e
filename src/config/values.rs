//! The syntax of single values: durations, addresses, networks, places, names and keywords.
//!
//! Each type holds a value that was checked when it was read. It also states what a user should
//! have written instead, and its JSON Schema. Nothing here depends on the table that a value is in.

pub mod addresses;
pub mod announce;
pub mod bindings;
pub mod checks;
pub mod fleet;
pub mod hosts;
pub mod plain;
pub mod services;
pub mod words;

pub use plain::duration_text;
