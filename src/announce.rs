//! Anycast: announces the service addresses of a server while it answers, and withdraws them.
//!
//! `meridian announce` is a process of its own beside the server, because a server that is frozen or
//! dead cannot withdraw anything. It asks the server its test queries ([`test_query`]), hears from it
//! what its fleet thinks of it, decides ([`decision`], a state machine without a clock), and tells a
//! router's control socket or pipe ([`speaker`]) every second. So a router that was restarted hears
//! again what holds, and an announcer that was restarted changes nothing before it knows.

pub mod bird;
pub mod decision;
pub mod exabgp;
pub mod speaker;
pub mod test_query;
