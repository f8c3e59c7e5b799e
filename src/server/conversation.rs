//! One client's queries on a transport that carries whole messages: admitted, answered and counted.

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

/// What the workers answer from: one load per batch, swapped as a whole.
pub type PublishedSnapshot = ArcSwap<Snapshot>;

/// Longest query that is read.
pub const QUERY: usize = 8192;
/// Longest reply.
const REPLY: usize = u16::MAX as usize;

/// What is said to one client.
#[derive(Clone)]
pub struct Conversation {
    client: ClientAddress,
    carrier: TransportKind,
    published: Arc<PublishedSnapshot>,
    stats: Arc<WorkerStats>,
    draw: u64,
}

/// Why there is no reply. Nothing good follows on a connection of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReply {
    /// The client is to hear nothing.
    Ignored,
    /// The message is no query that may be answered.
    Unfit,
}

impl Conversation {
    /// The first word is the client's.
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

    /// Whether a front speaks here, which says first who the client is.
    pub fn is_with_front(&self) -> bool {
        self.published
            .load()
            .policy
            .fronts
            .as_ref()
            .is_some_and(|fronts| fronts.contains(self.client))
    }

    /// Who it is with.
    pub fn client(&self) -> ClientAddress {
        self.client
    }

    /// The same for the client of a front.
    pub fn of(self, client: ClientAddress) -> Conversation {
        Conversation { client, ..self }
    }

    /// Appends the reply to one message.
    pub fn answer(&mut self, message: &[u8], output: &mut Vec<u8>) -> Result<(), NoReply> {
        self.draw = next_draw(self.draw);
        let start = output.len();
        output.resize(start + REPLY, 0);
        let timed = self.draw.is_multiple_of(TIMED).then(Instant::now);
        let written = self.write(message, &mut output[start..]);
        timed.inspect(|timed| self.stats.times().add(timed.elapsed(), 1));
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
        let moment = snapshot.client_context(self.stats.lane(), self.draw);
        let (client, transport, scratch) = (
            self.client,
            self.carrier.transport(),
            &mut QueryScratch::default(),
        );
        let answered = match snapshot.policy.access.admit(client) {
            Admission::Serve => answer(message, client, transport, &moment, scratch, reply),
            Admission::Refuse => {
                self.stats.note(AbuseEvent::Denied);
                prohibit(message, client, transport, &moment, scratch, reply)
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
    /// What bounds a reply and its options.
    fn transport(self) -> Transport {
        match self {
            TransportKind::Udp => Transport::Udp,
            TransportKind::Tcp | TransportKind::Tls => Transport::Stream,
            TransportKind::Https | TransportKind::Quic => Transport::Exchange,
        }
    }
}
