//! `[[services]]`: which names are steered, to which endpoints, and who may get them.

use std::collections::{HashMap, HashSet};
use std::mem::take;

use super::bindings::{HttpsText, SvcbTemplate, SvcbText};
use super::error::ConfigReport;
use super::fences::FenceLists;
use super::model::{
    Capacity, CheckConfig, CheckId, CheckKind, Endpoint, EndpointTarget, RegionConfig, RegionId,
    ServiceConfig, ServiceRegion,
};
use super::names::DeclaredNames;
use super::raw;
use super::raw_endpoints::{self, EndpointEntry};
use super::read::{NamedEntry, NamedTables, OneOrMore, SpannedList, TableField, WithOffset};
use super::resolve::DEFAULT_WEIGHT;
use super::service_values::TtlEntry;
use super::values::{Keyword, WholeNumber};
use crate::dns::Name;
use crate::health::fold::FoldRules;
use crate::resolve::IpFamily;
use crate::steering::{Band, RegionOrder};

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
        raw: SpannedList<raw::Service>,
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
        raw: raw::Service,
        report: &mut ConfigReport<'_>,
    ) -> Option<ServiceConfig> {
        let name = raw.name.required(at, "the service needs a name", report);
        let order = raw.order.or(Keyword(RegionOrder::default())).0;
        if let Some(band) = raw.band.at().filter(|_| order != RegionOrder::Nearest) {
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
        let regions = endpoints.map_or(Vec::new(), |endpoints| {
            self.service_regions(endpoints, order, check, report)
        });
        let mut regions = regions;
        self.take_capacities(raw.capacity.value(), &mut regions, report);
        let min_endpoints = self.min_endpoints(raw.min_endpoints.given(), &regions, report);
        let (ttl, least_ttl) = resolve_ttl(raw.ttl.given(), report);
        let usual = FoldRules::default();
        let fold = FoldRules {
            ramp: raw.ramp.value().map_or(usual.ramp, |ramp| ramp.0),
            max_removed: raw
                .max_removed
                .value()
                .map_or(usual.max_removed, |part| part.0),
        };
        let fences = self.fence_lists.of_service(
            raw.fence,
            raw.fences,
            &mut self.region_names,
            &regions,
            report,
        );
        let bindings = bindings(raw.https, raw.svcb, &regions, report);
        let name = name?;
        self.check_endpoints(&name, &regions, report);
        Some(ServiceConfig {
            name: name.value,
            ttl,
            least_ttl,
            min_endpoints,
            fold,
            order,
            pick: raw.pick.or(Keyword(Default::default())).0,
            band: raw.band.or(Band::default()),
            answers: raw.answers.or(WholeNumber(1)).0.try_into().unwrap_or(1),
            all_down: raw.all_down.or(Keyword(Default::default())).0,
            client_subnet: raw.client_subnet.or(self.client_subnet),
            private_targets: raw.private_targets.or(false),
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
        let resolve = |entry| self.service_region(entry, order, check, &mut seen, report);
        entries.into_iter().filter_map(resolve).collect()
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
        let entries = value.value().map_or(Vec::new(), |entries| entries.0);
        let endpoints = entries
            .into_iter()
            .filter_map(|entry| self.endpoint(entry, check, seen, report))
            .collect();
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
        if let Some(at) = port_at.filter(|_| check.is_none()) {
            report.warning(
                at,
                "the port says where the endpoint is checked, but nothing checks it".to_owned(),
            );
        }
        let is_combined = check.is_some_and(|id| {
            let check = self.checks.get(usize::from(id.0));
            check.is_some_and(|check| matches!(check.kind, CheckKind::Combined { .. }))
        });
        if let Some(at) = port_at.filter(|_| is_combined) {
            report.error(
                at,
                "its check combines others, each of which has its own port".to_owned(),
            );
        }
        let weight = raw.weight.or(WholeNumber(DEFAULT_WEIGHT)).as_u32();
        let port = raw.port.value().and_then(|port| port.0.try_into().ok());
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

    /// A region with fewer endpoints than it needs would never take anybody.
    fn min_endpoints(
        &self,
        given: Option<WithOffset<WholeNumber<1, 1000>>>,
        regions: &[ServiceRegion],
        report: &mut ConfigReport<'_>,
    ) -> usize {
        let Some(WithOffset { at, value }) = given else {
            return 1;
        };
        // An alias may come to several.
        let is_alias = |endpoint: &Endpoint| matches!(endpoint.target, EndpointTarget::Alias(_));
        let fixed = regions
            .iter()
            .filter(|region| !region.endpoints.iter().any(is_alias));
        let fewest = fixed.min_by_key(|region| region.endpoints.len());
        if let Some(fewest) = fewest.filter(|fewest| fewest.endpoints.len() < value.as_usize()) {
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
        value.as_usize()
    }

    fn check_endpoints(
        &self,
        name: &WithOffset<Name>,
        regions: &[ServiceRegion],
        report: &mut ConfigReport<'_>,
    ) {
        let mut endpoints = regions.iter().flat_map(|region| &region.endpoints);
        let standby = |region: &ServiceRegion| {
            let region_weight = self
                .regions
                .get(usize::from(region.region.0))
                .map_or(0, |region| region.weight);
            region_weight == 0 || region.endpoints.iter().all(|endpoint| endpoint.weight == 0)
        };
        if !regions.is_empty() && regions.iter().all(standby) {
            report.warning(
                name.at,
                format!("every endpoint of {} is a standby (weight 0)", name.value),
            );
        }
        let is_itself = |target: &EndpointTarget| matches!(target, EndpointTarget::Name(it) | EndpointTarget::Alias(it) if *it == name.value);
        if endpoints.any(|endpoint| is_itself(&endpoint.target)) {
            report.error(name.at, format!("{} has itself as an endpoint", name.value));
        }
    }
}

/// The TTL, or the most and the least of one that follows health.
fn resolve_ttl(
    given: Option<WithOffset<TtlEntry>>,
    report: &mut ConfigReport<'_>,
) -> (u32, Option<u32>) {
    let Some(WithOffset { at, value }) = given else {
        return (30, None);
    };
    let range = match value {
        TtlEntry::Fixed(seconds) => return (seconds.as_u32(), None),
        TtlEntry::Range(range) => range,
    };
    let least_at = range.min.at();
    let most = range
        .max
        .required(at, "a ttl that follows health needs max", report)
        .map_or(30, |max| max.value.as_u32());
    let least = range.min.value().map_or(most.min(5), |min| min.as_u32());
    if let Some(at) = least_at.filter(|_| least > most) {
        report.error(at, format!("min is more than the {most} of max"));
    }
    (most, Some(least))
}

/// The HTTPS and SVCB records of the service's name, which a name that is a CNAME cannot have (RFC 1034, section 3.6.2).
fn bindings(
    https: TableField<HttpsText>,
    svcb: TableField<SvcbText>,
    regions: &[ServiceRegion],
    report: &mut ConfigReport<'_>,
) -> Vec<SvcbTemplate> {
    let at = https.at().or(svcb.at());
    let mut endpoints = regions.iter().flat_map(|region| &region.endpoints);
    let is_name = endpoints.any(|endpoint| matches!(endpoint.target, EndpointTarget::Name(_)));
    if let Some(at) = at.filter(|_| is_name) {
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

/// The one of the keys that was given; it is taken out.
fn take_target(
    raw: &mut raw_endpoints::Endpoint,
    at: usize,
    report: &mut ConfigReport<'_>,
) -> Option<EndpointTarget> {
    let raw_endpoints::Endpoint {
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
