//! The call of the announcer: it says what it does, and hears what the fleet says about this server.
//!
//! `meridian announce` makes this call every round, so a call that says nothing new leaves no line in
//! the audit log. Nothing here changes answers.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bodies::read_body;
use super::changes::{ChangeAuthor, RoutineCall};
use super::context::AdminContext;
use super::error::ApiError;
use super::forms::PlainText;
use super::listener::AdminPeer;
use crate::fleet::announcement::AnnounceState;

/// What an announcer says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnnouncementRequest {
    /// What it does.
    pub state: AnnounceState,
    /// Why: a sentence.
    #[serde(default)]
    pub reason: PlainText,
}

/// What an announcer hears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnnouncementAnswer {
    /// What the fleet says about this server; absent: it has none, or is not in touch with enough of
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetStanding>,
}

/// How a server stands in its fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetStanding {
    /// Its checks.
    pub checks: usize,
    /// How many of them it sees otherwise than the fleet, or not at all.
    pub outvoted: usize,
    /// How many others announce.
    pub announcing: usize,
    /// How many of them stay if this server leaves because it is outvoted.
    pub staying: usize,
}

/// Takes what the announcer says.
///
/// # Errors
/// 400: the body is missing or is no announcement.
pub async fn announce(
    State(context): State<Arc<AdminContext>>,
    Extension(peer): Extension<AdminPeer>,
    body: Bytes,
) -> Result<Response, ApiError> {
    if body.is_empty() {
        return Err(ApiError::bad_request(
            "the body is missing; it needs a state, such as {\"state\": \"announced\"}",
        ));
    }
    let request: AnnouncementRequest = read_body(&body)?;
    let reason = request.reason.text().to_owned();
    let desk = context.control.announcement();
    let is_new = desk.hear(request.state, reason.clone());
    let answer = AnnouncementAnswer {
        fleet: standing(&context),
    };
    let mut response = Json(answer).into_response();
    if is_new {
        let author = ChangeAuthor::new(String::new(), reason, &peer);
        response.extensions_mut().insert(author);
    } else {
        response.extensions_mut().insert(RoutineCall);
    }
    Ok(response)
}

fn standing(context: &AdminContext) -> Option<FleetStanding> {
    let now = context.control.fleet()?.now();
    let report = &now.report;
    if now.is_stuck() || !report.linked || !report.quorum || report.disputed {
        return None;
    }
    let count = report.announce_count();
    Some(FleetStanding {
        checks: report.checks,
        outvoted: report.outvoted + report.unseen,
        announcing: count.announcing,
        staying: count.staying,
    })
}
