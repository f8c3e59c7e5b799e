//! The admin socket: TCP, TLS or unix, with limits on connections.
//!
//! Each connection is served by a task of its own. There is a limit for all connections and one for
//! each address. At either limit, the connection that has been idle longest is closed, of all or of
//! that address. A call that changes state holds its connection once the token is checked. So a
//! client that keeps many connections open only closes its own.
//!
//! hyper reads the HTTP; `stall_guard` and `http_refusals` wrap the stream below it.

use std::fmt;
use std::fs::Permissions;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::http_refusals::{self, RefusalInterceptor};
use super::stall_guard::StallGuard;
use super::tls;
use crate::config::AdminListen;
use crate::net::ClientAddress;
use crate::server::connections::{self, ConnectionLimiter, ConnectionPermit};
use crate::server::{PassedSockets, TcpLimits};

/// Most connections at a time.
const CONNECTIONS: usize = 256;
/// Most connections at a time from one address, or one IPv6 network of 64 bits.
const CONNECTIONS_EACH: usize = 32;
/// Longest head of a request, in octets.
const HEAD: usize = 16 * 1024;
/// Most header fields of a request.
const FIELDS: usize = 64;
/// How long a head may take, and so how long a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long to wait when the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the rest of a request is read and discarded after the last answer. Without that, a
/// client that still sends would get a reset and lose the answer.
const LINGER: Duration = Duration::from_secs(1);
/// Most octets of such a rest.
const REST: u64 = 256 * 1024;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct AdminPeer {
    /// For the audit log: an address, or the user of a unix socket.
    pub name: String,
    /// The author of a change that names none: the address without a port, or `the local socket`.
    pub author: String,
    /// The address for limits per address; `None`: a peer on the unix socket has no such limit.
    pub address: Option<IpAddr>,
}

impl AdminPeer {
    /// A peer over TCP. An IPv4 client on a socket of both families counts as an IPv4 client.
    fn of(peer: SocketAddr) -> AdminPeer {
        let client = ClientAddress::from(peer.ip());
        AdminPeer {
            name: SocketAddr::new(client.ip(), peer.port()).to_string(),
            author: client.ip().to_string(),
            address: Some(connections::client_of(client)),
        }
    }

    /// A peer on the unix socket, such as `user 1000`.
    fn local(stream: &UnixStream) -> AdminPeer {
        let name = match stream.peer_cred() {
            Ok(user) => format!("user {}", user.uid()),
            Err(_) => "unix socket".to_owned(),
        };
        AdminPeer {
            name,
            author: "the local socket".to_owned(),
            address: None,
        }
    }
}

/// Where the admin server listens.
pub enum BoundListener {
    /// A TCP address, with the port that the kernel chose.
    Tcp(SocketAddr),
    /// The same with TLS.
    Tls(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Display for BoundListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoundListener::Tcp(address) => address.fmt(f),
            BoundListener::Tls(address) => write!(f, "https://{address}"),
            BoundListener::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl BoundListener {
    /// Removes the file of a unix socket.
    pub fn remove(&self) {
        if let BoundListener::Unix(path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens the socket, or takes the passed one, and serves it until the runtime ends. Also returns a
/// duplicate of the socket, for another process to take over.
pub async fn start(
    listen: &AdminListen,
    tls: Option<TlsAcceptor>,
    router: Router,
    passed: &mut PassedSockets,
) -> Result<(BoundListener, io::Result<OwnedFd>), String> {
    match listen {
        AdminListen::Tcp(address) => {
            let (listener, bound) = open_tcp(*address, passed)
                .await
                .map_err(|error| format!("the admin server cannot listen on {address}: {error}"))?;
            let socket = listener.as_fd().try_clone_to_owned();
            let bound_listener = match tls {
                None => BoundListener::Tcp(bound),
                Some(_) => BoundListener::Tls(bound),
            };
            tokio::spawn(serve_tcp(listener, tls, router));
            Ok((bound_listener, socket))
        }
        AdminListen::Unix(path) => {
            let listener = open_unix(path, passed).map_err(|error| {
                let path = path.display();
                format!("the admin server cannot listen on unix:{path}: {error}")
            })?;
            let socket = listener.as_fd().try_clone_to_owned();
            tokio::spawn(serve_unix(listener, router));
            Ok((BoundListener::Unix(path.clone()), socket))
        }
    }
}

async fn open_tcp(
    address: SocketAddr,
    passed: &mut PassedSockets,
) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = match passed.tcp(address) {
        Some(listener) => {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)?
        }
        None => TcpListener::bind(address).await?,
    };
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

fn open_unix(path: &Path, passed: &mut PassedSockets) -> io::Result<UnixListener> {
    match passed.unix(path) {
        Some(listener) => {
            listener.set_nonblocking(true)?;
            UnixListener::from_std(listener)
        }
        None => bind_unix(path),
    }
}

/// Binds a unix socket that only its owner can reach. It replaces the socket of a server that no
/// longer runs, but not one that is in use, nor any other file.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Accepts TCP connections until the runtime ends.
async fn serve_tcp(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
    let connections = AdminConnections::new(CONNECTIONS_EACH, router);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(connection) = connections.admit(AdminPeer::of(peer)) else {
                    continue;
                };
                let number = connection.permit.number;
                match &tls {
                    None => connections.spawn(number, connection.serve(stream)),
                    Some(tls) => {
                        connections.spawn(number, connection.serve_tls(tls.clone(), stream));
                    }
                }
            }
            Err(error) => pause(error).await,
        }
    }
}

/// Accepts connections on the unix socket until the runtime ends. They have no limit per address,
/// because everybody who may open the socket is trusted.
async fn serve_unix(listener: UnixListener, router: Router) {
    let connections = AdminConnections::new(CONNECTIONS, router);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Some(connection) = connections.admit(AdminPeer::local(&stream)) {
                    connections.spawn(connection.permit.number, connection.serve(stream));
                }
            }
            Err(error) => pause(error).await,
        }
    }
}

async fn pause(error: io::Error) {
    tracing::warn!("the admin server cannot accept a connection: {error}");
    tokio::time::sleep(PAUSE).await;
}

/// The open connections of a socket.
struct AdminConnections {
    limiter: Arc<ConnectionLimiter>,
    router: Router,
}

impl AdminConnections {
    fn new(connections_per_client: usize, router: Router) -> AdminConnections {
        let limits = TcpLimits {
            connections: CONNECTIONS,
            connections_per_client,
            idle: HEAD_TIME,
        };
        AdminConnections {
            limiter: Arc::new(ConnectionLimiter::new(limits, Arc::default())),
            router,
        }
    }

    /// A place for a new connection, for which an idle one may be closed. `None`: changes that are
    /// under way hold every place, so the new connection is closed.
    fn admit(&self, peer: AdminPeer) -> Option<AdminConnection> {
        let address = peer.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let permit = self.limiter.try_enter(address.into())?;
        Some(AdminConnection {
            router: self.router.clone(),
            peer,
            permit: Arc::new(permit),
        })
    }

    /// Runs a connection in a task that the limiter can end.
    fn spawn(&self, number: u64, serve: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(serve);
        self.limiter.watch(number, task.abort_handle());
    }
}

/// One connection, without its stream.
struct AdminConnection {
    router: Router,
    peer: AdminPeer,
    permit: Arc<ConnectionPermit>,
}

impl AdminConnection {
    async fn serve_tls(self, tls: TlsAcceptor, stream: TcpStream) {
        if let Some(stream) = tls::handshake(&tls, stream).await {
            self.serve(stream).await;
        }
    }

    /// Serves calls until the connection ends. Its errors concern the client alone.
    async fn serve<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let AdminConnection {
            router,
            peer,
            permit,
        } = self;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD)
            .max_headers(FIELDS);
        let calls = Arc::new(AtomicU64::new(0));
        let stream = RefusalInterceptor::new(StallGuard::new(stream), calls.clone());
        let inner = TowerToHyperService::new(router);
        let service = service_fn(|mut request: Request<Incoming>| {
            calls.fetch_add(1, Ordering::Relaxed);
            permit.touch();
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(permit.clone());
            let (answer, permit) = (inner.call(request), permit.clone());
            // Boxed, because `into_parts` needs a service whose future is `Unpin`.
            Box::pin(async move {
                let answer = answer.await;
                permit.touch();
                answer
            })
        });
        let mut connection = http.serve_connection(TokioIo::new(stream), service);
        let ended = poll_fn(|task| connection.poll_without_shutdown(task)).await;
        let Parts { io, read_buf, .. } = connection.into_parts();
        let (mut stream, mut refused) = io.into_inner().into_parts();
        // A client that has sent a part of a head gets an error; an idle connection is just closed.
        if ended.is_err_and(|error| error.is_timeout()) && !read_buf.is_empty() {
            refused = refused.or(Some(408));
        }
        if let Some(status) = refused {
            let refusal = http_refusals::refusal(status);
            let _ = stream.write_all(refusal.as_bytes()).await;
        }
        close(stream).await;
    }
}

/// Closes a connection, after reading and discarding for a while what its client still sends.
pub async fn close<S>(mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let linger = async {
        let _ = stream.shutdown().await;
        tokio::io::copy(&mut stream.take(REST), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(LINGER, linger).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_of_ipv4_is_written_as_one() {
        assert_eq!(
            AdminPeer::of("[::ffff:192.0.2.1]:9".parse().unwrap()).name,
            "192.0.2.1:9"
        );
        assert_eq!(
            AdminPeer::of("[2001:db8::1]:9".parse().unwrap()).name,
            "[2001:db8::1]:9"
        );
        assert_eq!(
            AdminPeer::of("[2001:db8::1]:9".parse().unwrap()).author,
            "2001:db8::1",
            "the port does not name an author"
        );
    }
}
