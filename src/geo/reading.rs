//! Interprets the records of databases: each yields a place, an AS number, both or neither.
//!
//! The distinct records of every database are decoded in two halves, on two threads. Each half
//! numbers its places in a table of its own; the second table is then merged into the first.

use std::ops::Range;

use foldhash::{HashMap, HashMapExt};

use super::atlas::CoarsePoints;
use super::both::both;
use super::database::{Database, ReadDatabase};
use super::error::GeoError;
use super::layers::{LayerAsn, LayerFacts};
use super::locations::{country_continent, country_point, subdivision_code};
use super::places::PlaceTable;
use super::record::GeoRecord;
use super::{Place, PlaceCode};
use crate::steering::Point;

/// Reads all databases and numbers their places in one table.
///
/// # Errors
/// A damaged record, or a database without any location or AS number.
pub fn read(
    databases: Vec<Database>,
    coarse_points: CoarsePoints,
) -> Result<(PlaceTable, Vec<ReadDatabase<LayerFacts>>), GeoError> {
    let (lower, upper) = both(
        || read_part(&databases, coarse_points, |count| 0..count / 2),
        || read_part(&databases, coarse_points, |count| count / 2..count),
    );
    let ((mut places, lower), (others, upper)) = (lower?, upper?);
    let numbers = places.adopt(&others);
    let mut read = Vec::with_capacity(databases.len());
    let halves = lower.into_iter().zip(upper);
    for (database, (mut values, upper)) in databases.into_iter().zip(halves) {
        values.reserve_exact(upper.len());
        for mut facts in upper {
            if let Some(location) = &mut facts.location {
                *location = numbers[location.0 as usize];
            }
            values.push(facts);
        }
        if values.iter().all(|facts| *facts == LayerFacts::default()) {
            return Err(useless(&database));
        }
        read.push(database.with_values(values));
    }
    Ok((places, read))
}

/// The error for a database without any location or AS number.
pub fn useless(database: &Database) -> GeoError {
    let reason = format!(
        "holds no country, no coordinates and no AS number (it calls itself {:?}); use a City, Country or ASN database",
        database.kind()
    );
    GeoError::new(database.path(), reason)
}

/// For each database the facts of a part of its records, and the places of all these records.
/// `part` chooses the part by the number of records.
fn read_part(
    databases: &[Database],
    coarse_points: CoarsePoints,
    part: fn(usize) -> Range<usize>,
) -> Result<(PlaceTable, Vec<Vec<LayerFacts>>), GeoError> {
    let mut places = PlaceTable::default();
    let mut facts = Vec::with_capacity(databases.len());
    for (source, database) in (1..).zip(databases) {
        let records = database.records();
        let part = part(records.len());
        let mut interpreter = Interpreter {
            source,
            coarse_points,
            codes: HashMap::new(),
        };
        let offsets = records.iter().skip(part.start).take(part.len());
        facts.push(database.read(offsets, |record| {
            let location = interpreter.place(&record).map(|place| places.number(place));
            let asn = match record.asn {
                Some(number) => LayerAsn::Number(number),
                None => LayerAsn::Silent,
            };
            LayerFacts { location, asn }
        })?);
    }
    Ok((places, facts))
}

/// Turns the records of one database into places.
struct Interpreter<'a> {
    source: u8,
    coarse_points: CoarsePoints,
    /// The codes of subdivisions found by name: there are far fewer of them than records.
    codes: HashMap<(PlaceCode, &'a str), Option<PlaceCode>>,
}

impl<'a> Interpreter<'a> {
    /// The place of a record, without an AS number; `None` if the record has neither a country nor
    /// coordinates.
    fn place(&mut self, record: &GeoRecord<'a>) -> Option<Place> {
        if record.country.is_none() && record.point.is_none() {
            return None;
        }
        Some(Place {
            point: self.point(record),
            country: record.country,
            continent: record
                .continent
                .or_else(|| record.country.and_then(country_continent)),
            subdivision: record
                .subdivision
                .or_else(|| self.code(record.country?, record.subdivision_name?)),
            asn: None,
            source: self.source,
            coarse: record.is_coarse(),
        })
    }

    fn point(&self, record: &GeoRecord<'_>) -> Option<Point> {
        let prefers_centre = self.coarse_points == CoarsePoints::Population && record.is_coarse();
        if !prefers_centre && record.point.is_some() {
            return record.point;
        }
        record.country.and_then(country_point).or(record.point)
    }

    fn code(&mut self, country: PlaceCode, name: &'a str) -> Option<PlaceCode> {
        *self
            .codes
            .entry((country, name))
            .or_insert_with(|| subdivision_code(country, name))
    }
}
