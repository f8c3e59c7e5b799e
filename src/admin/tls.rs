//! TLS on the admin address.
//!
//! Peeks at the first octet of a connection before the handshake, so that a client that speaks
//! plain HTTP gets an HTTP error that points to `https://` instead of a TLS alert.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{http_refusals, listener};
use crate::server::encrypted::{HANDSHAKE, TlsIdentity};

/// The first octet of every TLS connection: a handshake record (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// The TLS configuration with this certificate, for HTTP/1.1.
pub fn acceptor(identity: Arc<TlsIdentity>) -> TlsAcceptor {
    TlsAcceptor::from(Arc::new(identity.settings(&[b"http/1.1"])))
}

/// Makes the handshake; `None`: it failed or took too long.
pub async fn handshake(tls: &TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    timeout(HANDSHAKE, accept(tls, stream)).await.ok()?
}

async fn accept(tls: &TlsAcceptor, mut stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first == [HANDSHAKE_RECORD] {
        return tls.accept(stream).await.ok();
    }
    if first[0].is_ascii_alphabetic() {
        let refusal = http_refusals::not_encrypted();
        let _ = stream.write_all(refusal.as_bytes()).await;
        listener::close(stream).await;
    }
    None
}
