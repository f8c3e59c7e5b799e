//! How an outcome divides its clients between regions, as a mean over all of them.

use crate::catalog::present::LiveView;
use crate::steering::{ActiveTier, FailoverChain, PickMethod};

/// Regions in doubt whose combinations are all worked out; with more, the mean is taken of each by itself.
const MOST_EXACT: usize = 10;

/// The part of the clients that each region gets, by position; what is missing to 1.0 gets no answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RegionSplit(pub Vec<(u16, f64)>);

impl RegionSplit {
    /// Of one outcome.
    pub fn of(outcome: &FailoverChain, now: &LiveView, pick: PickMethod) -> RegionSplit {
        let size = |region: u8| {
            now.data
                .get(usize::from(region))
                .map_or(0, |data| data.len())
        };
        // In turn, a region comes as often as it has endpoints.
        let in_turn = pick == PickMethod::RoundRobin;
        let weight = |region: u8, weight: u32| {
            if in_turn && weight > 0 {
                size(region) as f64
            } else {
                f64::from(weight)
            }
        };
        let mut parts: Vec<(u16, f64)> = Vec::new();
        let mut left = 1.0;
        for stage in &outcome.tiers {
            let (divided, passed) = divide(stage, &weight);
            // One hash decides whom the other region takes and whom it sends here.
            let meant = stage.only.map_or(1.0, |(region, clients)| {
                let rest = 1.0 - taken_by(&outcome.tiers, region);
                if rest > 0.0 {
                    (clients.fraction() / rest).min(1.0)
                } else {
                    0.0
                }
            });
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
        self.0
            .iter()
            .find(|(known, _)| *known == position)
            .map_or(0.0, |(_, part)| *part)
    }

    /// The part of the clients that are sent elsewhere under `other`.
    pub fn moved(&self, other: &RegionSplit) -> f64 {
        let gained = |(position, part): &(u16, f64)| (part - self.part(*position)).max(0.0);
        let gained = other.0.iter().map(gained).sum::<f64>();
        let lost = |(position, part): &(u16, f64)| (part - other.part(*position)).max(0.0);
        gained.max(self.0.iter().map(lost).sum::<f64>())
    }
}

/// The part of its clients that a region takes.
fn taken_by(stages: &[ActiveTier], region: u8) -> f64 {
    let mut regions = stages
        .iter()
        .filter(|stage| stage.only.is_none())
        .flat_map(|stage| &stage.regions);
    regions
        .find(|(known, _)| *known == region)
        .map_or(0.0, |(_, now)| now.share.fraction())
}

/// The parts of one stage, and the part that it passes on.
fn divide(stage: &ActiveTier, weight: &impl Fn(u8, u32) -> f64) -> (Vec<(u8, f64)>, f64) {
    let regions: Vec<Member> = (stage.regions.iter())
        .map(|(region, now)| Member {
            region: *region,
            takes: now.share.fraction(),
            weight: weight(*region, now.weight),
        })
        .collect();
    let doubtful = regions.iter().filter(|member| member.takes < 1.0).count();
    if doubtful > MOST_EXACT {
        by_means(&regions)
    } else {
        by_cases(&regions, doubtful)
    }
}

struct Member {
    region: u8,
    /// The chance that it takes a client.
    takes: f64,
    weight: f64,
}

/// Each combination of regions that take the client, with its chance.
fn by_cases(regions: &[Member], doubtful: usize) -> (Vec<(u8, f64)>, f64) {
    let mut parts: Vec<(u8, f64)> = regions.iter().map(|member| (member.region, 0.0)).collect();
    let mut passed = 0.0;
    for case in 0..1u32 << doubtful {
        let (mut chance, mut bit) = (1.0, 0);
        let open: Vec<bool> = regions
            .iter()
            .map(|member| {
                if member.takes >= 1.0 {
                    return true;
                }
                let takes = case >> bit & 1 == 1;
                bit += 1;
                chance *= if takes {
                    member.takes
                } else {
                    1.0 - member.takes
                };
                takes
            })
            .collect();
        if open.iter().all(|open| !open) {
            passed += chance;
        }
        add(&mut parts, regions, &open, chance);
    }
    (parts, passed)
}

/// Divides one case by weight; when only those in standby are open, they count alike.
fn add(parts: &mut [(u8, f64)], regions: &[Member], open: &[bool], chance: f64) {
    let active = regions
        .iter()
        .zip(open)
        .any(|(member, open)| *open && member.weight > 0.0);
    let weight = |member: &Member, open: bool| match (open, active) {
        (false, _) => 0.0,
        (true, true) => member.weight,
        (true, false) => 1.0,
    };
    let total: f64 = regions
        .iter()
        .zip(open)
        .map(|(member, open)| weight(member, *open))
        .sum();
    if total > 0.0 {
        for ((part, member), open) in parts.iter_mut().zip(regions).zip(open) {
            part.1 += chance * weight(member, *open) / total;
        }
    }
}

/// A near value for many regions in doubt: weights times the chances.
fn by_means(regions: &[Member]) -> (Vec<(u8, f64)>, f64) {
    let passed: f64 = regions.iter().map(|member| 1.0 - member.takes).product();
    let total: f64 = regions
        .iter()
        .map(|member| member.weight * member.takes)
        .sum();
    let part = |member: &Member| {
        let part = if total > 0.0 {
            member.weight * member.takes / total
        } else {
            0.0
        };
        (member.region, part * (1.0 - passed))
    };
    (regions.iter().map(part).collect(), passed)
}
