//! Whether a release has changed what clients are told: the shares of REFUSED, NXDOMAIN and SERVFAIL.
//!
//! A server compares its answers since it serves a release with those before. A share has jumped if it
//! grew by more than a limit, and by more than chance explains: four standard deviations of the
//! difference of two shares. Too few queries say nothing.

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

    /// What was counted since `earlier`.
    pub fn since(&self, earlier: &AnswerCounts) -> AnswerCounts {
        AnswerCounts {
            answered: self.answered.saturating_sub(earlier.answered),
            refused: self.refused.saturating_sub(earlier.refused),
            missing: self.missing.saturating_sub(earlier.missing),
            failed: self.failed.saturating_sub(earlier.failed),
        }
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
