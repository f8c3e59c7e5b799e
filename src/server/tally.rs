//! Counters of one worker each, summed when somebody asks.

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

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::answer::Verdict;

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
    /// A connection left for a new one.
    Evicted,
    /// A connection was one too many of its client.
    TurnedAway,
}

impl Event {
    /// How many there are.
    pub const COUNT: usize = 7;
}

/// What became of one worker's queries. Only its worker writes it, so counting is a plain load and store.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally([AtomicU64; Verdict::COUNT], [AtomicU64; Event::COUNT], u8);

impl Tally {
    /// Counts what was done about abuse, from any thread.
    #[cold]
    pub fn note(&self, event: Event) {
        if let Some(counter) = self.1.get(event as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Where its worker counts the answers of regions: another one for each worker, as far as there are.
    #[inline]
    pub fn lane(&self) -> u8 {
        self.2
    }

    /// Counts one query. Must be called by one thread only.
    #[inline]
    pub fn count(&self, verdict: Verdict) {
        if let Some(counter) = self.0.get(verdict as usize) {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Counts one query from any thread.
    pub fn count_shared(&self, verdict: Verdict) {
        if let Some(counter) = self.0.get(verdict as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// All workers' tallies.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<Vec<(Carrier, Arc<Tally>)>>);

impl Tallies {
    /// A tally for one more worker.
    pub fn register(&self, carrier: Carrier) -> Arc<Tally> {
        let mut all = self.all();
        let tally = Arc::new(Tally(Default::default(), Default::default(), all.len() as u8));
        all.push((carrier, tally.clone()));
        tally
    }

    /// How often each was done about abuse.
    #[expect(clippy::indexing_slicing, reason = "one array is made from others of its length")]
    pub fn events(&self) -> [u64; Event::COUNT] {
        let tallies = self.all();
        std::array::from_fn(|event| tallies.iter().map(|(_, tally)| tally.1[event].load(Ordering::Relaxed)).sum())
    }

    /// The sums, by verdict.
    #[expect(clippy::indexing_slicing, reason = "one array is made from others of its length")]
    pub fn sums(&self) -> [u64; Verdict::COUNT] {
        let tallies = self.all();
        std::array::from_fn(|verdict| tallies.iter().map(|(_, tally)| tally.0[verdict].load(Ordering::Relaxed)).sum())
    }

    /// The sums of all queries, by what they came on.
    pub fn by_carrier(&self) -> [(&'static str, u64); Carrier::ALL.len()] {
        let tallies = self.all();
        Carrier::ALL.map(|(word, wanted)| {
            let tallies = tallies.iter().filter(|(carrier, _)| *carrier == wanted);
            let counters = tallies.flat_map(|(_, tally)| &tally.0);
            (word, counters.map(|counter| counter.load(Ordering::Relaxed)).sum())
        })
    }

    fn all(&self) -> MutexGuard<'_, Vec<(Carrier, Arc<Tally>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
