//! Databases compiled to the compact table of cells: the largest countries by state, all others whole.
//!
//! A country is one cell unless it is so large that a service could have two regions in it. Each cell stands where
//! its networks stand on average; DESIGN: about 560 cells and 2.2 MB instead of 134 MB.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::address::Address;
use super::atlas::{Atlas, PlaceId, Source, SourceKind, useless};
use super::builtin;
use super::database::Database;
use super::error::GeoError;
use super::layers::{Asn, Facts, Layer, sweep};
use super::ranges::{RangeBuilder, RangeList};
use super::record::Record;
use super::subdivisions::subdivision_code;
use super::{Code, Place};
use crate::steering::Point;

/// Countries that are cut into states: the eight largest by area that have more than a handful of networks.
const BY_STATE: [&str; 8] = ["US", "CA", "RU", "CN", "BR", "AU", "IN", "MX"];

/// IPv6 networks are told apart down to this length, which is what one site gets (RFC 6177).
const SITE: u8 = 48;

/// What [`compile`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Countries and states.
    pub cells: usize,
    /// IPv4 ranges.
    pub v4_ranges: usize,
    /// IPv6 ranges.
    pub v6_ranges: usize,
    /// Size of the file written.
    pub octets: usize,
}

/// Compiles City databases, the first one that knows a network wins, and writes the table to `output`.
pub fn compile(inputs: &[PathBuf], output: &Path) -> Result<Summary, GeoError> {
    let databases = inputs.iter().map(|path| Database::open(path)).collect::<Result<Vec<_>, _>>()?;
    let atlas = cells(&databases)?;
    let table = builtin::encode(&atlas)
        .map_err(|error| GeoError::new(output, format_args!("cannot be compressed: {error}")))?;
    std::fs::write(output, &table)
        .map_err(|error| GeoError::new(output, format_args!("cannot be written: {error}")))?;
    let (v4_ranges, v6_ranges) = atlas.range_counts();
    Ok(Summary { cells: atlas.places().len() - 2, v4_ranges, v6_ranges, octets: table.len() })
}

fn cells(databases: &[Database]) -> Result<Atlas, GeoError> {
    let cells = RefCell::default();
    let v4: RangeList<u32> = ranges(databases, &cells)?;
    let v6: RangeList<u128> = ranges(databases, &cells)?;
    let cells: Cells = cells.into_inner();
    if let Some(database) = databases.first().filter(|_| cells.list.is_empty()) {
        return Err(useless(database));
    }
    let places = cells.places();
    Ok(Atlas { places, v4, v6: cut(&v6, SITE), sources: databases.first().map(source).into_iter().collect() })
}

fn source(database: &Database) -> Source {
    Source { name: database.kind().to_owned(), kind: SourceKind::BuiltIn, path: None, built: Some(database.built()) }
}

/// The cells of one address family; every network draws its cell a little towards itself.
fn ranges<A: Address>(databases: &[Database], cells: &RefCell<Cells>) -> Result<RangeList<A>, GeoError> {
    let layers = databases.iter().map(|database| {
        let networks = database.networks(|record| Seen::of(&record, &mut cells.borrow_mut()))?;
        let drawn = networks.map(|network| {
            let (first, seen): (A, Seen) = network?;
            cells.borrow_mut().draw(seen);
            Ok((first, Facts { location: seen.cell, asn: Asn::Silent }))
        });
        Ok(Box::new(drawn) as Layer<'_, A>)
    });
    let layers = layers.collect::<Result<Vec<_>, GeoError>>()?;
    sweep(layers, &RefCell::default())
}

/// A record's cell and where its networks stand on the unit sphere.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    cell: Option<PlaceId>,
    at: Option<[f64; 3]>,
}

impl Seen {
    fn of(record: &Record<'_>, cells: &mut Cells) -> Self {
        let cell = record.country.map(|country| cells.number(country, record));
        Seen { cell, at: record.point.map(|point| point.unit_vector().0) }
    }
}

/// The cells met so far.
#[derive(Debug, Default)]
struct Cells {
    list: Vec<Cell>,
    numbers: HashMap<(Code, Option<String>), PlaceId>,
}

#[derive(Debug)]
struct Cell {
    place: Place,
    /// Sum of the unit vectors of its networks.
    pull: [f64; 3],
}

/// Numbers taken by the special places.
const SPECIAL: u32 = 2;

impl Cells {
    fn number(&mut self, country: Code, record: &Record<'_>) -> PlaceId {
        let state = record.subdivision_name.filter(|_| BY_STATE.contains(&country.as_str()));
        let key = (country, state.map(str::to_owned));
        let list = &mut self.list;
        *self.numbers.entry(key).or_insert_with(|| {
            let code = state.and_then(|name| record.subdivision.or_else(|| subdivision_code(country, name)));
            let place = Place {
                country: Some(country),
                continent: record.continent,
                subdivision: code,
                coarse: state.is_none(),
                ..Place::default()
            };
            list.push(Cell { place, pull: [0.0; 3] });
            PlaceId(list.len() as u32 - 1 + SPECIAL)
        })
    }

    fn draw(&mut self, seen: Seen) {
        let cell = seen.cell.and_then(|id| self.list.get_mut((id.0 - SPECIAL) as usize));
        if let Some((cell, at)) = cell.zip(seen.at) {
            cell.pull.iter_mut().zip(at).for_each(|(sum, part)| *sum += part);
        }
    }

    fn places(self) -> Vec<Place> {
        let special = [Place::default(); SPECIAL as usize];
        let cells = self.list.into_iter().map(|cell| Place { point: mean(cell.pull), ..cell.place });
        special.into_iter().chain(cells).collect()
    }
}

/// The point in the direction of a sum of unit vectors.
fn mean([x, y, z]: [f64; 3]) -> Option<Point> {
    let length = (x * x + y * y + z * z).sqrt();
    let point = || Point::new((z / length).clamp(-1.0, 1.0).asin().to_degrees(), y.atan2(x).to_degrees()).ok();
    (length > 0.0).then(point).flatten()
}

/// The same ranges with starts on prefixes of `length` bits only: each prefix is where its first address is.
fn cut(ranges: &RangeList<u128>, length: u8) -> RangeList<u128> {
    let mut builder = RangeBuilder::default();
    let mut waiting = None;
    for (start, place) in ranges.iter() {
        let Some(rounded) = start.checked_sub(1).map_or(Some(0), |before| before.prefix(length).1.next()) else {
            break;
        };
        if let Some((start, place)) = waiting.filter(|(start, _)| *start < rounded) {
            builder.push(start, place);
        }
        waiting = Some((rounded, place));
    }
    if let Some((start, place)) = waiting {
        builder.push(start, place);
    }
    builder.finish()
}
