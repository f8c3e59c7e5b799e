//! Turns the datacenters of a resource into regions, and lists of datacenters into lists of
//! regions.
//!
//! A datacenter that cannot be converted only loses its own region. It is noted, and every list is
//! converted without it.

use std::collections::{HashMap, HashSet};

use super::inherited::InheritedOptions;
use super::maps::{DatacenterChoice, GdnsdMap};
use super::notes::ImportNotes;
use super::plan::{PlanRule, ResourcePlan};
use super::source::SourcePlace;
use super::vscf::VscfHash;

/// The converted datacenters of a resource.
#[derive(Debug, Default)]
pub struct DatacenterTree {
    /// The plan of each datacenter, by its name.
    pub plans: HashMap<String, ResourcePlan>,
    /// Where each datacenter is stated.
    pub places: HashMap<String, SourcePlace>,
    /// The datacenters that cannot be converted.
    pub lost: HashSet<String>,
}

impl DatacenterTree {
    /// Removes the plan of a datacenter and returns it.
    pub fn take(&mut self, name: &str) -> Option<ResourcePlan> {
        self.plans.remove(name)
    }

    /// Leaves a datacenter out, and notes why.
    pub fn lose(&mut self, name: &str, reason: &str, notes: &mut ImportNotes) {
        if let Some(place) = self.places.get(name) {
            notes.add(place, format!("{name}: {reason}; the region is left out"));
        }
        self.plans.remove(name);
        self.lost.insert(name.to_owned());
    }
}

/// Converts a list of datacenters to a list of regions.
pub struct DatacenterRanking {
    /// The regions of each datacenter.
    pub positions: HashMap<String, Vec<usize>>,
    /// The datacenters that cannot be converted.
    pub lost: HashSet<String>,
    /// Whether the first datacenter of each list is skipped.
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

    /// The regions in order. There are none if the list is empty, or if the resource defines none
    /// of its datacenters. Such clients get an empty answer from both servers.
    pub fn of(&self, choice: &DatacenterChoice) -> Vec<usize> {
        let names = self.names(choice);
        let skipped = usize::from(self.skip_first && names.len() > 1);
        let mut regions = Vec::new();
        for name in &names[skipped..] {
            for position in self.positions.get(name).into_iter().flatten() {
                if !regions.contains(position) {
                    regions.push(*position);
                }
            }
        }
        regions
    }

    /// The rules of a map. A rule is left out if none of its datacenters can be converted.
    pub fn rules(&self, map: &GdnsdMap, notes: &mut ImportNotes) -> Vec<PlanRule> {
        let nearest = map.otherwise == DatacenterChoice::Auto;
        let mut rules = Vec::new();
        for rule in &map.rules {
            let regions = self.of(&rule.choice);
            if regions.is_empty() && self.lost_some(&rule.choice) {
                let sentence = "none of these datacenters can be converted, \
                                so these clients get the default regions";
                notes.add(&rule.place, format!("{}: {sentence}", rule.clients));
                continue;
            }
            if let Some(sentence) = unlike(&rule.choice, nearest, &regions) {
                notes.add(&rule.place, sentence);
            }
            let clients = rule.clients.clone();
            rules.push(PlanRule { clients, regions });
        }
        rules
    }

    /// Whether a datacenter of the list cannot be converted.
    pub fn lost_some(&self, choice: &DatacenterChoice) -> bool {
        self.names(choice)
            .iter()
            .any(|name| self.lost.contains(name))
    }
}

/// How a rule behaves differently after the conversion, if it does.
fn unlike(choice: &DatacenterChoice, nearest: bool, regions: &[usize]) -> Option<&'static str> {
    match choice {
        DatacenterChoice::Auto if !nearest => {
            Some("auto: a service has one order, so these clients get the regions as listed")
        }
        DatacenterChoice::Listed(_) if nearest && regions.len() > 1 => Some(
            "these clients get these regions, but the nearest one first instead of the first in the list",
        ),
        _ => None,
    }
}

/// Adds the regions of all datacenters to the plan, in the order of the map. Returns their
/// positions.
pub fn adopt_all(
    plan: &mut ResourcePlan,
    map: &GdnsdMap,
    children: &mut DatacenterTree,
    notes: &mut ImportNotes,
) -> HashMap<String, Vec<usize>> {
    let mut positions = HashMap::new();
    for name in &map.datacenters {
        if let Some(child) = children.plans.get(name)
            && !child.is_list()
        {
            children.lose(
                name,
                "a located resource inside a located resource has no equivalent here",
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

/// metafo: the datacenters in their order. One of them may go by location, if all others are plain.
pub fn ordered(
    table: &VscfHash,
    mut children: DatacenterTree,
    inherited: &InheritedOptions,
    notes: &mut ImportNotes,
) -> Result<ResourcePlan, String> {
    let names = table.texts("datacenters");
    let skipped = usize::from(inherited.skip_first && names.len() > 1);
    let mut plan = ResourcePlan::default();
    for name in &names[skipped..] {
        if let Some(child) = children.plans.get(name)
            && let Some(reason) = misfit(child, &plan)
        {
            children.lose(name, reason, notes);
        }
        if let Some(child) = children.take(name) {
            append(&mut plan, name, child);
        }
    }
    if plan.regions.is_empty() {
        Err("it has no datacenters that can be converted".to_owned())
    } else {
        Ok(plan)
    }
}

/// Why a datacenter cannot be appended to a plan; `None`: it can.
fn misfit(child: &ResourcePlan, plan: &ResourcePlan) -> Option<&'static str> {
    if child.nearest {
        return Some("it is ordered by distance, but a service has only one order");
    }
    if !child.is_list() && !plan.is_list() {
        return Some("it is the second datacenter of this resource that is ordered by location");
    }
    None
}

/// Appends the regions of a datacenter to every rule of the plan, and the rules of the datacenter
/// behind the regions so far.
fn append(plan: &mut ResourcePlan, name: &str, mut child: ResourcePlan) {
    let start = plan.regions.len();
    plan.ignore_subnet |= child.ignore_subnet;
    plan.map = plan.map.take().or(child.map.take());
    let rules = std::mem::take(&mut child.rules);
    let taken = plan.adopt(name, child);
    let before = plan.otherwise.clone();
    for rule in &mut plan.rules {
        rule.regions.extend(&taken);
    }
    for rule in rules {
        let mut regions = before.clone();
        for position in rule.regions {
            regions.push(position + start);
        }
        let clients = rule.clients;
        plan.rules.push(PlanRule { clients, regions });
    }
    plan.otherwise.extend(taken);
}
