//! Catchments: for one set of steering rules, the class of clients that every address belongs to.
//!
//! Clients of one class have the same tiers. A class depends only on configuration and geodata. All
//! catchments share one map of the address space (`ZoneMap`); each adds the class of every zone.
//! The current availability turns each class into a [`FailoverChain`], its outcome. Classes are in
//! the order of their tiers, so that those with the same first tiers, which mostly decide the
//! outcome, are neighbours.

use std::collections::HashMap;
use std::sync::Arc;

use super::atlas::Atlas;
use super::both::each;
use super::cell::Cell;
use super::fences::CatchmentRules;
use super::outcomes::OutcomeTable;
use super::place::Place;
use super::table::AddressTable;
use super::zones::ZoneMap;
use crate::steering::failover::number_tiers;
use crate::steering::{FailoverChain, RegionStates, Tiers, UnitVector};

/// The class of private and special-purpose addresses, which have no location. A client subnet in
/// this class is ignored in favour of the query's source address, and no ECS scope extends from
/// public space into it.
pub const UNROUTABLE: u32 = 0;

/// Classes of clients, and the table that maps every address to its class.
#[derive(Debug)]
pub struct Catchment {
    /// The first is [`UNROUTABLE`]; the others ascend.
    classes: Vec<Tiers>,
    by_class: Arc<OutcomeTable>,
    of_zone: Arc<[u32]>,
}

/// The outcome of every address.
#[derive(Debug, Clone)]
pub struct Outcomes {
    /// From address to the number of a chain. [`UNROUTABLE`] is the outcome of the class of that
    /// name.
    pub table: Arc<OutcomeTable>,
    /// By number.
    pub chains: Arc<[FailoverChain]>,
}

impl Catchment {
    /// Sorts the whole address space into the classes of one rule set.
    pub fn compile(rules: &CatchmentRules, atlas: &Atlas) -> Catchment {
        let mut compiled = Catchment::compile_all(&[rules], atlas);
        compiled
            .pop()
            .unwrap_or_else(|| Catchment::uniform(Tiers::default()))
    }

    /// Sorts the whole address space into the classes of each rule set. They share one map. The
    /// work is divided between two threads.
    pub fn compile_all(rules: &[&CatchmentRules], atlas: &Atlas) -> Vec<Catchment> {
        let mut divided = Vec::new();
        for rules in rules {
            if rules.depends_on_client() {
                divided.push(*rules);
            }
        }
        let zones = if divided.is_empty() {
            None
        } else {
            Some(ZoneMap::compile(&divided, atlas))
        };
        each(rules, |rules| match &zones {
            Some(zones) if rules.depends_on_client() => Catchment::of_zones(rules, zones, atlas),
            _ => Catchment::uniform(rules.rules.arrange(None, None)),
        })
    }

    /// All clients are of one class.
    fn uniform(tiers: Tiers) -> Catchment {
        Catchment {
            classes: vec![tiers.clone(), tiers],
            by_class: Arc::new(OutcomeTable::uniform(1)),
            of_zone: Arc::new([1]),
        }
    }

    fn of_zones(rules: &CatchmentRules, zones: &ZoneMap, atlas: &Atlas) -> Catchment {
        let mut offered = Vec::with_capacity(zones.cells.len());
        for cell in &zones.cells {
            offered.push(tiers_of(rules, zones, atlas, *cell));
        }
        let mut classes: Vec<&Tiers> = offered.iter().flatten().collect();
        classes.sort_unstable();
        classes.dedup();
        let mut of_zone = Vec::with_capacity(offered.len());
        for tiers in &offered {
            let class = tiers
                .as_ref()
                .and_then(|tiers| classes.binary_search(&tiers).ok());
            of_zone.push(class.map_or(UNROUTABLE, |class| class as u32 + 1));
        }
        let of_zone: Arc<[u32]> = of_zone.into();
        // The unroutable class has its own number even if another class has the same tiers.
        let mut all = vec![tiers_at(rules, &Place::default(), |_| false)];
        all.extend(classes.into_iter().cloned());
        Catchment {
            classes: all,
            by_class: Arc::new(OutcomeTable::narrow(
                zones.table.clone(),
                of_zone.clone(),
                zones.everywhere.clone(),
            )),
            of_zone,
        }
    }

    /// The classes; [`UNROUTABLE`] is the first.
    pub fn classes(&self) -> &[Tiers] {
        &self.classes
    }

    /// Maps every address to the number of its class.
    pub fn table(&self) -> &Arc<OutcomeTable> {
        &self.by_class
    }

    /// The map of the address space that this catchment shares with others.
    pub fn zones(&self) -> &Arc<AddressTable> {
        self.by_class.zones()
    }

    /// By zone, the number of its class.
    pub fn class_of_zone(&self) -> &[u32] {
        &self.of_zone
    }

    /// Whether every address has class 1.
    pub fn is_uniform(&self) -> bool {
        *self.of_zone == [1]
    }

    /// The outcome of every address in the given states of the regions, with one outcome per class.
    pub fn outcomes_by_class(&self, now: &RegionStates) -> Outcomes {
        let mut chains = Vec::with_capacity(self.classes.len());
        for tiers in &self.classes {
            chains.push(FailoverChain::resolve(tiers, now));
        }
        number_tiers(&mut chains);
        Outcomes {
            table: self.by_class.clone(),
            chains: chains.into(),
        }
    }

    /// The outcome of every address, with equal outcomes merged. It is quick, because each block lies
    /// inside one range of the shared map.
    pub fn outcomes_at_once(&self, now: &RegionStates) -> Outcomes {
        let (of_zone, chains) = self.resolve(now);
        Outcomes {
            table: Arc::new(self.by_class.with_outcomes(of_zone)),
            chains,
        }
    }

    /// The outcome of every address, with equal outcomes merged and blocks as wide as they can be.
    /// This visits every range of the address space.
    pub fn outcomes(&self, now: &RegionStates) -> Outcomes {
        let (of_zone, chains) = self.resolve(now);
        Outcomes {
            table: Arc::new(OutcomeTable::new(self.zones().clone(), of_zone)),
            chains,
        }
    }

    /// The number of each zone's outcome, and the outcomes.
    fn resolve(&self, now: &RegionStates) -> (Arc<[u32]>, Arc<[FailoverChain]>) {
        let mut known: HashMap<FailoverChain, u32> = HashMap::new();
        let mut chains: Vec<FailoverChain> = Vec::new();
        let mut of_class: Vec<u32> = Vec::with_capacity(self.classes.len());
        if let Some(unroutable) = self.classes.first() {
            chains.push(FailoverChain::resolve(unroutable, now));
            of_class.push(UNROUTABLE);
        }
        while let Some(tiers) = self.classes.get(of_class.len()) {
            let (chain, decided_by) = FailoverChain::resolve_first(tiers, now);
            let next = chains.len() as u32;
            let id = *known.entry(chain.clone()).or_insert(next);
            if id == next {
                chains.push(chain);
            }
            let alike = match tiers.octets().get(..decided_by) {
                // All classes that begin with these tiers have this outcome.
                Some(prefix) if decided_by < tiers.octets().len() => {
                    let rest = &self.classes[of_class.len()..];
                    rest.partition_point(|other| other.octets().starts_with(prefix))
                }
                _ => 1,
            };
            of_class.resize(of_class.len() + alike, id);
        }
        number_tiers(&mut chains);
        let mut of_zone = Vec::with_capacity(self.of_zone.len());
        for class in self.of_zone.iter() {
            of_zone.push(of_class.get(*class as usize).copied().unwrap_or(UNROUTABLE));
        }
        (of_zone.into(), chains.into())
    }

    /// Octets of memory held beside the shared map.
    pub fn memory(&self) -> usize {
        let classes = self.classes.iter().map(|tiers| size_of_val(tiers.octets()));
        size_of_val(&*self.of_zone) + classes.sum::<usize>()
    }
}

/// The tiers of a cell; `None`: its addresses are unroutable.
fn tiers_of(rules: &CatchmentRules, zones: &ZoneMap, atlas: &Atlas, cell: Cell) -> Option<Tiers> {
    let networks = &zones.networks;
    let mut inside = Vec::with_capacity(rules.fences.len());
    for fence in &rules.fences {
        inside.push(networks.contains(cell.set, networks.list_of(fence)));
    }
    if cell.place == Cell::UNROUTABLE.place && !inside.contains(&true) {
        return None;
    }
    let place = atlas.place(cell.place);
    Some(tiers_at(rules, place, |fence| {
        inside.get(fence).is_some_and(|inside| *inside)
    }))
}

/// The tiers of a client at `place`.
fn tiers_at(rules: &CatchmentRules, place: &Place, in_networks: impl Fn(usize) -> bool) -> Tiers {
    let location: Option<UnitVector> = place.point.map(|point| point.unit_vector());
    let allowed = rules.allowed(place, in_networks);
    rules.rules.arrange(location, allowed)
}

#[cfg(test)]
mod tests;
