//! Listeners for connections over TCP: plain DNS, DNS over TLS and DNS over HTTPS.
//!
//! A [`StreamListener`] accepts connections on one address. Each takes a permit from the
//! `ConnectionLimiter`, which may close an idle connection to make room, and runs as a task of
//! its own. A connection from a front starts with a PROXY header. After that the [`StreamProtocol`]
//! of the listener takes over.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::connections::ConnectionLimiter;
use super::conversation::Conversation;
use super::conversation::PublishedSnapshot;
use super::encrypted::{HttpsHandler, TlsHandler};
use super::framed::FramedConnection;
use super::proxy;
use super::stats::{AbuseEvent, TransportKind, WorkerStats};
use crate::net::ClientAddress;

/// Pause after the system has no descriptor for a connection, so that the loop does not spin.
const RECOVER: Duration = Duration::from_millis(100);

/// The protocol of a listener.
#[derive(Clone)]
pub enum StreamProtocol {
    /// DNS over TCP (RFC 7766).
    Plain,
    /// DNS over TLS (RFC 7858).
    Tls(TlsHandler),
    /// DNS over HTTPS (RFC 8484).
    Https(HttpsHandler),
}

/// Accepts connections on one address.
pub struct StreamListener {
    listener: TcpListener,
    protocol: StreamProtocol,
    published: Arc<PublishedSnapshot>,
    limiter: Arc<ConnectionLimiter>,
    stats: Arc<WorkerStats>,
}

impl StreamListener {
    /// Takes over a non-blocking listener. Needs a tokio runtime.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub fn new(
        listener: std::net::TcpListener,
        protocol: StreamProtocol,
        published: Arc<PublishedSnapshot>,
        limiter: Arc<ConnectionLimiter>,
        stats: Arc<WorkerStats>,
    ) -> io::Result<StreamListener> {
        Ok(StreamListener {
            listener: TcpListener::from_std(listener)?,
            protocol,
            published,
            limiter,
            stats,
        })
    }

    /// Accepts until the task is aborted.
    pub async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, client)) => self.welcome(stream, client),
                // The client closed the connection before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if is_out_of_descriptors(&error) && self.limiter.evict() {
                        self.stats.note(AbuseEvent::Evicted);
                    }
                    tokio::time::sleep(RECOVER).await;
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, client: SocketAddr) {
        let client = ClientAddress::from(client.ip());
        let permit = self.limiter.enter(client, &self.stats);
        let number = permit.number;
        let protocol = self.protocol.clone();
        let conversation = Conversation::new(
            client,
            protocol.carrier(),
            self.published.clone(),
            self.stats.clone(),
        );
        let framed = FramedConnection {
            conversation,
            idle: self.limiter.idle(),
            permit,
        };
        let task = tokio::spawn(async move {
            // Clients break connections off all the time, which is not worth a line in the log.
            let _ = protocol.serve(stream, framed).await;
        });
        self.limiter.watch(number, task.abort_handle());
    }
}

impl StreamProtocol {
    /// The transport as which its queries are counted.
    pub fn carrier(&self) -> TransportKind {
        match self {
            StreamProtocol::Plain => TransportKind::Tcp,
            StreamProtocol::Tls(_) => TransportKind::Tls,
            StreamProtocol::Https(_) => TransportKind::Https,
        }
    }

    async fn serve(self, mut stream: TcpStream, mut framed: FramedConnection) -> io::Result<()> {
        stream.set_nodelay(true)?;
        if framed.conversation.is_with_front() {
            let header = proxy::read(&mut stream, framed.conversation.client());
            let client = timeout(framed.idle, header).await??;
            framed.conversation = framed.conversation.with_client(client);
        }
        match self {
            StreamProtocol::Plain => framed.serve(&mut stream).await,
            StreamProtocol::Tls(tls) => tls.serve(stream, framed).await,
            StreamProtocol::Https(https) => https.serve(stream, framed).await,
        }
    }
}

/// Whether the process or the system has no descriptors or memory left.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)
    )
}
