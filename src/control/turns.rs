//! What turns once a second as long as the server runs: the monitor is looked at, health is published, orders and leases
//! end. The [`super::watchdog`] is told of each turn that came to its end.
//!
//! What may block is done on threads ([`super::threads`]). None of these turns waits for a reload, nor for services that
//! are compiled anew.

use std::sync::Arc;
use std::time::Duration;

use super::Control;
use super::clock::{BootTime, ClockReading};
use super::events::EventDraft;
use super::leases::Lease;
use super::orders::{Override, OverrideKind};
use super::watchdog::{Watchdog, WatchedPart};

/// How often each of them turns, and the least time between two writes of the state.
const TICK: Duration = Duration::from_secs(1);

/// What has ended by itself.
pub(super) struct ExpiredItems {
    orders: Vec<Override>,
    leases: Vec<Lease>,
    /// The edition of the demands without it; `None`: nothing is compiled by it.
    edition: Option<u64>,
}

impl Control {
    /// What knows whether something is stuck.
    pub fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// Notes that the monitor turns, as long as no probe takes much longer than it may. Runs until it is dropped.
    pub async fn keep_monitor(self: Arc<Control>) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            let is_late = self
                .watch
                .get()
                .is_some_and(|watch| watch.monitor.has_late_probe());
            if !is_late {
                self.watchdog.note(WatchedPart::Monitor);
            }
        }
    }

    /// Publishes every change of health from now on, and keeps the state directory. Runs until it is dropped.
    pub async fn keep_health(self: Arc<Control>) {
        let Some(mut changes) = self.changes() else {
            return;
        };
        changes.mark_changed();
        let mut tick = tokio::time::interval(TICK);
        let mut before = self.snapshot();
        // A change that could not be published is tried again.
        let mut is_due = false;
        loop {
            is_due |= tokio::select! {
                changed = changes.changed() => if changed.is_ok() { true } else { return },
                _ = tick.tick() => false,
            };
            let control = self.clone();
            // Compiling would hold up the probes.
            let done = self.threads.publish.run(move || {
                if is_due {
                    control.react()
                } else {
                    control.tick()
                }
            });
            if done.await.is_ok() {
                is_due = false;
                self.watchdog.note(WatchedPart::Publisher);
            }
            // The next change need not wait for this; and what still changes every second is not worth the work.
            let now = self.snapshot();
            let steady = Arc::ptr_eq(&now, &before);
            before = now;
            if steady {
                let control = self.clone();
                // If its thread is busy with this already, the next turn is early enough.
                self.threads.widen.offer(move || control.widen());
            }
            // Nothing that is published waits for this either.
            let control = self.clone();
            self.threads.coverage.offer(move || control.count_clients());
        }
    }

    /// Ends what has ended. Runs until it is dropped.
    pub async fn keep_demands(self: Arc<Control>) {
        let mut tick = tokio::time::interval(TICK);
        let mut before = ClockReading::now();
        loop {
            tick.tick().await;
            let now = ClockReading::now();
            let (control, step, boot) = (self.clone(), now.step_since(&before), now.boot);
            before = now;
            // Working out what is left would hold up the runtime.
            let ended = self.threads.timer.run(move || {
                if let Some((forward, size)) = step {
                    control.note_step(forward, size);
                }
                control.end_what_has_ended(boot)
            });
            let Ok(ended) = ended.await else { continue };
            self.watchdog.note(WatchedPart::Timer);
            if !ended.orders.is_empty() || !ended.leases.is_empty() {
                // What has to be compiled away may take its time; what ends meanwhile does not wait for it.
                tokio::spawn(self.clone().tell_ended(ended));
            }
        }
    }

    /// Takes out orders and leases that have ended.
    pub(super) fn end_what_has_ended(&self, now: BootTime) -> ExpiredItems {
        let mut current = self.current();
        let orders = current.demands.book.expire(now);
        let leases = current.demands.leases.expire(now);
        if orders
            .iter()
            .any(|order| order.demand.kind() != OverrideKind::Weight)
        {
            self.reckon(&mut current);
        }
        self.progress(&mut current, now);
        let is_compiled = !leases.is_empty()
            || orders
                .iter()
                .any(|order| order.demand.kind() == OverrideKind::Weight);
        let edition = is_compiled.then(|| current.demands.next_edition());
        if !orders.is_empty() {
            self.keep_orders(&current);
        }
        if std::mem::take(&mut current.demands.renewed) || !leases.is_empty() {
            self.keep_leases(&current);
        }
        ExpiredItems {
            orders,
            leases,
            edition,
        }
    }

    /// Waits until what has ended is out of force, and tells of it.
    async fn tell_ended(self: Arc<Control>, ended: ExpiredItems) {
        let ExpiredItems {
            orders,
            leases,
            edition,
        } = ended;
        if let Some(edition) = edition {
            self.compiled(edition).await;
        }
        for order in &orders {
            let sentence = format!(
                "{}: the order that it {} has ended",
                order.subject,
                order.sentence()
            );
            tracing::info!("{sentence}");
            let cause = Some("its time is over".to_owned());
            self.events.tell(EventDraft {
                from: Some(order.demand.state()),
                cause,
                ..order.subject.news(sentence)
            });
        }
        for lease in &leases {
            let Lease {
                service,
                region,
                address,
                ..
            } = lease;
            let sentence = format!("{address} left {service} in {region}");
            tracing::info!("{sentence}: its lease was not renewed");
            let (from, cause) = (
                Some("leased".to_owned()),
                Some("its lease was not renewed".to_owned()),
            );
            self.events.tell(EventDraft {
                from,
                cause,
                ..lease.news(sentence)
            });
        }
    }
}
