//! From zones and configuration to a World.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::names::{NameNode, NameRole, NameTable, NodeId, ServiceId, ZoneId};
use super::records::{AdditionalTarget, RrsetTable, UnresolvedTarget};
use super::services::{CatchmentCache, SteeredService};
use super::{Catalog, CatalogZone, ClientSample};
use crate::config::{self, Config};
use crate::dns::{Name, RecordType};
use crate::geo::Atlas;
use crate::text::shown;
use crate::zone;

/// A service that does not fit the zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceMistake {
    /// Line of the service in the configuration file.
    pub line: u32,
    /// What is wrong.
    pub sentence: String,
}

impl Catalog {
    /// Compiles everything, or says which services do not fit the zones.
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
        let mut catchments = CatchmentCache::default();
        let compile = |service| SteeredService::compile(service, config, &atlas, &mut catchments);
        let services = config.services.iter().map(compile).collect();
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

/// The names in one RRset of which records are wanted.
struct WantedNames {
    /// Number of the RRset.
    rrset: u32,
    /// The cut that its owner is, or lies below.
    cut: Option<NodeId>,
    names: Vec<UnresolvedTarget>,
}

/// A World in the making.
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
    /// The zone of a lower-cased name by longest match, and whether the name is its apex.
    fn describe(&self, name: &[u8]) -> Option<(ZoneId, bool)> {
        let mut rest = name;
        loop {
            if let Some(&zone) = self.0.get(rest) {
                return Some((zone, rest.len() == name.len()));
            }
            let length = usize::from(*rest.first()?);
            rest = rest.get(1 + length..).filter(|_| length > 0)?;
        }
    }
}

impl<'z> Draft<'z> {
    fn new(zones: &'z [zone::Zone]) -> Draft<'z> {
        let apex = |(index, zone): (usize, &zone::Zone)| {
            (
                zone.origin.to_lower().as_wire().into(),
                ZoneId(index as u32),
            )
        };
        let apexes = Apexes(zones.iter().enumerate().map(apex).collect());
        Draft {
            zones,
            names: NameTable::default(),
            records: RrsetTable::default(),
            apexes,
            placed: Vec::new(),
        }
    }

    fn make(&mut self, lower: &Name) -> NodeId {
        let apexes = &self.apexes;
        self.names
            .make(lower.as_wire(), &|name| apexes.describe(name))
    }

    /// Gives every RRset its node. What a zone says of names in a deeper zone of ours is left to that one, but for
    /// DS, which only the upper side can say (RFC 4035 section 3.1.4.1).
    fn place_records(&mut self) {
        self.make(&Name::root());
        for (zone, data) in self.zones.iter().enumerate() {
            let mut last: Option<(&Name, Option<NodeId>, bool)> = None;
            for (index, rrset) in data.rrsets.iter().enumerate() {
                let (_, node, own) = match last {
                    Some(last) if *last.0 == rrset.owner => last,
                    _ => {
                        let lower = rrset.owner.to_lower();
                        let found = self.apexes.describe(lower.as_wire());
                        let own = found.is_some_and(|(holder, _)| holder.0 as usize == zone);
                        // A name that only the upper zone knows is no name of the deeper one, so it gets no node.
                        let known = own || found.is_some_and(|(_, is_apex)| is_apex);
                        (&rrset.owner, known.then(|| self.make(&lower)), own)
                    }
                };
                last = Some((&rrset.owner, node, own));
                let Some(node) = node else { continue };
                let said_above = rrset.rtype == RecordType::DS && self.is_apex(node);
                let counts = if said_above {
                    self.is_right_above(zone, &rrset.owner)
                } else {
                    own
                };
                if counts {
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

    /// Whether a zone is the one that delegates this apex, and not one further up.
    fn is_right_above(&self, zone: usize, apex: &Name) -> bool {
        let lower = apex.to_lower();
        let (label, wire) = (lower.as_wire().first(), lower.as_wire());
        let parent = label.and_then(|length| wire.get(1 + usize::from(*length)..));
        parent
            .and_then(|parent| self.apexes.describe(parent))
            .is_some_and(|(holder, _)| holder.0 as usize == zone)
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
                    line: service.line,
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

    /// Marks zone cuts and what lies below them, and tells each apex which zone of ours is above it.
    /// Nodes come after their ancestors, so one pass will do.
    fn find_cuts(&mut self) {
        let mut has_ns = vec![false; self.names.len()];
        for placed in self
            .placed
            .iter()
            .filter(|placed| self.rrset(placed).rtype == RecordType::NS)
        {
            has_ns[placed.node.index()] = true;
        }
        for id in self.names.ids() {
            let above = self
                .parent_of(id)
                .map(|parent| (parent.role, parent.zone, parent.cut));
            let Some((node, (role, zone, cut))) = self.names.node_mut(id).zip(above) else {
                continue;
            };
            match node.role {
                NameRole::Apex => node.parent_zone = (role != NameRole::Outside).then_some(zone),
                NameRole::Ordinary if cut.is_some() => {
                    (node.role, node.cut) = (NameRole::Occluded, cut)
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
        let length = usize::from(*name.first().filter(|&&length| length > 0)?);
        self.names.get(name.get(1 + length..)?)
    }

    fn rrset(&self, placed: &Placed) -> &'z zone::RRset {
        &self.zones[placed.zone].rrsets[placed.rrset]
    }

    /// What makes a service impossible where it is.
    fn check_services(&self, config: &Config) -> Vec<ServiceMistake> {
        let dnames: Vec<&Placed> = self
            .placed
            .iter()
            .filter(|placed| self.rrset(placed).rtype == RecordType::DNAME)
            .collect();
        let check = |service: &config::ServiceConfig| {
            let sentence = self.check_service(service, &dnames, config)?;
            Some(ServiceMistake {
                line: service.line,
                sentence,
            })
        };
        config.services.iter().filter_map(check).collect()
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
        let is_name = |endpoint: &config::Endpoint| {
            matches!(endpoint.target, config::EndpointTarget::Name(_))
        };
        let mut endpoints = service.regions.iter().flat_map(|region| &region.endpoints);
        let (some_names, only_names) = (endpoints.clone().any(is_name), endpoints.all(is_name));
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
        if some_names && node.role == NameRole::Apex {
            return Some(format!(
                "{name} is the apex of its zone, so it cannot have a CNAME; give addresses"
            ));
        }
        let mixed = service
            .regions
            .iter()
            .find(|r| r.endpoints.iter().any(is_name) && !r.endpoints.iter().all(is_name));
        if let Some(region) =
            mixed.and_then(|region| config.regions.get(usize::from(region.region.0)))
        {
            return Some(format!(
                "{name} has both addresses and names in {}; a region gives one or the other",
                region.name
            ));
        }
        let start = self.placed.partition_point(|placed| placed.node < node_id);
        let own = self.placed[start..]
            .iter()
            .take_while(|placed| placed.node == node_id);
        let clash = own
            .map(|placed| (placed, self.rrset(placed)))
            .find(|(_, rrset)| {
                only_names
                    || matches!(rrset.rtype, RecordType::CNAME | RecordType::DNAME)
                    || service.answers(rrset.rtype)
            });
        clash.map(|(placed, rrset)| {
            let (file, line) = (self.zones[placed.zone].file.display(), rrset.line);
            format!(
                "{name} is steered here, so its {} record at {file}:{line} would never be given; remove one of them",
                rrset.rtype
            )
        })
    }

    /// The DNAME in the zone of a name that redirects everything there (RFC 6672 section 2.3): its owner, and the place.
    fn dname_above(&self, name: &Name, dnames: &[&Placed]) -> Option<(&'z Name, String)> {
        let (zone, _) = self.apexes.describe(name.to_lower().as_wire())?;
        for placed in dnames
            .iter()
            .filter(|placed| placed.zone == zone.0 as usize)
        {
            let rrset = self.rrset(placed);
            if rrset.owner != *name && name.is_within(&rrset.owner) {
                let file = shown(self.zones[placed.zone].file.display());
                return Some((&rrset.owner, format!("{file}:{}", rrset.line)));
            }
        }
        None
    }

    /// Puts every RRset into wire form, node by node; returns the names in them of which records are wanted.
    fn prepare(&mut self) -> Vec<WantedNames> {
        let mut all_wanted = Vec::new();
        let placed = std::mem::take(&mut self.placed);
        for of_node in placed.chunk_by(|a, b| a.node == b.node) {
            let first = self.records.len();
            let mut dname = None;
            for placed in of_node {
                let rrset = self.rrset(placed);
                let data = rrset.rdata.iter().map(|data| &**data);
                let (number, wanted) =
                    self.records
                        .prepare(rrset.rtype, rrset.ttl, data, &rrset.owner);
                if rrset.rtype == RecordType::DNAME {
                    dname = Some(number);
                }
                if !wanted.is_empty() {
                    let cut = self.names.node(placed.node).and_then(|node| node.cut);
                    all_wanted.push(WantedNames {
                        rrset: number,
                        cut,
                        names: wanted,
                    });
                }
            }
            let last = self.records.len();
            if let Some(node) = of_node
                .first()
                .and_then(|placed| self.names.node_mut(placed.node))
            {
                (node.rrsets, node.dname) = ((first, last), dname);
            }
        }
        all_wanted
    }

    /// Finds the nodes of names in record data. A name that does not exist itself has no records to add.
    fn resolve_targets(&mut self, wanted: Vec<WantedNames>) {
        for WantedNames {
            rrset,
            cut,
            names: wanted,
        } in wanted
        {
            // Two records may point at one name, whose records are added once.
            let mut known = HashSet::new();
            let mut targets = Vec::new();
            for UnresolvedTarget { at, name, further } in wanted {
                let Some(node) = self.names.id(name.to_lower().as_wire()) else {
                    continue;
                };
                if known.insert((node, further.has(RecordType::A))) {
                    targets.push(AdditionalTarget { at, node, further });
                }
            }
            // What a referral must have comes before what it may have (RFC 9471 section 3.1).
            let is_beside = |target: &AdditionalTarget| {
                self.names.node(target.node).and_then(|node| node.cut) != cut
            };
            if cut.is_some() {
                targets.sort_by_key(is_beside);
            }
            self.records.set_targets(rrset, targets.into_iter());
        }
    }

    /// What replies need of each zone.
    fn finish_zones(&mut self) -> Vec<CatalogZone> {
        self.zones
            .iter()
            .map(|zone| finish_zone(zone, &mut self.records))
            .collect()
    }
}

fn finish_zone(zone: &zone::Zone, records: &mut RrsetTable) -> CatalogZone {
    let soa = zone
        .rrsets
        .iter()
        .find(|rrset| rrset.rtype == RecordType::SOA && rrset.owner == zone.origin);
    let data = soa
        .and_then(|soa| soa.rdata.first())
        .map_or(&[][..], |data| data);
    let number = |from_end: usize| {
        let at = data.len().checked_sub(from_end)?;
        data.get(at..)?
            .first_chunk::<4>()
            .map(|octets| u32::from_be_bytes(*octets))
    };
    let (serial, minimum) = (number(20).unwrap_or(0), number(4).unwrap_or(0));
    let ttl = soa.map_or(0, |soa| soa.ttl).min(minimum);
    let (negative_soa, _) =
        records.prepare(RecordType::SOA, ttl, std::iter::once(data), &zone.origin);
    CatalogZone {
        origin: zone.origin.clone(),
        labels: zone.origin.label_count() as u8,
        negative_soa,
        serial,
    }
}
