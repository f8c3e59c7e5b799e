//! Plans as the text of a configuration. Fences that several services share are written once, as a list with a name.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::checks::ImportedChecks;
use super::draft::TextDraft;
use super::labels::LabelTable;
use super::maps::RuleClients;
use super::notes::{ImportNotes, ImportSource};
use super::options::TtlBounds;
use super::plan::{ImportedEndpoint, ImportedRegion, ImportedTarget, ResourcePlan};
use super::zones::DynamicRecord;
use crate::text::toml_text;

/// Services and the regions that they use, so far.
#[derive(Debug, Default)]
pub struct ImportedServices {
    labels: LabelTable,
    /// By name: where it is.
    regions: BTreeMap<String, Option<[f64; 2]>>,
    lists: Vec<FenceList>,
    /// Where lists stand, by their fences.
    known_lists: HashMap<Vec<String>, usize>,
    services: Vec<Service>,
}

/// A service as it is written.
#[derive(Debug)]
struct Service {
    source: ImportSource,
    /// The keys of the service itself.
    keys: String,
    /// Its fences, by the position of their list.
    fences: Option<usize>,
    /// `[services.endpoints]`
    endpoints: String,
}

/// Fences in their order.
#[derive(Debug)]
struct FenceList {
    /// The map that they come from.
    map: String,
    /// The keys of each fence.
    fences: Vec<String>,
    /// How many services have it.
    uses: usize,
}

impl ImportedServices {
    /// Adds the service of a record.
    pub fn add(
        &mut self,
        record: &DynamicRecord,
        mut plan: ResourcePlan,
        ttls: &TtlBounds,
        notes: &mut ImportNotes,
    ) {
        let source = ImportSource::new(&record.place, &*record.name);
        if notes.refuses(&source) {
            return;
        }
        for sentence in plan.part_regions() {
            notes.add(
                &record.place,
                format!("{} {}: {sentence}", record.name, record.reference),
            );
        }
        let plan = &plan;
        let mut names = vec![String::new(); plan.regions.len()];
        for position in plan.preference() {
            names[position] = self.region(&plan.regions[position], plan.nearest);
        }
        if plan.answers() > 1
            && plan
                .regions
                .iter()
                .any(|region| region.answers != plan.regions[0].answers)
        {
            let sentence = "answers: a service gives as many addresses from each region, and here regions differ";
            notes.add(&record.place, sentence);
        }
        let check = plan.check();
        let mut endpoints = String::new();
        for position in plan.preference() {
            let listed: Vec<String> = plan.regions[position]
                .endpoints
                .iter()
                .map(|it| endpoint(it, check.as_deref()))
                .collect();
            let _ = writeln!(endpoints, "{} = [{}]", names[position], listed.join(", "));
        }
        let fences = self.list(
            plan.map.as_deref().unwrap_or("fences"),
            fences(plan, &names),
        );
        self.services.push(Service {
            keys: keys(record, plan, check.as_deref(), ttls),
            source,
            fences,
            endpoints,
        });
    }

    /// How many services there are.
    pub fn count(&self) -> usize {
        self.services.len()
    }

    /// The position of a list of fences; `None` if there are no fences.
    fn list(&mut self, map: &str, fences: Vec<String>) -> Option<usize> {
        if fences.is_empty() {
            return None;
        }
        let at = match self.known_lists.get(&fences) {
            Some(at) => *at,
            None => {
                self.known_lists.insert(fences.clone(), self.lists.len());
                self.lists.push(FenceList {
                    map: map.to_owned(),
                    fences,
                    uses: 0,
                });
                self.lists.len() - 1
            }
        };
        self.lists[at].uses += 1;
        Some(at)
    }

    /// The name of a region here. The same name elsewhere is another region if it is somewhere else.
    fn region(&mut self, region: &ImportedRegion, must_be_somewhere: bool) -> String {
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
                self.regions
                    .insert(name.clone(), location.or(known.flatten()));
                name
            }
        }
    }

    /// Writes regions, checks, lists of fences that are shared, and services.
    pub fn write(&self, checks: &ImportedChecks, draft: &mut TextDraft) {
        for (name, location) in &self.regions {
            let mut text = format!("[regions.{name}]\n");
            if let Some([latitude, longitude]) = location {
                let _ = writeln!(text, "location = [{latitude:?}, {longitude:?}]");
            }
            draft.push(&text, None);
        }
        draft.push("\n", None);
        checks.write(draft);
        let names = self.list_names();
        for (list, name) in self.lists.iter().zip(&names) {
            for fence in name.iter().flat_map(|_| &list.fences) {
                draft.push(
                    &format!(
                        "[[fences.{}]]\n{fence}\n",
                        name.as_deref().unwrap_or_default()
                    ),
                    None,
                );
            }
        }
        for service in &self.services {
            let Service {
                source,
                keys,
                fences,
                endpoints,
            } = service;
            let name = fences.and_then(|at| names[at].as_deref());
            let shared = name.map_or(String::new(), |name| format!("fences = \"{name}\"\n"));
            let mut text = format!("{keys}{shared}\n[services.endpoints]\n{endpoints}");
            if let (Some(at), None) = (fences, name) {
                for fence in &self.lists[*at].fences {
                    let _ = write!(text, "\n[[services.fence]]\n{fence}");
                }
            }
            text.push('\n');
            draft.push(&text, Some(source.clone()));
        }
    }

    /// A name for each list that more than one service has: that of its map, with a number from the second on.
    fn list_names(&self) -> Vec<Option<String>> {
        let (mut labels, mut counts) = (LabelTable::default(), HashMap::new());
        let mut names = Vec::new();
        for list in &self.lists {
            let count = counts.entry(&list.map).or_insert(0);
            *count += i32::from(list.uses > 1);
            let original = if *count > 1 {
                format!("{} {count}", list.map)
            } else {
                list.map.clone()
            };
            names.push((list.uses > 1).then(|| labels.name(&original)));
        }
        names
    }
}

/// The keys of a service.
fn keys(
    record: &DynamicRecord,
    plan: &ResourcePlan,
    check: Option<&str>,
    ttls: &TtlBounds,
) -> String {
    let order = match plan {
        ResourcePlan { nearest: true, .. } => "nearest",
        ResourcePlan { regions, .. } if regions.len() == 1 => "none",
        _ => "priority",
    };
    let mut text = format!(
        "# {}: {}\n[[services]]\n",
        comment(&record.place.to_string()),
        comment(&record.reference)
    );
    let _ = writeln!(
        text,
        "name = {}\nttl = {}",
        toml_text(&record.name),
        ttl(record, ttls)
    );
    let _ = writeln!(text, "order = \"{order}\"\nanswers = {}", plan.answers());
    if let Some(check) = check {
        let _ = writeln!(text, "check = \"{check}\"");
    }
    if plan.needed() > 1 {
        let _ = writeln!(text, "min_endpoints = {}", plan.needed());
    }
    if plan.ignore_subnet {
        text.push_str("client_subnet = false\n");
    }
    text
}

/// A fence for each place, those that follow each other with the same regions together; at last all other clients, if
/// they do not get every region. No region: nobody is meant to serve these clients.
fn fences(plan: &ResourcePlan, names: &[String]) -> Vec<String> {
    let mut fences = Vec::new();
    let mut rest = &plan.rules[..];
    while let Some((_, regions)) = rest.first() {
        let count = rest
            .iter()
            .take_while(|(_, other)| other == regions)
            .count();
        let (same, after) = rest.split_at(count);
        fences.push(format!(
            "clients = {{ {} }}\nregions = [{}]\n",
            clients(same),
            listed(regions, names)
        ));
        rest = after;
    }
    if plan.preference().len() > plan.otherwise.len() {
        fences.push(format!("regions = [{}]\n", listed(&plan.otherwise, names)));
    }
    fences
}

fn listed(regions: &[usize], names: &[String]) -> String {
    regions
        .iter()
        .map(|position| format!("\"{}\"", names[*position]))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The keys of `clients`.
fn clients(rules: &[(RuleClients, Vec<usize>)]) -> String {
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (clients, _) in rules {
        let (kind, value) = match clients {
            RuleClients::Network(address, length) => ("networks", format!("{address}/{length}")),
            RuleClients::Subdivision(code) => ("subdivisions", code.clone()),
            RuleClients::Country(code) => ("countries", code.clone()),
            RuleClients::Continent(code) => ("continents", code.clone()),
        };
        kinds.entry(kind).or_default().push(toml_text(&value));
    }
    let keys = kinds
        .iter()
        .map(|(kind, values)| format!("{kind} = [{}]", values.join(", ")));
    keys.collect::<Vec<_>>().join(", ")
}

fn endpoint(endpoint: &ImportedEndpoint, service_check: Option<&str>) -> String {
    let (key, target) = match &endpoint.target {
        ImportedTarget::Address(address) => ("address", address.to_string()),
        ImportedTarget::Name(name) => ("cname", name.trim_end_matches('.').to_owned()),
    };
    let mut keys = format!("{key} = {}", toml_text(&target));
    if endpoint.weight != 100 {
        let _ = write!(keys, ", weight = {}", endpoint.weight);
    }
    match endpoint
        .check
        .as_deref()
        .filter(|check| Some(*check) != service_check)
    {
        Some(check) => format!("{{ {keys}, check = \"{check}\" }}"),
        None if key == "address" && endpoint.weight == 100 => toml_text(&target),
        None => format!("{{ {keys} }}"),
    }
}

/// One number where health is not to be followed.
fn ttl(record: &DynamicRecord, ttls: &TtlBounds) -> String {
    let (max, min) = record.ttl.unwrap_or((ttls.default, ttls.default / 2));
    let max = ttls.clamp(max);
    let min = min.clamp(ttls.least.min(max), max);
    if min == max {
        max.to_string()
    } else {
        format!("{{ max = {max}, min = {min} }}")
    }
}

/// Controls have no place in a comment.
fn comment(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
