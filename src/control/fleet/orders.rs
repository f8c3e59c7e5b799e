//! The orders of a fleet, for the rest of control: a handle to the task that follows them.
//!
//! An operator's order goes to the task as an `OrdersCall`, and its reply comes once the order is in
//! force here, or says why it is not. What the task knows of the bucket is published as an
//! [`OrdersReport`], which readers take without a lock.

pub mod report;
pub mod value;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use self::report::OrdersReport;
use crate::control::outcome::{ChangeRefusal, PendingChange};
use crate::control::overrides::{Override, OverrideKind, OverrideLift, OverrideSubject};
use crate::fleet::order_carrier::PastValue;

/// Most calls that wait for the task.
const MOST_WAITING: usize = 256;

/// Receives what became of an order.
pub(in crate::control) type OrderReply = oneshot::Sender<Result<PendingChange, ChangeRefusal>>;

/// What the task of orders is asked for.
pub(in crate::control) enum OrdersCall {
    /// To order an override.
    Give(Override, OrderReply),
    /// To remove one.
    Lift(OverrideLift, OrderReply),
    /// To write what this server holds into the bucket; with the author.
    Restore(String, OrderReply),
    /// The past values of a key, or of all keys.
    History(
        Option<(OverrideSubject, OverrideKind)>,
        oneshot::Sender<Result<Vec<PastValue>, String>>,
    ),
}

/// What the rest of control knows of the fleet's orders.
pub struct OrdersHandle {
    calls: mpsc::Sender<OrdersCall>,
    report: Arc<ArcSwap<OrdersReport>>,
    /// The bucket was read, or does not count.
    has_looked: watch::Receiver<bool>,
    fleet: String,
}

/// The ends of a handle that the task holds.
pub(in crate::control) struct OrdersEnds {
    pub(in crate::control) calls: mpsc::Receiver<OrdersCall>,
    pub(in crate::control) report: Arc<ArcSwap<OrdersReport>>,
    pub(in crate::control) has_looked: watch::Sender<bool>,
}

impl OrdersHandle {
    /// A handle, and the ends for its task.
    pub(in crate::control) fn new(fleet: &str) -> (OrdersHandle, OrdersEnds) {
        let (send, calls) = mpsc::channel(MOST_WAITING);
        let report = Arc::new(ArcSwap::from_pointee(OrdersReport::default()));
        let (looked, has_looked) = watch::channel(false);
        let handle = OrdersHandle {
            calls: send,
            report: report.clone(),
            has_looked,
            fleet: fleet.to_owned(),
        };
        let ends = OrdersEnds {
            calls,
            report,
            has_looked: looked,
        };
        (handle, ends)
    }

    /// The name of the fleet.
    pub fn fleet(&self) -> &str {
        &self.fleet
    }

    /// What is known of the bucket.
    pub fn report(&self) -> OrdersReport {
        OrdersReport::clone(&self.report.load())
    }

    /// Waits until the bucket was read once.
    pub(in crate::control) async fn looked(&self) {
        let mut has_looked = self.has_looked.clone();
        // The task may have ended with the program.
        let _ = has_looked.wait_for(|looked| *looked).await;
    }

    /// Hands a call to the task.
    ///
    /// # Errors
    /// Too many wait already.
    pub(in crate::control) fn call(&self, call: OrdersCall) -> Result<(), ChangeRefusal> {
        self.calls.try_send(call).map_err(|_| {
            ChangeRefusal::Busy("too many orders wait already; repeat it in a moment".to_owned())
        })
    }
}
