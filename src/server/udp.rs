//! A UDP worker: one thread, one socket, whole batches.

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

use super::batch::{Datagram, DatagramBatch};
use super::conversation::PublishedSnapshot;
use super::limit::RateLimiter;
use super::proxy;
use super::stats::{AbuseEvent, WorkerStats};
use super::times::TIMED;
use crate::answer::policy::{Admission, NetworkSet, RateLimits};
use crate::answer::{
    CookieProof, Disposition, QueryContext, ReplySummary, Snapshot, Transport, answer,
    answer_limited, prohibit,
};
use crate::dns::QueryScratch;

/// One thread's share of the queries to one address.
pub struct UdpWorker {
    socket: UdpSocket,
    published: Arc<PublishedSnapshot>,
    stop: Arc<AtomicBool>,
    stats: Arc<WorkerStats>,
    limiter: Arc<RateLimiter>,
    /// Answers above the limit so far.
    slipped: Cell<u32>,
}

impl UdpWorker {
    /// A worker that is not running yet.
    pub fn new(
        socket: UdpSocket,
        published: Arc<PublishedSnapshot>,
        stop: Arc<AtomicBool>,
        stats: Arc<WorkerStats>,
        limiter: Arc<RateLimiter>,
    ) -> UdpWorker {
        UdpWorker {
            socket,
            published,
            stop,
            stats,
            limiter,
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
                // Nothing a client sends may panic. Should it happen all the same, one batch is lost, not a worker.
                while catch_unwind(AssertUnwindSafe(|| self.run(DatagramBatch::new(wildcard))))
                    .is_err()
                {
                    tracing::error!("a worker stumbled over a query; it lost a batch and goes on");
                }
            })
    }

    fn run(&self, mut batch: DatagramBatch) {
        let mut seed = RandomState::new().hash_one(0);
        // A cache of the pointer: as long as nothing was published, a batch costs one atomic load.
        let mut published = arc_swap::Cache::new(&*self.published);
        let mut scratch = QueryScratch::default();
        let mut batches: u64 = 0;
        while !self.stop.load(Ordering::Relaxed) {
            match batch.receive(&self.socket) {
                Ok(count) => {
                    batches = batches.wrapping_add(1);
                    seed = match batches.is_multiple_of(TIMED) {
                        true => self.answer_timed(
                            published.load(),
                            &mut batch,
                            count,
                            seed,
                            &mut scratch,
                        ),
                        false => self.answer_batch(
                            published.load(),
                            &mut batch,
                            count,
                            seed,
                            &mut scratch,
                        ),
                    };
                }
                Err(error) if is_passing(&error) => let_go(&mut published),
                Err(error) => {
                    tracing::error!(%error, "a UDP socket does not receive any more");
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
            }
        }
    }

    /// The same as [`UdpWorker::answer_batch`], by the clock.
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

    /// Answers all of a batch from one snapshot; returns the last seed.
    #[inline(always)]
    fn answer_batch(
        &self,
        snapshot: &Snapshot,
        batch: &mut DatagramBatch,
        count: usize,
        seed: u64,
        scratch: &mut QueryScratch,
    ) -> u64 {
        let mut moment = snapshot.client_context(self.stats.lane(), seed);
        for at in 0..count {
            moment.seed = moment.seed.wrapping_add(1);
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
                Admission::Serve => self.answer_within_limits(&mut datagram, &moment, scratch),
                admission => self.turn_away(admission, &mut datagram, &moment, scratch),
            };
            self.stats.count(answered.disposition);
            self.stats.note_proof(answered.proof);
            if answered.length > 0 {
                batch.reply(at, answered.length);
            }
        }
        batch.send(&self.socket);
        moment.seed
    }

    /// Answers, unless the client's network has been answered often enough.
    #[inline(always)]
    fn answer_within_limits(
        &self,
        datagram: &mut Datagram<'_>,
        moment: &QueryContext<'_>,
        scratch: &mut QueryScratch,
    ) -> ReplySummary {
        let Some(limits) = moment.snapshot.policy.limits_of(datagram.source) else {
            return datagram.answer(moment, scratch);
        };
        let Some(claim) = self.limiter.claim(limits, datagram.source) else {
            return self.answer_above(limits, datagram, moment, scratch);
        };
        let answered = datagram.answer(moment, scratch);
        if answered.length > 0 && answered.proof != CookieProof::Good {
            self.limiter.settle(&claim);
        }
        answered
    }

    #[cold]
    fn answer_above(
        &self,
        limits: &RateLimits,
        datagram: &mut Datagram<'_>,
        moment: &QueryContext<'_>,
        scratch: &mut QueryScratch,
    ) -> ReplySummary {
        if limits.rates.dry_run {
            let answered = datagram.answer(moment, scratch);
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
        let answered = answer_limited(octets, source, moment, scratch, *reply, truncated);
        match (answered.disposition, answered.length) {
            (Disposition::Limited, 0) => self.stats.note(AbuseEvent::LimitedDropped),
            (Disposition::Limited, _) => self.stats.note(AbuseEvent::LimitedTruncated),
            _ => {}
        }
        answered
    }

    /// Tells a client that it may not ask, as often as any other is told something; or tells it nothing.
    #[cold]
    fn turn_away(
        &self,
        admission: Admission,
        datagram: &mut Datagram<'_>,
        moment: &QueryContext<'_>,
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
        let claim = moment
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
        let answered = prohibit(octets, source, Transport::Udp, moment, scratch, *reply);
        if let Some(claim) = claim.flatten().filter(|_| answered.length > 0) {
            self.limiter.settle(&claim);
        }
        answered
    }
}

impl Datagram<'_> {
    /// Answers it into its place for a reply.
    #[inline(always)]
    fn answer(&mut self, moment: &QueryContext<'_>, scratch: &mut QueryScratch) -> ReplySummary {
        answer(
            self.octets,
            self.source,
            Transport::Udp,
            moment,
            scratch,
            self.reply,
        )
    }
}

/// Puts the client and its query in the place of a front and its words; false: a front says no such thing.
#[cold]
fn unwrap_from(fronts: &NetworkSet, datagram: &mut Datagram<'_>) -> bool {
    if !fronts.contains(datagram.source) {
        return true;
    }
    let unwrapped = proxy::unwrap(datagram.octets, datagram.source);
    if let Some((client, query)) = unwrapped {
        (datagram.source, datagram.octets) = (client, query);
    }
    unwrapped.is_some()
}

/// Nobody asks here at the moment: what is not published any more is let go, or the memory of each world that some idle
/// worker saw last would be kept.
#[cold]
#[inline(never)]
fn let_go(published: &mut arc_swap::Cache<&PublishedSnapshot, Arc<Snapshot>>) {
    published.load();
}

/// Nothing came in time, a signal came, or the kernel reports an earlier reply's failure.
fn is_passing(error: &io::Error) -> bool {
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
