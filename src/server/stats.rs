//! Counters and times of one worker each, summed when somebody asks.

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

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::times::{Histogram, WorkerTimes};
use crate::answer::{CookieProof, Disposition};

/// What queries come on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TransportKind {
    /// Datagrams.
    Udp,
    /// RFC 7766
    Tcp,
    /// RFC 7858
    Tls,
    /// RFC 8484
    Https,
    /// RFC 9250
    Quic,
}

impl TransportKind {
    /// Every one with its word, in the order of their numbers.
    pub const ALL: [(&str, TransportKind); 5] = [
        ("udp", TransportKind::Udp),
        ("tcp", TransportKind::Tcp),
        ("tls", TransportKind::Tls),
        ("https", TransportKind::Https),
        ("quic", TransportKind::Quic),
    ];

    /// Whether nobody on the way can read along.
    pub fn is_encrypted(self) -> bool {
        matches!(
            self,
            TransportKind::Tls | TransportKind::Https | TransportKind::Quic
        )
    }
}

/// What is done about abuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AbuseEvent {
    /// Above the limit: TC was sent, and no records.
    LimitedTruncated,
    /// Above the limit: nothing was sent.
    LimitedDropped,
    /// Above the limit, and answered, because that is only tried out.
    LimitedDryRun,
    /// REFUSED by `allow` or `deny`.
    Denied,
    /// Passed over by `drop`.
    Ignored,
    /// A connection left because there were too many in all.
    Evicted,
    /// A connection left because its client had too many.
    EvictedOfClient,
    /// A connection was given a place.
    Connected,
    /// A query had a cookie of ours.
    GoodCookie,
    /// A query had a cookie that was none of ours, so that it got one.
    NewCookie,
}

impl AbuseEvent {
    /// How many there are.
    pub const COUNT: usize = 10;
}

/// What became of one worker's queries. Only its worker writes it, so counting is a plain load and store.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerStats {
    verdicts: [AtomicU64; Disposition::COUNT],
    events: [AtomicU64; AbuseEvent::COUNT],
    lane: u8,
    times: WorkerTimes,
}

impl WorkerStats {
    /// Counts what was done about abuse, from any thread.
    #[cold]
    pub fn note(&self, event: AbuseEvent) {
        if let Some(counter) = self.events.get(event as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Where its worker counts the answers of regions: another one for each worker, as far as there are.
    #[inline]
    pub fn lane(&self) -> u8 {
        self.lane
    }

    /// Counts one query. Must be called by one thread only.
    #[inline]
    pub fn count(&self, verdict: Disposition) {
        if let Some(counter) = self.verdicts.get(verdict as usize) {
            counter.store(
                counter.load(Ordering::Relaxed).wrapping_add(1),
                Ordering::Relaxed,
            );
        }
    }

    /// Counts what the cookie of a query said, from any thread.
    #[inline]
    pub fn note_proof(&self, proof: CookieProof) {
        if proof != CookieProof::None {
            self.note(if proof == CookieProof::Good {
                AbuseEvent::GoodCookie
            } else {
                AbuseEvent::NewCookie
            });
        }
    }

    /// How long its worker takes.
    pub fn times(&self) -> &WorkerTimes {
        &self.times
    }

    /// Counts one query from any thread.
    pub fn count_shared(&self, verdict: Disposition) {
        if let Some(counter) = self.verdicts.get(verdict as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What was counted in all, to be counted on by another process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StatsTotals {
    /// By carrier, the verdicts in the order of their numbers.
    queries: Vec<(String, Vec<u64>)>,
    /// In the order of their numbers.
    events: Vec<u64>,
}

/// All workers' stats.
#[derive(Debug, Default)]
pub struct ServerStats {
    workers: Mutex<Vec<(TransportKind, Arc<WorkerStats>)>>,
    connections: Arc<AtomicUsize>,
}

impl ServerStats {
    /// A stats for one more worker.
    pub fn register(&self, carrier: TransportKind) -> Arc<WorkerStats> {
        let mut all = self.all();
        let stats = Arc::new(WorkerStats {
            lane: all.len() as u8,
            ..WorkerStats::default()
        });
        all.push((carrier, stats.clone()));
        stats
    }

    /// Everything so far.
    pub fn counted(&self) -> StatsTotals {
        let queries = TransportKind::ALL.map(|(word, wanted)| {
            (
                word.to_owned(),
                self.sums_on(|carrier| carrier == wanted).into(),
            )
        });
        StatsTotals {
            queries: queries.into(),
            events: self.events().into(),
        }
    }

    /// Counts on from what another process has counted.
    pub fn count_on(&self, counted: &StatsTotals) {
        for (word, verdicts) in &counted.queries {
            let Some((_, carrier)) = TransportKind::ALL
                .into_iter()
                .find(|(known, _)| known == word)
            else {
                continue;
            };
            let stats = self.register(carrier);
            stats
                .verdicts
                .iter()
                .zip(verdicts)
                .for_each(|(counter, count)| counter.store(*count, Ordering::Relaxed));
            if carrier == TransportKind::Udp {
                stats
                    .events
                    .iter()
                    .zip(&counted.events)
                    .for_each(|(counter, count)| counter.store(*count, Ordering::Relaxed));
            }
        }
    }

    /// How often each was done about abuse.
    #[expect(
        clippy::indexing_slicing,
        reason = "one array is made from others of its length"
    )]
    pub fn events(&self) -> [u64; AbuseEvent::COUNT] {
        let stats = self.all();
        std::array::from_fn(|event| {
            stats
                .iter()
                .map(|(_, stats)| stats.events[event].load(Ordering::Relaxed))
                .sum()
        })
    }

    /// The sums, by verdict.
    pub fn sums(&self) -> [u64; Disposition::COUNT] {
        self.sums_on(|_| true)
    }

    /// The sums of all queries, by what they came on.
    pub fn by_carrier(&self) -> [(&'static str, u64); TransportKind::ALL.len()] {
        TransportKind::ALL
            .map(|(word, wanted)| (word, self.sums_on(|carrier| carrier == wanted).iter().sum()))
    }

    /// How long answers took, by what the queries came on.
    pub fn times(&self) -> [(&'static str, Histogram); TransportKind::ALL.len()] {
        let all = self.all();
        TransportKind::ALL.map(|(word, wanted)| {
            let of_it = all.iter().filter(|(carrier, _)| *carrier == wanted);
            (word, Histogram::of(of_it.map(|(_, stats)| &stats.times)))
        })
    }

    /// Connections that are open, to be counted by whoever gives them their places.
    pub fn connections(&self) -> &Arc<AtomicUsize> {
        &self.connections
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "one array is made from others of its length"
    )]
    fn sums_on(&self, is_wanted: impl Fn(TransportKind) -> bool) -> [u64; Disposition::COUNT] {
        let all = self.all();
        let wanted = || {
            all.iter()
                .filter(|(carrier, _)| is_wanted(*carrier))
                .map(|(_, stats)| &stats.verdicts)
        };
        std::array::from_fn(|verdict| {
            wanted()
                .map(|counters| counters[verdict].load(Ordering::Relaxed))
                .sum()
        })
    }

    fn all(&self) -> MutexGuard<'_, Vec<(TransportKind, Arc<WorkerStats>)>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
