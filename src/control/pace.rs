//! Pace: applies an override gradually.
//!
//! A drain or shift can move its clients over a period of time instead of at once. A pace computes
//! the part that has moved by now. The time is an argument.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clock::{BootTime, Deadline};
use super::overrides::{Override, OverrideAction};

/// A gradual change advances in this many steps, because each step recompiles the answers.
const STEPS: f64 = 256.0;

/// How an override takes effect gradually.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangePace {
    /// The part of the clients that went elsewhere when the change began, in per cent.
    pub from_percent: f64,
    /// How long the change takes, in seconds.
    pub over_seconds: u64,
    /// A drain is being removed gradually, and clients return to its subject.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returning: bool,
    /// When the change is complete.
    #[serde(skip)]
    pub arrives: Deadline,
}

impl Override {
    /// Whether the part of the clients that it moves is still changing.
    pub fn is_underway(&self, now: BootTime) -> bool {
        self.pace
            .as_ref()
            .is_some_and(|pace| !pace.arrives.is_over(now))
    }

    /// Whether it is the gradual removal of a drain. The override ends when the removal is
    /// complete.
    pub fn is_returning(&self) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.returning)
    }

    /// The part of the clients that it sends elsewhere now, 0.0..=1.0. During a change the part
    /// only grows or only shrinks.
    pub fn moved(&self, now: BootTime) -> f64 {
        let whole = match self.action {
            OverrideAction::Drain if self.is_returning() => 0.0,
            OverrideAction::Drain => 1.0,
            OverrideAction::Shift { percent, .. } => (percent / 100.0).clamp(0.0, 1.0),
            OverrideAction::ForceUp | OverrideAction::ForceDown | OverrideAction::Weight { .. } => {
                return 0.0;
            }
        };
        let Some(pace) = self.pace.as_ref().filter(|_| self.is_underway(now)) else {
            return whole;
        };
        let from = (pace.from_percent / 100.0).clamp(0.0, 1.0);
        let seconds_left = pace.arrives.left(now).as_secs_f64();
        let left = (seconds_left / pace.over_seconds.max(1) as f64).min(1.0);
        let steps = (whole + (from - whole) * left) * STEPS;
        if from < whole {
            (steps.floor() / STEPS).clamp(from, whole)
        } else {
            (steps.ceil() / STEPS).clamp(whole, from)
        }
    }
}
