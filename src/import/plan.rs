//! The converted form of a gdnsd resource: regions with endpoints, and the clients of each.
//!
//! The plan is independent of the syntax on both sides. It also reconciles the two models: an
//! endpoint belongs to one region here, and a service has one order, check and answer count.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::maps::RuleClients;
use crate::steering::picked::MAX_ANSWERS;

/// An endpoint, as the configuration will state it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedEndpoint {
    pub target: ImportedTarget,
    pub weight: u32,
    pub check: Option<String>,
}

/// The record data of an endpoint.
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

/// The regions of some clients.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRule {
    /// The clients that the rule matches.
    pub clients: RuleClients,
    /// Positions of regions, in order of preference.
    pub regions: Vec<usize>,
}

/// A resource: its regions in order, and rules that hold before that order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourcePlan {
    pub regions: Vec<ImportedRegion>,
    /// The first rule that matches decides.
    pub rules: Vec<PlanRule>,
    /// The regions of clients that no rule matches.
    pub otherwise: Vec<usize>,
    /// Whether regions are ordered by distance.
    pub nearest: bool,
    /// Whether only the resolver's address counts, not ECS.
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

    /// Whether this is a plain list of regions.
    pub fn is_list(&self) -> bool {
        self.rules.is_empty() && !self.nearest
    }

    /// Takes over all regions of another plan and returns their positions. If there are several,
    /// the name of the datacenter becomes a prefix of their names.
    pub fn adopt(&mut self, datacenter: &str, child: ResourcePlan) -> Vec<usize> {
        let alone = child.regions.len() == 1;
        let start = self.regions.len();
        for mut region in child.regions {
            region.name = if alone {
                datacenter.to_owned()
            } else {
                format!("{datacenter}-{}", region.name)
            };
            self.regions.push(region);
        }
        let mut positions = child.otherwise;
        for position in &mut positions {
            *position += start;
        }
        positions
    }

    /// Regions in the order of preference, then those that only some clients get.
    pub fn preference(&self) -> Vec<usize> {
        let mut positions = self.otherwise.clone();
        for position in 0..self.regions.len() {
            let in_a_rule = self
                .rules
                .iter()
                .any(|rule| rule.regions.contains(&position));
            if in_a_rule && !self.otherwise.contains(&position) {
                positions.push(position);
            }
        }
        positions
    }

    /// Leaves each endpoint only in the first region that has it, since a service lists it once. A
    /// region without endpoints of its own is replaced by the region that has its first endpoint.
    /// Returns a sentence for each difference that this makes.
    pub fn part_regions(&mut self) -> Vec<String> {
        let mut holders: HashMap<ImportedTarget, usize> = HashMap::new();
        let mut stands_for: Vec<usize> = (0..self.regions.len()).collect();
        let mut sentences = Vec::new();
        for position in self.preference() {
            let endpoints = &self.regions[position].endpoints;
            let mut held: Vec<usize> = Vec::new();
            for endpoint in endpoints {
                held.extend(holders.get(&endpoint.target));
            }
            let name = &self.regions[position].name;
            match held.first() {
                Some(&other) if held.len() == endpoints.len() => {
                    let is_same = self.regions[other].endpoints == *endpoints && !self.nearest;
                    let other_name = &self.regions[other].name;
                    if !is_same {
                        sentences.push(format!(
                            "{name} has only addresses of {other_name}, so both are one region here"
                        ));
                    }
                    stands_for[position] = other;
                }
                Some(&other) => {
                    let other = &self.regions[other].name;
                    sentences.push(format!(
                        "{name} shares addresses with {other}; they are only in {other} here"
                    ));
                    self.regions[position]
                        .endpoints
                        .retain(|it| !holders.contains_key(&it.target));
                }
                None => {}
            }
            if stands_for[position] == position {
                for endpoint in &self.regions[position].endpoints {
                    holders.insert(endpoint.target.clone(), position);
                }
            }
        }
        for rule in &mut self.rules {
            replace_positions(&mut rule.regions, &stands_for);
        }
        replace_positions(&mut self.otherwise, &stands_for);
        sentences
    }

    /// Endpoints per reply: the largest number of any region, up to our own limit.
    pub fn answers(&self) -> usize {
        self.regions
            .iter()
            .map(|region| region.answers)
            .max()
            .unwrap_or(1)
            .clamp(1, MAX_ANSWERS)
    }

    /// Number of endpoints that must be up in each region; 1 if no endpoint is checked.
    pub fn needed(&self) -> usize {
        let is_checked = self.endpoints().any(|endpoint| endpoint.check.is_some());
        let mut fewest = None;
        for region in &self.regions {
            let needed = region.needed.min(region.endpoints.len());
            fewest = Some(fewest.unwrap_or(needed).min(needed));
        }
        match fewest {
            Some(fewest) if is_checked => fewest.max(1),
            _ => 1,
        }
    }

    /// The check that most endpoints have. There is none if an endpoint has no check, since it
    /// could not say so in a service that has one.
    pub fn check(&self) -> Option<String> {
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        for endpoint in self.endpoints() {
            *counts.entry(endpoint.check.as_ref()?).or_default() += 1;
        }
        let (check, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        Some(check.clone())
    }

    fn endpoints(&self) -> impl Iterator<Item = &ImportedEndpoint> {
        self.regions.iter().flat_map(|region| &region.endpoints)
    }
}

/// Replaces positions by those of the regions that stand for them, each once.
fn replace_positions(list: &mut Vec<usize>, stands_for: &[usize]) {
    let mut kept = Vec::new();
    for position in &*list {
        if !kept.contains(&stands_for[*position]) {
            kept.push(stands_for[*position]);
        }
    }
    *list = kept;
}
