//! The calls that operators act with: drain, force and weight of regions, services and endpoints; leases of endpoints.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, routing};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Context;
use super::changes::Author;
use super::error::{ApiError, Outcome};
use super::listener::Peer;
use super::openapi::Answer;
use super::routes::{Route, to_its_end};
use crate::config::values::parse_duration;
use crate::control::clock::{BootTime, Clocks, Deadline};
use crate::control::leases::Lease;
use crate::control::operate::{Changed, Refusal};
use crate::control::orders::{Demand, Kind, Order, Pace, Subject};

/// Longest reason and name, in octets.
const LONGEST: usize = 500;
/// Longest time that an order or a lease may be given for: ten years.
const LONGEST_TIME: u64 = 3650 * 86_400;
const MOST_WEIGHT: u32 = 1_000_000;

/// The body of calls that order something; all of it may be left out where it says so.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    /// Why; may be left out.
    #[serde(default)]
    pub reason: String,
    /// Who says so; if left out, the address that the call comes from, or `the local socket`.
    #[serde(default)]
    pub by: String,
    /// How long it holds, such as `2h`; if left out, until it is lifted.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<String>,
    /// `up` or `down`; for force alone, where it is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Forced>,
    /// 0 to 1,000,000; for weight alone, where it is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// 0 to 100; for shift alone, where it is needed. 0 takes the shift back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub percent: Option<f64>,
    /// The region that shifted clients are offered first; for shift alone. If left out, each client's next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How long it takes until it is in force as a whole, such as `30m`; for shift, and drain of regions and services. If
    /// left out, it is at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// Do it even if it takes their last live region from clients; for drain and force.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub yes: bool,
}

/// What something is forced to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Forced {
    /// Taken as up.
    Up,
    /// Taken as down.
    Down,
}

/// The body of a call that begins or renews a lease.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseBody {
    /// How long the endpoint stays without being renewed, such as `30s`: 1s to 1d.
    pub ttl: String,
    /// 0 to 1,000,000; 0 is a standby. Default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Where it is checked, instead of the check's own port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Who says so; if left out, the address that the call comes from, or `the local socket`.
    #[serde(default)]
    pub by: String,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeDone {
    /// What is true now.
    pub sentence: String,
    /// Whether it outlives a restart: there is a state directory.
    pub kept: bool,
}

const LEASE: &str = "/v1/services/{service}/endpoints/{region}/{address}";

/// What can be ordered of what.
const ORDERS: [(Kind, &str, &str); 12] = [
    (Kind::Drain, "/v1/regions/{region}/drain", "Drains a region everywhere"),
    (Kind::Drain, "/v1/services/{service}/drain", "Drains a service"),
    (Kind::Drain, "/v1/services/{service}/regions/{region}/drain", "Drains a region of one service"),
    (Kind::Drain, "/v1/services/{service}/endpoints/{region}/{address}/drain", "Drains an endpoint"),
    (Kind::Force, "/v1/regions/{region}/force", "Takes a region as up or down everywhere"),
    (Kind::Force, "/v1/services/{service}/force", "Takes a service as up or down"),
    (Kind::Force, "/v1/services/{service}/regions/{region}/force", "Takes a region of one service as up or down"),
    (Kind::Force, "/v1/services/{service}/endpoints/{region}/{address}/force", "Takes an endpoint as up or down"),
    (Kind::Weight, "/v1/regions/{region}/weight", "Gives a region another weight"),
    (Kind::Weight, "/v1/services/{service}/endpoints/{region}/{address}/weight", "Gives an endpoint another weight"),
    (Kind::Shift, "/v1/regions/{region}/shift", "Shifts a part of a region's clients elsewhere"),
    (Kind::Shift, "/v1/services/{service}/regions/{region}/shift", "The same for one service"),
];

/// The calls of this module.
pub fn routes() -> Vec<Route> {
    let route = |method, path, summary, body, handler| Route {
        method,
        path,
        summary,
        changes: true,
        parameters: &[],
        body: Some(body),
        answer: Answer::json::<ChangeDone>(),
        handler,
    };
    let mut routes = Vec::new();
    for (kind, path, summary) in ORDERS {
        let give = move |context, path, peer, body| give(kind, context, path, peer, body);
        let lift = move |context, path, peer, body| lift(kind, context, path, peer, body);
        let body = Answer::json::<OrderBody>();
        routes.push(route(Method::PUT, path, summary, body, routing::put(give)));
        routes.push(route(Method::DELETE, path, "Takes that back", body, routing::delete(lift)));
    }
    let body = Answer::json::<LeaseBody>();
    routes.push(route(Method::PUT, LEASE, "Begins or renews an endpoint's lease", body, routing::put(lease)));
    let body = Answer::json::<OrderBody>();
    routes.push(route(Method::DELETE, LEASE, "Ends an endpoint's lease", body, routing::delete(end_lease)));
    routes
}

type Parts = Path<HashMap<String, String>>;

async fn give(
    kind: Kind,
    State(context): State<Arc<Context>>,
    Path(path): Parts,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (body, author) = read_order(&body, &peer.author)?;
    let now = Clocks::now();
    let lasting = body.lasting.as_deref().map(read_time).transpose()?;
    let ends = lasting.map(|seconds| Deadline::after(now.boot, Duration::from_secs(seconds)));
    let demand = demand(kind, &body)?;
    let (subject, pace) = (subject(&path), pace(kind, &body, &path, now.boot)?);
    let Author { by, reason } = author.clone();
    let order = Order { subject, demand, reason, by, since: now.wall.as_secs(), ends, pace };
    let yes = body.yes;
    let give = async move {
        if !yes {
            context.control.expect_covered(order.clone()).await?;
        }
        context.control.order(order).await
    };
    let result = to_its_end(give).await?;
    Ok(answer(result, author))
}

async fn lift(
    kind: Kind,
    State(context): State<Arc<Context>>,
    Path(path): Parts,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (body, author) = read_order(&body, &peer.author)?;
    let (subject, by) = (subject(&path), author.by.clone());
    if kind == Kind::Shift && body.over.is_some() {
        let now = Clocks::now();
        let pace = pace(kind, &body, &path, now.boot)?;
        let (demand, reason) = (Demand::Shift { percent: 0.0, to: None }, author.reason.clone());
        let order = Order { subject, demand, reason, by, since: now.wall.as_secs(), ends: None, pace };
        let result = to_its_end(async move { context.control.order(order).await }).await?;
        return Ok(answer(result, author));
    }
    let result = to_its_end(async move { context.control.lift(subject, kind, by).await }).await?;
    Ok(answer(result, author))
}

/// The body of an order or of its end, and who gives it.
fn read_order(body: &Bytes, peer: &str) -> Result<(OrderBody, Author), ApiError> {
    let body: OrderBody = read_body(body)?;
    let author = author(&body.by, &body.reason, peer)?;
    Ok((body, author))
}

async fn lease(
    State(context): State<Arc<Context>>,
    Path(path): Parts,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    if body.is_empty() {
        return Err(ApiError::bad_request("the body is missing; it needs a ttl, such as {\"ttl\": \"30s\"}"));
    }
    let body: LeaseBody = read_body(&body)?;
    let author = author(&body.by, "", &peer.author)?;
    let ttl = read_time(&body.ttl)?;
    if ttl > 86_400 {
        return Err(ApiError::bad_request("a ttl is at most 1d; renew the lease instead"));
    }
    let weight = checked_weight(body.weight.unwrap_or(100))?;
    let (service, region, address) = lease_key(&path)?;
    let (by, ends) = (author.by.clone(), Deadline::default());
    let lease = Lease { service, region, address, weight, port: body.port, ttl, ends, by }.renewed(BootTime::now());
    let result = to_its_end(async move { context.control.lease(lease).await }).await?;
    Ok(answer(result, author))
}

async fn end_lease(
    State(context): State<Arc<Context>>,
    Path(path): Parts,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (_, author) = read_order(&body, &peer.author)?;
    let (key, by) = (lease_key(&path)?, author.by.clone());
    let result = to_its_end(async move { context.control.end_lease(key, by).await }).await?;
    Ok(answer(result, author))
}

/// What became of a change, with what the audit log wants to know.
fn answer(result: Result<Changed, Refusal>, author: Author) -> Response {
    let response = match result {
        Ok(Changed { sentence, kept }) => {
            (Extension(Outcome(sentence.clone())), Json(ChangeDone { sentence, kept })).into_response()
        }
        Err(Refusal::Unknown(sentence)) => ApiError::new(StatusCode::NOT_FOUND, sentence).into_response(),
        Err(Refusal::Unfit(sentence)) => ApiError::new(StatusCode::CONFLICT, sentence).into_response(),
        Err(Refusal::Uncovers(sentence)) => ApiError::unconfirmed(sentence).into_response(),
        Err(Refusal::NotKept(sentence)) => ApiError::new(StatusCode::INSUFFICIENT_STORAGE, sentence).into_response(),
        Err(Refusal::Busy(sentence)) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence).into_response(),
        Err(Refusal::Failed(sentence)) => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, sentence).into_response(),
    };
    (Extension(author), response).into_response()
}

/// An object; an empty body stands for `{}`.
pub fn read_body<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    let text = if body.is_empty() { b"{}" } else { &body[..] };
    // A list would be taken for the values of an object, in the order in which we happen to state them.
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::bad_request("the body is not a JSON object, {...}"));
    }
    serde_json::from_slice(text)
        .map_err(|error| ApiError::bad_request(format!("the body is not as it should be: {error}")))
}

fn author(by: &str, reason: &str, peer: &str) -> Result<Author, ApiError> {
    for (what, text) in [("by", by), ("reason", reason)] {
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            let sentence = format!("{what} is longer than {LONGEST} octets or holds control characters");
            return Err(ApiError::bad_request(sentence));
        }
    }
    let by = if by.trim().is_empty() { peer } else { by.trim() };
    Ok(Author { by: by.to_owned(), reason: reason.trim().to_owned() })
}

/// Whole seconds, rounded up.
fn read_time(text: &str) -> Result<u64, ApiError> {
    let seconds =
        parse_duration(text).map(|time| time.as_millis().div_ceil(1000)).and_then(|it| u64::try_from(it).ok());
    seconds.filter(|seconds| (1..=LONGEST_TIME).contains(seconds)).ok_or_else(|| {
        ApiError::bad_request(format!("{text:?} is no time from 1s to 3650d; it is written 30s, 2h or 1h30m"))
    })
}

/// How an order comes into force.
fn pace(kind: Kind, body: &OrderBody, path: &HashMap<String, String>, now: BootTime) -> Result<Option<Pace>, ApiError> {
    let Some(over) = body.over.as_deref() else { return Ok(None) };
    if !matches!(kind, Kind::Drain | Kind::Shift) || path.contains_key("address") {
        return Err(ApiError::bad_request("over is for shifts, and for drains of regions and services"));
    }
    let over_seconds = read_time(over)?;
    let arrives = Deadline::after(now, Duration::from_secs(over_seconds));
    Ok(Some(Pace { from_percent: 0.0, over_seconds, arrives }))
}

fn demand(kind: Kind, body: &OrderBody) -> Result<Demand, ApiError> {
    if kind == Kind::Shift {
        let percent = body.percent.filter(|_| body.state.is_none() && body.weight.is_none());
        let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
        let sentence = "the body needs percent, from 0 to 100, and neither state nor weight";
        let percent = percent.ok_or_else(|| ApiError::bad_request(sentence))?;
        return Ok(Demand::Shift { percent, to: body.to.clone() });
    }
    if body.percent.is_some() || body.to.is_some() {
        return Err(ApiError::bad_request("percent and to are for shifts alone"));
    }
    match (kind, body.state, body.weight) {
        (Kind::Drain, None, None) => Ok(Demand::Drain),
        (Kind::Force, Some(Forced::Up), None) => Ok(Demand::ForceUp),
        (Kind::Force, Some(Forced::Down), None) => Ok(Demand::ForceDown),
        (Kind::Weight, None, Some(weight)) => Ok(Demand::Weight { weight: checked_weight(weight)? }),
        (Kind::Drain, ..) => Err(ApiError::bad_request("a drain has neither a state nor a weight")),
        (Kind::Force, ..) => Err(ApiError::bad_request("to force something needs a state, up or down, and no weight")),
        (Kind::Weight | Kind::Shift, ..) => Err(ApiError::bad_request("the body needs a weight, and no state")),
    }
}

fn checked_weight(weight: u32) -> Result<u32, ApiError> {
    let sentence = format!("the weight {weight} is more than {MOST_WEIGHT}");
    if weight <= MOST_WEIGHT { Ok(weight) } else { Err(ApiError::bad_request(sentence)) }
}

fn subject(path: &HashMap<String, String>) -> Subject {
    let part = |name: &str| path.get(name).cloned();
    Subject { service: part("service"), region: part("region"), endpoint: part("address") }
}

fn lease_key(path: &HashMap<String, String>) -> Result<crate::control::leases::Key, ApiError> {
    let part = |name: &str| path.get(name).cloned().unwrap_or_default();
    let text = part("address");
    let address: std::net::IpAddr =
        text.parse().map_err(|_| ApiError::bad_request(format!("{text:?} is no IPv4 or IPv6 address")))?;
    let service = part("service");
    let service = service.parse::<crate::dns::Name>().map_or(service, |name| name.to_string());
    Ok((service, part("region"), address.to_canonical()))
}
