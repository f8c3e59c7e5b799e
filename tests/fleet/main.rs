//! Fleets: simulated ones, and real servers that vote through a real NATS server.

#[path = "../harness/mod.rs"]
mod harness;

mod demo;
mod engine;
mod init;
mod orders;
mod probe;
mod real;
mod releases;
mod rights;
mod simulation;
