//! What a fleet was ordered, for `GET /v1/orders/log`, and the body of a restoration.
//!
//! The log is read from the fleet's bucket, so it is the same through every server. The calls
//! themselves are in `overrides`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::AdminContext;
use super::error::ApiError;
use super::forms::{ParameterForm, PlainText};
use super::query::{QueryPairs, QueryParameter};
use crate::control::clock::ClockReading;
use crate::control::fleet::orders::value::OrderValue;
use crate::control::overrides::OverrideSubject;
use crate::fleet::desired::MARK;
use crate::fleet::order_carrier::PastValue;

/// Parameters of `GET /v1/orders/log`.
pub const LOG: &[QueryParameter] = &[
    QueryParameter::optional("region", ParameterForm::Named, "Only orders of this region"),
    QueryParameter::optional(
        "service",
        ParameterForm::Named,
        "Only orders of this service",
    ),
];

/// What a fleet was ordered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PastOrders {
    /// The name of the fleet; absent: the orders of this server are its own, and not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
    /// The orders, oldest first: the last 64 of each kind and subject.
    pub orders: Vec<PastOrder>,
}

/// An order of the past, or a removal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PastOrder {
    /// Its revision.
    pub revision: u64,
    /// When NATS took it, in seconds since 1970.
    pub at: u64,
    /// How many seconds ago that was.
    pub seconds_ago: u64,
    /// Its key in the bucket.
    pub key: String,
    /// What was ordered, as a sentence.
    pub sentence: String,
    /// The service; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The region; absent: all of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The author; empty: the value is no order of Meridian.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// The server that wrote it.
    pub server: String,
    /// When it ends or ended by itself, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// The body of a call that restores the orders of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The author; by default the caller's address, or `the local socket`.
    #[serde(default)]
    pub by: PlainText,
}

/// The orders of the past that a query selects.
///
/// # Errors
/// The query is malformed, or the bucket cannot be read.
pub async fn past_orders(
    context: &AdminContext,
    pairs: &QueryPairs,
) -> Result<PastOrders, ApiError> {
    pairs.check(LOG).map_err(ApiError::bad_request)?;
    let Some(fleet) = context.control.fleet_orders() else {
        return Ok(PastOrders::default());
    };
    let past = context.control.past_orders(None).await?;
    let now = ClockReading::now().wall.as_secs();
    let mut orders = Vec::new();
    for value in &past {
        orders.extend(past_order(value, now).filter(|order| order.is_selected(pairs)));
    }
    Ok(PastOrders {
        fleet: Some(fleet.fleet().to_owned()),
        orders,
    })
}

impl PastOrder {
    fn fill(&mut self, value: OrderValue) {
        self.sentence = value.sentence();
        self.until = value.until_seconds();
        self.name(value.subject);
        self.by = value.by;
        self.reason = value.reason;
        self.server = value.server;
    }

    fn name(&mut self, subject: OverrideSubject) {
        self.service = subject.service;
        self.region = subject.region;
    }

    fn is_selected(&self, pairs: &QueryPairs) -> bool {
        is_part(self.region.as_deref(), pairs.first("region"))
            && is_part(self.service.as_deref(), pairs.first("service"))
    }
}

/// Whether a part of a subject is the wanted one, if any is wanted.
fn is_part(part: Option<&str>, wanted: Option<&str>) -> bool {
    wanted.is_none() || part == wanted
}

/// A past value as an order; `None`: it is the mark of the bucket.
fn past_order(value: &PastValue, now: u64) -> Option<PastOrder> {
    let entry = &value.entry;
    if entry.key == MARK {
        return None;
    }
    let at = value.at / 1000;
    let mut order = PastOrder {
        revision: entry.revision,
        at,
        seconds_ago: now.saturating_sub(at),
        key: entry.key.clone(),
        sentence: format!("{}: deleted by hand", entry.key),
        service: None,
        region: None,
        by: String::new(),
        reason: String::new(),
        server: String::new(),
        until: None,
    };
    let Some(octets) = &entry.value else {
        return Some(order);
    };
    match OrderValue::read(&String::from_utf8_lossy(octets)) {
        Ok(value) => order.fill(value),
        Err(clause) => order.sentence = format!("{}: {clause}", entry.key),
    }
    Some(order)
}
