//! Forecasts which clients each region serves, now and after a change.
//!
//! A forecast does not sample addresses. It walks the compiled tables that queries look up, from
//! end to end, beside the atlas. Clients are counted as public IPv4 addresses with a known
//! location, or as population. The geodata do not say how many queries they send; if the server
//! samples its queries, the sampled clients can be counted instead ([`ShareBasis`]).
//!
//! [`foresee`] forecasts one service, [`compare`] compares two configurations, [`coverage`] finds
//! clients without a live region, and [`scopes`] verifies the blocks of client subnet replies.

mod change;
mod compare;
pub mod coverage;
pub mod coverages;
mod facts;
mod fate;
mod scopes;
mod side;
mod split;
mod sum;
mod sweep;
mod traffic;
mod weigh;

use std::sync::Arc;

use crate::answer::Snapshot;
use crate::catalog::live_state::LiveView;
use crate::catalog::services::ServiceFamily;
use crate::config::Config;
use crate::dns::Name;
use crate::geo::Atlas;
use crate::steering::Band;
use crate::text::list;

pub use change::PlannedChange;
pub use compare::{CatalogWithConfig, RegionMove, ServiceMove, TrafficMove, compare};
pub use facts::{
    CellFacts, CountryForesight, CountryLoss, CountryMove, DistanceFacts, Foresight,
    RegionForesight,
};

pub use scopes::{BlockCounts, verify_scopes};
pub use traffic::{ClientTraffic, NotedTraffic};
pub use weigh::ShareBasis;

use change::{banded, changed, relocated};
use facts::ForecastSubject;
use side::ForecastSide;
use sum::{ForecastTotals, LocatedSide};
use sweep::sweep;
use weigh::weigh;

/// A snapshot and its configuration, from which a changed bias is compiled.
pub type SnapshotWithConfig<'m> = (&'m Snapshot, &'m Config);

/// The question of a forecast.
#[derive(Debug, Clone, Copy)]
pub struct ForecastRequest<'w> {
    /// The service.
    pub name: &'w Name,
    /// The family of the endpoints that are counted.
    pub family: ServiceFamily,
    /// The unit in which clients are counted.
    pub over: ShareBasis,
    /// The clients of [`ShareBasis::Traffic`].
    pub traffic: &'w NotedTraffic,
    /// The change.
    pub change: &'w PlannedChange,
}

/// Forecasts the shares of a service now and after a change. The state after it is the snapshot
/// `against`, if given, with the requested change applied.
///
/// # Errors
/// A sentence: there is no such service, a region is unknown, or the service has no endpoints of
/// the family.
pub fn foresee(
    now: SnapshotWithConfig<'_>,
    against: Option<SnapshotWithConfig<'_>>,
    wanted: ForecastRequest<'_>,
) -> Result<Foresight, String> {
    let ForecastRequest {
        name,
        family,
        over,
        traffic,
        change,
    } = wanted;
    let then = against.unwrap_or(now);
    let is_known = now.0.catalog.service_named(name).is_some();
    if !is_known && then.0.catalog.service_named(name).is_none() {
        return Err(no_service(then.0, name));
    }
    let kind = if family == ServiceFamily::V4 {
        "A"
    } else {
        "AAAA"
    };
    let before = side(now, wanted, &PlannedChange::default())?;
    let after = if against.is_none() && change.is_none() {
        before.clone()
    } else {
        side(then, wanted, change)?
    };
    if before.regions.is_empty() && after.regions.is_empty() {
        return Err(format!("{name} has no endpoint that answers {kind}"));
    }
    let mut names = Vec::new();
    let (before, after) = (
        before.numbered_in(&mut names),
        after.numbered_in(&mut names),
    );
    // The newer geodata are used.
    let atlas = &then.0.catalog.atlas;
    let cells = match over {
        ShareBasis::Addresses | ShareBasis::Population => {
            sweep(atlas, before.table.ranges_v4(), after.table.ranges_v4())
        }
        ShareBasis::Traffic => traffic.cells(name, atlas, &before.table, &after.table)?,
    };
    let (cells, nowhere) = weigh(&cells, atlas, over);
    let mut sums = ForecastTotals::of(
        &cells,
        atlas,
        &LocatedSide::new(&before, &names),
        &LocatedSide::new(&after, &names),
    );
    sums.unlocated = nowhere.round() as u64;
    let change = (against.is_some() || !change.is_none()).then_some(change);
    let subject = ForecastSubject {
        name,
        kind,
        over,
        change,
        regions: &names,
        before: &before,
        after: &after,
    };
    Ok(facts::facts(&subject, &sums))
}

/// One side of the comparison: a snapshot with a change applied. It has no answers if the snapshot
/// lacks the service or the family.
fn side(
    (snapshot, config): SnapshotWithConfig<'_>,
    wanted: ForecastRequest<'_>,
    change: &PlannedChange,
) -> Result<ForecastSide, String> {
    let catalog = &snapshot.catalog;
    let Some((id, service)) = catalog.service_named(wanted.name) else {
        return Ok(ForecastSide::without_answers());
    };
    change.check(catalog, config, service)?;
    let side = if change.is_none() {
        let now = snapshot.live.availability().of(id.0 as usize);
        ForecastSide::of(catalog, config, service, wanted.family, now)
    } else {
        changed(snapshot, config, id, service, wanted.family, change)
    };
    Ok(side.unwrap_or_else(ForecastSide::without_answers))
}

/// The conditions under which the blocks of a service are counted.
#[derive(Debug, Clone)]
pub enum ScopeBasis {
    /// As configured.
    Now,
    /// Another tie band.
    Band(Band),
    /// Another atlas, such as a coarser one.
    Atlas(Arc<Atlas>),
}

/// Proves over the whole compiled map that no two blocks of the service's answers overlap, and
/// counts them.
///
/// # Errors
/// A sentence: there is no such service, it has no endpoints of the family, or blocks overlap.
pub fn scopes(
    standing: SnapshotWithConfig<'_>,
    name: &Name,
    family: ServiceFamily,
    under: &ScopeBasis,
) -> Result<BlockCounts, String> {
    let (snapshot, config) = standing;
    let (id, service) = snapshot
        .catalog
        .service_named(name)
        .ok_or_else(|| no_service(snapshot, name))?;
    let other = match under {
        ScopeBasis::Now => {
            let live = snapshot.live.service(id).and_then(|live| live.view(family));
            let Some(live) = live else {
                return Err(no_endpoint(name));
            };
            return verify_scopes(&live.table);
        }
        ScopeBasis::Band(band) => banded(snapshot, config, service, *band),
        ScopeBasis::Atlas(atlas) => relocated(&snapshot.catalog, config, service, atlas),
    };
    let availability = snapshot.live.availability().of(id.0 as usize);
    let live = other.and_then(|other| LiveView::alone(&other, family, availability));
    match live {
        Some(live) => verify_scopes(&live.table),
        None => Err(no_endpoint(name)),
    }
}

fn no_endpoint(name: &Name) -> String {
    format!("{name} has no endpoint of that type")
}

fn no_service(snapshot: &Snapshot, name: &Name) -> String {
    let services = snapshot.catalog.services.iter();
    let known: Vec<String> = services.map(|service| service.name.to_string()).collect();
    let list = list(&known, 8);
    format!("{name} is not a service; the services are {list}")
}

#[cfg(test)]
mod tests;
