//! Overrides: what operators set for regions, services and endpoints.
//!
//! Overrides are kept apart from the results of probes. [`super::effect`] computes their combined
//! effect. This module does no I/O and reads no clock: the time is an argument.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clock::{ClockReading, Deadline, EndTime};
use super::events::{EventDraft, EventTopic};
pub use super::order_scope::OrderScope;
pub use super::pace::ChangePace;
use crate::config::error::nearest;
use crate::config::values::duration_text;
use crate::config::{Config, ServiceConfig, ServiceRegion};
use crate::dns::Name;

/// The most names that an error lists.
const MOST_NAMED: usize = 20;

/// The subject of an override: a service, a region of all services, a region of one service, or
/// one endpoint of that region.
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

/// What an override does to its subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum OverrideAction {
    /// Takes no clients, whatever its health. The all-down rule uses it only when nothing else is
    /// left.
    Drain,
    /// Counts as up, whatever its health.
    ForceUp,
    /// Counts as down, whatever its health.
    ForceDown,
    /// Has this weight instead of the configured one.
    Weight {
        /// 0..=1,000,000; 0 is a standby.
        weight: u32,
    },
    /// Sends a part of its clients elsewhere. A hash of the client's network chooses them, so they
    /// are always the same ones.
    Shift {
        /// 0 to 100.
        percent: f64,
        /// The region that they are sent to first; absent: each client's next region.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
}

/// The kinds of override. A subject can have one override of each kind at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OverrideKind {
    /// A drain.
    Drain,
    /// Forced up or forced down.
    Force,
    /// Another weight.
    Weight,
    /// A shift of clients.
    Shift,
}

/// An override that an operator has set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "OrderTerms")]
pub struct Override {
    /// The services, regions or endpoint that it applies to.
    #[serde(flatten)]
    pub subject: OverrideSubject,
    /// What it does.
    #[serde(flatten)]
    pub action: OverrideAction,
    /// Why; may be empty.
    pub reason: String,
    /// Who set it: a name, an address, or the local socket.
    pub by: String,
    /// When it was set, in seconds since 1970; for people.
    pub since: u64,
    /// When it ends by itself; `None`: only when it is removed.
    #[serde(skip)]
    pub ends: Option<Deadline>,
    /// How it takes effect gradually; absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<ChangePace>,
    /// Whose it is; absent on servers without a fleet.
    #[serde(default, skip_serializing_if = "OrderScope::is_plain")]
    pub scope: OrderScope,
}

/// The removal of an override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideLift {
    /// The subject of the override.
    pub subject: OverrideSubject,
    /// Its kind.
    pub kind: OverrideKind,
    /// Its scope.
    pub scope: OrderScope,
    /// The author of the removal.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// What the fleet has ordered.
#[derive(Debug, Clone, PartialEq)]
pub enum FleetOrder {
    /// An override is in force from now on.
    Give(Override),
    /// An override is removed.
    Lift(OverrideLift),
}

/// An override as the API and the state directory show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Order")]
pub struct OrderRecord {
    /// The override without its end.
    #[serde(flatten)]
    pub order: Override,
    /// When it ends.
    #[serde(flatten)]
    pub ending: EndTime,
    /// Time until it is in force completely, in milliseconds; absent if it took effect at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds_to_go: Option<u64>,
    /// The part of the clients that it sends elsewhere now, in per cent; only for shifts and
    /// drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_percent: Option<f64>,
}

impl OverrideAction {
    /// The kind that it belongs to.
    pub fn kind(&self) -> OverrideKind {
        match self {
            OverrideAction::Drain => OverrideKind::Drain,
            OverrideAction::ForceUp | OverrideAction::ForceDown => OverrideKind::Force,
            OverrideAction::Weight { .. } => OverrideKind::Weight,
            OverrideAction::Shift { .. } => OverrideKind::Shift,
        }
    }

    /// The clause that follows the subject in a sentence: `is drained`, `is forced up`,
    /// `has weight 10`, `has 20% of its clients shifted to iad`.
    pub fn as_clause(&self) -> String {
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

    /// The state of its subject, as events name it: `drained`, `forced up`, `weight 10`.
    pub fn as_state(&self) -> String {
        match self {
            OverrideAction::Drain => "drained".to_owned(),
            OverrideAction::ForceUp => "forced up".to_owned(),
            OverrideAction::ForceDown => "forced down".to_owned(),
            OverrideAction::Weight { weight } => format!("weight {weight}"),
            OverrideAction::Shift { percent, .. } => format!("{percent}% shifted"),
        }
    }
}

impl OverrideLift {
    /// What is true after it: `fra: drain removed`.
    pub fn done(&self, subject: &OverrideSubject) -> String {
        let (kind, addition) = (self.kind.as_str(), self.scope.addition());
        format!("{subject}: {kind} removed{addition}")
    }
}

impl FleetOrder {
    /// The kind of the override.
    pub fn kind(&self) -> OverrideKind {
        match self {
            FleetOrder::Give(order) => order.action.kind(),
            FleetOrder::Lift(lift) => lift.kind,
        }
    }
}

impl OverrideKind {
    /// Its name in messages: `drain`, `force`, `weight`, `shift`.
    pub fn as_str(self) -> &'static str {
        match self {
            OverrideKind::Drain => "drain",
            OverrideKind::Force => "force",
            OverrideKind::Weight => "weight",
            OverrideKind::Shift => "shift",
        }
    }
}

impl Override {
    /// The clause with its author and reason: `is drained by ops: new kernel`.
    pub fn sentence(&self) -> String {
        format!("{} {}", self.as_clause(), self.author_and_reason())
    }

    /// The clause with the time that the change takes: `is drained over 15m`,
    /// `is undrained over 15m`.
    pub fn as_clause(&self) -> String {
        let clause = if self.is_returning() {
            "is undrained".to_owned()
        } else {
            self.action.as_clause()
        };
        clause + &self.duration() + self.scope.addition()
    }

    /// The message that it has ended: `drain ended (drained by ops: new kernel)`.
    pub fn ended(&self) -> String {
        let state = if self.is_returning() {
            "undrained".to_owned()
        } else {
            self.action.as_state()
        };
        format!(
            "{} ended ({state}{}{} {})",
            self.action.kind().as_str(),
            self.duration(),
            self.scope.addition(),
            self.author_and_reason()
        )
    }

    /// ` over 15m` for a gradual override, else empty.
    fn duration(&self) -> String {
        match &self.pace {
            Some(pace) => {
                let duration = Duration::from_secs(pace.over_seconds);
                format!(" over {}", duration_text(duration))
            }
            None => String::new(),
        }
    }

    /// `by ops: new kernel`; without a reason `by ops`.
    fn author_and_reason(&self) -> String {
        if self.reason.is_empty() {
            format!("by {}", self.by)
        } else {
            format!("by {}: {}", self.by, self.reason)
        }
    }

    /// The override as the API and the state directory show it now.
    pub fn record(&self, now: &ClockReading) -> OrderRecord {
        let to_go = self
            .pace
            .as_ref()
            .map(|pace| pace.arrives.left(now.boot).as_millis());
        let moves = matches!(
            self.action,
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
    /// Restores an override that was saved `gap` before `now`.
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
    /// The same override with its names as the configuration spells them.
    ///
    /// # Errors
    /// A sentence: its subject is not configured, or it shifts clients to their own region.
    pub fn resolve(self, config: &Config) -> Result<Override, String> {
        let subject = self.subject.resolve(config)?;
        if let OverrideAction::Shift { to: Some(to), .. } = &self.action {
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
    /// The event that reports a change of an override of this subject.
    pub(super) fn news(&self, sentence: String) -> EventDraft {
        EventDraft {
            services: self.service.iter().cloned().collect(),
            regions: self.region.iter().cloned().collect(),
            endpoint: self.endpoint.clone(),
            ..EventDraft::new(EventTopic::Order, sentence)
        }
    }

    /// The same subject with its names as the configuration spells them.
    ///
    /// # Errors
    /// A sentence: there is no such service, region or endpoint, and which similar one there is.
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
        let listed = find_listed_region(config, service, region)?;
        if let Some(wanted) = &self.endpoint {
            let known = endpoint_names(listed);
            let spelled = spell_endpoint(wanted);
            let found = known
                .iter()
                .find(|known| known.eq_ignore_ascii_case(&spelled));
            let Some(found) = found else {
                let what = format!(
                    "{} has no endpoint {wanted:?} in {}",
                    service.name, config.regions[region].name
                );
                return Err(unknown(&what, wanted, known.iter().map(String::as_str)));
            };
            subject.endpoint = Some(found.clone());
        }
        Ok(subject)
    }
}

/// A configured region as a service lists it.
fn find_listed_region<'c>(
    config: &Config,
    service: &'c ServiceConfig,
    region: usize,
) -> Result<&'c ServiceRegion, String> {
    let mut names: Vec<&str> = Vec::new();
    for listed in &service.regions {
        let at = usize::from(listed.region.0);
        if at == region {
            return Ok(listed);
        }
        names.extend(config.regions.get(at).map(|region| region.name.as_str()));
    }
    Err(format!(
        "{} has no region {:?}; it has {}",
        service.name,
        config.regions[region].name,
        names.join(", ")
    ))
}

/// The addresses and names of the endpoints in a region, and the aliases that they come from.
fn endpoint_names(region: &ServiceRegion) -> Vec<String> {
    let mut names = Vec::new();
    for endpoint in &region.endpoints {
        names.push(endpoint.target.to_string());
    }
    for endpoint in &region.endpoints {
        names.extend(endpoint.alias.as_ref().map(Name::to_string));
    }
    names.dedup();
    names
}

/// The canonical spelling of an address or name, so that `2001:DB8::0:1` finds `2001:db8::1`.
fn spell_endpoint(text: &str) -> String {
    match text.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => text
            .parse::<Name>()
            .map_or_else(|_| text.to_owned(), |name| name.to_string()),
    }
}

/// The service with this name.
///
/// # Errors
/// A sentence: there is none, and which similar one there is.
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

/// The position in the configuration of the region with this name.
///
/// # Errors
/// A sentence: there is none, and which similar one there is.
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

/// The error for a name that is not configured, with a similar name or all names.
fn unknown<'n>(what: &str, wanted: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(wanted, names.clone()) {
        Some(hint) => format!("{what} (did you mean \"{hint}\"?)"),
        None if names.clone().count() <= MOST_NAMED => {
            format!("{what}; there are {}", names.collect::<Vec<_>>().join(", "))
        }
        None => format!("{what}; `meridian status` lists them"),
    }
}

#[cfg(test)]
mod tests;
