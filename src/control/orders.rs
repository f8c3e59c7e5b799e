//! Overrides: what operators set for regions, services and endpoints.
//!
//! Overrides are kept apart from the results of probes. [`super::effect`] computes their combined
//! effect. This module does no I/O and reads no clock: the time is an argument.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clock::{ClockReading, Deadline, EndTime};
use super::events::{EventDraft, EventTopic};
pub use super::pace::ChangePace;
use crate::config::error::nearest;
use crate::config::values::duration_text;
use crate::config::{Config, ServiceConfig};
use crate::dns::Name;

/// What an order is about: a region everywhere, a service, one service's region, or one endpoint of that.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct OverrideSubject {
    /// Name of a service; absent: every service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Name of a region; absent: every region of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Address or name of an endpoint; absent: every endpoint of the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// What is demanded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum OverrideAction {
    /// Takes no clients, whatever its health, and not even by the all-down rule while anything else is left.
    Drain,
    /// Is taken as up.
    ForceUp,
    /// Is taken as down.
    ForceDown,
    /// Has this weight instead of the configured one.
    Weight {
        /// 0..=1,000,000; 0 is a standby.
        weight: u32,
    },
    /// A part of the clients that would come goes elsewhere: always the same ones, by a hash of their network.
    Shift {
        /// 0 to 100.
        percent: f64,
        /// The region that they are offered first; absent: each client's next one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
}

/// The orders that one subject can be under beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OverrideKind {
    /// `Demand::Drain`
    Drain,
    /// `Demand::ForceUp` and `Demand::ForceDown`
    Force,
    /// `Demand::Weight`
    Weight,
    /// `Demand::Shift`
    Shift,
}

/// One order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "OrderTerms")]
pub struct Override {
    /// What it is about.
    #[serde(flatten)]
    pub subject: OverrideSubject,
    /// What is demanded.
    #[serde(flatten)]
    pub demand: OverrideAction,
    /// Why; may be empty.
    pub reason: String,
    /// Who says so.
    pub by: String,
    /// When it was given, in seconds since 1970; for people.
    pub since: u64,
    /// When it ends by itself; `None`: when it is lifted.
    #[serde(skip)]
    pub ends: Option<Deadline>,
    /// How it comes into force; absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<ChangePace>,
}

/// An order as people and the state directory see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Order")]
pub struct OrderRecord {
    /// All but its end.
    #[serde(flatten)]
    pub order: Override,
    /// Its end.
    #[serde(flatten)]
    pub ending: EndTime,
    /// Until it is in force as a whole, in milliseconds; absent where it came into force at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds_to_go: Option<u64>,
    /// The part of the clients that goes elsewhere by it now, in per cent; of shifts and drains alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_percent: Option<f64>,
}

impl OverrideAction {
    /// Its kind.
    pub fn kind(&self) -> OverrideKind {
        match self {
            OverrideAction::Drain => OverrideKind::Drain,
            OverrideAction::ForceUp | OverrideAction::ForceDown => OverrideKind::Force,
            OverrideAction::Weight { .. } => OverrideKind::Weight,
            OverrideAction::Shift { .. } => OverrideKind::Shift,
        }
    }

    /// `is drained`, `is forced up`, `has weight 10`, `has 20% of its clients shifted to iad`
    pub fn words(&self) -> String {
        match self {
            OverrideAction::Drain => "is drained".to_owned(),
            OverrideAction::ForceUp => "is forced up".to_owned(),
            OverrideAction::ForceDown => "is forced down".to_owned(),
            OverrideAction::Weight { weight } => format!("has weight {weight}"),
            OverrideAction::Shift { percent, to } => {
                let to = to.as_deref().unwrap_or("their next region");
                format!("has {percent}% of its clients shifted to {to}")
            }
        }
    }

    /// What its subject is by it, for events: `drained`, `forced up`, `weight 10`
    pub fn state(&self) -> String {
        match self {
            OverrideAction::Drain => "drained".to_owned(),
            OverrideAction::ForceUp => "forced up".to_owned(),
            OverrideAction::ForceDown => "forced down".to_owned(),
            OverrideAction::Weight { weight } => format!("weight {weight}"),
            OverrideAction::Shift { percent, .. } => format!("{percent}% shifted"),
        }
    }
}

impl OverrideKind {
    /// `is drained`, without saying how: what an order that ends no longer does.
    pub fn words(self) -> &'static str {
        match self {
            OverrideKind::Drain => "is drained",
            OverrideKind::Force => "is forced",
            OverrideKind::Weight => "has another weight",
            OverrideKind::Shift => "has clients shifted",
        }
    }
}

impl Override {
    /// `is drained by ops: new kernel`
    pub fn sentence(&self) -> String {
        let reason = if self.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", self.reason)
        };
        format!("{} by {}{reason}", self.words(), self.by)
    }

    /// `is drained over 15m`, `is undrained over 15m`
    pub fn words(&self) -> String {
        let over = |pace: &ChangePace| {
            format!(
                " over {}",
                duration_text(Duration::from_secs(pace.over_seconds))
            )
        };
        let words = if self.is_returning() {
            "is undrained".to_owned()
        } else {
            self.demand.words()
        };
        format!("{words}{}", self.pace.as_ref().map_or(String::new(), over))
    }

    /// As people see it now.
    pub fn record(&self, now: &ClockReading) -> OrderRecord {
        let to_go = self
            .pace
            .as_ref()
            .map(|pace| pace.arrives.left(now.boot).as_millis());
        let moves = matches!(
            self.demand,
            OverrideAction::Drain | OverrideAction::Shift { .. }
        );
        OrderRecord {
            order: self.clone(),
            ending: EndTime::of(self.ends, now),
            milliseconds_to_go: to_go.map(|left| u64::try_from(left).unwrap_or(u64::MAX)),
            moved_percent: moves.then(|| (self.moved(now.boot) * 1000.0).round() / 10.0),
        }
    }
}

impl OrderRecord {
    /// The order again, written down `gap` before `now`.
    pub fn revived(self, gap: Option<Duration>, now: &ClockReading) -> Override {
        let left = Duration::from_millis(self.milliseconds_to_go.unwrap_or(0))
            .saturating_sub(gap.unwrap_or_default());
        let arrives = Deadline::after(now.boot, left);
        let pace = self
            .order
            .pace
            .clone()
            .map(|pace| ChangePace { arrives, ..pace });
        Override {
            ends: self.ending.deadline(gap, now),
            pace,
            ..self.order
        }
    }
}

impl std::fmt::Display for OverrideSubject {
    /// `fra`, `www.example.com`, `fra of www.example.com`, `192.0.2.1 in fra of www.example.com`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let region = self.region.as_deref().unwrap_or("");
        match (&self.service, &self.endpoint) {
            (None, _) => write!(f, "{region}"),
            (Some(service), None) if region.is_empty() => write!(f, "{service}"),
            (Some(service), None) => write!(f, "{region} of {service}"),
            (Some(service), Some(endpoint)) => write!(f, "{endpoint} in {region} of {service}"),
        }
    }
}

impl Override {
    /// The same in the spelling of the configuration.
    ///
    /// # Errors
    /// A sentence: it is about something that is not there, or shifts clients to where they come from.
    pub fn resolve(self, config: &Config) -> Result<Override, String> {
        let subject = self.subject.resolve(config)?;
        if let OverrideAction::Shift { to: Some(to), .. } = &self.demand {
            let target = OverrideSubject {
                service: subject.service.clone(),
                region: Some(to.clone()),
                endpoint: None,
            };
            target.resolve(config)?;
            if subject.region.as_ref() == Some(to) {
                return Err(format!(
                    "clients of {to} are shifted to another region, not to {to}"
                ));
            }
        }
        Ok(Override { subject, ..self })
    }
}

impl OverrideSubject {
    /// What is told of an order about it.
    pub(super) fn news(&self, sentence: String) -> EventDraft {
        EventDraft {
            services: self.service.iter().cloned().collect(),
            regions: self.region.iter().cloned().collect(),
            endpoint: self.endpoint.clone(),
            ..EventDraft::new(EventTopic::Order, sentence)
        }
    }

    /// The same in the spelling of the configuration.
    ///
    /// # Errors
    /// A sentence: there is no such service, region or endpoint, and what may have been meant.
    pub fn resolve(&self, config: &Config) -> Result<OverrideSubject, String> {
        let service = self
            .service
            .as_deref()
            .map(|name| find_service(config, name))
            .transpose()?;
        let region = self
            .region
            .as_deref()
            .map(|name| find_region(config, name))
            .transpose()?;
        let mut subject = OverrideSubject {
            service: service.map(|service| service.name.to_string()),
            region: region.map(|region| config.regions[region].name.clone()),
            endpoint: None,
        };
        let Some((service, region)) = service.zip(region) else {
            return Ok(subject);
        };
        let listed = service
            .regions
            .iter()
            .find(|listed| usize::from(listed.region.0) == region);
        let listed = listed.ok_or_else(|| {
            let names = service
                .regions
                .iter()
                .filter_map(|listed| config.regions.get(usize::from(listed.region.0)));
            let names: Vec<&str> = names.map(|region| region.name.as_str()).collect();
            let wanted = self.region.as_deref().unwrap_or("");
            format!(
                "{} has no region {wanted:?}; it has {}",
                service.name,
                names.join(", ")
            )
        })?;
        if let Some(wanted) = &self.endpoint {
            let aliases = listed
                .endpoints
                .iter()
                .filter_map(|endpoint| endpoint.alias.as_ref())
                .map(Name::to_string);
            let mut known: Vec<String> = listed
                .endpoints
                .iter()
                .map(|endpoint| endpoint.target.to_string())
                .collect();
            known.extend(aliases);
            known.dedup();
            let spelled = spell_endpoint(wanted);
            let found = known
                .iter()
                .find(|known| known.eq_ignore_ascii_case(&spelled))
                .cloned();
            subject.endpoint = Some(found.ok_or_else(|| {
                let what = format!(
                    "{} has no endpoint {wanted:?} in {}",
                    service.name, config.regions[region].name
                );
                unknown(&what, wanted, known.iter().map(String::as_str))
            })?);
        }
        Ok(subject)
    }
}

/// An address as it is written in status, so that `2001:DB8::0:1` finds `2001:db8::1`.
fn spell_endpoint(text: &str) -> String {
    match text.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => text
            .parse::<Name>()
            .map_or_else(|_| text.to_owned(), |name| name.to_string()),
    }
}

/// The service of this name.
///
/// # Errors
/// A sentence with what may have been meant.
pub fn find_service<'c>(config: &'c Config, name: &str) -> Result<&'c ServiceConfig, String> {
    let wanted = name.parse::<Name>().ok();
    config
        .services
        .iter()
        .find(|service| Some(&service.name) == wanted.as_ref())
        .ok_or_else(|| {
            let names: Vec<String> = config
                .services
                .iter()
                .take(1000)
                .map(|service| service.name.to_string())
                .collect();
            unknown(
                &format!("there is no service {name:?}"),
                name,
                names.iter().map(String::as_str),
            )
        })
}

/// Where the region of this name stands in the configuration.
///
/// # Errors
/// A sentence with what may have been meant.
pub fn find_region(config: &Config, name: &str) -> Result<usize, String> {
    config
        .regions
        .iter()
        .position(|region| region.name == name)
        .ok_or_else(|| {
            let names = config
                .regions
                .iter()
                .take(1000)
                .map(|region| region.name.as_str());
            unknown(&format!("there is no region {name:?}"), name, names)
        })
}

fn unknown<'n>(what: &str, wanted: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    const MOST_NAMED: usize = 20;
    match nearest(wanted, names.clone()) {
        Some(hint) => format!("{what} (did you mean \"{hint}\"?)"),
        None if names.clone().count() <= MOST_NAMED => {
            format!("{what}; there are {}", names.collect::<Vec<_>>().join(", "))
        }
        None => format!("{what}; `meridian status` tells what there is"),
    }
}

#[cfg(test)]
mod tests;
