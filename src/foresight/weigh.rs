//! The units in which clients are counted: addresses, people, or queries.
//!
//! Addresses and queries weigh what the sweep or the sample counted. People live in squares of one
//! degree; each square's people are divided between the nearest addresses of their country.

use std::collections::BTreeMap;

use foldhash::HashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sweep::{CellTally, ClientCell};
use crate::geo::people::people;
use crate::geo::{Atlas, Place, PlaceCode, PlaceId};
use crate::steering::UnitVector;

/// The unit that shares are measured in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShareBasis {
    /// Public IPv4 addresses.
    #[default]
    Addresses,
    /// People: those of a square of one degree are divided between the addresses of their country
    /// that are nearest.
    Population,
    /// Queries that a server has recorded recently.
    Traffic,
}

impl ShareBasis {
    /// Its name in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            ShareBasis::Addresses => "the address space",
            ShareBasis::Population => "the population",
            ShareBasis::Traffic => "the traffic recorded recently",
        }
    }
}

impl std::str::FromStr for ShareBasis {
    type Err = String;

    fn from_str(text: &str) -> Result<ShareBasis, String> {
        match text {
            "addresses" => Ok(ShareBasis::Addresses),
            "population" => Ok(ShareBasis::Population),
            "traffic" => Ok(ShareBasis::Traffic),
            _ => Err(format!(
                "over {text:?}: shares are those of addresses, of the population or of traffic"
            )),
        }
    }
}

/// A cell, its addresses, and its weight.
pub type WeightedCell = (ClientCell, CellTally, f64);

/// The cells in the order of places, so that sums of fractions are the same every time. Also
/// returns the number of clients without a location: addresses, queries, or people of countries
/// without an address.
pub fn weigh(
    cells: &HashMap<ClientCell, CellTally>,
    atlas: &Atlas,
    over: ShareBasis,
) -> (Vec<WeightedCell>, f64) {
    let mut weighed: Vec<WeightedCell> = Vec::with_capacity(cells.len());
    for (cell, tally) in cells {
        if cell.0 != PlaceId::UNROUTABLE {
            weighed.push((*cell, *tally, tally.addresses as f64));
        }
    }
    weighed.sort_unstable_by_key(|(cell, _, _)| *cell);
    let mut nowhere = 0.0;
    weighed.retain(|(cell, _, addresses)| {
        let place = atlas.place(cell.0);
        let known = place.point.is_some() || place.country.is_some();
        nowhere += if known { 0.0 } else { *addresses };
        known
    });
    match over {
        ShareBasis::Addresses | ShareBasis::Traffic => (weighed, nowhere),
        ShareBasis::Population => by_people(weighed, atlas),
    }
}

/// A country's addresses in one square.
#[derive(Default)]
struct Square {
    addresses: f64,
    people: f64,
    /// One of its places.
    near: Option<UnitVector>,
}

impl Square {
    fn distance_km(&self, point: &UnitVector) -> f64 {
        self.near
            .map_or(f64::INFINITY, |near| near.distance_km(point))
    }
}

/// By country and south-western corner.
type Squares = BTreeMap<PlaceCode, BTreeMap<(i16, i16), Square>>;

fn by_people(mut weighed: Vec<WeightedCell>, atlas: &Atlas) -> (Vec<WeightedCell>, f64) {
    let mut squares = Squares::new();
    for (cell, _, addresses) in &weighed {
        let Some(home) = ClientHome::of(atlas.place(cell.0)) else {
            continue;
        };
        let of_country = squares.entry(home.country).or_default();
        let square = of_country.entry(home.corner).or_default();
        square.addresses += addresses;
        square.near.get_or_insert(home.point);
    }
    let mut nowhere = 0.0;
    for group in people() {
        let at = group.point.unit_vector();
        let nearest = match squares.get_mut(&group.country) {
            Some(known) => known
                .values_mut()
                .min_by(|one, other| one.distance_km(&at).total_cmp(&other.distance_km(&at))),
            None => None,
        };
        match nearest {
            Some(square) => square.people += group.count,
            None => nowhere += group.count,
        }
    }
    for (cell, _, weight) in &mut weighed {
        *weight = match square_of(&squares, atlas.place(cell.0)) {
            Some(square) => square.people * *weight / square.addresses.max(1.0),
            None => 0.0,
        };
    }
    (weighed, nowhere)
}

fn square_of<'s>(squares: &'s Squares, place: &Place) -> Option<&'s Square> {
    let home = ClientHome::of(place)?;
    squares.get(&home.country)?.get(&home.corner)
}

/// A place with a known country and known coordinates.
struct ClientHome {
    country: PlaceCode,
    /// South-western corner of its square.
    corner: (i16, i16),
    point: UnitVector,
}

impl ClientHome {
    fn of(place: &Place) -> Option<ClientHome> {
        let point = place.point?;
        Some(ClientHome {
            country: place.country?,
            corner: (
                point.latitude().floor() as i16,
                point.longitude().floor() as i16,
            ),
            point: point.unit_vector(),
        })
    }
}
