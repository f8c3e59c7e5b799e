//! Who would be sent elsewhere if one World took the place of another: what health and orders say is left aside, so
//! that the same two configurations always compare alike.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::split::RegionSplit;
use super::sweep::sweep;
use super::traffic::NotedTraffic;
use crate::catalog::Catalog;
use crate::catalog::present::LiveView;
use crate::catalog::services::{ServiceFamily, SteeredService};
use crate::config::{self, Config};
use crate::explain::percent;
use crate::geo::{Atlas, PlaceId};
use crate::text::counted;

/// A World and what it was made from.
pub type CatalogWithConfig<'w> = (&'w Catalog, &'w Config);

/// What a change moves of one service. Its JSON form is stable: keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceMove {
    /// The service.
    pub name: String,
    /// `A` or `AAAA`: which endpoints are counted. The clients are those with IPv4 addresses in any case.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The part of the public IPv4 space of known place that goes to another region, or to none, in per cent.
    pub moved_percent: f64,
    /// What moves of the queries that were noted lately; absent where none was.
    #[serde(default)]
    pub traffic: Option<TrafficMove>,
    /// Every region that it has or had.
    pub regions: Vec<RegionMove>,
}

/// What a change moves of the queries that a server has noted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficMove {
    /// How many were noted.
    pub queries: u64,
    /// The part of them that goes to another region, or to none, in per cent.
    pub moved_percent: f64,
}

/// What one region wins or loses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionMove {
    /// Its name.
    pub region: String,
    /// Its part of the addresses before, in per cent.
    pub before_percent: f64,
    /// Its part of the addresses after.
    pub after_percent: f64,
}

impl ServiceMove {
    /// `www.example.com A: 12.3% of the address space and 20% of 812 queries noted lately are sent elsewhere`
    pub fn sentence(&self) -> String {
        let ServiceMove { name, rtype, .. } = self;
        let space = percent(self.moved_percent);
        match &self.traffic {
            None => format!("{name} {rtype}: {space} of the address space is sent elsewhere"),
            Some(TrafficMove {
                queries,
                moved_percent,
            }) => format!(
                "{name} {rtype}: {space} of the address space and {} of {} noted lately are sent elsewhere",
                percent(*moved_percent),
                counted(*queries, "query")
            ),
        }
    }

    /// Whether anything moves.
    pub fn is_any(&self) -> bool {
        self.moved_percent > 0.0
            || self
                .traffic
                .as_ref()
                .is_some_and(|traffic| traffic.moved_percent > 0.0)
    }
}

/// What moves, for each service that was there before and is not made of the same parts. A service, or one family of
/// it, that is gone has moved whole.
///
/// # Errors
/// A sentence: `traffic` cannot be read.
pub fn compare(
    before: CatalogWithConfig<'_>,
    after: CatalogWithConfig<'_>,
    traffic: &NotedTraffic,
) -> Result<Vec<ServiceMove>, String> {
    let same_atlas = Arc::ptr_eq(&before.0.atlas, &after.0.atlas);
    let mut stated: HashMap<&crate::dns::Name, &config::ServiceConfig> = HashMap::new();
    stated.extend(
        after
            .1
            .services
            .iter()
            .map(|service| (&service.name, service)),
    );
    let mut moves = Vec::new();
    for (service, old) in before.0.services.iter().zip(&before.1.services) {
        let new = stated.get(&old.name).copied();
        if same_atlas && new.is_some_and(|new| parts(before.1, old) == parts(after.1, new)) {
            continue;
        }
        let successor = after
            .0
            .service_named(&service.name)
            .map(|(_, service)| service);
        let clients = traffic.clients_of(&service.name)?;
        for (family, rtype) in [(ServiceFamily::V4, "A"), (ServiceFamily::V6, "AAAA")] {
            let sides = (
                Side::of(before.0, service, family),
                successor.and_then(|it| Side::of(after.0, it, family)),
            );
            if let (Some(before), now) = sides {
                let (moved_percent, regions) =
                    before.compare(now.as_ref(), before.space(now.as_ref(), &after.0.atlas));
                let traffic = (!clients.is_empty()).then(|| TrafficMove {
                    queries: clients.iter().map(|(_, queries)| queries).sum(),
                    moved_percent: before
                        .compare(now.as_ref(), before.queries(now.as_ref(), &clients))
                        .0,
                });
                let (name, rtype) = (service.name.to_string(), rtype.to_owned());
                moves.push(ServiceMove {
                    name,
                    rtype,
                    moved_percent,
                    traffic,
                    regions,
                });
            }
        }
    }
    Ok(moves)
}

/// All that decides who is sent where, as text: where it is stated does not matter.
fn parts(config: &Config, service: &config::ServiceConfig) -> String {
    let region = |it: &config::ServiceRegion| config.regions.get(usize::from(it.region.0));
    let regions: Vec<_> = service.regions.iter().map(region).collect();
    format!(
        "{:?} {regions:?}",
        config::ServiceConfig {
            line: 0,
            ..service.clone()
        }
    )
}

/// Outcomes before and after, and how many clients have them.
type Pairs = HashMap<(u32, u32), u64>;

/// One family of one service with everything up.
struct Side {
    now: LiveView,
    splits: Vec<RegionSplit>,
    /// By position.
    regions: Vec<String>,
}

impl Side {
    fn of(catalog: &Catalog, service: &SteeredService, family: ServiceFamily) -> Option<Side> {
        let now = LiveView::alone(service, family, None)?;
        let name = |region: u16| {
            catalog
                .regions
                .get(usize::from(region))
                .cloned()
                .unwrap_or_default()
        };
        let regions = service
            .view(family)?
            .regions
            .iter()
            .map(|region| name(region.region.0))
            .collect();
        let splits = now
            .outcomes
            .iter()
            .map(|outcome| RegionSplit::of(outcome, &now, service.pick))
            .collect();
        Some(Side {
            now,
            splits,
            regions,
        })
    }

    /// The part of the clients that moves, and what each region wins or loses, in per cent.
    fn compare(&self, after: Option<&Side>, clients: Pairs) -> (f64, Vec<RegionMove>) {
        let new = after.map_or(&[][..], |after| &after.regions);
        let mut names = self.regions.clone();
        names.extend(
            new.iter()
                .filter(|name| !self.regions.contains(name))
                .cloned(),
        );
        let places = |of: &[String]| -> Vec<usize> {
            of.iter()
                .filter_map(|name| names.iter().position(|known| known == name))
                .collect()
        };
        let (old_places, new_places) = (places(&self.regions), places(new));
        let mut sums = vec![(0.0, 0.0); names.len()];
        let (mut all, mut moved) = (0.0, 0.0);
        for ((old, new), count) in clients {
            let mut parts = vec![(0.0, 0.0); names.len()];
            for (at, part) in self.shares(old, &old_places) {
                parts
                    .get_mut(at)
                    .into_iter()
                    .for_each(|sums: &mut (f64, f64)| sums.0 += part);
            }
            for (at, part) in after
                .iter()
                .flat_map(|after| after.shares(new, &new_places))
            {
                parts
                    .get_mut(at)
                    .into_iter()
                    .for_each(|sums| sums.1 += part);
            }
            let count = count as f64;
            let gained: f64 = parts
                .iter()
                .map(|(before, after)| f64::max(after - before, 0.0))
                .sum();
            let lost: f64 = parts
                .iter()
                .map(|(before, after)| f64::max(before - after, 0.0))
                .sum();
            all += count;
            moved += count * gained.max(lost);
            for (sum, part) in sums.iter_mut().zip(&parts) {
                *sum = (sum.0 + count * part.0, sum.1 + count * part.1);
            }
        }
        let percent = |of: f64| {
            if all > 0.0 {
                (of / all * 100_000.0).round() / 1000.0
            } else {
                0.0
            }
        };
        let region = |(region, (before, after)): (String, (f64, f64))| RegionMove {
            region,
            before_percent: percent(before),
            after_percent: percent(after),
        };
        (
            percent(moved),
            names.into_iter().zip(sums).map(region).collect(),
        )
    }

    /// The parts of an outcome by region, each at its place in another list.
    fn shares<'s>(
        &'s self,
        outcome: u32,
        places: &'s [usize],
    ) -> impl Iterator<Item = (usize, f64)> + 's {
        let split = self
            .splits
            .get(outcome as usize)
            .into_iter()
            .flat_map(|split| &split.0);
        split.filter_map(|(position, part)| Some((*places.get(usize::from(*position))?, *part)))
    }

    /// How many public addresses of known place have each pair of outcomes.
    fn space(&self, after: Option<&Side>, atlas: &Atlas) -> Pairs {
        let mut pairs = Pairs::new();
        for ((place, old, new), tally) in
            sweep(atlas, &self.now.table, &after.unwrap_or(self).now.table)
        {
            let known = atlas.place(place);
            if place != PlaceId::UNROUTABLE && (known.point.is_some() || known.country.is_some()) {
                *pairs.entry((old, new)).or_default() += tally.addresses;
            }
        }
        pairs
    }

    /// How many queries have.
    fn queries(&self, after: Option<&Side>, clients: &[(IpAddr, u64)]) -> Pairs {
        let mut pairs = Pairs::new();
        for (client, queries) in clients {
            let [old, new] =
                [self, after.unwrap_or(self)].map(|side| side.now.table.find(*client).value);
            *pairs.entry((old, new)).or_default() += queries;
        }
        pairs
    }
}
