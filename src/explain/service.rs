//! What a service comes to for one client, and why: the parts of a [`Decision`] put into words.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::candidates::{CandidateFacts, candidates};
use crate::answer::steered::Decision;
use crate::catalog::services::ServiceFamily;
use crate::catalog::{Catalog, LiveState, ServiceId, ServiceView, SteeredService};
use crate::config::RegionId;
use crate::geo::PlaceCode;
use crate::geo::catchment::Fence;
use crate::geo::groups::CountryGroup;
use crate::steering::pick::chances;
use crate::steering::{AllDown, PickMethod, RegionOrder, Tiers, UnitVector};

/// A service as one client sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceFacts {
    /// Its name; may be a wildcard.
    pub name: String,
    /// Seconds.
    pub ttl: u32,
    /// `nearest`, `priority` or `none`.
    pub order: String,
    /// `weighted`, `round-robin`, `sticky` or `least-load`.
    pub pick: String,
    /// How much farther than the nearest a region may be and still share its clients.
    pub band: String,
    /// Endpoints per reply.
    pub answers: u8,
    /// The rule for when no region is available.
    pub all_down: String,
    /// That rule is what answers now.
    pub all_regions_down: bool,
    /// The first fence that is about this client.
    pub fence: Option<FenceFacts>,
    /// Region names in the order in which this client gets them; the first tier with an available region serves.
    pub tiers: Vec<Vec<String>>,
    /// The tier that serves, from 1; absent if none does.
    pub tier: Option<usize>,
    /// Every region of the service.
    pub candidates: Vec<CandidateFacts>,
    /// The endpoints that this client can be given.
    pub endpoints: Vec<EndpointFacts>,
}

/// A fence that holds for a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FenceFacts {
    /// Its place among the service's fences, from 1.
    pub number: usize,
    /// The list of `[fences]` that it stands in; absent if it is the service's own.
    #[serde(default)]
    pub list: Option<String>,
    /// Whom it is about.
    pub clients: String,
    /// The regions that it leaves; none: no region is meant for these clients.
    pub regions: Vec<String>,
}

impl FenceFacts {
    /// `2`, or the name of its list: `eu-only`.
    pub fn title(&self) -> String {
        self.list.clone().unwrap_or_else(|| self.number.to_string())
    }
}

/// An endpoint that can be given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointFacts {
    /// Its region.
    pub region: String,
    /// Its address or name.
    pub endpoint: String,
    /// Its weight; those in standby count as 1 when they serve.
    pub weight: u32,
    /// The chance that it comes first in the reply, in per cent, from the weights; with round robin, its part of all
    /// replies.
    pub percent: f64,
}

/// What is explained: one family of one service at one moment.
pub struct ExplainedView<'m> {
    /// Region names and geodata.
    pub catalog: &'m Catalog,
    /// What is available.
    pub live: &'m LiveState,
    /// Which service.
    pub id: ServiceId,
    /// The same.
    pub service: &'m SteeredService,
    /// Which family of it.
    pub family: ServiceFamily,
    /// The regions that have endpoints in it.
    pub view: &'m ServiceView,
    /// What the server decides.
    pub decision: &'m Decision<'m>,
}

impl ExplainedView<'_> {
    /// The name of a region by its position in the view.
    pub fn region(&self, position: u8) -> String {
        let region = self.view.regions.get(usize::from(position));
        let name = region.and_then(|region| self.catalog.regions.get(usize::from(region.region.0)));
        name.cloned().unwrap_or_default()
    }

    fn regions(&self, positions: &[u8]) -> Vec<String> {
        positions
            .iter()
            .map(|position| self.region(*position))
            .collect()
    }

    /// The address that decided.
    fn address(&self) -> IpAddr {
        self.decision.located.seen.address()
    }

    /// The first fence that is about the client.
    pub fn fence(&self) -> Option<(usize, &Fence)> {
        let place = self
            .catalog
            .atlas
            .place(self.catalog.atlas.locate(self.address()).place);
        let mut fences = self.view.rules.fences.iter().enumerate();
        fences.find(|(_, fence)| fence.matches(place, fence.holds(self.address().into())))
    }

    /// Where the client is taken to stand.
    pub fn point(&self) -> Option<UnitVector> {
        let place = self
            .catalog
            .atlas
            .place(self.catalog.atlas.locate(self.address()).place);
        place.point.map(|point| point.unit_vector())
    }

    /// The positions in the order of this client.
    pub fn tiers(&self) -> Tiers {
        self.view.rules.rules.arrange(
            self.point(),
            self.fence().map(|(_, fence)| &fence.allowed[..]),
        )
    }

    /// The tier that serves, from 0.
    pub fn tier(&self) -> Option<usize> {
        let (first, _) = self.decision.tier?.regions.first()?;
        self.tiers().iter().position(|tier| tier.contains(first))
    }

    /// Whether the all-down rule answers.
    pub fn is_by_rule(&self) -> bool {
        self.decision.chain.is_some_and(|outcome| outcome.all_down)
    }

    /// Everything in words.
    pub fn facts(&self) -> ServiceFacts {
        let service = self.service;
        ServiceFacts {
            name: service.name.to_string(),
            ttl: self
                .live
                .service(self.id)
                .map_or(service.ttl, |now| now.ttl),
            order: order_word(self.view.rules.rules.order).to_owned(),
            pick: pick_word(service.pick).to_owned(),
            band: self.view.rules.rules.band.to_string(),
            answers: service.answers,
            all_down: all_down_word(service.all_down).to_owned(),
            all_regions_down: self.is_by_rule(),
            fence: self
                .fence()
                .map(|(index, fence)| self.fence_facts(index, fence)),
            tiers: self.tiers().iter().map(|tier| self.regions(tier)).collect(),
            tier: self.tier().map(|tier| tier + 1),
            candidates: candidates(self),
            endpoints: self.endpoints(),
        }
    }

    fn fence_facts(&self, index: usize, fence: &Fence) -> FenceFacts {
        fence_facts(self.catalog, self.service, index, fence)
    }

    /// What becomes of a client whose place is unknown to the fences that ask for it.
    pub fn unplaced(&self) -> Option<String> {
        let place = self
            .catalog
            .atlas
            .place(self.catalog.atlas.locate(self.address()).place);
        let deciding = self.fence().map(|(index, _)| index);
        let is_known =
            |fence: &Fence| !fence.cannot_place(place) || fence.holds(self.address().into());
        let mut fences = self
            .view
            .rules
            .fences
            .iter()
            .enumerate()
            .take(deciding.map_or(usize::MAX, |index| index + 1));
        let (index, fence) = fences.rfind(|(_, fence)| !is_known(fence))?;
        let title = self.fence_facts(index, fence).title();
        Some(match fence.of_unknown && deciding == Some(index) {
            true => format!(
                "the client's place is unknown, so fence {title} holds (unknown = \"deny\")"
            ),
            false => format!(
                "the client's place is unknown, so fence {title} is not about it (unknown = \"allow\")"
            ),
        })
    }

    /// Whether this client can be given an endpoint of a region.
    pub fn endpoints_of(&self, region: &str) -> bool {
        self.endpoints()
            .iter()
            .any(|endpoint| endpoint.region == region)
    }

    fn endpoints(&self) -> Vec<EndpointFacts> {
        let Some(view) = self
            .live
            .service(self.id)
            .and_then(|now| now.view(self.family))
        else {
            return Vec::new();
        };
        let Some(stage) = self.decision.tier else {
            return Vec::new();
        };
        let mut chances = chances(stage, &view.pools, self.decision.located.client);
        match self.service.pick {
            PickMethod::Sticky => {
                chances = self
                    .decision
                    .picks()
                    .iter()
                    .map(|(region, at)| (region, at.into(), 1.0))
                    .collect();
            }
            PickMethod::RoundRobin => {
                let part = 1.0 / chances.len() as f64;
                chances.iter_mut().for_each(|(_, _, chance)| *chance = part);
            }
            PickMethod::Weighted | PickMethod::LeastLoad => {}
        }
        let facts = |(region, at, chance): (u8, usize, f64)| {
            let pool = view.pools.get(usize::from(region)).and_then(Option::as_ref);
            Some(EndpointFacts {
                region: self.region(region),
                endpoint: view.endpoint(region, at as u16)?.to_string(),
                weight: pool
                    .and_then(|pool| pool.weights.get(at))
                    .copied()
                    .unwrap_or_default(),
                percent: chance * 100.0,
            })
        };
        chances.into_iter().filter_map(facts).collect()
    }
}

/// Every fence of a service, in the order in which they are asked.
pub fn fences_of(catalog: &Catalog, service: &SteeredService) -> Vec<FenceFacts> {
    let view = service.views.iter().flatten().next();
    let fences = view
        .map_or(&[][..], |view| &view.rules.fences)
        .iter()
        .enumerate();
    fences
        .map(|(index, fence)| fence_facts(catalog, service, index, fence))
        .collect()
}

fn fence_facts(
    catalog: &Catalog,
    service: &SteeredService,
    index: usize,
    fence: &Fence,
) -> FenceFacts {
    let configured = service.fences.get(index);
    let name = |id: &RegionId| {
        catalog
            .regions
            .get(usize::from(id.0))
            .cloned()
            .unwrap_or_default()
    };
    let regions =
        configured.map_or_else(Vec::new, |fence| fence.regions.iter().map(name).collect());
    let list = configured
        .and_then(|fence| fence.list.as_deref())
        .map(str::to_owned);
    let groups = configured.map_or(&[][..], |fence| &fence.clients.groups);
    FenceFacts {
        number: index + 1,
        list,
        clients: clients_of(fence, groups),
        regions,
    }
}

/// Whom a fence is about.
fn clients_of(fence: &Fence, groups: &[&CountryGroup]) -> String {
    fn list<T: ToString>(word: &str, items: impl IntoIterator<Item = T>) -> Option<String> {
        let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
        let shown = items.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
        let more = if items.len() > 8 {
            format!(" and {} more", items.len() - 8)
        } else {
            String::new()
        };
        (!items.is_empty()).then(|| format!("{word} {shown}{more}"))
    }
    let is_member = |country: &PlaceCode| {
        groups
            .iter()
            .any(|group| group.countries().any(|member| member == *country))
    };
    let parts = [
        list("groups", groups.iter().map(|group| group.name)),
        list(
            "countries",
            fence.countries.iter().filter(|country| !is_member(country)),
        ),
        list("continents", &fence.continents),
        list(
            "subdivisions",
            fence
                .subdivisions
                .iter()
                .map(|(country, part)| format!("{country}-{part}")),
        ),
        list("ASNs", &fence.asns),
        list("networks", &fence.networks),
        fence
            .of_unknown
            .then(|| "clients of unknown place".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "everybody".to_owned()
    } else {
        parts.join("; ")
    }
}

/// The order as the configuration writes it.
pub fn order_word(order: RegionOrder) -> &'static str {
    match order {
        RegionOrder::Nearest => "nearest",
        RegionOrder::Priority => "priority",
        RegionOrder::None => "none",
    }
}

/// The pick as the configuration writes it.
pub fn pick_word(pick: PickMethod) -> &'static str {
    match pick {
        PickMethod::Weighted => "weighted",
        PickMethod::RoundRobin => "round-robin",
        PickMethod::Sticky => "sticky",
        PickMethod::LeastLoad => "least-load",
    }
}

/// The rule as the configuration writes it.
pub fn all_down_word(rule: AllDown) -> &'static str {
    match rule {
        AllDown::AnswerAll => "answer-all",
        AllDown::LastGood => "last-good",
        AllDown::NoData => "nodata",
        AllDown::ServFail => "servfail",
    }
}
