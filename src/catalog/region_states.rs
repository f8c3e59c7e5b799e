//! The states of a view's regions under an availability: their shares, and which of their
//! endpoints can be picked.
//!
//! The states decide which failover chain each class of clients has. They hold only what differs
//! from a service with everything up, so that equal states share one outcome table.

use super::availability::{RegionAvailability, RegionWeights, ServiceAvailability};
use super::services::{ServiceView, SteeredService, ViewEndpoint, ViewRegion};
use crate::steering::failover::RegionCapacity;
use crate::steering::{AllDown, Detour, RegionStates, Share};

/// The states of a view's regions, which decide the failover chain of each class.
pub fn region_states(
    service: &SteeredService,
    view: &ServiceView,
    now: Option<&ServiceAvailability>,
) -> RegionStates {
    let available = ViewAvailability::new(view, now);
    available.states(service.all_down, &available.live_endpoints())
}

/// A view under the availability of its service; without one, everything is up.
#[derive(Clone, Copy)]
pub(super) struct ViewAvailability<'v> {
    view: &'v ServiceView,
    now: Option<&'v ServiceAvailability>,
}

impl<'v> ViewAvailability<'v> {
    pub(super) fn new(
        view: &'v ServiceView,
        now: Option<&'v ServiceAvailability>,
    ) -> ViewAvailability<'v> {
        ViewAvailability { view, now }
    }

    /// The states of all regions; `live` are the endpoints that can be picked, by position.
    pub(super) fn states(&self, rule: AllDown, live: &[Vec<usize>]) -> RegionStates {
        let regions = &self.view.regions;
        let standing = self.capacities(live);
        let (all_down, last_good) = self.all_down(rule);
        RegionStates {
            detours: self.detours(),
            seen_alive: self.seen_alive(&standing),
            unresolved: unless_all_false(regions.iter().map(|region| region.endpoints.is_empty())),
            capacities: standing,
            all_down,
            last_good,
        }
    }

    /// The endpoints of each region that can be picked, by position.
    pub(super) fn live_endpoints(&self) -> Vec<Vec<usize>> {
        let regions = self.view.regions.iter();
        regions
            .map(|region| self.live_endpoints_of(region))
            .collect()
    }

    /// Weights that replace the configured ones.
    pub(super) fn weights(&self, region: &ViewRegion) -> Option<&'v RegionWeights> {
        self.region(region)?.weights.as_ref()
    }

    fn region(&self, region: &ViewRegion) -> Option<&'v RegionAvailability> {
        self.now?.regions.get(region.listed)
    }

    fn is_up(&self, region: &ViewRegion, endpoint: &ViewEndpoint) -> bool {
        let up = self
            .region(region)
            .and_then(|now| now.endpoints.get(endpoint.listed));
        up.copied().unwrap_or(true)
    }

    fn any_up(&self, region: &ViewRegion) -> bool {
        region
            .endpoints
            .iter()
            .any(|endpoint| self.is_up(region, endpoint))
    }

    fn is_seen_alive(&self, region: &ViewRegion, endpoint: &ViewEndpoint) -> bool {
        let alive = self
            .region(region)
            .and_then(|now| now.seen_alive.get(endpoint.listed));
        alive.copied().unwrap_or(false)
    }

    fn any_seen_alive(&self, region: &ViewRegion) -> bool {
        region
            .endpoints
            .iter()
            .any(|endpoint| self.is_seen_alive(region, endpoint))
    }

    fn is_drained(&self, region: &ViewRegion, endpoint: &ViewEndpoint) -> bool {
        let Some(now) = self.region(region) else {
            return false;
        };
        now.drained
            || now
                .drained_endpoints
                .get(endpoint.listed)
                .copied()
                .unwrap_or(false)
    }

    fn is_all_drained(&self, region: &ViewRegion) -> bool {
        region
            .endpoints
            .iter()
            .all(|endpoint| self.is_drained(region, endpoint))
    }

    /// The endpoints of a region that can be picked: those up with a weight, else those up in
    /// standby. If none is up, those whose last probe succeeded; if there is none of these
    /// either, all that are not drained, for a reply by the all-down rule.
    fn live_endpoints_of(&self, region: &ViewRegion) -> Vec<usize> {
        let any_up = self.any_up(region);
        let any_alive = self.any_seen_alive(region);
        let all_drained = self.is_all_drained(region);
        let mut usable = Vec::new();
        let mut active = Vec::new();
        for (at, endpoint) in region.endpoints.iter().enumerate() {
            let is_usable = if any_up {
                self.is_up(region, endpoint)
            } else if any_alive {
                self.is_seen_alive(region, endpoint)
            } else {
                all_drained || !self.is_drained(region, endpoint)
            };
            if is_usable {
                usable.push(at);
                if endpoint.weight > 0 {
                    active.push(at);
                }
            }
        }
        if active.is_empty() { usable } else { active }
    }

    /// Share and weight of each region. A region without a live endpoint that is up takes no
    /// clients.
    fn capacities(&self, live: &[Vec<usize>]) -> Vec<RegionCapacity> {
        let mut capacities = Vec::with_capacity(live.len());
        for (region, live) in self.view.regions.iter().zip(live) {
            let share = if self.any_up(region) && !live.is_empty() {
                self.region(region).map_or(Share::ALL, |now| now.share)
            } else {
                Share::NONE
            };
            let weight = self
                .weights(region)
                .map_or(region.weight, |weights| weights.region);
            capacities.push(RegionCapacity { share, weight });
        }
        capacities
    }

    /// The all-down rule, and the regions that it gives. Drained regions are left out as long as
    /// another region is left.
    fn all_down(&self, rule: AllDown) -> (AllDown, Vec<bool>) {
        let regions = &self.view.regions;
        let undrained: Vec<bool> = regions
            .iter()
            .map(|region| !self.is_all_drained(region))
            .collect();
        let some_drained = undrained.contains(&true) && undrained.contains(&false);
        match rule {
            AllDown::AnswerAll if some_drained => (AllDown::LastGood, undrained),
            AllDown::LastGood => (rule, self.last_good(some_drained.then_some(undrained))),
            AllDown::AnswerAll | AllDown::NoData | AllDown::ServFail => (rule, Vec::new()),
        }
    }

    /// The regions that were good last, of those that are not drained; if none of these was, all
    /// that are not drained. `undrained` is `None` where draining makes no difference.
    fn last_good(&self, undrained: Option<Vec<bool>>) -> Vec<bool> {
        let mut good = Vec::with_capacity(self.view.regions.len());
        for (position, region) in self.view.regions.iter().enumerate() {
            let was_good = self.region(region).is_none_or(|now| now.last_good);
            good.push(
                was_good
                    && undrained
                        .as_ref()
                        .is_none_or(|undrained| undrained[position]),
            );
        }
        match undrained {
            Some(undrained) if !good.contains(&true) => undrained,
            _ => good,
        }
    }

    /// By position: it takes no clients, but the last probe of one of its endpoints succeeded.
    fn seen_alive(&self, capacities: &[RegionCapacity]) -> Vec<bool> {
        let regions = self.view.regions.iter().zip(capacities);
        unless_all_false(
            regions.map(|(region, capacity)| {
                capacity.share == Share::NONE && self.any_seen_alive(region)
            }),
        )
    }

    /// By position: where clients are sent before their next region. Empty if no region has a
    /// detour, so that tables are shared.
    fn detours(&self) -> Vec<Option<Detour>> {
        let regions = self.view.regions.iter();
        let detours: Vec<Option<Detour>> = regions.map(|region| self.detour(region)).collect();
        if detours.iter().any(Option::is_some) {
            detours
        } else {
            Vec::new()
        }
    }

    fn detour(&self, region: &ViewRegion) -> Option<Detour> {
        let (to, clients) = self.region(region)?.detour?;
        let mut regions = self.view.regions.iter();
        let to = regions.position(|other| other.listed == to)?;
        if !self.any_up(region) {
            // No endpoint of this family is up, so all of its clients go to their next region.
            return None;
        }
        Some(Detour {
            to: u8::try_from(to).ok()?,
            clients,
        })
    }
}

/// The flags; empty if none is set, so that tables are shared.
fn unless_all_false(flags: impl Iterator<Item = bool>) -> Vec<bool> {
    let flags: Vec<bool> = flags.collect();
    if flags.contains(&true) {
        flags
    } else {
        Vec::new()
    }
}
