//! Real clients and real resolvers against a running server. A program that is not installed fails its test, with the
//! name of the Debian package that has it; `tools/test` installs them all.

#[path = "../harness/mod.rs"]
mod harness;

mod programs;
mod world;

mod alertmanager;
mod failover;
mod journey;
mod lookups;
mod monitoring;
mod reload;
mod resolver;
