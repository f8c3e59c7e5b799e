//! Turns gdnsd's names of regions and checks into valid ones.
//!
//! Meridian allows a-z, 0-9 and `-`, gdnsd nearly anything. A number at the end keeps names apart
//! that would become the same.

use std::collections::{HashMap, HashSet};

/// Longest name, in octets.
const LONGEST: usize = 63;

/// The names given so far.
#[derive(Debug, Default)]
pub struct LabelTable {
    /// The name of each original.
    given: HashMap<String, String>,
    taken: HashSet<String>,
}

impl LabelTable {
    /// The name for an original. Equal originals share a name, others never do.
    pub fn name(&mut self, original: &str) -> String {
        if let Some(name) = self.given.get(original) {
            return name.clone();
        }
        let name = self.free(plain(original));
        self.taken.insert(name.clone());
        self.given.insert(original.to_owned(), name.clone());
        name
    }

    /// The name itself, or with the first number behind it that makes it new.
    fn free(&self, plain: String) -> String {
        let mut name = plain.clone();
        let mut number = 2;
        while self.taken.contains(&name) {
            let end = format!("-{number}");
            name = format!("{}{end}", &plain[..plain.len().min(LONGEST - end.len())]);
            number += 1;
        }
        name
    }
}

/// The letters and digits of a name in lower case, with `-` for everything else.
fn plain(original: &str) -> String {
    let mut plain = String::new();
    for c in original.chars().take(LONGEST) {
        plain.push(if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        });
    }
    if plain.is_empty() {
        plain.push('x');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ours_and_stay_apart() {
        let mut labels = LabelTable::default();
        let given =
            ["dc-01", "DC_01", "dc.01", "DC_01", "", "ü"].map(|original| labels.name(original));
        assert_eq!(given, ["dc-01", "dc-01-2", "dc-01-3", "dc-01-2", "x", "-"]);
        let long = "a".repeat(100);
        assert_eq!(
            (
                labels.name(&long).len(),
                labels.name(&format!("{long}b")).len()
            ),
            (63, 63)
        );
    }
}
