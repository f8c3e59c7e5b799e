//! What a service comes to on one side of a change: before it or after it.

use std::sync::Arc;

use super::fate::ClassSplit;
use super::split::RegionSplit;
use crate::catalog::Catalog;
use crate::catalog::present::{LiveView, ServiceAvailability};
use crate::catalog::services::{ServiceFamily, ServiceView, SteeredService};
use crate::config::{Capacity, Config};
use crate::geo::AddressTable;
use crate::steering::Point;

/// A region as one side has it.
#[derive(Debug, Clone)]
pub struct ForecastRegion {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub point: Option<Point>,
    /// How a tier is divided.
    pub weight: u32,
    /// Per cent.
    pub bias: i8,
    /// What it has room for.
    pub capacity: Option<Capacity>,
}

/// Addresses to splits, splits to regions.
#[derive(Debug, Clone)]
pub struct ForecastSide {
    /// Address to class.
    pub table: Arc<AddressTable>,
    /// By class; positions are those of `regions`.
    pub splits: Vec<RegionSplit>,
    /// By class: whether that is a live region.
    pub fates: Vec<ClassSplit>,
    /// The regions that it has for this family.
    pub regions: Vec<ForecastRegion>,
}

impl ForecastSide {
    /// Where there is no such service, or nothing of that family in it: nobody gets an answer.
    pub fn nobody() -> ForecastSide {
        ForecastSide {
            table: Arc::new(AddressTable::uniform(0)),
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
        let now = LiveView::by_class(service, family, now)?;
        let splits = now
            .outcomes
            .iter()
            .map(|outcome| RegionSplit::of(outcome, &now, service.pick))
            .collect();
        let classes = view.catchment.classes().iter().zip(now.outcomes.iter());
        let fates = classes
            .map(|(tiers, outcome)| ClassSplit::of(tiers, outcome))
            .collect();
        let region = |position: usize| region(catalog, config, service, view, position);
        let regions = (0..view.regions.len()).map(region).collect();
        Some(ForecastSide {
            table: now.table,
            splits,
            fates,
            regions,
        })
    }

    /// The same with positions in `names` instead of its own; names that are not there yet are added.
    pub fn numbered_in(mut self, names: &mut Vec<String>) -> ForecastSide {
        let place = |name: &String| {
            names
                .iter()
                .position(|known| known == name)
                .unwrap_or_else(|| {
                    names.push(name.clone());
                    names.len() - 1
                })
        };
        let places: Vec<u16> = self
            .regions
            .iter()
            .map(|region| &region.name)
            .map(place)
            .map(|place| place as u16)
            .collect();
        for (position, _) in self.splits.iter_mut().flat_map(|split| &mut split.0) {
            *position = places
                .get(usize::from(*position))
                .copied()
                .unwrap_or(*position);
        }
        self
    }

    /// A region by name.
    pub fn region(&self, name: &str) -> Option<&ForecastRegion> {
        self.regions.iter().find(|region| region.name == name)
    }
}

fn region(
    catalog: &Catalog,
    config: &Config,
    service: &SteeredService,
    view: &ServiceView,
    position: usize,
) -> ForecastRegion {
    let known = view.regions.get(position);
    let name = known
        .and_then(|region| catalog.regions.get(usize::from(region.region.0)))
        .cloned()
        .unwrap_or_default();
    let stated = config
        .services
        .iter()
        .find(|stated| stated.name == service.name);
    let listed = known.and_then(|region| stated?.regions.get(region.listed));
    ForecastRegion {
        point: config
            .regions
            .iter()
            .find(|region| region.name == name)
            .and_then(|region| region.location),
        weight: known.map_or(0, |region| region.weight),
        bias: view
            .rules
            .rules
            .candidates
            .get(position)
            .map_or(0, |it| it.bias.percent()),
        capacity: listed.and_then(|region| region.capacity),
        name,
    }
}
