//! The sockets: UDP workers, connections over TCP, TLS, HTTPS and QUIC. The only place that has any, and all of them call `answer`.

mod batch;

pub mod udp;

pub mod tcp;

mod framed;

mod conversation;

pub(crate) mod proxy;

pub mod encrypted;

mod seats;

mod limit;

mod socket;

mod inherited;

mod tally;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arc_swap::ArcSwap;

use crate::answer::Snapshot;
use crate::config;
use encrypted::{Https, Identity, Quic, Tls};
use seats::Gate;
use tcp::Spoken;

pub use inherited::Inherited;
pub use tally::{Carrier, Event, Tallies, Tally};

/// What the workers answer from: one load per batch, swapped as a whole.
pub type Published = ArcSwap<Snapshot>;

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct TcpLimits {
    /// Most connections at a time, whatever is spoken on them.
    pub connections: usize,
    /// Most connections at a time from one address.
    pub connections_per_client: usize,
    /// How long a connection may be idle, or take over one message.
    pub idle: std::time::Duration,
}

impl TcpLimits {
    /// As the operator wants them.
    pub fn of(server: &config::Server) -> TcpLimits {
        TcpLimits {
            connections: server.tcp_connections,
            connections_per_client: server.tcp_connections_per_client,
            idle: server.tcp_idle,
        }
    }
}

/// A running nameserver; dropping it stops it.
pub struct Server {
    addresses: Addresses,
    stop: Arc<AtomicBool>,
    workers: Vec<std::thread::JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    tallies: Arc<Tallies>,
}

/// Where a server listens, in the order asked for, with the ports that the kernel gave.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// DNS over TLS.
    pub tls: Vec<SocketAddr>,
    /// DNS over HTTPS.
    pub https: Vec<SocketAddr>,
    /// DNS over QUIC.
    pub quic: Vec<SocketAddr>,
}

/// What every listener has in common.
struct Common {
    published: Arc<Published>,
    identity: Arc<Identity>,
    gate: Arc<Gate>,
}

impl Server {
    /// Opens every socket of `config` that is not among those `inherited`; the encrypted ones show `identity`. Needs a
    /// tokio runtime.
    ///
    /// Port 0 asks the kernel for a free port, the same for UDP and TCP. `beats` are tenths of a second, which the caller
    /// keeps going: limits go by them.
    ///
    /// # Errors
    /// An address that cannot be bound, or an inherited socket that is none of `config`; the error names it.
    pub fn start(
        config: &config::Server,
        mut inherited: Inherited,
        identity: Arc<Identity>,
        published: Arc<Published>,
        beats: &'static AtomicU32,
    ) -> io::Result<Server> {
        let stop = Arc::new(AtomicBool::new(false));
        let tallies = Arc::new(Tallies::default());
        let addresses = Addresses::default();
        let mut server = Server { addresses, stop, workers: Vec::new(), tasks: Vec::new(), tallies };
        let common = Common { published, identity, gate: Arc::new(Gate::new(TcpLimits::of(config))) };
        server.start_plain(config, &mut inherited, &common, beats)?;
        server.start_encrypted(&config.encrypted, &mut inherited, &common)?;
        inherited.expect_none_left()?;
        Ok(server)
    }

    fn start_plain(
        &mut self,
        config: &config::Server,
        inherited: &mut Inherited,
        common: &Common,
        beats: &'static AtomicU32,
    ) -> io::Result<()> {
        let limiter = Arc::new(limit::Limiter::new(beats));
        for &address in &config.listen {
            let bound = named(address, "lunp", socket::open_pair(address, config.workers.max(1), inherited))?;
            self.addresses.dns.push(bound.address);
            for udp in bound.udp {
                let (stop, tally) = (self.stop.clone(), self.tallies.register(Carrier::Udp));
                let worker = udp::Worker::new(udp, common.published.clone(), stop, tally, limiter.clone());
                self.workers.push(worker.spawn()?);
            }
            self.listen(bound.tcp, Spoken::Plain, common)?;
        }
        Ok(())
    }

    fn start_encrypted(
        &mut self,
        config: &config::Encrypted,
        inherited: &mut Inherited,
        common: &Common,
    ) -> io::Result<()> {
        let (tls, https) = (Tls::new(common.identity.clone()), Https::new(common.identity.clone(), &config.https_path));
        for &address in &config.tls {
            let listener = named(address, "ltnp", socket::open_tcp(address, inherited))?;
            self.addresses.tls.push(listener.local_addr()?);
            self.listen(listener, Spoken::Tls(tls.clone()), common)?;
        }
        for &address in &config.https {
            let listener = named(address, "ltnp", socket::open_tcp(address, inherited))?;
            self.addresses.https.push(listener.local_addr()?);
            self.listen(listener, Spoken::Https(https.clone()), common)?;
        }
        for &address in &config.quic {
            let socket = named(address, "lunp", socket::open_quic(address, inherited))?;
            self.addresses.quic.push(socket.local_addr()?);
            let Common { published, identity, gate } = common;
            let tally = self.tallies.register(Carrier::Quic);
            let quic = Quic::new(socket, identity.clone(), published.clone(), gate.clone(), tally)?;
            self.tasks.push(tokio::spawn(quic.run()));
        }
        Ok(())
    }

    fn listen(&mut self, listener: std::net::TcpListener, spoken: Spoken, common: &Common) -> io::Result<()> {
        let tally = self.tallies.register(spoken.carrier());
        let listener = tcp::Listener::new(listener, spoken, common.published.clone(), common.gate.clone(), tally)?;
        self.tasks.push(tokio::spawn(listener.run()));
        Ok(())
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What became of the queries so far.
    pub fn tallies(&self) -> Arc<Tallies> {
        self.tallies.clone()
    }

    /// Stops taking queries and waits until those taken are answered.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.drain(..).for_each(|task| task.abort());
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.halt();
    }
}

/// The error with the address, and with what a person can do. `options` of `ss` show who else has it.
fn named<T>(address: SocketAddr, options: &str, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| {
        let hint = hint(&error, options, address);
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}{hint}"))
    })
}

fn hint(error: &io::Error, options: &str, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("; see who has the port with `ss -{options} sport = :{}`", address.port()),
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has the address".to_owned(),
        _ => String::new(),
    }
}
