//! Standing: verdicts and drains to the availability that answers are made from, and what must be remembered for it.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::effect::{EffectiveOverrides, RegionOverrides};
use super::hold;
use super::targets::{Evidence, ProbePlan, ProbeRef};
use crate::balance::least_load::{self, LoadReports, RegionHeadroom};
use crate::balance::traffic_model::TrafficModel;
use crate::catalog::availability::{RegionAvailability, RegionWeights, ServiceAvailability};
use crate::catalog::{Availability, Catalog};
use crate::config::{Capacity, Config, ServiceConfig, ServiceRegion};
use crate::health::check::TargetKey;
use crate::health::fold::{
    self, CheckCombination, EndpointInput, HealthOverride, RegionInput, ServiceStanding,
};
use crate::health::machine::HealthState;
use crate::health::monitor::TargetHealth;
use crate::steering::{PickMethod, Share, ShareWindow};

/// Everything that decides where clients may be sent.
pub struct AvailabilityFacts<'f> {
    /// What is configured.
    pub config: &'f Config,
    /// Which endpoint rests on which probe.
    pub plan: &'f ProbePlan,
    /// What probes have found.
    pub targets: &'f HashMap<TargetKey, TargetHealth>,
    /// What operators have ordered.
    pub effect: &'f EffectiveOverrides,
    /// What is being answered from, where answers per region are counted; `None`: no region is within a capacity.
    pub catalog: Option<&'f Catalog>,
    /// On the clock that regions come back by.
    pub now: Duration,
}

/// What all of that comes to.
#[derive(Debug, PartialEq)]
pub struct FoldedAvailability {
    /// For the Present.
    pub availability: Availability,
    /// Folding again in a second may change something without any verdict changing: a share is on its way up, or
    /// a service follows load, demand or the time to the next flip.
    pub moving: bool,
}

/// A region that comes back slowly, as it is written down for the time after a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedRamp {
    /// Name of the service.
    pub service: String,
    /// Name of the region.
    pub region: String,
    /// How long it has been back, in milliseconds.
    pub milliseconds: u64,
}

/// Why a healthy region takes less than all of its clients.
pub const FULL: &str = "is full, so some of its clients go on to the next region";

/// What must be remembered from one time to the next.
#[derive(Debug, Default)]
pub struct AvailabilityMemory {
    /// What regions were before: by service and region as listed.
    regions: Vec<Vec<Remembered>>,
    loads: LoadReports,
    /// By service, where regions have capacities.
    demands: HashMap<usize, TrafficModel>,
}

/// What one region of a service was before.
#[derive(Debug, Clone, Copy)]
struct Remembered {
    past: Past,
    up_since: Option<Duration>,
    last_good: bool,
    /// What it took when last folded.
    share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    /// Nothing is known yet.
    Untried,
    /// Clients were served there.
    Served,
    /// It was down: when it is up again it comes back slowly.
    Failed,
}

impl Default for Remembered {
    fn default() -> Self {
        Remembered {
            past: Past::Untried,
            up_since: None,
            last_good: true,
            share: 1.0,
        }
    }
}

impl AvailabilityMemory {
    /// The memory of another configuration, as far as services and regions stay.
    pub fn carried_over(&mut self, before: &Config, config: &Config) -> AvailabilityMemory {
        let services: HashMap<String, usize> = before
            .services
            .iter()
            .enumerate()
            .map(|(at, service)| (service.name.to_string(), at))
            .collect();
        let name = |config: &Config, region: &ServiceRegion| {
            config
                .regions
                .get(usize::from(region.region.0))
                .map(|region| region.name.clone())
        };
        let service = |service: &ServiceConfig| {
            let old = services.get(&service.name.to_string()).copied();
            let listed = old
                .and_then(|at| before.services.get(at))
                .map_or(&[][..], |service| &service.regions);
            let remembered = |region: &ServiceRegion| {
                let position = listed
                    .iter()
                    .position(|known| name(before, known) == name(config, region));
                old.zip(position)
                    .and_then(|(service, region)| self.regions.get(service)?.get(region))
                    .copied()
            };
            service
                .regions
                .iter()
                .map(|region| remembered(region).unwrap_or_default())
                .collect()
        };
        let regions = config.services.iter().map(service).collect();
        let listed = |config: &Config, service: &ServiceConfig| {
            service
                .regions
                .iter()
                .map(|region| name(config, region))
                .collect::<Vec<_>>()
        };
        // What the same regions were asked for is a better guess than none, though the groups of clients may be others.
        let demand = |(at, service): (usize, &ServiceConfig)| {
            let old = services.get(&service.name.to_string()).copied()?;
            let same = listed(before, before.services.get(old)?) == listed(config, service);
            let mut demand = same.then(|| self.demands.remove(&old)).flatten()?;
            demand.outdate();
            Some((at, demand))
        };
        let demands = config
            .services
            .iter()
            .enumerate()
            .filter_map(demand)
            .collect();
        AvailabilityMemory {
            regions,
            loads: std::mem::take(&mut self.loads),
            demands,
        }
    }

    /// Regions that are coming back now.
    pub fn ramps(&self, config: &Config, now: Duration) -> Vec<SavedRamp> {
        let mut ramps = Vec::new();
        for (service, regions) in config.services.iter().zip(&self.regions) {
            for (listed, remembered) in service.regions.iter().zip(regions) {
                let back = remembered.up_since.map(|since| now.saturating_sub(since));
                let region = config.regions.get(usize::from(listed.region.0));
                let Some((back, region)) =
                    back.filter(|back| *back < service.fold.ramp).zip(region)
                else {
                    continue;
                };
                let milliseconds = u64::try_from(back.as_millis()).unwrap_or(u64::MAX);
                ramps.push(SavedRamp {
                    service: service.name.to_string(),
                    region: region.name.clone(),
                    milliseconds,
                });
            }
        }
        ramps
    }

    /// Lets regions go on coming back that did so `gap` ago.
    pub fn go_on(&mut self, config: &Config, ramps: &[SavedRamp], gap: Duration, now: Duration) {
        self.regions.resize(config.services.len(), Vec::new());
        for (service, regions) in config.services.iter().zip(&mut self.regions) {
            regions.resize(service.regions.len(), Remembered::default());
            for (listed, remembered) in service.regions.iter().zip(regions) {
                let region = config
                    .regions
                    .get(usize::from(listed.region.0))
                    .map(|region| region.name.as_str());
                let name = service.name.to_string();
                let ramp = ramps
                    .iter()
                    .find(|ramp| ramp.service == name && Some(ramp.region.as_str()) == region);
                let Some(ramp) = ramp else { continue };
                let back = Duration::from_millis(ramp.milliseconds).saturating_add(gap);
                remembered.up_since = Some(now.saturating_sub(back));
            }
        }
    }

    /// Combines everything, and remembers what the next time needs.
    pub fn fold(&mut self, facts: &AvailabilityFacts<'_>) -> FoldedAvailability {
        self.regions.resize(facts.config.services.len(), Vec::new());
        self.loads.keep(facts.targets);
        let mut moving = false;
        let mut services = Vec::with_capacity(self.regions.len());
        for ((index, service), remembered) in facts
            .config
            .services
            .iter()
            .enumerate()
            .zip(&mut self.regions)
        {
            remembered.resize(service.regions.len(), Remembered::default());
            let evidence = hold::evidence(facts.plan, facts.effect, index, service);
            let inputs: Vec<RegionInput> =
                (service.regions.iter().enumerate().zip(&mut *remembered))
                    .map(|((at, region), remembered)| {
                        input(facts, (index, at), evidence, region, remembered)
                    })
                    .collect();
            let mut standing = fold::fold(&service.fold, &inputs, facts.now);
            let detours = shift(facts, index, &mut standing);
            let healthy: Vec<f64> = standing.regions.iter().map(|region| region.share).collect();
            let limited = keep_within_capacity(
                &mut self.demands,
                facts,
                index,
                service,
                &mut standing,
                remembered,
            );
            let weights = weights(&mut self.loads, facts, index, service);
            moving |= standing.ramping
                || limited
                || service.least_ttl.is_some()
                || service.pick == PickMethod::LeastLoad;
            let mut regions = Vec::with_capacity(inputs.len());
            for (at, standing) in standing.regions.into_iter().enumerate() {
                remembered[at].last_good = standing.last_good;
                remembered[at].share = standing.share;
                let bearing = facts.effect.bearing(index, at);
                let drained =
                    |endpoint: &EndpointInput| endpoint.order == Some(HealthOverride::Drain);
                regions.push(RegionAvailability {
                    share: Share::from_fraction(standing.share),
                    detour: detours.get(at).copied().flatten(),
                    last_good: standing.last_good,
                    reason: reason(facts, (index, at), bearing, &standing.endpoints)
                        .or_else(|| (standing.share < healthy[at]).then(|| FULL.to_owned()))
                        .or_else(|| {
                            bearing
                                .and_then(RegionOverrides::shifted)
                                .map(str::to_owned)
                        }),
                    seen_alive: seen_alive(facts, (index, at), &inputs[at]),
                    endpoints: standing.endpoints,
                    weights: weights
                        .as_ref()
                        .and_then(|weights| weights.get(at))
                        .cloned(),
                    drained: inputs[at].order == Some(HealthOverride::Drain),
                    drained_endpoints: inputs[at].endpoints.iter().map(drained).collect(),
                    orders: bearing.map_or_else(Vec::new, |bearing| bearing.sentences.clone()),
                });
            }
            services.push(ServiceAvailability {
                ttl: ttl(facts, index, service),
                regions,
            });
        }
        FoldedAvailability {
            availability: Availability { services },
            moving,
        }
    }
}

/// Sends clients elsewhere whom operators shift; says whom to a region that is named, by region as listed. Where a region
/// takes nobody, there is nobody to shift.
fn shift(
    facts: &AvailabilityFacts<'_>,
    index: usize,
    standing: &mut ServiceStanding,
) -> Vec<Option<(usize, ShareWindow)>> {
    let mut detours = Vec::with_capacity(standing.regions.len());
    for (at, region) in standing.regions.iter_mut().enumerate() {
        let bearing = facts
            .effect
            .bearing(index, at)
            .filter(|_| region.share > 0.0);
        let shift = bearing.and_then(|bearing| bearing.shift.as_ref());
        let part = shift.map_or(0.0, |shift| shift.part);
        let until = Share::from_fraction(region.share);
        let clients = ShareWindow {
            from: Share::from_fraction(region.share * (1.0 - part)),
            until,
        };
        detours.push(
            shift
                .and_then(|shift| shift.to)
                .filter(|_| part > 0.0)
                .map(|to| (to, clients)),
        );
        region.share *= 1.0 - bearing.map_or(0.0, RegionOverrides::moved);
    }
    detours
}

/// Lowers the shares of regions that have no room for more; says whether the service has such limits.
fn keep_within_capacity(
    demands: &mut HashMap<usize, TrafficModel>,
    facts: &AvailabilityFacts<'_>,
    index: usize,
    service: &ServiceConfig,
    standing: &mut ServiceStanding,
    remembered: &[Remembered],
) -> bool {
    let mut capacities: Vec<Option<Capacity>> = Vec::new();
    for region in &service.regions {
        capacities.push(region.capacity);
    }
    let Some(steered) = facts
        .catalog
        .and_then(|catalog| catalog.services.get(index))
    else {
        return false;
    };
    if capacities.iter().all(Option::is_none) {
        return false;
    }
    let demand = demands
        .entry(index)
        .or_insert_with(|| TrafficModel::of(steered));
    demand.renew(steered);
    let before: Vec<f64> = remembered.iter().map(|region| region.share).collect();
    demand.observe(steered, &before, facts.now);
    let most: Vec<f64> = standing.regions.iter().map(|region| region.share).collect();
    let shares = demand.shares(&capacities, &most, service.all_down);
    for (region, share) in standing.regions.iter_mut().zip(shares) {
        region.share = share;
    }
    true
}

/// Weights under the load that endpoints report; `None`: the configured ones.
fn weights(
    loads: &mut LoadReports,
    facts: &AvailabilityFacts<'_>,
    index: usize,
    service: &ServiceConfig,
) -> Option<Vec<RegionWeights>> {
    if service.pick != PickMethod::LeastLoad {
        return None;
    }
    let mut regions = Vec::with_capacity(service.regions.len());
    for (at, region) in service.regions.iter().enumerate() {
        let mut endpoints = Vec::with_capacity(region.endpoints.len());
        for endpoint in 0..region.endpoints.len() {
            let asked = facts.plan.asked(index, at, endpoint);
            endpoints.push(
                asked.and_then(|asked| loads.headroom(&asked.targets(), facts.targets, facts.now)),
            );
        }
        let named = facts.config.regions.get(usize::from(region.region.0));
        let weight = named.map_or(0, |named| named.weight);
        regions.push(RegionHeadroom {
            region,
            weight,
            endpoints,
        });
    }
    least_load::weights(&regions)
}

/// A TTL that is no longer than that of what aliases were resolved to, and where it follows health no longer than until
/// the earliest moment at which a verdict could change, within its bounds. `None`: it is fixed.
fn ttl(facts: &AvailabilityFacts<'_>, index: usize, service: &ServiceConfig) -> Option<u32> {
    let most = facts
        .plan
        .longest_ttl(index)
        .map(|most| most.min(service.ttl));
    let Some(least) = service.least_ttl else {
        return most;
    };
    let mut earliest = Duration::from_secs(u64::from(service.ttl));
    for (at, region) in service.regions.iter().enumerate() {
        for asked in
            (0..region.endpoints.len()).filter_map(|endpoint| facts.plan.asked(index, at, endpoint))
        {
            asked.for_each(&mut |key| {
                let flip = facts
                    .targets
                    .get(key)
                    .map_or(Duration::ZERO, |target| target.flip_possible_in);
                earliest = earliest.min(flip);
            });
        }
    }
    let follows = u32::try_from(earliest.as_secs())
        .unwrap_or(u32::MAX)
        .clamp(least, service.ttl.max(least));
    Some(follows.min(most.unwrap_or(u32::MAX)))
}

fn input(
    facts: &AvailabilityFacts<'_>,
    place: (usize, usize),
    evidence: Evidence,
    region: &ServiceRegion,
    remembered: &mut Remembered,
) -> RegionInput {
    let min_endpoints = facts
        .config
        .services
        .get(place.0)
        .map_or(1, |service| service.min_endpoints);
    let verdict = |endpoint: usize| -> Vec<HealthState> {
        let asked = facts.plan.asked(place.0, place.1, endpoint);
        asked
            .and_then(|asked| asked.verdict(facts.targets, evidence))
            .into_iter()
            .collect()
    };
    let endpoint = |endpoint: usize| EndpointInput {
        verdicts: verdict(endpoint),
        combine: CheckCombination::All,
        order: None,
    };
    let mut endpoints: Vec<EndpointInput> = (0..region.endpoints.len()).map(endpoint).collect();
    // An order is no outage: what was seen is remembered without it.
    remembered.note(&endpoints, min_endpoints, facts.now);
    let configured = facts.config.regions.get(usize::from(region.region.0));
    let bearing = facts.effect.bearing(place.0, place.1);
    for (at, counting) in bearing.iter().flat_map(|bearing| &bearing.endpoints) {
        endpoints
            .get_mut(*at)
            .into_iter()
            .for_each(|endpoint| endpoint.order = Some(counting.order));
    }
    RegionInput {
        endpoints,
        min_endpoints,
        order: bearing
            .and_then(|bearing| bearing.order.as_ref())
            .map(|counting| counting.order),
        weight: configured.map_or(0, |region| region.weight),
        up_since: remembered.up_since,
        last_good: remembered.last_good,
    }
}

/// By endpoint: nobody ordered it out, and it is up or was good when it was last asked.
fn seen_alive(
    facts: &AvailabilityFacts<'_>,
    place: (usize, usize),
    region: &RegionInput,
) -> Vec<bool> {
    let ordered_out = |order: Option<HealthOverride>| {
        matches!(
            order,
            Some(HealthOverride::Drain | HealthOverride::ForceDown)
        )
    };
    let is_alive = |(at, endpoint): (usize, &EndpointInput)| {
        let asked = facts.plan.asked(place.0, place.1, at);
        let seen = asked.and_then(|asked| asked.verdict(facts.targets, Evidence::LastSeen));
        !ordered_out(region.order)
            && !ordered_out(endpoint.order)
            && seen.is_none_or(HealthState::serves)
    };
    region.endpoints.iter().enumerate().map(is_alive).collect()
}

impl Remembered {
    /// A region that comes back after it really was down ramps up from now on; one that was not known yet does not.
    fn note(&mut self, endpoints: &[EndpointInput], needed: usize, now: Duration) {
        let serves = endpoints
            .iter()
            .filter(|endpoint| fold::is_usable(endpoint))
            .count()
            >= needed.max(1);
        let failed = endpoints
            .iter()
            .any(|endpoint| endpoint.verdicts.contains(&HealthState::Down));
        (self.past, self.up_since) = match (self.past, serves, failed) {
            (Past::Failed, true, _) => (Past::Served, Some(now)),
            (_, true, _) => (Past::Served, self.up_since),
            (Past::Untried, false, false) => (Past::Untried, None),
            (_, false, _) => (Past::Failed, None),
        };
    }
}

/// Why some or all of a region take nobody: an order, or what the first endpoint that is out died of.
fn reason(
    facts: &AvailabilityFacts<'_>,
    place: (usize, usize),
    bearing: Option<&RegionOverrides>,
    endpoints: &[bool],
) -> Option<String> {
    let out_by_order = |order: HealthOverride| order != HealthOverride::ForceUp;
    if let Some(counting) = bearing
        .and_then(|it| it.order.as_ref())
        .filter(|it| out_by_order(it.order))
    {
        return Some(counting.sentence.clone());
    }
    let out = endpoints.iter().position(|up| !up)?;
    if let Some(counting) = bearing
        .and_then(|it| it.endpoints.get(&out))
        .filter(|it| out_by_order(it.order))
    {
        return Some(counting.sentence.clone());
    }
    let asked = facts.plan.asked(place.0, place.1, out)?;
    if let ProbeRef::Nobody { reason, .. } = asked {
        return Some(format!("is down: {reason}"));
    }
    let target = facts
        .targets
        .get(asked.deciding(facts.targets, Evidence::Agreed)?.0);
    let why = target
        .and_then(|target| target.last.as_ref())
        .and_then(|last| last.reason.clone());
    let unproved = || {
        if target.is_some() {
            "answers again, not yet for long enough"
        } else {
            "no result yet"
        }
        .to_owned()
    };
    Some(format!("is down: {}", why.unwrap_or_else(unproved)))
}

#[cfg(test)]
mod tests;
