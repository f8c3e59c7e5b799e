//! Suggestions for a location name that is not known.
//!
//! The name is compared with every known name by edit distance, and the error message offers the
//! closest ones. Codes of two or three letters are not compared: they are all alike.

use super::UnknownLocation;
use super::fold::fold;
use super::tables::{CITIES, CITY_NAMES, CLOUD_REGIONS, COUNTRIES, SUBDIVISION_NAMES};

/// Length of the longest known name. A longer text is not compared, and a message quotes only its
/// beginning.
const LONGEST_NAME: usize = 64;

/// The most names that an error message offers.
const MOST_SUGGESTIONS: usize = 3;

/// The least similarity (1 = equal) of a suggestion: one wrong letter in five.
const NEAR: f64 = 0.8;

/// Length of the shortest name that is compared.
const SHORTEST_NAME: usize = 4;

/// The error for `text`, with the most similar names.
pub(super) fn unknown(text: &str) -> UnknownLocation {
    let near = if text.len() <= LONGEST_NAME {
        near(text)
    } else {
        Vec::new()
    };
    UnknownLocation {
        text: text.chars().take(LONGEST_NAME).collect(),
        near,
    }
}

fn near(text: &str) -> Vec<String> {
    let region = text.split_once(':').map_or(text, |(_, region)| region);
    let wanted = [fold(text), fold(region)];
    if wanted[0].len() < SHORTEST_NAME {
        return Vec::new();
    }
    let mut suggestions = Suggestions {
        wanted,
        scored: Vec::new(),
    };
    suggestions.compare_regions();
    suggestions.compare_areas();
    // A text that names a provider does not mean a city.
    if !text.contains(':') {
        suggestions.compare_cities();
    }
    suggestions.best()
}

/// The names that are similar to a text, each with what to write for it.
struct Suggestions {
    /// The folded text, with and without the provider before it.
    wanted: [String; 2],
    scored: Vec<(f64, String)>,
}

impl Suggestions {
    /// Cloud regions, with and without their provider.
    fn compare_regions(&mut self) {
        for region in CLOUD_REGIONS.iter() {
            self.compare(&fold(region.key), || region.key.to_owned());
            if let Some((_, bare)) = region.key.split_once(':') {
                self.compare(&fold(bare), || region.key.to_owned());
            }
        }
    }

    /// Countries and subdivisions.
    fn compare_areas(&mut self) {
        for country in COUNTRIES.iter() {
            self.compare(&fold(country.name), || country.code.to_string());
        }
        for (country, name, code) in SUBDIVISION_NAMES.iter() {
            self.compare(name, || format!("{country}-{code}"));
        }
    }

    fn compare_cities(&mut self) {
        for (name, index) in CITY_NAMES.iter() {
            self.compare(name, || CITIES[*index].name().to_owned());
        }
    }

    /// Keeps the suggestion if the folded name is similar enough.
    fn compare(&mut self, name: &str, suggestion: impl FnOnce() -> String) {
        let [whole, bare] = &self.wanted;
        let score = strsim::normalized_damerau_levenshtein(whole, name)
            .max(strsim::normalized_damerau_levenshtein(bare, name));
        if score >= NEAR {
            self.scored.push((score, suggestion()));
        }
    }

    /// The most similar ones, each once.
    fn best(mut self) -> Vec<String> {
        self.scored
            .sort_by(|(a, first), (b, second)| b.total_cmp(a).then_with(|| first.cmp(second)));
        let mut best = Vec::new();
        for (_, suggestion) in self.scored {
            if best.len() < MOST_SUGGESTIONS && !best.contains(&suggestion) {
                best.push(suggestion);
            }
        }
        best
    }
}
