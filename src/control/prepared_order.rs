//! An order as it will be in force, before anybody is told.
//!
//! What an operator asks for is completed with what is in force now: names as the configuration spells
//! them, and the place from which a gradual change sets out. A server without a fleet puts the result
//! in force, and a server of a fleet writes it for all.

use std::time::Duration;

use super::book::OverrideBook;
use super::clock::{BootTime, ClockReading};
use super::outcome::ChangeRefusal;
use super::overrides::{Override, OverrideAction, OverrideLift, OverrideSubject};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::config::values::duration_text;

/// What an order comes to.
pub enum PreparedOrder {
    /// An override.
    Give(Override),
    /// The removal of one: a shift of 0 %, or a gradual undrain of nothing.
    Lift(OverrideLift),
}

impl PreparedOrder {
    /// Completes an order.
    ///
    /// # Errors
    /// Its subject is not configured.
    pub fn of(
        order: Override,
        book: &OverrideBook,
        config: &Config,
        now: BootTime,
    ) -> Result<PreparedOrder, ChangeRefusal> {
        let mut order = order.resolve(config).map_err(ChangeRefusal::Unknown)?;
        if order.is_returning()
            || matches!(order.action, OverrideAction::Shift { percent: 0.0, .. })
        {
            let kind = order.action.kind();
            let known = book.get(&order.subject, kind, order.scope).is_some();
            let Some(pace) = order.pace.as_ref().filter(|_| known) else {
                return Ok(PreparedOrder::Lift(OverrideLift {
                    subject: order.subject,
                    kind,
                    scope: order.scope,
                    by: order.by,
                    reason: order.reason,
                }));
            };
            // The override ends when all clients are back.
            order.ends = Some(pace.arrives);
        }
        book.set_out(&mut order, now);
        Ok(PreparedOrder::Give(order))
    }
}

impl OverrideLift {
    /// The subject as the configuration spells it. An override of something that is no longer
    /// configured can still be removed.
    ///
    /// # Errors
    /// There is neither such a subject nor such an override.
    pub fn known_subject(
        &self,
        book: &OverrideBook,
        config: &Config,
    ) -> Result<OverrideSubject, ChangeRefusal> {
        match self.subject.resolve(config) {
            Err(_) if self.is_known(book) => Ok(self.subject.clone()),
            resolved => resolved.map_err(ChangeRefusal::Unknown),
        }
    }

    /// Whether there is something to remove.
    pub fn is_known(&self, book: &OverrideBook) -> bool {
        book.get(&self.subject, self.kind, self.scope).is_some()
    }
}

/// What is true once an order is in force: `fra is drained for 2h`.
pub fn sentence_of(order: &Override, catalog: &Catalog, now: ClockReading) -> String {
    let (lasting, hint) = (lasting(order, now), weight_hint(order, catalog));
    format!("{} {}{lasting}{hint}", order.subject, order.as_clause())
}

/// A hint for a region's weight that has no effect, because the region shares its clients with no
/// other region.
fn weight_hint(order: &Override, catalog: &Catalog) -> String {
    let (OverrideAction::Weight { .. }, Some(name), None) = (
        &order.action,
        &order.subject.region,
        &order.subject.endpoint,
    ) else {
        return String::new();
    };
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

/// ` for 2h`: how long an override stays in force; empty: until it is removed.
fn lasting(order: &Override, now: ClockReading) -> String {
    let Some(deadline) = order.ends else {
        return String::new();
    };
    let left = in_seconds(deadline.left(now.boot));
    format!(" for {}", duration_text(left))
}

/// A time in whole seconds, rounded up, and at least one.
fn in_seconds(time: Duration) -> Duration {
    let seconds = time.as_secs_f64().ceil() as u64;
    Duration::from_secs(seconds.max(1))
}
