//! Warnings about zones that are signed in their files: what resolvers that validate would refuse.

use crate::catalog::{Catalog, ZoneId};
use crate::dnssec::key_file::time_for_people;
use crate::text::shown;
use crate::zone::Zone;

/// Seconds before the first signature expires at which a load warns: three days.
const SOON: i64 = 3 * 86_400;

/// What is wrong with the signatures of the files, a sentence each. `now` is in seconds since 1970.
pub(super) fn warnings(catalog: &Catalog, zones: &[Zone], now: u64) -> Vec<String> {
    let Some(signed) = &catalog.signed else {
        return Vec::new();
    };
    let mut warnings = signed.remarks.clone();
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
