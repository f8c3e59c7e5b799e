//! Cadence: when the next probe of a target starts. Time and chance come in as arguments.
//!
//! Regular probes sit on a grid of slots of their own, nine tenths of the interval apart, and jitter moves each one
//! inside its slot by less than a tenth: so targets never bunch up over time, and two probes are never further apart
//! than the interval.

use std::time::Duration;

/// How soon the next probe is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbePace {
    /// The verdict is in doubt: ask again at once.
    Quick,
    /// Once per interval.
    Regular,
    /// Once in so many intervals: the endpoint has been down for long.
    Slow(u32),
}

/// The grid of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// The longest time between the starts of two regular probes.
    pub interval: Duration,
    /// Between the starts of two probes while the verdict is in doubt.
    pub quick: Duration,
    /// Where the grid starts.
    pub phase: Duration,
}

impl Cadence {
    /// Distance of the slots.
    pub fn period(&self) -> Duration {
        self.interval * 9 / 10
    }

    /// The shortest time between two regular probes.
    pub fn shortest(&self) -> Duration {
        self.period() - self.jitter_span()
    }

    /// When the next probe starts, on the clock of the arguments: `started` and `ended` are the last probe's,
    /// `jitter` is drawn from 0.0..=1.0.
    ///
    /// A quick probe leaves a pause after a probe that hung, so that it sees another moment.
    pub fn next(
        &self,
        pace: ProbePace,
        started: Duration,
        ended: Duration,
        jitter: f64,
    ) -> Duration {
        let slots = match pace {
            ProbePace::Quick => return (started + self.quick).max(ended + self.quick / 2),
            ProbePace::Regular => 1,
            ProbePace::Slow(factor) => factor.max(1),
        };
        let period = self.period().max(Duration::from_millis(1));
        let slot = started.saturating_sub(self.phase).as_nanos() / period.as_nanos();
        let behind =
            u64::try_from(slot * period.as_nanos()).map_or(Duration::ZERO, Duration::from_nanos);
        let slots = if started < self.phase {
            slots - 1
        } else {
            slots
        };
        let base = self.phase + behind + period * slots;
        (base + self.jitter_span().mul_f64(jitter.clamp(0.0, 1.0))).max(ended)
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
            interval in 100u64..60_000, phase in 0.0f64..1.0, jitters in proptest::collection::vec(0.0f64..=1.0, 2..50),
        ) {
            let interval = Duration::from_millis(interval);
            let cadence = Cadence { interval, quick: Duration::from_millis(500), phase: interval.mul_f64(phase * 0.9) };
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
