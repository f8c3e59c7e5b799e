//! Compiles a [`Catalog`] from zones and configuration.
//!
//! A draft gives every RRset and every service its node, marks the zone cuts, and checks that the
//! services fit the zones. Then it puts the RRsets into wire form and finds the nodes of the names
//! in them. A compiled catalog never changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::catchments::CatchmentCache;
use super::names::{NameNode, NamePlace, NameRole, NameTable, NodeId, ServiceId, ZoneId};
use super::records::{AdditionalTarget, PreparedRrset, RrsetTable, UnresolvedTarget};
use super::{Catalog, CatalogZone, ClientSample};
use crate::config::{self, Config, SourceLine};
use crate::dns::{Name, RecordType};
use crate::geo::Atlas;
use crate::text::shown;
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
    /// Compiles zones and services.
    ///
    /// # Errors
    /// The services that do not fit the zones.
    pub fn compile(
        config: &Config,
        zones: &[zone::Zone],
        atlas: Arc<Atlas>,
    ) -> Result<Catalog, Vec<ServiceMistake>> {
        let mut draft = Draft::new(zones);
        draft.place_records();
        let mut mistakes = draft.place_services(config);
        draft.find_cuts();
        mistakes.extend(draft.check_services(config));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let wanted = draft.prepare();
        draft.resolve_targets(wanted);
        let zones = draft.finish_zones();
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
        })
    }
}

/// One RRset and the node that it belongs to.
#[derive(Clone, Copy)]
struct Placed {
    node: NodeId,
    zone: usize,
    rrset: usize,
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
}

/// Lower-cased apex to zone.
struct Apexes(HashMap<Box<[u8]>, ZoneId>);

impl Apexes {
    fn new(zones: &[zone::Zone]) -> Apexes {
        let mut apexes = HashMap::new();
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
        }
    }

    fn make(&mut self, lower: &Name) -> NodeId {
        let apexes = &self.apexes;
        self.names
            .make(lower.as_wire(), &|name| apexes.describe(name))
    }

    /// Gives every RRset its node. RRsets of names in a deeper zone are left out, because that zone
    /// is loaded too; except DS, which belongs to the parent (RFC 4035 section 3.1.4.1).
    fn place_records(&mut self) {
        self.make(&Name::root());
        for (zone, data) in self.zones.iter().enumerate() {
            let mut last: Option<(&Name, OwnerPlace)> = None;
            for (index, rrset) in data.rrsets.iter().enumerate() {
                let place = match last {
                    Some((owner, place)) if *owner == rrset.owner => place,
                    _ => self.place_owner(zone, &rrset.owner),
                };
                last = Some((&rrset.owner, place));
                let Some(node) = place.node else { continue };
                let is_parent_side = rrset.rtype == RecordType::DS && self.is_apex(node);
                let belongs = if is_parent_side {
                    self.is_right_above(zone, &rrset.owner)
                } else {
                    place.is_own
                };
                if belongs {
                    self.placed.push(Placed {
                        node,
                        zone,
                        rrset: index,
                    });
                }
            }
        }
        self.placed.sort_by_key(|placed| placed.node);
    }

    fn place_owner(&mut self, zone: usize, owner: &Name) -> OwnerPlace {
        let lower = owner.to_lower();
        let Some(place) = self.apexes.describe(lower.as_wire()) else {
            return OwnerPlace {
                node: None,
                is_own: false,
            };
        };
        let is_own = place.zone.0 as usize == zone;
        // A name below the apex of a deeper zone exists only if that zone has it.
        let node = (is_own || place.is_apex).then(|| self.make(&lower));
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
            let node = self.make(&lower);
            if let Some(node) = self.names.node_mut(node) {
                node.service = Some(ServiceId(index as u32));
            }
        }
        mistakes
    }

    /// Marks zone cuts and the names below them, and notes the parent zone at each apex.
    /// Nodes come after their ancestors, so one pass is enough.
    fn find_cuts(&mut self) {
        let mut has_ns = vec![false; self.names.len()];
        for placed in &self.placed {
            if self.rrset(placed).rtype == RecordType::NS {
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
                    node.parent_zone = is_zone.then_some(parent.zone);
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

    fn rrset(&self, placed: &Placed) -> &'z zone::RRset {
        &self.zones[placed.zone].rrsets[placed.rrset]
    }

    /// The services that conflict with the zones.
    fn check_services(&self, config: &Config) -> Vec<ServiceMistake> {
        let placed = self.placed.iter();
        let dnames: Vec<&Placed> = placed
            .filter(|placed| self.rrset(placed).rtype == RecordType::DNAME)
            .collect();
        let mut mistakes = Vec::new();
        for service in &config.services {
            if let Some(sentence) = self.check_service(service, &dnames, config) {
                mistakes.push(ServiceMistake {
                    stated: service.stated.clone(),
                    sentence,
                });
            }
        }
        mistakes
    }

    fn check_service(
        &self,
        service: &config::ServiceConfig,
        dnames: &[&Placed],
        config: &Config,
    ) -> Option<String> {
        let name = &service.name;
        let node_id = self.names.id(name.to_lower().as_wire())?;
        let node = self.names.node(node_id)?;
        if let Some(cut) = node.cut.and_then(|cut| self.names.node(cut)) {
            let cut = Name::from_wire(self.names.name_of(cut)).unwrap_or_else(|_| Name::root());
            return Some(format!(
                "{name} lies at or below the delegation of {cut}, so this server cannot answer for it"
            ));
        }
        if let Some((owner, place)) = self.dname_above(name, dnames) {
            return Some(format!(
                "{name} lies below the DNAME of {owner} at {place}, so this server cannot answer for it; remove one of them"
            ));
        }
        if node.role == NameRole::Apex && service.regions.iter().any(has_names) {
            return Some(format!(
                "{name} is the apex of its zone, so it cannot have a CNAME; give addresses"
            ));
        }
        let mixed = service
            .regions
            .iter()
            .find(|r| has_names(r) && !has_only_names(r));
        if let Some(region) = mixed
            && let Some(region) = config.regions.get(usize::from(region.region.0))
        {
            return Some(format!(
                "{name} has both addresses and names in {}; a region gives one or the other",
                region.name
            ));
        }
        self.check_records(service, node_id)
    }

    /// Whether the zone has a record at the service's name that could never be given.
    fn check_records(&self, service: &config::ServiceConfig, node: NodeId) -> Option<String> {
        let only_names = service.regions.iter().all(has_only_names);
        let start = self.placed.partition_point(|placed| placed.node < node);
        for placed in &self.placed[start..] {
            if placed.node != node {
                break;
            }
            let rrset = self.rrset(placed);
            let is_alias = matches!(rrset.rtype, RecordType::CNAME | RecordType::DNAME);
            if only_names || is_alias || service.answers(rrset.rtype) {
                let (file, line) = (self.zones[placed.zone].file.display(), rrset.line);
                return Some(format!(
                    "{} is steered here, so its {} record at {file}:{line} would never be given; remove one of them",
                    service.name, rrset.rtype
                ));
            }
        }
        None
    }

    /// The DNAME above a name in its zone, which redirects the name (RFC 6672 section 2.3): the
    /// owner, and the place in the zone file.
    fn dname_above(&self, name: &Name, dnames: &[&Placed]) -> Option<(&'z Name, String)> {
        let zone = self.apexes.describe(name.to_lower().as_wire())?.zone.0 as usize;
        for placed in dnames {
            let rrset = self.rrset(placed);
            if placed.zone == zone && rrset.owner != *name && name.is_within(&rrset.owner) {
                let file = shown(self.zones[placed.zone].file.display());
                return Some((&rrset.owner, format!("{file}:{}", rrset.line)));
            }
        }
        None
    }

    /// Puts every RRset into wire form, node by node. Returns the names in them whose records
    /// belong in the additional section.
    fn prepare(&mut self) -> Vec<WantedNames> {
        let mut all_wanted = Vec::new();
        let placed = std::mem::take(&mut self.placed);
        for of_node in placed.chunk_by(|a, b| a.node == b.node) {
            let first = self.records.len();
            let mut dname = None;
            for placed in of_node {
                let rrset = self.rrset(placed);
                let data = rrset.rdata.iter().map(|data| &**data);
                let PreparedRrset { number, targets } =
                    self.records
                        .prepare(rrset.rtype, rrset.ttl, data, &rrset.owner);
                if rrset.rtype == RecordType::DNAME {
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
                (node.rrsets, node.dname) = ((first, last), dname);
            }
        }
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
                let Some(node) = self.names.id(name.to_lower().as_wire()) else {
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

fn is_name(endpoint: &config::Endpoint) -> bool {
    matches!(endpoint.target, config::EndpointTarget::Name(_))
}

fn has_names(region: &config::ServiceRegion) -> bool {
    region.endpoints.iter().any(is_name)
}

fn has_only_names(region: &config::ServiceRegion) -> bool {
    region.endpoints.iter().all(is_name)
}

fn finish_zone(zone: &zone::Zone, records: &mut RrsetTable) -> CatalogZone {
    let mut rrsets = zone.rrsets.iter();
    let soa = rrsets.find(|rrset| rrset.rtype == RecordType::SOA && rrset.owner == zone.origin);
    let (mut data, mut ttl) = (&[][..], 0);
    if let Some(soa) = soa {
        data = soa.rdata.first().map_or(&[], |data| data);
        ttl = soa.ttl;
    }
    // SERIAL and MINIMUM are the first and the last of the five numbers at the end.
    let (serial, minimum) = (number_from_end(data, 20), number_from_end(data, 4));
    let data = std::iter::once(data);
    let ttl = ttl.min(minimum);
    let negative_soa = records
        .prepare(RecordType::SOA, ttl, data, &zone.origin)
        .number;
    CatalogZone {
        origin: zone.origin.clone(),
        labels: zone.origin.label_count() as u8,
        negative_soa,
        serial,
    }
}

/// The number that starts so many octets before the end of the data; 0 if the data is too short.
fn number_from_end(data: &[u8], from_end: usize) -> u32 {
    let start = data.len().saturating_sub(from_end);
    match data[start..].first_chunk::<4>() {
        Some(octets) if data.len() >= from_end => u32::from_be_bytes(*octets),
        _ => 0,
    }
}
