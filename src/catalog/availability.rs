//! The regions and endpoints that can serve, by health checks and overrides.
//!
//! The control room combines probe results, drains, shifts and weights into an [`Availability`].
//! [`super::LiveState`] is compiled from it and from the catalog. Everything is indexed as the
//! configuration lists it, so an availability fits only the configuration that it was made for.

use std::sync::Arc;

use crate::config::{Config, ServiceConfig, ServiceRegion};
use crate::steering::{Share, ShareWindow};

/// What is available: observed health and the overrides of operators, combined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// By service, as configured. Those that a change does not concern are shared with the state
    /// before, which also makes comparing them cheap.
    pub services: Vec<Arc<ServiceAvailability>>,
}

/// The availability of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAvailability {
    /// Overrides the configured TTL, in seconds.
    pub ttl: Option<u32>,
    /// By region, as listed in the service.
    pub regions: Vec<RegionAvailability>,
}

/// The availability of one region of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionAvailability {
    /// The share of its clients that it takes.
    pub share: Share,
    /// The listed number of another region, and the clients that are offered it before their next
    /// region.
    pub detour: Option<(usize, ShareWindow)>,
    /// Whether it was available when a region of the service last was.
    pub last_good: bool,
    /// By endpoint, as listed: whether replies may carry it.
    pub endpoints: Vec<bool>,
    /// By endpoint, as listed: its last probe succeeded, whatever its agreed state, and no operator
    /// has drained it.
    pub seen_alive: Vec<bool>,
    /// Weights that replace the configured ones for now; `None`: the configured ones hold.
    pub weights: Option<RegionWeights>,
    /// Why all or a part of it takes no clients: `is down: ...` or `is drained by ...`.
    pub reason: Option<String>,
    /// An operator drained it: even the all-down rule avoids it while another region is left.
    pub drained: bool,
    /// By endpoint, as listed: an operator drained it.
    pub drained_endpoints: Vec<bool>,
    /// Every override that applies to it, in words: `is drained by ...`.
    pub orders: Vec<String>,
}

/// Weights of a region and its endpoints that replace the configured ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionWeights {
    /// How a tier is divided.
    pub region: u32,
    /// By endpoint, as listed.
    pub endpoints: Vec<u32>,
}

impl Availability {
    /// Everything is up.
    pub fn all_up(config: &Config) -> Availability {
        let mut services = Vec::with_capacity(config.services.len());
        for service in &config.services {
            services.push(Arc::new(ServiceAvailability::all_up(service)));
        }
        Availability { services }
    }

    /// A service by its number in the configuration.
    pub fn of(&self, service: usize) -> Option<&ServiceAvailability> {
        self.services.get(service).map(Arc::as_ref)
    }

    /// Every service, to be changed.
    pub fn services_mut(&mut self) -> impl Iterator<Item = &mut ServiceAvailability> {
        self.services.iter_mut().map(Arc::make_mut)
    }
}

impl ServiceAvailability {
    fn all_up(service: &ServiceConfig) -> ServiceAvailability {
        ServiceAvailability {
            ttl: None,
            regions: service
                .regions
                .iter()
                .map(RegionAvailability::all_up)
                .collect(),
        }
    }
}

impl RegionAvailability {
    fn all_up(region: &ServiceRegion) -> RegionAvailability {
        let endpoints = region.endpoints.len();
        RegionAvailability {
            share: Share::ALL,
            detour: None,
            last_good: true,
            endpoints: vec![true; endpoints],
            seen_alive: vec![false; endpoints],
            weights: None,
            reason: None,
            drained: false,
            drained_endpoints: vec![false; endpoints],
            orders: Vec::new(),
        }
    }
}
