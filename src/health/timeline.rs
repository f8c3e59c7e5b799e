//! The timeline: the most recent changes of health, and why each happened.
//!
//! The monitor appends to it. The log, the metrics and the API read it by number, so a reader
//! that remembers the last number it saw gets every change once.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::check::TargetKey;
use super::machine::HealthState;
use super::probe::ProbePhases;

/// How many changes are kept.
pub const KEPT: usize = 1000;

/// One change of a target's state.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthChange {
    /// Sequence number, from 1 without gaps.
    pub number: u64,
    /// Wall-clock time, for display only.
    pub at: SystemTime,
    /// The target that changed.
    pub target: TargetKey,
    /// The state before.
    pub from: HealthState,
    /// The state after.
    pub to: HealthState,
    /// Why the deciding probe failed, or `None` if it passed.
    pub cause: Option<String>,
    /// The timings of the deciding probe.
    pub phases: ProbePhases,
}

/// The last [`KEPT`] changes.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    changes: VecDeque<HealthChange>,
    count: u64,
}

impl Timeline {
    /// Appends a change and assigns its number.
    pub fn push(&mut self, change: HealthChange) {
        self.count += 1;
        if self.changes.len() == KEPT {
            self.changes.pop_front();
        }
        self.changes.push_back(HealthChange {
            number: self.count,
            ..change
        });
    }

    /// The stored changes after this number, oldest first.
    pub fn after(&self, number: u64) -> Vec<HealthChange> {
        let known = self
            .changes
            .partition_point(|change| change.number <= number);
        self.changes.range(known..).cloned().collect()
    }
}
