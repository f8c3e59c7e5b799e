//! Pace: applies an override gradually.
//!
//! A drain or shift can move its clients over a period of time instead of at once. A pace computes
//! the part that has moved by now. The time is an argument.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clock::{BootTime, Deadline};
use super::orders::{Override, OverrideAction};

/// Steps in which clients go elsewhere little by little: the answers need not be worked out anew for less.
const STEPS: f64 = 256.0;

/// How an order comes into force little by little.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangePace {
    /// The part of the clients that went elsewhere when it began, in per cent.
    pub from_percent: f64,
    /// How long it takes from there, in seconds.
    pub over_seconds: u64,
    /// It is a drain on its way back: clients return to what was drained.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returning: bool,
    /// When it is in force as a whole.
    #[serde(skip)]
    pub arrives: Deadline,
}

impl Override {
    /// Whether more, or fewer, clients go elsewhere by it in a while than now.
    pub fn is_underway(&self, now: BootTime) -> bool {
        self.pace
            .as_ref()
            .is_some_and(|pace| !pace.arrives.is_over(now))
    }

    /// Whether it is the way back of a drain, which ends with it.
    pub fn is_returning(&self) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.returning)
    }

    /// The part of the clients that goes elsewhere by it now, 0.0..=1.0. It never goes back and forth on its way.
    pub fn moved(&self, now: BootTime) -> f64 {
        let whole = match self.demand {
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
        let left =
            (pace.arrives.left(now).as_secs_f64() / pace.over_seconds.max(1) as f64).min(1.0);
        let steps = (whole + (from - whole) * left) * STEPS;
        let moved = if from < whole {
            steps.floor()
        } else {
            steps.ceil()
        } / STEPS;
        moved.clamp(from.min(whole), from.max(whole))
    }
}
