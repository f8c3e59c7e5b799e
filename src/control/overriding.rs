//! The controller steps for overrides and leases: begin, save, expire.
//!
//! Drains, shifts and forces change only availability, so they are in force when their step ends.
//! Weights and leases change the services themselves. Their step increments the edition of the
//! inputs, and callers wait until services of that edition are served.

use std::sync::Arc;
use std::time::Duration;

use super::change::Effects;
use super::clock::ClockReading;
use super::events::EventDraft;
use super::leases::{Lease, LeaseKey};
use super::outcome::{ChangeRefusal, Ended, PendingChange};
use super::overrides::{Override, OverrideAction, OverrideKind, OverrideSubject};
use super::state::ControlState;
use crate::config::values::duration_text;

impl ControlState {
    /// Puts an override in force. A shift of 0 % or a gradual undrain removes the override of its
    /// kind, at once or when all clients are back.
    pub(super) fn set_override(
        &mut self,
        order: Override,
        now: ClockReading,
        effects: &mut Effects,
    ) -> Result<PendingChange, ChangeRefusal> {
        let mut order = order
            .resolve(&self.derived.config)
            .map_err(ChangeRefusal::Unknown)?;
        if order.is_returning()
            || matches!(order.action, OverrideAction::Shift { percent: 0.0, .. })
        {
            let kind = order.action.kind();
            let known = self.inputs.book.get(&order.subject, kind).is_some();
            let Some(pace) = order.pace.as_ref().filter(|_| known) else {
                return self.remove_override(&order.subject, kind, &order.by, now, effects);
            };
            // The override ends when all clients are back.
            order.ends = Some(pace.arrives);
        }
        self.inputs.book.set_out(&mut order, now.boot);
        Arc::make_mut(&mut self.inputs.book)
            .give(order.clone())
            .map_err(ChangeRefusal::Unfit)?;
        let (edition, moved) = match order.action.kind() {
            OverrideKind::Weight => (Some(self.inputs.next_edition()), 0.0),
            _ => (None, self.apply_overrides(now, effects)),
        };
        let lasting = lasting(&order, now);
        let hint = self.weight_hint(&order);
        let sentence = format!("{} {}{lasting}{hint}", order.subject, order.as_clause());
        let reported = format!("{} {}", order.subject, order.sentence());
        let news = EventDraft {
            to: Some(if order.is_returning() {
                "undrained".to_owned()
            } else {
                order.action.as_state()
            }),
            cause: Some(order.reason),
            by: Some(order.by),
            ..order.subject.news(reported).moving(moved)
        };
        Ok(PendingChange {
            sentence,
            news: Some(news),
            edition,
            file: self.keep_orders(now, effects),
            ..PendingChange::default()
        })
    }

    /// Removes an override; it is no error if there is none.
    pub(super) fn remove_override(
        &mut self,
        subject: &OverrideSubject,
        kind: OverrideKind,
        by: &str,
        now: ClockReading,
        effects: &mut Effects,
    ) -> Result<PendingChange, ChangeRefusal> {
        let known = self.inputs.book.get(subject, kind).is_some();
        // An override of something that is no longer configured can still be removed.
        let subject = match subject.resolve(&self.derived.config) {
            Err(_) if known => subject.clone(),
            resolved => resolved.map_err(ChangeRefusal::Unknown)?,
        };
        let Some(removed) = Arc::make_mut(&mut self.inputs.book).lift(&subject, kind) else {
            let sentence = format!("{subject}: no {} to remove", kind.as_str());
            let file = self.keep_orders(now, effects);
            return Ok(PendingChange {
                sentence,
                file,
                ..PendingChange::default()
            });
        };
        let edition = match kind {
            OverrideKind::Weight => Some(self.inputs.next_edition()),
            _ => {
                self.apply_overrides(now, effects);
                None
            }
        };
        let sentence = format!("{subject}: {} removed", kind.as_str());
        let from = Some(removed.action.as_state());
        let news = EventDraft {
            from,
            by: Some(by.to_owned()),
            ..subject.news(format!("{sentence} by {by}"))
        };
        Ok(PendingChange {
            sentence,
            news: Some(news),
            edition,
            file: self.keep_orders(now, effects),
            ..PendingChange::default()
        })
    }

    /// Begins or renews a lease.
    pub(super) fn put_lease(
        &mut self,
        lease: Lease,
        now: ClockReading,
        effects: &mut Effects,
    ) -> Result<PendingChange, ChangeRefusal> {
        let dnssec = self.inputs.base.dnssec.as_ref();
        if dnssec.is_some_and(|dnssec| dnssec.bundle.is_some()) {
            return Err(ChangeRefusal::Unfit(
                "the keys are elsewhere, so a leased address cannot be signed here".to_owned(),
            ));
        }
        let lease = lease.resolve(&self.inputs.base)?;
        let changed = Arc::make_mut(&mut self.inputs.leases)
            .put(lease.clone())
            .map_err(ChangeRefusal::Unfit)?;
        let Lease {
            service,
            region,
            address,
            weight,
            ttl,
            by,
            ..
        } = &lease;
        let lasting = duration_text(Duration::from_secs(*ttl));
        let sentence = format!(
            "{address} is an endpoint of {service} in {region} for {lasting}, weight {weight}"
        );
        if !changed {
            self.renewed = true;
            let kept = self.directory.is_some();
            return Ok(PendingChange {
                sentence,
                kept,
                ..PendingChange::default()
            });
        }
        let edition = Some(self.inputs.next_edition());
        let cause = Some(format!("leased by {by}"));
        let news = EventDraft {
            to: Some("leased".to_owned()),
            cause,
            by: Some(by.clone()),
            ..lease.news(sentence.clone())
        };
        Ok(PendingChange {
            sentence,
            news: Some(news),
            edition,
            file: self.keep_leases(now, effects),
            ..PendingChange::default()
        })
    }

    /// Ends a lease; it is no error if there is none.
    pub(super) fn end_lease(
        &mut self,
        key: &LeaseKey,
        by: &str,
        now: ClockReading,
        effects: &mut Effects,
    ) -> PendingChange {
        let (service, region, address) = key;
        let Some(lease) = Arc::make_mut(&mut self.inputs.leases).end(key) else {
            let sentence = format!("{address} has no lease in {region} of {service}");
            return PendingChange {
                sentence,
                file: self.keep_leases(now, effects),
                ..PendingChange::default()
            };
        };
        let edition = Some(self.inputs.next_edition());
        let sentence = format!(
            "{} left {} in {}",
            lease.address, lease.service, lease.region
        );
        let (from, by) = (Some("leased".to_owned()), by.to_owned());
        let news = EventDraft {
            from,
            cause: Some(format!("withdrawn by {by}")),
            by: Some(by),
            ..lease.news(sentence.clone())
        };
        PendingChange {
            sentence,
            news: Some(news),
            edition,
            file: self.keep_leases(now, effects),
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

    /// A hint for a region's weight that has no effect, because the region shares its clients with
    /// no other region.
    fn weight_hint(&self, order: &Override) -> String {
        let (OverrideAction::Weight { .. }, Some(name), None) = (
            &order.action,
            &order.subject.region,
            &order.subject.endpoint,
        ) else {
            return String::new();
        };
        let catalog = &self.snapshot.catalog;
        if catalog
            .services
            .iter()
            .flat_map(|service| service.views.iter().flatten())
            .any(|view| view.shares(catalog, name))
        {
            return String::new();
        }
        format!(
            "; that changes nothing now: {name} shares a tier with no other region (order = \"nearest\" \
             needs a band for that, order = \"priority\" has none). To send a part of its clients \
             elsewhere: meridian shift {name} 20%"
        )
    }
}

/// ` for 2h`: how long an override stays in force; empty: until it is removed.
fn lasting(order: &Override, now: ClockReading) -> String {
    let Some(deadline) = order.ends else {
        return String::new();
    };
    let seconds = deadline.left(now.boot).as_secs_f64().ceil() as u64;
    format!(
        " for {}",
        duration_text(Duration::from_secs(seconds.max(1)))
    )
}
