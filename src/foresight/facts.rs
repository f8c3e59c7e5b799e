//! Turns the totals of a forecast into its JSON form and into one sentence.
//!
//! [`Foresight`] is the reply of the API and the input of the console's map. Lists are cut to the
//! greatest entries, so that a reply stays small however many countries and squares there are.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::PlannedChange;
use super::coverage::{CoverageParts, where_to};
use super::side::ForecastSide;
use super::sum::{ClientTotals, DistanceSummary, ForecastTotals};
use super::weigh::ShareBasis;
use crate::config::Capacity;
use crate::dns::Name;
use crate::explain::percent;
use crate::geo::locations::country_name;

/// Most squares on the map: those with the most addresses are kept.
const MOST_CELLS: usize = 2500;
/// Countries that are listed as movers.
const MOST_MOVERS: usize = 10;

/// The share of each region, now and after a change. Its JSON form is stable: keys are added, never
/// changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Foresight {
    /// A summary in one sentence.
    pub summary: String,
    /// The service.
    pub name: String,
    /// `A` or `AAAA`: which endpoints are counted. The clients are those with IPv4 addresses in any
    /// case.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The unit of all counts, including those named `addresses`.
    #[serde(default)]
    pub over: ShareBasis,
    /// The total that shares are measured against: public IPv4 addresses with a known location,
    /// people, or recorded queries.
    pub addresses: u64,
    /// The clients without a location, which are offered the regions as listed: addresses, people
    /// of countries without an address, or queries.
    pub unlocated: u64,
    /// The part of the addresses that are sent elsewhere by the change, in per cent.
    pub moved_percent: f64,
    /// The clients with a live region now.
    #[serde(default)]
    pub before_coverage: CoverageParts,
    /// The clients with a live region after the change.
    #[serde(default)]
    pub after_coverage: CoverageParts,
    /// Countries whose clients have none after the change, the greatest first.
    #[serde(default)]
    pub losing: Vec<CountryLoss>,
    /// The number of such countries.
    #[serde(default)]
    pub losing_countries: usize,
    /// The regions of the service as listed, then those that only another configuration has.
    pub regions: Vec<RegionForesight>,
    /// The countries, by code.
    pub countries: Vec<CountryForesight>,
    /// The countries with the most moved addresses, the greatest first.
    pub movers: Vec<CountryMove>,
    /// The distances from clients to the regions that serve them, before and after.
    pub distance: DistanceFacts,
    /// Squares of one degree with the most addresses, for maps.
    pub cells: Vec<CellFacts>,
}

/// A region, now and after the change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionForesight {
    /// The name of the region.
    pub region: String,
    /// Degrees north; absent where the region has no location.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// How a tier is divided, as configured or ordered.
    pub weight: u32,
    /// Per cent.
    pub bias: i8,
    /// Its part of the addresses now.
    pub before_percent: f64,
    /// Its part after the change.
    pub after_percent: f64,
    /// Its capacity after the change, if it is configured as a percentage.
    #[serde(default)]
    pub capacity_percent: Option<f64>,
    /// Whether its part after the change exceeds that capacity, so that the excess would spill to
    /// other regions.
    #[serde(default)]
    pub over_capacity: bool,
}

/// The clients of a country, now and after the change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CountryForesight {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Its name.
    pub name: Option<String>,
    /// Its addresses.
    pub addresses: u64,
    /// Per cent of its addresses by region, now; regions that serve none of them are left out.
    pub before: BTreeMap<String, f64>,
    /// The same after the change.
    pub after: BTreeMap<String, f64>,
}

/// A country that the change moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CountryMove {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Its name.
    pub name: Option<String>,
    /// The addresses that move.
    pub addresses: u64,
    /// The region that loses the most of them; absent where it had none.
    pub from: Option<String>,
    /// The region that gains the most of them; absent if they get no answer.
    pub to: Option<String>,
}

/// A country whose clients have no live region after the change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CountryLoss {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Its name.
    pub name: Option<String>,
    /// The addresses without a live region.
    pub addresses: u64,
}

/// Great-circle distances between clients and the regions that serve them, in kilometres.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DistanceFacts {
    /// The mean now; absent where no distance is known.
    pub before_mean_km: Option<f64>,
    /// The mean after the change.
    pub after_mean_km: Option<f64>,
    /// The 95th percentile now.
    pub before_p95_km: Option<f64>,
    /// The 95th percentile after the change.
    pub after_p95_km: Option<f64>,
    /// The mean distance beyond the nearest region of the service, now.
    #[serde(default)]
    pub before_extra_mean_km: Option<f64>,
    /// The same after the change.
    #[serde(default)]
    pub after_extra_mean_km: Option<f64>,
    /// The same for the 95th percentile, now.
    #[serde(default)]
    pub before_extra_p95_km: Option<f64>,
    /// The same after the change.
    #[serde(default)]
    pub after_extra_p95_km: Option<f64>,
}

/// One square of a map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellFacts {
    /// Its southern edge, in degrees north.
    pub latitude: i16,
    /// Its western edge, in degrees east.
    pub longitude: i16,
    /// The number of its addresses.
    pub addresses: u64,
    /// One of its addresses, for `explain`.
    pub example: IpAddr,
    /// The region that serves most of them now.
    pub before: Option<String>,
    /// The region that serves most of them after the change.
    pub after: Option<String>,
}

/// The service, regions and sides that a forecast is about.
pub struct ForecastSubject<'s> {
    /// The service.
    pub name: &'s Name,
    /// `A` or `AAAA`.
    pub kind: &'s str,
    /// The unit of the counts.
    pub over: ShareBasis,
    /// The change; `None`: there is none.
    pub change: Option<&'s PlannedChange>,
    /// The names of the regions, by position.
    pub regions: &'s [String],
    /// Before.
    pub before: &'s ForecastSide,
    /// After.
    pub after: &'s ForecastSide,
}

/// Turns totals into the forecast of a service.
pub fn facts(subject: &ForecastSubject<'_>, sums: &ForecastTotals) -> Foresight {
    let mut foresight = Foresight {
        summary: String::new(),
        name: subject.name.to_string(),
        rtype: subject.kind.to_owned(),
        over: subject.over,
        addresses: sums.all.clients.round() as u64,
        unlocated: sums.unlocated,
        moved_percent: percent_of(sums.all.moved, sums.all.clients),
        before_coverage: CoverageParts::of(&sums.fate_before, sums.all.clients),
        after_coverage: CoverageParts::of(&sums.fate_after, sums.all.clients),
        losing: losers(sums),
        losing_countries: sums.losing.len(),
        regions: subject.all_regions(&sums.all),
        countries: subject.countries(sums),
        movers: subject.movers(sums),
        distance: distances(&sums.before, &sums.after),
        cells: subject.cells(sums),
    };
    foresight.summary = summary(&foresight, subject.change.is_some()) + &uncovered(&foresight);
    foresight
}

/// Countries whose clients have no live region, those with the most of them first.
fn losers(sums: &ForecastTotals) -> Vec<CountryLoss> {
    let mut losing: Vec<_> = sums.losing.iter().collect();
    losing.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    losing.truncate(MOST_MOVERS);
    let mut losers = Vec::with_capacity(losing.len());
    for (code, clients) in losing {
        losers.push(CountryLoss {
            country: code.to_string(),
            name: country_name(*code).map(str::to_owned),
            addresses: clients.round() as u64,
        });
    }
    losers
}

/// The sentence about clients without a live region; empty if there are none.
fn uncovered(foresight: &Foresight) -> String {
    let coverage = &foresight.after_coverage;
    let part = coverage.uncovered_percent();
    // If no client gets an answer, the summary says so already.
    if part == 0.0 || coverage.covered_percent() + coverage.dead_percent == 0.0 {
        return String::new();
    }
    let losing = foresight.losing.iter();
    let names = losing.map(|loser| loser.name.as_deref().unwrap_or(&loser.country));
    let where_to = where_to(names, foresight.losing_countries);
    format!(
        "; NO LIVE REGION for {} of {}{where_to}",
        percent(part),
        foresight.over.words()
    )
}

impl ForecastSubject<'_> {
    fn name(&self, position: u16) -> Option<String> {
        self.regions.get(usize::from(position)).cloned()
    }

    fn all_regions(&self, all: &ClientTotals) -> Vec<RegionForesight> {
        let mut regions = Vec::with_capacity(self.regions.len());
        for (position, name) in self.regions.iter().enumerate() {
            regions.push(self.region(position as u16, name, all));
        }
        regions
    }

    fn countries(&self, sums: &ForecastTotals) -> Vec<CountryForesight> {
        let countries = sums.countries.iter();
        countries
            .map(|(code, sum)| self.country(code.as_str(), sum))
            .collect()
    }

    fn region(&self, position: u16, name: &str, all: &ClientTotals) -> RegionForesight {
        let now = self.after.region(name).or_else(|| self.before.region(name));
        let point = now.and_then(|now| now.point);
        let (mut weight, mut bias) = now.map_or((0, 0), |now| (now.weight, now.bias));
        if let Some(change) = self.change {
            weight = change.weight_of(name).unwrap_or(weight);
            bias = change.bias_of(name).map_or(bias, |bias| bias.percent());
        }
        let capacity_percent = match now.and_then(|now| now.capacity) {
            Some(Capacity::Part(part)) => Some(part * 100.0),
            // The number of queries a second is not known beforehand.
            Some(Capacity::Rate(_)) | None => None,
        };
        let before_percent = percent_of(sum_at(&all.before, position), all.clients);
        let after_percent = percent_of(sum_at(&all.after, position), all.clients);
        RegionForesight {
            region: name.to_owned(),
            latitude: point.map(|point| point.latitude()),
            longitude: point.map(|point| point.longitude()),
            weight,
            bias,
            before_percent,
            after_percent,
            capacity_percent,
            over_capacity: capacity_percent
                .is_some_and(|capacity| after_percent > capacity + 0.001),
        }
    }

    fn country(&self, code: &str, sum: &ClientTotals) -> CountryForesight {
        CountryForesight {
            country: code.to_owned(),
            name: code.parse().ok().and_then(country_name).map(str::to_owned),
            addresses: sum.clients.round() as u64,
            before: self.parts(&sum.before, sum.clients),
            after: self.parts(&sum.after, sum.clients),
        }
    }

    /// The part of each region in per cent; regions without a part are left out.
    fn parts(&self, sums: &BTreeMap<u16, f64>, all: f64) -> BTreeMap<String, f64> {
        let mut parts = BTreeMap::new();
        for (position, sum) in sums {
            let percent = percent_of(*sum, all);
            if let Some(name) = self.name(*position)
                && percent > 0.0
            {
                parts.insert(name, percent);
            }
        }
        parts
    }

    fn movers(&self, sums: &ForecastTotals) -> Vec<CountryMove> {
        let mut moved: Vec<_> = sums
            .countries
            .iter()
            .filter(|(_, sum)| sum.moved >= 1.0)
            .collect();
        moved.sort_by(|a, b| b.1.moved.total_cmp(&a.1.moved));
        moved.truncate(MOST_MOVERS);
        let mut movers = Vec::with_capacity(moved.len());
        for (code, sum) in moved {
            movers.push(CountryMove {
                country: code.to_string(),
                name: country_name(*code).map(str::to_owned),
                addresses: sum.moved.round() as u64,
                from: self.greatest_gain(&sum.after, &sum.before),
                to: self.greatest_gain(&sum.before, &sum.after),
            });
        }
        movers
    }

    fn cells(&self, sums: &ForecastTotals) -> Vec<CellFacts> {
        let mut squares: Vec<_> = sums.squares.iter().collect();
        squares.sort_by(|a, b| b.1.clients.total_cmp(&a.1.clients));
        squares.truncate(MOST_CELLS);
        let mut cells = Vec::with_capacity(squares.len());
        for ((latitude, longitude), sum) in squares {
            cells.push(CellFacts {
                latitude: *latitude,
                longitude: *longitude,
                addresses: sum.clients.round() as u64,
                example: sum.example.unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
                before: self.greatest(&sum.before),
                after: self.greatest(&sum.after),
            });
        }
        cells
    }

    /// The region with the most clients; of equals the first.
    fn greatest(&self, sums: &BTreeMap<u16, f64>) -> Option<String> {
        let (position, _) = sums
            .iter()
            .max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(a.0)))?;
        self.name(*position)
    }

    /// The region that gains the most from `before` to `after`; of equals the last.
    fn greatest_gain(
        &self,
        before: &BTreeMap<u16, f64>,
        after: &BTreeMap<u16, f64>,
    ) -> Option<String> {
        let (mut greatest, mut most) = (None, 0.0);
        for (position, sum) in after {
            let gain = sum - sum_at(before, *position);
            if gain > 0.0 && gain >= most {
                (greatest, most) = (Some(*position), gain);
            }
        }
        self.name(greatest?)
    }
}

fn sum_at(sums: &BTreeMap<u16, f64>, position: u16) -> f64 {
    sums.get(&position).copied().unwrap_or(0.0)
}

/// The region with the greatest positive figure; of equals the last.
fn greatest_by(
    regions: &[RegionForesight],
    figure: fn(&RegionForesight) -> f64,
) -> Option<&RegionForesight> {
    let greatest = regions
        .iter()
        .max_by(|a, b| figure(a).total_cmp(&figure(b)))?;
    (figure(greatest) > 0.0).then_some(greatest)
}

fn whole(kilometres: Option<f64>) -> Option<f64> {
    kilometres.map(f64::round)
}

fn distances(before: &DistanceSummary, after: &DistanceSummary) -> DistanceFacts {
    DistanceFacts {
        before_mean_km: whole(before.whole.mean()),
        after_mean_km: whole(after.whole.mean()),
        before_p95_km: whole(before.whole.most()),
        after_p95_km: whole(after.whole.most()),
        before_extra_mean_km: whole(before.extra.mean()),
        after_extra_mean_km: whole(after.extra.mean()),
        before_extra_p95_km: whole(before.extra.most()),
        after_extra_p95_km: whole(after.extra.most()),
    }
}

/// Per cent, to three places.
pub(super) fn percent_of(of: f64, all: f64) -> f64 {
    if all > 0.0 {
        (of / all * 100_000.0).round() / 1000.0
    } else {
        0.0
    }
}

fn summary(foresight: &Foresight, is_change: bool) -> String {
    let whole = foresight.over.words();
    if foresight.over == ShareBasis::Traffic && foresight.addresses == 0 {
        return format!(
            "{}: nobody whose place is known was noted yet",
            foresight.name
        );
    }
    let regions = &foresight.regions;
    if !is_change {
        return match greatest_by(regions, |region| region.before_percent) {
            Some(most) => format!(
                "{} serves the most of {}: {} of {whole}",
                most.region,
                foresight.name,
                percent(most.before_percent)
            ),
            None => format!("no region serves {}", foresight.name),
        };
    }
    let moved = percent(foresight.moved_percent);
    if foresight.moved_percent == 0.0 {
        return format!("{}: no client would move", foresight.name);
    }
    if greatest_by(regions, |region| region.after_percent).is_none() {
        return format!("{}: no client would get an answer", foresight.name);
    }
    let mut most = String::new();
    if let Some(region) = greatest_by(regions, |region| {
        region.after_percent - region.before_percent
    }) {
        let before = percent(region.before_percent);
        let after = percent(region.after_percent);
        most = format!(
            ", most of it to {}, which goes from {before} to {after}",
            region.region
        );
    }
    format!(
        "{}: {moved} of {whole} would be sent elsewhere{most}",
        foresight.name
    )
}
