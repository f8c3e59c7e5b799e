//! Probes: one exchange with one endpoint, over real sockets, that ends within the timeout whatever the endpoint does.

mod certificate;
mod dns;
mod exec;
mod expect;
mod grpc;
mod http;
mod load;
mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::Instant;

pub use tls::Trust;

use super::check::{Probe, Target};
use super::verdict::Outcome;

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Good or not.
    pub outcome: Outcome,
    /// Why it is not good: a sentence. `None` for a pass.
    pub reason: Option<String>,
    /// The part of its capacity that the endpoint says it uses; 1.0 is full, and more can be said.
    pub load: Option<f64>,
    /// How long what took.
    pub phases: Phases,
    /// Days until the leaf certificate expires; negative: so many days ago.
    pub certificate_expires_in: Option<i64>,
}

/// From the start of the probe until each phase was over; `None`: it was not, or there is no such phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// The connection of a tcp or tls check stands; the HTTP client does not tell.
    pub connect: Option<Duration>,
    /// The TLS handshake of a tls check is done.
    pub tls: Option<Duration>,
    /// The first octets of the answer (the head of an HTTP answer) are here.
    pub first_byte: Option<Duration>,
    /// Everything is over.
    pub total: Duration,
}

impl Observation {
    /// Good.
    pub fn pass() -> Observation {
        let phases = Phases::default();
        Observation { outcome: Outcome::Pass, reason: None, load: None, phases, certificate_expires_in: None }
    }

    /// Bad, and why.
    pub fn fail(reason: impl Into<String>) -> Observation {
        Observation { outcome: Outcome::Fail, reason: Some(reason.into()), ..Observation::pass() }
    }

    /// Serving, with something wrong.
    pub fn warn(reason: impl Into<String>) -> Observation {
        Observation { outcome: Outcome::Warn, reason: Some(reason.into()), ..Observation::pass() }
    }
}

/// What probes share: the HTTP client in clear and the roots of trust.
#[derive(Debug, Clone)]
pub struct Prober {
    trust: Trust,
    clear: reqwest::Client,
}

impl Prober {
    /// Fails with a sentence where no HTTP client can be made.
    pub fn new(trust: Trust) -> Result<Prober, String> {
        let clear = http::clear_client(&trust)?;
        Ok(Prober { trust, clear })
    }

    /// One probe; over within the check's timeout.
    pub async fn probe(&self, target: &Target) -> Observation {
        let stopwatch = Stopwatch::start();
        let timeout = target.check.rules.timeout;
        let exchange = tokio::time::timeout(timeout, self.exchange(target, &stopwatch)).await;
        let mut observation = exchange.unwrap_or_else(|_| Observation::fail(stopwatch.what_hung(timeout)));
        observation.phases = stopwatch.stop();
        observation
    }

    async fn exchange(&self, target: &Target, stopwatch: &Stopwatch) -> Observation {
        let address = target.address;
        match &target.check.probe {
            Probe::Http(check) => http::probe(self, address, check, stopwatch).await,
            Probe::Tcp => connect(address, stopwatch).await.map_or_else(Observation::fail, |_| Observation::pass()),
            Probe::Tls(check) => tls::probe(&self.trust, address, check, stopwatch).await,
            Probe::Grpc(check) => grpc::probe(&self.trust, address, check, stopwatch).await,
            Probe::Dns(check) => dns::probe(address, check, stopwatch).await,
            Probe::Exec(check) => exec::probe(address, check).await,
        }
    }
}

/// Connects, or says why not.
async fn connect(address: SocketAddr, stopwatch: &Stopwatch) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("cannot connect to {address}: {error}"))?;
    stopwatch.connected();
    Ok(stream)
}

/// Notes when phases are over, also from inside a connector.
#[derive(Debug, Clone)]
struct Stopwatch {
    start: Instant,
    phases: Arc<Mutex<Phases>>,
}

impl Stopwatch {
    fn start() -> Stopwatch {
        Stopwatch { start: Instant::now(), phases: Arc::default() }
    }

    fn connected(&self) {
        self.note(|phases, now| phases.connect = Some(now));
    }

    fn shaken_hands(&self) {
        self.note(|phases, now| phases.tls = Some(now));
    }

    fn answered(&self) {
        self.note(|phases, now| phases.first_byte = Some(now));
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn stop(&self) -> Phases {
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

    fn note(&self, set: impl FnOnce(&mut Phases, Duration)) {
        let now = self.start.elapsed();
        set(&mut self.phases.lock().unwrap_or_else(PoisonError::into_inner), now);
    }
}

#[cfg(test)]
mod tests;
