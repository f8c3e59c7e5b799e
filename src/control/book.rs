//! The book of orders: those in force, one of a kind for each subject.
//!
//! Pure: the time comes in as an argument.

use std::collections::BTreeMap;

use super::clock::BootTime;
use super::orders::{Override, OverrideAction, OverrideKind, OverrideSubject};

/// Most orders at a time.
pub const MOST: usize = 10_000;

/// Every order in force: one of a kind for each subject.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OverrideBook(BTreeMap<(OverrideSubject, OverrideKind), Override>);

impl OverrideBook {
    /// The orders of a list; of two for the same, the later one.
    pub fn of(orders: Vec<Override>) -> OverrideBook {
        let keyed = orders
            .into_iter()
            .map(|order| ((order.subject.clone(), order.demand.kind()), order));
        OverrideBook(keyed.take(MOST).collect())
    }

    /// Puts an order in force in place of the one of its kind, which is returned.
    ///
    /// # Errors
    /// A sentence: there are too many.
    pub fn give(&mut self, order: Override) -> Result<Option<Override>, String> {
        let key = (order.subject.clone(), order.demand.kind());
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            return Err(format!(
                "{MOST} orders are in force already; lift some first"
            ));
        }
        Ok(self.0.insert(key, order))
    }

    /// Takes an order back.
    pub fn lift(&mut self, subject: &OverrideSubject, kind: OverrideKind) -> Option<Override> {
        self.0.remove(&(subject.clone(), kind))
    }

    /// Takes out what has ended.
    pub fn expire(&mut self, now: BootTime) -> Vec<Override> {
        let ended = |order: &Override| order.ends.is_some_and(|deadline| deadline.is_over(now));
        let (gone, stay) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(_, order)| ended(order));
        self.0 = stay;
        let gone: BTreeMap<(OverrideSubject, OverrideKind), Override> = gone;
        gone.into_values().collect()
    }

    /// Every order, those for all services first.
    pub fn iter(&self) -> impl Iterator<Item = &Override> {
        self.0.values()
    }

    /// The order of a kind about a subject.
    pub fn get(&self, subject: &OverrideSubject, kind: OverrideKind) -> Option<&Override> {
        self.0.get(&(subject.clone(), kind))
    }

    /// Lets an order begin where the one of its kind is now. Clients that come back leave the region that they were shifted to.
    pub fn set_out(&self, order: &mut Override, now: BootTime) {
        let before = self.get(&order.subject, order.demand.kind());
        if let Some(pace) = &mut order.pace {
            pace.from_percent = before.map_or(0.0, |before| before.moved(now) * 100.0);
        }
        if let (
            OverrideAction::Shift {
                percent,
                to: to @ None,
            },
            Some(before),
        ) = (&mut order.demand, before)
            && *percent == 0.0
            && let OverrideAction::Shift { to: former, .. } = &before.demand
        {
            to.clone_from(former);
        }
    }

    /// How far each order has come that comes into force little by little: another list, another effect.
    pub fn progress(&self, now: BootTime) -> Vec<f64> {
        let underway = self.iter().filter(|order| order.is_underway(now));
        underway.map(|order| order.moved(now)).collect()
    }

    /// Whether no order is in force.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
