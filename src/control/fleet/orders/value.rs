//! An order as a value in the fleet's bucket, and the key that it has there.
//!
//! A value is JSON with its subject, its kind, what is ordered, by whom, through which server and why.
//! A removal is a value as well, without an action, so that the history says who removed what. Times
//! are those of the wall clock, because servers share no other; each server turns them into its own
//! deadlines when a value arrives.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::clock::{ClockReading, Deadline};
use crate::control::overrides::{
    ChangePace, FleetOrder, OrderScope, Override, OverrideAction, OverrideKind, OverrideLift,
    OverrideSubject,
};

/// The version of values.
const VERSION: u32 = 1;
/// Most characters of an author or a reason.
const LONGEST: usize = 500;
/// The highest weight.
const MOST_WEIGHT: u32 = 1_000_000;
/// An absent part of a subject in a key.
const ABSENT: &str = "=";
/// Every kind, with its word.
const KINDS: [OverrideKind; 4] = [
    OverrideKind::Drain,
    OverrideKind::Force,
    OverrideKind::Weight,
    OverrideKind::Shift,
];

/// What a key has in the bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderValue {
    version: u32,
    /// The subject.
    #[serde(flatten)]
    pub subject: OverrideSubject,
    kind: String,
    /// What is ordered; absent: the override is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OverrideAction>,
    /// The author.
    pub by: String,
    /// Why; may be empty.
    #[serde(default)]
    pub reason: String,
    /// The server that wrote it.
    pub server: String,
    /// When it was written, in seconds since 1970.
    pub since: u64,
    /// When it ends by itself, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pace: Option<SharedPace>,
}

/// How an order takes effect gradually.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SharedPace {
    #[serde(flatten)]
    pace: ChangePace,
    /// When it is in force completely, in milliseconds since 1970.
    arrives: u64,
}

/// The key of an order: `drain.fra.=.=`.
pub fn key_of(subject: &OverrideSubject, kind: OverrideKind) -> String {
    let mut key = kind.as_str().to_owned();
    for part in [&subject.region, &subject.service, &subject.endpoint] {
        key.push('.');
        push_part(&mut key, part.as_deref().unwrap_or_default());
    }
    key
}

fn push_part(key: &mut String, part: &str) {
    if part.is_empty() {
        key.push_str(ABSENT);
    } else {
        push_escaped(key, part);
    }
}

/// Adds a name. Octets that a key may not have become `=` and two digits.
fn push_escaped(key: &mut String, part: &str) {
    for octet in part.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_') {
            key.push(char::from(octet));
        } else {
            key.push_str(&format!("={octet:02X}"));
        }
    }
}

/// A value that removes whatever has this key, for the restoration of a bucket.
pub fn removal_of(key: &str, by: &str, server: &str, now: &ClockReading) -> OrderValue {
    // Nobody has the subject of a key that only a foreign bucket has, so it is read from the key.
    let mut parts = key.split('.');
    let kind = parts.next().unwrap_or_default().to_owned();
    let mut names = parts.map(unescaped);
    OrderValue {
        version: VERSION,
        subject: OverrideSubject {
            region: names.next().flatten(),
            service: names.next().flatten(),
            endpoint: names.next().flatten(),
        },
        kind,
        order: None,
        by: by.to_owned(),
        reason: "the orders were restored without it".to_owned(),
        server: server.to_owned(),
        since: now.wall.as_secs(),
        until: None,
        pace: None,
    }
}

fn unescaped(part: &str) -> Option<String> {
    if part == ABSENT {
        return None;
    }
    let mut octets = Vec::new();
    let mut rest = part.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'=' {
            octets.push(octet);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = str::from_utf8(&digits).ok()?;
        octets.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(octets).ok()
}

/// Whether a value is in force (true) or removes what was.
///
/// # Errors
/// Why it is neither, as a clause.
pub fn check(key: &str, text: &str) -> Result<bool, String> {
    let value = OrderValue::read(text)?;
    value.examine(key)?;
    Ok(value.order.is_some())
}

impl OrderValue {
    /// The value of an override.
    pub fn of(order: &Override, server: &str, now: &ClockReading) -> OrderValue {
        let pace = order.pace.as_ref().map(|pace| SharedPace {
            pace: pace.clone(),
            arrives: wall_time(pace.arrives, now),
        });
        OrderValue {
            version: VERSION,
            subject: order.subject.clone(),
            kind: order.action.kind().as_str().to_owned(),
            order: Some(order.action.clone()),
            by: order.by.clone(),
            reason: order.reason.clone(),
            server: server.to_owned(),
            since: order.since,
            until: order.ends.map(|ends| wall_time(ends, now)),
            pace,
        }
    }

    /// The value of a removal.
    pub fn of_end(lift: &OverrideLift, server: &str, now: &ClockReading) -> OrderValue {
        OrderValue {
            version: VERSION,
            subject: lift.subject.clone(),
            kind: lift.kind.as_str().to_owned(),
            order: None,
            by: lift.by.clone(),
            reason: lift.reason.clone(),
            server: server.to_owned(),
            since: now.wall.as_secs(),
            until: None,
            pace: None,
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// Why it cannot be used, as a clause.
    pub fn read(text: &str) -> Result<OrderValue, String> {
        let value: OrderValue =
            serde_json::from_str(text).map_err(|error| format!("is no order: {error}"))?;
        if value.version == VERSION {
            Ok(value)
        } else {
            let version = value.version;
            Err(format!("is of version {version}, not {VERSION}"))
        }
    }

    /// Its text.
    pub fn text(&self) -> String {
        // Neither maps with strange keys nor foreign types are in it, so this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What it means at `now`. An override that has ended is one that is removed.
    pub fn order_at(&self, now: &ClockReading) -> Option<FleetOrder> {
        let kind = self.kind()?;
        let is_over = self.until.is_some_and(|until| left(until, now).is_zero());
        let Some(action) = self.order.clone().filter(|_| !is_over) else {
            return Some(FleetOrder::Lift(self.end(kind)));
        };
        let pace = self.pace.as_ref().map(|shared| ChangePace {
            arrives: Deadline::after(now.boot, left(shared.arrives, now)),
            ..shared.pace.clone()
        });
        Some(FleetOrder::Give(Override {
            subject: self.subject.clone(),
            action,
            reason: self.reason.clone(),
            by: self.by.clone(),
            since: self.since,
            ends: self
                .until
                .map(|until| Deadline::after(now.boot, left(until, now))),
            pace,
            scope: OrderScope::Fleet,
        }))
    }

    /// The removal of what it orders.
    pub fn lift(&self) -> Option<FleetOrder> {
        Some(FleetOrder::Lift(self.end(self.kind()?)))
    }

    /// What happened, for people: `fra is drained over 15m`, `fra: drain removed`.
    pub fn sentence(&self) -> String {
        let Some(action) = &self.order else {
            let (subject, kind) = (&self.subject, &self.kind);
            return format!("{subject}: {kind} removed");
        };
        let order = Override {
            subject: self.subject.clone(),
            action: action.clone(),
            reason: String::new(),
            by: String::new(),
            since: self.since,
            ends: None,
            pace: self.pace.as_ref().map(|shared| shared.pace.clone()),
            scope: OrderScope::Fleet,
        };
        format!("{} {}", self.subject, order.as_clause())
    }

    /// When it ends by itself, in seconds since 1970.
    pub fn until_seconds(&self) -> Option<u64> {
        self.until.map(|until| until / 1000)
    }

    fn kind(&self) -> Option<OverrideKind> {
        KINDS.into_iter().find(|kind| kind.as_str() == self.kind)
    }

    fn end(&self, kind: OverrideKind) -> OverrideLift {
        OverrideLift {
            subject: self.subject.clone(),
            kind,
            scope: OrderScope::Fleet,
            by: self.by.clone(),
            reason: self.reason.clone(),
        }
    }

    /// Whether its parts fit each other and its key.
    fn examine(&self, key: &str) -> Result<(), String> {
        let Some(kind) = self.kind() else {
            return Err(format!("is of the unknown kind {:?}", self.kind));
        };
        let OverrideSubject {
            service,
            region,
            endpoint,
        } = &self.subject;
        let has_parent = region.is_some() && service.is_some();
        if region.is_none() && service.is_none() || endpoint.is_some() && !has_parent {
            return Err("has no subject".to_owned());
        }
        if key_of(&self.subject, kind) != key {
            return Err(format!(
                "is a {} of {}, which has another key",
                self.kind, self.subject
            ));
        }
        let mut texts = vec![&self.by, &self.reason, &self.server];
        texts.extend(service.iter().chain(region).chain(endpoint));
        if let Some(OverrideAction::Shift { to: Some(to), .. }) = &self.order {
            texts.push(to);
        }
        for text in texts {
            if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
                return Err(format!(
                    "has a text of more than {LONGEST} characters, or with control characters"
                ));
            }
        }
        match &self.order {
            Some(action) if action.kind() != kind => {
                Err(format!("orders something else than a {}", self.kind))
            }
            Some(OverrideAction::Weight { weight }) if *weight > MOST_WEIGHT => {
                Err(format!("has the weight {weight}, above {MOST_WEIGHT}"))
            }
            Some(OverrideAction::Shift { percent, .. }) if !(0.0..=100.0).contains(percent) => {
                Err(format!("shifts {percent}%"))
            }
            _ => Ok(()),
        }
    }
}

/// A deadline by the wall clock, in milliseconds since 1970.
fn wall_time(deadline: Deadline, now: &ClockReading) -> u64 {
    let time = now.wall.saturating_add(deadline.left(now.boot));
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The time until a moment of the wall clock; zero if it has passed.
fn left(until: u64, now: &ClockReading) -> Duration {
    Duration::from_millis(until).saturating_sub(now.wall)
}

#[cfg(test)]
mod tests;
