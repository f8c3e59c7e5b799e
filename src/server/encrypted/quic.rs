//! DNS over QUIC (RFC 9250): one query on each stream.

use std::io;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, Endpoint, EndpointConfig, Incoming, ReadToEndError, RecvStream, SendStream,
    ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::TlsIdentity;
use super::tls::HANDSHAKE;
use crate::dns::edns::OPTION_KEEPALIVE;
use crate::dns::message::option;
use crate::net::ClientAddress;
use crate::server::connections::{ConnectionLimiter, ConnectionPermit};
use crate::server::conversation::{Conversation, QUERY};
use crate::server::framed::answer_framed;
use crate::server::{PublishedSnapshot, TransportKind, WorkerStats};

/// DOQ_NO_ERROR (RFC 9250 section 4.3)
const NO_ERROR: VarInt = VarInt::from_u32(0);
/// DOQ_PROTOCOL_ERROR
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);

/// Queries of one connection that are under way at a time.
const STREAMS: u32 = 100;
/// Octets of one query, and of all queries of a connection, that are taken before they are read.
const STREAM_WINDOW: u32 = 8 << 10;
const WINDOW: u32 = 64 << 10;
/// Octets of replies that wait for one client that does not take them.
const SEND_WINDOW: u64 = 128 << 10;

/// Takes connections on one address.
pub struct QuicListener {
    endpoint: Endpoint,
    published: Arc<PublishedSnapshot>,
    limiter: Arc<ConnectionLimiter>,
    stats: Arc<WorkerStats>,
}

/// One connection.
struct Desk {
    conversation: Mutex<Conversation>,
    permit: ConnectionPermit,
}

impl QuicListener {
    /// Takes over a socket. Needs a tokio runtime.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub fn new(
        socket: UdpSocket,
        identity: Arc<TlsIdentity>,
        published: Arc<PublishedSnapshot>,
        limiter: Arc<ConnectionLimiter>,
        stats: Arc<WorkerStats>,
    ) -> io::Result<QuicListener> {
        let settings =
            QuicServerConfig::try_from(identity.settings(&[b"doq"])).map_err(io::Error::other)?;
        let mut server = ServerConfig::with_crypto(Arc::new(settings));
        server.transport_config(Arc::new(transport(&limiter)));
        // Answers and limits go by the address that a connection began with.
        server.migration(false);
        let endpoint = Endpoint::new(
            EndpointConfig::default(),
            Some(server),
            socket,
            Arc::new(TokioRuntime),
        )?;
        Ok(QuicListener {
            endpoint,
            published,
            limiter,
            stats,
        })
    }

    /// Takes connections until the task is aborted.
    pub async fn run(self) {
        while let Some(incoming) = self.endpoint.accept().await {
            self.welcome(incoming);
        }
    }

    fn welcome(&self, incoming: Incoming) {
        let client = ClientAddress::from(incoming.remote_address().ip());
        // Seats become few: forged addresses must not take them, so each address is proven first, at the cost of a round
        // trip (RFC 9000 section 8.1.2).
        if self.limiter.is_half_full(client) && !incoming.remote_address_validated() {
            let _ = incoming.retry();
            return;
        }
        let permit = self.limiter.enter(client, &self.stats);
        let number = permit.number;
        let desk = self.desk(client, permit);
        let task = tokio::spawn(async move {
            if let Ok(connecting) = incoming.accept()
                && let Ok(Ok(connection)) = timeout(HANDSHAKE, connecting).await
            {
                desk.serve(connection).await;
            }
        });
        self.limiter.watch(number, task.abort_handle());
    }

    fn desk(&self, client: ClientAddress, permit: ConnectionPermit) -> Arc<Desk> {
        let (published, stats) = (self.published.clone(), self.stats.clone());
        let conversation = Conversation::new(client, TransportKind::Quic, published, stats);
        Arc::new(Desk {
            conversation: Mutex::new(conversation),
            permit,
        })
    }
}

/// Limits of a connection.
fn transport(limiter: &ConnectionLimiter) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(0));
    transport
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(WINDOW));
    transport
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None);
    transport.max_idle_timeout(limiter.idle().try_into().ok());
    transport
}

impl Desk {
    /// Answers until the client leaves, breaks the rules or asks nothing for too long.
    async fn serve(self: Arc<Desk>, connection: Connection) {
        let mut exchanges = JoinSet::new();
        loop {
            tokio::select! {
                stream = connection.accept_bi() => match stream {
                    Ok((send, receive)) => {
                        exchanges.spawn(self.clone().exchange(connection.clone(), send, receive));
                    }
                    Err(_) => return,
                },
                Some(_) = exchanges.join_next() => {}
                () = self.permit.revoked() => return connection.close(NO_ERROR, b""),
            }
        }
    }

    /// One query and its reply. A query that the client gives up breaks no rule.
    async fn exchange(
        self: Arc<Desk>,
        connection: Connection,
        mut send: SendStream,
        mut receive: RecvStream,
    ) {
        let framed = match receive.read_to_end(2 + QUERY).await {
            Ok(framed) => framed,
            Err(ReadToEndError::TooLong) => return connection.close(PROTOCOL_ERROR, b""),
            Err(ReadToEndError::Read(_)) => return,
        };
        // Closed while the stream is open: a stream that is let go of ends well, without a reply.
        let Some(reply) = self.answer(&framed) else {
            return connection.close(PROTOCOL_ERROR, b"");
        };
        if send.write_all(&reply).await.is_ok() {
            let _ = send.finish();
        }
    }

    /// The reply to one message, both with their length in front; `None` where the connection is to end (RFC 9250 sections
    /// 4.2.1, 4.3.3 and 5.5.2).
    fn answer(&self, framed: &[u8]) -> Option<Vec<u8>> {
        let (length, message) = framed.split_first_chunk::<2>()?;
        let whole = usize::from(u16::from_be_bytes(*length)) == message.len();
        let numbered = !message.starts_with(&[0, 0]);
        if !whole || numbered || option(message, OPTION_KEEPALIVE).is_some() {
            return None;
        }
        let mut output = Vec::new();
        let mut conversation = self
            .conversation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        answer_framed(&mut conversation, message, &mut output)?;
        self.permit.touch();
        output.shrink_to_fit();
        Some(output)
    }
}
