//! The admin socket and its limits.
//!
//! Connections are taken as they come and never wait for each other. There are so many places in all and for one address;
//! at either limit the connection that is concerned and was idle longest leaves. What may change something holds its place
//! from the gate on. So whoever keeps connections open keeps out nobody but itself.

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

use super::own_words::{self, OwnWords};
use super::patient::StallGuard;
use crate::config::AdminListen;
use crate::net::ClientAddress;
use crate::server::connections::{self, ConnectionPermit};
use crate::server::{PassedSockets, TcpLimits};

/// Most connections at a time.
const CONNECTIONS: usize = 256;
/// Most connections at a time from one address, or one IPv6 network of 64 bits.
const CONNECTIONS_EACH: usize = 32;
/// Most octets of a request's head.
const HEAD: usize = 16 * 1024;
/// Most header fields of a request.
const FIELDS: usize = 64;
/// How long a head may take, and so how long a connection may idle.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long to wait when the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the rest of a request is read, and passed over, after the last answer: whoever still sends would lose the
/// answer to a reset.
const LINGER: Duration = Duration::from_secs(1);
/// Most octets of such a rest.
const REST: u64 = 256 * 1024;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct AdminPeer {
    /// For the audit log: an address, or the user behind a unix socket.
    pub name: String,
    /// The author of what it orders where it does not say: its address without a port, or `the local socket`.
    pub author: String,
    /// Whose share it is; `None`: whoever reaches the unix socket has no share of its own.
    pub address: Option<IpAddr>,
}

impl AdminPeer {
    /// A client over TCP; one of IPv4 at a socket of both families is an IPv4 client.
    fn of(peer: SocketAddr) -> AdminPeer {
        let client = ClientAddress::from(peer.ip());
        AdminPeer {
            name: SocketAddr::new(client.ip(), peer.port()).to_string(),
            author: client.ip().to_string(),
            address: Some(connections::client_of(client)),
        }
    }
}

/// Where the admin server listens.
pub enum BoundListener {
    /// A TCP address, with the port that the kernel gave.
    Tcp(SocketAddr),
    /// The same for TLS.
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
    /// Removes what the socket left in the file system.
    pub fn remove(&self) {
        if let BoundListener::Unix(path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens the socket, or takes the one that was passed, and serves it until the runtime ends; returns the socket once more,
/// to be passed on.
pub async fn start(
    listen: &AdminListen,
    tls: Option<TlsAcceptor>,
    router: Router,
    passed: &mut PassedSockets,
) -> Result<(BoundListener, io::Result<OwnedFd>), String> {
    match listen {
        AdminListen::Tcp(address) => {
            let refused =
                |error: io::Error| format!("the admin server cannot listen on {address}: {error}");
            let adopt = |listener: std::net::TcpListener| {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)
            };
            let listener = match passed.tcp(*address) {
                Some(listener) => adopt(listener),
                None => TcpListener::bind(address).await,
            };
            let listener = listener.map_err(refused)?;
            let bound = listener.local_addr().map_err(refused)?;
            let socket = listener.as_fd().try_clone_to_owned();
            let accept = async move || {
                listener
                    .accept()
                    .await
                    .map(|(stream, peer)| (stream, AdminPeer::of(peer)))
            };
            let Some(tls) = tls else {
                let talk = move |stream, peer, seat| connection(router.clone(), stream, peer, seat);
                tokio::spawn(serve(CONNECTIONS_EACH, accept, talk));
                return Ok((BoundListener::Tcp(bound), socket));
            };
            let talk = move |stream, peer, seat| {
                encrypted(tls.clone(), router.clone(), stream, peer, seat)
            };
            tokio::spawn(serve(CONNECTIONS_EACH, accept, talk));
            Ok((BoundListener::Tls(bound), socket))
        }
        AdminListen::Unix(path) => {
            let adopt = |listener: std::os::unix::net::UnixListener| {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener)
            };
            let listener = passed
                .unix(path)
                .map_or_else(|| bind_unix(path), adopt)
                .map_err(|error| {
                    format!(
                        "the admin server cannot listen on unix:{}: {error}",
                        path.display()
                    )
                })?;
            let socket = listener.as_fd().try_clone_to_owned();
            let accept = async move || listener.accept().await.map(|(stream, _)| named(stream));
            // Whoever may open it is one of its owner's programs.
            let talk = move |stream, peer, seat| connection(router.clone(), stream, peer, seat);
            tokio::spawn(serve(CONNECTIONS, accept, talk));
            Ok((BoundListener::Unix(path.clone()), socket))
        }
    }
}

/// With `user 1000`.
fn named(stream: UnixStream) -> (UnixStream, AdminPeer) {
    let user = stream.peer_cred().map_or_else(
        |_| "unix socket".to_owned(),
        |user| format!("user {}", user.uid()),
    );
    (
        stream,
        AdminPeer {
            name: user,
            author: "the local socket".to_owned(),
            address: None,
        },
    )
}

/// Binds a unix socket that only its owner can reach. A socket that a dead server left behind is replaced; one that
/// somebody answers on is not, and neither is any other file.
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

/// Takes connections for ever, so many from `each` address, and lets each `talk` by itself.
async fn serve<S, Talk>(
    each: usize,
    accept: impl AsyncFn() -> io::Result<(S, AdminPeer)>,
    talk: impl Fn(S, AdminPeer, Arc<ConnectionPermit>) -> Talk,
) where
    Talk: Future<Output = ()> + Send + 'static,
{
    let limits = TcpLimits {
        connections: CONNECTIONS,
        connections_per_client: each,
        idle: HEAD_TIME,
    };
    let gate = Arc::new(connections::ConnectionLimiter::new(limits, Arc::default()));
    loop {
        match accept().await {
            Ok((stream, peer)) => {
                let seat = gate.try_enter(
                    peer.address
                        .unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
                        .into(),
                );
                // Every place is held by a change that is under way: one more is closed at once.
                let Some(seat) = seat else { continue };
                let number = seat.number;
                let task = tokio::spawn(talk(stream, peer, Arc::new(seat)));
                gate.watch(number, task.abort_handle());
            }
            Err(error) => {
                tracing::warn!("the admin server cannot take a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The same over TLS: a handshake before it, within its time.
async fn encrypted(
    tls: TlsAcceptor,
    router: Router,
    stream: TcpStream,
    peer: AdminPeer,
    seat: Arc<ConnectionPermit>,
) {
    if let Some(stream) = super::encrypted::greet(&tls, stream).await {
        connection(router, stream, peer, seat).await;
    }
}

/// Serves one connection. What goes wrong on it is the client's business.
async fn connection<S>(router: Router, stream: S, peer: AdminPeer, seat: Arc<ConnectionPermit>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD)
        .max_headers(FIELDS);
    let calls = Arc::new(AtomicU64::new(0));
    let stream = TokioIo::new(OwnWords::new(StallGuard::new(stream), calls.clone()));
    let inner = TowerToHyperService::new(router);
    let call = |mut request: Request<Incoming>| {
        calls.fetch_add(1, Ordering::Relaxed);
        seat.touch();
        request.extensions_mut().insert(peer.clone());
        request.extensions_mut().insert(seat.clone());
        let (answer, seat) = (inner.call(request), seat.clone());
        // Boxed, so that the connection can be taken apart at its end.
        Box::pin(async move {
            let answer = answer.await;
            seat.touch();
            answer
        })
    };
    let mut connection = http.serve_connection(stream, service_fn(call));
    let ended = poll_fn(|task| connection.poll_without_shutdown(task)).await;
    let Parts { io, read_buf, .. } = connection.into_parts();
    let (mut stream, refused) = io.into_inner().into_parts();
    let is_late = ended.is_err_and(|error| error.is_timeout()) && !read_buf.is_empty();
    if let Some(status) = refused.or(is_late.then_some(408)) {
        let _ = stream
            .write_all(own_words::refusal(status).as_bytes())
            .await;
    }
    part(stream).await;
}

/// Ends a connection; what the other end still sends is read for a while, and passed over.
pub async fn part<S>(mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let farewell = async {
        let _ = stream.shutdown().await;
        tokio::io::copy(&mut stream.take(REST), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(LINGER, farewell).await;
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
            "a port is nobody's name"
        );
    }
}
