//! How long answers take: from a message that was read to a reply that was handed to the kernel. One batch of many is timed, so
//! that the others need no clock.

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

/// Of so many batches one is timed.
pub const TIMED: u64 = 64;

/// Upper bounds in seconds; what is longer than the last is counted behind them.
const BOUNDS: [f64; 10] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 1e-1,
];

/// The times of one worker.
#[derive(Debug, Default)]
pub struct WorkerTimes {
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// What was timed, to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Upper bounds in seconds, the last infinite, and how many answers took no longer than that and longer than the one before.
    pub buckets: Vec<(f64, u64)>,
    /// Of all of them, in seconds.
    pub sum: f64,
}

impl WorkerTimes {
    /// Counts the answers of a batch, each of which has taken as long as the batch at most.
    #[cold]
    pub fn add(&self, took: Duration, answers: usize) {
        let (seconds, answers) = (took.as_secs_f64(), answers as u64);
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
    /// Of several workers together.
    pub fn of<'t>(times: impl Iterator<Item = &'t WorkerTimes> + Clone) -> Histogram {
        let sum = |of: &dyn Fn(&WorkerTimes) -> u64| times.clone().map(of).sum::<u64>();
        let count = |at: usize| {
            sum(&|times| {
                times
                    .counts
                    .get(at)
                    .map_or(0, |count| count.load(Ordering::Relaxed))
            })
        };
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        Histogram {
            buckets: bounds
                .enumerate()
                .map(|(at, bound)| (bound, count(at)))
                .collect(),
            sum: sum(&|times| times.nanoseconds.load(Ordering::Relaxed)) as f64 / 1e9,
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
