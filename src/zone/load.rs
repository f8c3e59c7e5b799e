//! Loads zones from one file, or from every `*.zone` file of a folder.
//!
//! A file's name states its origin: `example.com.zone` holds `example.com`. The loader follows
//! `$INCLUDE`, bounds the size and depth of what it reads, and reports the mistakes of all files at
//! once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::check::{self, CheckedZone};
use super::error::{ZoneError, ZoneReport};
use super::known::FileBlocks;
use super::known_folder::KnownFolder;
use super::read::ZoneReader;
use super::{LoadedZones, Zone};
use crate::dns::{Name, NameError};
use crate::files::{self, FileKind, FileRead};
use crate::two_threads::each;

/// Loads every `*.zone` file directly in `folder`, in the order of their names.
///
/// Relative names start from the file's name without `.zone`, unless the file states `$ORIGIN`;
/// included files are looked up in `folder` and must lie inside it. Returns the errors of all
/// files, at most [`MAX_REPORTED`](super::error::MAX_REPORTED) of them, in the order of files,
/// lines and columns.
pub fn load_directory(folder: &Path) -> Result<LoadedZones, Vec<ZoneError>> {
    let found = zone_files(folder).map_err(|error| vec![error])?;
    let mut loading = Loading::default();
    for sentence in found.odd() {
        loading
            .report
            .warnings
            .push(ZoneError::whole(folder, sentence));
    }
    for read in each(&found.zones, |file| FileLoad::of(file, folder)) {
        loading.add(read);
    }
    loading.finish(folder)
}

/// Loads one zone from text: `file_label` names it in messages, `default_origin` completes
/// relative names before the first `$ORIGIN`, and only files inside `folder` can be included, none
/// without it.
pub fn load_text(
    file_label: &Path,
    text: &[u8],
    default_origin: Option<&Name>,
    folder: Option<&Path>,
) -> Result<LoadedZones, Vec<ZoneError>> {
    let mut loading = Loading::default();
    let mut load = FileLoad::default();
    load.zone(file_label, Cow::Borrowed(text), default_origin, folder);
    loading.add(load);
    loading.finish(file_label)
}

/// One zone file that was loaded.
#[derive(Default)]
struct FileLoad {
    /// `None`: the report says why.
    checked: Option<CheckedZone>,
    /// Remembered of a long file.
    blocks: Option<FileBlocks>,
    report: ZoneReport,
    /// The file itself comes last.
    files: Vec<FileRead>,
}

impl FileLoad {
    fn of(file: &Path, folder: &Path) -> FileLoad {
        let mut load = FileLoad::default();
        let content = match files::read(file, FileKind::Zone) {
            Ok(content) => content,
            Err(error) => {
                load.refuse(file, format!("it {error}"));
                return load;
            }
        };
        match origin_from(file) {
            // Without an origin, every relative name would cause another error.
            Err(error) if !states_origin(&content.octets) => load.refuse(
                file,
                format!("the file must be named after its zone, but {error}"),
            ),
            origin => load.zone(
                file,
                Cow::Owned(content.octets),
                origin.ok().flatten().as_ref(),
                Some(folder),
            ),
        }
        load.files.push(content.read);
        load
    }

    fn refuse(&mut self, file: &Path, sentence: String) {
        self.report.errors.push(ZoneError::whole(file, sentence));
    }

    fn zone(
        &mut self,
        file: &Path,
        text: Cow<'_, [u8]>,
        default_origin: Option<&Name>,
        folder: Option<&Path>,
    ) {
        let mut reader = ZoneReader::new(file, default_origin, folder, &mut self.report);
        let blocks = reader.read_file(&text);
        let mut reading = reader.finish();
        // The records are all that is needed from here on.
        drop(text);
        self.files.append(&mut reading.included);
        self.checked = check::zone(reading, default_origin, &mut self.report);
        self.blocks = blocks;
    }
}

/// The zones loaded so far.
#[derive(Default)]
struct Loading {
    zones: Vec<Zone>,
    missing_addresses: Vec<(Name, ZoneError)>,
    report: ZoneReport,
    /// The number of the zone of each apex.
    stated: HashMap<Name, usize>,
    files: Vec<FileRead>,
    /// Remembered of long files, by the number of their zone.
    blocks: Vec<(usize, FileBlocks)>,
}

impl Loading {
    fn add(&mut self, load: FileLoad) {
        self.report.append(load.report);
        self.files.extend(load.files);
        let Some(checked) = load.checked else {
            return;
        };
        self.missing_addresses.extend(checked.missing_addresses);
        let zone = checked.zone;
        let number = self.zones.len();
        self.blocks
            .extend(load.blocks.map(|blocks| (number, blocks)));
        if let Some(other) = self.stated.insert(zone.origin.clone(), number) {
            let error = stated_twice(&zone, &self.zones[other]);
            self.report.errors.push(error);
        }
        self.zones.push(zone);
    }

    fn finish(self, whole: &Path) -> Result<LoadedZones, Vec<ZoneError>> {
        if !self.report.errors.is_empty() {
            return Err(self.report.errors.into_sorted(whole));
        }
        let warnings = self.report.warnings.into_sorted(whole);
        let Loading {
            zones,
            missing_addresses,
            files,
            blocks,
            ..
        } = self;
        let is_simple = warnings.is_empty()
            && missing_addresses.is_empty()
            && files.len() == zones.len()
            && !blocks.is_empty();
        let apexes = zones.iter().map(|zone| &zone.origin);
        let known = is_simple.then(|| KnownFolder::new(&files, apexes, blocks));
        Ok(LoadedZones {
            known,
            zones,
            warnings,
            missing_addresses,
            files,
        })
    }
}

/// The files that [`load_directory`] would read right in a folder; none if it cannot be read.
pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    zone_files(folder).map_or(Vec::new(), |found| found.zones)
}

/// The zone files of a folder with which nothing is odd.
pub(super) fn zones_only(folder: &Path) -> Option<Vec<PathBuf>> {
    let found = zone_files(folder).ok()?;
    found.odd().is_empty().then_some(found.zones)
}

/// The files of a zones folder, sorted by name. Hidden files are ignored: editors and systems leave
/// some that are no zones (`.#example.com.zone`, `._example.com.zone`).
#[derive(Default)]
struct FolderContent {
    /// Called `*.zone`.
    zones: Vec<PathBuf>,
    /// Called `*.ZONE` or the like.
    nearly: Vec<String>,
    /// Everything else.
    others: Vec<String>,
}

fn zone_files(folder: &Path) -> Result<FolderContent, ZoneError> {
    let mut found = FolderContent::default();
    if let Err(error) = found.read(folder) {
        let sentence = format!("the zones folder cannot be read: {error}");
        return Err(ZoneError::whole(folder, sentence));
    }
    // They differ in their last component alone.
    found
        .zones
        .sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    found.nearly.sort();
    found.others.sort();
    Ok(found)
}

/// The first three names: `a, b, c and 2 more`.
fn some_of(names: &[String]) -> String {
    let shown = names[..names.len().min(3)].join(", ");
    match names.len().saturating_sub(3) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn stated_twice(zone: &Zone, other: &Zone) -> ZoneError {
    let (origin, other) = (&zone.origin, other.file.display());
    let sentence = format!("the zone {origin} is also stated by {other}; keep one");
    ZoneError::whole(&zone.file, sentence)
}

impl FolderContent {
    fn read(&mut self, folder: &Path) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                self.add(entry.path(), name);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, name: String) {
        let extension = path.extension().unwrap_or_default();
        if extension == "zone" {
            self.zones.push(path);
        } else if extension.eq_ignore_ascii_case("zone") {
            self.nearly.push(name);
        } else {
            self.others.push(name);
        }
    }
}

impl FolderContent {
    /// Warnings about likely mistakes: files that are nearly named like zones, and a folder without
    /// zones.
    fn odd(&self) -> Vec<String> {
        let named =
            "a zone file is named after its zone, in lower case at the end: example.com.zone";
        if self.zones.is_empty() && !(self.nearly.is_empty() && self.others.is_empty()) {
            let rest = some_of(&[&self.nearly[..], &self.others].concat());
            return vec![format!(
                "no file in this folder is read as a zone, but {rest} is there; {named}"
            )];
        }
        let mut sentences = Vec::new();
        for name in &self.nearly {
            sentences.push(format!("{name} is not read as a zone; {named}"));
        }
        sentences
    }
}

/// The origin that a file's name states: `example.com` for `example.com.zone`. `None` if the name
/// is not that of a zone file.
///
/// # Errors
/// The name has characters outside ASCII.
pub(super) fn origin_from(file: &Path) -> Result<Option<Name>, NameError> {
    match file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .map(str::parse)
    {
        Some(Err(error @ NameError::NotAscii(_))) => Err(error),
        name => Ok(name.and_then(Result::ok)),
    }
}

/// Whether a zone may say itself what its names are relative to.
fn states_origin(text: &[u8]) -> bool {
    let word = b"$ORIGIN";
    text.windows(word.len())
        .any(|octets| octets.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::dns::RecordType;
    use crate::zone::testing::{HEAD, hexadecimal};

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        folder
    }

    /// All mistakes, with the folder's own name shown as `zones`.
    fn errors(folder: &TempDir) -> Vec<String> {
        let name = folder.path().display().to_string();
        let errors = load_directory(folder.path()).err().unwrap_or_default();
        errors
            .iter()
            .map(|error| error.to_string().replace(&name, "zones"))
            .collect()
    }

    #[test]
    fn every_zone_file_of_a_folder_is_loaded_in_order() {
        let other = HEAD.replace("$TTL 1h", "$TTL 1h\n$ORIGIN example.net.");
        let files = [
            ("b.example.zone", HEAD),
            ("a.zone", &other),
            ("notes.txt", "("),
            ("sub/c.zone", "("),
        ];
        let folder = folder(&files);
        let loaded = load_directory(folder.path()).expect("good zones");
        let zones: Vec<String> = loaded
            .zones
            .iter()
            .map(|zone| zone.origin.to_string())
            .collect();
        assert_eq!(zones, ["example.net", "b.example"]);
        assert_eq!(loaded.zones[1].file, folder.path().join("b.example.zone"));
        assert_eq!(
            loaded.zones[1]
                .rrsets()
                .map(|rrset| rrset.line())
                .collect::<Vec<_>>(),
            [3, 2]
        );
    }

    #[test]
    fn mistakes_of_all_files_are_told_at_once() {
        let files = [
            ("a.zone", "@ 1 A x\n"),
            ("b.zone", HEAD),
            ("c.zone", &format!("$ORIGIN b.\n{HEAD}")),
        ];
        assert_eq!(
            errors(&folder(&files)),
            [
                "zones/a.zone: the zone has no SOA record; state one at its apex",
                "zones/a.zone:1:7: the data of this A record is wrong: 'x' is not an IPv4 address",
                "zones/c.zone: the zone b is also stated by zones/b.zone; keep one",
            ]
        );
    }

    #[test]
    fn a_missing_folder_or_an_odd_file_is_told() {
        let empty = folder(&[("a.zone/x", "")]);
        assert_eq!(
            errors(&empty),
            ["zones/a.zone: it is a folder, not a regular file"]
        );
        let missing = load_directory(&empty.path().join("none")).expect_err("missing");
        assert_eq!(missing.len(), 1);
        assert!(
            missing[0]
                .to_string()
                .contains("none: the zones folder cannot be read: "),
            "{}",
            missing[0]
        );
        assert!(load_directory(folder(&[]).path()).is_ok_and(|loaded| loaded.zones.is_empty()));
    }

    #[test]
    fn hidden_files_and_copies_are_passed_over() {
        let hidden = [
            ".#b.zone",
            "._b.zone",
            ".zone",
            ".b.zone.swp",
            "b.zone~",
            "#b.zone#",
            "b.zone.bak",
        ];
        let mut files: Vec<(&str, &str)> = hidden.iter().map(|name| (*name, "(")).collect();
        files.push(("a.example.zone", HEAD));
        let folder = folder(&files);
        std::os::unix::fs::symlink("me@host.1234", folder.path().join(".#a.example.zone"))
            .expect("a link");
        let loaded = load_directory(folder.path()).expect("the one zone is good");
        assert_eq!((loaded.zones.len(), loaded.files.len()), (1, 1));
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn a_file_name_beyond_ascii_is_told_the_form_in_ascii() {
        let named = "b\u{fc}cher.example.zone";
        let sentence = "the file must be named after its zone, but the name has characters outside ASCII; write it in its \
            xn-- form, xn--bcher-kva.example";
        assert_eq!(
            errors(&folder(&[(named, HEAD)])),
            [format!("zones/{named}: {sentence}")]
        );
        let stated = HEAD.replace("$TTL 1h", "$TTL 1h\n$origin xn--bcher-kva.example.");
        assert_eq!(
            errors(&folder(&[(named, &stated)])),
            [""; 0],
            "the file says itself what it is"
        );
    }

    #[test]
    fn a_folder_without_a_zone_is_told_what_zones_are_called() {
        let warnings = |files: &[(&str, &str)]| {
            let loaded = load_directory(folder(files).path()).expect("it can be read");
            loaded
                .warnings
                .into_iter()
                .map(|warning| warning.sentence)
                .collect::<Vec<_>>()
        };
        let named =
            "a zone file is named after its zone, in lower case at the end: example.com.zone";
        let found = warnings(&[("EXAMPLE.COM.ZONE", HEAD), ("db.example.com", HEAD)]);
        let there = "no file in this folder is read as a zone, but EXAMPLE.COM.ZONE, db.example.com is there";
        assert_eq!(found, [format!("{there}; {named}")]);
        let found = warnings(&[("1", ""), ("2", ""), ("3", ""), ("4", ""), ("5", "")]);
        assert_eq!(
            found,
            [format!(
                "no file in this folder is read as a zone, but 1, 2, 3 and 2 more is there; {named}"
            )]
        );
        // In a folder with zones, only files that nearly are zones cause a warning.
        let found = warnings(&[
            ("a.example.zone", HEAD),
            ("B.EXAMPLE.Zone", HEAD),
            ("README", ""),
        ]);
        assert_eq!(
            found,
            [format!("B.EXAMPLE.Zone is not read as a zone; {named}")]
        );
        assert_eq!(warnings(&[]), [""; 0]);
        assert_eq!(warnings(&[(".gitkeep", "")]), [""; 0]);
    }

    #[test]
    fn included_files_have_their_own_origin_and_leave_that_of_the_outer_file() {
        let outer = format!(
            "{HEAD}a A 192.0.2.1\n$INCLUDE parts/x sub ; here\n  A 192.0.2.2\n$INCLUDE \"parts/x\"\n"
        );
        let folder = folder(&[
            ("example.com.zone", &outer),
            ("parts/x", "$TTL 5\nb A 192.0.2.3\n$ORIGIN net.\n"),
        ]);
        let loaded = load_directory(folder.path()).expect("good");
        let shown: Vec<String> = loaded.zones[0]
            .rrsets()
            .map(|rrset| format!("{:?}", rrset.name()))
            .collect();
        let apex = "example.com";
        assert_eq!(
            shown,
            [
                apex,
                apex,
                "a.example.com",
                "b.example.com",
                "b.sub.example.com"
            ]
        );
        assert_eq!(
            loaded.zones[0].rrsets().nth(2).expect("three").count(),
            2,
            "the owner is restored too"
        );
    }

    #[test]
    fn included_files_stay_inside_the_folder_and_end() {
        let outer = format!(
            "{HEAD}$INCLUDE ../x\n$INCLUDE /etc/passwd\n$INCLUDE none\n$INCLUDE .\n$INCLUDE loop\n"
        );
        let files = [
            ("in/example.com.zone", outer.as_str()),
            ("x", ""),
            ("in/loop", "$INCLUDE example.com.zone\na A 1\n"),
        ];
        let outside = folder(&files);
        let inner = outside.path().join("in");
        let name = inner.display().to_string();
        let errors = load_directory(&inner).expect_err("mistakes");
        let errors: Vec<String> = errors
            .iter()
            .map(|error| error.to_string().replace(&name, "zones"))
            .collect();
        let missing = fs::read(inner.join("none")).expect_err("missing");
        assert_eq!(
            errors,
            [
                "zones/example.com.zone:4:10: zones/../x lies outside the zones folder; move it inside".to_owned(),
                "zones/example.com.zone:5:10: /etc/passwd lies outside the zones folder; move it inside".to_owned(),
                format!("zones/example.com.zone:6:10: zones/none cannot be opened: {missing}"),
                "zones/example.com.zone:7:10: zones/.: it is a folder, not a regular file".to_owned(),
                "zones/loop:1:10: zones/example.com.zone includes itself; remove one $INCLUDE".to_owned(),
                "zones/loop:2:5: the data of this A record is wrong: '1' is not an IPv4 address".to_owned(),
            ]
        );
    }

    #[test]
    fn links_out_of_the_folder_are_refused() {
        let outside = folder(&[
            ("in/example.com.zone", &format!("{HEAD}$INCLUDE link\n")),
            ("x", ""),
        ]);
        std::os::unix::fs::symlink(outside.path().join("x"), outside.path().join("in/link"))
            .expect("a link");
        let errors = load_directory(&outside.path().join("in")).expect_err("outside");
        assert!(
            errors[0]
                .sentence
                .ends_with("link lies outside the zones folder; move it inside"),
            "{}",
            errors[0]
        );
    }

    #[test]
    fn files_include_files_eight_deep_and_no_deeper() {
        let nested = |depth: usize| {
            let mut files = vec![("example.com.zone".to_owned(), format!("{HEAD}$INCLUDE 1\n"))];
            files.extend((1..depth).map(|n| (n.to_string(), format!("$INCLUDE {}\n", n + 1))));
            files.push((depth.to_string(), "a A 192.0.2.1\n".to_owned()));
            folder(
                &files
                    .iter()
                    .map(|(name, text)| (name.as_str(), text.as_str()))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(errors(&nested(8)), Vec::<String>::new());
        assert_eq!(
            errors(&nested(9)),
            ["zones/8:1:10: files include files more than 8 deep; flatten them"]
        );
        let many = format!("{HEAD}{}", "$INCLUDE x\n".repeat(257));
        let found = errors(&folder(&[("example.com.zone", &many), ("x", "")]));
        assert_eq!(
            found,
            ["zones/example.com.zone:260:10: one zone includes at most 256 files; join some"]
        );
    }

    #[test]
    fn the_model_zone_is_without_fault() {
        let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
        let loaded = load_directory(&zones).expect("good zones");
        assert_eq!(
            (&loaded.warnings[..], &loaded.missing_addresses[..]),
            (&[][..], &[][..])
        );
        let zone = &loaded.zones[0];
        for steered in ["www", "api", "cdn"] {
            let name = zone.origin.child(steered.as_bytes()).expect("short");
            assert!(
                zone.rrsets().all(|rrset| rrset.name() != name),
                "{steered} is for a service"
            );
        }
    }

    /// Names of a few labels from few letters, so that some are equal; escapes included.
    fn names() -> impl Strategy<Value = Name> {
        let octet = prop_oneof![4 => b'a'..b'd', 1 => any::<u8>()];
        let labels = prop::collection::vec(prop::collection::vec(octet, 1..4), 0..3);
        let origin: Name = "example.com".parse().expect("a name");
        labels.prop_map(move |labels| {
            labels.iter().fold(origin.clone(), |name, label| {
                name.child(label).expect("short")
            })
        })
    }

    /// Types that may stand together in any number, with data in wire form.
    fn data() -> impl Strategy<Value = (RecordType, Vec<u8>)> {
        let octets = |length| prop::collection::vec(any::<u8>(), length);
        prop_oneof![
            octets(4).prop_map(|data| (RecordType::A, data)),
            octets(16).prop_map(|data| (RecordType::AAAA, data)),
            octets(20).prop_map(|data| (RecordType(65_280), data)),
            names().prop_map(|name| (RecordType::PTR, name.as_wire().to_ascii_lowercase())),
            octets(9).prop_map(|text| (RecordType::TXT, [&[9], &text[..]].concat())),
        ]
    }

    proptest! {
        #[test]
        fn zones_written_out_load_back_equal(
            records in prop::collection::vec((names(), 0u32..3, data()), 0..40), generic in any::<bool>(),
        ) {
            let mut text = HEAD.to_owned();
            let mut stated = std::collections::BTreeMap::<(Name, u16), (u32, std::collections::BTreeSet<Vec<u8>>)>::new();
            for (owner, ttl, (rtype, data)) in &records {
                text.push_str(&format!("{owner}. {ttl} {rtype} {}\n", written(*rtype, data, generic)));
                let entry = stated.entry((owner.clone(), rtype.0)).or_insert((*ttl, Default::default()));
                entry.0 = entry.0.min(*ttl);
                entry.1.insert(data.clone());
            }
            let origin: Name = "example.com".parse().expect("a name");
            let loaded = load_text(Path::new("z"), text.as_bytes(), Some(&origin), None).expect("no mistakes");
            let apex = [RecordType::NS, RecordType::SOA];
            let rrsets = loaded.zones[0].rrsets().filter(|rrset| !apex.contains(&rrset.rtype()));
            let found: Vec<_> = rrsets
                .map(|rrset| {
                    let data = rrset.rdata().map(<[u8]>::to_vec).collect();
                    ((rrset.name(), rrset.rtype().0), (rrset.ttl(), data))
                })
                .collect();
            prop_assert_eq!(found, stated.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_octets_load_or_are_refused(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = load_text(Path::new("z"), &text, None, None);
        }

        #[test]
        fn any_words_load_or_are_refused(
            words in prop::collection::vec((0..WORDS.len(), prop_oneof![Just(" "), Just("\n"), Just("")]), 0..80),
        ) {
            let text: String = words.iter().map(|&(word, after)| format!("{}{after}", WORDS[word])).collect();
            let origin: Name = "example.com".parse().expect("a name");
            if let Err(errors) = load_text(Path::new("z"), format!("{HEAD}{text}").as_bytes(), Some(&origin), None) {
                prop_assert!(!errors.is_empty() && errors.len() <= crate::zone::MAX_REPORTED + 1);
            }
        }
    }

    /// Words that get far into the readers of record data.
    const WORDS: &[&str] = &[
        "\n",
        "\n",
        "\n@ ",
        "\na ",
        "\nb.a ",
        "\n* ",
        "$ORIGIN ",
        "$TTL ",
        "$INCLUDE ",
        "$GENERATE 1-3/2 ",
        "${1,2,n}",
        "$",
        "(",
        ")",
        "\"",
        ";",
        "\\",
        "\\#",
        "\\034",
        "IN",
        "CH",
        "1",
        "0",
        "255",
        "65535",
        "4294967295",
        "1h",
        "A",
        "NS",
        "CNAME",
        "DNAME",
        "SOA",
        "MX",
        "TXT",
        "HTTPS",
        "SVCB",
        "RRSIG",
        "NSEC",
        "NSEC3",
        "NSEC3PARAM",
        "DNSKEY",
        "DS",
        "CDS",
        "TLSA",
        "CAA",
        "NAPTR",
        "LOC",
        "HIP",
        "APL",
        "1:192.0.2.0/24",
        "WKS",
        "tcp",
        "A6",
        "AMTRELAY",
        "URI",
        "IPSECKEY",
        "ZONEMD",
        "TYPE65280",
        "alpn=",
        "h2,h3",
        "port=",
        "ipv4hint=",
        "ipv6hint=",
        "mandatory=",
        "ech=",
        "key7=",
        "192.0.2.1",
        "::1",
        "a",
        "b.a",
        "a.",
        ".",
        "N",
        "E",
        "-1m",
        "AAAA",
        "00",
        "-",
        "20260101000000",
        "é",
        "tls-supported-groups=",
        "dohpath=",
        "no-default-alpn",
        "issue",
        ",",
    ];

    fn written(rtype: RecordType, data: &[u8], generic: bool) -> String {
        let address = |length: usize| data.len() == length && !generic;
        match rtype {
            RecordType::A if address(4) => {
                std::net::Ipv4Addr::from(<[u8; 4]>::try_from(data).expect("4")).to_string()
            }
            RecordType::AAAA if address(16) => {
                std::net::Ipv6Addr::from(<[u8; 16]>::try_from(data).expect("16")).to_string()
            }
            RecordType::PTR if !generic => format!("{}.", Name::from_wire(data).expect("a name")),
            RecordType::TXT if !generic => {
                let octets: String = data[1..]
                    .iter()
                    .map(|octet| format!("\\{octet:03}"))
                    .collect();
                format!("\"{octets}\"")
            }
            _ => format!("\\# {} {}", data.len(), hexadecimal(data)),
        }
    }
}
