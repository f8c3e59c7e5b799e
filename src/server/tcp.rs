//! Connections over TCP: accepted within limits, then spoken on as their listener says.

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

/// Pause after the system refuses a connection for want of descriptors, so that the loop does not spin.
const RECOVER: Duration = Duration::from_millis(100);

/// What is spoken on a connection.
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
    spoken: StreamProtocol,
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
        spoken: StreamProtocol,
        published: Arc<PublishedSnapshot>,
        limiter: Arc<ConnectionLimiter>,
        stats: Arc<WorkerStats>,
    ) -> io::Result<StreamListener> {
        Ok(StreamListener {
            listener: TcpListener::from_std(listener)?,
            spoken,
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
                // The client was gone again.
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
        let (number, spoken) = (permit.number, self.spoken.clone());
        let (published, stats) = (self.published.clone(), self.stats.clone());
        let conversation = Conversation::new(client, spoken.carrier(), published, stats);
        let framed = FramedConnection {
            conversation,
            idle: self.limiter.idle(),
            permit,
        };
        let task = tokio::spawn(async move {
            // Whatever ends a connection early is the client's affair, and no news at any hour.
            let _ = spoken.speak(stream, framed).await;
        });
        self.limiter.watch(number, task.abort_handle());
    }
}

impl StreamProtocol {
    /// What it is counted as.
    pub fn carrier(&self) -> TransportKind {
        match self {
            StreamProtocol::Plain => TransportKind::Tcp,
            StreamProtocol::Tls(_) => TransportKind::Tls,
            StreamProtocol::Https(_) => TransportKind::Https,
        }
    }

    async fn speak(self, mut stream: TcpStream, mut framed: FramedConnection) -> io::Result<()> {
        stream.set_nodelay(true)?;
        if framed.conversation.is_with_front() {
            let client = timeout(
                framed.idle,
                proxy::read(&mut stream, framed.conversation.client()),
            )
            .await??;
            framed.conversation = framed.conversation.of(client);
        }
        match self {
            StreamProtocol::Plain => framed.serve(&mut stream).await,
            StreamProtocol::Tls(tls) => tls.serve(stream, framed).await,
            StreamProtocol::Https(https) => https.serve(stream, framed).await,
        }
    }
}

/// No descriptor or memory is left, for this process or for all.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)
    )
}
