//! Weights that replies of several endpoints cannot follow.
//!
//! A reply has an endpoint once at most. So an endpoint whose weight asks for more than one of the
//! answers is in every reply, and the others get more than their weights say. That is no mistake,
//! because the endpoint still comes first as often as its weight says, but it may be unexpected.

use super::model::{EndpointTarget, RegionConfig, ServiceConfig, ServiceRegion};
use crate::config::document::ConfigReport;
use crate::steering::{PickMethod, RegionOrder};

/// The record type that an endpoint answers.
#[derive(Clone, Copy, PartialEq)]
enum AnswerKind {
    V4,
    V6,
    Host,
}

impl AnswerKind {
    const ALL: [AnswerKind; 3] = [AnswerKind::V4, AnswerKind::V6, AnswerKind::Host];

    /// `None`: a name or an alias, whose answers are not known here.
    fn of(target: &EndpointTarget) -> Option<AnswerKind> {
        match target {
            EndpointTarget::Address(address) if address.is_ipv4() => Some(AnswerKind::V4),
            EndpointTarget::Address(_) => Some(AnswerKind::V6),
            EndpointTarget::Host(_) => Some(AnswerKind::Host),
            EndpointTarget::Name(_) | EndpointTarget::Alias(_) => None,
        }
    }
}

/// The endpoints of one kind that share replies.
struct SharedReplies<'s> {
    kind: AnswerKind,
    service: &'s ServiceConfig,
    regions: &'s [RegionConfig],
}

/// Warns of endpoints that are in every reply although others are left out. `at` is the place of
/// the service's name.
pub fn warn_of_capped(
    at: usize,
    service: &ServiceConfig,
    regions: &[RegionConfig],
    report: &mut ConfigReport,
) {
    if service.answers < 2 || service.pick == PickMethod::RoundRobin {
        return;
    }
    for kind in AnswerKind::ALL {
        let replies = SharedReplies {
            kind,
            service,
            regions,
        };
        if service.order == RegionOrder::None && service.pick != PickMethod::Sticky {
            replies.warn(at, &service.regions, report);
            continue;
        }
        for region in &service.regions {
            replies.warn(at, std::slice::from_ref(region), report);
        }
    }
}

impl SharedReplies<'_> {
    /// How many endpoints the regions have, and the weights of those regions that have any.
    fn totals(&self, regions: &[ServiceRegion]) -> (usize, f64) {
        let (mut count, mut total) = (0, 0.0);
        for region in regions {
            let weights = self.weights(region);
            count += weights.len();
            if !weights.is_empty() {
                total += self.region_weight(region);
            }
        }
        (count, total)
    }

    /// Warns of endpoints of these regions, which share their clients.
    fn warn(&self, at: usize, regions: &[ServiceRegion], report: &mut ConfigReport) {
        let (count, total) = self.totals(regions);
        let answers = self.service.answers;
        if count <= usize::from(answers) {
            return;
        }
        for region in regions {
            let weights = self.weights(region);
            let own: f64 = weights.iter().map(|(_, weight)| *weight).sum();
            for (target, weight) in &weights {
                let share = self.region_weight(region) / total * weight / own;
                if share * f64::from(answers) > 1.0 + 1e-9 {
                    report.warning(at, self.sentence(region, target));
                }
            }
        }
    }

    fn sentence(&self, region: &ServiceRegion, target: &EndpointTarget) -> String {
        let ServiceConfig { name, answers, .. } = self.service;
        let region = self.name_of(region);
        format!(
            "service {name}: {region}'s {target} is in every reply: its weight asks for more than \
             one of {answers} answers"
        )
    }

    fn name_of(&self, region: &ServiceRegion) -> &str {
        let region = self.regions.get(usize::from(region.region.0));
        region.map_or("", |region| &region.name)
    }

    /// The endpoints of this kind with a weight; standbys are left out.
    fn weights<'r>(&self, region: &'r ServiceRegion) -> Vec<(&'r EndpointTarget, f64)> {
        let mut weights = Vec::new();
        for endpoint in &region.endpoints {
            let (target, weight) = (&endpoint.target, endpoint.weight);
            if weight > 0 && AnswerKind::of(target) == Some(self.kind) {
                weights.push((target, f64::from(weight)));
            }
        }
        weights
    }

    fn region_weight(&self, region: &ServiceRegion) -> f64 {
        let region = self.regions.get(usize::from(region.region.0));
        region.map_or(1.0, |region| f64::from(region.weight.max(1)))
    }
}
