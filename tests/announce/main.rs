//! Anycast with real routers: BIRD and ExaBGP from Debian's packages, in network namespaces of the
//! test's own. It needs root.

#[path = "../harness/mod.rs"]
mod harness;

mod client;
mod exabgp;
mod lab;
mod packaging;
mod traffic;
