//! Compares two catalogs: which clients would be sent to another region.
//!
//! Health and overrides are ignored, so the same two configurations always compare alike. The
//! look-up tables of both catalogs are walked side by side, and the addresses of each pair of
//! outcomes are counted. If queries were sampled, they are counted in the same way.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::coverage::is_counted;
use super::facts::percent_of;
use super::side::position_or_push;
use super::split::RegionSplit;
use super::sweep::sweep;
use super::traffic::NotedTraffic;
use crate::catalog::Catalog;
use crate::catalog::live_state::LiveView;
use crate::catalog::services::{ServiceFamily, SteeredService};
use crate::config::{self, Config};
use crate::explain::percent;
use crate::geo::Atlas;
use crate::text::counted;

/// A catalog and the configuration that it was compiled from.
pub type CatalogWithConfig<'w> = (&'w Catalog, &'w Config);

/// The clients of one service that a change moves. Its JSON form is stable: keys are added, never
/// changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceMove {
    /// The service.
    pub name: String,
    /// `A` or `AAAA`: which endpoints are counted. The clients are those with IPv4 addresses in any
    /// case.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The part of the public IPv4 space with a known location that goes to another region, or to
    /// none, in per cent.
    pub moved_percent: f64,
    /// The recently recorded queries that move; absent if there are none.
    #[serde(default)]
    pub traffic: Option<TrafficMove>,
    /// Every region that it has or had.
    pub regions: Vec<RegionMove>,
}

/// The queries of a traffic sample that a change moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficMove {
    /// The number of sampled queries.
    pub queries: u64,
    /// The part of them that goes to another region, or to none, in per cent.
    pub moved_percent: f64,
}

/// The change of the share of one region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionMove {
    /// The name of the region.
    pub region: String,
    /// Its part of the addresses before, in per cent.
    pub before_percent: f64,
    /// Its part of the addresses after.
    pub after_percent: f64,
}

impl ServiceMove {
    /// `www.example.com A: 12.3% of the address space and 20% of 812 queries recorded recently are
    /// sent elsewhere`
    pub fn sentence(&self) -> String {
        let ServiceMove { name, rtype, .. } = self;
        let space = percent(self.moved_percent);
        match &self.traffic {
            None => format!("{name} {rtype}: {space} of the address space is sent elsewhere"),
            Some(TrafficMove {
                queries,
                moved_percent,
            }) => format!(
                "{name} {rtype}: {space} of the address space and {} of {} recorded recently are sent elsewhere",
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

/// The moves of each service that existed before and whose shares have changed. A service or a
/// family that is gone counts as moved completely.
///
/// # Errors
/// A sentence: `traffic` cannot be read.
pub fn compare(
    before: CatalogWithConfig<'_>,
    after: CatalogWithConfig<'_>,
    traffic: &NotedTraffic,
) -> Result<Vec<ServiceMove>, String> {
    let same_atlas = Arc::ptr_eq(&before.0.atlas, &after.0.atlas);
    let mut configured: HashMap<&crate::dns::Name, &config::ServiceConfig> = HashMap::new();
    for service in &after.1.services {
        configured.insert(&service.name, service);
    }
    let mut by_service = traffic.by_service()?;
    let mut moves = Vec::new();
    for (service, old) in before.0.services.iter().zip(&before.1.services) {
        let new = configured.get(&old.name).copied();
        if same_atlas && new.is_some_and(|new| parts(before.1, old) == parts(after.1, new)) {
            continue;
        }
        let successor = after.0.service_named(&service.name);
        let name = service.name.to_string().to_ascii_lowercase();
        let clients = by_service.remove(&name).unwrap_or_default();
        for family in [ServiceFamily::V4, ServiceFamily::V6] {
            let Some(old) = ComparedView::of(before.0, service, family) else {
                continue;
            };
            let new = match successor {
                Some((_, successor)) => ComparedView::of(after.0, successor, family),
                None => None,
            };
            moves.push(ServiceMove {
                name: service.name.to_string(),
                ..old.moves_to(new.as_ref(), &after.0.atlas, family, &clients)
            });
        }
    }
    Ok(moves)
}

/// All settings that decide where clients of a service are sent, as text.
fn parts(config: &Config, service: &config::ServiceConfig) -> String {
    let listed = service.regions.iter();
    let regions: Vec<_> = listed
        .map(|it| config.regions.get(usize::from(it.region.0)))
        .collect();
    // Where its settings stand in the files has no effect.
    let service = config::ServiceConfig {
        stated: config::SourceLine::none(),
        policy: None,
        pool: None,
        ..service.clone()
    };
    format!("{service:?} {regions:?}")
}

/// The numbers of outcomes before and after, and how many clients have them.
type OutcomePairs = HashMap<(u32, u32), u64>;

/// One family of one service with everything up.
struct ComparedView {
    live: LiveView,
    splits: Vec<RegionSplit>,
    /// Names by position.
    regions: Vec<String>,
}

/// A quantity before and after.
#[derive(Clone, Copy, Default)]
struct BeforeAfter {
    before: f64,
    after: f64,
}

impl ComparedView {
    fn of(
        catalog: &Catalog,
        service: &SteeredService,
        family: ServiceFamily,
    ) -> Option<ComparedView> {
        let live = LiveView::alone(service, family, None)?;
        let mut regions = Vec::new();
        for region in &service.view(family)?.regions {
            regions.push(
                catalog
                    .region_name(region.region)
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
        let mut splits = Vec::with_capacity(live.outcomes.len());
        for outcome in live.outcomes.iter() {
            splits.push(RegionSplit::of(outcome, &live, service.pick));
        }
        Some(ComparedView {
            live,
            splits,
            regions,
        })
    }

    /// The clients that move to another view; the name of the service is left empty.
    fn moves_to(
        &self,
        after: Option<&ComparedView>,
        atlas: &Atlas,
        family: ServiceFamily,
        clients: &[(IpAddr, u64)],
    ) -> ServiceMove {
        let (moved_percent, regions) = self.compare(after, self.space(after, atlas));
        let mut traffic = None;
        if !clients.is_empty() {
            let (moved_percent, _) = self.compare(after, self.queries(after, clients));
            let queries = clients.iter().map(|(_, queries)| queries).sum();
            traffic = Some(TrafficMove {
                queries,
                moved_percent,
            });
        }
        let rtype = family.word().to_owned();
        ServiceMove {
            name: String::new(),
            rtype,
            moved_percent,
            traffic,
            regions,
        }
    }

    /// The part of the clients that moves, and what each region wins or loses, in per cent.
    fn compare(
        &self,
        after: Option<&ComparedView>,
        clients: OutcomePairs,
    ) -> (f64, Vec<RegionMove>) {
        let mut names = self.regions.clone();
        let old_places: Vec<usize> = (0..names.len()).collect();
        let mut new_places = Vec::new();
        for name in after.map_or(&[][..], |after| &after.regions) {
            new_places.push(position_or_push(&mut names, name));
        }
        let mut sums = vec![BeforeAfter::default(); names.len()];
        let (mut all, mut moved) = (0.0, 0.0);
        for ((old, new), count) in clients {
            let mut parts = vec![BeforeAfter::default(); names.len()];
            for (position, part) in self.split(old) {
                parts[old_places[usize::from(*position)]].before += part;
            }
            for (position, part) in after.map_or(&[][..], |after| after.split(new)) {
                parts[new_places[usize::from(*position)]].after += part;
            }
            let count = count as f64;
            let (mut gained, mut lost) = (0.0, 0.0);
            for (sum, part) in sums.iter_mut().zip(&parts) {
                gained += f64::max(part.after - part.before, 0.0);
                lost += f64::max(part.before - part.after, 0.0);
                sum.before += count * part.before;
                sum.after += count * part.after;
            }
            all += count;
            moved += count * f64::max(gained, lost);
        }
        let mut regions = Vec::with_capacity(names.len());
        for (region, sum) in names.into_iter().zip(sums) {
            regions.push(RegionMove {
                region,
                before_percent: percent_of(sum.before, all),
                after_percent: percent_of(sum.after, all),
            });
        }
        (percent_of(moved, all), regions)
    }

    /// The parts of an outcome by position.
    fn split(&self, outcome: u32) -> &[(u16, f64)] {
        self.splits
            .get(outcome as usize)
            .map_or(&[], |split| &split.0)
    }

    /// How many public addresses with a known location have each pair of outcomes.
    fn space(&self, after: Option<&ComparedView>, atlas: &Atlas) -> OutcomePairs {
        let after = after.unwrap_or(self);
        let mut pairs = OutcomePairs::new();
        for (cell, tally) in sweep(
            atlas,
            self.live.table.ranges_v4(),
            after.live.table.ranges_v4(),
        ) {
            if is_counted(atlas, cell.0) {
                *pairs.entry((cell.1, cell.2)).or_default() += tally.addresses;
            }
        }
        pairs
    }

    /// How many queries have each pair of outcomes.
    fn queries(&self, after: Option<&ComparedView>, clients: &[(IpAddr, u64)]) -> OutcomePairs {
        let after = after.unwrap_or(self);
        let mut pairs = OutcomePairs::new();
        for (client, queries) in clients {
            let old = self.live.table.find(*client).value;
            let new = after.live.table.find(*client).value;
            *pairs.entry((old, new)).or_default() += queries;
        }
        pairs
    }
}
