//! Named locations: airports, cloud regions, cities, countries and their subdivisions.
//!
//! A configuration can name a location instead of giving coordinates; [`find`] resolves the name.
//! Databases use the same tables for the points and codes that their records lack. The tables are
//! embedded, and `geodata/locations/README.md` documents their sources. The point of a country or a
//! subdivision is its centre of population. Nothing here is on the query path.

mod fold;
mod suggest;
mod tables;

use std::fmt;

use self::fold::fold;
use self::tables::{
    AIRPORTS, CITIES, CITY_NAMES, CLOUD_REGIONS, COUNTRIES, Country, SUBDIVISION_NAMES,
    SUBDIVISIONS, Subdivision,
};
use crate::geo::PlaceCode;
use crate::steering::Point;

/// A location found by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedLocation {
    /// The airport, the city, or the centre of population of a country or subdivision.
    pub point: Point,
    /// ISO 3166-1 alpha-2.
    pub country: Option<PlaceCode>,
    /// ISO 3166-2 without the country part; only where the place was named as a subdivision.
    pub subdivision: Option<PlaceCode>,
    /// The display name: `California, United States`.
    pub label: String,
}

/// No location has this name. The message lists similar names and the accepted forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLocation {
    /// The name that was asked for, truncated if it is longer than any known name.
    pub text: String,
    /// Similar names, the most similar first.
    pub near: Vec<String>,
}

/// The location that `text` names, in any case:
///
/// - an airport (`FRA` or `iata:FRA`),
/// - a region of a cloud provider (`aws:eu-central-1`; also alibaba, azure, digitalocean, gcp, ibm,
///   linode, oci, vultr),
/// - a country (`DE`, ISO 3166-1 alpha-2) or a subdivision (`US-CA`, ISO 3166-2),
/// - a city of 40,000 people or more: the largest of that name (`Frankfurt`), or the largest in a
///   country (`Portland, US`).
///
/// A code takes precedence over a city of the same spelling.
pub fn find(text: &str) -> Result<NamedLocation, UnknownLocation> {
    let name = text.trim();
    let found = match name.split_once(':') {
        Some((provider, code)) if provider.eq_ignore_ascii_case("iata") => airport(code),
        Some(_) => cloud_region(name),
        None if name.contains('-') => subdivision(name),
        None if name.len() == 2 => country(name),
        None => airport(name),
    };
    found
        .or_else(|| city(name))
        .ok_or_else(|| suggest::unknown(name))
}

/// The country's centre of population; `None` for a code that is not ISO 3166-1 alpha-2.
pub fn country_point(country: PlaceCode) -> Option<Point> {
    Some(country_row(country)?.point)
}

/// The country's continent: AF AN AS EU NA OC SA.
pub fn country_continent(country: PlaceCode) -> Option<PlaceCode> {
    Some(country_row(country)?.continent)
}

/// The country's English name.
pub fn country_name(country: PlaceCode) -> Option<&'static str> {
    Some(country_row(country)?.name)
}

/// The subdivision's centre of population, by ISO 3166-2 code (`US`, `CA`).
pub fn subdivision_point(country: PlaceCode, subdivision: PlaceCode) -> Option<Point> {
    Some(subdivision_row(country, subdivision)?.point)
}

/// The ISO 3166-2 code, without the country, of a subdivision that a database names in English
/// ("California", "Sao Paulo"). Diacritics, case and punctuation do not matter.
pub fn subdivision_code(country: PlaceCode, name: &str) -> Option<PlaceCode> {
    let wanted = (country, fold(name));
    let index = SUBDIVISION_NAMES
        .binary_search_by(|(country, name, _)| (country, name).cmp(&(&wanted.0, &wanted.1)))
        .ok()?;
    Some(SUBDIVISION_NAMES[index].2)
}

fn airport(code: &str) -> Option<NamedLocation> {
    let code: PlaceCode = code.parse().ok()?;
    let index = AIRPORTS
        .binary_search_by_key(&code, |airport| airport.code)
        .ok()?;
    let airport = &AIRPORTS[index];
    Some(NamedLocation {
        point: airport.point,
        country: Some(airport.country),
        subdivision: None,
        label: format!("airport {code}, {}", shown(airport.country)),
    })
}

fn cloud_region(key: &str) -> Option<NamedLocation> {
    let key = key.to_ascii_lowercase();
    let index = CLOUD_REGIONS
        .binary_search_by_key(&key.as_str(), |region| region.key)
        .ok()?;
    let region = &CLOUD_REGIONS[index];
    Some(NamedLocation {
        point: region.point,
        country: Some(region.country),
        subdivision: None,
        label: format!("{key}, {}", region.name),
    })
}

fn city(text: &str) -> Option<NamedLocation> {
    let (name, country) = match text.rsplit_once(',') {
        Some((name, country)) => (name, Some(country.trim().parse::<PlaceCode>().ok()?)),
        None => (text, None),
    };
    let wanted = fold(name);
    // A name in another script than Latin folds to an empty string.
    if wanted.is_empty() {
        return None;
    }
    let first = CITY_NAMES.partition_point(|(name, _)| *name < wanted);
    for (name, index) in &CITY_NAMES[first..] {
        if *name != wanted {
            break;
        }
        let city = &CITIES[*index];
        if country.is_none_or(|country| city.country == country) {
            return Some(NamedLocation {
                point: city.point,
                country: Some(city.country),
                subdivision: None,
                label: format!("{}, {}", city.name(), shown(city.country)),
            });
        }
    }
    None
}

fn country(code: &str) -> Option<NamedLocation> {
    let row = country_row(code.parse().ok()?)?;
    Some(NamedLocation {
        point: row.point,
        country: Some(row.code),
        subdivision: None,
        label: row.name.to_owned(),
    })
}

fn subdivision(code: &str) -> Option<NamedLocation> {
    let (country, subdivision) = code.split_once('-')?;
    let row = subdivision_row(country.parse().ok()?, subdivision.parse().ok()?)?;
    let (country, code) = row.code;
    Some(NamedLocation {
        point: row.point,
        country: Some(country),
        subdivision: Some(code),
        label: format!(
            "{}, {}",
            row.name().unwrap_or(code.as_str()),
            shown(country)
        ),
    })
}

fn country_row(code: PlaceCode) -> Option<&'static Country> {
    let index = COUNTRIES
        .binary_search_by_key(&code, |country| country.code)
        .ok()?;
    COUNTRIES.get(index)
}

fn subdivision_row(country: PlaceCode, subdivision: PlaceCode) -> Option<&'static Subdivision> {
    let index = SUBDIVISIONS
        .binary_search_by_key(&(country, subdivision), |row| row.code)
        .ok()?;
    SUBDIVISIONS.get(index)
}

/// The country's name, or its code where it has none.
fn shown(country: PlaceCode) -> String {
    match country_name(country) {
        Some(name) => name.to_owned(),
        None => country.to_string(),
    }
}

impl fmt::Display for UnknownLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no location is called \"{}\"; ", self.text)?;
        if let Some((last, others)) = self.near.split_last() {
            f.write_str("did you mean ")?;
            for name in others {
                write!(f, "\"{name}\" or ")?;
            }
            write!(f, "\"{last}\"? ")?;
        }
        f.write_str(
            "write an airport (\"FRA\"), a cloud region (\"aws:eu-central-1\"), a city (\"Frankfurt\" or \"Portland, US\"), \
             a country (\"DE\"), a subdivision (\"US-CA\"), or latitude and longitude ([50.11, 8.68])",
        )
    }
}

impl std::error::Error for UnknownLocation {}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> PlaceCode {
        text.parse().unwrap()
    }

    /// The kilometres between a named place and the coordinates that an atlas gives.
    fn off_by_km(name: &str, latitude: f64, longitude: f64) -> f64 {
        let expected = Point::new(latitude, longitude).unwrap().unit_vector();
        find(name)
            .unwrap()
            .point
            .unit_vector()
            .distance_km(&expected)
    }

    #[test]
    fn places_are_where_they_are() {
        for (name, latitude, longitude, within_km) in [
            ("FRA", 50.033, 8.570, 5.0),
            ("iata:nrt", 35.765, 140.386, 5.0),
            ("LON", 51.5, -0.12, 25.0),
            ("aws:eu-central-1", 50.11, 8.68, 10.0),
            ("AWS:US-GOV-WEST-1", 45.5, -122.7, 100.0),
            ("azure:francecentral", 48.86, 2.35, 10.0),
            ("gcp:europe-west12", 45.07, 7.69, 10.0),
            ("oci:uk-london-1", 51.5, -0.12, 10.0),
            ("alibaba:me-central-1", 24.7, 46.7, 30.0),
            ("digitalocean:fra1", 50.11, 8.68, 10.0),
            ("US-CA", 35.5, -119.5, 150.0),
            ("AU-NSW", -33.8, 151.1, 100.0),
            ("RU-MOW", 55.75, 37.62, 30.0),
            ("de", 50.9, 9.6, 100.0),
            ("FJ", -17.9, 178.2, 100.0),
            ("Frankfurt", 50.11, 8.68, 5.0),
            ("frankfurt am main", 50.11, 8.68, 5.0),
            ("São Paulo", -23.55, -46.63, 10.0),
            ("New York", 40.71, -74.0, 10.0),
            ("London", 51.5, -0.12, 10.0),
            ("London, CA", 42.98, -81.23, 10.0),
            ("Clermont-Ferrand", 45.78, 3.08, 10.0),
            ("Ashburn,US", 39.04, -77.49, 5.0),
        ] {
            let distance = off_by_km(name, latitude, longitude);
            assert!(distance < within_km, "{name} is off by {distance} km");
        }
    }

    #[test]
    fn a_found_place_knows_its_country_and_says_its_name() {
        let california = find("us-ca").unwrap();
        assert_eq!(
            (california.country, california.subdivision),
            (Some(code("US")), Some(code("CA")))
        );
        assert_eq!(california.label, "California, United States");
        assert_eq!(find("FRA").unwrap().label, "airport FRA, Germany");
        assert_eq!(
            find(" aws:eu-central-1 ").unwrap().label,
            "aws:eu-central-1, Europe (Frankfurt)"
        );
        assert_eq!(find("DE").unwrap().label, "Germany");
        assert_eq!(
            find("frankfurt").unwrap().label,
            "Frankfurt am Main, Germany"
        );
        assert_eq!(find("aws:sa-east-1").unwrap().country, Some(code("BR")));
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion() {
        for (name, near) in [
            ("aws:eu-centrall-1", "aws:eu-central-1"),
            ("eu-central-1", "aws:eu-central-1"),
            ("Germany", "DE"),
            ("california", "US-CA"),
            ("Frankfrut", "Frankfurt am Main"),
            ("amazon:eu-west-1", "aws:eu-west-1"),
        ] {
            let unknown = find(name).unwrap_err();
            assert!(unknown.near.contains(&near.to_owned()), "{name}: {unknown}");
            assert!(
                unknown.to_string().contains(&format!("\"{near}\"")),
                "{unknown}"
            );
        }
    }

    #[test]
    fn nothing_comes_near_to_nonsense() {
        for name in [
            "",
            ":",
            "-",
            "iata:",
            "XX",
            "US-",
            "zzzzzzzzzzzzzzzz",
            "北京",
            "London, FR",
            ",US",
            "[50.1, 8.6]",
        ] {
            assert_eq!(find(name).unwrap_err().near, Vec::<String>::new(), "{name}");
        }
        assert!(find(&"x".repeat(100_000)).unwrap_err().to_string().len() < 400);
        assert!(
            find("")
                .unwrap_err()
                .to_string()
                .starts_with("no location is called \"\"; write an airport")
        );
    }

    #[test]
    fn every_country_has_a_point_a_continent_and_a_name() {
        for row in COUNTRIES.iter() {
            assert!(country_point(row.code).is_some());
            let continent = country_continent(row.code).unwrap();
            assert!(
                ["AF", "AN", "AS", "EU", "NA", "OC", "SA"].contains(&continent.as_str()),
                "{continent}"
            );
            assert!(!country_name(row.code).unwrap().is_empty());
        }
        assert_eq!(country_continent(code("AQ")), Some(code("AN")));
        assert_eq!(country_point(code("ZZ")), None);
    }

    #[test]
    fn databases_names_of_subdivisions_have_codes() {
        for (country, name, expected) in [
            ("US", "California", "CA"),
            ("US", "District of Columbia", "DC"),
            ("CA", "Quebec", "QC"),
            ("RU", "Moscow", "MOW"),
            ("RU", "Moscow Oblast", "MOS"),
            ("RU", "St.-Petersburg", "SPE"),
            ("RU", "Smolenskaya Oblast’", "SMO"),
            ("CN", "Guangdong", "GD"),
            ("CN", "Inner Mongolia", "NM"),
            ("BR", "São Paulo", "SP"),
            ("BR", "Federal District", "DF"),
            ("AU", "New South Wales", "NSW"),
            ("IN", "Uttar Pradesh", "UP"),
            ("IN", "Telangana", "TS"),
            ("MX", "Mexico", "MEX"),
            ("MX", "Mexico City", "CMX"),
            ("DE", "Bavaria", "BY"),
        ] {
            let found = subdivision_code(code(country), name);
            assert_eq!(found, Some(code(expected)), "{country} {name}");
            assert!(subdivision_point(code(country), code(expected)).is_some());
        }
        assert_eq!(subdivision_code(code("US"), "Bavaria"), None);
        assert_eq!(subdivision_code(code("US"), ""), None);
    }

    #[test]
    fn the_eight_large_countries_are_whole() {
        for (country, count) in [
            ("US", 51),
            ("CA", 13),
            ("RU", 83),
            ("CN", 31),
            ("BR", 27),
            ("AU", 8),
            ("IN", 36),
            ("MX", 32),
        ] {
            let rows = SUBDIVISIONS
                .iter()
                .filter(|row| row.code.0 == code(country) && row.name().is_some());
            assert_eq!(rows.count(), count, "{country}");
        }
    }

    #[test]
    fn codes_that_iso_has_replaced_still_stand_where_their_successors_do() {
        assert_eq!(find("IN-OR").unwrap().point, find("IN-OD").unwrap().point);
        assert_eq!(find("MX-DIF").unwrap().label, "DIF, Mexico");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            let _ = find(&text).map_err(|unknown| unknown.to_string());
        }
    }
}
