//! What every call that changes something passes: the gate, the limit of their rate, and the audit log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Extension, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::{ApiError, Outcome};
use super::listener::Peer;
use super::token::Gate;
use crate::control::Control;
use crate::control::log_queue::client_text;
use crate::control::worker::Workers;

/// Calls a second in the long run, and at once. A thousand leases can be renewed every ten seconds.
const RATE: f64 = 100.0;
const BURST: f64 = 1000.0;
/// Refused calls that the log is told of, a second and at once.
const REFUSED_RATE: f64 = 1.0;
const REFUSED_BURST: f64 = 20.0;

/// Most calls that wait for the token file.
const MOST_READS: usize = 64;

/// The gate and the limits.
pub struct Guard {
    gate: Arc<Gate>,
    /// Reads the token file.
    reader: Workers,
    control: Arc<Control>,
    admitted: Bucket,
    refused: Bucket,
}

/// Who says that he changes something, and why: left in the response for the audit log.
#[derive(Debug, Clone)]
pub struct Author {
    /// Name.
    pub by: String,
    /// May be empty.
    pub reason: String,
}

impl Guard {
    /// Everything full.
    ///
    /// # Errors
    /// A sentence: the system makes no more threads.
    pub fn new(gate: Gate, control: Arc<Control>) -> Result<Guard, String> {
        let (admitted, refused) = (Bucket::new(RATE, BURST), Bucket::new(REFUSED_RATE, REFUSED_BURST));
        let reader = Workers::start("token", 1, MOST_READS)?;
        Ok(Guard { gate: Arc::new(gate), reader, control, admitted, refused })
    }
}

/// Lets a call that changes something through the gate, if there are not too many, and tells the audit log.
pub async fn admit(
    State(guard): State<Arc<Guard>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let call = format!("{} {}", request.method(), request.uri().path());
    let mut line = Line { call, peer, outcome: None, told: true };
    let authorization = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec());
    let gate = guard.gate.clone();
    // The token file is read here.
    let admitted = guard.reader.run(move || gate.admit(authorization.as_deref())).await;
    let admitted = admitted.map_err(ApiError::from).and_then(|admitted| admitted);
    if let Err(refusal) = admitted {
        // Whoever may do nothing here must not fill the log either.
        line.told = guard.refused.take();
        return line.end(refusal.into_response());
    }
    if !guard.admitted.take() {
        let sentence = format!("more than {RATE} changes a second; wait a little");
        return line.end(ApiError::new(StatusCode::TOO_MANY_REQUESTS, sentence).into_response());
    }
    if guard.control.is_closed() {
        let sentence = "another server takes over from this one; say it again in a moment, to that one";
        return line.end(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence).into_response());
    }
    let response = next.run(request).await;
    line.end(response)
}

/// One line of the audit log. It is written even if the call is given up on: what was begun may still be done.
struct Line {
    call: String,
    peer: String,
    outcome: Option<(u16, String, Author)>,
    told: bool,
}

impl Line {
    fn end(mut self, response: Response) -> Response {
        let extensions = response.extensions();
        let sentence = extensions.get::<Outcome>().map_or(String::new(), |outcome| outcome.0.clone());
        let nobody = || Author { by: String::new(), reason: String::new() };
        let author = extensions.get::<Author>().cloned().unwrap_or_else(nobody);
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
        match &self.outcome {
            Some((status, outcome, Author { by, reason })) => {
                let (by, reason, outcome) = (client_text(by), client_text(reason), client_text(outcome));
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
        Bucket { rate, burst, left: Mutex::new((burst, Instant::now())) }
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let bucket = Bucket::new(10.0, 5.0);
        let start = Instant::now();
        let taken = |after: u64| (0..100).filter(|_| bucket.take_at(start + Duration::from_millis(after))).count();
        assert_eq!([taken(0), taken(0), taken(250), taken(60_000)], [5, 0, 2, 5]);
    }
}
