//! The checks whose verdict may be another one than the last.
//!
//! A verdict depends on the votes on its check, and on who counts. Most views change the vote on few
//! checks or on none, so only those are decided anew. When somebody else counts, or the list of checks
//! is another one, all are. Votes are compared 64 at a time.

use crate::health::quorum::CheckVote;

/// So many votes are compared at once.
const AT_ONCE: usize = 64;
/// With more stale checks than this, all are.
const MOST: usize = 4096;

/// The places of stale checks in the list of checks.
#[derive(Debug, Clone, Default)]
pub struct StaleChecks {
    /// All of them.
    pub are_all: bool,
    /// Which; in rising order once they were taken.
    pub places: Vec<usize>,
}

impl StaleChecks {
    /// Adds all checks.
    pub fn add_all(&mut self) {
        self.are_all = true;
        self.places.clear();
    }

    /// Adds the checks on which a voter says something else than before.
    pub fn add_changes(&mut self, before: &[CheckVote], now: &[CheckVote]) {
        if before.len() != now.len() {
            self.add_all();
        }
        if self.are_all {
            return;
        }
        let parts = before.chunks(AT_ONCE).zip(now.chunks(AT_ONCE));
        for (part, (before, now)) in parts.enumerate() {
            if before == now {
                continue;
            }
            for (at, (before, now)) in before.iter().zip(now).enumerate() {
                if before != now {
                    self.places.push(part * AT_ONCE + at);
                }
            }
        }
        if self.places.len() > MOST {
            self.add_all();
        }
    }

    /// The stale ones of so many checks, each once. None is stale afterwards.
    pub fn take(&mut self, checks: usize) -> StaleChecks {
        let mut taken = std::mem::take(self);
        if taken.are_all {
            taken.places.extend(0..checks);
        } else {
            taken.places.sort_unstable();
            taken.places.dedup();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use CheckVote::{Down, Up};

    proptest! {
        #[test]
        fn changes_are_the_places_that_differ(
            before in prop::collection::vec(prop::sample::select(vec![Up, Down]), 0..300),
            changed in prop::collection::btree_set(0usize..300, 0..5),
        ) {
            let mut now = before.clone();
            let mut expected = Vec::new();
            for place in changed {
                if let Some(vote) = now.get_mut(place) {
                    *vote = if *vote == Up { Down } else { Up };
                    expected.push(place);
                }
            }
            let mut stale = StaleChecks::default();
            stale.add_changes(&before, &now);
            stale.add_changes(&now, &before);
            let taken = stale.take(before.len());
            prop_assert!(!taken.are_all);
            prop_assert_eq!(taken.places, expected);
            prop_assert!(stale.take(before.len()).places.is_empty());
            now.push(Up);
            stale.add_changes(&before, &now);
            prop_assert_eq!(stale.take(3).places, [0, 1, 2]);
        }
    }
}
