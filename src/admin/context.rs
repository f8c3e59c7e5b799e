//! What every call of the admin API works on.
//!
//! A call changes something only through [`Control`], which owns the state. Everything else is
//! there to be read: counters, the addresses that answer, and the time of the start.

use std::sync::Arc;
use std::time::Instant;

use crate::control::Control;
use crate::server::{ListenAddresses, ServerStats};

/// The parts of the server that calls read and change.
pub struct AdminContext {
    /// The configuration in force, and the operations that change it.
    pub control: Arc<Control>,
    /// The counters of the DNS server.
    pub stats: Arc<ServerStats>,
    /// Addresses that answer DNS.
    pub addresses: ListenAddresses,
    /// When the server was started.
    pub started: Instant,
}
