//! Regions with their endpoints: the `endpoints` of a service, or a pool of `[pools]`.
//!
//! Both have the same form. [`EndpointLists::resolve`] checks what does not depend on a service,
//! which a pool needs only once. [`EndpointLists::for_service`] makes the regions of one service:
//! it adds the check of the service, and reports what does not fit it. A mistake about a pool is
//! then reported where the service names the pool, because other services may use it as it is.

use std::collections::HashSet;
use std::mem::take;
use std::sync::Arc;

use super::model::{
    CheckConfig, CheckId, CheckKind, Endpoint, EndpointTarget, RegionConfig, RegionId,
    ServiceRegion,
};
use super::names::DeclaredNames;
use crate::config::document::{
    ConfigReport, NamedEntry, NamedTables, OneOrMore, TableField, WithOffset,
};
use crate::config::tables::{self, EndpointEntry};
use crate::config::values::plain::WholeNumber;
use crate::resolve::IpFamily;
use crate::steering::RegionOrder;

/// Most regions in one service: a class of clients numbers them with one octet.
const MOST_REGIONS: usize = 254;

/// Endpoints by region as a file states them.
pub type StatedEndpoints = NamedTables<OneOrMore<EndpointEntry>>;

/// Regions with their endpoints, before the check of a service is added.
#[derive(Default)]
pub struct EndpointLists(Vec<StatedRegion>);

struct StatedRegion {
    name: WithOffset<String>,
    region: RegionId,
    endpoints: Vec<StatedEndpoint>,
}

struct StatedEndpoint {
    target: EndpointTarget,
    weight: u32,
    /// Its own check.
    check: Option<CheckId>,
    port: Option<WithOffset<u16>>,
}

/// The names that endpoints refer to.
pub struct EndpointNames<'n> {
    /// The names of the regions.
    pub regions: &'n mut DeclaredNames,
    /// The names of the checks.
    pub checks: &'n mut DeclaredNames,
}

/// The service whose regions are made.
pub struct EndpointDefaults<'r> {
    /// The check of endpoints that have none of their own.
    pub check: Option<CheckId>,
    /// The order of the regions.
    pub order: RegionOrder,
    /// All regions, by id.
    pub regions: &'r [RegionConfig],
    /// All checks, by id.
    pub checks: &'r [CheckConfig],
}

/// The pools of `[pools]`.
pub struct Pools {
    names: DeclaredNames,
    /// By the id of the name.
    lists: Vec<Arc<EndpointLists>>,
}

impl Pools {
    /// Resolves every pool.
    pub fn declare(
        raw: Vec<NamedEntry<StatedEndpoints>>,
        names: &mut EndpointNames<'_>,
        report: &mut ConfigReport,
    ) -> Pools {
        let declared = DeclaredNames::declare("pool", &raw, report);
        let mut lists = Vec::with_capacity(raw.len());
        for NamedEntry { value, .. } in raw {
            let list = match value.given() {
                Some(given) => EndpointLists::resolve(given, "pool", names, report),
                None => EndpointLists::default(),
            };
            lists.push(Arc::new(list));
        }
        Pools {
            names: declared,
            lists,
        }
    }

    /// The pool of a name. An unknown name is reported.
    pub fn find(
        &mut self,
        name: &WithOffset<String>,
        report: &mut ConfigReport,
    ) -> Option<Arc<EndpointLists>> {
        let id = self.names.find(name, report)?;
        self.lists.get(usize::from(id)).cloned()
    }

    /// Warns of every pool that no service uses.
    pub fn warn_unused(&self, report: &mut ConfigReport) {
        self.names.warn_unused(report);
    }
}

impl EndpointLists {
    /// Resolves the endpoints of a `holder`: "service" or "pool".
    pub fn resolve(
        stated: WithOffset<StatedEndpoints>,
        holder: &str,
        names: &mut EndpointNames<'_>,
        report: &mut ConfigReport,
    ) -> EndpointLists {
        let WithOffset {
            at,
            value: NamedTables(entries),
        } = stated;
        if entries.is_empty() {
            report.error(at, format!("the {holder} has no endpoints"));
        }
        if let Some(entry) = entries.get(MOST_REGIONS) {
            let sentence = format!("the {holder} has more than {MOST_REGIONS} regions");
            report.error(entry.name.at, sentence);
        }
        let mut seen = SeenTargets {
            holder,
            targets: HashSet::new(),
        };
        let mut regions = Vec::with_capacity(entries.len());
        for entry in entries {
            regions.extend(resolve_region(entry, &mut seen, names, report));
        }
        EndpointLists(regions)
    }

    /// The regions of a service. `pool`: the place where the service names this pool.
    pub fn for_service(
        &self,
        pool: Option<usize>,
        rules: &EndpointDefaults<'_>,
        report: &mut ConfigReport,
    ) -> Vec<ServiceRegion> {
        let mut regions = Vec::with_capacity(self.0.len());
        for stated in &self.0 {
            rules.check_location(stated, pool, report);
            let mut endpoints = Vec::with_capacity(stated.endpoints.len());
            for endpoint in &stated.endpoints {
                endpoints.push(rules.endpoint(endpoint, pool, report));
            }
            regions.push(ServiceRegion {
                region: stated.region,
                endpoints,
                capacity: None,
            });
        }
        regions
    }
}

impl EndpointDefaults<'_> {
    fn check_location(
        &self,
        stated: &StatedRegion,
        pool: Option<usize>,
        report: &mut ConfigReport,
    ) {
        let region = self.regions.get(usize::from(stated.region.0));
        let has_location = region.is_none_or(|region| region.location.is_some());
        if self.order == RegionOrder::Nearest && !has_location {
            let sentence = format!(
                "region \"{}\" has no location, which order = \"nearest\" needs",
                stated.name.value
            );
            report.error(pool.unwrap_or(stated.name.at), sentence);
        }
    }

    fn endpoint(
        &self,
        stated: &StatedEndpoint,
        pool: Option<usize>,
        report: &mut ConfigReport,
    ) -> Endpoint {
        let check = stated.check.or(self.check);
        if let Some(port) = &stated.port {
            self.check_port(port, check, pool, report);
        }
        let unknown = if matches!(stated.target, EndpointTarget::Alias(_)) {
            IpFamily::ALL.to_vec()
        } else {
            Vec::new()
        };
        Endpoint {
            target: stated.target.clone(),
            weight: stated.weight,
            check,
            port: stated.port.as_ref().map(|port| port.value),
            alias: None,
            unknown,
        }
    }

    /// A port needs a check that uses it.
    fn check_port(
        &self,
        port: &WithOffset<u16>,
        check: Option<CheckId>,
        pool: Option<usize>,
        report: &mut ConfigReport,
    ) {
        let Some(check) = check else {
            // Another service may check the endpoints of a pool.
            if pool.is_none() {
                report.warning(
                    port.at,
                    "the port says where the endpoint is checked, but nothing checks it".to_owned(),
                );
            }
            return;
        };
        let check = self.checks.get(usize::from(check.0));
        if check.is_some_and(|check| matches!(check.kind, CheckKind::Combined { .. })) {
            let whose = match pool {
                Some(_) => format!("the pool has an endpoint with port {}, but its", port.value),
                None => "its".to_owned(),
            };
            report.error(
                pool.unwrap_or(port.at),
                format!("{whose} check combines others, each of which has its own port"),
            );
        }
    }
}

/// The targets of one holder, each of which may stand there once.
struct SeenTargets<'h> {
    holder: &'h str,
    targets: HashSet<EndpointTarget>,
}

fn resolve_region(
    entry: NamedEntry<OneOrMore<EndpointEntry>>,
    seen: &mut SeenTargets<'_>,
    names: &mut EndpointNames<'_>,
    report: &mut ConfigReport,
) -> Option<StatedRegion> {
    let NamedEntry { name, value } = entry;
    let region = names.regions.find(&name, report);
    if let TableField::Given(WithOffset {
        at,
        value: OneOrMore(list),
    }) = &value
        && list.is_empty()
    {
        let sentence = format!("region \"{}\" is listed without endpoints", name.value);
        report.error(*at, sentence);
    }
    let mut endpoints = Vec::new();
    for entry in value.value().map_or(Vec::new(), |entries| entries.0) {
        endpoints.extend(resolve_endpoint(entry, seen, names, report));
    }
    Some(StatedRegion {
        region: RegionId(region?),
        name,
        endpoints,
    })
}

fn resolve_endpoint(
    entry: WithOffset<EndpointEntry>,
    seen: &mut SeenTargets<'_>,
    names: &mut EndpointNames<'_>,
    report: &mut ConfigReport,
) -> Option<StatedEndpoint> {
    let WithOffset {
        at,
        value: EndpointEntry(mut raw),
    } = entry;
    let check = take(&mut raw.check)
        .given()
        .and_then(|own| names.checks.find(&own, report))
        .map(CheckId);
    let stated_at = [
        raw.address.at(),
        raw.cname.at(),
        raw.alias.at(),
        raw.mx.at(),
        raw.srv.at(),
    ];
    let target_at = stated_at.into_iter().flatten().next().unwrap_or(at);
    let target = take_target(&mut raw, at, report)?;
    if !seen.targets.insert(target.clone()) {
        let holder = seen.holder;
        report.error(
            target_at,
            format!("the {holder} has the endpoint {target} twice"),
        );
    }
    let port = raw.port.given().map(|port| WithOffset {
        at: port.at,
        value: WholeNumber::as_u16(port.value),
    });
    Some(StatedEndpoint {
        target,
        weight: raw.weight.value.as_u32(),
        check,
        port,
    })
}

/// Takes the target out of the one key that is given.
fn take_target(
    raw: &mut tables::Endpoint,
    at: usize,
    report: &mut ConfigReport,
) -> Option<EndpointTarget> {
    let tables::Endpoint {
        address,
        cname,
        alias,
        mx,
        srv,
        ..
    } = raw;
    let absent = [
        address.is_absent(),
        cname.is_absent(),
        alias.is_absent(),
        mx.is_absent(),
        srv.is_absent(),
    ];
    let given = absent.iter().filter(|absent| !**absent).count();
    if given != 1 {
        let how_many = if given == 0 { "needs" } else { "has more than" };
        report.error(
            at,
            format!("the endpoint {how_many} one of address, cname, alias, mx and srv"),
        );
        return None;
    }
    let address = take(address)
        .value()
        .map(|address| EndpointTarget::Address(address.0));
    let name = take(cname)
        .value()
        .map(EndpointTarget::Name)
        .or(take(alias).value().map(EndpointTarget::Alias));
    let host = take(mx)
        .value()
        .map(|mx| mx.0)
        .or(take(srv).value().map(|srv| srv.0));
    address.or(name).or(host.map(EndpointTarget::Host))
}
