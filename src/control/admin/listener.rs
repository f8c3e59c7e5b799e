//! The admin socket and its limits.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::patient::Patient;
use crate::config::AdminListen;
use crate::net::ClientAddress;
use crate::server::Passed;

/// Most connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// Most octets of a request's head.
const HEAD: usize = 16 * 1024;
/// Most header fields of a request.
const FIELDS: usize = 64;
/// How long a head may take, and so how long a connection may idle.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long to wait when the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection, for the audit log: an address, or the user behind a unix socket.
#[derive(Debug, Clone)]
pub struct Peer(pub String);

impl Peer {
    /// A client over TCP; one of IPv4 at a socket of both families is an IPv4 client.
    fn of(peer: SocketAddr) -> Peer {
        Peer(SocketAddr::new(ClientAddress::from(peer.ip()).ip(), peer.port()).to_string())
    }
}

/// Where the admin server listens.
pub enum Bound {
    /// A TCP address, with the port that the kernel gave.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Tcp(address) => address.fmt(f),
            Bound::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Bound {
    /// Removes what the socket left in the file system.
    pub fn remove(&self) {
        if let Bound::Unix(path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens the socket, or takes the one that was passed, and serves it until the runtime ends; returns the socket once more,
/// to be passed on.
pub async fn start(
    listen: &AdminListen,
    router: Router,
    passed: &mut Passed,
) -> Result<(Bound, io::Result<OwnedFd>), String> {
    match listen {
        AdminListen::Tcp(address) => {
            let refused = |error: io::Error| format!("the admin server cannot listen on {address}: {error}");
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
            let accept = async move || listener.accept().await.map(|(stream, peer)| (stream, Peer::of(peer)));
            tokio::spawn(serve(router, accept));
            Ok((Bound::Tcp(bound), socket))
        }
        AdminListen::Unix(path) => {
            let adopt = |listener: std::os::unix::net::UnixListener| {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener)
            };
            let listener = passed
                .unix(path)
                .map_or_else(|| bind_unix(path), adopt)
                .map_err(|error| format!("the admin server cannot listen on unix:{}: {error}", path.display()))?;
            let socket = listener.as_fd().try_clone_to_owned();
            let accept = async move || listener.accept().await.map(|(stream, _)| named(stream));
            tokio::spawn(serve(router, accept));
            Ok((Bound::Unix(path.clone()), socket))
        }
    }
}

/// With `user 1000`.
fn named(stream: UnixStream) -> (UnixStream, Peer) {
    let user = stream.peer_cred().map_or_else(|_| "unix socket".to_owned(), |user| format!("user {}", user.uid()));
    (stream, Peer(user))
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

/// Takes connections for ever, [`CONNECTIONS`] at a time.
async fn serve<S>(router: Router, accept: impl AsyncFn() -> io::Result<(S, Peer)>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match accept().await {
            Ok((stream, peer)) => {
                let router = router.clone().layer(Extension(peer));
                tokio::spawn(async move {
                    connection(router, stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("the admin server cannot take a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves one connection. What goes wrong on it is the client's business.
async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(router: Router, stream: S) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD).max_headers(FIELDS);
    let stream = TokioIo::new(Patient::new(stream));
    let _ = http.serve_connection(stream, TowerToHyperService::new(router)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_of_ipv4_is_written_as_one() {
        assert_eq!(Peer::of("[::ffff:192.0.2.1]:9".parse().unwrap()).0, "192.0.2.1:9");
        assert_eq!(Peer::of("[2001:db8::1]:9".parse().unwrap()).0, "[2001:db8::1]:9");
    }
}
