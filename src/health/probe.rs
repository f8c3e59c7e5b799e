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
mod observation;
pub mod reasons;
mod shortage;
pub mod supervisor;
mod tls;
mod verifier;

use std::net::SocketAddr;
use std::path::PathBuf;

use observation::Stopwatch;
pub use observation::{Observation, ProbePhases};
pub use shortage::{Shortage, ShortageKind};
pub use tls::{AlpnProtocol, CheckAuthorities, ClientIdentity, IdentityError, TrustStore};

use self::shortage::ProbeError;
use super::check::{CheckTls, ProbeKind, ProbeTarget};

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

#[cfg(test)]
mod tests;
