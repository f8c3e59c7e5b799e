//! What could not be carried, each with its place.
//!
//! What is written is checked as the server would check it. A mistake there is traced to what it was made from (its
//! [`ImportSource`]), that is left out with the sentence of the mistake, and everything is carried once more. So what an
//! import leaves behind always passes `meridian check`, whatever it was made from.

use std::collections::{BTreeMap, BTreeSet};

use super::vscf::{SourcePlace, VscfHash};

/// What a part of the written files was made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImportSource {
    /// Where it is stated.
    pub place: SourcePlace,
    /// What it is: several may be stated in one line.
    pub name: String,
}

impl ImportSource {
    /// The source at a place.
    pub fn new(place: &SourcePlace, name: impl Into<String>) -> ImportSource {
        ImportSource {
            place: place.clone(),
            name: name.into(),
        }
    }
}

/// Sentences by place.
#[derive(Debug, Default)]
pub struct ImportNotes {
    /// What is left out, or not quite the same.
    differences: BTreeSet<(SourcePlace, String)>,
    /// What need not be carried.
    needless: BTreeSet<(SourcePlace, String)>,
    /// What the check of the written files refused, and why.
    refused: BTreeMap<ImportSource, String>,
}

impl ImportNotes {
    /// Takes down something that is left out or not quite the same; the same sentence only once.
    pub fn add(&mut self, place: &SourcePlace, sentence: impl Into<String>) {
        self.differences.insert((place.clone(), sentence.into()));
    }

    /// Takes down something that nobody will miss.
    pub fn add_needless(&mut self, place: &SourcePlace, sentence: impl Into<String>) {
        self.needless.insert((place.clone(), sentence.into()));
    }

    /// Takes down every key of a hash that nobody knows.
    pub fn unknown_keys(&mut self, table: &VscfHash, known: &[&str], what: &str) {
        for entry in table.0.iter().filter(|entry| !known.contains(&&*entry.key)) {
            self.add(
                &entry.place,
                format!("{}: {what} here has nothing like it", entry.key),
            );
        }
    }

    /// Whether the check refused what was made from this; it is then told why.
    pub fn refuses(&mut self, source: &ImportSource) -> bool {
        let Some(reason) = self.refused.get(source) else {
            return false;
        };
        let sentence = format!("{}: {reason}; it is left out", source.name);
        self.add(&source.place, sentence);
        true
    }

    /// Remembers that the check refused what was made from this; whether that is new.
    pub fn refuse(&mut self, source: &ImportSource, reason: String) -> bool {
        self.refused.insert(source.clone(), reason).is_none()
    }

    /// Begins again with what is known to be refused.
    pub fn begin(&mut self) {
        self.differences.clear();
        self.needless.clear();
    }

    /// What is left out or not quite the same, in the order of files and lines.
    pub fn differences(&self) -> Vec<String> {
        lines(&self.differences)
    }

    /// What need not be carried, in the same order.
    pub fn needless(&self) -> Vec<String> {
        lines(&self.needless)
    }
}

fn lines(notes: &BTreeSet<(SourcePlace, String)>) -> Vec<String> {
    notes
        .iter()
        .map(|(place, sentence)| format!("{place}: {sentence}"))
        .collect()
}
