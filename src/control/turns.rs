//! The periodic work of a running server, once a second.
//!
//! It watches the monitor, publishes health, and ends overrides and leases whose time is over.
//! Each turn hands a change to the controller, waits for the reply and reports to the
//! [`super::watchdog`]. No turn waits for a reload or for services to be compiled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::change::Change;
use super::events::EventDraft;
use super::fleet::FleetHandle;
use super::leases::Lease;
use super::outcome::Ended;
use super::running::Control;
use super::watchdog::WatchedPart;
use crate::answer::Snapshot;

/// How often each task turns, and the least time between two writes of the state.
const TICK: Duration = Duration::from_secs(1);

impl Control {
    /// Reports the monitor to the watchdog, unless a probe takes much longer than its timeout. Runs
    /// until it is dropped.
    pub async fn keep_monitor(self: Arc<Control>) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            let watch = self.watch();
            if !watch.is_some_and(|watch| watch.monitor.has_late_probe()) {
                self.watchdog().note(WatchedPart::Monitor);
            }
        }
    }

    /// Publishes every change of health, and saves the state. Runs until it is dropped.
    pub async fn keep_health(self: Arc<Control>) {
        let Some(mut changes) = self.watch().map(|watch| watch.monitor.changes()) else {
            return;
        };
        changes.mark_changed();
        let mut agreed = self.fleet().map(FleetHandle::changes);
        let mut tick = tokio::time::interval(TICK);
        let mut before = self.snapshot();
        // If a change could not be published, the next turn tries again.
        let mut is_due = false;
        loop {
            is_due |= tokio::select! {
                changed = changes.changed() => if changed.is_ok() { true } else { return },
                () = changed(&mut agreed) => true,
                _ = tick.tick() => false,
            };
            let done = if is_due {
                self.controller
                    .ask(|reply| Change::Observed { reply })
                    .await
            } else {
                self.controller.ask(|reply| Change::Tick { reply }).await
            };
            if done.is_ok() {
                is_due = false;
                self.watchdog().note(WatchedPart::Publisher);
            }
            // Widening takes a while, so it runs on its own thread, and only when availability has
            // not changed for a turn.
            let now = self.snapshot();
            if Arc::ptr_eq(&now, &before) && now.live.is_narrow() {
                let (control, narrow) = (self.clone(), now.clone());
                // If the thread is still busy, the next turn offers the work again.
                self.threads.widen.offer(move || control.widen(narrow));
            } else if Arc::ptr_eq(&now, &before) && !self.signed_ahead.is_done(&now) {
                let (control, snapshot) = (self.clone(), now.clone());
                let sign = move || control.sign_ahead(&snapshot);
                self.threads.sign_ahead.offer(sign);
            }
            before = now;
            // Publishing does not wait for this count either.
            let control = self.clone();
            self.threads.coverage.offer(move || control.count_clients());
        }
    }

    /// Computes wide ECS blocks for a snapshot that was published with narrow ones.
    fn widen(&self, narrow: Arc<Snapshot>) {
        let live = narrow.live.widened(&narrow.catalog);
        self.controller.send(Change::Widened { narrow, live });
    }

    /// Ends overrides and leases when their time is over. Runs until it is dropped.
    pub async fn keep_demands(self: Arc<Control>) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            let Ok(ended) = self.controller.ask(|reply| Change::Expire { reply }).await else {
                continue;
            };
            self.watchdog().note(WatchedPart::Timer);
            if !ended.orders.is_empty() || !ended.leases.is_empty() {
                // Removing weights and leases means compiling services. The next overrides to end
                // do not wait for that.
                tokio::spawn(self.clone().report_ended(ended));
            }
        }
    }

    /// Waits until the ended overrides and leases are out of force, and reports them.
    async fn report_ended(self: Arc<Control>, ended: Ended) {
        let Ended {
            orders,
            leases,
            edition,
        } = ended;
        if let Some(edition) = edition {
            self.compiled(edition).await;
        }
        for order in &orders {
            let sentence = format!("{}: {}", order.subject, order.ended());
            tracing::info!("{sentence}");
            let cause = Some("its time is over".to_owned());
            self.events().tell(EventDraft {
                from: Some(order.action.as_state()),
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
            self.events().tell(EventDraft {
                from,
                cause,
                ..lease.news(sentence)
            });
        }
    }
}

/// Waits until the fleet agrees on something else; for ever without a fleet.
async fn changed(agreed: &mut Option<watch::Receiver<u64>>) {
    if let Some(agreed) = agreed
        && agreed.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
