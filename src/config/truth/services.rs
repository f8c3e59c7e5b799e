//! `[[services]]`: the steered names, their regions and their endpoints.
//!
//! A service names regions, checks, fence lists, a policy and a pool, so these are resolved before
//! it. Each key that it does not state comes from its policy. The names are looked up here, and an unknown one is a mistake. A service without a usable name is left out of
//! the result. Its other keys are still checked.

use std::collections::HashMap;

use super::answers::warn_of_capped;
use super::fences::FenceLists;
use super::model::{
    Capacity, CheckConfig, CheckId, EndpointTarget, RegionConfig, RegionId, ServiceConfig,
    ServiceRegion,
};
use super::names::DeclaredNames;
use super::policies::{AppliedPolicy, Policies, Policy};
use super::pools::{EndpointDefaults, EndpointLists, EndpointNames, Pools, StatedEndpoints};
use super::ttl::{ServiceTtl, resolve_ttl};
use crate::config::document::error::SourceLine;
use crate::config::document::{
    ConfigReport, NamedEntry, NamedTables, OneOrMore, Setting, SpannedList, TableField, WithOffset,
};
use crate::config::tables::{self, TtlEntry};
use crate::config::values::bindings::{HttpsText, SvcbTemplate, SvcbText};
use crate::dns::Name;
use crate::health::fold::FoldRules;
use crate::steering::RegionOrder;

/// Most services in a configuration.
const MOST_SERVICES: usize = 100_000;

/// The warning for a band that has no effect.
pub(super) const BAND_WITHOUT_DISTANCE: &str =
    "band means something only where order = \"nearest\"";

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
    /// The policies.
    pub policies: Policies,
    /// The pools.
    pub pools: Pools,
    /// `[geo] client_subnet`.
    pub client_subnet: bool,
}

impl ServiceResolver<'_> {
    /// Resolves every service; those that have no name are reported and left out.
    pub fn services(
        &mut self,
        raw: SpannedList<tables::Service>,
        report: &mut ConfigReport,
    ) -> Vec<ServiceConfig> {
        if let Some(service) = raw.get(MOST_SERVICES) {
            report.error(
                service.at,
                format!("there are more than {MOST_SERVICES} services"),
            );
        }
        let mut stated: HashMap<Name, SourceLine> = HashMap::new();
        let mut services = Vec::new();
        for WithOffset { at, value } in raw {
            let name_at = value.name.at().unwrap_or(at);
            let Some(service) = self.service(at, value, report) else {
                continue;
            };
            match stated.get(&service.name) {
                Some(before) => {
                    let before = before.seen_from(&service.stated);
                    let sentence = format!("{} is a service already in {before}", service.name);
                    report.error(name_at, sentence);
                }
                None => drop(stated.insert(service.name.clone(), service.stated.clone())),
            }
            services.push(service);
        }
        services
    }

    /// Warns of everything that no service uses.
    pub fn warn_unused(&self, report: &mut ConfigReport) {
        self.region_names.warn_unused(report);
        self.check_names.warn_unused(report);
        self.fence_lists.warn_unused(report);
        self.policies.warn_unused(report);
        self.pools.warn_unused(report);
    }

    fn service(
        &mut self,
        at: usize,
        raw: tables::Service,
        report: &mut ConfigReport,
    ) -> Option<ServiceConfig> {
        let name = raw.name.required(at, "the service needs a name", report);
        let applied = self.policies.applied(raw.policy, report);
        let policy = &*applied.policy;
        let order = raw.order.or(&policy.keys.order).0;
        if let Some(band) = raw.band.at()
            && order != RegionOrder::Nearest
        {
            report.warning(band, BAND_WITHOUT_DISTANCE.to_owned());
        }
        let check = self.check_of(raw.check, policy, report);
        let pool = raw.pool.get().map(|pool| pool.as_str().into());
        let endpoints = StatedBy {
            service: at,
            endpoints: raw.endpoints,
            pool: raw.pool,
        };
        let mut regions = self.service_regions(endpoints, order, check, report);
        self.take_capacities(raw.capacity.value(), &mut regions, report);
        let needed = NeededEndpoints {
            at: raw.min_endpoints.at().or(applied.at),
            least: raw.min_endpoints.or(&policy.keys.min_endpoints).as_usize(),
        };
        self.check_min_endpoints(&needed, &regions, report);
        let ttl = ttl_of(raw.ttl, policy, report);
        let fold = FoldRules {
            ramp: raw.ramp.or(&policy.keys.ramp).0,
            max_removed: raw.max_removed.or(&policy.keys.max_removed).0,
        };
        let lists = self.fence_lists_of(raw.fences, &applied, report);
        let fences = self.fence_lists.of_service(
            raw.fence.value,
            lists,
            &mut self.region_names,
            &regions,
            report,
        );
        let bindings = bindings(raw.https, raw.svcb, &regions, report);
        let client_subnet = raw
            .client_subnet
            .value()
            .or(policy.keys.client_subnet.get().copied());
        let name = name?;
        self.check_endpoints(&name, &regions, report);
        let service = ServiceConfig {
            name: name.value,
            policy: policy.name.clone(),
            pool,
            ttl: ttl.most,
            least_ttl: ttl.least,
            min_endpoints: needed.least,
            fold,
            order,
            pick: raw.pick.or(&policy.keys.pick).0,
            band: raw.band.or(&policy.keys.band),
            answers: raw.answers.or(&policy.keys.answers).as_u8(),
            all_down: raw.all_down.or(&policy.keys.all_down).0,
            client_subnet: client_subnet.unwrap_or(self.client_subnet),
            private_targets: raw.private_targets.value,
            check,
            regions,
            bindings,
            fences,
            stated: report.line(at),
        };
        warn_of_capped(name.at, &service, self.regions, report);
        Some(service)
    }

    /// The check of endpoints that name none.
    fn check_of(
        &mut self,
        own: TableField<String>,
        policy: &Policy,
        report: &mut ConfigReport,
    ) -> Option<CheckId> {
        match own.given() {
            Some(check) => self.check_names.find(&check, report).map(CheckId),
            None => policy.check,
        }
    }

    /// The lists of fences that apply behind the service's own fences.
    fn fence_lists_of(
        &mut self,
        own: Setting<OneOrMore<String>>,
        applied: &AppliedPolicy,
        report: &mut ConfigReport,
    ) -> Vec<WithOffset<u16>> {
        if own.is_absent() {
            applied.fences()
        } else {
            self.fence_lists.find_lists(own.value.0, report)
        }
    }

    fn service_regions(
        &mut self,
        stated: StatedBy,
        order: RegionOrder,
        check: Option<CheckId>,
        report: &mut ConfigReport,
    ) -> Vec<ServiceRegion> {
        let rules = EndpointDefaults {
            check,
            order,
            regions: self.regions,
            checks: self.checks,
        };
        let pool_at = stated.pool.at();
        if let (Some(at), false) = (pool_at, stated.endpoints.is_absent()) {
            let sentence = "the service has endpoints of its own; give either a pool or endpoints";
            report.error(at, sentence.to_owned());
        }
        match stated.pool {
            TableField::Given(pool) => match self.pools.find(&pool, report) {
                Some(lists) => lists.for_service(pool_at, &rules, report),
                None => Vec::new(),
            },
            TableField::Refused => Vec::new(),
            TableField::Absent => {
                let sentence = "the service needs endpoints, or a pool";
                let own = stated.endpoints.required(stated.service, sentence, report);
                let Some(own) = own else {
                    return Vec::new();
                };
                let mut names = EndpointNames {
                    regions: &mut self.region_names,
                    checks: &mut self.check_names,
                };
                EndpointLists::resolve(own, "service", &mut names, report)
                    .for_service(None, &rules, report)
            }
        }
    }

    fn take_capacities(
        &mut self,
        given: Option<NamedTables<Capacity>>,
        regions: &mut [ServiceRegion],
        report: &mut ConfigReport,
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

    /// A region that has fewer endpoints than it needs would never serve a client.
    fn check_min_endpoints(
        &self,
        needed: &NeededEndpoints,
        regions: &[ServiceRegion],
        report: &mut ConfigReport,
    ) {
        let Some(at) = needed.at else { return };
        // An alias may come to several.
        let fixed = regions.iter().filter(|region| !region.has_alias());
        let fewest = fixed.min_by_key(|region| region.endpoints.len());
        let Some(fewest) = fewest.filter(|fewest| fewest.endpoints.len() < needed.least) else {
            return;
        };
        let region = self.regions.get(usize::from(fewest.region.0));
        let name = region.map_or("", |region| &region.name);
        let has = fewest.endpoints.len();
        report.error(
            at,
            format!(
                "region \"{name}\" has only {has} of the {} endpoints that min_endpoints requires",
                needed.least
            ),
        );
    }

    fn check_endpoints(
        &self,
        name: &WithOffset<Name>,
        regions: &[ServiceRegion],
        report: &mut ConfigReport,
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

fn ttl_of(own: Setting<TtlEntry>, policy: &Policy, report: &mut ConfigReport) -> ServiceTtl {
    match policy.ttl {
        Some(ttl) if own.is_absent() => ttl,
        _ => {
            let at = own.at().unwrap_or(0);
            resolve_ttl(own.value, at, report)
        }
    }
}

/// Where the endpoints of a service come from.
struct StatedBy {
    /// Where the service stands.
    service: usize,
    endpoints: TableField<StatedEndpoints>,
    pool: TableField<String>,
}

/// The endpoints that each region of a service needs.
struct NeededEndpoints {
    /// Where the number stands, or where the service names its policy; `None`: it is the default.
    at: Option<usize>,
    least: usize,
}

/// The HTTPS and SVCB records of the service. A name with a CNAME cannot have them (RFC 1034
/// section 3.6.2).
fn bindings(
    https: TableField<HttpsText>,
    svcb: TableField<SvcbText>,
    regions: &[ServiceRegion],
    report: &mut ConfigReport,
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
