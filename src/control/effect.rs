//! Effect: what the orders in force come to for each region and endpoint of a configuration.
//!
//! Of several orders a drain counts most, then the force order about the smallest part. Worked out when orders or the
//! configuration change, so that folding a change of health looks things up only.

use std::collections::HashMap;

use super::book::OverrideBook;
use super::clock::BootTime;
use super::orders::{Override, OverrideAction, OverrideSubject};
use crate::config::{Config, ServiceConfig};
use crate::dns::Name;
use crate::health::fold;

/// By service and region as listed; what no order is about is not there.
#[derive(Debug, Default)]
pub struct EffectiveOverrides(HashMap<(usize, usize), RegionOverrides>);

/// What bears on one region of a service.
#[derive(Debug, Default)]
pub struct RegionOverrides {
    /// About the region as a whole.
    pub order: Option<WinningOverride>,
    /// By endpoint as listed.
    pub endpoints: HashMap<usize, WinningOverride>,
    /// The shift that counts.
    pub shift: Option<ActiveShift>,
    /// The part of its clients that drains on their way have sent elsewhere by now, and the drain that sends most.
    pub draining: Option<(f64, String)>,
    /// Every order, for people: `is drained by ...`, `192.0.2.1 has weight 0 by ...`.
    pub sentences: Vec<String>,
}

/// The order that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WinningOverride {
    /// What is demanded.
    pub order: fold::HealthOverride,
    /// `is drained by ...`
    pub sentence: String,
    /// How much it counts.
    rank: u8,
}

/// A shift of a region's clients at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveShift {
    /// The part that goes elsewhere, 0.0..=1.0.
    pub part: f64,
    /// The region that they are offered first, as listed in the service.
    pub to: Option<usize>,
    /// `has 20% of its clients shifted to iad by ...`
    pub sentence: String,
    /// How much it counts.
    rank: u8,
}

impl RegionOverrides {
    /// The part of the clients that goes elsewhere by shifts and drains on their way. One hash decides about all of
    /// them, so that the smaller part lies in the larger one.
    pub fn moved(&self) -> f64 {
        let draining = self.draining.as_ref().map_or(0.0, |(part, _)| *part);
        self.shift
            .as_ref()
            .map_or(0.0, |shift| shift.part)
            .max(draining)
    }

    /// The drain on its way or the shift by which some of its clients go elsewhere: `is drained over 15m by ...`.
    pub fn shifted(&self) -> Option<&str> {
        let draining = self
            .draining
            .as_ref()
            .map(|(_, sentence)| sentence.as_str());
        draining.or(self
            .shift
            .as_ref()
            .filter(|shift| shift.part > 0.0)
            .map(|shift| shift.sentence.as_str()))
    }
}

impl EffectiveOverrides {
    /// Works out what orders come to; those about what is not configured come to nothing.
    pub fn of(book: &OverrideBook, config: &Config, now: BootTime) -> EffectiveOverrides {
        let mut effect = EffectiveOverrides::default();
        if book.is_empty() {
            return effect;
        }
        let numbered = config.services.iter().enumerate();
        let services: HashMap<&Name, usize> =
            numbered.map(|(at, service)| (&service.name, at)).collect();
        for order in book.iter() {
            let about = order
                .subject
                .service
                .as_deref()
                .map(|name| name.parse::<Name>());
            match about {
                None => (0..config.services.len())
                    .for_each(|service| effect.add(order, config, service, now)),
                Some(name) => {
                    let known = name.ok().and_then(|name| services.get(&name).copied());
                    known
                        .into_iter()
                        .for_each(|service| effect.add(order, config, service, now));
                }
            }
        }
        effect
    }

    /// What bears on a region of a service.
    pub fn bearing(&self, service: usize, region: usize) -> Option<&RegionOverrides> {
        self.0.get(&(service, region))
    }

    fn add(&mut self, order: &Override, config: &Config, service: usize, now: BootTime) {
        let Some(configured) = config.services.get(service) else {
            return;
        };
        for (at, region) in configured.regions.iter().enumerate() {
            let name = config
                .regions
                .get(usize::from(region.region.0))
                .map(|region| region.name.as_str());
            if order.subject.region.is_some() && order.subject.region.as_deref() != name {
                continue;
            }
            let Some(wanted) = &order.subject.endpoint else {
                let bearing = self.0.entry((service, at)).or_default();
                bearing.sentences.push(order.sentence());
                match &order.demand {
                    OverrideAction::Shift { to, .. } => {
                        let listed = to
                            .as_deref()
                            .and_then(|to| position(config, configured, to));
                        shift(&mut bearing.shift, order, listed, now);
                    }
                    OverrideAction::Drain if order.is_underway(now) || order.is_returning() => {
                        let part = order.moved(now);
                        if bearing
                            .draining
                            .as_ref()
                            .is_none_or(|(before, _)| *before < part)
                        {
                            bearing.draining = Some((part, order.sentence()));
                        }
                    }
                    _ => count(&mut bearing.order, order),
                }
                continue;
            };
            // An alias may have come to several.
            let meant = region
                .endpoints
                .iter()
                .enumerate()
                .filter(|(_, endpoint)| endpoint.is_called(wanted));
            let meant: Vec<usize> = meant.map(|(endpoint, _)| endpoint).collect();
            if meant.is_empty() {
                continue;
            }
            let bearing = self.0.entry((service, at)).or_default();
            bearing
                .sentences
                .push(format!("{wanted} {}", order.sentence()));
            for endpoint in meant {
                let mut counting = bearing.endpoints.remove(&endpoint);
                count(&mut counting, order);
                if let Some(counting) = counting {
                    bearing.endpoints.insert(endpoint, counting);
                }
            }
        }
    }
}

/// Lets an order count if it counts more than the one that does.
fn count(counting: &mut Option<WinningOverride>, order: &Override) {
    let demanded = match order.demand {
        OverrideAction::Drain => fold::HealthOverride::Drain,
        OverrideAction::ForceUp => fold::HealthOverride::ForceUp,
        OverrideAction::ForceDown => fold::HealthOverride::ForceDown,
        OverrideAction::Weight { .. } | OverrideAction::Shift { .. } => return,
    };
    let rank = if order.demand == OverrideAction::Drain {
        3
    } else {
        precision(&order.subject)
    };
    if counting.as_ref().is_none_or(|before| before.rank < rank) {
        *counting = Some(WinningOverride {
            order: demanded,
            sentence: order.sentence(),
            rank,
        });
    }
}

/// Lets a shift count if it is about a smaller part than the one that does.
fn shift(counting: &mut Option<ActiveShift>, order: &Override, to: Option<usize>, now: BootTime) {
    let rank = precision(&order.subject);
    if counting.as_ref().is_none_or(|before| before.rank < rank) {
        *counting = Some(ActiveShift {
            part: order.moved(now),
            to,
            sentence: order.sentence(),
            rank,
        });
    }
}

/// Where a service lists a region.
fn position(config: &Config, service: &ServiceConfig, name: &str) -> Option<usize> {
    let is_called = |region: usize| {
        config
            .regions
            .get(region)
            .is_some_and(|region| region.name == name)
    };
    service
        .regions
        .iter()
        .position(|listed| is_called(usize::from(listed.region.0)))
}

/// How small a part the subject is: a service, a region everywhere, one service's region.
fn precision(subject: &OverrideSubject) -> u8 {
    match (&subject.service, &subject.region) {
        (Some(_), None) => 0,
        (None, _) => 1,
        (Some(_), Some(_)) => 2,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    const CONFIGURATION: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n\
        [[services]]\nname = \"www.example.com\"\n[services.endpoints]\nfra = [\"192.0.2.1\", \"192.0.2.3\"]\n\
        iad = \"192.0.2.2\"\n[[services]]\nname = \"api.example.com\"\n[services.endpoints]\niad = \"192.0.2.2\"\n";

    fn order(service: &str, region: &str, endpoint: &str, demand: OverrideAction) -> Override {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let subject = OverrideSubject {
            service: part(service),
            region: part(region),
            endpoint: part(endpoint),
        };
        Override {
            subject,
            demand,
            reason: String::new(),
            by: "me".to_owned(),
            since: 0,
            ends: None,
            pace: None,
        }
    }

    fn effect(orders: Vec<Override>) -> EffectiveOverrides {
        let config = config::parse(CONFIGURATION, Path::new("meridian.toml"))
            .unwrap()
            .config;
        EffectiveOverrides::of(&OverrideBook::of(orders), &config, BootTime::default())
    }

    fn region(
        effect: &EffectiveOverrides,
        service: usize,
        region: usize,
    ) -> Option<fold::HealthOverride> {
        effect
            .bearing(service, region)?
            .order
            .as_ref()
            .map(|counting| counting.order)
    }

    #[test]
    fn an_order_reaches_every_part_of_its_subject() {
        let effect = effect(vec![
            order("", "iad", "", OverrideAction::Drain),
            order("nowhere", "", "", OverrideAction::Drain),
        ]);
        assert_eq!(region(&effect, 0, 0), None);
        assert_eq!(region(&effect, 0, 1), Some(fold::HealthOverride::Drain));
        assert_eq!(region(&effect, 1, 0), Some(fold::HealthOverride::Drain));
    }

    #[test]
    fn a_drain_counts_most_then_the_smallest_part() {
        let service = order("www.example.com", "", "", OverrideAction::ForceDown);
        let everywhere = order("", "iad", "", OverrideAction::ForceUp);
        let here = order("www.example.com", "iad", "", OverrideAction::ForceDown);
        let forced = effect(vec![service.clone(), everywhere.clone()]);
        assert_eq!(
            [0, 1].map(|at| region(&forced, 0, at)),
            [
                Some(fold::HealthOverride::ForceDown),
                Some(fold::HealthOverride::ForceUp)
            ]
        );
        assert_eq!(
            region(&effect(vec![service, everywhere, here.clone()]), 0, 1),
            Some(fold::HealthOverride::ForceDown)
        );
        let drained = effect(vec![
            order("www.example.com", "", "", OverrideAction::Drain),
            here,
        ]);
        assert_eq!(region(&drained, 0, 1), Some(fold::HealthOverride::Drain));
    }

    #[test]
    fn an_endpoint_is_found_by_its_address_and_a_weight_only_told() {
        let one = order("www.example.com", "fra", "192.0.2.3", OverrideAction::Drain);
        let weight = order("", "fra", "", OverrideAction::Weight { weight: 7 });
        let effect = effect(vec![one, weight]);
        let bearing = effect.bearing(0, 0).unwrap();
        assert_eq!(bearing.order, None);
        assert_eq!(bearing.endpoints.keys().collect::<Vec<_>>(), [&1]);
        assert_eq!(
            bearing.sentences,
            ["has weight 7 by me", "192.0.2.3 is drained by me"]
        );
    }
}
