//! `[[services.fence]]`: these clients get only these regions. A fence without regions is an embargo: no region is meant
//! for its clients, and they are answered that there are no records.

use std::collections::HashSet;

use super::error::Report;
use super::model::{Fence, FenceClients, RegionId, ServiceRegion};
use super::names::Names;
use super::raw;
use super::read::{At, List};

/// Resolves the fences of a service whose regions are `regions`.
pub fn resolve(
    fences: List<raw::Fence>,
    names: &mut Names,
    regions: &[ServiceRegion],
    report: &mut Report<'_>,
) -> Vec<Fence> {
    let mut catch_all = None;
    let mut resolved = Vec::new();
    for At { at, value } in fences {
        if let Some(line) = catch_all {
            report.warning(at, format!("the fence in line {line} matches everybody, so this one is never reached"));
        }
        let listed = value.regions.required(at, "the fence needs regions", report);
        let leaves_nobody = listed.as_ref().filter(|listed| listed.value.is_empty()).map(|listed| listed.at);
        let listed = listed.map_or(Vec::new(), |listed| fence_regions(listed, names, regions, report));
        let refused = value.clients.is_refused();
        let clients = resolve_clients(value.clients.or(raw::FenceClients::default()));
        if matches_everybody(&clients) && !refused {
            catch_all = catch_all.or(Some(report.line(at)));
            if let Some(at) = leaves_nobody.filter(|_| resolved.is_empty()) {
                report.warning(at, "the only fence leaves every client no region, so nobody is answered".to_owned());
            }
        }
        resolved.push(Fence { clients, regions: listed });
    }
    resolved
}

/// The positions of the named regions in the service.
fn fence_regions(
    listed: At<List<String>>,
    names: &mut Names,
    regions: &[ServiceRegion],
    report: &mut Report<'_>,
) -> Vec<u16> {
    let mut seen = HashSet::new();
    let mut positions = Vec::new();
    for name in &listed.value {
        let Some(id) = names.find(name, report) else { continue };
        let position = regions.iter().position(|region| region.region == RegionId(id));
        match position.and_then(|position| u16::try_from(position).ok()) {
            Some(position) if seen.insert(position) => positions.push(position),
            Some(_) => report.error(name.at, format!("region \"{}\" is listed twice in the fence", name.value)),
            // Endpoints that were refused have been reported already.
            None if regions.is_empty() => {}
            None => report.error(name.at, format!("region \"{}\" has no endpoints in this service", name.value)),
        }
    }
    positions
}

fn resolve_clients(raw: raw::FenceClients) -> FenceClients {
    FenceClients {
        countries: plain(raw.countries.or(List::new()), |country| country.0),
        continents: plain(raw.continents.or(List::new()), |continent| continent.0),
        subdivisions: plain(raw.subdivisions.or(List::new()), |subdivision| (subdivision.0, subdivision.1)),
        asns: plain(raw.asns.or(List::new()), |asn| asn.as_u32()),
        networks: plain(raw.networks.or(List::new()), |network| network),
    }
}

fn plain<T, U>(list: List<T>, value: impl Fn(T) -> U) -> Vec<U> {
    list.into_iter().map(|element| value(element.value)).collect()
}

fn matches_everybody(clients: &FenceClients) -> bool {
    let FenceClients { countries, continents, subdivisions, asns, networks } = clients;
    let nobody_named = countries.is_empty() && continents.is_empty() && subdivisions.is_empty();
    nobody_named && asns.is_empty() && networks.is_empty()
}
