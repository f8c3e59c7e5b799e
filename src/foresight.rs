//! Who goes where, and what if: the parts of the address space that each region serves, now and after a change.
//!
//! Nothing is guessed from a few addresses: the compiled tables that queries look up are walked from end to end beside
//! the atlas. What is counted is the public IPv4 space whose place is known, because that is what can be seen of the
//! clients beforehand, or the people who live where it is; how many of them ask is not known to the geodata. A server that
//! samples its queries knows it: then the clients that it noted are what is counted.

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
use crate::catalog::present::LiveView;
use crate::catalog::services::ServiceFamily;
use crate::config::Config;
use crate::dns::Name;
use crate::geo::Atlas;
use crate::steering::Band;

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

/// A snapshot and what it was made from; a changed bias is compiled from the configuration anew.
pub type SnapshotWithConfig<'m> = (&'m Snapshot, &'m Config);

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct ForecastRequest<'w> {
    /// The service.
    pub name: &'w Name,
    /// Whose endpoints are counted.
    pub family: ServiceFamily,
    /// What clients are counted by.
    pub over: ShareBasis,
    /// The clients of [`ShareBasis::Traffic`].
    pub traffic: &'w NotedTraffic,
    /// What is different after the change.
    pub change: &'w PlannedChange,
}

/// What the shares of a service are, and what they would be after a change: to `against`, if that is given, and to what
/// `wanted` says.
///
/// # Errors
/// A sentence: the name is no service, a region is not one of it, or it has nothing for that family.
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
    let known = |of: SnapshotWithConfig<'_>| of.0.catalog.service_named(name).is_some();
    if !known(now) && !known(then) {
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
    // The newer geodata are taken to know better where clients are.
    let atlas = &then.0.catalog.atlas;
    let cells = match over {
        ShareBasis::Addresses | ShareBasis::Population => sweep(atlas, &before.table, &after.table),
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

/// What the service comes to there, under a change; nobody where there is none, or nothing of that family.
fn side(
    (snapshot, config): SnapshotWithConfig<'_>,
    wanted: ForecastRequest<'_>,
    change: &PlannedChange,
) -> Result<ForecastSide, String> {
    let catalog = &snapshot.catalog;
    let Some((id, service)) = catalog.service_named(wanted.name) else {
        return Ok(ForecastSide::nobody());
    };
    change.check(catalog, config, service)?;
    let side = if change.is_none() {
        let now = snapshot.live.availability().services.get(id.0 as usize);
        ForecastSide::of(catalog, config, service, wanted.family, now)
    } else {
        changed(snapshot, config, id, service, wanted.family, change)
    };
    Ok(side.unwrap_or_else(ForecastSide::nobody))
}

/// What the blocks of a service are to be counted under.
#[derive(Debug, Clone)]
pub enum ScopeBasis {
    /// What is configured.
    Now,
    /// Another tie band.
    Band(Band),
    /// Another atlas, such as a coarser one.
    Atlas(Arc<Atlas>),
}

/// Proves over the whole compiled map that no two blocks of the service's answers overlap, and counts them.
///
/// # Errors
/// A sentence: the name is no service, it has nothing for that family, or blocks overlap.
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
    let missing = || format!("{name} has no endpoint of that type");
    let other = match under {
        ScopeBasis::Now => {
            let view = snapshot.live.service(id).and_then(|now| now.view(family));
            return verify_scopes(&view.ok_or_else(missing)?.table);
        }
        ScopeBasis::Band(band) => banded(snapshot, config, service, *band),
        ScopeBasis::Atlas(atlas) => relocated(config, service, atlas),
    };
    let other = other.ok_or_else(missing)?;
    let availability = snapshot.live.availability().services.get(id.0 as usize);
    verify_scopes(
        &LiveView::alone(&other, family, availability)
            .ok_or_else(missing)?
            .table,
    )
}

fn no_service(snapshot: &Snapshot, name: &Name) -> String {
    let known: Vec<String> = snapshot
        .catalog
        .services
        .iter()
        .map(|service| service.name.to_string())
        .collect();
    let list = if known.len() > 8 {
        format!(
            "{} and {} more",
            known.get(..8).unwrap_or_default().join(", "),
            known.len() - 8
        )
    } else {
        known.join(", ")
    };
    format!("{name} is no service; the services are {list}")
}

#[cfg(test)]
mod tests;
