//! Who says something else than the fleet about a check, and since when.
//!
//! Only checks that were decided anew are looked at again: on the others, neither the votes nor what was
//! agreed has changed. The log is for people; it is bounded, and nothing is decided by it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::stale_checks::StaleChecks;
use crate::health::quorum::CheckVote;

/// The most differences between a voter and the fleet that are remembered with their times.
const MOST: usize = 1024;

/// A voter that says something else than the fleet about a check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DissentKey {
    /// The digest of the check.
    pub check: u64,
    /// The voter.
    pub voter: String,
}

/// Since when each voter says something else.
#[derive(Debug, Clone, Default)]
pub struct DissentLog {
    since: BTreeMap<DissentKey, Duration>,
}

impl DissentLog {
    /// Everybody who says something else, and since when.
    pub fn since(&self) -> &BTreeMap<DissentKey, Duration> {
        &self.since
    }

    /// Whether there may be more than are remembered.
    pub fn is_full(&self) -> bool {
        self.since.len() >= MOST
    }

    /// Notes what voters say about stale checks beside what is settled. `digests`, the votes of each
    /// voter and `settled` are in the order of the checks.
    pub fn note(
        &mut self,
        now: Duration,
        stale: &StaleChecks,
        digests: &[u64],
        voters: &[(&str, &[CheckVote])],
        settled: &[CheckVote],
    ) {
        let before = self.take_out(stale, digests);
        for place in &stale.places {
            let (Some(check), Some(settled)) = (digests.get(*place), settled.get(*place)) else {
                continue;
            };
            for (voter, votes) in voters {
                let vote = votes.get(*place).copied().unwrap_or_default();
                if !vote.is_clear() || vote == *settled || self.is_full() {
                    continue;
                }
                let key = DissentKey {
                    check: *check,
                    voter: (*voter).to_owned(),
                };
                let since = before.get(&key).copied().unwrap_or(now);
                self.since.insert(key, since);
            }
        }
    }

    /// Removes what is known of stale checks.
    fn take_out(&mut self, stale: &StaleChecks, digests: &[u64]) -> BTreeMap<DissentKey, Duration> {
        if stale.are_all {
            return std::mem::take(&mut self.since);
        }
        let mut taken = BTreeMap::new();
        for place in &stale.places {
            let Some(check) = digests.get(*place).copied() else {
                continue;
            };
            let first = DissentKey {
                check,
                voter: String::new(),
            };
            let mut keys = Vec::new();
            for key in self.since.range(first..).map(|(key, _)| key) {
                if key.check != check {
                    break;
                }
                keys.push(key.clone());
            }
            for key in keys {
                if let Some(since) = self.since.remove(&key) {
                    taken.insert(key, since);
                }
            }
        }
        taken
    }
}
