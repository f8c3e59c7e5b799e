//! Resources of gdnsd's plugins, by the name that a DYNA or DYNC record gives, as plans.

use std::collections::HashMap;

use super::checks::Checks;
use super::maps::{Choice, Map};
use super::notes::Notes;
use super::plan::{Endpoint, Plan, Region, Target};
use super::vscf::{Content, Place, Table, Value};

/// Deepest reference of a resource to others.
const DEEPEST: usize = 16;

/// What a hash inherits from those around it.
#[derive(Debug, Clone)]
struct Inherited {
    plugin: String,
    service_types: Vec<String>,
    threshold: f64,
    multi: bool,
    skip_first: bool,
}

impl Default for Inherited {
    fn default() -> Self {
        let plugin = "multifo".to_owned();
        Inherited { plugin, service_types: vec!["up".to_owned()], threshold: 0.5, multi: false, skip_first: false }
    }
}

/// Keys that are no endpoints.
const PARAMETERS: [&str; 7] =
    ["service_types", "up_thresh", "multi", "ignore_health", "plugin", "skip_first", "undefined_datacenters_ok"];

impl Inherited {
    fn with(&self, table: &Table, notes: &mut Notes) -> Inherited {
        let truth = |key: &str, was| table.text(key).map_or(was, |text| text.eq_ignore_ascii_case("true"));
        if truth("ignore_health", false)
            && let Some(entry) = table.0.iter().find(|entry| entry.key == "ignore_health")
        {
            notes.add(&entry.place, "ignore_health: what is down is left out here");
        }
        Inherited {
            plugin: table.text("plugin").map_or(self.plugin.clone(), str::to_owned),
            service_types: table.get("service_types").map_or(self.service_types.clone(), Value::texts),
            threshold: table.text("up_thresh").and_then(|text| text.parse().ok()).unwrap_or(self.threshold),
            multi: truth("multi", self.multi),
            skip_first: truth("skip_first", self.skip_first),
        }
    }
}

/// Everything that resources are made from.
#[derive(Debug)]
pub struct Resources<'c> {
    pub plugins: &'c Table,
    pub maps: HashMap<String, Map>,
    pub checks: Checks,
}

impl Resources<'_> {
    /// The plan of `plugin!resource` or `plugin!resource/datacenter`; why there is none.
    pub fn find(&mut self, reference: &str, notes: &mut Notes) -> Result<Plan, String> {
        let (plugin, resource) = reference.split_once('!').unwrap_or((reference, ""));
        self.named(plugin, resource, 0, notes)
    }

    fn named(&mut self, plugin: &str, resource: &str, depth: usize, notes: &mut Notes) -> Result<Plan, String> {
        if depth > DEEPEST {
            return Err(format!("{plugin}!{resource} leads to itself"));
        }
        if matches!(plugin, "null" | "reflect") {
            return Err(format!("the plugin {plugin} is for tests; there is nothing like it here"));
        }
        let plugins = self.plugins;
        let table = plugins.table(plugin).ok_or_else(|| format!("the plugin {plugin} has no configuration"))?;
        let meta = matches!(plugin, "metafo" | "geoip");
        let inherited = Inherited::default().with(table, notes);
        let (name, datacenter) = match resource.split_once('/') {
            Some((name, datacenter)) if meta => (name, Some(datacenter)),
            _ => (resource, None),
        };
        let holder = if meta { table.table("resources") } else { Some(table) };
        let value = holder.and_then(|holder| holder.get(name)).filter(|_| !PARAMETERS.contains(&name));
        let value = value.ok_or_else(|| format!("there is no resource {plugin}!{name}"))?;
        self.of_plugin(plugin, name, datacenter, value, &inherited, depth, notes)
    }

    #[allow(clippy::too_many_arguments)] // Each is one word of a reference, or what is read meanwhile.
    fn of_plugin(
        &mut self,
        plugin: &str,
        name: &str,
        datacenter: Option<&str>,
        value: &Value,
        inherited: &Inherited,
        depth: usize,
        notes: &mut Notes,
    ) -> Result<Plan, String> {
        match plugin {
            "multifo" | "weighted" | "simplefo" | "static" => {
                Leaf::new(self, notes).plan(plugin, name, value, inherited)
            }
            "metafo" | "geoip" => {
                let table = value.table().ok_or_else(|| format!("{plugin}!{name} is no hash"))?;
                let inherited = inherited.with(table, notes);
                let children = self.children(name, table, &inherited, depth, notes)?;
                if let Some(datacenter) = datacenter {
                    let child = children.into_iter().find(|(name, _)| name == datacenter);
                    return child.map(|(_, plan)| plan).ok_or_else(|| format!("{name} has no {datacenter}"));
                }
                match plugin {
                    "metafo" => ordered(table, children, &inherited),
                    _ => self.by_map(table, children, &inherited, notes),
                }
            }
            _ => Err(format!("the plugin {plugin} is not known")),
        }
    }

    /// The plans of the datacenters of `dcmap`.
    fn children(
        &mut self,
        name: &str,
        table: &Table,
        inherited: &Inherited,
        depth: usize,
        notes: &mut Notes,
    ) -> Result<Vec<(String, Plan)>, String> {
        let datacenters = table.table("dcmap").ok_or_else(|| format!("{name} has no dcmap"))?;
        let mut children = Vec::new();
        for entry in &datacenters.0 {
            let plan = self.child(&entry.key, &entry.value, inherited, depth, notes)?;
            children.push((entry.key.clone(), plan));
        }
        Ok(children)
    }

    /// gdnsd-plugin-metafo(8), "PER-DATACENTER RESOLUTION".
    fn child(
        &mut self,
        name: &str,
        value: &Value,
        inherited: &Inherited,
        depth: usize,
        notes: &mut Notes,
    ) -> Result<Plan, String> {
        if let Some(text) = value.text() {
            if let Some((plugin, resource)) = text.split_once('!') {
                let plugin = plugin.strip_prefix('%').filter(|plugin| !plugin.is_empty());
                let plugin = plugin.unwrap_or(&inherited.plugin).to_owned();
                return self.named(&plugin, resource, depth + 1, notes);
            }
            return Leaf::new(self, notes).plan("multifo", name, value, inherited);
        }
        let plugin = match value.table() {
            Some(table) => table.text("plugin").unwrap_or(&inherited.plugin).to_owned(),
            None => "multifo".to_owned(),
        };
        self.of_plugin(&plugin, name, None, value, inherited, depth + 1, notes)
    }

    fn by_map(
        &mut self,
        table: &Table,
        children: Vec<(String, Plan)>,
        inherited: &Inherited,
        notes: &mut Notes,
    ) -> Result<Plan, String> {
        let name = table.text("map").ok_or("the resource names no map")?;
        let map = self.maps.get(name).ok_or_else(|| format!("there is no map {name:?}"))?.clone();
        let nearest = map.otherwise == Choice::Auto;
        let mut plan = Plan { nearest, ignore_subnet: map.ignore_subnet, ..Plan::default() };
        let positions = adopt_all(&mut plan, &map, children)?;
        if inherited.skip_first && nearest {
            return Err("skip_first of what is ordered by distance has nothing like it here".to_owned());
        }
        let skipped = usize::from(inherited.skip_first);
        let listed = |names: &[String]| -> Vec<usize> {
            let skipped = if names.len() > 1 { skipped } else { 0 };
            names.iter().skip(skipped).filter_map(|name| positions.get(name)).flatten().copied().collect()
        };
        let located = map.datacenters.iter().filter(|name| map.coordinates.contains_key(*name)).cloned();
        let by_distance = listed(&located.collect::<Vec<_>>());
        plan.otherwise = match &map.otherwise {
            Choice::Auto => by_distance.clone(),
            Choice::Listed(names) => listed(names),
        };
        for (clients, choice, place) in &map.rules {
            let regions = match choice {
                Choice::Auto => by_distance.clone(),
                Choice::Listed(names) => listed(names),
            };
            if let Some(sentence) = unlike(choice, nearest, &regions) {
                notes.add(place, sentence);
            }
            if !regions.is_empty() {
                plan.rules.push((clients.clone(), regions));
            }
        }
        Ok(plan)
    }
}

/// Why a rule does not hold here as it does there.
fn unlike(choice: &Choice, nearest: bool, regions: &[usize]) -> Option<&'static str> {
    match choice {
        _ if regions.is_empty() => Some("no datacenter: a fence needs regions, so these clients get the others'"),
        Choice::Auto if !nearest => Some("auto: a service has one order, so these clients get the regions as listed"),
        Choice::Listed(_) if nearest && regions.len() > 1 => {
            Some("these clients get exactly these regions, but the nearest of them first, not the first that is listed")
        }
        _ => None,
    }
}

/// Takes the regions of all datacenters in, in the map's order.
fn adopt_all(plan: &mut Plan, map: &Map, children: Vec<(String, Plan)>) -> Result<HashMap<String, Vec<usize>>, String> {
    let mut children: HashMap<String, Plan> = children.into_iter().collect();
    let mut positions = HashMap::new();
    for name in &map.datacenters {
        let Some(child) = children.remove(name) else { continue };
        if !child.is_list() {
            return Err(format!("{name}: what is located inside what is located has nothing like it here"));
        }
        let taken = plan.adopt(name, child);
        for position in &taken {
            plan.regions[*position].location = map.coordinates.get(name).copied();
        }
        positions.insert(name.clone(), taken);
    }
    Ok(positions)
}

/// metafo: one datacenter after the other. One of them may be by location, if all others are plain.
fn ordered(table: &Table, children: Vec<(String, Plan)>, inherited: &Inherited) -> Result<Plan, String> {
    let names = table.get("datacenters").map(Value::texts).unwrap_or_default();
    let skipped = usize::from(inherited.skip_first && names.len() > 1);
    let mut children: HashMap<String, Plan> = children.into_iter().collect();
    let mut plan = Plan::default();
    for name in names.iter().skip(skipped) {
        let mut child = children.remove(name).ok_or_else(|| format!("dcmap has no {name}"))?;
        if child.nearest {
            return Err(format!("{name} is ordered by distance, and a service has one order; put it into two names"));
        }
        if !child.is_list() && !plan.is_list() {
            return Err(format!("{name} is the second of this resource that goes by location"));
        }
        let start = plan.regions.len();
        plan.ignore_subnet |= child.ignore_subnet;
        let rules = std::mem::take(&mut child.rules);
        let taken = plan.adopt(name, child);
        let before = plan.otherwise.clone();
        plan.rules.iter_mut().for_each(|(_, regions)| regions.extend(&taken));
        plan.rules.extend(rules.into_iter().map(|(clients, regions)| {
            let own = regions.into_iter().map(|position| position + start);
            (clients, before.iter().copied().chain(own).collect())
        }));
        plan.otherwise.extend(taken);
    }
    if plan.regions.is_empty() { Err("it has no datacenters".to_owned()) } else { Ok(plan) }
}

/// Reads the endpoints of one region.
struct Leaf<'r, 'c> {
    resources: &'r mut Resources<'c>,
    notes: &'r mut Notes,
    endpoints: Vec<Endpoint>,
    needed: usize,
    answers: usize,
}

impl<'r, 'c> Leaf<'r, 'c> {
    fn new(resources: &'r mut Resources<'c>, notes: &'r mut Notes) -> Self {
        Leaf { resources, notes, endpoints: Vec::new(), needed: 0, answers: 1 }
    }

    fn plan(mut self, plugin: &str, name: &str, value: &Value, inherited: &Inherited) -> Result<Plan, String> {
        self.family(plugin, value, inherited)?;
        if self.endpoints.is_empty() {
            return Err(format!("{plugin}!{name} has no endpoints"));
        }
        let Leaf { endpoints, needed, answers, .. } = self;
        Ok(Plan::of(Region { name: name.to_owned(), endpoints, answers, needed, location: None }))
    }

    /// All endpoints of a hash, or of its `addrs_v4` and `addrs_v6`.
    fn family(&mut self, plugin: &str, value: &Value, inherited: &Inherited) -> Result<(), String> {
        let inherited = value.table().map_or(inherited.clone(), |table| inherited.with(table, self.notes));
        let families = value.table().map(|table| ["addrs_v4", "addrs_v6"].map(|key| table.get(key)));
        if let Some(families) = families.filter(|families| families.iter().any(Option::is_some)) {
            for family in families.into_iter().flatten() {
                self.family(plugin, family, &inherited)?;
            }
            return Ok(());
        }
        let before = self.endpoints.len();
        match plugin {
            "weighted" => self.weighted(value, &inherited)?,
            "simplefo" => self.simplefo(value, &inherited)?,
            _ => self.multifo(value, &inherited)?,
        }
        let count = self.endpoints.len() - before;
        self.needed += if plugin == "simplefo" { 1 } else { (inherited.threshold * count as f64).ceil() as usize };
        if plugin == "multifo" || (plugin == "weighted" && inherited.multi) {
            self.answers = self.answers.max(count);
        }
        Ok(())
    }

    fn multifo(&mut self, value: &Value, inherited: &Inherited) -> Result<(), String> {
        let values: Vec<&Value> = match &value.content {
            Content::Table(table) => items(table).map(|(_, value)| value).collect(),
            _ => value.list().iter().collect(),
        };
        for value in values {
            self.endpoint(value, 100, inherited)?;
        }
        if let 9.. = self.endpoints.len() {
            self.notes.add(&value.place, "an answer has at most 8 addresses here: which ones changes with each query");
        }
        Ok(())
    }

    /// The secondary is a standby: weight 0.
    fn simplefo(&mut self, value: &Value, inherited: &Inherited) -> Result<(), String> {
        let table = value.table().ok_or("a simplefo resource is a hash")?;
        for (key, weight) in [("primary", 100), ("secondary", 0)] {
            let value = table.get(key).ok_or_else(|| format!("a simplefo resource has a {key}"))?;
            self.endpoint(value, weight, inherited)?;
        }
        Ok(())
    }

    fn weighted(&mut self, value: &Value, inherited: &Inherited) -> Result<(), String> {
        let table = value.table().ok_or("a weighted resource is a hash")?;
        if inherited.multi {
            self.notes.add(&value.place, "multi: an answer has as many addresses as there are; weights order them");
        }
        for (label, value) in items(table) {
            match &value.content {
                Content::Table(_) => {
                    let sentence = "groups: each address has its odds of being the first, but is picked by itself";
                    self.notes.add(&value.place, sentence);
                    self.weighted(value, inherited)?;
                }
                _ => {
                    let [target, weight] = value.list() else {
                        return Err(format!("{label}: an address or name and its weight are expected"));
                    };
                    let weight = weight.text().and_then(|text| text.parse().ok());
                    let weight = weight.filter(|weight| *weight <= 1_000_000);
                    let weight = weight.ok_or_else(|| format!("{label}: the weight is no number up to 1000000"))?;
                    self.endpoint(target, weight, inherited)?;
                }
            }
        }
        Ok(())
    }

    fn endpoint(&mut self, value: &Value, weight: u32, inherited: &Inherited) -> Result<(), String> {
        let text = value.text().ok_or("an address or a name is expected")?;
        let target = match text.parse() {
            Ok(address) => Target::Address(address),
            Err(_) => Target::Name(text.to_owned()),
        };
        let check = self.check(&target, &inherited.service_types, &value.place);
        // The same address twice has both weights; here it stands once.
        match self.endpoints.iter_mut().find(|endpoint| endpoint.target == target) {
            Some(endpoint) => endpoint.weight = endpoint.weight.saturating_add(weight).min(1_000_000),
            None => self.endpoints.push(Endpoint { target, weight, check }),
        }
        Ok(())
    }

    fn check(&mut self, target: &Target, types: &[String], place: &Place) -> Option<String> {
        let check = self.resources.checks.of(types, place, self.notes)?;
        if matches!(target, Target::Name(_)) {
            self.notes.add(place, "a name is checked at each address that it has, not as a name");
        }
        Some(check)
    }
}

/// The entries that are no parameters.
fn items(table: &Table) -> impl Iterator<Item = (&str, &Value)> {
    let known = |key: &str| PARAMETERS.contains(&key);
    table.0.iter().filter(move |entry| !known(&entry.key)).map(|entry| (&*entry.key, &entry.value))
}
