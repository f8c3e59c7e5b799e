//! The real binary with endpoints that are names, which a nameserver of the test resolves.

#[path = "../harness/mod.rs"]
mod harness;

mod world;

mod aliases;
mod checks;
