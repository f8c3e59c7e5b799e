//! A reload after an edit of a long zone: only the edit is read, checked and compiled.
//!
//! This is done only if nothing else can have changed: the text of the configuration, the databases
//! and the set of zone files are those of the load before, and that load had no warning about zones.
//! In every other case, and whenever an edit is not a simple one, everything is loaded as usual.

use std::sync::Arc;

use super::{AtlasCache, AtlasKey, LoadedState, cookie_secrets, lines, long_denials, snapshot};
use crate::catalog::Catalog;
use crate::config::{self, SourceFile};
use crate::control::fingerprint::ContentPrints;
use crate::control::identity;
use crate::control::memory::{self, MemoryExtent};
use crate::zone::{FolderEdits, KnownFolder};

/// The zones of a load, for the next one.
pub struct KnownZones {
    /// The zone files.
    pub folder: KnownFolder,
    /// The configuration file and those that it includes.
    pub sources: Arc<[SourceFile]>,
    /// Compiled from both.
    pub catalog: Arc<Catalog>,
    /// Their fingerprints.
    pub prints: ContentPrints,
}

/// Loads what has changed since `before`. `None`: everything must be loaded, which also tells what
/// is wrong.
pub fn load(read: &config::LoadedConfig, before: &AtlasCache) -> Option<LoadedState> {
    let known = before.zones.as_ref()?;
    let config = &read.config;
    // A signed zone is signed whole; what has not changed is found in the store.
    if config.dnssec.is_some() {
        return None;
    }
    if *known.sources != *read.sources || before.key != AtlasKey::of(config) {
        return None;
    }
    let extent = MemoryExtent::of(config);
    memory::check(&before.extent, &extent, false, config.max_memory).ok()?;
    let FolderEdits {
        edits,
        known: folder,
        files: zone_files,
    } = known.folder.edits(&config.zones_directory)?;
    let catalog = known.catalog.edited(config, &edits)?;
    let zones = edits.iter().map(|edit| &edit.zone);
    if !long_denials(config, zones, &catalog).is_empty() {
        return None;
    }
    let cookies = cookie_secrets(config).ok()?;
    let identity = identity::read(config).ok()?;
    let prints = known.prints.edited(&read.sources, &catalog, &edits);
    let snapshot = snapshot(config, catalog, cookies, None).ok()?;
    // What the estimate has missed counts here as after any other load.
    memory::check_loaded(config, false).ok()?;
    let mut warnings = lines(&read.warnings);
    warnings.extend(identity.dns.warning.clone());
    warnings.extend(identity.admin.warning.clone());
    let mut files = read.files.clone();
    files.extend(zone_files);
    let zones = KnownZones {
        folder,
        sources: known.sources.clone(),
        catalog: snapshot.catalog.clone(),
        prints: prints.clone(),
    };
    Some(LoadedState {
        snapshot,
        config: config.clone(),
        warnings,
        atlas: AtlasCache {
            extent,
            zones: Some(Arc::new(zones)),
            ..before.clone()
        },
        identity,
        files,
        signing_due: None,
        bundle: None,
        rolls: Vec::new(),
        prints,
        sources: known.sources.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write;
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::control::signing::LoadPurpose;
    use crate::dns::Name;
    use crate::zone;

    /// Names in the zone at first; enough for several blocks.
    const HOSTS: u32 = 6000;

    /// Something done to the lines of a zone file.
    #[derive(Debug, Clone)]
    enum LineEdit {
        Replace(usize, String),
        Insert(usize, String),
        Remove(usize),
    }

    fn record() -> impl Strategy<Value = String> {
        let host = 0..HOSTS + 50;
        prop_oneof![
            6 => (host.clone(), any::<u8>()).prop_map(|(n, d)| format!("host{n} A 192.0.2.{d}")),
            3 => (host.clone(), any::<u8>()).prop_map(|(n, d)| format!("HOST{n} 60 A 192.0.2.{d}")),
            3 => (host.clone(), any::<u8>()).prop_map(|(n, d)| format!("host{n} TXT \"{d}\"")),
            2 => (0..9u8).prop_map(|n| format!("a.b{n}.new AAAA 2001:db8::{n}")),
            1 => (0..9u8).prop_map(|n| format!("target{n} A 192.0.2.{n}")),
            1 => host.clone().prop_map(|n| format!("host{n} MX 1 target1")),
            1 => host.clone().prop_map(|n| format!("host{n} CNAME host1")),
            1 => (0..9u8).prop_map(|n| format!("*.b{n}.new A 192.0.2.9")),
            1 => (0..9u8).prop_map(|n| format!("b{n}.new NS ns.example.net.")),
            1 => Just("; a word".to_owned()),
            1 => Just("$TTL 50".to_owned()),
            1 => Just("@ TXT apex".to_owned()),
        ]
    }

    fn edit() -> impl Strategy<Value = LineEdit> {
        let at = 4..(HOSTS as usize + 20);
        prop_oneof![
            3 => (at.clone(), record()).prop_map(|(at, line)| LineEdit::Replace(at, line)),
            4 => (at.clone(), record()).prop_map(|(at, line)| LineEdit::Insert(at, line)),
            1 => at.prop_map(LineEdit::Remove),
            3 => any::<u16>().prop_map(|serial| LineEdit::Replace(1, soa(serial.into()))),
        ]
    }

    fn soa(serial: u32) -> String {
        format!("@ SOA ns1 hostmaster {serial} 7200 1800 259200 900")
    }

    fn lines() -> Vec<String> {
        let mut lines = vec!["$TTL 3600".to_owned(), soa(1)];
        for line in [
            "@ NS ns1",
            "ns1 A 192.0.2.53",
            "few MX 5 target1",
            "target1 A 192.0.2.1",
        ] {
            lines.push(line.to_owned());
        }
        for n in 0..HOSTS {
            lines.push(format!("host{n} A 192.0.2.{}", n % 256));
        }
        for n in 0..10 {
            lines.push(format!("host{} AAAA 2001:db8::{n}", n * 500));
        }
        lines
    }

    struct Server {
        folder: TempDir,
        lines: Vec<String>,
    }

    impl Server {
        fn new() -> Server {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("zones")).unwrap();
            fs::write(folder.path().join("meridian.toml"), "").unwrap();
            let server = Server {
                folder,
                lines: lines(),
            };
            server.write();
            server
        }

        fn write(&self) {
            let zones = self.folder.path().join("zones");
            let beside = zones.join("beside");
            fs::write(&beside, self.lines.join("\n") + "\n").unwrap();
            fs::rename(beside, zones.join("example.com.zone")).unwrap();
        }

        fn read(&self) -> config::LoadedConfig {
            config::load(&self.folder.path().join("meridian.toml"))
                .ok()
                .unwrap()
        }

        fn edit(&mut self, edits: &[LineEdit]) {
            for edit in edits {
                match edit.clone() {
                    LineEdit::Replace(at, line) => self.lines[at] = line,
                    LineEdit::Insert(at, line) => self.lines.insert(at, line),
                    LineEdit::Remove(at) => drop(self.lines.remove(at)),
                }
            }
            self.write();
        }

        /// Loads everything.
        fn whole(&self, before: Option<&AtlasCache>) -> Result<LoadedState, Vec<String>> {
            let load = |config: &config::Config| zone::load_directory(&config.zones_directory);
            super::super::load_config(self.read(), before, LoadPurpose::Inspect, load)
        }
    }

    /// Everything that a catalog answers from, by name.
    fn described(catalog: &Catalog) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        let shown = |id| {
            let node = catalog.names.node(id).unwrap();
            Name::from_wire(catalog.names.name_of(node))
                .unwrap()
                .to_string()
        };
        for id in catalog.names.ids() {
            let node = catalog.names.node(id).unwrap();
            let mut text = format!(
                "{:?} {} {:?} {:?} {:?} {:?}",
                node.role,
                node.labels,
                node.zone,
                node.cut.map(shown),
                node.wildcard.map(shown),
                node.dname().is_some()
            );
            for rrset in catalog.records.of(node.rrsets) {
                let octets = catalog.records.octets(rrset);
                let pointers = catalog.records.pointers(rrset);
                let of = (rrset.rtype, rrset.count);
                write!(text, "\n {of:?} {octets:?} {pointers:?}").unwrap();
                for target in catalog.records.targets(rrset) {
                    let (at, further) = (target.at, target.further);
                    write!(text, " {at:?} {} {further:?}", shown(target.node)).unwrap();
                }
            }
            names.insert(shown(id), text);
        }
        for zone in &catalog.zones {
            let soa = catalog.records.get(zone.negative_soa).unwrap();
            let (octets, pointers) = (catalog.records.octets(soa), catalog.records.pointers(soa));
            let text = format!("{} {:x} {octets:?} {pointers:?}", zone.serial, zone.print);
            names.insert(format!("zone {}", zone.origin), text);
        }
        names
    }

    /// Compares an edited load with a load of everything, if there is one.
    fn agrees(edited: Option<&LoadedState>, whole: &Result<LoadedState, Vec<String>>) {
        let Some(edited) = edited else { return };
        let whole = whole
            .as_ref()
            .unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let (one, other) = (&edited.snapshot.catalog, &whole.snapshot.catalog);
        assert_eq!(described(one), described(other));
        assert_eq!(edited.warnings, whole.warnings);
        assert!(edited.prints == whole.prints);
        assert_eq!(edited.files, whole.files);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_edits_load_is_what_the_whole_loads(
            turns in prop::collection::vec(prop::collection::vec(edit(), 1..4), 1..4),
        ) {
            let mut server = Server::new();
            let mut last = server.whole(None).unwrap();
            for edits in turns {
                server.edit(&edits);
                let edited = load(&server.read(), &last.atlas);
                let whole = server.whole(Some(&last.atlas));
                agrees(edited.as_ref(), &whole);
                // Edits of edits.
                match (edited, whole) {
                    (Some(edited), _) => last = edited,
                    (None, Ok(whole)) => last = whole,
                    (None, Err(_)) => return Ok(()),
                }
            }
        }
    }

    #[test]
    fn simple_edits_need_no_whole_load() {
        let mut server = Server::new();
        let mut last = server.whole(None).unwrap();
        let replaced = |at, line: &str| LineEdit::Replace(at, line.to_owned());
        let turns = [
            vec![],
            vec![replaced(3000, "host2994 A 198.51.100.1")],
            vec![
                replaced(1, &soa(2)),
                replaced(5000, "host4994 A 198.51.100.2"),
            ],
            vec![LineEdit::Insert(4000, "new.new A 198.51.100.3".to_owned())],
            vec![LineEdit::Insert(
                4000,
                "host7 TXT \"another type\"".to_owned(),
            )],
            vec![
                replaced(1, &soa(3)),
                LineEdit::Insert(100, "; a word".to_owned()),
            ],
        ];
        for edits in turns {
            server.edit(&edits);
            let edited = load(&server.read(), &last.atlas).expect("it is simple");
            agrees(Some(&edited), &server.whole(Some(&last.atlas)));
            last = edited;
        }
        for line in [
            "*.x A 192.0.2.1",
            "x NS ns.example.net.",
            "host9 MX 1 none",
            "x A wrong",
        ] {
            server.edit(&[LineEdit::Insert(4000, line.to_owned())]);
            assert!(load(&server.read(), &last.atlas).is_none(), "{line}");
            server.edit(&[LineEdit::Remove(4000)]);
        }
        assert!(Path::new(&last.files[0].path).exists());
    }
}
