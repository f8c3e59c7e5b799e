//! How a failover chain divides its clients between regions, as a mean over all clients.
//!
//! Tiers are divided by weight; a region with a share below 100% passes the rest of its clients on.
//! A tier with a few such regions is computed exactly, case by case; with many, approximately.

use crate::catalog::live_state::LiveView;
use crate::steering::{ActiveTier, FailoverChain, PickMethod};

/// The most regions with a partial share for which every combination is computed.
const MOST_EXACT: usize = 10;

/// The part of the clients that each region gets, by position. The rest to 1.0 gets no answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RegionSplit(pub Vec<(u16, f64)>);

impl RegionSplit {
    /// The split of one failover chain.
    pub fn of(outcome: &FailoverChain, live: &LiveView, pick: PickMethod) -> RegionSplit {
        let mut parts: Vec<(u16, f64)> = Vec::new();
        let mut left = 1.0;
        for stage in &outcome.tiers {
            let TierSplit {
                parts: divided,
                passed,
            } = TierSplit::of(stage, live, pick);
            let meant = meant_for(stage, &outcome.tiers);
            for (region, part) in divided {
                let part = part * meant;
                let region = u16::from(region);
                match parts.iter_mut().find(|(known, _)| *known == region) {
                    Some((_, sum)) => *sum += left * part,
                    None => parts.push((region, left * part)),
                }
            }
            left *= 1.0 - meant * (1.0 - passed);
        }
        RegionSplit(parts)
    }

    /// The part of one region.
    pub fn part(&self, position: u16) -> f64 {
        let found = self.0.iter().find(|(known, _)| *known == position);
        found.map_or(0.0, |(_, part)| *part)
    }

    /// The part of the clients that are sent elsewhere under `other`.
    pub fn moved(&self, other: &RegionSplit) -> f64 {
        other.gain_over(self).max(self.gain_over(other))
    }

    /// The sum of what its regions get above their parts in `other`.
    fn gain_over(&self, other: &RegionSplit) -> f64 {
        let mut gain = 0.0;
        for (position, part) in &self.0 {
            gain += (part - other.part(*position)).max(0.0);
        }
        gain
    }
}

/// The part of the clients of a stage that it is meant for. A stage of a detour gets only clients
/// that another region sends to it; one hash decides which clients that region takes or sends.
fn meant_for(stage: &ActiveTier, stages: &[ActiveTier]) -> f64 {
    let Some((region, clients)) = stage.only else {
        return 1.0;
    };
    let rest = 1.0 - taken_by(stages, region);
    if rest > 0.0 {
        (clients.fraction() / rest).min(1.0)
    } else {
        0.0
    }
}

/// The part of its clients that a region takes.
fn taken_by(stages: &[ActiveTier], region: u8) -> f64 {
    for stage in stages {
        if stage.only.is_some() {
            continue;
        }
        if let Some((_, now)) = stage.regions.iter().find(|(known, _)| *known == region) {
            return now.share.fraction();
        }
    }
    0.0
}

/// A region of a tier.
struct TierMember {
    region: u8,
    /// The chance that it takes a client.
    takes: f64,
    weight: f64,
}

impl TierMember {
    fn of_tier(tier: &ActiveTier, live: &LiveView, pick: PickMethod) -> Vec<TierMember> {
        let mut members = Vec::with_capacity(tier.regions.len());
        for (region, now) in &tier.regions {
            // With round robin, a region comes as often as it has endpoints.
            let weight = if pick == PickMethod::RoundRobin && now.weight > 0 {
                live.endpoint_count(*region) as f64
            } else {
                f64::from(now.weight)
            };
            members.push(TierMember {
                region: *region,
                takes: now.share.fraction(),
                weight,
            });
        }
        members
    }
}

/// How one tier divides the clients that reach it.
struct TierSplit {
    /// The part of each region.
    parts: Vec<(u8, f64)>,
    /// The part that no region takes.
    passed: f64,
}

impl TierSplit {
    fn of(tier: &ActiveTier, live: &LiveView, pick: PickMethod) -> TierSplit {
        let members = TierMember::of_tier(tier, live, pick);
        let partial = members.iter().filter(|member| member.takes < 1.0).count();
        if partial > MOST_EXACT {
            TierSplit::approximate(&members)
        } else {
            TierSplit::exact(&members, partial)
        }
    }

    /// Adds up every combination of regions that take the client, each with its chance.
    fn exact(members: &[TierMember], partial: usize) -> TierSplit {
        let parts = members.iter().map(|member| (member.region, 0.0)).collect();
        let mut split = TierSplit { parts, passed: 0.0 };
        for case in 0..1u32 << partial {
            let (mut chance, mut bit) = (1.0, 0);
            let mut open = Vec::with_capacity(members.len());
            for member in members {
                if member.takes >= 1.0 {
                    open.push(true);
                    continue;
                }
                let takes = case >> bit & 1 == 1;
                bit += 1;
                chance *= if takes {
                    member.takes
                } else {
                    1.0 - member.takes
                };
                open.push(takes);
            }
            if !open.contains(&true) {
                split.passed += chance;
            }
            split.add_case(members, &open, chance);
        }
        split
    }

    /// Divides one case by weight. If only standbys are open, they get equal parts.
    fn add_case(&mut self, members: &[TierMember], open: &[bool], chance: f64) {
        let mut weights = Vec::with_capacity(members.len());
        for (member, open) in members.iter().zip(open) {
            weights.push(if *open { member.weight } else { 0.0 });
        }
        if weights.iter().all(|weight| *weight <= 0.0) {
            for (weight, open) in weights.iter_mut().zip(open) {
                *weight = if *open { 1.0 } else { 0.0 };
            }
        }
        let total: f64 = weights.iter().sum();
        if total > 0.0 {
            for ((_, part), weight) in self.parts.iter_mut().zip(&weights) {
                *part += chance * weight / total;
            }
        }
    }

    /// An approximation for many partial shares: weights times the chances.
    fn approximate(members: &[TierMember]) -> TierSplit {
        let (mut passed, mut total) = (1.0, 0.0);
        for member in members {
            passed *= 1.0 - member.takes;
            total += member.weight * member.takes;
        }
        let mut parts = Vec::with_capacity(members.len());
        for member in members {
            let weight = member.weight * member.takes;
            let part = if total > 0.0 { weight / total } else { 0.0 };
            parts.push((member.region, part * (1.0 - passed)));
        }
        TierSplit { parts, passed }
    }
}
