//! What a configuration and its zones say together that is a mistake, or probably one.

use std::collections::HashMap;

use crate::catalog::Catalog;
use crate::catalog::names::Lookup;
use crate::config::{self, Config};
use crate::dns::{Name, SearchName};
use crate::zone;

/// A sentence if the name of the announcer's test queries is in no zone. With such a configuration the
/// server, and every other that gets it, would withdraw itself.
pub(super) fn unanswered_query(config: &Config, catalog: &Catalog) -> Option<String> {
    let query = &config.announce.as_ref()?.query;
    let search = SearchName::from_wire(query.to_lower().as_wire())?;
    match catalog.names.look_up(&search) {
        Lookup::Found(_) | Lookup::Wildcard(_) => None,
        _ => Some(format!(
            "{}: query {query} of [announce] is answered by no zone, so the server would withdraw \
             its addresses; use the apex of a zone",
            config.file.display()
        )),
    }
}

/// Of each zone with services, the one with the shortest TTL.
fn shortest_ttls<'c>(
    config: &'c Config,
    catalog: &'c Catalog,
) -> HashMap<&'c Name, &'c config::ServiceConfig> {
    let mut shortest = HashMap::new();
    for service in &config.services {
        let Some(zone) = catalog.zone_of(&service.name) else {
            continue;
        };
        let known = shortest.entry(&zone.origin).or_insert(service);
        if service.ttl < known.ttl {
            *known = service;
        }
    }
    shortest
}

/// Warns about zones whose negative TTL is longer than the TTL of a service in them. A resolver
/// that queried a name just before it was added keeps the negative answer for that time. Negative
/// answers for the name of a service itself never outlive the TTL of the service.
pub(super) fn long_denials<'z>(
    config: &Config,
    zones: impl Iterator<Item = &'z zone::Zone>,
    catalog: &Catalog,
) -> Vec<String> {
    let shortest = shortest_ttls(config, catalog);
    let mut warnings = Vec::new();
    for zone in zones {
        let Some(service) = shortest.get(&zone.origin) else {
            continue;
        };
        let Some((line, kept)) = zone.denial_ttl().filter(|(_, kept)| *kept > service.ttl) else {
            continue;
        };
        let (file, name, ttl) = (zone.file.display(), &service.name, service.ttl);
        warnings.push(format!(
            "{file}:{line}:1: the SOA minimum lets resolvers keep for {kept} s that a name is missing, \
             longer than the {ttl} s of {name}; lower it to {ttl}"
        ));
    }
    warnings
}
