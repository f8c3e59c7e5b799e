//! How long answers take, from a message that was read to a reply that was handed to the kernel.
//!
//! Reading the clock costs time, so only one batch in [`TIMED`] is measured. Each worker counts its
//! own times in [`WorkerTimes`]. The metrics sum them into one [`Histogram`] per transport.

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
use std::time::Duration;

/// One batch in this many is timed.
pub const TIMED: u64 = 64;

/// Upper bounds of the buckets in seconds; one more bucket counts what takes longer.
const BOUNDS: [f64; 10] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 1e-1,
];

/// How long one worker took for answers: a histogram, and the sum.
#[derive(Debug, Default)]
pub struct WorkerTimes {
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// The distribution of answer times.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// For each bucket its upper bound in seconds, the last infinite, and the number of answers
    /// between the bound before and this one.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all times in seconds.
    pub sum: f64,
}

impl WorkerTimes {
    /// Counts the answers of a batch, each with the time of the whole batch as its upper bound.
    #[cold]
    pub fn add(&self, took: Duration, answers: usize) {
        let answers = answers as u64;
        let seconds = took.as_secs_f64();
        let at = BOUNDS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(answers, Ordering::Relaxed);
        }
        let nanoseconds = u64::try_from(took.as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_mul(answers);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Histogram {
    /// Sums the times of several workers.
    pub fn of<'t>(workers: impl Iterator<Item = &'t WorkerTimes>) -> Histogram {
        let mut buckets: Vec<(f64, u64)> = BOUNDS.map(|bound| (bound, 0)).to_vec();
        buckets.push((f64::INFINITY, 0));
        let mut nanoseconds = 0_u64;
        for times in workers {
            for ((_, sum), count) in buckets.iter_mut().zip(&times.counts) {
                *sum = sum.wrapping_add(count.load(Ordering::Relaxed));
            }
            nanoseconds = nanoseconds.wrapping_add(times.nanoseconds.load(Ordering::Relaxed));
        }
        Histogram {
            buckets,
            sum: nanoseconds as f64 / 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_where_their_batch_belongs() {
        let [one, other] = [WorkerTimes::default(), WorkerTimes::default()];
        one.add(Duration::from_micros(10), 3);
        one.add(Duration::from_nanos(10_001), 2);
        other.add(Duration::from_secs(2), 1);
        let Histogram { buckets, sum } = Histogram::of([&one, &other].into_iter());
        let full: Vec<(f64, u64)> = buckets
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(full, [(1e-5, 3), (2.5e-5, 2), (f64::INFINITY, 1)]);
        assert!((sum - 2.000_050_002).abs() < 1e-9, "{sum}");
    }
}
