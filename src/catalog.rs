//! The World: zones, services and geography compiled for answering. Immutable; replaced whole or not at all.

pub mod keys;
pub mod names;
pub mod records;

pub mod compression;

pub mod endpoint_data;
pub mod services;

mod compile;

pub mod present;
pub mod region_states;

pub mod sample;

use std::sync::Arc;

use crate::config::Config;
use crate::dns::{Name, SearchName};
use crate::geo::Atlas;

pub use compile::ServiceMistake;
pub use names::{Lookup, NameNode, NameRole, NameTable, NodeId, ServiceId, ZoneId};
pub use present::{Availability, LiveState};
pub use records::{RrsetTable, WireRrset};
pub use sample::ClientSample;
pub use services::{ServiceView, SteeredService};

use services::CatchmentCache;

/// Everything that a query is answered from, but for what changes with health.
#[derive(Debug)]
pub struct Catalog {
    /// Every name.
    pub names: NameTable,
    /// Every RRset.
    pub records: RrsetTable,
    /// By [`ZoneId`].
    pub zones: Vec<CatalogZone>,
    /// By [`ServiceId`].
    pub services: Vec<SteeredService>,
    /// Region names by [`crate::config::RegionId`].
    pub regions: Vec<String>,
    /// Where addresses are.
    pub atlas: Arc<Atlas>,
    /// Who asks for the services.
    pub sample: Arc<ClientSample>,
}

/// What a reply needs of a zone.
#[derive(Debug, Clone)]
pub struct CatalogZone {
    /// The apex.
    pub origin: Name,
    /// Labels of the apex.
    pub labels: u8,
    /// The SOA record at its negative TTL: the lesser of its own TTL and MINIMUM (RFC 2308 section 5).
    pub negative_soa: u32,
    /// SERIAL of the SOA.
    pub serial: u32,
}

impl Catalog {
    /// Continues the sample of clients of the catalog that this one replaces, for the services that stay.
    pub fn continue_sample(&self, old: &Catalog) {
        self.sample.go_on_from(&old.sample, |service| {
            let service = old.services.get(service.0 as usize)?;
            let (id, _) = self.service_named(&service.name)?;
            Some(id)
        });
    }

    /// The same zones with services that have other endpoints or weights: those of a configuration with the same
    /// services in the same order, whose endpoints fit the zones as well as before.
    pub fn with_services(&self, config: &Config) -> Catalog {
        let mut catchments = CatchmentCache::of(&self.services);
        let compile =
            |service| SteeredService::compile(service, config, &self.atlas, &mut catchments);
        Catalog {
            services: config.services.iter().map(compile).collect(),
            names: self.names.clone(),
            records: self.records.clone(),
            zones: self.zones.clone(),
            regions: self.regions.clone(),
            atlas: self.atlas.clone(),
            sample: self.sample.clone(),
        }
    }

    /// The zone that holds a name, if one does.
    pub fn zone_of(&self, name: &Name) -> Option<&CatalogZone> {
        let wire = name.to_lower();
        let search = SearchName::from_wire(wire.as_wire())?;
        let node = match self.names.look_up(&search) {
            Lookup::Found(node) | Lookup::Wildcard(node) | Lookup::Delegated(node) => node,
            Lookup::Redirected(node) | Lookup::Missing(node) => node,
            Lookup::Outside => return None,
        };
        self.zones.get(node.zone.0 as usize)
    }

    /// The service of this very name.
    pub fn service_named(&self, name: &Name) -> Option<(ServiceId, &SteeredService)> {
        let node = self.names.get(name.to_lower().as_wire())?;
        let id = node.service?;
        self.services
            .get(id.0 as usize)
            .map(|service| (id, service))
    }
}
