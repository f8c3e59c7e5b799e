//! How the regions of a view stand at one moment: who takes clients, and which of its endpoints can be picked.

use super::present::{RegionWeights, ServiceAvailability};
use super::services::{ServiceView, SteeredService};
use crate::steering::failover::RegionCapacity;
use crate::steering::{AllDown, Detour, RegionStates, Share};

/// Everything about the regions of a view that decides what its classes come to.
pub fn region_states(
    service: &SteeredService,
    view: &ServiceView,
    now: Option<&ServiceAvailability>,
) -> RegionStates {
    let live: Vec<Vec<usize>> = (0..view.regions.len())
        .map(|position| live_endpoints(view, now, position))
        .collect();
    states(service, view, now, &live)
}

/// The same, where the endpoints that can be picked are known, by position.
pub(super) fn states(
    service: &SteeredService,
    view: &ServiceView,
    now: Option<&ServiceAvailability>,
    live: &[Vec<usize>],
) -> RegionStates {
    let standing = standing_of(view, now, live);
    let region_now = |listed: usize| now.and_then(|now| now.regions.get(listed));
    let last_good = view
        .regions
        .iter()
        .map(|region| region_now(region.listed).is_none_or(|now| now.last_good));
    let (all_down, last_good) = without_drained(
        service.all_down,
        last_good.collect(),
        &drained_of(view, now),
    );
    let seen_alive = seen_alive(view, now, &standing);
    let detours = detours(view, now);
    RegionStates {
        capacities: standing,
        detours,
        seen_alive,
        unresolved: unresolved(view),
        all_down,
        last_good,
    }
}

/// The all-down rule where regions are drained: it gives the others, as long as there are others.
fn without_drained(rule: AllDown, last_good: Vec<bool>, drained: &[bool]) -> (AllDown, Vec<bool>) {
    let some = drained.contains(&true) && drained.contains(&false);
    let left = |good: &[bool]| {
        good.iter()
            .zip(drained)
            .map(|(good, drained)| *good && !drained)
            .collect::<Vec<bool>>()
    };
    match rule {
        AllDown::AnswerAll if some => (
            AllDown::LastGood,
            drained.iter().map(|drained| !drained).collect(),
        ),
        AllDown::LastGood if some => {
            let good = left(&last_good);
            let others = || drained.iter().map(|drained| !drained).collect();
            (rule, if good.contains(&true) { good } else { others() })
        }
        AllDown::LastGood => (rule, last_good),
        AllDown::AnswerAll | AllDown::NoData | AllDown::ServFail => (rule, Vec::new()),
    }
}

/// By position: the region, or every endpoint that the view has of it, is drained.
fn drained_of(view: &ServiceView, now: Option<&ServiceAvailability>) -> Vec<bool> {
    let positions = 0..view.regions.len();
    positions
        .map(|position| {
            !endpoints_of(view, position).any(|at| !is_drained(view, now, position, at))
        })
        .collect()
}

fn endpoints_of(view: &ServiceView, position: usize) -> std::ops::Range<usize> {
    0..view
        .regions
        .get(position)
        .map_or(0, |region| region.endpoints.len())
}

fn is_drained(
    view: &ServiceView,
    now: Option<&ServiceAvailability>,
    position: usize,
    endpoint: usize,
) -> bool {
    let Some(region) = view.regions.get(position) else {
        return false;
    };
    let Some(now) = now.and_then(|now| now.regions.get(region.listed)) else {
        return false;
    };
    let listed = region
        .endpoints
        .get(endpoint)
        .map(|endpoint| endpoint.listed);
    now.drained
        || listed
            .and_then(|at| now.drained_endpoints.get(at))
            .copied()
            .unwrap_or(false)
}

/// Share and weight of each candidate; a region whose endpoints are all out takes nobody.
fn standing_of(
    view: &ServiceView,
    now: Option<&ServiceAvailability>,
    live: &[Vec<usize>],
) -> Vec<RegionCapacity> {
    let share = |listed: usize| {
        now.and_then(|now| now.regions.get(listed))
            .map_or(Share::ALL, |now| now.share)
    };
    let regions = view.regions.iter().enumerate();
    regions
        .map(|(position, region)| {
            let some_up = any_endpoint_up(view, now, position) && !live[position].is_empty();
            let weight =
                weights_now(now, region.listed).map_or(region.weight, |weights| weights.region);
            RegionCapacity {
                share: if some_up {
                    share(region.listed)
                } else {
                    Share::NONE
                },
                weight,
            }
        })
        .collect()
}

/// By position: it takes nobody, but some endpoint of it was good when it was last asked. Empty where there is none, so
/// that tables are shared.
fn seen_alive(
    view: &ServiceView,
    now: Option<&ServiceAvailability>,
    standing: &[RegionCapacity],
) -> Vec<bool> {
    let is_alive = |(position, now_takes): (usize, &RegionCapacity)| {
        now_takes.share == Share::NONE
            && endpoints_of(view, position).any(|at| is_seen_alive(view, now, position, at))
    };
    let alive: Vec<bool> = standing.iter().enumerate().map(is_alive).collect();
    if alive.contains(&true) {
        alive
    } else {
        Vec::new()
    }
}

/// By position: where clients are sent before their next region. Empty where there is none.
fn detours(view: &ServiceView, now: Option<&ServiceAvailability>) -> Vec<Option<Detour>> {
    let detour = |(position, listed): (usize, usize)| {
        let (to, clients) = now?.regions.get(listed)?.detour?;
        // Where nobody of the family is up, all of its clients go to their next region.
        let to = view.regions.iter().position(|region| region.listed == to)?;
        any_endpoint_up(view, now, position).then_some(Detour {
            to: u8::try_from(to).ok()?,
            clients,
        })
    };
    let listed = view.regions.iter().map(|region| region.listed);
    let detours: Vec<Option<Detour>> = listed.enumerate().map(detour).collect();
    if detours.iter().any(Option::is_some) {
        detours
    } else {
        Vec::new()
    }
}

/// By position: it has no endpoint yet. Empty where all have some.
fn unresolved(view: &ServiceView) -> Vec<bool> {
    let unresolved: Vec<bool> = view
        .regions
        .iter()
        .map(|region| region.endpoints.is_empty())
        .collect();
    if unresolved.contains(&true) {
        unresolved
    } else {
        Vec::new()
    }
}

pub(super) fn weights_now(
    now: Option<&ServiceAvailability>,
    listed: usize,
) -> Option<&RegionWeights> {
    now?.regions.get(listed)?.weights.as_ref()
}

fn is_up(
    view: &ServiceView,
    now: Option<&ServiceAvailability>,
    position: usize,
    endpoint: usize,
) -> bool {
    let Some(region) = view.regions.get(position) else {
        return false;
    };
    let listed = region
        .endpoints
        .get(endpoint)
        .map(|endpoint| endpoint.listed);
    let up = now
        .and_then(|now| now.regions.get(region.listed))
        .zip(listed)
        .and_then(|(now, at)| now.endpoints.get(at));
    up.copied().unwrap_or(true)
}

fn is_seen_alive(
    view: &ServiceView,
    now: Option<&ServiceAvailability>,
    position: usize,
    endpoint: usize,
) -> bool {
    let Some(region) = view.regions.get(position) else {
        return false;
    };
    let Some(now) = now.and_then(|now| now.regions.get(region.listed)) else {
        return false;
    };
    let listed = region
        .endpoints
        .get(endpoint)
        .map(|endpoint| endpoint.listed);
    listed
        .and_then(|at| now.seen_alive.get(at))
        .copied()
        .unwrap_or(false)
}

fn any_endpoint_up(view: &ServiceView, now: Option<&ServiceAvailability>, position: usize) -> bool {
    endpoints_of(view, position).any(|endpoint| is_up(view, now, position, endpoint))
}

/// The endpoints of a region that can be picked: those up with a weight; else those up in standby. When none is up those
/// that were good when they were last asked; and when there is none of these either, all that are not drained, for a reply
/// that the all-down rule gives.
pub(super) fn live_endpoints(
    view: &ServiceView,
    now: Option<&ServiceAvailability>,
    position: usize,
) -> Vec<usize> {
    let Some(region) = view.regions.get(position) else {
        return Vec::new();
    };
    let any_up = any_endpoint_up(view, now, position);
    let all_drained = endpoints_of(view, position).all(|at| is_drained(view, now, position, at));
    let any_alive = endpoints_of(view, position).any(|at| is_seen_alive(view, now, position, at));
    let can_be = |at: usize| match (any_up, any_alive) {
        (true, _) => is_up(view, now, position, at),
        (false, true) => is_seen_alive(view, now, position, at),
        (false, false) => all_drained || !is_drained(view, now, position, at),
    };
    let usable: Vec<usize> = endpoints_of(view, position)
        .filter(|&at| can_be(at))
        .collect();
    let active: Vec<usize> = usable
        .iter()
        .copied()
        .filter(|&at| region.endpoints[at].weight > 0)
        .collect();
    if active.is_empty() { usable } else { active }
}
