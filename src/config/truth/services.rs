//! `[[services]]`: the steered names, their regions and their endpoints.
//!
//! A service names regions, checks and fence lists, so these are resolved before it. The names are
//! looked up here, and an unknown one is a mistake. A service without a usable name is left out of
//! the result. Its other keys are still checked.

use std::collections::{HashMap, HashSet};
use std::mem::take;

use super::fences::FenceLists;
use super::model::{
    Capacity, CheckConfig, CheckId, CheckKind, Endpoint, EndpointTarget, RegionConfig, RegionId,
    ServiceConfig, ServiceRegion,
};
use super::names::DeclaredNames;
use crate::config::document::{
    ConfigReport, NamedEntry, NamedTables, OneOrMore, Setting, SpannedList, TableField, WithOffset,
};
use crate::config::tables::{self, EndpointEntry, TtlEntry};
use crate::config::values::bindings::{HttpsText, SvcbTemplate, SvcbText};
use crate::config::values::plain::WholeNumber;
use crate::dns::Name;
use crate::health::fold::FoldRules;
use crate::resolve::IpFamily;
use crate::steering::RegionOrder;

/// Most services in one file.
const MOST_SERVICES: usize = 100_000;
/// Most regions in one service: a class of clients numbers them with one octet.
const MOST_REGIONS: usize = 254;

/// What services refer to.
pub struct ServiceResolver<'r> {
    /// The names of the regions; an id indexes `regions`.
    pub region_names: DeclaredNames,
    /// The names of the checks.
    pub check_names: DeclaredNames,
    /// The checks; an id indexes them.
    pub checks: &'r [CheckConfig],
    /// The regions.
    pub regions: &'r [RegionConfig],
    /// The lists of `[fences]`.
    pub fence_lists: FenceLists,
    /// `[geo] client_subnet`.
    pub client_subnet: bool,
}

impl ServiceResolver<'_> {
    /// Resolves every service; those that have no name are reported and left out.
    pub fn services(
        &mut self,
        raw: SpannedList<tables::Service>,
        report: &mut ConfigReport<'_>,
    ) -> Vec<ServiceConfig> {
        if let Some(service) = raw.get(MOST_SERVICES) {
            report.error(
                service.at,
                format!("there are more than {MOST_SERVICES} services"),
            );
        }
        let mut stated = HashMap::new();
        let mut services = Vec::new();
        for WithOffset { at, value } in raw {
            let name_at = value.name.at().unwrap_or(at);
            let Some(service) = self.service(at, value, report) else {
                continue;
            };
            match stated.get(&service.name) {
                Some(line) => report.error(
                    name_at,
                    format!("{} is a service already in line {line}", service.name),
                ),
                None => drop(stated.insert(service.name.clone(), service.line)),
            }
            services.push(service);
        }
        services
    }

    fn service(
        &mut self,
        at: usize,
        raw: tables::Service,
        report: &mut ConfigReport<'_>,
    ) -> Option<ServiceConfig> {
        let name = raw.name.required(at, "the service needs a name", report);
        let order = raw.order.value.0;
        if let Some(band) = raw.band.at()
            && order != RegionOrder::Nearest
        {
            report.warning(
                band,
                "band means something only where order = \"nearest\"".to_owned(),
            );
        }
        let check = raw
            .check
            .given()
            .and_then(|check| self.check_names.find(&check, report))
            .map(CheckId);
        let endpoints = raw
            .endpoints
            .required(at, "the service needs endpoints", report);
        let mut regions = match endpoints {
            Some(endpoints) => self.service_regions(endpoints, order, check, report),
            None => Vec::new(),
        };
        self.take_capacities(raw.capacity.value(), &mut regions, report);
        let min_endpoints = self.min_endpoints(&raw.min_endpoints, &regions, report);
        let ttl = resolve_ttl(raw.ttl, report);
        let fold = FoldRules {
            ramp: raw.ramp.value.0,
            max_removed: raw.max_removed.value.0,
        };
        let OneOrMore(lists) = raw.fences.value;
        let fences = self.fence_lists.of_service(
            raw.fence.value,
            lists,
            &mut self.region_names,
            &regions,
            report,
        );
        let bindings = bindings(raw.https, raw.svcb, &regions, report);
        let name = name?;
        self.check_endpoints(&name, &regions, report);
        Some(ServiceConfig {
            name: name.value,
            ttl: ttl.most,
            least_ttl: ttl.least,
            min_endpoints,
            fold,
            order,
            pick: raw.pick.value.0,
            band: raw.band.value,
            answers: raw.answers.value.as_u8(),
            all_down: raw.all_down.value.0,
            client_subnet: raw.client_subnet.value().unwrap_or(self.client_subnet),
            private_targets: raw.private_targets.value,
            check,
            regions,
            bindings,
            fences,
            line: report.line(at),
        })
    }

    fn service_regions(
        &mut self,
        endpoints: WithOffset<NamedTables<OneOrMore<EndpointEntry>>>,
        order: RegionOrder,
        check: Option<CheckId>,
        report: &mut ConfigReport<'_>,
    ) -> Vec<ServiceRegion> {
        let WithOffset {
            at,
            value: NamedTables(entries),
        } = endpoints;
        if entries.is_empty() {
            report.error(at, "the service has no endpoints".to_owned());
        }
        if let Some(entry) = entries.get(MOST_REGIONS) {
            report.error(
                entry.name.at,
                format!("the service has more than {MOST_REGIONS} regions"),
            );
        }
        let mut seen = HashSet::new();
        let mut regions = Vec::with_capacity(entries.len());
        for entry in entries {
            regions.extend(self.service_region(entry, order, check, &mut seen, report));
        }
        regions
    }

    fn service_region(
        &mut self,
        entry: NamedEntry<OneOrMore<EndpointEntry>>,
        order: RegionOrder,
        check: Option<CheckId>,
        seen: &mut HashSet<EndpointTarget>,
        report: &mut ConfigReport<'_>,
    ) -> Option<ServiceRegion> {
        let NamedEntry { name, value } = entry;
        let id = self.region_names.find(&name, report);
        let region = id.and_then(|id| self.regions.get(usize::from(id)));
        if region.is_some_and(|region| order == RegionOrder::Nearest && region.location.is_none()) {
            let sentence = format!(
                "region \"{}\" has no location, which order = \"nearest\" needs",
                name.value
            );
            report.error(name.at, sentence);
        }
        if let TableField::Given(WithOffset {
            at,
            value: OneOrMore(list),
        }) = &value
            && list.is_empty()
        {
            report.error(
                *at,
                format!("region \"{}\" is listed without endpoints", name.value),
            );
        }
        let mut endpoints = Vec::new();
        for entry in value.value().map_or(Vec::new(), |entries| entries.0) {
            endpoints.extend(self.endpoint(entry, check, seen, report));
        }
        Some(ServiceRegion {
            region: RegionId(id?),
            endpoints,
            capacity: None,
        })
    }

    fn endpoint(
        &mut self,
        entry: WithOffset<EndpointEntry>,
        check: Option<CheckId>,
        seen: &mut HashSet<EndpointTarget>,
        report: &mut ConfigReport<'_>,
    ) -> Option<Endpoint> {
        let WithOffset {
            at,
            value: EndpointEntry(mut raw),
        } = entry;
        let own = take(&mut raw.check)
            .given()
            .and_then(|own| self.check_names.find(&own, report))
            .map(CheckId);
        let port_at = raw.port.at();
        let host_at = raw.mx.at().or(raw.srv.at());
        let target_at = raw
            .address
            .at()
            .or(raw.cname.at())
            .or(raw.alias.at())
            .or(host_at)
            .unwrap_or(at);
        let target = take_target(&mut raw, at, report)?;
        if !seen.insert(target.clone()) {
            report.error(
                target_at,
                format!("the service has the endpoint {target} twice"),
            );
        }
        let check = own.or(check);
        if let Some(at) = port_at {
            if check.is_none() {
                report.warning(
                    at,
                    "the port says where the endpoint is checked, but nothing checks it".to_owned(),
                );
            } else if check.is_some_and(|id| self.is_combined(id)) {
                report.error(
                    at,
                    "its check combines others, each of which has its own port".to_owned(),
                );
            }
        }
        let weight = raw.weight.value.as_u32();
        let port = raw.port.value().map(WholeNumber::as_u16);
        let unknown = if matches!(target, EndpointTarget::Alias(_)) {
            IpFamily::ALL.to_vec()
        } else {
            Vec::new()
        };
        Some(Endpoint {
            target,
            weight,
            check,
            port,
            alias: None,
            unknown,
        })
    }

    fn is_combined(&self, id: CheckId) -> bool {
        let check = self.checks.get(usize::from(id.0));
        matches!(
            check,
            Some(CheckConfig {
                kind: CheckKind::Combined { .. },
                ..
            })
        )
    }

    fn take_capacities(
        &mut self,
        given: Option<NamedTables<Capacity>>,
        regions: &mut [ServiceRegion],
        report: &mut ConfigReport<'_>,
    ) {
        for NamedEntry { name, value } in given.map_or(Vec::new(), |given| given.0) {
            let Some(id) = self.region_names.find(&name, report).map(RegionId) else {
                continue;
            };
            match regions.iter_mut().find(|region| region.region == id) {
                Some(region) => region.capacity = value.value(),
                None => {
                    let sentence =
                        format!("region \"{}\" has no endpoints in this service", name.value);
                    report.error(name.at, sentence);
                }
            }
        }
    }

    /// The endpoints that a region needs. A region that has fewer would never serve a client.
    fn min_endpoints(
        &self,
        least: &Setting<WholeNumber<1, 1000>>,
        regions: &[ServiceRegion],
        report: &mut ConfigReport<'_>,
    ) -> usize {
        let needed = least.value.as_usize();
        let Some(at) = least.at() else { return needed };
        // An alias may come to several.
        let fixed = regions.iter().filter(|region| !region.has_alias());
        let fewest = fixed.min_by_key(|region| region.endpoints.len());
        if let Some(fewest) = fewest
            && fewest.endpoints.len() < needed
        {
            let name = self
                .regions
                .get(usize::from(fewest.region.0))
                .map_or("", |region| &region.name);
            let sentence = format!(
                "region \"{name}\" has only {} of these endpoints",
                fewest.endpoints.len()
            );
            report.error(at, sentence);
        }
        needed
    }

    fn check_endpoints(
        &self,
        name: &WithOffset<Name>,
        regions: &[ServiceRegion],
        report: &mut ConfigReport<'_>,
    ) {
        if !regions.is_empty() && regions.iter().all(|region| self.is_standby(region)) {
            report.warning(
                name.at,
                format!("every endpoint of {} is a standby (weight 0)", name.value),
            );
        }
        let mut endpoints = regions.iter().flat_map(|region| &region.endpoints);
        if endpoints.any(|endpoint| endpoint.target.leads_to(&name.value)) {
            report.error(name.at, format!("{} has itself as an endpoint", name.value));
        }
    }

    fn is_standby(&self, region: &ServiceRegion) -> bool {
        let weight = self
            .regions
            .get(usize::from(region.region.0))
            .map_or(0, |region| region.weight);
        weight == 0 || region.endpoints.iter().all(|endpoint| endpoint.weight == 0)
    }
}

/// The TTL of a service.
struct ServiceTtl {
    /// The TTL, or the most where it follows health.
    most: u32,
    /// The least where it follows health; `None`: it is fixed.
    least: Option<u32>,
}

fn resolve_ttl(setting: Setting<TtlEntry>, report: &mut ConfigReport<'_>) -> ServiceTtl {
    let at = setting.at().unwrap_or(0);
    let range = match setting.value {
        TtlEntry::Fixed(seconds) => {
            return ServiceTtl {
                most: seconds.as_u32(),
                least: None,
            };
        }
        TtlEntry::Range(range) => range,
    };
    let most = range
        .max
        .required(at, "a ttl that follows health needs max", report);
    let least = range.min.value.as_u32();
    // Without a max there is a mistake already, and any will do.
    let most = most.map_or(least, |most| most.value.as_u32());
    match range.min.at() {
        None => ServiceTtl {
            most,
            least: Some(least.min(most)),
        },
        Some(at) => {
            if least > most {
                report.error(at, format!("min is more than the {most} of max"));
            }
            ServiceTtl {
                most,
                least: Some(least),
            }
        }
    }
}

/// The HTTPS and SVCB records of the service. A name with a CNAME cannot have them (RFC 1034
/// section 3.6.2).
fn bindings(
    https: TableField<HttpsText>,
    svcb: TableField<SvcbText>,
    regions: &[ServiceRegion],
    report: &mut ConfigReport<'_>,
) -> Vec<SvcbTemplate> {
    let at = https.at().or(svcb.at());
    let mut endpoints = regions.iter().flat_map(|region| &region.endpoints);
    let is_name = endpoints.any(|endpoint| matches!(endpoint.target, EndpointTarget::Name(_)));
    if let Some(at) = at
        && is_name
    {
        report.error(
            at,
            "a name with a CNAME has no other records: give addresses or aliases as endpoints"
                .to_owned(),
        );
    }
    let https = https.value().map(|https| https.0);
    https
        .into_iter()
        .chain(svcb.value().map(|svcb| svcb.0))
        .collect()
}

/// Takes the target out of the one key that is given.
fn take_target(
    raw: &mut tables::Endpoint,
    at: usize,
    report: &mut ConfigReport<'_>,
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
