//! Standing: verdicts and drains to the availability that answers are made from, and what must be remembered for it.

use std::collections::HashMap;
use std::time::Duration;

use super::targets::Plan;
use crate::answer::world::Availability;
use crate::answer::world::present::{RegionAvailability, ServiceAvailability};
use crate::config::{Config, Service, ServiceRegion};
use crate::health::check::TargetKey;
use crate::health::fold::{self, Combine, EndpointInput, FoldRules, Order, RegionInput};
use crate::health::monitor::TargetHealth;
use crate::health::verdict::Verdict;
use crate::steering::Share;

/// Everything that decides where clients may be sent.
pub struct Facts<'f> {
    /// What is configured.
    pub config: &'f Config,
    /// Which endpoint rests on which probe.
    pub plan: &'f Plan,
    /// What probes have found.
    pub targets: &'f HashMap<TargetKey, TargetHealth>,
    /// By region name, why it is drained: `is drained by ...`.
    pub drained: &'f HashMap<String, String>,
    /// Since the start of the process.
    pub now: Duration,
}

/// What all of that comes to.
#[derive(Debug, PartialEq)]
pub struct Folded {
    /// For the Present.
    pub availability: Availability,
    /// Some share is on its way up: folding again soon changes something.
    pub ramping: bool,
}

/// What regions were before: by service and region as listed.
#[derive(Debug, Default)]
pub struct Memory(Vec<Vec<Remembered>>);

/// What one region of a service was before.
#[derive(Debug, Clone, Copy)]
struct Remembered {
    past: Past,
    up_since: Option<Duration>,
    last_good: bool,
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
        Remembered { past: Past::Untried, up_since: None, last_good: true }
    }
}

impl Memory {
    /// The memory of another configuration, as far as services and regions stay.
    pub fn carried_over(&self, before: &Config, config: &Config) -> Memory {
        let services: HashMap<String, usize> =
            before.services.iter().enumerate().map(|(at, service)| (service.name.to_string(), at)).collect();
        let name = |config: &Config, region: &ServiceRegion| {
            config.regions.get(usize::from(region.region.0)).map(|region| region.name.clone())
        };
        let service = |service: &Service| {
            let old = services.get(&service.name.to_string()).copied();
            let listed = old.and_then(|at| before.services.get(at)).map_or(&[][..], |service| &service.regions);
            let remembered = |region: &ServiceRegion| {
                let position = listed.iter().position(|known| name(before, known) == name(config, region));
                old.zip(position).and_then(|(service, region)| self.0.get(service)?.get(region)).copied()
            };
            service.regions.iter().map(|region| remembered(region).unwrap_or_default()).collect()
        };
        Memory(config.services.iter().map(service).collect())
    }

    /// Combines everything, and remembers what the next time needs.
    pub fn fold(&mut self, facts: &Facts<'_>) -> Folded {
        self.0.resize(facts.config.services.len(), Vec::new());
        let mut ramping = false;
        let mut services = Vec::with_capacity(self.0.len());
        for ((index, service), remembered) in facts.config.services.iter().enumerate().zip(&mut self.0) {
            remembered.resize(service.regions.len(), Remembered::default());
            let inputs: Vec<RegionInput> = (service.regions.iter().enumerate().zip(&mut *remembered))
                .map(|((at, region), remembered)| input(facts, (index, at), region, remembered))
                .collect();
            let standing = fold::fold(&FoldRules::default(), &inputs, facts.now);
            ramping |= standing.ramping;
            let mut regions = Vec::with_capacity(inputs.len());
            for (at, standing) in standing.regions.into_iter().enumerate() {
                remembered[at].last_good = standing.last_good;
                regions.push(RegionAvailability {
                    share: Share::from_fraction(standing.share),
                    last_good: standing.last_good,
                    reason: reason(facts, (index, at), &service.regions[at], &standing.endpoints),
                    endpoints: standing.endpoints,
                });
            }
            services.push(ServiceAvailability { ttl: None, regions });
        }
        Folded { availability: Availability { services }, ramping }
    }
}

fn input(facts: &Facts<'_>, place: (usize, usize), region: &ServiceRegion, remembered: &mut Remembered) -> RegionInput {
    let verdict = |endpoint: usize| -> Vec<Verdict> {
        let asked = facts.plan.asked(place.0, place.1, endpoint);
        asked.and_then(|asked| asked.deciding(facts.targets)).map(|(_, verdict)| verdict).into_iter().collect()
    };
    let endpoint = |endpoint: usize| EndpointInput { verdicts: verdict(endpoint), combine: Combine::All, order: None };
    let endpoints: Vec<EndpointInput> = (0..region.endpoints.len()).map(endpoint).collect();
    remembered.note(&endpoints, facts.now);
    let configured = facts.config.regions.get(usize::from(region.region.0));
    let drained = configured.is_some_and(|region| facts.drained.contains_key(&region.name));
    RegionInput {
        endpoints,
        min_endpoints: 1,
        order: drained.then_some(Order::Drain),
        weight: configured.map_or(0, |region| region.weight),
        up_since: remembered.up_since,
        last_good: remembered.last_good,
    }
}

impl Remembered {
    /// A region that comes back after it really was down ramps up from now on; one that was not known yet does not.
    fn note(&mut self, endpoints: &[EndpointInput], now: Duration) {
        let serves = endpoints.iter().any(fold::is_usable);
        let failed = endpoints.iter().any(|endpoint| endpoint.verdicts.contains(&Verdict::Down));
        (self.past, self.up_since) = match (self.past, serves, failed) {
            (Past::Failed, true, _) => (Past::Served, Some(now)),
            (_, true, _) => (Past::Served, self.up_since),
            (Past::Untried, false, false) => (Past::Untried, None),
            (_, false, _) => (Past::Failed, None),
        };
    }
}

/// Why some or all of a region take nobody: a drain, or what the first endpoint that is out died of.
fn reason(facts: &Facts<'_>, place: (usize, usize), region: &ServiceRegion, endpoints: &[bool]) -> Option<String> {
    let name = facts.config.regions.get(usize::from(region.region.0)).map(|region| &region.name);
    if let Some(drained) = name.and_then(|name| facts.drained.get(name)) {
        return Some(drained.clone());
    }
    let out = endpoints.iter().position(|up| !up)?;
    let target = facts.targets.get(facts.plan.asked(place.0, place.1, out)?.deciding(facts.targets)?.0);
    let why = target.and_then(|target| target.last.as_ref()).and_then(|last| last.reason.clone());
    let unproved =
        || if target.is_some() { "answers again, not yet for long enough" } else { "no result yet" }.to_owned();
    Some(format!("is down: {}", why.unwrap_or_else(unproved)))
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
