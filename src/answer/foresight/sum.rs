//! The cells of a sweep added up: by region, by country, by distance, and by square on the map.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::fate::Fate;
use super::side::Side;
use super::split::Split;
use super::sweep::Tally;
use super::weigh::Weighed;
use crate::geo::{Atlas, Code, Place};
use crate::steering::UnitVector;

/// Width of a step of the histogram of distances, in kilometres; half the Earth has some 2000.
const STEP_KM: f64 = 10.0;
const STEPS: usize = 2006;

/// Clients of the whole or a part, divided between the regions before and after.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    /// How many.
    pub clients: f64,
    /// By position.
    pub before: BTreeMap<u16, f64>,
    /// The same after the change.
    pub after: BTreeMap<u16, f64>,
    /// How many are sent elsewhere by the change.
    pub moved: f64,
    /// Addresses of the widest range, where one is looked for.
    pub widest: u64,
    /// One of them.
    pub example: Option<IpAddr>,
}

impl Sum {
    fn add(&mut self, clients: f64, before: &Split, after: &Split, moved: f64) {
        self.clients += clients;
        for (position, part) in &before.0 {
            *self.before.entry(*position).or_default() += clients * part;
        }
        for (position, part) in &after.0 {
            *self.after.entry(*position).or_default() += clients * part;
        }
        self.moved += clients * moved;
    }
}

/// Distances of clients, each counted as often as it weighs.
#[derive(Debug, Clone)]
pub struct Distances {
    /// The first step is no distance at all; each other one is some that are above the step before.
    steps: Vec<f64>,
    sum: f64,
    clients: f64,
}

impl Default for Distances {
    fn default() -> Distances {
        Distances { steps: vec![0.0; STEPS], sum: 0.0, clients: 0.0 }
    }
}

impl Distances {
    fn add(&mut self, kilometres: f64, clients: f64) {
        if let Some(step) = self.steps.get_mut((kilometres / STEP_KM).ceil() as usize) {
            *step += clients;
            self.sum += kilometres * clients;
            self.clients += clients;
        }
    }

    /// The mean in kilometres; `None`: no distance is known.
    pub fn mean(&self) -> Option<f64> {
        (self.clients > 0.0).then(|| self.sum / self.clients)
    }

    /// How far 95 of 100 clients are at most, to some 10 km.
    pub fn most(&self) -> Option<f64> {
        let mut left = self.clients * 0.95;
        let reached = |step: &f64| {
            left -= step;
            left <= 0.0
        };
        let at = self.steps.iter().position(reached)?;
        (self.clients > 0.0).then_some(at as f64 * STEP_KM)
    }
}

/// How far clients are from the region that serves them.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// The whole way.
    pub whole: Distances,
    /// What it is longer than that to the nearest region of the service.
    pub extra: Distances,
}

impl Ways {
    fn add(&mut self, client: &UnitVector, clients: f64, split: &Split, regions: &[Option<UnitVector>]) {
        let nearest = regions.iter().flatten().map(|region| client.distance_km(region)).fold(f64::INFINITY, f64::min);
        for (position, part) in &split.0 {
            if let Some(region) = regions.get(usize::from(*position)).copied().flatten() {
                let kilometres = client.distance_km(&region);
                self.whole.add(kilometres, clients * part);
                self.extra.add(kilometres - nearest, clients * part);
            }
        }
    }
}

/// One side and where its regions are, by position in the list of all.
pub struct Located<'s> {
    /// The side.
    pub side: &'s Side,
    /// Absent where a region has no location.
    pub regions: Vec<Option<UnitVector>>,
}

impl<'s> Located<'s> {
    /// Of a side whose regions are numbered in `names`.
    pub fn new(side: &'s Side, names: &[String]) -> Located<'s> {
        let point = |name: &String| Some(side.region(name)?.point?.unit_vector());
        Located { side, regions: names.iter().map(point).collect() }
    }

    fn split(&self, value: u32) -> &Split {
        static NOBODY: Split = Split(Vec::new());
        self.side.splits.get(value as usize).unwrap_or(&NOBODY)
    }

    /// Where there is no such service, nobody has a region.
    fn fate(&self, value: u32) -> Fate {
        self.side.fates.get(value as usize).copied().unwrap_or(Fate { excluded: 1.0, ..Fate::default() })
    }
}

/// Everything added up.
#[derive(Debug, Default)]
pub struct Sums {
    /// All clients whose place is known.
    pub all: Sum,
    /// Those whose place is unknown.
    pub unlocated: u64,
    /// By country.
    pub countries: BTreeMap<Code, Sum>,
    /// By degree of latitude and longitude.
    pub squares: BTreeMap<(i16, i16), Sum>,
    /// Distances before.
    pub before: Ways,
    /// Distances after.
    pub after: Ways,
    /// Whether clients have a live region before.
    pub fate_before: Fate,
    /// The same after.
    pub fate_after: Fate,
    /// How many clients of each country have none after.
    pub losing: BTreeMap<Code, f64>,
}

impl Sums {
    /// Adds up the cells.
    pub fn of(cells: &[Weighed], atlas: &Atlas, before: &Located<'_>, after: &Located<'_>) -> Sums {
        let mut sums = Sums::default();
        for (cell, tally, clients) in cells {
            if *clients > 0.0 {
                sums.add_fates(atlas.place(cell.0), *clients, &before.fate(cell.1), &after.fate(cell.2));
                sums.add(
                    atlas.place(cell.0),
                    tally,
                    *clients,
                    (before, before.split(cell.1)),
                    (after, after.split(cell.2)),
                );
            }
        }
        sums
    }

    fn add_fates(&mut self, place: &Place, clients: f64, before: &Fate, after: &Fate) {
        self.fate_before.add(&before.times(clients));
        self.fate_after.add(&after.times(clients));
        if let Some(country) = place.country.filter(|_| after.uncovered() > 0.0) {
            *self.losing.entry(country).or_default() += after.uncovered() * clients;
        }
    }

    fn add(&mut self, place: &Place, tally: &Tally, clients: f64, before: Told<'_>, after: Told<'_>) {
        let moved = before.1.moved(after.1);
        self.all.add(clients, before.1, after.1, moved);
        if let Some(country) = place.country {
            self.countries.entry(country).or_default().add(clients, before.1, after.1, moved);
        }
        let Some(point) = place.point else { return };
        let square = (point.latitude().floor() as i16, point.longitude().floor() as i16);
        let sum = self.squares.entry(square).or_default();
        sum.add(clients, before.1, after.1, moved);
        if tally.widest > sum.widest {
            (sum.widest, sum.example) = (tally.widest, tally.example);
        }
        let client = point.unit_vector();
        self.before.add(&client, clients, before.1, &before.0.regions);
        self.after.add(&client, clients, after.1, &after.0.regions);
    }
}

/// A side and what it says of one cell.
type Told<'t> = (&'t Located<'t>, &'t Split);
