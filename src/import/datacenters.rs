//! The datacenters of a resource as regions, and lists of them as orders of regions.
//!
//! A datacenter that cannot be carried costs its own region: it is noted, and every list is carried without it.

use std::collections::{HashMap, HashSet};

use super::maps::{DatacenterChoice, GdnsdMap};
use super::notes::ImportNotes;
use super::plan::ResourcePlan;
use super::resources::InheritedOptions;
use super::vscf::{SourcePlace, VscfHash, VscfValue};

/// What the datacenters of a resource come to.
#[derive(Debug, Default)]
pub struct DatacenterTree {
    /// By name.
    pub plans: HashMap<String, ResourcePlan>,
    /// Where each is stated.
    pub places: HashMap<String, SourcePlace>,
    /// Those that cannot be carried.
    pub lost: HashSet<String>,
}

impl DatacenterTree {
    /// Takes the plan of one out.
    pub fn take(&mut self, name: &str) -> Option<ResourcePlan> {
        self.plans.remove(name)
    }

    /// Leaves one out.
    pub fn lose(&mut self, name: &str, reason: &str, notes: &mut ImportNotes) {
        if let Some(place) = self.places.get(name) {
            notes.add(place, format!("{name}: {reason}; the region is left out"));
        }
        self.plans.remove(name);
        self.lost.insert(name.to_owned());
    }
}

/// From the datacenters that a rule lists to regions.
pub struct DatacenterRanking {
    /// The regions of each datacenter.
    pub positions: HashMap<String, Vec<usize>>,
    /// The datacenters that cannot be carried.
    pub lost: HashSet<String>,
    /// Whether the first datacenter of each list does not count.
    pub skip_first: bool,
    /// The datacenters that are ordered by distance.
    pub located: Vec<String>,
}

impl DatacenterRanking {
    fn names<'n>(&'n self, choice: &'n DatacenterChoice) -> &'n [String] {
        match choice {
            DatacenterChoice::Auto => &self.located,
            DatacenterChoice::Listed(names) => names,
        }
    }

    /// The regions in order; none where the list is empty, or the resource defines none of its datacenters: these
    /// clients are answered that there are no records, there and here.
    pub fn of(&self, choice: &DatacenterChoice) -> Vec<usize> {
        let names = self.names(choice);
        let skipped = usize::from(self.skip_first && names.len() > 1);
        let mut regions = Vec::new();
        for position in names
            .iter()
            .skip(skipped)
            .filter_map(|name| self.positions.get(name))
            .flatten()
        {
            if !regions.contains(position) {
                regions.push(*position);
            }
        }
        regions
    }

    /// Whether a datacenter of the list cannot be carried.
    pub fn lost_some(&self, choice: &DatacenterChoice) -> bool {
        self.names(choice)
            .iter()
            .any(|name| self.lost.contains(name))
    }
}

/// Why a rule does not hold here as it does there.
pub fn unlike(choice: &DatacenterChoice, nearest: bool, regions: &[usize]) -> Option<&'static str> {
    match choice {
        DatacenterChoice::Auto if !nearest => {
            Some("auto: a service has one order, so these clients get the regions as listed")
        }
        DatacenterChoice::Listed(_) if nearest && regions.len() > 1 => Some(
            "these clients get exactly these regions, but the nearest of them first, not the first that is listed",
        ),
        _ => None,
    }
}

/// Takes the regions of all datacenters in, in the map's order.
pub fn adopt_all(
    plan: &mut ResourcePlan,
    map: &GdnsdMap,
    children: &mut DatacenterTree,
    notes: &mut ImportNotes,
) -> HashMap<String, Vec<usize>> {
    let mut positions = HashMap::new();
    for name in &map.datacenters {
        if children
            .plans
            .get(name)
            .is_some_and(|child| !child.is_list())
        {
            children.lose(
                name,
                "what is located inside what is located has nothing like it here",
                notes,
            );
        }
        let Some(child) = children.take(name) else {
            continue;
        };
        let taken = plan.adopt(name, child);
        for position in &taken {
            plan.regions[*position].location = map.coordinates.get(name).copied();
        }
        positions.insert(name.clone(), taken);
    }
    positions
}

/// metafo: one datacenter after the other. One of them may be by location, if all others are plain.
pub fn ordered(
    table: &VscfHash,
    mut children: DatacenterTree,
    inherited: &InheritedOptions,
    notes: &mut ImportNotes,
) -> Result<ResourcePlan, String> {
    let names = table
        .get("datacenters")
        .map(VscfValue::texts)
        .unwrap_or_default();
    let skipped = usize::from(inherited.skip_first && names.len() > 1);
    let mut plan = ResourcePlan::default();
    for name in names.iter().skip(skipped) {
        let reason = match children.plans.get(name) {
            Some(child) if child.nearest => {
                Some("it is ordered by distance, and a service has one order")
            }
            Some(child) if !child.is_list() && !plan.is_list() => {
                Some("it is the second of this resource that goes by location")
            }
            _ => None,
        };
        if let Some(reason) = reason {
            children.lose(name, reason, notes);
        }
        let Some(mut child) = children.take(name) else {
            continue;
        };
        let start = plan.regions.len();
        plan.ignore_subnet |= child.ignore_subnet;
        plan.map = plan.map.or(child.map.take());
        let rules = std::mem::take(&mut child.rules);
        let taken = plan.adopt(name, child);
        let before = plan.otherwise.clone();
        plan.rules
            .iter_mut()
            .for_each(|(_, regions)| regions.extend(&taken));
        plan.rules
            .extend(rules.into_iter().map(|(clients, regions)| {
                let own = regions.into_iter().map(|position| position + start);
                (clients, before.iter().copied().chain(own).collect())
            }));
        plan.otherwise.extend(taken);
    }
    if plan.regions.is_empty() {
        Err("it has no datacenters that can be carried".to_owned())
    } else {
        Ok(plan)
    }
}
