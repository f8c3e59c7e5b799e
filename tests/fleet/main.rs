//! Fleets: simulated ones, and real servers that vote through a real NATS server.

#[path = "../harness/mod.rs"]
mod harness;

mod engine;
mod orders;
mod real;
mod rights;
mod simulation;
