//! Fleets: simulated ones, and real servers that vote through a real NATS server.

#[path = "../harness/mod.rs"]
mod harness;

#[path = "../console/browser.rs"]
#[allow(dead_code)]
mod browser;

mod console;
mod demo;
mod engine;
mod figures;
mod init;
mod leases;
mod orders;
mod partitions;
mod probe;
mod real;
mod releases;
mod rights;
mod simulation;
mod status;
