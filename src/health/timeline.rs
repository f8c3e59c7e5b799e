//! Timeline: the last changes of verdict and how each came about.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::check::TargetKey;
use super::probe::ProbePhases;
use super::verdict::HealthState;

/// How many changes are kept.
pub const KEPT: usize = 1000;

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthChange {
    /// From 1, without gaps.
    pub number: u64,
    /// When, by the wall clock: for people; nothing is computed from it.
    pub at: SystemTime,
    /// Whose.
    pub target: TargetKey,
    /// Before.
    pub from: HealthState,
    /// After.
    pub to: HealthState,
    /// Why the deciding probe was not good; `None` when it was.
    pub cause: Option<String>,
    /// How long the deciding probe took for what.
    pub phases: ProbePhases,
}

/// The last [`KEPT`] changes.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    events: VecDeque<HealthChange>,
    count: u64,
}

impl Timeline {
    /// Adds a change; its number is given here.
    pub fn push(&mut self, event: HealthChange) {
        self.count += 1;
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(HealthChange {
            number: self.count,
            ..event
        });
    }

    /// The kept changes after this number, oldest first.
    pub fn after(&self, number: u64) -> Vec<HealthChange> {
        self.events
            .iter()
            .filter(|event| event.number > number)
            .cloned()
            .collect()
    }
}
