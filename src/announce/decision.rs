//! Whether a server announces: the whole decision, as a state machine of values.
//!
//! [`AnnounceDecision::step`] takes what was seen in a round and the time. A server that fails its test
//! queries `fall` times in a row is withdrawn, whatever its fleet says. One that is outvoted leaves
//! only if at least `keep` others stay, and only after others have had the time to hear of its
//! doubts. So of several that are outvoted at once, the first by name stay.
//!
//! An announcement begins after `rise` answers in a row, and not before a pause since the last
//! withdrawal, which doubles with every further one: routers damp routes that flap (RFC 2439). The
//! pause is left out where fewer than `keep` others announce.

use std::time::Duration;

use crate::config::AnnounceRules;
use crate::config::values::duration_text;
use crate::fleet::announcement::AnnounceState;

/// How long a server is outvoted before it leaves, so that others hear first that it may. A view is
/// published at least once a second.
const DOUBT: Duration = Duration::from_secs(3);
/// A withdrawal counts for longer pauses during this time.
const MEMORY: Duration = Duration::from_secs(600);
/// Most times that the pause doubles.
const MOST_DOUBLINGS: u32 = 4;

/// What was seen in a round.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundFacts {
    /// Whether the server answered every test query; else a sentence that says what is wrong.
    pub answers: Result<(), String>,
    /// What its fleet says; `None`: it has none, or is not in touch with enough of it.
    pub fleet: Option<FleetFacts>,
}

/// What a fleet says about one of its servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetFacts {
    /// The checks of the server.
    pub checks: usize,
    /// How many of them it sees otherwise than the fleet.
    pub outvoted: usize,
    /// How many others announce.
    pub announcing: usize,
    /// How many of them stay if this server leaves because it is outvoted.
    pub staying: usize,
}

/// The decision for one server, and its reason.
#[derive(Debug, Clone)]
pub struct AnnounceDecision {
    rules: AnnounceRules,
    state: AnnounceState,
    /// Whether anything was decided yet. Before that, routes stay as they are.
    is_decided: bool,
    reason: String,
    good_row: u32,
    bad_row: u32,
    /// Since when the server is outvoted.
    doubted_since: Option<Duration>,
    changed_at: Duration,
    withdrawn_at: Option<Duration>,
    withdrawals: u32,
}

impl AnnounceDecision {
    /// Nothing is decided yet.
    pub fn new(rules: AnnounceRules) -> AnnounceDecision {
        AnnounceDecision {
            rules,
            state: AnnounceState::Withdrawn,
            is_decided: false,
            reason: "the announcer has just started".to_owned(),
            good_row: 0,
            bad_row: 0,
            doubted_since: None,
            changed_at: Duration::ZERO,
            withdrawn_at: None,
            withdrawals: 0,
        }
    }

    /// The present state.
    pub fn state(&self) -> AnnounceState {
        self.state
    }

    /// Why it is the present state: a sentence.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether routes are announced; `None`: nothing was decided yet, so they stay as they are.
    pub fn is_announcing(&self) -> Option<bool> {
        self.is_decided.then(|| self.state.is_announcing())
    }

    /// Takes what was seen in a round that ended at `now`. Times never decrease.
    pub fn step(&mut self, now: Duration, facts: &RoundFacts) {
        self.count(facts.answers.is_ok());
        self.note_doubt(now, facts);
        if let Err(sentence) = &facts.answers
            && self.bad_row >= self.rules.fall
        {
            let reason = format!("the server fails its test queries: {sentence}");
            self.enter(now, AnnounceState::Withdrawn, reason);
            return;
        }
        match self.state {
            AnnounceState::Withdrawn => self.step_withdrawn(now, facts),
            AnnounceState::Held => self.step_held(now, facts),
            AnnounceState::Doubtful | AnnounceState::Announced => self.step_announcing(now, facts),
        }
    }

    fn count(&mut self, is_good: bool) {
        if is_good {
            self.good_row = self.good_row.saturating_add(1);
            self.bad_row = 0;
        } else {
            self.bad_row = self.bad_row.saturating_add(1);
            self.good_row = 0;
        }
    }

    fn note_doubt(&mut self, now: Duration, facts: &RoundFacts) {
        if self.is_outvoted(facts) {
            self.doubted_since.get_or_insert(now);
        } else {
            self.doubted_since = None;
        }
    }

    /// Whether the server sees so many of its checks otherwise than the fleet that its own network is
    /// probably at fault.
    fn is_outvoted(&self, facts: &RoundFacts) -> bool {
        let Some(fleet) = facts.fleet else {
            return false;
        };
        fleet.outvoted > 0 && fleet.outvoted as f64 >= self.rules.outvoted * fleet.checks as f64
    }

    fn step_announcing(&mut self, now: Duration, facts: &RoundFacts) {
        let (Some(since), Some(fleet)) = (self.doubted_since, facts.fleet) else {
            self.announce(now);
            return;
        };
        let is_told = now.saturating_sub(since) >= DOUBT;
        let has_stayed = now.saturating_sub(self.changed_at) >= self.rules.pause;
        if is_told && has_stayed && fleet.staying >= self.rules.keep {
            let reason = format!("{}, and {} others stay", outvoted(fleet), fleet.staying);
            self.enter(now, AnnounceState::Held, reason);
            return;
        }
        let reason = if fleet.staying < self.rules.keep {
            let keep = self.rules.keep;
            format!(
                "{}, but fewer than {keep} others would stay",
                outvoted(fleet)
            )
        } else {
            format!("{}, not for long enough to withdraw", outvoted(fleet))
        };
        self.enter(now, AnnounceState::Doubtful, reason);
    }

    fn step_held(&mut self, now: Duration, facts: &RoundFacts) {
        if facts.answers.is_err() {
            return;
        }
        if let (Some(_), Some(fleet)) = (self.doubted_since, facts.fleet) {
            if fleet.announcing < self.rules.keep {
                let reason = format!(
                    "{}, but only {} others announce",
                    outvoted(fleet),
                    fleet.announcing
                );
                self.enter(now, AnnounceState::Doubtful, reason);
            }
            return;
        }
        if self.wait(now, facts).is_none() {
            self.announce(now);
        }
    }

    fn step_withdrawn(&mut self, now: Duration, facts: &RoundFacts) {
        let (good, rise) = (self.good_row, self.rules.rise);
        if good < rise {
            if facts.answers.is_ok() {
                self.reason = format!("the server has answered {good} of {rise} rounds in a row");
            }
            return;
        }
        if let Some(left) = self.wait(now, facts) {
            let left = Duration::from_secs(left.as_secs() + 1);
            let text = duration_text(left);
            self.reason =
                format!("the server answers; it was withdrawn lately, so it waits {text}");
            return;
        }
        match facts.fleet {
            Some(fleet) if self.doubted_since.is_some() && fleet.announcing >= self.rules.keep => {
                let reason = format!(
                    "{}, and {} others announce",
                    outvoted(fleet),
                    fleet.announcing
                );
                self.enter(now, AnnounceState::Held, reason);
            }
            _ => self.announce(now),
        }
    }

    /// How long an announcement has to wait; `None`: no longer.
    fn wait(&self, now: Duration, facts: &RoundFacts) -> Option<Duration> {
        let at = self.withdrawn_at?;
        if facts
            .fleet
            .is_some_and(|fleet| fleet.announcing < self.rules.keep)
        {
            return None;
        }
        let doublings = self.withdrawals.saturating_sub(1).min(MOST_DOUBLINGS);
        let until = at + self.rules.pause * 2_u32.pow(doublings);
        until.checked_sub(now).filter(|left| !left.is_zero())
    }

    fn announce(&mut self, now: Duration) {
        let reason = "the server answers its test queries".to_owned();
        self.enter(now, AnnounceState::Announced, reason);
    }

    fn note_withdrawal(&mut self, now: Duration) {
        match self.withdrawn_at {
            Some(at) if now.saturating_sub(at) < MEMORY => {
                self.withdrawals = self.withdrawals.saturating_add(1);
            }
            _ => self.withdrawals = 1,
        }
        self.withdrawn_at = Some(now);
    }

    fn enter(&mut self, now: Duration, state: AnnounceState, reason: String) {
        let before = self.state;
        if before.is_announcing() && !state.is_announcing() {
            self.note_withdrawal(now);
        }
        if before.is_announcing() != state.is_announcing() {
            self.changed_at = now;
        }
        self.state = state;
        self.reason = reason;
        self.is_decided = true;
    }
}

fn outvoted(fleet: FleetFacts) -> String {
    let FleetFacts {
        checks, outvoted, ..
    } = fleet;
    format!("the fleet sees {outvoted} of {checks} checks otherwise")
}

#[cfg(test)]
mod tests;
