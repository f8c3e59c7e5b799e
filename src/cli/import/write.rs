//! Plans as the text of a configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::labels::Labels;
use super::maps::Clients;
use super::notes::Notes;
use super::plan::{Endpoint, Plan, Region, Target};
use super::zones::Dynamic;
use crate::cli::init::toml_text;

/// Services and the regions that they use, so far.
#[derive(Debug, Default)]
pub struct Services {
    labels: Labels,
    /// By name: where it is.
    regions: BTreeMap<String, Option<[f64; 2]>>,
    text: String,
    /// How many there are.
    pub count: usize,
}

impl Services {
    /// Adds the service of a record.
    pub fn add(&mut self, record: &Dynamic, plan: &Plan, bounds: (u32, u32), notes: &mut Notes) {
        let names: Vec<String> = plan.regions.iter().map(|region| self.region(region, plan.nearest)).collect();
        let order = match plan {
            Plan { nearest: true, .. } => "nearest",
            Plan { regions, .. } if regions.len() == 1 => "none",
            _ => "priority",
        };
        let mut text = format!("# {}: {}\n[[services]]\n", record.place, comment(&record.reference));
        let _ = writeln!(text, "name = {}\nttl = {}", toml_text(&record.name), ttl(record, bounds));
        let _ = writeln!(text, "order = \"{order}\"\nanswers = {}", plan.answers());
        let check = plan.check();
        if let Some(check) = &check {
            let _ = writeln!(text, "check = \"{check}\"");
        }
        if plan.needed() > 1 {
            let _ = writeln!(text, "min_endpoints = {}", plan.needed());
        }
        if plan.ignore_subnet {
            text.push_str("client_subnet = false\n");
        }
        text.push_str("\n[services.endpoints]\n");
        for position in endpoint_order(plan) {
            let endpoints: Vec<String> =
                plan.regions[position].endpoints.iter().map(|it| endpoint(it, check.as_deref())).collect();
            let _ = writeln!(text, "{} = [{}]", names[position], endpoints.join(", "));
        }
        text.push_str(&fences(plan, &names));
        if plan.regions.iter().any(|region| region.answers != plan.regions[0].answers) && plan.answers() > 1 {
            let sentence = "answers: a service gives as many addresses from each region, and here regions differ";
            notes.add(&record.place, sentence);
        }
        self.text += &text;
        self.text.push('\n');
        self.count += 1;
    }

    /// The name of a region here. The same name elsewhere is another region if it is somewhere else.
    fn region(&mut self, region: &Region, must_be_somewhere: bool) -> String {
        // Where no distance counts, any place will do.
        let location = region.location.or(must_be_somewhere.then_some([0.0, 0.0]));
        let name = self.labels.name(&region.name);
        match self.regions.get(&name).copied() {
            Some(Some(known)) if location.is_some_and(|location| location != known) => {
                let name = self.labels.name(&format!("{} {location:?}", region.name));
                self.regions.insert(name.clone(), location);
                name
            }
            known => {
                self.regions.insert(name.clone(), location.or(known.flatten()));
                name
            }
        }
    }

    /// Regions and services, with the checks between them.
    pub fn toml(&self, checks: &str) -> String {
        let mut text = String::new();
        for (name, location) in &self.regions {
            let _ = writeln!(text, "[regions.{name}]");
            if let Some([latitude, longitude]) = location {
                let _ = writeln!(text, "location = [{latitude:?}, {longitude:?}]");
            }
        }
        format!("{text}\n{checks}{}", self.text)
    }
}

/// Regions in the order of preference, then those that only some clients get.
fn endpoint_order(plan: &Plan) -> Vec<usize> {
    let others = (0..plan.regions.len()).filter(|position| !plan.otherwise.contains(position));
    let used = |position: &usize| plan.rules.iter().any(|(_, regions)| regions.contains(position));
    plan.otherwise.iter().copied().chain(others.filter(used)).collect()
}

/// A rule for each place, those that follow each other with the same regions together; at last all other clients, if
/// they do not get every region.
fn fences(plan: &Plan, names: &[String]) -> String {
    let mut text = String::new();
    let mut rest = &plan.rules[..];
    while let Some((_, regions)) = rest.first() {
        let count = rest.iter().take_while(|(_, other)| other == regions).count();
        let (same, after) = rest.split_at(count);
        let _ = writeln!(text, "\n[[services.fence]]\nclients = {{ {} }}", clients(same));
        let _ = writeln!(text, "regions = [{}]", listed(regions, names));
        rest = after;
    }
    if endpoint_order(plan).len() > plan.otherwise.len() {
        let _ = writeln!(text, "\n[[services.fence]]\nregions = [{}]", listed(&plan.otherwise, names));
    }
    text
}

fn listed(regions: &[usize], names: &[String]) -> String {
    regions.iter().map(|position| format!("\"{}\"", names[*position])).collect::<Vec<_>>().join(", ")
}

/// The keys of `clients`.
fn clients(rules: &[(Clients, Vec<usize>)]) -> String {
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (clients, _) in rules {
        let (kind, value) = match clients {
            Clients::Network(address, length) => ("networks", format!("{address}/{length}")),
            Clients::Subdivision(code) => ("subdivisions", code.clone()),
            Clients::Country(code) => ("countries", code.clone()),
            Clients::Continent(code) => ("continents", code.clone()),
        };
        kinds.entry(kind).or_default().push(toml_text(&value));
    }
    let keys = kinds.iter().map(|(kind, values)| format!("{kind} = [{}]", values.join(", ")));
    keys.collect::<Vec<_>>().join(", ")
}

fn endpoint(endpoint: &Endpoint, service_check: Option<&str>) -> String {
    let (key, target) = match &endpoint.target {
        Target::Address(address) => ("address", address.to_string()),
        Target::Name(name) => ("cname", name.trim_end_matches('.').to_owned()),
    };
    let mut keys = format!("{key} = {}", toml_text(&target));
    if endpoint.weight != 100 {
        let _ = write!(keys, ", weight = {}", endpoint.weight);
    }
    match endpoint.check.as_deref().filter(|check| Some(*check) != service_check) {
        Some(check) => format!("{{ {keys}, check = \"{check}\" }}"),
        None if key == "address" && endpoint.weight == 100 => toml_text(&target),
        None => format!("{{ {keys} }}"),
    }
}

/// One number where health is not to be followed.
fn ttl(record: &Dynamic, (least, most): (u32, u32)) -> String {
    let (max, min) = record.ttl.unwrap_or((86_400, 43_200));
    let max = max.clamp(least, most.max(least));
    let min = min.clamp(least, max);
    if min == max { max.to_string() } else { format!("{{ max = {max}, min = {min} }}") }
}

/// Controls have no place in a comment.
fn comment(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
