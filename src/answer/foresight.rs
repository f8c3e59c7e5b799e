//! Who goes where, and what if: the parts of the address space that each region serves, now and after a change.
//!
//! Nothing is guessed from a few addresses: the compiled tables that queries look up are walked from end to end beside
//! the atlas. What is counted is the public IPv4 space whose place is known, because that is what can be seen of the
//! clients beforehand; how many of them ask is not known to the geodata.

mod change;
mod compare;
mod facts;
mod scopes;
mod split;
mod sum;
mod sweep;

use super::Snapshot;
use super::world::present::PresentView;
use super::world::services::Family;
use crate::config::Config;
use crate::dns::Name;

pub use change::Change;
pub use compare::{Made, RegionMove, ServiceMove, compare};
pub use facts::{CellFacts, CountryForesight, DistanceFacts, Foresight, Mover, RegionForesight};

pub use scopes::{Blocks, verify_scopes};

use change::changed;
use split::Split;
use sum::Sums;
use sweep::sweep;

/// What the shares of a service are, and what they would be after a change.
///
/// `config` is what the snapshot was made from; a changed bias is compiled from it anew.
///
/// # Errors
/// A sentence: the name is no service, a region is not one of it, or it has nothing for that family.
pub fn foresee(
    snapshot: &Snapshot,
    config: &Config,
    name: &Name,
    family: Family,
    change: &Change,
) -> Result<Foresight, String> {
    let world = &snapshot.world;
    let (id, service) = world.service_named(name).ok_or_else(|| no_service(snapshot, name))?;
    let kind = if family == Family::V4 { "A" } else { "AAAA" };
    let now = snapshot.present.service(id).and_then(|now| now.view(family));
    let view = service.view(family).ok_or_else(|| format!("{name} has no endpoint that answers {kind}"))?;
    let before = now.ok_or_else(|| format!("{name} has no endpoint that answers {kind}"))?;
    change.check(world, config, service)?;
    let after = if change.is_none() { None } else { changed(snapshot, config, id, service, family, change) };
    let after = after.as_ref().unwrap_or(before);
    let cells = sweep(&world.atlas, &before.table, &after.table);
    let split = |now: &PresentView| now.outcomes.iter().map(|outcome| Split::of(outcome, now, service.pick)).collect();
    let sums = Sums::of(&cells, &world.atlas, view, split(before), split(after));
    Ok(facts::facts(world, config, view, (name, kind), change, &sums))
}

/// Proves over the whole compiled map that no two blocks of the service's answers overlap, and counts them.
///
/// # Errors
/// A sentence: the name is no service, it has nothing for that family, or blocks overlap.
pub fn scopes(snapshot: &Snapshot, name: &Name, family: Family) -> Result<Blocks, String> {
    let (id, _) = snapshot.world.service_named(name).ok_or_else(|| no_service(snapshot, name))?;
    let view = snapshot.present.service(id).and_then(|now| now.view(family));
    verify_scopes(&view.ok_or_else(|| format!("{name} has no endpoint of that type"))?.table)
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
