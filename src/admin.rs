//! The admin API: HTTP/1.1 for operators and their programs.
//!
//! The API runs on a thread of its own, so no admin call can delay a DNS answer. That thread never
//! blocks, so `/healthz` always answers at once. Slow work happens elsewhere: the threads of
//! `read_threads` look things up, and `Control` carries out overrides and reloads.
//!
//! A call passes, in this order, the connection limit (`listener`), the Host check (`host_check`)
//! and the limits on time and on calls per address (`routes`). A call that changes state also
//! passes the token and the rate limit of `changes`. Only then is its body read.

mod announcement;
mod bodies;
mod changes;
mod check_facts;
mod context;
mod error;
mod explained;
mod fleet_orders;
mod fleet_status;
mod forms;
mod headline;
mod health;
mod host_check;
mod http_refusals;
mod listener;
mod metrics;
mod openapi;
mod overrides;
mod page;
mod per_address;
mod query;
mod read_threads;
mod refusal_log;
mod releases;
mod routes;
mod rules;
mod selection;
mod shares;
mod stall_guard;
mod status;
mod stream;
mod tls;
mod token;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::config;
use crate::server::PassedSockets;

pub use crate::control::releases::{ReleasesReport, ServerRelease};
pub use announcement::{AnnouncementAnswer, AnnouncementRequest, FleetStanding};
pub use bodies::{
    DrainRequest, EndpointDrainRequest, ForceRequest, ForcedState, ReturnRequest, ShiftRequest,
    TakeBackRequest, WeightRequest,
};
pub use check_facts::CheckFacts;
pub use context::AdminContext;
pub use error::ErrorBody;
pub use fleet_orders::{PastOrder, PastOrders, RestoreRequest};
pub use fleet_status::{
    ClockDifference, FleetOrderStatus, FleetRates, FleetServerStatus, FleetStatus,
};
pub use forms::{OrderTime, PlainText, read_bias, read_weight};
pub use health::{EndpointHealth, ProbeTimes, REGION_STATES, RegionHealth, ServiceStatus};
pub use overrides::ChangeDone;
pub use page::WORLD;
pub use releases::{PieceRequest, ReleaseDone, ReleaseRequest};
pub use rules::{EndpointRules, RegionRules, ServiceRules};
pub use status::{LastReload, ReloadBody, ReloadStatus, ServerStatus, SignedStatus, ZoneStatus};

use listener::BoundListener;
use token::TokenGate;

/// A running admin server; dropping it stops it.
pub struct AdminServer {
    bound: BoundListener,
    socket: io::Result<OwnedFd>,
    /// Dropping it ends the thread.
    running: Option<oneshot::Sender<()>>,
}

impl AdminServer {
    /// Opens the listen address, or takes the passed socket, and serves it from a thread of its
    /// own.
    ///
    /// # Errors
    /// A sentence: the address cannot be bound, or the token file cannot be used.
    pub fn start(
        admin: &config::AdminConfig,
        context: AdminContext,
        passed: &mut PassedSockets,
    ) -> Result<AdminServer, String> {
        let gate = TokenGate::of(admin)?;
        let identity = context.control.identity().admin;
        let router = routes::router(Arc::new(context), gate, &admin.hosts)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(cannot_start)?;
        let acceptor = admin.tls.as_ref().map(|_| tls::acceptor(identity));
        let (bound, socket) =
            runtime.block_on(listener::start(&admin.listen, acceptor, router, passed))?;
        let (running, stopped) = oneshot::channel();
        std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                // Returns as soon as `running` is dropped.
                let _ = runtime.block_on(stopped);
            })
            .map_err(cannot_start)?;
        Ok(AdminServer {
            bound,
            socket,
            running: Some(running),
        })
    }

    /// The listening socket, for another process to take over.
    ///
    /// # Errors
    /// The system had no descriptor left for it.
    pub fn socket(&self) -> io::Result<OwnedFd> {
        match &self.socket {
            Ok(socket) => socket.try_clone(),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// Stops serving but leaves the socket file, which another process serves now.
    pub fn leave(mut self) {
        self.stop();
    }

    /// Ends the thread, without waiting for it.
    fn stop(&mut self) {
        self.running = None;
    }

    /// Where it listens, as the ready line says it: `127.0.0.1:8053`, `https://127.0.0.1:8053` or
    /// `unix:/run/meridian/admin.sock`.
    pub fn address(&self) -> String {
        self.bound.to_string()
    }
}

fn cannot_start(error: io::Error) -> String {
    format!("cannot start the admin server: {error}")
}

/// The whole API without a listener, for a caller that is trusted like one on the unix socket.
///
/// # Errors
/// A sentence: the system has no more threads.
pub(crate) fn router(context: AdminContext, peer: &str) -> Result<axum::Router, String> {
    let router = routes::router(Arc::new(context), TokenGate::Socket, &[])?;
    Ok(router.layer(axum::Extension(listener::AdminPeer {
        name: peer.to_owned(),
        author: peer.to_owned(),
        address: None,
    })))
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.bound.remove();
        }
        self.stop();
    }
}

#[cfg(test)]
mod tests;
