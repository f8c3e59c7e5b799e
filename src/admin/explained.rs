//! `GET /v1/explain`: why a client gets an answer, on this server or on another one of the fleet.
//!
//! Another server is asked through the NATS servers of the fleet, so nobody needs a way to its admin
//! server. It answers with the same code, from what it has in force. Like every call that looks
//! something up, this one needs no token.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::context::AdminContext;
use super::error::ApiError;
use super::forms::{self, ParameterForm};
use super::query::{QueryPairs, QueryParameter};
use super::read_threads::ReadThreads;
use crate::control::any_draw;
use crate::control::fleet::reports::AskRefusal;
use crate::explain::{ExplainQuestion, Explanation, explain};

/// Parameters of `GET /v1/explain`.
pub const EXPLAIN: &[QueryParameter] = &[
    QueryParameter::needed("name", ParameterForm::Name, "The name to query"),
    QueryParameter::optional(
        "type",
        ParameterForm::RecordType,
        "The record type. Default: A",
    ),
    QueryParameter::needed(
        "client",
        ParameterForm::Client,
        "An address, or a client subnet ADDRESS/PREFIX",
    ),
    QueryParameter::repeated(
        "down",
        ParameterForm::Named,
        "A region that is treated as down",
    ),
    QueryParameter::optional(
        "at",
        ParameterForm::Named,
        "The server of the fleet that explains it. Default: this one",
    ),
];

/// Explains an answer.
///
/// # Errors
/// 400: it is no question; 404: there is nothing to explain, or no such server; 504: it does not answer.
pub async fn explain_answer(
    State(context): State<Arc<AdminContext>>,
    Extension(reads): Extension<ReadThreads>,
    pairs: QueryPairs,
) -> Result<Response, ApiError> {
    let question = read_question(&pairs).map_err(ApiError::bad_request)?;
    if let Some(server) = pairs.first("at")
        && let Some(explanation) = explain_at(&context, server, &question).await?
    {
        return reads.json(move || Ok(explanation)).await;
    }
    reads
        .json(move || {
            let snapshot = context.control.snapshot();
            explain(&snapshot, &question, any_draw()).map_err(ApiError::not_found)
        })
        .await
}

/// The explanation of another server; `None`: it is this one.
async fn explain_at(
    context: &AdminContext,
    server: &str,
    question: &ExplainQuestion,
) -> Result<Option<Explanation>, ApiError> {
    let Some(reports) = context.control.fleet_reports() else {
        let sentence = format!("this server has no [fleet], so there is no server {server:?}");
        return Err(ApiError::not_found(sentence));
    };
    if reports.now().own.server == server {
        return Ok(None);
    }
    let explained = reports.explain_at(server, question).await;
    explained.map(Some).map_err(|refusal| match refusal {
        AskRefusal::Unknown(sentence) => ApiError::not_found(sentence),
        AskRefusal::Refused(sentence) => ApiError::not_found(format!("{server}: {sentence}")),
        AskRefusal::Unanswered(sentence) => ApiError::new(StatusCode::GATEWAY_TIMEOUT, sentence),
    })
}

/// The question in the query.
fn read_question(pairs: &QueryPairs) -> Result<ExplainQuestion, String> {
    pairs.check(EXPLAIN)?;
    let (name, client) = (pairs.needed("name")?, pairs.needed("client")?);
    let rtype = pairs.first("type").unwrap_or("A");
    Ok(ExplainQuestion {
        name: forms::read_name(name)?,
        rtype: forms::read_record_type(rtype)?,
        client: forms::read_client(client)?,
        down: pairs.all("down").map(str::to_owned).collect(),
    })
}
