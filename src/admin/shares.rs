//! `GET /v1/shares`: the share of each region, now and after a planned change.
//!
//! A forecast can take seconds, so one is computed at a time, on the read threads. The last results
//! are kept for as long as their snapshot is served, because the console asks for the same ones
//! again and again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::context::AdminContext;
use super::error::ApiError;
use super::forms::{ParameterForm, read_bias, read_name, read_weight};
use super::query::{QueryPairs, QueryParameter};
use super::read_threads::ReadThreads;
use crate::answer::Snapshot;
use crate::catalog::services::ServiceFamily;
use crate::dns::Name;
use crate::foresight::{ForecastRequest, NotedTraffic, PlannedChange, ShareBasis, foresee};

/// Results that are kept: an operator goes back and forth between a few.
const KEPT: usize = 32;
/// The parameters of the query.
pub const PARAMETERS: &[QueryParameter] = &[
    QueryParameter::needed("name", ParameterForm::Name, "The service"),
    QueryParameter::optional(
        "type",
        ParameterForm::Words(&["A", "AAAA"]),
        "The record type. Default: A",
    ),
    QueryParameter::optional(
        "over",
        ParameterForm::Words(&["addresses", "population", "traffic"]),
        "What shares are measured in. Default: addresses",
    ),
    QueryParameter::repeated("down", ParameterForm::Named, "A region to treat as down"),
    QueryParameter::repeated(
        "weight",
        ParameterForm::Weight,
        "REGION=N: a region with another weight",
    ),
    QueryParameter::repeated(
        "bias",
        ParameterForm::Bias,
        "REGION=N: a region with another bias, per cent",
    ),
];

/// The query of a forecast.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ShareQuery {
    name: Name,
    family: ServiceFamily,
    over: ShareBasis,
    change: PlannedChange,
}

/// The last results, and the permit to compute another.
#[derive(Clone)]
pub struct ShareCalculator {
    place: Arc<Semaphore>,
    kept: Arc<Mutex<VecDeque<KeptShares>>>,
}

/// One result. It does not keep its snapshot alive, because it is useless once that is replaced.
struct KeptShares {
    snapshot: Weak<Snapshot>,
    query: ShareQuery,
    /// JSON.
    result: Bytes,
}

impl KeptShares {
    fn is_of(&self, snapshot: &Arc<Snapshot>, query: &ShareQuery) -> bool {
        std::ptr::eq(self.snapshot.as_ptr(), Arc::as_ptr(snapshot)) && self.query == *query
    }
}

impl Default for ShareCalculator {
    fn default() -> ShareCalculator {
        ShareCalculator {
            place: Arc::new(Semaphore::new(1)),
            kept: Arc::default(),
        }
    }
}

impl ShareCalculator {
    fn find(&self, snapshot: &Arc<Snapshot>, query: &ShareQuery) -> Option<Bytes> {
        let all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().find(|kept| kept.is_of(snapshot, query))?;
        Some(found.result.clone())
    }

    fn keep(&self, snapshot: &Arc<Snapshot>, query: ShareQuery, result: &Bytes) {
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|kept| kept.snapshot.strong_count() > 0);
        all.truncate(KEPT - 1);
        all.push_front(KeptShares {
            snapshot: Arc::downgrade(snapshot),
            query,
            result: result.clone(),
        });
    }

    /// The kept result, or a new one that is computed while `_place` is held.
    fn answer(
        &self,
        context: &AdminContext,
        query: ShareQuery,
        _place: OwnedSemaphorePermit,
    ) -> Result<Bytes, String> {
        let snapshot = context.control.snapshot();
        // The sample of traffic changes all the time.
        let is_kept = query.over != ShareBasis::Traffic;
        if let Some(known) = self.find(&snapshot, &query) {
            return Ok(known);
        }
        let config = context.control.config();
        let ShareQuery {
            name,
            family,
            over,
            change,
        } = &query;
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
            self.keep(&snapshot, query, &result);
        }
        Ok(result)
    }
}

/// Answers the shares of a service.
pub async fn shares(
    State(context): State<Arc<AdminContext>>,
    Extension(calculator): Extension<ShareCalculator>,
    Extension(reads): Extension<ReadThreads>,
    pairs: QueryPairs,
) -> Result<Response, ApiError> {
    let query = read(&pairs).map_err(ApiError::bad_request)?;
    let Ok(place) = calculator.place.clone().acquire_owned().await else {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Err(ApiError::new(status, "the server is ending"));
    };
    // The permit moves along, so a client that gives up does not let a second forecast begin.
    let answer = reads
        .run(move || calculator.answer(&context, query, place))
        .await?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    answer
        .map(|body| (json, body).into_response())
        .map_err(ApiError::not_found)
}

fn read(pairs: &QueryPairs) -> Result<ShareQuery, String> {
    pairs.check(PARAMETERS)?;
    let name = pairs.needed("name")?;
    let rtype = pairs.first("type").unwrap_or("A");
    let change = PlannedChange {
        down: pairs.all("down").map(str::to_owned).collect(),
        weights: pairs
            .all("weight")
            .map(read_weight)
            .collect::<Result<_, _>>()?,
        biases: pairs.all("bias").map(read_bias).collect::<Result<_, _>>()?,
    };
    let name = read_name(name)?;
    let over = pairs
        .first("over")
        .map_or(Ok(ShareBasis::Addresses), str::parse)?;
    Ok(ShareQuery {
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
        _ => Err(format!("type {text:?}: shares exist for A and AAAA")),
    }
}
