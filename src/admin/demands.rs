//! The calls that operators act with: drain, force and weight of regions, services and endpoints; leases of endpoints.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::AdminContext;
use super::bodies::{
    DrainRequest, EndRequest, EndpointDrainRequest, ForceRequest, LeaseRequest, OrderRequest,
    OverrideEndRequest, OverrideRequest, ReturnRequest, ShiftRequest, TakeBackRequest,
    WeightRequest,
};
use super::changes::ChangeAuthor;
use super::error::{ApiError, AuditNote};
use super::forms::{self, ParameterForm};
use super::listener::AdminPeer;
use super::openapi::{RequestBody, ResponseKind};
use super::routes::{AdminRoute, to_its_end};
use crate::control::clock::{BootTime, ClockReading, Deadline};
use crate::control::leases::Lease;
use crate::control::operate::{ChangeOutcome, ChangeRefusal};
use crate::control::orders::{ChangePace, Override, OverrideAction, OverrideKind, OverrideSubject};

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeDone {
    /// What is true now.
    pub sentence: String,
    /// Whether it outlives a restart: there is a state directory.
    pub kept: bool,
}

const LEASE: &str = "/v1/services/{service}/endpoints/{region}/{address}";

/// What the paths are about, and the same in words.
const REGION: (&str, &str) = ("/v1/regions/{region}", "a region everywhere");
const SERVICE: (&str, &str) = ("/v1/services/{service}", "a service");
const REGION_OF_SERVICE: (&str, &str) = (
    "/v1/services/{service}/regions/{region}",
    "a region of one service",
);
const ENDPOINT: (&str, &str) = (
    "/v1/services/{service}/endpoints/{region}/{address}",
    "an endpoint",
);

/// The calls of this module.
pub fn routes() -> Vec<AdminRoute> {
    let mut routes = Vec::new();
    for subject in [REGION, SERVICE, REGION_OF_SERVICE] {
        routes.extend(order::<DrainRequest, ReturnRequest>(
            OverrideKind::Drain,
            subject,
        ));
    }
    routes.extend(order::<EndpointDrainRequest, TakeBackRequest>(
        OverrideKind::Drain,
        ENDPOINT,
    ));
    for subject in [REGION, SERVICE, REGION_OF_SERVICE, ENDPOINT] {
        routes.extend(order::<ForceRequest, TakeBackRequest>(
            OverrideKind::Force,
            subject,
        ));
    }
    for subject in [REGION, ENDPOINT] {
        routes.extend(order::<WeightRequest, TakeBackRequest>(
            OverrideKind::Weight,
            subject,
        ));
    }
    for subject in [REGION, REGION_OF_SERVICE] {
        routes.extend(order::<ShiftRequest, ReturnRequest>(
            OverrideKind::Shift,
            subject,
        ));
    }
    let forms = &[("address", ParameterForm::Address)];
    let begin = AdminRoute {
        body: Some(RequestBody::needed::<LeaseRequest>()),
        path_forms: forms,
        ..change(
            Method::PUT,
            LEASE,
            "Begins or renews an endpoint's lease".to_owned(),
            routing::put(lease),
        )
    };
    let end = AdminRoute {
        body: Some(RequestBody::optional::<TakeBackRequest>()),
        path_forms: forms,
        ..change(
            Method::DELETE,
            LEASE,
            "Ends an endpoint's lease".to_owned(),
            routing::delete(end_lease),
        )
    };
    routes.extend([begin, end]);
    routes
}

/// The two calls that give an order of a kind and take it back.
fn order<Give: OrderRequest, End: EndRequest>(
    kind: OverrideKind,
    (path, subject): (&str, &str),
) -> [AdminRoute; 2] {
    let (word, summary) = match kind {
        OverrideKind::Drain => ("drain", format!("Drains {subject}")),
        OverrideKind::Force => ("force", format!("Takes {subject} as up or down")),
        OverrideKind::Weight => ("weight", format!("Gives {subject} another weight")),
        OverrideKind::Shift => (
            "shift",
            format!("Shifts a part of the clients of {subject} elsewhere"),
        ),
    };
    let path = format!("{path}/{word}");
    let give = move |context, path, peer, body| give::<Give>(context, path, peer, body);
    let lift = move |context, path, peer, body| lift::<End>(kind, context, path, peer, body);
    let body = match kind {
        OverrideKind::Drain => RequestBody::optional::<Give>(),
        OverrideKind::Force | OverrideKind::Weight | OverrideKind::Shift => {
            RequestBody::needed::<Give>()
        }
    };
    let back = "Takes that back".to_owned();
    [
        AdminRoute {
            body: Some(body),
            ..change(Method::PUT, path.clone(), summary, routing::put(give))
        },
        AdminRoute {
            body: Some(RequestBody::optional::<End>()),
            ..change(Method::DELETE, path, back, routing::delete(lift))
        },
    ]
}

/// A call of this module, without its body.
fn change(
    method: Method,
    path: impl Into<String>,
    summary: String,
    handler: MethodRouter<Arc<AdminContext>>,
) -> AdminRoute {
    AdminRoute {
        method,
        path: path.into(),
        summary,
        changes: true,
        parameters: &[],
        path_forms: &[],
        body: None,
        answer: ResponseKind::json::<ChangeDone>(),
        errors: &[404, 409, 507],
        handler,
    }
}

type Parts = Path<HashMap<String, String>>;

async fn give<Give: OrderRequest>(
    State(context): State<Arc<AdminContext>>,
    Path(path): Parts,
    Extension(peer): Extension<AdminPeer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let OverrideRequest {
        demand,
        reason,
        by,
        lasting,
        over,
        yes,
    } = read_body::<Give>(&body)?.asked();
    let author = author(by, reason, &peer.author);
    let now = ClockReading::now();
    let ends = lasting.map(|seconds| Deadline::after(now.boot, Duration::from_secs(seconds)));
    let (subject, pace) = (subject(&path), over.map(|seconds| pace(seconds, now.boot)));
    let ChangeAuthor { by, reason } = author.clone();
    let order = Override {
        subject,
        demand,
        reason,
        by,
        since: now.wall.as_secs(),
        ends,
        pace,
    };
    let give = async move {
        if !yes {
            context.control.expect_covered(order.clone()).await?;
        }
        context.control.order(order).await
    };
    let result = to_its_end(give).await?;
    Ok(answer(result, author))
}

async fn lift<End: EndRequest>(
    kind: OverrideKind,
    State(context): State<Arc<AdminContext>>,
    Path(path): Parts,
    Extension(peer): Extension<AdminPeer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let OverrideEndRequest { reason, by, over } = read_body::<End>(&body)?.ended();
    let author = author(by, reason, &peer.author);
    let (subject, ChangeAuthor { by, reason }) = (subject(&path), author.clone());
    let Some(over) = over else {
        let result =
            to_its_end(async move { context.control.lift(subject, kind, by).await }).await?;
        return Ok(answer(result, author));
    };
    let now = ClockReading::now();
    // The way back is an order, too, which ends where it arrives.
    let is_drain = kind == OverrideKind::Drain;
    let demand = if is_drain {
        OverrideAction::Drain
    } else {
        OverrideAction::Shift {
            percent: 0.0,
            to: None,
        }
    };
    let pace = Some(ChangePace {
        returning: is_drain,
        ..pace(over, now.boot)
    });
    let order = Override {
        subject,
        demand,
        reason,
        by,
        since: now.wall.as_secs(),
        ends: None,
        pace,
    };
    let result = to_its_end(async move { context.control.order(order).await }).await?;
    Ok(answer(result, author))
}

async fn lease(
    State(context): State<Arc<AdminContext>>,
    Path(path): Parts,
    Extension(peer): Extension<AdminPeer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    if body.is_empty() {
        return Err(ApiError::bad_request(
            "the body is missing; it needs a ttl, such as {\"ttl\": \"30s\"}",
        ));
    }
    let LeaseRequest {
        ttl,
        weight,
        port,
        by,
    } = read_body(&body)?;
    let author = author(by.text().to_owned(), String::new(), &peer.author);
    let (service, region, address) = lease_key(&path)?;
    let (by, ends, ttl) = (author.by.clone(), Deadline::default(), ttl.seconds());
    let lease = Lease {
        service,
        region,
        address,
        weight,
        port,
        ttl,
        ends,
        by,
    }
    .renewed(BootTime::now());
    let result = to_its_end(async move { context.control.lease(lease).await }).await?;
    Ok(answer(result, author))
}

async fn end_lease(
    State(context): State<Arc<AdminContext>>,
    Path(path): Parts,
    Extension(peer): Extension<AdminPeer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let OverrideEndRequest { reason, by, .. } = read_body::<TakeBackRequest>(&body)?.ended();
    let author = author(by, reason, &peer.author);
    let (key, by) = (lease_key(&path)?, author.by.clone());
    let result = to_its_end(async move { context.control.end_lease(key, by).await }).await?;
    Ok(answer(result, author))
}

/// What became of a change, with what the audit log wants to know.
fn answer(result: Result<ChangeOutcome, ChangeRefusal>, author: ChangeAuthor) -> Response {
    let response = match result {
        Ok(ChangeOutcome { sentence, kept }) => (
            Extension(AuditNote(sentence.clone())),
            Json(ChangeDone { sentence, kept }),
        )
            .into_response(),
        Err(ChangeRefusal::Unknown(sentence)) => {
            ApiError::new(StatusCode::NOT_FOUND, sentence).into_response()
        }
        Err(ChangeRefusal::Unfit(sentence)) => {
            ApiError::new(StatusCode::CONFLICT, sentence).into_response()
        }
        Err(ChangeRefusal::Uncovers(sentence)) => ApiError::unconfirmed(sentence).into_response(),
        Err(ChangeRefusal::NotKept(sentence)) => {
            ApiError::new(StatusCode::INSUFFICIENT_STORAGE, sentence).into_response()
        }
        Err(ChangeRefusal::Busy(sentence)) => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence).into_response()
        }
        Err(ChangeRefusal::Failed(sentence)) => {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, sentence).into_response()
        }
    };
    (Extension(author), response).into_response()
}

/// An object; an empty body stands for `{}`.
pub fn read_body<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    let text = if body.is_empty() { b"{}" } else { &body[..] };
    // A list would be taken for the values of an object, in the order in which we happen to state them.
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::bad_request(
            "the body is not a JSON object, {...}",
        ));
    }
    serde_json::from_slice(text)
        .map_err(|error| ApiError::bad_request(format!("the body is not as it should be: {error}")))
}

/// Who says so; where nobody is named, whoever calls.
fn author(by: String, reason: String, peer: &str) -> ChangeAuthor {
    ChangeAuthor {
        by: if by.is_empty() { peer.to_owned() } else { by },
        reason,
    }
}

/// An order that comes into force within so many seconds.
fn pace(over_seconds: u64, now: BootTime) -> ChangePace {
    let arrives = Deadline::after(now, Duration::from_secs(over_seconds));
    ChangePace {
        from_percent: 0.0,
        over_seconds,
        returning: false,
        arrives,
    }
}

fn subject(path: &HashMap<String, String>) -> OverrideSubject {
    let part = |name: &str| path.get(name).cloned();
    OverrideSubject {
        service: part("service"),
        region: part("region"),
        endpoint: part("address"),
    }
}

fn lease_key(path: &HashMap<String, String>) -> Result<crate::control::leases::LeaseKey, ApiError> {
    let part = |name: &str| path.get(name).cloned().unwrap_or_default();
    let address = forms::read_address(&part("address")).map_err(ApiError::bad_request)?;
    let service = part("service");
    let service = service
        .parse::<crate::dns::Name>()
        .map_or(service, |name| name.to_string());
    Ok((service, part("region"), address.to_canonical()))
}
