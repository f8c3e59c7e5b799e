//! UDP queries that need a signature which nobody has made yet: denials of names that do not exist, in
//! zones with compact denial (RFC 9824).
//!
//! A worker of UDP has no keys. It puts such a query into a bounded queue and goes on; a thread of its
//! own signs, within the rate of the configuration, and replies on the worker's socket. When the queue is
//! full, the worker replies with TC, so that the client comes again over TCP.

use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::batch::{Datagram, REPLY, ReturnPath};
use super::conversation::PublishedSnapshot;
use super::stats::WorkerStats;
use crate::answer::{ReplySummary, Transport, answer};
use crate::dns::QueryScratch;
use crate::net::ClientAddress;
use crate::steering::pick::next_draw;

/// Queries that may wait: an eighth of a second at the usual rate.
const WAITING: usize = 256;
/// Longest query that is kept, in octets. No name and no options of a resolver need more.
const KEPT: usize = 512;

/// A copy of a query.
pub(super) struct KeptQuery {
    octets: [u8; KEPT],
    length: usize,
    source: ClientAddress,
}

impl KeptQuery {
    /// Copies a query that is postponed; `None` if it is not, or is too long.
    #[cold]
    pub(super) fn of_postponed(
        answered: &ReplySummary,
        datagram: &Datagram<'_>,
    ) -> Option<KeptQuery> {
        if !answered.is_postponed() {
            return None;
        }
        let mut octets = [0; KEPT];
        let length = datagram.octets.len();
        octets.get_mut(..length)?.copy_from_slice(datagram.octets);
        Some(KeptQuery {
            octets,
            length,
            source: datagram.source,
        })
    }
}

/// A query that waits, and the way back to its client.
pub(super) struct PostponedQuery {
    pub(super) query: KeptQuery,
    pub(super) path: ReturnPath,
    pub(super) socket: Arc<UdpSocket>,
}

/// Where workers put such queries.
pub(super) type PostponedQueue = SyncSender<PostponedQuery>;

/// The thread that answers them.
pub(super) struct PostponedWorker {
    queue: Receiver<PostponedQuery>,
    published: Arc<PublishedSnapshot>,
    stats: Arc<WorkerStats>,
}

impl PostponedWorker {
    /// A thread that is not running yet, and its queue.
    pub(super) fn new(
        published: Arc<PublishedSnapshot>,
        stats: Arc<WorkerStats>,
    ) -> (PostponedWorker, PostponedQueue) {
        let (sender, queue) = sync_channel(WAITING);
        let worker = PostponedWorker {
            queue,
            published,
            stats,
        };
        (worker, sender)
    }

    /// Starts the thread. It ends when the last worker has.
    ///
    /// # Errors
    /// No thread can be had.
    pub(super) fn spawn(self) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new()
            .name("dns-denials".to_owned())
            .spawn(move || {
                // As in the other workers, no query may end the thread.
                while catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
                    tracing::error!("a denial could not be answered; the next ones are");
                }
            })
    }

    fn run(&self) {
        let (mut draw, mut scratch) = (0, QueryScratch::default());
        let mut reply = [0; REPLY];
        while let Ok(query) = self.queue.recv() {
            draw = next_draw(draw);
            self.answer(query, draw, &mut scratch, &mut reply);
        }
    }

    fn answer(
        &self,
        postponed: PostponedQuery,
        draw: u64,
        scratch: &mut QueryScratch,
        reply: &mut [u8; REPLY],
    ) {
        let PostponedQuery {
            query,
            mut path,
            socket,
        } = postponed;
        let length = self.write(&query, draw, scratch, reply);
        if let Some(octets) = reply.get_mut(..length).filter(|it| !it.is_empty()) {
            path.send(&socket, octets);
        }
    }

    /// Writes the reply to one query and counts it; returns its length.
    fn write(
        &self,
        query: &KeptQuery,
        draw: u64,
        scratch: &mut QueryScratch,
        reply: &mut [u8; REPLY],
    ) -> usize {
        let snapshot = self.published.load();
        let context = snapshot.signing_context(self.stats.lane(), draw);
        let message = query.octets.get(..query.length).unwrap_or_default();
        let transport = Transport::Udp;
        let answered = answer(message, query.source, transport, &context, scratch, reply);
        self.stats.count(answered.disposition);
        self.stats.note_proof(answered.proof);
        answered.length
    }
}
