//! Services that do not fit the zones.
//!
//! A service must lie where this server answers, and the zone must have no record at its name that
//! could never be given. A zone that is signed in its file is the exception: it must have such records,
//! because its denials would be wrong without them.

use std::collections::{BTreeSet, HashSet};

use super::{Draft, Placed, ServiceMistake};
use crate::catalog::names::{NameRole, NodeId};
use crate::catalog::signed::steered_types;
use crate::config::{self, Config};
use crate::dns::{Name, RecordType};
use crate::dnssec::SignatureFields;
use crate::text::shown;
use crate::zone::Zone;

/// What steered names of zones that are signed in their files have signatures of.
type SignedTypes = HashSet<(NodeId, RecordType)>;

impl Draft<'_> {
    /// The services that conflict with the zones.
    pub(super) fn check_services(&self, config: &Config) -> Vec<ServiceMistake> {
        let placed = self.placed.iter();
        let dnames: Vec<&Placed> = placed
            .filter(|placed| placed.rtype == RecordType::DNAME)
            .collect();
        let mut mistakes = Vec::new();
        let signed = self.signed_types(config);
        for service in &config.services {
            let found = self.check_service(service, &dnames, config);
            if let Some(sentence) = found.or_else(|| self.check_placeholders(service, &signed)) {
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
        let is_presigned = self.presigned_zone(node).is_some();
        let only_names = service.regions.iter().all(has_only_names);
        let start = self.placed.partition_point(|placed| placed.node < node);
        for placed in &self.placed[start..] {
            if placed.node != node {
                break;
            }
            let rtype = placed.rtype;
            if is_presigned && steered_types(service).contains(&rtype) {
                continue;
            }
            let is_alias = matches!(rtype, RecordType::CNAME | RecordType::DNAME);
            if only_names || is_alias || service.answers(rtype) {
                let file = self.zones[placed.zone as usize].file.display();
                let line = self.rrset(placed).map_or(0, |rrset| rrset.line());
                return Some(format!(
                    "{} is steered here, so its {rtype} record at {file}:{line} would never be given; remove one of them",
                    service.name
                ));
            }
        }
        None
    }

    /// The zone of a node, if it is signed in its file.
    fn presigned_zone(&self, node: NodeId) -> Option<&Zone> {
        let zone = self.names.node(node)?.zone;
        let zone = self.zones.get(zone.0 as usize)?;
        zone.is_presigned().then_some(zone)
    }

    /// What steered names have signatures of in their files.
    fn signed_types(&self, config: &Config) -> SignedTypes {
        let steered = self.presigned_services(config);
        let mut zones = BTreeSet::new();
        for id in &steered {
            zones.extend(self.names.node(*id).map(|node| node.zone.0));
        }
        let mut signed = SignedTypes::new();
        for zone in zones {
            self.add_signed_types(&self.zones[zone as usize], &steered, &mut signed);
        }
        signed
    }

    /// The steered names in zones that are signed in their files.
    fn presigned_services(&self, config: &Config) -> HashSet<NodeId> {
        let mut steered = HashSet::new();
        for service in &config.services {
            steered.extend(self.presigned_node(service));
        }
        steered
    }

    fn presigned_node(&self, service: &config::ServiceConfig) -> Option<NodeId> {
        let node = self.names.id(service.name.to_lower().as_wire())?;
        self.presigned_zone(node).map(|_| node)
    }

    fn add_signed_types(&self, zone: &Zone, steered: &HashSet<NodeId>, signed: &mut SignedTypes) {
        for rrset in zone.rrsets() {
            if rrset.rtype() == RecordType::RRSIG
                && let Some(node) = self.names.id(&rrset.owner().to_ascii_lowercase())
                && steered.contains(&node)
            {
                for (fields, _) in rrset.rdata().filter_map(SignatureFields::parse) {
                    signed.insert((node, fields.type_covered));
                }
            }
        }
    }

    /// Whether a zone that is signed in its file denies a type that the service answers.
    fn check_placeholders(
        &self,
        service: &config::ServiceConfig,
        signed: &SignedTypes,
    ) -> Option<String> {
        let name = &service.name;
        let node = self.presigned_node(service)?;
        let zone = self.presigned_zone(node)?;
        let missing = unsigned_types(service, node, signed)?;
        let (apex, file) = (&zone.origin, zone.file.display());
        Some(format!(
            "{name} lies in {apex}, which is signed in its file, and {file} has no signed {missing} \
             records at this name, so its signed denials say that there are none; add {missing} records \
             there before the zone is signed (any data: the service answers in their place)"
        ))
    }

    /// The DNAME above a name in its zone, which redirects the name (RFC 6672 section 2.3): the
    /// owner, and the place in the zone file.
    fn dname_above(&self, name: &Name, dnames: &[&Placed]) -> Option<(Name, String)> {
        let zone = self.apexes.describe(name.to_lower().as_wire())?.zone.0 as usize;
        for placed in dnames {
            let Some(rrset) = self.rrset(placed) else {
                continue;
            };
            let owner = rrset.name();
            if placed.zone as usize == zone && owner != *name && name.is_within(&owner) {
                let file = shown(self.zones[zone].file.display());
                return Some((owner, format!("{file}:{}", rrset.line())));
            }
        }
        None
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

/// The types of a service that its name has no signatures of, joined; `None`: it has all.
fn unsigned_types(
    service: &config::ServiceConfig,
    node: NodeId,
    signed: &SignedTypes,
) -> Option<String> {
    let mut missing = Vec::new();
    for rtype in steered_types(service) {
        if !signed.contains(&(node, rtype)) {
            missing.push(rtype.to_string());
        }
    }
    (!missing.is_empty()).then(|| missing.join(" and "))
}
