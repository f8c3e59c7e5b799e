//! `[[services.fence]]`: these clients get only these regions. A fence without regions is an embargo: no region is meant
//! for its clients, and they are answered that there are no records.
//!
//! Services that share fences name a list of them: `[[fences.NAME]]` is read once, and every service with the same lists
//! and the same regions holds the same fences in memory. A region of a shared fence that the service does not have is
//! passed over; where none is left, that is a mistake, since nobody meant an embargo.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::model::{FenceClients, FenceConfig, RegionId, ServiceRegion, UnknownPlace};
use super::names::DeclaredNames;
use super::resolve::values_of;
use crate::config::document::{ConfigReport, NamedEntry, Setting, SpannedList, WithOffset};
use crate::config::tables;
use crate::config::values::addresses::SubdivisionCode;
use crate::config::values::words::Keyword;

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
    line: u32,
    fence: FenceConfig,
}

impl FenceLists {
    /// Resolves every list, and reports each mistake in it once, however many services name it.
    pub fn declare(
        raw: Vec<NamedEntry<SpannedList<tables::Fence>>>,
        regions: &DeclaredNames,
        report: &mut ConfigReport<'_>,
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

    /// The fences of a service with these regions: its own, then those of the lists that it names.
    pub fn of_service(
        &mut self,
        own: SpannedList<tables::Fence>,
        named: SpannedList<String>,
        region_names: &mut DeclaredNames,
        regions: &[ServiceRegion],
        report: &mut ConfigReport<'_>,
    ) -> Arc<[FenceConfig]> {
        let mut nameable = Nameable::OfService(region_names, regions);
        let own = resolve_list(own, None, &mut nameable, report);
        let named = self.find_lists(named, report);
        let ids: Vec<u16> = named.iter().map(|list| list.value).collect();
        let present: Vec<RegionId> = regions.iter().map(|region| region.region).collect();
        let key = own.is_empty().then(|| SharedBy {
            lists: ids,
            regions: present.clone(),
        });
        if let Some(fences) = key.as_ref().and_then(|key| self.shared.get(key)) {
            return fences.clone();
        }
        let (mut fences, mut catch_all) = (Vec::new(), None);
        for ListedFence { line, fence } in own {
            catch_all = catch_all.or(matches_everybody(&fence.clients).then_some(line));
            fences.push(fence);
        }
        let mut is_good = true;
        for WithOffset { at, value } in named {
            if let Some(line) = catch_all {
                let sentence = format!(
                    "the fence in line {line} matches everybody, so this list is never reached"
                );
                report.warning(at, sentence);
            }
            for ListedFence { line, fence } in
                self.lists.get(usize::from(value)).into_iter().flatten()
            {
                let left: Vec<RegionId> = fence
                    .regions
                    .iter()
                    .copied()
                    .filter(|id| present.contains(id))
                    .collect();
                if left.is_empty() && !fence.regions.is_empty() && !present.is_empty() {
                    is_good = false;
                    let name = self.names.name(value);
                    let sentence = format!(
                        "the fence of \"{name}\" in line {line} leaves no region of this service"
                    );
                    report.error(at, format!("{sentence}; give endpoints in one of them"));
                }
                catch_all = catch_all.or(matches_everybody(&fence.clients).then_some(*line));
                fences.push(FenceConfig {
                    regions: left,
                    ..fence.clone()
                });
            }
        }
        let fences: Arc<[FenceConfig]> = fences.into();
        if let Some(key) = key.filter(|_| is_good) {
            self.shared.insert(key, fences.clone());
        }
        fences
    }

    /// Warns of every list that no service names.
    pub fn warn_unused(&self, report: &mut ConfigReport<'_>) {
        self.names.warn_unused(report);
    }

    fn find_lists(
        &mut self,
        named: SpannedList<String>,
        report: &mut ConfigReport<'_>,
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
    fn find(
        &mut self,
        name: &WithOffset<String>,
        report: &mut ConfigReport<'_>,
    ) -> Option<RegionId> {
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
    report: &mut ConfigReport<'_>,
) -> Vec<ListedFence> {
    let mut catch_all = None;
    let mut resolved = Vec::new();
    for WithOffset { at, value } in fences {
        if let Some(line) = catch_all {
            report.warning(
                at,
                format!("the fence in line {line} matches everybody, so this one is never reached"),
            );
        }
        let listed = value
            .regions
            .required(at, "the fence needs regions", report);
        let leaves_nobody = listed
            .as_ref()
            .filter(|listed| listed.value.is_empty())
            .map(|listed| listed.at);
        let regions = listed.map_or(Vec::new(), |listed| {
            fence_regions(&listed.value, nameable, report)
        });
        let refused = value.clients.is_refused();
        let clients = resolve_clients(value.clients.or_default());
        if matches_everybody(&clients) && !refused {
            catch_all = catch_all.or(Some(report.line(at)));
            if let Some(at) = leaves_nobody.filter(|_| resolved.is_empty()) {
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
    report: &mut ConfigReport<'_>,
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
    report: &mut ConfigReport<'_>,
) -> UnknownPlace {
    let names_places = !clients.countries.is_empty()
        || !clients.continents.is_empty()
        || !clients.subdivisions.is_empty();
    if let Some(at) = raw.at()
        && !names_places
    {
        report.warning(
            at,
            "unknown means nothing in a fence that names no places".to_owned(),
        );
    }
    raw.value.0
}

fn resolve_clients(raw: tables::FenceClients) -> FenceClients {
    let groups: Vec<_> = raw
        .groups
        .value
        .into_iter()
        .map(|group| group.value.0)
        .collect();
    let mut countries: Vec<_> = raw
        .countries
        .value
        .into_iter()
        .map(|country| country.value.0)
        .collect();
    for group in &groups {
        for country in group.countries() {
            if !countries.contains(&country) {
                countries.push(country);
            }
        }
    }
    let mut subdivisions = Vec::new();
    for WithOffset {
        value: SubdivisionCode(country, part),
        ..
    } in raw.subdivisions.value
    {
        subdivisions.push((country, part));
    }
    FenceClients {
        groups,
        countries,
        continents: raw
            .continents
            .value
            .into_iter()
            .map(|continent| continent.value.0)
            .collect(),
        subdivisions,
        asns: raw
            .asns
            .value
            .into_iter()
            .map(|asn| asn.value.as_u32())
            .collect(),
        networks: values_of(raw.networks.value),
    }
}

fn matches_everybody(clients: &FenceClients) -> bool {
    let FenceClients {
        groups: _,
        countries,
        continents,
        subdivisions,
        asns,
        networks,
    } = clients;
    let nobody_named = countries.is_empty() && continents.is_empty() && subdivisions.is_empty();
    nobody_named && asns.is_empty() && networks.is_empty()
}
