//! What a resource of gdnsd comes to here: regions with endpoints, and who gets which of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use super::maps::RuleClients;
use crate::steering::pick::MAX_ANSWERS;

/// One endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedEndpoint {
    pub target: ImportedTarget,
    pub weight: u32,
    pub check: Option<String>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ImportedTarget {
    Address(IpAddr),
    /// With its final dot, as gdnsd has it.
    Name(String),
}

/// A datacenter, or a resource without any.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedRegion {
    pub name: String,
    pub endpoints: Vec<ImportedEndpoint>,
    /// Endpoints per answer; more than one where all of them are given.
    pub answers: usize,
    /// Endpoints that must be up for it to take clients.
    pub needed: usize,
    /// Latitude and longitude, as stated.
    pub location: Option<[f64; 2]>,
}

/// A resource: its regions in order, and rules that hold before that order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourcePlan {
    pub regions: Vec<ImportedRegion>,
    /// The first that matches decides; positions of regions, in order of preference.
    pub rules: Vec<(RuleClients, Vec<usize>)>,
    /// Regions of clients that no rule is about.
    pub otherwise: Vec<usize>,
    /// Whether these are ordered by distance.
    pub nearest: bool,
    /// Whether the resolver's address alone counts.
    pub ignore_subnet: bool,
    /// The map that the rules come from.
    pub map: Option<String>,
}

impl ResourcePlan {
    /// A resource of one region.
    pub fn of(region: ImportedRegion) -> ResourcePlan {
        ResourcePlan {
            regions: vec![region],
            otherwise: vec![0],
            ..ResourcePlan::default()
        }
    }

    /// Whether it is no more than a list of regions.
    pub fn is_list(&self) -> bool {
        self.rules.is_empty() && !self.nearest
    }

    /// All regions of another, under names that begin with that of the datacenter if there are several; their positions.
    pub fn adopt(&mut self, datacenter: &str, child: ResourcePlan) -> Vec<usize> {
        let alone = child.regions.len() == 1;
        let start = self.regions.len();
        let named = |region: ImportedRegion| {
            let name = if alone {
                datacenter.to_owned()
            } else {
                format!("{datacenter}-{}", region.name)
            };
            ImportedRegion { name, ..region }
        };
        self.regions.extend(child.regions.into_iter().map(named));
        child
            .otherwise
            .iter()
            .map(|position| position + start)
            .collect()
    }

    /// Regions in the order of preference, then those that only some clients get.
    pub fn preference(&self) -> Vec<usize> {
        let others = (0..self.regions.len()).filter(|position| !self.otherwise.contains(position));
        let used = |position: &usize| {
            self.rules
                .iter()
                .any(|(_, regions)| regions.contains(position))
        };
        self.otherwise
            .iter()
            .copied()
            .chain(others.filter(used))
            .collect()
    }

    /// Leaves every endpoint in the first region that has it, since a service has each of them once. A region that is
    /// left without any is the region that has its first one. Says what is not quite the same then.
    pub fn part_regions(&mut self) -> Vec<String> {
        let mut holders: HashMap<ImportedTarget, usize> = HashMap::new();
        let mut stands_for: Vec<usize> = (0..self.regions.len()).collect();
        let mut sentences = Vec::new();
        for position in self.preference() {
            let endpoints = &self.regions[position].endpoints;
            let held: Vec<usize> = endpoints
                .iter()
                .filter_map(|it| holders.get(&it.target))
                .copied()
                .collect();
            let name = &self.regions[position].name;
            match held.first() {
                Some(&other) if held.len() == endpoints.len() => {
                    let is_same = self.regions[other].endpoints == *endpoints && !self.nearest;
                    let other_name = &self.regions[other].name;
                    if !is_same {
                        sentences.push(format!(
                            "{name} has addresses of {other_name} alone, so it is that region here"
                        ));
                    }
                    stands_for[position] = other;
                }
                Some(&other) => {
                    let other = &self.regions[other].name;
                    sentences.push(format!(
                        "{name} has addresses of {other}, too; they are in {other} alone here"
                    ));
                    self.regions[position]
                        .endpoints
                        .retain(|it| !holders.contains_key(&it.target));
                }
                None => {}
            }
            if stands_for[position] == position {
                holders.extend(
                    self.regions[position]
                        .endpoints
                        .iter()
                        .map(|it| (it.target.clone(), position)),
                );
            }
        }
        let lists = self.rules.iter_mut().map(|(_, regions)| regions);
        for list in lists.chain([&mut self.otherwise]) {
            let mut seen = HashSet::new();
            let kept = list
                .iter()
                .map(|position| stands_for[*position])
                .filter(|position| seen.insert(*position));
            *list = kept.collect();
        }
        sentences
    }

    /// Endpoints per reply: what the region that gives most gives, as far as a reply of ours goes.
    pub fn answers(&self) -> usize {
        self.regions
            .iter()
            .map(|region| region.answers)
            .max()
            .unwrap_or(1)
            .clamp(1, MAX_ANSWERS)
    }

    /// Endpoints that every region needs, if any is checked at all.
    pub fn needed(&self) -> usize {
        let checked = self
            .regions
            .iter()
            .flat_map(|region| &region.endpoints)
            .any(|endpoint| endpoint.check.is_some());
        let fewest = self
            .regions
            .iter()
            .map(|region| region.needed.min(region.endpoints.len()))
            .min();
        if checked {
            fewest.unwrap_or(1).max(1)
        } else {
            1
        }
    }

    /// The check that most endpoints have.
    pub fn check(&self) -> Option<String> {
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        for check in self
            .regions
            .iter()
            .flat_map(|region| &region.endpoints)
            .filter_map(|it| it.check.as_ref())
        {
            *counts.entry(check).or_default() += 1;
        }
        // An endpoint cannot say that it has no check where the service has one.
        let unchecked = self
            .regions
            .iter()
            .flat_map(|region| &region.endpoints)
            .any(|it| it.check.is_none());
        if unchecked {
            None
        } else {
            counts
                .into_iter()
                .max_by_key(|(_, count)| *count)
                .map(|(check, _)| check.clone())
        }
    }
}
