//! Numbers distinct places while an atlas is built.
//!
//! A [`PlaceTable`] holds the locations, without AS numbers. The sweep over the address space then
//! finds combinations of a location and an AS number, and [`WithAsn`] numbers those behind the
//! locations. Two threads each fill a set of their own; `adopt` joins the two sets.

use foldhash::{HashMap, HashMapExt};

use super::atlas::PlaceId;
use super::{Place, PlaceCode};

/// Distinct places, each with a number.
#[derive(Debug)]
pub struct PlaceTable {
    places: Vec<Place>,
    numbers: HashMap<PlaceKey, PlaceId>,
}

/// A place in a form that is hashed fast: coordinates by their bits, codes by their octets.
type PlaceKey = [u64; 4];

impl Default for PlaceTable {
    /// The two places that every table begins with.
    fn default() -> Self {
        let mut numbers = HashMap::new();
        numbers.insert(key(&Place::default()), PlaceId::UNKNOWN);
        PlaceTable {
            places: vec![Place::default(); 2],
            numbers,
        }
    }
}

impl PlaceTable {
    /// The number of a place without an AS number; a new place gets a new number.
    pub fn number(&mut self, place: Place) -> PlaceId {
        *self.numbers.entry(key(&place)).or_insert_with(|| {
            self.places.push(place);
            PlaceId(self.places.len() as u32 - 1)
        })
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

    /// The places by number, followed by those to which AS numbers were added.
    pub fn with(self, additions: &WithAsn) -> Vec<Place> {
        let mut places = self.places;
        places.reserve_exact(additions.list.len());
        for (location, asn) in &additions.list {
            let place = places[location.0 as usize];
            places.push(Place {
                asn: Some(*asn),
                ..place
            });
        }
        places.shrink_to_fit();
        places
    }
}

fn key(place: &Place) -> PlaceKey {
    // Missing coordinates are NaN and a missing code is 0: no place states either of them.
    let (latitude, longitude) = match place.point {
        Some(point) => (point.latitude(), point.longitude()),
        None => (f64::NAN, f64::NAN),
    };
    let rest = u64::from(place.source) << 32 | u64::from(place.coarse) << 40;
    [
        latitude.to_bits(),
        longitude.to_bits(),
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
