//! Probe scheduling: when the next probe of a target starts.
//!
//! Regular probes follow a grid of slots that belongs to the target. Slots are nine tenths of the
//! interval apart, and jitter delays each probe by less than a tenth of the interval. Two regular
//! probes are therefore never further apart than the interval, and targets do not bunch up over
//! time. Quick probes, which follow a first failure, ignore the grid.
//!
//! The functions are pure: the time and the random draw are arguments.

use std::time::Duration;

/// How soon the next probe should follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbePace {
    /// At once: the last results contradict the agreed state.
    Quick,
    /// Once per interval.
    Regular,
    /// Once every so many intervals: the endpoint has been down for long.
    Slow(u32),
}

/// The probe schedule of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// The longest time between the starts of two regular probes.
    pub interval: Duration,
    /// The time between the starts of two quick probes.
    pub quick: Duration,
    /// The start of the grid.
    pub phase: Duration,
}

impl Cadence {
    /// The distance between two slots.
    pub fn period(&self) -> Duration {
        self.interval * 9 / 10
    }

    /// The shortest time between two regular probes.
    pub fn shortest(&self) -> Duration {
        self.period() - self.jitter_span()
    }

    /// The start of the next probe. `started` and `ended` are the times of the last probe, `jitter`
    /// is a random number in 0.0..=1.0.
    ///
    /// After a probe that hung, a quick probe waits a little, so that it samples a different
    /// moment.
    pub fn next(
        &self,
        pace: ProbePace,
        started: Duration,
        ended: Duration,
        jitter: f64,
    ) -> Duration {
        let mut slots = match pace {
            ProbePace::Quick => return (started + self.quick).max(ended + self.quick / 2),
            ProbePace::Regular => 1,
            ProbePace::Slow(factor) => factor.max(1),
        };
        // Before the grid starts, its first slot is the next one.
        if started < self.phase {
            slots -= 1;
        }
        let slot = self.last_slot(started) + self.slot_width() * slots;
        (slot + self.jitter_span().mul_f64(jitter.clamp(0.0, 1.0))).max(ended)
    }

    /// The last slot at or before a time, or the first slot if the grid has not started.
    fn last_slot(&self, time: Duration) -> Duration {
        let width = self.slot_width().as_nanos();
        let passed = time.saturating_sub(self.phase).as_nanos() / width;
        let nanos = u64::try_from(passed * width).unwrap_or(0);
        self.phase + Duration::from_nanos(nanos)
    }

    /// [`Cadence::period`], but never zero.
    fn slot_width(&self) -> Duration {
        self.period().max(Duration::from_millis(1))
    }

    fn jitter_span(&self) -> Duration {
        self.interval * 2 / 25
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn regular_probes_are_never_further_apart_than_the_interval(
            interval in 100u64..60_000,
            phase in 0.0f64..1.0,
            jitters in proptest::collection::vec(0.0f64..=1.0, 2..50),
        ) {
            let interval = Duration::from_millis(interval);
            let cadence = Cadence {
                interval,
                quick: Duration::from_millis(500),
                phase: interval.mul_f64(phase * 0.9),
            };
            let mut last = cadence.next(ProbePace::Regular, Duration::ZERO, Duration::ZERO, 0.5);
            prop_assert!(last <= interval);
            for jitter in jitters {
                let next = cadence.next(ProbePace::Regular, last, last, jitter);
                prop_assert!(next > last);
                prop_assert!(next - last <= interval, "{:?}", next - last);
                prop_assert!(next - last >= cadence.shortest() - Duration::from_millis(1));
                last = next;
            }
        }
    }

    #[test]
    fn a_thousand_targets_stay_evenly_spread() {
        let interval = Duration::from_secs(3);
        let mut seed = 1u64;
        let mut starts = Vec::new();
        for index in 0..1000u32 {
            let phase =
                interval.mul_f64(0.9 * (f64::from(index) * 0.618_033_988_749_894_9).fract());
            let cadence = Cadence {
                interval,
                quick: interval,
                phase,
            };
            let mut at = phase;
            while at < Duration::from_secs(300) {
                starts.push(at.as_millis() as usize / 100);
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                at = cadence.next(
                    ProbePace::Regular,
                    at,
                    at,
                    (seed >> 40) as f64 / (1u64 << 24) as f64,
                );
            }
        }
        let mut windows = vec![0u32; 3001];
        starts.into_iter().for_each(|window| windows[window] += 1);
        // 1,000 targets per 2.7 s are 37 starts in 100 ms.
        assert!(
            windows[30..2990].iter().all(|&starts| starts <= 74),
            "{:?}",
            windows.iter().max()
        );
    }

    #[test]
    fn quick_probes_do_not_wait_for_the_grid() {
        let second = Duration::from_secs(1);
        let cadence = Cadence {
            interval: second * 3,
            quick: second / 2,
            phase: Duration::ZERO,
        };
        assert_eq!(
            cadence.next(ProbePace::Quick, second, second, 0.5),
            second * 3 / 2
        );
        assert_eq!(
            cadence.next(ProbePace::Quick, second, second * 3, 0.5),
            second * 13 / 4
        );
    }
}
