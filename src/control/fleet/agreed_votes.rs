//! What is agreed about each target, in the order of the checks' digests.
//!
//! The targets are a table that stays the same until the checks are others, so what is agreed can be
//! replaced by copying one list of votes. Readers find a target by its key.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use crate::health::check::TargetKey;
use crate::health::quorum::CheckVote;

/// The targets of the own checks.
#[derive(Debug, Default)]
pub(super) struct CheckTargets {
    /// In the order of the digests.
    list: Vec<(u64, TargetKey)>,
    places: HashMap<TargetKey, usize>,
}

impl CheckTargets {
    /// The targets by the digests of their checks.
    pub(super) fn of(targets: BTreeMap<u64, TargetKey>) -> CheckTargets {
        let mut places = HashMap::with_capacity(targets.len());
        let mut list = Vec::with_capacity(targets.len());
        for (digest, target) in targets {
            places.insert(target.clone(), list.len());
            list.push((digest, target));
        }
        CheckTargets { list, places }
    }

    /// The target of a check.
    pub(super) fn get(&self, digest: u64) -> Option<&TargetKey> {
        let place = self.list.binary_search_by_key(&digest, |(known, _)| *known);
        self.at(place.ok()?)
    }

    fn at(&self, place: usize) -> Option<&TargetKey> {
        self.list.get(place).map(|(_, target)| target)
    }
}

/// What is agreed about a target: up or down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AgreedVote {
    pub(super) vote: CheckVote,
    pub(super) since: Instant,
}

/// A target about which something else was agreed before.
pub(super) struct AgreedChange {
    pub(super) target: TargetKey,
    pub(super) vote: CheckVote,
}

/// What is agreed.
#[derive(Debug, Clone, Default)]
pub(super) struct AgreedVotes {
    targets: Arc<CheckTargets>,
    /// By place of the target; `None`: nothing is agreed.
    votes: Vec<Option<AgreedVote>>,
}

impl AgreedVotes {
    /// What is agreed about a target; `None`: nothing.
    pub(super) fn get(&self, target: &TargetKey) -> Option<AgreedVote> {
        let place = self.targets.places.get(target)?;
        self.votes.get(*place).copied().flatten()
    }

    /// The targets of which a server sees something else than is agreed, or nothing. `own` is in the
    /// order of the targets.
    pub(super) fn contrary_to(&self, own: &[CheckVote]) -> Vec<TargetKey> {
        let mut contrary = Vec::new();
        for (place, (agreed, own)) in self.votes.iter().zip(own).enumerate() {
            if agreed.is_some_and(|agreed| agreed.vote != *own) {
                contrary.extend(self.targets.at(place).cloned());
            }
        }
        contrary
    }

    /// The next votes on these targets, in their order, and what has changed with them. A vote that
    /// stays keeps its time.
    pub(super) fn next(
        &self,
        targets: &Arc<CheckTargets>,
        settled: impl Iterator<Item = CheckVote>,
        now: Instant,
    ) -> (AgreedVotes, Vec<AgreedChange>) {
        let is_same = Arc::ptr_eq(targets, &self.targets);
        let mut votes = Vec::with_capacity(targets.list.len());
        let mut changes = Vec::new();
        for (place, ((_, target), vote)) in targets.list.iter().zip(settled).enumerate() {
            let before = if is_same {
                self.votes.get(place).copied().flatten()
            } else {
                self.get(target)
            };
            let agreed = AgreedVote { vote, since: now };
            match before {
                _ if !vote.is_clear() => votes.push(None),
                Some(before) if before.vote == vote => votes.push(Some(before)),
                Some(_) => {
                    let target = target.clone();
                    changes.push(AgreedChange { target, vote });
                    votes.push(Some(agreed));
                }
                None => votes.push(Some(agreed)),
            }
        }
        let targets = targets.clone();
        (AgreedVotes { targets, votes }, changes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use CheckVote::{Down, Unknown, Up};

    fn targets(numbers: &[u64]) -> Arc<CheckTargets> {
        let mut targets = BTreeMap::new();
        for number in numbers {
            let target = TargetKey {
                check: "web".into(),
                address: format!("192.0.2.{number}:80").parse().unwrap(),
            };
            targets.insert(*number, target);
        }
        Arc::new(CheckTargets::of(targets))
    }

    #[test]
    fn a_vote_that_stays_keeps_its_time_even_if_other_checks_come() {
        let (start, few) = (Instant::now(), targets(&[2, 3, 4]));
        let votes = [Up, Down, Unknown].into_iter();
        let (first, changes) = AgreedVotes::default().next(&few, votes, start);
        assert!(changes.is_empty(), "nothing was agreed before");
        assert_eq!(few.get(4).and_then(|target| first.get(target)), None);
        let (later, more) = (start + Duration::from_secs(1), targets(&[1, 2, 3]));
        let (second, changes) = first.next(&more, [Up, Up, Up].into_iter(), later);
        let told = changes.iter().map(|change| (&change.target, change.vote));
        assert!(told.eq([(few.get(3).unwrap(), Up)]));
        for (digest, since) in [(1, later), (2, start), (3, later)] {
            let agreed = second.get(more.get(digest).unwrap()).unwrap();
            assert_eq!((agreed.vote, agreed.since), (Up, since), "{digest}");
        }
        let (third, changes) = second.next(&more, [Up, Down, Up].into_iter(), later);
        assert_eq!(changes.len(), 1);
        assert_eq!(third.get(few.get(2).unwrap()).unwrap().vote, Down);
        assert_eq!(
            third.contrary_to(&[Up, Unknown, Up]),
            [few.get(2).unwrap().clone()]
        );
    }
}
