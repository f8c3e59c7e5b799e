//! The signalling names of RFC 9615: copies of the CDS and CDNSKEY records of a zone, below the names of
//! its nameservers.
//!
//! A parent that has no DS record of a zone yet cannot validate the zone's own CDS records. It can
//! validate those at `_dsboot.ZONE._signal.NAMESERVER`, if the zone of the nameserver's name is signed
//! and has its DS record. They are added here where that zone is one of ours and is signed here. A
//! nameserver within the zone itself vouches for nothing, and is left out (section 4.1).

use std::collections::{HashMap, HashSet};

use super::ActiveKeys;
use super::selection::apex_of;
use crate::dns::{Name, RecordType};
use crate::zone::{StoreFull, Zone};

/// The labels around the zone's name.
const BOOTSTRAP: &[u8] = b"_dsboot";
const SIGNAL: &[u8] = b"_signal";

/// Records to be added to a zone.
struct SignallingRecords {
    /// The index of the zone.
    into: usize,
    name: Name,
    /// CDS or CDNSKEY.
    rtype: RecordType,
    ttl: u32,
    rdata: Vec<Vec<u8>>,
}

/// Adds the signalling names of all zones that have CDS or CDNSKEY records. `active` are the keys of each
/// zone.
///
/// # Errors
/// A sentence: there is no room in a zone.
pub(super) fn add_signals(zones: &mut [Zone], active: &[ActiveKeys]) -> Result<(), String> {
    let signals = signals(zones, active);
    let mut taken = HashMap::new();
    for SignallingRecords {
        into,
        name,
        rtype,
        ttl,
        rdata,
    } in signals
    {
        let Some(zone) = zones.get_mut(into) else {
            continue;
        };
        let stated = taken.entry(into).or_insert_with(|| stated_signals(zone));
        // What the file says goes.
        if stated.contains(name.to_lower().as_wire()) {
            continue;
        }
        zone.add_records(&name, rtype, ttl, &rdata)
            .map_err(|StoreFull| format!("{}: the zone is too large", zone.file.display()))?;
    }
    Ok(())
}

fn signals(zones: &[Zone], active: &[ActiveKeys]) -> Vec<SignallingRecords> {
    let apexes: HashSet<&Name> = zones.iter().map(|zone| &zone.origin).collect();
    let mut signed = HashMap::new();
    for (index, (zone, keys)) in zones.iter().zip(active).enumerate() {
        if !keys.sign_zone.is_empty() {
            signed.insert(zone.origin.to_lower(), index);
        }
    }
    let mut signals = Vec::new();
    for zone in zones {
        for host in nameservers(zone) {
            let home = apex_of(&host, &apexes).and_then(|apex| signed.get(&apex.to_lower()));
            let name = signalling_name(&zone.origin, &host);
            let (Some(&into), Some(name)) = (home, name) else {
                continue;
            };
            signals.extend(copies(zone, into, &name));
        }
    }
    signals
}

/// The CDS and CDNSKEY records of a zone, as they are to be added to another one.
fn copies(zone: &Zone, into: usize, name: &Name) -> Vec<SignallingRecords> {
    let mut copies = Vec::new();
    for rrset in zone.rrsets() {
        let is_at_apex = rrset.owner().eq_ignore_ascii_case(zone.origin.as_wire());
        if is_at_apex && matches!(rrset.rtype(), RecordType::CDS | RecordType::CDNSKEY) {
            copies.push(SignallingRecords {
                into,
                name: name.clone(),
                rtype: rrset.rtype(),
                ttl: rrset.ttl(),
                rdata: rrset.rdata().map(<[u8]>::to_vec).collect(),
            });
        }
    }
    copies
}

/// The nameservers of a zone that do not lie in it.
fn nameservers(zone: &Zone) -> Vec<Name> {
    let mut hosts = Vec::new();
    let mut at_the_apex = zone
        .rrsets()
        .take_while(|rrset| rrset.owner().eq_ignore_ascii_case(zone.origin.as_wire()));
    let Some(servers) = at_the_apex.find(|rrset| rrset.rtype() == RecordType::NS) else {
        return hosts;
    };
    for rdata in servers.rdata() {
        if let Ok(host) = Name::from_wire(rdata)
            && !host.is_within(&zone.origin)
        {
            hosts.push(host);
        }
    }
    hosts
}

/// `_dsboot.ZONE._signal.HOST`; `None`: it would be too long (section 2).
fn signalling_name(zone: &Name, host: &Name) -> Option<Name> {
    let mut name = host.child(SIGNAL).ok()?;
    let labels: Vec<&[u8]> = zone.labels().collect();
    for label in labels.into_iter().rev() {
        name = name.child(label).ok()?;
    }
    name.child(BOOTSTRAP).ok()
}

/// The signalling names that a file has itself, in lower case.
fn stated_signals(zone: &Zone) -> HashSet<Vec<u8>> {
    let mut stated = HashSet::new();
    for rrset in zone.rrsets() {
        let owner = rrset.owner().to_ascii_lowercase();
        if owner
            .get(1..)
            .is_some_and(|rest| rest.starts_with(BOOTSTRAP))
        {
            stated.insert(owner);
        }
    }
    stated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9615_section_2_the_signalling_name() {
        let name = |zone: &str, host: &str| {
            signalling_name(&zone.parse().unwrap(), &host.parse().unwrap())
        };
        let example = name("example.co.uk", "ns1.example.net").unwrap();
        assert_eq!(
            example.to_string(),
            "_dsboot.example.co.uk._signal.ns1.example.net"
        );
        let long = format!("{0}.{0}.{0}", "a".repeat(60));
        assert_eq!(name(&long, &long), None);
    }
}
