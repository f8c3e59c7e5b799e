//! What could not be carried, each with its place.

use super::vscf::{Place, Table};

/// Sentences by place.
#[derive(Debug, Default)]
pub struct Notes(Vec<(Place, String)>);

impl Notes {
    /// Takes one down; the same one only once.
    pub fn add(&mut self, place: &Place, sentence: impl Into<String>) {
        let note = (place.clone(), sentence.into());
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    /// Takes down every key of a hash that nobody knows.
    pub fn unknown_keys(&mut self, table: &Table, known: &[&str], what: &str) {
        for entry in table.0.iter().filter(|entry| !known.contains(&&*entry.key)) {
            self.add(&entry.place, format!("{}: {what} here has nothing like it", entry.key));
        }
    }

    /// All of them, in the order of files and lines.
    pub fn lines(mut self) -> Vec<String> {
        self.0.sort();
        self.0.into_iter().map(|(place, sentence)| format!("{place}: {sentence}")).collect()
    }
}
