//! A planned change, and the side of a forecast after it.
//!
//! Regions that go down or get another weight only change the availability. Another bias, band or
//! atlas changes the catchment, so the service is compiled again from the configuration.

use std::sync::Arc;

use super::side::{ForecastSide, configured};
use crate::answer::Snapshot;
use crate::catalog::availability::{RegionWeights, ServiceAvailability};
use crate::catalog::catchments::CatchmentCache;
use crate::catalog::services::{ServiceFamily, SteeredService};
use crate::catalog::{Catalog, ServiceId};
use crate::config::{self, Config};
use crate::geo::Atlas;
use crate::steering::{Band, Bias, Share};

/// The differences that a change makes; empty for none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PlannedChange {
    /// Regions that take no clients.
    pub down: Vec<String>,
    /// Regions with another weight.
    pub weights: Vec<(String, u32)>,
    /// Regions with another bias.
    pub biases: Vec<(String, Bias)>,
}

impl PlannedChange {
    /// Whether nothing is different.
    pub fn is_none(&self) -> bool {
        self.down.is_empty() && self.weights.is_empty() && self.biases.is_empty()
    }

    /// Every region that it names.
    fn regions(&self) -> impl Iterator<Item = &String> {
        let weights = self.weights.iter().map(|(region, _)| region);
        let biases = self.biases.iter().map(|(region, _)| region);
        self.down.iter().chain(weights).chain(biases)
    }

    /// The weight that a region is given; the last one counts.
    pub(super) fn weight_of(&self, region: &str) -> Option<u32> {
        let (_, weight) = self.weights.iter().rfind(|(known, _)| known == region)?;
        Some(*weight)
    }

    /// The bias that a region is given; the last one counts.
    pub(super) fn bias_of(&self, region: &str) -> Option<Bias> {
        let (_, bias) = self.biases.iter().rfind(|(known, _)| known == region)?;
        Some(*bias)
    }

    /// Rejects regions that are not configured. Regions of other services change nothing.
    pub(super) fn check(
        &self,
        catalog: &Catalog,
        config: &Config,
        service: &SteeredService,
    ) -> Result<(), String> {
        if let Some(unknown) = self.regions().find(|name| !catalog.regions.contains(name)) {
            return Err(format!(
                "there is no region {unknown:?}; the regions are {}",
                catalog.regions.join(", ")
            ));
        }
        if !self.biases.is_empty() && configured(catalog, config, service).is_none() {
            return Err(format!("{} is being changed; try again", service.name));
        }
        Ok(())
    }
}

/// One family of the service after a change; `None`: it has no such family.
pub(super) fn changed(
    snapshot: &Snapshot,
    config: &Config,
    id: ServiceId,
    service: &SteeredService,
    family: ServiceFamily,
    change: &PlannedChange,
) -> Option<ForecastSide> {
    let mut availability = snapshot.live.availability().of(id.0 as usize).cloned();
    if let Some(now) = &mut availability {
        change.apply(&snapshot.catalog, service, now);
    }
    let anew = biased(snapshot, config, service, change);
    ForecastSide::of(
        &snapshot.catalog,
        config,
        anew.as_ref().unwrap_or(service),
        family,
        availability.as_ref(),
    )
}

/// The service with other biases; `None` if the change has none.
fn biased(
    snapshot: &Snapshot,
    config: &Config,
    service: &SteeredService,
    change: &PlannedChange,
) -> Option<SteeredService> {
    if change.biases.is_empty() {
        return None;
    }
    let stated = configured(&snapshot.catalog, config, service)?;
    let mut config = config.clone();
    for region in &mut config.regions {
        if let Some(bias) = change.bias_of(&region.name) {
            region.bias = bias;
        }
    }
    Some(compiled(snapshot, &config, service, stated))
}

/// The service with another tie band; `None` if the configuration no longer has it.
pub(super) fn banded(
    snapshot: &Snapshot,
    config: &Config,
    service: &SteeredService,
    band: Band,
) -> Option<SteeredService> {
    let stated = config::ServiceConfig {
        band,
        ..configured(&snapshot.catalog, config, service)?.clone()
    };
    Some(compiled(snapshot, config, service, &stated))
}

/// The service with the places of another atlas; `None` if the configuration no longer has it.
pub(super) fn relocated(
    catalog: &Catalog,
    config: &Config,
    service: &SteeredService,
    atlas: &Arc<Atlas>,
) -> Option<SteeredService> {
    let stated = configured(catalog, config, service)?;
    Some(SteeredService::compile(
        stated,
        config,
        atlas,
        &mut CatchmentCache::default(),
    ))
}

fn compiled(
    snapshot: &Snapshot,
    config: &Config,
    service: &SteeredService,
    stated: &config::ServiceConfig,
) -> SteeredService {
    let mut catchments = CatchmentCache::of(std::slice::from_ref(service));
    let atlas = Arc::clone(&snapshot.catalog.atlas);
    SteeredService::compile(stated, config, &atlas, &mut catchments)
}

impl PlannedChange {
    /// Takes regions down and sets weights in the availability of a service.
    fn apply(&self, catalog: &Catalog, service: &SteeredService, now: &mut ServiceAvailability) {
        for region in service.view_regions() {
            let Some(name) = catalog.regions.get(usize::from(region.region.0)) else {
                continue;
            };
            let Some(now) = now.regions.get_mut(region.listed) else {
                continue;
            };
            if self.down.contains(name) {
                now.share = Share::NONE;
                now.last_good = false;
                now.seen_alive.fill(false);
            }
            if let Some(weight) = self.weight_of(name) {
                // Endpoints that are not in the list keep their configured weights.
                let endpoints = now.weights.take().map(|weights| weights.endpoints);
                now.weights = Some(RegionWeights {
                    region: weight,
                    endpoints: endpoints.unwrap_or_default(),
                });
            }
        }
    }
}
