//! Zones that are signed in their files: the keys of steered names in them, and what cannot be served.
//!
//! Such a zone is served as it is. Only answers of steered names are signed here, with a key that is in
//! the file's DNSKEY set and whose private half is in the folder of keys. Without one, steered names in
//! the zone are refused.

use std::collections::HashSet;

use super::active::{ActiveKeys, active_keys, check_speed};
use super::selection::{apex_of, steered_zones};
use super::source::KeySource;
use crate::config::{Config, ServiceConfig};
use crate::dns::{Name, RecordType};
use crate::dnssec::KeyFile;
use crate::dnssec::nsec3::{HashParameters, MOST_ITERATIONS};
use crate::dnssec::rollover::KeyRoles;
use crate::text::shown;
use crate::zone::Zone;

/// Checks zones where there are no keys.
///
/// # Errors
/// Every mistake, a sentence.
pub(super) fn check_without_keys(config: &Config, zones: &[Zone]) -> Result<(), Vec<String>> {
    let mut mistakes = costly_hashes(zones);
    mistakes.extend(
        keys_of_steered(config, None, zones)
            .err()
            .unwrap_or_default(),
    );
    none_of(mistakes)
}

/// Zones whose hashes would cost too much for each question, each a mistake.
pub(super) fn costly_hashes(zones: &[Zone]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for zone in zones.iter().filter(|zone| zone.is_presigned()) {
        mistakes.extend(costly_hash(zone));
    }
    mistakes
}

fn costly_hash(zone: &Zone) -> Option<String> {
    let stated = zone.rrset_at_apex(RecordType::NSEC3PARAM)?;
    let mut parameters = stated.rdata().filter_map(HashParameters::parse);
    let costly = parameters.find(|it| it.iterations() > MOST_ITERATIONS)?;
    Some(format!(
        "{}:{}: {} is signed with {} iterations of NSEC3, which cost too much for each question, and \
         resolvers do not trust more than {MOST_ITERATIONS}; sign it with 0 (RFC 9276)",
        shown(zone.file.display()),
        stated.line(),
        zone.origin,
        costly.iterations()
    ))
}

/// The keys that sign steered names in zones that are signed in their files, by zone. Without a source
/// there are none.
///
/// # Errors
/// Every mistake, a sentence: a name that is steered in such a zone without a key, or with one that
/// signs too slowly.
pub(super) fn keys_of_steered(
    config: &Config,
    source: Option<&KeySource>,
    zones: &[Zone],
) -> Result<Vec<ActiveKeys>, Vec<String>> {
    let steered = steered_zones(config, zones);
    let (mut all, mut mistakes) = (Vec::with_capacity(zones.len()), Vec::new());
    for zone in zones {
        let is_steered = zone.is_presigned() && steered.contains(&zone.origin);
        match source
            .filter(|_| is_steered)
            .map(|it| keys_of(config, it, zone))
        {
            Some(Err(mistake)) => mistakes.push(mistake),
            Some(Ok(keys)) if keys.signs() => {
                all.push(keys);
                continue;
            }
            _ if is_steered => mistakes.extend(without_key(config, zone)),
            _ => {}
        }
        all.push(ActiveKeys::default());
    }
    none_of(mistakes)?;
    Ok(all)
}

/// The keys that sign the zone and are in its DNSKEY set.
fn keys_of(config: &Config, source: &KeySource, zone: &Zone) -> Result<ActiveKeys, String> {
    let Some(dnssec) = &config.dnssec else {
        return Ok(ActiveKeys::default());
    };
    let origin = zone.origin.to_lower();
    let keys = source.folder.of_zone(origin.as_wire());
    let mut roles = KeyRoles::default();
    for index in source.roles_of(origin.as_wire()).roles.sign_zone {
        if keys.get(index).is_some_and(|key| is_published(zone, key)) {
            roles.sign_zone.push(index);
        }
    }
    let active = active_keys(keys, &roles, &dnssec.tokens, source.bundle.is_some())
        .map_err(|error| format!("{}: {error}", zone.file.display()))?;
    for key in &active.sign_zone {
        check_speed(zone, key.public().algorithm(), true, false)?;
    }
    Ok(active)
}

fn is_published(zone: &Zone, key: &KeyFile) -> bool {
    let wanted = key.public.dnskey_rdata();
    match zone.rrset_at_apex(RecordType::DNSKEY) {
        Some(stated) => stated.rdata().any(|rdata| rdata == wanted),
        None => false,
    }
}

/// A mistake for each name that is steered in a zone without a key.
fn without_key(config: &Config, zone: &Zone) -> Vec<String> {
    let apexes: HashSet<&Name> = [&zone.origin].into();
    let mut mistakes = Vec::new();
    for service in &config.services {
        if apex_of(&service.name, &apexes).is_some() {
            mistakes.push(unsigned_service(service, zone));
        }
    }
    mistakes
}

fn unsigned_service(service: &ServiceConfig, zone: &Zone) -> String {
    let (stated, name) = (&service.stated, &service.name);
    let (apex, file) = (&zone.origin, shown(zone.file.display()));
    format!(
        "{stated}:1: {name} lies in {apex}, which is signed in its file, so answers for it must be signed \
         with a key of the zone, and none is here; put a zone signing key that is in its DNSKEY records \
         into the folder of keys ([zones.dnssec] keys), or take the RRSIG and NSEC records out of {file} \
         and sign the zone here"
    )
}

/// The keys of zones that are signed here, and those of steered names in other zones.
pub(super) fn joined(mut whole: Vec<ActiveKeys>, steered: Vec<ActiveKeys>) -> Vec<ActiveKeys> {
    for (keys, steered) in whole.iter_mut().zip(steered) {
        if !keys.signs() {
            *keys = steered;
        }
    }
    whole
}

fn none_of(mistakes: Vec<String>) -> Result<(), Vec<String>> {
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(mistakes)
    }
}
