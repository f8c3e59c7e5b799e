//! The memory of the availability fold from one call to the next.
//!
//! A region that was down comes back over the time of its ramp, so the fold must know when it
//! came up. Reported loads and the traffic model are smoothed over time and live here too. A
//! reload carries the memory over for the services and regions that stay. A restart keeps the
//! ramps: they are saved as [`SavedRamp`] and resumed by [`AvailabilityMemory::resume_ramps`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::balance::least_load::LoadReports;
use crate::balance::traffic_model::TrafficModel;
use crate::catalog::availability::ServiceAvailability;
use crate::config::{Config, ServiceConfig};
use crate::health::fold::{self, EndpointInput};
use crate::health::machine::HealthState;

/// A region that is ramping up, as saved for the next start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedRamp {
    /// Name of the service.
    pub service: String,
    /// Name of the region.
    pub region: String,
    /// Time since the region came back, in milliseconds.
    pub milliseconds: u64,
}

/// State that the availability fold keeps between calls.
#[derive(Debug, Default)]
pub struct AvailabilityMemory {
    /// By service and region as listed.
    pub(super) regions: Vec<Vec<Remembered>>,
    pub(super) loads: LoadReports,
    /// By service, where regions have capacities.
    pub(super) demands: HashMap<usize, TrafficModel>,
    /// What the last fold came to, by service.
    pub(super) last: Vec<Arc<ServiceAvailability>>,
}

/// What is remembered of one region of a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remembered {
    past: Past,
    pub(super) up_since: Option<Duration>,
    pub(super) last_good: bool,
    /// The share of its clients that the region took at the last fold.
    pub(super) share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    /// Nothing is known yet.
    Untried,
    /// The region served clients.
    Served,
    /// The region was down, so it ramps up when it returns.
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

impl Remembered {
    /// Notes the health of the endpoints. A region that returns after an outage ramps up from now
    /// on. A region whose health was unknown does not ramp.
    pub(super) fn note(&mut self, endpoints: &[EndpointInput], needed: usize, now: Duration) {
        let usable = endpoints
            .iter()
            .filter(|endpoint| fold::is_usable(endpoint))
            .count();
        let serves = usable >= needed.max(1);
        let failed = endpoints
            .iter()
            .any(|endpoint| endpoint.states.contains(&HealthState::Down));
        (self.past, self.up_since) = match (self.past, serves, failed) {
            (Past::Failed, true, _) => (Past::Served, Some(now)),
            (_, true, _) => (Past::Served, self.up_since),
            (Past::Untried, false, false) => (Past::Untried, None),
            (_, false, _) => (Past::Failed, None),
        };
    }
}

impl AvailabilityMemory {
    /// Makes room for every service and region of a configuration.
    pub(super) fn resize(&mut self, config: &Config) {
        self.regions.resize(config.services.len(), Vec::new());
        for (service, regions) in config.services.iter().zip(&mut self.regions) {
            regions.resize(service.regions.len(), Remembered::default());
        }
    }

    /// Moves the memory to another configuration, for the services and regions that stay.
    pub fn carried_over(&mut self, before: &Config, config: &Config) -> AvailabilityMemory {
        let mut positions = HashMap::new();
        for (at, service) in before.services.iter().enumerate() {
            positions.insert(service.name.to_string(), at);
        }
        let mut next = AvailabilityMemory {
            loads: std::mem::take(&mut self.loads),
            ..AvailabilityMemory::default()
        };
        for (index, service) in config.services.iter().enumerate() {
            let Some(&old) = positions.get(&service.name.to_string()) else {
                next.regions
                    .push(vec![Remembered::default(); service.regions.len()]);
                continue;
            };
            let old_names = region_names(before, &before.services[old]);
            let names = region_names(config, service);
            next.regions.push(self.remembered(old, &old_names, &names));
            // The groups of clients may differ, but the old demand is a better guess than none.
            if names == old_names
                && let Some(mut model) = self.demands.remove(&old)
            {
                model.outdate();
                next.demands.insert(index, model);
            }
        }
        next
    }

    /// What is remembered of a service, for the regions of its new configuration.
    fn remembered(
        &self,
        service: usize,
        old_names: &[Option<&str>],
        names: &[Option<&str>],
    ) -> Vec<Remembered> {
        let mut regions = Vec::with_capacity(names.len());
        for name in names {
            let position = old_names.iter().position(|known| known == name);
            let known = position.and_then(|region| self.regions.get(service)?.get(region));
            regions.push(known.copied().unwrap_or_default());
        }
        regions
    }

    /// The regions that are ramping up now.
    pub fn ramps(&self, config: &Config, now: Duration) -> Vec<SavedRamp> {
        let mut ramps = Vec::new();
        for (service, regions) in config.services.iter().zip(&self.regions) {
            for (name, remembered) in region_names(config, service).into_iter().zip(regions) {
                let (Some(region), Some(since)) = (name, remembered.up_since) else {
                    continue;
                };
                let back = now.saturating_sub(since);
                if back < service.fold.ramp {
                    ramps.push(SavedRamp {
                        service: service.name.to_string(),
                        region: region.to_owned(),
                        milliseconds: u64::try_from(back.as_millis()).unwrap_or(u64::MAX),
                    });
                }
            }
        }
        ramps
    }

    /// Resumes ramps that were saved `gap` ago.
    pub fn resume_ramps(
        &mut self,
        config: &Config,
        ramps: &[SavedRamp],
        gap: Duration,
        now: Duration,
    ) {
        self.resize(config);
        for (service, regions) in config.services.iter().zip(&mut self.regions) {
            let service_name = service.name.to_string();
            for (name, remembered) in region_names(config, service).into_iter().zip(regions) {
                let ramp = ramps.iter().find(|ramp| {
                    ramp.service == service_name && Some(ramp.region.as_str()) == name
                });
                if let Some(ramp) = ramp {
                    let back = Duration::from_millis(ramp.milliseconds).saturating_add(gap);
                    remembered.up_since = Some(now.saturating_sub(back));
                }
            }
        }
    }
}

/// The names of a service's regions, as listed.
fn region_names<'c>(config: &'c Config, service: &ServiceConfig) -> Vec<Option<&'c str>> {
    let mut names = Vec::with_capacity(service.regions.len());
    for region in &service.regions {
        let configured = config.regions.get(usize::from(region.region.0));
        names.push(configured.map(|configured| configured.name.as_str()));
    }
    names
}
