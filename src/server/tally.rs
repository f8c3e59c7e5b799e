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

use super::times::{Histogram, Times};
use crate::answer::{Proof, Verdict};

/// What queries come on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Carrier {
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

impl Carrier {
    /// Every one with its word, in the order of their numbers.
    pub const ALL: [(&str, Carrier); 5] = [
        ("udp", Carrier::Udp),
        ("tcp", Carrier::Tcp),
        ("tls", Carrier::Tls),
        ("https", Carrier::Https),
        ("quic", Carrier::Quic),
    ];

    /// Whether nobody on the way can read along.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Carrier::Tls | Carrier::Https | Carrier::Quic)
    }
}

/// What is done about abuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
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

impl Event {
    /// How many there are.
    pub const COUNT: usize = 10;
}

/// What became of one worker's queries. Only its worker writes it, so counting is a plain load and store.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    verdicts: [AtomicU64; Verdict::COUNT],
    events: [AtomicU64; Event::COUNT],
    lane: u8,
    times: Times,
}

impl Tally {
    /// Counts what was done about abuse, from any thread.
    #[cold]
    pub fn note(&self, event: Event) {
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
    pub fn count(&self, verdict: Verdict) {
        if let Some(counter) = self.verdicts.get(verdict as usize) {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Counts what the cookie of a query said, from any thread.
    #[inline]
    pub fn note_proof(&self, proof: Proof) {
        if proof != Proof::None {
            self.note(if proof == Proof::Good { Event::GoodCookie } else { Event::NewCookie });
        }
    }

    /// How long its worker takes.
    pub fn times(&self) -> &Times {
        &self.times
    }

    /// Counts one query from any thread.
    pub fn count_shared(&self, verdict: Verdict) {
        if let Some(counter) = self.verdicts.get(verdict as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What was counted in all, to be counted on by another process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Counted {
    /// By carrier, the verdicts in the order of their numbers.
    queries: Vec<(String, Vec<u64>)>,
    /// In the order of their numbers.
    events: Vec<u64>,
}

/// All workers' tallies.
#[derive(Debug, Default)]
pub struct Tallies {
    workers: Mutex<Vec<(Carrier, Arc<Tally>)>>,
    connections: Arc<AtomicUsize>,
}

impl Tallies {
    /// A tally for one more worker.
    pub fn register(&self, carrier: Carrier) -> Arc<Tally> {
        let mut all = self.all();
        let tally = Arc::new(Tally { lane: all.len() as u8, ..Tally::default() });
        all.push((carrier, tally.clone()));
        tally
    }

    /// Everything so far.
    pub fn counted(&self) -> Counted {
        let queries =
            Carrier::ALL.map(|(word, wanted)| (word.to_owned(), self.sums_on(|carrier| carrier == wanted).into()));
        Counted { queries: queries.into(), events: self.events().into() }
    }

    /// Counts on from what another process has counted.
    pub fn count_on(&self, counted: &Counted) {
        for (word, verdicts) in &counted.queries {
            let Some((_, carrier)) = Carrier::ALL.into_iter().find(|(known, _)| known == word) else { continue };
            let tally = self.register(carrier);
            tally.verdicts.iter().zip(verdicts).for_each(|(counter, count)| counter.store(*count, Ordering::Relaxed));
            if carrier == Carrier::Udp {
                tally
                    .events
                    .iter()
                    .zip(&counted.events)
                    .for_each(|(counter, count)| counter.store(*count, Ordering::Relaxed));
            }
        }
    }

    /// How often each was done about abuse.
    #[expect(clippy::indexing_slicing, reason = "one array is made from others of its length")]
    pub fn events(&self) -> [u64; Event::COUNT] {
        let tallies = self.all();
        std::array::from_fn(|event| tallies.iter().map(|(_, tally)| tally.events[event].load(Ordering::Relaxed)).sum())
    }

    /// The sums, by verdict.
    pub fn sums(&self) -> [u64; Verdict::COUNT] {
        self.sums_on(|_| true)
    }

    /// The sums of all queries, by what they came on.
    pub fn by_carrier(&self) -> [(&'static str, u64); Carrier::ALL.len()] {
        Carrier::ALL.map(|(word, wanted)| (word, self.sums_on(|carrier| carrier == wanted).iter().sum()))
    }

    /// How long answers took, by what the queries came on.
    pub fn times(&self) -> [(&'static str, Histogram); Carrier::ALL.len()] {
        let all = self.all();
        Carrier::ALL.map(|(word, wanted)| {
            let of_it = all.iter().filter(|(carrier, _)| *carrier == wanted);
            (word, Histogram::of(of_it.map(|(_, tally)| &tally.times)))
        })
    }

    /// Connections that are open, to be counted by whoever gives them their places.
    pub fn connections(&self) -> &Arc<AtomicUsize> {
        &self.connections
    }

    #[expect(clippy::indexing_slicing, reason = "one array is made from others of its length")]
    fn sums_on(&self, is_wanted: impl Fn(Carrier) -> bool) -> [u64; Verdict::COUNT] {
        let all = self.all();
        let wanted = || all.iter().filter(|(carrier, _)| is_wanted(*carrier)).map(|(_, tally)| &tally.verdicts);
        std::array::from_fn(|verdict| wanted().map(|counters| counters[verdict].load(Ordering::Relaxed)).sum())
    }

    fn all(&self) -> MutexGuard<'_, Vec<(Carrier, Arc<Tally>)>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
