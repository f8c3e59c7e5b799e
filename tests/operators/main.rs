//! The real binary under the hands of operators: orders, leases, events.

#[path = "../harness/mod.rs"]
mod harness;

mod world;

mod activation;
mod admin_starvation;
mod admin_tls;
mod clock;
mod contract;
mod coverage;
mod disk;
mod events;
mod files;
mod flips;
mod flood;
mod guard;
mod kills;
mod leases;
mod logs;
mod machines;
mod many_services;
mod memory;
mod orders;
mod owner;
mod plan;
mod rights;
mod shifts;
mod signals;
mod succession;
mod traffic;
mod watchdog;
