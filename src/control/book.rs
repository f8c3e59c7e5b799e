//! The overrides in force.
//!
//! There is at most one override of each kind for each subject, so that a new drain of a region
//! replaces the old one. The code is pure: it takes the time as an argument and writes no files.

use std::collections::BTreeMap;

use super::clock::BootTime;
use super::overrides::{OrderScope, Override, OverrideAction, OverrideKind, OverrideSubject};

/// The most overrides that may be in force at once.
pub const MOST: usize = 10_000;

/// Every override in force, by subject and kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OverrideBook {
    /// The fleet's, or all of them where there is no fleet.
    shared: BTreeMap<BookKey, Override>,
    /// Those of this server only. Each counts in place of the fleet's for the same subject.
    here: BTreeMap<BookKey, Override>,
}

type BookKey = (OverrideSubject, OverrideKind);

impl OverrideBook {
    /// The overrides of a list, at most [`MOST`] of each scope. A later one replaces an earlier one of
    /// its kind.
    pub fn of(overrides: Vec<Override>) -> OverrideBook {
        let mut book = OverrideBook::default();
        for override_ in overrides {
            let _ = book.give(override_);
        }
        book
    }

    /// Puts an override in force and returns the one of its kind that it replaces.
    ///
    /// # Errors
    /// A sentence: there are too many.
    pub fn give(&mut self, override_: Override) -> Result<Option<Override>, String> {
        let key = key_of(&override_);
        let part = self.part_mut(override_.scope);
        if part.len() >= MOST && !part.contains_key(&key) {
            return Err(format!(
                "{MOST} orders are in force already; lift some first"
            ));
        }
        Ok(part.insert(key, override_))
    }

    /// Removes an override of this scope and returns it.
    pub fn lift(
        &mut self,
        subject: &OverrideSubject,
        kind: OverrideKind,
        scope: OrderScope,
    ) -> Option<Override> {
        self.part_mut(scope).remove(&(subject.clone(), kind))
    }

    /// Removes the overrides that have ended, and returns them.
    pub fn expire(&mut self, now: BootTime) -> Vec<Override> {
        let mut ended = Vec::new();
        for part in [&mut self.shared, &mut self.here] {
            part.retain(|_, override_| {
                let is_over = override_.ends.is_some_and(|deadline| deadline.is_over(now));
                if is_over {
                    ended.push(override_.clone());
                }
                !is_over
            });
        }
        ended
    }

    /// Every override that counts, those for all services first.
    pub fn iter(&self) -> impl Iterator<Item = &Override> {
        let mut counting: BTreeMap<&BookKey, &Override> = self.shared.iter().collect();
        counting.extend(&self.here);
        counting.into_values()
    }

    /// Every override, also those in whose place one of this server counts. Those of this server only
    /// come first.
    pub fn all(&self) -> impl Iterator<Item = &Override> {
        self.here.values().chain(self.shared.values())
    }

    /// The override of this kind and scope for a subject.
    pub fn get(
        &self,
        subject: &OverrideSubject,
        kind: OverrideKind,
        scope: OrderScope,
    ) -> Option<&Override> {
        self.part(scope).get(&(subject.clone(), kind))
    }

    /// Lets a gradual override start from where the one that it replaces is now. A shift
    /// back to 0% keeps the destination of the previous shift, so that clients leave that region
    /// gradually.
    pub fn set_out(&self, override_: &mut Override, now: BootTime) {
        let before = self.get(&override_.subject, override_.action.kind(), override_.scope);
        if let Some(pace) = &mut override_.pace {
            pace.from_percent = before.map_or(0.0, |before| before.moved(now) * 100.0);
        }
        let Some(before) = before else {
            return;
        };
        if let OverrideAction::Shift { percent, to } = &mut override_.action
            && *percent == 0.0
            && to.is_none()
            && let OverrideAction::Shift { to: former, .. } = &before.action
        {
            to.clone_from(former);
        }
    }

    /// The progress of every gradual override that is under way. When this list changes, so does
    /// the effect of the overrides.
    pub fn progress(&self, now: BootTime) -> Vec<f64> {
        let mut progress = Vec::new();
        for override_ in self.iter() {
            if override_.is_underway(now) {
                progress.push(override_.moved(now));
            }
        }
        progress
    }

    /// Whether no override is in force.
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.here.is_empty()
    }

    fn part(&self, scope: OrderScope) -> &BTreeMap<BookKey, Override> {
        match scope {
            OrderScope::Plain | OrderScope::Fleet => &self.shared,
            OrderScope::HereOnly => &self.here,
        }
    }

    fn part_mut(&mut self, scope: OrderScope) -> &mut BTreeMap<BookKey, Override> {
        match scope {
            OrderScope::Plain | OrderScope::Fleet => &mut self.shared,
            OrderScope::HereOnly => &mut self.here,
        }
    }
}

fn key_of(override_: &Override) -> BookKey {
    (override_.subject.clone(), override_.action.kind())
}
