//! Learns the demand of each group of clients, and computes the shares that keep every region
//! within its capacity.
//!
//! A group is the clients of one family that are offered the regions in the same order. The demand
//! of a group cannot be seen, but the answers of each region can. Every observation moves the
//! demands toward the values that explain the answers best: one step of expectation maximization
//! for Poisson counts. Before the first answers, a group is as large as its part of the address
//! space.

use std::collections::HashMap;
use std::time::Duration;

use super::spill::{self, SpillGroup};
use crate::catalog::services::{ServiceFamily, ServiceView, SteeredService, ViewRegion};
use crate::config::Capacity;
use crate::geo::catchment::Outcomes;
use crate::steering::failover::RegionCapacity;
use crate::steering::{AllDown, FailoverChain, RegionStates, Share};

/// Most groups of one family. The smallest ones are left out.
const MOST_GROUPS: usize = 256;
/// The time in which new answers replace most of what was learned.
const MEMORY: Duration = Duration::from_secs(10);
/// Shares are rounded up to these steps, so that small changes do not change the answers.
const STEPS: f64 = 256.0;
/// The part of a capacity that is used, to make up for rounding shares up.
const USED: f64 = 0.97;

/// The demand for one service.
#[derive(Debug)]
pub struct TrafficModel {
    families: Vec<FamilyDemand>,
    /// The service has been compiled again since.
    outdated: bool,
}

#[derive(Debug)]
struct FamilyDemand {
    family: ServiceFamily,
    groups: Vec<SpillGroup>,
    last: Option<AnswerCounts>,
    learned: bool,
}

/// The answers of each region up to a moment.
#[derive(Debug)]
struct AnswerCounts {
    taken: Duration,
    counts: Vec<u64>,
}

impl TrafficModel {
    /// A model that has learned nothing yet. Regions are numbered as listed in the service.
    pub fn of(service: &SteeredService) -> TrafficModel {
        let mut families = Vec::new();
        for family in ServiceFamily::ALL {
            if let Some(view) = service.view(family) {
                let groups = groups(view, family);
                families.push(FamilyDemand {
                    family,
                    groups,
                    last: None,
                    learned: false,
                });
            }
        }
        TrafficModel {
            families,
            outdated: false,
        }
    }

    /// Notes that the service is compiled again: its groups may differ, and its counters start from
    /// zero.
    pub fn outdate(&mut self) {
        self.outdated = true;
    }

    /// Carries what was learned over to the groups of a service that was compiled again.
    pub fn renew(&mut self, service: &SteeredService) {
        if !std::mem::take(&mut self.outdated) {
            return;
        }
        let mut new = TrafficModel::of(service);
        for family in &mut new.families {
            for old in &self.families {
                if old.family == family.family && old.learned {
                    family.inherit(old);
                }
            }
        }
        *self = new;
    }

    /// Learns from the answers since the last time, which were given under these shares.
    pub fn observe(&mut self, service: &SteeredService, shares: &[f64], now: Duration) {
        for family in &mut self.families {
            let Some(view) = service.view(family.family) else {
                continue;
            };
            let mut counts = vec![0; shares.len()];
            for (region, count) in view.regions.iter().zip(view.given.counts()) {
                if let Some(place) = counts.get_mut(region.listed) {
                    *place = count;
                }
            }
            family.observe(AnswerCounts { taken: now, counts }, shares);
        }
    }

    /// Shares by region as listed, none above `most`, so that no region is above its capacity while
    /// another has room. Before anything is learned, the shares are `most`.
    ///
    /// With an all-down rule that gives no answer, regions are overloaded, so that no client is
    /// left without one.
    pub fn shares(
        &self,
        capacities: &[Option<Capacity>],
        most: &[f64],
        all_down: AllDown,
    ) -> Vec<f64> {
        if !self.families.iter().any(|family| family.learned) {
            return most.to_vec();
        }
        let mut groups = Vec::new();
        for family in &self.families {
            groups.extend_from_slice(&family.groups);
        }
        let all = total_demand(&groups);
        let mut limits = Vec::with_capacity(capacities.len());
        for capacity in capacities {
            limits.push(match capacity {
                None => f64::INFINITY,
                Some(Capacity::Part(part)) => part * all * USED,
                Some(Capacity::Rate(rate)) => rate * USED,
            });
        }
        let mut shares = spill::shares(&limits, most, &groups);
        for (share, most) in shares.iter_mut().zip(most) {
            *share = ((*share * STEPS).ceil() / STEPS).min(*most);
        }
        if matches!(all_down, AllDown::NoData | AllDown::ServFail) {
            serve_every_group(&mut shares, most, &groups);
        }
        shares
    }
}

impl FamilyDemand {
    /// Takes over the demands of equal groups. A new group gets its part of the whole demand.
    fn inherit(&mut self, old: &FamilyDemand) {
        let all = total_demand(&old.groups);
        let mut learned: HashMap<&[usize], f64> = HashMap::new();
        for group in &old.groups {
            learned.insert(&group.order, group.demand);
        }
        for group in &mut self.groups {
            group.demand = match learned.get(&group.order[..]) {
                Some(demand) => *demand,
                None => group.demand * all,
            };
        }
        self.learned = true;
    }

    fn observe(&mut self, now: AnswerCounts, shares: &[f64]) {
        let rates = self
            .last
            .as_ref()
            .and_then(|before| now.rates_since(before));
        let before = self.last.replace(now);
        let (Some(rates), Some(before), Some(now)) = (rates, before, &self.last) else {
            return;
        };
        let seen = rates.iter().any(|rate| *rate > 0.0);
        let mut weight = 1.0;
        if self.learned {
            let elapsed = now.taken.saturating_sub(before.taken).as_secs_f64();
            weight = 1.0 - (-elapsed / MEMORY.as_secs_f64()).exp();
        }
        if seen || self.learned {
            learn(&mut self.groups, &rates, shares, weight);
        }
        self.learned |= seen;
    }
}

impl AnswerCounts {
    /// Answers per second by region; `None` if no time has passed.
    fn rates_since(&self, before: &AnswerCounts) -> Option<Vec<f64>> {
        let elapsed = self.taken.saturating_sub(before.taken).as_secs_f64();
        if elapsed <= 0.0 {
            return None;
        }
        let mut rates = Vec::with_capacity(self.counts.len());
        for (new, old) in self.counts.iter().zip(&before.counts) {
            rates.push(new.saturating_sub(*old) as f64 / elapsed);
        }
        Some(rates)
    }
}

fn total_demand(groups: &[SpillGroup]) -> f64 {
    groups.iter().map(|group| group.demand).sum()
}

/// Moves the demand of every group toward the values that explain these answers per second.
/// `weight`, 0.0..=1.0, says how far.
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
        let mut explained = 0.0;
        for region in 0..rates.len().min(taken.len()) {
            if expected[region] > 0.0 {
                explained += taken[region] * rates[region] / expected[region];
            }
        }
        let ratio = explained / served;
        // A demand of zero could never grow again.
        group.demand = (group.demand * (1.0 + weight * (ratio - 1.0))).max(1e-6);
    }
}

/// Gives the last healthy region of a group all of its clients where every region of the group
/// takes only a part.
fn serve_every_group(shares: &mut [f64], most: &[f64], groups: &[SpillGroup]) {
    for group in groups {
        let mut last_whole = None;
        let mut is_served = false;
        for &region in &group.order {
            is_served |= shares.get(region).is_some_and(|share| *share >= 1.0);
            if most.get(region).is_some_and(|most| *most >= 1.0) {
                last_whole = Some(region);
            }
        }
        if let Some(region) = last_whole
            && !is_served
        {
            shares[region] = 1.0;
        }
    }
}

/// The groups of a view, all together asking for one answer per second.
fn groups(view: &ServiceView, family: ServiceFamily) -> Vec<SpillGroup> {
    // When every region takes only a part, the outcome of a client holds all of its tiers.
    let states = RegionStates {
        capacities: view.regions.iter().map(half).collect(),
        all_down: AllDown::NoData,
        ..RegionStates::default()
    };
    let Outcomes {
        table,
        chains: outcomes,
    } = view.catchment.outcomes_at_once(&states);
    let sizes = match family {
        ServiceFamily::V6 => {
            let ranges = table
                .ranges_v6()
                .map(|(start, value)| (start as f64, value));
            sizes(ranges, 2f64.powi(128))
        }
        _ => {
            let ranges = table
                .ranges_v4()
                .map(|(start, value)| (f64::from(start), value));
            sizes(ranges, 2f64.powi(32))
        }
    };
    let mut groups: Vec<SpillGroup> = Vec::new();
    for (value, size) in sizes {
        if let Some(outcome) = outcomes.get(value as usize) {
            for mut group in groups_of(&weighted_tiers(outcome, view)) {
                group.demand *= size;
                groups.push(group);
            }
        }
    }
    groups.sort_by(|one, other| other.demand.total_cmp(&one.demand));
    groups.truncate(MOST_GROUPS);
    let all = total_demand(&groups).max(f64::MIN_POSITIVE);
    for group in &mut groups {
        group.demand = (group.demand / all).max(1e-6);
    }
    groups
}

fn half(region: &ViewRegion) -> RegionCapacity {
    let share = if region.endpoints.is_empty() {
        Share::NONE
    } else {
        Share::from_fraction(0.5)
    };
    RegionCapacity {
        share,
        weight: region.weight,
    }
}

/// A region as listed in the service, and its weight within a tier.
#[derive(Clone, Copy)]
struct WeightedRegion {
    listed: usize,
    weight: f64,
}

fn weighted_tiers(outcome: &FailoverChain, view: &ServiceView) -> Vec<Vec<WeightedRegion>> {
    let mut tiers = Vec::new();
    for tier in &outcome.tiers {
        let mut regions = Vec::new();
        for (position, now) in &tier.regions {
            if let Some(region) = view.regions.get(usize::from(*position)) {
                regions.push(WeightedRegion {
                    listed: region.listed,
                    weight: f64::from(now.weight),
                });
            }
        }
        tiers.push(regions);
    }
    tiers
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

/// The groups of clients with these tiers, together of demand 1: each region of the first tier
/// comes first for its part by weight, then follow the others.
fn groups_of(tiers: &[Vec<WeightedRegion>]) -> Vec<SpillGroup> {
    let Some((first, rest)) = tiers.split_first() else {
        return Vec::new();
    };
    let all: f64 = first.iter().map(|region| region.weight).sum();
    let mut groups = Vec::new();
    for (at, region) in first.iter().enumerate() {
        if region.weight > 0.0 {
            let mut turned = first.clone();
            turned.rotate_left(at);
            turned.extend(rest.iter().flatten());
            let order = turned.iter().map(|region| region.listed).collect();
            groups.push(SpillGroup {
                demand: region.weight / all,
                order,
            });
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three regions with room for 100 answers per second each, and two sorts of clients at each:
    /// those with one next region and those with the other.
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
            let counts = self.counts.iter().map(|count| *count as u64).collect();
            self.believed.observe(
                AnswerCounts {
                    taken: self.now,
                    counts,
                },
                shares,
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
            // Of the third's clients nearly all have the second next: without spill it would carry
            // 114.
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
                // What the third's clients have next is not known before it dies; that is learned
                // within seconds.
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
    fn every_client_gets_an_answer_when_all_regions_are_full() {
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
        let region = |listed, weight| WeightedRegion { listed, weight };
        let tiers = [vec![region(0, 1.0), region(1, 3.0)], vec![region(2, 1.0)]];
        let group = |order: [usize; 3], demand| SpillGroup {
            demand,
            order: order.to_vec(),
        };
        assert_eq!(
            groups_of(&tiers),
            [group([0, 1, 2], 0.25), group([1, 0, 2], 0.75)]
        );
        assert!(groups_of(&[]).is_empty());
    }
}
