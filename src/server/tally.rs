//! Counters of one worker each, summed when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::answer::Verdict;

/// What became of one worker's queries. Only its worker writes it, so counting is a plain load and store.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally([AtomicU64; Verdict::COUNT]);

impl Tally {
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
pub struct Tallies(Mutex<Vec<Arc<Tally>>>);

impl Tallies {
    /// A tally for one more worker.
    pub fn register(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tally.clone());
        tally
    }

    /// The sums, by verdict.
    pub fn sums(&self) -> [u64; Verdict::COUNT] {
        let tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::array::from_fn(|verdict| tallies.iter().map(|tally| tally.0[verdict].load(Ordering::Relaxed)).sum())
    }
}
