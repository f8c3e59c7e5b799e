//! The DNS protocol as pure functions of octets: names, queries, EDNS, cookies, and the writer of
//! replies.
//!
//! [`query::parse`] turns a datagram into a [`Query`] or a [`Reject`], and [`Reply`] writes what is
//! sent back. Nothing in here knows zones, services or sockets, and nothing panics: this is where
//! octets of strangers come in.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a Name is well formed and is used off the query path, which has SearchName"
)]
pub mod name;
pub mod name_hash;
pub mod name_order;
pub mod rtype;
pub mod wire;

pub mod cookie;
pub mod edns;
pub mod message;
pub mod query;
pub mod rcode;
pub mod refusal;
pub mod reply;
pub mod reply_opt;
pub mod tsig;

pub use edns::{ClientSubnet, Edns, SubnetFamily};
pub use name::{Name, NameError};
pub use query::{Query, QueryScratch, Question, SearchName};
pub use rcode::Rcode;
pub use refusal::Reject;
pub use reply::{Reply, ReplyFull};
pub use reply_opt::{ExtendedError, ReplyExtras, ReplyOpt};
pub use rtype::RecordType;
pub use wire::WireReader;

/// Class IN (RFC 1035 section 3.2.4).
pub const CLASS_IN: u16 = 1;
/// Class ANY, which TSIG records have (RFC 8945 section 4.2).
pub const CLASS_ANY: u16 = 255;
/// The largest UDP payload sent and accepted (DNS Flag Day 2020: it fits every common path without
/// fragmentation).
pub const UDP_PAYLOAD: u16 = 1232;
/// The largest reply over UDP to a query without EDNS (RFC 1035 section 2.3.4).
pub const UDP_PLAIN: u16 = 512;
