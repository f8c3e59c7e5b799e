//! DNS over TLS (RFC 7858): the framed messages of TCP inside TLS.
//!
//! [`TlsHandler`] does the handshake, serves the connection like plain TCP, and closes it with a
//! `close_notify`. DNS over HTTPS uses the same handshake and timeouts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::TlsIdentity;
use crate::server::framed::FramedConnection;

/// How long a handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long closing a connection may take.
pub const GOODBYE: Duration = Duration::from_secs(1);

/// Serves connections of DNS over TLS.
#[derive(Clone)]
pub struct TlsHandler(TlsAcceptor);

impl TlsHandler {
    /// A handler that presents this identity.
    pub fn new(identity: Arc<TlsIdentity>) -> TlsHandler {
        TlsHandler(TlsAcceptor::from(Arc::new(identity.settings(&[b"dot"]))))
    }

    /// Serves one connection.
    pub async fn serve(&self, stream: TcpStream, framed: FramedConnection) -> io::Result<()> {
        let mut stream = handshake(&self.0, stream).await?;
        let result = framed.serve(&mut stream).await;
        // Without a close_notify the client cannot tell the end from a truncation attack (RFC 8446
        // section 6.1).
        let _ = timeout(GOODBYE, stream.shutdown()).await;
        result
    }
}

/// Does the handshake, within [`HANDSHAKE`].
pub async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    timeout(HANDSHAKE, acceptor.accept(stream)).await?
}
