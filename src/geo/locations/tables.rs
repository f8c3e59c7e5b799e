//! The embedded tables of named locations, parsed on first use.
//!
//! `geodata/locations/rebuild.py` makes them. Rows are comma-separated without quotes. The parser
//! skips a row that it cannot read; a test checks that there is none.

use std::cmp::Reverse;
use std::str::FromStr;
use std::sync::LazyLock;

use super::fold::fold;
use crate::geo::PlaceCode;
use crate::steering::Point;

/// An airport, or the IATA code of a city with several airports.
pub(super) struct Airport {
    pub code: PlaceCode,
    pub country: PlaceCode,
    pub point: Point,
}

/// A region of a cloud provider.
pub(super) struct CloudRegion {
    /// `provider:region`, lower case.
    pub key: &'static str,
    pub country: PlaceCode,
    pub point: Point,
    pub name: &'static str,
}

/// A city.
pub(super) struct City {
    pub country: PlaceCode,
    pub point: Point,
    /// Separated by bars; the first one is the display name.
    names: &'static str,
    /// Thousands of people.
    people: u32,
}

impl City {
    /// The display name.
    pub fn name(&self) -> &'static str {
        self.names.split('|').next().unwrap_or(self.names)
    }
}

/// One name of a city: the folded name, and the index in [`CITIES`].
pub(super) type CityName = (String, usize);

/// A country of ISO 3166-1, present or former.
pub(super) struct Country {
    pub code: PlaceCode,
    pub continent: PlaceCode,
    pub point: Point,
    pub name: &'static str,
}

/// A subdivision of ISO 3166-2.
pub(super) struct Subdivision {
    /// The country and the code within it.
    pub code: (PlaceCode, PlaceCode),
    pub point: Point,
    /// Separated by bars; the first one is the display name. Empty for a code that ISO has
    /// replaced.
    names: &'static str,
}

impl Subdivision {
    /// The display name, unless the code is a former one.
    pub fn name(&self) -> Option<&'static str> {
        self.names.split('|').next().filter(|name| !name.is_empty())
    }
}

/// One name of a subdivision: the country, the folded name, the code within the country.
pub(super) type SubdivisionName = (PlaceCode, String, PlaceCode);

/// Sorted by code.
pub(super) static AIRPORTS: LazyLock<Vec<Airport>> =
    LazyLock::new(|| sorted(AIRPORT_ROWS, airport, |airport| airport.code));

/// Sorted by key.
pub(super) static CLOUD_REGIONS: LazyLock<Vec<CloudRegion>> =
    LazyLock::new(|| sorted(CLOUD_REGION_ROWS, cloud_region, |region| region.key));

/// The largest first.
pub(super) static CITIES: LazyLock<Vec<City>> = LazyLock::new(|| {
    sorted(CITY_ROWS, city, |city| {
        (Reverse(city.people), city.country, city.names)
    })
});

/// Sorted by folded name, then by size, the largest first.
pub(super) static CITY_NAMES: LazyLock<Vec<CityName>> = LazyLock::new(|| {
    let mut names = Vec::new();
    for (index, city) in CITIES.iter().enumerate() {
        for name in city.names.split('|') {
            names.push((fold(name), index));
        }
    }
    names.sort_unstable();
    names
});

/// Sorted by code.
pub(super) static COUNTRIES: LazyLock<Vec<Country>> =
    LazyLock::new(|| sorted(COUNTRY_ROWS, country, |country| country.code));

/// Sorted by country, then code.
pub(super) static SUBDIVISIONS: LazyLock<Vec<Subdivision>> = LazyLock::new(|| {
    sorted(SUBDIVISION_ROWS, subdivision, |subdivision| {
        subdivision.code
    })
});

/// Sorted by country, then folded name.
pub(super) static SUBDIVISION_NAMES: LazyLock<Vec<SubdivisionName>> = LazyLock::new(|| {
    let mut names = Vec::new();
    for subdivision in SUBDIVISIONS.iter() {
        let (country, code) = subdivision.code;
        for name in subdivision.names.split('|') {
            if !name.is_empty() {
                names.push((country, fold(name), code));
            }
        }
    }
    names.sort_unstable();
    names
});

const AIRPORT_ROWS: &str = include_str!("../../../geodata/locations/airports.csv");
const CLOUD_REGION_ROWS: &str = include_str!("../../../geodata/locations/cloud-regions.csv");
const CITY_ROWS: &str = include_str!("../../../geodata/locations/cities.csv");
const COUNTRY_ROWS: &str = include_str!("../../../geodata/locations/countries.csv");
const SUBDIVISION_ROWS: &str = include_str!("../../../geodata/locations/subdivisions.csv");

/// The rows that `parse` can read, sorted by key.
fn sorted<Row, Key: Ord>(
    rows: &'static str,
    parse: impl Fn(&mut Fields) -> Option<Row>,
    key: impl Fn(&Row) -> Key,
) -> Vec<Row> {
    let mut table = Vec::new();
    for row in rows.lines() {
        table.extend(parse(&mut Fields(row.split(','))));
    }
    table.sort_unstable_by_key(key);
    table
}

fn airport(fields: &mut Fields) -> Option<Airport> {
    Some(Airport {
        code: fields.next()?,
        country: fields.next()?,
        point: fields.point()?,
    })
}

fn cloud_region(fields: &mut Fields) -> Option<CloudRegion> {
    Some(CloudRegion {
        key: fields.text()?,
        country: fields.next()?,
        point: fields.point()?,
        name: fields.text()?,
    })
}

fn city(fields: &mut Fields) -> Option<City> {
    let (country, names) = (fields.next()?, fields.text()?);
    Some(City {
        country,
        names,
        point: fields.point()?,
        people: fields.next()?,
    })
}

fn country(fields: &mut Fields) -> Option<Country> {
    Some(Country {
        code: fields.next()?,
        continent: fields.next()?,
        point: fields.point()?,
        name: fields.text()?,
    })
}

fn subdivision(fields: &mut Fields) -> Option<Subdivision> {
    let (country, code) = fields.text()?.split_once('-')?;
    let code = (country.parse().ok()?, code.parse().ok()?);
    Some(Subdivision {
        code,
        point: fields.point()?,
        names: fields.text()?,
    })
}

/// The remaining fields of a row.
struct Fields(std::str::Split<'static, char>);

impl Fields {
    fn text(&mut self) -> Option<&'static str> {
        self.0.next()
    }

    fn next<T: FromStr>(&mut self) -> Option<T> {
        self.text()?.parse().ok()
    }

    fn point(&mut self) -> Option<Point> {
        Point::new(self.next()?, self.next()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_is_left_out_and_no_key_stands_twice() {
        fn check<Row, Key: Ord>(table: &[Row], rows: &str, key: impl Fn(&Row) -> Key) {
            assert_eq!(table.len(), rows.lines().count());
            assert!(table.is_sorted_by(|a, b| key(a) < key(b)));
        }
        check(&AIRPORTS, AIRPORT_ROWS, |airport| airport.code);
        check(&CLOUD_REGIONS, CLOUD_REGION_ROWS, |region| region.key);
        check(&CITIES, CITY_ROWS, |city| {
            (Reverse(city.people), city.country, city.names)
        });
        check(&COUNTRIES, COUNTRY_ROWS, |country| country.code);
        check(&SUBDIVISIONS, SUBDIVISION_ROWS, |subdivision| {
            subdivision.code
        });
    }

    #[test]
    fn the_tables_stay_small() {
        let rows = [
            AIRPORT_ROWS,
            CLOUD_REGION_ROWS,
            CITY_ROWS,
            COUNTRY_ROWS,
            SUBDIVISION_ROWS,
        ];
        let octets: usize = rows.iter().map(|rows| rows.len()).sum();
        assert!(octets < 800_000, "{octets}");
    }

    #[test]
    fn every_country_that_is_named_is_in_the_table_of_countries() {
        let known = |country: &PlaceCode| COUNTRIES.iter().any(|known| known.code == *country);
        let airports = AIRPORTS.iter().map(|airport| airport.country);
        let regions = CLOUD_REGIONS.iter().map(|region| region.country);
        let cities = CITIES.iter().map(|city| city.country);
        let subdivisions = SUBDIVISIONS.iter().map(|subdivision| subdivision.code.0);
        let unknown: Vec<PlaceCode> = airports
            .chain(regions)
            .chain(cities)
            .chain(subdivisions)
            .filter(|code| !known(code))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn a_name_means_one_subdivision_and_folds_without_loss() {
        let twice: Vec<_> = SUBDIVISION_NAMES
            .windows(2)
            .filter(|pair| (pair[0].0, &pair[0].1) == (pair[1].0, &pair[1].1))
            .collect();
        assert!(twice.is_empty(), "{twice:?}");
        for subdivision in SUBDIVISIONS.iter() {
            for name in subdivision.names.split('|') {
                let letters = name
                    .chars()
                    .filter(|letter| letter.is_alphanumeric())
                    .count();
                // A modifier letter that stands for an apostrophe counts as a letter in Unicode.
                let apostrophes = name
                    .chars()
                    .filter(|letter| ('\u{2b0}'..'\u{300}').contains(letter))
                    .count();
                assert_eq!(fold(name).len(), letters - apostrophes, "{name}");
            }
        }
    }
}
