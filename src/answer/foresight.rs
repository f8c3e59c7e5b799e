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

use super::Snapshot;
use super::world::present::PresentView;
use super::world::services::Family;
use crate::config::Config;
use crate::dns::Name;
use crate::geo::Atlas;
use crate::steering::Band;

pub use change::Change;
pub use compare::{Made, RegionMove, ServiceMove, TrafficMove, compare};
pub use facts::{CellFacts, CountryForesight, DistanceFacts, Foresight, Loser, Mover, RegionForesight};

pub use scopes::{Blocks, verify_scopes};
pub use traffic::{ClientTraffic, Traffic};
pub use weigh::Over;

use change::{banded, changed, relocated};
use facts::Subject;
use side::Side;
use sum::{Located, Sums};
use sweep::sweep;
use weigh::weigh;

/// A snapshot and what it was made from; a changed bias is compiled from the configuration anew.
pub type Standing<'m> = (&'m Snapshot, &'m Config);

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    /// The service.
    pub name: &'w Name,
    /// Whose endpoints are counted.
    pub family: Family,
    /// What clients are counted by.
    pub over: Over,
    /// The clients of [`Over::Traffic`].
    pub traffic: &'w Traffic,
    /// What is different after the change.
    pub change: &'w Change,
}

/// What the shares of a service are, and what they would be after a change: to `against`, if that is given, and to what
/// `wanted` says.
///
/// # Errors
/// A sentence: the name is no service, a region is not one of it, or it has nothing for that family.
pub fn foresee(now: Standing<'_>, against: Option<Standing<'_>>, wanted: Wanted<'_>) -> Result<Foresight, String> {
    let Wanted { name, family, over, traffic, change } = wanted;
    let then = against.unwrap_or(now);
    let known = |of: Standing<'_>| of.0.world.service_named(name).is_some();
    if !known(now) && !known(then) {
        return Err(no_service(then.0, name));
    }
    let kind = if family == Family::V4 { "A" } else { "AAAA" };
    let before = side(now, wanted, &Change::default())?;
    let after = if against.is_none() && change.is_none() { before.clone() } else { side(then, wanted, change)? };
    if before.regions.is_empty() && after.regions.is_empty() {
        return Err(format!("{name} has no endpoint that answers {kind}"));
    }
    let mut names = Vec::new();
    let (before, after) = (before.numbered_in(&mut names), after.numbered_in(&mut names));
    // The newer geodata are taken to know better where clients are.
    let atlas = &then.0.world.atlas;
    let cells = match over {
        Over::Addresses | Over::Population => sweep(atlas, &before.table, &after.table),
        Over::Traffic => traffic.cells(name, atlas, &before.table, &after.table)?,
    };
    let (cells, nowhere) = weigh(&cells, atlas, over);
    let mut sums = Sums::of(&cells, atlas, &Located::new(&before, &names), &Located::new(&after, &names));
    sums.unlocated = nowhere.round() as u64;
    let change = (against.is_some() || !change.is_none()).then_some(change);
    let subject = Subject { name, kind, over, change, regions: &names, before: &before, after: &after };
    Ok(facts::facts(&subject, &sums))
}

/// What the service comes to there, under a change; nobody where there is none, or nothing of that family.
fn side((snapshot, config): Standing<'_>, wanted: Wanted<'_>, change: &Change) -> Result<Side, String> {
    let world = &snapshot.world;
    let Some((id, service)) = world.service_named(wanted.name) else { return Ok(Side::nobody()) };
    change.check(world, config, service)?;
    let side = if change.is_none() {
        let now = snapshot.present.availability().services.get(id.0 as usize);
        Side::of(world, config, service, wanted.family, now)
    } else {
        changed(snapshot, config, id, service, wanted.family, change)
    };
    Ok(side.unwrap_or_else(Side::nobody))
}

/// What the blocks of a service are to be counted under.
#[derive(Debug, Clone)]
pub enum Under {
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
pub fn scopes(standing: Standing<'_>, name: &Name, family: Family, under: &Under) -> Result<Blocks, String> {
    let (snapshot, config) = standing;
    let (id, service) = snapshot.world.service_named(name).ok_or_else(|| no_service(snapshot, name))?;
    let missing = || format!("{name} has no endpoint of that type");
    let other = match under {
        Under::Now => {
            let view = snapshot.present.service(id).and_then(|now| now.view(family));
            return verify_scopes(&view.ok_or_else(missing)?.table);
        }
        Under::Band(band) => banded(snapshot, config, service, *band),
        Under::Atlas(atlas) => relocated(config, service, atlas),
    };
    let other = other.ok_or_else(missing)?;
    let availability = snapshot.present.availability().services.get(id.0 as usize);
    verify_scopes(&PresentView::alone(&other, family, availability).ok_or_else(missing)?.table)
}

fn no_service(snapshot: &Snapshot, name: &Name) -> String {
    let known: Vec<String> = snapshot.world.services.iter().map(|service| service.name.to_string()).collect();
    let list = if known.len() > 8 {
        format!("{} and {} more", known.get(..8).unwrap_or_default().join(", "), known.len() - 8)
    } else {
        known.join(", ")
    };
    format!("{name} is no service; the services are {list}")
}

#[cfg(test)]
mod tests;
