//! Geography end to end: the region that is served is the nearest one, the scope of an answer is true, and weights divide.

#[path = "../harness/mod.rs"]
mod harness;

mod generated;
mod nearest;
mod policies;
mod scopes;
mod weights;
mod world;
