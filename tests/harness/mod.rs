//! The harness: a running `meridian` to ask, replies that are read strictly, and words to say what they should be.
//!
//! ```ignore
//! let server = Setup::new().zone("example.test", ZONE).config(SERVICES).start();
//! server.ask("www.example.test", A).from_subnet("203.0.113.0/24").over_tcp().expect_address("192.0.2.10");
//! ```

// Each test binary takes in the whole harness and speaks only a part of its words.
#![allow(dead_code, unused_imports)]

pub mod ask;
pub mod compression;
pub mod names;
pub mod netns;
pub mod port;
pub mod query;
pub mod random;
pub mod region;
pub mod reply;
pub mod server;
pub mod strict;

pub use ask::Ask;
pub use names::NameServer;
pub use port::free_port;
pub use query::{Question, Transport};
pub use random::Random;
pub use region::Region;
pub use reply::Reply;
pub use server::{Server, Setup};
pub use strict::{Message, Record};

/// Types by number (IANA "Resource Record (RR) TYPEs").
pub mod types {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const HINFO: u16 = 13;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const DNAME: u16 = 39;
    pub const OPT: u16 = 41;
    pub const DS: u16 = 43;
    pub const HTTPS: u16 = 65;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

/// Response codes.
pub mod rcodes {
    pub const NOERROR: u16 = 0;
    pub const FORMERR: u16 = 1;
    pub const SERVFAIL: u16 = 2;
    pub const NXDOMAIN: u16 = 3;
    pub const NOTIMP: u16 = 4;
    pub const REFUSED: u16 = 5;
    pub const YXDOMAIN: u16 = 6;
    pub const BADVERS: u16 = 16;
}
