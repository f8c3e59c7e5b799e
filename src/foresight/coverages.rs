//! The coverage of every service of a catalog.
//!
//! Clients are counted once for each catchment and kept in [`ClientCounts`] across changes of
//! health. Views with the same catchment and the same states of their regions share a result.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::coverage::{
    ClassSplit, ClassWeights, Coverage, ZoneWeights, classes_of, fates, traffic_parts,
};
use super::traffic::NotedTraffic;
use crate::catalog::region_states::region_states;
use crate::catalog::services::{ServiceFamily, ServiceView};
use crate::catalog::{Availability, Catalog};
use crate::geo::catchment::Catchment;
use crate::geo::{AddressTable, Atlas};
use crate::steering::RegionStates;

/// By service, the sampled networks with the number of their queries.
pub type NotedNetworks = Vec<Vec<(IpAddr, u64)>>;

/// The clients of catchments, as far as they are counted.
#[derive(Debug, Default)]
pub struct ClientCounts {
    catchments: HashMap<usize, Counted>,
    maps: HashMap<(usize, usize), CountedMap>,
}

/// The clients of a map of zones. Map and atlas are held, so that their addresses, which are the
/// key, stay unique.
#[derive(Debug)]
struct CountedMap {
    _zones: Arc<AddressTable>,
    _atlas: Arc<Atlas>,
    weights: Arc<ZoneWeights>,
}

/// The clients of one catchment. Catchment and atlas are held, so that their addresses, which are
/// the keys, stay unique.
#[derive(Debug)]
struct Counted {
    _catchment: Arc<Catchment>,
    _atlas: Arc<Atlas>,
    weights: Arc<ClassWeights>,
}

/// By catchment and states: the split of each class, and the coverage that follows.
type KnownCoverages = HashMap<(usize, RegionStates), (Arc<Vec<ClassSplit>>, Coverage)>;

impl ClientCounts {
    /// Counts the clients of every catchment of a catalog.
    pub fn of(catalog: &Catalog) -> ClientCounts {
        let mut counts = ClientCounts::default();
        for service in &catalog.services {
            for view in service.views() {
                if counts.get(view, &catalog.atlas).is_none() {
                    let zones = match counts.of_map(view, &catalog.atlas) {
                        Some(zones) => zones,
                        None => counts.count_map(view, &catalog.atlas),
                    };
                    let weights = ClassWeights::of(&view.catchment, &zones);
                    counts.insert(view, &catalog.atlas, Arc::new(weights));
                }
            }
        }
        counts
    }

    /// The clients of a view's map; `None` if they are not counted yet.
    pub fn of_map(&self, view: &ServiceView, atlas: &Arc<Atlas>) -> Option<Arc<ZoneWeights>> {
        let counted = self.maps.get(&map_key(view, atlas))?;
        Some(counted.weights.clone())
    }

    /// Keeps the clients of a view's map.
    pub fn insert_map(
        &mut self,
        view: &ServiceView,
        atlas: &Arc<Atlas>,
        weights: Arc<ZoneWeights>,
    ) {
        let counted = CountedMap {
            _zones: view.catchment.zones().clone(),
            _atlas: atlas.clone(),
            weights,
        };
        self.maps.insert(map_key(view, atlas), counted);
    }

    fn count_map(&mut self, view: &ServiceView, atlas: &Arc<Atlas>) -> Arc<ZoneWeights> {
        let weights = Arc::new(ZoneWeights::of(view.catchment.zones(), atlas));
        self.insert_map(view, atlas, weights.clone());
        weights
    }

    /// The clients of a view; `None` if they are not counted yet.
    pub fn get(&self, view: &ServiceView, atlas: &Arc<Atlas>) -> Option<Arc<ClassWeights>> {
        let counted = self.catchments.get(&key(view, atlas))?;
        Some(counted.weights.clone())
    }

    /// Keeps the clients of a view.
    pub fn insert(&mut self, view: &ServiceView, atlas: &Arc<Atlas>, weights: Arc<ClassWeights>) {
        let counted = Counted {
            _catchment: view.catchment.clone(),
            _atlas: atlas.clone(),
            weights,
        };
        self.catchments.insert(key(view, atlas), counted);
    }

    /// Drops the counts that no service of this catalog uses.
    pub fn keep(&mut self, catalog: &Catalog) {
        let (mut used, mut maps) = (HashSet::new(), HashSet::new());
        for service in &catalog.services {
            for view in service.views() {
                used.insert(key(view, &catalog.atlas));
                maps.insert(map_key(view, &catalog.atlas));
            }
        }
        self.catchments.retain(|key, _| used.contains(key));
        self.maps.retain(|key, _| maps.contains(key));
    }
}

/// The key of a view's clients. Views in which all clients are of one class share one key.
fn key(view: &ServiceView, atlas: &Arc<Atlas>) -> usize {
    if view.catchment.is_uniform() {
        Arc::as_ptr(atlas) as usize
    } else {
        Arc::as_ptr(&view.catchment) as usize
    }
}

/// The key of the clients of a view's map.
fn map_key(view: &ServiceView, atlas: &Arc<Atlas>) -> (usize, usize) {
    let zones = Arc::as_ptr(view.catchment.zones()) as usize;
    (zones, Arc::as_ptr(atlas) as usize)
}

/// The clients that a catalog has sampled, by service.
pub fn noted(catalog: &Catalog) -> NotedNetworks {
    let mut noted: NotedNetworks = vec![Vec::new(); catalog.services.len()];
    for (client, queries) in catalog.sample.noted() {
        if let Some(clients) = noted.get_mut(client.service.0 as usize) {
            clients.push((client.client, queries));
        }
    }
    noted
}

/// The clients that another server has sampled, by service of this catalog.
///
/// # Errors
/// A sentence: `traffic` cannot be read.
pub fn noted_in(catalog: &Catalog, traffic: &NotedTraffic) -> Result<NotedNetworks, String> {
    let mut by_service = traffic.by_service()?;
    let mut noted = Vec::with_capacity(catalog.services.len());
    for service in &catalog.services {
        let name = service.name.to_string().to_ascii_lowercase();
        noted.push(by_service.remove(&name).unwrap_or_default());
    }
    Ok(noted)
}

/// The coverage of every service by family, as far as its clients are counted. Without an
/// availability, everything is up.
pub fn coverages(
    catalog: &Catalog,
    availability: Option<&Availability>,
    noted: &NotedNetworks,
    counts: &ClientCounts,
) -> Vec<Vec<Coverage>> {
    let mut known = KnownCoverages::new();
    let mut services = Vec::with_capacity(catalog.services.len());
    for (at, service) in catalog.services.iter().enumerate() {
        let now = availability.and_then(|availability| availability.of(at));
        let clients = noted.get(at).map_or(&[][..], Vec::as_slice);
        let mut families = Vec::new();
        for family in ServiceFamily::ALL {
            let Some(view) = service.view(family) else {
                continue;
            };
            let Some(weights) = counts.get(view, &catalog.atlas) else {
                continue;
            };
            let states = region_states(service, view, now);
            let counted = CountedView {
                family,
                view,
                weights: &weights,
                clients,
            };
            families.push(counted.coverage(&mut known, states));
        }
        services.push(families);
    }
    services
}

/// One view and its counted clients.
struct CountedView<'c> {
    family: ServiceFamily,
    view: &'c ServiceView,
    weights: &'c ClassWeights,
    /// Sampled networks, with the number of their queries.
    clients: &'c [(IpAddr, u64)],
}

impl CountedView<'_> {
    fn coverage(&self, known: &mut KnownCoverages, states: RegionStates) -> Coverage {
        let catchment = Arc::as_ptr(&self.view.catchment) as usize;
        let (fates, shared) = known
            .entry((catchment, states))
            .or_insert_with_key(|(_, states)| {
                let fates = fates(self.view, states);
                let coverage = Coverage::of(self.family, self.weights, &fates, &[]);
                (Arc::new(fates), coverage)
            });
        let traffic = traffic_parts(fates, &classes_of(&self.view.catchment, self.clients));
        Coverage {
            rtype: self.family.word().to_owned(),
            traffic,
            ..shared.clone()
        }
    }
}
