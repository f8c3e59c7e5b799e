//! One side of a forecast: where a service sends its clients before or after a change.
//!
//! A side has a table from address to class, and for each class the split between regions and the
//! kind of region that its clients get. Regions are numbered by position in the view, until
//! [`ForecastSide::numbered_in`] gives both sides the same numbers.

use std::sync::Arc;

use super::fate::ClassSplit;
use super::split::RegionSplit;
use crate::catalog::Catalog;
use crate::catalog::availability::ServiceAvailability;
use crate::catalog::live_state::LiveView;
use crate::catalog::services::{ServiceFamily, ServiceView, SteeredService};
use crate::config::{Capacity, Config, ServiceConfig};
use crate::geo::OutcomeTable;
use crate::steering::Point;

/// A region on one side.
#[derive(Debug, Clone)]
pub struct ForecastRegion {
    /// Its name.
    pub name: String,
    /// Its location.
    pub point: Option<Point>,
    /// How a tier is divided.
    pub weight: u32,
    /// Per cent.
    pub bias: i8,
    /// Its capacity.
    pub capacity: Option<Capacity>,
}

/// What one side answers: every address has a class, and the clients of a class are split over
/// regions.
#[derive(Debug, Clone)]
pub struct ForecastSide {
    /// The class of each address.
    pub table: Arc<OutcomeTable>,
    /// By class; positions are those of `regions`.
    pub splits: Vec<RegionSplit>,
    /// By class: whether its clients have a live region.
    pub fates: Vec<ClassSplit>,
    /// The regions that it has for this family.
    pub regions: Vec<ForecastRegion>,
}

impl ForecastSide {
    /// A side without the service, or without endpoints of the family: no client gets an answer.
    pub fn without_answers() -> ForecastSide {
        ForecastSide {
            table: Arc::new(OutcomeTable::uniform(0)),
            splits: Vec::new(),
            fates: Vec::new(),
            regions: Vec::new(),
        }
    }

    /// One family of a service under an availability; `None`: it has no such family.
    pub fn of(
        catalog: &Catalog,
        config: &Config,
        service: &SteeredService,
        family: ServiceFamily,
        now: Option<&ServiceAvailability>,
    ) -> Option<ForecastSide> {
        let view = service.view(family)?;
        let live = LiveView::by_class(service, family, now)?;
        let (mut splits, mut fates) = (Vec::new(), Vec::new());
        for outcome in live.outcomes.iter() {
            splits.push(RegionSplit::of(outcome, &live, service.pick));
        }
        for (tiers, outcome) in view.catchment.classes().iter().zip(live.outcomes.iter()) {
            fates.push(ClassSplit::of(tiers, outcome));
        }
        let configured = configured(catalog, config, service);
        let mut regions = Vec::with_capacity(view.regions.len());
        for position in 0..view.regions.len() {
            regions.push(region(catalog, config, configured, view, position));
        }
        Some(ForecastSide {
            table: live.table,
            splits,
            fates,
            regions,
        })
    }

    /// The same with positions in `names` instead of its own. New names are added.
    pub fn numbered_in(mut self, names: &mut Vec<String>) -> ForecastSide {
        let mut places = Vec::with_capacity(self.regions.len());
        for region in &self.regions {
            places.push(position_or_push(names, &region.name) as u16);
        }
        for split in &mut self.splits {
            for (position, _) in &mut split.0 {
                if let Some(place) = places.get(usize::from(*position)) {
                    *position = *place;
                }
            }
        }
        self
    }

    /// A region by name.
    pub fn region(&self, name: &str) -> Option<&ForecastRegion> {
        self.regions.iter().find(|region| region.name == name)
    }
}

/// The configuration of a service. Catalog and configuration number the services alike, unless the
/// service is being changed.
pub(super) fn configured<'c>(
    catalog: &Catalog,
    config: &'c Config,
    service: &SteeredService,
) -> Option<&'c ServiceConfig> {
    let (id, _) = catalog.service_named(&service.name)?;
    let likely = config.services.get(id.0 as usize);
    if likely.is_some_and(|likely| likely.name == service.name) {
        return likely;
    }
    let mut services = config.services.iter();
    services.find(|configured| configured.name == service.name)
}

fn region(
    catalog: &Catalog,
    config: &Config,
    of_service: Option<&ServiceConfig>,
    view: &ServiceView,
    position: usize,
) -> ForecastRegion {
    let region = &view.regions[position];
    let name = catalog.region_name(region.region).unwrap_or_default();
    let configured = config.regions.iter().find(|region| region.name == name);
    let listed = of_service.and_then(|service| service.regions.get(region.listed));
    let candidate = view.rules.rules.candidates.get(position);
    ForecastRegion {
        name: name.to_owned(),
        point: configured.and_then(|region| region.location),
        weight: region.weight,
        bias: candidate.map_or(0, |candidate| candidate.bias.percent()),
        capacity: listed.and_then(|region| region.capacity),
    }
}

/// The position of a name in the list. A new name is added.
pub(super) fn position_or_push(names: &mut Vec<String>, name: &str) -> usize {
    if let Some(position) = names.iter().position(|known| known == name) {
        return position;
    }
    names.push(name.to_owned());
    names.len() - 1
}
