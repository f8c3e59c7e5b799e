//! Converts gdnsd's zone files (gdnsd.zonefile(5)) to standard ones.
//!
//! DYNA and DYNC records are removed from the text and returned, since they become services. All
//! other text stays as it was written, with comments and spacing. The exceptions are gdnsd's own
//! spellings (`@Z`, `@F`, long strings, raw octets) and TTLs outside the bounds of the options.
//! Included files are written in place.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::draft::TextDraft;
use super::notes::ImportNotes;
use super::options::TtlBounds;
use super::source::{ImportSource, SourcePlace, read_file};
use super::ttl::{TtlRange, range, seconds};
use super::words::{
    ZoneStatement, ZoneWord, escape_unprintable, plain_text, split_string, statements,
};

/// Most files of one zone, with those that it includes.
const MOST_FILES: usize = 256;
/// Most files that include each other in a chain.
const DEEPEST: usize = 16;
/// The file name of the root zone, whose own name cannot be a file name.
const ROOT_FILE: &str = "ROOT_ZONE";
/// The first label of the names whose TXT records have their own TTL (RFC 8555 section 8.4).
const ACME_LABEL: &str = "_acme-challenge.";

/// A converted zone file.
#[derive(Debug)]
pub struct ImportedZone {
    /// The name without the final dot; empty for the root.
    pub name: String,
    /// The whole input file.
    pub source: ImportSource,
    /// The converted text.
    pub draft: TextDraft,
}

impl ImportedZone {
    /// The name of the output file.
    pub fn file_name(&self) -> String {
        match &*self.name {
            "" => format!("{ROOT_FILE}.zone"),
            // RFC 2317 names have a slash, which no file name can have.
            name => format!("{}.zone", name.replace('/', "@")),
        }
    }
}

/// A DYNA or DYNC record.
#[derive(Debug, Clone)]
pub struct DynamicRecord {
    /// The owner, without the final dot.
    pub name: String,
    /// The TTLs, if stated by the record or by `$TTL`.
    pub ttl: Option<TtlRange>,
    /// `plugin!resource`.
    pub reference: String,
    /// Where the record is stated.
    pub place: SourcePlace,
}

/// The content of a folder of zone files.
#[derive(Debug, Default)]
pub struct ImportedRecords {
    /// The converted zones, without their dynamic records.
    pub zones: Vec<ImportedZone>,
    /// The dynamic records of all zones.
    pub dynamic: Vec<DynamicRecord>,
}

/// Converts every zone file of a folder.
///
/// # Errors
/// A sentence: something cannot be read.
pub fn read(
    folder: &Path,
    ttls: &TtlBounds,
    notes: &mut ImportNotes,
) -> Result<ImportedRecords, String> {
    let mut records = ImportedRecords::default();
    for file in files_in(folder)? {
        let Some(name) = zone_name(&file) else {
            continue;
        };
        let whole = SourcePlace {
            file: file.as_path().into(),
            line: 1,
        };
        let source = ImportSource::new(
            &whole,
            format!("the zone {}", if name.is_empty() { "." } else { &name }),
        );
        if notes.refuses(&source) {
            continue;
        }
        let mut writer = Writer::new(&name, ttls, notes);
        writer.file(&file, &name, 0)?;
        let draft = writer.draft;
        records.dynamic.append(&mut writer.dynamic);
        records.zones.push(ImportedZone {
            name,
            source,
            draft,
        });
    }
    Ok(records)
}

/// The sorted files in a folder.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries.flatten() {
        if entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The zone that a file holds by its name; `None` for a hidden file.
fn zone_name(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    if name.starts_with('.') {
        return None;
    }
    if name == ROOT_FILE {
        return Some(String::new());
    }
    let name = name.trim_end_matches('.').replace('@', "/");
    Some(name.to_ascii_lowercase())
}

/// Writes one zone.
struct Writer<'n> {
    zone: String,
    draft: TextDraft,
    dynamic: Vec<DynamicRecord>,
    ttls: &'n TtlBounds,
    notes: &'n mut ImportNotes,
    files: usize,
    origin: String,
    owner: String,
    ttl: String,
    /// The record written last does not have the owner that the next one inherits.
    owner_lost: bool,
}

/// A record of the input.
struct Record<'t> {
    text: &'t [u8],
    statement: &'t ZoneStatement,
    words: &'t [String],
    /// The position of the first word after the owner.
    own: usize,
    /// The position of the type.
    rtype_at: usize,
    rtype: String,
}

impl<'t> Record<'t> {
    /// Finds the parts of a record: the owner, if it has one, then TTL and class, then the type.
    fn new(text: &'t [u8], statement: &'t ZoneStatement, words: &'t [String]) -> Record<'t> {
        let own = usize::from(!statement.ownerless);
        let mut rtype_at = own;
        let mut rtype = String::new();
        for word in &words[own..] {
            if !is_ttl(word) && !word.eq_ignore_ascii_case("IN") {
                rtype = word.to_ascii_uppercase();
                break;
            }
            rtype_at += 1;
        }
        Record {
            text,
            statement,
            words,
            own,
            rtype_at,
            rtype,
        }
    }

    /// The position of the TTL among the words, if it is stated.
    fn ttl_at(&self) -> Option<usize> {
        (self.own..self.rtype_at).find(|at| is_ttl(&self.words[*at]))
    }
}

/// The TTLs of a record that the bounds change.
#[derive(Default)]
struct ChangedTtls {
    ttl: Option<u32>,
    /// The last field of an SOA record.
    negative: Option<u32>,
}

impl<'n> Writer<'n> {
    fn new(zone: &str, ttls: &'n TtlBounds, notes: &'n mut ImportNotes) -> Self {
        let mut draft = TextDraft::default();
        draft.push(
            &format!("$ORIGIN {zone}.\n$TTL {}\n", ttls.clamp(ttls.default)),
            None,
        );
        let (zone, ttl) = (zone.to_owned(), ttls.default.to_string());
        let (origin, owner) = (zone.clone(), zone.clone());
        Writer {
            zone,
            draft,
            dynamic: Vec::new(),
            ttls,
            notes,
            files: 0,
            origin,
            owner,
            ttl,
            owner_lost: true,
        }
    }

    /// Converts a file. `start` is its first origin, which `@F` stands for.
    fn file(&mut self, file: &Path, start: &str, depth: usize) -> Result<(), String> {
        let text = read_file(file)?;
        self.files += 1;
        if self.files > MOST_FILES || depth > DEEPEST {
            return Err(format!(
                "{}: one zone includes at most {MOST_FILES} files, {DEEPEST} deep",
                file.display()
            ));
        }
        let label: Rc<Path> = file.into();
        for statement in statements(&text) {
            let place = SourcePlace {
                file: Rc::clone(&label),
                line: statement.line,
            };
            let mut words = Vec::new();
            for word in &statement.words {
                words.push(word_text(&text, word));
            }
            match words.first() {
                None => self.draft.push(&plain_text(&text[statement.range]), None),
                Some(word) if word.starts_with('$') && !statement.ownerless => {
                    self.directive(&words, file, start, depth, &place)?;
                }
                Some(_) => self.record(&text, &statement, &words, start, &place),
            }
        }
        Ok(())
    }

    fn directive(
        &mut self,
        words: &[String],
        file: &Path,
        start: &str,
        depth: usize,
        place: &SourcePlace,
    ) -> Result<(), String> {
        let argument = words.get(1).map_or("", |word| word);
        match &*words[0].to_ascii_uppercase() {
            "$ORIGIN" => {
                self.origin = self.absolute(argument, start);
                self.draft
                    .push(&format!("$ORIGIN {}.\n", self.origin), None);
            }
            "$TTL" => {
                self.ttl = argument.to_owned();
                self.write_ttl();
            }
            "$INCLUDE" => {
                let inner = match words.get(2) {
                    Some(origin) => self.absolute(origin, start),
                    None => self.origin.clone(),
                };
                let outer = (self.origin.clone(), self.ttl.clone(), self.owner.clone());
                let path = file
                    .parent()
                    .unwrap_or(Path::new(""))
                    .join(argument.trim_matches('"'));
                self.draft.push(&format!("$ORIGIN {inner}.\n"), None);
                self.origin.clone_from(&inner);
                self.file(&path, &inner, depth + 1)?;
                (self.origin, self.ttl, self.owner) = outer;
                self.draft
                    .push(&format!("$ORIGIN {}.\n", self.origin), None);
                self.write_ttl();
                self.owner_lost = true;
            }
            other => self.notes.add(
                place,
                format!("{other}: this directive is not supported; it is left out"),
            ),
        }
        Ok(())
    }

    /// Writes `$TTL` within the bounds.
    fn write_ttl(&mut self) {
        let ttl = match seconds(&self.ttl) {
            Some(stated) => self.ttls.clamp(stated).to_string(),
            None => self.ttl.clone(),
        };
        self.draft.push(&format!("$TTL {ttl}\n"), None);
    }

    /// Writes a record, keeps it as a dynamic one, or leaves it out.
    fn record(
        &mut self,
        text: &[u8],
        statement: &ZoneStatement,
        words: &[String],
        start: &str,
        place: &SourcePlace,
    ) {
        if !statement.ownerless {
            self.owner = self.absolute(unquoted(&words[0]), start);
        }
        let record = Record::new(text, statement, words);
        let source = ImportSource::new(
            place,
            format!("{} {}", self.name(&self.owner), record.rtype),
        );
        if !self.is_inside(&self.owner) {
            let sentence = format!(
                "{}: it is outside of {}, so it is never queried here",
                source.name,
                self.name(&self.zone)
            );
            self.notes.add(place, format!("{sentence}; it is left out"));
            self.owner_lost = true;
        } else if self.notes.refuses(&source) {
            self.owner_lost = true;
        } else if record.rtype == "DYNA" || record.rtype == "DYNC" {
            self.keep_dynamic(&record, place);
            self.owner_lost = true;
        } else {
            let written = self.copy(&record, start);
            self.draft.push(&written, Some(source));
        }
    }

    /// Keeps a DYNA or DYNC record, which becomes a service.
    fn keep_dynamic(&mut self, record: &Record<'_>, place: &SourcePlace) {
        let own_ttl = record.ttl_at().and_then(|at| range(&record.words[at]));
        let reference = record.words.get(record.rtype_at + 1);
        self.dynamic.push(DynamicRecord {
            name: self.name(&self.owner),
            ttl: own_ttl.or_else(|| range(&self.ttl)),
            reference: reference.cloned().unwrap_or_default(),
            place: place.clone(),
        });
    }

    /// The text of a record, changed only where it must be: `@Z` and `@F`, long strings, octets
    /// that need an escape, TTLs outside the bounds, and an inherited owner whose record is gone.
    fn copy(&mut self, record: &Record<'_>, start: &str) -> String {
        let mut written = String::new();
        if record.statement.ownerless && self.owner_lost {
            written = format!("{}.", self.owner);
        }
        self.owner_lost = false;
        let changed = self.changed_ttls(record);
        let mut at = record.statement.range.start;
        for (index, (place, word)) in record.statement.words.iter().zip(record.words).enumerate() {
            let octets = &record.text[place.range.clone()];
            let is_name =
                !place.quoted && ["@Z", "@F"].iter().any(|end| ends_with_special(word, end));
            let instead = match &*record.rtype {
                _ if index == 0 && record.own == 1 && place.quoted => {
                    Some(format!("{}.", self.owner))
                }
                _ if is_name => Some(format!("{}.", self.absolute(word, start))),
                _ if Some(index) == record.ttl_at() => changed.ttl.map(|ttl| ttl.to_string()),
                _ if index == record.rtype_at && record.ttl_at().is_none() => {
                    changed.ttl.map(|ttl| format!("{ttl} {word}"))
                }
                "SOA" if index + 1 == record.words.len() => {
                    changed.negative.map(|ttl| ttl.to_string())
                }
                "TXT" => split_string(escape_unprintable(octets).as_deref().unwrap_or(octets))
                    .or_else(|| escape_unprintable(octets))
                    .map(into_text),
                _ => escape_unprintable(octets).map(into_text),
            };
            if let Some(instead) = instead {
                written += &plain_text(&record.text[at..place.range.start]);
                written += &instead;
                at = place.range.end;
            }
        }
        written + &plain_text(&record.text[at..record.statement.range.end])
    }

    /// The TTLs with which gdnsd serves a record, where they differ from the stated ones.
    fn changed_ttls(&self, record: &Record<'_>) -> ChangedTtls {
        let stated = match record.ttl_at() {
            Some(at) => seconds(&record.words[at]),
            None => seconds(&self.ttl).map(|ttl| self.ttls.clamp(ttl)),
        };
        let Some(stated) = stated else {
            return ChangedTtls::default();
        };
        let is_acme = self
            .owner
            .get(..ACME_LABEL.len())
            .is_some_and(|label| label.eq_ignore_ascii_case(ACME_LABEL));
        let negative = match record.words.last() {
            Some(word) if record.rtype == "SOA" => seconds(word),
            _ => None,
        };
        let kept = negative.map(|negative| self.ttls.clamp_negative(negative));
        let ttl = match (&*record.rtype, kept) {
            ("SOA", Some(negative)) => stated.clamp(self.ttls.least.min(negative), negative),
            ("TXT", _) if is_acme => self.ttls.acme,
            _ => self.ttls.clamp(stated),
        };
        ChangedTtls {
            ttl: (ttl != stated).then_some(ttl),
            negative: if kept == negative { None } else { kept },
        }
    }

    /// A name as messages and configurations show it: the root is a dot.
    fn name(&self, name: &str) -> String {
        if name.is_empty() {
            ".".to_owned()
        } else {
            name.to_owned()
        }
    }

    fn is_inside(&self, name: &str) -> bool {
        let (name, zone) = (name.to_ascii_lowercase(), self.zone.to_ascii_lowercase());
        zone.is_empty()
            || name
                .strip_suffix(&zone)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// A name without its final dot, completed by the origin that it is meant to have.
    fn absolute(&self, name: &str, start: &str) -> String {
        for (special, origin) in [("@Z", &*self.zone), ("@F", start), ("@", &*self.origin)] {
            if name.eq_ignore_ascii_case(special) {
                return origin.to_owned();
            }
            if special != "@" && ends_with_special(name, special) {
                return joined(&name[..name.len() - special.len() - 1], origin);
            }
        }
        match name.strip_suffix('.') {
            Some(name) if !name.ends_with('\\') => name.to_owned(),
            _ => joined(name, &self.origin),
        }
    }
}

/// A name below another, which is empty for the root.
fn joined(name: &str, origin: &str) -> String {
    if origin.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{origin}")
    }
}

/// Whether the last label is one of gdnsd's own, in either case.
fn ends_with_special(name: &str, special: &str) -> bool {
    let start = name.len().saturating_sub(special.len());
    let Some((before, end)) = name.split_at_checked(start) else {
        return false;
    };
    end.eq_ignore_ascii_case(special) && (before.is_empty() || before.ends_with('.'))
}

fn is_ttl(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

/// The text between quotes, or the word as it is.
fn unquoted(word: &str) -> &str {
    word.strip_prefix('"')
        .and_then(|word| word.strip_suffix('"'))
        .unwrap_or(word)
}

fn word_text(text: &[u8], word: &ZoneWord) -> String {
    into_text(text[word.range.clone()].to_vec())
}

fn into_text(octets: Vec<u8>) -> String {
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The converted text of a zone, and its dynamic records.
    fn written(files: &[(&str, &str)]) -> (String, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("inside")).expect("made");
            fs::write(path, text).expect("written");
        }
        let mut notes = ImportNotes::default();
        let ttls = TtlBounds {
            least: 60,
            most: 7200,
            ..TtlBounds::default()
        };
        let mut records = read(folder.path(), &ttls, &mut notes).expect("good");
        let dynamic = records.dynamic.iter().map(|it| {
            format!(
                "{} {:?} {}:{}",
                it.name,
                it.ttl.map(|ttl| (ttl.max, ttl.min)),
                it.reference,
                it.place.line
            )
        });
        (
            std::mem::take(&mut records.zones[0].draft).into_text(),
            dynamic.collect(),
        )
    }

    #[test]
    fn dynamic_records_are_taken_out_and_owners_kept() {
        let text = "@ SOA ns1 h 1 2 3 4 5\n NS ns1\nwww 600/10 DYNA geoip!www\n  MX 10 mail ; kept\n$ttl 1h\n$ORIGIN sub\n\
                    * IN DYNC weighted!any\n";
        let (zone, dynamic) = written(&[("example.com", text)]);
        assert_eq!(
            zone,
            "$ORIGIN example.com.\n$TTL 7200\n@ 60 SOA ns1 h 1 2 3 4 60\n NS ns1\nwww.example.com.  MX 10 mail ; kept\n\
             $TTL 3600\n$ORIGIN sub.example.com.\n"
        );
        assert_eq!(
            dynamic,
            [
                "www.example.com Some((600, 10)) geoip!www:3",
                "*.sub.example.com Some((3600, 1800)) weighted!any:7"
            ]
        );
    }

    #[test]
    fn includes_and_special_names_are_those_of_the_manual() {
        let foo = "$ORIGIN bar\nasdf A 192.0.2.1\n$ORIGIN baz.@F\nasdf A 192.0.2.2\n$ORIGIN quux.@Z\nasdf CNAME x.@F\n";
        let files = [
            (
                "example.org",
                "a A 192.0.2.9\n$INCLUDE includes/foo foo\n A 192.0.2.8\n",
            ),
            ("includes/foo", foo),
        ];
        let (zone, _) = written(&files);
        for line in [
            "$ORIGIN bar.foo.example.org.",
            "$ORIGIN baz.foo.example.org.",
            "$ORIGIN quux.example.org.",
        ] {
            assert!(zone.contains(line), "{zone}");
        }
        assert!(zone.contains("asdf CNAME x.foo.example.org.\n"), "{zone}");
        assert!(
            zone.ends_with("$ORIGIN example.org.\n$TTL 7200\na.example.org. A 192.0.2.8\n"),
            "{zone}"
        );
    }

    #[test]
    fn what_is_spelled_in_another_way_here_is_rewritten() {
        let text = "@ 1w SOA ns h 1 2 3 4 5d\na 5 A 192.0.2.1\nb A 192.0.2.2\n_acme-challenge TXT \"x\"\n\
                    t TXT \"one\ntwo\" \"\u{e4}\" ; \u{e4}\n\"q\" A 192.0.2.3\nns.example.net. A 192.0.2.4\n A 192.0.2.5\n";
        let (zone, _) = written(&[("example.com", text)]);
        assert_eq!(
            zone,
            "$ORIGIN example.com.\n$TTL 7200\n@ 10800 SOA ns h 1 2 3 4 10800\na 60 A 192.0.2.1\nb A 192.0.2.2\n\
             _acme-challenge 0 TXT \"x\"\nt TXT \"one\\010two\" \"\\195\\164\" ; \u{e4}\nq.example.com. A 192.0.2.3\n"
        );
    }

    #[test]
    fn the_root_has_a_file_of_its_own() {
        let files = [(
            "ROOT_ZONE",
            "@ SOA ns h 1 2 3 4 60\nns A 192.0.2.1\n@ DYNA multifo!a\nx.@Z DYNA multifo!b\n",
        )];
        let (zone, dynamic) = written(&files);
        assert_eq!(
            zone,
            "$ORIGIN .\n$TTL 7200\n@ 60 SOA ns h 1 2 3 4 60\nns A 192.0.2.1\n"
        );
        assert_eq!(
            dynamic,
            [
                ". Some((86400, 43200)) multifo!a:3",
                "x Some((86400, 43200)) multifo!b:4"
            ]
        );
    }
}
