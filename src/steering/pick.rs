//! Pick: which endpoints a reply holds, out of the stage that takes the client.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

use std::net::IpAddr;

use super::{ActiveTier, FailoverChain, PickMethod};

/// Most endpoints in one reply.
pub const MAX_ANSWERS: usize = 8;

/// One region's endpoints as they can be picked now: those in standby left out while they are not needed.
#[derive(Debug, Clone, Default)]
pub struct EndpointPool {
    /// The weight of each, at least 1.
    pub weights: Box<[u32]>,
    /// Their sum.
    pub total: u64,
}

impl EndpointPool {
    /// A pool of these weights; `None` for no endpoints. Weights of 0 (all in standby) count as 1.
    pub fn new(weights: &[u32]) -> Option<EndpointPool> {
        let weights: Box<[u32]> = weights.iter().map(|&weight| weight.max(1)).collect();
        let total = weights.iter().map(|&weight| u64::from(weight)).sum();
        (!weights.is_empty()).then_some(EndpointPool { weights, total })
    }
}

/// The client as picks see it: its prefix (/24 for IPv4, /48 for IPv6), hashed alike on every server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientHash {
    prefix: u64,
}

/// Prefix length of an IPv4 client for shares and sticky picks.
pub const STABLE_PREFIX_V4: u8 = 24;
/// Prefix length of an IPv6 client for shares and sticky picks.
pub const STABLE_PREFIX_V6: u8 = 48;

impl ClientHash {
    /// The client at an address.
    #[inline]
    pub fn at(address: IpAddr) -> ClientHash {
        match address {
            IpAddr::V4(address) => ClientHash::at_v4(address.to_bits()),
            IpAddr::V6(address) => ClientHash::at_v6(address.to_bits()),
        }
    }

    /// The client at an IPv4 address.
    #[inline]
    pub fn at_v4(address: u32) -> ClientHash {
        ClientHash {
            prefix: u64::from(address >> 8),
        }
    }

    /// The client at an IPv6 address.
    #[inline]
    pub fn at_v6(address: u128) -> ClientHash {
        ClientHash {
            prefix: (address >> 80) as u64 | 1 << 63,
        }
    }

    /// An independent hash for each thing that the client is held against.
    #[inline]
    fn against(self, salt: u64) -> u64 {
        mix(mix(self.prefix) ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The next draw after `draw`: the step of SplitMix64.
#[inline]
pub fn next_draw(draw: u64) -> u64 {
    mix(draw.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

/// A number in `0..total` from a uniform draw, exact to one part in 2^64 / total; 0 when `total` is 0.
///
/// Multiply and shift (Lemire: Fast random integer generation in an interval, 2019).
#[inline]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "two numbers of 64 bits in 128"
)]
fn below(draw: u64, total: u64) -> u64 {
    ((u128::from(draw) * u128::from(total)) >> 64) as u64
}

/// The endpoints of one reply, in order: region position and index into its pool.
#[derive(Debug, Clone, Copy, Default)]
pub struct PickedEndpoints {
    /// Region in the upper half, endpoint in the lower one: eight of them are two stores to clear.
    chosen: [u32; MAX_ANSWERS],
    count: usize,
}

impl PickedEndpoints {
    /// What was picked.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (u8, u16)> + '_ {
        (0..self.count)
            .map_while(|at| self.chosen.get(at))
            .map(|&chosen| ((chosen >> 16) as u8, chosen as u16))
    }

    /// How many were picked.
    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    #[expect(clippy::arithmetic_side_effects, reason = "the place was there")]
    fn push(&mut self, region: u8, endpoint: usize) {
        if let Some(place) = self.chosen.get_mut(self.count) {
            *place = u32::from(region) << 16 | u32::from(endpoint as u16);
            self.count += 1;
        }
    }

    fn holds(&self, region: u8, endpoint: usize) -> bool {
        self.iter()
            .any(|picked| picked == (region, endpoint as u16))
    }

    /// How many of a region are picked.
    fn of_region(&self, region: u8) -> usize {
        self.iter().filter(|(chosen, _)| *chosen == region).count()
    }
}

/// The stage that takes this client; `None` when nobody does.
#[inline(always)]
pub fn stage_for(outcome: &FailoverChain, client: ClientHash) -> Option<&ActiveTier> {
    match outcome.stages.first() {
        Some(first) if first.certain => Some(first),
        _ => stage_by_share(outcome, client),
    }
}

/// The same where regions take a share of their clients.
#[cold]
fn stage_by_share(outcome: &FailoverChain, client: ClientHash) -> Option<&ActiveTier> {
    outcome
        .stages
        .iter()
        .find(|stage| stage.certain || takes(stage, client))
}

/// Whether some region of a stage takes the client.
fn takes(stage: &ActiveTier, client: ClientHash) -> bool {
    let hash = |region: u8| client.against(u64::from(region));
    stage
        .only
        .is_none_or(|(region, clients)| clients.holds(hash(region)))
        && stage
            .regions
            .iter()
            .any(|(region, now)| now.share.takes(hash(*region)))
}

/// How to pick for one query.
#[derive(Debug, Clone, Copy)]
pub struct PickPolicy {
    /// The service's rule.
    pub pick: PickMethod,
    /// Endpoints per reply.
    pub answers: u8,
    /// What is drawn comes from it: another number for each query.
    pub seed: u64,
    /// Counts the answers of this service, for round robin.
    pub turn: u32,
}

/// Picks endpoints of a stage, each at most once. `pools` is by region position.
#[inline(always)]
pub fn pick(
    stage: &ActiveTier,
    pools: &[Option<EndpointPool>],
    client: ClientHash,
    way: PickPolicy,
) -> PickedEndpoints {
    let mut picks = PickedEndpoints::default();
    if let Some(region) = only_endpoint(stage, pools) {
        picks.push(region, 0);
        return picks;
    }
    if way.answers == 1
        && stage.whole
        && matches!(way.pick, PickMethod::Weighted | PickMethod::LeastLoad)
    {
        if let Some((region, endpoint)) = weighted_first(stage, pools, next_draw(way.seed)) {
            picks.push(region, endpoint);
        }
        return picks;
    }
    pick_each(stage, pools, client, way)
}

/// Picks one after the other, each from what is left.
fn pick_each(
    stage: &ActiveTier,
    pools: &[Option<EndpointPool>],
    client: ClientHash,
    way: PickPolicy,
) -> PickedEndpoints {
    let mut picks = PickedEndpoints::default();
    let mut draw = next_draw(way.seed);
    for _ in 0..way.answers {
        let next = match way.pick {
            PickMethod::Weighted | PickMethod::LeastLoad if stage.whole && picks.count == 0 => {
                weighted_first(stage, pools, draw)
            }
            PickMethod::Weighted | PickMethod::LeastLoad => {
                weighted(stage, pools, client, &picks, draw)
            }
            PickMethod::Sticky => sticky(stage, pools, client, &picks),
            PickMethod::RoundRobin => round_robin(stage, pools, client, &picks, way.turn),
        };
        let Some((region, endpoint)) = next else {
            break;
        };
        picks.push(region, endpoint);
        draw = next_draw(draw);
    }
    picks
}

/// The first pick of a stage in which every region takes everybody: nothing to leave out, the sums are known.
#[inline]
fn weighted_first(
    stage: &ActiveTier,
    pools: &[Option<EndpointPool>],
    draw: u64,
) -> Option<(u8, usize)> {
    let weights = stage.regions.iter().map(|(_, now)| now.weight);
    let (region, _) = *stage
        .regions
        .get(walk(weights, below(draw, stage.total))?)?;
    let pool = pool_of(pools, region)?;
    let endpoint = walk(
        pool.weights.iter().copied(),
        below(second_draw(draw), pool.total),
    )?;
    Some((region, endpoint))
}

/// The index at which the running sum of the weights first exceeds `left`.
#[inline]
fn walk(weights: impl Iterator<Item = u32>, mut left: u64) -> Option<usize> {
    for (index, weight) in weights.enumerate() {
        match left.checked_sub(u64::from(weight)) {
            None => return Some(index),
            Some(rest) => left = rest,
        }
    }
    None
}

/// A draw for the endpoint that is independent of the one for its region.
#[inline]
fn second_draw(draw: u64) -> u64 {
    next_draw(!draw)
}

/// The region of a stage in which there is nothing to decide: one region that takes everybody, with one endpoint.
#[inline]
fn only_endpoint(stage: &ActiveTier, pools: &[Option<EndpointPool>]) -> Option<u8> {
    let [(region, _)] = stage.regions[..] else {
        return None;
    };
    let pool = pool_of(pools, region)?;
    (stage.whole && pool.weights.len() == 1).then_some(region)
}

/// Whether a region of the stage takes the client and has an endpoint that is not picked yet.
fn is_open(
    stage: &ActiveTier,
    index: usize,
    pools: &[Option<EndpointPool>],
    client: ClientHash,
    picks: &PickedEndpoints,
) -> bool {
    let Some((region, now)) = stage.regions.get(index) else {
        return false;
    };
    let taken = stage.whole || now.share.takes(client.against(u64::from(*region)));
    let endpoints = pool_of(pools, *region).map_or(0, |pool| pool.weights.len());
    taken && picks.of_region(*region) < endpoints
}

fn pool_of(pools: &[Option<EndpointPool>], region: u8) -> Option<&EndpointPool> {
    pools.get(usize::from(region))?.as_ref()
}

/// The weight of each open region; all alike when only those in standby are open.
fn open_weights(
    stage: &ActiveTier,
    pools: &[Option<EndpointPool>],
    client: ClientHash,
    picks: &PickedEndpoints,
) -> impl Fn(usize) -> u64 {
    let open = |index| is_open(stage, index, pools, client, picks);
    let active = (0..stage.regions.len()).any(|index| open(index) && weight_of(stage, index) > 0);
    move |index| match (is_open(stage, index, pools, client, picks), active) {
        (false, _) => 0,
        (true, true) => weight_of(stage, index),
        (true, false) => 1,
    }
}

/// The weight of a region of the stage.
fn weight_of(stage: &ActiveTier, index: usize) -> u64 {
    stage
        .regions
        .get(index)
        .map_or(0, |(_, now)| u64::from(now.weight))
}

/// Which region it is.
fn region_at(stage: &ActiveTier, index: usize) -> u8 {
    stage.regions.get(index).map_or(0, |(region, _)| *region)
}

/// A region by weight, then one of its endpoints by weight, among those not picked yet.
fn weighted(
    stage: &ActiveTier,
    pools: &[Option<EndpointPool>],
    client: ClientHash,
    picks: &PickedEndpoints,
    draw: u64,
) -> Option<(u8, usize)> {
    let weight = open_weights(stage, pools, client, picks);
    let index = spin(stage.regions.len(), &weight, draw)?;
    let region = stage.regions.get(index)?.0;
    let pool = pool_of(pools, region)?;
    let endpoint_weight = |endpoint: usize| open_endpoint_weight(pool, picks, region, endpoint);
    spin(pool.weights.len(), &endpoint_weight, second_draw(draw)).map(|endpoint| (region, endpoint))
}

/// The weight of an endpoint; 0 once it is picked.
fn open_endpoint_weight(
    pool: &EndpointPool,
    picks: &PickedEndpoints,
    region: u8,
    endpoint: usize,
) -> u64 {
    if picks.holds(region, endpoint) {
        0
    } else {
        pool.weights
            .get(endpoint)
            .map_or(0, |weight| u64::from(*weight))
    }
}

/// One index of `0..count` in proportion to its weight; `None` when all weights are 0.
fn spin(count: usize, weight: &impl Fn(usize) -> u64, draw: u64) -> Option<usize> {
    let total = (0..count).map(weight).sum();
    let mut left = below(draw, total);
    (0..count).find(|&index| {
        let weight = weight(index);
        let found = left < weight;
        left = left.wrapping_sub(weight);
        found
    })
}

/// The region and then the endpoint with the best score for this client.
///
/// Weighted rendezvous hashing: -weight / ln(hash) is greatest for each in proportion to its weight, and a change of
/// one weight moves only the clients that it must (Wang, Ravishankar: HRW, 1998; Schindelhauer, Schomaker, 2005).
#[expect(
    clippy::arithmetic_side_effects,
    reason = "numbers of regions and endpoints, far below 2^64"
)]
fn sticky(
    stage: &ActiveTier,
    pools: &[Option<EndpointPool>],
    client: ClientHash,
    picks: &PickedEndpoints,
) -> Option<(u8, usize)> {
    let weight = open_weights(stage, pools, client, picks);
    let salt = |region: u8| (u64::from(region) + 1) << 32;
    let region = best(
        stage.regions.len(),
        |index| (salt(region_at(stage, index)), weight(index)),
        client,
    )?;
    let region = stage.regions.get(region)?.0;
    let pool = pool_of(pools, region)?;
    let endpoint_weight = |endpoint: usize| open_endpoint_weight(pool, picks, region, endpoint);
    let salted = |endpoint: usize| {
        (
            salt(region) + 1 + endpoint as u64,
            endpoint_weight(endpoint),
        )
    };
    best(pool.weights.len(), salted, client).map(|endpoint| (region, endpoint))
}

/// The index with the best score; those of weight 0 do not take part.
fn best(
    count: usize,
    salt_and_weight: impl Fn(usize) -> (u64, u64),
    client: ClientHash,
) -> Option<usize> {
    let score = |index: usize| {
        let (salt, weight) = salt_and_weight(index);
        // 53 bits and a half: never 0 and never 1, so the logarithm is finite and below 0.
        let unit = ((client.against(salt) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        (weight > 0).then(|| -(weight as f64) / unit.ln())
    };
    (0..count)
        .filter_map(|index| score(index).map(|score| (index, score)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|best| best.0)
}

/// Each endpoint of the open regions in turn, weights not asked (but those in standby stay out).
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a turn and eight picks at most; what is left is not less than the size"
)]
fn round_robin(
    stage: &ActiveTier,
    pools: &[Option<EndpointPool>],
    client: ClientHash,
    picks: &PickedEndpoints,
    turn: u32,
) -> Option<(u8, usize)> {
    let nothing = PickedEndpoints::default();
    let weight = open_weights(stage, pools, client, &nothing);
    let size = |index: usize| {
        if weight(index) == 0 {
            0
        } else {
            pool_of(pools, region_at(stage, index)).map_or(0, |pool| pool.weights.len())
        }
    };
    let total: usize = (0..stage.regions.len()).map(size).sum();
    if picks.len() >= total {
        return None;
    }
    let mut left = (turn as usize + picks.len()).checked_rem(total)?;
    for index in 0..stage.regions.len() {
        let size = size(index);
        if left < size {
            return Some((region_at(stage, index), left));
        }
        left -= size;
    }
    None
}

/// The chance of each endpoint to come first in a reply to this client when it is picked by weight, 0.0..=1.0: region
/// position, index into its pool, chance. Not for the query path.
pub fn chances(
    stage: &ActiveTier,
    pools: &[Option<EndpointPool>],
    client: ClientHash,
) -> Vec<(u8, usize, f64)> {
    let nothing = PickedEndpoints::default();
    let weight = open_weights(stage, pools, client, &nothing);
    let total: u64 = (0..stage.regions.len()).map(&weight).sum();
    let regions = stage
        .regions
        .iter()
        .enumerate()
        .filter(|(index, _)| weight(*index) > 0);
    let endpoints =
        regions.filter_map(|(index, (region, _))| Some((index, *region, pool_of(pools, *region)?)));
    let of_region = |(index, region, pool): (usize, u8, &EndpointPool)| {
        let region_chance = weight(index) as f64 / total as f64;
        let chance = |(at, own): (usize, &u32)| {
            (
                region,
                at,
                region_chance * f64::from(*own) / pool.total as f64,
            )
        };
        pool.weights
            .iter()
            .enumerate()
            .map(chance)
            .collect::<Vec<_>>()
    };
    endpoints.flat_map(of_region).collect()
}

#[cfg(test)]
mod tests {
    use super::super::outcome::RegionCapacity;
    use super::super::{RegionStates, Share, Tiers};
    use super::*;

    fn stage(weights: &[u32]) -> ActiveTier {
        let positions: Vec<u8> = (0..weights.len() as u8).collect();
        let standing: Vec<RegionCapacity> = weights
            .iter()
            .map(|&weight| RegionCapacity {
                share: Share::ALL,
                weight,
            })
            .collect();
        let states = RegionStates {
            standing,
            ..RegionStates::default()
        };
        FailoverChain::resolve(&Tiers::from_lists(&[&positions]), &states).stages[0].clone()
    }

    fn picked(
        stage: &ActiveTier,
        pools: &[Option<EndpointPool>],
        pick: PickMethod,
        answers: u8,
        client: ClientHash,
        draw: u64,
        turn: u32,
    ) -> PickedEndpoints {
        super::pick(
            stage,
            pools,
            client,
            PickPolicy {
                pick,
                answers,
                seed: draw,
                turn,
            },
        )
    }

    fn client(n: u32) -> ClientHash {
        ClientHash::at(IpAddr::V4((n << 8).into()))
    }

    /// Counts of picks by (region, endpoint), over `draws` draws from a fixed seed.
    fn shares(
        stage: &ActiveTier,
        pools: &[Option<EndpointPool>],
        how: PickMethod,
        draws: u32,
    ) -> Vec<((u8, u16), f64)> {
        let mut counts = std::collections::BTreeMap::new();
        let mut draw = 1;
        for n in 0..draws {
            draw = next_draw(draw);
            let picks = picked(stage, pools, how, 1, client(n), draw, n);
            *counts.entry(picks.iter().next().unwrap()).or_insert(0.0) += 1.0;
        }
        counts.into_iter().collect()
    }

    fn within_three_deviations(count: f64, draws: u32, probability: f64) -> bool {
        let (n, p) = (f64::from(draws), probability);
        (count - n * p).abs() <= 3.0 * (n * p * (1.0 - p)).sqrt()
    }

    #[test]
    fn chances_are_the_shares_of_weighted_picks() {
        let stage = stage(&[1, 3]);
        let pools = [EndpointPool::new(&[80, 20]), EndpointPool::new(&[5])];
        let chances = chances(&stage, &pools, client(1));
        assert_eq!(
            chances
                .iter()
                .map(|(_, _, chance)| *chance)
                .collect::<Vec<_>>(),
            [0.2, 0.05, 0.75]
        );
        let counts = shares(&stage, &pools, PickMethod::Weighted, 20_000);
        for ((region, endpoint, chance), ((picked, at), count)) in chances.into_iter().zip(counts) {
            assert_eq!((region, endpoint), (picked, usize::from(at)));
            assert!(
                within_three_deviations(count, 20_000, chance),
                "{region} {endpoint}: {count}"
            );
        }
    }

    #[test]
    fn weights_are_exact_over_a_million_draws() {
        let pools = [
            EndpointPool::new(&[80, 20]),
            EndpointPool::new(&[1]),
            EndpointPool::new(&[1, 999_999]),
        ];
        let expected = [0.3 * 0.8, 0.3 * 0.2, 0.6, 0.1 * 1e-6, 0.1 * 0.999_999];
        for how in [PickMethod::Weighted, PickMethod::Sticky] {
            let draws = 1_000_000;
            for ((region, endpoint), count) in shares(&stage(&[30, 60, 10]), &pools, how, draws) {
                let index = [0, 2, 3][usize::from(region)] + usize::from(endpoint);
                let probability: f64 = expected[index];
                let close = within_three_deviations(count, draws, probability)
                    || count < 4.0 && probability < 1e-5;
                assert!(
                    close,
                    "{how:?} {region}/{endpoint}: {count} of {draws}, expected {probability}"
                );
            }
        }
    }

    #[test]
    fn sticky_keeps_the_client_when_another_endpoint_leaves() {
        let (three, two) = (stage(&[100, 100, 100]), stage(&[100, 100]));
        let pools = [
            EndpointPool::new(&[1]),
            EndpointPool::new(&[1]),
            EndpointPool::new(&[1]),
        ];
        for n in 0..1000 {
            let before = picked(&three, &pools, PickMethod::Sticky, 1, client(n), 0, 0)
                .iter()
                .next()
                .unwrap();
            let after = picked(&two, &pools, PickMethod::Sticky, 1, client(n), 1, 1)
                .iter()
                .next()
                .unwrap();
            assert!(before.0 == 2 || before == after);
        }
    }

    #[test]
    fn round_robin_goes_round() {
        let pools = [EndpointPool::new(&[1, 1]), EndpointPool::new(&[1])];
        let picked = |turn| {
            picked(
                &stage(&[1, 1]),
                &pools,
                PickMethod::RoundRobin,
                1,
                client(1),
                0,
                turn,
            )
            .iter()
            .next()
            .unwrap()
        };
        assert_eq!([0, 1, 2, 3].map(picked), [(0, 0), (0, 1), (1, 0), (0, 0)]);
    }

    #[test]
    fn several_answers_are_different_endpoints() {
        let pools = [EndpointPool::new(&[1, 5, 1]), EndpointPool::new(&[1])];
        for how in [
            PickMethod::Weighted,
            PickMethod::Sticky,
            PickMethod::RoundRobin,
        ] {
            for n in 0..200 {
                let picks = picked(
                    &stage(&[1, 1]),
                    &pools,
                    how,
                    8,
                    client(n),
                    next_draw(u64::from(n)),
                    n,
                );
                let mut distinct: Vec<_> = picks.iter().collect();
                distinct.sort();
                distinct.dedup();
                assert_eq!((distinct.len(), picks.len()), (4, 4), "{how:?}");
            }
        }
    }

    #[test]
    fn clients_over_the_share_go_on() {
        let standing = [
            RegionCapacity {
                share: Share::from_fraction(0.25),
                weight: 1,
            },
            RegionCapacity {
                share: Share::ALL,
                weight: 1,
            },
        ];
        let states = RegionStates {
            standing: standing.to_vec(),
            ..RegionStates::default()
        };
        let outcome = FailoverChain::resolve(&Tiers::from_lists(&[&[0], &[1]]), &states);
        let first = (0..100_000)
            .filter(|&n| stage_for(&outcome, client(n)).unwrap().regions[0].0 == 0)
            .count();
        assert!(
            within_three_deviations(first as f64, 100_000, 0.25),
            "{first}"
        );
    }

    #[test]
    fn nothing_divides_by_zero() {
        assert_eq!(below(u64::MAX, 0), 0);
        let nobody = ActiveTier {
            regions: Box::new([]),
            total: 0,
            certain: false,
            whole: true,
            only: None,
        };
        for how in [
            PickMethod::Weighted,
            PickMethod::Sticky,
            PickMethod::RoundRobin,
        ] {
            assert!(picked(&nobody, &[], how, 8, client(0), 7, 7).is_empty());
        }
    }
}
