//! The task that joins the fleet's orders with the controller.
//!
//! It owns the [`DesiredState`], feeds it with what the bucket says, and hands what follows to the
//! controller, which puts it in force and saves it. An operator's order is completed with what is in
//! force here, written with compare-and-set, and answered when it has come back and is in force. So
//! this server learns of its own orders as all others do, and nobody sees an order that the bucket does
//! not have.

mod calls;
mod news;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use self::calls::{AppliedOrders, DoubtfulWrites};
use self::news::OrdersLog;
use super::change::Change;
use super::clock::ClockReading;
use super::events::{EventDraft, EventTopic};
use super::fleet::orders::report::OrdersReport;
use super::fleet::orders::value::{self, OrderValue};
use super::fleet::orders::{OrdersEnds, OrdersHandle};
use super::fleet::{kv_settings, random_number};
use super::overrides::FleetOrder;
use super::running::Control;
use crate::fleet::desired::{BucketNeed, DesiredChange, DesiredNews, DesiredState, MARK};
use crate::fleet::nats_kv::KvBucket;
use crate::fleet::order_carrier::{
    KeyWrite, OrderCarrier, OrderCommand, OrderCommander, OrderNews, WriteFault,
};

/// The longest that a start waits for the orders of a fleet that it has never seen.
const FIRST_ORDERS: Duration = Duration::from_secs(2);
/// How often a server that is being replaced looks whether that has failed, and the pause after a step
/// of control has failed.
const LEAVING: Duration = Duration::from_secs(1);
/// The pause before a bucket or its mark is made again.
const MAKE_AGAIN: Duration = Duration::from_secs(2);

impl Control {
    /// Follows the orders of the fleet, if one is configured that keeps them, with a task of the
    /// current tokio runtime. A server that has never seen any waits for them, but not for long.
    ///
    /// # Errors
    /// A sentence: this server has no name, or TLS cannot be used.
    pub async fn start_orders(self: &Arc<Control>) -> Result<(), String> {
        let state = self.state();
        let fleet = state.derived.base.fleet.as_ref();
        let Some(fleet) = fleet.filter(|fleet| fleet.keeps_orders()) else {
            return Ok(());
        };
        let settings = kv_settings(fleet, KvBucket::Orders)?;
        let server = settings.nats.voter.clone();
        let (handle, ends) = OrdersHandle::new(&fleet.name);
        let seen = state.seen.as_deref().cloned();
        let has_seen = seen.is_some();
        if state.directory.is_none() {
            tracing::warn!(
                "fleet {}: without a [state] directory, this server has no orders after a restart \
                 until it reaches NATS",
                fleet.name
            );
        }
        let desired = DesiredState::new(&fleet.name, seen, value::check);
        let runner = OrdersRunner::new(self.clone(), server, desired, settings, ends);
        let handle = self.shared.fleet_orders.get_or_init(|| handle);
        tokio::spawn(runner.run());
        if !has_seen {
            let _ = tokio::time::timeout(FIRST_ORDERS, handle.looked()).await;
        }
        Ok(())
    }
}

/// The task of orders.
struct OrdersRunner {
    control: Arc<Control>,
    /// The name of this server.
    server: String,
    fleet: String,
    desired: DesiredState,
    carrier: OrderCarrier,
    commander: OrderCommander,
    ends: OrdersEnds,
    applied: watch::Sender<AppliedOrders>,
    doubtful: Arc<DoubtfulWrites>,
    log: OrdersLog,
    is_linked: bool,
    /// When the bucket or its mark was made last.
    made_at: Option<Instant>,
}

impl OrdersRunner {
    fn new(
        control: Arc<Control>,
        server: String,
        desired: DesiredState,
        settings: crate::fleet::nats_kv::KvSettings,
        ends: OrdersEnds,
    ) -> OrdersRunner {
        let fleet = settings.nats.fleet.clone();
        let carrier = OrderCarrier::nats(settings);
        OrdersRunner {
            control,
            server,
            log: OrdersLog::new(&fleet),
            fleet,
            applied: watch::Sender::new(AppliedOrders {
                epoch: desired.memory().map_or(0, |memory| memory.mark.epoch),
                revision: desired.revision(),
                ..AppliedOrders::default()
            }),
            desired,
            doubtful: Arc::default(),
            commander: carrier.commander(),
            carrier,
            ends,
            is_linked: false,
            made_at: None,
        }
    }

    async fn run(mut self) {
        loop {
            self.publish();
            tokio::select! {
                news = self.carrier.next() => self.take(news).await,
                call = self.ends.calls.recv() => match call {
                    Some(call) => self.obey(call),
                    None => return,
                },
            }
        }
    }

    fn publish(&mut self) {
        let alarm = self.desired.alarm();
        let memory = self.desired.memory();
        let report = OrdersReport {
            linked: self.is_linked,
            current: self.desired.is_current(),
            revision: self.desired.revision(),
            epoch: memory.map_or(0, |memory| memory.mark.epoch),
            alarm: alarm.map(ToString::to_string),
            alarm_reason: alarm.map(|alarm| alarm.word().to_owned()),
            refused: self.log.refused(),
            here_only: 0,
        };
        self.ends.report.store(Arc::new(report));
        if self.desired.is_current() || alarm.is_some() {
            self.ends.has_looked.send_replace(true);
        }
    }

    async fn take(&mut self, news: OrderNews) {
        match news {
            OrderNews::Linked => {
                self.is_linked = true;
                self.log.linked();
            }
            OrderNews::Unlinked => self.is_linked = false,
            news => self.take_bucket(news).await,
        }
    }

    /// Takes in what the bucket says, or that it cannot be read.
    async fn take_bucket(&mut self, news: OrderNews) {
        if self.control.is_closed() {
            // Another server is taking over, and follows the bucket itself. If it fails, this one has to
            // read what it has missed.
            tokio::time::sleep(LEAVING).await;
            self.commander.command(OrderCommand::Reread);
            return;
        }
        let before = self.desired.memory();
        let before = before.map(|memory| (memory.mark.clone(), memory.revision));
        let news = match news {
            OrderNews::Linked | OrderNews::Unlinked => return,
            OrderNews::Refused(sentence) => {
                self.log.refused_by_engine(&sentence);
                // What others have ordered since is not known, so nothing is ordered here.
                self.desired.take_unread();
                // A start does not wait for a bucket that cannot be read.
                self.ends.has_looked.send_replace(true);
                return;
            }
            OrderNews::Missing => self.desired.take_missing(),
            OrderNews::Snapshot(snapshot) => self.desired.take_snapshot(&snapshot),
            OrderNews::Entry(entry) => self.desired.take_entry(&entry),
        };
        for refused in &news.refused {
            self.log.refuse(refused);
        }
        if let Some(sentence) = self.log.alarm(self.desired.alarm()) {
            let draft = EventDraft::new(EventTopic::Order, sentence);
            self.control.events().tell(draft);
        }
        let after = self.desired.memory();
        let after = after.map(|memory| (memory.mark.clone(), memory.revision));
        if let Some((mark, _)) = &after
            && before.as_ref().map(|(mark, _)| mark) != Some(mark)
        {
            self.log.adopted(mark);
        }
        if before != after {
            self.apply(&news).await;
        }
        match news.need {
            Some(BucketNeed::Bucket) => self.make(None),
            Some(BucketNeed::Mark) => {
                self.make(Some(self.desired.next_mark(random_number(), &self.server)))
            }
            Some(BucketNeed::Snapshot) => self.commander.command(OrderCommand::Reread),
            None => {}
        }
    }

    /// Puts in force what follows from news.
    async fn apply(&mut self, news: &DesiredNews) {
        let Some(seen) = self.desired.memory().cloned().map(Arc::new) else {
            return;
        };
        let now = ClockReading::now();
        let mut orders = Vec::new();
        for change in &news.changes {
            orders.extend(order_of(change, &now));
        }
        let (revision, epoch) = (seen.revision, seen.mark.epoch);
        let made = self.control.controller.ask(|reply| Change::FleetOrders {
            orders,
            seen,
            reply,
        });
        match made.await {
            Ok(Ok(pending)) => self.applied.send_modify(|applied| {
                (applied.epoch, applied.revision) = (epoch, revision);
                applied.edition = pending.edition.or(applied.edition);
                applied.file = pending.file.zip(pending.ticket).or(applied.file);
            }),
            // A step that panics is logged. What was not put in force was not seen either, so the bucket
            // is read again from where control is.
            _ => {
                let seen = self.control.state().seen.as_deref().cloned();
                self.desired = DesiredState::new(&self.fleet, seen, value::check);
                tokio::time::sleep(LEAVING).await;
                self.commander.command(OrderCommand::Reread);
            }
        }
    }

    /// Makes the bucket, or writes its mark, in the background.
    fn make(&mut self, mark: Option<crate::fleet::desired::BucketMark>) {
        let is_soon = self.made_at.is_some_and(|at| at.elapsed() < MAKE_AGAIN);
        if is_soon && mark.is_none() {
            return;
        }
        self.made_at = Some(Instant::now());
        let (commander, fleet) = (self.commander.clone(), self.fleet.clone());
        tokio::spawn(async move {
            let made = match mark {
                None => commander.make().await,
                Some(mark) => {
                    let value = serde_json::to_string(&mark).unwrap_or_default();
                    let write = KeyWrite {
                        key: MARK.to_owned(),
                        value,
                        expected: 0,
                    };
                    commander.write(write).await.map(|_| ())
                }
            };
            match made {
                Err(WriteFault::NotMade(clause) | WriteFault::Unconfirmed(clause)) => {
                    tracing::warn!("fleet {fleet}: the bucket of orders: {clause}");
                }
                // Another server was first.
                Ok(()) | Err(WriteFault::Conflict(_)) => {}
            }
        });
    }
}

/// What a changed value means.
fn order_of(change: &DesiredChange, now: &ClockReading) -> Option<FleetOrder> {
    match change.value.as_deref() {
        Some("") | None => read(change.before.as_deref()?)?.lift(),
        Some(value) => read(value)?.order_at(now),
    }
}

fn read(value: &str) -> Option<OrderValue> {
    OrderValue::read(value).ok()
}
