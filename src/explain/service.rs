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

/// Most countries, networks and so on that the text of a fence lists.
const MOST_LISTED: usize = 8;

/// A service as one client sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceFacts {
    /// The name of the service; may be a wildcard.
    pub name: String,
    /// Its policy in `[policies]`; absent if it names none.
    #[serde(default)]
    pub policy: Option<String>,
    /// The time to live of its records now, in seconds.
    pub ttl: u32,
    /// `nearest`, `priority` or `none`.
    pub order: String,
    /// `weighted`, `round-robin`, `sticky` or `least-load`.
    pub pick: String,
    /// How much farther than the nearest a region may be and still share its clients.
    pub band: String,
    /// Endpoints per reply.
    pub answers: u8,
    /// The rule that answers when no region is available.
    pub all_down: String,
    /// Whether that rule answers now.
    pub all_regions_down: bool,
    /// The first fence that applies to this client.
    pub fence: Option<FenceFacts>,
    /// Region names by tier, in this client's order of preference. The first tier with an available
    /// region serves.
    pub tiers: Vec<Vec<String>>,
    /// The tier that serves, from 1; absent if none does.
    pub tier: Option<usize>,
    /// Every region of the service.
    pub candidates: Vec<CandidateFacts>,
    /// The endpoints that a reply to this client may contain.
    pub endpoints: Vec<EndpointFacts>,
}

/// A fence: the clients that it applies to, and the regions that it leaves them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FenceFacts {
    /// Its place among the service's fences, from 1.
    pub number: usize,
    /// The list in `[fences]` that it comes from; absent if it is the service's own.
    #[serde(default)]
    pub list: Option<String>,
    /// The clients that it applies to.
    pub clients: String,
    /// The regions that it leaves; empty if no region is meant for these clients.
    pub regions: Vec<String>,
}

impl FenceFacts {
    /// How messages refer to it: the name of its list (`eu-only`), else its number.
    pub fn title(&self) -> String {
        self.list.clone().unwrap_or_else(|| self.number.to_string())
    }
}

/// An endpoint that a reply may contain, with its odds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointFacts {
    /// Its region.
    pub region: String,
    /// Its address or name.
    pub endpoint: String,
    /// Its weight; 1 for a standby that serves.
    pub weight: u32,
    /// The probability that it comes first in the reply, in per cent; with round robin, its part of
    /// all replies.
    pub percent: f64,
}

/// One family of one service, with the decision for one client.
pub struct ExplainedView<'m> {
    /// Region names and geodata.
    pub catalog: &'m Catalog,
    /// The availability that the decision is based on.
    pub live: &'m LiveState,
    /// The key of the service in the catalog.
    pub id: ServiceId,
    /// The service itself.
    pub service: &'m SteeredService,
    /// The family of endpoints that the query asks for.
    pub family: ServiceFamily,
    /// The regions with endpoints of that family.
    pub view: &'m ServiceView,
    /// The server's decision for the client.
    pub decision: &'m Decision<'m>,
    /// The address that decided.
    pub address: IpAddr,
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

    /// The location of the address that decided.
    fn place(&self) -> &Place {
        let atlas = &self.catalog.atlas;
        atlas.place(atlas.locate(self.address).place)
    }

    /// The first fence that applies to the client.
    pub fn fence(&self) -> Option<(usize, &Fence)> {
        let place = self.place();
        let mut fences = self.view.rules.fences.iter().enumerate();
        fences.find(|(_, fence)| fence.matches(place, fence.holds(self.address.into())))
    }

    /// The client's coordinates; `None` if they are unknown.
    pub fn point(&self) -> Option<UnitVector> {
        Some(self.place().point?.unit_vector())
    }

    /// The client's tiers: positions of regions in the view, in order of preference.
    pub fn tiers(&self) -> Tiers {
        let allowed = self.fence().map(|(_, fence)| &fence.allowed[..]);
        self.view.rules.rules.arrange(self.point(), allowed)
    }

    /// The tier that serves, from 0.
    pub fn tier(&self) -> Option<usize> {
        let (first, _) = self.decision.tier?.regions.first()?;
        self.tiers().iter().position(|tier| tier.contains(first))
    }

    /// Whether the all-down rule answers.
    pub fn is_by_rule(&self) -> bool {
        self.decision.chain.is_some_and(|chain| chain.all_down)
    }

    /// The explanation of this service, without its sentences.
    pub fn facts(&self) -> ServiceFacts {
        let service = self.service;
        let live = self.live.service(self.id);
        ServiceFacts {
            name: service.name.to_string(),
            policy: service.policy.as_deref().map(str::to_owned),
            ttl: live.map_or(service.ttl, |live| live.ttl),
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

    /// The last fence, up to the one that applies, that would need the client's location.
    fn last_unsure_fence(&self, applied: Option<usize>) -> Option<(usize, &Fence)> {
        let fences = &self.view.rules.fences;
        let evaluated = applied.map_or(fences.len(), |index| index + 1);
        let mut last = None;
        for (index, fence) in fences[..evaluated].iter().enumerate() {
            if fence.cannot_place(self.place()) && !fence.holds(self.address.into()) {
                last = Some((index, fence));
            }
        }
        last
    }

    /// A note about the last fence that depends on the client's location, if that is unknown.
    pub fn unknown_place_note(&self) -> Option<String> {
        let applied = self.fence().map(|(index, _)| index);
        let (index, fence) = self.last_unsure_fence(applied)?;
        let title = self.fence_facts(index, fence).title();
        let effect = if fence.of_unknown && applied == Some(index) {
            "applies (unknown = \"deny\")"
        } else {
            "does not apply (unknown = \"allow\")"
        };
        Some(format!(
            "the client's place is unknown, so fence {title} {effect}"
        ))
    }

    /// Whether a reply to this client may contain an endpoint of a region.
    pub fn has_endpoint_of(&self, region: &str) -> bool {
        self.endpoints()
            .iter()
            .any(|endpoint| endpoint.region == region)
    }

    fn endpoints(&self) -> Vec<EndpointFacts> {
        let live = self.live.service(self.id);
        let Some(view) = live.and_then(|live| live.view(self.family)) else {
            return Vec::new();
        };
        let Some(tier) = self.decision.tier else {
            return Vec::new();
        };
        let mut chances = chances(tier, view.source(), self.decision.located.client);
        match self.service.pick {
            PickMethod::Sticky => {
                chances.clear();
                for (region, at) in self.decision.picks().iter() {
                    chances.push((region, at.into(), 1.0));
                }
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

/// Every fence of a service, in the order in which they are evaluated.
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

/// The clients that a fence applies to, as text: `countries IN; ASNs 64500`.
fn clients_of(fence: &Fence, groups: &[&CountryGroup]) -> String {
    let mut countries = Vec::new();
    for country in &fence.countries {
        if !groups.iter().any(|group| is_member(group, country)) {
            countries.push(country);
        }
    }
    let mut subdivisions = Vec::new();
    for (country, part) in &fence.subdivisions {
        subdivisions.push(format!("{country}-{part}"));
    }
    let mut parts = Vec::new();
    parts.extend(listing("groups", groups.iter().map(|group| group.name)));
    parts.extend(listing("countries", countries));
    parts.extend(listing("continents", &fence.continents));
    parts.extend(listing("subdivisions", subdivisions));
    parts.extend(listing("ASNs", &fence.asns));
    parts.extend(listing("networks", &fence.networks));
    if fence.of_unknown {
        parts.push("clients of unknown place".to_owned());
    }
    if parts.is_empty() {
        "everybody".to_owned()
    } else {
        parts.join("; ")
    }
}

fn is_member(group: &CountryGroup, country: &PlaceCode) -> bool {
    group.countries().any(|member| member == *country)
}

/// A word and a list of at most [`MOST_LISTED`] items: `countries DE, FR and 30 more`; `None` if
/// there are no items.
fn listing<T: ToString>(word: &str, items: impl IntoIterator<Item = T>) -> Option<String> {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() {
        return None;
    }
    let shown = items[..items.len().min(MOST_LISTED)].join(", ");
    Some(if items.len() > MOST_LISTED {
        format!("{word} {shown} and {} more", items.len() - MOST_LISTED)
    } else {
        format!("{word} {shown}")
    })
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
