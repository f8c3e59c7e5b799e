//! Picks the endpoints of a reply from the tier that serves the client.
//!
//! A weighted pick draws a region in proportion to the regions' weights, then one of its endpoints
//! in proportion to theirs. A sticky pick hashes the client's prefix instead, and round robin
//! counts answers. A reply with several endpoints holds each of them at most once. It is dealt from
//! a deck ([`super::deck`]) where there is one, and otherwise drawn one endpoint after the other.
//!
//! This file is part of the query path. It allocates nothing (except in [`chances`]) and draws all
//! its randomness from the seed that the caller passes in, so the same seed gives the same pick.

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

pub(super) mod hash;

use super::deck::ViewDecks;
use super::{ActiveTier, FailoverChain, PickMethod, PickedEndpoints};
use hash::{below, endpoint_draw};

pub use hash::{ClientHash, STABLE_PREFIX_V4, STABLE_PREFIX_V6, next_draw};

/// The endpoints of one region that can be picked now. Standby endpoints are left out while others
/// are up.
#[derive(Debug, Clone, Default)]
pub struct EndpointPool {
    /// The weight of each endpoint, at least 1.
    pub weights: Box<[u32]>,
    /// The sum of the weights.
    pub total: u64,
}

impl EndpointPool {
    /// A pool of these weights; `None` for no endpoints. Weights of 0 (all in standby) count as 1.
    pub fn new(weights: &[u32]) -> Option<EndpointPool> {
        if weights.is_empty() {
            return None;
        }
        let weights: Box<[u32]> = weights.iter().map(|&weight| weight.max(1)).collect();
        let total = weights.iter().copied().map(u64::from).sum();
        Some(EndpointPool { weights, total })
    }

    /// The weight of an endpoint of this region, or 0 if it is already picked.
    fn open_weight(&self, picks: &PickedEndpoints, region: u8, endpoint: usize) -> u64 {
        match self.weights.get(endpoint) {
            Some(&weight) if !picks.contains(region, endpoint) => u64::from(weight),
            _ => 0,
        }
    }
}

impl FailoverChain {
    /// The tier that serves this client; `None` when no tier takes it.
    #[inline(always)]
    pub fn tier_for(&self, client: ClientHash) -> Option<&ActiveTier> {
        match self.tiers.first() {
            Some(first) if first.certain => Some(first),
            _ => self.tier_by_share(client),
        }
    }

    /// [`FailoverChain::tier_for`] where regions take a share of their clients.
    #[cold]
    fn tier_by_share(&self, client: ClientHash) -> Option<&ActiveTier> {
        self.tiers
            .iter()
            .find(|tier| tier.certain || tier.takes(client))
    }
}

impl ActiveTier {
    /// Whether some region of the tier takes the client.
    fn takes(&self, client: ClientHash) -> bool {
        if let Some((region, clients)) = self.only
            && !clients.holds(client.for_share(region))
        {
            return false;
        }
        self.regions
            .iter()
            .any(|(region, now)| now.share.takes(client.for_share(*region)))
    }

    /// The weight of the region at this index of the tier.
    fn weight_of(&self, index: usize) -> u64 {
        match self.regions.get(index) {
            Some((_, now)) => u64::from(now.weight),
            None => 0,
        }
    }
}

/// How to pick for one query.
#[derive(Debug, Clone, Copy)]
pub struct PickPolicy {
    /// The service's method.
    pub pick: PickMethod,
    /// Endpoints per reply.
    pub answers: u8,
    /// The source of all draws: a different number for each query.
    pub seed: u64,
    /// The number of answers that this service has given, for round robin.
    pub turn: u32,
}

/// What the endpoints of a reply are picked from.
#[derive(Debug, Clone, Copy)]
pub struct PickSource<'v> {
    /// The endpoints that can be picked, by region position.
    pub pools: &'v [Option<EndpointPool>],
    /// The decks of the view; `None`: endpoints are picked one at a time.
    pub decks: Option<&'v ViewDecks>,
}

/// Picks endpoints of a tier, each at most once. Those of [`PickedEndpoints::dealt`] are one hand.
pub fn pick(
    tier: &ActiveTier,
    source: PickSource<'_>,
    client: ClientHash,
    policy: PickPolicy,
) -> PickedEndpoints {
    match pick_by_weight(tier, source.pools, policy) {
        Some((region, endpoint)) => PickedEndpoints::one(region, endpoint),
        None => pick_several(tier, source, client, policy),
    }
}

/// The endpoint of a reply in which nothing but weights decides: region position and index into its
/// pool. Most replies are like that, and this costs less than [`PickedEndpoints`]. `None`: it is for
/// [`pick_several`].
#[inline(always)]
pub fn pick_by_weight(
    tier: &ActiveTier,
    pools: &[Option<EndpointPool>],
    policy: PickPolicy,
) -> Option<(u8, u16)> {
    if let Some(region) = only_endpoint(tier, pools) {
        return Some((region, 0));
    }
    let is_weighted = matches!(policy.pick, PickMethod::Weighted | PickMethod::LeastLoad);
    if policy.answers == 1 && tier.whole && is_weighted {
        let (region, endpoint) = weighted_first(tier, pools, next_draw(policy.seed))?;
        return Some((region, endpoint as u16));
    }
    None
}

/// Deals from a deck, or picks one endpoint after the other.
#[inline(never)]
pub fn pick_several(
    tier: &ActiveTier,
    PickSource { pools, decks }: PickSource<'_>,
    client: ClientHash,
    policy: PickPolicy,
) -> PickedEndpoints {
    let picker = EndpointPicker {
        tier,
        pools,
        client,
    };
    let dealt = decks.and_then(|decks| picker.deal(decks, policy));
    dealt.unwrap_or_else(|| picker.pick_each(policy))
}

/// The tier's one region, if it takes every client and has one endpoint: there is nothing to
/// decide.
#[inline(always)]
fn only_endpoint(tier: &ActiveTier, pools: &[Option<EndpointPool>]) -> Option<u8> {
    let [(region, _)] = tier.regions[..] else {
        return None;
    };
    let pool = pool_of(pools, region)?;
    if tier.whole && pool.weights.len() == 1 {
        Some(region)
    } else {
        None
    }
}

/// The first pick from a tier whose regions take every client. Nothing is left out, so the sums
/// are known.
#[inline(always)]
fn weighted_first(
    tier: &ActiveTier,
    pools: &[Option<EndpointPool>],
    draw: u64,
) -> Option<(u8, usize)> {
    let region_weights = tier.regions.iter().map(|(_, now)| now.weight);
    let index = index_at_weight(region_weights, below(draw, tier.total))?;
    let (region, _) = *tier.regions.get(index)?;
    let pool = pool_of(pools, region)?;
    let endpoint_weights = pool.weights.iter().copied();
    let endpoint = index_at_weight(endpoint_weights, below(endpoint_draw(draw), pool.total))?;
    Some((region, endpoint))
}

#[inline(always)]
fn pool_of(pools: &[Option<EndpointPool>], region: u8) -> Option<&EndpointPool> {
    pools.get(usize::from(region))?.as_ref()
}

/// What every pick for one client reads: the tier, its regions' endpoints, and the client.
#[derive(Clone, Copy)]
struct EndpointPicker<'a> {
    tier: &'a ActiveTier,
    pools: &'a [Option<EndpointPool>],
    client: ClientHash,
}

/// The weights of the regions that can still give an endpoint.
struct OpenRegions<'a> {
    picker: EndpointPicker<'a>,
    picks: &'a PickedEndpoints,
    /// An open region has a weight. Otherwise all open ones are in standby, and count alike.
    any_active: bool,
}

impl OpenRegions<'_> {
    /// The weight of the region at this index of the tier; 0 if it is not open.
    fn weight(&self, index: usize) -> u64 {
        if !self.picker.is_open(index, self.picks) {
            0
        } else if self.any_active {
            self.picker.tier.weight_of(index)
        } else {
            1
        }
    }
}

impl<'a> EndpointPicker<'a> {
    /// Deals a hand of the tier, or of one of its regions; `None`: there is no deck for it, or the
    /// region has too few endpoints.
    fn deal(&self, decks: &ViewDecks, policy: PickPolicy) -> Option<PickedEndpoints> {
        let draw = next_draw(policy.seed);
        if self.tier.whole
            && let Some(deck) = decks.of_tier(self.tier)
        {
            return match policy.pick {
                PickMethod::RoundRobin => decks.deal_in_turn(deck, policy.turn as usize),
                _ => decks.deal(deck, draw),
            };
        }
        let nothing = PickedEndpoints::default();
        let (region, first) = match policy.pick {
            PickMethod::Weighted | PickMethod::LeastLoad => self.weighted(&nothing, draw)?,
            PickMethod::Sticky => self.sticky(&nothing)?,
            PickMethod::RoundRobin => self.round_robin(&nothing, policy.turn)?,
        };
        let count = self.endpoint_count(region);
        if count < usize::from(policy.answers) && !decks.only_hands() {
            return None;
        }
        if count == 1 {
            let mut picks = PickedEndpoints::default();
            picks.push(region, 0);
            return Some(picks);
        }
        let deck = decks.of_region(region)?;
        match policy.pick {
            PickMethod::Weighted | PickMethod::LeastLoad => decks.deal(deck, endpoint_draw(draw)),
            PickMethod::Sticky => decks.deal_to(deck, self.client, region),
            PickMethod::RoundRobin => decks.deal_in_turn(deck, first),
        }
    }

    /// Picks one endpoint after the other, each from those that are left.
    fn pick_each(&self, policy: PickPolicy) -> PickedEndpoints {
        let mut picks = PickedEndpoints::default();
        let mut draw = next_draw(policy.seed);
        for _ in 0..policy.answers {
            let next = match policy.pick {
                PickMethod::Weighted | PickMethod::LeastLoad
                    if self.tier.whole && picks.is_empty() =>
                {
                    weighted_first(self.tier, self.pools, draw)
                }
                PickMethod::Weighted | PickMethod::LeastLoad => self.weighted(&picks, draw),
                PickMethod::Sticky => self.sticky(&picks),
                PickMethod::RoundRobin => self.round_robin(&picks, policy.turn),
            };
            let Some((region, endpoint)) = next else {
                break;
            };
            picks.push(region, endpoint);
            draw = next_draw(draw);
        }
        picks
    }

    /// A region by weight, then one of its endpoints by weight, among those not picked yet.
    fn weighted(&self, picks: &PickedEndpoints, draw: u64) -> Option<(u8, usize)> {
        let regions = self.open_regions(picks);
        let index = draw_index(self.tier.regions.len(), draw, |index| regions.weight(index))?;
        let (region, _) = *self.tier.regions.get(index)?;
        let pool = self.pool(region)?;
        let endpoint = draw_index(pool.weights.len(), endpoint_draw(draw), |endpoint| {
            pool.open_weight(picks, region, endpoint)
        })?;
        Some((region, endpoint))
    }

    /// The region and then the endpoint with the best score for this client.
    ///
    /// Weighted rendezvous hashing: each candidate has the greatest -weight / ln(hash) in
    /// proportion to its weight, and a changed weight moves only the clients that it must (Wang,
    /// Ravishankar: HRW, 1998; Schindelhauer, Schomaker, 2005).
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "counts of regions and endpoints are far below 2^32"
    )]
    fn sticky(&self, picks: &PickedEndpoints) -> Option<(u8, usize)> {
        let open = self.open_regions(picks);
        let mut best_region = BestScore::default();
        for (index, (region, _)) in self.tier.regions.iter().enumerate() {
            best_region.offer(index, self.client, region_salt(*region), open.weight(index));
        }
        let (region, _) = *self.tier.regions.get(best_region.index?)?;
        let pool = self.pool(region)?;
        let mut best_endpoint = BestScore::default();
        for endpoint in 0..pool.weights.len() {
            let salt = region_salt(region) + 1 + endpoint as u64;
            let weight = pool.open_weight(picks, region, endpoint);
            best_endpoint.offer(endpoint, self.client, salt, weight);
        }
        Some((region, best_endpoint.index?))
    }

    /// Each endpoint of the open regions in turn, whatever its weight. Standby regions stay out.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a turn, eight picks and 254 pools at most; what is subtracted is never the larger"
    )]
    fn round_robin(&self, picks: &PickedEndpoints, turn: u32) -> Option<(u8, usize)> {
        let nothing = PickedEndpoints::default();
        let open = self.open_regions(&nothing);
        let mut total = 0;
        for index in 0..self.tier.regions.len() {
            total += self.open_endpoint_count(&open, index);
        }
        if picks.len() >= total {
            return None;
        }
        let mut left = (turn as usize + picks.len()).checked_rem(total)?;
        for (index, (region, _)) in self.tier.regions.iter().enumerate() {
            let count = self.open_endpoint_count(&open, index);
            if left < count {
                return Some((*region, left));
            }
            left -= count;
        }
        None
    }

    /// The number of endpoints of the region at this index; 0 if the region is not open.
    fn open_endpoint_count(&self, open: &OpenRegions<'_>, index: usize) -> usize {
        match self.tier.regions.get(index) {
            Some((region, _)) if open.weight(index) > 0 => self.endpoint_count(*region),
            _ => 0,
        }
    }

    fn open_regions(self, picks: &'a PickedEndpoints) -> OpenRegions<'a> {
        let any_active = (0..self.tier.regions.len())
            .any(|index| self.is_open(index, picks) && self.tier.weight_of(index) > 0);
        OpenRegions {
            picker: self,
            picks,
            any_active,
        }
    }

    /// Whether a region of the tier takes the client and has an endpoint that is not picked yet.
    fn is_open(&self, index: usize, picks: &PickedEndpoints) -> bool {
        let Some((region, now)) = self.tier.regions.get(index) else {
            return false;
        };
        let takes_client = self.tier.whole || now.share.takes(self.client.for_share(*region));
        takes_client && picks.count_in_region(*region) < self.endpoint_count(*region)
    }

    fn endpoint_count(&self, region: u8) -> usize {
        self.pool(region).map_or(0, |pool| pool.weights.len())
    }

    fn pool(&self, region: u8) -> Option<&'a EndpointPool> {
        pool_of(self.pools, region)
    }
}

/// The salt of a region in sticky picks; its endpoints have the salts behind it.
fn region_salt(region: u8) -> u64 {
    (u64::from(region) + 1) << 32
}

/// The candidate with the best score so far. Of equal scores, the last one counts.
#[derive(Default)]
struct BestScore {
    index: Option<usize>,
    score: f64,
}

impl BestScore {
    /// Compares one more candidate; those of weight 0 do not take part.
    fn offer(&mut self, index: usize, client: ClientHash, salt: u64, weight: u64) {
        if weight == 0 {
            return;
        }
        let score = client.score(salt, weight);
        if self.index.is_none() || score.total_cmp(&self.score).is_ge() {
            *self = BestScore {
                index: Some(index),
                score,
            };
        }
    }
}

/// The index at which the running sum of the weights first exceeds `left`.
#[inline]
fn index_at_weight(weights: impl Iterator<Item = u32>, mut left: u64) -> Option<usize> {
    for (index, weight) in weights.enumerate() {
        match left.checked_sub(u64::from(weight)) {
            None => return Some(index),
            Some(rest) => left = rest,
        }
    }
    None
}

/// One index of `0..count` in proportion to its weight; `None` when all weights are 0.
fn draw_index(count: usize, draw: u64, weight: impl Fn(usize) -> u64) -> Option<usize> {
    let total = (0..count).map(&weight).sum();
    let mut left = below(draw, total);
    for index in 0..count {
        match left.checked_sub(weight(index)) {
            None => return Some(index),
            Some(rest) => left = rest,
        }
    }
    None
}

/// The chance of each endpoint to come first in a reply to this client when it is picked by weight,
/// 0.0..=1.0: region position, index into its pool, chance. Not for the query path.
pub fn chances(
    tier: &ActiveTier,
    source: PickSource<'_>,
    client: ClientHash,
) -> Vec<(u8, usize, f64)> {
    let picker = EndpointPicker {
        tier,
        pools: source.pools,
        client,
    };
    if tier.whole
        && let Some(decks) = source.decks
        && let Some(deck) = decks.of_tier(tier)
    {
        return decks.first_chances(deck);
    }
    let nothing = PickedEndpoints::default();
    let open = picker.open_regions(&nothing);
    let total: u64 = (0..tier.regions.len())
        .map(|index| open.weight(index))
        .sum();
    let mut chances = Vec::new();
    for (index, (region, _)) in tier.regions.iter().enumerate() {
        let weight = open.weight(index);
        let Some(pool) = picker.pool(*region) else {
            continue;
        };
        if weight == 0 {
            continue;
        }
        // A region's deck gives its endpoints the same chances.
        let region_chance = weight as f64 / total as f64;
        for (endpoint, own) in pool.weights.iter().enumerate() {
            let chance = region_chance * f64::from(*own) / pool.total as f64;
            chances.push((*region, endpoint, chance));
        }
    }
    chances
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::failover::RegionCapacity;
    use super::super::{RegionStates, Share, Tiers};
    use super::*;

    fn tier(weights: &[u32]) -> ActiveTier {
        let positions: Vec<u8> = (0..weights.len() as u8).collect();
        let capacities: Vec<RegionCapacity> = weights
            .iter()
            .map(|&weight| RegionCapacity {
                share: Share::ALL,
                weight,
            })
            .collect();
        let states = RegionStates {
            capacities,
            ..RegionStates::default()
        };
        FailoverChain::resolve(&Tiers::from_lists(&[&positions]), &states).tiers[0].clone()
    }

    fn picked(
        tier: &ActiveTier,
        pools: &[Option<EndpointPool>],
        pick: PickMethod,
        answers: u8,
        client: ClientHash,
        draw: u64,
        turn: u32,
    ) -> PickedEndpoints {
        let decks = None;
        super::pick(
            tier,
            PickSource { pools, decks },
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
        tier: &ActiveTier,
        pools: &[Option<EndpointPool>],
        how: PickMethod,
        draws: u32,
    ) -> Vec<((u8, u16), f64)> {
        let mut counts = std::collections::BTreeMap::new();
        let mut draw = 1;
        for n in 0..draws {
            draw = next_draw(draw);
            let picks = picked(tier, pools, how, 1, client(n), draw, n);
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
        let tier = tier(&[1, 3]);
        let pools = [EndpointPool::new(&[80, 20]), EndpointPool::new(&[5])];
        let source = PickSource {
            pools: &pools,
            decks: None,
        };
        let chances = chances(&tier, source, client(1));
        assert_eq!(
            chances
                .iter()
                .map(|(_, _, chance)| *chance)
                .collect::<Vec<_>>(),
            [0.2, 0.05, 0.75]
        );
        let counts = shares(&tier, &pools, PickMethod::Weighted, 20_000);
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
            for ((region, endpoint), count) in shares(&tier(&[30, 60, 10]), &pools, how, draws) {
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
        let (three, two) = (tier(&[100, 100, 100]), tier(&[100, 100]));
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
                &tier(&[1, 1]),
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
                    &tier(&[1, 1]),
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
        let capacities = [
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
            capacities: capacities.to_vec(),
            ..RegionStates::default()
        };
        let chain = FailoverChain::resolve(&Tiers::from_lists(&[&[0], &[1]]), &states);
        let first = (0..100_000)
            .filter(|&n| chain.tier_for(client(n)).unwrap().regions[0].0 == 0)
            .count();
        assert!(
            within_three_deviations(first as f64, 100_000, 0.25),
            "{first}"
        );
    }

    #[test]
    fn nothing_divides_by_zero() {
        assert_eq!(below(u64::MAX, 0), 0);
        let none = ActiveTier {
            regions: Box::new([]),
            total: 0,
            number: 0,
            certain: false,
            whole: true,
            only: None,
        };
        for how in [
            PickMethod::Weighted,
            PickMethod::Sticky,
            PickMethod::RoundRobin,
        ] {
            assert!(picked(&none, &[], how, 8, client(0), 7, 7).is_empty());
        }
    }
}
