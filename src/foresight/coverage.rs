//! Coverage: which part of a service's clients has a live region, and which countries have none.
//!
//! Clients of one class are offered the same regions in the same order. [`ZoneWeights`] has the
//! number of clients of each zone of the map. It is counted once for all services, which walks the
//! whole address space. [`ClassWeights`] adds up the zones of each class of a catchment. After a
//! change of availability only the split of each class ([`ClassSplit`]) is computed again, which
//! takes a few steps.
//!
//! Clients are counted in three ways: as public IPv4 addresses with a known location, as
//! population, and as the queries that a server has sampled.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sweep::sweep;
use super::weigh::{ShareBasis, weigh};
use crate::catalog::services::{ServiceFamily, ServiceView};
use crate::explain::percent;
use crate::geo::catchment::{Catchment, UNROUTABLE};
use crate::geo::locations::country_name;
use crate::geo::{AddressTable, Atlas, PlaceCode, PlaceId};
use crate::steering::{FailoverChain, RegionStates};

pub use super::fate::ClassSplit;

/// The most countries that are listed as losing their region.
const MOST_COUNTRIES: usize = 10;
/// The most countries that a sentence names.
const MOST_NAMED: usize = 3;
/// Fewer sampled queries than this do not represent the others.
pub const FEWEST_QUERIES: u64 = 100;

/// How many clients each class of a catchment has, by country.
#[derive(Debug, Default)]
pub struct ClassWeights {
    cells: Vec<ClassCell>,
    /// Addresses without a location, by class.
    unplaced: Vec<(u32, u64)>,
}

/// The clients of one class in one country.
#[derive(Debug, Clone, Copy)]
struct ClassCell {
    class: u32,
    country: Option<PlaceCode>,
    addresses: f64,
    people: f64,
}

/// The clients of a service by the kind of region that they get, in per cent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageParts {
    /// A live region of their first tier, as in normal operation.
    pub live_percent: f64,
    /// A live region of a later tier, because their first tier is out.
    pub displaced_percent: f64,
    /// A region that is out, chosen by `all_down`.
    pub dead_percent: f64,
    /// No region, although their fence leaves some.
    pub none_percent: f64,
    /// No region, because a fence leaves none for them.
    pub excluded_percent: f64,
}

/// [`CoverageParts`] of sampled queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficCoverage {
    /// The number of sampled queries.
    pub queries: u64,
    /// How these queries divide.
    #[serde(flatten)]
    pub parts: CoverageParts,
}

/// The clients of a service that have a live region. Its JSON form is stable: keys are added, never
/// changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// `A`, `AAAA`, `MX` or `SRV`: which endpoints are counted. The clients are those with IPv4
    /// addresses in any case.
    #[serde(rename = "type")]
    pub rtype: String,
    /// Parts of the public IPv4 addresses with a known location.
    pub addresses: CoverageParts,
    /// Parts of the population.
    pub population: CoverageParts,
    /// Parts of the queries that were recorded recently; absent if there are none.
    #[serde(default)]
    pub traffic: Option<TrafficCoverage>,
    /// Addresses without a location, also private ones, that have no live region. No part counts
    /// them.
    pub unplaced: u64,
    /// How many countries have clients without a live region.
    pub losing_countries: usize,
    /// The countries with the most addresses without a live region, the greatest first.
    pub losing: Vec<LosingCountry>,
}

/// A country with clients that have no live region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LosingCountry {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Its name.
    pub name: Option<String>,
    /// The addresses without a live region.
    pub addresses: u64,
    /// The people without a live region.
    pub people: u64,
}

/// Sampled clients of one class, and the number of their queries.
pub type ClassQueries = (u32, u64);

/// How many clients each zone of a map has, by country. It is counted once for all catchments that
/// share the map.
#[derive(Debug, Default)]
pub struct ZoneWeights {
    cells: Vec<ZoneCell>,
    /// Addresses without a location, by zone.
    unplaced: Vec<(u32, u64)>,
}

/// The clients of one zone in one country.
#[derive(Debug, Clone, Copy)]
struct ZoneCell {
    zone: u32,
    country: Option<PlaceCode>,
    sum: ClientSum,
}

impl ZoneWeights {
    /// Walks the address space.
    pub fn of(zones: &AddressTable, atlas: &Atlas) -> ZoneWeights {
        let cells = sweep(atlas, zones.ranges_v4(), std::iter::once((0, 0)));
        let (by_address, _) = weigh(&cells, atlas, ShareBasis::Addresses);
        let (by_people, _) = weigh(&cells, atlas, ShareBasis::Population);
        let mut sums: BTreeMap<(u32, Option<PlaceCode>), ClientSum> = BTreeMap::new();
        // Both are in the order of cells.
        for (((place, zone, _), _, addresses), (_, _, people)) in by_address.iter().zip(&by_people)
        {
            let sum = sums
                .entry((*zone, atlas.place(*place).country))
                .or_default();
            sum.addresses += addresses;
            sum.people += people;
        }
        let mut unplaced: BTreeMap<u32, u64> = BTreeMap::new();
        for ((place, zone, _), tally) in &cells {
            if !is_counted(atlas, *place) {
                *unplaced.entry(*zone).or_default() += tally.addresses;
            }
        }
        let mut cells = Vec::with_capacity(sums.len());
        for ((zone, country), sum) in sums {
            cells.push(ZoneCell { zone, country, sum });
        }
        ZoneWeights {
            cells,
            unplaced: unplaced.into_iter().collect(),
        }
    }
}

impl ClassWeights {
    /// Adds up the zones of each class.
    pub fn of(catchment: &Catchment, zones: &ZoneWeights) -> ClassWeights {
        let classes = catchment.class_of_zone();
        let mut sums: BTreeMap<(u32, Option<PlaceCode>), ClientSum> = BTreeMap::new();
        for cell in &zones.cells {
            let class = class_of(classes, cell.zone);
            let sum = sums.entry((class, cell.country)).or_default();
            sum.addresses += cell.sum.addresses;
            sum.people += cell.sum.people;
        }
        let mut unplaced: BTreeMap<u32, u64> = BTreeMap::new();
        for (zone, addresses) in &zones.unplaced {
            *unplaced.entry(class_of(classes, *zone)).or_default() += addresses;
        }
        let mut cells = Vec::with_capacity(sums.len());
        for ((class, country), ClientSum { addresses, people }) in sums {
            cells.push(ClassCell {
                class,
                country,
                addresses,
                people,
            });
        }
        ClassWeights {
            cells,
            unplaced: unplaced.into_iter().collect(),
        }
    }
}

/// Clients as addresses and as people.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ClientSum {
    pub(super) addresses: f64,
    pub(super) people: f64,
}

/// Whether the addresses of a place are counted: they are public, and the place is known.
pub(super) fn is_counted(atlas: &Atlas, place: PlaceId) -> bool {
    let known = atlas.place(place);
    place != PlaceId::UNROUTABLE && (known.point.is_some() || known.country.is_some())
}

/// The split of each class of a view, by its number.
pub fn fates(view: &ServiceView, states: &RegionStates) -> Vec<ClassSplit> {
    let mut fates = Vec::with_capacity(view.catchment.classes().len());
    for tiers in view.catchment.classes() {
        let chain = FailoverChain::resolve(tiers, states);
        fates.push(ClassSplit::of(tiers, &chain));
    }
    fates
}

/// The classes of sampled clients.
pub fn classes_of(catchment: &Catchment, clients: &[(IpAddr, u64)]) -> Vec<ClassQueries> {
    let mut classes = Vec::with_capacity(clients.len());
    for (client, queries) in clients {
        classes.push((catchment.table().find(*client).value, *queries));
    }
    classes
}

impl CoverageParts {
    /// Parts of a sum.
    pub(super) fn of(sum: &ClassSplit, all: f64) -> CoverageParts {
        CoverageParts {
            live_percent: fine_percent(sum.live, all),
            displaced_percent: fine_percent(sum.displaced, all),
            dead_percent: fine_percent(sum.dead, all),
            none_percent: fine_percent(sum.none, all),
            excluded_percent: fine_percent(sum.excluded, all),
        }
    }

    /// Without a live region, although their fence leaves some.
    pub fn uncovered_percent(&self) -> f64 {
        self.dead_percent + self.none_percent
    }

    /// With a live region.
    pub fn covered_percent(&self) -> f64 {
        self.live_percent + self.displaced_percent
    }
}

impl Coverage {
    /// Adds up the splits of the classes.
    pub fn of(
        family: ServiceFamily,
        weights: &ClassWeights,
        fates: &[ClassSplit],
        noted: &[ClassQueries],
    ) -> Coverage {
        let (mut addresses, mut people) = (ClassSplit::default(), ClassSplit::default());
        let mut all = ClientSum::default();
        let mut losing: BTreeMap<PlaceCode, ClientSum> = BTreeMap::new();
        for cell in &weights.cells {
            let fate = fate_of(fates, cell.class);
            addresses.add(&fate.times(cell.addresses));
            people.add(&fate.times(cell.people));
            all.addresses += cell.addresses;
            all.people += cell.people;
            if let Some(country) = cell.country
                && fate.uncovered() > 0.0
            {
                let lost = losing.entry(country).or_default();
                lost.addresses += fate.uncovered() * cell.addresses;
                lost.people += fate.uncovered() * cell.people;
            }
        }
        let mut unplaced = 0;
        for (class, addresses) in &weights.unplaced {
            if fate_of(fates, *class).uncovered() > 0.0 {
                unplaced += addresses;
            }
        }
        Coverage {
            rtype: family.word().to_owned(),
            addresses: CoverageParts::of(&addresses, all.addresses),
            population: CoverageParts::of(&people, all.people),
            traffic: traffic_parts(fates, noted),
            unplaced,
            losing_countries: losing.len(),
            losing: greatest(losing),
        }
    }

    /// Whether every client has a live region, except those that a fence excludes.
    pub fn is_whole(&self) -> bool {
        self.worst_percent() == 0.0 && self.unplaced == 0
    }

    /// The greatest part of addresses, people or sampled queries without a live region, in per
    /// cent.
    pub fn worst_percent(&self) -> f64 {
        let mut worst = self
            .addresses
            .uncovered_percent()
            .max(self.population.uncovered_percent());
        if let Some(traffic) = self.enough_traffic() {
            worst = worst.max(traffic.uncovered_percent());
        }
        worst
    }

    /// The least part of addresses or sampled queries with a live region, in per cent.
    pub fn least_covered_percent(&self) -> f64 {
        let mut least = self.addresses.covered_percent().min(100.0);
        if let Some(traffic) = self.enough_traffic() {
            least = least.min(traffic.covered_percent());
        }
        least
    }

    /// The parts of the sampled queries, if these are enough to count.
    fn enough_traffic(&self) -> Option<CoverageParts> {
        let traffic = self.traffic?;
        (traffic.queries >= FEWEST_QUERIES).then_some(traffic.parts)
    }

    /// `22.8% of the address space, 11.2% of the population and 31% of 812 queries recorded
    /// recently`
    pub fn how_many(&self) -> String {
        let addresses = percent(self.addresses.uncovered_percent());
        let people = percent(self.population.uncovered_percent());
        if self.worst_percent() == 0.0 {
            return format!("{} addresses of unknown place", self.unplaced);
        }
        let (space, population) = (
            ShareBasis::Addresses.words(),
            ShareBasis::Population.words(),
        );
        match &self.traffic {
            None => format!("{addresses} of {space} and {people} of {population}"),
            Some(TrafficCoverage { queries, parts }) => {
                let traffic = percent(parts.uncovered_percent());
                format!(
                    "{addresses} of {space}, {people} of {population} and {traffic} of {queries} queries recorded recently"
                )
            }
        }
    }

    /// `: Germany, France, Italy and 41 more countries`; empty where no country is concerned.
    pub fn where_to(&self) -> String {
        where_to(
            self.losing.iter().map(LosingCountry::words),
            self.losing_countries,
        )
    }

    /// The answer for the clients without a live region.
    fn instead(&self) -> &'static str {
        match (
            self.addresses.dead_percent > 0.0,
            self.addresses.none_percent > 0.0,
        ) {
            (true, false) => "they are given a region that is out",
            (false, true) => "they are given no address",
            _ => "they are given a region that is out, or none",
        }
    }

    /// `www.example.com A: no live region for 22.8% of ...: Germany, ...; they are given a region
    /// that is out`
    pub fn sentence(&self, service: &str) -> String {
        let (how_many, where_to) = (self.how_many(), self.where_to());
        format!(
            "{service} {}: no live region for {how_many}{where_to}; {}",
            self.rtype,
            self.instead()
        )
    }
}

impl LosingCountry {
    fn words(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.country)
    }
}

/// The first countries of a list, as `: Germany, France, Italy and 41 more countries`. `all` is the
/// number of countries.
pub(super) fn where_to<'c>(countries: impl Iterator<Item = &'c str>, all: usize) -> String {
    let named: Vec<&str> = countries.take(MOST_NAMED).collect();
    match all.saturating_sub(named.len()) {
        _ if named.is_empty() => String::new(),
        0 => format!(": {}", named.join(", ")),
        1 => format!(": {} and one more country", named.join(", ")),
        more => format!(": {} and {more} more countries", named.join(", ")),
    }
}

/// The countries that lose the most addresses, the greatest first.
fn greatest(losing: BTreeMap<PlaceCode, ClientSum>) -> Vec<LosingCountry> {
    let mut losing: Vec<(PlaceCode, ClientSum)> = losing.into_iter().collect();
    losing.sort_by(|(_, one), (_, other)| other.addresses.total_cmp(&one.addresses));
    losing.truncate(MOST_COUNTRIES);
    let mut countries = Vec::with_capacity(losing.len());
    for (code, lost) in losing {
        countries.push(LosingCountry {
            country: code.to_string(),
            name: country_name(code).map(str::to_owned),
            addresses: lost.addresses.round() as u64,
            people: lost.people.round() as u64,
        });
    }
    countries
}

/// The parts of the sampled queries; `None`: there are none.
pub fn traffic_parts(fates: &[ClassSplit], noted: &[ClassQueries]) -> Option<TrafficCoverage> {
    let mut sum = ClassSplit::default();
    let mut queries = 0;
    for (class, count) in noted {
        sum.add(&fate_of(fates, *class).times(*count as f64));
        queries += count;
    }
    (queries > 0).then(|| TrafficCoverage {
        queries,
        parts: CoverageParts::of(&sum, queries as f64),
    })
}

fn class_of(classes: &[u32], zone: u32) -> u32 {
    classes.get(zone as usize).copied().unwrap_or(UNROUTABLE)
}

/// The split of a class; all zero for a class that is not in the list.
fn fate_of(fates: &[ClassSplit], class: u32) -> ClassSplit {
    fates.get(class as usize).copied().unwrap_or_default()
}

/// Per cent to nine places: a single network is a very small part, and must not vanish.
fn fine_percent(of: f64, all: f64) -> f64 {
    if all > 0.0 {
        (of / all * 1e11).round() / 1e9
    } else {
        0.0
    }
}
