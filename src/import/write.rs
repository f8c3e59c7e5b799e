//! Writes plans as the text of a configuration.
//!
//! Several services often share the fences of one gdnsd map, the endpoints of one resource, and
//! their settings. Each of these is written once, as a list of fences, a pool or a policy with a
//! name, and the services refer to it.

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
    lists: SharedTexts,
    services: Vec<Service>,
}

/// The text of a service.
#[derive(Debug)]
struct Service {
    source: ImportSource,
    /// The gdnsd resource that it comes from.
    resource: String,
    /// Its name.
    name: String,
    /// `order`
    order: &'static str,
    /// The keys that a policy can hold, but for the fences.
    keys: String,
    /// The position of its list of fences.
    fences: Option<usize>,
    /// `[services.endpoints]`
    endpoints: String,
}

/// Texts that several services may share, such as lists of fences.
#[derive(Debug, Default)]
struct SharedTexts {
    texts: Vec<SharedText>,
    /// Positions by content.
    known: HashMap<Vec<String>, usize>,
}

#[derive(Debug)]
struct SharedText {
    /// What it is called, if it gets a name.
    title: String,
    /// Its parts, such as the keys of each fence.
    parts: Vec<String>,
    /// How many services have it.
    uses: usize,
}

impl SharedTexts {
    /// Counts one more use of a text. Returns its position.
    fn add(&mut self, title: &str, parts: Vec<String>) -> usize {
        let next = self.texts.len();
        let at = *self.known.entry(parts.clone()).or_insert(next);
        if at == next {
            self.texts.push(SharedText {
                title: title.to_owned(),
                parts,
                uses: 0,
            });
        }
        self.texts[at].uses += 1;
        at
    }

    /// A name for each text that several services share: its title, with a number from the second
    /// text of this title on.
    fn names(&self) -> Vec<Option<String>> {
        let (mut labels, mut counts) = (LabelTable::default(), HashMap::new());
        let mut names = Vec::new();
        for SharedText { title, uses, .. } in &self.texts {
            if *uses < 2 {
                names.push(None);
                continue;
            }
            let count = counts.entry(title).or_insert(0);
            *count += 1;
            names.push(Some(match *count {
                1 => labels.name(title),
                _ => labels.name(&format!("{title} {count}")),
            }));
        }
        names
    }
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
        let fences = fences(plan, &names);
        let mut list = None;
        if !fences.is_empty() {
            let map = plan.map.as_deref().unwrap_or("fences");
            list = Some(self.lists.add(map, fences));
        }
        self.services.push(Service {
            resource: resource_of(&record.reference).to_owned(),
            name: named(record),
            order: order(plan),
            keys: keys(record, plan, check.as_deref(), ttls),
            source,
            fences: list,
            endpoints,
        });
    }

    /// How many services there are.
    pub fn count(&self) -> usize {
        self.services.len()
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

    /// Writes the regions, the checks, what services share, and the services.
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
        let lists = self.lists.names();
        for (list, name) in self.lists.texts.iter().zip(&lists) {
            let Some(name) = name else { continue };
            for fence in &list.parts {
                draft.push(&format!("[[fences.{name}]]\n{fence}\n"), None);
            }
        }
        let (mut policies, mut pools) = (SharedTexts::default(), SharedTexts::default());
        let mut places = Vec::new();
        for service in &self.services {
            let mut keys = service.keys.clone();
            if let Some(name) = service.fences.and_then(|at| lists[at].as_ref()) {
                let _ = writeln!(keys, "fences = \"{name}\"");
            }
            let endpoints = service.endpoints.clone();
            places.push((
                policies.add(service.order, vec![keys]),
                pools.add(&service.resource, vec![endpoints]),
            ));
        }
        let (policies, pools) = (NamedTexts::of(policies), NamedTexts::of(pools));
        policies.write("policies", draft);
        pools.write("pools", draft);
        for (service, (policy, pool)) in self.services.iter().zip(places) {
            let mut text = service.name.clone();
            text += &match &policies.names[policy] {
                Some(name) => format!("policy = \"{name}\"\n"),
                None => policies.text(policy).to_owned(),
            };
            text += &match &pools.names[pool] {
                Some(name) => format!("pool = \"{name}\"\n"),
                None => format!("\n[services.endpoints]\n{}", pools.text(pool)),
            };
            if let Some(at) = service.fences
                && lists[at].is_none()
            {
                for fence in &self.lists.texts[at].parts {
                    let _ = write!(text, "\n[[services.fence]]\n{fence}");
                }
            }
            text.push('\n');
            draft.push(&text, Some(service.source.clone()));
        }
    }
}

/// Texts of one part, with the names of those that services share.
struct NamedTexts {
    texts: SharedTexts,
    names: Vec<Option<String>>,
}

impl NamedTexts {
    fn of(texts: SharedTexts) -> NamedTexts {
        let names = texts.names();
        NamedTexts { texts, names }
    }

    fn text(&self, at: usize) -> &str {
        &self.texts.texts[at].parts[0]
    }

    /// Writes the tables `[KIND.NAME]` of the texts that have a name.
    fn write(&self, kind: &str, draft: &mut TextDraft) {
        for (at, name) in self.names.iter().enumerate() {
            if let Some(name) = name {
                draft.push(&format!("[{kind}.{name}]\n{}\n", self.text(at)), None);
            }
        }
    }
}

/// The resource of a reference such as `geoip!www`.
fn resource_of(reference: &str) -> &str {
    let (_, resource) = reference.split_once('!').unwrap_or(("", reference));
    resource
}

/// The head of a service.
fn named(record: &DynamicRecord) -> String {
    format!(
        "# {}: {}\n[[services]]\nname = {}\n",
        comment(&record.place.to_string()),
        comment(&record.reference),
        toml_text(&record.name)
    )
}

/// How the regions of a plan are ordered.
fn order(plan: &ResourcePlan) -> &'static str {
    match plan {
        ResourcePlan { nearest: true, .. } => "nearest",
        ResourcePlan { regions, .. } if regions.len() == 1 => "none",
        _ => "priority",
    }
}

/// The keys of a service that a policy can hold.
fn keys(
    record: &DynamicRecord,
    plan: &ResourcePlan,
    check: Option<&str>,
    ttls: &TtlBounds,
) -> String {
    let mut text = format!(
        "ttl = {}\norder = \"{}\"\nanswers = {}\n",
        ttl(record, ttls),
        order(plan),
        plan.answers()
    );
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
