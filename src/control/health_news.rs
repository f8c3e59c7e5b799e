//! Health in the log and in the events.
//!
//! This reports changes of endpoints, services that lose or regain their last region, probes that
//! cannot be made, and certificates that are about to expire. A check may be shared by thousands of
//! services, so a sentence names a few of them only.

use std::collections::HashMap;

use super::change::{Action, Effects};
use super::events::{EventDraft, EventTopic};
use super::log_state::LogState;
use super::state::ControlState;
use super::targets::ProbePlan;
use crate::catalog::Availability;
use crate::catalog::availability::ServiceAvailability;
use crate::catalog::keys::ByRegion;
use crate::config::{Config, ServiceConfig};
use crate::health::check::TargetKey;
use crate::health::machine::HealthState;
use crate::health::monitor::{ShortageCount, TargetHealth};
use crate::health::timeline::HealthChange;
use crate::steering::Share;
use crate::text::{counted, list};

/// The most services or regions that a sentence names.
const MOST_NAMED: usize = 5;
/// The most services or regions that an event lists.
const MOST_LISTED: usize = 100;

impl ControlState {
    /// Logs when this server begins to lack something that probes need, and when it has it again.
    pub(super) fn tell_of_shortages(&mut self, shortages: &[ShortageCount]) {
        for ShortageCount {
            kind,
            count,
            held,
            reason,
        } in shortages
        {
            let was_short = self.log.short.contains(kind);
            if *held > 0 && !was_short {
                tracing::error!(
                    missing = kind.word(),
                    "{reason}; {held} endpoints keep the health that was agreed"
                );
                self.log.short.insert(*kind);
            } else if *held == 0 && was_short {
                tracing::info!(
                    missing = kind.word(),
                    count,
                    "every endpoint can be probed again"
                );
                self.log.short.remove(kind);
            }
        }
    }

    /// Queues changes of health to be reported.
    pub(super) fn note_events(&mut self, events: &[HealthChange]) {
        for event in events {
            if event.number > self.log.event {
                self.log.event = event.number;
                self.log.waiting.push(event.clone());
            }
        }
    }

    /// Reports what is new. `moved`: the answers per second that go elsewhere.
    pub(super) fn tell(
        &mut self,
        availability: &Availability,
        moved: &ByRegion<f64>,
        effects: &mut Effects,
    ) {
        if !self.is_probing {
            return;
        }
        for event in std::mem::take(&mut self.log.waiting) {
            *self.log.transitions.entry(event.to).or_default() += 1;
            let news = log_transition(event.clone(), &self.derived.config, &self.derived.plan);
            if event.from != HealthState::Unknown || event.to == HealthState::Down {
                let moved_here = self.moved_by(&event.target, moved);
                effects.actions.push(Action::Tell(news.moving(moved_here)));
            }
        }
        let config = self.derived.config.clone();
        for (service, now) in config.services.iter().zip(&availability.services) {
            let news = self.all_down_change(service, now);
            effects.actions.extend(news.map(Action::Tell));
        }
    }

    /// Answers a second that moved away from the regions of an endpoint.
    fn moved_by(&self, target: &TargetKey, moved: &ByRegion<f64>) -> f64 {
        let mut sum = 0.0;
        for key in self.derived.plan.places(target) {
            sum += moved.get(key).copied().unwrap_or(0.0);
        }
        sum
    }

    /// Logs when a service loses its last region, or has one again, and returns the event.
    fn all_down_change(
        &mut self,
        service: &ServiceConfig,
        now: &ServiceAvailability,
    ) -> Option<EventDraft> {
        let name = service.name.to_string();
        if now.regions.iter().any(|region| region.share > Share::NONE) {
            if !self.log.all_down.remove(&name) {
                return None;
            }
            let sentence = format!("some region of {name} serves again");
            tracing::warn!(service = name, "{sentence}");
            return Some(all_down_news(sentence, name, ["down", "up"]));
        }
        if !self.log.all_down.insert(name.clone()) {
            return None;
        }
        let rule = crate::explain::all_down_word(service.all_down);
        let sentence = format!("EVERY region of {name} is out; now all_down = \"{rule}\" answers");
        tracing::error!(service = name, "{sentence}");
        Some(all_down_news(sentence, name, ["up", "down"]))
    }
}

/// The state of an endpoint's health in one word.
pub fn word(health: HealthState) -> &'static str {
    match health {
        HealthState::Unknown => "unknown",
        HealthState::Up => "up",
        HealthState::Degraded => "degraded",
        HealthState::Down => "down",
    }
}

/// Warns about every certificate that is about to expire, once a day.
pub(super) fn warn_of_certificates(
    told: &mut LogState,
    plan: &ProbePlan,
    targets: &HashMap<TargetKey, TargetHealth>,
) {
    told.certificates.retain(|key, _| targets.contains_key(key));
    for target in &plan.targets {
        let Some(ahead) = target.check.expiry_warning() else {
            continue;
        };
        let key = target.key();
        let last = targets.get(&key).and_then(|known| known.last.as_ref());
        let Some(days) = last.and_then(|last| last.certificate_expires_in) else {
            continue;
        };
        let soon = days < (ahead.as_secs() / 86_400) as i64;
        if !soon {
            told.certificates.remove(&key);
        } else if told.certificates.insert(key.clone(), days) != Some(days) {
            warn_of_certificate(&key, days);
        }
    }
}

fn warn_of_certificate(key: &TargetKey, days: i64) {
    let endpoint = key.address.to_string();
    let check = key.check.to_string();
    let when = if days < 0 {
        "has expired".to_owned()
    } else {
        format!("expires in {}", counted(days, "day"))
    };
    tracing::warn!(
        endpoint,
        check,
        days,
        "the certificate of {endpoint} {when}"
    );
}

/// The event when a service loses its last region, or has one again.
fn all_down_news(sentence: String, service: String, [from, to]: [&str; 2]) -> EventDraft {
    EventDraft {
        services: vec![service],
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
        ..EventDraft::new(EventTopic::Health, sentence)
    }
}

/// Logs a change of an endpoint's health, and returns the event.
fn log_transition(event: HealthChange, config: &Config, plan: &ProbePlan) -> EventDraft {
    let endpoint = event.target.address.to_string();
    let check = event.target.check.to_string();
    let (mut services, mut regions) = (Vec::new(), Vec::new());
    for key in plan.places(&event.target) {
        if let Some(service) = config.services.get(key.service)
            && let Some(listed) = service.regions.get(key.region)
            && let Some(region) = config.regions.get(usize::from(listed.region.0))
        {
            services.push(service.name.to_string());
            regions.push(region.name.clone());
        }
    }
    for names in [&mut services, &mut regions] {
        names.sort();
        names.dedup();
    }
    let (in_services, in_regions) = (list(&services, MOST_NAMED), list(&regions, MOST_NAMED));
    let (from, to) = (word(event.from), word(event.to));
    let sentence = format!("{in_regions}: {endpoint} of {in_services}: {from} -> {to}");
    let cause = event.cause.as_deref().unwrap_or("");
    match (event.from, event.to) {
        (_, HealthState::Down | HealthState::Degraded) => {
            tracing::warn!(
                endpoint,
                check,
                services = in_services,
                regions = in_regions,
                from,
                to,
                cause,
                "{sentence}: {cause}"
            );
        }
        (HealthState::Unknown, _) => {
            tracing::debug!(
                endpoint,
                check,
                services = in_services,
                regions = in_regions,
                from,
                to,
                "{sentence}"
            );
        }
        _ => tracing::info!(
            endpoint,
            check,
            services = in_services,
            regions = in_regions,
            from,
            to,
            "{sentence}"
        ),
    }
    services.truncate(MOST_LISTED);
    regions.truncate(MOST_LISTED);
    EventDraft {
        services,
        regions,
        endpoint: Some(event.target.address.ip().to_string()),
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
        cause: event.cause,
        ..EventDraft::new(EventTopic::Health, sentence)
    }
}
