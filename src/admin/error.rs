//! Errors of the admin API: a status and a body such as `{"error": "the token is wrong"}`.
//!
//! Handlers return [`ApiError`]. Errors that other layers make, such as axum's own for a malformed
//! query, are rewritten by [`as_api_error`] on their way out. So every error that a client sees has
//! the same form.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::worker::NotDone;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// 4xx if the caller can fix it, 5xx if only the server can.
    pub status: StatusCode,
    /// What is wrong and what to do.
    pub sentence: String,
    /// The key of the body that confirms the call.
    pub confirm: Option<&'static str>,
}

/// The result of a call in a sentence, left in its response for the audit log.
#[derive(Debug, Clone, Default)]
pub struct AuditNote(pub String);

/// The body of every error.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// What is wrong and what to do.
    pub error: String,
    /// If the call needs confirmation: the key of the body that confirms it with the value true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

impl ApiError {
    /// An error of this status.
    pub fn new(status: StatusCode, sentence: impl Into<String>) -> ApiError {
        ApiError {
            status,
            sentence: sentence.into(),
            confirm: None,
        }
    }

    /// 409, until the call says `"yes": true`
    pub fn unconfirmed(sentence: impl Into<String>) -> ApiError {
        ApiError {
            confirm: Some("yes"),
            ..ApiError::new(StatusCode::CONFLICT, sentence)
        }
    }

    /// 400
    pub fn bad_request(sentence: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, sentence)
    }

    /// 422
    pub fn unprocessable(sentence: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)
    }

    /// 503
    pub fn unavailable(sentence: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
    }

    /// 404
    pub fn not_found(sentence: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, sentence)
    }
}

impl From<NotDone> for ApiError {
    fn from(not_done: NotDone) -> ApiError {
        let status = match not_done {
            NotDone::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            NotDone::Panicked(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        ApiError::new(status, not_done.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let note = AuditNote(self.sentence.clone());
        let body = ErrorBody {
            error: self.sentence,
            confirm: self.confirm.map(str::to_owned),
        };
        let mut response = (self.status, Json(body)).into_response();
        response.extensions_mut().insert(note);
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2 requires this header of a 401.
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Bearer"),
            );
        }
        response
    }
}

/// Longest text of another layer's error, in octets.
const LONGEST: usize = 4096;

/// Puts every error into the form of the API, whichever layer made it.
pub async fn as_api_error(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || is_json(&response) {
        return response;
    }
    let (head, body) = response.into_parts();
    let text = to_bytes(body, LONGEST).await.unwrap_or_default();
    let mut sentence = String::from_utf8_lossy(&text).trim().to_owned();
    if sentence.is_empty() {
        let reason = status.canonical_reason().unwrap_or("it failed");
        sentence = reason.to_lowercase();
    }
    let mut response = ApiError::new(status, sentence).into_response();
    if let Some(allow) = head.headers.get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind == "application/json")
}
