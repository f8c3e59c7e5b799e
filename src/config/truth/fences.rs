//! `[[services.fence]]`: limits the clients of a fence to its regions.
//!
//! A fence without regions is an embargo: its clients get an answer without records. Services
//! share fences through the lists of `[[fences.NAME]]`. A list is read once, and services with the
//! same lists and the same regions hold the same fences in memory. A service ignores the regions
//! of a shared fence that it does not have. A fence that has no region left is a mistake, because
//! it would become an embargo by accident.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::model::{FenceClients, FenceConfig, RegionId, ServiceRegion, UnknownPlace};
use super::names::DeclaredNames;

use crate::config::document::error::SourceLine;
use crate::config::document::{
    ConfigReport, NamedEntry, Setting, SpannedList, WithOffset, values_of,
};
use crate::config::tables;
use crate::config::values::addresses::SubdivisionCode;
use crate::config::values::words::Keyword;
use crate::geo::groups::CountryGroup;

/// The lists of `[fences]`, and what services made of them.
pub struct FenceLists {
    names: DeclaredNames,
    /// By the id of the name.
    lists: Vec<Vec<ListedFence>>,
    /// The fences of a service that has none of its own, by its lists and its regions.
    shared: HashMap<SharedBy, Arc<[FenceConfig]>>,
}

/// What services have in common that share fences.
#[derive(PartialEq, Eq, Hash)]
struct SharedBy {
    lists: Vec<u16>,
    regions: Vec<RegionId>,
}

/// A fence and where it is stated.
struct ListedFence {
    line: SourceLine,
    fence: FenceConfig,
}

/// The fences of one service while they are collected.
#[derive(Default)]
struct CollectedFences {
    fences: Vec<FenceConfig>,
    /// The line of the first fence that matches every client.
    catch_all: Option<SourceLine>,
    /// Whether a fence has no region left.
    has_mistakes: bool,
}

impl CollectedFences {
    fn push(&mut self, line: SourceLine, fence: FenceConfig) {
        if self.catch_all.is_none() && fence.clients.match_everybody() {
            self.catch_all = Some(line);
        }
        self.fences.push(fence);
    }
}

impl FenceLists {
    /// Resolves every list, and reports each mistake in it once, however many services name it.
    pub fn declare(
        raw: Vec<NamedEntry<SpannedList<tables::Fence>>>,
        regions: &DeclaredNames,
        report: &mut ConfigReport,
    ) -> FenceLists {
        let names = DeclaredNames::declare("fence list", &raw, report);
        let mut lists = Vec::new();
        for NamedEntry { name, value } in raw {
            let is_refused = value.is_refused();
            let fences = value.or_default();
            if fences.is_empty() && !is_refused {
                report.error(
                    name.at,
                    format!("the fence list \"{}\" has no fence", name.value),
                );
            }
            let list: Arc<str> = name.value.into();
            lists.push(resolve_list(
                fences,
                Some(&list),
                &mut Nameable::All(regions),
                report,
            ));
        }
        FenceLists {
            names,
            lists,
            shared: HashMap::new(),
        }
    }

    /// The fences of a service with these regions: its own, then those of the named lists.
    pub fn of_service(
        &mut self,
        own: SpannedList<tables::Fence>,
        named: Vec<WithOffset<u16>>,
        region_names: &mut DeclaredNames,
        regions: &[ServiceRegion],
        report: &mut ConfigReport,
    ) -> Arc<[FenceConfig]> {
        let mut nameable = Nameable::OfService(region_names, regions);
        let own = resolve_list(own, None, &mut nameable, report);
        let is_shared = own.is_empty();
        let key = SharedBy {
            lists: named.iter().map(|list| list.value).collect(),
            regions: regions.iter().map(|region| region.region).collect(),
        };
        if is_shared && let Some(fences) = self.shared.get(&key) {
            return fences.clone();
        }
        let mut collected = CollectedFences::default();
        for ListedFence { line, fence } in own {
            collected.push(line, fence);
        }
        for list in named {
            self.collect_list(list, &key.regions, &mut collected, report);
        }
        let fences: Arc<[FenceConfig]> = collected.fences.into();
        if is_shared && !collected.has_mistakes {
            self.shared.insert(key, fences.clone());
        }
        fences
    }

    /// Adds the fences of a list, each with those of its regions that the service has.
    fn collect_list(
        &self,
        list: WithOffset<u16>,
        service_regions: &[RegionId],
        collected: &mut CollectedFences,
        report: &mut ConfigReport,
    ) {
        let here = report.line(list.at);
        if let Some(line) = &collected.catch_all {
            let line = line.seen_from(&here);
            let sentence =
                format!("the fence in {line} matches everybody, so this list is never reached");
            report.warning(list.at, sentence);
        }
        let Some(fences) = self.lists.get(usize::from(list.value)) else {
            return;
        };
        for ListedFence { line, fence } in fences {
            let mut regions = fence.regions.clone();
            regions.retain(|id| service_regions.contains(id));
            if regions.is_empty() && !fence.regions.is_empty() && !service_regions.is_empty() {
                collected.has_mistakes = true;
                let name = self.names.name(list.value);
                let line = line.seen_from(&here);
                let sentence =
                    format!("the fence of \"{name}\" in {line} leaves no region of this service");
                report.error(
                    list.at,
                    format!("{sentence}; give endpoints in one of them"),
                );
            }
            collected.push(
                line.clone(),
                FenceConfig {
                    regions,
                    ..fence.clone()
                },
            );
        }
    }

    /// Warns of every list that no service names.
    pub fn warn_unused(&self, report: &mut ConfigReport) {
        self.names.warn_unused(report);
    }

    /// The ids of the lists with these names.
    pub fn find_lists(
        &mut self,
        named: SpannedList<String>,
        report: &mut ConfigReport,
    ) -> Vec<WithOffset<u16>> {
        let mut found: Vec<WithOffset<u16>> = Vec::new();
        for name in named {
            let Some(id) = self.names.find(&name, report) else {
                continue;
            };
            if found.iter().any(|known| known.value == id) {
                report.error(
                    name.at,
                    format!("the fence list \"{}\" is named twice", name.value),
                );
            } else {
                found.push(WithOffset {
                    at: name.at,
                    value: id,
                });
            }
        }
        found
    }
}

/// The regions that a fence may name.
enum Nameable<'r> {
    /// Any: it stands in a list, and services take what they have.
    All(&'r DeclaredNames),
    /// Those of its service.
    OfService(&'r mut DeclaredNames, &'r [ServiceRegion]),
}

impl Nameable<'_> {
    fn find(&mut self, name: &WithOffset<String>, report: &mut ConfigReport) -> Option<RegionId> {
        let (names, regions) = match self {
            Nameable::All(names) => return names.find_unused(name, report).map(RegionId),
            Nameable::OfService(names, regions) => (names, regions),
        };
        let id = RegionId(names.find(name, report)?);
        if regions.iter().any(|region| region.region == id) {
            return Some(id);
        }
        // Endpoints that were refused have been reported already.
        if !regions.is_empty() {
            report.error(
                name.at,
                format!("region \"{}\" has no endpoints in this service", name.value),
            );
        }
        None
    }
}

/// Fences that follow one another, each with its line.
fn resolve_list(
    fences: SpannedList<tables::Fence>,
    list: Option<&Arc<str>>,
    nameable: &mut Nameable<'_>,
    report: &mut ConfigReport,
) -> Vec<ListedFence> {
    let mut catch_all = None;
    let mut resolved = Vec::new();
    for WithOffset { at, value } in fences {
        if let Some(line) = &catch_all {
            let line = SourceLine::seen_from(line, &report.line(at));
            report.warning(
                at,
                format!("the fence in {line} matches everybody, so this one is never reached"),
            );
        }
        let listed = value
            .regions
            .required(at, "the fence needs regions", report);
        let mut embargo_at = None;
        let mut regions = Vec::new();
        if let Some(listed) = listed {
            if listed.value.is_empty() {
                embargo_at = Some(listed.at);
            }
            regions = fence_regions(&listed.value, nameable, report);
        }
        let refused = value.clients.is_refused();
        let clients = resolve_clients(value.clients.or_default());
        if clients.match_everybody() && !refused {
            catch_all = catch_all.or_else(|| Some(report.line(at)));
            if let Some(at) = embargo_at
                && resolved.is_empty()
            {
                report.warning(
                    at,
                    "the only fence leaves every client no region, so nobody is answered"
                        .to_owned(),
                );
            }
        }
        let unknown = resolve_unknown(&value.unknown, &clients, report);
        let fence = FenceConfig {
            list: list.cloned(),
            clients: Arc::new(clients),
            regions,
            unknown,
        };
        resolved.push(ListedFence {
            line: report.line(at),
            fence,
        });
    }
    resolved
}

/// The named regions, each once.
fn fence_regions(
    listed: &[WithOffset<String>],
    nameable: &mut Nameable<'_>,
    report: &mut ConfigReport,
) -> Vec<RegionId> {
    let mut seen = HashSet::new();
    let mut regions = Vec::new();
    for name in listed {
        match nameable.find(name, report) {
            Some(id) if seen.insert(id) => regions.push(id),
            Some(_) => report.error(
                name.at,
                format!("region \"{}\" is listed twice in the fence", name.value),
            ),
            None => {}
        }
    }
    regions
}

/// It means something only where the fence is about places.
fn resolve_unknown(
    raw: &Setting<Keyword<UnknownPlace>>,
    clients: &FenceClients,
    report: &mut ConfigReport,
) -> UnknownPlace {
    if let Some(at) = raw.at()
        && !clients.name_places()
    {
        report.warning(
            at,
            "unknown means nothing in a fence that names no places".to_owned(),
        );
    }
    raw.value.0
}

fn add_group(group: &'static CountryGroup, clients: &mut FenceClients) {
    clients.groups.push(group);
    for country in group.countries() {
        if !clients.countries.contains(&country) {
            clients.countries.push(country);
        }
    }
}

fn resolve_clients(raw: tables::FenceClients) -> FenceClients {
    let mut clients = FenceClients {
        networks: values_of(raw.networks.value),
        ..FenceClients::default()
    };
    for country in raw.countries.value {
        clients.countries.push(country.value.0);
    }
    for group in raw.groups.value {
        add_group(group.value.0, &mut clients);
    }
    for continent in raw.continents.value {
        clients.continents.push(continent.value.0);
    }
    for subdivision in raw.subdivisions.value {
        let SubdivisionCode(country, part) = subdivision.value;
        clients.subdivisions.push((country, part));
    }
    for asn in raw.asns.value {
        clients.asns.push(asn.value.as_u32());
    }
    clients
}

impl FenceClients {
    /// Whether the lists are empty. Groups are ignored, as their members are among the countries.
    fn match_everybody(&self) -> bool {
        !self.name_places() && self.asns.is_empty() && self.networks.is_empty()
    }

    fn name_places(&self) -> bool {
        !self.countries.is_empty() || !self.continents.is_empty() || !self.subdivisions.is_empty()
    }
}
