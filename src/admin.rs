//! The admin API: where operators look and act. HTTP/1.1 on a thread of its own, so that nobody who asks here can hold
//! up an answer.
//!
//! That thread never blocks, so a sign of life is answered by it at once. What takes longer is done elsewhere: what is
//! looked up on the threads of `reads`, orders and reloads on those of [`Control`]. A call passes, in this order, its
//! place (`listener`), the Host (`visitor`), its time and its share (`routes`), and, if it changes something, the
//! token and the limits of `changes`; only then is its body read.

mod bodies;
mod changes;
mod check_facts;
mod demands;
mod encrypted;
mod error;
mod forms;
mod headline;
mod health;
mod listener;
mod metrics;
mod openapi;
mod own_words;
mod page;
mod patient;
mod per_address;
mod reads;
mod refusals;
mod routes;
mod rules;
mod selection;
mod shares;
mod status;
mod stream;
mod token;
mod visitor;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::config;
use crate::control::Control;
use crate::server::{ListenAddresses, PassedSockets, ServerStats};

pub use bodies::{
    DrainRequest, EndpointDrainRequest, ForceRequest, ForcedState, ReturnRequest, ShiftRequest,
    TakeBackRequest, WeightRequest,
};
pub use check_facts::CheckFacts;
pub use demands::ChangeDone;
pub use error::ErrorBody;
pub use forms::{OrderTime, PlainText, read_bias, read_weight};
pub use health::{EndpointHealth, ProbeTimes, RegionHealth};
pub use page::WORLD;
pub use rules::{EndpointRules, RegionRules, ServiceRules};
pub use status::{LastReload, ReloadBody, ReloadStatus, ServerStatus, ServiceStatus, ZoneStatus};

use listener::BoundListener;
use token::TokenGate;

/// What the calls are about.
pub struct AdminContext {
    /// What is served, and how it is replaced.
    pub control: Arc<Control>,
    /// What became of the queries.
    pub tallies: Arc<ServerStats>,
    /// Addresses that answer DNS.
    pub addresses: ListenAddresses,
    /// When the server was started.
    pub started: Instant,
}

/// A running admin server; dropping it stops it.
pub struct AdminServer {
    bound: BoundListener,
    socket: io::Result<OwnedFd>,
    /// Ends the thread when it is dropped.
    running: Option<oneshot::Sender<()>>,
}

impl AdminServer {
    /// Opens the listen address, or takes the socket that was passed, and serves it from a thread of its own.
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
        let failed = |error: io::Error| format!("cannot start the admin server: {error}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let tls = admin.tls.as_ref().map(|_| encrypted::acceptor(identity));
        let (bound, socket) =
            runtime.block_on(listener::start(&admin.listen, tls, router, passed))?;
        let (running, ended) = oneshot::channel();
        let serve = move || {
            let _ = runtime.block_on(ended);
        };
        std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(serve)
            .map_err(failed)?;
        Ok(AdminServer {
            bound,
            socket,
            running: Some(running),
        })
    }

    /// The socket that it listens on, to be passed on.
    ///
    /// # Errors
    /// The system had no descriptor left for it.
    pub fn socket(&self) -> io::Result<OwnedFd> {
        let refused = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        self.socket.as_ref().map_err(refused)?.try_clone()
    }

    /// Ends it without a trace in the file system: another process serves the same socket.
    pub fn leave(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        // Nobody waits for the thread.
        self.running = None;
    }

    /// Where it listens, as the ready line says it: `127.0.0.1:8053`, `https://127.0.0.1:8053` or
    /// `unix:/run/meridian/admin.sock`.
    pub fn address(&self) -> String {
        self.bound.to_string()
    }
}

/// Everything behind the listener, for somebody who came by the unix socket.
///
/// # Errors
/// A sentence: the system makes no more threads.
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
