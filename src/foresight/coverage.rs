//! Coverage: which part of a service's clients has a live region, and who has none.
//!
//! Clients of one class are offered the same regions in the same order. So how many clients each class has follows from
//! the map alone ([`ClassWeights`]: the whole address space is walked), and a change of availability changes only what
//! becomes of each class ([`ClassSplit`]: a few steps for each). Like all of foresight it counts public IPv4 addresses of known
//! place, the people who live there, and the clients that a server has noted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sweep::sweep;
use super::weigh::{ShareBasis, weigh};
use crate::catalog::services::{ServiceFamily, ServiceView};
use crate::explain::percent;
use crate::geo::catchment::Catchment;
use crate::geo::locations::country_name;
use crate::geo::{Atlas, PlaceCode, PlaceId};
use crate::steering::{FailoverChain, RegionStates};

pub use super::fate::ClassSplit;

/// Countries that are listed as losing their region.
const MOST_COUNTRIES: usize = 10;
/// Countries that are named in a sentence.
const MOST_NAMED: usize = 3;
/// Fewer noted queries than these say nothing of the rest.
pub const FEWEST_QUERIES: u64 = 100;

/// How many clients each class of a catchment has, by country.
#[derive(Debug, Default)]
pub struct ClassWeights {
    cells: Vec<ClassCell>,
    /// Addresses by class whose place nobody knows.
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

/// Parts of a service's clients by what they are given, in per cent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageParts {
    /// A live region of their first tier: the one that they have when all is well.
    pub live_percent: f64,
    /// A live region, but one of a later tier: not the one that they are meant for.
    pub displaced_percent: f64,
    /// A region that is out, given by `all_down`.
    pub dead_percent: f64,
    /// No region, though some are meant for them.
    pub none_percent: f64,
    /// No region, because a fence leaves none for them.
    pub excluded_percent: f64,
}

/// The same of queries that were noted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficCoverage {
    /// How many were noted.
    pub queries: u64,
    /// Their parts.
    #[serde(flatten)]
    pub parts: CoverageParts,
}

/// Who of a service's clients has a live region. Its JSON form is stable: keys are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// `A`, `AAAA`, `MX` or `SRV`: which endpoints are counted. The clients are those with IPv4 addresses in any case.
    #[serde(rename = "type")]
    pub rtype: String,
    /// Parts of the public IPv4 addresses whose place is known.
    pub addresses: CoverageParts,
    /// Parts of the people who live there.
    pub population: CoverageParts,
    /// Parts of the queries that were noted lately; absent where none was.
    #[serde(default)]
    pub traffic: Option<TrafficCoverage>,
    /// Addresses of unknown place, private ones too, that have no live region; they are in no part.
    pub unplaced: u64,
    /// How many countries have clients without a live region.
    pub losing_countries: usize,
    /// Those with the most addresses that have none, the greatest first.
    pub losing: Vec<LosingCountry>,
}

/// A country with clients that have no live region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LosingCountry {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Its name.
    pub name: Option<String>,
    /// Addresses that have none.
    pub addresses: u64,
    /// People who have none.
    pub people: u64,
}

/// Clients of one class that were noted, and how often they asked.
pub type ClassQueries = (u32, u64);

impl ClassWeights {
    /// Walks the address space.
    pub fn of(catchment: &Catchment, atlas: &Atlas) -> ClassWeights {
        let cells = sweep(atlas, catchment.table(), catchment.table());
        let (by_address, _) = weigh(&cells, atlas, ShareBasis::Addresses);
        let (by_people, _) = weigh(&cells, atlas, ShareBasis::Population);
        let mut sums: BTreeMap<(u32, Option<PlaceCode>), (f64, f64)> = BTreeMap::new();
        // Both are in the order of cells.
        for (((place, class, _), _, addresses), (_, _, people)) in by_address.iter().zip(&by_people)
        {
            let sum = sums
                .entry((*class, atlas.place(*place).country))
                .or_default();
            *sum = (sum.0 + addresses, sum.1 + people);
        }
        let mut unplaced: BTreeMap<u32, u64> = BTreeMap::new();
        for ((place, class, _), tally) in &cells {
            if !is_counted(atlas, *place) {
                *unplaced.entry(*class).or_default() += tally.addresses;
            }
        }
        let cell = |((class, country), (addresses, people))| ClassCell {
            class,
            country,
            addresses,
            people,
        };
        ClassWeights {
            cells: sums.into_iter().map(cell).collect(),
            unplaced: unplaced.into_iter().collect(),
        }
    }
}

/// Whether addresses there are counted.
fn is_counted(atlas: &Atlas, place: PlaceId) -> bool {
    let known = atlas.place(place);
    place != PlaceId::UNROUTABLE && (known.point.is_some() || known.country.is_some())
}

/// What becomes of each class of a view, by its number.
pub fn fates(view: &ServiceView, states: &RegionStates) -> Vec<ClassSplit> {
    let classes = view.catchment.classes().iter();
    classes
        .map(|tiers| ClassSplit::of(tiers, &FailoverChain::resolve(tiers, states)))
        .collect()
}

/// The classes of clients that were noted.
pub fn classes_of(catchment: &Catchment, clients: &[(IpAddr, u64)]) -> Vec<ClassQueries> {
    clients
        .iter()
        .map(|(client, queries)| (catchment.table().find(*client).value, *queries))
        .collect()
}

impl CoverageParts {
    /// Parts of a sum.
    pub(super) fn of(sum: &ClassSplit, all: f64) -> CoverageParts {
        // A single network is a very small part, and must not vanish.
        let part = |of: f64| {
            if all > 0.0 {
                (of / all * 1e11).round() / 1e9
            } else {
                0.0
            }
        };
        CoverageParts {
            live_percent: part(sum.live),
            displaced_percent: part(sum.displaced),
            dead_percent: part(sum.dead),
            none_percent: part(sum.none),
            excluded_percent: part(sum.excluded),
        }
    }

    /// Without a live region, though some are meant for them.
    pub fn uncovered_percent(&self) -> f64 {
        self.dead_percent + self.none_percent
    }

    /// With a live region.
    pub fn covered_percent(&self) -> f64 {
        self.live_percent + self.displaced_percent
    }
}

impl Coverage {
    /// Adds up what becomes of the classes.
    pub fn of(
        family: ServiceFamily,
        weights: &ClassWeights,
        fates: &[ClassSplit],
        noted: &[ClassQueries],
    ) -> Coverage {
        let fate = |class: u32| fates.get(class as usize).copied().unwrap_or_default();
        let (mut addresses, mut people) =
            ((ClassSplit::default(), 0.0), (ClassSplit::default(), 0.0));
        let mut losing: BTreeMap<PlaceCode, (f64, f64)> = BTreeMap::new();
        for cell in &weights.cells {
            let fate = fate(cell.class);
            addresses.0.add(&fate.times(cell.addresses));
            people.0.add(&fate.times(cell.people));
            (addresses.1, people.1) = (addresses.1 + cell.addresses, people.1 + cell.people);
            if let Some(country) = cell.country.filter(|_| fate.uncovered() > 0.0) {
                let lost = losing.entry(country).or_default();
                *lost = (
                    lost.0 + fate.uncovered() * cell.addresses,
                    lost.1 + fate.uncovered() * cell.people,
                );
            }
        }
        let unplaced = weights
            .unplaced
            .iter()
            .filter(|(class, _)| fate(*class).uncovered() > 0.0);
        Coverage {
            rtype: family.word().to_owned(),
            addresses: CoverageParts::of(&addresses.0, addresses.1),
            population: CoverageParts::of(&people.0, people.1),
            traffic: traffic_parts(fates, noted),
            unplaced: unplaced.map(|(_, addresses)| addresses).sum(),
            losing_countries: losing.len(),
            losing: greatest(losing),
        }
    }

    /// Whether everybody for whom a region is meant has a live one.
    pub fn is_whole(&self) -> bool {
        self.worst_percent() == 0.0 && self.unplaced == 0
    }

    /// The greatest part of addresses, people or noted queries without a live region, in per cent.
    pub fn worst_percent(&self) -> f64 {
        let traffic = self
            .traffic
            .filter(|traffic| traffic.queries >= FEWEST_QUERIES);
        let traffic = traffic.map_or(0.0, |traffic| traffic.parts.uncovered_percent());
        self.addresses
            .uncovered_percent()
            .max(self.population.uncovered_percent())
            .max(traffic)
    }

    /// The least part of addresses or noted queries with a live region, in per cent.
    pub fn least_covered_percent(&self) -> f64 {
        let traffic = self
            .traffic
            .filter(|traffic| traffic.queries >= FEWEST_QUERIES);
        let traffic = traffic.map_or(100.0, |traffic| traffic.parts.covered_percent());
        self.addresses.covered_percent().min(traffic)
    }

    /// `22.8% of the address space, 11.2% of the population and 31% of 812 queries noted lately`
    pub fn how_many(&self) -> String {
        let [addresses, people] =
            [self.addresses, self.population].map(|parts| percent(parts.uncovered_percent()));
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
                    "{addresses} of {space}, {people} of {population} and {traffic} of {queries} queries noted lately"
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

    /// What they are given instead.
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

    /// `www.example.com A: no live region for 22.8% of ...: Germany, ...; they are given a region that is out`
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

/// `: Germany, France, Italy and 41 more countries`, of so many in all.
pub(super) fn where_to<'c>(countries: impl Iterator<Item = &'c str>, all: usize) -> String {
    let named: Vec<&str> = countries.take(MOST_NAMED).collect();
    match all.saturating_sub(named.len()) {
        _ if named.is_empty() => String::new(),
        0 => format!(": {}", named.join(", ")),
        1 => format!(": {} and one more country", named.join(", ")),
        more => format!(": {} and {more} more countries", named.join(", ")),
    }
}

/// Those that lose the most.
pub(super) fn greatest(losing: BTreeMap<PlaceCode, (f64, f64)>) -> Vec<LosingCountry> {
    let mut losing: Vec<(PlaceCode, (f64, f64))> = losing.into_iter().collect();
    losing.sort_by(|(_, one), (_, other)| other.0.total_cmp(&one.0));
    losing.truncate(MOST_COUNTRIES);
    let country = |(code, (addresses, people)): (PlaceCode, (f64, f64))| LosingCountry {
        country: code.to_string(),
        name: country_name(code).map(str::to_owned),
        addresses: addresses.round() as u64,
        people: people.round() as u64,
    };
    losing.into_iter().map(country).collect()
}

/// The parts of the queries that were noted; `None`: there were none.
pub fn traffic_parts(fates: &[ClassSplit], noted: &[ClassQueries]) -> Option<TrafficCoverage> {
    let mut sum = ClassSplit::default();
    let mut queries = 0;
    for (class, count) in noted {
        sum.add(
            &fates
                .get(*class as usize)
                .copied()
                .unwrap_or_default()
                .times(*count as f64),
        );
        queries += count;
    }
    (queries > 0).then(|| TrafficCoverage {
        queries,
        parts: CoverageParts::of(&sum, queries as f64),
    })
}
