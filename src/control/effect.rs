//! The effect of overrides on each region and endpoint of a configuration.
//!
//! When several overrides apply to the same region or endpoint, a drain wins, then the `force`
//! override with the most specific subject. Shifts have their own rule: the most specific one wins.
//! [`EffectiveOverrides`] is rebuilt when overrides or the configuration change, so that a change
//! of health only needs look-ups.

use std::collections::HashMap;

use super::book::OverrideBook;
use super::clock::BootTime;
use super::overrides::{Override, OverrideAction, OverrideSubject};
use crate::catalog::keys::RegionKey;
use crate::config::{Config, ServiceConfig, ServiceRegion};
use crate::dns::Name;
use crate::health::fold;

/// The overrides of each region. Regions without overrides are absent.
#[derive(Debug, Default)]
pub struct EffectiveOverrides(HashMap<RegionKey, RegionOverrides>);

/// The overrides of one region of a service.
#[derive(Debug, Default)]
pub struct RegionOverrides {
    /// The override of the region as a whole.
    pub order: Option<WinningOverride>,
    /// The overrides of endpoints, by position in the region.
    pub endpoints: HashMap<usize, WinningOverride>,
    /// The shift that wins.
    pub shift: Option<ActiveShift>,
    /// Of the gradual drains that are under way, the one that has moved the most clients.
    pub draining: Option<GradualDrain>,
    /// Every override, for people: `is drained by ...`, `192.0.2.1 has weight 0 by ...`.
    pub sentences: Vec<String>,
}

/// The override that wins for a region or endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WinningOverride {
    /// What it does.
    pub order: fold::HealthOverride,
    /// `is drained by ...`
    pub sentence: String,
    /// The highest rank wins.
    rank: u8,
}

/// A drain that moves clients gradually, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct GradualDrain {
    /// The part of the clients that it has moved, 0.0..=1.0.
    pub part: f64,
    /// `is drained over 15m by ...`
    pub sentence: String,
}

/// A shift of a region's clients at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveShift {
    /// The part that goes elsewhere, 0.0..=1.0.
    pub part: f64,
    /// The region that they are sent to first, by its position in the service.
    pub to: Option<usize>,
    /// `has 20% of its clients shifted to iad by ...`
    pub sentence: String,
    /// The highest rank wins.
    rank: u8,
}

impl RegionOverrides {
    /// The part of the clients that a shift or a gradual drain sends elsewhere. The same hash of a
    /// client decides for both, so the larger part contains the smaller one.
    pub fn moved(&self) -> f64 {
        let drained = self.draining.as_ref().map_or(0.0, |drain| drain.part);
        let shifted = self.shift.as_ref().map_or(0.0, |shift| shift.part);
        shifted.max(drained)
    }

    /// The gradual drain or the shift that sends some of the clients elsewhere: `is drained over
    /// 15m by ...`.
    pub fn shifted(&self) -> Option<&str> {
        if let Some(drain) = &self.draining {
            return Some(&drain.sentence);
        }
        match &self.shift {
            Some(shift) if shift.part > 0.0 => Some(&shift.sentence),
            _ => None,
        }
    }

    /// Adds an override of the whole region. `to`: where a shift leads, if the service has that
    /// region.
    fn add(&mut self, override_: &Override, to: Option<usize>, now: BootTime) {
        self.sentences.push(override_.sentence());
        match &override_.action {
            OverrideAction::Shift { .. } => self.add_shift(override_, to, now),
            OverrideAction::Drain if override_.is_underway(now) || override_.is_returning() => {
                self.add_gradual_drain(override_, now);
            }
            _ => {
                if let Some(new) = WinningOverride::of(override_) {
                    new.replace_weaker(&mut self.order);
                }
            }
        }
    }

    fn add_shift(&mut self, override_: &Override, to: Option<usize>, now: BootTime) {
        let rank = precision(&override_.subject);
        if self.shift.as_ref().is_none_or(|before| before.rank < rank) {
            self.shift = Some(ActiveShift {
                part: override_.moved(now),
                to,
                sentence: override_.sentence(),
                rank,
            });
        }
    }

    fn add_gradual_drain(&mut self, override_: &Override, now: BootTime) {
        let part = override_.moved(now);
        if self.draining.as_ref().is_none_or(|drain| drain.part < part) {
            let sentence = override_.sentence();
            self.draining = Some(GradualDrain { part, sentence });
        }
    }

    /// Adds an override of some of the endpoints, which its subject calls `wanted`.
    fn add_to_endpoints(&mut self, override_: &Override, wanted: &str, endpoints: &[usize]) {
        self.sentences
            .push(format!("{wanted} {}", override_.sentence()));
        let Some(new) = WinningOverride::of(override_) else {
            return;
        };
        for endpoint in endpoints {
            let mut winning = self.endpoints.remove(endpoint);
            new.clone().replace_weaker(&mut winning);
            self.endpoints.extend(winning.map(|it| (*endpoint, it)));
        }
    }
}

impl WinningOverride {
    /// The override as a candidate; `None`: it does not affect health.
    fn of(override_: &Override) -> Option<WinningOverride> {
        let (order, rank) = match override_.action {
            OverrideAction::Drain => (fold::HealthOverride::Drain, 3),
            OverrideAction::ForceUp => {
                (fold::HealthOverride::ForceUp, precision(&override_.subject))
            }
            OverrideAction::ForceDown => (
                fold::HealthOverride::ForceDown,
                precision(&override_.subject),
            ),
            OverrideAction::Weight { .. } | OverrideAction::Shift { .. } => return None,
        };
        Some(WinningOverride {
            order,
            sentence: override_.sentence(),
            rank,
        })
    }

    /// Takes the place of the current winner if this ranks higher.
    fn replace_weaker(self, winning: &mut Option<WinningOverride>) {
        if winning
            .as_ref()
            .is_none_or(|before| before.rank < self.rank)
        {
            *winning = Some(self);
        }
    }
}

impl EffectiveOverrides {
    /// The effect of overrides on this configuration. Overrides of services, regions or endpoints
    /// that are not configured have none.
    pub fn of(book: &OverrideBook, config: &Config, now: BootTime) -> EffectiveOverrides {
        let mut effect = EffectiveOverrides::default();
        if book.is_empty() {
            return effect;
        }
        let mut services: HashMap<&Name, usize> = HashMap::new();
        for (at, service) in config.services.iter().enumerate() {
            services.insert(&service.name, at);
        }
        for override_ in book.iter() {
            let Some(name) = &override_.subject.service else {
                for service in 0..config.services.len() {
                    effect.add(override_, config, service, now);
                }
                continue;
            };
            if let Ok(name) = name.parse::<Name>()
                && let Some(service) = services.get(&name)
            {
                effect.add(override_, config, *service, now);
            }
        }
        effect
    }

    /// The overrides of a region of a service.
    pub fn of_region(&self, key: RegionKey) -> Option<&RegionOverrides> {
        self.0.get(&key)
    }

    /// Adds an override to the regions of a service that it applies to.
    fn add(&mut self, override_: &Override, config: &Config, service: usize, now: BootTime) {
        let Some(configured) = config.services.get(service) else {
            return;
        };
        let to = match &override_.action {
            OverrideAction::Shift { to: Some(to), .. } => position(config, configured, to),
            _ => None,
        };
        for (at, region) in configured.regions.iter().enumerate() {
            if let Some(wanted) = &override_.subject.region
                && !is_called(config, region, wanted)
            {
                continue;
            }
            let key = RegionKey {
                service,
                region: at,
            };
            match &override_.subject.endpoint {
                Some(wanted) => self.add_to_endpoints(override_, key, region, wanted),
                None => self.0.entry(key).or_default().add(override_, to, now),
            }
        }
    }

    fn add_to_endpoints(
        &mut self,
        override_: &Override,
        key: RegionKey,
        region: &ServiceRegion,
        wanted: &str,
    ) {
        let endpoints = endpoints_called(region, wanted);
        if !endpoints.is_empty() {
            let overrides = self.0.entry(key).or_default();
            overrides.add_to_endpoints(override_, wanted, &endpoints);
        }
    }
}

/// The positions of the endpoints with this address or name. An alias may stand for several.
fn endpoints_called(region: &ServiceRegion, name: &str) -> Vec<usize> {
    let mut positions = Vec::new();
    for (at, endpoint) in region.endpoints.iter().enumerate() {
        if endpoint.is_called(name) {
            positions.push(at);
        }
    }
    positions
}

fn is_called(config: &Config, region: &ServiceRegion, name: &str) -> bool {
    let configured = config.regions.get(usize::from(region.region.0));
    configured.is_some_and(|region| region.name == name)
}

/// The position of a region in a service.
fn position(config: &Config, service: &ServiceConfig, name: &str) -> Option<usize> {
    service
        .regions
        .iter()
        .position(|region| is_called(config, region, name))
}

/// How specific a subject is: a service, a region of all services, a region of one service.
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

    fn order(service: &str, region: &str, endpoint: &str, action: OverrideAction) -> Override {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let subject = OverrideSubject {
            service: part(service),
            region: part(region),
            endpoint: part(endpoint),
        };
        Override {
            subject,
            action,
            reason: String::new(),
            by: "me".to_owned(),
            since: 0,
            ends: None,
            pace: None,
            scope: crate::control::overrides::OrderScope::default(),
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
            .of_region(RegionKey { service, region })?
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
    fn an_endpoint_is_found_by_its_address_and_a_weight_is_only_reported() {
        let one = order("www.example.com", "fra", "192.0.2.3", OverrideAction::Drain);
        let weight = order("", "fra", "", OverrideAction::Weight { weight: 7 });
        let effect = effect(vec![one, weight]);
        let overrides = effect
            .of_region(RegionKey {
                service: 0,
                region: 0,
            })
            .unwrap();
        assert_eq!(overrides.order, None);
        assert_eq!(overrides.endpoints.keys().collect::<Vec<_>>(), [&1]);
        assert_eq!(
            overrides.sentences,
            ["has weight 7 by me", "192.0.2.3 is drained by me"]
        );
    }
}
