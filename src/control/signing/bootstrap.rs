//! The signalling names of RFC 9615: copies of the CDS and CDNSKEY records of a zone, below the names of
//! its nameservers.
//!
//! A parent that has no DS record of a zone yet cannot validate the zone's own CDS records. It can
//! validate those at `_dsboot.ZONE._signal.NAMESERVER`, if the zone of the nameserver's name is signed
//! and has its DS record. They are added here where that zone is one of ours and is signed here. A
//! nameserver within the zone itself vouches for nothing, and is left out (section 4.1).

use std::collections::{HashMap, HashSet};

use super::active::ActiveKeys;
use super::selection::apex_of;
use crate::dns::{Name, RecordType};
use crate::zone::{RRset, StoreFull, Zone};

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
    let mut taken = HashMap::new();
    for signal in signals(zones, active) {
        if let Some(zone) = zones.get_mut(signal.into) {
            let stated = taken.entry(signal.into);
            let stated = stated.or_insert_with(|| stated_signals(zone));
            // What the file says goes.
            if !stated.contains(signal.name.to_lower().as_wire()) {
                signal.add_to(zone)?;
            }
        }
    }
    Ok(())
}

impl SignallingRecords {
    fn add_to(self, zone: &mut Zone) -> Result<(), String> {
        zone.add_records(&self.name, self.rtype, self.ttl, &self.rdata)
            .map_err(|StoreFull| format!("{}: the zone is too large", zone.file.display()))
    }
}

fn signals(zones: &[Zone], active: &[ActiveKeys]) -> Vec<SignallingRecords> {
    let apexes: HashSet<&Name> = zones.iter().map(|zone| &zone.origin).collect();
    let signed = signed_zones(zones, active);
    let mut signals = Vec::new();
    for zone in zones {
        for host in nameservers(zone) {
            let home = apex_of(&host, &apexes).and_then(|apex| signed.get(&apex.to_lower()));
            let name = signal_name(&zone.origin, &host);
            if let (Some(&into), Some(name)) = (home, name) {
                signals.extend(copies(zone, into, &name));
            }
        }
    }
    signals
}

/// The indexes of the zones that are signed here.
fn signed_zones(zones: &[Zone], active: &[ActiveKeys]) -> HashMap<Name, usize> {
    let mut signed = HashMap::new();
    for (index, zone) in zones.iter().enumerate() {
        if active.get(index).is_some_and(ActiveKeys::signs) {
            signed.insert(zone.origin.to_lower(), index);
        }
    }
    signed
}

/// The CDS and CDNSKEY records of a zone, as they are to be added to another one.
fn copies(zone: &Zone, into: usize, name: &Name) -> Vec<SignallingRecords> {
    let mut copies = Vec::new();
    for rrset in zone.rrsets() {
        let is_at_apex = rrset.owner().eq_ignore_ascii_case(zone.origin.as_wire());
        if is_at_apex && matches!(rrset.rtype(), RecordType::CDS | RecordType::CDNSKEY) {
            copies.push(copy(rrset, into, name));
        }
    }
    copies
}

fn copy(rrset: RRset<'_>, into: usize, name: &Name) -> SignallingRecords {
    SignallingRecords {
        into,
        name: name.clone(),
        rtype: rrset.rtype(),
        ttl: rrset.ttl(),
        rdata: rrset.rdata().map(<[u8]>::to_vec).collect(),
    }
}

/// The nameservers of a zone that do not lie in it.
fn nameservers(zone: &Zone) -> Vec<Name> {
    let servers = zone.rrset_at_apex(RecordType::NS);
    let mut hosts = servers.map_or(vec![], hosts_of);
    hosts.retain(|host| !host.is_within(&zone.origin));
    hosts
}

fn hosts_of(servers: RRset<'_>) -> Vec<Name> {
    let names = servers.rdata().map(Name::from_wire);
    names.filter_map(Result::ok).collect()
}

/// `_dsboot.ZONE._signal.HOST`; `None`: it would be too long (section 2).
fn signal_name(zone: &Name, host: &Name) -> Option<Name> {
    let mut name = host.child(SIGNAL).ok()?;
    for label in zone.labels().collect::<Vec<_>>().into_iter().rev() {
        name = name.child(label).ok()?;
    }
    name.child(BOOTSTRAP).ok()
}

/// The signalling names that a file has itself, in lower case.
fn stated_signals(zone: &Zone) -> HashSet<Vec<u8>> {
    let owners = zone.rrsets().map(|it| it.owner().to_ascii_lowercase());
    owners.filter(|owner| is_signal(owner)).collect()
}

/// Whether a name in wire form and lower case begins with the label.
fn is_signal(owner: &[u8]) -> bool {
    let rest = owner.get(1..);
    rest.is_some_and(|rest| rest.starts_with(BOOTSTRAP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9615_section_2_the_signal_name() {
        let name =
            |zone: &str, host: &str| signal_name(&zone.parse().unwrap(), &host.parse().unwrap());
        let example = name("example.co.uk", "ns1.example.net").unwrap();
        assert_eq!(
            example.to_string(),
            "_dsboot.example.co.uk._signal.ns1.example.net"
        );
        let long = format!("{0}.{0}.{0}", "a".repeat(60));
        assert_eq!(name(&long, &long), None);
    }
}
