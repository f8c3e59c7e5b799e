//! Failover: which tiers serve the clients of a place while some regions are down, drained or
//! ramping up.
//!
//! [`FailoverChain::resolve`] takes the tiers of a place ([`super::tiers`]) and the present state
//! of the regions, and keeps the regions that take clients. A client walks the resulting chain
//! until a tier takes it. When no region is available, regions with a good recent probe come first,
//! then the service's all-down rule.
//!
//! A chain depends on the place and on availability, never on a single client, so it is computed
//! once per change of availability and looked up per query.

use std::collections::BTreeMap;

use super::{AllDown, Tiers};

/// The part of its clients that a region takes, in units of 1/65,536.
///
/// It is 0 when the region is down or drained, all when it is up, and between while the region
/// ramps up or sheds what exceeds its capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// Takes no client.
    pub const NONE: Share = Share(0);
    /// Takes every client.
    pub const ALL: Share = Share(1 << 16);

    /// The share nearest to a fraction: 0.0 and below is none, 1.0 and above is all, NaN is none.
    pub fn from_fraction(fraction: f64) -> Share {
        Share((fraction.clamp(0.0, 1.0) * 65536.0) as u32)
    }

    /// 0.0..=1.0
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 65536.0
    }

    /// Whether a client with this hash is taken.
    #[inline]
    pub fn takes(self, hash: u64) -> bool {
        ((hash >> 48) as u32) < self.0
    }
}

/// Those clients of a region whose hash lies between two shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShareWindow {
    /// Clients that this share takes are outside.
    pub from: Share,
    /// Clients that this share takes are inside, unless `from` takes them.
    pub until: Share,
}

impl ShareWindow {
    /// Whether a client with this hash is inside.
    #[inline]
    pub fn holds(self, hash: u64) -> bool {
        self.until.takes(hash) && !self.from.takes(hash)
    }

    /// The part of all clients that is inside, 0.0..=1.0.
    pub fn fraction(self) -> f64 {
        (self.until.fraction() - self.from.fraction()).max(0.0)
    }

    /// Whether every client is inside.
    fn is_whole(self) -> bool {
        self.from == Share::NONE && self.until == Share::ALL
    }
}

/// The region that some clients of another region are sent to before their next tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Detour {
    /// Position of the region that takes them.
    pub to: u8,
    /// The clients that are sent there.
    pub clients: ShareWindow,
}

/// What one region of one service takes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionCapacity {
    /// The part of its clients.
    pub share: Share,
    /// Its weight inside a tier; 0 = standby.
    pub weight: u32,
}

/// The present state of a service's regions in one family, by position. A list that is too short
/// counts as false for the rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RegionStates {
    /// What each region takes now.
    pub capacities: Vec<RegionCapacity>,
    /// The region takes no client, but the last probe of one of its endpoints was good. Such
    /// regions serve before the all-down rule applies.
    pub seen_alive: Vec<bool>,
    /// The region has no endpoint, because its alias was never resolved.
    pub unresolved: Vec<bool>,
    /// Where an operator shifted clients to a named region. Empty without such shifts, so that
    /// equal states share one table.
    pub detours: Vec<Option<Detour>>,
    /// What is answered when no region is available.
    pub all_down: AllDown,
    /// The regions that the rule `last-good` gives.
    pub last_good: Vec<bool>,
}

impl RegionStates {
    /// What a list says of the region at a position.
    fn flag(list: &[bool], position: usize) -> bool {
        list.get(position).copied().unwrap_or(false)
    }

    /// The tiers of the regions that `is_chosen` names, as if each of them took every client.
    fn tiers_of(&self, tiers: &Tiers, is_chosen: impl Fn(usize) -> bool) -> Vec<ActiveTier> {
        let mut capacities = self.capacities.clone();
        for (position, capacity) in capacities.iter_mut().enumerate() {
            let is_unresolved = RegionStates::flag(&self.unresolved, position);
            capacity.share = if is_chosen(position) && !is_unresolved {
                Share::ALL
            } else {
                Share::NONE
            };
        }
        active_tiers(tiers, &capacities, &[]).0
    }

    /// Whether the region at a position takes some of its clients.
    fn takes_some(&self, position: usize) -> bool {
        match self.capacities.get(position) {
            Some(region) => region.share > Share::NONE,
            None => false,
        }
    }

    /// Whether none of the regions of these tiers has an endpoint yet.
    fn all_unresolved(&self, tiers: &Tiers) -> bool {
        tiers
            .iter()
            .flatten()
            .all(|&position| RegionStates::flag(&self.unresolved, usize::from(position)))
    }
}

/// A tier as it serves now: the regions that take clients. Standby regions are left out while
/// another region of the tier takes every client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ActiveTier {
    /// Position, share and weight of each region; if all are in standby, each has the weight 1.
    pub regions: Box<[(u8, RegionCapacity)]>,
    /// The sum of the weights.
    pub total: u64,
    /// The number of its regions, shares and weights among those of all chains of an outcome table
    /// ([`number_tiers`]): what a service has compiled for a tier is found by it.
    pub number: u32,
    /// Some region takes every client, so no client goes on to the next tier.
    pub certain: bool,
    /// Every region takes every client, so shares need no check.
    pub whole: bool,
    /// The tier is a detour: it serves only these clients of the region at this position.
    pub only: Option<(u8, ShareWindow)>,
}

/// The answer for a client that no tier takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LastResort {
    /// Cannot happen: the last tier takes every client.
    Never,
    /// No records: the all-down rule says so, or no region may serve the place.
    NoData,
    /// SERVFAIL.
    ServFail,
    /// SERVFAIL, because the aliases of the regions were never resolved.
    NotReady,
}

/// The tiers of a place under the present availability. A query looks it up by the client's place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailoverChain {
    /// In order; the first tier that takes the client serves it.
    pub tiers: Box<[ActiveTier]>,
    /// Every tier is whole, so the answer does not depend on the client's prefix.
    pub whole: bool,
    /// After the last tier.
    pub ending: LastResort,
    /// No region is available: the tiers are those of the all-down rule.
    pub all_down: bool,
}

impl FailoverChain {
    /// Keeps the regions that take clients, up to the first tier that takes every client.
    ///
    /// When no region is available, regions that were seen alive serve first: one good probe counts
    /// for more than an older verdict that all are down. The all-down rule applies after that.
    pub fn resolve(tiers: &Tiers, now: &RegionStates) -> FailoverChain {
        FailoverChain::resolve_first(tiers, now).0
    }

    /// [`FailoverChain::resolve`], and the length of the prefix of [`Tiers::octets`] that decided:
    /// tiers with the same prefix have the same chain.
    pub fn resolve_first(tiers: &Tiers, now: &RegionStates) -> (FailoverChain, usize) {
        let whole = tiers.octets().len();
        if tiers.is_empty() {
            // No region may serve these clients, so none is down and the all-down rule does not
            // apply.
            return (FailoverChain::ending_in(LastResort::NoData), whole);
        }
        let (active, read) = active_tiers(tiers, &now.capacities, &now.detours);
        if active.last().is_some_and(|tier| tier.certain) {
            // A detour depends on whether any of the tiers has its target.
            let has_detours = now.detours.iter().any(Option::is_some);
            let decided_by = if has_detours {
                whole
            } else {
                tiers.octets_of_first(read)
            };
            return (FailoverChain::serving(active), decided_by);
        }
        (FailoverChain::resolve_uncertain(active, tiers, now), whole)
    }

    /// The chain of tiers of which none takes every client. `active` are those that take some.
    fn resolve_uncertain(
        mut active: Vec<ActiveTier>,
        tiers: &Tiers,
        now: &RegionStates,
    ) -> FailoverChain {
        if !active.is_empty() {
            // Regions that are ramping up also take the clients that no share covers: better a
            // region that is not warm yet than one that is down.
            active.extend(now.tiers_of(tiers, |position| now.takes_some(position)));
            return FailoverChain::serving(active);
        }
        let alive = now.tiers_of(tiers, |position| {
            RegionStates::flag(&now.seen_alive, position)
        });
        if !alive.is_empty() {
            return FailoverChain::serving(alive);
        }
        if now.all_unresolved(tiers) {
            return FailoverChain::ending_in(LastResort::NotReady);
        }
        FailoverChain::all_down(tiers, now)
    }

    /// The chain of the all-down rule.
    fn all_down(tiers: &Tiers, now: &RegionStates) -> FailoverChain {
        let mut active = match now.all_down {
            AllDown::NoData => return FailoverChain::new(Vec::new(), LastResort::NoData, true),
            AllDown::ServFail => return FailoverChain::new(Vec::new(), LastResort::ServFail, true),
            AllDown::AnswerAll => Vec::new(),
            AllDown::LastGood => now.tiers_of(tiers, |position| {
                RegionStates::flag(&now.last_good, position)
            }),
        };
        if active.is_empty() {
            active = now.tiers_of(tiers, |_| true);
        }
        let ending = if active.last().is_some_and(|tier| tier.certain) {
            LastResort::Never
        } else {
            LastResort::NoData
        };
        FailoverChain::new(active, ending, true)
    }

    /// A chain that serves every client from available regions.
    fn serving(tiers: Vec<ActiveTier>) -> FailoverChain {
        FailoverChain::new(tiers, LastResort::Never, false)
    }

    /// A chain without tiers.
    fn ending_in(ending: LastResort) -> FailoverChain {
        FailoverChain::new(Vec::new(), ending, false)
    }

    fn new(tiers: Vec<ActiveTier>, ending: LastResort, all_down: bool) -> FailoverChain {
        FailoverChain {
            whole: tiers.iter().all(|tier| tier.whole && tier.only.is_none()),
            tiers: tiers.into(),
            ending,
            all_down,
        }
    }
}

/// Numbers the tiers of chains that belong together: those with equal regions, shares and weights
/// have equal numbers, from 0. The numbers depend on the set of such tiers only.
pub fn number_tiers(chains: &mut [FailoverChain]) {
    let mut distinct = BTreeMap::new();
    for tier in chains.iter().flat_map(|chain| &chain.tiers) {
        distinct.insert(tier.regions.clone(), 0);
    }
    for (next, number) in (0..).zip(distinct.values_mut()) {
        *number = next;
    }
    for tier in chains.iter_mut().flat_map(|chain| &mut chain.tiers) {
        tier.number = distinct.get(&tier.regions).copied().unwrap_or(0);
    }
}

/// The tiers in which some region takes clients, each followed by its detours, up to the first that
/// is certain; and how many tiers were read.
fn active_tiers(
    tiers: &Tiers,
    capacities: &[RegionCapacity],
    detours: &[Option<Detour>],
) -> (Vec<ActiveTier>, usize) {
    let (mut active, mut read) = (Vec::new(), 0);
    for positions in tiers.iter() {
        read += 1;
        active.extend(ActiveTier::new(positions, capacities));
        for &region in positions {
            if let Some(Some(detour)) = detours.get(usize::from(region)) {
                active.extend(ActiveTier::detour(tiers, capacities, region, *detour));
            }
        }
        if let Some(certain) = active.iter().position(|tier| tier.certain) {
            active.truncate(certain + 1);
            break;
        }
    }
    (active, read)
}

impl ActiveTier {
    /// The regions at these positions that take clients; `None` when there are none.
    fn new(positions: &[u8], capacities: &[RegionCapacity]) -> Option<ActiveTier> {
        let mut regions = Vec::new();
        for &position in positions {
            match capacities.get(usize::from(position)) {
                Some(now) if now.share > Share::NONE => regions.push((position, *now)),
                _ => {}
            }
        }
        if regions.is_empty() {
            return None;
        }
        if regions
            .iter()
            .any(|(_, now): &(u8, RegionCapacity)| now.weight > 0 && now.share == Share::ALL)
        {
            regions.retain(|(_, now)| now.weight > 0);
        } else if regions.iter().all(|(_, now)| now.weight == 0) {
            for (_, now) in &mut regions {
                now.weight = 1;
            }
        }
        Some(ActiveTier {
            total: regions.iter().map(|(_, now)| u64::from(now.weight)).sum(),
            certain: regions.iter().any(|(_, now)| now.share == Share::ALL),
            whole: regions.iter().all(|(_, now)| now.share == Share::ALL),
            number: 0,
            only: None,
            regions: regions.into(),
        })
    }

    /// The tier that shifted clients of `region` get before their next one; `None` if the region
    /// that they are shifted to takes no client, or may not serve them.
    fn detour(
        tiers: &Tiers,
        capacities: &[RegionCapacity],
        region: u8,
        detour: Detour,
    ) -> Option<ActiveTier> {
        if !tiers.iter().any(|positions| positions.contains(&detour.to)) {
            return None;
        }
        let tier = ActiveTier::new(&[detour.to], capacities)?;
        if detour.clients.is_whole() {
            return Some(tier);
        }
        Some(ActiveTier {
            certain: false,
            only: Some((region, detour.clients)),
            ..tier
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::pick::{ClientHash, next_draw};
    use super::*;

    const UP: RegionCapacity = RegionCapacity {
        share: Share::ALL,
        weight: 100,
    };
    const DOWN: RegionCapacity = RegionCapacity {
        share: Share::NONE,
        weight: 100,
    };
    const STANDBY: RegionCapacity = RegionCapacity {
        share: Share::ALL,
        weight: 0,
    };

    const ALL_RULES: [AllDown; 4] = [
        AllDown::AnswerAll,
        AllDown::LastGood,
        AllDown::NoData,
        AllDown::ServFail,
    ];

    fn positions(chain: &FailoverChain) -> Vec<Vec<u8>> {
        chain
            .tiers
            .iter()
            .map(|tier| tier.regions.iter().map(|(position, _)| *position).collect())
            .collect()
    }

    fn resolve(capacities: &[RegionCapacity], all_down: AllDown) -> FailoverChain {
        resolve_states(RegionStates {
            capacities: capacities.to_vec(),
            all_down,
            ..RegionStates::default()
        })
    }

    fn resolve_states(states: RegionStates) -> FailoverChain {
        let tiers = Tiers::from_lists(&[&[0, 1], &[2], &[3]]);
        FailoverChain::resolve(
            &tiers,
            &RegionStates {
                last_good: vec![false, false, true, false],
                ..states
            },
        )
    }

    #[test]
    fn the_first_available_tier_serves() {
        assert_eq!(
            positions(&resolve(&[UP; 4], AllDown::AnswerAll)),
            [vec![0, 1]]
        );
        assert_eq!(
            positions(&resolve(&[DOWN, UP, UP, UP], AllDown::AnswerAll)),
            [vec![1]]
        );
        assert_eq!(
            positions(&resolve(&[DOWN, DOWN, UP, UP], AllDown::AnswerAll)),
            [vec![2]]
        );
    }

    #[test]
    fn tiers_are_numbered_by_their_regions_whatever_the_order_of_the_chains() {
        let resolve = |tiers: &[&[u8]]| {
            let states = RegionStates {
                capacities: vec![UP, UP, UP],
                ..RegionStates::default()
            };
            FailoverChain::resolve(&Tiers::from_lists(tiers), &states)
        };
        let mut chains = vec![
            resolve(&[&[1, 2]]),
            resolve(&[&[0], &[1]]),
            resolve(&[&[1, 2], &[0]]),
        ];
        number_tiers(&mut chains);
        let numbers = |chains: &[FailoverChain]| -> Vec<u32> {
            chains.iter().map(|chain| chain.tiers[0].number).collect()
        };
        assert_eq!(numbers(&chains), [1, 0, 1]);
        chains.reverse();
        number_tiers(&mut chains);
        assert_eq!(numbers(&chains), [1, 0, 1]);
        number_tiers(&mut chains[1..2]);
        assert_eq!(numbers(&chains[1..2]), [0]);
    }

    #[test]
    fn standby_serves_only_when_every_other_is_out() {
        assert_eq!(
            positions(&resolve(&[STANDBY, UP, UP, UP], AllDown::AnswerAll)),
            [vec![1]]
        );
        let chain = resolve(&[STANDBY, DOWN, UP, UP], AllDown::AnswerAll);
        assert_eq!(positions(&chain), [vec![0]]);
        assert_eq!(chain.tiers[0].total, 1);
    }

    #[test]
    fn a_part_share_leads_on_to_the_next_tier() {
        let half = RegionCapacity {
            share: Share::from_fraction(0.5),
            weight: 100,
        };
        let chain = resolve(&[half, DOWN, UP, UP], AllDown::AnswerAll);
        assert_eq!(positions(&chain), [vec![0], vec![2]]);
        assert!(
            !chain.tiers[0].certain && chain.tiers[1].certain && chain.ending == LastResort::Never
        );
    }

    #[test]
    fn all_down_follows_its_rule() {
        let chain = resolve(&[DOWN; 4], AllDown::AnswerAll);
        assert_eq!(
            (positions(&chain), chain.all_down),
            (vec![vec![0, 1]], true)
        );
        assert_eq!(
            positions(&resolve(&[DOWN; 4], AllDown::LastGood)),
            [vec![2]]
        );
        assert_eq!(
            resolve(&[DOWN; 4], AllDown::NoData).ending,
            LastResort::NoData
        );
        assert_eq!(
            resolve(&[DOWN; 4], AllDown::ServFail).ending,
            LastResort::ServFail
        );
    }

    #[test]
    fn clients_that_no_region_is_meant_for_get_no_records_whatever_the_rule() {
        for rule in ALL_RULES {
            let states = RegionStates {
                capacities: vec![UP; 4],
                all_down: rule,
                ..RegionStates::default()
            };
            let chain = FailoverChain::resolve(&Tiers::from_lists(&[]), &states);
            assert_eq!(
                (chain.ending, chain.all_down, chain.tiers.len()),
                (LastResort::NoData, false, 0),
                "{rule:?}"
            );
        }
    }

    #[test]
    fn what_was_seen_alive_comes_before_every_rule_for_when_all_are_down() {
        for all_down in ALL_RULES {
            let seen_alive = vec![false, false, false, true];
            let states = RegionStates {
                capacities: vec![DOWN; 4],
                seen_alive,
                all_down,
                ..RegionStates::default()
            };
            let chain = resolve_states(states.clone());
            assert_eq!(
                (positions(&chain), chain.all_down),
                (vec![vec![3]], false),
                "{all_down:?}"
            );
            // What is agreed to be up is better still.
            let chain = resolve_states(RegionStates {
                capacities: vec![DOWN, DOWN, UP, DOWN],
                ..states
            });
            assert_eq!(positions(&chain), [[2]], "{all_down:?}");
        }
    }

    #[test]
    fn regions_whose_addresses_nobody_knows_are_never_given_and_alone_they_are_a_failure() {
        for all_down in ALL_RULES {
            let capacities = vec![DOWN; 4];
            let all = RegionStates {
                capacities,
                unresolved: vec![true; 4],
                all_down,
                ..RegionStates::default()
            };
            let chain = resolve_states(all.clone());
            assert_eq!(
                (chain.ending, chain.all_down, chain.tiers.len()),
                (LastResort::NotReady, false, 0)
            );
            let some = RegionStates {
                unresolved: vec![true, false, true, true],
                ..all
            };
            let chain = resolve_states(some);
            assert!(chain.all_down, "{all_down:?}");
            assert!(
                chain.tiers.is_empty() || positions(&chain) == [[1]],
                "{all_down:?}: {chain:?}"
            );
        }
    }

    #[test]
    fn shares_are_parts_of_all_hashes() {
        assert!(Share::ALL.takes(u64::MAX) && Share::ALL.takes(0));
        assert!(!Share::NONE.takes(0));
        assert!(
            Share::from_fraction(0.5).takes(u64::MAX / 2)
                && !Share::from_fraction(0.5).takes(u64::MAX / 2 + 1)
        );
        assert_eq!(Share::from_fraction(f64::NAN), Share::NONE);
    }

    /// Which region takes each of these networks when `moved` of the first region's clients are
    /// shifted, to the third region if `to` says so; the first takes `healthy` of its clients
    /// otherwise.
    fn taken_by(moved: f64, healthy: f64, to: Option<u8>, tiers: &Tiers) -> Vec<Option<u8>> {
        let share = |part: f64| Share::from_fraction(part);
        let clients = ShareWindow {
            from: share(healthy * (1.0 - moved)),
            until: share(healthy),
        };
        let states = RegionStates {
            capacities: vec![
                RegionCapacity {
                    share: clients.from,
                    weight: 100,
                },
                UP,
                UP,
            ],
            detours: vec![to.map(|to| Detour { to, clients }), None, None],
            ..RegionStates::default()
        };
        let chain = FailoverChain::resolve(tiers, &states);
        let tier = |network: u32| chain.tier_for(ClientHash::at_v4(network << 8));
        (0..NETWORKS)
            .map(|network| tier(network).map(|tier| tier.regions[0].0))
            .collect()
    }

    const NETWORKS: u32 = 20_000;

    #[test]
    fn a_larger_shift_moves_the_same_clients_and_more_and_as_many_as_were_asked() {
        let tiers = Tiers::from_lists(&[&[0], &[1], &[2]]);
        let mut random = 7;
        for to in [None, Some(2)] {
            for healthy in [1.0, 0.5] {
                for _ in 0..40 {
                    random = next_draw(random);
                    let (one, other) = (
                        (random >> 32) as f64 / 2f64.powi(32),
                        (random as u32) as f64 / 2f64.powi(32),
                    );
                    let (less, more) = (one.min(other), one.max(other));
                    let unshifted = taken_by(0.0, healthy, to, &tiers);
                    let (some, many) = (
                        taken_by(less, healthy, to, &tiers),
                        taken_by(more, healthy, to, &tiers),
                    );
                    let goal = Some(to.unwrap_or(1));
                    for ((before, some), many) in unshifted.iter().zip(&some).zip(&many) {
                        assert!(
                            *before == Some(0) || some == before && many == before,
                            "none of others is moved"
                        );
                        assert!(
                            some == before || some == many,
                            "who is moved by less is moved by more, to the same"
                        );
                        assert!(some == before || *some == goal, "{some:?}");
                    }
                    let came = unshifted
                        .iter()
                        .filter(|region| **region == Some(0))
                        .count() as f64;
                    let left = unshifted
                        .iter()
                        .zip(&many)
                        .filter(|(before, after)| before != after)
                        .count() as f64;
                    let deviation = (came * more * (1.0 - more)).sqrt();
                    assert!(
                        (left - came * more).abs() <= 3.0 * deviation.max(1.0),
                        "{left} of {came} for {more}"
                    );
                }
            }
        }
    }

    #[test]
    fn shifted_clients_are_not_sent_where_they_may_not_go_or_nobody_is_up() {
        let fenced = Tiers::from_lists(&[&[0], &[1]]);
        assert!(
            taken_by(1.0, 1.0, Some(2), &fenced)
                .iter()
                .all(|region| *region == Some(1))
        );
        let clients = ShareWindow {
            from: Share::from_fraction(0.5),
            until: Share::ALL,
        };
        let half = RegionCapacity {
            share: Share::from_fraction(0.5),
            weight: 100,
        };
        let detours = vec![Some(Detour { to: 2, clients })];
        let capacities = vec![half, UP, DOWN];
        let states = RegionStates {
            capacities,
            detours,
            ..RegionStates::default()
        };
        assert_eq!(
            positions(&FailoverChain::resolve(
                &Tiers::from_lists(&[&[0], &[1], &[2]]),
                &states
            )),
            [[0], [1]]
        );
        // Alone, a region keeps its clients.
        let alone = RegionStates {
            capacities: vec![half],
            ..RegionStates::default()
        };
        let chain = FailoverChain::resolve(&Tiers::from_lists(&[&[0]]), &alone);
        assert!((0..256).all(|network| chain.tier_for(ClientHash::at_v4(network << 8)).is_some()));
    }
}
