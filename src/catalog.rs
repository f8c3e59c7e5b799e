//! The compiled state that queries are answered from: zones, services and geography.
//!
//! A [`Catalog`] is compiled from the configuration, the zone files and the atlas. It never
//! changes; a reload compiles a new one and swaps it in whole. What changes with health is kept
//! apart, in a [`LiveState`], which is small and compiled again at each change.
//!
//! Queries look names up in [`names`], copy RRsets from [`records`] and pick endpoints from
//! [`live_state`]. Nothing in these modules can panic. The modules that only compile are exempt.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub mod keys;
pub mod names;
pub mod records;
pub mod signed;

pub mod availability;
pub mod live_state;
pub mod sample;

pub mod answer_counters;
pub mod endpoint_data;

// These run when something is compiled, never for a query, so arithmetic and indexing are allowed.
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
pub mod catchments;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod compile;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
pub mod compression;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod edit;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod prints;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
pub mod region_states;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
pub mod services;

use std::sync::Arc;

use crate::config::{Config, RegionId};
use crate::dns::{Name, RecordType, SearchName};
use crate::geo::Atlas;

pub use availability::Availability;
pub use compile::{CatalogError, ServiceMistake};
pub use live_state::LiveState;
pub use names::{Lookup, NameNode, NameRole, NameTable, NodeId, ServiceId, ZoneId};
pub use records::{RrsetTable, WireRrset};
pub use sample::ClientSample;
pub use services::{ServiceView, SteeredService};

use catchments::CatchmentCache;
use signed::SignedZones;

/// Everything that a query is answered from, except what changes with health.
#[derive(Debug)]
pub struct Catalog {
    /// The names of all zones.
    pub names: NameTable,
    /// The RRsets of all zones in wire form.
    pub records: RrsetTable,
    /// By [`ZoneId`].
    pub zones: Vec<CatalogZone>,
    /// By [`ServiceId`].
    pub services: Vec<SteeredService>,
    /// Region names by [`crate::config::RegionId`].
    pub regions: Vec<String>,
    /// The geography of addresses.
    pub atlas: Arc<Atlas>,
    /// A sample of the clients that ask for the services.
    pub sample: Arc<ClientSample>,
    /// Signatures and proofs of the signed zones; `None`: no zone is signed.
    pub signed: Option<Arc<SignedZones>>,
    /// The hashes of all names that records point at and of the names above these, sorted.
    pointed_at: Arc<[u64]>,
}

/// The parts of a zone that replies need.
#[derive(Debug, Clone)]
pub struct CatalogZone {
    /// The apex.
    pub origin: Name,
    /// Number of labels of the apex.
    pub labels: u8,
    /// The number of the SOA RRset at its negative TTL: the lesser of its own TTL and MINIMUM
    /// (RFC 2308 section 5).
    pub negative_soa: u32,
    /// SERIAL of the SOA.
    pub serial: u32,
    /// The fingerprint of its records without the serial. It does not depend on how the file spells
    /// or orders them.
    pub print: u128,
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

    /// The same zones with the services of another configuration. It must have the same services in
    /// the same order; their endpoints and weights may differ, but must fit the zones.
    pub fn with_services(&self, config: &Config) -> Catalog {
        let mut catchments = CatchmentCache::of(&self.services);
        Catalog {
            services: catchments.compile_services(config, &self.atlas),
            names: self.names.clone(),
            records: self.records.clone(),
            zones: self.zones.clone(),
            regions: self.regions.clone(),
            atlas: self.atlas.clone(),
            sample: self.sample.clone(),
            signed: self.signed.clone(),
            pointed_at: self.pointed_at.clone(),
        }
    }

    /// The zone that contains a name.
    pub fn zone_of(&self, name: &Name) -> Option<&CatalogZone> {
        let wire = name.to_lower();
        let search = SearchName::from_wire(wire.as_wire())?;
        let zone = self.names.look_up(&search).zone()?;
        self.zones.get(zone.0 as usize)
    }

    /// The data of the records of a type at a name. The type is one whose data has no names, such as
    /// DNSKEY.
    pub fn plain_data_at(&self, name: &Name, rtype: RecordType) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let Some(node) = self.names.get(name.to_lower().as_wire()) else {
            return found;
        };
        for rrset in self.records.of(node.rrsets) {
            if rrset.rtype == rtype {
                found.extend(records::plain_data(self.records.octets(rrset)));
            }
        }
        found
    }

    /// The service with exactly this name.
    pub fn service_named(&self, name: &Name) -> Option<(ServiceId, &SteeredService)> {
        let node = self.names.get(name.to_lower().as_wire())?;
        let id = node.service()?;
        let service = self.services.get(id.0 as usize)?;
        Some((id, service))
    }

    /// The name of a region; `None` for a number that is not configured.
    pub fn region_name(&self, id: RegionId) -> Option<&str> {
        self.regions.get(usize::from(id.0)).map(String::as_str)
    }
}
