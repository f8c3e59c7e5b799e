//! The table of cells: the form in which it is stored, and the one that is part of this program.
//!
//! ```text
//! "MERIDIAN" version=1 | built: seconds since 1970 | name | length of the body | zstd( places | v4 | v6 )
//! ```
//! Numbers are varints (seven bits an octet, the lowest first), a text stands behind its length, and each of v4 and v6
//! is the three columns of a [`RangeList`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::atlas::{Atlas, PlaceId, Source, SourceKind};
use super::locations::country_continent;
use super::ranges::{RangeList, read_varint, write_varint};
use super::{Code, Place};
use crate::steering::Point;

/// Made of DB-IP City Lite, CC BY 4.0; `geodata/README.md` tells how.
const TABLE: &[u8] = include_bytes!("../../geodata/cells.zst");

/// What the licence of the data wants to be shown wherever they are used.
pub const CREDIT: &str = "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0, modified";

const MAGIC: &[u8; 9] = b"MERIDIAN\x01";

/// A table larger than this is not believed.
const MOST_OCTETS: usize = 1 << 28;

/// The table that is part of this program, as it is: nothing painted over it.
pub(super) fn decoded() -> Atlas {
    // A test decodes the table; if it cannot be, nothing is known of any address, which is the truth then.
    decode(TABLE).unwrap_or_else(|| Atlas {
        places: vec![Place::default(); 2],
        v4: RangeList::unknown(),
        v6: RangeList::unknown(),
        sources: vec![source(String::new(), None)],
    })
}

/// Reads what [`encode`] wrote; `None` if it is damaged.
pub(super) fn decode(table: &[u8]) -> Option<Atlas> {
    let rest = table.strip_prefix(MAGIC)?;
    let mut at = 0;
    let built = UNIX_EPOCH.checked_add(Duration::from_secs(read_varint(rest, &mut at)?.try_into().ok()?));
    let name_length = usize::try_from(read_varint(rest, &mut at)?).ok()?;
    let name = String::from_utf8(rest.get(at..)?.get(..name_length)?.to_vec()).ok()?;
    at += name_length;
    let length = usize::try_from(read_varint(rest, &mut at)?).ok().filter(|length| *length <= MOST_OCTETS)?;
    let body = zstd::bulk::decompress(rest.get(at..)?, length).ok()?;
    let mut body = &body[..];
    let places = read_places(&mut body)?;
    let count = places.len() as u32;
    let (v4, v6) = (RangeList::read(&mut body, count)?, RangeList::read(&mut body, count)?);
    Some(Atlas { places, v4, v6, sources: vec![source(name, built)] })
}

/// Writes the first source, the places and the ranges of an atlas, compressed as far as zstd goes.
pub(super) fn encode(atlas: &Atlas) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    write_varint(&mut body, atlas.places.len() as u128);
    atlas.places.iter().for_each(|place| write_place(&mut body, place));
    atlas.v4.write(&mut body);
    atlas.v6.write(&mut body);
    let source = atlas.sources.first();
    let built = source.and_then(|source| source.built?.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let name = source.map_or("", |source| &source.name);
    let mut table = MAGIC.to_vec();
    write_varint(&mut table, u128::from(built.as_secs()));
    write_varint(&mut table, name.len() as u128);
    table.extend_from_slice(name.as_bytes());
    write_varint(&mut table, body.len() as u128);
    table.extend(zstd::bulk::compress(&body, 19)?);
    Ok(table)
}

fn source(name: String, built: Option<SystemTime>) -> Source {
    Source { name, kind: SourceKind::BuiltIn, path: None, built }
}

/// Octets of a place: coordinates in 1/10,000 degree, country, continent, subdivision, whether it is coarse.
const PLACE_SIZE: usize = 4 + 4 + 4 + 4 + 4 + 1;

/// Latitude of a place without coordinates.
const NOWHERE: i32 = i32::MAX;

fn write_place(out: &mut Vec<u8>, place: &Place) {
    let scaled = |degrees: f64| (degrees * 1e4).round() as i32;
    let (latitude, longitude) =
        place.point.map_or((NOWHERE, 0), |point| (scaled(point.latitude()), scaled(point.longitude())));
    out.extend(latitude.to_le_bytes());
    out.extend(longitude.to_le_bytes());
    for code in [place.country, place.continent, place.subdivision] {
        let mut octets = [0; 4];
        let text = code.as_ref().map_or("", Code::as_str);
        octets[..text.len()].copy_from_slice(text.as_bytes());
        out.extend(octets);
    }
    out.push(u8::from(place.coarse));
}

/// The two special places stand first, whatever is written there.
fn read_places(body: &mut &[u8]) -> Option<Vec<Place>> {
    let mut at = 0;
    let count = usize::try_from(read_varint(body, &mut at)?).ok()?;
    let octets = body.get(at..)?.get(..count.checked_mul(PLACE_SIZE)?)?;
    *body = &body[at + octets.len()..];
    let mut places: Vec<Place> = octets.chunks_exact(PLACE_SIZE).map(read_place).collect();
    places.get_mut(..=PlaceId::UNROUTABLE.0 as usize)?.fill(Place::default());
    Some(places)
}

fn read_place(octets: &[u8]) -> Place {
    let word = |index: usize| <[u8; 4]>::try_from(&octets[index * 4..index * 4 + 4]).unwrap_or_default();
    let degrees = |index| f64::from(i32::from_le_bytes(word(index))) / 1e4;
    let code = |index| -> Option<Code> {
        let octets = word(index);
        std::str::from_utf8(&octets).ok()?.trim_end_matches('\0').parse().ok()
    };
    let country = code(2);
    Place {
        point: Point::new(degrees(0), degrees(1)).ok(),
        country,
        continent: code(3).or_else(|| country.and_then(country_continent)),
        subdivision: code(4),
        coarse: octets[PLACE_SIZE - 1] != 0,
        ..Place::default()
    }
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
        let mut v4 = crate::geo::ranges::RangeBuilder::default();
        v4.push(0, PlaceId::UNKNOWN);
        v4.push(1 << 24, PlaceId(2));
        let built = UNIX_EPOCH.checked_add(Duration::from_secs(1_780_000_000));
        let coarse =
            Place { country: "FR".parse().ok(), continent: "EU".parse().ok(), coarse: true, ..Place::default() };
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
        let read = decode(&encode(&atlas).unwrap()).unwrap();
        assert_eq!((read.places, read.v4, read.v6), (atlas.places, atlas.v4, atlas.v6));
        assert_eq!(read.sources, atlas.sources);
    }

    #[test]
    fn damaged_tables_are_refused_without_panic() {
        let table = encode(&small()).unwrap();
        for length in 0..table.len() {
            assert!(decode(&table[..length]).is_none(), "{length} octets");
        }
        for at in 0..table.len() {
            let mut damaged = table.clone();
            damaged[at] ^= 0x55;
            let _ = decode(&damaged);
        }
    }

    #[test]
    fn the_table_of_this_program_is_sound() {
        let atlas = decode(TABLE).unwrap();
        assert!(atlas.v4.len() > 500_000 && atlas.v6.len() > 500_000, "{} {}", atlas.v4.len(), atlas.v6.len());
        let (google, _, _) = atlas.v4.find(0x0808_0808);
        assert_eq!(atlas.place(google).country.unwrap().as_str(), "US");
    }
}
