//! Computes the availability that answers use from probe results and operator overrides.
//!
//! For each region of each service, [`AvailabilityMemory::fold`] combines the health of its
//! endpoints with overrides, capacities and reported load. The result is an [`Availability`]: the
//! share of its clients that the region takes, the weights of its endpoints and the reason for
//! any reduction. The fold takes its facts and the time as arguments. What it must know from one
//! call to the next, such as ramps and load averages, is in the [`AvailabilityMemory`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::memory::{AvailabilityMemory, SavedRamp};
pub use self::reasons::OUTVOTED;

use self::memory::Remembered;
use super::effect::{ActiveShift, EffectiveOverrides};
use super::hold;
use super::targets::{Evidence, ProbePlan, ProbeRef};
use crate::balance::least_load::{self, LoadReports, RegionHeadroom};
use crate::balance::traffic_model::TrafficModel;
use crate::catalog::availability::{RegionAvailability, RegionWeights, ServiceAvailability};
use crate::catalog::keys::RegionKey;
use crate::catalog::services::SteeredService;
use crate::catalog::{Availability, Catalog};
use crate::config::{Capacity, Config, ServiceConfig, ServiceRegion};
use crate::health::check::TargetKey;
use crate::health::fold::{
    self, CheckCombination, EndpointInput, HealthOverride, RegionInput, ServiceStanding,
};
use crate::health::machine::HealthState;
use crate::health::monitor::TargetHealth;
use crate::steering::{PickMethod, Share, ShareWindow};

mod memory;
mod reasons;

/// Everything that decides where clients may be sent.
pub struct AvailabilityFacts<'f> {
    /// The configuration in force.
    pub config: &'f Config,
    /// The probes that each endpoint depends on.
    pub plan: &'f ProbePlan,
    /// The health of each probed target.
    pub targets: &'f HashMap<TargetKey, TargetHealth>,
    /// The operator overrides in effect.
    pub effect: &'f EffectiveOverrides,
    /// The catalog in use, which counts answers per region. `None` disables capacities.
    pub catalog: Option<&'f Catalog>,
    /// The current time, on the clock that ramps use.
    pub now: Duration,
}

impl<'f> AvailabilityFacts<'f> {
    fn steered(&self, index: usize) -> Option<&'f SteeredService> {
        self.catalog?.services.get(index)
    }
}

/// The result of one fold.
#[derive(Debug, PartialEq)]
pub struct FoldedAvailability {
    /// The availability to publish.
    pub availability: Availability,
    /// Whether the result may change in a second though no health state does: a share is ramping
    /// up, or a service follows load, demand or the time to the next possible flip.
    pub moving: bool,
}

/// Why a healthy region takes less than all of its clients.
pub const FULL: &str = "is full, so some of its clients go on to the next region";

impl AvailabilityMemory {
    /// Combines the facts, and remembers what the next fold needs.
    pub fn fold(&mut self, facts: &AvailabilityFacts<'_>) -> FoldedAvailability {
        self.resize(facts.config);
        self.loads.keep(facts.targets);
        let mut moving = false;
        let mut services = Vec::with_capacity(facts.config.services.len());
        for (index, service) in facts.config.services.iter().enumerate() {
            let (folded, changes) = self.fold_service(facts, index, service);
            moving |= changes;
            services.push(self.shared(index, folded));
        }
        self.last.clone_from(&services);
        FoldedAvailability {
            availability: Availability { services },
            moving,
        }
    }

    /// The availability of a service, shared with that of the fold before if it is the same.
    fn shared(&self, index: usize, folded: ServiceAvailability) -> Arc<ServiceAvailability> {
        match self.last.get(index) {
            Some(last) if **last == folded => last.clone(),
            _ => Arc::new(folded),
        }
    }

    /// The availability of one service, and whether it may change though no health state does.
    fn fold_service(
        &mut self,
        facts: &AvailabilityFacts<'_>,
        index: usize,
        service: &ServiceConfig,
    ) -> (ServiceAvailability, bool) {
        let inputs = facts.region_inputs(index, service, &mut self.regions[index]);
        let mut standing = fold::fold(&service.fold, &inputs, facts.now);
        let detours = facts.shift_clients(index, &mut standing);
        let healthy = shares_of(&standing);
        let limited = self.keep_within_capacity(facts, index, service, &mut standing);
        let weights = facts.weights(&mut self.loads, index, service);
        let moving = standing.ramping
            || limited
            || service.least_ttl.is_some()
            || service.pick == PickMethod::LeastLoad;
        let mut regions = Vec::with_capacity(inputs.len());
        for (at, region) in standing.regions.into_iter().enumerate() {
            let remembered = &mut self.regions[index][at];
            remembered.last_good = region.last_good;
            remembered.share = region.share;
            let key = RegionKey {
                service: index,
                region: at,
            };
            let input = &inputs[at];
            let is_full = region.share < healthy[at];
            let overrides = facts.effect.of_region(key);
            regions.push(RegionAvailability {
                share: Share::from_fraction(region.share),
                detour: detours[at],
                last_good: region.last_good,
                reason: facts.reduction_reason(key, &region.endpoints, is_full),
                seen_alive: facts.seen_alive(key, input),
                endpoints: region.endpoints,
                weights: weights
                    .as_ref()
                    .and_then(|weights| weights.get(at))
                    .cloned(),
                drained: input.order == Some(HealthOverride::Drain),
                drained_endpoints: drained_endpoints(input),
                orders: overrides.map_or_else(Vec::new, |overrides| overrides.sentences.clone()),
            });
        }
        let ttl = facts.ttl(index, service);
        (ServiceAvailability { ttl, regions }, moving)
    }

    /// Tells the model of a service how much each region has answered since the last fold.
    fn observe_traffic(
        &mut self,
        index: usize,
        steered: &SteeredService,
        now: Duration,
    ) -> &TrafficModel {
        let model = self
            .demands
            .entry(index)
            .or_insert_with(|| TrafficModel::of(steered));
        model.renew(steered);
        let before: Vec<f64> = self.regions[index].iter().map(|it| it.share).collect();
        model.observe(steered, &before, now);
        model
    }

    /// Lowers the shares of regions that are full. Returns whether the service has capacities.
    fn keep_within_capacity(
        &mut self,
        facts: &AvailabilityFacts<'_>,
        index: usize,
        service: &ServiceConfig,
        standing: &mut ServiceStanding,
    ) -> bool {
        let regions = service.regions.iter();
        let capacities: Vec<Option<Capacity>> = regions.map(|region| region.capacity).collect();
        if capacities.iter().all(Option::is_none) {
            return false;
        }
        let Some(steered) = facts.steered(index) else {
            return false;
        };
        let model = self.observe_traffic(index, steered, facts.now);
        let shares = model.shares(&capacities, &shares_of(standing), service.all_down);
        for (region, share) in standing.regions.iter_mut().zip(shares) {
            region.share = share;
        }
        true
    }
}

fn shares_of(standing: &ServiceStanding) -> Vec<f64> {
    standing.regions.iter().map(|region| region.share).collect()
}

fn drained_endpoints(region: &RegionInput) -> Vec<bool> {
    let mut drained = Vec::with_capacity(region.endpoints.len());
    for endpoint in &region.endpoints {
        drained.push(endpoint.order == Some(HealthOverride::Drain));
    }
    drained
}

/// Part of a region's clients, sent to another region of the service.
type Detour = (usize, ShareWindow);

impl AvailabilityFacts<'_> {
    fn probe(&self, key: RegionKey, endpoint: usize) -> Option<&ProbeRef> {
        self.plan.probes_of(key.endpoint(endpoint))
    }

    /// The inputs of a service's fold, by region.
    fn region_inputs(
        &self,
        index: usize,
        service: &ServiceConfig,
        remembered: &mut [Remembered],
    ) -> Vec<RegionInput> {
        let evidence = hold::evidence(self.plan, self.effect, index, service);
        let mut inputs = Vec::with_capacity(service.regions.len());
        for (at, (region, remembered)) in service.regions.iter().zip(remembered).enumerate() {
            let key = RegionKey {
                service: index,
                region: at,
            };
            let mut endpoints = self.endpoint_inputs(key, region, evidence);
            // An override is no outage, so the memory is updated before overrides apply.
            remembered.note(&endpoints, service.min_endpoints, self.now);
            let overrides = self.effect.of_region(key);
            if let Some(overrides) = overrides {
                for (position, winner) in &overrides.endpoints {
                    if let Some(endpoint) = endpoints.get_mut(*position) {
                        endpoint.order = Some(winner.order);
                    }
                }
            }
            let configured = self.config.regions.get(usize::from(region.region.0));
            let winner = overrides.and_then(|overrides| overrides.order.as_ref());
            inputs.push(RegionInput {
                endpoints,
                min_endpoints: service.min_endpoints,
                order: winner.map(|winner| winner.order),
                weight: configured.map_or(0, |region| region.weight),
                up_since: remembered.up_since,
                last_good: remembered.last_good,
            });
        }
        inputs
    }

    /// The health of a region's endpoints, before overrides.
    fn endpoint_inputs(
        &self,
        key: RegionKey,
        region: &ServiceRegion,
        evidence: Evidence,
    ) -> Vec<EndpointInput> {
        let mut endpoints = Vec::with_capacity(region.endpoints.len());
        for endpoint in 0..region.endpoints.len() {
            let mut states: Vec<HealthState> = Vec::new();
            if let Some(probe) = self.probe(key, endpoint) {
                states.extend(probe.state(self.targets, evidence));
            }
            endpoints.push(EndpointInput {
                states,
                combine: CheckCombination::All,
                order: None,
            });
        }
        endpoints
    }

    /// Applies the operator's shifts to the shares of a service. Returns the detour of each region
    /// whose shift names another region. A region without clients has nothing to shift.
    fn shift_clients(&self, index: usize, standing: &mut ServiceStanding) -> Vec<Option<Detour>> {
        let mut detours = Vec::with_capacity(standing.regions.len());
        for (at, region) in standing.regions.iter_mut().enumerate() {
            let mut detour = None;
            let key = RegionKey {
                service: index,
                region: at,
            };
            if region.share > 0.0
                && let Some(overrides) = self.effect.of_region(key)
            {
                let shift = overrides.shift.as_ref();
                detour = shift.and_then(|shift| detour_of(shift, region.share));
                region.share *= 1.0 - overrides.moved();
            }
            detours.push(detour);
        }
        detours
    }

    /// Weights that follow the load that endpoints report. `None`: the configured weights.
    fn weights(
        &self,
        loads: &mut LoadReports,
        index: usize,
        service: &ServiceConfig,
    ) -> Option<Vec<RegionWeights>> {
        if service.pick != PickMethod::LeastLoad {
            return None;
        }
        let mut regions = Vec::with_capacity(service.regions.len());
        for (at, region) in service.regions.iter().enumerate() {
            let key = RegionKey {
                service: index,
                region: at,
            };
            regions.push(self.headroom(loads, key, region));
        }
        least_load::weights(&regions)
    }

    fn headroom<'r>(
        &self,
        loads: &mut LoadReports,
        key: RegionKey,
        region: &'r ServiceRegion,
    ) -> RegionHeadroom<'r> {
        let mut endpoints = Vec::with_capacity(region.endpoints.len());
        for endpoint in 0..region.endpoints.len() {
            endpoints.push(match self.probe(key, endpoint) {
                Some(probe) => loads.headroom(&probe.targets(), self.targets, self.now),
                None => None,
            });
        }
        let configured = self.config.regions.get(usize::from(region.region.0));
        RegionHeadroom {
            region,
            weight: configured.map_or(0, |configured| configured.weight),
            endpoints,
        }
    }

    /// The TTL of a service's answers, where it differs from the configured one. It is at most the
    /// TTL of the names that its aliases resolve to. Where it follows health, it ends before the
    /// next possible change of a health state, within the configured bounds.
    fn ttl(&self, index: usize, service: &ServiceConfig) -> Option<u32> {
        let most = self
            .plan
            .longest_ttl(index)
            .map(|most| most.min(service.ttl));
        let Some(least) = service.least_ttl else {
            return most;
        };
        let earliest = self.earliest_flip(index, service);
        let seconds = u32::try_from(earliest.as_secs()).unwrap_or(u32::MAX);
        let follows = seconds.clamp(least, service.ttl.max(least));
        Some(follows.min(most.unwrap_or(u32::MAX)))
    }

    /// When the first endpoint of a service may change its state; the TTL of the service at most.
    fn earliest_flip(&self, index: usize, service: &ServiceConfig) -> Duration {
        let mut earliest = Duration::from_secs(u64::from(service.ttl));
        for (at, region) in service.regions.iter().enumerate() {
            let key = RegionKey {
                service: index,
                region: at,
            };
            for endpoint in 0..region.endpoints.len() {
                if let Some(probe) = self.probe(key, endpoint) {
                    earliest = earliest.min(self.next_flip(probe));
                }
            }
        }
        earliest
    }

    /// The shortest time in which a target of this probe can change its health state.
    fn next_flip(&self, probe: &ProbeRef) -> Duration {
        let mut earliest = Duration::MAX;
        for key in probe.targets() {
            let target = self.targets.get(key);
            earliest = earliest.min(target.map_or(Duration::ZERO, |it| it.flip_possible_in));
        }
        earliest
    }
}

/// The clients whom a shift sends to a region of its own choice, and that region.
fn detour_of(shift: &ActiveShift, share: f64) -> Option<Detour> {
    let to = shift.to?;
    let clients = ShareWindow {
        from: Share::from_fraction(share * (1.0 - shift.part)),
        until: Share::from_fraction(share),
    };
    (shift.part > 0.0).then_some((to, clients))
}

#[cfg(test)]
mod tests;
