//! The calls for the orders of a fleet as a whole: what was ordered, and their restoration.
//!
//! Single orders have the same calls with and without a fleet; they are in `overrides`. The log is read
//! from the fleet's bucket, so it is the same through every server.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changes::ChangeAuthor;
use super::context::AdminContext;
use super::error::ApiError;
use super::forms::{ParameterForm, PlainText};
use super::listener::AdminPeer;
use super::openapi::{RequestBody, ResponseKind};
use super::overrides::{ChangeDone, answer, read_body};
use super::query::{QueryPairs, QueryParameter};
use super::routes::{AdminRoute, run_to_end};
use crate::control::clock::ClockReading;
use crate::control::fleet::orders::value::OrderValue;
use crate::fleet::desired::MARK;
use crate::fleet::order_carrier::PastValue;

/// Parameters of `GET /v1/orders/log`.
const LOG: &[QueryParameter] = &[
    QueryParameter::optional("region", ParameterForm::Named, "Only orders of this region"),
    QueryParameter::optional(
        "service",
        ParameterForm::Named,
        "Only orders of this service",
    ),
];

/// What a fleet was ordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// The calls of this module.
pub fn routes() -> [AdminRoute; 2] {
    [
        AdminRoute {
            parameters: LOG,
            ..AdminRoute::read(
                "/v1/orders/log",
                "What the fleet was ordered, by whom and when",
                ResponseKind::json::<PastOrders>(),
                routing::get(log),
            )
        },
        AdminRoute {
            body: Some(RequestBody::optional::<RestoreRequest>()),
            errors: &[404, 409, 504, 507],
            ..AdminRoute::change(
                Method::POST,
                "/v1/orders/restore",
                "Writes the fleet's orders that this server holds into the bucket, which all servers \
                 follow then",
                ResponseKind::json::<ChangeDone>(),
                routing::post(restore),
            )
        },
    ]
}

async fn log(
    State(context): State<Arc<AdminContext>>,
    pairs: QueryPairs,
) -> Result<Json<PastOrders>, ApiError> {
    pairs.check(LOG).map_err(ApiError::bad_request)?;
    let (region, service) = (pairs.first("region"), pairs.first("service"));
    let Some(fleet) = context.control.fleet_orders() else {
        return Ok(Json(PastOrders {
            fleet: None,
            orders: Vec::new(),
        }));
    };
    let past = context.control.past_orders(None).await?;
    let now = ClockReading::now().wall.as_secs();
    let mut orders = Vec::new();
    for value in &past {
        let Some(order) = past_order(value, now) else {
            continue;
        };
        let is_wanted = region.is_none_or(|region| order.region.as_deref() == Some(region))
            && service.is_none_or(|service| order.service.as_deref() == Some(service));
        if is_wanted {
            orders.push(order);
        }
    }
    Ok(Json(PastOrders {
        fleet: Some(fleet.fleet().to_owned()),
        orders,
    }))
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
    let text = String::from_utf8_lossy(octets);
    match OrderValue::read(&text) {
        Ok(value) => {
            order.sentence = value.sentence();
            order.until = value.until_seconds();
            order.service = value.subject.service;
            order.region = value.subject.region;
            order.by = value.by;
            order.reason = value.reason;
            order.server = value.server;
        }
        Err(clause) => order.sentence = format!("{}: {clause}", entry.key),
    }
    Some(order)
}

async fn restore(
    State(context): State<Arc<AdminContext>>,
    Extension(peer): Extension<AdminPeer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request: RestoreRequest = read_body(&body)?;
    let author = ChangeAuthor::new(request.by.text().to_owned(), String::new(), &peer);
    let by = author.by.clone();
    let result = run_to_end(async move { context.control.restore_orders(by).await }).await?;
    Ok(answer(result, author))
}
