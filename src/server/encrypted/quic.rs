//! DNS over QUIC (RFC 9250), with one query on each stream.
//!
//! A [`QuicListener`] accepts connections within the limits that all transports share. When half of
//! the limits is used, it validates addresses with a Retry packet first. A message that breaks the
//! rules of RFC 9250 closes the connection with `DOQ_PROTOCOL_ERROR`.

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

/// Most concurrent queries of one connection.
const STREAMS: u32 = 100;
/// Receive windows in octets, for one query and for all queries of a connection.
const STREAM_WINDOW: u32 = 8 << 10;
const WINDOW: u32 = 64 << 10;
/// Most octets of replies in flight to one client.
const SEND_WINDOW: u64 = 128 << 10;

/// Accepts QUIC connections on one address.
pub struct QuicListener {
    endpoint: Endpoint,
    published: Arc<PublishedSnapshot>,
    limiter: Arc<ConnectionLimiter>,
    stats: Arc<WorkerStats>,
}

/// What the streams of one connection share.
struct QuicConnection {
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
        // Answers and limits use the address with which a connection started.
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

    /// Accepts connections until the task is aborted.
    pub async fn run(self) {
        while let Some(incoming) = self.endpoint.accept().await {
            self.welcome(incoming);
        }
    }

    fn welcome(&self, incoming: Incoming) {
        let client = ClientAddress::from(incoming.remote_address().ip());
        // Connections become scarce. A Retry packet proves the address of the client, at the cost
        // of a round trip, so that forged addresses use up none (RFC 9000 section 8.1.2).
        if self.limiter.is_half_full(client) && !incoming.remote_address_validated() {
            let _ = incoming.retry();
            return;
        }
        let permit = self.limiter.enter(client, &self.stats);
        let number = permit.number;
        let shared = self.connection(client, permit);
        let task = tokio::spawn(async move {
            if let Ok(connecting) = incoming.accept()
                && let Ok(Ok(connection)) = timeout(HANDSHAKE, connecting).await
            {
                shared.serve(connection).await;
            }
        });
        self.limiter.watch(number, task.abort_handle());
    }

    fn connection(&self, client: ClientAddress, permit: ConnectionPermit) -> Arc<QuicConnection> {
        let conversation = Conversation::new(
            client,
            TransportKind::Quic,
            self.published.clone(),
            self.stats.clone(),
        );
        Arc::new(QuicConnection {
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

impl QuicConnection {
    /// Answers until the client closes the connection, breaks the rules or is idle for too long.
    async fn serve(self: Arc<QuicConnection>, connection: Connection) {
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

    /// Answers the query of one stream. A client may cancel a query.
    async fn exchange(
        self: Arc<QuicConnection>,
        connection: Connection,
        mut send: SendStream,
        mut receive: RecvStream,
    ) {
        let framed = match receive.read_to_end(2 + QUERY).await {
            Ok(framed) => framed,
            Err(ReadToEndError::TooLong) => return connection.close(PROTOCOL_ERROR, b""),
            Err(ReadToEndError::Read(_)) => return,
        };
        // Close the connection while the stream is open: a dropped stream would end normally.
        let Some(reply) = self.answer(&framed) else {
            return connection.close(PROTOCOL_ERROR, b"");
        };
        if send.write_all(&reply).await.is_ok() {
            let _ = send.finish();
        }
    }

    /// The reply to one message, both with their length in front; `None` if the message breaks the
    /// rules (RFC 9250 sections 4.2.1, 4.3.3 and 5.5.2).
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
