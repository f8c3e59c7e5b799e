//! Distinct places, numbered.

use foldhash::{HashMap, HashMapExt};

use super::atlas::PlaceId;
use super::{Place, PlaceCode};

/// The distinct places met so far.
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
        let numbers = [(key(&Place::default()), PlaceId::UNKNOWN)]
            .into_iter()
            .collect();
        PlaceTable {
            places: vec![Place::default(); 2],
            numbers,
        }
    }
}

impl PlaceTable {
    /// The number of a place without an AS number, a new one if it was not met before.
    pub fn number(&mut self, place: Place) -> PlaceId {
        *self.numbers.entry(key(&place)).or_insert_with(|| {
            self.places.push(place);
            PlaceId(self.places.len() as u32 - 1)
        })
    }

    /// The numbers that this table has for the places of another one.
    pub fn adopt(&mut self, other: &PlaceTable) -> Vec<PlaceId> {
        let special = [PlaceId::UNKNOWN, PlaceId::UNROUTABLE];
        special
            .into_iter()
            .chain(
                other.places[special.len()..]
                    .iter()
                    .map(|place| self.number(*place)),
            )
            .collect()
    }

    /// How many there are; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The places by number, and behind them those to which AS numbers were added.
    pub fn with(self, additions: &WithAsn) -> Vec<Place> {
        let mut places = self.places;
        let more = additions.list.iter().map(|(location, asn)| Place {
            asn: Some(*asn),
            ..places[location.0 as usize]
        });
        let more: Vec<Place> = more.collect();
        places.extend(more);
        places.shrink_to_fit();
        places
    }
}

fn key(place: &Place) -> PlaceKey {
    // No coordinates and no code are not a value of theirs: not a number, and no octets.
    let [latitude, longitude] = place
        .point
        .map_or([f64::NAN; 2], |point| [point.latitude(), point.longitude()])
        .map(f64::to_bits);
    let code = |code: Option<PlaceCode>| {
        code.map_or(0, |code| u64::from(u32::from_le_bytes(code.octets())))
    };
    let rest = u64::from(place.source) << 32 | u64::from(place.coarse) << 40;
    [
        latitude,
        longitude,
        code(place.country) << 32 | code(place.continent),
        code(place.subdivision) | rest,
    ]
}

/// Places of a finished [`PlaceTable`] with AS numbers added; they are numbered from its end on.
#[derive(Debug, PartialEq)]
pub struct WithAsn {
    first: u32,
    list: Vec<(PlaceId, u32)>,
    numbers: HashMap<(PlaceId, u32), PlaceId>,
}

impl WithAsn {
    /// None yet, of a table of so many places.
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

    /// What a number stands for, if it is one of these.
    pub fn stated(&self, id: PlaceId) -> Option<(PlaceId, u32)> {
        self.list
            .get(id.0.checked_sub(self.first)? as usize)
            .copied()
    }

    /// Takes in those of another set of the same table, and gives the numbers that they have here.
    pub fn adopt(&mut self, other: &WithAsn) -> PlaceRenumbering {
        let numbers = other
            .list
            .iter()
            .map(|(location, asn)| self.number(*location, *asn))
            .collect();
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
