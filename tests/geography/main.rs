//! Geography end to end: the region that is served is the nearest one, and the scope of an answer is true.

#[path = "../harness/mod.rs"]
mod harness;

mod nearest;
mod scopes;
mod world;
