//! The gate for calls that change state: token, rate limit, body limit and audit log.
//!
//! [`admit`] wraps every such call as middleware. It checks the token first and reads the body
//! last, so an unauthorised caller costs little. Each call leaves one line in the audit log, even
//! if its client disconnects while the call runs. Handlers put a [`ChangeAuthor`] and an
//! [`AuditNote`] into the response for that line.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::error::{ApiError, AuditNote};
use super::listener::AdminPeer;
use super::refusal_log::RefusalLog;
use super::token::TokenGate;
use crate::control::Control;
use crate::log_queue::client_text;
use crate::server::connections::ConnectionPermit;

/// Calls a second in the long run. A thousand leases can be renewed every ten seconds.
const RATE: f64 = 100.0;
/// Calls that are admitted at once after a quiet time.
const BURST: f64 = 1000.0;
/// Longest body, in octets.
const BODY: usize = 64 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The state of [`admit`]: the token, the rate limit and the log of refusals.
pub struct ChangeGuard {
    gate: TokenGate,
    control: Arc<Control>,
    admitted: TokenBucket,
    refusals: RefusalLog,
}

/// The author of a change and the reason. Handlers put it into the response for the audit log.
#[derive(Debug, Clone, Default)]
pub struct ChangeAuthor {
    /// The author's name.
    pub by: String,
    /// May be empty.
    pub reason: String,
}

/// Stands in the response of a call that is repeated all the time and has changed nothing: it leaves
/// no line in the audit log.
#[derive(Debug, Clone, Copy)]
pub struct RoutineCall;

impl ChangeGuard {
    /// A guard that admits a full burst at first.
    pub fn new(gate: TokenGate, control: Arc<Control>) -> ChangeGuard {
        ChangeGuard {
            gate,
            control,
            admitted: TokenBucket::new(RATE, BURST),
            refusals: RefusalLog::default(),
        }
    }
}

/// Admits a call that changes state if its token is right and the rate allows it, and writes it to
/// the audit log. Once admitted, its connection keeps its place until the call ends.
pub async fn admit(
    State(guard): State<Arc<ChangeGuard>>,
    Extension(peer): Extension<AdminPeer>,
    request: Request,
    next: Next,
) -> Response {
    let mut line = AuditLine {
        call: format!("{} {}", request.method(), request.uri().path()),
        peer: peer.name,
        result: None,
        listed: true,
        unlisted: 0,
    };
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    let authorization = authorization.as_ref().map(|value| value.as_bytes());
    if let Err(refusal) = guard.gate.admit(authorization).await {
        match guard.refusals.note(peer.address, Instant::now()) {
            Some(unlisted) => line.unlisted = unlisted,
            None => line.listed = false,
        }
        return line.end(refusal.into_response());
    }
    if let Some(permit) = request.extensions().get::<Arc<ConnectionPermit>>() {
        permit.hold();
    }
    if !guard.admitted.take() {
        let sentence = format!("more than {RATE} changes a second; wait a little");
        return line.end(ApiError::new(StatusCode::TOO_MANY_REQUESTS, sentence).into_response());
    }
    if guard.control.is_closed() {
        let sentence = "another server is taking over; repeat the call in a moment, and that server will answer it";
        return line.end(ApiError::unavailable(sentence).into_response());
    }
    let response = match with_body(request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    line.end(response)
}

/// The request with its whole body, read within the limits of size and time.
async fn with_body(request: Request) -> Result<Request, ApiError> {
    if content_length(request.headers()).is_some_and(|stated| stated > BODY as u64) {
        return Err(too_long());
    }
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY).collect();
    let Ok(body) = tokio::time::timeout(BODY_TIME, body).await else {
        let sentence = format!(
            "the body did not arrive within {} seconds",
            BODY_TIME.as_secs()
        );
        return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, sentence));
    };
    match body {
        Ok(body) => Ok(Request::from_parts(head, Body::from(body.to_bytes()))),
        Err(error) if error.is::<LengthLimitError>() => Err(too_long()),
        Err(_) => Err(ApiError::bad_request("the body is incomplete")),
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

fn too_long() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is longer than {BODY} octets"),
    )
}

/// One line of the audit log. It is written when this is dropped, so a call whose client leaves is
/// also logged, because its change may still be made.
struct AuditLine {
    call: String,
    peer: String,
    result: Option<AuditResult>,
    /// Whether the line is written at all.
    listed: bool,
    /// Refused calls of the same address since its last line.
    unlisted: u64,
}

/// How a call ended.
struct AuditResult {
    status: u16,
    sentence: String,
    author: ChangeAuthor,
}

impl AuditLine {
    fn end(mut self, response: Response) -> Response {
        let extensions = response.extensions();
        let note = extensions.get::<AuditNote>().cloned();
        let author = extensions.get::<ChangeAuthor>().cloned();
        self.listed &= extensions.get::<RoutineCall>().is_none();
        self.result = Some(AuditResult {
            status: response.status().as_u16(),
            sentence: note.unwrap_or_default().0,
            author: author.unwrap_or_default(),
        });
        response
    }
}

impl Drop for AuditLine {
    fn drop(&mut self) {
        if !self.listed {
            return;
        }
        let (call, peer) = (&*client_text(&self.call), &self.peer);
        if self.unlisted > 0 {
            let unlisted = self.unlisted;
            tracing::info!(
                target: "audit", peer, unlisted,
                "audit: {unlisted} more refused calls of {peer} are not listed"
            );
        }
        let Some(result) = &self.result else {
            tracing::info!(
                target: "audit", call, peer,
                "audit: {call} by {peer}: the client left; the change may still be made"
            );
            return;
        };
        let status = result.status;
        let by = &*client_text(&result.author.by);
        let reason = &*client_text(&result.author.reason);
        let outcome = &*client_text(&result.sentence);
        tracing::info!(
            target: "audit", call, peer, by, reason, status, outcome,
            "audit: {call} by {by:?}, {peer}"
        );
    }
}

/// A rate limit that allows a burst (a token bucket).
struct TokenBucket {
    rate: f64,
    burst: f64,
    level: Mutex<BucketLevel>,
}

/// How many calls a bucket held at a moment.
struct BucketLevel {
    left: f64,
    at: Instant,
}

impl TokenBucket {
    fn new(rate: f64, burst: f64) -> TokenBucket {
        let level = BucketLevel {
            left: burst,
            at: Instant::now(),
        };
        TokenBucket {
            rate,
            burst,
            level: Mutex::new(level),
        }
    }

    fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.saturating_duration_since(level.at).as_secs_f64() * self.rate;
        level.left = (level.left + gained).min(self.burst);
        level.at = now;
        if level.left < 1.0 {
            return false;
        }
        level.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let bucket = TokenBucket::new(10.0, 5.0);
        let start = Instant::now();
        let taken = |after: u64| {
            (0..100)
                .filter(|_| bucket.take_at(start + Duration::from_millis(after)))
                .count()
        };
        assert_eq!(
            [taken(0), taken(0), taken(250), taken(60_000)],
            [5, 0, 2, 5]
        );
    }
}
