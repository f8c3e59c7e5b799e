//! Explains for every region of a service why it serves a client or not.
//!
//! The regions that may serve come first, in the client's order, then the others as listed. The
//! reason of a region follows from its tier, its availability, and the server's decision.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::service::ExplainedView;
use crate::catalog::availability::RegionAvailability;
use crate::catalog::services::ViewRegion;
use crate::config::RegionId;
use crate::steering::{MeasuredCandidate, PickMethod, RegionOrder, Share, Tiers};

/// The reason of a region that the question assumes to be down.
pub const SWITCHED_OFF: &str = "is switched off in this what-if";

/// One region of a service as one client sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CandidateFacts {
    /// Its name.
    pub region: String,
    /// Great-circle distance from the client; absent where the order does not depend on distance,
    /// or a location is unknown.
    pub distance_km: Option<f64>,
    /// The bias of the region's distance, in per cent.
    pub bias: i8,
    /// The distance with the bias applied, by which regions are ordered.
    pub biased_km: Option<f64>,
    /// The region's part of the clients of its tier, relative to the others; 0 is a standby.
    pub weight: u32,
    /// The part of its clients that it takes now, in per cent; 0 is down or drained.
    pub share_percent: f64,
    /// The region's tier for this client, from 1; absent if a fence excludes the region.
    pub tier: Option<usize>,
    /// Whether this client can be given one of its endpoints.
    pub serves: bool,
    /// Why it serves the client, or why not.
    pub reason: String,
    /// The operator overrides that apply to it: `is drained by ...`.
    #[serde(default)]
    pub orders: Vec<String>,
}

/// The regions of a service: first those that may serve this client, in order of preference, then
/// the others as listed.
pub fn candidates(explained: &ExplainedView<'_>) -> Vec<CandidateFacts> {
    let mut regions = listed(explained);
    let tiers = explained.tiers();
    let rules = &explained.view.rules.rules;
    let allowed = explained.fence().map(|(_, fence)| fence.allowed.clone());
    let measured = rules.measure(explained.point(), None);
    let ranked = rules.measure(explained.point(), allowed.as_deref());
    regions.sort_by_key(|region| region.rank(&ranked));
    let mut facts = Vec::with_capacity(regions.len());
    for region in &regions {
        let measured = measured
            .iter()
            .find(|measured| Some(measured.position) == region.position);
        facts.push(region.facts(explained, region.tier(&tiers), measured));
    }
    facts
}

/// Whether a region serves the client, and why.
struct CandidateReason {
    serves: bool,
    reason: String,
}

impl CandidateReason {
    fn serves(reason: impl Into<String>) -> CandidateReason {
        CandidateReason {
            serves: true,
            reason: reason.into(),
        }
    }

    fn does_not_serve(reason: impl Into<String>) -> CandidateReason {
        CandidateReason {
            serves: false,
            reason: reason.into(),
        }
    }
}

/// A region as the service lists it.
struct ListedRegion<'m> {
    id: RegionId,
    /// Position in the view; absent if it has no endpoint of this family.
    position: Option<u8>,
    view: &'m ViewRegion,
    /// Its current availability.
    now: Option<&'m RegionAvailability>,
}

/// All regions of the service, of either family, as listed.
fn listed<'m>(explained: &ExplainedView<'m>) -> Vec<ListedRegion<'m>> {
    let availability = explained
        .live
        .availability()
        .services
        .get(explained.id.0 as usize);
    let mut regions: Vec<ListedRegion<'m>> = Vec::new();
    for region in explained.service.view_regions() {
        let is_known = regions
            .iter()
            .any(|known| known.view.listed == region.listed);
        if is_known {
            continue;
        }
        let mut regions_of_view = explained.view.regions.iter();
        let position = regions_of_view.position(|other| other.listed == region.listed);
        regions.push(ListedRegion {
            id: region.region,
            position: position.map(|position| position as u8),
            view: region,
            now: availability.and_then(|now| now.regions.get(region.listed)),
        });
    }
    regions.sort_by_key(|region| region.view.listed);
    regions
}

impl ListedRegion<'_> {
    /// The place in the client's order of preference; `usize::MAX` for a region that is not in it.
    fn rank(&self, ranked: &[MeasuredCandidate]) -> usize {
        let rank = ranked
            .iter()
            .position(|candidate| Some(candidate.position) == self.position);
        rank.unwrap_or(usize::MAX)
    }

    /// The region's tier, from 0; `None` if it has no endpoint or a fence excludes it.
    fn tier(&self, tiers: &Tiers) -> Option<usize> {
        let position = self.position?;
        tiers.iter().position(|tier| tier.contains(&position))
    }

    fn facts(
        &self,
        explained: &ExplainedView<'_>,
        tier: Option<usize>,
        measured: Option<&MeasuredCandidate>,
    ) -> CandidateFacts {
        let candidates = &explained.view.rules.rules.candidates;
        let candidate = self
            .position
            .and_then(|position| candidates.get(usize::from(position)));
        let distance = measured.and_then(|measured| measured.distance);
        let CandidateReason { serves, reason } = self.reason(explained, tier);
        CandidateFacts {
            region: self.name(explained).to_owned(),
            distance_km: distance,
            bias: candidate.map_or(0, |candidate| candidate.bias.percent()),
            biased_km: distance.and(measured).map(|measured| measured.biased),
            weight: self.view.weight,
            share_percent: if self.is_down(explained) {
                0.0
            } else {
                self.share_percent()
            },
            tier: tier.map(|tier| tier + 1),
            serves,
            reason,
            orders: self.now.map_or_else(Vec::new, |now| now.orders.clone()),
        }
    }

    fn name<'e>(&self, explained: &'e ExplainedView<'_>) -> &'e str {
        explained.catalog.region_name(self.id).unwrap_or_default()
    }

    fn share(&self) -> Share {
        self.now.map_or(Share::ALL, |now| now.share)
    }

    fn share_percent(&self) -> f64 {
        self.share().fraction() * 100.0
    }

    /// Whether the region gets no clients: it has no share, or no endpoint of this family is up.
    fn is_down(&self, explained: &ExplainedView<'_>) -> bool {
        if self.share() == Share::NONE {
            return true;
        }
        let view = self
            .position
            .and_then(|position| explained.view.regions.get(usize::from(position)));
        match view {
            Some(view) => !view
                .endpoints
                .iter()
                .any(|endpoint| self.is_up(endpoint.listed)),
            None => false,
        }
    }

    fn is_up(&self, listed: usize) -> bool {
        let up = self.now.and_then(|now| now.endpoints.get(listed));
        up.copied().unwrap_or(true)
    }

    /// Why the region serves the client, or why not. `tier` is its tier for the client, from 0.
    fn reason(&self, explained: &ExplainedView<'_>, tier: Option<usize>) -> CandidateReason {
        let Some(position) = self.position else {
            return CandidateReason::does_not_serve("has no endpoint of this family");
        };
        let Some(tier) = tier else {
            return CandidateReason::does_not_serve("is fenced off from this client");
        };
        if let Some(active) = explained.decision.tier
            && active.regions.iter().any(|(region, _)| *region == position)
        {
            let alone = active.regions.len() == 1;
            return self.reason_in_active_tier(explained, tier, alone);
        }
        if self.is_down(explained) {
            let reason = self.now.and_then(|now| now.reason.as_deref());
            return CandidateReason::does_not_serve(reason.unwrap_or("is down"));
        }
        CandidateReason::does_not_serve(match explained.tier() {
            Some(active) if tier == active && self.view.weight == 0 => "is a standby".to_owned(),
            Some(active) if tier > active => later(explained.view.rules.rules.order).to_owned(),
            _ => self.partial_share(),
        })
    }

    /// `takes 80% of its clients, not this one: it has 20% of its clients shifted ...`
    fn partial_share(&self) -> String {
        let why = match self.now.and_then(|now| now.reason.as_ref()) {
            Some(why) => format!(": it {why}"),
            None => String::new(),
        };
        let percent = self.share_percent();
        format!("takes {percent:.0}% of its clients, not this one{why}")
    }

    /// The reason of a region in the tier that serves; `alone` if no other region of it takes
    /// clients.
    fn reason_in_active_tier(
        &self,
        explained: &ExplainedView<'_>,
        tier: usize,
        alone: bool,
    ) -> CandidateReason {
        if !explained.has_endpoint_of(self.name(explained)) {
            return CandidateReason::does_not_serve(self.reason_without_endpoint(explained));
        }
        if let Some((from, _)) = explained.decision.tier.and_then(|active| active.only) {
            let from = explained.region(from);
            return CandidateReason::serves(format!(
                "takes clients that are shifted to it from {from}"
            ));
        }
        if self.is_down(explained) {
            return CandidateReason::serves(self.reason_although_down(explained));
        }
        let later = tier > 0 || self.follows_one_that_is_down(explained, tier);
        CandidateReason::serves(serving(explained, later, alone))
    }

    /// Why this client gets no endpoint of a region in the tier that serves.
    fn reason_without_endpoint(&self, explained: &ExplainedView<'_>) -> String {
        if explained.service.pick == PickMethod::Sticky {
            "shares the tier; this client sticks to another".to_owned()
        } else if self.view.weight == 0 && self.share() == Share::ALL {
            "is a standby".to_owned()
        } else {
            self.partial_share()
        }
    }

    /// Why a region serves although it is down.
    fn reason_although_down(&self, explained: &ExplainedView<'_>) -> String {
        let Some(now) = self.now else {
            return "is down like every other region: the all-down rule serves it".to_owned();
        };
        if now.seen_alive.contains(&true) && !explained.is_by_rule() {
            return "answers again, not yet for long enough, and nothing else does".to_owned();
        }
        if now.reason.as_deref() == Some(SWITCHED_OFF) {
            return format!(
                "{SWITCHED_OFF}, and no other region is left: the all-down rule serves it"
            );
        }
        let word = if now.drained { "drained" } else { "down" };
        format!("is {word} like every other region: the all-down rule serves it")
    }

    /// Whether another region of the same tier is down.
    fn follows_one_that_is_down(&self, explained: &ExplainedView<'_>, tier: usize) -> bool {
        let tiers = explained.tiers();
        for region in listed(explained) {
            if region.tier(&tiers) == Some(tier) && region.is_down(explained) {
                return true;
            }
        }
        false
    }
}

/// The reason of an available region in a tier after the one that serves.
fn later(order: RegionOrder) -> &'static str {
    match order {
        RegionOrder::Nearest => "is farther than the tier that serves",
        RegionOrder::Priority | RegionOrder::None => "comes after the tier that serves",
    }
}

/// The reason of a healthy region that serves. `later` if regions before it are down, `alone` if
/// it is the only one in its tier.
fn serving(explained: &ExplainedView<'_>, later: bool, alone: bool) -> &'static str {
    let order = explained.view.rules.rules.order;
    if order == RegionOrder::None {
        return "shares every client";
    }
    if order == RegionOrder::Nearest && explained.point().is_some() {
        return match (later, alone) {
            (false, true) => "is the nearest",
            (_, true) => "is the nearest that is left",
            (_, false) => "is one of the nearest",
        };
    }
    if later {
        "is the first listed that is left"
    } else {
        "is the first listed"
    }
}
