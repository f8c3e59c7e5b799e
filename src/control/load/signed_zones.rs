//! Warnings about signed zones: keys that are too short, and, where the file has the signatures, what
//! resolvers that validate would refuse.
//!
//! Keys are looked at as they are published, whether they are ours, another signer's, or those of a
//! file that is signed already.

use crate::catalog::signed::SignedZones;
use crate::catalog::{Catalog, ZoneId};
use crate::dns::RecordType;
use crate::dnssec::key_file::time_for_people;
use crate::dnssec::zone_key::{key_tag, rsa_bits};
use crate::text::shown;
use crate::zone::Zone;

/// Seconds before the first signature expires at which a load warns: three days.
const SOON: i64 = 3 * 86_400;

/// Bits below which RSA keys are too short (NIST SP 800-57 part 1, RFC 8624 section 3.1).
const ENOUGH_BITS: usize = 2048;

/// What is wrong with keys and with the signatures of files, a sentence each. `now` is in seconds since
/// 1970.
pub(super) fn warnings(catalog: &Catalog, zones: &[Zone], now: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    for zone in zones {
        for key in catalog.plain_data_at(&zone.origin, RecordType::DNSKEY) {
            warnings.extend(short_key(zone, &key));
        }
    }
    if let Some(signed) = &catalog.signed {
        warnings.extend(signed.remarks.iter().cloned());
        warnings.extend(expiring(signed, zones, now));
    }
    warnings
}

fn short_key(zone: &Zone, key: &[u8]) -> Option<String> {
    let bits = rsa_bits(key).filter(|bits| *bits < ENOUGH_BITS)?;
    let (origin, tag) = (&zone.origin, key_tag(key));
    Some(format!(
        "{}: the RSA key {tag} of {origin} has {bits} bits, and less than {ENOUGH_BITS} can be broken; \
         replace it (`meridian keys roll {origin} --algorithm ecdsap256sha256`)",
        shown(zone.file.display())
    ))
}

/// Files whose first signature has expired or will soon.
fn expiring(signed: &SignedZones, zones: &[Zone], now: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    for (id, zone) in (0..).zip(zones) {
        let Some(signed) = signed.zone(ZoneId(id)).filter(|it| it.is_presigned) else {
            continue;
        };
        let left = i64::from(signed.expires.wrapping_sub(now as u32).cast_signed());
        if left > SOON {
            continue;
        }
        let (verb, at) = (
            if left < 0 { "expired" } else { "expires" },
            time_for_people(now.saturating_add_signed(left)),
        );
        warnings.push(format!(
            "{}: the first of its signatures {verb} on {at}; sign the zone again",
            shown(zone.file.display())
        ));
    }
    warnings
}
