//! The sockets: UDP workers, connections over TCP, TLS, HTTPS and QUIC. The only place that has any, and all of them call `answer`.

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
use tcp::StreamProtocol;

pub use connections::TcpLimits;
pub use conversation::PublishedSnapshot;
pub use passed_sockets::{MOST_PASSED, PassedSockets};
pub use stats::{AbuseEvent, ServerStats, StatsTotals, TransportKind, WorkerStats};
pub use times::Histogram;

/// How often a server that drains looks whether connections are left.
const LOOK: Duration = Duration::from_millis(50);

/// Descriptors beside those of connections: listeners, probes, operators, files that are read.
const SPARE: u64 = 512;

/// A running nameserver; dropping it stops it.
pub struct Server {
    addresses: ListenAddresses,
    stop: Arc<AtomicBool>,
    workers: Vec<std::thread::JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    stats: Arc<ServerStats>,
    limiter: Arc<ConnectionLimiter>,
    /// Every socket once more, to be passed on.
    sockets: Vec<OwnedFd>,
}

/// Where a server listens, in the order asked for, with the ports that the kernel gave.
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

/// What every listener has in common.
struct Common {
    published: Arc<PublishedSnapshot>,
    identity: Arc<TlsIdentity>,
    limiter: Arc<ConnectionLimiter>,
}

impl Server {
    /// Opens every socket of `config`; the encrypted ones show `identity`. Needs a tokio runtime.
    ///
    /// Those that were `passed` are taken instead of new ones. Port 0 asks the kernel for a free port, the same for UDP and
    /// TCP. `beats` are tenths of a second, which the caller keeps going: limits go by them.
    ///
    /// # Errors
    /// An address that cannot be bound; the error names it.
    pub fn start(
        config: &config::NameserverConfig,
        identity: Arc<TlsIdentity>,
        published: Arc<PublishedSnapshot>,
        beats: &'static AtomicU32,
        passed: &mut PassedSockets,
    ) -> io::Result<Server> {
        make_room(config);
        let stop = Arc::new(AtomicBool::new(false));
        let stats = Arc::new(ServerStats::default());
        let limiter = Arc::new(ConnectionLimiter::new(
            TcpLimits::of(config),
            stats.connections().clone(),
        ));
        let common = Common {
            published,
            identity,
            limiter: limiter.clone(),
        };
        let (addresses, workers, tasks, sockets) = (
            ListenAddresses::default(),
            Vec::new(),
            Vec::new(),
            Vec::new(),
        );
        let mut server = Server {
            addresses,
            stop,
            workers,
            tasks,
            stats,
            limiter,
            sockets,
        };
        server.start_plain(config, &common, beats, passed)?;
        server.start_encrypted(&config.encrypted, &common, passed)?;
        Ok(server)
    }

    fn start_plain(
        &mut self,
        config: &config::NameserverConfig,
        common: &Common,
        beats: &'static AtomicU32,
        passed: &mut PassedSockets,
    ) -> io::Result<()> {
        let rate_limiter = Arc::new(limit::RateLimiter::new(beats));
        for &address in &config.listen {
            let opened = socket::pair(address, config.workers.max(1), passed);
            let Some(bound) = unless_absent(address, "lunp", opened)? else {
                continue;
            };
            self.addresses.dns.push(bound.address);
            for udp in bound.udp {
                self.sockets.push(udp.as_fd().try_clone_to_owned()?);
                let (stop, stats) = (self.stop.clone(), self.stats.register(TransportKind::Udp));
                let worker = udp::UdpWorker::new(
                    udp,
                    common.published.clone(),
                    stop,
                    stats,
                    rate_limiter.clone(),
                );
                self.workers.push(worker.spawn()?);
            }
            self.listen(bound.tcp, StreamProtocol::Plain, common)?;
        }
        if self.addresses.dns.is_empty() && !config.listen.is_empty() {
            let sentence = "this machine has none of the addresses to listen on; name one that it has in [server] listen";
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, sentence));
        }
        Ok(())
    }

    fn start_encrypted(
        &mut self,
        config: &config::EncryptedListen,
        common: &Common,
        passed: &mut PassedSockets,
    ) -> io::Result<()> {
        let (tls, https) = (
            TlsHandler::new(common.identity.clone()),
            HttpsHandler::new(common.identity.clone(), &config.https_path),
        );
        for &address in &config.tls {
            let opened = socket::tcp(address, passed);
            let Some(listener) = unless_absent(address, "ltnp", opened)? else {
                continue;
            };
            self.addresses.tls.push(listener.local_addr()?);
            self.listen(listener, StreamProtocol::Tls(tls.clone()), common)?;
        }
        for &address in &config.https {
            let opened = socket::tcp(address, passed);
            let Some(listener) = unless_absent(address, "ltnp", opened)? else {
                continue;
            };
            self.addresses.https.push(listener.local_addr()?);
            self.listen(listener, StreamProtocol::Https(https.clone()), common)?;
        }
        for &address in &config.quic {
            let opened = socket::quic(address, passed);
            let Some(socket) = unless_absent(address, "lunp", opened)? else {
                continue;
            };
            self.addresses.quic.push(socket.local_addr()?);
            self.sockets.push(socket.as_fd().try_clone_to_owned()?);
            let Common {
                published,
                identity,
                limiter,
            } = common;
            let stats = self.stats.register(TransportKind::Quic);
            let quic = QuicListener::new(
                socket,
                identity.clone(),
                published.clone(),
                limiter.clone(),
                stats,
            )?;
            self.tasks.push(tokio::spawn(quic.run()));
        }
        Ok(())
    }

    fn listen(
        &mut self,
        listener: std::net::TcpListener,
        spoken: StreamProtocol,
        common: &Common,
    ) -> io::Result<()> {
        let stats = self.stats.register(spoken.carrier());
        self.sockets.push(listener.as_fd().try_clone_to_owned()?);
        let listener = tcp::StreamListener::new(
            listener,
            spoken,
            common.published.clone(),
            common.limiter.clone(),
            stats,
        )?;
        self.tasks.push(tokio::spawn(listener.run()));
        Ok(())
    }

    /// Where it listens.
    pub fn addresses(&self) -> &ListenAddresses {
        &self.addresses
    }

    /// What became of the queries so far.
    pub fn stats(&self) -> Arc<ServerStats> {
        self.stats.clone()
    }

    /// Every socket that it listens on, to be passed on.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.sockets.iter().map(OwnedFd::try_clone).collect()
    }

    /// Stops taking queries and waits until those taken are answered.
    pub fn stop(mut self) {
        self.halt();
    }

    /// The same, and waits until the connections that there are have ended by themselves; no longer than twice the time for
    /// which they may be idle.
    pub async fn drain(mut self) {
        let limiter = self.limiter.clone();
        let patience = limiter.idle() * 2;
        self.begin_to_halt();
        // Workers look for the end of their time now and then only.
        let ended = async {
            while !limiter.is_empty() || self.workers.iter().any(|worker| !worker.is_finished()) {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::time::timeout(patience, ended).await;
        self.halt();
    }

    fn begin_to_halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.drain(..).for_each(|task| task.abort());
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

/// Sees to it that connections do not use up the descriptors that everything else needs.
fn make_room(config: &config::NameserverConfig) {
    let (descriptors, connections) = (socket::raise_descriptors(), config.tcp_connections as u64);
    if let Some(descriptors) = descriptors
        .ok()
        .filter(|&descriptors| descriptors < connections + SPARE)
    {
        tracing::warn!(
            "this process may open {descriptors} files, and {connections} connections (tcp_connections) would leave too few \
             for probes and reloads; raise the limit (systemd: LimitNOFILE) or lower tcp_connections"
        );
    }
}

/// What was opened; `None`, and a warning: the address is one that every machine with IPv6 has, and this one has no IPv6.
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
    named(address, options, opened).map(Some)
}

fn lacks_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    let is_everywhere = match address.ip() {
        IpAddr::V6(address) => address.is_loopback() || address.is_unspecified(),
        IpAddr::V4(_) => false,
    };
    is_everywhere
        && matches!(
            error.raw_os_error(),
            Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT)
        )
}

/// The error with the address, and with what a person can do. `options` of `ss` show who else has it.
fn named<T>(address: SocketAddr, options: &str, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| {
        let hint = hint(&error, options, address);
        io::Error::new(
            error.kind(),
            format!("cannot listen on {address}: {error}{hint}"),
        )
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
