//! Demand: how much each group of clients asks for, learned from the answers that each region has given, and the shares
//! that keep every region within its capacity.
//!
//! Clients of one family that would be given the regions in one order are a group. How large the groups are cannot be
//! seen, but what the regions answer can: every group's demand is moved toward what explains the answers best (one
//! step of expectation maximization for Poisson counts). Until answers are seen, a group is as large as its part of the
//! address space.

use std::collections::HashMap;
use std::time::Duration;

use crate::catalog::services::{ServiceFamily, ServiceView, SteeredService};
use crate::config::Capacity;
use crate::health::spill::{self, SpillGroup};
use crate::steering::failover::RegionCapacity;
use crate::steering::{AllDown, RegionStates, Share};

/// Most groups of one family; those that cover least addresses are left out.
const MOST_GROUPS: usize = 256;
/// How fast new answers take the place of old ones.
const MEMORY: Duration = Duration::from_secs(10);
/// Shares are given out in steps, so that not every answer changes them.
const STEPS: f64 = 256.0;
/// The part of a capacity that is used, for the rounding up of shares.
const USED: f64 = 0.97;

/// The demand for one service.
#[derive(Debug)]
pub struct TrafficModel {
    families: Vec<FamilyDemand>,
    /// Learned of a service that has been compiled anew since.
    outdated: bool,
}

#[derive(Debug)]
struct FamilyDemand {
    family: ServiceFamily,
    groups: Vec<SpillGroup>,
    last: Option<(Duration, Vec<u64>)>,
    learned: bool,
}

impl TrafficModel {
    /// Nothing is learned yet. Regions are numbered as listed in the service.
    pub fn of(service: &SteeredService) -> TrafficModel {
        let families = ServiceFamily::ALL.into_iter().filter_map(|family| {
            let groups = groups(service.view(family)?, family);
            Some(FamilyDemand {
                family,
                groups,
                last: None,
                learned: false,
            })
        });
        TrafficModel {
            families: families.collect(),
            outdated: false,
        }
    }

    /// The service is compiled anew: its groups may be others, and its regions count from nothing.
    pub fn outdate(&mut self) {
        self.outdated = true;
    }

    /// Carries what was learned over to the groups of the service as it is now, if that is another.
    pub fn renew(&mut self, service: &SteeredService) {
        if !std::mem::take(&mut self.outdated) {
            return;
        }
        let mut new = TrafficModel::of(service);
        for family in &mut new.families {
            let old = self
                .families
                .iter()
                .find(|old| old.family == family.family && old.learned);
            old.into_iter().for_each(|old| family.inherit(old));
        }
        *self = new;
    }

    /// Takes in what was answered since the last time, under these shares.
    pub fn observe(&mut self, service: &SteeredService, shares: &[f64], now: Duration) {
        for family in &mut self.families {
            let Some(view) = service.view(family.family) else {
                continue;
            };
            let mut counts = vec![0; shares.len()];
            for (region, count) in view.regions.iter().zip(view.given.counts()) {
                counts
                    .get_mut(region.listed)
                    .into_iter()
                    .for_each(|place| *place = count);
            }
            family.observe(counts, shares, now);
        }
    }

    /// Shares by region as listed (before anything is learned: `most`), none above `most`, so that no region is above
    /// its capacity while another has room.
    /// With a rule that answers nobody when all are full, somebody is overloaded rather than a client left without.
    pub fn shares(
        &self,
        capacities: &[Option<Capacity>],
        most: &[f64],
        all_down: AllDown,
    ) -> Vec<f64> {
        if !self.families.iter().any(|family| family.learned) {
            return most.to_vec();
        }
        let groups: Vec<SpillGroup> = self
            .families
            .iter()
            .flat_map(|family| family.groups.iter().cloned())
            .collect();
        let all: f64 = groups.iter().map(|group| group.demand).sum();
        let limit = |capacity: &Option<Capacity>| match capacity {
            None => f64::INFINITY,
            Some(Capacity::Part(part)) => part * all * USED,
            Some(Capacity::Rate(rate)) => rate * USED,
        };
        let limits: Vec<f64> = capacities.iter().map(limit).collect();
        let wanted = spill::shares(&limits, most, &groups);
        let stepped = |(share, most): (f64, &f64)| ((share * STEPS).ceil() / STEPS).min(*most);
        let mut shares: Vec<f64> = wanted.into_iter().zip(most).map(stepped).collect();
        if matches!(all_down, AllDown::NoData | AllDown::ServFail) {
            leave_nobody_out(&mut shares, most, &groups);
        }
        shares
    }
}

impl FamilyDemand {
    /// A group that was not there before gets its part of all that was asked for.
    fn inherit(&mut self, old: &FamilyDemand) {
        let all: f64 = old.groups.iter().map(|group| group.demand).sum();
        let learned: HashMap<&[usize], f64> = old
            .groups
            .iter()
            .map(|group| (group.order.as_slice(), group.demand))
            .collect();
        for group in &mut self.groups {
            group.demand = learned
                .get(group.order.as_slice())
                .copied()
                .unwrap_or(group.demand * all);
        }
        self.learned = true;
    }

    fn observe(&mut self, counts: Vec<u64>, shares: &[f64], now: Duration) {
        let Some((before, old)) = self.last.replace((now, counts.clone())) else {
            return;
        };
        let elapsed = now.saturating_sub(before).as_secs_f64();
        if elapsed <= 0.0 {
            return;
        }
        let rate = |(new, old): (&u64, &u64)| new.saturating_sub(*old) as f64 / elapsed;
        let rates: Vec<f64> = counts.iter().zip(&old).map(rate).collect();
        let seen = rates.iter().any(|rate| *rate > 0.0);
        let weight = if self.learned {
            1.0 - (-elapsed / MEMORY.as_secs_f64()).exp()
        } else {
            1.0
        };
        if seen || self.learned {
            learn(&mut self.groups, &rates, shares, weight);
        }
        self.learned |= seen;
    }
}

/// Moves the demand of every group toward what explains these answers per second, so far as `weight` (0.0..=1.0) says.
fn learn(groups: &mut [SpillGroup], rates: &[f64], shares: &[f64], weight: f64) {
    let expected = spill::taken(shares, groups);
    for group in groups {
        let one = SpillGroup {
            demand: 1.0,
            order: group.order.clone(),
        };
        let taken = spill::taken(shares, &[one]);
        let served: f64 = taken.iter().sum();
        if served <= 0.0 {
            continue;
        }
        let explains = |region: usize| {
            if expected[region] > 0.0 {
                taken[region] * rates[region] / expected[region]
            } else {
                0.0
            }
        };
        let ratio = (0..rates.len().min(taken.len())).map(explains).sum::<f64>() / served;
        // Never nothing: what is nothing could not grow again.
        group.demand = (group.demand * (1.0 + weight * (ratio - 1.0))).max(1e-6);
    }
}

/// Gives the last region of a group all of its clients where every region of the group takes only a part.
fn leave_nobody_out(shares: &mut [f64], most: &[f64], groups: &[SpillGroup]) {
    for group in groups {
        let whole = |region: &usize| most.get(*region).is_some_and(|most| *most >= 1.0);
        if group
            .order
            .iter()
            .any(|&region| shares.get(region).is_some_and(|share| *share >= 1.0))
        {
            continue;
        }
        if let Some(last) = group
            .order
            .iter()
            .rev()
            .copied()
            .find(|region| whole(region))
        {
            shares[last] = 1.0;
        }
    }
}

/// The groups of a view, all together asking for one answer per second.
fn groups(view: &ServiceView, family: ServiceFamily) -> Vec<SpillGroup> {
    // When everybody takes a part only, a client's outcome holds every tier that it has.
    let half = |region: &crate::catalog::services::ViewRegion| RegionCapacity {
        share: if region.endpoints.is_empty() {
            Share::NONE
        } else {
            Share::from_fraction(0.5)
        },
        weight: region.weight,
    };
    let standing: Vec<RegionCapacity> = view.regions.iter().map(half).collect();
    let states = RegionStates {
        capacities: standing,
        all_down: AllDown::NoData,
        ..RegionStates::default()
    };
    let (table, outcomes) = view.catchment.outcomes(&states);
    let sizes = match family {
        ServiceFamily::V6 => sizes(
            table
                .ranges_v6()
                .map(|(start, value)| (start as f64, value)),
            2f64.powi(128),
        ),
        _ => sizes(
            table
                .ranges_v4()
                .map(|(start, value)| (f64::from(start), value)),
            2f64.powi(32),
        ),
    };
    let mut groups: Vec<SpillGroup> = Vec::new();
    for (value, size) in sizes {
        let Some(outcome) = outcomes.get(value as usize) else {
            continue;
        };
        let tiers: Vec<Vec<(usize, f64)>> = outcome
            .tiers
            .iter()
            .map(|stage| {
                let listed = |position: u8| {
                    view.regions
                        .get(usize::from(position))
                        .map(|region| region.listed)
                };
                let regions = stage.regions.iter();
                regions
                    .filter_map(|(position, now)| Some((listed(*position)?, f64::from(now.weight))))
                    .collect()
            })
            .collect();
        groups.extend(orders(&tiers).into_iter().map(|(order, part)| SpillGroup {
            demand: size * part,
            order,
        }));
    }
    groups.sort_by(|one, other| other.demand.total_cmp(&one.demand));
    groups.truncate(MOST_GROUPS);
    let all: f64 = groups.iter().map(|group| group.demand).sum();
    groups
        .iter_mut()
        .for_each(|group| group.demand = (group.demand / all.max(f64::MIN_POSITIVE)).max(1e-6));
    groups
}

/// How many addresses have each value.
fn sizes(ranges: impl Iterator<Item = (f64, u32)>, end: f64) -> HashMap<u32, f64> {
    let mut sizes = HashMap::new();
    let mut ranges = ranges.peekable();
    while let Some((start, value)) = ranges.next() {
        let next = ranges.peek().map_or(end, |(next, _)| *next);
        *sizes.entry(value).or_insert(0.0) += next - start;
    }
    sizes
}

/// Tiers as orders: of the first tier each region comes first for its part by weight, then the others.
fn orders(tiers: &[Vec<(usize, f64)>]) -> Vec<(Vec<usize>, f64)> {
    let Some((first, rest)) = tiers.split_first() else {
        return Vec::new();
    };
    let all: f64 = first.iter().map(|(_, weight)| weight).sum();
    let mut orders = Vec::new();
    for (at, (_, weight)) in first
        .iter()
        .enumerate()
        .filter(|(_, (_, weight))| *weight > 0.0)
    {
        let turned = first[at..]
            .iter()
            .chain(&first[..at])
            .chain(rest.iter().flatten());
        orders.push((turned.map(|(region, _)| *region).collect(), weight / all));
    }
    orders
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three regions with room for 100 answers per second each, and two sorts of clients at each: those with one next
    /// region and those with the other.
    struct Play {
        truth: Vec<SpillGroup>,
        believed: FamilyDemand,
        counts: Vec<f64>,
        now: Duration,
    }

    impl Play {
        fn new(parts: [f64; 6]) -> Play {
            let orders = [
                [0, 1, 2],
                [0, 2, 1],
                [1, 0, 2],
                [1, 2, 0],
                [2, 0, 1],
                [2, 1, 0],
            ];
            let group = |(order, demand): (&[usize; 3], f64)| SpillGroup {
                demand,
                order: order.to_vec(),
            };
            let truth: Vec<SpillGroup> = orders.iter().zip(parts).map(group).collect();
            let groups = orders.iter().zip([1.0 / 6.0; 6]).map(group).collect();
            let believed = FamilyDemand {
                family: ServiceFamily::V4,
                groups,
                last: None,
                learned: false,
            };
            Play {
                truth,
                believed,
                counts: vec![0.0; 3],
                now: Duration::ZERO,
            }
        }

        /// A second under these shares; the load of each region.
        fn second(&mut self, shares: &[f64]) -> Vec<f64> {
            let taken = spill::taken(shares, &self.truth);
            self.counts
                .iter_mut()
                .zip(&taken)
                .for_each(|(count, taken)| *count += taken);
            self.now += Duration::from_secs(1);
            self.believed.observe(
                self.counts.iter().map(|count| *count as u64).collect(),
                shares,
                self.now,
            );
            taken
        }

        fn shares(&self, capacities: &[Option<Capacity>], most: &[f64]) -> Vec<f64> {
            let groups = self.believed.groups.clone();
            let family = FamilyDemand {
                family: ServiceFamily::V4,
                groups,
                last: None,
                learned: true,
            };
            TrafficModel {
                families: vec![family],
                outdated: false,
            }
            .shares(capacities, most, AllDown::AnswerAll)
        }
    }

    #[test]
    fn of_three_regions_at_60_percent_one_dies_and_no_survivor_is_above_its_capacity() {
        for capacity in [Capacity::Rate(100.0), Capacity::Part(100.0 / 180.0)] {
            let capacities = [Some(capacity); 3];
            // Of the third's clients nearly all have the second next: without spill it would carry 114.
            let mut play = Play::new([30.0, 30.0, 30.0, 30.0, 6.0, 54.0]);
            let mut shares = vec![1.0; 3];
            for _ in 0..60 {
                play.second(&shares);
                shares = play.shares(&capacities, &[1.0; 3]);
                assert_eq!(shares, [1.0; 3], "everybody has room");
            }
            shares = play.shares(&capacities, &[1.0, 1.0, 0.0]);
            for second in 0..300 {
                let load = play.second(&shares);
                // What the third's clients have next is not known before it dies; that is learned within seconds.
                let bound = if second < 30 { 115.0 } else { 100.0 };
                assert!(
                    load.iter().all(|load| *load <= bound),
                    "second {second}: {load:?} under {shares:?}"
                );
                assert!(
                    (load.iter().sum::<f64>() - 180.0).abs() < 0.1,
                    "everybody is served: {load:?}"
                );
                shares = play.shares(&capacities, &[1.0, 1.0, 0.0]);
            }
            for _ in 0..30 {
                shares = play.shares(&capacities, &[1.0; 3]);
                play.second(&shares);
            }
            assert_eq!(shares, [1.0; 3], "all are back");
        }
    }

    #[test]
    fn where_the_next_region_follows_from_the_place_the_first_second_is_right_already() {
        let mut play = Play::new([60.0, 0.0, 60.0, 0.0, 0.0, 60.0]);
        play.believed.groups = play
            .truth
            .iter()
            .filter(|group| group.demand > 0.0)
            .cloned()
            .collect();
        for _ in 0..5 {
            play.second(&[1.0; 3]);
        }
        for _ in 0..60 {
            let shares = play.shares(&[Some(Capacity::Rate(100.0)); 3], &[1.0, 1.0, 0.0]);
            let load = play.second(&shares);
            assert!(
                load.iter().all(|load| *load <= 100.0),
                "{load:?} under {shares:?}"
            );
        }
    }

    #[test]
    fn nobody_is_left_without_an_answer_when_all_are_full() {
        let play = Play::new([50.0; 6]);
        let families = vec![FamilyDemand {
            groups: play.truth,
            learned: true,
            ..play.believed
        }];
        let demand = TrafficModel {
            families,
            outdated: false,
        };
        let shares = demand.shares(
            &[Some(Capacity::Rate(10.0)); 3],
            &[1.0, 1.0, 0.0],
            AllDown::NoData,
        );
        assert!(shares.contains(&1.0) && shares[2] == 0.0, "{shares:?}");
    }

    #[test]
    fn what_was_learned_is_carried_over_to_the_groups_that_are_left() {
        let mut old = Play::new([0.0; 6]).believed;
        (old.groups, old.learned) = (Play::new([30.0, 10.0, 0.0, 0.0, 60.0, 0.0]).truth, true);
        let mut new = Play::new([0.0; 6]).believed;
        new.groups = vec![
            SpillGroup {
                demand: 0.5,
                order: vec![2, 0, 1],
            },
            SpillGroup {
                demand: 0.2,
                order: vec![0, 2, 1],
            },
            SpillGroup {
                demand: 0.3,
                order: vec![2, 0],
            },
        ];
        new.inherit(&old);
        let demands: Vec<f64> = new.groups.iter().map(|group| group.demand).collect();
        assert_eq!((demands, new.learned), (vec![60.0, 10.0, 30.0], true));
    }

    #[test]
    fn tiers_become_orders() {
        let tiers = [vec![(0, 1.0), (1, 3.0)], vec![(2, 1.0)]];
        assert_eq!(
            orders(&tiers),
            [(vec![0, 1, 2], 0.25), (vec![1, 0, 2], 0.75)]
        );
        assert!(orders(&[]).is_empty());
    }
}
