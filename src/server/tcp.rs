//! Connections over TCP: accepted within limits, then spoken on as their listener says.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::conversation::Conversation;
use super::encrypted::{Https, Tls};
use super::framed::Framed;
use super::proxy;
use super::seats::Gate;
use super::{Carrier, Event, Published, Tally};
use crate::net::ClientAddress;

/// Pause after the system refuses a connection for want of descriptors, so that the loop does not spin.
const RECOVER: Duration = Duration::from_millis(100);

/// What is spoken on a connection.
#[derive(Clone)]
pub enum Spoken {
    /// DNS over TCP (RFC 7766).
    Plain,
    /// DNS over TLS (RFC 7858).
    Tls(Tls),
    /// DNS over HTTPS (RFC 8484).
    Https(Https),
}

/// Accepts connections on one address.
pub struct Listener {
    listener: TcpListener,
    spoken: Spoken,
    published: Arc<Published>,
    gate: Arc<Gate>,
    tally: Arc<Tally>,
}

impl Listener {
    /// Takes over a non-blocking listener. Needs a tokio runtime.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub fn new(
        listener: std::net::TcpListener,
        spoken: Spoken,
        published: Arc<Published>,
        gate: Arc<Gate>,
        tally: Arc<Tally>,
    ) -> io::Result<Listener> {
        Ok(Listener { listener: TcpListener::from_std(listener)?, spoken, published, gate, tally })
    }

    /// Accepts until the task is aborted.
    pub async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, client)) => self.welcome(stream, client),
                // The client was gone again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if is_out_of_descriptors(&error) && self.gate.evict() {
                        self.tally.note(Event::Evicted);
                    }
                    tokio::time::sleep(RECOVER).await;
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, client: SocketAddr) {
        let client = ClientAddress::from(client.ip());
        let seat = self.gate.enter(client, &self.tally);
        let (number, spoken) = (seat.number, self.spoken.clone());
        let (published, tally) = (self.published.clone(), self.tally.clone());
        let conversation = Conversation::new(client, spoken.carrier(), published, tally);
        let framed = Framed { conversation, idle: self.gate.idle(), seat };
        let task = tokio::spawn(async move {
            // Whatever ends a connection early is the client's affair, and no news at any hour.
            let _ = spoken.speak(stream, framed).await;
        });
        self.gate.watch(number, task.abort_handle());
    }
}

impl Spoken {
    /// What it is counted as.
    pub fn carrier(&self) -> Carrier {
        match self {
            Spoken::Plain => Carrier::Tcp,
            Spoken::Tls(_) => Carrier::Tls,
            Spoken::Https(_) => Carrier::Https,
        }
    }

    async fn speak(self, mut stream: TcpStream, mut framed: Framed) -> io::Result<()> {
        stream.set_nodelay(true)?;
        if framed.conversation.is_with_front() {
            let client = timeout(framed.idle, proxy::read(&mut stream, framed.conversation.client())).await??;
            framed.conversation = framed.conversation.of(client);
        }
        match self {
            Spoken::Plain => framed.serve(&mut stream).await,
            Spoken::Tls(tls) => tls.serve(stream, framed).await,
            Spoken::Https(https) => https.serve(stream, framed).await,
        }
    }
}

/// No descriptor or memory is left, for this process or for all.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS))
}
