//! Names of regions and checks: ours take a-z, 0-9 and `-`, gdnsd's nearly anything.

use std::collections::{HashMap, HashSet};

/// Longest name.
const LONGEST: usize = 63;

/// Names given so far, and for what.
#[derive(Debug, Default)]
pub struct LabelTable {
    given: HashMap<String, String>,
    taken: HashSet<String>,
}

impl LabelTable {
    /// The name for an original: the same for the same, another for another.
    pub fn name(&mut self, original: &str) -> String {
        if let Some(name) = self.given.get(original) {
            return name.clone();
        }
        let allowed = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let mut plain: String = original.chars().map(allowed).take(LONGEST).collect();
        if plain.is_empty() {
            plain.push('x');
        }
        let mut name = plain.clone();
        let mut number = 2;
        while self.taken.contains(&name) {
            let end = format!("-{number}");
            name = format!("{}{end}", &plain[..plain.len().min(LONGEST - end.len())]);
            number += 1;
        }
        self.taken.insert(name.clone());
        self.given.insert(original.to_owned(), name.clone());
        name
    }
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
