//! The present: what the World comes to under the availability of this moment. Small, immutable, swapped.

use std::collections::HashMap;
use std::sync::Arc;

use super::Catalog;
use super::endpoint_data::EndpointData;
use super::region_states::{live_endpoints, states, weights_now};
use super::services::{ServiceFamily, ServiceView, SteeredService};
use crate::geo::AddressTable;
use crate::geo::catchment::{Catchment, OutcomeTable};
use crate::steering::{ActiveTier, EndpointPool, FailoverChain, RegionStates, Share, ShareWindow};

/// What is available: the one place where observed health and ordered drains have been combined.
#[derive(Debug, Clone, PartialEq)]
pub struct Availability {
    /// By service, as configured.
    pub services: Vec<ServiceAvailability>,
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceAvailability {
    /// Overrides the configured TTL, in seconds.
    pub ttl: Option<u32>,
    /// By region, as listed in the service.
    pub regions: Vec<RegionAvailability>,
}

/// One region of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionAvailability {
    /// The part of its clients that it takes.
    pub share: Share,
    /// Clients that are offered another region, as listed, before their next one.
    pub detour: Option<(usize, ShareWindow)>,
    /// Whether it was available when some region of the service last was.
    pub last_good: bool,
    /// By endpoint, as listed: may it be given out?
    pub endpoints: Vec<bool>,
    /// By endpoint, as listed: was it good when it was last asked, whatever is agreed? Nobody ordered it out.
    pub seen_alive: Vec<bool>,
    /// Weights that stand in for the configured ones at this moment; `None`: the configured ones.
    pub weights: Option<RegionWeights>,
    /// Why some or all of it take nobody, for people: `is down: ...` or `is drained by ...`.
    pub reason: Option<String>,
    /// An operator drained it: not even the all-down rule gives it while anything else is left.
    pub drained: bool,
    /// The same by endpoint, as listed.
    pub drained_endpoints: Vec<bool>,
    /// Every order that bears on it, for people: `is drained by ...`.
    pub orders: Vec<String>,
}

/// Weights of a region and its endpoints at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionWeights {
    /// How a tier is divided.
    pub region: u32,
    /// By endpoint, as listed.
    pub endpoints: Vec<u32>,
}

impl Availability {
    /// Everything is up.
    pub fn all_up(config: &crate::config::Config) -> Availability {
        let region = |region: &crate::config::ServiceRegion| RegionAvailability {
            share: Share::ALL,
            detour: None,
            last_good: true,
            endpoints: vec![true; region.endpoints.len()],
            seen_alive: vec![false; region.endpoints.len()],
            weights: None,
            reason: None,
            drained: false,
            drained_endpoints: vec![false; region.endpoints.len()],
            orders: Vec::new(),
        };
        let service = |service: &crate::config::ServiceConfig| ServiceAvailability {
            ttl: None,
            regions: service.regions.iter().map(region).collect(),
        };
        Availability {
            services: config.services.iter().map(service).collect(),
        }
    }
}

/// What queries look up besides the World.
#[derive(Debug)]
pub struct LiveState {
    services: Vec<LiveService>,
    tables: Tables,
    availability: Availability,
}

/// One service at this moment.
#[derive(Debug)]
pub struct LiveService {
    /// Seconds.
    pub ttl: u32,
    views: [Option<LiveView>; ServiceFamily::ALL.len()],
}

/// One family of a service at this moment.
#[derive(Debug)]
pub struct LiveView {
    /// Address to outcome.
    pub table: Arc<AddressTable>,
    /// By the table's values.
    pub outcomes: Arc<[FailoverChain]>,
    /// Endpoints that can be picked, by position in the view.
    pub pools: Box<[Option<EndpointPool>]>,
    /// Their record data, by position and by index into the pool.
    pub data: Box<[Box<[EndpointData]>]>,
    /// Where each stands in the view's list, by position and by index into the pool.
    pub listed: Box<[Box<[usize]>]>,
}

/// Outcome tables: one for each catchment, standing of its candidates and all-down rule.
type Tables = HashMap<TableKey, Table>;

#[derive(Debug, Clone)]
struct Table {
    outcomes: OutcomeTable,
    /// Blocks are as wide as the outcomes allow.
    wide: bool,
}

/// How tables are made that are not known yet.
type Make = fn(&Catchment, &TableKey) -> Table;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TableKey {
    /// The catchment's address: the World that holds it outlives the key's use.
    catchment: usize,
    states: RegionStates,
}

impl LiveState {
    /// Works out the present. Tables that `before` has for the same World are shared, not computed again.
    pub fn compile(
        catalog: &Catalog,
        availability: &Availability,
        before: Option<&LiveState>,
    ) -> LiveState {
        LiveState::build(catalog, availability, before, wide)
    }

    /// The same within milliseconds, however large the map: the blocks of what has changed are narrower than they could
    /// be until [`LiveState::widened`].
    pub fn compile_at_once(
        catalog: &Catalog,
        availability: &Availability,
        before: Option<&LiveState>,
    ) -> LiveState {
        LiveState::build(catalog, availability, before, at_once)
    }

    /// Whether some blocks are narrower than they could be.
    pub fn is_narrow(&self) -> bool {
        self.tables.values().any(|table| !table.wide)
    }

    /// The same present with every block as wide as can be.
    pub fn widened(&self, catalog: &Catalog) -> LiveState {
        LiveState::build(catalog, &self.availability, Some(self), wide)
    }

    fn build(
        catalog: &Catalog,
        availability: &Availability,
        before: Option<&LiveState>,
        make: Make,
    ) -> LiveState {
        let mut tables = Tables::new();
        let services = catalog.services.iter().enumerate().map(|(index, service)| {
            let now = availability.services.get(index);
            LiveService {
                ttl: now.and_then(|now| now.ttl).unwrap_or(service.ttl),
                views: ServiceFamily::ALL.map(|family| {
                    let table = |view: &ServiceView, key: TableKey| {
                        let known = || {
                            before
                                .and_then(|before| before.tables.get(&key))
                                .filter(|known| known.wide)
                        };
                        let made = known().cloned();
                        let table = tables.entry(key);
                        table
                            .or_insert_with_key(|key| {
                                made.unwrap_or_else(|| make(&view.catchment, key))
                            })
                            .outcomes
                            .clone()
                    };
                    service
                        .view(family)
                        .map(|view| LiveView::compile(service, view, now, table))
                }),
            }
        });
        let services = services.collect();
        LiveState {
            services,
            tables,
            availability: availability.clone(),
        }
    }

    /// What is available, as this was worked out from it.
    pub fn availability(&self) -> &Availability {
        &self.availability
    }

    /// A service at this moment.
    #[inline]
    pub fn service(&self, id: super::ServiceId) -> Option<&LiveService> {
        self.services.get(id.0 as usize)
    }
}

impl LiveService {
    /// The view that answers for a family.
    #[inline]
    pub fn view(&self, family: ServiceFamily) -> Option<&LiveView> {
        self.views.get(family as usize)?.as_ref()
    }
}

impl LiveView {
    /// The record data of a pick.
    #[inline]
    pub fn endpoint(&self, region: u8, endpoint: u16) -> Option<&EndpointData> {
        self.data
            .get(usize::from(region))?
            .get(usize::from(endpoint))
    }

    /// Whether more than one endpoint of a stage can be picked.
    #[inline]
    pub fn has_choice(&self, stage: &ActiveTier) -> bool {
        let size = |region: u8| {
            self.data
                .get(usize::from(region))
                .map_or(0, |data| data.len())
        };
        stage.regions.len() > 1 || stage.regions.iter().any(|(region, _)| size(*region) > 1)
    }

    /// One family of one service under an availability, for whoever asks what if; `None`: it has no such family.
    pub fn alone(
        service: &SteeredService,
        family: ServiceFamily,
        now: Option<&ServiceAvailability>,
    ) -> Option<LiveView> {
        let view = service.view(family)?;
        Some(LiveView::compile(service, view, now, |view, key| {
            wide(&view.catchment, &key).outcomes
        }))
    }

    /// The same with an outcome for each class of the catchment, as narrow as its blocks are.
    pub fn by_class(
        service: &SteeredService,
        family: ServiceFamily,
        now: Option<&ServiceAvailability>,
    ) -> Option<LiveView> {
        let view = service.view(family)?;
        Some(LiveView::compile(service, view, now, |view, key| {
            at_once(&view.catchment, &key).outcomes
        }))
    }

    fn compile(
        service: &SteeredService,
        view: &ServiceView,
        now: Option<&ServiceAvailability>,
        table: impl FnOnce(&ServiceView, TableKey) -> OutcomeTable,
    ) -> LiveView {
        let live: Vec<Vec<usize>> = (0..view.regions.len())
            .map(|position| live_endpoints(view, now, position))
            .collect();
        let states = states(service, view, now, &live);
        let key = TableKey {
            catchment: Arc::as_ptr(&view.catchment) as usize,
            states,
        };
        let (table, outcomes) = table(view, key);
        let endpoints = |position: usize| {
            view.regions
                .get(position)
                .map_or(&[][..], |region| &region.endpoints)
        };
        let weights = |(position, live): (usize, &Vec<usize>)| {
            let weights = view
                .regions
                .get(position)
                .and_then(|region| weights_now(now, region.listed));
            let weight = |&at: &usize| {
                let endpoint = &endpoints(position)[at];
                weights
                    .and_then(|weights| weights.endpoints.get(endpoint.listed))
                    .copied()
                    .unwrap_or(endpoint.weight)
            };
            EndpointPool::new(&live.iter().map(weight).collect::<Vec<u32>>())
        };
        let data = |(position, live): (usize, &Vec<usize>)| {
            live.iter()
                .map(|&at| endpoints(position)[at].data.clone())
                .collect()
        };
        LiveView {
            table,
            outcomes,
            pools: live.iter().enumerate().map(weights).collect(),
            data: live.iter().enumerate().map(data).collect(),
            listed: live.into_iter().map(Vec::into_boxed_slice).collect(),
        }
    }
}

fn wide(catchment: &Catchment, key: &TableKey) -> Table {
    Table {
        outcomes: catchment.outcomes(&key.states),
        wide: true,
    }
}

fn at_once(catchment: &Catchment, key: &TableKey) -> Table {
    Table {
        outcomes: catchment.outcomes_by_class(&key.states),
        wide: false,
    }
}
