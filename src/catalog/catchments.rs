//! The catchments of a catalog: one for each distinct set of rules.
//!
//! Services with equal rules share a catchment, and all catchments of a catalog share one map of
//! the address space. So [`CatchmentCache`] first collects the rules of all services and then
//! compiles them together. A change that brings no new rules keeps every catchment.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::services::{ServiceFamily, SteeredService, ViewRegion, view_regions};
use crate::config::{self, Config, RegionId};
use crate::geo::Atlas;
use crate::geo::catchment::Catchment;
use crate::geo::fences::{CatchmentRules, Fence};
use crate::steering::{Band, Bias, Candidate, RegionOrder, SteeringRules};

/// A catchment and the rules that it was compiled from.
#[derive(Clone)]
pub(super) struct SharedCatchment {
    pub(super) rules: Arc<CatchmentRules>,
    pub(super) catchment: Arc<Catchment>,
}

/// Catchments compiled so far, so that views with equal rules share one.
#[derive(Default)]
pub struct CatchmentCache {
    known: Vec<SharedCatchment>,
    /// From the configuration of a view to its index in `known`; saves working out the rules.
    alike: HashMap<ViewKey, usize>,
}

/// The parts of one configuration that decide the rules of a view.
#[derive(PartialEq, Eq, Hash)]
struct ViewKey {
    /// The address of the fences: services that share a list have the same one.
    fences: *const config::FenceConfig,
    order: RegionOrder,
    /// Whether the band is in kilometres, and the bits of its size.
    band: (bool, u64),
    regions: Vec<RegionId>,
}

impl ViewKey {
    fn new(service: &config::ServiceConfig, regions: impl Iterator<Item = RegionId>) -> ViewKey {
        ViewKey {
            fences: service.fences.as_ptr(),
            order: service.order,
            band: band_key(service.band),
            regions: regions.collect(),
        }
    }

    fn of_view(service: &config::ServiceConfig, regions: &[ViewRegion]) -> ViewKey {
        ViewKey::new(service, regions.iter().map(|region| region.region))
    }
}

/// Whether a band is in kilometres, and the bits of its size.
fn band_key(band: Band) -> (bool, u64) {
    match band {
        Band::Percent(size) => (false, size.to_bits()),
        Band::Kilometres(size) => (true, size.to_bits()),
    }
}

/// The number of rule sets, as far as a configuration shows: services with the same regions, order,
/// band and lists of fences share one.
pub fn rule_sets(config: &Config) -> usize {
    let mut known = HashSet::new();
    for service in &config.services {
        let regions = service.regions.iter().map(|region| region.region);
        known.insert(ViewKey::new(service, regions));
    }
    known.len()
}

impl SharedCatchment {
    fn compile(rules: CatchmentRules, atlas: &Atlas) -> SharedCatchment {
        let catchment = Arc::new(Catchment::compile(&rules, atlas));
        SharedCatchment {
            rules: Arc::new(rules),
            catchment,
        }
    }
}

impl CatchmentCache {
    /// The catchments of services that are compiled already.
    pub fn of(services: &[SteeredService]) -> CatchmentCache {
        let mut catchments = CatchmentCache::default();
        let mut seen = HashSet::new();
        for service in services {
            for view in service.views() {
                if seen.insert(Arc::as_ptr(&view.catchment)) {
                    catchments.known.push(SharedCatchment {
                        rules: view.rules.clone(),
                        catchment: view.catchment.clone(),
                    });
                }
            }
        }
        catchments
    }

    /// Compiles every service of a configuration.
    pub fn compile_services(&mut self, config: &Config, atlas: &Atlas) -> Vec<SteeredService> {
        self.compile_catchments(config, atlas);
        let mut services = Vec::with_capacity(config.services.len());
        for service in &config.services {
            services.push(SteeredService::compile(service, config, atlas, self));
        }
        services
    }

    /// Makes sure that every rule set of a configuration has a catchment. If one is new, all are
    /// compiled again, so that they share one map of the address space.
    fn compile_catchments(&mut self, config: &Config, atlas: &Atlas) {
        let mut used: Vec<Arc<CatchmentRules>> = Vec::new();
        let mut seen = HashSet::new();
        let mut is_known = true;
        for service in &config.services {
            for family in ServiceFamily::ALL {
                let regions = view_regions(service, family, config);
                if regions.is_empty() || !seen.insert(ViewKey::of_view(service, &regions)) {
                    continue;
                }
                let rules = view_rules(service, &regions, config);
                if used.iter().any(|used| **used == rules) {
                    continue;
                }
                is_known &= self.known.iter().any(|known| *known.rules == rules);
                used.push(Arc::new(rules));
            }
        }
        if is_known {
            return;
        }
        let rules: Vec<&CatchmentRules> = used.iter().map(|rules| &**rules).collect();
        let compiled = Catchment::compile_all(&rules, atlas);
        self.alike.clear();
        self.known.clear();
        for (rules, catchment) in used.into_iter().zip(compiled) {
            self.known.push(SharedCatchment {
                rules,
                catchment: Arc::new(catchment),
            });
        }
    }

    /// The catchment of a view with these regions, compiled if its rules are new.
    pub(super) fn of_view(
        &mut self,
        service: &config::ServiceConfig,
        regions: &[ViewRegion],
        config: &Config,
        atlas: &Atlas,
    ) -> SharedCatchment {
        let key = ViewKey::of_view(service, regions);
        if let Some(&at) = self.alike.get(&key) {
            return self.known[at].clone();
        }
        let at = self.index_of(view_rules(service, regions, config), atlas);
        self.alike.insert(key, at);
        self.known[at].clone()
    }

    /// The index of the catchment with these rules, compiled if it is new.
    fn index_of(&mut self, rules: CatchmentRules, atlas: &Atlas) -> usize {
        if let Some(at) = self.known.iter().position(|known| *known.rules == rules) {
            return at;
        }
        self.known.push(SharedCatchment::compile(rules, atlas));
        self.known.len() - 1
    }
}

/// The rules of a view with these regions.
fn view_rules(
    service: &config::ServiceConfig,
    regions: &[ViewRegion],
    config: &Config,
) -> CatchmentRules {
    CatchmentRules {
        rules: rules_of(service, regions, config),
        fences: fences_of(service, regions),
    }
}

fn rules_of(
    service: &config::ServiceConfig,
    regions: &[ViewRegion],
    config: &Config,
) -> SteeringRules {
    let mut candidates = Vec::with_capacity(regions.len());
    for region in regions {
        candidates.push(match config.regions.get(usize::from(region.region.0)) {
            Some(region) => Candidate {
                location: region.location.map(|point| point.unit_vector()),
                bias: region.bias,
            },
            None => Candidate {
                location: None,
                bias: Bias::default(),
            },
        });
    }
    SteeringRules {
        order: service.order,
        band: service.band,
        candidates,
    }
}

/// The fences with their regions as positions in the view.
fn fences_of(service: &config::ServiceConfig, regions: &[ViewRegion]) -> Vec<Fence> {
    let mut fences = Vec::with_capacity(service.fences.len());
    for fence in service.fences.iter() {
        let mut allowed = Vec::new();
        for id in &fence.regions {
            if let Some(position) = regions.iter().position(|region| region.region == *id) {
                allowed.push(position as u8);
            }
        }
        fences.push(Fence {
            countries: fence.clients.countries.clone(),
            continents: fence.clients.continents.clone(),
            subdivisions: fence.clients.subdivisions.clone(),
            asns: fence.clients.asns.clone(),
            networks: fence.clients.networks.clone(),
            of_unknown: fence.unknown == config::UnknownPlace::Deny,
            allowed,
        });
    }
    fences
}
