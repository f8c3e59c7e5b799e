//! The encrypted transports, RFC by RFC, asked by clients of others where there are any, and by a client of ours where
//! octets count.

#[path = "../harness/mod.rs"]
mod harness;

#[path = "../clients/programs.rs"]
mod programs;

mod client;
mod world;

mod certificates;
mod limits;
mod proxy;
mod rfc7858;
mod rfc8467;
mod rfc8484;
mod rfc9250;
mod same;
