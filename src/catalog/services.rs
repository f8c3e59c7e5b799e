//! Services, compiled for steering.
//!
//! A service has a view for each family of endpoints: A, AAAA, MX and SRV. A view lists the regions
//! with endpoints of that family and holds the catchment that maps clients to regions. Views with
//! equal rules share a catchment ([`CatchmentCache`]).

use std::net::IpAddr;
use std::sync::Arc;

use super::answer_counters::AnswerCounters;
use super::catchments::{CatchmentCache, SharedCatchment};
use super::endpoint_data::{EndpointData, EndpointRecord};
use crate::config::{self, Config, EndpointTarget, RegionId, SvcbTemplate, TargetHost};
use crate::dns::{Name, RecordType};
use crate::geo::Atlas;
use crate::geo::catchment::Catchment;
use crate::geo::fences::CatchmentRules;
use crate::resolve::IpFamily;
use crate::steering::{AllDown, PickMethod, Tiers};

/// The kind of endpoints that a query asks a service for.
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
    /// All families, in the order of their numbers.
    pub const ALL: [ServiceFamily; 4] = [
        ServiceFamily::V4,
        ServiceFamily::V6,
        ServiceFamily::Mail,
        ServiceFamily::Host,
    ];

    /// The record type that asks for it: `A`, `AAAA`, `MX`, `SRV`.
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
    /// The name of its policy, if it has one.
    pub policy: Option<Arc<str>>,
    /// Seconds.
    pub ttl: u32,
    /// How endpoints are picked.
    pub pick: PickMethod,
    /// Endpoints per reply.
    pub answers: u8,
    /// The answer when no region is available.
    pub all_down: AllDown,
    /// Whether EDNS Client Subnet is used.
    pub client_subnet: bool,
    /// Every endpoint is a name: the owner has a CNAME and nothing else.
    pub names_only: bool,
    /// Some endpoint is a name.
    pub has_names: bool,
    /// Aliases that are not resolved yet for some family.
    pub unresolved: Vec<UnresolvedAlias>,
    /// Some endpoint is an address or a name, or is an alias, so A and AAAA are the service's.
    pub has_addresses: bool,
    /// Its fences as configured. They may allow regions that have no endpoint of some family.
    pub fences: Arc<[config::FenceConfig]>,
    /// HTTPS and SVCB records.
    pub bindings: Vec<SvcbTemplate>,
    /// By [`ServiceFamily`]; `None` when no endpoint has that family.
    pub views: [Option<ServiceView>; ServiceFamily::ALL.len()],
}

/// An alias whose addresses of some families are not resolved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnresolvedAlias {
    /// The region that it is an endpoint of.
    pub region: RegionId,
    /// The alias.
    pub name: Name,
    /// The families without a result.
    pub families: Vec<IpFamily>,
}

/// One family of a service.
#[derive(Debug)]
pub struct ServiceView {
    /// The regions that have endpoints of this family, or may have some once their aliases are
    /// resolved, in the order listed. Positions in the rules are indices into this list.
    pub regions: Vec<ViewRegion>,
    /// What the catchment was compiled from.
    pub rules: Arc<CatchmentRules>,
    /// Shared by every view with the same rules.
    pub catchment: Arc<Catchment>,
    /// How many answers each region has given, by position.
    pub given: AnswerCounters,
}

/// A region that has endpoints of the view's family.
#[derive(Debug)]
pub struct ViewRegion {
    /// The region.
    pub region: RegionId,
    /// Position in the configuration's list of this service's regions.
    pub listed: usize,
    /// How a tier is divided.
    pub weight: u32,
    /// Endpoints of this family, or names. Empty while its alias is unresolved.
    pub endpoints: Vec<ViewEndpoint>,
}

/// An endpoint of the view's family.
#[derive(Debug, Clone)]
pub struct ViewEndpoint {
    /// Record data.
    pub data: EndpointData,
    /// 0 = standby.
    pub weight: u32,
    /// Position in the configuration's list of this region's endpoints.
    pub listed: usize,
}

impl SteeredService {
    /// How many answers each region has given since the service was compiled, in the order listed.
    pub fn answers(&self) -> Vec<u64> {
        let mut answers = Vec::new();
        for view in self.views() {
            for (region, count) in view.regions.iter().zip(view.given.counts()) {
                if answers.len() <= region.listed {
                    answers.resize(region.listed + 1, 0);
                }
                answers[region.listed] += count;
            }
        }
        answers
    }

    /// The views that have endpoints.
    pub fn views(&self) -> impl Iterator<Item = &ServiceView> {
        self.views.iter().flatten()
    }

    /// The regions of every view; a region with endpoints of two families comes twice.
    pub fn view_regions(&self) -> impl Iterator<Item = &ViewRegion> {
        self.views().flat_map(|view| &view.regions)
    }

    /// Compiles one service of the configuration.
    pub fn compile(
        service: &config::ServiceConfig,
        config: &Config,
        atlas: &Atlas,
        catchments: &mut CatchmentCache,
    ) -> SteeredService {
        let (mut names, mut hosts, mut endpoints) = (0, 0, 0);
        for region in &service.regions {
            for endpoint in &region.endpoints {
                endpoints += 1;
                match endpoint.target {
                    EndpointTarget::Name(_) => names += 1,
                    EndpointTarget::Host(_) => hosts += 1,
                    EndpointTarget::Address(_) | EndpointTarget::Alias(_) => {}
                }
            }
        }
        SteeredService {
            name: service.name.clone(),
            ttl: service.ttl,
            pick: service.pick,
            answers: service.answers,
            all_down: service.all_down,
            client_subnet: service.client_subnet,
            names_only: names == endpoints,
            has_names: names > 0,
            has_addresses: hosts < endpoints,
            policy: service.policy.clone(),
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
    /// Whether the region of this name shares a tier with another, so that weights divide clients
    /// between them.
    pub fn shares(&self, catalog: &super::Catalog, name: &str) -> bool {
        let mut regions = self.regions.iter();
        let position = regions.position(|region| catalog.region_name(region.region) == Some(name));
        let Some(Ok(position)) = position.map(u8::try_from) else {
            return false;
        };
        let mut classes = self.catchment.classes().iter();
        classes.any(|tiers| is_in_shared_tier(tiers, position))
    }

    fn compile(
        service: &config::ServiceConfig,
        family: ServiceFamily,
        config: &Config,
        atlas: &Atlas,
        catchments: &mut CatchmentCache,
    ) -> Option<ServiceView> {
        let regions = view_regions(service, family, config);
        if regions.is_empty() {
            return None;
        }
        let SharedCatchment { rules, catchment } =
            catchments.of_view(service, &regions, config, atlas);
        let given = AnswerCounters::new(regions.len());
        Some(ServiceView {
            regions,
            rules,
            catchment,
            given,
        })
    }
}

/// The regions of a service that answer for a family, or may do so once their aliases are resolved.
pub(super) fn view_regions(
    service: &config::ServiceConfig,
    family: ServiceFamily,
    config: &Config,
) -> Vec<ViewRegion> {
    let mut regions = Vec::new();
    for (listed, region) in service.regions.iter().enumerate() {
        let endpoints = endpoints_of(&service.name, region, family);
        if endpoints.is_empty() && !is_unresolved(region, family) {
            continue;
        }
        let configured = config.regions.get(usize::from(region.region.0));
        regions.push(ViewRegion {
            region: region.region,
            listed,
            weight: configured.map_or(100, |region| region.weight),
            endpoints,
        });
    }
    regions
}

/// The aliases with an unresolved family. Resolved addresses have taken the place of the others.
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

/// The endpoints of a region that can answer for a family. Names answer for A and for AAAA.
fn endpoints_of(
    owner: &Name,
    region: &config::ServiceRegion,
    family: ServiceFamily,
) -> Vec<ViewEndpoint> {
    let mut endpoints = Vec::new();
    for (listed, endpoint) in region.endpoints.iter().enumerate() {
        if let Some(data) = data_for(owner, &endpoint.target, family) {
            endpoints.push(ViewEndpoint {
                data,
                weight: endpoint.weight,
                listed,
            });
        }
    }
    endpoints
}

/// The record data of an endpoint; `None`: it does not answer for this family.
fn data_for(owner: &Name, target: &EndpointTarget, family: ServiceFamily) -> Option<EndpointData> {
    match (target, family) {
        (EndpointTarget::Address(IpAddr::V4(address)), ServiceFamily::V4) => {
            Some(EndpointData::V4(address.octets()))
        }
        (EndpointTarget::Address(IpAddr::V6(address)), ServiceFamily::V6) => {
            Some(EndpointData::V6(address.octets()))
        }
        (EndpointTarget::Name(name), ServiceFamily::V4 | ServiceFamily::V6) => {
            let rtype = RecordType::CNAME;
            Some(EndpointData::Name(EndpointRecord::boxed(
                owner,
                rtype,
                name,
                name.as_wire(),
            )))
        }
        (EndpointTarget::Host(host), ServiceFamily::Mail) if host.rtype == RecordType::MX => {
            Some(host_data(owner, host))
        }
        (EndpointTarget::Host(host), ServiceFamily::Host) if host.rtype == RecordType::SRV => {
            Some(host_data(owner, host))
        }
        _ => None,
    }
}

/// Whether a region shares one of these tiers with another.
fn is_in_shared_tier(tiers: &Tiers, position: u8) -> bool {
    let mut tiers = tiers.iter();
    tiers.any(|tier| tier.len() > 1 && tier.contains(&position))
}

fn host_data(owner: &Name, host: &TargetHost) -> EndpointData {
    EndpointData::Host(EndpointRecord::boxed(
        owner, host.rtype, &host.name, &host.data,
    ))
}

/// Whether an alias of a region may still turn out to have addresses of a family.
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
