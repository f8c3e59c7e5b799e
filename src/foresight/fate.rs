//! The regions that the clients of one class get: a live region, one that is out, or none.
//!
//! Clients of a class have the same tiers. Regions with a partial share take only a part of them,
//! so the class is split; the parts add up to 1.

use crate::steering::{FailoverChain, Tiers};

/// The clients of a class by the kind of region that they get; the parts sum to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ClassSplit {
    /// A live region of their first tier, as in normal operation.
    pub live: f64,
    /// A live region of a later tier.
    pub displaced: f64,
    /// A region that is out, chosen by the all-down rule.
    pub dead: f64,
    /// No region, although their fence leaves some.
    pub none: f64,
    /// No region, because a fence leaves none for them.
    pub excluded: f64,
}

impl ClassSplit {
    /// The split of a class with these tiers and this failover chain.
    pub fn of(tiers: &Tiers, outcome: &FailoverChain) -> ClassSplit {
        let Some(first) = tiers.iter().next() else {
            return ClassSplit {
                excluded: 1.0,
                ..ClassSplit::default()
            };
        };
        let mut fate = ClassSplit::default();
        let mut left = 1.0;
        for stage in &outcome.tiers {
            let (mut passed, mut is_first) = (1.0, false);
            for (position, now) in &stage.regions {
                passed *= 1.0 - now.share.fraction();
                is_first |= first.contains(position);
            }
            let taken = left * (1.0 - passed);
            match (outcome.all_down, is_first) {
                (true, _) => fate.dead += taken,
                (false, true) => fate.live += taken,
                (false, false) => fate.displaced += taken,
            }
            left *= passed;
        }
        fate.none = left;
        fate
    }

    /// The part without a live region, although the fence leaves some.
    pub fn uncovered(&self) -> f64 {
        self.dead + self.none
    }

    /// The part that has no live region now and had one under `before`; the rest counts as live.
    pub fn newly_uncovered(&self, before: &ClassSplit) -> ClassSplit {
        let lost = (self.uncovered() - before.uncovered()).max(0.0);
        let part = if lost > 0.0 {
            lost / self.uncovered()
        } else {
            0.0
        };
        ClassSplit {
            live: 1.0 - lost,
            dead: self.dead * part,
            none: self.none * part,
            ..ClassSplit::default()
        }
    }

    /// The split of this number of clients.
    pub(super) fn times(&self, clients: f64) -> ClassSplit {
        ClassSplit {
            live: self.live * clients,
            displaced: self.displaced * clients,
            dead: self.dead * clients,
            none: self.none * clients,
            excluded: self.excluded * clients,
        }
    }

    pub(super) fn add(&mut self, other: &ClassSplit) {
        self.live += other.live;
        self.displaced += other.displaced;
        self.dead += other.dead;
        self.none += other.none;
        self.excluded += other.excluded;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steering::failover::RegionCapacity;
    use crate::steering::{AllDown, RegionStates, Share};

    fn fate(shares: &[f64], all_down: AllDown) -> ClassSplit {
        let standing = shares
            .iter()
            .map(|share| RegionCapacity {
                share: Share::from_fraction(*share),
                weight: 100,
            })
            .collect();
        let states = RegionStates {
            capacities: standing,
            all_down,
            ..RegionStates::default()
        };
        let tiers = Tiers::from_lists(&[&[0], &[1]]);
        ClassSplit::of(&tiers, &FailoverChain::resolve(&tiers, &states))
    }

    #[test]
    fn each_part_of_a_class_has_one_fate() {
        assert_eq!(
            fate(&[1.0, 1.0], AllDown::NoData),
            ClassSplit {
                live: 1.0,
                ..ClassSplit::default()
            }
        );
        assert_eq!(
            fate(&[0.0, 1.0], AllDown::NoData),
            ClassSplit {
                displaced: 1.0,
                ..ClassSplit::default()
            }
        );
        assert_eq!(
            fate(&[0.25, 1.0], AllDown::NoData),
            ClassSplit {
                live: 0.25,
                displaced: 0.75,
                ..ClassSplit::default()
            }
        );
        assert_eq!(
            fate(&[0.0, 0.0], AllDown::AnswerAll),
            ClassSplit {
                dead: 1.0,
                ..ClassSplit::default()
            }
        );
        assert_eq!(
            fate(&[0.0, 0.0], AllDown::ServFail),
            ClassSplit {
                none: 1.0,
                ..ClassSplit::default()
            }
        );
        // While regions come back, the last one takes every client that is left.
        assert_eq!(
            fate(&[0.25, 0.0], AllDown::NoData),
            ClassSplit {
                live: 1.0,
                ..ClassSplit::default()
            }
        );
        let nobody = Tiers::from_lists(&[]);
        let outcome = FailoverChain::resolve(&nobody, &RegionStates::default());
        assert_eq!(
            ClassSplit::of(&nobody, &outcome),
            ClassSplit {
                excluded: 1.0,
                ..ClassSplit::default()
            }
        );
    }

    #[test]
    fn only_clients_with_a_live_region_can_lose_one() {
        let (up, down) = (
            fate(&[1.0, 1.0], AllDown::AnswerAll),
            fate(&[0.0, 0.0], AllDown::AnswerAll),
        );
        assert_eq!(
            down.newly_uncovered(&up),
            ClassSplit {
                dead: 1.0,
                ..ClassSplit::default()
            }
        );
        assert_eq!(
            down.newly_uncovered(&down),
            ClassSplit {
                live: 1.0,
                ..ClassSplit::default()
            }
        );
        assert_eq!(
            up.newly_uncovered(&down),
            ClassSplit {
                live: 1.0,
                ..ClassSplit::default()
            }
        );
    }
}
