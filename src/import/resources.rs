//! Converts the resources of gdnsd's plugins to plans.
//!
//! A DYNA or DYNC record names its resource as `plugin!resource`. Resources of metafo and geoip
//! refer to further resources, one for each datacenter. Those of the other plugins list endpoints
//! and become a plan of one region.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::checks::ImportedChecks;
use super::datacenters::{DatacenterRanking, DatacenterTree, adopt_all, ordered};
use super::inherited::{InheritedOptions, PARAMETERS};
use super::maps::{DatacenterChoice, GdnsdMap};
use super::notes::ImportNotes;
use super::plan::{ImportedEndpoint, ImportedRegion, ImportedTarget, ResourcePlan};
use super::source::SourcePlace;
use super::vscf::{VscfContent, VscfEntry, VscfHash, VscfValue};
use crate::dns::Name;

/// The highest weight of an endpoint in Meridian.
const MOST_WEIGHT: u32 = 1_000_000;
/// Most references from one resource to the next.
const DEEPEST: usize = 16;

/// The parts of the configuration that resources refer to.
#[derive(Debug)]
pub struct GdnsdResources<'c> {
    pub plugins: &'c VscfHash,
    pub maps: HashMap<String, Rc<GdnsdMap>>,
    pub checks: ImportedChecks,
}

impl GdnsdResources<'_> {
    /// The plan of `plugin!resource` or `plugin!resource/datacenter`.
    ///
    /// # Errors
    /// The reason why there is none.
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
            return Err(format!("{plugin}!{resource} refers to itself"));
        }
        if matches!(plugin, "null" | "reflect") {
            return Err(format!(
                "the plugin {plugin} is for tests; it has no equivalent here"
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
        let resources = if meta {
            table.table_or_empty("resources")
        } else {
            table
        };
        let value = match resources.get(name) {
            Some(value) if !PARAMETERS.contains(&name) => value,
            _ => return Err(format!("there is no resource {plugin}!{name}")),
        };
        self.of_plugin(plugin, name, datacenter, value, &inherited, depth, notes)
    }

    #[allow(clippy::too_many_arguments)] // The parts of one reference, and the state of the walk.
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
                    .ok_or_else(|| format!("{plugin}!{name} is not a hash"))?;
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
            _ => Err(format!("the plugin {plugin} is unknown")),
        }
    }

    /// The plans of the datacenters in `dcmap`. One that cannot be converted is noted and left out.
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
                Ok(plan) => {
                    children.plans.insert(entry.key.clone(), plan);
                }
                Err(reason) => children.lose(&entry.key, &reason, notes),
            }
        }
        Ok(children)
    }

    /// The plan of one datacenter (gdnsd-plugin-metafo(8), "PER-DATACENTER RESOLUTION").
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
                let plugin = match plugin.strip_prefix('%') {
                    Some(plugin) if !plugin.is_empty() => plugin,
                    _ => &inherited.plugin,
                };
                return self.named(plugin, resource, depth + 1, notes);
            }
            return Leaf::new(self, notes).plan("multifo", name, value, inherited);
        }
        let plugin = match value.table() {
            Some(table) => table.text("plugin").unwrap_or(&inherited.plugin).to_owned(),
            None => "multifo".to_owned(),
        };
        self.of_plugin(&plugin, name, None, value, inherited, depth + 1, notes)
    }

    /// geoip: the map decides which datacenters a client gets, and in which order.
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
            return Err("skip_first with an order by distance has no equivalent here".to_owned());
        }
        let mut plan = ResourcePlan {
            nearest,
            ignore_subnet: map.ignore_subnet,
            map: Some(map.name.clone()),
            ..ResourcePlan::default()
        };
        let positions = adopt_all(&mut plan, &map, &mut children, notes);
        if plan.regions.is_empty() {
            return Err("none of its datacenters can be converted".to_owned());
        }
        let mut located = map.datacenters.clone();
        located.retain(|name| map.coordinates.contains_key(name));
        let ranking = DatacenterRanking {
            positions,
            lost: children.lost,
            skip_first: inherited.skip_first,
            located,
        };
        plan.otherwise = ranking.of(&map.otherwise);
        if plan.otherwise.is_empty() && ranking.lost_some(&map.otherwise) {
            let sentence = format!(
                "map {name}: none of the default's datacenters can be converted, so all others \
                 are used"
            );
            notes.add(&value.place, sentence);
            plan.otherwise = (0..plan.regions.len()).collect();
        }
        plan.rules = ranking.rules(&map, notes);
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
        Ok(ResourcePlan::of(ImportedRegion {
            name: name.to_owned(),
            endpoints: self.endpoints,
            answers: self.answers,
            needed: self.needed,
            location: None,
        }))
    }

    /// Reads all endpoints of a value, or of its `addrs_v4` and `addrs_v6`.
    fn family(
        &mut self,
        plugin: &str,
        value: &VscfValue,
        inherited: &InheritedOptions,
    ) -> Result<(), String> {
        let mut inherited = inherited.clone();
        let mut has_families = false;
        if let Some(table) = value.table() {
            inherited = inherited.with(table, self.notes);
            for key in ["addrs_v4", "addrs_v6"] {
                if let Some(family) = table.get(key) {
                    has_families = true;
                    self.family(plugin, family, &inherited)?;
                }
            }
        }
        if has_families {
            return Ok(());
        }
        let before = self.endpoints.len();
        match plugin {
            "weighted" => self.weighted(value, &inherited)?,
            "simplefo" => self.simplefo(value, &inherited)?,
            _ => self.multifo(value, &inherited),
        }
        self.count(plugin, self.endpoints.len() - before, &inherited);
        Ok(())
    }

    /// Adds what a family with this number of endpoints needs to serve, and puts into an answer.
    fn count(&mut self, plugin: &str, endpoints: usize, inherited: &InheritedOptions) {
        self.needed += if plugin == "simplefo" {
            1
        } else {
            (inherited.threshold * endpoints as f64).ceil() as usize
        };
        if plugin == "multifo" || (plugin == "weighted" && inherited.multi) {
            self.answers = self.answers.max(endpoints);
        }
    }

    fn multifo(&mut self, value: &VscfValue, inherited: &InheritedOptions) {
        match &value.content {
            VscfContent::Table(table) => {
                for entry in items(table) {
                    self.endpoint(&entry.value, 100, inherited);
                }
            }
            _ => {
                for value in value.list() {
                    self.endpoint(value, 100, inherited);
                }
            }
        }
        if self.endpoints.len() > 8 {
            self.notes.add(
                &value.place,
                "an answer has at most 8 addresses here; the selection changes with each query",
            );
        }
    }

    /// The secondary becomes a standby, with weight 0.
    fn simplefo(&mut self, value: &VscfValue, inherited: &InheritedOptions) -> Result<(), String> {
        let table = value.table().ok_or("a simplefo resource must be a hash")?;
        for (key, weight) in [("primary", 100), ("secondary", 0)] {
            let value = table
                .get(key)
                .ok_or_else(|| format!("a simplefo resource must have a {key}"))?;
            self.endpoint(value, weight, inherited);
        }
        Ok(())
    }

    fn weighted(&mut self, value: &VscfValue, inherited: &InheritedOptions) -> Result<(), String> {
        let table = value.table().ok_or("a weighted resource must be a hash")?;
        if inherited.multi {
            self.notes.add(
                &value.place,
                "multi: an answer has all addresses; weights order them",
            );
        }
        for VscfEntry { key, value, .. } in items(table) {
            match &value.content {
                VscfContent::Table(_) => {
                    let sentence = "groups: each address has its odds of being the first, \
                                    but is picked by itself";
                    self.notes.add(&value.place, sentence);
                    self.weighted(value, inherited)?;
                }
                _ => match weighted_pair(value) {
                    Ok((target, weight)) => self.endpoint(target, weight, inherited),
                    Err(reason) => self
                        .notes
                        .add(&value.place, format!("{key}: {reason}; it is left out")),
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
        // An address that is listed twice gets the sum of both weights.
        match self.endpoints.iter_mut().find(|it| it.target == target) {
            Some(known) => known.weight = known.weight.saturating_add(weight).min(MOST_WEIGHT),
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
                "a name is checked at each of its addresses, not as a name",
            );
        }
        Some(check)
    }
}

/// An address or name and its weight.
fn weighted_pair(value: &VscfValue) -> Result<(&VscfValue, u32), String> {
    let [target, weight] = value.list() else {
        return Err("expected an address or name, and its weight".to_owned());
    };
    match weight.text().unwrap_or_default().parse() {
        Ok(weight) if weight <= MOST_WEIGHT => Ok((target, weight)),
        _ => Err(format!("the weight is not a number up to {MOST_WEIGHT}")),
    }
}

fn address_target(address: IpAddr) -> Result<ImportedTarget, String> {
    if address.is_unspecified() || address.is_multicast() || address == IpAddr::from([255; 4]) {
        return Err(format!(
            "{address} is not an address that clients can connect to"
        ));
    }
    Ok(ImportedTarget::Address(address))
}

/// Parses the target of an endpoint: an address that clients can connect to, or a name.
fn target(text: &str) -> Result<ImportedTarget, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return address_target(address.to_canonical());
    }
    match text.parse::<Name>() {
        Ok(_) if !text.is_empty() => Ok(ImportedTarget::Name(text.to_owned())),
        _ => Err(format!("{text:?} is neither an address nor a name")),
    }
}

/// The entries that are not options.
fn items(table: &VscfHash) -> impl Iterator<Item = &VscfEntry> {
    let entries = table.0.iter();
    entries.filter(|entry| !PARAMETERS.contains(&entry.key.as_str()))
}
