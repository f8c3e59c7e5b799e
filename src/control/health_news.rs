//! What is told of health, to the log and to those who watch events: what changed, and what is about to.

use std::collections::HashMap;

use super::change::{Action, Effects};
use super::events::{EventDraft, EventTopic};
use super::state::ControlState;
use super::targets::ProbePlan;
use super::told::LogState;
use crate::catalog::Availability;
use crate::catalog::keys::{ByRegion, RegionKey};
use crate::config::Config;
use crate::health::check::TargetKey;
use crate::health::machine::HealthState;
use crate::health::monitor::{ShortageCount, TargetHealth};
use crate::health::timeline::HealthChange;
use crate::steering::Share;
use crate::text::{counted, list};

/// Most services or regions that a sentence names, and most that an event lists: a check may be shared by thousands.
const MOST_NAMED: usize = 5;
const MOST_LISTED: usize = 100;

impl ControlState {
    /// Tells the log when probes begin to be impossible for want of something on our side, and when they are again.
    pub(super) fn tell_of_shortages(&mut self, shortages: &[ShortageCount]) {
        for ShortageCount {
            kind,
            count,
            held,
            reason,
        } in shortages
        {
            let was_short = self.told.short.contains(kind);
            if *held > 0 && !was_short {
                tracing::error!(
                    missing = kind.word(),
                    "{reason}; {held} endpoints keep the health that was agreed"
                );
                self.told.short.insert(*kind);
            } else if *held == 0 && was_short {
                tracing::info!(
                    missing = kind.word(),
                    count,
                    "every endpoint can be probed again"
                );
                self.told.short.remove(kind);
            }
        }
    }

    /// Takes in changes of verdicts that are to be told.
    pub(super) fn note_events(&mut self, events: &[HealthChange]) {
        for event in events {
            if event.number > self.told.event {
                self.told.event = event.number;
                self.told.waiting.push(event.clone());
            }
        }
    }

    /// Tells the log what is new. `moved`: answers per second that go elsewhere.
    pub(super) fn tell(
        &mut self,
        availability: &Availability,
        moved: &ByRegion<f64>,
        effects: &mut Effects,
    ) {
        if !self.is_probing {
            return;
        }
        for event in std::mem::take(&mut self.told.waiting) {
            *self.told.transitions.entry(event.to).or_default() += 1;
            let news = log_transition(event.clone(), &self.derived.config, &self.derived.plan);
            if event.from != HealthState::Unknown || event.to == HealthState::Down {
                let places = self.derived.plan.places(&event.target);
                let moved = places
                    .iter()
                    .filter_map(|&(service, region)| moved.get(RegionKey { service, region }))
                    .sum();
                effects.actions.push(Action::Tell(news.moving(moved)));
            }
        }
        for (service, now) in self
            .derived
            .config
            .services
            .iter()
            .zip(&availability.services)
        {
            let name = service.name.to_string();
            if now.regions.iter().any(|region| region.share > Share::NONE) {
                if self.told.all_down.remove(&name) {
                    let sentence = format!("some region of {name} serves again");
                    tracing::warn!(service = name, "{sentence}");
                    effects.actions.push(Action::Tell(all_down_news(
                        sentence,
                        name,
                        ["down", "up"],
                    )));
                }
            } else if self.told.all_down.insert(name.clone()) {
                let rule = crate::explain::all_down_word(service.all_down);
                let sentence =
                    format!("EVERY region of {name} is out; now all_down = \"{rule}\" answers");
                tracing::error!(service = name, "{sentence}");
                effects
                    .actions
                    .push(Action::Tell(all_down_news(sentence, name, ["up", "down"])));
            }
        }
    }
}

/// A verdict in one word.
pub fn word(verdict: HealthState) -> &'static str {
    match verdict {
        HealthState::Unknown => "unknown",
        HealthState::Up => "up",
        HealthState::Degraded => "degraded",
        HealthState::Down => "down",
    }
}

/// Warns of every certificate that is about to expire, once for each day that it has left.
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
            let (endpoint, check) = (key.address.to_string(), key.check.to_string());
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
    }
}

/// What is told when a service loses its last region, or has one again.
fn all_down_news(sentence: String, service: String, [from, to]: [&str; 2]) -> EventDraft {
    EventDraft {
        services: vec![service],
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
        ..EventDraft::new(EventTopic::Health, sentence)
    }
}

/// Tells the log; returns what is true now.
fn log_transition(event: HealthChange, config: &Config, plan: &ProbePlan) -> EventDraft {
    let (endpoint, check) = (
        event.target.address.to_string(),
        event.target.check.to_string(),
    );
    let places = plan.places(&event.target);
    let name = |&(service, region): &(usize, usize)| {
        let service = config.services.get(service)?;
        let region = config
            .regions
            .get(usize::from(service.regions.get(region)?.region.0))?;
        Some((service.name.to_string(), region.name.clone()))
    };
    let (mut services, mut regions): (Vec<String>, Vec<String>) =
        places.iter().filter_map(name).unzip();
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
