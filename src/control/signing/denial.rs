//! The record of a signed zone that tells how it denies what does not exist.
//!
//! Zones with NSEC3 have an NSEC3PARAM record, for servers that take the zone over. Nothing in an answer
//! depends on it. It is signed like every other record.

use crate::dns::RecordType;
use crate::dnssec::ZoneDenial;
use crate::dnssec::nsec3::NSEC3PARAM;
use crate::zone::{StoreFull, Zone};

/// Adds the record that tells secondaries of the chain of hashes (RFC 5155 section 4). What the file
/// says of a chain is not true of this one.
pub(super) fn add_denial_records(zone: &mut Zone, denial: ZoneDenial) -> Result<(), StoreFull> {
    zone.take_at_apex(RecordType::NSEC3PARAM);
    match denial {
        ZoneDenial::Nsec | ZoneDenial::Compact => Ok(()),
        ZoneDenial::Nsec3 => {
            let ttl = zone.soa().map_or(3600, |soa| soa.ttl());
            zone.add_at_apex(RecordType::NSEC3PARAM, ttl, &[NSEC3PARAM.to_vec()])
        }
    }
}
