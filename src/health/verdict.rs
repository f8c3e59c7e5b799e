//! Verdict: what a row of probe results comes to. A state machine of values; time comes in as an argument.
//!
//! The laws, each with a test:
//! 1. Only [`HealthRules::fall`] failures in a row take an endpoint down; only [`HealthRules::rise`] successes in a row bring it
//!    back. Where nothing was agreed before, the first result decides.
//! 2. A first failure asks for quick probes until the doubt is gone, so that a dead endpoint is out within 4 s when
//!    it refuses and within 10 s when it hangs, by default.
//! 3. An endpoint that keeps falling must stay good for longer before it returns: twice as long for each fall in the
//!    last hour after the first, up to 32 times, by default.
//! 4. An endpoint that stays down is asked less and less often, down to a quarter as often, at least every 30 s.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cadence::{Cadence, ProbePace};

/// Failures in a row between two steps of slowing down.
const PATIENCE: u32 = 10;
/// Slowing down never makes probes rarer than this, or than the interval when that is longer.
const SLOWEST: Duration = Duration::from_secs(30);

/// What a verdict takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HealthRules {
    /// The longest time between two regular probes; default 3 s.
    pub interval: Duration,
    /// Between probes while a verdict is in doubt; default 500 ms.
    pub quick: Duration,
    /// Limit of one whole probe; default 2 s.
    pub timeout: Duration,
    /// Failures in a row until down; default 3. 0 is taken as 1.
    pub fall: u32,
    /// Successes in a row until up; default 5. 0 is taken as 1.
    pub rise: u32,
    /// How falls make the way back longer.
    pub damping: Damping,
}

/// How falls make the way back longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Damping {
    /// How often the rise is doubled at most; default 5, 0 = never. More than 16 is taken as 16.
    pub doublings: u32,
    /// How long a fall is remembered; default 1 h.
    pub memory: Duration,
}

impl Default for Damping {
    fn default() -> Self {
        Damping {
            doublings: 5,
            memory: Duration::from_secs(3600),
        }
    }
}

impl Default for HealthRules {
    fn default() -> Self {
        HealthRules {
            interval: Duration::from_secs(3),
            quick: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            fall: 3,
            rise: 5,
            damping: Damping::default(),
        }
    }
}

/// What one probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeResult {
    /// As expected.
    Pass,
    /// It serves, and says that something is wrong.
    Warn,
    /// Not as expected, or nothing at all.
    Fail,
}

/// What is agreed about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Nothing is known yet; no clients are sent there on the strength of it.
    Unknown,
    /// It serves.
    Up,
    /// It serves, and warns.
    Degraded,
    /// It does not serve.
    Down,
}

impl HealthState {
    /// Whether clients can be sent there.
    pub fn serves(self) -> bool {
        matches!(self, HealthState::Up | HealthState::Degraded)
    }
}

/// A change of verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Before.
    pub from: HealthState,
    /// After.
    pub to: HealthState,
    /// When, on the clock of the arguments.
    pub at: Duration,
}

/// The state of one target.
#[derive(Debug, Clone)]
pub struct HealthMachine {
    rules: HealthRules,
    verdict: HealthState,
    since: Duration,
    failing_since: Option<Duration>,
    fails: u32,
    warns: u32,
    passes: u32,
    successes: u32,
    falls: VecDeque<Duration>,
}

impl HealthMachine {
    /// Nothing is known yet: the first result decides.
    pub fn new(rules: HealthRules) -> HealthMachine {
        HealthMachine::resume(rules, HealthState::Unknown, Duration::ZERO)
    }

    /// Starts from what was agreed before a restart, which results must prove wrong by the usual rules.
    pub fn resume(rules: HealthRules, verdict: HealthState, now: Duration) -> HealthMachine {
        let rules = HealthRules {
            fall: rules.fall.max(1),
            rise: rules.rise.max(1),
            ..rules
        };
        let falls = VecDeque::new();
        HealthMachine {
            rules,
            verdict,
            since: now,
            failing_since: None,
            fails: 0,
            warns: 0,
            passes: 0,
            successes: 0,
            falls,
        }
    }

    /// Goes on under other rules.
    pub fn set_rules(&mut self, rules: HealthRules) {
        self.rules = HealthRules {
            fall: rules.fall.max(1),
            rise: rules.rise.max(1),
            ..rules
        };
    }

    /// What is agreed.
    pub fn verdict(&self) -> HealthState {
        self.verdict
    }

    /// Since when.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// When the present row of failures began.
    pub fn failing_since(&self) -> Option<Duration> {
        self.failing_since
    }

    /// Takes in the result of a probe that ended at `now`.
    ///
    /// `may_fall` is false while the monitor doubts itself: enough failures then leave a serving endpoint where it is,
    /// [held](Machine::is_held).
    pub fn observe(
        &mut self,
        now: Duration,
        outcome: ProbeResult,
        may_fall: bool,
    ) -> Option<Transition> {
        self.count(now, outcome);
        let next = self.judged(now, outcome, may_fall);
        (next != self.verdict).then(|| self.turn(now, next))
    }

    /// Whether enough failures are there and were not acted upon.
    pub fn is_held(&self) -> bool {
        self.verdict.serves() && self.fails >= self.rules.fall
    }

    /// Lets an endpoint that was held fall.
    pub fn release(&mut self, now: Duration) -> Option<Transition> {
        self.is_held().then(|| self.turn(now, HealthState::Down))
    }

    /// Forgets the present row of failures: they were the monitor's own.
    pub fn forgive(&mut self) {
        (self.fails, self.failing_since) = (0, None);
    }

    /// How soon the next probe is wanted.
    pub fn pace(&self) -> ProbePace {
        if self.verdict.serves() && self.fails > 0 && self.fails < self.rules.fall {
            return ProbePace::Quick;
        }
        if self.verdict != HealthState::Down || self.successes > 0 {
            return ProbePace::Regular;
        }
        let steps = self.fails.saturating_sub(self.rules.fall) / PATIENCE;
        let wanted = if steps == 0 { 1 } else { 1 << steps.min(2) };
        let affordable =
            |factor: &u32| *factor <= wanted && self.rules.interval * *factor <= SLOWEST;
        [4, 2]
            .into_iter()
            .find(affordable)
            .map_or(ProbePace::Regular, ProbePace::Slow)
    }

    /// Whether no result speaks against the verdict.
    pub fn is_settled(&self) -> bool {
        match self.verdict {
            HealthState::Unknown => false,
            HealthState::Up => self.fails == 0 && self.warns == 0,
            HealthState::Degraded => self.fails == 0 && self.passes == 0,
            HealthState::Down => self.successes == 0,
        }
    }

    /// How long from `now` until the verdict could change at the earliest, if the next probe starts at `next_probe`:
    /// an answer that should not outlive the change needs no longer TTL than this.
    pub fn time_to_possible_flip(
        &self,
        cadence: &Cadence,
        next_probe: Duration,
        now: Duration,
    ) -> Duration {
        let until_next = next_probe.saturating_sub(now);
        let (needed, step) = match self.verdict {
            HealthState::Unknown => (1, Duration::ZERO),
            HealthState::Up | HealthState::Degraded => {
                (self.rules.fall.saturating_sub(self.fails), cadence.quick)
            }
            HealthState::Down => (
                self.needed_rise(now).saturating_sub(self.successes),
                cadence.shortest(),
            ),
        };
        until_next + step * needed.saturating_sub(1)
    }

    /// Successes in a row that bring the endpoint back, with what its falls have added.
    pub fn needed_rise(&self, now: Duration) -> u32 {
        let recent = self
            .falls
            .iter()
            .filter(|&&fall| now.saturating_sub(fall) < self.rules.damping.memory)
            .count();
        let doublings = recent.saturating_sub(1).min(self.most_doublings());
        self.rules.rise.saturating_mul(1 << doublings)
    }

    fn most_doublings(&self) -> usize {
        self.rules.damping.doublings.min(16) as usize
    }

    fn count(&mut self, now: Duration, outcome: ProbeResult) {
        let next = |row: u32, goes_on: bool| if goes_on { row.saturating_add(1) } else { 0 };
        let failed = outcome == ProbeResult::Fail;
        self.failing_since = if failed {
            self.failing_since.or(Some(now))
        } else {
            None
        };
        self.fails = next(self.fails, failed);
        self.successes = next(self.successes, !failed);
        self.warns = next(self.warns, outcome == ProbeResult::Warn);
        self.passes = next(self.passes, outcome == ProbeResult::Pass);
    }

    fn judged(&self, now: Duration, outcome: ProbeResult, may_fall: bool) -> HealthState {
        let serving = if outcome == ProbeResult::Warn {
            HealthState::Degraded
        } else {
            HealthState::Up
        };
        match self.verdict {
            HealthState::Unknown if outcome == ProbeResult::Fail => HealthState::Down,
            HealthState::Unknown => serving,
            HealthState::Up | HealthState::Degraded
                if self.fails >= self.rules.fall && may_fall =>
            {
                HealthState::Down
            }
            HealthState::Up if self.warns >= self.rules.fall => HealthState::Degraded,
            HealthState::Degraded if self.passes >= self.needed_rise(now) => HealthState::Up,
            HealthState::Down if self.successes >= self.needed_rise(now) => serving,
            unchanged => unchanged,
        }
    }

    fn turn(&mut self, now: Duration, to: HealthState) -> Transition {
        let from = std::mem::replace(&mut self.verdict, to);
        self.since = now;
        if matches!(
            (from, to),
            (HealthState::Up | HealthState::Degraded, HealthState::Down)
                | (HealthState::Up, HealthState::Degraded)
        ) {
            self.falls.push_back(now);
            if self.falls.len() > self.most_doublings() + 1 {
                self.falls.pop_front();
            }
        }
        Transition { from, to, at: now }
    }
}

#[cfg(test)]
mod tests;
