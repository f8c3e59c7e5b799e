//! Available: tiers under the present availability.

use super::{AllDown, Tiers};

/// The part of the clients that come to a region which it takes, in parts of 65,536: 0 when it is down or drained,
/// all when it is up, between while it ramps up or sheds what is over its capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// Takes nobody.
    pub const NONE: Share = Share(0);
    /// Takes everybody.
    pub const ALL: Share = Share(1 << 16);

    /// From 0.0..=1.0; what lies outside is taken as the nearer end, NaN as 0.
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

/// Part of the clients that come to a region, by the hash that shares go by: those from one share to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShareWindow {
    /// Whom this share takes is not meant.
    pub from: Share,
    /// Whom this one takes is.
    pub until: Share,
}

impl ShareWindow {
    /// Whether a client with this hash is meant.
    #[inline]
    pub fn holds(self, hash: u64) -> bool {
        self.until.takes(hash) && !self.from.takes(hash)
    }

    /// How many of all clients are meant, 0.0..=1.0.
    pub fn fraction(self) -> f64 {
        (self.until.fraction() - self.from.fraction()).max(0.0)
    }

    /// Whether every client is meant.
    fn is_whole(self) -> bool {
        self.from == Share::NONE && self.until == Share::ALL
    }
}

/// Where some of a region's clients are sent before their next tier is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Detour {
    /// Position of the region that they are offered.
    pub to: u8,
    /// Who.
    pub clients: ShareWindow,
}

/// One region as one service has it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RegionCapacity {
    /// What it takes.
    pub share: Share,
    /// How a tier is divided; 0 = standby.
    pub weight: u32,
}

/// Everything about the regions of one family of a service, by position, that decides what its classes come to. A list
/// that is too short counts as false for the rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RegionStates {
    /// What each takes now.
    pub standing: Vec<RegionCapacity>,
    /// It takes nobody, but something in it was good when it was last asked: it is given before the all-down rule is.
    pub seen_alive: Vec<bool>,
    /// It has no endpoint, because nobody knows the addresses of its alias yet.
    pub unresolved: Vec<bool>,
    /// Where clients are sent whom an operator shifted away to a named region. Empty where there is none, so that tables
    /// are shared.
    pub detours: Vec<Option<Detour>>,
    /// What is answered when no region is available.
    pub all_down: AllDown,
    /// Which regions the rule `last-good` gives.
    pub last_good: Vec<bool>,
}

impl RegionStates {
    /// Whether a list says it of the region at this position.
    fn says(list: &[bool], position: usize) -> bool {
        list.get(position).copied().unwrap_or(false)
    }

    /// Tiers of the regions that `chosen` names, as if each of them took everybody.
    fn stages_of(&self, tiers: &Tiers, chosen: impl Fn(usize) -> bool) -> Vec<ActiveTier> {
        let share = |position: usize| {
            let is_given = chosen(position) && !RegionStates::says(&self.unresolved, position);
            if is_given { Share::ALL } else { Share::NONE }
        };
        let regions = self.standing.iter().enumerate();
        let standing: Vec<RegionCapacity> = regions
            .map(|(position, now)| RegionCapacity {
                share: share(position),
                weight: now.weight,
            })
            .collect();
        stages(tiers, &standing, &[])
    }

    /// Whether none of the regions of these tiers has an endpoint yet.
    fn all_unresolved(&self, tiers: &Tiers) -> bool {
        tiers
            .iter()
            .flatten()
            .all(|&position| RegionStates::says(&self.unresolved, usize::from(position)))
    }
}

/// A tier as it stands now: regions that take somebody, those in standby left out while they are not needed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ActiveTier {
    /// Position, share and weight of each; the weight is 1 for all if every one of them is in standby.
    pub regions: Box<[(u8, RegionCapacity)]>,
    /// Sum of the weights.
    pub total: u64,
    /// Some region takes everybody, so no client goes on to the next stage.
    pub certain: bool,
    /// Every region takes everybody: shares need not be asked.
    pub whole: bool,
    /// For these clients of another region alone; its position, and who.
    pub only: Option<(u8, ShareWindow)>,
}

/// What happens to a client that no stage takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LastResort {
    /// Cannot happen: the last stage is certain.
    Never,
    /// No records: the all-down rule says so, or no region is meant for the class.
    NoData,
    /// SERVFAIL.
    ServFail,
    /// SERVFAIL, because nobody knows the addresses of the aliases that would be given.
    NotReady,
}

/// What a class of places comes to under the present availability: what a query looks up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailoverChain {
    /// In order; the first that takes the client serves it.
    pub stages: Box<[ActiveTier]>,
    /// Every stage is whole, so the answer does not depend on the client's prefix.
    pub whole: bool,
    /// After the last stage.
    pub ending: LastResort,
    /// No region of the class is available: the stages are the all-down rule's.
    pub all_down: bool,
}

impl FailoverChain {
    /// The tiers with what takes nobody left out, cut after the first stage that is certain.
    ///
    /// Where no region of the class is available, what was seen alive comes first: a good probe of anybody counts for
    /// more than the stale verdict that all are down. Only then the all-down rule is asked.
    pub fn resolve(tiers: &Tiers, now: &RegionStates) -> FailoverChain {
        if tiers.is_empty() {
            // Nobody is meant to serve these clients, so nothing is down and no rule about that applies.
            return FailoverChain::new(Vec::new(), LastResort::NoData, false);
        }
        let mut stages = stages(tiers, &now.standing, &now.detours);
        if stages.last().is_some_and(|stage| stage.certain) {
            return FailoverChain::new(stages, LastResort::Never, false);
        }
        if !stages.is_empty() {
            // Whom nobody takes while regions come back slowly, they take all the same: better early than to the dead.
            let takes_some = |position: usize| {
                now.standing
                    .get(position)
                    .is_some_and(|region| region.share > Share::NONE)
            };
            stages.extend(now.stages_of(tiers, takes_some));
            return FailoverChain::new(stages, LastResort::Never, false);
        }
        let alive = now.stages_of(tiers, |position| {
            RegionStates::says(&now.seen_alive, position)
        });
        if !alive.is_empty() {
            return FailoverChain::new(alive, LastResort::Never, false);
        }
        if now.all_unresolved(tiers) {
            return FailoverChain::new(Vec::new(), LastResort::NotReady, false);
        }
        FailoverChain::all_down(tiers, now)
    }

    /// What the all-down rule gives.
    fn all_down(tiers: &Tiers, now: &RegionStates) -> FailoverChain {
        let mut stages = match now.all_down {
            AllDown::NoData => return FailoverChain::new(Vec::new(), LastResort::NoData, true),
            AllDown::ServFail => return FailoverChain::new(Vec::new(), LastResort::ServFail, true),
            AllDown::AnswerAll => now.stages_of(tiers, |_| true),
            AllDown::LastGood => now.stages_of(tiers, |position| {
                RegionStates::says(&now.last_good, position)
            }),
        };
        if stages.is_empty() {
            stages = now.stages_of(tiers, |_| true);
        }
        let ending = if stages.last().is_some_and(|stage| stage.certain) {
            LastResort::Never
        } else {
            LastResort::NoData
        };
        FailoverChain::new(stages, ending, true)
    }

    fn new(stages: Vec<ActiveTier>, ending: LastResort, all_down: bool) -> FailoverChain {
        let whole = stages
            .iter()
            .all(|stage| stage.whole && stage.only.is_none());
        FailoverChain {
            whole,
            stages: stages.into(),
            ending,
            all_down,
        }
    }
}

/// Tiers with somebody in them, each followed by its detours, up to the first that is certain.
fn stages(
    tiers: &Tiers,
    standing: &[RegionCapacity],
    detours: &[Option<Detour>],
) -> Vec<ActiveTier> {
    let mut stages = Vec::new();
    for tier in tiers.iter() {
        let detours = tier
            .iter()
            .filter_map(|&region| detour(tiers, standing, detours, region));
        for stage in stage(tier, standing).into_iter().chain(detours) {
            let certain = stage.certain;
            stages.push(stage);
            if certain {
                return stages;
            }
        }
    }
    stages
}

/// Where clients of a region are sent before their next tier; `None`: nowhere, or where these clients may not go.
fn detour(
    tiers: &Tiers,
    standing: &[RegionCapacity],
    detours: &[Option<Detour>],
    region: u8,
) -> Option<ActiveTier> {
    let Detour { to, clients } = detours.get(usize::from(region)).copied().flatten()?;
    tiers.iter().flatten().find(|&&allowed| allowed == to)?;
    let stage = stage(&[to], standing)?;
    if clients.is_whole() {
        return Some(stage);
    }
    Some(ActiveTier {
        certain: false,
        only: Some((region, clients)),
        ..stage
    })
}

/// One tier; `None` when nobody in it takes anybody.
fn stage(tier: &[u8], standing: &[RegionCapacity]) -> Option<ActiveTier> {
    let standing_of = |position: u8| standing.get(usize::from(position)).copied();
    let mut regions: Vec<(u8, RegionCapacity)> = tier
        .iter()
        .filter_map(|&position| standing_of(position).map(|now| (position, now)))
        .filter(|(_, now)| now.share > Share::NONE)
        .collect();
    let active_takes_all = regions
        .iter()
        .any(|(_, now)| now.weight > 0 && now.share == Share::ALL);
    if active_takes_all {
        regions.retain(|(_, now)| now.weight > 0);
    } else if regions.iter().all(|(_, now)| now.weight == 0) {
        regions.iter_mut().for_each(|(_, now)| now.weight = 1);
    }
    let takes_all = |(_, now): &(u8, RegionCapacity)| now.share == Share::ALL;
    (!regions.is_empty()).then(|| ActiveTier {
        total: regions.iter().map(|(_, now)| u64::from(now.weight)).sum(),
        certain: regions.iter().any(takes_all),
        whole: regions.iter().all(takes_all),
        only: None,
        regions: regions.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::pick::{ClientHash, next_draw, stage_for};
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

    fn positions(outcome: &FailoverChain) -> Vec<Vec<u8>> {
        outcome
            .stages
            .iter()
            .map(|stage| {
                stage
                    .regions
                    .iter()
                    .map(|(position, _)| *position)
                    .collect()
            })
            .collect()
    }

    fn resolve(standing: &[RegionCapacity], all_down: AllDown) -> FailoverChain {
        resolve_states(RegionStates {
            standing: standing.to_vec(),
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
    fn standby_serves_only_when_every_other_is_out() {
        assert_eq!(
            positions(&resolve(&[STANDBY, UP, UP, UP], AllDown::AnswerAll)),
            [vec![1]]
        );
        let outcome = resolve(&[STANDBY, DOWN, UP, UP], AllDown::AnswerAll);
        assert_eq!(positions(&outcome), [vec![0]]);
        assert_eq!(outcome.stages[0].total, 1);
    }

    #[test]
    fn a_part_share_leads_on_to_the_next_tier() {
        let half = RegionCapacity {
            share: Share::from_fraction(0.5),
            weight: 100,
        };
        let outcome = resolve(&[half, DOWN, UP, UP], AllDown::AnswerAll);
        assert_eq!(positions(&outcome), [vec![0], vec![2]]);
        assert!(
            !outcome.stages[0].certain
                && outcome.stages[1].certain
                && outcome.ending == LastResort::Never
        );
    }

    #[test]
    fn all_down_follows_its_rule() {
        let outcome = resolve(&[DOWN; 4], AllDown::AnswerAll);
        assert_eq!(
            (positions(&outcome), outcome.all_down),
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
                standing: vec![UP; 4],
                all_down: rule,
                ..RegionStates::default()
            };
            let outcome = FailoverChain::resolve(&Tiers::from_lists(&[]), &states);
            assert_eq!(
                (outcome.ending, outcome.all_down, outcome.stages.len()),
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
                standing: vec![DOWN; 4],
                seen_alive,
                all_down,
                ..RegionStates::default()
            };
            let outcome = resolve_states(states.clone());
            assert_eq!(
                (positions(&outcome), outcome.all_down),
                (vec![vec![3]], false),
                "{all_down:?}"
            );
            // What is agreed to be up is better still.
            let outcome = resolve_states(RegionStates {
                standing: vec![DOWN, DOWN, UP, DOWN],
                ..states
            });
            assert_eq!(positions(&outcome), [[2]], "{all_down:?}");
        }
    }

    #[test]
    fn regions_whose_addresses_nobody_knows_are_never_given_and_alone_they_are_a_failure() {
        for all_down in ALL_RULES {
            let standing = vec![DOWN; 4];
            let all = RegionStates {
                standing,
                unresolved: vec![true; 4],
                all_down,
                ..RegionStates::default()
            };
            let outcome = resolve_states(all.clone());
            assert_eq!(
                (outcome.ending, outcome.all_down, outcome.stages.len()),
                (LastResort::NotReady, false, 0)
            );
            let some = RegionStates {
                unresolved: vec![true, false, true, true],
                ..all
            };
            let outcome = resolve_states(some);
            assert!(outcome.all_down, "{all_down:?}");
            assert!(
                outcome.stages.is_empty() || positions(&outcome) == [[1]],
                "{all_down:?}: {outcome:?}"
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

    /// Which region takes each of these networks when `moved` of the first region's clients are shifted, to the third
    /// region if `to` says so; the first takes `healthy` of its clients otherwise.
    fn taken_by(moved: f64, healthy: f64, to: Option<u8>, tiers: &Tiers) -> Vec<Option<u8>> {
        let share = |part: f64| Share::from_fraction(part);
        let clients = ShareWindow {
            from: share(healthy * (1.0 - moved)),
            until: share(healthy),
        };
        let states = RegionStates {
            standing: vec![
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
        let outcome = FailoverChain::resolve(tiers, &states);
        let stage = |network: u32| stage_for(&outcome, ClientHash::at_v4(network << 8));
        (0..NETWORKS)
            .map(|network| stage(network).map(|stage| stage.regions[0].0))
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
        let standing = vec![half, UP, DOWN];
        let states = RegionStates {
            standing,
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
            standing: vec![half],
            ..RegionStates::default()
        };
        let outcome = FailoverChain::resolve(&Tiers::from_lists(&[&[0]]), &alone);
        assert!(
            (0..256).all(|network| stage_for(&outcome, ClientHash::at_v4(network << 8)).is_some())
        );
    }
}
