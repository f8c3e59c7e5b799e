//! Errors of the admin API: a status and `{"error": "sentence"}`.

use axum::Json;
use axum::http::{StatusCode, header};
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
}

/// What became of a call, left in its response for the audit log.
#[derive(Debug, Clone)]
pub struct Outcome(pub String);

/// The body of every error.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// What is wrong and what to do.
    pub error: String,
}

impl ApiError {
    /// An error of this status.
    pub fn new(status: StatusCode, sentence: impl Into<String>) -> ApiError {
        ApiError { status, sentence: sentence.into() }
    }

    /// 400
    pub fn bad_request(sentence: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, sentence)
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
        let outcome = Outcome(self.sentence.clone());
        let mut response = (self.status, Json(ErrorBody { error: self.sentence })).into_response();
        response.extensions_mut().insert(outcome);
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2: a 401 says how to authenticate.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}
