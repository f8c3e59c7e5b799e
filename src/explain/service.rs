//! Explains how a service serves one client: the parts of a [`Decision`] in words.
//!
//! [`ExplainedView`] joins the catalog, the live state and the decision for one family of one
//! service. It finds the fence and the tiers that hold for the client, and the endpoints that a
//! reply may carry with their chances.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::candidates::{CandidateFacts, candidates};
use crate::answer::steered::Decision;
use crate::catalog::services::ServiceFamily;
use crate::catalog::{Catalog, LiveState, ServiceId, ServiceView, SteeredService};
use crate::geo::fences::Fence;
use crate::geo::groups::CountryGroup;
use crate::geo::{Place, PlaceCode};
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
    /// The first fence that applies to this client.
    pub fence: Option<FenceFacts>,
    /// Region names in the order in which this client gets them; the first tier with an available
    /// region serves.
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
    /// The clients that it applies to.
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
    /// The chance that it comes first in the reply, in per cent, from the weights; with round
    /// robin, its part of all replies.
    pub percent: f64,
}

/// One family of one service, with the decision for one client.
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
        let name = region.and_then(|region| self.catalog.region_name(region.region));
        name.unwrap_or_default().to_owned()
    }

    fn regions(&self, positions: &[u8]) -> Vec<String> {
        positions
            .iter()
            .map(|position| self.region(*position))
            .collect()
    }

    /// The place of the address that decided.
    fn place(&self) -> &Place {
        let atlas = &self.catalog.atlas;
        atlas.place(atlas.locate(self.address()).place)
    }

    /// The address that decided.
    fn address(&self) -> IpAddr {
        self.decision.located.seen.address()
    }

    /// The first fence that applies to the client.
    pub fn fence(&self) -> Option<(usize, &Fence)> {
        let place = self.place();
        let mut fences = self.view.rules.fences.iter().enumerate();
        fences.find(|(_, fence)| fence.matches(place, fence.holds(self.address().into())))
    }

    /// Where the client is taken to stand.
    pub fn point(&self) -> Option<UnitVector> {
        Some(self.place().point?.unit_vector())
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
                .map_or(service.ttl, |live| live.ttl),
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

    /// A note about the last fence that cannot tell the place of the client.
    pub fn unplaced(&self) -> Option<String> {
        let place = self.place();
        let fences = &self.view.rules.fences;
        let deciding = self.fence().map(|(index, _)| index);
        let asked = deciding.map_or(fences.len(), |index| index + 1);
        let (index, fence) = fences[..asked]
            .iter()
            .enumerate()
            .rfind(|(_, fence)| fence.cannot_place(place) && !fence.holds(self.address().into()))?;
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
        let live = self.live.service(self.id);
        let Some(view) = live.and_then(|live| live.view(self.family)) else {
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
                for (_, _, chance) in &mut chances {
                    *chance = part;
                }
            }
            PickMethod::Weighted | PickMethod::LeastLoad => {}
        }
        let mut endpoints = Vec::with_capacity(chances.len());
        for (region, at, chance) in chances {
            let Some(endpoint) = view.endpoint(region, at as u16) else {
                continue;
            };
            let pool = view.pools.get(usize::from(region)).and_then(Option::as_ref);
            let weight = pool.and_then(|pool| pool.weights.get(at));
            endpoints.push(EndpointFacts {
                region: self.region(region),
                endpoint: endpoint.to_string(),
                weight: weight.copied().unwrap_or_default(),
                percent: chance * 100.0,
            });
        }
        endpoints
    }
}

/// Every fence of a service, in the order in which they are asked.
pub fn fences_of(catalog: &Catalog, service: &SteeredService) -> Vec<FenceFacts> {
    let mut fences = Vec::new();
    if let Some(view) = service.views().next() {
        for (index, fence) in view.rules.fences.iter().enumerate() {
            fences.push(fence_facts(catalog, service, index, fence));
        }
    }
    fences
}

fn fence_facts(
    catalog: &Catalog,
    service: &SteeredService,
    index: usize,
    fence: &Fence,
) -> FenceFacts {
    let mut facts = FenceFacts {
        number: index + 1,
        list: None,
        clients: String::new(),
        regions: Vec::new(),
    };
    let Some(configured) = service.fences.get(index) else {
        return FenceFacts {
            clients: clients_of(fence, &[]),
            ..facts
        };
    };
    facts.clients = clients_of(fence, &configured.clients.groups);
    facts.list = configured.list.as_deref().map(str::to_owned);
    for id in configured.regions.iter() {
        facts
            .regions
            .push(catalog.region_name(*id).unwrap_or_default().to_owned());
    }
    facts
}

/// The clients that a fence applies to, in words.
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
