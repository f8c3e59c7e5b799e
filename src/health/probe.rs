//! Probes: one exchange with one endpoint over real sockets.
//!
//! [`Prober::probe`] makes the probe that a target's check describes and always ends within the
//! check's timeout. The result is either an [`Observation`] about the endpoint, or a [`Shortage`]
//! if this machine lacked a resource for the probe. Each kind of probe has a module of its own.
//! `tls` and `verifier` decide which certificates to accept, and [`reasons`] turns TLS errors
//! into sentences.

mod bounded;
pub mod certificate;
mod connection;
mod dns;
mod exec;
mod expect;
mod grpc;
mod http;
mod load;
pub mod reasons;
mod shortage;
pub mod supervisor;
mod tls;
mod verifier;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use shortage::{Shortage, ShortageKind};
pub use tls::{AlpnProtocol, CheckAuthorities, ClientIdentity, IdentityError, TrustStore};

use self::shortage::ProbeError;
use super::check::{CheckTls, ProbeKind, ProbeTarget};
use super::machine::ProbeResult;

/// The outcome of an attempt to probe an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeAttempt {
    /// The probe was made.
    Made(Observation),
    /// This machine lacked a resource, so nothing is known about the endpoint.
    NotMade(Shortage),
}

impl From<Observation> for ProbeAttempt {
    fn from(observation: Observation) -> ProbeAttempt {
        ProbeAttempt::Made(observation)
    }
}

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

/// Makes probes. Holds what they share: the trusted root certificates and the program supervisor.
#[derive(Debug, Clone)]
pub struct Prober {
    trust: TrustStore,
    supervisor: PathBuf,
}

impl Prober {
    /// Verifies certificates against these roots, unless a check has its own authorities.
    pub fn new(trust: TrustStore) -> Prober {
        Prober {
            trust,
            // The running program, even if its file has been replaced.
            supervisor: PathBuf::from("/proc/self/exe"),
        }
    }

    /// Uses another program as the supervisor of exec checks. It must call
    /// [`supervisor::run_if_called`] first.
    pub fn with_supervisor(self, supervisor: PathBuf) -> Prober {
        Prober { supervisor, ..self }
    }

    /// Makes one probe. It ends within the check's timeout.
    pub async fn probe(&self, target: &ProbeTarget) -> ProbeAttempt {
        let stopwatch = Stopwatch::start();
        let timeout = target.check.rules.timeout;
        let exchange = self.exchange(target, &stopwatch);
        let mut observation = match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(observation)) => observation,
            Ok(Err(ProbeError::Endpoint(reason))) => Observation::fail(reason),
            Ok(Err(ProbeError::Local(shortage))) => return ProbeAttempt::NotMade(shortage),
            Err(_) => Observation::fail(stopwatch.describe_timeout(timeout)),
        };
        observation.phases = stopwatch.stop();
        ProbeAttempt::Made(observation)
    }

    async fn exchange(
        &self,
        target: &ProbeTarget,
        stopwatch: &Stopwatch,
    ) -> Result<Observation, ProbeError> {
        let address = target.address;
        match &target.check.probe {
            ProbeKind::Http(check) => http::probe(&self.trust, address, check, stopwatch).await,
            ProbeKind::Tcp => self.probe_connection(address, None, stopwatch).await,
            ProbeKind::Tls(tls) => self.probe_connection(address, Some(tls), stopwatch).await,
            ProbeKind::Grpc(check) => grpc::probe(&self.trust, address, check, stopwatch).await,
            ProbeKind::Dns(check) => dns::probe(address, check, stopwatch).await,
            ProbeKind::Exec(check) => exec::probe(&self.supervisor, address, check).await,
        }
    }

    /// Only connects, with or without TLS.
    async fn probe_connection(
        &self,
        address: SocketAddr,
        tls: Option<&CheckTls>,
        stopwatch: &Stopwatch,
    ) -> Result<Observation, ProbeError> {
        let open =
            connection::open(&self.trust, address, tls, AlpnProtocol::Any, stopwatch).await?;
        Ok(Observation {
            certificate_expires_in: open.certificate_days,
            ..Observation::pass()
        })
    }
}

/// Records when each phase of a probe ends. Clones record into the same probe.
#[derive(Debug, Clone)]
struct Stopwatch {
    start: Instant,
    phases: Arc<Mutex<ProbePhases>>,
}

impl Stopwatch {
    fn start() -> Stopwatch {
        Stopwatch {
            start: Instant::now(),
            phases: Arc::default(),
        }
    }

    fn connected(&self) {
        self.phases().connect = Some(self.elapsed());
    }

    /// Records a refusal if the error came from the host itself: a reset, or "port unreachable"
    /// (ICMP type 3 code 3, ICMPv6 type 1 code 4). Routers and this machine report unreachable
    /// hosts and networks, so those errors prove nothing.
    fn failed(&self, error: &std::io::Error) {
        let kind = error.kind();
        if kind == ErrorKind::ConnectionRefused || kind == ErrorKind::ConnectionReset {
            self.phases().refused = Some(self.elapsed());
        }
    }

    fn handshake_done(&self) {
        self.phases().tls = Some(self.elapsed());
    }

    fn answered(&self) {
        self.phases().first_byte = Some(self.elapsed());
    }

    fn body_read(&self) {
        self.phases().body = Some(self.elapsed());
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn stop(&self) -> ProbePhases {
        let mut phases = self.phases();
        phases.total = self.elapsed();
        *phases
    }

    /// The reason for a timeout, by the last phase that ended.
    fn describe_timeout(&self, timeout: Duration) -> String {
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

#[cfg(test)]
mod tests;
