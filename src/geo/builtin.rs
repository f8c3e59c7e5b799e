//! The built-in table of cells and its file format.
//!
//! ```text
//! "MERIDIAN" version=2 | built: seconds since 1970 | name | frame: places | v4 | v6
//! ```
//! Numbers are varints (seven bits an octet, the lowest first), and a text follows its length. A
//! frame is its unpacked length, its packed length, and a zstd frame. Each of v4 and v6 is a
//! [`RangeList`] as it is in memory, with larger blocks. It is used where it lies in the program.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::address::AddressBits;
use super::atlas::{Atlas, DataSource, PlaceId, SourceKind};
use super::locations::country_continent;
use super::ranges::{RangeBuilder, RangeList, read_varint, write_varint};
use super::{Place, PlaceCode};
use crate::steering::Point;

/// Compiled from DB-IP City Lite, CC BY 4.0; see `geodata/README.md`.
pub static TABLE: &[u8] = include_bytes!("../../geodata/cells.zst");

/// The attribution that the licence of the data requires.
pub const CREDIT: &str = "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0, modified";

const MAGIC: &[u8; 9] = b"MERIDIAN\x02";

/// The largest frame that is unpacked; a longer one is damage.
const MOST_OCTETS: usize = 1 << 28;

/// Ranges of a block in the file, and how hard zstd tries to make it small.
const STRIDE: usize = 1 << 16;
const LEVEL: i32 = 19;

/// A table whose header and places are read; its ranges are still packed.
#[derive(Debug, Clone)]
pub(super) struct BuiltinTable<'a> {
    pub(super) source: DataSource,
    pub(super) places: Vec<Place>,
    pub(super) v4: RangeList<'a, u32>,
    pub(super) v6: RangeList<'a, u128>,
}

impl BuiltinTable<'static> {
    /// The table that is part of this program.
    pub(super) fn embedded() -> Self {
        // A test reads the table. If it were damaged, every address would be unknown.
        Self::read(TABLE).unwrap_or_else(Self::empty)
    }

    /// A table without any location.
    pub(super) fn empty() -> Self {
        let places = vec![Place::default(); 2];
        BuiltinTable {
            source: source(String::new(), None),
            places,
            v4: RangeList::unknown(),
            v6: RangeList::unknown(),
        }
    }
}

impl<'a> BuiltinTable<'a> {
    /// Reads the header and the places of a table; `None` if they are damaged.
    pub(super) fn read(table: &'a [u8]) -> Option<Self> {
        let mut rest = table.strip_prefix(MAGIC)?;
        let built = UNIX_EPOCH.checked_add(Duration::from_secs(number(&mut rest)?));
        let length = number(&mut rest)?;
        let name = String::from_utf8(take(&mut rest, length)?.to_vec()).ok()?;
        let places = read_places(&Frame::read(&mut rest)?.unpack()?)?;
        let (v4, v6) = (RangeList::read(&mut rest)?, RangeList::read(&mut rest)?);
        Some(BuiltinTable {
            source: source(name, built),
            places,
            v4,
            v6,
        })
    }
}

/// A compressed part of a table.
#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    unpacked: usize,
    octets: &'a [u8],
}

impl<'a> Frame<'a> {
    fn read(rest: &mut &'a [u8]) -> Option<Self> {
        let unpacked = usize::try_from(number(rest)?).ok()?;
        if unpacked > MOST_OCTETS {
            return None;
        }
        let length = number(rest)?;
        Some(Frame {
            unpacked,
            octets: take(rest, length)?,
        })
    }

    fn unpack(self) -> Option<Vec<u8>> {
        zstd::bulk::decompress(self.octets, self.unpacked).ok()
    }

    fn write(out: &mut Vec<u8>, octets: &[u8]) -> std::io::Result<()> {
        let packed = zstd::bulk::compress(octets, LEVEL)?;
        write_varint(out, octets.len() as u128);
        write_varint(out, packed.len() as u128);
        out.extend(packed);
        Ok(())
    }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut at = 0;
    let number = read_varint(rest, &mut at)?;
    *rest = rest.get(at..)?;
    number.try_into().ok()
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = left;
    Some(taken)
}

/// Encodes the first source, the places and the ranges of an atlas.
pub(super) fn encode(atlas: &Atlas) -> std::io::Result<Vec<u8>> {
    let (mut name, mut built) = ("", Duration::ZERO);
    if let Some(source) = atlas.sources.first() {
        name = &source.name;
        if let Some(time) = source.built {
            built = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        }
    }
    let mut table = MAGIC.to_vec();
    write_varint(&mut table, u128::from(built.as_secs()));
    write_varint(&mut table, name.len() as u128);
    table.extend_from_slice(name.as_bytes());
    let mut places = Vec::new();
    for place in &atlas.places {
        write_place(&mut places, place);
    }
    Frame::write(&mut table, &places)?;
    packed_well(&atlas.v4).write(&mut table);
    packed_well(&atlas.v6).write(&mut table);
    Ok(table)
}

/// The same ranges with the blocks of the file.
fn packed_well<A: AddressBits>(ranges: &RangeList<'_, A>) -> RangeList<'static, A> {
    let mut builder = RangeBuilder::packing(STRIDE, LEVEL);
    for (start, place) in ranges.iter() {
        builder.push(start, place);
    }
    builder.finish()
}

fn source(name: String, built: Option<SystemTime>) -> DataSource {
    DataSource {
        name,
        kind: SourceKind::BuiltIn,
        path: None,
        built,
    }
}

/// Octets of a place: coordinates in 1/10,000 degree, country, continent, subdivision, whether it
/// is coarse.
const PLACE_SIZE: usize = 4 + 4 + 4 + 4 + 4 + 1;

/// Latitude of a place without coordinates.
const NOWHERE: i32 = i32::MAX;

fn write_place(out: &mut Vec<u8>, place: &Place) {
    let (latitude, longitude) = match place.point {
        Some(point) => (scaled(point.latitude()), scaled(point.longitude())),
        None => (NOWHERE, 0),
    };
    out.extend(latitude.to_le_bytes());
    out.extend(longitude.to_le_bytes());
    for code in [place.country, place.continent, place.subdivision] {
        let mut octets = [0; 4];
        let text = code.as_ref().map_or("", PlaceCode::as_str);
        octets[..text.len()].copy_from_slice(text.as_bytes());
        out.extend(octets);
    }
    out.push(u8::from(place.coarse));
}

/// Degrees in 1/10,000.
fn scaled(degrees: f64) -> i32 {
    (degrees * 1e4).round() as i32
}

/// Reads the places. The first two are the special places, whatever is written there.
fn read_places(octets: &[u8]) -> Option<Vec<Place>> {
    let mut places: Vec<_> = octets.chunks_exact(PLACE_SIZE).map(read_place).collect();
    places
        .get_mut(..=PlaceId::UNROUTABLE.0 as usize)?
        .fill(Place::default());
    Some(places)
}

fn read_place(octets: &[u8]) -> Place {
    let country = code(word(octets, 2));
    let continent = code(word(octets, 3));
    Place {
        point: Point::new(degrees(word(octets, 0)), degrees(word(octets, 1))).ok(),
        country,
        continent: continent.or_else(|| country.and_then(country_continent)),
        subdivision: code(word(octets, 4)),
        coarse: octets[PLACE_SIZE - 1] != 0,
        ..Place::default()
    }
}

/// The four octets of a place's field, by its index.
fn word(place: &[u8], index: usize) -> [u8; 4] {
    <[u8; 4]>::try_from(&place[index * 4..index * 4 + 4]).unwrap_or_default()
}

fn degrees(word: [u8; 4]) -> f64 {
    f64::from(i32::from_le_bytes(word)) / 1e4
}

fn code(word: [u8; 4]) -> Option<PlaceCode> {
    let text = std::str::from_utf8(&word).ok()?;
    text.trim_end_matches('\0').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Atlas {
        let place = Place {
            point: Point::new(-33.8688, 151.2093).ok(),
            country: "AU".parse().ok(),
            continent: "OC".parse().ok(),
            subdivision: "NSW".parse().ok(),
            ..Place::default()
        };
        let mut v4 = RangeBuilder::default();
        v4.push(0, PlaceId::UNKNOWN);
        v4.push(1 << 24, PlaceId(2));
        let built = UNIX_EPOCH.checked_add(Duration::from_secs(1_780_000_000));
        let coarse = Place {
            country: "FR".parse().ok(),
            continent: "EU".parse().ok(),
            coarse: true,
            ..Place::default()
        };
        Atlas {
            places: vec![Place::default(), Place::default(), place, coarse],
            v4: v4.finish(),
            v6: RangeList::unknown(),
            sources: vec![source("small".to_owned(), built)],
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let atlas = small();
        let octets = encode(&atlas).unwrap();
        let read = BuiltinTable::read(&octets).unwrap();
        assert!(read.v4.iter().eq(atlas.v4.iter()));
        assert!(read.v6.iter().eq(atlas.v6.iter()));
        assert_eq!(
            (read.places, vec![read.source]),
            (atlas.places, atlas.sources)
        );
    }

    #[test]
    fn damaged_tables_are_refused_without_panic() {
        let table = encode(&small()).unwrap();
        for length in 0..table.len() {
            assert!(
                BuiltinTable::read(&table[..length]).is_none(),
                "{length} octets"
            );
        }
        for at in 0..table.len() {
            let mut damaged = table.clone();
            damaged[at] ^= 0x55;
            if let Some(table) = BuiltinTable::read(&damaged) {
                let (_, _) = (table.v4.iter().count(), table.v6.iter().count());
            }
        }
    }

    #[test]
    fn the_table_of_this_program_is_sound() {
        let table = BuiltinTable::read(TABLE).unwrap();
        let (v4, v6, places) = (&table.v4, &table.v6, table.places.len() as u32);
        assert!(v4.is_sound(places) && v6.is_sound(places));
        assert!(
            v4.len() > 500_000 && v6.len() > 500_000,
            "{} {}",
            v4.len(),
            v6.len()
        );
        let (google, _, _) = v4.find(0x0808_0808);
        assert_eq!(
            table.places[google.0 as usize].country.unwrap().as_str(),
            "US"
        );
    }
}
