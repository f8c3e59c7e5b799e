//! Whether a release has changed what clients are told: the shares of REFUSED, NXDOMAIN and SERVFAIL.
//!
//! A server compares its answers since it serves a release with those before. A share has jumped if it
//! grew by more than a limit, and by more than chance explains: four standard deviations of the
//! difference of two shares. Too few queries say nothing.

use std::collections::VecDeque;
use std::time::Duration;

use crate::answer::Disposition;

/// Fewer queries than this, before or after, say nothing.
pub const FEWEST: u64 = 50;
/// So many standard deviations are no chance.
const DEVIATIONS: f64 = 4.0;

/// How many queries were answered, and how many of them badly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnswerCounts {
    /// All that were answered.
    pub answered: u64,
    /// With REFUSED.
    pub refused: u64,
    /// With NXDOMAIN.
    pub missing: u64,
    /// With SERVFAIL.
    pub failed: u64,
}

impl AnswerCounts {
    /// The counts of a server, by [`Disposition`].
    pub fn of(sums: &[u64; Disposition::COUNT]) -> AnswerCounts {
        let mut counts = AnswerCounts::default();
        for (disposition, sum) in Disposition::ALL.iter().zip(sums) {
            match disposition {
                Disposition::Dropped | Disposition::Limited => continue,
                Disposition::Refused => counts.refused = *sum,
                Disposition::NxDomain => counts.missing = *sum,
                Disposition::Failed => counts.failed = *sum,
                _ => {}
            }
            counts.answered = counts.answered.saturating_add(*sum);
        }
        counts
    }

    /// What was counted since `then`.
    pub fn since(&self, then: &AnswerCounts) -> AnswerCounts {
        AnswerCounts {
            answered: self.answered.saturating_sub(then.answered),
            refused: self.refused.saturating_sub(then.refused),
            missing: self.missing.saturating_sub(then.missing),
            failed: self.failed.saturating_sub(then.failed),
        }
    }
}

/// How often counts are noted, and the time whose answers are compared with those before.
const NOTE: Duration = Duration::from_secs(1);
/// A jump late in a long trial is seen in the answers of this time.
const WINDOW: Duration = Duration::from_secs(10);
/// Most notes that are kept, which is the time before a trial that it is compared with.
const MOST_NOTES: usize = 600;

/// Watches the answers of a server: before a release is served, and while it is on trial.
#[derive(Debug, Default)]
pub struct ShareWatch {
    notes: VecDeque<(Duration, AnswerCounts)>,
    trial: Option<ShareTrial>,
}

/// What a trial is compared with, and where it began.
#[derive(Debug)]
struct ShareTrial {
    before: AnswerCounts,
    start: AnswerCounts,
}

impl ShareWatch {
    /// Notes the counts at a time.
    pub fn note(&mut self, now: Duration, counts: AnswerCounts) {
        let last = self.notes.back().map(|(at, _)| *at);
        if last.is_some_and(|last| now.saturating_sub(last) < NOTE) {
            return;
        }
        self.notes.push_back((now, counts));
        if self.notes.len() > MOST_NOTES {
            self.notes.pop_front();
        }
    }

    /// A release is served on trial from now on.
    pub fn begin(&mut self, now: Duration, counts: AnswerCounts) {
        let oldest = self.notes.front().map_or(counts, |(_, oldest)| *oldest);
        self.trial = Some(ShareTrial {
            before: counts.since(&oldest),
            start: counts,
        });
        self.notes.clear();
        self.notes.push_back((now, counts));
    }

    /// The trial is over.
    pub fn end(&mut self) {
        self.trial = None;
    }

    /// The share that has jumped since the trial began, or lately, as a clause.
    pub fn jumped(&self, now: Duration, counts: &AnswerCounts, limit: f64) -> Option<String> {
        let trial = self.trial.as_ref()?;
        let whole = jump(&trial.before, &counts.since(&trial.start), limit);
        if whole.is_some() {
            return whole;
        }
        let noted = self.noted_before(now.checked_sub(WINDOW)?)?;
        jump(&trial.before, &counts.since(&noted), limit)
    }

    /// The last counts that were noted before a time.
    fn noted_before(&self, time: Duration) -> Option<AnswerCounts> {
        let mut last = None;
        for (at, counts) in &self.notes {
            if *at <= time {
                last = Some(*counts);
            }
        }
        last
    }
}

/// The share that has jumped, as a clause; `None`: none has. `limit`: the growth that is allowed, from
/// 0.0 to 1.0.
pub fn jump(before: &AnswerCounts, after: &AnswerCounts, limit: f64) -> Option<String> {
    if before.answered < FEWEST || after.answered < FEWEST {
        return None;
    }
    let pairs = [
        ("REFUSED", before.refused, after.refused),
        ("NXDOMAIN", before.missing, after.missing),
        ("SERVFAIL", before.failed, after.failed),
    ];
    let (old, new) = (before.answered as f64, after.answered as f64);
    for (word, one, other) in pairs {
        let (old_share, new_share) = (one as f64 / old, other as f64 / new);
        let both = (one + other) as f64 / (old + new);
        let deviation = (both * (1.0 - both) * (1.0 / old + 1.0 / new)).sqrt();
        let growth = new_share - old_share;
        if growth > limit && growth > DEVIATIONS * deviation {
            return Some(format!(
                "the share of {word} grew from {:.1}% to {:.1}% of {} queries",
                old_share * 100.0,
                new_share * 100.0,
                after.answered
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(answered: u64, missing: u64) -> AnswerCounts {
        AnswerCounts {
            answered,
            missing,
            ..AnswerCounts::default()
        }
    }

    #[test]
    fn names_that_are_gone_are_seen_within_fifty_queries() {
        let jumped = jump(&counts(1000, 20), &counts(50, 50), 0.05);
        let expected = "the share of NXDOMAIN grew from 2.0% to 100.0% of 50 queries";
        assert_eq!(jumped.as_deref(), Some(expected));
        assert_eq!(jump(&counts(1000, 20), &counts(49, 49), 0.05), None, "few");
        assert_eq!(jump(&counts(10, 0), &counts(500, 500), 0.05), None, "few");
        assert_eq!(
            jump(&counts(1000, 20), &counts(50, 4), 0.05),
            None,
            "chance"
        );
        assert_eq!(jump(&counts(9000, 180), &counts(9000, 600), 0.05), None);
        assert!(jump(&counts(9000, 180), &counts(9000, 650), 0.05).is_some());
    }

    #[test]
    fn what_was_not_answered_does_not_count() {
        let mut sums = [0; Disposition::COUNT];
        sums[Disposition::Dropped as usize] = 7;
        sums[Disposition::Limited as usize] = 7;
        sums[Disposition::Steered as usize] = 90;
        sums[Disposition::NxDomain as usize] = 10;
        assert_eq!(AnswerCounts::of(&sums), counts(100, 10));
        let earlier = counts(40, 10);
        assert_eq!(AnswerCounts::of(&sums).since(&earlier), counts(60, 0));
    }

    #[test]
    fn a_jump_is_seen_at_once_and_also_late_in_a_trial() {
        let mut watch = ShareWatch::default();
        let second = Duration::from_secs(1);
        let at = |seconds: u64, bad: u64| counts(seconds * 100, bad);
        for seconds in 0..60 {
            watch.note(second * seconds as u32, at(seconds, seconds));
        }
        assert_eq!(
            watch.jumped(second * 59, &at(59, 59), 0.05),
            None,
            "no trial"
        );
        watch.begin(second * 60, at(60, 60));
        let soon = Duration::from_millis(60_500);
        assert!(watch.jumped(soon, &counts(6050, 110), 0.05).is_some());
        for seconds in 61..400 {
            let counts = at(seconds, seconds);
            watch.note(second * seconds as u32, counts);
            assert_eq!(watch.jumped(second * seconds as u32, &counts, 0.05), None);
        }
        // A tenth of the last ten seconds: little of the whole trial.
        let late = counts(40_900, 399 + 130);
        assert!(watch.jumped(second * 409, &late, 0.05).is_some());
        watch.end();
        assert_eq!(watch.jumped(second * 409, &late, 0.05), None);
    }

    proptest! {
        #[test]
        fn a_share_that_does_not_grow_never_jumps(
            before in 0..5000_u64, after in 0..5000_u64, share in 0.0..1.0_f64
        ) {
            let (old, new) = ((before as f64 * share) as u64, (after as f64 * share) as u64);
            prop_assert_eq!(jump(&counts(before, old), &counts(after, new), 0.01), None);
        }
    }
}
