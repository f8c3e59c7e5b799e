//! A change that nobody has made yet, and what one service would come to after it.

use std::sync::Arc;

use super::side::ForecastSide;
use crate::answer::Snapshot;
use crate::catalog::present::{RegionWeights, ServiceAvailability};
use crate::catalog::services::{CatchmentCache, ServiceFamily, SteeredService};
use crate::catalog::{Catalog, ServiceId};
use crate::config::{self, Config};
use crate::geo::Atlas;
use crate::steering::{Band, Bias, Share};

/// What is to be different. Empty: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PlannedChange {
    /// Regions that take nobody.
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
        self.down
            .iter()
            .chain(weights)
            .chain(self.biases.iter().map(|(region, _)| region))
    }

    /// Regions that are not configured are mistakes; those that this service does not have change nothing.
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
        let stated = config
            .services
            .iter()
            .any(|stated| stated.name == service.name);
        if !self.biases.is_empty() && !stated {
            return Err(format!("{} is being changed; ask again", service.name));
        }
        Ok(())
    }
}

/// What one family of the service comes to after a change; `None`: it has no such family.
pub(super) fn changed(
    snapshot: &Snapshot,
    config: &Config,
    id: ServiceId,
    service: &SteeredService,
    family: ServiceFamily,
    change: &PlannedChange,
) -> Option<ForecastSide> {
    let availability = snapshot
        .live
        .availability()
        .services
        .get(id.0 as usize)
        .cloned();
    let availability =
        availability.map(|now| without_and_weighed(&snapshot.catalog, service, now, change));
    let anew = biased(snapshot, config, service, change);
    ForecastSide::of(
        &snapshot.catalog,
        config,
        anew.as_ref().unwrap_or(service),
        family,
        availability.as_ref(),
    )
}

/// The service under other biases; `None` where they are as configured.
fn biased(
    snapshot: &Snapshot,
    config: &Config,
    service: &SteeredService,
    change: &PlannedChange,
) -> Option<SteeredService> {
    if change.biases.is_empty() {
        return None;
    }
    let stated: &config::ServiceConfig = config
        .services
        .iter()
        .find(|stated| stated.name == service.name)?;
    let mut config = config.clone();
    for (name, bias) in &change.biases {
        config
            .regions
            .iter_mut()
            .filter(|region| region.name == *name)
            .for_each(|region| region.bias = *bias);
    }
    Some(compiled(snapshot, &config, service, stated))
}

/// The service under another tie band; `None`: the configuration has it no more.
pub(super) fn banded(
    snapshot: &Snapshot,
    config: &Config,
    service: &SteeredService,
    band: Band,
) -> Option<SteeredService> {
    let stated = config
        .services
        .iter()
        .find(|stated| stated.name == service.name)?;
    Some(compiled(
        snapshot,
        config,
        service,
        &config::ServiceConfig {
            band,
            ..stated.clone()
        },
    ))
}

/// The service with clients whose places are those of another atlas; `None`: the configuration has it no more.
pub(super) fn relocated(
    config: &Config,
    service: &SteeredService,
    atlas: &Arc<Atlas>,
) -> Option<SteeredService> {
    let stated = config
        .services
        .iter()
        .find(|stated| stated.name == service.name)?;
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

/// The availability with the regions of the change down or weighed anew.
fn without_and_weighed(
    catalog: &Catalog,
    service: &SteeredService,
    mut now: ServiceAvailability,
    change: &PlannedChange,
) -> ServiceAvailability {
    for region in service
        .views
        .iter()
        .flatten()
        .flat_map(|view| &view.regions)
    {
        let Some(name) = catalog.regions.get(usize::from(region.region.0)) else {
            continue;
        };
        let Some(now) = now.regions.get_mut(region.listed) else {
            continue;
        };
        if change.down.contains(name) {
            now.share = Share::NONE;
            now.last_good = false;
            now.seen_alive.fill(false);
        }
        if let Some((_, weight)) = change.weights.iter().rev().find(|(known, _)| known == name) {
            // Endpoints that are not in the list keep their configured weights.
            let endpoints = now
                .weights
                .take()
                .map(|weights| weights.endpoints)
                .unwrap_or_default();
            now.weights = Some(RegionWeights {
                region: *weight,
                endpoints,
            });
        }
    }
    now
}
