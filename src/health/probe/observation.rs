//! The outcome of one probe: the result, the reason, and how long each phase took.
//!
//! A probe records its phases while it runs, so a probe that times out still shows how far it came.
//! The monitor passes the result to the health machine; reason, load and phases are for operators.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::health::machine::ProbeResult;

/// What one probe found.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Whether the endpoint is good.
    pub result: ProbeResult,
    /// Why it is not good, as a sentence. `None` for a pass.
    pub reason: Option<String>,
    /// The endpoint's own load report: 1.0 is full, and higher values are possible.
    pub load: Option<f64>,
    /// How long each phase took.
    pub phases: ProbePhases,
    /// Days until the leaf certificate expires; negative if it has expired.
    pub certificate_expires_in: Option<i64>,
}

/// The time from the start of a probe to the end of each phase. `None` if the probe has no such
/// phase or did not complete it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbePhases {
    /// The connection was established.
    pub connect: Option<Duration>,
    /// The host itself refused the connection, so the host and the network are up.
    #[serde(default)]
    pub refused: Option<Duration>,
    /// The TLS handshake was complete.
    pub tls: Option<Duration>,
    /// The start of the answer arrived: for HTTP, its complete head.
    pub first_byte: Option<Duration>,
    /// The body of an HTTP answer was read, up to its limit.
    pub body: Option<Duration>,
    /// The probe was over.
    pub total: Duration,
}

impl Observation {
    /// A good endpoint.
    pub fn pass() -> Observation {
        Observation {
            result: ProbeResult::Pass,
            reason: None,
            load: None,
            phases: ProbePhases::default(),
            certificate_expires_in: None,
        }
    }

    /// An endpoint that serves although something is wrong.
    pub fn warn(reason: impl Into<String>) -> Observation {
        Observation {
            result: ProbeResult::Warn,
            reason: Some(reason.into()),
            ..Observation::pass()
        }
    }

    /// A bad endpoint.
    pub fn fail(reason: impl Into<String>) -> Observation {
        Observation {
            result: ProbeResult::Fail,
            reason: Some(reason.into()),
            ..Observation::pass()
        }
    }

    /// Whether the endpoint reacted at all, so that the network is known to work. An endpoint that
    /// refuses the connection, or accepts it and then fails, was reached.
    pub fn reached(&self) -> bool {
        self.result != ProbeResult::Fail
            || self.phases.connect.is_some()
            || self.phases.refused.is_some()
    }
}

/// Records when each phase of a probe ends. Clones record into the same probe.
#[derive(Debug, Clone)]
pub(super) struct Stopwatch {
    start: Instant,
    phases: Arc<Mutex<ProbePhases>>,
}

impl Stopwatch {
    pub(super) fn start() -> Stopwatch {
        Stopwatch {
            start: Instant::now(),
            phases: Arc::default(),
        }
    }

    pub(super) fn connected(&self) {
        self.phases().connect = Some(self.elapsed());
    }

    /// Records a refusal if the error came from the host itself: a reset, or "port unreachable"
    /// (ICMP type 3 code 3, ICMPv6 type 1 code 4). Routers and this machine report unreachable
    /// hosts and networks, so those errors prove nothing.
    pub(super) fn failed(&self, error: &std::io::Error) {
        let kind = error.kind();
        if kind == ErrorKind::ConnectionRefused || kind == ErrorKind::ConnectionReset {
            self.phases().refused = Some(self.elapsed());
        }
    }

    pub(super) fn handshake_done(&self) {
        self.phases().tls = Some(self.elapsed());
    }

    pub(super) fn answered(&self) {
        self.phases().first_byte = Some(self.elapsed());
    }

    pub(super) fn body_read(&self) {
        self.phases().body = Some(self.elapsed());
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn stop(&self) -> ProbePhases {
        let mut phases = self.phases();
        phases.total = self.elapsed();
        *phases
    }

    /// The reason for a timeout, by the last phase that ended.
    pub(super) fn describe_timeout(&self, timeout: Duration) -> String {
        let phases = self.phases();
        let what = if phases.first_byte.is_some() {
            "the answer had begun but did not end"
        } else if phases.connect.is_some() {
            "it accepted the connection but did not answer"
        } else {
            "there was no answer"
        };
        format!("{what} within {timeout:?}")
    }

    fn phases(&self) -> MutexGuard<'_, ProbePhases> {
        self.phases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
