//! What clients are counted by: their addresses, the people who live where the addresses are, or their queries.

use std::collections::BTreeMap;

use foldhash::HashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sweep::{CellTally, ClientCell};
use crate::geo::people::people;
use crate::geo::{Atlas, Place, PlaceCode, PlaceId};
use crate::steering::UnitVector;

/// What a share is a part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShareBasis {
    /// Public IPv4 addresses.
    #[default]
    Addresses,
    /// People: those of a square of one degree are divided between the addresses of their country that are nearest.
    Population,
    /// Queries that a server has noted lately.
    Traffic,
}

impl ShareBasis {
    /// The whole, in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            ShareBasis::Addresses => "the address space",
            ShareBasis::Population => "the population",
            ShareBasis::Traffic => "the traffic noted lately",
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

/// A cell, its addresses, and what it counts.
pub type WeightedCell = (ClientCell, CellTally, f64);

/// The cells in order of places, so that sums of fractions come out alike every time; and how many are nowhere: addresses or
/// queries of unknown place, or people of countries without an address.
pub fn weigh(
    cells: &HashMap<ClientCell, CellTally>,
    atlas: &Atlas,
    over: ShareBasis,
) -> (Vec<WeightedCell>, f64) {
    let weighed = cells
        .iter()
        .map(|(cell, tally)| (*cell, *tally, tally.addresses as f64));
    let mut weighed: Vec<WeightedCell> = weighed
        .filter(|(cell, _, _)| cell.0 != PlaceId::UNROUTABLE)
        .collect();
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

type Squares = BTreeMap<PlaceCode, BTreeMap<(i16, i16), Square>>;

fn by_people(mut weighed: Vec<WeightedCell>, atlas: &Atlas) -> (Vec<WeightedCell>, f64) {
    let mut squares = Squares::new();
    for (cell, _, addresses) in &weighed {
        let Some((country, corner, point)) = home(atlas.place(cell.0)) else {
            continue;
        };
        let square = squares
            .entry(country)
            .or_default()
            .entry(corner)
            .or_default();
        square.addresses += addresses;
        square.near.get_or_insert(point);
    }
    let mut nowhere = 0.0;
    for group in people() {
        let at = group.point.unit_vector();
        let far = |square: &Square| {
            square
                .near
                .map_or(f64::INFINITY, |near| near.distance_km(&at))
        };
        let known = squares
            .get_mut(&group.country)
            .into_iter()
            .flat_map(BTreeMap::values_mut);
        match known.min_by(|one, other| far(one).total_cmp(&far(other))) {
            Some(square) => square.people += group.count,
            None => nowhere += group.count,
        }
    }
    for (cell, _, weight) in &mut weighed {
        let square = home(atlas.place(cell.0))
            .and_then(|(country, corner, _)| squares.get(&country)?.get(&corner));
        *weight = square.map_or(0.0, |square| {
            square.people * *weight / square.addresses.max(1.0)
        });
    }
    (weighed, nowhere)
}

fn home(place: &Place) -> Option<(PlaceCode, (i16, i16), UnitVector)> {
    let point = place.point?;
    let corner = (
        point.latitude().floor() as i16,
        point.longitude().floor() as i16,
    );
    Some((place.country?, corner, point.unit_vector()))
}
