//! TLS on the admin address.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{listener, own_words};
use crate::server::encrypted::{HANDSHAKE, TlsIdentity};

/// The first octet of every TLS connection: a record with a handshake message (RFC 8446 section 5.1).
const FIRST: u8 = 22;

/// Shows this identity and speaks HTTP/1.1.
pub fn acceptor(identity: Arc<TlsIdentity>) -> TlsAcceptor {
    TlsAcceptor::from(Arc::new(identity.settings(&[b"http/1.1"])))
}

/// The handshake; `None`: it did not come about in its time. Whoever speaks HTTP in clear is told so.
pub async fn greet(tls: &TlsAcceptor, mut stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let greeting = async {
        let mut first = [0];
        if stream.peek(&mut first).await.ok()? == 0 {
            return None;
        }
        if first == [FIRST] {
            return tls.accept(stream).await.ok();
        }
        if first[0].is_ascii_alphabetic() {
            let _ = stream.write_all(own_words::in_clear().as_bytes()).await;
            listener::part(stream).await;
        }
        None
    };
    timeout(HANDSHAKE, greeting).await.ok().flatten()
}
