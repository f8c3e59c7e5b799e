//! Applies the requests of operators and endpoints: overrides and leases.
//!
//! Each call hands a `Change` to the controller. It returns once the change is in force and on
//! disk, or says why it is not. No call waits for a reload.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::change::Change;
use super::events::EventTopic;
use super::fleet::orders::{OrdersCall, OrdersHandle};
use super::leases::{Lease, LeaseKey};
use super::outcome::PendingChange;
use super::overrides::{OrderScope, Override, OverrideKind, OverrideLift, OverrideSubject};
use super::running::Control;
use crate::fleet::order_carrier::PastValue;

pub use super::outcome::{ChangeOutcome, ChangeRefusal};

/// How long a caller waits until a change is on disk. After that, the reply says that it is not
/// saved yet.
const PATIENCE: Duration = Duration::from_secs(5);

impl Control {
    /// Puts an override in force and saves it. In a fleet that is on all of its servers, unless it is
    /// to be here only.
    ///
    /// # Errors
    /// Its subject is not configured, there are too many, the fleet does not take it, or it is in force
    /// but not saved yet.
    pub async fn order(
        self: &Arc<Control>,
        mut order: Override,
    ) -> Result<ChangeOutcome, ChangeRefusal> {
        if let Some(fleet) = self.fleet_of(&mut order.scope) {
            let (reply, result) = oneshot::channel();
            fleet.call(OrdersCall::Give(order, reply))?;
            return self.finish(result.await.map_err(|_| interrupted())??).await;
        }
        let pending = self
            .controller
            .call(|reply| Change::Override { order, reply })
            .await??;
        self.finish(pending).await
    }

    /// Removes an override; it is no error if there is none.
    ///
    /// # Errors
    /// Its subject is not configured, the fleet does not take it, or the removal is not saved yet.
    pub async fn lift(
        self: &Arc<Control>,
        mut lift: OverrideLift,
    ) -> Result<ChangeOutcome, ChangeRefusal> {
        if let Some(fleet) = self.fleet_of(&mut lift.scope) {
            let (reply, result) = oneshot::channel();
            fleet.call(OrdersCall::Lift(lift, reply))?;
            return self.finish(result.await.map_err(|_| interrupted())??).await;
        }
        let pending = self
            .controller
            .call(|reply| Change::Lift { lift, reply })
            .await??;
        self.finish(pending).await
    }

    /// Writes the fleet's orders that this server holds into the bucket, which all servers follow then.
    ///
    /// # Errors
    /// There is no fleet, or it does not take them.
    pub async fn restore_orders(
        self: &Arc<Control>,
        by: String,
    ) -> Result<ChangeOutcome, ChangeRefusal> {
        let fleet = self.expect_fleet()?;
        let (reply, result) = oneshot::channel();
        fleet.call(OrdersCall::Restore(by, reply))?;
        self.finish(result.await.map_err(|_| interrupted())??).await
    }

    /// The past orders of the fleet, or those of one override, oldest first.
    ///
    /// # Errors
    /// There is no fleet, or its bucket cannot be read.
    pub async fn past_orders(
        &self,
        key: Option<(OverrideSubject, OverrideKind)>,
    ) -> Result<Vec<PastValue>, ChangeRefusal> {
        let fleet = self.expect_fleet()?;
        let (reply, result) = oneshot::channel();
        fleet.call(OrdersCall::History(key, reply))?;
        let read = result.await.map_err(|_| interrupted())?;
        read.map_err(|sentence| {
            ChangeRefusal::NotTaken(format!("the past orders cannot be read: {sentence}"))
        })
    }

    fn expect_fleet(&self) -> Result<&OrdersHandle, ChangeRefusal> {
        self.fleet_orders().ok_or_else(|| {
            ChangeRefusal::Unknown(
                "this server has no fleet that keeps orders; its own are in its log".to_owned(),
            )
        })
    }

    /// The fleet that an order goes to; `None`: the order is this server's own, and `scope` says why.
    fn fleet_of(&self, scope: &mut OrderScope) -> Option<&OrdersHandle> {
        match self.fleet_orders() {
            Some(fleet) if *scope != OrderScope::HereOnly => Some(fleet),
            Some(_) => None,
            None => {
                *scope = OrderScope::Plain;
                None
            }
        }
    }

    /// Begins or renews a lease. A new endpoint is probed before this returns.
    ///
    /// # Errors
    /// It does not fit the configuration, there are too many, or it is in force but not saved yet.
    pub async fn lease(self: &Arc<Control>, lease: Lease) -> Result<ChangeOutcome, ChangeRefusal> {
        let pending = self
            .controller
            .call(|reply| Change::Lease { lease, reply })
            .await??;
        self.finish(pending).await
    }

    /// Ends a lease; it is no error if there is none.
    ///
    /// # Errors
    /// The end is in force, but cannot be saved.
    pub async fn end_lease(
        self: &Arc<Control>,
        key: LeaseKey,
        by: String,
    ) -> Result<ChangeOutcome, ChangeRefusal> {
        let pending = self
            .controller
            .call(|reply| Change::EndLease { key, by, reply })
            .await??;
        self.finish(pending).await
    }

    /// Waits until a change is in force, reports it, and waits until it is saved, but only briefly
    /// for a disk that hangs.
    async fn finish(&self, pending: PendingChange) -> Result<ChangeOutcome, ChangeRefusal> {
        let PendingChange {
            sentence,
            news,
            edition,
            file,
            ticket,
            kept,
        } = pending;
        if let Some(edition) = edition {
            self.compiled(edition).await;
        }
        if let Some(news) = news {
            if news.topic == EventTopic::Lease {
                tracing::info!("{}", news.sentence);
            }
            self.events().tell(news);
        }
        let Some((name, ticket)) = file.zip(ticket) else {
            return Ok(ChangeOutcome { sentence, kept });
        };
        match self.shared.state_writer.wait(name, ticket, PATIENCE).await {
            Ok(()) => Ok(ChangeOutcome {
                sentence,
                kept: true,
            }),
            Err(reason) => Err(ChangeRefusal::NotKept(format!(
                "{sentence}; but this would not outlive a restart yet: {reason} (it is tried until it succeeds)"
            ))),
        }
    }

    /// Waits until services of this edition of the inputs are served, or of a newer one.
    pub(super) async fn compiled(&self, edition: u64) {
        let mut compiled = self.shared.compiled.subscribe();
        // The sender is our own, so it outlives this.
        let _ = compiled.wait_for(|compiled| *compiled >= edition).await;
    }
}

/// The task of orders has ended, with the server.
fn interrupted() -> ChangeRefusal {
    ChangeRefusal::Unconfirmed("this server is ending; the order may still take effect".to_owned())
}
