//! What was perhaps meant by a name that is not known.

use super::UnknownLocation;
use super::fold::fold;
use super::tables::{CITIES, CITY_NAMES, CLOUD_REGIONS, COUNTRIES, SUBDIVISION_NAMES};

/// No known name is longer; what is longer is neither compared nor repeated in full.
const LONGEST_NAME: usize = 64;

/// How many names an error message offers.
const MOST_SUGGESTIONS: usize = 3;

/// The likeness (1 = the same) from which a name counts as near: one wrong letter in five.
const NEAR: f64 = 0.8;

/// Codes of two or three letters all lie near each other, so only longer names are compared.
const SHORTEST_NAME: usize = 4;

/// The error for `text`, with the names that come nearest.
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
    let mut scored: Vec<_> = candidates(!text.contains(':'))
        .map(|(name, answer)| (likeness(&wanted, &name), answer))
        .collect();
    scored.retain(|(score, _)| *score >= NEAR);
    scored.sort_by(|(a, first), (b, second)| b.total_cmp(a).then_with(|| first.cmp(second)));
    let mut answers: Vec<String> = Vec::new();
    for (_, answer) in scored {
        if answers.len() < MOST_SUGGESTIONS && !answers.contains(&answer) {
            answers.push(answer);
        }
    }
    answers
}

/// Folded names, each with what to write for it: regions with and without their provider, countries, subdivisions and
/// cities by name. What names a provider means no city.
fn candidates(with_cities: bool) -> impl Iterator<Item = (String, String)> {
    let regions = CLOUD_REGIONS.iter().flat_map(|region| {
        let bare = region
            .key
            .split_once(':')
            .map_or(region.key, |(_, bare)| bare);
        [region.key, bare].map(|name| (fold(name), region.key.to_owned()))
    });
    let countries = COUNTRIES
        .iter()
        .map(|country| (fold(country.name), country.code.to_string()));
    let subdivisions = SUBDIVISION_NAMES
        .iter()
        .map(|(country, name, code)| (name.clone(), format!("{country}-{code}")));
    let cities = CITY_NAMES
        .iter()
        .filter(move |_| with_cities)
        .map(|(name, index)| (name.clone(), CITIES[*index].name().to_owned()));
    regions.chain(countries).chain(subdivisions).chain(cities)
}

/// How like the name is to the text, or to the text behind its provider, 0 to 1.
fn likeness(wanted: &[String; 2], name: &str) -> f64 {
    wanted
        .iter()
        .map(|wanted| strsim::normalized_damerau_levenshtein(wanted, name))
        .fold(0.0, f64::max)
}
