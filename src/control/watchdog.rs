//! The watchdog: finds the background parts that are stuck.
//!
//! Each part stores the time of its last turn in an atomic number. A status request compares these
//! numbers with the current time. It takes no lock and does not ask the part, so a stuck part can
//! neither delay the reply nor hide. A part that never ran after [`Watchdog::begin`] counts as
//! stuck, too.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a part may go without a turn. Normally each part turns once a second.
pub const ALLOWED: Duration = Duration::from_secs(10);

/// The value of a part that is no longer required to turn.
const RESTING: u64 = u64::MAX;

/// A part that must turn regularly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchedPart {
    /// Probes endpoints.
    Monitor,
    /// Applies every change.
    Controller,
    /// Publishes the results of probes.
    Publisher,
    /// Ends overrides and leases.
    Timer,
}

impl WatchedPart {
    /// Every part.
    pub const ALL: [WatchedPart; 4] = [
        WatchedPart::Monitor,
        WatchedPart::Controller,
        WatchedPart::Publisher,
        WatchedPart::Timer,
    ];

    /// Its name in messages: `monitor`, `controller`, `publisher` or `timer`.
    pub fn word(self) -> &'static str {
        match self {
            WatchedPart::Monitor => "monitor",
            WatchedPart::Controller => "controller",
            WatchedPart::Publisher => "publisher",
            WatchedPart::Timer => "timer",
        }
    }

    /// The consequence if the part is stuck.
    fn consequence(self) -> &'static str {
        match self {
            WatchedPart::Monitor => "endpoints are not checked",
            WatchedPart::Controller => "nothing that changes takes effect",
            WatchedPart::Publisher => "changes of health do not reach the answers",
            WatchedPart::Timer => "orders and leases do not end",
        }
    }
}

/// A part that has not turned for longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StuckPart {
    /// The part.
    pub part: WatchedPart,
    /// The time since its last turn.
    pub silent: Duration,
}

impl fmt::Display for StuckPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, meaning) = (self.part.word(), self.part.consequence());
        let (silent, allowed) = (self.silent.as_secs(), ALLOWED.as_secs());
        write!(
            f,
            "the {word} has not turned for {silent} s ({allowed} s are allowed), so {meaning}"
        )
    }
}

/// The last turn of each part.
#[derive(Debug)]
pub struct Watchdog {
    start: Instant,
    /// Milliseconds from `start` to the last turn, plus one, in the order of [`WatchedPart::ALL`].
    /// 0: the part has not begun to turn.
    turns: [AtomicU64; WatchedPart::ALL.len()],
}

impl Default for Watchdog {
    fn default() -> Watchdog {
        Watchdog {
            start: Instant::now(),
            turns: Default::default(),
        }
    }
}

impl Watchdog {
    /// From now on every part must turn.
    pub fn begin(&self) {
        WatchedPart::ALL
            .into_iter()
            .for_each(|part| self.note(part));
    }

    /// From now on no part is required to turn, as during a stop.
    pub fn rest(&self) {
        for turn in &self.turns {
            turn.store(RESTING, Ordering::SeqCst);
        }
    }

    /// Records a turn of a part.
    pub fn note(&self, part: WatchedPart) {
        let now = self.start.elapsed().as_millis() as u64 + 1;
        let turn = &self.turns[part as usize];
        // A watchdog that rests stays at rest, so no update is not an error.
        let _ = turn.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| {
            (last != RESTING).then(|| last.max(now))
        });
    }

    /// The parts that are stuck now.
    pub fn stuck(&self) -> Vec<StuckPart> {
        let turns = WatchedPart::ALL.map(|part| self.last_turn(part));
        stuck(turns, self.start.elapsed())
    }

    /// When a part turned last, after the start; `None`: it has not turned, or it rests.
    fn last_turn(&self, part: WatchedPart) -> Option<Duration> {
        match self.turns[part as usize].load(Ordering::SeqCst) {
            RESTING => None,
            turn => turn.checked_sub(1).map(Duration::from_millis),
        }
    }

    /// The parts that are stuck now, in one sentence; `None`: no part is stuck.
    pub fn sentence(&self) -> Option<String> {
        sentence(&self.stuck())
    }
}

/// The parts that have not turned for longer than they may. `turns`: the times of their last turns,
/// in the order of [`WatchedPart::ALL`]; `None`: the part has not begun to turn.
pub fn stuck(turns: [Option<Duration>; WatchedPart::ALL.len()], now: Duration) -> Vec<StuckPart> {
    let mut stuck = Vec::new();
    for (part, turn) in WatchedPart::ALL.into_iter().zip(turns) {
        let silent = turn.map_or(Duration::ZERO, |turn| now.saturating_sub(turn));
        if silent > ALLOWED {
            stuck.push(StuckPart { part, silent });
        }
    }
    stuck
}

/// Describes all stuck parts in one sentence; `None` if there are none.
fn sentence(stuck: &[StuckPart]) -> Option<String> {
    let parts: Vec<String> = stuck.iter().map(StuckPart::to_string).collect();
    (!parts.is_empty()).then(|| format!("stuck: {}; restart this server", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_part_that_is_late_is_stuck() {
        let at = |seconds: u64| Some(Duration::from_secs(seconds));
        assert_eq!(stuck([at(90), at(93), at(95), at(100)], 100 * SECOND), []);
        let timer = [StuckPart {
            part: WatchedPart::Timer,
            silent: 11 * SECOND,
        }];
        assert_eq!(
            stuck([at(100), at(95), at(90), at(89)], 100 * SECOND),
            timer
        );
        assert_eq!(stuck([None; 4], 100 * SECOND), [], "nobody has begun");
        assert_eq!(
            stuck([at(0); 4], 11 * SECOND).len(),
            4,
            "nobody turned after the beginning"
        );
        assert_eq!(
            stuck([at(5); 4], SECOND),
            [],
            "a turn that was noted meanwhile is no wrap around"
        );
    }

    #[test]
    fn the_message_names_the_part_the_time_and_the_consequence() {
        let stuck = [WatchedPart::Publisher, WatchedPart::Timer].map(|part| StuckPart {
            part,
            silent: 12 * SECOND,
        });
        let expected = "stuck: the publisher has not turned for 12 s (10 s are allowed), so changes of health do not reach \
                        the answers; the timer has not turned for 12 s (10 s are allowed), so orders and leases do not \
                        end; restart this server";
        assert_eq!(sentence(&stuck).as_deref(), Some(expected));
        assert_eq!(sentence(&[]), None);
    }

    #[test]
    fn parts_are_watched_from_the_start_until_they_rest() {
        let watchdog = Watchdog {
            start: Instant::now().checked_sub(60 * SECOND).unwrap(),
            turns: Default::default(),
        };
        assert_eq!(watchdog.stuck(), [], "not begun");
        watchdog
            .turns
            .iter()
            .for_each(|turn| turn.store(1, Ordering::SeqCst));
        watchdog.note(WatchedPart::Publisher);
        let parts: Vec<WatchedPart> = watchdog.stuck().iter().map(|stuck| stuck.part).collect();
        assert_eq!(
            parts,
            [
                WatchedPart::Monitor,
                WatchedPart::Controller,
                WatchedPart::Timer
            ]
        );
        watchdog.begin();
        assert_eq!(watchdog.sentence(), None);
        watchdog
            .turns
            .iter()
            .for_each(|turn| turn.store(1, Ordering::SeqCst));
        watchdog.rest();
        watchdog.note(WatchedPart::Timer);
        assert_eq!(watchdog.sentence(), None);
        assert!(
            watchdog
                .turns
                .iter()
                .all(|turn| turn.load(Ordering::SeqCst) == RESTING)
        );
    }
}
