//! One client's queries on a transport that carries whole messages (TCP, TLS, HTTPS, QUIC).
//!
//! A [`Conversation`] checks the access list, answers each message from the published snapshot and
//! counts the result. The transports do the framing: they hand in one message at a time and send
//! the reply. UDP does the same for batches, in [`udp`](super::udp).

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use super::stats::{AbuseEvent, TransportKind, WorkerStats};
use super::times::TIMED;
use crate::answer::policy::Admission;
use crate::answer::{Disposition, ReplySummary, Snapshot, Transport, answer, prohibit};
use crate::dns::{QueryScratch, message};
use crate::net::ClientAddress;
use crate::steering::pick::next_draw;

/// The snapshot that workers answer from, loaded once per batch and replaced as a whole.
pub type PublishedSnapshot = ArcSwap<Snapshot>;

/// Longest query that is read, in octets.
pub const QUERY: usize = 8192;
/// Longest reply, in octets.
const REPLY: usize = u16::MAX as usize;

/// The exchange of messages with one client.
#[derive(Clone)]
pub struct Conversation {
    client: ClientAddress,
    carrier: TransportKind,
    published: Arc<PublishedSnapshot>,
    stats: Arc<WorkerStats>,
    draw: u64,
}

/// Why there is no reply. A stream is closed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReply {
    /// The access list drops this client.
    Ignored,
    /// The message is not a query that may be answered.
    Unfit,
}

impl Conversation {
    /// A conversation with `client`, before its first query.
    pub fn new(
        client: ClientAddress,
        carrier: TransportKind,
        published: Arc<PublishedSnapshot>,
        stats: Arc<WorkerStats>,
    ) -> Conversation {
        let draw = RandomState::new().hash_one(client);
        Conversation {
            client,
            carrier,
            published,
            stats,
            draw,
        }
    }

    /// Whether the peer is a front, which sends a PROXY header before the queries.
    pub fn is_with_front(&self) -> bool {
        match &self.published.load().policy.fronts {
            Some(fronts) => fronts.contains(self.client),
            None => false,
        }
    }

    /// The client.
    pub fn client(&self) -> ClientAddress {
        self.client
    }

    /// The same conversation, with the client that a front named.
    pub fn with_client(self, client: ClientAddress) -> Conversation {
        Conversation { client, ..self }
    }

    /// Appends the reply to one message.
    pub fn answer(&mut self, message: &[u8], output: &mut Vec<u8>) -> Result<(), NoReply> {
        self.draw = next_draw(self.draw);
        let start = output.len();
        output.resize(start + REPLY, 0);
        let written = if self.draw.is_multiple_of(TIMED) {
            let started = Instant::now();
            let written = self.write(message, &mut output[start..]);
            self.stats.times().add(started.elapsed(), 1);
            written
        } else {
            self.write(message, &mut output[start..])
        };
        output.truncate(start + written.unwrap_or(0));
        written.map(|_| ())
    }

    /// Counts a message that is too long to be read.
    pub fn count_dropped(&self) {
        self.stats.count_shared(Disposition::Dropped);
    }

    /// Writes the reply into `reply`; returns its length.
    fn write(&self, message: &[u8], reply: &mut [u8]) -> Result<usize, NoReply> {
        let snapshot = self.published.load();
        let context = snapshot.signing_context(self.stats.lane(), self.draw);
        let client = self.client;
        let transport = self.carrier.transport();
        let scratch = &mut QueryScratch::default();
        let answered = match snapshot.policy.access.admit(client) {
            Admission::Serve => answer(message, client, transport, &context, scratch, reply),
            Admission::Refuse => {
                self.stats.note(AbuseEvent::Denied);
                prohibit(message, client, transport, &context, scratch, reply)
            }
            Admission::Ignore => {
                self.stats.note(AbuseEvent::Ignored);
                self.stats.count_shared(ReplySummary::NOTHING.disposition);
                return Err(NoReply::Ignored);
            }
        };
        self.stats.count_shared(answered.disposition);
        self.stats.note_proof(answered.proof);
        match answered.length {
            0 => Err(NoReply::Unfit),
            length if self.carrier.is_encrypted() => Ok(message::pad(message, reply, length)),
            length => Ok(length),
        }
    }
}

impl TransportKind {
    /// The rules for the size and the options of a reply.
    fn transport(self) -> Transport {
        match self {
            TransportKind::Udp => Transport::Udp,
            TransportKind::Tcp | TransportKind::Tls => Transport::Stream,
            TransportKind::Https | TransportKind::Quic => Transport::Exchange,
        }
    }
}
