//! The controller steps for overrides: begin and save. Overrides and leases also expire here.
//!
//! Drains, shifts and forces change only availability, so they are in force when their step ends.
//! Weights change the services themselves. Their step increments the edition of the inputs, and
//! callers wait until services of that edition are served.

use std::sync::Arc;

use super::change::{Action, Effects};
use super::clock::ClockReading;
use super::events::EventDraft;
use super::outcome::{ChangeRefusal, Ended, PendingChange};
use super::overrides::{FleetOrder, Override, OverrideKind, OverrideLift};
use super::prepared_order::{PreparedOrder, sentence_of};
use super::state::ControlState;
use crate::fleet::desired::DesiredMemory;

impl ControlState {
    /// Puts an override in force. A shift of 0 % or a gradual undrain removes the override of its
    /// kind, at once or when all clients are back.
    pub(super) fn set_override(
        &mut self,
        order: Override,
        now: ClockReading,
        effects: &mut Effects,
    ) -> Result<PendingChange, ChangeRefusal> {
        let config = &self.derived.config;
        let order = match PreparedOrder::of(order, &self.inputs.book, config, now.boot)? {
            PreparedOrder::Lift(lift) => return self.remove_override(&lift, now, effects),
            PreparedOrder::Give(order) => order,
        };
        Arc::make_mut(&mut self.inputs.book)
            .give(order.clone())
            .map_err(ChangeRefusal::Unfit)?;
        let (edition, moved) = match order.action.kind() {
            OverrideKind::Weight => (Some(self.inputs.next_edition()), 0.0),
            _ => (None, self.apply_overrides(now, effects)),
        };
        let sentence = sentence_of(&order, &self.snapshot.catalog, now);
        Ok(PendingChange {
            sentence,
            news: Some(news_of(order).moving(moved)),
            edition,
            file: self.keep_orders(now, effects),
            ..PendingChange::default()
        })
    }

    /// Removes an override; it is no error if there is none.
    pub(super) fn remove_override(
        &mut self,
        lift: &OverrideLift,
        now: ClockReading,
        effects: &mut Effects,
    ) -> Result<PendingChange, ChangeRefusal> {
        let subject = lift.known_subject(&self.inputs.book, &self.derived.config)?;
        let book = Arc::make_mut(&mut self.inputs.book);
        let Some(removed) = book.lift(&subject, lift.kind, lift.scope) else {
            let sentence = format!("{subject}: no {} to remove", lift.kind.as_str());
            let file = self.keep_orders(now, effects);
            return Ok(PendingChange {
                sentence,
                file,
                ..PendingChange::default()
            });
        };
        let edition = match lift.kind {
            OverrideKind::Weight => Some(self.inputs.next_edition()),
            _ => {
                self.apply_overrides(now, effects);
                None
            }
        };
        Ok(PendingChange {
            sentence: lift.done(&subject),
            news: Some(news_of_end(&removed, lift)),
            edition,
            file: self.keep_orders(now, effects),
            ..PendingChange::default()
        })
    }

    /// Puts in force what the fleet has ordered.
    pub(super) fn take_fleet_orders(
        &mut self,
        orders: Vec<FleetOrder>,
        seen: Arc<DesiredMemory>,
        now: ClockReading,
        effects: &mut Effects,
    ) -> PendingChange {
        let (mut weighs, mut moves) = (false, false);
        let mut news = Vec::new();
        let book = Arc::make_mut(&mut self.inputs.book);
        for order in orders {
            let kind = order.kind();
            match order {
                FleetOrder::Give(order) => match book.give(order.clone()) {
                    Ok(_) => news.push(news_of(order)),
                    Err(sentence) => {
                        tracing::error!("{} {}: {sentence}", order.subject, order.sentence());
                        continue;
                    }
                },
                FleetOrder::Lift(lift) => {
                    let Some(removed) = book.lift(&lift.subject, lift.kind, lift.scope) else {
                        continue;
                    };
                    news.push(news_of_end(&removed, &lift));
                }
            }
            weighs |= kind == OverrideKind::Weight;
            moves |= kind != OverrideKind::Weight;
        }
        self.seen = Some(seen);
        let mut moved = 0.0;
        if moves {
            moved = self.apply_overrides(now, effects);
        }
        let is_one = news.len() == 1;
        for draft in news {
            tracing::info!("the fleet's order: {}", draft.sentence);
            let moved = if is_one { moved } else { 0.0 };
            effects.actions.push(Action::Tell(draft.moving(moved)));
        }
        PendingChange {
            edition: weighs.then(|| self.inputs.next_edition()),
            file: self.keep_orders(now, effects),
            ..PendingChange::default()
        }
    }

    /// Removes the overrides and leases whose time is over.
    pub(super) fn expire(&mut self, now: ClockReading, effects: &mut Effects) -> Ended {
        if let Some((forward, size)) = now.step_since(&self.clocks) {
            self.note_clock_step(forward, size, now, effects);
        }
        self.clocks = now;
        let orders = Arc::make_mut(&mut self.inputs.book).expire(now.boot);
        let leases = Arc::make_mut(&mut self.inputs.leases).expire(now.boot);
        if orders
            .iter()
            .any(|order| order.action.kind() != OverrideKind::Weight)
        {
            self.apply_overrides(now, effects);
        }
        if self.inputs.book.progress(now.boot) != self.progress {
            self.apply_overrides(now, effects);
        }
        let is_compiled = !leases.is_empty()
            || orders
                .iter()
                .any(|order| order.action.kind() == OverrideKind::Weight);
        let edition = is_compiled.then(|| self.inputs.next_edition());
        if !orders.is_empty() {
            self.keep_orders(now, effects);
        }
        if std::mem::take(&mut self.renewed) || !leases.is_empty() {
            self.keep_leases(now, effects);
        }
        Ended {
            orders,
            leases,
            edition,
        }
    }
}

/// The event of an override that is in force.
fn news_of(order: Override) -> EventDraft {
    let reported = format!("{} {}", order.subject, order.sentence());
    EventDraft {
        to: Some(if order.is_returning() {
            "undrained".to_owned()
        } else {
            order.action.as_state()
        }),
        cause: Some(order.reason),
        by: Some(order.by),
        ..order.subject.news(reported)
    }
}

/// The event of an override that was removed.
fn news_of_end(removed: &Override, lift: &OverrideLift) -> EventDraft {
    let subject = &removed.subject;
    let sentence = lift.done(subject);
    EventDraft {
        from: Some(removed.action.as_state()),
        by: Some(lift.by.clone()),
        ..subject.news(format!("{sentence} by {}", lift.by))
    }
}
