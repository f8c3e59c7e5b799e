//! The sockets: UDP workers, TCP connections. The only place that has any, and all of them call `answer`.

mod batch;

pub mod udp;

pub mod tcp;

mod seats;

mod limit;

mod socket;

mod tally;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arc_swap::ArcSwap;

use crate::answer::Snapshot;

pub use tally::{Event, Tallies, Tally};

/// What the workers answer from: one load per batch, swapped as a whole.
pub type Published = ArcSwap<Snapshot>;

/// Limits of TCP service.
#[derive(Debug, Clone, Copy)]
pub struct TcpLimits {
    /// Most connections at a time.
    pub connections: usize,
    /// Most connections at a time from one address.
    pub connections_per_client: usize,
    /// How long a connection may be idle, or take over one message.
    pub idle: std::time::Duration,
}

/// A running nameserver; dropping it stops it.
pub struct Server {
    addresses: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    workers: Vec<std::thread::JoinHandle<()>>,
    tcp: Vec<tokio::task::JoinHandle<()>>,
    tallies: Arc<Tallies>,
}

impl Server {
    /// Opens every listen address for UDP (`workers` threads each) and TCP. Needs a tokio runtime for TCP.
    ///
    /// Port 0 asks the kernel for a free port, the same for UDP and TCP. `beats` are tenths of a second, which the caller
    /// keeps going: limits go by them.
    ///
    /// # Errors
    /// An address that cannot be bound; the error names it.
    pub fn start(
        listen: &[SocketAddr],
        workers: usize,
        tcp_limits: TcpLimits,
        published: Arc<Published>,
        beats: &'static AtomicU32,
    ) -> io::Result<Server> {
        let stop = Arc::new(AtomicBool::new(false));
        let tallies = Arc::new(Tallies::default());
        let mut server = Server { addresses: Vec::new(), stop, workers: Vec::new(), tcp: Vec::new(), tallies };
        let gate = Arc::new(seats::Gate::new(tcp_limits));
        let limiter = Arc::new(limit::Limiter::new(beats));
        for &address in listen {
            let bound = socket::bind_pair(address, workers.max(1)).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}{}", hint(&error, address)))
            })?;
            server.addresses.push(bound.address);
            for udp in bound.udp {
                let (stop, tally) = (server.stop.clone(), server.tallies.register());
                let worker = udp::Worker::new(udp, published.clone(), stop, tally, limiter.clone());
                server.workers.push(worker.spawn()?);
            }
            let listener = tcp::Listener::new(bound.tcp, published.clone(), gate.clone(), server.tallies.register())?;
            server.tcp.push(tokio::spawn(listener.run()));
        }
        Ok(server)
    }

    /// The addresses in the order asked for, with the ports that the kernel gave.
    pub fn addresses(&self) -> &[SocketAddr] {
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
        self.tcp.drain(..).for_each(|task| task.abort());
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

/// What a person can do about a failed bind.
fn hint(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("; see who has the port with `ss -lunp sport = :{}`", address.port()),
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has the address".to_owned(),
        _ => String::new(),
    }
}
