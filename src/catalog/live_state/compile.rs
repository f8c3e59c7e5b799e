//! Compiles a [`LiveState`] from a catalog and an availability.
//!
//! Outcome tables are the expensive part: one for each catchment, states of its regions and
//! all-down rule. Views with equal keys share a table, and a new state takes over the tables of
//! the one before. A table is either wide, with blocks as large as the outcomes allow, or made at
//! once from the classes of the catchment, which takes milliseconds however large the map is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{LiveService, LiveState, LiveView};
use crate::catalog::Catalog;
use crate::catalog::availability::{Availability, ServiceAvailability};
use crate::catalog::region_states::ViewAvailability;
use crate::catalog::services::{ServiceFamily, ServiceView, SteeredService, ViewRegion};
use crate::geo::catchment::{Catchment, Outcomes};
use crate::geo::each;
use crate::steering::{EndpointPool, RegionStates};

/// The outcome tables of a live state.
pub(super) type Tables = HashMap<TableKey, LiveTable>;

/// One outcome table.
#[derive(Debug, Clone)]
pub(super) struct LiveTable {
    outcomes: Outcomes,
    /// Blocks are as wide as the outcomes allow.
    wide: bool,
}

impl LiveTable {
    fn wide(catchment: &Catchment, states: &RegionStates) -> LiveTable {
        LiveTable {
            outcomes: catchment.outcomes(states),
            wide: true,
        }
    }

    fn at_once(catchment: &Catchment, states: &RegionStates) -> LiveTable {
        LiveTable {
            outcomes: catchment.outcomes_at_once(states),
            wide: false,
        }
    }

    fn by_class(catchment: &Catchment, states: &RegionStates) -> LiveTable {
        LiveTable {
            outcomes: catchment.outcomes_by_class(states),
            wide: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TableKey {
    /// The catchment's address: the catalog that holds it outlives the key's use.
    catchment: usize,
    states: RegionStates,
}

/// Makes each table once, or takes it from the state before.
struct TableCache<'b> {
    before: Option<&'b Tables>,
    tables: Tables,
    make: fn(&Catchment, &RegionStates) -> LiveTable,
}

impl<'b> TableCache<'b> {
    fn new(
        before: Option<&'b Tables>,
        make: fn(&Catchment, &RegionStates) -> LiveTable,
    ) -> TableCache<'b> {
        TableCache {
            before,
            tables: Tables::new(),
            make,
        }
    }

    /// Makes the tables of these views, on two threads.
    fn make_all<'v>(&mut self, views: impl Iterator<Item = &'v PreparedView<'v>>) {
        let mut missing: Vec<(&TableKey, &Catchment)> = Vec::new();
        let mut seen = HashSet::new();
        for prepared in views {
            let key = &prepared.key;
            if self.tables.contains_key(key) || !seen.insert(key) {
                continue;
            }
            match self.before.and_then(|before| before.get(key)) {
                Some(known) if known.wide => {
                    self.tables.insert(key.clone(), known.clone());
                }
                _ => missing.push((key, &prepared.view.catchment)),
            }
        }
        let made = each(&missing, |(key, catchment)| {
            (self.make)(catchment, &key.states)
        });
        for ((key, _), table) in missing.into_iter().zip(made) {
            self.tables.insert(key.clone(), table);
        }
    }

    fn outcomes(&self, key: &TableKey) -> Option<Outcomes> {
        self.tables.get(key).map(|table| table.outcomes.clone())
    }
}

impl LiveState {
    /// Compiles the live state. Tables that `before` has for the same catalog are shared.
    pub fn compile(
        catalog: &Catalog,
        availability: &Availability,
        before: Option<&LiveState>,
    ) -> LiveState {
        LiveState::build(catalog, availability, before, LiveTable::wide)
    }

    /// Compiles the live state within milliseconds. The blocks of new tables are narrower than
    /// necessary until [`LiveState::widened`].
    pub fn compile_at_once(
        catalog: &Catalog,
        availability: &Availability,
        before: Option<&LiveState>,
    ) -> LiveState {
        LiveState::build(catalog, availability, before, LiveTable::at_once)
    }

    /// Whether some blocks are narrower than necessary.
    pub fn is_narrow(&self) -> bool {
        self.tables.values().any(|table| !table.wide)
    }

    /// The same state with every block as wide as the outcomes allow.
    pub fn widened(&self, catalog: &Catalog) -> LiveState {
        LiveState::build(catalog, &self.availability, Some(self), LiveTable::wide)
    }

    fn build(
        catalog: &Catalog,
        availability: &Availability,
        before: Option<&LiveState>,
        make: fn(&Catchment, &RegionStates) -> LiveTable,
    ) -> LiveState {
        let mut tables = TableCache::new(before.map(|before| &before.tables), make);
        let mut prepared = Vec::with_capacity(catalog.services.len());
        for (index, service) in catalog.services.iter().enumerate() {
            let now = availability.services.get(index);
            prepared.push(ServiceFamily::ALL.map(|family| PreparedView::new(service, family, now)));
        }
        tables.make_all(prepared.iter().flatten().flatten());
        let mut services = Vec::with_capacity(catalog.services.len());
        for (index, (service, views)) in catalog.services.iter().zip(prepared).enumerate() {
            let now = availability.services.get(index);
            services.push(LiveService {
                ttl: now.and_then(|now| now.ttl).unwrap_or(service.ttl),
                views: views.map(|view| view?.finish(&tables)),
            });
        }
        LiveState {
            services,
            tables: tables.tables,
            availability: availability.clone(),
        }
    }
}

impl LiveView {
    /// One family of one service under any availability, for what-if questions; `None`: the
    /// service has no endpoint of that family.
    pub fn alone(
        service: &SteeredService,
        family: ServiceFamily,
        now: Option<&ServiceAvailability>,
    ) -> Option<LiveView> {
        LiveView::compile(service, family, now, LiveTable::wide)
    }

    /// The same with an outcome for each class of the catchment, as narrow as its blocks are.
    pub fn by_class(
        service: &SteeredService,
        family: ServiceFamily,
        now: Option<&ServiceAvailability>,
    ) -> Option<LiveView> {
        LiveView::compile(service, family, now, LiveTable::by_class)
    }

    fn compile(
        service: &SteeredService,
        family: ServiceFamily,
        now: Option<&ServiceAvailability>,
        make: fn(&Catchment, &RegionStates) -> LiveTable,
    ) -> Option<LiveView> {
        let prepared = PreparedView::new(service, family, now)?;
        let mut tables = TableCache::new(None, make);
        tables.make_all(std::iter::once(&prepared));
        prepared.finish(&tables)
    }
}

/// A view whose table is not made yet.
struct PreparedView<'s> {
    view: &'s ServiceView,
    available: ViewAvailability<'s>,
    /// By region, the endpoints that can be picked.
    live: Vec<Vec<usize>>,
    key: TableKey,
}

impl<'s> PreparedView<'s> {
    fn new(
        service: &'s SteeredService,
        family: ServiceFamily,
        now: Option<&'s ServiceAvailability>,
    ) -> Option<PreparedView<'s>> {
        let view = service.view(family)?;
        let available = ViewAvailability::new(view, now);
        let live = available.live_endpoints();
        let key = TableKey {
            catchment: Arc::as_ptr(&view.catchment) as usize,
            states: available.states(service.all_down, &live),
        };
        Some(PreparedView {
            view,
            available,
            live,
            key,
        })
    }

    fn finish(self, tables: &TableCache<'_>) -> Option<LiveView> {
        let outcomes = tables.outcomes(&self.key)?;
        let mut pools = Vec::with_capacity(self.live.len());
        let mut data = Vec::with_capacity(self.live.len());
        for (region, live) in self.view.regions.iter().zip(&self.live) {
            let weights = live_weights(&self.available, region, live);
            pools.push(EndpointPool::new(&weights));
            data.push(
                live.iter()
                    .map(|&at| region.endpoints[at].data.clone())
                    .collect(),
            );
        }
        Some(LiveView {
            table: outcomes.table,
            outcomes: outcomes.chains,
            pools: pools.into(),
            data: data.into(),
        })
    }
}

/// The weights of a region's live endpoints, as replaced or as configured.
fn live_weights(available: &ViewAvailability<'_>, region: &ViewRegion, live: &[usize]) -> Vec<u32> {
    let replaced = available.weights(region);
    let mut weights = Vec::with_capacity(live.len());
    for &at in live {
        let endpoint = &region.endpoints[at];
        let weight = replaced.and_then(|weights| weights.endpoints.get(endpoint.listed));
        weights.push(weight.copied().unwrap_or(endpoint.weight));
    }
    weights
}
