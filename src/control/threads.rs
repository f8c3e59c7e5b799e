//! The threads of control: one for each kind of work that may block, so that none waits for another.
//!
//! A reload can hang on a mount that is gone; orders and failover go on beside it, because they have threads of their own
//! and no lock in common with its reading.

use super::worker::Workers;

/// Reloads that may wait for the one that is under way.
const MOST_RELOADS: usize = 16;
/// Orders and leases that may wait; each takes some milliseconds.
const MOST_ORDERS: usize = 256;

/// One for each kind of work.
pub(super) struct Threads {
    /// Reads configuration, zones and databases anew, and looks at files for a change.
    pub(super) reload: Workers,
    /// Puts orders and leases in force.
    pub(super) orders: Workers,
    /// Compiles services anew for leases and weights, and waits for first probes.
    pub(super) compile: Workers,
    /// Publishes what health has come to.
    pub(super) publish: Workers,
    /// Widens what was published in haste.
    pub(super) widen: Workers,
    /// Counts the clients that have a live region.
    pub(super) coverage: Workers,
    /// Says what an order would take from clients, for which it may have to count them: orders do not wait behind that.
    pub(super) foresight: Workers,
    /// Takes in what names have come to.
    pub(super) names: Workers,
    /// Ends orders and leases whose time is over.
    pub(super) timer: Workers,
    /// Reads what the webhook must show.
    pub(super) secrets: Workers,
    /// Hands the sockets over to the next server.
    pub(super) hand_over: Workers,
}

impl Threads {
    /// Makes them all.
    ///
    /// # Errors
    /// A sentence: the system makes no more threads.
    pub(super) fn start() -> Result<Threads, String> {
        Ok(Threads {
            reload: Workers::start("reload", 1, MOST_RELOADS)?,
            orders: Workers::start("orders", 1, MOST_ORDERS)?,
            // What waits covers all that came before it begins, so one is enough.
            compile: Workers::start("compile", 1, 1)?,
            publish: Workers::start("publish", 1, 1)?,
            widen: Workers::start("widen", 1, 0)?,
            coverage: Workers::start("coverage", 1, 1)?,
            foresight: Workers::start("foresight", 1, MOST_ORDERS)?,
            names: Workers::start("names", 1, 1)?,
            timer: Workers::start("timer", 1, 1)?,
            secrets: Workers::start("secrets", 1, 1)?,
            hand_over: Workers::start("hand-over", 1, 1)?,
        })
    }
}
