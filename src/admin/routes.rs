//! The calls. One table makes both the router and the OpenAPI document, so neither knows a call that the other does not.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use axum::{Extension, Json, Router};

use super::bodies::PlanRequest;
use super::changes::{self, ChangeGuard};
use super::error::{self, ApiError};
use super::forms::{self, ParameterForm};
use super::listener::AdminPeer;
use super::openapi::{self, MOST, QueryParameter, RequestBody};
use super::per_address::PerAddress;
use super::reads::ReadThreads;
use super::selection::{self, StatusSelection};
use super::status::{LastReload, ReloadBody, ServerStatus};
use super::token::TokenGate;
use super::{AdminContext, demands, metrics, page, shares, stream, visitor};
use crate::control::comparison::ConfigComparison;
use crate::control::guard::ConfirmedRisks;
use crate::control::{ReloadResult, any_draw};
use crate::dns::Name;
use crate::explain;
use crate::explain::Explanation;
use crate::foresight::{Foresight, NotedTraffic};

/// Most calls of one address that look something up at a time: as many as a browser makes, and a few.
const READS_EACH: usize = 8;
/// How long a call may take; one that changes something may have to read databases anew.
const TIME: Duration = Duration::from_secs(10);
const TIME_OF_CHANGES: Duration = Duration::from_secs(60);
/// What is asked whether the server lives.
const SIGNS_OF_LIFE: [&str; 2] = ["/healthz", "/readyz"];

/// One call.
pub struct AdminRoute {
    /// GET, POST ...
    pub method: Method,
    /// Its path.
    pub path: String,
    /// What it does, for people.
    pub summary: String,
    /// It changes something, so it passes the gate.
    pub changes: bool,
    /// What can stand in its query.
    pub parameters: &'static [QueryParameter],
    /// What the parts of its path look like that are no names of the configuration.
    pub path_forms: &'static [(&'static str, ParameterForm)],
    /// What can stand in its body.
    pub body: Option<RequestBody>,
    /// What it answers when all goes well.
    pub answer: openapi::ResponseKind,
    /// What it can come to beside what any call can.
    pub errors: &'static [u16],
    /// What does it.
    pub handler: MethodRouter<Arc<AdminContext>>,
}

impl AdminRoute {
    /// Nothing that somebody else holds is between such a call and its answer.
    pub fn is_sign_of_life(&self) -> bool {
        SIGNS_OF_LIFE.contains(&&*self.path)
    }
}

/// Parameters of `GET /v1/explain`.
const EXPLAIN: &[QueryParameter] = &[
    QueryParameter {
        name: "name",
        needed: true,
        many: false,
        form: ParameterForm::Name,
        about: "The name asked for",
    },
    QueryParameter {
        name: "type",
        needed: false,
        many: false,
        form: ParameterForm::RecordType,
        about: "The record type; A if absent",
    },
    QueryParameter {
        name: "client",
        needed: true,
        many: false,
        form: ParameterForm::Client,
        about: "An address, or a client subnet ADDRESS/PREFIX",
    },
    QueryParameter {
        name: "down",
        needed: false,
        many: true,
        form: ParameterForm::Named,
        about: "A region to be taken as down",
    },
];

/// Every call.
pub fn routes() -> Vec<AdminRoute> {
    use openapi::ResponseKind::{self, Text};
    let lists = ResponseKind::File(metrics::MEDIA_TYPE);
    let mut routes = vec![
        get(
            "/healthz",
            "ok while the process lives and nothing is stuck",
            Text,
            routing::get(healthz),
        ),
        get(
            "/readyz",
            "ok while queries are answered and nothing is stuck",
            Text,
            routing::get(healthz),
        ),
        get(
            "/metrics",
            "Metrics in the text format of Prometheus",
            lists,
            routing::get(metrics),
        ),
        AdminRoute {
            parameters: selection::PARAMETERS,
            errors: &[404],
            ..get(
                "/v1/status",
                "What is going on",
                ResponseKind::json::<ServerStatus>(),
                routing::get(status),
            )
        },
        AdminRoute {
            parameters: EXPLAIN,
            errors: &[404],
            ..get(
                "/v1/explain",
                "Why a client gets an answer",
                ResponseKind::json::<Explanation>(),
                routing::get(explain),
            )
        },
        AdminRoute {
            method: Method::POST,
            changes: true,
            body: Some(RequestBody::optional::<ReloadBody>()),
            errors: &[422],
            ..get(
                "/v1/reload",
                "Reads everything anew and serves it",
                ResponseKind::json::<LastReload>(),
                routing::post(reload),
            )
        },
        AdminRoute {
            method: Method::POST,
            changes: true,
            body: Some(RequestBody::optional::<PlanRequest>()),
            errors: &[422],
            ..get(
                "/v1/plan",
                "Reads everything anew and says what a reload would change; it changes nothing, and shows what is written",
                ResponseKind::json::<ConfigComparison>(),
                routing::post(plan),
            )
        },
        AdminRoute {
            parameters: shares::PARAMETERS,
            errors: &[404],
            ..get(
                "/v1/shares",
                "Who goes where, now and what if",
                ResponseKind::json::<Foresight>(),
                routing::get(shares::shares),
            )
        },
        get(
            "/v1/traffic",
            "Who asked lately, where that is noted",
            ResponseKind::json::<NotedTraffic>(),
            routing::get(traffic),
        ),
        AdminRoute {
            parameters: stream::PARAMETERS,
            ..get(
                "/v1/events",
                "What happens, as it happens",
                ResponseKind::Events,
                routing::get(stream::events),
            )
        },
        get(
            "/v1/openapi.json",
            "This document",
            ResponseKind::json::<BTreeMap<String, serde_json::Value>>(),
            routing::get(document),
        ),
    ];
    let file = |asset: &'static page::PageAsset| {
        get(
            asset.path,
            asset.about,
            ResponseKind::File(asset.media_type),
            asset.handler(),
        )
    };
    routes.extend(page::ASSETS.iter().map(file));
    routes.extend(demands::routes());
    routes
}

/// A call that looks something up.
fn get(
    path: &str,
    summary: &str,
    answer: openapi::ResponseKind,
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

/// The router with its gate, its limits and its threads.
///
/// # Errors
/// A sentence: the system makes no more threads.
pub fn router(
    context: Arc<AdminContext>,
    gate: TokenGate,
    hosts: &[Name],
) -> Result<Router, String> {
    let text = |host: &Name| host.to_string().trim_end_matches('.').to_ascii_lowercase();
    let hosts: Arc<[String]> = hosts.iter().map(text).collect();
    // Browsers do not reach a unix socket.
    let reached_by_browsers = !gate.is_socket();
    let guard = Arc::new(ChangeGuard::new(gate, context.control.clone()));
    let mut router = Router::new();
    for AdminRoute {
        path,
        handler,
        changes,
        ..
    } in routes()
    {
        let guarded = middleware::from_fn_with_state(guard.clone(), changes::admit);
        router = router.route(
            &path,
            if changes {
                handler.route_layer(guarded)
            } else {
                handler
            },
        );
    }
    let router = router
        .layer(Extension(stream::StreamSlots::default()))
        .layer(Extension(shares::ShareCalculator::default()))
        .layer(Extension(ReadThreads::start()?))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(
            PerAddress::new(READS_EACH),
            limit,
        ))
        .with_state(context);
    let router = if reached_by_browsers {
        router.layer(middleware::from_fn_with_state(hosts, visitor::admit))
    } else {
        router
    };
    Ok(router.layer(middleware::from_fn(error::in_our_form)))
}

/// Bounds the time that a call takes, and how many of one address are looked into at once. Signs of life pass: nothing
/// that somebody else holds is between them and their answer.
async fn limit(
    State(shares): State<Arc<PerAddress>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if is_sign_of_life(&request) {
        return Ok(next.run(request).await);
    }
    let is_read = request.method().is_safe();
    let time = if is_read { TIME } else { TIME_OF_CHANGES };
    let late = |_| {
        let sentence = format!(
            "this took longer than {} seconds; it may still be done",
            time.as_secs()
        );
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
    };
    if !is_read {
        return tokio::time::timeout(time, next.run(request))
            .await
            .map_err(late);
    }
    let address = request
        .extensions()
        .get::<AdminPeer>()
        .and_then(|peer| peer.address);
    let _part = shares.take(address).ok_or_else(|| {
        let sentence = format!(
            "{READS_EACH} calls of this address are under way already; wait for one of them"
        );
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, sentence)
    })?;
    // What only looks has no body that anybody would read.
    let request = request.map(|_| Body::empty());
    tokio::time::timeout(time, next.run(request))
        .await
        .map_err(late)
}

fn is_sign_of_life(request: &Request) -> bool {
    SIGNS_OF_LIFE.contains(&request.uri().path())
}

/// Does something to its end, even if the client gives up on it.
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    let failed = |_| {
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the call ended early; the log says why",
        )
    };
    tokio::spawn(work).await.map_err(failed)
}

async fn nothing_here(uri: Uri) -> ApiError {
    let sentence = format!(
        "there is no {} here; /v1/openapi.json tells what there is",
        uri.path()
    );
    ApiError::new(StatusCode::NOT_FOUND, sentence)
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let sentence = format!(
        "{} does not take {method}; /v1/openapi.json tells what it takes",
        uri.path()
    );
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, sentence)
}

/// Waits for nothing and takes no lock, so that what is stuck cannot hold it up.
async fn healthz(State(context): State<Arc<AdminContext>>) -> Result<&'static str, ApiError> {
    match context.control.watchdog().sentence() {
        None => Ok("ok\n"),
        Some(sentence) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence)),
    }
}

async fn metrics(
    State(context): State<Arc<AdminContext>>,
    Extension(reads): Extension<ReadThreads>,
) -> Result<Response, ApiError> {
    let page = reads
        .run(move || metrics::render(&context))
        .await?
        .map_err(|_| {
            ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the metrics cannot be written",
            )
        })?;
    Ok(([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], page).into_response())
}

async fn status(
    State(context): State<Arc<AdminContext>>,
    Extension(reads): Extension<ReadThreads>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(pairs) = query
        .map_err(|_| ApiError::bad_request("the query is not of the form key=value&key=value"))?;
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

async fn explain(
    State(context): State<Arc<AdminContext>>,
    Extension(reads): Extension<ReadThreads>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(pairs) = query
        .map_err(|_| ApiError::bad_request("the query is not of the form key=value&key=value"))?;
    let question = read_question(&pairs).map_err(ApiError::bad_request)?;
    let explained = move || explain::explain(&context.control.snapshot(), &question, any_draw());
    reads
        .json(move || explained().map_err(ApiError::not_found))
        .await
}

/// The question in the query of `GET /v1/explain`.
fn read_question(pairs: &[(String, String)]) -> Result<explain::ExplainQuestion, String> {
    check_keys(pairs, EXPLAIN)?;
    let needed = |key| {
        all(pairs, key)
            .next()
            .ok_or_else(|| format!("{key} is missing"))
    };
    let (name, client) = (needed("name")?, needed("client")?);
    let rtype = all(pairs, "type").next().unwrap_or("A");
    Ok(explain::ExplainQuestion {
        name: forms::read_name(name)?,
        rtype: forms::read_record_type(rtype)?,
        asker: forms::read_client(client)?,
        down: all(pairs, "down").map(str::to_owned).collect(),
    })
}

/// Refuses keys that a call does not know, and those that are there more than once without need.
pub fn check_keys(pairs: &[(String, String)], known: &[QueryParameter]) -> Result<(), String> {
    if let Some((unknown, _)) = pairs
        .iter()
        .find(|(key, _)| known.iter().all(|known| known.name != key))
    {
        let names: Vec<&str> = known.iter().map(|known| known.name).collect();
        let (last, others) = names.split_last().unwrap_or((&"", &[]));
        let list = if others.is_empty() {
            format!("is {last}")
        } else {
            format!("are {} and {last}", others.join(", "))
        };
        return Err(format!("there is no parameter {unknown:?}; there {list}"));
    }
    for QueryParameter { name, many, .. } in known {
        match all(pairs, name).count() {
            2.. if !many => return Err(format!("{name} is there more than once")),
            count if count > MOST => return Err(format!("{name} is there more than {MOST} times")),
            _ => {}
        }
    }
    Ok(())
}

/// The values of a key.
pub fn all<'p>(pairs: &'p [(String, String)], key: &'p str) -> impl Iterator<Item = &'p str> {
    pairs
        .iter()
        .filter(move |(known, _)| known == key)
        .map(|(_, value)| value.as_str())
}

async fn reload(
    State(context): State<Arc<AdminContext>>,
    body: Bytes,
) -> Result<Json<LastReload>, ApiError> {
    let ReloadBody { yes_move, yes } = demands::read_body(&body)?;
    let confirmed = ConfirmedRisks {
        moves: yes_move || yes,
        uncovers: yes,
    };
    let control = context.control.clone();
    let done =
        to_its_end(async move { control.reload(confirmed).await.inspect(ReloadResult::log) })
            .await??;
    match done.ok {
        true => Ok(Json(LastReload::of(&done))),
        false => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            done.sentence(),
        )),
    }
}

async fn plan(
    State(context): State<Arc<AdminContext>>,
    body: Bytes,
) -> Result<Json<ConfigComparison>, ApiError> {
    let PlanRequest {} = demands::read_body(&body)?;
    let control = context.control.clone();
    let compared = to_its_end(async move { control.compare_with_files().await }).await??;
    let told = |mistakes: Vec<String>| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, mistakes.join("; "))
    };
    compared.map(Json).map_err(told)
}

async fn document(Extension(reads): Extension<ReadThreads>) -> Result<Response, ApiError> {
    reads.json(|| Ok(openapi::document(&routes()))).await
}
