//! Numbers distinct places while an atlas is built.
//!
//! A [`PlaceTable`] holds the locations, without AS numbers. The sweep over the address space then
//! finds combinations of a location and an AS number, and [`WithAsn`] numbers those behind the
//! locations. Two threads each fill a set of their own; `adopt` joins the two sets.

use std::hash::BuildHasher;
use std::num::NonZeroU32;

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt};

use super::atlas::PlaceId;
use super::{Place, PlaceCode};
use crate::steering::Point;

/// Distinct places, each with a number.
#[derive(Debug)]
pub struct PlaceTable {
    places: Vec<Place>,
    /// By the hash of the place. If two places have the same, the second one has the next hash.
    numbers: HashMap<u64, PlaceId>,
    hasher: RandomState,
}

/// A place in a form that is hashed fast: coordinates by their bits, codes by their octets.
type PlaceKey = [u64; 3];

impl Default for PlaceTable {
    /// The two places that every table begins with.
    fn default() -> Self {
        let (hasher, mut numbers) = (RandomState::default(), HashMap::new());
        let unknown = hasher.hash_one(key(&Place::default()));
        numbers.insert(unknown, PlaceId::UNKNOWN);
        PlaceTable {
            places: vec![Place::default(); 2],
            numbers,
            hasher,
        }
    }
}

impl PlaceTable {
    /// The number of a place without an AS number; a new place gets a new number.
    pub fn number(&mut self, place: Place) -> PlaceId {
        let key = key(&place);
        let next = PlaceId(self.places.len() as u32);
        let mut hash = self.hasher.hash_one(key);
        loop {
            let known = *self.numbers.entry(hash).or_insert(next);
            if known == next {
                self.places.push(place);
                return next;
            }
            if key == self::key(&self.places[known.0 as usize]) {
                return known;
            }
            hash = hash.wrapping_add(1);
        }
    }

    /// Adds the places of another table. Returns the number that each of them has here.
    pub fn adopt(&mut self, other: &PlaceTable) -> Vec<PlaceId> {
        let mut numbers = vec![PlaceId::UNKNOWN, PlaceId::UNROUTABLE];
        for place in &other.places[numbers.len()..] {
            numbers.push(self.number(*place));
        }
        numbers
    }

    /// How many there are; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The places by number.
    pub fn finish(self) -> Vec<Place> {
        self.places
    }
}

fn key(place: &Place) -> PlaceKey {
    // What is missing is 0, which is neither a point nor a code.
    let rest = u64::from(place.source) << 32 | u64::from(place.coarse) << 40;
    [
        place.point.map_or(0, Point::bits),
        code_bits(place.country) << 32 | code_bits(place.continent),
        code_bits(place.subdivision) | rest,
    ]
}

fn code_bits(code: Option<PlaceCode>) -> u64 {
    match code {
        Some(code) => u64::from(u32::from_le_bytes(code.octets())),
        None => 0,
    }
}

/// Places of a finished [`PlaceTable`] with AS numbers added. Their numbers follow those of the
/// table.
#[derive(Debug, PartialEq)]
pub struct WithAsn {
    first: u32,
    list: Vec<(PlaceId, u32)>,
    numbers: HashMap<(PlaceId, u32), PlaceId>,
}

impl WithAsn {
    /// An empty set over a table of `places` places.
    pub fn beyond(places: usize) -> Self {
        WithAsn {
            first: places as u32,
            list: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    /// The number of a place of the table with an AS number.
    pub fn number(&mut self, location: PlaceId, asn: u32) -> PlaceId {
        *self.numbers.entry((location, asn)).or_insert_with(|| {
            self.list.push((location, asn));
            PlaceId(self.first + self.list.len() as u32 - 1)
        })
    }

    /// The location and AS number of a place of this set; `None` for a place of the table.
    pub fn stated(&self, id: PlaceId) -> Option<(PlaceId, u32)> {
        self.list
            .get(id.0.checked_sub(self.first)? as usize)
            .copied()
    }

    /// Adds the places of this set to those of the table, in the order of their numbers.
    pub fn add_to(&self, places: &mut Vec<Place>) {
        places.reserve_exact(self.list.len());
        for (location, asn) in &self.list {
            let place = places[location.0 as usize];
            places.push(Place {
                asn: NonZeroU32::new(*asn),
                ..place
            });
        }
        places.shrink_to_fit();
    }

    /// Adds the places of another set over the same table, and returns their numbers here.
    pub fn adopt(&mut self, other: &WithAsn) -> PlaceRenumbering {
        let mut numbers = Vec::with_capacity(other.list.len());
        for (location, asn) in &other.list {
            numbers.push(self.number(*location, *asn));
        }
        PlaceRenumbering {
            first: self.first,
            numbers,
        }
    }
}

/// New numbers for places with AS numbers; all others keep theirs.
#[derive(Debug)]
pub struct PlaceRenumbering {
    first: u32,
    numbers: Vec<PlaceId>,
}

impl PlaceRenumbering {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The new number.
    pub fn of(&self, id: PlaceId) -> PlaceId {
        id.0.checked_sub(self.first)
            .map_or(id, |index| self.numbers[index as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u32) -> Place {
        Place {
            point: Point::new(f64::from(number % 90), f64::from(number % 7)).ok(),
            country: ["DE", "FR"][number as usize % 2].parse().ok(),
            source: (number % 3) as u8,
            coarse: number.is_multiple_of(5),
            ..Place::default()
        }
    }

    #[test]
    fn every_distinct_place_has_one_number() {
        let (mut table, mut known) = (PlaceTable::default(), vec![Place::default(); 2]);
        for number in (0..5000).chain(0..5000) {
            let place = place(number);
            let expected = known.iter().position(|known| *known == place);
            let expected = expected.unwrap_or(known.len());
            if expected == known.len() {
                known.push(place);
            }
            assert_eq!(table.number(place), PlaceId(expected as u32));
        }
        assert_eq!(table.finish(), known);
    }

    #[test]
    fn places_of_one_hash_are_told_apart() {
        let mut table = PlaceTable::default();
        let first = table.number(place(1));
        let hash = table.hasher.hash_one(key(&place(2)));
        table.numbers.insert(hash, first);
        let second = table.number(place(2));
        assert_ne!(second, first);
        assert_eq!(
            (table.number(place(1)), table.number(place(2))),
            (first, second)
        );
    }

    #[test]
    fn a_place_is_small() {
        // A city database has a hundred thousand of them.
        assert_eq!(size_of::<Place>(), 32);
    }
}
