//! The records that a zone has of its keys: DNSKEY, and CDS and CDNSKEY for its parent.
//!
//! What the file has of these types stays. It is of keys that are elsewhere, or of another signer of the
//! same zone (RFC 8901).

use crate::dns::RecordType;
use crate::dnssec::rollover::KeyRoles;
use crate::dnssec::zone_key::{CDNSKEY_DELETE, CDS_DELETE};
use crate::dnssec::{DigestType, KeyFile};
use crate::zone::{StoreFull, Zone};

/// Adds DNSKEY, CDS and CDNSKEY records to those that the file has.
pub(super) fn add_key_records(
    zone: &mut Zone,
    keys: &[KeyFile],
    roles: &KeyRoles,
    is_leaving: bool,
) -> Result<(), StoreFull> {
    let ttl = zone.soa().map_or(3600, |soa| soa.ttl());
    let mut dnskeys = zone.take_at_apex(RecordType::DNSKEY);
    let (mut cds, mut cdnskeys) = (Vec::new(), Vec::new());
    for (index, key) in keys.iter().enumerate() {
        let dnskey = key.public.dnskey_rdata();
        if roles.published.contains(&index) && !dnskeys.contains(&dnskey) {
            dnskeys.push(dnskey.clone());
        }
        if roles.synced.contains(&index) && !is_leaving {
            cds.push(key.public.ds_rdata(DigestType::Sha256));
            cdnskeys.push(dnskey);
        }
    }
    if is_leaving {
        cds.push(CDS_DELETE.to_vec());
        cdnskeys.push(CDNSKEY_DELETE.to_vec());
    }
    zone.add_at_apex(RecordType::DNSKEY, ttl, &dnskeys)?;
    for (rtype, made, delete) in [
        (RecordType::CDS, cds, &CDS_DELETE),
        (RecordType::CDNSKEY, cdnskeys, &CDNSKEY_DELETE),
    ] {
        let stated = zone.take_at_apex(rtype);
        zone.add_at_apex(rtype, ttl, &joined(stated, made, delete))?;
    }
    Ok(())
}

/// What the file says, for keys of other signers (RFC 8901 section 7), and our own records. The request
/// to remove everything stands alone (RFC 8078 section 4).
fn joined(stated: Vec<Vec<u8>>, made: Vec<Vec<u8>>, delete: &[u8]) -> Vec<Vec<u8>> {
    for records in [&stated, &made] {
        if records.iter().any(|record| record == delete) {
            return vec![delete.to_vec()];
        }
    }
    let mut joined = stated;
    for record in made {
        if !joined.contains(&record) {
            joined.push(record);
        }
    }
    joined
}
