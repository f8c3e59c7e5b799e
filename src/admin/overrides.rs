//! The calls for overrides of regions, services and endpoints, and for leases.
//!
//! Each kind of override (drain, force, weight, shift) has the same two calls for every subject
//! that it fits: PUT makes it and DELETE removes it. [`routes`] builds them from a short table. The
//! handlers turn a path and a body into an [`Override`] or a [`Lease`]; [`crate::control::Control`]
//! does the rest and says the result in a sentence.

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
use serde::{Deserialize, Serialize};

use super::bodies::{
    DrainRequest, EndRequest, EndpointDrainRequest, ForceRequest, LeaseRequest, OrderRequest,
    ReturnRequest, ShiftRequest, TakeBackRequest, WeightRequest, read_body,
};
use super::changes::ChangeAuthor;
use super::context::AdminContext;
use super::error::{ApiError, AuditNote};
use super::fleet_orders::{self, PastOrders, RestoreRequest};
use super::forms::{self, ParameterForm};
use super::listener::AdminPeer;
use super::openapi::{RequestBody, ResponseKind};
use super::query::QueryPairs;
use super::releases::{self, PieceRequest, ReleaseDone, ReleaseRequest};
use super::routes::{AdminRoute, run_to_end};
use crate::control::clock::{BootTime, ClockReading, Deadline};
use crate::control::leases::{Lease, LeaseKey};
use crate::control::operate::{ChangeOutcome, ChangeRefusal};
use crate::control::overrides::{
    ChangePace, OrderScope, Override, OverrideAction, OverrideKind, OverrideLift, OverrideSubject,
};
use crate::control::releases::ReleasesReport;
use crate::dns::Name;

/// The result of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeDone {
    /// What is true now.
    pub sentence: String,
    /// Whether it outlives a restart, because there is a state directory.
    pub kept: bool,
}

/// The subject that a path names.
#[derive(Clone, Copy)]
struct PathSubject {
    path: &'static str,
    /// Its description.
    words: &'static str,
}

const REGION: PathSubject = PathSubject {
    path: "/v1/regions/{region}",
    words: "a region in every service",
};
const SERVICE: PathSubject = PathSubject {
    path: "/v1/services/{service}",
    words: "a service",
};
const REGION_OF_SERVICE: PathSubject = PathSubject {
    path: "/v1/services/{service}/regions/{region}",
    words: "a region of one service",
};
const ENDPOINT: PathSubject = PathSubject {
    path: "/v1/services/{service}/endpoints/{region}/{address}",
    words: "an endpoint",
};

/// The calls of this module.
pub fn routes() -> Vec<AdminRoute> {
    use OverrideKind::{Drain, Force, Shift, Weight};
    let mut routes = Vec::new();
    for subject in [REGION, SERVICE, REGION_OF_SERVICE] {
        routes.extend(subject.routes::<DrainRequest, ReturnRequest>(Drain));
    }
    routes.extend(ENDPOINT.routes::<EndpointDrainRequest, TakeBackRequest>(Drain));
    for subject in [REGION, SERVICE, REGION_OF_SERVICE, ENDPOINT] {
        routes.extend(subject.routes::<ForceRequest, TakeBackRequest>(Force));
    }
    for subject in [REGION, ENDPOINT] {
        routes.extend(subject.routes::<WeightRequest, TakeBackRequest>(Weight));
    }
    for subject in [REGION, REGION_OF_SERVICE] {
        routes.extend(subject.routes::<ShiftRequest, ReturnRequest>(Shift));
    }
    let forms = &[("address", ParameterForm::Address)];
    routes.push(AdminRoute {
        path_forms: forms,
        ..change(
            Method::PUT,
            ENDPOINT.path,
            "Begins or renews an endpoint's lease",
            RequestBody::needed::<LeaseRequest>(),
            routing::put(lease),
        )
    });
    routes.push(AdminRoute {
        path_forms: forms,
        ..change(
            Method::DELETE,
            ENDPOINT.path,
            "Ends an endpoint's lease",
            RequestBody::optional::<TakeBackRequest>(),
            routing::delete(end_lease),
        )
    });
    routes.extend(fleet_routes());
    routes.extend(release_routes());
    routes
}

/// The calls for the orders of a fleet as a whole.
fn fleet_routes() -> [AdminRoute; 2] {
    let log = AdminRoute {
        parameters: fleet_orders::LOG,
        ..AdminRoute::read(
            "/v1/orders/log",
            "What the fleet was ordered, by whom and when",
            ResponseKind::json::<PastOrders>(),
            routing::get(log),
        )
    };
    let restore = change(
        Method::POST,
        "/v1/orders/restore",
        "Writes the fleet's orders that this server holds into the bucket, which all servers follow",
        RequestBody::optional::<RestoreRequest>(),
        routing::post(restore),
    );
    [log, restore]
}

/// The calls for releases of the fleet's configuration.
fn release_routes() -> [AdminRoute; 3] {
    let list = AdminRoute::read(
        "/v1/releases",
        "The releases of the fleet's configuration: which server serves which, and what halts one",
        ResponseKind::json::<ReleasesReport>(),
        routing::get(releases::list),
    );
    let piece = AdminRoute {
        body: Some(RequestBody::needed::<PieceRequest>()),
        errors: &[409],
        ..AdminRoute::change(
            Method::PUT,
            "/v1/releases/pieces",
            "Hands over a piece of the archive of a release; nothing serves it before the release \
             is published",
            ResponseKind::json::<ReleaseDone>(),
            routing::put(releases::put_piece),
        )
    };
    let publish = AdminRoute {
        body: Some(RequestBody::needed::<ReleaseRequest>()),
        errors: &[409, 504],
        ..AdminRoute::change(
            Method::POST,
            "/v1/releases",
            "Publishes a signed release whose archive was handed over, to ring 0 first",
            ResponseKind::json::<ReleaseDone>(),
            routing::post(releases::publish),
        )
    };
    [list, piece, publish]
}

impl PathSubject {
    /// The two calls that make and remove an override of a kind.
    fn routes<Give: OrderRequest, End: EndRequest>(self, kind: OverrideKind) -> [AdminRoute; 2] {
        let words = self.words;
        let (word, summary, body) = match kind {
            OverrideKind::Drain => (
                "drain",
                format!("Drains {words}"),
                RequestBody::optional::<Give>(),
            ),
            OverrideKind::Force => (
                "force",
                format!("Forces {words} up or down"),
                RequestBody::needed::<Give>(),
            ),
            OverrideKind::Weight => (
                "weight",
                format!("Overrides the weight of {words}"),
                RequestBody::needed::<Give>(),
            ),
            OverrideKind::Shift => (
                "shift",
                format!("Moves a part of the clients of {words} to other regions"),
                RequestBody::needed::<Give>(),
            ),
        };
        let path = format!("{}/{word}", self.path);
        let give = routing::put(give::<Give>);
        let end = routing::delete(move |context, path, peer, body| {
            remove::<End>(kind, context, path, peer, body)
        });
        [
            change(Method::PUT, &path, &summary, body, give),
            change(
                Method::DELETE,
                &path,
                &format!("Removes the {word}"),
                RequestBody::optional::<End>(),
                end,
            ),
        ]
    }
}

/// A call that changes state and answers a [`ChangeDone`].
fn change(
    method: Method,
    path: &str,
    summary: &str,
    body: RequestBody,
    handler: MethodRouter<Arc<AdminContext>>,
) -> AdminRoute {
    AdminRoute {
        body: Some(body),
        errors: &[404, 409, 504, 507],
        ..AdminRoute::change(
            method,
            path,
            summary,
            ResponseKind::json::<ChangeDone>(),
            handler,
        )
    }
}

/// The parameters in a path by their names.
type PathParameters = Path<HashMap<String, String>>;

async fn give<Give: OrderRequest>(
    State(context): State<Arc<AdminContext>>,
    Path(path): PathParameters,
    Extension(peer): Extension<AdminPeer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request = read_body::<Give>(&body)?.into_override();
    let author = ChangeAuthor::new(request.by, request.reason, &peer);
    let now = ClockReading::now();
    let override_ = Override {
        subject: subject(&path),
        action: request.action,
        reason: author.reason.clone(),
        by: author.by.clone(),
        since: now.wall.as_secs(),
        ends: request.lasting.map(|seconds| after(now.boot, seconds)),
        pace: request.over.map(|seconds| pace(seconds, now.boot)),
        scope: scope(request.here_only),
    };
    let result = run_to_end(async move {
        if !request.confirmed {
            context.control.expect_covered(override_.clone()).await?;
        }
        context.control.order(override_).await
    });
    Ok(answer(result.await?, author))
}

async fn remove<End: EndRequest>(
    kind: OverrideKind,
    State(context): State<Arc<AdminContext>>,
    Path(path): PathParameters,
    Extension(peer): Extension<AdminPeer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request = read_body::<End>(&body)?.into_end();
    let author = ChangeAuthor::new(request.by, request.reason, &peer);
    let subject = subject(&path);
    let result = match request.over {
        None => {
            let lift = OverrideLift {
                subject,
                kind,
                scope: scope(request.here_only),
                by: author.by.clone(),
                reason: author.reason.clone(),
            };
            run_to_end(async move { context.control.lift(lift).await }).await?
        }
        Some(over) => {
            let override_ = Override {
                scope: scope(request.here_only),
                ..return_over(over, kind, subject, &author)
            };
            run_to_end(async move { context.control.order(override_).await }).await?
        }
    };
    Ok(answer(result, author))
}

/// The override that brings clients back over some seconds, and ends when they are back.
fn return_over(
    over: u64,
    kind: OverrideKind,
    subject: OverrideSubject,
    author: &ChangeAuthor,
) -> Override {
    let now = ClockReading::now();
    let is_drain = kind == OverrideKind::Drain;
    let action = if is_drain {
        OverrideAction::Drain
    } else {
        OverrideAction::Shift {
            percent: 0.0,
            to: None,
        }
    };
    Override {
        subject,
        action,
        reason: author.reason.clone(),
        by: author.by.clone(),
        since: now.wall.as_secs(),
        ends: None,
        pace: Some(ChangePace {
            returning: is_drain,
            ..pace(over, now.boot)
        }),
        scope: OrderScope::default(),
    }
}

/// The scope that a body asks for. Without a fleet it makes no difference.
fn scope(here_only: bool) -> OrderScope {
    if here_only {
        OrderScope::HereOnly
    } else {
        OrderScope::default()
    }
}

async fn lease(
    State(context): State<Arc<AdminContext>>,
    Path(path): PathParameters,
    Extension(peer): Extension<AdminPeer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    if body.is_empty() {
        return Err(ApiError::bad_request(
            "the body is missing; it needs a ttl, such as {\"ttl\": \"30s\"}",
        ));
    }
    let request: LeaseRequest = read_body(&body)?;
    let author = ChangeAuthor::new(request.by.text().to_owned(), String::new(), &peer);
    let (service, region, address) = lease_key(&path)?;
    let lease = Lease {
        service,
        region,
        address,
        weight: request.weight,
        port: request.port,
        ttl: request.ttl.seconds(),
        ends: Deadline::default(),
        by: author.by.clone(),
        // The controller states these.
        server: String::new(),
        renewed_at: 0,
    };
    let lease = lease.renewed(BootTime::now());
    let result = run_to_end(async move { context.control.lease(lease).await }).await?;
    Ok(answer(result, author))
}

async fn end_lease(
    State(context): State<Arc<AdminContext>>,
    Path(path): PathParameters,
    Extension(peer): Extension<AdminPeer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request = read_body::<TakeBackRequest>(&body)?.into_end();
    let author = ChangeAuthor::new(request.by, request.reason, &peer);
    let (key, by) = (lease_key(&path)?, author.by.clone());
    let result = run_to_end(async move { context.control.end_lease(key, by).await }).await?;
    Ok(answer(result, author))
}

async fn log(
    State(context): State<Arc<AdminContext>>,
    pairs: QueryPairs,
) -> Result<Json<PastOrders>, ApiError> {
    Ok(Json(fleet_orders::past_orders(&context, &pairs).await?))
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

/// The response to a change, with the author for the audit log.
fn answer(result: Result<ChangeOutcome, ChangeRefusal>, author: ChangeAuthor) -> Response {
    let response = match result {
        Ok(ChangeOutcome { sentence, kept }) => {
            let note = AuditNote(sentence.clone());
            (Extension(note), Json(ChangeDone { sentence, kept })).into_response()
        }
        Err(refusal) => ApiError::from(refusal).into_response(),
    };
    (Extension(author), response).into_response()
}

impl From<ChangeRefusal> for ApiError {
    fn from(refusal: ChangeRefusal) -> ApiError {
        let (status, sentence) = match refusal {
            ChangeRefusal::Unknown(sentence) => (StatusCode::NOT_FOUND, sentence),
            ChangeRefusal::Unfit(sentence) => (StatusCode::CONFLICT, sentence),
            ChangeRefusal::Uncovers(sentence) => return ApiError::unconfirmed(sentence),
            ChangeRefusal::NotKept(sentence) => (StatusCode::INSUFFICIENT_STORAGE, sentence),
            ChangeRefusal::Busy(sentence) | ChangeRefusal::NotTaken(sentence) => {
                (StatusCode::SERVICE_UNAVAILABLE, sentence)
            }
            ChangeRefusal::Unconfirmed(sentence) => (StatusCode::GATEWAY_TIMEOUT, sentence),
            ChangeRefusal::Failed(sentence) => (StatusCode::INTERNAL_SERVER_ERROR, sentence),
        };
        ApiError::new(status, sentence)
    }
}

impl ChangeAuthor {
    /// The author in the body, or else the caller.
    pub(super) fn new(by: String, reason: String, peer: &AdminPeer) -> ChangeAuthor {
        let by = if by.is_empty() {
            peer.author.clone()
        } else {
            by
        };
        ChangeAuthor { by, reason }
    }
}

/// A change that takes effect over some seconds.
fn pace(over_seconds: u64, now: BootTime) -> ChangePace {
    ChangePace {
        from_percent: 0.0,
        over_seconds,
        returning: false,
        arrives: after(now, over_seconds),
    }
}

fn after(now: BootTime, seconds: u64) -> Deadline {
    Deadline::after(now, Duration::from_secs(seconds))
}

fn subject(path: &HashMap<String, String>) -> OverrideSubject {
    OverrideSubject {
        service: path.get("service").cloned(),
        region: path.get("region").cloned(),
        endpoint: path.get("address").cloned(),
    }
}

fn lease_key(path: &HashMap<String, String>) -> Result<LeaseKey, ApiError> {
    let OverrideSubject {
        service,
        region,
        endpoint,
    } = subject(path);
    let address = forms::read_address(&endpoint.unwrap_or_default());
    let address = address.map_err(ApiError::bad_request)?;
    let service = service.unwrap_or_default();
    let service = match service.parse::<Name>() {
        Ok(name) => name.to_string(),
        Err(_) => service,
    };
    Ok((service, region.unwrap_or_default(), address.to_canonical()))
}
