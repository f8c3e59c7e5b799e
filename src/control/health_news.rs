//! What is told of health, to the log and to those who watch events: what changed, and what is about to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Control;
use super::events::{EventDraft, EventTopic};
use super::health::word;
use super::reload::ControlState;
use super::targets::ProbePlan;
use super::traffic::{MovedRates, PerRegion};
use crate::catalog::Availability;
use crate::config::Config;
use crate::health::check::TargetKey;
use crate::health::machine::HealthState;
use crate::health::monitor::{ShortageCount, TargetHealth};
use crate::health::probe::ShortageKind;
use crate::health::state::SavedVerdicts;
use crate::health::timeline::HealthChange;
use crate::steering::Share;
use crate::text::{counted, list};

/// Most services or regions that a sentence names, and most that an event lists: a check may be shared by thousands.
const MOST_NAMED: usize = 5;
const MOST_LISTED: usize = 100;

/// What the log has been told already.
#[derive(Debug, Default)]
pub(super) struct LogState {
    /// Number of the last event.
    pub(super) event: u64,
    /// Changes by what they led to.
    pub(super) transitions: HashMap<&'static str, u64>,
    /// Answers that regions gave when they lost clients.
    pub(super) moved: MovedRates,
    /// Names of services without any region.
    pub(super) all_down: HashSet<String>,
    /// Days left of certificates that people were warned of.
    pub(super) certificates: HashMap<TargetKey, i64>,
    /// What is missing on our side, so that some probes cannot be made.
    pub(super) short: HashSet<ShortageKind>,
    /// Hours since the start at which certificates were last looked at.
    pub(super) hour: u64,
    /// Regions that were coming back when that was last written.
    pub(super) ramps: Vec<(String, String)>,
    /// Verdicts as they were last written.
    pub(super) saved: Option<Arc<SavedVerdicts>>,
}

impl Control {
    /// Tells the log when probes begin to be impossible for want of something on our side, and when they are again.
    pub(super) fn tell_of_shortages(&self, current: &mut ControlState) {
        let Some(watch) = self.watch.get() else {
            return;
        };
        for ShortageCount {
            kind,
            count,
            held,
            reason,
        } in watch.monitor.shortages()
        {
            let was_short = current.told.short.contains(&kind);
            if held > 0 && !was_short {
                tracing::error!(
                    missing = kind.word(),
                    "{reason}; {held} endpoints keep the health that was agreed"
                );
                current.told.short.insert(kind);
            } else if held == 0 && was_short {
                tracing::info!(
                    missing = kind.word(),
                    count,
                    "every endpoint can be probed again"
                );
                current.told.short.remove(&kind);
            }
        }
    }

    /// Tells the log what is new. `moved`: answers per second that go elsewhere.
    pub(super) fn tell(
        &self,
        current: &mut ControlState,
        availability: &Availability,
        moved: &PerRegion<f64>,
    ) {
        let Some(watch) = self.watch.get() else {
            return;
        };
        for event in watch.monitor.timeline(current.told.event) {
            current.told.event = event.number;
            *current.told.transitions.entry(word(event.to)).or_default() += 1;
            let news = log_transition(event.clone(), &current.config, &current.plan);
            if event.from != HealthState::Unknown || event.to == HealthState::Down {
                let places = current.plan.places(&event.target);
                let moved = places
                    .iter()
                    .filter_map(|&(service, region)| moved.get(service)?.get(region))
                    .sum();
                self.events.tell(news.moving(moved));
            }
        }
        for (service, now) in current.config.services.iter().zip(&availability.services) {
            let name = service.name.to_string();
            if now.regions.iter().any(|region| region.share > Share::NONE) {
                if current.told.all_down.remove(&name) {
                    tracing::warn!(service = name, "some region of {name} serves again");
                    self.events.tell(all_down_news(
                        format!("some region of {name} serves again"),
                        name,
                        ["down", "up"],
                    ));
                }
            } else if current.told.all_down.insert(name.clone()) {
                let rule = crate::explain::all_down_word(service.all_down);
                let sentence =
                    format!("EVERY region of {name} is out; now all_down = \"{rule}\" answers");
                tracing::error!(service = name, "{sentence}");
                self.events
                    .tell(all_down_news(sentence, name, ["up", "down"]));
            }
        }
    }
}

/// Warns of every certificate that is about to expire, once for each day that it has left.
pub(super) fn warn_of_certificates(
    current: &mut ControlState,
    targets: &HashMap<TargetKey, TargetHealth>,
) {
    current
        .told
        .certificates
        .retain(|key, _| targets.contains_key(key));
    for target in &current.plan.targets {
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
            current.told.certificates.remove(&key);
        } else if current.told.certificates.insert(key.clone(), days) != Some(days) {
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
