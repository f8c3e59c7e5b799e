//! gdnsd's zone files (gdnsd.zonefile(5)) as ours: DYNA and DYNC are taken out, everything else stays as it was written, but
//! for what is spelled in another way here, and TTLs outside the bounds that the options state.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use super::draft::TextDraft;
use super::notes::{ImportNotes, ImportSource};
use super::options::TtlBounds;
use super::vscf::SourcePlace;
use super::words::{ZoneStatement, ZoneWord, cut, escaped, plain_text, statements};

/// Most files that one zone includes, itself counted.
const MOST_FILES: usize = 256;
/// Deepest inclusion.
const DEEPEST: usize = 16;
/// The name of the file of the root, which can have no file of its own name.
const ROOT_FILE: &str = "ROOT_ZONE";
/// The first label of names for which TXT records have a TTL of their own (RFC 8555 section 8.4).
const ACME_LABEL: &str = "_acme-challenge.";

/// A zone file as it is to be written.
#[derive(Debug)]
pub struct ImportedZone {
    /// Without the final dot; empty for the root.
    pub name: String,
    /// The file as a whole.
    pub source: ImportSource,
    /// Its text.
    pub draft: TextDraft,
}

impl ImportedZone {
    /// What its file is called here.
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
    /// Most and least seconds, as far as they are stated.
    pub ttl: Option<(u32, u32)>,
    /// `plugin!resource`.
    pub reference: String,
    pub place: SourcePlace,
}

/// Every zone of a folder, and what is dynamic in them.
///
/// # Errors
/// A sentence: something cannot be read.
pub fn read(
    folder: &Path,
    ttls: &TtlBounds,
    notes: &mut ImportNotes,
) -> Result<(Vec<ImportedZone>, Vec<DynamicRecord>), String> {
    let entries = fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut files: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let (mut zones, mut dynamic) = (Vec::new(), Vec::new());
    for file in files {
        let Some(name) = file
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|name| !name.starts_with('.'))
        else {
            continue;
        };
        let name = match name {
            ROOT_FILE => String::new(),
            name => name
                .trim_end_matches('.')
                .replace('@', "/")
                .to_ascii_lowercase(),
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
        let Writer {
            draft,
            dynamic: found,
            ..
        } = writer;
        dynamic.extend(found);
        zones.push(ImportedZone {
            name,
            source,
            draft,
        });
    }
    Ok((zones, dynamic))
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
    /// What was written last does not say the owner of the next record.
    owner_lost: bool,
}

/// A record as it is read.
struct Record<'t> {
    text: &'t [u8],
    statement: &'t ZoneStatement,
    words: &'t [String],
    /// The first word behind the owner.
    own: usize,
    /// The word of the type.
    rtype_at: usize,
    rtype: String,
}

impl Record<'_> {
    /// The word of the TTL, if it is stated.
    fn ttl_at(&self) -> Option<usize> {
        (self.own..self.rtype_at).find(|at| is_ttl(&self.words[*at]))
    }
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

    /// A file; `start` is its first origin, which `@F` stands for.
    fn file(&mut self, file: &Path, start: &str, depth: usize) -> Result<(), String> {
        let text = super::read_file(file)?;
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
            let words: Vec<String> = statement
                .words
                .iter()
                .map(|word| word_text(&text, word))
                .collect();
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
                let inner = words
                    .get(2)
                    .map_or(self.origin.clone(), |origin| self.absolute(origin, start));
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
                format!("{other}: there is no such directive here; it is left out"),
            ),
        }
        Ok(())
    }

    /// `$TTL` as every record without a TTL of its own has it.
    fn write_ttl(&mut self) {
        let ttl = seconds(&self.ttl).map_or(self.ttl.clone(), |stated| {
            self.ttls.clamp(stated).to_string()
        });
        self.draft.push(&format!("$TTL {ttl}\n"), None);
    }

    /// A record: written, kept as a dynamic one, or left out.
    fn record(
        &mut self,
        text: &[u8],
        statement: &ZoneStatement,
        words: &[String],
        start: &str,
        place: &SourcePlace,
    ) {
        let own = usize::from(!statement.ownerless);
        if own == 1 {
            self.owner = self.absolute(unquoted(&words[0]), start);
        }
        let is_before = |word: &&String| is_ttl(word) || word.eq_ignore_ascii_case("IN");
        let rtype_at = own + words.iter().skip(own).take_while(is_before).count();
        let rtype = words
            .get(rtype_at)
            .map_or(String::new(), |word| word.to_ascii_uppercase());
        let record = Record {
            text,
            statement,
            words,
            own,
            rtype_at,
            rtype,
        };
        let source = ImportSource::new(
            place,
            format!("{} {}", self.name(&self.owner), record.rtype),
        );
        if !self.is_inside(&self.owner) {
            let sentence = format!(
                "{}: it lies outside of {}, so nobody asks for it here",
                source.name,
                self.name(&self.zone)
            );
            self.notes.add(place, format!("{sentence}; it is left out"));
            self.owner_lost = true;
        } else if self.notes.refuses(&source) {
            self.owner_lost = true;
        } else if record.rtype == "DYNA" || record.rtype == "DYNC" {
            let ttl = record
                .ttl_at()
                .and_then(|at| range(&words[at]))
                .or_else(|| range(&self.ttl));
            let reference = words.get(rtype_at + 1).cloned().unwrap_or_default();
            self.dynamic.push(DynamicRecord {
                name: self.name(&self.owner),
                ttl,
                reference,
                place: place.clone(),
            });
            self.owner_lost = true;
        } else {
            let written = self.copy(&record, start);
            self.draft.push(&written, Some(source));
        }
    }

    /// As it was written, but for `@Z` and `@F`, long strings, octets that need an escape here, TTLs outside the bounds,
    /// and an owner that would be another now.
    fn copy(&mut self, record: &Record<'_>, start: &str) -> String {
        let mut written = String::new();
        if record.statement.ownerless && self.owner_lost {
            written = format!("{}.", self.owner);
        }
        self.owner_lost = false;
        let (ttl, negative_ttl) = self.other_ttls(record);
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
                _ if Some(index) == record.ttl_at() => ttl.map(|ttl| ttl.to_string()),
                _ if index == record.rtype_at && record.ttl_at().is_none() => {
                    ttl.map(|ttl| format!("{ttl} {word}"))
                }
                "SOA" if index + 1 == record.words.len() => negative_ttl.map(|ttl| ttl.to_string()),
                "TXT" => cut(escaped(octets).as_deref().unwrap_or(octets))
                    .or_else(|| escaped(octets))
                    .map(into_text),
                _ => escaped(octets).map(into_text),
            };
            if let Some(instead) = instead {
                written += &plain_text(&record.text[at..place.range.start]);
                written += &instead;
                at = place.range.end;
            }
        }
        written + &plain_text(&record.text[at..record.statement.range.end])
    }

    /// The TTL and the negative TTL that a record has there, where they are not what is stated.
    fn other_ttls(&self, record: &Record<'_>) -> (Option<u32>, Option<u32>) {
        let own = record.ttl_at().map(|at| seconds(&record.words[at]));
        let inherited = seconds(&self.ttl).map(|ttl| self.ttls.clamp(ttl));
        let Some(stated) = own.unwrap_or(inherited) else {
            return (None, None);
        };
        let is_acme = self
            .owner
            .get(..ACME_LABEL.len())
            .is_some_and(|label| label.eq_ignore_ascii_case(ACME_LABEL));
        let negative = record
            .words
            .last()
            .filter(|_| record.rtype == "SOA")
            .and_then(|word| seconds(word));
        let kept = negative.map(|negative| self.ttls.clamp_negative(negative));
        let ttl = match (&*record.rtype, kept) {
            ("SOA", Some(negative)) => stated.clamp(self.ttls.least.min(negative), negative),
            ("TXT", _) if is_acme => self.ttls.acme,
            _ => self.ttls.clamp(stated),
        };
        (
            Some(ttl).filter(|ttl| *ttl != stated),
            kept.filter(|kept| Some(*kept) != negative),
        )
    }

    /// A name for people and for a configuration: the root is a dot.
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

/// What stands between quotes, or the word as it is.
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

/// `MAX[/MIN]`; the least is half the most if it is not stated.
fn range(text: &str) -> Option<(u32, u32)> {
    match text.split_once('/') {
        Some((most, least)) => Some((seconds(most)?, seconds(least)?)),
        None => seconds(text).map(|most| (most, most / 2)),
    }
}

/// `1h30m`, or a plain number of seconds.
fn seconds(text: &str) -> Option<u32> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (mut total, mut number) = (0u32, String::new());
    for c in text.chars() {
        let unit = match c.to_ascii_lowercase() {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u32>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    number.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a zone comes to, and its dynamic records.
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
        let (mut zones, dynamic) = read(folder.path(), &ttls, &mut notes).expect("good");
        let dynamic = dynamic.iter().map(|it| {
            format!(
                "{} {:?} {}:{}",
                it.name, it.ttl, it.reference, it.place.line
            )
        });
        (
            std::mem::take(&mut zones[0].draft).into_text(),
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

    #[test]
    fn times_have_units() {
        for (text, is) in [
            ("300", Some(300)),
            ("1h30M", Some(5400)),
            ("2w", Some(1_209_600)),
            ("5x", None),
            ("99999999w", None),
        ] {
            assert_eq!(seconds(text), is, "{text}");
        }
    }
}
