//! What operators ask the fleet for: orders, their removal, past orders, and restoration.
//!
//! A call is answered within two seconds, and says whether an order that nobody has confirmed may
//! still take effect. Waiting happens in tasks of their own, so a call that waits delays no other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{OrdersRunner, random_number};
use crate::control::clock::ClockReading;
use crate::control::fleet::orders::value::{OrderValue, key_of, removal_of};
use crate::control::fleet::orders::{OrderReply, OrdersCall};
use crate::control::outcome::{ChangeRefusal, PendingChange};
use crate::control::overrides::{OrderScope, Override, OverrideLift};
use crate::control::prepared_order::{PreparedOrder, sentence_of};
use crate::control::state_writer::WriteTicket;
use crate::fleet::desired::{MARK, MOST_OCTETS, MOST_WRITTEN, OrdersAlarm};
use crate::fleet::order_carrier::{KeyWrite, OrderCommand, OrderCommander, WriteFault};

/// How long an order may take until it is in force here.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a write that nobody has confirmed may still be made.
const DOUBTFUL: Duration = Duration::from_secs(60);
/// How long a restoration may take.
const RESTORE_PATIENCE: Duration = Duration::from_secs(30);

/// How far the fleet's orders are in force here.
#[derive(Debug, Clone, Default)]
pub(super) struct AppliedOrders {
    /// The epoch of the bucket, which rises when the orders are restored.
    pub(super) epoch: u64,
    /// The greatest revision.
    pub(super) revision: u64,
    /// The edition of services that has them.
    pub(super) edition: Option<u64>,
    /// The file that has them.
    pub(super) file: Option<(&'static str, WriteTicket)>,
}

impl OrdersRunner {
    /// Begins what a call asks for.
    pub(super) fn obey(&mut self, call: OrdersCall) {
        match call {
            OrdersCall::Give(order, reply) => {
                let begun = self.give(order);
                self.write(begun, reply);
            }
            OrdersCall::Lift(lift, reply) => {
                let begun = self.lift(lift);
                self.write(begun, reply);
            }
            OrdersCall::Restore(by, reply) => self.restore(by, reply),
            OrdersCall::History(key, reply) => {
                let key = key.map(|(subject, kind)| key_of(&subject, kind));
                self.commander.command(OrderCommand::History { key, reply });
            }
        }
    }

    /// The value that puts an override in force.
    fn give(&self, order: Override) -> Result<BegunOrder, ChangeRefusal> {
        self.expect_ready()?;
        let (view, now) = (self.control.state(), ClockReading::now());
        let order = Override {
            scope: OrderScope::Fleet,
            ..order
        };
        match PreparedOrder::of(order, &view.book, &view.derived.config, now.boot)? {
            PreparedOrder::Lift(lift) => self.lift(lift),
            PreparedOrder::Give(order) => Ok(BegunOrder::Write {
                value: OrderValue::of(&order, &self.server, &now).text(),
                key: key_of(&order.subject, order.action.kind()),
                sentence: sentence_of(&order, &view.snapshot.catalog, now),
            }),
        }
    }

    /// The value that removes an override.
    fn lift(&self, lift: OverrideLift) -> Result<BegunOrder, ChangeRefusal> {
        self.expect_ready()?;
        let view = self.control.state();
        let mut lift = OverrideLift {
            scope: OrderScope::Fleet,
            ..lift
        };
        lift.subject = lift.known_subject(&view.book, &view.derived.config)?;
        let key = key_of(&lift.subject, lift.kind);
        if !lift.is_known(&view.book) && !self.doubtful.has(&key) {
            let (subject, kind) = (&lift.subject, lift.kind.as_str());
            let sentence = format!("{subject}: the fleet has no {kind} to remove");
            return Ok(BegunOrder::Nothing(sentence));
        }
        Ok(BegunOrder::Write {
            value: OrderValue::of_end(&lift, &self.server, &ClockReading::now()).text(),
            key,
            sentence: lift.done(&lift.subject),
        })
    }

    /// Whether the fleet can be ordered anything now.
    fn expect_ready(&self) -> Result<(), ChangeRefusal> {
        let fleet = &self.fleet;
        if !self.is_linked {
            return Err(ChangeRefusal::NotTaken(format!(
                "this order is for all servers of the fleet {fleet}, and no NATS server can be reached: \
                 it was not made, and the orders in force stay; with --here-only it holds on this \
                 server alone"
            )));
        }
        if let Some(alarm) = self.desired.alarm() {
            return Err(ChangeRefusal::NotTaken(format!(
                "{alarm}: the order was not made, and the orders in force stay; `meridian orders \
                 restore` writes what this server holds, and with --here-only an order holds on this \
                 server alone"
            )));
        }
        if !self.desired.is_current() {
            return Err(ChangeRefusal::NotTaken(format!(
                "the orders of the fleet {fleet} cannot be read yet: the order was not made; repeat it \
                 in a moment, or order it on this server alone with --here-only"
            )));
        }
        Ok(())
    }

    /// Writes a value and answers when it is in force.
    fn write(&self, begun: Result<BegunOrder, ChangeRefusal>, reply: OrderReply) {
        let (key, value, sentence) = match begun {
            Ok(BegunOrder::Write {
                key,
                value,
                sentence,
            }) => (key, value, sentence),
            Ok(BegunOrder::Nothing(sentence)) => {
                let pending = PendingChange {
                    sentence,
                    kept: true,
                    ..PendingChange::default()
                };
                drop(reply.send(Ok(pending)));
                return;
            }
            Err(refusal) => {
                drop(reply.send(Err(refusal)));
                return;
            }
        };
        if let Some(sentence) = self.no_room(&key, &value) {
            drop(reply.send(Err(ChangeRefusal::Unfit(sentence))));
            return;
        }
        let expected = self.desired.expected(&key);
        let waiting = WaitingOrder {
            commander: self.commander.clone(),
            applied: self.applied.subscribe(),
            doubtful: self.doubtful.clone(),
            fleet: self.fleet.clone(),
            sentence,
            end: Instant::now() + PATIENCE,
        };
        let write = KeyWrite {
            key,
            value,
            expected,
        };
        tokio::spawn(async move { drop(reply.send(waiting.write(write).await)) });
    }

    fn no_room(&self, key: &str, value: &str) -> Option<String> {
        if value.len() > MOST_OCTETS {
            let octets = value.len();
            return Some(format!(
                "the order has {octets} octets, more than {MOST_OCTETS}; give a shorter reason"
            ));
        }
        let has_room = self.desired.has_room(key, value.len());
        (!has_room)
            .then(|| format!("the fleet has {MOST_WRITTEN} orders, or 16 MiB of them, already"))
    }

    /// Writes all that this server holds, and then a mark of a later epoch.
    fn restore(&self, by: String, reply: OrderReply) {
        if !self.is_linked {
            let sentence = "no NATS server can be reached: nothing was restored".to_owned();
            drop(reply.send(Err(ChangeRefusal::NotTaken(sentence))));
            return;
        }
        let now = ClockReading::now();
        let mut writes = Vec::new();
        for key in self.desired.restoration() {
            let value = key
                .value
                .unwrap_or_else(|| removal_of(&key.key, &by, &self.server, &now).text());
            writes.push(KeyWrite {
                key: key.key,
                value,
                expected: key.expected,
            });
        }
        let mark = self.desired.next_mark(random_number(), &by);
        let (orders, epoch) = (writes.len(), mark.epoch);
        // Servers follow the restored bucket when its mark arrives, so the mark is last.
        writes.push(KeyWrite {
            key: MARK.to_owned(),
            value: serde_json::to_string(&mark).unwrap_or_default(),
            expected: self.desired.expected(MARK),
        });
        let waiting = WaitingOrder {
            commander: self.commander.clone(),
            applied: self.applied.subscribe(),
            doubtful: self.doubtful.clone(),
            fleet: self.fleet.clone(),
            sentence: format!("the bucket has the {orders} orders that this server holds"),
            end: Instant::now() + RESTORE_PATIENCE,
        };
        let is_gone = self.desired.alarm() == Some(&OrdersAlarm::Gone);
        tokio::spawn(async move {
            let restored = waiting.restore(is_gone, writes, epoch).await;
            drop(reply.send(restored));
        });
    }
}

/// Writes that nobody has confirmed, which may still be made.
#[derive(Debug, Default)]
pub(super) struct DoubtfulWrites(Mutex<BTreeMap<String, Instant>>);

impl DoubtfulWrites {
    fn note(&self, key: String) {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writes.retain(|_, at| at.elapsed() < DOUBTFUL);
        writes.insert(key, Instant::now());
    }

    /// Whether a key may have a value that this server does not know.
    fn has(&self, key: &str) -> bool {
        let writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writes.get(key).is_some_and(|at| at.elapsed() < DOUBTFUL)
    }
}

/// An order that was completed.
enum BegunOrder {
    /// It has to be written.
    Write {
        key: String,
        value: String,
        /// What is true when it is in force.
        sentence: String,
    },
    /// There is nothing to do; a sentence.
    Nothing(String),
}

/// An order on its way.
struct WaitingOrder {
    commander: OrderCommander,
    applied: watch::Receiver<AppliedOrders>,
    doubtful: Arc<DoubtfulWrites>,
    fleet: String,
    sentence: String,
    end: Instant,
}

impl WaitingOrder {
    async fn write(mut self, write: KeyWrite) -> Result<PendingChange, ChangeRefusal> {
        let key = write.key.clone();
        let written = timeout_at(self.end, self.commander.write(write)).await;
        let written = written.unwrap_or_else(|_| {
            let clause = "the NATS servers do not answer in time".to_owned();
            Err(WriteFault::Unconfirmed(clause))
        });
        if let Err(WriteFault::Unconfirmed(_)) = written {
            self.doubtful.note(key);
        }
        let revision = written.map_err(|fault| self.refusal(fault))?;
        self.applied(0, revision).await
    }

    async fn restore(
        mut self,
        is_gone: bool,
        writes: Vec<KeyWrite>,
        epoch: u64,
    ) -> Result<PendingChange, ChangeRefusal> {
        if is_gone {
            let made = self.commander.make().await;
            made.map_err(|fault| self.refusal(fault))?;
        }
        let mut revision = 0;
        for write in writes {
            let written = self.commander.write(write).await;
            revision = written.map_err(|fault| self.refusal(fault))?;
        }
        self.applied(epoch, revision).await
    }

    /// Waits until a revision is in force here, of a bucket of this epoch or a later one.
    async fn applied(&mut self, epoch: u64, revision: u64) -> Result<PendingChange, ChangeRefusal> {
        let arrived = self
            .applied
            .wait_for(|applied| applied.epoch >= epoch && applied.revision >= revision);
        let Ok(Ok(applied)) = timeout_at(self.end, arrived).await else {
            return Err(ChangeRefusal::Unconfirmed(format!(
                "the fleet {} has taken the order (revision {revision}), but this server has not seen \
                 it yet; it takes effect when it arrives",
                self.fleet
            )));
        };
        let sentence = format!(
            "{} (fleet {}, revision {revision})",
            self.sentence, self.fleet
        );
        Ok(PendingChange {
            sentence,
            edition: applied.edition,
            file: applied.file.map(|(name, _)| name),
            ticket: applied.file.map(|(_, ticket)| ticket),
            kept: true,
            ..PendingChange::default()
        })
    }

    fn refusal(&self, fault: WriteFault) -> ChangeRefusal {
        match fault {
            WriteFault::NotMade(clause) => ChangeRefusal::NotTaken(format!(
                "the order was not made: {clause}; the orders in force stay. Repeat it in some \
                 seconds, or order it on this server alone with --here-only"
            )),
            WriteFault::Unconfirmed(clause) => ChangeRefusal::Unconfirmed(format!(
                "it is not known whether the order was made: {clause}; it may still take effect. \
                 `meridian status` shows what is in force, `meridian orders log` what was ordered"
            )),
            WriteFault::Conflict(first) => ChangeRefusal::Unfit(format!(
                "{}; the order was not made. Repeat it if it is still right",
                who_was_first(first.as_deref())
            )),
        }
    }
}

/// `somebody else was first: fra is drained by ops through ns2`
fn who_was_first(value: Option<&[u8]>) -> String {
    let text = value.and_then(|octets| str::from_utf8(octets).ok());
    match text.map(OrderValue::read) {
        Some(Ok(value)) => format!(
            "somebody else was first: {} by {} through {}",
            value.sentence(),
            value.by,
            value.server
        ),
        _ => "somebody else was first".to_owned(),
    }
}
