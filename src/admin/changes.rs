//! What every call that changes something passes: the gate, the limit of their rate, and the audit log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::error::{ApiError, AuditNote};
use super::listener::AdminPeer;
use super::refusals::RefusalLog;
use super::token::TokenGate;
use crate::control::Control;
use crate::log_queue::client_text;
use crate::server::connections::ConnectionPermit;

/// Calls a second in the long run, and at once. A thousand leases can be renewed every ten seconds.
const RATE: f64 = 100.0;
const BURST: f64 = 1000.0;
/// Most octets of a body.
const BODY: usize = 64 * 1024;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The gate and the limits.
pub struct ChangeGuard {
    gate: TokenGate,
    control: Arc<Control>,
    admitted: Bucket,
    refusals: RefusalLog,
}

/// Who says that he changes something, and why: left in the response for the audit log.
#[derive(Debug, Clone)]
pub struct ChangeAuthor {
    /// Name.
    pub by: String,
    /// May be empty.
    pub reason: String,
}

impl ChangeGuard {
    /// Everything full.
    pub fn new(gate: TokenGate, control: Arc<Control>) -> ChangeGuard {
        ChangeGuard {
            gate,
            control,
            admitted: Bucket::new(RATE, BURST),
            refusals: RefusalLog::default(),
        }
    }
}

/// Lets a call that changes something through the gate, if there are not too many, and tells the audit log. Nothing of its
/// body is read before; from the gate on its connection does not have to leave for another.
pub async fn admit(
    State(guard): State<Arc<ChangeGuard>>,
    Extension(peer): Extension<AdminPeer>,
    request: Request,
    next: Next,
) -> Response {
    let call = format!("{} {}", request.method(), request.uri().path());
    let mut line = Line {
        call,
        peer: peer.name,
        outcome: None,
        told: true,
        untold: 0,
    };
    let authorization = request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes().to_vec());
    if let Err(refusal) = guard.gate.admit(authorization.as_deref()).await {
        let untold = guard.refusals.tell(peer.address, Instant::now());
        (line.told, line.untold) = (untold.is_some(), untold.unwrap_or(0));
        return line.end(refusal.into_response());
    }
    if let Some(seat) = request.extensions().get::<Arc<ConnectionPermit>>() {
        seat.hold();
    }
    if !guard.admitted.take() {
        let sentence = format!("more than {RATE} changes a second; wait a little");
        return line.end(ApiError::new(StatusCode::TOO_MANY_REQUESTS, sentence).into_response());
    }
    if guard.control.is_closed() {
        let sentence =
            "another server takes over from this one; say it again in a moment, to that one";
        return line.end(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence).into_response());
    }
    let response = match with_body(request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    line.end(response)
}

/// The request with its body, read within its time.
async fn with_body(request: Request) -> Result<Request, ApiError> {
    let too_long = || {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is longer than {BODY} octets"),
        )
    };
    let late = |_| {
        let sentence = format!(
            "the body did not come within {} seconds",
            BODY_TIME.as_secs()
        );
        ApiError::new(StatusCode::REQUEST_TIMEOUT, sentence)
    };
    let stated = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if stated.is_some_and(|stated: u64| stated > BODY as u64) {
        return Err(too_long());
    }
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY).collect())
        .await
        .map_err(late)?;
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => too_long(),
        None => ApiError::bad_request("the body is cut off"),
    })?;
    Ok(Request::from_parts(head, Body::from(body.to_bytes())))
}

/// One line of the audit log. It is written even if the call is given up on: what was begun may still be done.
struct Line {
    call: String,
    peer: String,
    outcome: Option<(u16, String, ChangeAuthor)>,
    told: bool,
    /// Refused calls of the same address since its last line.
    untold: u64,
}

impl Line {
    fn end(mut self, response: Response) -> Response {
        let extensions = response.extensions();
        let sentence = extensions
            .get::<AuditNote>()
            .map_or(String::new(), |outcome| outcome.0.clone());
        let nobody = || ChangeAuthor {
            by: String::new(),
            reason: String::new(),
        };
        let author = extensions
            .get::<ChangeAuthor>()
            .cloned()
            .unwrap_or_else(nobody);
        self.outcome = Some((response.status().as_u16(), sentence, author));
        response
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.told {
            return;
        }
        let (call, peer) = (client_text(&self.call), &self.peer);
        if self.untold > 0 {
            let untold = self.untold;
            tracing::info!(target: "audit", peer, untold, "audit: {untold} more refused calls of {peer} are not listed");
        }
        match &self.outcome {
            Some((status, outcome, ChangeAuthor { by, reason })) => {
                let (by, reason, outcome) =
                    (client_text(by), client_text(reason), client_text(outcome));
                let (call, by, reason, outcome) = (&*call, &*by, &*reason, &*outcome);
                tracing::info!(target: "audit", call, peer, by, reason, status, outcome, "audit: {call} by {by:?}, {peer}");
            }
            None => {
                let call = &*call;
                tracing::info!(target: "audit", call, peer, "audit: {call} by {peer}: given up on, may still be done");
            }
        }
    }
}

/// So many a second in the long run, and so many at once.
struct Bucket {
    rate: f64,
    burst: f64,
    left: Mutex<(f64, Instant)>,
}

impl Bucket {
    fn new(rate: f64, burst: f64) -> Bucket {
        Bucket {
            rate,
            burst,
            left: Mutex::new((burst, Instant::now())),
        }
    }

    fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.saturating_duration_since(left.1).as_secs_f64() * self.rate;
        *left = ((left.0 + gained).min(self.burst), now);
        let enough = left.0 >= 1.0;
        left.0 -= if enough { 1.0 } else { 0.0 };
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let bucket = Bucket::new(10.0, 5.0);
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
