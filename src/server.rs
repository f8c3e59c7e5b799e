//! The nameserver's listeners: UDP workers, and connections over TCP, TLS, HTTPS and QUIC.
//!
//! UDP is served by one thread per socket, which works in batches and takes no lock. Everything
//! else runs as tasks of the tokio runtime, within the limits of `connections`. All of them load
//! the published [`Snapshot`](crate::answer::Snapshot) and call [`answer`](crate::answer::answer);
//! this module does not look into the messages itself. Sockets are opened here, or taken from
//! systemd or from the server that this one replaces.

mod batch;

pub mod udp;

pub mod tcp;

mod framed;

mod conversation;

pub(crate) mod proxy;

pub mod encrypted;

pub(crate) mod connections;

mod limit;

mod passed_sockets;

mod postponed;

mod socket;

mod stats;

mod times;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::config;
use connections::ConnectionLimiter;
use encrypted::{HttpsHandler, QuicListener, TlsHandler, TlsIdentity};
use postponed::PostponedWorker;
use tcp::StreamProtocol;

pub use connections::TcpLimits;
pub use conversation::PublishedSnapshot;
pub use passed_sockets::{MOST_PASSED, PassedSockets};
pub use stats::{AbuseEvent, ServerStats, StatsTotals, TransportKind, WorkerStats};
pub use times::Histogram;

/// How often a draining server checks whether connections are left.
const DRAIN_CHECK: Duration = Duration::from_millis(50);

/// Descriptors for everything but connections: listeners, probes, the admin API, files.
const SPARE_DESCRIPTORS: u64 = 512;

/// A running nameserver; dropping it stops it.
pub struct Server {
    addresses: ListenAddresses,
    stop: Arc<AtomicBool>,
    workers: Vec<std::thread::JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    stats: Arc<ServerStats>,
    limiter: Arc<ConnectionLimiter>,
    /// Duplicates of all sockets, to hand to a successor.
    sockets: Vec<OwnedFd>,
}

/// The addresses that a server listens on, in the order of the configuration, with their actual
/// ports.
#[derive(Debug, Clone, Default)]
pub struct ListenAddresses {
    /// UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// DNS over TLS.
    pub tls: Vec<SocketAddr>,
    /// DNS over HTTPS.
    pub https: Vec<SocketAddr>,
    /// DNS over QUIC.
    pub quic: Vec<SocketAddr>,
}

/// What all listeners share.
struct ListenerContext {
    published: Arc<PublishedSnapshot>,
    identity: Arc<TlsIdentity>,
    limiter: Arc<ConnectionLimiter>,
}

impl Server {
    /// Opens every socket of `config`; the encrypted ones present `identity`. Needs a tokio
    /// runtime.
    ///
    /// Sockets in `passed` are used instead of new ones. Port 0 asks the kernel for a free port,
    /// the same for UDP and TCP. `beats` counts tenths of a second for rate limiting; the caller
    /// keeps it running.
    ///
    /// # Errors
    /// An address cannot be bound; the error names it.
    pub fn start(
        config: &config::NameserverConfig,
        identity: Arc<TlsIdentity>,
        published: Arc<PublishedSnapshot>,
        beats: &'static AtomicU32,
        passed: &mut PassedSockets,
    ) -> io::Result<Server> {
        raise_descriptor_limit(config);
        let stats = Arc::new(ServerStats::default());
        let limiter = Arc::new(ConnectionLimiter::new(
            TcpLimits::of(config),
            stats.connections().clone(),
        ));
        let context = ListenerContext {
            published,
            identity,
            limiter: limiter.clone(),
        };
        let mut server = Server {
            addresses: ListenAddresses::default(),
            stop: Arc::new(AtomicBool::new(false)),
            workers: Vec::new(),
            tasks: Vec::new(),
            stats,
            limiter,
            sockets: Vec::new(),
        };
        server.start_plain(config, &context, beats, passed)?;
        server.start_encrypted(&config.encrypted, &context, passed)?;
        Ok(server)
    }

    fn start_plain(
        &mut self,
        config: &config::NameserverConfig,
        context: &ListenerContext,
        beats: &'static AtomicU32,
        passed: &mut PassedSockets,
    ) -> io::Result<()> {
        let rate_limiter = Arc::new(limit::RateLimiter::new(beats));
        let stats = self.stats.register(TransportKind::Udp);
        let (signing, postponed) = PostponedWorker::new(context.published.clone(), stats);
        for &address in &config.listen {
            let opened = socket::pair(address, config.workers.max(1), passed);
            let Some(bound) = unless_absent(address, "lunp", opened)? else {
                continue;
            };
            self.addresses.dns.push(bound.address);
            for socket in bound.udp {
                self.sockets.push(socket.as_fd().try_clone_to_owned()?);
                let worker = udp::UdpWorker::new(
                    socket,
                    context.published.clone(),
                    self.stop.clone(),
                    self.stats.register(TransportKind::Udp),
                    rate_limiter.clone(),
                    postponed.clone(),
                );
                self.workers.push(worker.spawn()?);
            }
            self.listen(bound.tcp, StreamProtocol::Plain, context)?;
        }
        // It ends after the workers, which have its queue.
        self.workers.push(signing.spawn()?);
        if self.addresses.dns.is_empty() && !config.listen.is_empty() {
            let sentence = "this machine has none of the addresses to listen on; \
                            name one that it has in [server] listen";
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, sentence));
        }
        Ok(())
    }

    fn start_encrypted(
        &mut self,
        config: &config::EncryptedListen,
        context: &ListenerContext,
        passed: &mut PassedSockets,
    ) -> io::Result<()> {
        let tls = TlsHandler::new(context.identity.clone());
        let https = HttpsHandler::new(context.identity.clone(), &config.https_path);
        for &address in &config.tls {
            let opened = socket::tcp(address, passed);
            let Some(listener) = unless_absent(address, "ltnp", opened)? else {
                continue;
            };
            self.addresses.tls.push(listener.local_addr()?);
            self.listen(listener, StreamProtocol::Tls(tls.clone()), context)?;
        }
        for &address in &config.https {
            let opened = socket::tcp(address, passed);
            let Some(listener) = unless_absent(address, "ltnp", opened)? else {
                continue;
            };
            self.addresses.https.push(listener.local_addr()?);
            self.listen(listener, StreamProtocol::Https(https.clone()), context)?;
        }
        for &address in &config.quic {
            let opened = socket::quic(address, passed);
            let Some(socket) = unless_absent(address, "lunp", opened)? else {
                continue;
            };
            self.addresses.quic.push(socket.local_addr()?);
            self.sockets.push(socket.as_fd().try_clone_to_owned()?);
            let quic = QuicListener::new(
                socket,
                context.identity.clone(),
                context.published.clone(),
                context.limiter.clone(),
                self.stats.register(TransportKind::Quic),
            )?;
            self.tasks.push(tokio::spawn(quic.run()));
        }
        Ok(())
    }

    fn listen(
        &mut self,
        listener: std::net::TcpListener,
        protocol: StreamProtocol,
        context: &ListenerContext,
    ) -> io::Result<()> {
        let stats = self.stats.register(protocol.carrier());
        self.sockets.push(listener.as_fd().try_clone_to_owned()?);
        let listener = tcp::StreamListener::new(
            listener,
            protocol,
            context.published.clone(),
            context.limiter.clone(),
            stats,
        )?;
        self.tasks.push(tokio::spawn(listener.run()));
        Ok(())
    }

    /// The addresses that the server listens on.
    pub fn addresses(&self) -> &ListenAddresses {
        &self.addresses
    }

    /// The counters of all workers.
    pub fn stats(&self) -> Arc<ServerStats> {
        self.stats.clone()
    }

    /// Duplicates of all listening sockets, to hand to a successor.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.sockets.iter().map(OwnedFd::try_clone).collect()
    }

    /// Stops accepting queries and waits until the UDP workers have answered those they received.
    pub fn stop(mut self) {
        self.halt();
    }

    /// Stops accepting queries and connections, and waits until the open connections end, for at
    /// most twice the idle timeout.
    pub async fn drain(mut self) {
        let limiter = self.limiter.clone();
        let patience = limiter.idle() * 2;
        self.begin_to_halt();
        // Workers check `stop` only between batches.
        let ended = async {
            while !limiter.is_empty() || self.workers.iter().any(|worker| !worker.is_finished()) {
                tokio::time::sleep(DRAIN_CHECK).await;
            }
        };
        let _ = tokio::time::timeout(patience, ended).await;
        self.halt();
    }

    fn begin_to_halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }

    fn halt(&mut self) {
        self.begin_to_halt();
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

/// Raises the limit of open files, and warns if the configured connections could use them all up.
fn raise_descriptor_limit(config: &config::NameserverConfig) {
    let connections = config.tcp_connections as u64;
    if let Ok(descriptors) = socket::raise_descriptors()
        && descriptors < connections + SPARE_DESCRIPTORS
    {
        tracing::warn!(
            "this process may open {descriptors} files, and {connections} connections \
             (tcp_connections) would leave too few for probes and reloads; raise the limit (systemd: LimitNOFILE) or lower tcp_connections"
        );
    }
}

/// The opened socket; `None`, with a warning, for `::` or `::1` on a machine without IPv6.
fn unless_absent<T>(
    address: SocketAddr,
    options: &str,
    opened: io::Result<T>,
) -> io::Result<Option<T>> {
    if let Err(error) = &opened
        && lacks_ipv6(address, error)
    {
        tracing::warn!(
            "cannot listen on {address}: this machine has no IPv6 ({error}); the other addresses are served"
        );
        return Ok(None);
    }
    match opened {
        Ok(socket) => Ok(Some(socket)),
        Err(error) => Err(bind_error(address, options, &error)),
    }
}

fn lacks_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    let is_local_or_any = match address.ip() {
        IpAddr::V6(address) => address.is_loopback() || address.is_unspecified(),
        IpAddr::V4(_) => false,
    };
    is_local_or_any
        && matches!(
            error.raw_os_error(),
            Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT)
        )
}

/// Adds the address and a hint to an error. `ss` with `options` shows which process has the port.
fn bind_error(address: SocketAddr, options: &str, error: &io::Error) -> io::Error {
    let hint = hint(error, options, address);
    io::Error::new(
        error.kind(),
        format!("cannot listen on {address}: {error}{hint}"),
    )
}

fn hint(error: &io::Error, options: &str, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let port = address.port();
            format!("; see who has the port with `ss -{options} sport = :{port}`")
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE \
             (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
            .to_owned(),
        io::ErrorKind::AddrNotAvailable => {
            "; no interface of this machine has the address".to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_ipv6_lacks_the_addresses_that_every_other_has() {
        let lacks = |address: &str, code| {
            lacks_ipv6(
                address.parse().unwrap(),
                &io::Error::from_raw_os_error(code),
            )
        };
        for code in [libc::EADDRNOTAVAIL, libc::EAFNOSUPPORT] {
            assert!(lacks("[::1]:53", code) && lacks("[::]:53", code));
            assert!(
                !lacks("[2001:db8::1]:53", code),
                "it was meant for this machine"
            );
            assert!(!lacks("127.0.0.1:53", code) && !lacks("0.0.0.0:53", code));
        }
        assert!(!lacks("[::1]:53", libc::EADDRINUSE) && !lacks("[::]:53", libc::EACCES));
    }
}
