//! What tells one configuration and its zones from others, so that servers and disks can be compared without reading either.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::dns::{Name, RecordType};
use crate::zone::Zone;

/// 128 bits of a content. Equal contents have equal ones on every machine; it proves nothing to whoever is suspected of
/// having made the content up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A zone as it was loaded.
#[derive(Clone, PartialEq, Eq)]
pub struct ZonePrint {
    /// Its apex.
    origin: Name,
    /// SERIAL of its SOA.
    serial: u32,
    /// The file and the line of the SOA.
    place: String,
    /// Of its records, without the serial, in whatever order and words the file has them.
    print: Fingerprint,
}

/// A zone that is or was served, as the state directory keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedZone {
    /// Its apex.
    pub name: String,
    /// SERIAL of its SOA.
    pub serial: u32,
    /// The fingerprint of its records without the serial: 32 hexadecimal digits.
    pub records: String,
}

/// A configuration and its zones as they were loaded.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentPrints {
    zones: Vec<ZonePrint>,
    whole: Fingerprint,
}

impl ContentPrints {
    /// Of the text of a configuration and of its zones.
    pub fn of(configuration: &[u8], zones: &[Zone]) -> ContentPrints {
        let mut hasher = SipHasher24::new();
        put(&mut hasher, configuration);
        let mut zones: Vec<ZonePrint> = zones.iter().map(ZonePrint::of).collect();
        zones.sort_by(|one, other| one.origin.as_wire().cmp(other.origin.as_wire()));
        for zone in &zones {
            put(&mut hasher, zone.origin.as_wire());
            hasher.write_u32(zone.serial);
            hasher.write_u128(zone.print.0);
        }
        ContentPrints {
            zones,
            whole: finished(&hasher),
        }
    }

    /// Of everything.
    pub fn whole(&self) -> Fingerprint {
        self.whole
    }

    /// What a later start, and `check`, compare their zones with.
    pub fn zones(&self) -> Vec<ServedZone> {
        let served = |zone: &ZonePrint| ServedZone {
            name: zone.origin.to_string(),
            serial: zone.serial,
            records: zone.print.to_string(),
        };
        self.zones.iter().map(served).collect()
    }

    /// A warning for each zone that holds something else than `before` under the same serial: whoever compares serials, as
    /// secondaries and monitoring do, takes both for one.
    pub fn same_serials(&self, before: &[ServedZone]) -> Vec<String> {
        let known: HashMap<&str, &ServedZone> = before
            .iter()
            .map(|zone| (zone.name.as_str(), zone))
            .collect();
        let changed = |zone: &&ZonePrint| {
            let known = known.get(zone.origin.to_string().as_str());
            known.is_some_and(|known| {
                known.serial == zone.serial && known.records != zone.print.to_string()
            })
        };
        let told = |zone: &ZonePrint| {
            let ZonePrint {
                origin,
                serial,
                place,
                ..
            } = zone;
            format!(
                "{place}: the records of {origin} have changed and the serial is {serial} still; raise it with each change"
            )
        };
        self.zones.iter().filter(changed).map(told).collect()
    }
}

impl ZonePrint {
    fn of(zone: &Zone) -> ZonePrint {
        let mut hasher = SipHasher24::new();
        let (mut serial, mut line) = (0, 1);
        for rrset in &zone.rrsets {
            put(&mut hasher, rrset.owner.as_wire());
            hasher.write_u16(rrset.rtype.0);
            hasher.write_u32(rrset.ttl);
            let is_soa = rrset.rtype == RecordType::SOA && rrset.owner == zone.origin;
            for data in &rrset.rdata {
                // SERIAL and the four numbers behind it end the data (RFC 1035 section 3.3.13).
                match data.split_last_chunk::<20>().filter(|_| is_soa) {
                    Some((names, numbers)) => {
                        let (number, others) = numbers.split_at(4);
                        serial = number.try_into().map_or(0, u32::from_be_bytes);
                        line = rrset.line;
                        put(&mut hasher, names);
                        put(&mut hasher, others);
                    }
                    None => put(&mut hasher, data),
                }
            }
        }
        let place = format!("{}:{line}:1", zone.file.display());
        ZonePrint {
            origin: zone.origin.clone(),
            serial,
            place,
            print: finished(&hasher),
        }
    }
}

/// With its length, so that no two lists of parts are written alike.
fn put(hasher: &mut SipHasher24, octets: &[u8]) {
    hasher.write_u64(octets.len() as u64);
    hasher.write(octets);
}

fn finished(hasher: &SipHasher24) -> Fingerprint {
    Fingerprint(hasher.finish128().as_u128())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::zone;

    fn prints(configuration: &str, serial: u32, more: &str) -> ContentPrints {
        let text =
            format!("$TTL 60\n@ SOA ns1 h {serial} 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n{more}");
        let origin = "example.com".parse().unwrap();
        let zones = zone::load_text(Path::new("z.zone"), text.as_bytes(), Some(&origin), None)
            .unwrap()
            .zones;
        ContentPrints::of(configuration.as_bytes(), &zones)
    }

    #[test]
    fn a_content_that_changes_under_its_serial_is_told() {
        let before = prints("", 7, "a A 192.0.2.1\n");
        let told = prints("", 7, "a A 192.0.2.2\n").same_serials(&before.zones());
        assert!(
            told.len() == 1 && told[0].starts_with("z.zone:2:1: the records of example.com"),
            "{told:?}"
        );
        assert!(
            told[0].ends_with("have changed and the serial is 7 still; raise it with each change"),
            "{told:?}"
        );
        assert!(
            prints("", 8, "a A 192.0.2.2\n")
                .same_serials(&before.zones())
                .is_empty()
        );
        assert!(
            prints("", 7, "; a word\na A 192.0.2.1\n")
                .same_serials(&before.zones())
                .is_empty()
        );
        assert!(
            prints("", 7, "a 61 A 192.0.2.1\n")
                .same_serials(&before.zones())
                .len()
                == 1
        );
    }

    #[test]
    fn the_whole_is_configuration_serials_and_records() {
        let whole =
            |configuration, serial, more| prints(configuration, serial, more).whole().to_string();
        let first = whole("a", 7, "");
        assert_eq!(first.len(), 32);
        assert_eq!(first, whole("a", 7, "; a word\n"));
        assert!(
            [
                whole("b", 7, ""),
                whole("a", 8, ""),
                whole("a", 7, "a A 192.0.2.1\n")
            ]
            .iter()
            .all(|it| *it != first)
        );
    }
}
