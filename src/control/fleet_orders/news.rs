//! What the log says of the fleet's orders: one line for each change, none for what stays.
//!
//! A value that is no order is named once by key and revision. That a link was lost is told by the
//! votes, which use the same NATS servers.

use std::collections::BTreeSet;

use crate::fleet::desired::{BucketMark, OrdersAlarm, RefusedValue};
use crate::text::shown;

/// Most refused values that are remembered.
const MOST_NAMED: usize = 1024;
/// Most refusals that are named between two connections.
const MOST_REFUSALS: usize = 16;

/// What was said already.
#[derive(Default)]
pub(super) struct OrdersLog {
    fleet: String,
    refusals: BTreeSet<String>,
    named: BTreeSet<(u64, String)>,
    refused: u64,
    alarm: Option<OrdersAlarm>,
}

impl OrdersLog {
    pub(super) fn new(fleet: &str) -> OrdersLog {
        OrdersLog {
            fleet: fleet.to_owned(),
            ..OrdersLog::default()
        }
    }

    pub(super) fn linked(&mut self) {
        self.refusals.clear();
    }

    /// How many values did not count.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn refused_by_engine(&mut self, sentence: &str) {
        if self.refusals.len() < MOST_REFUSALS && self.refusals.insert(sentence.to_owned()) {
            tracing::warn!("fleet {}: orders: NATS: {}", self.fleet, shown(sentence));
        }
    }

    pub(super) fn refuse(&mut self, refused: &RefusedValue) {
        let name = (refused.revision, refused.key.clone());
        if self.named.contains(&name) {
            return;
        }
        if self.named.len() >= MOST_NAMED {
            self.named.pop_first();
        }
        self.named.insert(name);
        self.refused += 1;
        tracing::warn!(
            "fleet {}: revision {} of {} {}; it does not count, and what was in force stays",
            self.fleet,
            refused.revision,
            shown(&refused.key),
            shown(&refused.clause)
        );
    }

    pub(super) fn adopted(&mut self, mark: &BucketMark) {
        let BucketMark { epoch, by, .. } = mark;
        let fleet = &self.fleet;
        if *epoch > 1 {
            let by = shown(by);
            tracing::warn!("fleet {fleet}: the orders are those that {by} has restored");
        } else {
            tracing::info!("fleet {fleet}: the bucket of orders is read");
        }
    }

    /// Tells of an alarm that is new or over, and returns the sentence for the log of events.
    pub(super) fn alarm(&mut self, alarm: Option<&OrdersAlarm>) -> Option<String> {
        if self.alarm.as_ref() == alarm {
            return None;
        }
        self.alarm = alarm.cloned();
        let fleet = &self.fleet;
        let sentence = match alarm {
            Some(alarm) => format!(
                "{alarm}; what was in force stays, and new orders are refused until the bucket is as \
                 it was or `meridian orders restore` is run"
            ),
            None => "the bucket of the fleet's orders counts again".to_owned(),
        };
        if alarm.is_some() {
            tracing::error!("fleet {fleet}: {sentence}");
        } else {
            tracing::info!("fleet {fleet}: {sentence}");
        }
        Some(sentence)
    }
}
