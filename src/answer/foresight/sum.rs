//! The cells of a sweep added up: by region, by country, by distance, and by square on the map.

use std::collections::BTreeMap;

use foldhash::HashMap;

use super::split::Split;
use super::sweep::{Cell, Tally};
use crate::answer::world::services::View;
use crate::geo::{Atlas, Code, Place, PlaceId};

/// Width of a step of the histogram of distances, in kilometres; half the Earth has some 2000.
const STEP_KM: f64 = 10.0;
const STEPS: usize = 2005;

/// Addresses of the whole or a part, divided between the regions before and after.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    /// How many.
    pub addresses: f64,
    /// By position in the view.
    pub before: BTreeMap<u8, f64>,
    /// The same after the change.
    pub after: BTreeMap<u8, f64>,
    /// How many are sent elsewhere by the change.
    pub moved: f64,
    /// Addresses of the widest range, where one is looked for.
    pub widest: u64,
    /// Its first address.
    pub example: u32,
}

impl Sum {
    fn add(&mut self, addresses: f64, before: &Split, after: &Split, moved: f64) {
        self.addresses += addresses;
        for (position, part) in &before.0 {
            *self.before.entry(*position).or_default() += addresses * part;
        }
        for (position, part) in &after.0 {
            *self.after.entry(*position).or_default() += addresses * part;
        }
        self.moved += addresses * moved;
    }
}

/// How far clients are from the region that serves them.
#[derive(Debug, Clone)]
pub struct Distances {
    steps: Vec<f64>,
    sum: f64,
    addresses: f64,
}

impl Default for Distances {
    fn default() -> Distances {
        Distances { steps: vec![0.0; STEPS], sum: 0.0, addresses: 0.0 }
    }
}

impl Distances {
    fn add(&mut self, kilometres: f64, addresses: f64) {
        if let Some(step) = self.steps.get_mut((kilometres / STEP_KM) as usize) {
            *step += addresses;
            self.sum += kilometres * addresses;
            self.addresses += addresses;
        }
    }

    /// The mean in kilometres; `None`: no distance is known.
    pub fn mean(&self) -> Option<f64> {
        (self.addresses > 0.0).then(|| self.sum / self.addresses)
    }

    /// How far 95 of 100 addresses are at most, to some 10 km.
    pub fn most(&self) -> Option<f64> {
        let mut left = self.addresses * 0.95;
        let reached = |step: &f64| {
            left -= step;
            left <= 0.0
        };
        let at = self.steps.iter().position(reached)?;
        (self.addresses > 0.0).then_some((at + 1) as f64 * STEP_KM)
    }
}

/// Everything added up.
#[derive(Debug, Default)]
pub struct Sums {
    /// All public addresses whose place is known.
    pub all: Sum,
    /// Public addresses whose place is unknown.
    pub unlocated: u64,
    /// By country.
    pub countries: BTreeMap<Code, Sum>,
    /// By degree of latitude and longitude.
    pub squares: BTreeMap<(i16, i16), Sum>,
    /// Distances before.
    pub before: Distances,
    /// Distances after.
    pub after: Distances,
}

impl Sums {
    /// Adds up the cells; the splits are those of the outcomes before and after.
    pub fn of(cells: &HashMap<Cell, Tally>, atlas: &Atlas, view: &View, before: Vec<Split>, after: Vec<Split>) -> Sums {
        let mut sums = Sums::default();
        let nobody = Split::default();
        // In order of places, so that sums of fractions come out alike every time.
        let mut cells: Vec<(&Cell, &Tally)> = cells.iter().collect();
        cells.sort_unstable_by_key(|(cell, _)| **cell);
        for ((place, old, new), tally) in cells {
            let known = atlas.place(*place);
            if *place == PlaceId::UNROUTABLE {
                continue;
            }
            if known.point.is_none() && known.country.is_none() {
                sums.unlocated += tally.addresses;
                continue;
            }
            let splits = (before.get(*old as usize).unwrap_or(&nobody), after.get(*new as usize).unwrap_or(&nobody));
            sums.add(known, tally, splits, view);
        }
        sums
    }

    fn add(&mut self, place: &Place, tally: &Tally, (before, after): (&Split, &Split), view: &View) {
        let addresses = tally.addresses as f64;
        let moved = before.moved(after);
        self.all.add(addresses, before, after, moved);
        if let Some(country) = place.country {
            self.countries.entry(country).or_default().add(addresses, before, after, moved);
        }
        let Some(point) = place.point else { return };
        let square = (point.latitude().floor() as i16, point.longitude().floor() as i16);
        let sum = self.squares.entry(square).or_default();
        sum.add(addresses, before, after, moved);
        if tally.widest > sum.widest {
            (sum.widest, sum.example) = (tally.widest, tally.example);
        }
        let client = point.unit_vector();
        let location = |position: u8| view.rules.rules.candidates.get(usize::from(position))?.location;
        for (split, distances) in [(before, &mut self.before), (after, &mut self.after)] {
            for (position, part) in &split.0 {
                if let Some(region) = location(*position) {
                    distances.add(client.distance_km(&region), addresses * part);
                }
            }
        }
    }
}
