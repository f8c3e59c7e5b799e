//! `GET /v1/shares`: who goes where, and what if. One is worked out at a time; the last ones are kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::AdminContext;
use super::error::ApiError;
use super::forms::{ParameterForm, read_bias, read_name, read_weight};
use super::openapi::QueryParameter;
use super::reads::ReadThreads;
use super::routes::{all, check_keys};
use crate::answer::Snapshot;
use crate::catalog::services::ServiceFamily;
use crate::dns::Name;
use crate::foresight::{ForecastRequest, NotedTraffic, PlannedChange, ShareBasis, foresee};

/// Results that are kept: an operator goes back and forth between a few.
const KEPT: usize = 32;
/// What can stand in the query.
pub const PARAMETERS: &[QueryParameter] = &[
    QueryParameter {
        name: "name",
        needed: true,
        many: false,
        form: ParameterForm::Name,
        about: "The service",
    },
    QueryParameter {
        name: "type",
        needed: false,
        many: false,
        form: ParameterForm::Words(&["A", "AAAA"]),
        about: "A if absent",
    },
    QueryParameter {
        name: "over",
        needed: false,
        many: false,
        form: ParameterForm::Words(&["addresses", "population", "traffic"]),
        about: "What shares are parts of; addresses if absent",
    },
    QueryParameter {
        name: "down",
        needed: false,
        many: true,
        form: ParameterForm::Named,
        about: "A region to be taken as down",
    },
    QueryParameter {
        name: "weight",
        needed: false,
        many: true,
        form: ParameterForm::Weight,
        about: "REGION=N: a region with another weight",
    },
    QueryParameter {
        name: "bias",
        needed: false,
        many: true,
        form: ParameterForm::Bias,
        about: "REGION=N: a region with another bias, per cent",
    },
];

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    name: Name,
    family: ServiceFamily,
    over: ShareBasis,
    change: PlannedChange,
}

/// The last results, and the one place to work out another.
#[derive(Clone)]
pub struct ShareCalculator {
    place: Arc<Semaphore>,
    kept: Arc<Mutex<Kept>>,
}

/// Results as JSON. A snapshot's results are worth nothing once it is replaced, so it is not kept alive for them.
type Kept = VecDeque<(Weak<Snapshot>, Asked, Bytes)>;

impl Default for ShareCalculator {
    fn default() -> ShareCalculator {
        ShareCalculator {
            place: Arc::new(Semaphore::new(1)),
            kept: Arc::default(),
        }
    }
}

impl ShareCalculator {
    fn find(&self, snapshot: &Arc<Snapshot>, asked: &Asked) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |of: &Weak<Snapshot>| std::ptr::eq(of.as_ptr(), Arc::as_ptr(snapshot));
        kept.iter()
            .find(|(of, known, _)| same(of) && known == asked)
            .map(|(_, _, result)| result.clone())
    }

    fn keep(&self, snapshot: &Arc<Snapshot>, asked: Asked, result: &Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(of, _, _)| of.strong_count() > 0);
        kept.truncate(KEPT - 1);
        kept.push_front((Arc::downgrade(snapshot), asked, result.clone()));
    }

    /// From what is kept, or worked out while `_place` is held.
    fn answer(
        &self,
        context: &AdminContext,
        asked: Asked,
        _place: OwnedSemaphorePermit,
    ) -> Result<Bytes, String> {
        let snapshot = context.control.snapshot();
        // Traffic is another one every second.
        let is_kept = asked.over != ShareBasis::Traffic;
        if let Some(known) = self.find(&snapshot, &asked) {
            return Ok(known);
        }
        let config = context.control.view().config;
        let Asked {
            name,
            family,
            over,
            change,
        } = &asked;
        let traffic = if is_kept {
            NotedTraffic::default()
        } else {
            NotedTraffic::of(&snapshot.catalog)
        };
        let wanted = ForecastRequest {
            name,
            family: *family,
            over: *over,
            traffic: &traffic,
            change,
        };
        let foresight = foresee((&snapshot, &config), None, wanted)?;
        let result =
            Bytes::from(serde_json::to_vec(&foresight).map_err(|error| error.to_string())?);
        if is_kept {
            self.keep(&snapshot, asked, &result);
        }
        Ok(result)
    }
}

/// Answers who goes where.
pub async fn shares(
    State(context): State<Arc<AdminContext>>,
    Extension(desk): Extension<ShareCalculator>,
    Extension(reads): Extension<ReadThreads>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(pairs) = query
        .map_err(|_| ApiError::bad_request("the query is not of the form key=value&key=value"))?;
    let asked = read(&pairs).map_err(ApiError::bad_request)?;
    let ended = |_| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the server is ending");
    let place = desk.place.clone().acquire_owned().await.map_err(ended)?;
    // The place goes along: who gives up waiting does not make room for a second one.
    let answer = reads
        .run(move || desk.answer(&context, asked, place))
        .await?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    answer
        .map(|body| (json, body).into_response())
        .map_err(ApiError::not_found)
}

fn read(pairs: &[(String, String)]) -> Result<Asked, String> {
    check_keys(pairs, PARAMETERS)?;
    let name = all(pairs, "name").next().ok_or("name is missing")?;
    let rtype = all(pairs, "type").next().unwrap_or("A");
    let change = PlannedChange {
        down: all(pairs, "down").map(str::to_owned).collect(),
        weights: all(pairs, "weight")
            .map(read_weight)
            .collect::<Result<_, _>>()?,
        biases: all(pairs, "bias")
            .map(read_bias)
            .collect::<Result<_, _>>()?,
    };
    let name = read_name(name)?;
    let over = all(pairs, "over")
        .next()
        .map_or(Ok(ShareBasis::Addresses), str::parse)?;
    Ok(Asked {
        name,
        family: read_family(rtype)?,
        over,
        change,
    })
}

fn read_family(text: &str) -> Result<ServiceFamily, String> {
    match text {
        "A" => Ok(ServiceFamily::V4),
        "AAAA" => Ok(ServiceFamily::V6),
        _ => Err(format!("type {text:?}: shares are those of A or AAAA")),
    }
}
