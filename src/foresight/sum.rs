//! Adds up the cells of a sweep by region, by country, by distance and by square of the map.
//!
//! Each cell has a place, an outcome before and an outcome after, and a number of clients. The two
//! sides say how an outcome divides clients between regions. The totals are exact, except the 95th
//! percentile of distances, which is taken from a histogram.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::fate::ClassSplit;
use super::side::ForecastSide;
use super::split::RegionSplit;
use super::sweep::CellTally;
use super::weigh::WeightedCell;
use crate::geo::{Atlas, Place, PlaceCode};
use crate::steering::UnitVector;

/// Width of a step of the histogram of distances, in kilometres; half the Earth has some 2000.
const STEP_KM: f64 = 10.0;
const STEPS: usize = 2006;

/// Clients of the whole or a part, divided between the regions before and after.
#[derive(Debug, Clone, Default)]
pub struct ClientTotals {
    /// The number of clients.
    pub clients: f64,
    /// By position.
    pub before: BTreeMap<u16, f64>,
    /// The same after the change.
    pub after: BTreeMap<u16, f64>,
    /// The number of clients that the change moves.
    pub moved: f64,
    /// The size of the widest range, if an example is needed.
    pub widest: u64,
    /// An address of that range.
    pub example: Option<IpAddr>,
}

impl ClientTotals {
    fn add(&mut self, counted: &CountedClients<'_>, moved: f64) {
        let clients = counted.clients;
        self.clients += clients;
        add_parts(&mut self.before, counted.before, clients);
        add_parts(&mut self.after, counted.after, clients);
        self.moved += clients * moved;
    }
}

fn add_parts(sums: &mut BTreeMap<u16, f64>, split: &RegionSplit, clients: f64) {
    for (position, part) in &split.0 {
        *sums.entry(*position).or_default() += clients * part;
    }
}

/// Distances of clients, each counted as often as it weighs.
#[derive(Debug, Clone)]
pub struct DistanceSamples {
    /// Clients by distance. The first step is distance zero; the others are 10 km wide.
    steps: Vec<f64>,
    sum: f64,
    clients: f64,
}

impl Default for DistanceSamples {
    fn default() -> DistanceSamples {
        DistanceSamples {
            steps: vec![0.0; STEPS],
            sum: 0.0,
            clients: 0.0,
        }
    }
}

impl DistanceSamples {
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

    /// The 95th percentile, to some 10 km.
    pub fn most(&self) -> Option<f64> {
        let mut left = self.clients * 0.95;
        if left <= 0.0 {
            return None;
        }
        for (at, clients) in self.steps.iter().enumerate() {
            left -= clients;
            if left <= 0.0 {
                return Some(at as f64 * STEP_KM);
            }
        }
        None
    }
}

/// How far clients are from the region that serves them.
#[derive(Debug, Clone, Default)]
pub struct DistanceSummary {
    /// The distance to that region.
    pub whole: DistanceSamples,
    /// The distance beyond the nearest region of the service.
    pub extra: DistanceSamples,
}

impl DistanceSummary {
    fn add(
        &mut self,
        client: &UnitVector,
        clients: f64,
        split: &RegionSplit,
        regions: &[Option<UnitVector>],
    ) {
        let mut nearest = f64::INFINITY;
        for region in regions.iter().flatten() {
            nearest = nearest.min(client.distance_km(region));
        }
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
pub struct LocatedSide<'s> {
    /// The side.
    pub side: &'s ForecastSide,
    /// Absent where a region has no location.
    pub regions: Vec<Option<UnitVector>>,
}

impl<'s> LocatedSide<'s> {
    /// The locations of a side whose regions are numbered in `names`.
    pub fn new(side: &'s ForecastSide, names: &[String]) -> LocatedSide<'s> {
        let mut regions = Vec::with_capacity(names.len());
        for name in names {
            let point = side.region(name).and_then(|region| region.point);
            regions.push(point.map(|point| point.unit_vector()));
        }
        LocatedSide { side, regions }
    }

    fn split(&self, value: u32) -> &RegionSplit {
        static NOBODY: RegionSplit = RegionSplit(Vec::new());
        self.side.splits.get(value as usize).unwrap_or(&NOBODY)
    }

    /// Without the service, all clients count as excluded.
    fn fate(&self, value: u32) -> ClassSplit {
        self.side
            .fates
            .get(value as usize)
            .copied()
            .unwrap_or(ClassSplit {
                excluded: 1.0,
                ..ClassSplit::default()
            })
    }
}

/// The totals of all cells.
#[derive(Debug, Default)]
pub struct ForecastTotals {
    /// The clients with a known location.
    pub all: ClientTotals,
    /// The clients without one.
    pub unlocated: u64,
    /// By country.
    pub countries: BTreeMap<PlaceCode, ClientTotals>,
    /// By degree of latitude and longitude.
    pub squares: BTreeMap<(i16, i16), ClientTotals>,
    /// Distances before.
    pub before: DistanceSummary,
    /// Distances after.
    pub after: DistanceSummary,
    /// Whether clients have a live region before.
    pub fate_before: ClassSplit,
    /// The same after.
    pub fate_after: ClassSplit,
    /// The number of clients without a live region after the change, by country.
    pub losing: BTreeMap<PlaceCode, f64>,
}

impl ForecastTotals {
    /// Adds up the cells.
    pub fn of(
        cells: &[WeightedCell],
        atlas: &Atlas,
        before: &LocatedSide<'_>,
        after: &LocatedSide<'_>,
    ) -> ForecastTotals {
        let mut sums = ForecastTotals::default();
        for (cell, tally, clients) in cells {
            if *clients > 0.0 {
                sums.add_fates(
                    atlas.place(cell.0),
                    *clients,
                    &before.fate(cell.1),
                    &after.fate(cell.2),
                );
                let counted = CountedClients {
                    clients: *clients,
                    before: before.split(cell.1),
                    after: after.split(cell.2),
                };
                if let Some(point) = sums.add(atlas.place(cell.0), tally, &counted) {
                    sums.before
                        .add(&point, *clients, counted.before, &before.regions);
                    sums.after
                        .add(&point, *clients, counted.after, &after.regions);
                }
            }
        }
        sums
    }

    fn add_fates(&mut self, place: &Place, clients: f64, before: &ClassSplit, after: &ClassSplit) {
        self.fate_before.add(&before.times(clients));
        self.fate_after.add(&after.times(clients));
        if let Some(country) = place.country
            && after.uncovered() > 0.0
        {
            *self.losing.entry(country).or_default() += after.uncovered() * clients;
        }
    }

    /// Adds the clients of a cell, except to the distances; returns where they are.
    fn add(
        &mut self,
        place: &Place,
        tally: &CellTally,
        counted: &CountedClients<'_>,
    ) -> Option<UnitVector> {
        let moved = counted.before.moved(counted.after);
        self.all.add(counted, moved);
        if let Some(country) = place.country {
            self.countries
                .entry(country)
                .or_default()
                .add(counted, moved);
        }
        let point = place.point?;
        let square = (
            point.latitude().floor() as i16,
            point.longitude().floor() as i16,
        );
        let sum = self.squares.entry(square).or_default();
        sum.add(counted, moved);
        if tally.widest > sum.widest {
            (sum.widest, sum.example) = (tally.widest, tally.example);
        }
        Some(point.unit_vector())
    }
}

/// The clients of one cell, and how each side divides them.
struct CountedClients<'s> {
    clients: f64,
    before: &'s RegionSplit,
    after: &'s RegionSplit,
}
