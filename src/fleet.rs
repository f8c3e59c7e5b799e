//! The fleet: several servers that vote about health.
//!
//! Every server publishes its whole view of its checks ([`view`]), keeps the latest view of every
//! other ([`board`]), and computes the verdicts that all of them come to (`health::quorum`).
//! [`member`] is that state machine, without a clock and without sockets.
//!
//! Votes need no leader, no disk and no order of messages. What the engine loses costs a second; when
//! it is gone, what was agreed last holds. Orders are values in a bucket of the engine; [`desired`] is
//! the state machine that follows it and never goes back. Releases of the configuration pass from ring
//! to ring ([`rings`]); [`release_member`] is what a server does with them. For people, servers report
//! what they are and do ([`server_report`]); nothing decides by that.

pub mod announcement;
pub mod answer_shares;
pub mod board;
pub mod bounds;
pub mod check_list;
pub mod desired;
pub mod digest;
pub mod dissents;
pub mod lease_carrier;
pub mod lease_news;
pub mod member;
pub mod nats;
pub mod nats_kv;
mod nats_status;
pub mod order_carrier;
pub mod release;
pub mod release_archive;
pub mod release_member;
pub mod report_board;
pub mod rings;
pub mod server_report;
mod speakers;
mod stale_checks;
pub mod status_carrier;
pub mod view;
pub mod view_error;
pub mod vote_memory;
pub mod votes;

#[cfg(test)]
mod testing;
