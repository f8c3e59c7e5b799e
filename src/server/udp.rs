//! A UDP worker: one thread that answers the queries of one socket in batches.
//!
//! For each batch the worker loads the published snapshot once, then checks every datagram against
//! the fronts, the access list and the rate limits, and answers it into the reply buffer of the
//! batch. The loop allocates nothing, takes no lock and reads no clock, except that one batch in
//! `TIMED` is timed.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use super::batch::{Datagram, DatagramBatch, ReturnPath};
use super::conversation::PublishedSnapshot;
use super::limit::RateLimiter;
use super::postponed::{KeptQuery, PostponedQuery, PostponedQueue};
use super::proxy;
use super::stats::{AbuseEvent, WorkerStats};
use super::times::TIMED;
use crate::answer::policy::{Admission, NetworkSet, RateLimits};
use crate::answer::{
    CookieProof, Disposition, QueryContext, ReplySummary, Snapshot, Transport, answer,
    answer_limited, answer_truncated, prohibit,
};
use crate::dns::QueryScratch;

/// One thread's share of the queries to one address.
pub struct UdpWorker {
    socket: Arc<UdpSocket>,
    published: Arc<PublishedSnapshot>,
    stop: Arc<AtomicBool>,
    stats: Arc<WorkerStats>,
    limiter: Arc<RateLimiter>,
    /// Takes queries that need a new signature.
    postponed: PostponedQueue,
    /// Replies above the rate limit so far, for `slip`.
    slipped: Cell<u32>,
}

impl UdpWorker {
    /// A worker that is not running yet.
    pub(super) fn new(
        socket: UdpSocket,
        published: Arc<PublishedSnapshot>,
        stop: Arc<AtomicBool>,
        stats: Arc<WorkerStats>,
        limiter: Arc<RateLimiter>,
        postponed: PostponedQueue,
    ) -> UdpWorker {
        UdpWorker {
            socket: Arc::new(socket),
            published,
            stop,
            stats,
            limiter,
            postponed,
            slipped: Cell::new(0),
        }
    }

    /// Starts the thread. It ends when `stop` is set.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn spawn(self) -> io::Result<JoinHandle<()>> {
        let wildcard = self.socket.local_addr()?.ip().is_unspecified();
        std::thread::Builder::new()
            .name("dns-udp".to_owned())
            .spawn(move || {
                // No query may cause a panic. If one does, the batch is lost and the worker goes
                // on.
                while catch_unwind(AssertUnwindSafe(|| self.run(DatagramBatch::new(wildcard))))
                    .is_err()
                {
                    tracing::error!("a worker stumbled over a query; it lost a batch and goes on");
                }
            })
    }

    fn run(&self, mut batch: DatagramBatch) {
        let mut seed = RandomState::new().hash_one(0);
        // Caches the pointer: a batch costs one atomic load unless a new snapshot was published.
        let mut published = arc_swap::Cache::new(&*self.published);
        let mut scratch = QueryScratch::default();
        let mut batches: u64 = 0;
        while !self.stop.load(Ordering::Relaxed) {
            match batch.receive(&self.socket) {
                Ok(count) => {
                    batches = batches.wrapping_add(1);
                    let snapshot = published.load();
                    seed = if batches.is_multiple_of(TIMED) {
                        self.answer_timed(snapshot, &mut batch, count, seed, &mut scratch)
                    } else {
                        self.answer_batch(snapshot, &mut batch, count, seed, &mut scratch)
                    };
                }
                Err(error) if is_transient(&error) => release_old_snapshot(&mut published),
                Err(error) => {
                    tracing::error!(%error, "a UDP socket does not receive any more");
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
            }
        }
    }

    /// Does [`UdpWorker::answer_batch`] and records how long it took.
    #[cold]
    #[inline(never)]
    fn answer_timed(
        &self,
        snapshot: &Snapshot,
        batch: &mut DatagramBatch,
        count: usize,
        seed: u64,
        scratch: &mut QueryScratch,
    ) -> u64 {
        let start = Instant::now();
        let seed = self.answer_batch(snapshot, batch, count, seed, scratch);
        self.stats.times().add(start.elapsed(), count);
        seed
    }

    /// Answers a batch from one snapshot; returns the last seed.
    #[inline(always)]
    fn answer_batch(
        &self,
        snapshot: &Snapshot,
        batch: &mut DatagramBatch,
        count: usize,
        seed: u64,
        scratch: &mut QueryScratch,
    ) -> u64 {
        let mut context = snapshot.client_context(self.stats.lane(), seed);
        for at in 0..count {
            context.seed = context.seed.wrapping_add(1);
            let Some(mut datagram) = batch.datagram(at) else {
                self.stats.count(Disposition::Dropped);
                continue;
            };
            if let Some(fronts) = &snapshot.policy.fronts
                && !unwrap_from(fronts, &mut datagram)
            {
                self.stats.count(Disposition::Dropped);
                continue;
            }
            let answered = match snapshot.policy.access.admit(datagram.source) {
                Admission::Serve => self.answer_within_limits(&mut datagram, &context, scratch),
                admission => self.turn_away(admission, &mut datagram, &context, scratch),
            };
            if answered.length == 0 {
                let query = KeptQuery::of_postponed(&answered, &datagram);
                self.give_no_reply(answered, query, batch, at, &context, scratch);
                continue;
            }
            self.stats.count(answered.disposition);
            self.stats.note_proof(answered.proof);
            batch.reply(at, answered.length);
        }
        batch.send(&self.socket);
        context.seed
    }

    /// Answers, unless one of the client's networks is at its rate limit.
    #[inline(always)]
    fn answer_within_limits(
        &self,
        datagram: &mut Datagram<'_>,
        context: &QueryContext<'_>,
        scratch: &mut QueryScratch,
    ) -> ReplySummary {
        let Some(limits) = context.snapshot.policy.limits_of(datagram.source) else {
            return datagram.answer(context, scratch);
        };
        let Some(claim) = self.limiter.claim(limits, datagram.source) else {
            return self.answer_above(limits, datagram, context, scratch);
        };
        let answered = datagram.answer(context, scratch);
        let is_for_client = answered.length > 0 || answered.is_postponed();
        if is_for_client && answered.proof != CookieProof::Good {
            self.limiter.record(&claim);
        }
        answered
    }

    /// Counts a query without a reply, or hands it to the thread that signs. If that thread has too
    /// much to do, or the query is too long, the client is sent to TCP.
    #[cold]
    #[inline(never)]
    fn give_no_reply(
        &self,
        answered: ReplySummary,
        query: Option<KeptQuery>,
        batch: &mut DatagramBatch,
        at: usize,
        context: &QueryContext<'_>,
        scratch: &mut QueryScratch,
    ) {
        let mut answered = answered;
        if answered.is_postponed() {
            if self.postpone(query, batch.return_path(at)) {
                return;
            }
            self.stats.note(AbuseEvent::TooManyDenials);
            answered = truncated(batch, at, context, scratch);
        }
        self.stats.count(answered.disposition);
        self.stats.note_proof(answered.proof);
        if answered.length > 0 {
            batch.reply(at, answered.length);
        }
    }

    /// Puts a query into the queue of the thread that signs; false: there is no room.
    fn postpone(&self, query: Option<KeptQuery>, path: Option<ReturnPath>) -> bool {
        let (Some(query), Some(path)) = (query, path) else {
            return false;
        };
        let socket = self.socket.clone();
        let postponed = PostponedQuery {
            query,
            path,
            socket,
        };
        self.postponed.try_send(postponed).is_ok()
    }

    #[cold]
    fn answer_above(
        &self,
        limits: &RateLimits,
        datagram: &mut Datagram<'_>,
        context: &QueryContext<'_>,
        scratch: &mut QueryScratch,
    ) -> ReplySummary {
        if limits.rates.dry_run {
            let answered = datagram.answer(context, scratch);
            if answered.length > 0 && answered.proof != CookieProof::Good {
                self.stats.note(AbuseEvent::LimitedDryRun);
            }
            return answered;
        }
        let count = self.slipped.get().wrapping_add(1);
        self.slipped.set(count);
        let truncated = count.checked_rem(limits.rates.slip) == Some(0);
        let &mut Datagram {
            octets,
            source,
            ref mut reply,
        } = datagram;
        let answered = answer_limited(octets, source, context, scratch, *reply, truncated);
        match (answered.disposition, answered.length) {
            (Disposition::Limited, 0) => self.stats.note(AbuseEvent::LimitedDropped),
            (Disposition::Limited, _) => self.stats.note(AbuseEvent::LimitedTruncated),
            _ => {}
        }
        answered
    }

    /// Refuses a client that the access list denies, within the rate limits, or drops its query.
    #[cold]
    fn turn_away(
        &self,
        admission: Admission,
        datagram: &mut Datagram<'_>,
        context: &QueryContext<'_>,
        scratch: &mut QueryScratch,
    ) -> ReplySummary {
        let &mut Datagram {
            octets,
            source,
            ref mut reply,
        } = datagram;
        if admission == Admission::Ignore {
            self.stats.note(AbuseEvent::Ignored);
            return ReplySummary::NOTHING;
        }
        self.stats.note(AbuseEvent::Denied);
        let claim = context
            .snapshot
            .policy
            .limits_of(source)
            .map(|limits| self.limiter.claim(limits, source));
        if claim.as_ref().is_some_and(Option::is_none) {
            self.stats.note(AbuseEvent::LimitedDropped);
            return ReplySummary {
                disposition: Disposition::Limited,
                ..ReplySummary::NOTHING
            };
        }
        let answered = prohibit(octets, source, Transport::Udp, context, scratch, *reply);
        if let Some(claim) = claim.flatten().filter(|_| answered.length > 0) {
            self.limiter.record(&claim);
        }
        answered
    }
}

impl Datagram<'_> {
    /// Answers the datagram into its reply buffer.
    #[inline(always)]
    fn answer(&mut self, context: &QueryContext<'_>, scratch: &mut QueryScratch) -> ReplySummary {
        answer(
            self.octets,
            self.source,
            Transport::Udp,
            context,
            scratch,
            self.reply,
        )
    }
}

/// Writes a reply with TC to a datagram of a batch.
fn truncated(
    batch: &mut DatagramBatch,
    at: usize,
    context: &QueryContext<'_>,
    scratch: &mut QueryScratch,
) -> ReplySummary {
    let Some(mut datagram) = batch.datagram(at) else {
        return ReplySummary::NOTHING;
    };
    if let Some(fronts) = &context.snapshot.policy.fronts
        && !unwrap_from(fronts, &mut datagram)
    {
        return ReplySummary::NOTHING;
    }
    let Datagram {
        octets,
        source,
        reply,
    } = datagram;
    answer_truncated(octets, source, context, scratch, reply)
}

/// Replaces a front by the client that its PROXY header names; false if a front sent no valid
/// header.
#[cold]
fn unwrap_from(fronts: &NetworkSet, datagram: &mut Datagram<'_>) -> bool {
    if !fronts.contains(datagram.source) {
        return true;
    }
    let Some((client, query)) = proxy::unwrap(datagram.octets, datagram.source) else {
        return false;
    };
    datagram.source = client;
    datagram.octets = query;
    true
}

/// Drops the cached snapshot if a newer one is published, so that an idle worker does not keep the
/// memory of an old catalog.
#[cold]
#[inline(never)]
fn release_old_snapshot(published: &mut arc_swap::Cache<&PublishedSnapshot, Arc<Snapshot>>) {
    published.load();
}

/// The read timed out, a signal came, or the kernel reports the failure of an earlier reply.
fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable, TimedOut, WouldBlock,
    };
    matches!(
        error.kind(),
        WouldBlock
            | Interrupted
            | TimedOut
            | ConnectionRefused
            | HostUnreachable
            | NetworkUnreachable
    )
}
