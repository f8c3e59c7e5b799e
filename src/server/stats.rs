//! Counters and answer times of each worker.
//!
//! A UDP worker is the only writer of its counters, so counting is a plain load and store. The
//! tasks of the other transports share theirs and use atomic additions. [`ServerStats`] sums all
//! workers when the admin API asks, and hands the totals to a successor.

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

/// The transport of a query, as it is counted.
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
    /// Every transport with its name in metrics, in the order of the discriminants.
    pub const ALL: [(&str, TransportKind); 5] = [
        ("udp", TransportKind::Udp),
        ("tcp", TransportKind::Tcp),
        ("tls", TransportKind::Tls),
        ("https", TransportKind::Https),
        ("quic", TransportKind::Quic),
    ];

    /// Whether the transport encrypts.
    pub fn is_encrypted(self) -> bool {
        matches!(
            self,
            TransportKind::Tls | TransportKind::Https | TransportKind::Quic
        )
    }
}

/// Events of rate limits, access lists, connection limits, cookies and denials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AbuseEvent {
    /// Above the rate limit: an empty reply with TC was sent.
    LimitedTruncated,
    /// Above the rate limit: no reply was sent.
    LimitedDropped,
    /// Above the rate limit, and answered, because of `dry_run`.
    LimitedDryRun,
    /// REFUSED by `allow` or `deny`.
    Denied,
    /// Ignored by `drop`.
    Ignored,
    /// A connection was closed because of the limit of all connections.
    Evicted,
    /// A connection was closed because of the limit per client.
    EvictedOfClient,
    /// A connection was accepted.
    Connected,
    /// A query had a valid server cookie.
    GoodCookie,
    /// A query had no valid server cookie, and the reply carried one.
    NewCookie,
    /// Too many denials waited for their signatures: the client was sent to TCP.
    TooManyDenials,
}

impl AbuseEvent {
    /// The number of kinds.
    pub const COUNT: usize = 11;
}

/// The counters of one worker. Only its worker writes them, so counting is a plain load and store.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerStats {
    dispositions: [AtomicU64; Disposition::COUNT],
    events: [AtomicU64; AbuseEvent::COUNT],
    lane: u8,
    times: WorkerTimes,
}

impl WorkerStats {
    /// Counts an event, from any thread.
    #[cold]
    pub fn note(&self, event: AbuseEvent) {
        if let Some(counter) = self.events.get(event as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The lane in which this worker counts the answers of regions.
    #[inline]
    pub fn lane(&self) -> u8 {
        self.lane
    }

    /// Counts one query. Must be called by one thread only.
    #[inline]
    pub fn count(&self, disposition: Disposition) {
        if let Some(counter) = self.dispositions.get(disposition as usize) {
            counter.store(
                counter.load(Ordering::Relaxed).wrapping_add(1),
                Ordering::Relaxed,
            );
        }
    }

    /// Counts the result of a cookie check, from any thread.
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

    /// How long the answers of this worker take.
    pub fn times(&self) -> &WorkerTimes {
        &self.times
    }

    /// Counts one query from any thread.
    pub fn count_shared(&self, disposition: Disposition) {
        if let Some(counter) = self.dispositions.get(disposition as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The totals of a server, with which its successor starts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StatsTotals {
    /// For each transport, the counts in the order of [`Disposition`].
    queries: Vec<(String, Vec<u64>)>,
    /// In the order of [`AbuseEvent`].
    events: Vec<u64>,
}

/// The counters of all workers.
#[derive(Debug, Default)]
pub struct ServerStats {
    workers: Mutex<Vec<(TransportKind, Arc<WorkerStats>)>>,
    connections: Arc<AtomicUsize>,
}

impl ServerStats {
    /// Adds a worker.
    pub fn register(&self, carrier: TransportKind) -> Arc<WorkerStats> {
        let mut all = self.all();
        let stats = Arc::new(WorkerStats {
            lane: all.len() as u8,
            ..WorkerStats::default()
        });
        all.push((carrier, stats.clone()));
        stats
    }

    /// The totals so far.
    pub fn counted(&self) -> StatsTotals {
        let mut queries = Vec::new();
        for (word, carrier) in TransportKind::ALL {
            queries.push((word.to_owned(), self.sums_on(carrier).into()));
        }
        StatsTotals {
            queries,
            events: self.events().into(),
        }
    }

    /// Adds the totals of another process.
    pub fn count_on(&self, counted: &StatsTotals) {
        for (word, dispositions) in &counted.queries {
            let Some((_, carrier)) = TransportKind::ALL
                .into_iter()
                .find(|(known, _)| known == word)
            else {
                continue;
            };
            let stats = self.register(carrier);
            for (counter, count) in stats.dispositions.iter().zip(dispositions) {
                counter.store(*count, Ordering::Relaxed);
            }
            if carrier == TransportKind::Udp {
                for (counter, count) in stats.events.iter().zip(&counted.events) {
                    counter.store(*count, Ordering::Relaxed);
                }
            }
        }
    }

    /// The number of events of each kind.
    pub fn events(&self) -> [u64; AbuseEvent::COUNT] {
        let mut sums = [0; AbuseEvent::COUNT];
        for (_, stats) in self.all().iter() {
            add_counters(&mut sums, &stats.events);
        }
        sums
    }

    /// The number of queries with each disposition.
    pub fn sums(&self) -> [u64; Disposition::COUNT] {
        let mut sums = [0; Disposition::COUNT];
        for (_, stats) in self.all().iter() {
            add_counters(&mut sums, &stats.dispositions);
        }
        sums
    }

    /// The number of queries on each transport.
    pub fn by_carrier(&self) -> [(&'static str, u64); TransportKind::ALL.len()] {
        TransportKind::ALL.map(|(word, carrier)| (word, self.sums_on(carrier).iter().sum()))
    }

    /// How long answers took on each transport.
    pub fn times(&self) -> [(&'static str, Histogram); TransportKind::ALL.len()] {
        let all = self.all();
        TransportKind::ALL.map(|(word, wanted)| {
            let of_it = all.iter().filter(|(carrier, _)| *carrier == wanted);
            (word, Histogram::of(of_it.map(|(_, stats)| &stats.times)))
        })
    }

    /// The number of open connections, which the connection limiter keeps.
    pub fn connections(&self) -> &Arc<AtomicUsize> {
        &self.connections
    }

    fn sums_on(&self, wanted: TransportKind) -> [u64; Disposition::COUNT] {
        let mut sums = [0; Disposition::COUNT];
        for (carrier, stats) in self.all().iter() {
            if *carrier == wanted {
                add_counters(&mut sums, &stats.dispositions);
            }
        }
        sums
    }

    fn all(&self) -> MutexGuard<'_, Vec<(TransportKind, Arc<WorkerStats>)>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add_counters(sums: &mut [u64], counters: &[AtomicU64]) {
    for (sum, counter) in sums.iter_mut().zip(counters) {
        *sum = sum.wrapping_add(counter.load(Ordering::Relaxed));
    }
}
