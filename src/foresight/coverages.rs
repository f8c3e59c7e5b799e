//! The coverage of every service of a World: what is counted once for each catchment, and what services that are alike
//! share.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::coverage::{ClassSplit, ClassWeights, Coverage, classes_of, fates, traffic_parts};
use super::traffic::NotedTraffic;
use crate::catalog::region_states::region_states;
use crate::catalog::services::{ServiceFamily, ServiceView};
use crate::catalog::{Availability, Catalog};
use crate::geo::Atlas;
use crate::geo::catchment::Catchment;
use crate::steering::RegionStates;

/// By service, the networks that were noted and how often.
pub type NotedNetworks = Vec<Vec<(IpAddr, u64)>>;

/// The clients of catchments, as far as they are counted.
#[derive(Debug, Default)]
pub struct ClientCounts(HashMap<usize, Counted>);

/// The clients of one catchment. It is held, so that no other can come to be in its place in memory.
#[derive(Debug)]
struct Counted {
    _catchment: Arc<Catchment>,
    _atlas: Arc<Atlas>,
    weights: Arc<ClassWeights>,
}

/// What becomes of the classes of one catchment, and what that is in numbers.
type Known = HashMap<(usize, RegionStates), (Arc<Vec<ClassSplit>>, Coverage)>;

impl ClientCounts {
    /// All of a World.
    pub fn of(catalog: &Catalog) -> ClientCounts {
        let mut counts = ClientCounts::default();
        for view in catalog
            .services
            .iter()
            .flat_map(|service| service.views.iter().flatten())
        {
            if counts.get(view, &catalog.atlas).is_none() {
                counts.insert(
                    view,
                    &catalog.atlas,
                    Arc::new(ClassWeights::of(&view.catchment, &catalog.atlas)),
                );
            }
        }
        counts
    }

    /// The clients of a view; `None`: they are not counted.
    pub fn get(&self, view: &ServiceView, atlas: &Arc<Atlas>) -> Option<Arc<ClassWeights>> {
        self.0
            .get(&key(view, atlas))
            .map(|counted| counted.weights.clone())
    }

    /// Keeps the clients of a view.
    pub fn insert(&mut self, view: &ServiceView, atlas: &Arc<Atlas>, weights: Arc<ClassWeights>) {
        let counted = Counted {
            _catchment: view.catchment.clone(),
            _atlas: atlas.clone(),
            weights,
        };
        self.0.insert(key(view, atlas), counted);
    }

    /// Forgets what no service of this World has.
    pub fn keep(&mut self, catalog: &Catalog) {
        let views = catalog
            .services
            .iter()
            .flat_map(|service| service.views.iter().flatten());
        let used: HashSet<usize> = views.map(|view| key(view, &catalog.atlas)).collect();
        self.0.retain(|key, _| used.contains(key));
    }
}

/// What tells the clients of one view from those of others. Where everybody is of one class, they are the same in all.
fn key(view: &ServiceView, atlas: &Arc<Atlas>) -> usize {
    if view.catchment.is_uniform() {
        Arc::as_ptr(atlas) as usize
    } else {
        Arc::as_ptr(&view.catchment) as usize
    }
}

/// The clients that a World has noted, by service.
pub fn noted(catalog: &Catalog) -> NotedNetworks {
    let mut noted: NotedNetworks = vec![Vec::new(); catalog.services.len()];
    for (client, queries) in catalog.sample.noted() {
        if let Some(clients) = noted.get_mut(client.service.0 as usize) {
            clients.push((client.client, queries));
        }
    }
    noted
}

/// The clients that were noted elsewhere, by service of this World.
///
/// # Errors
/// A sentence: `traffic` cannot be read.
pub fn noted_in(catalog: &Catalog, traffic: &NotedTraffic) -> Result<NotedNetworks, String> {
    catalog
        .services
        .iter()
        .map(|service| traffic.clients_of(&service.name))
        .collect()
}

/// The coverage of every service, by family, as far as its clients are counted; `None`: everything is up.
pub fn coverages(
    catalog: &Catalog,
    availability: Option<&Availability>,
    noted: &NotedNetworks,
    counts: &ClientCounts,
) -> Vec<Vec<Coverage>> {
    let mut known = Known::new();
    let mut services = Vec::with_capacity(catalog.services.len());
    for (at, service) in catalog.services.iter().enumerate() {
        let now = availability.and_then(|availability| availability.services.get(at));
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
            families.push(coverage(
                &mut known,
                (family, view),
                states,
                &weights,
                clients,
            ));
        }
        services.push(families);
    }
    services
}

/// The coverage of one view.
fn coverage(
    known: &mut Known,
    (family, view): (ServiceFamily, &ServiceView),
    states: RegionStates,
    weights: &ClassWeights,
    clients: &[(IpAddr, u64)],
) -> Coverage {
    let catchment = Arc::as_ptr(&view.catchment) as usize;
    let (fates, shared) = known
        .entry((catchment, states))
        .or_insert_with_key(|(_, states)| {
            let fates = fates(view, states);
            let coverage = Coverage::of(family, weights, &fates, &[]);
            (Arc::new(fates), coverage)
        });
    let traffic = traffic_parts(fates, &classes_of(&view.catchment, clients));
    Coverage {
        rtype: family.word().to_owned(),
        traffic,
        ..shared.clone()
    }
}
