//! Steered services, compiled: for each family the regions that have endpoints in it, and the catchment they share.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::endpoint_data::{EndpointData, EndpointRecord};
use crate::config::{self, Config, EndpointTarget, RegionId, SvcbTemplate, TargetHost};
use crate::dns::{Name, RecordType};
use crate::geo::Atlas;
use crate::geo::catchment::{Catchment, CatchmentRules, Fence};
use crate::resolve::IpFamily;
use crate::steering::{AllDown, Band, Candidate, PickMethod, RegionOrder, SteeringRules};

/// What is asked of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceFamily {
    /// A
    V4 = 0,
    /// AAAA
    V6 = 1,
    /// MX
    Mail = 2,
    /// SRV
    Host = 3,
}

impl ServiceFamily {
    /// By number.
    pub const ALL: [ServiceFamily; 4] = [
        ServiceFamily::V4,
        ServiceFamily::V6,
        ServiceFamily::Mail,
        ServiceFamily::Host,
    ];

    /// The record type that it is asked by: `A`, `AAAA`, `MX`, `SRV`.
    pub fn word(self) -> &'static str {
        match self {
            ServiceFamily::V4 => "A",
            ServiceFamily::V6 => "AAAA",
            ServiceFamily::Mail => "MX",
            ServiceFamily::Host => "SRV",
        }
    }
}

/// One steered name.
#[derive(Debug)]
pub struct SteeredService {
    /// Owner; may be a wildcard.
    pub name: Name,
    /// Seconds.
    pub ttl: u32,
    /// How endpoints are picked.
    pub pick: PickMethod,
    /// Endpoints per reply.
    pub answers: u8,
    /// What is answered when nothing is available.
    pub all_down: AllDown,
    /// Whether EDNS Client Subnet is used.
    pub client_subnet: bool,
    /// Every endpoint is a name: the owner has a CNAME and nothing else.
    pub names_only: bool,
    /// Some endpoint is a name.
    pub has_names: bool,
    /// Aliases of which some family is not known yet: not all that could be answered is known.
    pub unresolved: Vec<UnresolvedAlias>,
    /// Some endpoint is an address or a name, or is an alias, so A and AAAA are the service's.
    pub has_addresses: bool,
    /// Its fences as configured: what they leave are also regions without an endpoint of some family.
    pub fences: Arc<[config::FenceConfig]>,
    /// HTTPS and SVCB records.
    pub bindings: Vec<SvcbTemplate>,
    /// By [`ServiceFamily`]; `None` when no endpoint has that family.
    pub views: [Option<ServiceView>; ServiceFamily::ALL.len()],
}

/// An alias of which nobody knows yet what it has of some families.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnresolvedAlias {
    /// The region that it is an endpoint of.
    pub region: RegionId,
    /// Its name.
    pub name: Name,
    /// Those families.
    pub families: Vec<IpFamily>,
}

/// A service as one family sees it.
#[derive(Debug)]
pub struct ServiceView {
    /// The regions that have endpoints for this family, or may have some as soon as their aliases are resolved, in the
    /// order listed; positions in rules mean these.
    pub regions: Vec<ViewRegion>,
    /// What the catchment was compiled from.
    pub rules: Arc<CatchmentRules>,
    /// Shared by every view with the same rules.
    pub catchment: Arc<Catchment>,
    /// How many answers each region has given, by position.
    pub given: AnswerCounters,
}

/// Threads that count side by side; more share lanes.
const LANES: usize = 4;
/// Counters of one cache line.
const LINE: usize = 8;

/// How many answers the regions of a view have given since it was compiled. Each thread counts in a lane, so that those of different lanes
/// never write to the same cache line.
#[derive(Debug)]
pub struct AnswerCounters {
    counters: Box<[AtomicU64]>,
    regions: usize,
    /// Counters from one lane to the next: whole cache lines.
    stride: usize,
}

impl AnswerCounters {
    fn new(regions: usize) -> AnswerCounters {
        let stride = regions.next_multiple_of(LINE);
        AnswerCounters {
            counters: (0..LANES * stride).map(|_| AtomicU64::new(0)).collect(),
            regions,
            stride,
        }
    }

    /// Counts one answer of the region at this position.
    #[inline]
    pub fn count(&self, lane: u8, position: u8) {
        let at = usize::from(lane) % LANES * self.stride + usize::from(position);
        if let Some(counter) = self.counters.get(at) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts so far, by position.
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.regions];
        for lane in self.counters.chunks(self.stride) {
            counts
                .iter_mut()
                .zip(lane)
                .for_each(|(count, counter)| *count += counter.load(Ordering::Relaxed));
        }
        counts
    }
}

/// One region in a view.
#[derive(Debug)]
pub struct ViewRegion {
    /// The region.
    pub region: RegionId,
    /// Position in the configuration's list of this service's regions.
    pub listed: usize,
    /// How a tier is divided.
    pub weight: u32,
    /// Endpoints of this family, or names. None: nobody knows the addresses of its alias yet.
    pub endpoints: Vec<ViewEndpoint>,
}

/// One endpoint in a view.
#[derive(Debug, Clone)]
pub struct ViewEndpoint {
    /// Record data.
    pub data: EndpointData,
    /// 0 = standby.
    pub weight: u32,
    /// Position in the configuration's list of this region's endpoints.
    pub listed: usize,
}

/// Catchments compiled so far, so that views with equal rules share one.
#[derive(Default)]
pub struct CatchmentCache {
    known: Vec<(Arc<CatchmentRules>, Arc<Catchment>)>,
    /// Where views that are alike in the configuration stand in `known`, so that their rules need not be worked out.
    alike: HashMap<ViewKey, usize>,
}

/// What the rules of a view follow from within one configuration.
#[derive(PartialEq, Eq, Hash)]
struct ViewKey {
    /// Where the fences are kept: services that share them have one place.
    fences: *const config::FenceConfig,
    order: RegionOrder,
    /// What the band is, and its size in bits.
    band: (bool, u64),
    regions: Vec<RegionId>,
}

impl ViewKey {
    fn new(service: &config::ServiceConfig, regions: &[ViewRegion]) -> ViewKey {
        let band = match service.band {
            Band::Percent(size) => (false, size.to_bits()),
            Band::Kilometres(size) => (true, size.to_bits()),
        };
        let regions = regions.iter().map(|region| region.region).collect();
        ViewKey {
            fences: service.fences.as_ptr(),
            order: service.order,
            band,
            regions,
        }
    }
}

impl CatchmentCache {
    /// Those of services that are compiled already.
    pub fn of(services: &[SteeredService]) -> CatchmentCache {
        let mut catchments = CatchmentCache::default();
        let mut seen = HashSet::new();
        for view in services
            .iter()
            .flat_map(|service| service.views.iter().flatten())
        {
            if seen.insert(Arc::as_ptr(&view.catchment)) {
                catchments
                    .known
                    .push((view.rules.clone(), view.catchment.clone()));
            }
        }
        catchments
    }

    fn of_view(
        &mut self,
        service: &config::ServiceConfig,
        regions: &[ViewRegion],
        config: &Config,
        atlas: &Atlas,
    ) -> (Arc<CatchmentRules>, Arc<Catchment>) {
        let key = ViewKey::new(service, regions);
        if let Some((rules, catchment)) = self.alike.get(&key).and_then(|at| self.known.get(*at)) {
            return (rules.clone(), catchment.clone());
        }
        let rules = CatchmentRules {
            rules: rules_of(service, regions, config),
            fences: fences_of(service, regions),
        };
        let at = self
            .known
            .iter()
            .position(|(known, _)| **known == rules)
            .unwrap_or_else(|| {
                let catchment = Arc::new(Catchment::compile(&rules, atlas));
                self.known.push((Arc::new(rules), catchment));
                self.known.len() - 1
            });
        self.alike.insert(key, at);
        let (rules, catchment) = &self.known[at];
        (rules.clone(), catchment.clone())
    }
}

impl SteeredService {
    /// How many answers each region has given since the service was compiled, in the order listed.
    pub fn answers(&self) -> Vec<u64> {
        let views = || self.views.iter().flatten();
        let listed = views()
            .flat_map(|view| &view.regions)
            .map(|region| region.listed + 1)
            .max();
        let mut answers = vec![0; listed.unwrap_or(0)];
        for (region, count) in views().flat_map(|view| view.regions.iter().zip(view.given.counts()))
        {
            answers
                .get_mut(region.listed)
                .into_iter()
                .for_each(|place| *place += count);
        }
        answers
    }

    /// Compiles one service of the configuration.
    pub fn compile(
        service: &config::ServiceConfig,
        config: &Config,
        atlas: &Atlas,
        catchments: &mut CatchmentCache,
    ) -> SteeredService {
        let is_name =
            |endpoint: &config::Endpoint| matches!(endpoint.target, EndpointTarget::Name(_));
        let endpoints = || service.regions.iter().flat_map(|region| &region.endpoints);
        SteeredService {
            name: service.name.clone(),
            ttl: service.ttl,
            pick: service.pick,
            answers: service.answers,
            all_down: service.all_down,
            client_subnet: service.client_subnet,
            names_only: endpoints().all(is_name),
            has_names: endpoints().any(is_name),
            has_addresses: endpoints()
                .any(|endpoint| !matches!(endpoint.target, EndpointTarget::Host(_))),
            fences: service.fences.clone(),
            bindings: service.bindings.clone(),
            unresolved: unresolved(service),
            views: ServiceFamily::ALL
                .map(|family| ServiceView::compile(service, family, config, atlas, catchments)),
        }
    }

    /// Its HTTPS or SVCB record, if it has one.
    pub fn binding(&self, rtype: RecordType) -> Option<&SvcbTemplate> {
        self.bindings.iter().find(|binding| binding.rtype == rtype)
    }

    /// The view that answers for a family.
    #[inline]
    pub fn view(&self, family: ServiceFamily) -> Option<&ServiceView> {
        self.views.get(family as usize)?.as_ref()
    }
}

impl ServiceView {
    /// Whether the region of this name shares some clients with another: they are in one tier, which weights divide.
    pub fn shares(&self, catalog: &super::Catalog, name: &str) -> bool {
        let is_called = |region: &ViewRegion| {
            catalog
                .regions
                .get(usize::from(region.region.0))
                .is_some_and(|it| it == name)
        };
        let Some(position) = self
            .regions
            .iter()
            .position(is_called)
            .and_then(|at| u8::try_from(at).ok())
        else {
            return false;
        };
        let mut tiers = self
            .catchment
            .classes()
            .iter()
            .flat_map(crate::steering::Tiers::iter);
        tiers.any(|tier| tier.len() > 1 && tier.contains(&position))
    }

    fn compile(
        service: &config::ServiceConfig,
        family: ServiceFamily,
        config: &Config,
        atlas: &Atlas,
        catchments: &mut CatchmentCache,
    ) -> Option<ServiceView> {
        let regions: Vec<ViewRegion> = service
            .regions
            .iter()
            .enumerate()
            .filter_map(|(listed, region)| {
                let endpoints = endpoints_of(&service.name, region, family);
                let weight = config
                    .regions
                    .get(usize::from(region.region.0))
                    .map_or(100, |region| region.weight);
                let may_be_given = !endpoints.is_empty() || is_unresolved(region, family);
                may_be_given.then_some(ViewRegion {
                    region: region.region,
                    listed,
                    weight,
                    endpoints,
                })
            })
            .collect();
        if regions.is_empty() {
            return None;
        }
        let (rules, catchment) = catchments.of_view(service, &regions, config, atlas);
        let given = AnswerCounters::new(regions.len());
        Some(ServiceView {
            regions,
            rules,
            catchment,
            given,
        })
    }
}

/// Aliases of which something is not known yet. Addresses that are known stand in their places.
fn unresolved(service: &config::ServiceConfig) -> Vec<UnresolvedAlias> {
    let mut unresolved = Vec::new();
    for region in &service.regions {
        for endpoint in &region.endpoints {
            let EndpointTarget::Alias(name) = &endpoint.target else {
                continue;
            };
            if !endpoint.unknown.is_empty() {
                let families = endpoint.unknown.clone();
                unresolved.push(UnresolvedAlias {
                    region: region.region,
                    name: name.clone(),
                    families,
                });
            }
        }
    }
    unresolved
}

/// The endpoints of a region that can answer for a family; names answer for both families of addresses.
fn endpoints_of(
    owner: &Name,
    region: &config::ServiceRegion,
    family: ServiceFamily,
) -> Vec<ViewEndpoint> {
    let host = |host: &TargetHost| {
        EndpointData::Host(EndpointRecord::boxed(
            owner, host.rtype, &host.name, &host.data,
        ))
    };
    let data = |endpoint: &config::Endpoint| match (&endpoint.target, family) {
        (EndpointTarget::Address(IpAddr::V4(address)), ServiceFamily::V4) => {
            Some(EndpointData::V4(address.octets()))
        }
        (EndpointTarget::Address(IpAddr::V6(address)), ServiceFamily::V6) => {
            Some(EndpointData::V6(address.octets()))
        }
        (EndpointTarget::Name(name), ServiceFamily::V4 | ServiceFamily::V6) => {
            Some(EndpointData::Name(EndpointRecord::boxed(
                owner,
                RecordType::CNAME,
                name,
                name.as_wire(),
            )))
        }
        (EndpointTarget::Host(to), ServiceFamily::Mail) if to.rtype == RecordType::MX => {
            Some(host(to))
        }
        (EndpointTarget::Host(to), ServiceFamily::Host) if to.rtype == RecordType::SRV => {
            Some(host(to))
        }
        _ => None,
    };
    let numbered = region.endpoints.iter().enumerate();
    numbered
        .filter_map(|(listed, endpoint)| {
            data(endpoint).map(|data| ViewEndpoint {
                data,
                weight: endpoint.weight,
                listed,
            })
        })
        .collect()
}

/// Whether some alias of a region may yet turn out to have addresses of a family.
fn is_unresolved(region: &config::ServiceRegion, family: ServiceFamily) -> bool {
    let wanted = match family {
        ServiceFamily::V4 => IpFamily::V4,
        ServiceFamily::V6 => IpFamily::V6,
        ServiceFamily::Mail | ServiceFamily::Host => return false,
    };
    region
        .endpoints
        .iter()
        .any(|endpoint| endpoint.unknown.contains(&wanted))
}

fn rules_of(
    service: &config::ServiceConfig,
    regions: &[ViewRegion],
    config: &Config,
) -> SteeringRules {
    let candidate = |region: &ViewRegion| {
        let region = config.regions.get(usize::from(region.region.0));
        Candidate {
            location: region
                .and_then(|region| region.location)
                .map(|point| point.unit_vector()),
            bias: region.map(|region| region.bias).unwrap_or_default(),
        }
    };
    SteeringRules {
        order: service.order,
        band: service.band,
        candidates: regions.iter().map(candidate).collect(),
    }
}

/// The fences with their regions as positions in the view.
fn fences_of(service: &config::ServiceConfig, regions: &[ViewRegion]) -> Vec<Fence> {
    let position = |id: &RegionId| {
        regions
            .iter()
            .position(|region| region.region == *id)
            .map(|position| position as u8)
    };
    let fence = |fence: &config::FenceConfig| Fence {
        countries: fence.clients.countries.clone(),
        continents: fence.clients.continents.clone(),
        subdivisions: fence.clients.subdivisions.clone(),
        asns: fence.clients.asns.clone(),
        networks: fence.clients.networks.clone(),
        of_unknown: fence.unknown == config::UnknownPlace::Deny,
        allowed: fence.regions.iter().filter_map(position).collect(),
    };
    service.fences.iter().map(fence).collect()
}
