//! Which zones are signed, and which names in them are steered.

use std::collections::HashSet;

use crate::config::{Config, DnssecConfig, ServiceRegion};
use crate::dns::Name;
use crate::dnssec::ZoneDenial;
use crate::zone::Zone;

/// The apexes of the zones in which a name is steered.
pub(super) fn steered_zones(config: &Config, zones: &[Zone]) -> HashSet<Name> {
    let apexes: HashSet<&Name> = zones.iter().map(|zone| &zone.origin).collect();
    let mut steered = HashSet::new();
    for service in &config.services {
        steered.extend(apex_of(&service.name, &apexes));
    }
    steered
}

/// The apex of the zone that a name is in.
pub(super) fn apex_of(name: &Name, apexes: &HashSet<&Name>) -> Option<Name> {
    let mut name = Some(name.clone());
    while let Some(above) = name {
        if apexes.contains(&above) {
            return Some(above);
        }
        name = above.parent();
    }
    None
}

/// Services whose addresses are not known when a bundle is made, each a mistake.
pub(super) fn not_foreseen(config: &Config, dnssec: &DnssecConfig, zones: &[Zone]) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut apexes = HashSet::new();
    for zone in zones {
        if is_selected(dnssec, zone) || zone.is_presigned() {
            apexes.insert(&zone.origin);
        }
    }
    for service in &config.services {
        let mut regions = service.regions.iter();
        if regions.any(ServiceRegion::has_alias) && apex_of(&service.name, &apexes).is_some() {
            mistakes.push(format!(
                "{}:1: {} has an alias, whose addresses nobody can sign ahead; with keys = \"elsewhere\" \
                 take addresses, or cname",
                service.stated, service.name
            ));
        }
    }
    mistakes
}

/// Zones whose denials nobody can sign ahead, each a mistake.
pub(super) fn signed_on_demand(dnssec: &DnssecConfig, zones: &[Zone]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for zone in zones {
        let denial = dnssec.rules_of(&zone.origin).denial;
        if denial == ZoneDenial::Compact && is_selected(dnssec, zone) {
            mistakes.push(format!(
                "{}: denials of {} are signed when somebody asks, so a bundle cannot have them; take \
                 denial = \"nsec3\" or \"nsec\"",
                zone.file.display(),
                zone.origin
            ));
        }
    }
    mistakes
}

/// The zones that the configuration names and that are not there.
pub(super) fn unknown_zones(dnssec: &DnssecConfig, zones: &[Zone]) -> Vec<String> {
    let mut mistakes = Vec::new();
    let is_known = |name: &Name| zones.iter().any(|zone| zone.origin == *name);
    for (stated, name) in dnssec.zones.iter().flatten() {
        if !is_known(name) {
            mistakes.push(format!(
                "{stated}:1: there is no zone {name} to sign; name the apex of a zone"
            ));
        }
    }
    for (stated, name, _) in &dnssec.policies {
        if !is_known(name) {
            mistakes.push(format!(
                "{stated}:1: there is no zone {name} that a policy could apply to; name the apex of a zone"
            ));
        }
    }
    mistakes
}

/// Whether a zone is signed here. With `"*"`, zones that are signed already stay as they are.
pub(in crate::control) fn is_selected(dnssec: &DnssecConfig, zone: &Zone) -> bool {
    match &dnssec.zones {
        None => !zone.is_presigned(),
        Some(named) => named.iter().any(|(_, name)| *name == zone.origin),
    }
}
