//! What the fleet says now, as a value that readers take without a lock.
//!
//! The fleet's task publishes a new one after every turn. It has what is agreed about each target, for
//! the fold, and a report, for people and metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::agreed_votes::AgreedVotes;
use super::differing::DifferingCheck;
use super::report::FleetReport;
use crate::health::check::TargetKey;

/// What was agreed counts for this long after the last turn of the task. If the task has ended, which
/// would be a bug, the server decides alone.
const STUCK: Duration = Duration::from_secs(10);

/// What the fleet says now.
pub struct FleetNow {
    /// When the task has turned last.
    pub(super) turned_at: Instant,
    /// What is agreed about each target.
    pub(super) settled: Arc<AgreedVotes>,
    /// Where this server sees something else than is agreed, or nothing, as of `own_version`.
    pub(super) contrary: Arc<Vec<TargetKey>>,
    /// The version of the monitor's report that the own votes are of.
    pub(super) own_version: u64,
    /// Checks about which servers say different things.
    pub differing: Arc<Vec<DifferingCheck>>,
    /// For people and metrics.
    pub report: FleetReport,
}

impl FleetNow {
    /// Whether the task has not turned for so long that nothing here counts.
    pub fn is_stuck(&self) -> bool {
        self.turned_at.elapsed() > STUCK
    }
}
