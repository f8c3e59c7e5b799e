//! Probes: one exchange with one endpoint, over real sockets, that ends within the timeout whatever the endpoint does.

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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use shortage::{Shortage, ShortageKind};
pub use tls::{AlpnProtocol, CheckAuthorities, ClientIdentity, IdentityError, TrustStore};

use self::shortage::ProbeError;
use super::check::{CheckTls, ProbeKind, ProbeTarget};
use super::verdict::ProbeResult;

/// What became of one probe.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeAttempt {
    /// It was made, and this is what it found.
    Made(Observation),
    /// Something was missing on our side, so that nothing is known about the endpoint.
    NotMade(Shortage),
}

impl From<Observation> for ProbeAttempt {
    fn from(observation: Observation) -> ProbeAttempt {
        ProbeAttempt::Made(observation)
    }
}

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Good or not.
    pub outcome: ProbeResult,
    /// Why it is not good: a sentence. `None` for a pass.
    pub reason: Option<String>,
    /// The part of its capacity that the endpoint says it uses; 1.0 is full, and more can be said.
    pub load: Option<f64>,
    /// How long what took.
    pub phases: ProbePhases,
    /// Days until the leaf certificate expires; negative: so many days ago.
    pub certificate_expires_in: Option<i64>,
}

/// From the start of the probe until each phase was over; `None`: it was not, or there is no such phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbePhases {
    /// The connection stands.
    pub connect: Option<Duration>,
    /// The host itself said that nothing is there: it is up, and so is the network between.
    #[serde(default)]
    pub refused: Option<Duration>,
    /// The TLS handshake is done.
    pub tls: Option<Duration>,
    /// The first octets of the answer (the head of an HTTP answer) are here.
    pub first_byte: Option<Duration>,
    /// The body of an HTTP answer has been read, as far as it is.
    pub body: Option<Duration>,
    /// Everything is over.
    pub total: Duration,
}

impl Observation {
    /// Good.
    pub fn pass() -> Observation {
        let phases = ProbePhases::default();
        Observation {
            outcome: ProbeResult::Pass,
            reason: None,
            load: None,
            phases,
            certificate_expires_in: None,
        }
    }

    /// Bad, and why.
    pub fn fail(reason: impl Into<String>) -> Observation {
        Observation {
            outcome: ProbeResult::Fail,
            reason: Some(reason.into()),
            ..Observation::pass()
        }
    }

    /// Whether the endpoint was heard from at all: one that takes a connection and then says something bad is there,
    /// and so is the network between. The same goes for one that refuses the connection itself.
    pub fn reached(&self) -> bool {
        self.outcome != ProbeResult::Fail
            || self.phases.connect.is_some()
            || self.phases.refused.is_some()
    }

    /// Serving, with something wrong.
    pub fn warn(reason: impl Into<String>) -> Observation {
        Observation {
            outcome: ProbeResult::Warn,
            reason: Some(reason.into()),
            ..Observation::pass()
        }
    }
}

/// What probes share: the roots of trust, and who supervises programs.
#[derive(Debug, Clone)]
pub struct Prober {
    trust: TrustStore,
    supervisor: PathBuf,
}

impl Prober {
    /// By these roots certificates are verified, unless a check has its own.
    pub fn new(trust: TrustStore) -> Prober {
        // This program, also where its file was replaced meanwhile.
        Prober {
            trust,
            supervisor: PathBuf::from("/proc/self/exe"),
        }
    }

    /// Programs are run under this one instead of the one that runs: it calls [`supervisor::run_if_called`] first of all.
    pub fn supervised_by(self, supervisor: PathBuf) -> Prober {
        Prober { supervisor, ..self }
    }

    /// One probe; over within the check's timeout.
    pub async fn probe(&self, target: &ProbeTarget) -> ProbeAttempt {
        let stopwatch = Stopwatch::start();
        let timeout = target.check.rules.timeout;
        let observation =
            match tokio::time::timeout(timeout, self.exchange(target, &stopwatch)).await {
                Ok(Ok(observation)) => observation,
                Ok(Err(ProbeError::Endpoint(reason))) => Observation::fail(reason),
                Ok(Err(ProbeError::Own(shortage))) => return ProbeAttempt::NotMade(shortage),
                Err(_) => Observation::fail(stopwatch.what_hung(timeout)),
            };
        ProbeAttempt::Made(Observation {
            phases: stopwatch.stop(),
            ..observation
        })
    }

    async fn exchange(
        &self,
        target: &ProbeTarget,
        stopwatch: &Stopwatch,
    ) -> Result<Observation, ProbeError> {
        let address = target.address;
        match &target.check.probe {
            ProbeKind::Http(check) => http::probe(&self.trust, address, check, stopwatch).await,
            ProbeKind::Tcp => self.shake_hands(address, None, stopwatch).await,
            ProbeKind::Tls(check) => self.shake_hands(address, Some(check), stopwatch).await,
            ProbeKind::Grpc(check) => grpc::probe(&self.trust, address, check, stopwatch).await,
            ProbeKind::Dns(check) => dns::probe(address, check, stopwatch).await,
            ProbeKind::Exec(check) => exec::probe(&self.supervisor, address, check).await,
        }
    }

    /// A connection, perhaps with TLS, and no more.
    async fn shake_hands(
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

/// Notes when phases are over, also from inside a connector.
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
        self.note(|phases, now| phases.connect = Some(now));
    }

    /// Notes that the host itself refused, if that is what the error says: it answered with a reset, or said that the
    /// port is unreachable (ICMP type 3 code 3, ICMPv6 type 1 code 4). That a host or network is unreachable is said by
    /// routers or by this machine, so it proves nothing.
    fn failed(&self, error: &std::io::Error) {
        if matches!(
            error.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
        ) {
            self.note(|phases, now| phases.refused = Some(now));
        }
    }

    fn shaken_hands(&self) {
        self.note(|phases, now| phases.tls = Some(now));
    }

    fn answered(&self) {
        self.note(|phases, now| phases.first_byte = Some(now));
    }

    fn read_whole(&self) {
        self.note(|phases, now| phases.body = Some(now));
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn stop(&self) -> ProbePhases {
        self.note(|phases, now| phases.total = now);
        *self.phases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn what_hung(&self, timeout: Duration) -> String {
        let phases = *self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let what = match (phases.connect, phases.first_byte) {
            (_, Some(_)) => "the answer had begun but did not end",
            (Some(_), None) => "it accepted the connection but did not answer",
            (None, None) => "there was no answer",
        };
        format!("{what} within {timeout:?}")
    }

    fn note(&self, set: impl FnOnce(&mut ProbePhases, Duration)) {
        let now = self.start.elapsed();
        set(
            &mut self.phases.lock().unwrap_or_else(PoisonError::into_inner),
            now,
        );
    }
}

#[cfg(test)]
mod tests;
