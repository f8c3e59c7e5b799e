//! Applies the requests of operators and endpoints: overrides and leases.
//!
//! Each call hands a `Change` to the controller. It returns once the change is in force and on
//! disk, or says why it is not. No call waits for a reload.

use std::sync::Arc;
use std::time::Duration;

use super::change::Change;
use super::events::EventTopic;
use super::leases::{Lease, LeaseKey};
use super::outcome::PendingChange;
use super::overrides::{Override, OverrideKind, OverrideSubject};
use super::running::Control;

pub use super::outcome::{ChangeOutcome, ChangeRefusal};

/// How long a caller waits until a change is on disk. After that, the reply says that it is not
/// saved yet.
const PATIENCE: Duration = Duration::from_secs(5);

impl Control {
    /// Puts an override in force and saves it.
    ///
    /// # Errors
    /// Its subject is not configured, there are too many, or it is in force but not saved yet.
    pub async fn order(
        self: &Arc<Control>,
        order: Override,
    ) -> Result<ChangeOutcome, ChangeRefusal> {
        let pending = self
            .controller
            .call(|reply| Change::Override { order, reply })
            .await??;
        self.finish(pending).await
    }

    /// Removes an override; it is no error if there is none.
    ///
    /// # Errors
    /// Its subject is not configured, or the removal is not saved yet.
    pub async fn lift(
        self: &Arc<Control>,
        subject: OverrideSubject,
        kind: OverrideKind,
        by: String,
    ) -> Result<ChangeOutcome, ChangeRefusal> {
        let pending = self
            .controller
            .call(|reply| Change::Lift {
                subject,
                kind,
                by,
                reply,
            })
            .await??;
        self.finish(pending).await
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
