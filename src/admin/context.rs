//! What every call of the admin API works on.

use std::sync::Arc;
use std::time::Instant;

use crate::control::Control;
use crate::server::{ListenAddresses, ServerStats};

/// What the calls read and change.
pub struct AdminContext {
    /// What is served, and how it is replaced.
    pub control: Arc<Control>,
    /// The counters of the DNS server.
    pub stats: Arc<ServerStats>,
    /// Addresses that answer DNS.
    pub addresses: ListenAddresses,
    /// When the server was started.
    pub started: Instant,
}
