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
use crate::steering::{MeasuredCandidate, RegionOrder, Share};

/// The reason of a region that is taken as down for a what-if question.
pub const SWITCHED_OFF: &str = "is switched off in this what-if";

/// One region of a service as one client sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CandidateFacts {
    /// Its name.
    pub region: String,
    /// Great-circle distance from the client; absent where distance is not asked for or a place is
    /// unknown.
    pub distance_km: Option<f64>,
    /// Per cent.
    pub bias: i8,
    /// The distance that counts: bias applied.
    pub biased_km: Option<f64>,
    /// How a tier is divided between its regions; 0 is a standby.
    pub weight: u32,
    /// The part of its clients that it takes now, in per cent; 0 is down or drained.
    pub share_percent: f64,
    /// The tier that it is in for this client, from 1; absent if it may not serve it at all.
    pub tier: Option<usize>,
    /// Whether this client can be given one of its endpoints.
    pub serves: bool,
    /// Why, or why not.
    pub reason: String,
    /// The orders of operators that bear on it: `is drained by ...`.
    #[serde(default)]
    pub orders: Vec<String>,
}

/// The regions of a service, those that may serve in their order for this client, then the others
/// as listed.
pub fn candidates(explained: &ExplainedView<'_>) -> Vec<CandidateFacts> {
    let mut regions = listed(explained);
    let tiers = explained.tiers();
    let rules = &explained.view.rules.rules;
    let allowed = explained.fence().map(|(_, fence)| fence.allowed.clone());
    let measured = rules.measure(explained.point(), None);
    let ranked = rules.measure(explained.point(), allowed.as_deref());
    regions.sort_by_key(|region| {
        let rank = ranked
            .iter()
            .position(|it| Some(it.position) == region.position);
        rank.unwrap_or(usize::MAX)
    });
    let mut facts = Vec::with_capacity(regions.len());
    for region in &regions {
        let position = region.position;
        let tier =
            position.and_then(|position| tiers.iter().position(|tier| tier.contains(&position)));
        let measured = measured
            .iter()
            .find(|measured| Some(measured.position) == position);
        facts.push(region.facts(explained, tier, measured));
    }
    facts
}

/// A region as the service lists it.
struct Listed<'m> {
    id: RegionId,
    /// Position in the view; absent if it has no endpoint of this family.
    position: Option<u8>,
    view: &'m ViewRegion,
    now: Option<&'m RegionAvailability>,
}

/// All regions of the service, of either family, as listed.
fn listed<'m>(explained: &ExplainedView<'m>) -> Vec<Listed<'m>> {
    let availability = explained
        .live
        .availability()
        .services
        .get(explained.id.0 as usize);
    let mut regions: Vec<Listed<'m>> = Vec::new();
    for region in explained.service.view_regions() {
        if regions
            .iter()
            .any(|known| known.view.listed == region.listed)
        {
            continue;
        }
        let mut of_view = explained.view.regions.iter();
        let position = of_view.position(|other| other.listed == region.listed);
        regions.push(Listed {
            id: region.region,
            position: position.map(|position| position as u8),
            view: region,
            now: availability.and_then(|now| now.regions.get(region.listed)),
        });
    }
    regions.sort_by_key(|region| region.view.listed);
    regions
}

impl Listed<'_> {
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
        let (serves, reason) = self.standing(explained, tier);
        CandidateFacts {
            region: explained
                .catalog
                .region_name(self.id)
                .unwrap_or_default()
                .to_owned(),
            distance_km: distance,
            bias: candidate.map_or(0, |candidate| candidate.bias.percent()),
            biased_km: distance.and(measured).map(|measured| measured.biased),
            weight: self.view.weight,
            share_percent: if self.is_down(explained) {
                0.0
            } else {
                self.share().fraction() * 100.0
            },
            tier: tier.map(|tier| tier + 1),
            serves,
            reason,
            orders: self.now.map_or_else(Vec::new, |now| now.orders.clone()),
        }
    }

    fn share(&self) -> Share {
        self.now.map_or(Share::ALL, |now| now.share)
    }

    /// Whether no client is sent there: it has no share, or every endpoint of this family is out.
    fn is_down(&self, explained: &ExplainedView<'_>) -> bool {
        if self.share() == Share::NONE {
            return true;
        }
        let view = self
            .position
            .and_then(|position| explained.view.regions.get(usize::from(position)));
        view.is_some_and(|view| {
            !view
                .endpoints
                .iter()
                .any(|endpoint| self.is_up(endpoint.listed))
        })
    }

    fn is_up(&self, listed: usize) -> bool {
        let up = self.now.and_then(|now| now.endpoints.get(listed));
        up.copied().unwrap_or(true)
    }

    fn standing(&self, explained: &ExplainedView<'_>, tier: Option<usize>) -> (bool, String) {
        let Some(position) = self.position else {
            return (false, "has no endpoint of this family".to_owned());
        };
        let Some(tier) = tier else {
            return (false, "is fenced off from this client".to_owned());
        };
        let down = self.is_down(explained);
        let stage = explained.decision.tier;
        if let Some(serving) =
            stage.filter(|stage| stage.regions.iter().any(|(region, _)| *region == position))
        {
            let alone = serving.regions.len() == 1;
            return self.in_the_stage(explained, tier, alone, down);
        }
        if down {
            let reason = self.now.and_then(|now| now.reason.clone());
            return (false, reason.unwrap_or_else(|| "is down".to_owned()));
        }
        match explained.tier() {
            Some(serving) if tier == serving && self.view.weight == 0 => {
                (false, "is a standby".to_owned())
            }
            Some(serving) if tier > serving => {
                (false, later(explained.view.rules.rules.order).to_owned())
            }
            _ => (false, self.partly()),
        }
    }

    /// `takes 80% of its clients, not this one: it has 20% of its clients shifted ...`
    fn partly(&self) -> String {
        let why = self
            .now
            .and_then(|now| now.reason.as_ref())
            .map_or(String::new(), |why| format!(": it {why}"));
        format!(
            "takes {:.0}% of its clients, not this one{why}",
            self.share().fraction() * 100.0
        )
    }

    fn in_the_stage(
        &self,
        explained: &ExplainedView<'_>,
        tier: usize,
        alone: bool,
        down: bool,
    ) -> (bool, String) {
        let name = explained.catalog.region_name(self.id).unwrap_or_default();
        let given = explained.endpoints_of(name);
        if !given && explained.service.pick == crate::steering::PickMethod::Sticky {
            return (
                false,
                "shares the tier; this client sticks to another".to_owned(),
            );
        }
        if !given && self.view.weight == 0 && self.share() == Share::ALL {
            return (false, "is a standby".to_owned());
        }
        if !given {
            return (false, self.partly());
        }
        if let Some((from, _)) = explained.decision.tier.and_then(|stage| stage.only) {
            return (
                true,
                format!(
                    "takes clients that are shifted to it from {}",
                    explained.region(from)
                ),
            );
        }
        if down {
            if self.now.is_some_and(|now| now.seen_alive.contains(&true)) && !explained.is_by_rule()
            {
                return (
                    true,
                    "answers again, not yet for long enough, and nothing else does".to_owned(),
                );
            }
            if self
                .now
                .is_some_and(|now| now.reason.as_deref() == Some(SWITCHED_OFF))
            {
                return (
                    true,
                    format!("{SWITCHED_OFF}, and nothing else is left: the all-down rule gives it"),
                );
            }
            let drained = self.now.is_some_and(|now| now.drained);
            let word = if drained { "drained" } else { "down" };
            return (
                true,
                format!("is {word}, as all are: the all-down rule gives it"),
            );
        }
        let later = tier > 0 || self.follows_one_that_is_down(explained, tier);
        (true, serving(explained, later, alone))
    }
}

impl Listed<'_> {
    /// Whether another region of the same tier is down.
    fn follows_one_that_is_down(&self, explained: &ExplainedView<'_>, tier: usize) -> bool {
        let tiers = explained.tiers();
        let same = tiers.iter().nth(tier).unwrap_or(&[]);
        listed(explained).iter().any(|region| {
            region
                .position
                .is_some_and(|position| same.contains(&position))
                && region.is_down(explained)
        })
    }
}

fn later(order: RegionOrder) -> &'static str {
    match order {
        RegionOrder::Nearest => "is farther than the tier that serves",
        RegionOrder::Priority | RegionOrder::None => "stands behind the tier that serves",
    }
}

fn serving(explained: &ExplainedView<'_>, later: bool, alone: bool) -> String {
    let located = explained.point().is_some();
    let words = match (explained.view.rules.rules.order, later, alone) {
        (RegionOrder::None, _, _) => "shares every client",
        (RegionOrder::Nearest, false, true) if located => "is the nearest",
        (RegionOrder::Nearest, _, true) if located => "is the nearest that is left",
        (RegionOrder::Nearest, _, false) if located => "is one of the nearest",
        (_, false, _) => "is the first listed",
        _ => "is the first listed that is left",
    };
    words.to_owned()
}
