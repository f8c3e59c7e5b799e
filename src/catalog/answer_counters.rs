//! Counters of the answers that each region of a view has given.
//!
//! Every steered answer counts, so the counters are kept in lanes of whole cache lines. Threads of
//! different lanes never write to the same line. Readers add the lanes up.

use std::sync::atomic::{AtomicU64, Ordering};

/// Threads that count side by side; more threads share lanes.
const LANES: usize = 4;
/// Counters of one cache line.
const LINE: usize = 8;

/// How many answers the regions of a view have given since it was compiled.
#[derive(Debug)]
pub struct AnswerCounters {
    counters: Box<[AtomicU64]>,
    regions: usize,
    /// Counters from one lane to the next: whole cache lines.
    stride: usize,
}

impl AnswerCounters {
    /// Counters at zero for so many regions, which are at least one and at most 256.
    pub fn new(regions: usize) -> AnswerCounters {
        let stride = regions.next_multiple_of(LINE);
        let mut counters = Vec::new();
        counters.resize_with(LANES.saturating_mul(stride), AtomicU64::default);
        AnswerCounters {
            counters: counters.into(),
            regions,
            stride,
        }
    }

    /// Counts one answer of the region at this position.
    #[inline]
    pub fn count(&self, lane: u8, position: u8) {
        let start = (usize::from(lane) % LANES).wrapping_mul(self.stride);
        if let Some(counter) = self.counters.get(start.wrapping_add(usize::from(position))) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts so far, by position.
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0u64; self.regions];
        for lane in self.counters.chunks(self.stride) {
            for (count, counter) in counts.iter_mut().zip(lane) {
                *count = count.wrapping_add(counter.load(Ordering::Relaxed));
            }
        }
        counts
    }
}
