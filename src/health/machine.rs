//! The health state machine: turns a sequence of probe results into the state of a target.
//!
//! [`HealthMachine::observe`] processes one result and returns a [`Transition`] if the state
//! changes. The machine has no clock: every method takes the time as an argument.
//!
//! It follows four rules, each with a test:
//! 1. [`HealthRules::fall`] consecutive failures take an endpoint down, and [`HealthRules::rise`]
//!    consecutive successes bring it back. Without a previous state, the first result decides.
//! 2. A first failure triggers quick probes until the state is certain again. With the defaults, a
//!    dead endpoint is out within 4 s if it refuses connections and within 10 s if it hangs.
//! 3. An endpoint that keeps failing must stay good for longer before it returns. Each fall within
//!    the last hour, after the first, doubles the required successes, up to 32 times by default.
//! 4. An endpoint that stays down is probed less often: down to a quarter as often, but at least
//!    every 30 s.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cadence::{Cadence, ProbePace};

/// Consecutive failures between two steps of slowing down.
const PATIENCE: u32 = 10;
/// Slowing down never stretches the interval beyond this.
const SLOWEST: Duration = Duration::from_secs(30);
/// The most doublings that [`Damping::doublings`] can ask for.
const MAX_DOUBLINGS: u32 = 16;

/// The timing and thresholds of a check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HealthRules {
    /// The longest time between two regular probes; default 3 s.
    pub interval: Duration,
    /// The time between probes while the state is uncertain; default 500 ms.
    pub quick: Duration,
    /// Timeout of one whole probe; default 2 s.
    pub timeout: Duration,
    /// Consecutive failures until down; default 3. 0 means 1.
    pub fall: u32,
    /// Consecutive successes until up; default 5. 0 means 1.
    pub rise: u32,
    /// How previous falls delay the return.
    pub damping: Damping,
}

impl HealthRules {
    /// The same rules with thresholds of at least 1.
    fn with_least_thresholds(self) -> HealthRules {
        HealthRules {
            fall: self.fall.max(1),
            rise: self.rise.max(1),
            ..self
        }
    }
}

/// How previous falls delay the return of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Damping {
    /// How often the rise can double; default 5, at most 16. 0 turns damping off.
    pub doublings: u32,
    /// How long a fall counts; default 1 h.
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

/// The result of one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeResult {
    /// The answer is as expected.
    Pass,
    /// The endpoint serves, but something is wrong.
    Warn,
    /// The answer is wrong, or there is none.
    Fail,
}

/// The agreed state of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// There is no result yet. The endpoint takes no clients.
    Unknown,
    /// It serves.
    Up,
    /// It serves with warnings.
    Degraded,
    /// It does not serve.
    Down,
}

impl HealthState {
    /// Whether the endpoint can take clients.
    pub fn serves(self) -> bool {
        matches!(self, HealthState::Up | HealthState::Degraded)
    }
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: HealthState,
    /// The state after.
    pub to: HealthState,
    /// When it happened, on the clock of the arguments.
    pub at: Duration,
}

impl Transition {
    /// Whether the endpoint got worse, which damping counts as a fall.
    fn is_fall(&self) -> bool {
        match self.to {
            HealthState::Down => self.from.serves(),
            HealthState::Degraded => self.from == HealthState::Up,
            HealthState::Unknown | HealthState::Up => false,
        }
    }
}

/// The state machine of one target.
#[derive(Debug, Clone)]
pub struct HealthMachine {
    rules: HealthRules,
    state: HealthState,
    since: Duration,
    failing_since: Option<Duration>,
    /// Consecutive results of each kind; `successes` counts passes and warnings together.
    fails: u32,
    warns: u32,
    passes: u32,
    successes: u32,
    /// The times of the last falls, oldest first.
    falls: VecDeque<Duration>,
}

impl HealthMachine {
    /// Starts without a state: the first result decides.
    pub fn new(rules: HealthRules) -> HealthMachine {
        HealthMachine::resume(rules, HealthState::Unknown, Duration::ZERO)
    }

    /// Starts with a state that was saved before a restart. Results change it by the usual rules.
    pub fn resume(rules: HealthRules, state: HealthState, now: Duration) -> HealthMachine {
        HealthMachine {
            rules: rules.with_least_thresholds(),
            state,
            since: now,
            failing_since: None,
            fails: 0,
            warns: 0,
            passes: 0,
            successes: 0,
            falls: VecDeque::new(),
        }
    }

    /// Continues under different rules.
    pub fn set_rules(&mut self, rules: HealthRules) {
        self.rules = rules.with_least_thresholds();
    }

    /// The agreed state.
    pub fn state(&self) -> HealthState {
        self.state
    }

    /// When the state began.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// When the current run of failures began.
    pub fn failing_since(&self) -> Option<Duration> {
        self.failing_since
    }

    /// Processes the result of a probe that ended at `now`.
    ///
    /// `may_fall` is false while the monitor suspects its own network. Failures then leave a
    /// serving endpoint in its state, and it is [held](HealthMachine::is_held).
    pub fn observe(
        &mut self,
        now: Duration,
        result: ProbeResult,
        may_fall: bool,
    ) -> Option<Transition> {
        self.count(now, result);
        let next = self.next_state(now, result, may_fall);
        if next == self.state {
            return None;
        }
        Some(self.transition(now, next))
    }

    /// Whether the endpoint has failed often enough to go down but was not allowed to.
    pub fn is_held(&self) -> bool {
        self.state.serves() && self.fails >= self.rules.fall
    }

    /// Takes a held endpoint down.
    pub fn release(&mut self, now: Duration) -> Option<Transition> {
        if !self.is_held() {
            return None;
        }
        Some(self.transition(now, HealthState::Down))
    }

    /// Clears the current run of failures, because the monitor's network caused them.
    pub fn forgive(&mut self) {
        self.fails = 0;
        self.failing_since = None;
    }

    /// How soon the next probe should follow.
    pub fn pace(&self) -> ProbePace {
        if self.state.serves() && self.fails > 0 && self.fails < self.rules.fall {
            return ProbePace::Quick;
        }
        if self.state != HealthState::Down || self.successes > 0 {
            return ProbePace::Regular;
        }
        let steps = self.fails.saturating_sub(self.rules.fall) / PATIENCE;
        for (needed_steps, factor) in [(2, 4), (1, 2)] {
            if steps >= needed_steps && self.rules.interval * factor <= SLOWEST {
                return ProbePace::Slow(factor);
            }
        }
        ProbePace::Regular
    }

    /// Whether no recent result contradicts the state.
    pub fn is_settled(&self) -> bool {
        match self.state {
            HealthState::Unknown => false,
            HealthState::Up => self.fails == 0 && self.warns == 0,
            HealthState::Degraded => self.fails == 0 && self.passes == 0,
            HealthState::Down => self.successes == 0,
        }
    }

    /// The shortest time from `now` until the state can change, if the next probe starts at
    /// `next_probe`. An answer that must not outlive the change can use this as its TTL.
    pub fn time_to_possible_flip(
        &self,
        cadence: &Cadence,
        next_probe: Duration,
        now: Duration,
    ) -> Duration {
        let until_next = next_probe.saturating_sub(now);
        let (needed, step) = match self.state {
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

    /// The consecutive successes that bring the endpoint back, including damping.
    pub fn needed_rise(&self, now: Duration) -> u32 {
        let memory = self.rules.damping.memory;
        // Falls are in order, so the recent ones are at the end.
        let old = self
            .falls
            .partition_point(|&fall| now.saturating_sub(fall) >= memory);
        let recent = self.falls.len() - old;
        let doublings = recent.saturating_sub(1).min(self.max_doublings());
        self.rules.rise.saturating_mul(1 << doublings)
    }

    fn max_doublings(&self) -> usize {
        self.rules.damping.doublings.min(MAX_DOUBLINGS) as usize
    }

    fn count(&mut self, now: Duration, result: ProbeResult) {
        let is_fail = result == ProbeResult::Fail;
        self.failing_since = is_fail.then(|| self.failing_since.unwrap_or(now));
        self.fails = in_a_row(self.fails, is_fail);
        self.successes = in_a_row(self.successes, !is_fail);
        self.warns = in_a_row(self.warns, result == ProbeResult::Warn);
        self.passes = in_a_row(self.passes, result == ProbeResult::Pass);
    }

    /// The state after the counted result.
    fn next_state(&self, now: Duration, result: ProbeResult, may_fall: bool) -> HealthState {
        let serving = if result == ProbeResult::Warn {
            HealthState::Degraded
        } else {
            HealthState::Up
        };
        match self.state {
            HealthState::Unknown if result == ProbeResult::Fail => HealthState::Down,
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

    fn transition(&mut self, now: Duration, to: HealthState) -> Transition {
        let transition = Transition {
            from: self.state,
            to,
            at: now,
        };
        self.state = to;
        self.since = now;
        if transition.is_fall() {
            self.falls.push_back(now);
            if self.falls.len() > self.max_doublings() + 1 {
                self.falls.pop_front();
            }
        }
        transition
    }
}

/// How many results in a row have a property, the latest included.
fn in_a_row(before: u32, has_it: bool) -> u32 {
    if has_it { before.saturating_add(1) } else { 0 }
}

#[cfg(test)]
mod tests;
