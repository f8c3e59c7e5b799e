//! The file of a roll, which lies beside the keys: `Kexample.com.roll`.
//!
//! It has one `Word: value` a line, like the files of BIND's tools, which pass it over. Words that
//! are not known are passed over too. Times are written as in the files of keys, in UTC.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{KeyLabel, RollKind, RollPhase, ZoneRoll, ZoneTtls};
use crate::disk;
use crate::dns::Name;
use crate::dnssec::key_file::{file_stem, parse_time, time_text, zone_text};
use crate::dnssec::{KeyFile, ZoneKey};
use crate::files::{self, FileKind};

const KINDS: [(&str, RollKind); 5] = [
    ("zsk", RollKind::Zsk),
    ("ksk", RollKind::Ksk),
    ("csk", RollKind::Csk),
    ("algorithm", RollKind::Algorithm),
    ("unsign", RollKind::Unsign),
];
const PHASES: [(&str, RollPhase); 6] = [
    ("sign-ahead", RollPhase::SignAhead),
    ("publish", RollPhase::Publish),
    ("submit", RollPhase::Submit),
    ("retire", RollPhase::Retire),
    ("sign-behind", RollPhase::SignBehind),
    ("done", RollPhase::Done),
];

/// The file of a zone's roll in a folder of keys.
pub fn roll_path(folder: &Path, zone: &Name) -> PathBuf {
    folder.join(format!("K{}roll", zone_text(zone)))
}

/// The zone of a roll, if a file has the name of one.
pub fn rolled_zone(file_name: &str) -> Option<Name> {
    let name = file_name.strip_prefix('K')?.strip_suffix("roll")?;
    let mut parts = name.split('%');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        // Zone files write octets as decimal digits, and names of files as hexadecimal ones.
        let (digits, rest) = part.split_at_checked(2)?;
        let octet = u8::from_str_radix(digits, 16).ok()?;
        text.push_str(&format!("\\{octet:03}{rest}"));
    }
    let zone = Name::parse(&text, &Name::root()).ok()?;
    Some(zone.to_lower())
}

impl RollKind {
    /// Its word.
    pub fn word(self) -> &'static str {
        word_of(&KINDS, self)
    }
}

impl RollPhase {
    /// Its word.
    pub fn word(self) -> &'static str {
        word_of(&PHASES, self)
    }
}

fn word_of<T: Copy + PartialEq>(words: &[(&'static str, T)], wanted: T) -> &'static str {
    let found = words.iter().find(|(_, value)| *value == wanted);
    found.map_or("", |(word, _)| *word)
}

fn value_of<T: Copy>(words: &[(&str, T)], wanted: &str) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == wanted);
    found.map(|(_, value)| *value)
}

impl ZoneRoll {
    /// Reads the file of a roll; `None`: there is none.
    ///
    /// # Errors
    /// A sentence that begins with the path: it cannot be read, or is no such file.
    pub fn read(path: &Path) -> Result<Option<ZoneRoll>, String> {
        let content = match files::read(path, FileKind::Key) {
            Ok(content) => content,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let text = String::from_utf8_lossy(&content.octets);
        let roll = ZoneRoll::parse(&text);
        roll.map(Some)
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Replaces the file of a roll. It is on the disk when this returns.
    ///
    /// # Errors
    /// A sentence: it cannot be written. Then the old one is unchanged.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        disk::replace(path, self.text().as_bytes(), 0o644)
            .map_err(|error| format!("{}: cannot be written: {error}", path.display()))
    }

    /// The text of its file.
    pub fn text(&self) -> String {
        let mut text = String::from(
            "; Where the roll of this zone's keys stands. Copy this file together with the keys.\n",
        );
        for (word, value) in [
            ("Roll", self.kind.word().to_owned()),
            ("Step", self.phase.word().to_owned()),
            ("Serial", self.serial.to_string()),
            ("Old", labels_text(&self.old)),
            ("New", labels_text(&self.new)),
            ("Waited", self.waited.to_string()),
            ("Needed", self.needed.to_string()),
            ("Counted", time_text(self.counted)),
            ("Floor", time_text(self.floor)),
            ("DNSKEY-TTL", self.ttls.dnskey.to_string()),
            ("Zone-TTL", self.ttls.longest.to_string()),
            ("DS-TTL", self.ds_ttl.to_string()),
            ("Parent-Ready", self.is_parent_ready.to_string()),
            ("Parent-Note", one_line(&self.parent_note)),
        ] {
            text.push_str(&format!("{word}: {value}\n"));
        }
        text
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A sentence: which line is missing or wrong.
    pub fn parse(text: &str) -> Result<ZoneRoll, String> {
        let mut lines = RollLines::default();
        for line in text.lines().filter(|line| !line.starts_with(';')) {
            if let Some((word, value)) = line.split_once(':') {
                lines.0.insert(word.trim(), value.trim());
            }
        }
        Ok(ZoneRoll {
            kind: lines.read("Roll", |text| value_of(&KINDS, text))?,
            phase: lines.read("Step", |text| value_of(&PHASES, text))?,
            serial: lines.read("Serial", |text| text.parse().ok())?,
            old: lines.read("Old", labels)?,
            new: lines.read("New", labels)?,
            waited: lines.number("Waited")?,
            needed: lines.number("Needed")?,
            counted: lines.read("Counted", parse_time)?,
            floor: lines.read("Floor", parse_time)?,
            ttls: ZoneTtls {
                dnskey: lines.read("DNSKEY-TTL", |text| text.parse().ok())?,
                longest: lines.read("Zone-TTL", |text| text.parse().ok())?,
            },
            ds_ttl: lines.read("DS-TTL", |text| text.parse().ok())?,
            is_parent_ready: lines.read("Parent-Ready", |text| text.parse().ok())?,
            parent_note: lines.read("Parent-Note", |text| Some(text.to_owned()))?,
        })
    }
}

/// Copies the times of a roll into the files of its keys, for other tools.
///
/// # Errors
/// A sentence: a file cannot be read or written.
pub fn write_roll_times(roll: &ZoneRoll, folder: &Path, keys: &[ZoneKey]) -> Result<(), String> {
    for public in keys {
        let label = KeyLabel::of(public);
        if !roll.new.contains(&label) && !roll.old.contains(&label) {
            continue;
        }
        let (mut key, _) = KeyFile::read(&folder.join(format!("{}.key", file_stem(public))))?;
        if roll.set_times_of(&mut key) {
            key.rewrite(folder)?;
        }
    }
    Ok(())
}

/// The lines of a file by their words.
#[derive(Default)]
struct RollLines<'t>(HashMap<&'t str, &'t str>);

impl RollLines<'_> {
    fn read<T>(&self, word: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let value = self.0.get(word);
        let value = value.ok_or_else(|| format!("the line {word}: is missing"))?;
        parse(value).ok_or_else(|| format!("{word} is \"{value}\", which is not understood"))
    }

    fn number(&self, word: &str) -> Result<u64, String> {
        self.read(word, |text| text.parse().ok())
    }
}

/// `13+60646 15+12`: the keys of one side.
fn labels_text(labels: &[KeyLabel]) -> String {
    let mut words = Vec::new();
    for label in labels {
        words.push(format!("{}+{}", label.algorithm, label.tag));
    }
    words.join(" ")
}

fn labels(text: &str) -> Option<Vec<KeyLabel>> {
    let mut labels = Vec::new();
    for word in text.split_whitespace() {
        let (algorithm, tag) = word.split_once('+')?;
        labels.push(KeyLabel {
            algorithm: algorithm.parse().ok()?,
            tag: tag.parse().ok()?,
        });
    }
    Some(labels)
}

/// What others have said, without line ends.
fn one_line(text: &str) -> String {
    text.replace(|letter: char| letter.is_control(), " ")
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roll_is_read_as_it_is_written_and_found_by_its_zone() {
        let label = |tag| KeyLabel { algorithm: 13, tag };
        let mut roll = ZoneRoll::begin(RollKind::Csk, vec![label(1)], vec![label(2)], None, 7);
        roll.parent_note = "a:\nb".to_owned();
        roll.waited = 12;
        let again = ZoneRoll::parse(&roll.text()).unwrap();
        assert_eq!(again.parent_note, "a: b");
        roll.parent_note = again.parent_note.clone();
        assert_eq!(again, roll);
        assert!(ZoneRoll::parse(&roll.text().replace("Floor", "Flor")).is_err());
        for zone in ["example.com", ".", r"a\042b.x\.y"] {
            let zone: Name = zone.parse().unwrap();
            let path = roll_path(Path::new("keys"), &zone);
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(rolled_zone(name), Some(zone), "{name}");
        }
        assert_eq!(rolled_zone("Kexample.com.+013+00001.key"), None);
    }
}
