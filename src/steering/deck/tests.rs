//! Decks against what they promise: exact shares, few hands, and clients that stay.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::super::failover::{RegionCapacity, number_tiers};
use super::super::pick::{PickPolicy, PickSource, next_draw, pick};
use super::super::{
    ClientHash, EndpointPool, FailoverChain, PickMethod, RegionStates, Share, Tiers,
};
use super::sampling::{Inclusion, WeightsByRegion};
use super::*;

/// Regions of one tier with their endpoints, all of them up.
#[derive(Clone)]
struct World {
    rules: DeckRules,
    capacities: Vec<RegionCapacity>,
    /// By region: the configured weight of each endpoint, and whether it is up.
    endpoints: Vec<Vec<(u32, bool)>>,
}

struct Compiled {
    chains: Vec<FailoverChain>,
    pools: Vec<Option<EndpointPool>>,
    decks: Option<ViewDecks>,
    policy: PickPolicy,
}

impl World {
    fn new(pick: PickMethod, answers: u8, regions: &[(u32, &[u32])]) -> World {
        let mut world = World {
            rules: DeckRules {
                answers,
                pick,
                only_hands: false,
            },
            capacities: Vec::new(),
            endpoints: Vec::new(),
        };
        for (weight, endpoints) in regions {
            world.capacities.push(RegionCapacity {
                share: Share::ALL,
                weight: *weight,
            });
            let up = endpoints.iter().map(|weight| (*weight, true));
            world.endpoints.push(up.collect());
        }
        world
    }

    /// One to four regions of one to twelve endpoints, from a seed.
    fn generated(pick: PickMethod, seed: u64) -> World {
        let mut draw = next_draw(seed);
        let mut next = |bound: u64| {
            draw = next_draw(draw);
            below(draw, bound)
        };
        let answers = 2 + next(7) as u8;
        let largest = [1, 5, 100, 65_535][next(4) as usize];
        let mut regions = Vec::new();
        for _ in 0..1 + next(4) {
            let weight = 1 + next(100) as u32;
            let count = 1 + next(12);
            let endpoints: Vec<u32> = (0..count).map(|_| 1 + next(largest) as u32).collect();
            regions.push((weight, endpoints));
        }
        let lists: Vec<(u32, &[u32])> = regions
            .iter()
            .map(|(own, list)| (*own, &list[..]))
            .collect();
        World::new(pick, answers, &lists)
    }

    fn regions(&self) -> Vec<DeckRegion> {
        let mut regions = Vec::new();
        for endpoints in &self.endpoints {
            let mut region = DeckRegion::default();
            for (place, (weight, is_up)) in endpoints.iter().enumerate() {
                region.configured.push(*weight);
                if *is_up {
                    region.places.push(place as u16);
                    region.weights.push((*weight).max(1));
                }
            }
            regions.push(region);
        }
        regions
    }

    fn compiled(&self) -> Compiled {
        let positions: Vec<u8> = (0..self.endpoints.len() as u8).collect();
        let states = RegionStates {
            capacities: self.capacities.clone(),
            ..RegionStates::default()
        };
        let mut chains = vec![FailoverChain::resolve(
            &Tiers::from_lists(&[&positions]),
            &states,
        )];
        number_tiers(&mut chains);
        let regions = self.regions();
        let pools = regions
            .iter()
            .map(|region| EndpointPool::new(&region.weights));
        Compiled {
            decks: ViewDecks::compile(self.rules, &regions, &chains),
            pools: pools.collect(),
            chains,
            policy: PickPolicy {
                pick: self.rules.pick,
                answers: self.rules.answers,
                seed: 0,
                turn: 0,
            },
        }
    }

    /// The share of each endpoint of the tier, by region and index.
    fn inclusion(&self) -> (Vec<(u8, u16)>, Inclusion) {
        let regions = self.regions();
        let mut weights = WeightsByRegion::default();
        let mut endpoints = Vec::new();
        for (region, now) in self.capacities.iter().enumerate() {
            weights
                .regions
                .push((u64::from(now.weight), &regions[region].weights));
            for endpoint in 0..regions[region].weights.len() {
                endpoints.push((region as u8, endpoint as u16));
            }
        }
        let inclusion = Inclusion::new(&weights.flattened(), usize::from(self.rules.answers));
        (endpoints, inclusion)
    }
}

impl Compiled {
    fn picks(&self, client: u32, seed: u64, turn: u32) -> PickedEndpoints {
        let client = ClientHash::at(IpAddr::V4((client << 8).into()));
        let source = PickSource {
            pools: &self.pools,
            decks: self.decks.as_ref(),
        };
        let policy = PickPolicy {
            seed,
            turn,
            ..self.policy
        };
        pick(
            self.chains[0].tier_for(client).unwrap(),
            source,
            client,
            policy,
        )
    }

    fn deck(&self) -> &Deck {
        let decks = self.decks.as_ref().unwrap();
        decks.of_tier(&self.chains[0].tiers[0]).unwrap()
    }

    /// By endpoint: the sum of the lengths of the hands that have it; and the sum of all lengths.
    fn lengths(&self, deck: &Deck) -> (BTreeMap<(u8, u16), u64>, u64) {
        let mut lengths = BTreeMap::new();
        let mut start = 0;
        for entry in &deck.entries {
            assert!(entry.until > start);
            for endpoint in self.decks.as_ref().unwrap().hands()[usize::from(entry.hand)].iter() {
                *lengths.entry(endpoint).or_default() += entry.until - start;
            }
            start = entry.until;
        }
        (lengths, start)
    }
}

/// Deviations from what is expected, in standard deviations.
#[derive(Default)]
struct Deviations {
    count: usize,
    above_three: usize,
    greatest: f64,
}

impl Deviations {
    fn add(&mut self, count: u32, draws: u32, probability: f64) {
        let (n, p) = (f64::from(draws), probability);
        let deviation = (n * p * (1.0 - p)).sqrt();
        let distance = (f64::from(count) - n * p).abs();
        if p * n < 10.0 || (1.0 - p) * n < 10.0 {
            // Too rare for the normal distribution.
            assert!(distance < 25.0, "{count} instead of {}", n * p);
            return;
        }
        self.count += 1;
        self.above_three += usize::from(distance > 3.0 * deviation);
        self.greatest = self.greatest.max(distance / deviation);
    }
}

#[test]
fn forty_generated_pools_get_their_shares_over_a_million_draws() {
    const DRAWS: u32 = 1_000_000;
    let mut deviations = Deviations::default();
    for seed in 0..40 {
        let world = World::generated(PickMethod::Weighted, seed);
        let (compiled, (endpoints, inclusion)) = (world.compiled(), world.inclusion());
        // By region and endpoint, of which there are at most 16.
        let mut counts = [(0u32, 0u32); 64];
        let mut draw = seed;
        for _ in 0..DRAWS {
            draw = next_draw(draw);
            for (at, (region, endpoint)) in compiled.picks(1, draw, 0).iter().enumerate() {
                let (all, first) = &mut counts[usize::from(region) * 16 + usize::from(endpoint)];
                *all += 1;
                *first += u32::from(at == 0);
            }
        }
        let total: u64 = inclusion.weights.iter().sum();
        for (at, endpoint) in endpoints.iter().enumerate() {
            let weight = inclusion.weights[at] as f64;
            let included = if inclusion.always[at] {
                1.0
            } else {
                inclusion.rest_size as f64 * weight / inclusion.rest_weight as f64
            };
            let (all, first) = counts[usize::from(endpoint.0) * 16 + usize::from(endpoint.1)];
            deviations.add(all, DRAWS, included);
            deviations.add(first, DRAWS, weight / total as f64);
        }
    }
    // Of so many shares, 0.27% lie beyond three deviations by chance, and none beyond five.
    let Deviations {
        count,
        above_three,
        greatest,
    } = deviations;
    assert!(count > 1000, "{count}");
    assert!(
        above_three * 200 <= count && greatest < 5.0,
        "{above_three} of {count}, {greatest}"
    );
}

#[test]
fn lengths_of_hands_are_exact_integers() {
    for seed in 0..400 {
        let world = World::generated(PickMethod::Weighted, seed);
        let (endpoints, inclusion) = world.inclusion();
        if endpoints.len() < 2 {
            continue;
        }
        let compiled = world.compiled();
        let (lengths, total) = compiled.lengths(compiled.deck());
        assert_eq!(
            lengths.len(),
            endpoints.len(),
            "every endpoint is in some hand"
        );
        for (at, endpoint) in endpoints.iter().enumerate() {
            let (own, all) = (u128::from(lengths[endpoint]), u128::from(total));
            if inclusion.always[at] {
                assert_eq!(own, all);
            } else {
                let share = u128::from(inclusion.rest_size) * u128::from(inclusion.weights[at]);
                assert_eq!(own * u128::from(inclusion.rest_weight), all * share);
            }
        }
    }
}

#[test]
fn a_deck_has_at_most_as_many_hands_in_an_order_as_endpoints() {
    for seed in 0..200 {
        let world = World::generated(PickMethod::Weighted, seed);
        let (endpoints, inclusion) = world.inclusion();
        let Some(decks) = world.compiled().decks else {
            continue;
        };
        assert!(decks.hands().len() <= 4 * endpoints.len());
        let distinct: BTreeSet<Vec<(u8, u16)>> = decks
            .hands()
            .iter()
            .map(|hand| hand.iter().collect())
            .collect();
        assert_eq!(distinct.len(), decks.hands().len());
        for hand in distinct {
            let endpoints: BTreeSet<_> = hand.iter().collect();
            assert_eq!(endpoints.len(), inclusion.size);
        }
    }
}

#[test]
fn endpoints_come_first_in_proportion_to_their_weights_even_if_they_are_in_every_hand() {
    for seed in 0..200 {
        let world = World::generated(PickMethod::Weighted, seed);
        let (endpoints, inclusion) = world.inclusion();
        if endpoints.len() < 2 {
            continue;
        }
        let compiled = world.compiled();
        let chances = compiled
            .decks
            .as_ref()
            .unwrap()
            .first_chances(compiled.deck());
        let total: u64 = inclusion.weights.iter().sum();
        for (at, (region, endpoint)) in endpoints.iter().enumerate() {
            let (known, index, chance) = chances[at];
            assert_eq!((known, index), (*region, usize::from(*endpoint)));
            let share = inclusion.weights[at] as f64 / total as f64;
            assert!(
                (chance - share).abs() < 1e-12,
                "{chance} instead of {share}"
            );
        }
    }
}

#[test]
fn round_robin_visits_every_endpoint_alike() {
    for seed in 0..100 {
        let compiled = World::generated(PickMethod::RoundRobin, seed).compiled();
        let all: usize = compiled
            .pools
            .iter()
            .flatten()
            .map(|pool| pool.weights.len())
            .sum();
        let answers = usize::from(compiled.policy.answers).min(all);
        let mut counts: BTreeMap<(u8, u16), (usize, usize)> = BTreeMap::new();
        let mut hands = BTreeSet::new();
        for turn in 0..all as u32 {
            let picks = compiled.picks(1, u64::from(turn), turn);
            assert_eq!(picks.len(), answers);
            hands.insert(picks.dealt());
            for (at, endpoint) in picks.iter().enumerate() {
                let (times, first) = counts.entry(endpoint).or_default();
                *times += 1;
                *first += usize::from(at == 0);
            }
        }
        assert_eq!(counts.len(), all);
        assert!(
            counts.values().all(|count| *count == (answers, 1)),
            "{counts:?}"
        );
        assert!(hands.len() <= all);
    }
}

/// How sticky clients move when one endpoint dies.
#[derive(Default, Debug)]
struct Moves {
    clients: u32,
    /// Clients of the endpoint that died.
    must: u32,
    /// Other clients whose hand changed.
    others: u32,
    /// Clients that lost more of their hand than they must.
    more: u32,
    /// Clients that have another first endpoint although theirs is up.
    leads: u32,
}

fn moves_when_one_dies(world: &World, dead: usize, clients: u32) -> Moves {
    let mut after = world.clone();
    after.endpoints[0][dead].1 = false;
    let (before, after) = (world.compiled(), after.compiled());
    // Indices into the pool, as places among all endpoints of the region.
    let place = |at: u16| at + u16::from(usize::from(at) >= dead);
    let mut moves = Moves::default();
    for client in 0..clients {
        let old: Vec<u16> = before
            .picks(client, 1, 1)
            .iter()
            .map(|(_, at)| at)
            .collect();
        let new: Vec<u16> = after
            .picks(client, 2, 2)
            .iter()
            .map(|(_, at)| place(at))
            .collect();
        assert_eq!(old.len(), new.len());
        let had = old.contains(&(dead as u16));
        let kept = old.iter().filter(|at| new.contains(at)).count();
        moves.clients += 1;
        moves.must += u32::from(had);
        moves.others += u32::from(!had && kept < old.len());
        moves.more += u32::from(kept + usize::from(had) < old.len());
        moves.leads += u32::from(old[0] != new[0] && usize::from(old[0]) != dead);
    }
    moves
}

#[test]
fn sticky_clients_keep_their_hand_when_an_endpoint_dies() {
    let mut sum = Moves::default();
    for seed in 0..60 {
        let mut world = World::generated(PickMethod::Sticky, seed);
        world.endpoints.truncate(1);
        world.capacities.truncate(1);
        let count = world.endpoints[0].len();
        if count <= usize::from(world.rules.answers) {
            continue;
        }
        let moves = moves_when_one_dies(&world, seed as usize % count, 4000);
        let Moves {
            clients, others, ..
        } = moves;
        assert!(others * 4 <= clients, "{seed}: {moves:?}");
        sum.clients += moves.clients;
        sum.must += moves.must;
        sum.others += moves.others;
        sum.more += moves.more;
        sum.leads += moves.leads;
    }
    // All in all, hardly a client moves that could stay. More of them get another first endpoint:
    // where one is in every hand, its part of each of them grows.
    assert!(
        sum.must > 50_000 && sum.others * 100 <= sum.clients * 3,
        "{sum:?}"
    );
    assert!(sum.more * 100 <= sum.clients * 5, "{sum:?}");
    assert!(sum.leads * 10 <= sum.clients, "{sum:?}");
}

#[test]
fn sticky_shares_follow_weights_after_deaths() {
    for seed in 0..100 {
        let mut world = World::generated(PickMethod::Sticky, seed);
        world.endpoints.truncate(1);
        world.capacities.truncate(1);
        let count = world.endpoints[0].len();
        if count < usize::from(world.rules.answers) + 3 {
            continue;
        }
        world.endpoints[0][seed as usize % count].1 = false;
        world.endpoints[0][(seed as usize + 1) % count].1 = false;
        let (endpoints, inclusion) = world.inclusion();
        let compiled = world.compiled();
        let decks = compiled.decks.as_ref().unwrap();
        let (lengths, total) = compiled.lengths(decks.of_region(0).unwrap());
        for (at, endpoint) in endpoints.iter().enumerate() {
            let share = lengths[endpoint] as f64 / total as f64;
            let wanted = if inclusion.always[at] {
                1.0
            } else {
                inclusion.rest_size as f64 * inclusion.weights[at] as f64
                    / inclusion.rest_weight as f64
            };
            assert!(
                (share - wanted).abs() < 1e-9,
                "{seed} {endpoint:?}: {share} {wanted}"
            );
        }
    }
}

#[test]
fn sticky_clients_stay_while_others_go_and_come_back() {
    let world = World::new(PickMethod::Sticky, 3, &[(1, &[5, 3, 1, 1, 2, 7, 4])]);
    let (first, again) = (world.compiled(), world.compiled());
    let mut first_leads = [0u32; 7];
    for client in 0..20_000 {
        let picks: Vec<_> = first.picks(client, 1, 1).iter().collect();
        assert_eq!(picks, again.picks(client, 9, 5).iter().collect::<Vec<_>>());
        first_leads[usize::from(picks[0].1)] += 1;
    }
    let mut deviations = Deviations::default();
    for (count, weight) in first_leads.into_iter().zip([5, 3, 1, 1, 2, 7, 4]) {
        deviations.add(count, 20_000, f64::from(weight) / 23.0);
    }
    assert!(deviations.greatest < 4.0, "{first_leads:?}");
}

#[test]
fn a_tier_that_takes_a_share_deals_from_one_region() {
    for pick in [
        PickMethod::Weighted,
        PickMethod::Sticky,
        PickMethod::RoundRobin,
    ] {
        let mut world = World::new(
            pick,
            3,
            &[(1, &[5, 3, 1, 1]), (1, &[1, 1, 1]), (1, &[1, 9])],
        );
        world.capacities[0].share = Share::from_fraction(0.5);
        let compiled = world.compiled();
        let (mut dealt, mut drawn) = (0, 0);
        for n in 0..3000 {
            let picks = compiled.picks(n, next_draw(n.into()), n);
            let regions: BTreeSet<u8> = picks.iter().map(|(region, _)| region).collect();
            let endpoints: BTreeSet<_> = picks.iter().collect();
            assert_eq!((picks.len(), endpoints.len()), (3, 3), "{pick:?}");
            if picks.dealt().is_some() {
                assert_eq!(regions.len(), 1, "{pick:?}");
                dealt += 1;
            } else {
                // The third region has too few endpoints.
                assert_eq!(picks.iter().next().unwrap().0, 2, "{pick:?}");
                drawn += 1;
            }
        }
        assert!(dealt > 1500 && drawn > 300, "{pick:?}: {dealt} {drawn}");
    }
}

#[test]
fn whole_hands_alone_are_dealt_where_sets_are_prepared() {
    for pick in [
        PickMethod::Weighted,
        PickMethod::Sticky,
        PickMethod::RoundRobin,
    ] {
        let mut world = World::new(pick, 3, &[(1, &[5, 3, 1, 1]), (1, &[1, 9]), (1, &[1])]);
        world.capacities[0].share = Share::from_fraction(0.5);
        world.rules.only_hands = true;
        let compiled = world.compiled();
        let mut sizes = BTreeSet::new();
        for n in 0..3000 {
            let picks = compiled.picks(n, next_draw(n.into()), n);
            assert!(picks.dealt().is_some() || picks.len() == 1);
            sizes.insert(picks.len());
        }
        assert_eq!(sizes, BTreeSet::from([1, 2, 3]), "{pick:?}");
    }
}

#[test]
fn hands_that_are_dealt_have_their_numbers() {
    for pick in [
        PickMethod::Weighted,
        PickMethod::Sticky,
        PickMethod::RoundRobin,
    ] {
        for seed in 0..20 {
            let compiled = World::generated(pick, seed).compiled();
            for n in 0..500 {
                let picks = compiled.picks(n, next_draw(n.into()), n);
                if let Some(HandId(hand)) = picks.dealt() {
                    let hand = compiled.decks.as_ref().unwrap().hands()[hand as usize];
                    let mut endpoints: Vec<_> = picks.iter().collect();
                    endpoints.sort_unstable();
                    assert_eq!(endpoints, hand.iter().collect::<Vec<_>>());
                }
            }
        }
    }
}

#[test]
fn a_view_has_a_bounded_number_of_hands() {
    let weights: Vec<u32> = (1..=900).collect();
    let world = World::new(
        PickMethod::Weighted,
        8,
        &[(1, &weights), (3, &weights), (2, &[1; 9])],
    );
    let compiled = world.compiled();
    let decks = compiled.decks.as_ref().unwrap();
    assert!(decks.of_tier(&compiled.chains[0].tiers[0]).is_none());
    assert!(decks.hands().len() <= MOST_HANDS);
    for n in 0..1000 {
        let picks = compiled.picks(n, next_draw(n.into()), n);
        let regions: BTreeSet<u8> = picks.iter().map(|(region, _)| region).collect();
        assert!(picks.dealt().is_some() && regions.len() == 1 && picks.len() == 8);
    }
    let too_many = vec![1; 5000];
    let world = World::new(PickMethod::RoundRobin, 2, &[(1, &too_many)]);
    let compiled = world.compiled();
    assert!(compiled.decks.is_none() && compiled.picks(1, 1, 7).len() == 2);
}
