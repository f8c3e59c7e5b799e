//! Fingerprints of the configuration and its zones.
//!
//! They show whether two servers, or a server and its files, have the same content. A fingerprint
//! is a 128-bit SipHash with a fixed key. It detects mistakes and does not protect against an
//! attacker.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::catalog::Catalog;
use crate::config::SourceFile;
use crate::dns::Name;
use crate::zone::{Zone, ZoneEdit};

/// The sections that servers of a fleet have for themselves: names, addresses, logins and folders.
const OWN_SECTIONS: [&str; 4] = ["server", "admin", "fleet", "state"];

/// A 128-bit hash. Equal contents have equal fingerprints on every machine. It is not a
/// cryptographic proof: an attacker can make two contents with the same fingerprint.
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
    place: Box<str>,
    /// The fingerprint of its records without the serial. It does not depend on how the file spells
    /// or orders them.
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
    /// Shared, because every view of the state has them.
    zones: Arc<[ZonePrint]>,
    whole: Fingerprint,
    /// The same without the sections that are each server's own.
    shared: Fingerprint,
}

impl ContentPrints {
    /// The fingerprints of the configuration files, in order, and of the zones, which the catalog was
    /// compiled from.
    pub fn of(configuration: &[SourceFile], catalog: &Catalog, zones: &[Zone]) -> ContentPrints {
        let mut prints = Vec::with_capacity(zones.len());
        for (zone, compiled) in zones.iter().zip(&catalog.zones) {
            prints.push(ZonePrint {
                origin: zone.origin.clone(),
                serial: compiled.serial,
                place: place(zone).unwrap_or_default(),
                print: Fingerprint(compiled.print),
            });
        }
        prints.sort_by(|one, other| one.origin.as_wire().cmp(other.origin.as_wire()));
        ContentPrints::of_zones(configuration, prints)
    }

    /// The fingerprints after an edit, in which every zone stays.
    pub fn edited(
        &self,
        configuration: &[SourceFile],
        catalog: &Catalog,
        edits: &[ZoneEdit],
    ) -> ContentPrints {
        let mut zones = self.zones.to_vec();
        for edit in edits {
            let origin = &edit.zone.origin;
            let found = zones
                .binary_search_by(|zone| zone.origin.as_wire().cmp(origin.as_wire()))
                .ok()
                .and_then(|at| zones.get_mut(at));
            if let (Some(zone), Some(compiled)) = (found, catalog.zone_of(origin)) {
                zone.serial = compiled.serial;
                zone.print = Fingerprint(compiled.print);
                zone.place = place(&edit.zone).unwrap_or_else(|| zone.place.clone());
            }
        }
        ContentPrints::of_zones(configuration, zones)
    }

    fn of_zones(configuration: &[SourceFile], zones: Vec<ZonePrint>) -> ContentPrints {
        let (mut whole, mut shared) = (SipHasher24::new(), SipHasher24::new());
        for source in configuration {
            put(&mut whole, source.text.as_bytes());
            let text = shared_text(&source.text);
            if !text.is_empty() {
                put(&mut shared, text.as_bytes());
            }
        }
        for hasher in [&mut whole, &mut shared] {
            for zone in &zones {
                put(hasher, zone.origin.as_wire());
                hasher.write_u32(zone.serial);
                hasher.write_u128(zone.print.0);
            }
        }
        ContentPrints {
            zones: zones.into(),
            whole: finished(&whole),
            shared: finished(&shared),
        }
    }

    /// The fingerprint of what the servers of a fleet have in common: all but the sections of
    /// [`OWN_SECTIONS`], empty lines and comments.
    pub fn shared(&self) -> Fingerprint {
        self.shared
    }

    /// The fingerprint of the configuration and all zones together.
    pub fn whole(&self) -> Fingerprint {
        self.whole
    }

    /// The zones in the form that the state directory keeps.
    pub fn zones(&self) -> Vec<ServedZone> {
        self.zones.iter().map(ZonePrint::served).collect()
    }

    /// A warning for each zone whose records differ from `before` under the same serial.
    /// Secondaries and monitoring compare serials, so they would not notice the change.
    pub fn same_serials(&self, before: &[ServedZone]) -> Vec<String> {
        let mut known: HashMap<&str, &ServedZone> = HashMap::new();
        for zone in before {
            known.insert(&zone.name, zone);
        }
        let mut warnings = Vec::new();
        for zone in self.zones.iter() {
            let now = zone.served();
            let Some(before) = known.get(now.name.as_str()) else {
                continue;
            };
            if before.serial == now.serial && before.records != now.records {
                let ZonePrint { place, origin, .. } = zone;
                warnings.push(format!(
                    "{place}: the records of {origin} have changed and the serial is {} still; \
                     raise it with each change",
                    now.serial
                ));
            }
        }
        warnings
    }
}

impl ZonePrint {
    fn served(&self) -> ServedZone {
        ServedZone {
            name: self.origin.to_string(),
            serial: self.serial,
            records: self.print.to_string(),
        }
    }
}

/// The file and the line of the SOA.
fn place(zone: &Zone) -> Option<Box<str>> {
    let line = zone.soa()?.line();
    Some(format!("{}:{line}:1", zone.file.display()).into())
}

/// The lines of a configuration that are not in a section of the server's own. A line that only looks
/// like the head of a section, inside a text of several lines, makes other lines count; it cannot make
/// a mistake anywhere else.
fn shared_text(text: &str) -> String {
    let mut shared = String::with_capacity(text.len());
    let mut is_own = false;
    for line in text.lines() {
        let line = line.trim();
        if let Some(section) = section_of(line) {
            is_own = OWN_SECTIONS.contains(&section);
        }
        if !is_own && !line.is_empty() && !line.starts_with('#') {
            shared.push_str(line);
            shared.push('\n');
        }
    }
    shared
}

/// The first part of the name in the head of a section, such as `fleet` in `[fleet]`.
fn section_of(line: &str) -> Option<&str> {
    let head = line.strip_prefix('[')?;
    let head = head.strip_prefix('[').unwrap_or(head);
    let (name, _) = head.split_once(']')?;
    let name = name.split('.').next().unwrap_or(name).trim();
    let is_bare = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    (!name.is_empty() && name.bytes().all(is_bare)).then_some(name)
}

/// Hashes a part with its length, so that different lists of parts give different input.
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
    use crate::geo::Atlas;
    use crate::{config, zone};

    fn prints(configuration: &str, serial: u32, more: &str) -> ContentPrints {
        let text =
            format!("$TTL 60\n@ SOA ns1 h {serial} 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n{more}");
        let origin = "example.com".parse().unwrap();
        let zones = zone::load_text(Path::new("z.zone"), text.as_bytes(), Some(&origin), None)
            .unwrap()
            .zones;
        let config = config::parse(
            "[zones]\ndirectory = \"zones\"\n",
            Path::new("meridian.toml"),
        );
        let config = config.map(|loaded| loaded.config).unwrap();
        let catalog = Catalog::compile(&config, &zones, Arc::new(Atlas::empty())).unwrap();
        let source = SourceFile {
            file: Path::new("meridian.toml").into(),
            text: configuration.into(),
        };
        ContentPrints::of(&[source], &catalog, &zones)
    }

    #[test]
    fn changed_records_under_the_same_serial_are_reported() {
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
    fn what_is_each_servers_own_is_not_shared() {
        let shared = |configuration| prints(configuration, 7, "").shared().to_string();
        let first = shared("[fleet]\nvoter = \"a\"\n[checks.web]\ntype = \"http\"\n");
        for same in [
            "[checks.web]\n  type = \"http\"",
            "# b\n[server]\nnsid = \"b\"\n[checks.web]\ntype = \"http\"\n[fleet]\nvoter = \"b\"\n",
            "[admin.tls]\ncert = \"b\"\n\n[checks.web]\ntype = \"http\"\n[state]\n",
        ] {
            assert_eq!(shared(same), first, "{same}");
        }
        for other in [
            "[checks.web]\ntype = \"tcp\"",
            "[checks.fleet]\ntype = \"http\"",
            "[checks.web]\ntype = \"http\"\n[[services]]\nname = \"x\"",
        ] {
            assert_ne!(shared(other), first, "{other}");
        }
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
