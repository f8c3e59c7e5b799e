//! Writes plans as the text of a configuration.
//!
//! Several services often share the fences of one gdnsd map. Such a list of fences is written once,
//! under a name, and the services refer to it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::checks::ImportedChecks;
use super::draft::TextDraft;
use super::labels::LabelTable;
use super::maps::RuleClients;
use super::notes::ImportNotes;
use super::options::TtlBounds;
use super::plan::{ImportedEndpoint, ImportedRegion, ImportedTarget, PlanRule, ResourcePlan};
use super::source::ImportSource;
use super::ttl::TtlRange;
use super::zones::DynamicRecord;
use crate::text::toml_text;

/// Services and the regions that they use, so far.
#[derive(Debug, Default)]
pub struct ImportedServices {
    labels: LabelTable,
    /// The location of each region, by its name.
    regions: BTreeMap<String, Option<[f64; 2]>>,
    lists: Vec<FenceList>,
    /// The positions of lists, by their fences.
    known_lists: HashMap<Vec<String>, usize>,
    services: Vec<Service>,
}

/// The text of a service.
#[derive(Debug)]
struct Service {
    source: ImportSource,
    /// The keys of the service itself.
    keys: String,
    /// The position of its list of fences.
    fences: Option<usize>,
    /// `[services.endpoints]`
    endpoints: String,
}

/// Fences in their order.
#[derive(Debug)]
struct FenceList {
    /// The map that the fences come from.
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
        let mut pairs = plan.regions.windows(2);
        if plan.answers() > 1 && pairs.any(|pair| pair[0].answers != pair[1].answers) {
            let sentence = "answers: a service returns the same number of addresses from each region, \
                            and here regions differ";
            notes.add(&record.place, sentence);
        }
        let check = plan.check();
        let mut endpoints = String::new();
        for position in plan.preference() {
            let mut listed = Vec::new();
            for it in &plan.regions[position].endpoints {
                listed.push(endpoint(it, check.as_deref()));
            }
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

    /// The name of a region. The same name at another location becomes another region.
    fn region(&mut self, region: &ImportedRegion, must_be_somewhere: bool) -> String {
        // A service that orders by distance needs a location for each region.
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

    /// Writes the regions, the checks, the shared lists of fences, and the services.
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
            let Some(name) = name else { continue };
            for fence in &list.fences {
                draft.push(&format!("[[fences.{name}]]\n{fence}\n"), None);
            }
        }
        for service in &self.services {
            let mut text = service.keys.clone();
            let mut own_fences = "".to_owned();
            if let Some(at) = service.fences {
                if let Some(name) = &names[at] {
                    let _ = writeln!(text, "fences = \"{name}\"");
                } else {
                    for fence in &self.lists[at].fences {
                        let _ = write!(own_fences, "\n[[services.fence]]\n{fence}");
                    }
                }
            }
            let endpoints = &service.endpoints;
            let _ = write!(text, "\n[services.endpoints]\n{endpoints}{own_fences}\n");
            draft.push(&text, Some(service.source.clone()));
        }
    }

    /// A name for each list that several services share: the name of its map, with a number from
    /// the second list on.
    fn list_names(&self) -> Vec<Option<String>> {
        let (mut labels, mut counts) = (LabelTable::default(), HashMap::new());
        let mut names = Vec::new();
        for list in &self.lists {
            if list.uses < 2 {
                names.push(None);
                continue;
            }
            let count = counts.entry(&list.map).or_insert(0);
            *count += 1;
            names.push(Some(match *count {
                1 => labels.name(&list.map),
                _ => labels.name(&format!("{} {count}", list.map)),
            }));
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

/// The fences of a plan: one for each run of rules with the same regions. A last one for all other
/// clients follows if they do not get every region. A fence without regions excludes its clients.
fn fences(plan: &ResourcePlan, names: &[String]) -> Vec<String> {
    let mut fences = Vec::new();
    for run in plan.rules.chunk_by(|one, next| one.regions == next.regions) {
        fences.push(format!(
            "clients = {{ {} }}\nregions = [{}]\n",
            clients(run),
            listed(&run[0].regions, names)
        ));
    }
    if plan.preference().len() > plan.otherwise.len() {
        fences.push(format!("regions = [{}]\n", listed(&plan.otherwise, names)));
    }
    fences
}

fn listed(regions: &[usize], names: &[String]) -> String {
    let mut quoted = Vec::new();
    for position in regions {
        quoted.push(format!("\"{}\"", names[*position]));
    }
    quoted.join(", ")
}

/// The keys of `clients`.
fn clients(rules: &[PlanRule]) -> String {
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for rule in rules {
        let (kind, value) = match &rule.clients {
            RuleClients::Network(address, length) => ("networks", format!("{address}/{length}")),
            RuleClients::Subdivision(code) => ("subdivisions", code.clone()),
            RuleClients::Country(code) => ("countries", code.clone()),
            RuleClients::Continent(code) => ("continents", code.clone()),
        };
        kinds.entry(kind).or_default().push(toml_text(&value));
    }
    let mut keys = Vec::new();
    for (kind, values) in kinds {
        keys.push(format!("{kind} = [{}]", values.join(", ")));
    }
    keys.join(", ")
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
    match endpoint.check.as_deref() {
        Some(check) if service_check != Some(check) => {
            format!("{{ {keys}, check = \"{check}\" }}")
        }
        _ if key == "address" && endpoint.weight == 100 => toml_text(&target),
        _ => format!("{{ {keys} }}"),
    }
}

/// The TTL of a service: one number, or a range that follows its health.
fn ttl(record: &DynamicRecord, ttls: &TtlBounds) -> String {
    let stated = record.ttl.unwrap_or(TtlRange {
        max: ttls.default,
        min: ttls.default / 2,
    });
    let max = ttls.clamp(stated.max);
    let min = stated.min.clamp(ttls.least.min(max), max);
    if min == max {
        max.to_string()
    } else {
        format!("{{ max = {max}, min = {min} }}")
    }
}

/// Removes control characters, which a comment must not contain.
fn comment(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
