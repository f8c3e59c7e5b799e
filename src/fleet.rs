//! The fleet: several servers that vote about health.
//!
//! Every server publishes its whole view of its checks ([`view`]), keeps the latest view of every
//! other ([`board`]), and computes the verdicts that all of them come to (`health::quorum`).
//! [`member`] is that state machine, without a clock and without sockets.
//!
//! Nothing here needs a leader, a disk or an order of messages. What the engine loses costs a second;
//! when it is gone, what was agreed last holds.

pub mod announcement;
pub mod board;
pub mod bounds;
pub mod check_list;
pub mod digest;
pub mod member;
pub mod nats;
mod speakers;
pub mod view;
pub mod view_error;
pub mod votes;

#[cfg(test)]
mod testing;
