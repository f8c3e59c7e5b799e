//! Services that do not fit the zones.
//!
//! A service must lie where this server answers, and the zone must have no record at its name that
//! could never be given.

use super::{Draft, Placed, ServiceMistake};
use crate::catalog::names::{NameRole, NodeId};
use crate::config::{self, Config};
use crate::dns::{Name, RecordType};
use crate::text::shown;

impl Draft<'_> {
    /// The services that conflict with the zones.
    pub(super) fn check_services(&self, config: &Config) -> Vec<ServiceMistake> {
        let placed = self.placed.iter();
        let dnames: Vec<&Placed> = placed
            .filter(|placed| placed.rtype == RecordType::DNAME)
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
        let zone = self.zones.get(node.zone.0 as usize);
        if let Some(zone) = zone.filter(|zone| zone.is_presigned()) {
            let (apex, file) = (&zone.origin, zone.file.display());
            return Some(format!(
                "{name} lies in {apex}, which is signed in its file, so answers for it would have no \
                 signatures; take the RRSIG and NSEC records out of {file}, and sign the zone here with \
                 its keys ([zones.dnssec] sign)"
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
            let rtype = placed.rtype;
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
