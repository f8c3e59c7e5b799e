//! What the records of databases come to: each a place, an AS number, both or neither.

use std::ops::Range;

use foldhash::{HashMap, HashMapExt};

use super::atlas::CoarsePoints;
use super::both::both;
use super::database::{Database, ReadDatabase};
use super::error::GeoError;
use super::layers::{LayerAsn, LayerFacts};
use super::locations::{country_continent, country_point, subdivision_code};
use super::offsets::OffsetTable;
use super::places::PlaceTable;
use super::record::GeoRecord;
use super::{Place, PlaceCode};

/// Reads all databases, two halves of the records at the same time, and numbers their places together. A database that
/// says nothing of where anything is, is refused.
pub fn read(
    databases: &[Database],
    coarse_points: CoarsePoints,
) -> Result<(PlaceTable, Vec<ReadDatabase<'_, LayerFacts>>), GeoError> {
    let records = databases
        .iter()
        .map(Database::records)
        .collect::<Result<Vec<_>, _>>()?;
    let (lower, upper) = both(
        || read_part(databases, &records, coarse_points, |count| 0..count / 2),
        || read_part(databases, &records, coarse_points, |count| count / 2..count),
    );
    let ((mut places, facts), (others, facts_of_upper)) = (lower?, upper?);
    let numbers = places.adopt(&others);
    let renumbered = |facts: LayerFacts| LayerFacts {
        location: facts.location.map(|location| numbers[location.0 as usize]),
        ..facts
    };
    let facts = facts
        .into_iter()
        .zip(facts_of_upper)
        .map(|(mut facts, more)| {
            facts.extend(more.into_iter().map(renumbered));
            facts
        });
    let read = databases.iter().zip(records).zip(facts);
    let read: Vec<_> = read
        .map(|((database, records), values)| ReadDatabase {
            database,
            records,
            values,
        })
        .collect();
    match read.iter().find(|read| {
        read.values
            .iter()
            .all(|facts| *facts == LayerFacts::default())
    }) {
        Some(read) => Err(useless(read.database)),
        None => Ok((places, read)),
    }
}

/// A database that says nothing of where anything is.
pub fn useless(database: &Database) -> GeoError {
    let reason = format!(
        "holds no country, no coordinates and no AS number (it calls itself {:?}); use a City, Country or ASN database",
        database.kind()
    );
    GeoError::new(database.path(), reason)
}

/// Of each database the facts of a part of its records, chosen by their count; and the places of all of them.
fn read_part(
    databases: &[Database],
    records: &[OffsetTable],
    coarse_points: CoarsePoints,
    part: fn(usize) -> Range<usize>,
) -> Result<(PlaceTable, Vec<Vec<LayerFacts>>), GeoError> {
    let mut places = PlaceTable::default();
    let facts = (1..)
        .zip(databases)
        .zip(records)
        .map(|((source, database), records)| {
            let part = part(records.len());
            let mut interpreter = Interpreter {
                source,
                coarse_points,
                codes: HashMap::new(),
            };
            database.read(records.iter().skip(part.start).take(part.len()), |record| {
                let (place, asn) = interpreter.interpret(&record);
                let location = place.map(|place| places.number(place));
                LayerFacts {
                    location,
                    asn: asn.map_or(LayerAsn::Silent, LayerAsn::Number),
                }
            })
        });
    let facts = facts.collect::<Result<Vec<_>, _>>()?;
    Ok((places, facts))
}

/// Makes places of the records of one database.
struct Interpreter<'a> {
    source: u8,
    coarse_points: CoarsePoints,
    /// The codes of subdivisions that were met by name: there are far fewer of them than records.
    codes: HashMap<(PlaceCode, &'a str), Option<PlaceCode>>,
}

impl<'a> Interpreter<'a> {
    /// What a record comes to: a place without AS number, if it knows one, and an AS number.
    fn interpret(&mut self, record: &GeoRecord<'a>) -> (Option<Place>, Option<u32>) {
        if record.country.is_none() && record.point.is_none() {
            return (None, record.asn);
        }
        let coarse = record.is_coarse();
        let centre = || record.country.and_then(country_point);
        let point = match self.coarse_points {
            CoarsePoints::Population if coarse => centre().or(record.point),
            _ => record.point.or_else(centre),
        };
        let place = Place {
            point,
            country: record.country,
            continent: record
                .continent
                .or_else(|| record.country.and_then(country_continent)),
            subdivision: record
                .subdivision
                .or_else(|| self.code(record.country?, record.subdivision_name?)),
            asn: None,
            source: self.source,
            coarse,
        };
        (Some(place), record.asn)
    }

    fn code(&mut self, country: PlaceCode, name: &'a str) -> Option<PlaceCode> {
        *self
            .codes
            .entry((country, name))
            .or_insert_with(|| subdivision_code(country, name))
    }
}
