//! The worker threads of control, one set for each kind of work that may block.
//!
//! A reload can hang on a mount that is gone. Overrides and failover continue meanwhile, because
//! they have their own threads and share no lock with the reading of files.

use super::worker::WorkerPool;

/// Reloads that may wait for the one that is under way.
const MOST_RELOADS: usize = 16;
/// Overrides and leases that may wait; each takes some milliseconds.
const MOST_ORDERS: usize = 256;

/// One for each kind of work.
pub(super) struct WorkerThreads {
    /// Reloads configuration, zones and databases, and looks for changed files.
    pub(super) reload: WorkerPool,
    /// Computes wide ECS blocks for a snapshot that was published with narrow ones.
    pub(super) widen: WorkerPool,
    /// Signs the answers of states that may come next.
    pub(super) sign_ahead: WorkerPool,
    /// Counts the clients that have a live region.
    pub(super) coverage: WorkerPool,
    /// Predicts the effect of an override. That may mean counting clients, so overrides do not wait
    /// for it.
    pub(super) foresight: WorkerPool,
    /// Reads the token of the webhook.
    pub(super) secrets: WorkerPool,
    /// Unpacks releases and writes what is remembered of them.
    pub(super) releases: WorkerPool,
    /// Hands the sockets over to the next server.
    pub(super) hand_over: WorkerPool,
}

impl WorkerThreads {
    /// Starts all threads.
    ///
    /// # Errors
    /// A sentence: the system cannot start more threads.
    pub(super) fn start() -> Result<WorkerThreads, String> {
        Ok(WorkerThreads {
            reload: WorkerPool::start("reload", 1, MOST_RELOADS)?,
            widen: WorkerPool::start("widen", 1, 0)?,
            sign_ahead: WorkerPool::start("sign-ahead", 1, 0)?,
            coverage: WorkerPool::start("coverage", 1, 1)?,
            foresight: WorkerPool::start("foresight", 1, MOST_ORDERS)?,
            secrets: WorkerPool::start("secrets", 1, 1)?,
            releases: WorkerPool::start("releases", 1, 4)?,
            hand_over: WorkerPool::start("hand-over", 1, 1)?,
        })
    }
}
