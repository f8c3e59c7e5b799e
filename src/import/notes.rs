//! The report of an import: what was left out or differs, each with its place.
//!
//! The import checks its output as the server would. A mistake there is traced back to the
//! [`ImportSource`] that caused it. That object is then refused: the next conversion leaves it out
//! and reports the mistake as the reason. So the written files pass `meridian check`.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{ImportSource, SourcePlace};
use super::vscf::VscfHash;

/// Sentences, in the order of files and lines.
#[derive(Debug, Default)]
pub struct ImportNotes {
    /// What is left out or behaves differently.
    differences: BTreeSet<(SourcePlace, String)>,
    /// Settings that Meridian does not need.
    needless: BTreeSet<(SourcePlace, String)>,
    /// Objects that the check refused, with the reason.
    refused: BTreeMap<ImportSource, String>,
}

impl ImportNotes {
    /// Notes that something is left out or behaves differently. Equal notes are kept once.
    pub fn add(&mut self, place: &SourcePlace, sentence: impl Into<String>) {
        self.differences.insert((place.clone(), sentence.into()));
    }

    /// Notes that a setting is dropped because Meridian does not need it.
    pub fn add_needless(&mut self, place: &SourcePlace, sentence: impl Into<String>) {
        self.needless.insert((place.clone(), sentence.into()));
    }

    /// Notes every key of a hash that is not in `known`.
    pub fn unknown_keys(&mut self, table: &VscfHash, known: &[&str], what: &str) {
        for entry in &table.0 {
            if !known.contains(&entry.key.as_str()) {
                self.add(
                    &entry.place,
                    format!("{}: {what} has no equivalent here", entry.key),
                );
            }
        }
    }

    /// Whether the check refused this object before. If so, notes the reason.
    pub fn refuses(&mut self, source: &ImportSource) -> bool {
        let Some(reason) = self.refused.get(source) else {
            return false;
        };
        let sentence = format!("{}: {reason}; it is left out", source.name);
        self.add(&source.place, sentence);
        true
    }

    /// Marks an object as refused. Returns whether that is new.
    pub fn refuse(&mut self, source: &ImportSource, reason: String) -> bool {
        self.refused.insert(source.clone(), reason).is_none()
    }

    /// Starts a new conversion: forgets the notes, keeps the refused objects.
    pub fn begin(&mut self) {
        self.differences.clear();
        self.needless.clear();
    }

    /// What is left out or behaves differently, as `place: sentence`.
    pub fn differences(&self) -> Vec<String> {
        lines(&self.differences)
    }

    /// The settings that are not needed, as `place: sentence`.
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
