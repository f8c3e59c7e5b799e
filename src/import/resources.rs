//! Resources of gdnsd's plugins, by the name that a DYNA or DYNC record gives, as plans.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::checks::ImportedChecks;
use super::datacenters::{DatacenterRanking, DatacenterTree, adopt_all, ordered, unlike};
use super::maps::{DatacenterChoice, GdnsdMap};
use super::notes::ImportNotes;
use super::plan::{ImportedEndpoint, ImportedRegion, ImportedTarget, ResourcePlan};
use super::vscf::{SourcePlace, VscfContent, VscfHash, VscfValue};
use crate::dns::Name;

/// Most that an endpoint weighs here.
const MOST_WEIGHT: u32 = 1_000_000;
/// Deepest reference of a resource to others.
const DEEPEST: usize = 16;

/// What a hash inherits from those around it.
#[derive(Debug, Clone)]
pub struct InheritedOptions {
    plugin: String,
    service_types: Vec<String>,
    threshold: f64,
    multi: bool,
    /// The first datacenter of a list does not count.
    pub skip_first: bool,
}

impl Default for InheritedOptions {
    fn default() -> Self {
        let plugin = "multifo".to_owned();
        InheritedOptions {
            plugin,
            service_types: vec!["up".to_owned()],
            threshold: 0.5,
            multi: false,
            skip_first: false,
        }
    }
}

/// Keys that are no endpoints.
const PARAMETERS: [&str; 7] = [
    "service_types",
    "up_thresh",
    "multi",
    "ignore_health",
    "plugin",
    "skip_first",
    "undefined_datacenters_ok",
];

impl InheritedOptions {
    fn with(&self, table: &VscfHash, notes: &mut ImportNotes) -> InheritedOptions {
        let truth = |key: &str, was| {
            table
                .text(key)
                .map_or(was, |text| text.eq_ignore_ascii_case("true"))
        };
        if truth("ignore_health", false)
            && let Some(entry) = table.0.iter().find(|entry| entry.key == "ignore_health")
        {
            notes.add(&entry.place, "ignore_health: what is down is left out here");
        }
        InheritedOptions {
            plugin: table
                .text("plugin")
                .map_or(self.plugin.clone(), str::to_owned),
            service_types: table
                .get("service_types")
                .map_or(self.service_types.clone(), VscfValue::texts),
            threshold: table
                .text("up_thresh")
                .and_then(|text| text.parse().ok())
                .unwrap_or(self.threshold),
            multi: truth("multi", self.multi),
            skip_first: truth("skip_first", self.skip_first),
        }
    }
}

/// Everything that resources are made from.
#[derive(Debug)]
pub struct GdnsdResources<'c> {
    pub plugins: &'c VscfHash,
    pub maps: HashMap<String, Rc<GdnsdMap>>,
    pub checks: ImportedChecks,
}

impl GdnsdResources<'_> {
    /// The plan of `plugin!resource` or `plugin!resource/datacenter`; why there is none.
    pub fn find(
        &mut self,
        reference: &str,
        notes: &mut ImportNotes,
    ) -> Result<ResourcePlan, String> {
        let (plugin, resource) = reference.split_once('!').unwrap_or((reference, ""));
        self.named(plugin, resource, 0, notes)
    }

    fn named(
        &mut self,
        plugin: &str,
        resource: &str,
        depth: usize,
        notes: &mut ImportNotes,
    ) -> Result<ResourcePlan, String> {
        if depth > DEEPEST {
            return Err(format!("{plugin}!{resource} leads to itself"));
        }
        if matches!(plugin, "null" | "reflect") {
            return Err(format!(
                "the plugin {plugin} is for tests; there is nothing like it here"
            ));
        }
        let plugins = self.plugins;
        let table = plugins
            .table(plugin)
            .ok_or_else(|| format!("the plugin {plugin} has no configuration"))?;
        let meta = matches!(plugin, "metafo" | "geoip");
        let inherited = InheritedOptions::default().with(table, notes);
        let (name, datacenter) = match resource.split_once('/') {
            Some((name, datacenter)) if meta => (name, Some(datacenter)),
            _ => (resource, None),
        };
        let holder = if meta {
            table.table("resources")
        } else {
            Some(table)
        };
        let value = holder
            .and_then(|holder| holder.get(name))
            .filter(|_| !PARAMETERS.contains(&name));
        let value = value.ok_or_else(|| format!("there is no resource {plugin}!{name}"))?;
        self.of_plugin(plugin, name, datacenter, value, &inherited, depth, notes)
    }

    #[allow(clippy::too_many_arguments)] // Each is one word of a reference, or what is read meanwhile.
    fn of_plugin(
        &mut self,
        plugin: &str,
        name: &str,
        datacenter: Option<&str>,
        value: &VscfValue,
        inherited: &InheritedOptions,
        depth: usize,
        notes: &mut ImportNotes,
    ) -> Result<ResourcePlan, String> {
        match plugin {
            "multifo" | "weighted" | "simplefo" | "static" => {
                Leaf::new(self, notes).plan(plugin, name, value, inherited)
            }
            "metafo" | "geoip" => {
                let table = value
                    .table()
                    .ok_or_else(|| format!("{plugin}!{name} is no hash"))?;
                let inherited = inherited.with(table, notes);
                let mut children = self.children(name, table, &inherited, depth, notes)?;
                if let Some(datacenter) = datacenter {
                    return children
                        .take(datacenter)
                        .ok_or_else(|| format!("{name} has no {datacenter} here"));
                }
                match plugin {
                    "metafo" => ordered(table, children, &inherited, notes),
                    _ => self.by_map(table, children, &inherited, notes),
                }
            }
            _ => Err(format!("the plugin {plugin} is not known")),
        }
    }

    /// The plans of the datacenters of `dcmap`. One that cannot be carried costs its region, not the name.
    fn children(
        &mut self,
        name: &str,
        table: &VscfHash,
        inherited: &InheritedOptions,
        depth: usize,
        notes: &mut ImportNotes,
    ) -> Result<DatacenterTree, String> {
        let datacenters = table
            .table("dcmap")
            .ok_or_else(|| format!("{name} has no dcmap"))?;
        let mut children = DatacenterTree::default();
        for entry in &datacenters.0 {
            children
                .places
                .insert(entry.key.clone(), entry.place.clone());
            match self.child(&entry.key, &entry.value, inherited, depth, notes) {
                Ok(plan) => drop(children.plans.insert(entry.key.clone(), plan)),
                Err(reason) => children.lose(&entry.key, &reason, notes),
            }
        }
        Ok(children)
    }

    /// gdnsd-plugin-metafo(8), "PER-DATACENTER RESOLUTION".
    fn child(
        &mut self,
        name: &str,
        value: &VscfValue,
        inherited: &InheritedOptions,
        depth: usize,
        notes: &mut ImportNotes,
    ) -> Result<ResourcePlan, String> {
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
        table: &VscfHash,
        mut children: DatacenterTree,
        inherited: &InheritedOptions,
        notes: &mut ImportNotes,
    ) -> Result<ResourcePlan, String> {
        let value = table.get("map").ok_or("the resource names no map")?;
        let name = value.text().ok_or("the resource names no map")?;
        let map = self
            .maps
            .get(name)
            .ok_or_else(|| format!("there is no map {name:?}"))?
            .clone();
        let nearest = map.otherwise == DatacenterChoice::Auto;
        if inherited.skip_first && nearest {
            return Err(
                "skip_first of what is ordered by distance has nothing like it here".to_owned(),
            );
        }
        let mut plan = ResourcePlan {
            nearest,
            ignore_subnet: map.ignore_subnet,
            map: Some(map.name.clone()),
            ..ResourcePlan::default()
        };
        let positions = adopt_all(&mut plan, &map, &mut children, notes);
        if plan.regions.is_empty() {
            return Err("none of its datacenters can be carried".to_owned());
        }
        let located = map
            .datacenters
            .iter()
            .filter(|name| map.coordinates.contains_key(*name))
            .cloned()
            .collect();
        let ranking = DatacenterRanking {
            positions,
            lost: children.lost,
            skip_first: inherited.skip_first,
            located,
        };
        plan.otherwise = ranking.of(&map.otherwise);
        if plan.otherwise.is_empty() && ranking.lost_some(&map.otherwise) {
            notes.add(
                &value.place,
                format!(
                    "map {name}: none of the default's datacenters can be carried; all others are"
                ),
            );
            plan.otherwise = (0..plan.regions.len()).collect();
        }
        for (clients, choice, place) in &map.rules {
            let regions = ranking.of(choice);
            if regions.is_empty() && ranking.lost_some(choice) {
                let sentence = "none of these datacenters can be carried, so these clients get what others get";
                notes.add(place, format!("{clients}: {sentence}"));
                continue;
            }
            if let Some(sentence) = unlike(choice, nearest, &regions) {
                notes.add(place, sentence);
            }
            plan.rules.push((clients.clone(), regions));
        }
        Ok(plan)
    }
}

/// Reads the endpoints of one region.
struct Leaf<'r, 'c> {
    resources: &'r mut GdnsdResources<'c>,
    notes: &'r mut ImportNotes,
    endpoints: Vec<ImportedEndpoint>,
    needed: usize,
    answers: usize,
}

impl<'r, 'c> Leaf<'r, 'c> {
    fn new(resources: &'r mut GdnsdResources<'c>, notes: &'r mut ImportNotes) -> Self {
        Leaf {
            resources,
            notes,
            endpoints: Vec::new(),
            needed: 0,
            answers: 1,
        }
    }

    fn plan(
        mut self,
        plugin: &str,
        name: &str,
        value: &VscfValue,
        inherited: &InheritedOptions,
    ) -> Result<ResourcePlan, String> {
        self.family(plugin, value, inherited)?;
        if self.endpoints.is_empty() {
            return Err(format!("{plugin}!{name} has no endpoints"));
        }
        let Leaf {
            endpoints,
            needed,
            answers,
            ..
        } = self;
        Ok(ResourcePlan::of(ImportedRegion {
            name: name.to_owned(),
            endpoints,
            answers,
            needed,
            location: None,
        }))
    }

    /// All endpoints of a hash, or of its `addrs_v4` and `addrs_v6`.
    fn family(
        &mut self,
        plugin: &str,
        value: &VscfValue,
        inherited: &InheritedOptions,
    ) -> Result<(), String> {
        let inherited = value
            .table()
            .map_or(inherited.clone(), |table| inherited.with(table, self.notes));
        let families = value
            .table()
            .map(|table| ["addrs_v4", "addrs_v6"].map(|key| table.get(key)));
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
            _ => self.multifo(value, &inherited),
        }
        let count = self.endpoints.len() - before;
        self.needed += if plugin == "simplefo" {
            1
        } else {
            (inherited.threshold * count as f64).ceil() as usize
        };
        if plugin == "multifo" || (plugin == "weighted" && inherited.multi) {
            self.answers = self.answers.max(count);
        }
        Ok(())
    }

    fn multifo(&mut self, value: &VscfValue, inherited: &InheritedOptions) {
        let values: Vec<&VscfValue> = match &value.content {
            VscfContent::Table(table) => items(table).map(|(_, value)| value).collect(),
            _ => value.list().iter().collect(),
        };
        for value in values {
            self.endpoint(value, 100, inherited);
        }
        if let 9.. = self.endpoints.len() {
            self.notes.add(
                &value.place,
                "an answer has at most 8 addresses here: which ones changes with each query",
            );
        }
    }

    /// The secondary is a standby: weight 0.
    fn simplefo(&mut self, value: &VscfValue, inherited: &InheritedOptions) -> Result<(), String> {
        let table = value.table().ok_or("a simplefo resource is a hash")?;
        for (key, weight) in [("primary", 100), ("secondary", 0)] {
            let value = table
                .get(key)
                .ok_or_else(|| format!("a simplefo resource has a {key}"))?;
            self.endpoint(value, weight, inherited);
        }
        Ok(())
    }

    fn weighted(&mut self, value: &VscfValue, inherited: &InheritedOptions) -> Result<(), String> {
        let table = value.table().ok_or("a weighted resource is a hash")?;
        if inherited.multi {
            self.notes.add(
                &value.place,
                "multi: an answer has as many addresses as there are; weights order them",
            );
        }
        for (label, value) in items(table) {
            match &value.content {
                VscfContent::Table(_) => {
                    let sentence = "groups: each address has its odds of being the first, but is picked by itself";
                    self.notes.add(&value.place, sentence);
                    self.weighted(value, inherited)?;
                }
                _ => match weighted_pair(value) {
                    Ok((target, weight)) => self.endpoint(target, weight, inherited),
                    Err(reason) => self
                        .notes
                        .add(&value.place, format!("{label}: {reason}; it is left out")),
                },
            }
        }
        Ok(())
    }

    fn endpoint(&mut self, value: &VscfValue, weight: u32, inherited: &InheritedOptions) {
        let target = match target(value.text().unwrap_or("")) {
            Ok(target) => target,
            Err(reason) => {
                return self
                    .notes
                    .add(&value.place, format!("{reason}; it is left out"));
            }
        };
        let check = self.check(&target, &inherited.service_types, &value.place);
        // The same address twice has both weights; here it stands once.
        match self
            .endpoints
            .iter_mut()
            .find(|endpoint| endpoint.target == target)
        {
            Some(endpoint) => {
                endpoint.weight = endpoint.weight.saturating_add(weight).min(MOST_WEIGHT)
            }
            None => self.endpoints.push(ImportedEndpoint {
                target,
                weight,
                check,
            }),
        }
    }

    fn check(
        &mut self,
        target: &ImportedTarget,
        types: &[String],
        place: &SourcePlace,
    ) -> Option<String> {
        let check = self.resources.checks.of(types, place, self.notes)?;
        if matches!(target, ImportedTarget::Name(_)) {
            self.notes.add(
                place,
                "a name is checked at each address that it has, not as a name",
            );
        }
        Some(check)
    }
}

/// An address or name and its weight.
fn weighted_pair(value: &VscfValue) -> Result<(&VscfValue, u32), String> {
    let [target, weight] = value.list() else {
        return Err("an address or name and its weight are expected".to_owned());
    };
    let weight = weight
        .text()
        .and_then(|text| text.parse().ok())
        .filter(|weight| *weight <= MOST_WEIGHT);
    weight
        .map(|weight| (target, weight))
        .ok_or_else(|| format!("the weight is no number up to {MOST_WEIGHT}"))
}

/// What an endpoint gives: an address that clients can connect to, or a name.
fn target(text: &str) -> Result<ImportedTarget, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let address = address.to_canonical();
        if address.is_unspecified() || address.is_multicast() || address == IpAddr::from([255; 4]) {
            return Err(format!(
                "{address} is no address that a client can connect to"
            ));
        }
        return Ok(ImportedTarget::Address(address));
    }
    match text.parse::<Name>() {
        Ok(_) if !text.is_empty() => Ok(ImportedTarget::Name(text.to_owned())),
        _ => Err(format!("{text:?} is neither an address nor a name")),
    }
}

/// The entries that are no parameters.
fn items(table: &VscfHash) -> impl Iterator<Item = (&str, &VscfValue)> {
    let known = |key: &str| PARAMETERS.contains(&key);
    table
        .0
        .iter()
        .filter(move |entry| !known(&entry.key))
        .map(|entry| (&*entry.key, &entry.value))
}
