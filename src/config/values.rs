//! How single values are written: durations, addresses, networks, places, names, words.
//!
//! Each type holds a value that was checked when it was read, and says by itself what a user should have written instead.
//! Nothing here knows in which table a value stands.

pub mod addresses;
pub mod bindings;
pub mod checks;
pub mod hosts;
pub mod plain;
pub mod services;
pub mod words;

pub use plain::duration_text;
