//! The table of calls, and the router that is made of it.
//!
//! [`routes`] lists every call as an [`AdminRoute`]. The router and the OpenAPI document are both
//! made from that table, so neither can have a call that the other lacks. [`router`] adds what all
//! calls share: the time limit, the limit of calls per address, the Host check and the form of
//! errors. The handlers of simple calls are here, too; others are in modules of their own.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use axum::{Extension, Json, Router};

use super::announcement::{self, AnnouncementAnswer, AnnouncementRequest};
use super::bodies::{PlanRequest, read_body};
use super::changes::{self, ChangeGuard};
use super::context::AdminContext;
use super::error::{self, ApiError};
use super::fleet_status::FleetStatus;
use super::forms::ParameterForm;
use super::listener::AdminPeer;
use super::openapi::{self, RequestBody, ResponseKind};
use super::per_address::PerAddress;
use super::query::{QueryPairs, QueryParameter};
use super::read_threads::ReadThreads;
use super::selection::{self, StatusSelection};
use super::status::{LastReload, ReloadBody, ServerStatus};
use super::token::TokenGate;
use super::{explained, fleet_status, host_check, metrics, overrides, page, shares, stream};
use crate::control::ReloadResult;
use crate::control::comparison::ConfigComparison;
use crate::control::guard::ConfirmedRisks;
use crate::dns::Name;
use crate::explain::Explanation;
use crate::foresight::{Foresight, NotedTraffic};

/// Most reads of one address at a time: as many as a browser makes, and a few more.
const READS_EACH: usize = 8;
/// How long a call that looks something up may take.
const READ_TIME: Duration = Duration::from_secs(10);
/// How long a change may take; it may have to read databases again.
const CHANGE_TIME: Duration = Duration::from_secs(60);
/// Paths that only say whether the server works.
const HEALTH_CHECKS: [&str; 2] = ["/healthz", "/readyz"];

/// One path of the API: how it is called, what it answers, and who handles it.
pub struct AdminRoute {
    /// The HTTP method.
    pub method: Method,
    /// The path, with parameters such as `{region}`.
    pub path: String,
    /// Its description.
    pub summary: String,
    /// Whether it changes state, so that it needs the token.
    pub changes: bool,
    /// The parameters of its query.
    pub parameters: &'static [QueryParameter],
    /// The forms of path parameters that are not names in the configuration.
    pub path_forms: &'static [(&'static str, ParameterForm)],
    /// Its body, if it has one.
    pub body: Option<RequestBody>,
    /// What it answers if it succeeds.
    pub answer: ResponseKind,
    /// The statuses of its errors, beside those that any call can have.
    pub errors: &'static [u16],
    /// The handler.
    pub handler: MethodRouter<Arc<AdminContext>>,
}

impl AdminRoute {
    /// A call that looks something up.
    pub fn read(
        path: &str,
        summary: &str,
        answer: ResponseKind,
        handler: MethodRouter<Arc<AdminContext>>,
    ) -> AdminRoute {
        AdminRoute {
            method: Method::GET,
            path: path.to_owned(),
            summary: summary.to_owned(),
            changes: false,
            parameters: &[],
            path_forms: &[],
            body: None,
            answer,
            errors: &[],
            handler,
        }
    }

    /// A call that changes state.
    pub fn change(
        method: Method,
        path: &str,
        summary: &str,
        answer: ResponseKind,
        handler: MethodRouter<Arc<AdminContext>>,
    ) -> AdminRoute {
        AdminRoute {
            method,
            changes: true,
            ..AdminRoute::read(path, summary, answer, handler)
        }
    }

    /// Whether it is a health check, which has no limits so that it is always answered.
    pub fn is_health_check(&self) -> bool {
        HEALTH_CHECKS.contains(&&*self.path)
    }
}

/// Every call.
pub fn routes() -> Vec<AdminRoute> {
    let mut routes = general_routes();
    for asset in &page::ASSETS {
        let kind = ResponseKind::File(asset.media_type);
        routes.push(AdminRoute::read(
            asset.path,
            asset.about,
            kind,
            asset.handler(),
        ));
    }
    routes.extend(overrides::routes());
    routes
}

fn general_routes() -> Vec<AdminRoute> {
    vec![
        AdminRoute::read(
            "/healthz",
            "ok while the server runs and nothing is stuck",
            ResponseKind::Text,
            routing::get(healthz),
        ),
        AdminRoute::read(
            "/readyz",
            "ok while queries are answered and nothing is stuck",
            ResponseKind::Text,
            routing::get(healthz),
        ),
        AdminRoute::read(
            "/metrics",
            "Metrics in the text format of OpenMetrics",
            ResponseKind::File(metrics::MEDIA_TYPE),
            routing::get(metrics),
        ),
        AdminRoute {
            parameters: selection::PARAMETERS,
            errors: &[404],
            ..AdminRoute::read(
                "/v1/status",
                "The state of the server, its services and their health",
                ResponseKind::json::<ServerStatus>(),
                routing::get(status),
            )
        },
        AdminRoute {
            parameters: explained::EXPLAIN,
            errors: &[404, 504],
            ..AdminRoute::read(
                "/v1/explain",
                "Why a client gets an answer",
                ResponseKind::json::<Explanation>(),
                routing::get(explained::explain_answer),
            )
        },
        AdminRoute {
            errors: &[404],
            ..AdminRoute::read(
                "/v1/fleet",
                "All servers of the fleet, as this one knows them",
                ResponseKind::json::<FleetStatus>(),
                routing::get(fleet_status::fleet_status),
            )
        },
        AdminRoute {
            body: Some(RequestBody::optional::<ReloadBody>()),
            errors: &[422],
            ..AdminRoute::change(
                Method::POST,
                "/v1/reload",
                "Reloads all files and serves them",
                ResponseKind::json::<LastReload>(),
                routing::post(reload),
            )
        },
        AdminRoute {
            body: Some(RequestBody::optional::<PlanRequest>()),
            errors: &[422],
            ..AdminRoute::change(
                Method::POST,
                "/v1/plan",
                "Reads all files again and shows what a reload would change, without changing \
                 anything; the answer quotes the files",
                ResponseKind::json::<ConfigComparison>(),
                routing::post(plan),
            )
        },
        AdminRoute {
            parameters: shares::PARAMETERS,
            errors: &[404],
            ..AdminRoute::read(
                "/v1/shares",
                "The share of each region, now and after a change",
                ResponseKind::json::<Foresight>(),
                routing::get(shares::shares),
            )
        },
        AdminRoute::read(
            "/v1/traffic",
            "A sample of recent clients, if configured",
            ResponseKind::json::<NotedTraffic>(),
            routing::get(traffic),
        ),
        AdminRoute {
            body: Some(RequestBody::needed::<AnnouncementRequest>()),
            ..AdminRoute::change(
                Method::PUT,
                "/v1/announcement",
                "Says what the announcer of this server does; repeated every few seconds",
                ResponseKind::json::<AnnouncementAnswer>(),
                routing::put(announcement::announce),
            )
        },
        AdminRoute {
            parameters: stream::PARAMETERS,
            ..AdminRoute::read(
                "/v1/events",
                "Events as they happen",
                ResponseKind::Events,
                routing::get(stream::events),
            )
        },
        AdminRoute::read(
            "/v1/openapi.json",
            "This document",
            ResponseKind::json::<BTreeMap<String, serde_json::Value>>(),
            routing::get(document),
        ),
    ]
}

/// The router of all calls, with the token gate, the limits and the threads for reads.
///
/// # Errors
/// A sentence: the system has no more threads.
pub fn router(
    context: Arc<AdminContext>,
    gate: TokenGate,
    hosts: &[Name],
) -> Result<Router, String> {
    // Browsers cannot reach a unix socket.
    let checks_host = !gate.is_socket();
    let guard = Arc::new(ChangeGuard::new(gate, context.control.clone()));
    let mut router = Router::new();
    for route in routes() {
        let mut handler = route.handler;
        if route.changes {
            let guarded = middleware::from_fn_with_state(guard.clone(), changes::admit);
            handler = handler.route_layer(guarded);
        }
        router = router.route(&route.path, handler);
    }
    let limits = PerAddress::new(READS_EACH);
    let mut router = router
        .layer(Extension(stream::StreamSlots::default()))
        .layer(Extension(shares::ShareCalculator::default()))
        .layer(Extension(ReadThreads::start()?))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(limits, limit))
        .with_state(context);
    if checks_host {
        let hosts = host_names(hosts);
        router = router.layer(middleware::from_fn_with_state(hosts, host_check::admit));
    }
    Ok(router.layer(middleware::from_fn(error::as_api_error)))
}

/// Names as a Host header has them: in lower case and without the last dot.
fn host_names(names: &[Name]) -> Arc<[String]> {
    let mut hosts = Vec::with_capacity(names.len());
    for name in names {
        let name = name.to_string();
        hosts.push(name.trim_end_matches('.').to_ascii_lowercase());
    }
    hosts.into()
}

/// Limits the time of a call, and how many reads of one address run at once. Health checks have no
/// limits, so nothing that another client does can delay them.
async fn limit(
    State(reads): State<Arc<PerAddress>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if HEALTH_CHECKS.contains(&request.uri().path()) {
        return Ok(next.run(request).await);
    }
    if !request.method().is_safe() {
        return within(CHANGE_TIME, next.run(request)).await;
    }
    let peer = request.extensions().get::<AdminPeer>();
    let address = peer.and_then(|peer| peer.address);
    let Some(_place) = reads.take(address) else {
        let sentence = format!(
            "{READS_EACH} calls of this address are under way already; wait for one of them"
        );
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, sentence));
    };
    // A read has no body, so what a client sends as one is never waited for.
    let request = request.map(|_| Body::empty());
    within(READ_TIME, next.run(request)).await
}

async fn within(
    time: Duration,
    call: impl Future<Output = Response>,
) -> Result<Response, ApiError> {
    match tokio::time::timeout(time, call).await {
        Ok(response) => Ok(response),
        Err(_) => {
            let seconds = time.as_secs();
            let sentence =
                format!("this took longer than {seconds} seconds; it may still complete");
            Err(ApiError::unavailable(sentence))
        }
    }
}

/// Runs a change to its end, even if the client disconnects.
pub async fn run_to_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::spawn(work).await {
        Ok(result) => Ok(result),
        Err(_) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the call failed; see the log",
        )),
    }
}

async fn no_such_path(uri: Uri) -> ApiError {
    let sentence = format!(
        "there is no {} here; see /v1/openapi.json for all calls",
        uri.path()
    );
    ApiError::new(StatusCode::NOT_FOUND, sentence)
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let sentence = format!(
        "{} does not support {method}; see /v1/openapi.json",
        uri.path()
    );
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, sentence)
}

/// Waits for nothing and takes no lock, so it answers even if other parts are stuck.
async fn healthz(State(context): State<Arc<AdminContext>>) -> Result<&'static str, ApiError> {
    match context.control.watchdog().sentence() {
        None => Ok("ok\n"),
        Some(sentence) => Err(ApiError::unavailable(sentence)),
    }
}

async fn metrics(
    State(context): State<Arc<AdminContext>>,
    Extension(reads): Extension<ReadThreads>,
) -> Result<Response, ApiError> {
    match reads.run(move || metrics::render(&context)).await? {
        Ok(page) => Ok(([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], page).into_response()),
        Err(_) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be written",
        )),
    }
}

async fn status(
    State(context): State<Arc<AdminContext>>,
    Extension(reads): Extension<ReadThreads>,
    pairs: QueryPairs,
) -> Result<Response, ApiError> {
    let selection = StatusSelection::read(&pairs).map_err(ApiError::bad_request)?;
    reads
        .json(move || ServerStatus::selected(&context, &selection))
        .await
}

async fn traffic(
    State(context): State<Arc<AdminContext>>,
    Extension(reads): Extension<ReadThreads>,
) -> Result<Response, ApiError> {
    reads
        .json(move || Ok(NotedTraffic::of(&context.control.snapshot().catalog)))
        .await
}

async fn reload(
    State(context): State<Arc<AdminContext>>,
    body: Bytes,
) -> Result<Json<LastReload>, ApiError> {
    let ReloadBody { yes_move, yes } = read_body(&body)?;
    let confirmed = ConfirmedRisks {
        moves: yes_move || yes,
        uncovers: yes,
    };
    let control = context.control.clone();
    let reload = async move { control.reload(confirmed).await.inspect(ReloadResult::log) };
    let result = run_to_end(reload).await??;
    if result.ok {
        return Ok(Json(LastReload::of(&result)));
    }
    Err(ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        result.sentence(),
    ))
}

async fn plan(
    State(context): State<Arc<AdminContext>>,
    body: Bytes,
) -> Result<Json<ConfigComparison>, ApiError> {
    let PlanRequest {} = read_body(&body)?;
    let control = context.control.clone();
    match run_to_end(async move { control.compare_with_files().await }).await?? {
        Ok(comparison) => Ok(Json(comparison)),
        Err(mistakes) => Err(ApiError::unprocessable(mistakes.join("; "))),
    }
}

async fn document(Extension(reads): Extension<ReadThreads>) -> Result<Response, ApiError> {
    reads.json(|| Ok(openapi::document(&routes()))).await
}
