//! The protocol as pure functions of octets: names, queries, EDNS, and the writer of replies.

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
    reason = "names of files, always whole; queries have SearchName"
)]
pub mod name;
pub mod rtype;

pub mod cookie;
pub mod edns;
pub mod message;
pub mod query;
pub mod refusal;
pub mod reply;
pub mod reply_opt;
pub mod tsig;

pub use edns::{ClientSubnet, Edns, SubnetFamily};
pub use name::{Name, NameError};
pub use query::{Query, QueryScratch, Question, Rcode, SearchName};
pub use refusal::Reject;
pub use reply::{Reply, ReplyFull};
pub use reply_opt::{ExtendedError, ReplyExtras, ReplyOpt};
pub use rtype::RecordType;

/// Class IN (RFC 1035 section 3.2.4).
pub const CLASS_IN: u16 = 1;
/// Class ANY, which records that are no data of a zone have (RFC 8945 section 4.2).
pub const CLASS_ANY: u16 = 255;
/// The largest UDP payload given and taken (DNS Flag Day 2020: fits every common path without fragmentation).
pub const UDP_PAYLOAD: u16 = 1232;
/// The largest reply over UDP to a query without EDNS (RFC 1035 section 2.3.4).
pub const UDP_PLAIN: u16 = 512;
