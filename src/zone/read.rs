//! Interprets the words of a master file (RFC 1035 section 5).
//!
//! A line is a directive or a record. The reader keeps what later lines inherit: the origin, the
//! last owner, the default TTL. Included files are read in place. Every record remembers its file
//! and line for later messages.

pub mod blocks;
mod included;

use std::path::{Path, PathBuf};

use super::class::is_class;
use super::data;
use super::error::ZoneReport;
use super::fields::{seconds, shown};
use super::generate::{GenerateRange, GenerateTemplate, without_outer_quotes, words_of};
use super::reading::ZoneReading;
use super::scanner::{ScanFault, ScannedEntry, Scanner, Token};
use super::store::{OwnerId, RecordPlace, StoreFull};
use super::words::{append_complete, complete};
use crate::dns::{Name, RecordType};

/// The most octets that all `$GENERATE` of a zone may make: their text, and [`GENERATED_RECORD`]
/// for each record. Lower in tests.
const MAX_GENERATED: u64 = if cfg!(test) { 1 << 20 } else { 1 << 30 };
/// Octets that a short record takes in memory besides its text.
const GENERATED_RECORD: u64 = 200;

/// The owner of a record whose line starts with white space.
#[derive(Clone, Copy)]
enum Owner {
    /// No record was read yet.
    Unknown,
    /// The owner is invalid and was reported; its further records are skipped silently.
    Wrong,
    Named(OwnerId),
}

/// The fields of a record after its owner.
struct Stated<'t, 'a> {
    ttl: Option<u32>,
    /// The type as written.
    word: Token<'a>,
    rtype: RecordType,
    data: &'t [Token<'a>],
}

/// Reads the files of one zone.
pub struct ZoneReader<'r> {
    reading: ZoneReading,
    report: &'r mut ZoneReport,
    folder: Option<&'r Path>,
    /// The canonical paths of the files being read, outermost first; empty until a file includes
    /// another one.
    open: Vec<PathBuf>,
    origin: Option<Name>,
    owner: Owner,
    /// The owner as it was written last, if the origin is still the same: most records have the
    /// owner of the one before.
    owner_text: Vec<u8>,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    soa_minimum: Option<u32>,
    warned_of_ttl: bool,
    /// Octets that `$GENERATE` has made so far; see [`MAX_GENERATED`].
    generated: u64,
    /// The type read last and its text: most records have the type of the one before.
    last_type: (Vec<u8>, RecordType),
    /// Room for a name or for data.
    wire: Vec<u8>,
    /// It reads a block, of which it knows what comes before only in part.
    is_block: bool,
    /// The TTL of the record before a block.
    inherited_ttl: Option<u32>,
    /// A record of a block has that TTL.
    needs_last_ttl: bool,
}

impl<'r> ZoneReader<'r> {
    /// Prepares to read `file`; included files must lie in `folder`. Without a folder, no
    /// file may be included.
    pub fn new(
        file: &Path,
        origin: Option<&Name>,
        folder: Option<&'r Path>,
        report: &'r mut ZoneReport,
    ) -> Self {
        ZoneReader {
            reading: ZoneReading {
                files: vec![file.to_owned()],
                ..ZoneReading::default()
            },
            report,
            folder,
            open: Vec::new(),
            origin: origin.cloned(),
            owner: Owner::Unknown,
            owner_text: Vec::new(),
            default_ttl: None,
            last_ttl: None,
            soa_minimum: None,
            warned_of_ttl: false,
            generated: 0,
            last_type: (b"A".to_vec(), RecordType::A),
            wire: Vec::new(),
            is_block: false,
            inherited_ttl: None,
            needs_last_ttl: false,
        }
    }

    /// The records and mistakes of all files.
    pub fn finish(self) -> ZoneReading {
        self.reading
    }

    /// Reads entries of the text of file number `file` until one ends at or after `end`.
    fn read(&mut self, file: u16, scanner: &mut Scanner<'_>, end: usize) {
        while scanner.position().0 < end {
            match scanner.next_entry() {
                ScannedEntry::End => return,
                ScannedEntry::Entry { indented } => self.entry(file, &scanner.tokens, indented),
                ScannedEntry::Wrong {
                    line,
                    column,
                    sentence,
                } => {
                    self.look_for_soa(&scanner.tokens);
                    self.wrong(RecordPlace { file, line, column }, sentence.to_owned());
                }
            }
        }
    }

    fn entry(&mut self, file: u16, tokens: &[Token<'_>], indented: bool) {
        let Some(&first) = tokens.first() else { return };
        let outcome = if !indented && !first.quoted && first.text.starts_with(b"$") {
            self.directive(file, tokens)
        } else {
            self.record(file, tokens, indented)
        };
        if let Err(ScanFault {
            line,
            column,
            sentence,
        }) = outcome
        {
            self.look_for_soa(tokens);
            self.wrong(RecordPlace { file, line, column }, sentence);
        }
    }

    fn directive(&mut self, file: u16, tokens: &[Token<'_>]) -> Outcome {
        let word = tokens[0];
        if self.is_block {
            return at(word, "a block has no directive");
        }
        match &word.text.to_ascii_uppercase()[..] {
            b"$ORIGIN" => {
                let [_, name] = tokens else {
                    return at(word, "$ORIGIN takes one name");
                };
                let origin = complete(name.text, self.origin.as_ref())
                    .or_else(|sentence| at(*name, sentence))?;
                if self.reading.stated_origin.is_none() && self.reading.records.is_empty() {
                    self.reading.stated_origin = Some(origin.clone());
                }
                self.set_origin(Some(origin));
            }
            b"$TTL" => {
                let [_, ttl] = tokens else {
                    return at(word, "$TTL takes one time");
                };
                self.default_ttl = Some(time(*ttl)?);
            }
            b"$INCLUDE" => match tokens {
                [_, path] => self.include(*path, None)?,
                [_, path, origin] => {
                    let origin = complete(origin.text, self.origin.as_ref())
                        .or_else(|wrong| at(*origin, wrong))?;
                    self.include(*path, Some(origin))?;
                }
                _ => return at(word, "$INCLUDE takes a file and perhaps an origin"),
            },
            b"$GENERATE" => self.generate(file, tokens)?,
            _ => {
                let sentence = "is no directive; there are $ORIGIN, $TTL, $INCLUDE and $GENERATE";
                return at(
                    word,
                    format!("{} {sentence}", shown(&String::from_utf8_lossy(word.text))),
                );
            }
        }
        Ok(())
    }

    fn set_origin(&mut self, origin: Option<Name>) {
        self.origin = origin;
        self.owner_text.clear();
    }

    /// Reads the records that a `$GENERATE` makes, and restores the owner. Stops at the first
    /// error, because the other records would have the same one.
    fn generate(&mut self, file: u16, tokens: &[Token<'_>]) -> Outcome {
        let syntax =
            "$GENERATE takes a range, an owner, perhaps a time to live and IN, a type and data";
        let [directive, range, record @ ..] = tokens else {
            return at(tokens[0], syntax);
        };
        let numbers = String::from_utf8_lossy(range.text)
            .parse::<GenerateRange>()
            .or_else(|wrong| at(*range, wrong))?;
        let [_, rest @ ..] = record else {
            return at(*directive, syntax);
        };
        let unquoted;
        let mut record = record.to_vec();
        match self.stated(rest, *directive)?.data {
            [] => return at(*directive, syntax),
            [quoted] if quoted.quoted => {
                unquoted = without_outer_quotes(quoted.text);
                record.pop();
                record.extend(words_of(&unquoted, *quoted)?);
            }
            _ => {}
        }
        let template = GenerateTemplate::new(&record)?;
        let outer_owner = self.owner;
        let outcome = self.generate_all(file, *directive, numbers, &template);
        self.owner = outer_owner;
        self.owner_text.clear();
        outcome
    }

    fn generate_all(
        &mut self,
        file: u16,
        directive: Token<'_>,
        range: GenerateRange,
        template: &GenerateTemplate<'_>,
    ) -> Outcome {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        for number in range.numbers() {
            template.write(number, &mut text, &mut ends)?;
            self.generated += text.len() as u64 + GENERATED_RECORD;
            if self.generated > MAX_GENERATED {
                let sentence = format!(
                    "$GENERATE makes more than {MAX_GENERATED} octets of this zone; cut the range"
                );
                return at(directive, sentence);
            }
            if let Err(fault) = self.record(file, &template.tokens(&text, &ends), false) {
                return Err(ScanFault {
                    sentence: format!("{} (where $ is {number})", fault.sentence),
                    ..fault
                });
            }
        }
        Ok(())
    }

    fn record(&mut self, file: u16, tokens: &[Token<'_>], indented: bool) -> Outcome {
        let first = tokens[0];
        let mut next = 0;
        if !indented {
            self.name_owner(first)?;
            next = 1;
        }
        let owner = match self.owner {
            Owner::Named(owner) => owner,
            Owner::Wrong => return Ok(()),
            Owner::Unknown => {
                return at(
                    first,
                    "the first record has no owner; start its line with a name",
                );
            }
        };
        let Stated {
            ttl,
            word,
            rtype,
            data,
        } = self.stated(&tokens[next..], tokens[tokens.len() - 1])?;
        data::parse(rtype, data, self.origin.as_ref(), word, &mut self.wire)?;
        if rtype == RecordType::SOA {
            if self.is_block {
                return at(word, "a block has no SOA");
            }
            let minimum = self.wire.last_chunk();
            let minimum = minimum.map_or(0, |octets| u32::from_be_bytes(*octets));
            self.soa_minimum.get_or_insert(minimum);
        }
        let place = RecordPlace {
            file,
            line: first.line,
            column: first.column,
        };
        let ttl = self.ttl(ttl, place)?;
        let records = &mut self.reading.records;
        records
            .add(owner, (rtype, ttl), &self.wire, place)
            .or_else(|full| at(first, too_large(full)))
    }

    /// Makes the word in front of a record the owner of what follows.
    fn name_owner(&mut self, word: Token<'_>) -> Outcome {
        let is_the_last = !self.owner_text.is_empty() && self.owner_text == word.text;
        if is_the_last && matches!(self.owner, Owner::Named(_)) {
            return Ok(());
        }
        self.owner = Owner::Wrong;
        self.owner_text.clear();
        self.wire.clear();
        append_complete(word.text, self.origin.as_ref(), &mut self.wire)
            .or_else(|sentence| at(word, sentence))?;
        let owner = self.reading.records.add_owner(&self.wire);
        self.owner = Owner::Named(owner.or_else(|full| at(word, too_large(full)))?);
        self.owner_text.extend_from_slice(word.text);
        Ok(())
    }

    /// Reads the TTL, class and type in front of the data. An error about a missing type names
    /// `last`.
    fn stated<'t, 'a>(
        &mut self,
        tokens: &'t [Token<'a>],
        last: Token<'_>,
    ) -> Result<Stated<'t, 'a>, ScanFault> {
        let mut ttl = None;
        let mut saw_class = false;
        for (index, &word) in tokens.iter().enumerate() {
            if word.text.first().is_some_and(u8::is_ascii_digit) && ttl.is_none() {
                ttl = Some(time(word)?);
            } else if !saw_class && is_class(word)? {
                saw_class = true;
            } else {
                let rtype = self.record_type(word)?;
                return Ok(Stated {
                    ttl,
                    word,
                    rtype,
                    data: &tokens[index + 1..],
                });
            }
        }
        at(last, "the record ends before its type")
    }

    fn record_type(&mut self, word: Token<'_>) -> Result<RecordType, ScanFault> {
        match word.text {
            b"A" => return Ok(RecordType::A),
            b"AAAA" => return Ok(RecordType::AAAA),
            text if text == self.last_type.0 => return Ok(self.last_type.1),
            _ => {}
        }
        let text = String::from_utf8_lossy(word.text);
        match text.parse::<RecordType>() {
            Ok(rtype) if rtype.is_meta() => at(
                word,
                format!("{rtype} exists in messages only, never in a zone"),
            ),
            Ok(rtype) => {
                self.last_type = (word.text.to_vec(), rtype);
                Ok(rtype)
            }
            Err(_) => at(
                word,
                format!(
                    "{} is no record type; unknown ones are written TYPE123",
                    shown(&text)
                ),
            ),
        }
    }

    /// The time to live of a record: its own, or `$TTL`, or that of the record before, or the SOA's
    /// minimum (RFC 2308 section 4).
    fn ttl(&mut self, stated: Option<u32>, place: RecordPlace) -> Result<u32, ScanFault> {
        if stated.is_some() {
            self.last_ttl = stated;
        }
        if let Some(ttl) = stated.or(self.default_ttl).or(self.last_ttl) {
            return Ok(ttl);
        }
        if let Some(ttl) = self.inherited_ttl {
            self.needs_last_ttl = true;
            return Ok(ttl);
        }
        let no_ttl = "no time to live is stated here or above";
        let Some(minimum) = self.soa_minimum else {
            return Err(ScanFault {
                line: place.line,
                column: place.column,
                sentence: format!("{no_ttl}; write $TTL at the top"),
            });
        };
        if !self.warned_of_ttl {
            self.warned_of_ttl = true;
            let sentence = format!(
                "{no_ttl}, so the SOA's minimum of {minimum} seconds is taken; write $TTL at the top"
            );
            self.report
                .warnings
                .push(self.reading.finding(place, sentence));
        }
        Ok(minimum)
    }

    /// Notes whether a wrong entry was the SOA, so that the SOA is not reported as missing.
    fn look_for_soa(&mut self, tokens: &[Token<'_>]) {
        self.reading.saw_wrong_soa |= tokens
            .iter()
            .any(|token| token.text.eq_ignore_ascii_case(b"SOA"));
    }

    fn wrong(&mut self, place: RecordPlace, sentence: String) {
        let finding = self.reading.finding(place, sentence);
        self.report.errors.push(finding);
    }
}

type Outcome = Result<(), ScanFault>;

fn too_large(_: StoreFull) -> &'static str {
    "the records of this zone take more than 4 GiB; divide the zone"
}

fn at<T>(token: Token<'_>, sentence: impl Into<String>) -> Result<T, ScanFault> {
    Err(token.fault(sentence))
}

fn time(token: Token<'_>) -> Result<u32, ScanFault> {
    seconds(&String::from_utf8_lossy(token.text)).or_else(|sentence| at(token, sentence))
}

#[cfg(test)]
mod tests {
    use crate::zone::testing::{HEAD, errors, listing, load, warnings};

    #[test]
    fn origin_completes_names_from_there_on() {
        let text = "a A 192.0.2.1\n$ORIGIN sub\n@ A 192.0.2.2\nb CNAME c\n$origin example.com.\nd CNAME a.sub\n";
        let c = "0163037375620765".to_owned() + "78616d706c6503636f6d00";
        let a = "0161037375620765".to_owned() + "78616d706c6503636f6d00";
        assert_eq!(
            listing(text),
            [
                "a.example.com 3600 A c0000201".to_owned(),
                format!("d.example.com 3600 CNAME {a}"),
                "sub.example.com 3600 A c0000202".to_owned(),
                format!("b.sub.example.com 3600 CNAME {c}"),
            ]
        );
    }

    #[test]
    fn owner_class_and_ttl_may_be_left_out_in_any_order() {
        let text = "a 1m IN A 192.0.2.1\n  IN 1m A 192.0.2.2\n  A 192.0.2.3\n$TTL 60\n\tclass1 AAAA ::1\nb 7 AAAA ::2\n";
        assert_eq!(
            listing(&text.replace("  A 192.0.2.3", "  60 A 192.0.2.3")),
            [
                "a.example.com 60 A c0000201,c0000202,c0000203",
                "a.example.com 60 AAAA 00000000000000000000000000000001",
                "b.example.com 7 AAAA 00000000000000000000000000000002",
            ]
        );
    }

    #[test]
    fn without_a_default_the_last_ttl_counts_then_the_minimum_of_the_soa() {
        let soa = "@ SOA ns.example.net. h.example.net. 1 2 3 4 300\n@ NS ns.example.net.\n";
        let loaded = load(&format!(
            "{soa}a A 192.0.2.1\nb 9 A 192.0.2.1\nc A 192.0.2.1\n"
        ))
        .expect("good");
        let ttls: Vec<u32> = loaded.zones[0].rrsets().map(|rrset| rrset.ttl()).collect();
        assert_eq!(ttls, [300, 300, 300, 9, 9]);
        let warning = "z.zone:1:1: no time to live is stated here or above, so the SOA's minimum of 300 seconds is taken; \
            write $TTL at the top";
        assert_eq!(
            loaded
                .warnings
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            [warning]
        );
        let early = load(&format!("a A 192.0.2.1\n{soa}")).expect_err("no time");
        assert_eq!(
            early,
            ["z.zone:1:1: no time to live is stated here or above; write $TTL at the top"]
        );
    }

    #[test]
    fn every_mistake_is_told_and_reading_goes_on() {
        let text = "$FOO\n$TTL\n$TTL 1x\n$ORIGIN a b\n$ORIGIN a..b\n$INCLUDE f\n$GENERATE 1-2\n\
            a CH TXT x\na CLASS3 TXT x\na BOGUS x\na ANY x\na OPT x\na 1\na..b A 192.0.2.1\n  A 192.0.2.2\n\
            $INCLUDE\nb A 1\n";
        assert_eq!(
            errors(text),
            [
                "z.zone:4:1: '$FOO' is no directive; there are $ORIGIN, $TTL, $INCLUDE and $GENERATE",
                "z.zone:5:1: $TTL takes one time",
                "z.zone:6:6: '1x' is not a time; write seconds, or units as in 1h30m",
                "z.zone:7:1: $ORIGIN takes one name",
                "z.zone:8:9: the name has an empty label",
                "z.zone:9:10: $INCLUDE needs a zones folder, and there is none here",
                "z.zone:10:1: $GENERATE takes a range, an owner, perhaps a time to live and IN, a type and data",
                "z.zone:11:3: class CH is not served; only IN is",
                "z.zone:12:3: class CLASS3 is not served; only IN is",
                "z.zone:13:3: 'BOGUS' is no record type; unknown ones are written TYPE123",
                "z.zone:14:3: ANY exists in messages only, never in a zone",
                "z.zone:15:3: OPT exists in messages only, never in a zone",
                "z.zone:16:3: the record ends before its type",
                "z.zone:17:1: the name has an empty label",
                "z.zone:19:1: $INCLUDE takes a file and perhaps an origin",
                "z.zone:20:5: the data of this A record is wrong: '1' is not an IPv4 address",
            ]
        );
    }

    #[test]
    fn a_first_record_needs_an_owner() {
        let sentence = "z.zone:2:3: the first record has no owner; start its line with a name";
        assert_eq!(
            load(&HEAD.replace("@ SOA", "  SOA")).expect_err("no owner")[0],
            sentence
        );
    }

    #[test]
    fn relative_names_need_an_origin() {
        let errors = super::super::load_text("z.zone".as_ref(), b"a 1 SOA\n", None, None)
            .expect_err("relative");
        let sentence = "z.zone:1:1: the name is relative, but no $ORIGIN is stated above; state one or end the name \
            with a dot";
        assert_eq!(errors[0].to_string(), sentence);
    }

    #[test]
    fn data_in_quotes_and_escapes_is_no_directive() {
        assert_eq!(
            listing("\\$TTL A 192.0.2.1\n"),
            ["\\$TTL.example.com 3600 A c0000201"]
        );
        assert_eq!(warnings("a TXT \"$TTL\" ; $FOO\n"), Vec::<String>::new());
    }
}
