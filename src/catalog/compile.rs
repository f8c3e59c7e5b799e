//! Compiles a [`Catalog`] from zones and configuration.
//!
//! A draft gives every RRset and every service its node, marks the zone cuts, and checks that the
//! services fit the zones. Then it puts the RRsets into wire form and finds the nodes of the names
//! in them. A compiled catalog never changes.

mod conflicts;
mod sign;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::catchments::CatchmentCache;
use super::names::{NameNode, NamePlace, NameRole, NameTable, NodeId, ServiceId, ZoneId};
use super::prints::set_prints;
use super::records::{AdditionalTarget, PreparedRrset, RrsetTable, UnresolvedTarget};
use super::signed::presigned::is_of_tables;
use super::signed::{SigningFault, ZoneSigners, steered_types};
use super::{Catalog, CatalogZone, ClientSample};
use crate::config::{Config, SourceLine};
use crate::dns::name::MAX_NAME;
use crate::dns::name_hash::name_hash;
use crate::dns::reply::RECORD_HEADER;
use crate::dns::{Name, RecordType};
use crate::geo::Atlas;
use crate::zone;

/// A service that does not fit the zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceMistake {
    /// Where the service is stated.
    pub stated: SourceLine,
    /// What is wrong.
    pub sentence: String,
}

impl Catalog {
    /// Compiles zones and services without signing anything.
    ///
    /// # Errors
    /// The services that do not fit the zones.
    pub fn compile(
        config: &Config,
        zones: &[zone::Zone],
        atlas: Arc<Atlas>,
    ) -> Result<Catalog, CatalogError> {
        Catalog::compile_signed(config, zones, atlas, &ZoneSigners::default())
    }

    /// Compiles zones and services, and signs the zones that have a signer.
    ///
    /// # Errors
    /// The services that do not fit the zones, or a zone that could not be signed.
    pub fn compile_signed(
        config: &Config,
        zones: &[zone::Zone],
        atlas: Arc<Atlas>,
        signers: &ZoneSigners,
    ) -> Result<Catalog, CatalogError> {
        let mut draft = Draft::new(zones);
        draft.reserve();
        draft.place_records();
        let mut mistakes = draft.place_services(config);
        draft.find_cuts();
        mistakes.extend(draft.check_services(config));
        if !mistakes.is_empty() {
            return Err(CatalogError::Services(mistakes));
        }
        draft.leave_out_placeholders(config);
        let wanted = draft.prepare();
        draft.resolve_targets(wanted);
        let mut zones = draft.finish_zones();
        draft.names.shrink();
        draft.records.settle();
        set_prints(&draft.names, &draft.records, &mut zones);
        let signed = draft.sign(config, &zones, signers)?;
        let services = CatchmentCache::default().compile_services(config, &atlas);
        let regions = config
            .regions
            .iter()
            .map(|region| region.name.clone())
            .collect();
        let sample = Arc::new(ClientSample::new(config.traffic_sample));
        Ok(Catalog {
            names: draft.names,
            records: draft.records,
            zones,
            services,
            regions,
            atlas,
            sample,
            signed: signed.map(Arc::new),
            pointed_at: draft.pointed_at.into(),
        })
    }
}

/// Why a catalog cannot be compiled.
#[derive(Debug)]
pub enum CatalogError {
    /// The services that do not fit the zones.
    Services(Vec<ServiceMistake>),
    /// A zone that could not be signed.
    Signing(SigningFault),
}

/// One RRset and the node that it belongs to.
#[derive(Clone, Copy)]
struct Placed {
    node: NodeId,
    zone: u32,
    /// Its first record and the number of its records.
    rrset: (u32, u32),
    rtype: RecordType,
    /// Its number in the catalog, once it is in wire form.
    compiled: u32,
}

/// The names in one RRset whose records belong in the additional section.
struct WantedNames {
    /// Number of the RRset.
    rrset: u32,
    /// The zone cut at or above its owner.
    cut: Option<NodeId>,
    names: Vec<UnresolvedTarget>,
}

/// A catalog that is being compiled.
struct Draft<'z> {
    zones: &'z [zone::Zone],
    names: NameTable,
    records: RrsetTable,
    apexes: Apexes,
    placed: Vec<Placed>,
    /// See [`Catalog::pointed_at`].
    pointed_at: Vec<u64>,
}

/// Lower-cased apex to zone.
struct Apexes(HashMap<Box<[u8]>, ZoneId, foldhash::fast::RandomState>);

impl Apexes {
    fn new(zones: &[zone::Zone]) -> Apexes {
        let mut apexes = HashMap::default();
        for (index, zone) in zones.iter().enumerate() {
            apexes.insert(
                zone.origin.to_lower().as_wire().into(),
                ZoneId(index as u32),
            );
        }
        Apexes(apexes)
    }

    /// The place of a lower-cased name by longest match.
    fn describe(&self, name: &[u8]) -> Option<NamePlace> {
        let mut rest = name;
        loop {
            if let Some(&zone) = self.0.get(rest) {
                return Some(NamePlace {
                    zone,
                    is_apex: rest.len() == name.len(),
                });
            }
            rest = parent(rest)?;
        }
    }
}

/// The wire name without its first label; `None` for the root.
fn parent(name: &[u8]) -> Option<&[u8]> {
    match name.first()? {
        0 => None,
        length => name.get(1 + usize::from(*length)..),
    }
}

/// Where the RRsets of one owner of a zone file belong.
#[derive(Clone, Copy)]
struct OwnerPlace {
    /// `None`: the name belongs to a deeper zone, which may not have it.
    node: Option<NodeId>,
    /// The zone file is that of the zone that holds the name.
    is_own: bool,
}

impl<'z> Draft<'z> {
    fn new(zones: &'z [zone::Zone]) -> Draft<'z> {
        Draft {
            zones,
            names: NameTable::default(),
            records: RrsetTable::default(),
            apexes: Apexes::new(zones),
            placed: Vec::new(),
            pointed_at: Vec::new(),
        }
    }

    fn make(&mut self, lower: &[u8]) -> NodeId {
        let apexes = &self.apexes;
        self.names.make(lower, &|name| apexes.describe(name))
    }

    /// Makes room for all names and records.
    fn reserve(&mut self) {
        let (mut names, mut of_names) = (0, 0);
        let (mut records, mut of_records) = (0, 0);
        for zone in self.zones {
            let extent = zone.extent();
            names += extent.owners;
            of_names += extent.owner_octets;
            records += extent.records;
            of_records += extent.data_octets + extent.records * RECORD_HEADER;
        }
        self.names.reserve(names, of_names);
        // Each zone has its SOA a second time.
        self.records.reserve(records + self.zones.len(), of_records);
        self.placed.reserve_exact(records);
    }

    /// Gives every RRset its node. RRsets of names in a deeper zone are left out, because that zone
    /// is loaded too; except DS, which belongs to the parent (RFC 4035 section 3.1.4.1).
    fn place_records(&mut self) {
        self.make(&[0]);
        for (zone, data) in self.zones.iter().enumerate() {
            let mut last: Option<(&[u8], OwnerPlace)> = None;
            let is_presigned = data.is_presigned();
            for rrset in data.rrsets() {
                let (owner, rtype) = (rrset.owner(), rrset.rtype());
                if is_presigned && is_of_tables(rtype) {
                    continue;
                }
                let place = match last {
                    Some((other, place)) if other.eq_ignore_ascii_case(owner) => place,
                    _ => self.place_owner(zone, owner),
                };
                last = Some((owner, place));
                let Some(node) = place.node else { continue };
                let is_parent_side = rtype == RecordType::DS && self.is_apex(node);
                let belongs = if is_parent_side {
                    self.is_right_above(zone, &rrset.name())
                } else {
                    place.is_own
                };
                if belongs {
                    self.placed.push(Placed {
                        node,
                        zone: zone as u32,
                        rrset: (rrset.number(), rrset.count()),
                        rtype,
                        compiled: 0,
                    });
                }
            }
        }
        if !self.placed.is_sorted_by_key(|placed| placed.node) {
            self.placed.sort_by_key(|placed| placed.node);
        }
    }

    fn place_owner(&mut self, zone: usize, owner: &[u8]) -> OwnerPlace {
        let mut lower = [0; MAX_NAME];
        let lower = &mut lower[..owner.len()];
        lower.copy_from_slice(owner);
        lower.make_ascii_lowercase();
        let Some(place) = self.apexes.describe(lower) else {
            return OwnerPlace {
                node: None,
                is_own: false,
            };
        };
        let is_own = place.zone.0 as usize == zone;
        // A name below the apex of a deeper zone exists only if that zone has it.
        let node = (is_own || place.is_apex).then(|| self.make(lower));
        OwnerPlace { node, is_own }
    }

    /// Whether a zone is the one that delegates this apex, and not one further up.
    fn is_right_above(&self, zone: usize, apex: &Name) -> bool {
        let lower = apex.to_lower();
        let holder = parent(lower.as_wire()).and_then(|parent| self.apexes.describe(parent));
        holder.is_some_and(|holder| holder.zone.0 as usize == zone)
    }

    fn is_apex(&self, node: NodeId) -> bool {
        self.names
            .node(node)
            .is_some_and(|node| node.role == NameRole::Apex)
    }

    /// Gives every service its node.
    fn place_services(&mut self, config: &Config) -> Vec<ServiceMistake> {
        let mut mistakes = Vec::new();
        for (index, service) in config.services.iter().enumerate() {
            let lower = service.name.to_lower();
            if self.apexes.describe(lower.as_wire()).is_none() {
                let sentence = format!(
                    "{} lies in none of the zones; add a zone file for it",
                    service.name
                );
                mistakes.push(ServiceMistake {
                    stated: service.stated.clone(),
                    sentence,
                });
                continue;
            }
            let node = self.make(lower.as_wire());
            if let Some(node) = self.names.node_mut(node) {
                node.set_service(ServiceId(index as u32));
            }
        }
        mistakes
    }

    /// Leaves out the records that stand for steered ones in zones that are signed in their files.
    fn leave_out_placeholders(&mut self, config: &Config) {
        let presigned: Vec<bool> = self.zones.iter().map(zone::Zone::is_presigned).collect();
        if !presigned.contains(&true) {
            return;
        }
        let names = &self.names;
        self.placed.retain(|placed| {
            let node = names.node(placed.node);
            let service = node.and_then(NameNode::service);
            let service = service.and_then(|it| config.services.get(it.0 as usize));
            !presigned[placed.zone as usize]
                || service.is_none_or(|it| !steered_types(it).contains(&placed.rtype))
        });
    }

    /// Marks zone cuts and the names below them, and notes the parent zone at each apex.
    /// Nodes come after their ancestors, so one pass is enough.
    fn find_cuts(&mut self) {
        let mut has_ns = vec![false; self.names.len()];
        for placed in &self.placed {
            if placed.rtype == RecordType::NS {
                has_ns[placed.node.index()] = true;
            }
        }
        for id in self.names.ids() {
            let Some(parent) = self.parent_of(id).cloned() else {
                continue;
            };
            let Some(node) = self.names.node_mut(id) else {
                continue;
            };
            match node.role {
                NameRole::Apex => {
                    let is_zone = parent.role != NameRole::Outside;
                    node.set_parent_zone(is_zone.then_some(parent.zone));
                }
                NameRole::Ordinary if parent.cut.is_some() => {
                    (node.role, node.cut) = (NameRole::Occluded, parent.cut)
                }
                NameRole::Ordinary if has_ns[id.index()] => {
                    (node.role, node.cut) = (NameRole::Cut, Some(id))
                }
                _ => {}
            }
        }
    }

    fn parent_of(&self, id: NodeId) -> Option<&NameNode> {
        let name = self.names.name_of(self.names.node(id)?);
        self.names.get(parent(name)?)
    }

    fn rrset(&self, placed: &Placed) -> Option<zone::RRset<'z>> {
        let (number, count) = placed.rrset;
        self.zones[placed.zone as usize].rrset(number, count)
    }

    /// Puts every RRset into wire form, node by node. Returns the names in them whose records
    /// belong in the additional section.
    fn prepare(&mut self) -> Vec<WantedNames> {
        let mut all_wanted = Vec::new();
        let mut placed = std::mem::take(&mut self.placed);
        for of_node in placed.chunk_by_mut(|a, b| a.node == b.node) {
            let first = self.records.len();
            let mut dname = None;
            for placed in of_node.iter_mut() {
                let Some(rrset) = self.rrset(placed) else {
                    continue;
                };
                let PreparedRrset { number, targets } =
                    self.records
                        .prepare(rrset.rtype(), rrset.ttl(), rrset.rdata(), rrset.owner());
                placed.compiled = number;
                if placed.rtype == RecordType::DNAME {
                    dname = Some(number);
                }
                if !targets.is_empty() {
                    let cut = self.names.node(placed.node).and_then(|node| node.cut);
                    all_wanted.push(WantedNames {
                        rrset: number,
                        cut,
                        names: targets,
                    });
                }
            }
            let last = self.records.len();
            if let Some(node) = self.names.node_mut(of_node[0].node) {
                node.rrsets = (first, last);
                node.set_dname(dname);
            }
        }
        self.placed = placed;
        all_wanted
    }

    /// Finds the nodes of names in record data. A name that does not exist itself has no records to
    /// add.
    fn resolve_targets(&mut self, wanted: Vec<WantedNames>) {
        for WantedNames { rrset, cut, names } in wanted {
            // The records of a name are added once, even if two records point at it.
            let mut known = HashSet::new();
            let mut targets = Vec::new();
            for UnresolvedTarget { at, name, further } in names {
                let name = name.to_lower();
                self.note_pointed_at(name.as_wire());
                let Some(node) = self.names.id(name.as_wire()) else {
                    continue;
                };
                if known.insert((node, further.has(RecordType::A))) {
                    targets.push(AdditionalTarget { at, node, further });
                }
            }
            if cut.is_some() {
                // Required glue comes before optional glue (RFC 9471 section 3.1).
                targets.sort_by_key(|target: &AdditionalTarget| {
                    self.names.node(target.node).and_then(|node| node.cut) != cut
                });
            }
            self.records.set_targets(rrset, targets);
        }
        self.pointed_at.sort_unstable();
        self.pointed_at.dedup();
    }

    fn note_pointed_at(&mut self, name: &[u8]) {
        let mut rest = Some(name);
        while let Some(name) = rest {
            self.pointed_at.push(name_hash(name));
            rest = parent(name);
        }
    }

    /// The parts of each zone that replies need.
    fn finish_zones(&mut self) -> Vec<CatalogZone> {
        let mut zones = Vec::with_capacity(self.zones.len());
        for zone in self.zones {
            zones.push(finish_zone(zone, &mut self.records));
        }
        zones
    }
}

fn finish_zone(zone: &zone::Zone, records: &mut RrsetTable) -> CatalogZone {
    let (mut data, mut ttl) = (&[][..], 0);
    if let Some(soa) = zone.soa() {
        data = soa.rdata().next().unwrap_or_default();
        ttl = soa.ttl();
    }
    let (negative_soa, serial) = negative_soa(zone.origin.as_wire(), ttl, data, records);
    CatalogZone {
        origin: zone.origin.clone(),
        labels: zone.origin.label_count() as u8,
        negative_soa,
        serial,
        print: 0,
    }
}

/// Adds the SOA that negative answers of a zone carry. Returns its number and its SERIAL.
pub fn negative_soa(apex: &[u8], ttl: u32, data: &[u8], records: &mut RrsetTable) -> (u32, u32) {
    // SERIAL and MINIMUM are the first and the last of the five numbers at the end.
    let (serial, minimum) = (number_from_end(data, 20), number_from_end(data, 4));
    let data = std::iter::once(data);
    let soa = records.prepare(RecordType::SOA, ttl.min(minimum), data, apex);
    (soa.number, serial)
}

/// The number that starts so many octets before the end of the data; 0 if the data is too short.
fn number_from_end(data: &[u8], from_end: usize) -> u32 {
    let start = data.len().saturating_sub(from_end);
    match data[start..].first_chunk::<4>() {
        Some(octets) if data.len() >= from_end => u32::from_be_bytes(*octets),
        _ => 0,
    }
}
