//! The protocol, RFC by RFC: each test is named after the section that it holds the server to, and asks a running
//! server over real sockets.

#[path = "../harness/mod.rs"]
mod harness;

mod world;

mod rfc1034_delegation;
mod rfc1035;
mod rfc2181;
mod rfc2308;
mod rfc3403;
mod rfc3597;
mod rfc4343;
mod rfc4592;
mod rfc6672;
mod rfc6891;
mod rfc7766;
mod rfc7871;
mod rfc7873;
mod rfc8482;
mod rfc8914;
mod rfc8945;
mod rfc9460;
mod rfc9619;

mod abuse;
mod hostile;
mod outcomes;
mod overload;
mod roundtrip;
