//! Errors of the admin API: a status and `{"error": "sentence"}`.

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
    /// 4xx: the caller can do better. 5xx: it cannot.
    pub status: StatusCode,
    /// What is wrong and what to do.
    pub sentence: String,
    /// The key of the body that would have it done all the same.
    pub confirm: Option<&'static str>,
}

/// What became of a call, left in its response for the audit log.
#[derive(Debug, Clone)]
pub struct AuditNote(pub String);

/// The body of every error.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// What is wrong and what to do.
    pub error: String,
    /// Where the call needs to be confirmed: the key of the body that does so, with the value true.
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
        let outcome = AuditNote(self.sentence.clone());
        let body = ErrorBody {
            error: self.sentence,
            confirm: self.confirm.map(str::to_owned),
        };
        let mut response = (self.status, Json(body)).into_response();
        response.extensions_mut().insert(outcome);
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2: a 401 says how to authenticate.
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Bearer"),
            );
        }
        response
    }
}

/// Most octets of a foreign error's text.
const LONGEST: usize = 4096;

/// Puts every error into the form of the API, whoever of those that a call passes has made it.
pub async fn in_our_form(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (head, body) = response.into_parts();
    let text = to_bytes(body, LONGEST).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let sentence = if text.is_empty() {
        status
            .canonical_reason()
            .unwrap_or("it failed")
            .to_lowercase()
    } else {
        text
    };
    let mut response = ApiError::new(status, sentence).into_response();
    if let Some(allow) = head.headers.get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}
