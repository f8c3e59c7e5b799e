//! Fingerprints of the records of each zone, without the serial.
//!
//! The print of a zone is the sum of a hash of each of its RRsets in wire form, so it does not depend
//! on their order, and an edit changes it by what it changes. The hash is a 128-bit SipHash with a
//! fixed key: equal zones have equal prints on every machine.

use siphasher::sip128::SipHasher24;

use super::CatalogZone;
use super::names::{NameNode, NameRole, NameTable};
use super::records::{RrsetTable, WireRrset};
use crate::dns::RecordType;
use crate::two_threads::each;

/// Nodes that are added up at a time.
const TOGETHER: usize = 1 << 16;

/// Adds up the prints of all zones.
pub fn set_prints(names: &NameTable, records: &RrsetTable, zones: &mut [CatalogZone]) {
    let starts: Vec<usize> = (0..names.len()).step_by(TOGETHER).collect();
    let sums = each(&starts, |start| sums(names, records, *start));
    for (zone, print) in sums.into_iter().flatten() {
        if let Some(zone) = zones.get_mut(zone) {
            zone.print = zone.print.wrapping_add(print);
        }
    }
}

/// The sums of some nodes by their zone.
fn sums(names: &NameTable, records: &RrsetTable, start: usize) -> Vec<(usize, u128)> {
    let mut sums: Vec<(usize, u128)> = Vec::new();
    let mut part = Vec::new();
    for id in names.ids().skip(start).take(TOGETHER) {
        let Some(node) = names.node(id) else { continue };
        for rrset in records.of(node.rrsets) {
            let zone = zone_of(node, rrset.rtype);
            let print = rrset_print(names.name_of(node), records, rrset, &mut part);
            match sums.last_mut().filter(|(last, _)| *last == zone) {
                Some((_, sum)) => *sum = sum.wrapping_add(print),
                None => sums.push((zone, print)),
            }
        }
    }
    sums
}

/// The zone that an RRset belongs to: the DS of an apex is the parent's.
fn zone_of(node: &NameNode, rtype: RecordType) -> usize {
    let parent = node
        .parent_zone()
        .filter(|_| rtype == RecordType::DS && node.role == NameRole::Apex);
    parent.unwrap_or(node.zone).0 as usize
}

/// Whether records of a type tell of the keys that a zone is signed with. They are not part of its
/// content: they change when keys do.
fn is_of_keys(rtype: RecordType) -> bool {
    matches!(
        rtype,
        RecordType::DNSKEY | RecordType::CDS | RecordType::CDNSKEY
    )
}

/// The print of an RRset; its owner is in lower case. The serial of an SOA is left out, and records
/// of keys have none. `part` is room for what is hashed.
pub fn rrset_print(
    owner: &[u8],
    records: &RrsetTable,
    rrset: &WireRrset,
    part: &mut Vec<u8>,
) -> u128 {
    if is_of_keys(rrset.rtype) {
        return 0;
    }
    part.clear();
    put(part, owner);
    let octets = records.octets(rrset);
    // An SOA ends with SERIAL and four more numbers (RFC 1035 section 3.3.13).
    match octets.split_last_chunk::<20>() {
        Some((names, numbers)) if rrset.rtype == RecordType::SOA => {
            put(part, names);
            put(part, &numbers[4..]);
        }
        _ => put(part, octets),
    }
    for pointer in records.pointers(rrset) {
        put(part, &pointer.octets());
    }
    SipHasher24::new().hash(part).as_u128()
}

/// Adds octets and their length before them.
fn put(part: &mut Vec<u8>, octets: &[u8]) {
    part.extend_from_slice(&(octets.len() as u64).to_le_bytes());
    part.extend_from_slice(octets);
}
