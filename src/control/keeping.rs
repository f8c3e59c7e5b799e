//! The steps that keep what must outlive a restart.
//!
//! Each makes a file of what is true at this moment and has the controller hand it to the keeper. The controller hands them
//! in one after the other, so what comes last is the newest.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::change::{Action, Effects, KeptFile, Observations};
use super::clock::{ClockReading, FileStamp};
use super::keep::{LEASES, ORDERS, RAMPS, StateList, ZONES, save, write};
use super::state::{ControlState, time};
use crate::config::values::duration_text;
use crate::health::state;

impl ControlState {
    /// Has the orders written; `None`: there is no state directory.
    pub(super) fn keep_orders(
        &self,
        now: ClockReading,
        effects: &mut Effects,
    ) -> Option<&'static str> {
        let orders = self
            .inputs
            .book
            .iter()
            .map(|order| order.record(&now))
            .collect();
        self.keep_list(ORDERS, orders, now, effects)
    }

    /// Has the leases written; `None`: there is no state directory.
    pub(super) fn keep_leases(
        &self,
        now: ClockReading,
        effects: &mut Effects,
    ) -> Option<&'static str> {
        let leases = self
            .inputs
            .leases
            .iter()
            .map(|lease| lease.record(&now))
            .collect();
        self.keep_list(LEASES, leases, now, effects)
    }

    /// Has a list written; `None`: there is no state directory.
    pub(super) fn keep_list<T>(
        &self,
        name: &'static str,
        items: Vec<T>,
        now: ClockReading,
        effects: &mut Effects,
    ) -> Option<&'static str>
    where
        T: Serialize + Send + Sync + 'static,
    {
        let directory = self.directory.clone()?;
        let list = StateList {
            items,
            written: Some(FileStamp::of(&now)),
        };
        let write = Arc::new(move || save(&directory, name, &list));
        effects.actions.push(Action::Keep(KeptFile { name, write }));
        Some(name)
    }

    /// Has the agreed health written, if it is another than was handed in before.
    pub(super) fn keep_verdicts(
        &mut self,
        observed: Option<&Observations>,
        now: ClockReading,
        effects: &mut Effects,
    ) {
        let verdicts = observed.and_then(|observed| observed.verdicts.as_ref());
        let (Some(directory), Some(verdicts)) = (self.directory.clone(), verdicts) else {
            return;
        };
        if self.told.saved.as_ref() == Some(verdicts) {
            return;
        }
        let (agreed, seconds) = (verdicts.clone(), now.wall.as_secs());
        let write =
            Arc::new(move || write(&directory, state::NAME, &state::text(&agreed, seconds)));
        effects.actions.push(Action::Keep(KeptFile {
            name: state::NAME,
            write,
        }));
        self.told.saved = Some(verdicts.clone());
    }

    /// Has it written which regions are coming back, if these are others than before.
    pub(super) fn keep_ramps(&mut self, now: ClockReading, effects: &mut Effects) {
        let ramps = self.memory.ramps(&self.derived.config, time(now));
        let mut regions = Vec::new();
        for ramp in &ramps {
            regions.push((ramp.service.clone(), ramp.region.clone()));
        }
        if regions != self.told.ramps {
            self.told.ramps = regions;
            self.keep_list(RAMPS, ramps, now, effects);
        }
    }

    /// Has it written which zones are served.
    pub(super) fn keep_zones(&self, now: ClockReading, effects: &mut Effects) {
        self.keep_list(ZONES, self.files.prints.zones(), now, effects);
    }

    /// Has everything written: to another directory. The verdicts follow with the next tick.
    pub(super) fn keep_everything(&mut self, now: ClockReading, effects: &mut Effects) {
        self.keep_orders(now, effects);
        self.keep_leases(now, effects);
        self.told.saved = None;
        self.told.ramps.clear();
    }

    /// Somebody has set the wall clock. Nothing ends by it; but what is on disk was stamped by the old time, by which the
    /// next boot would reckon how long nobody was there.
    pub(super) fn note_clock_step(
        &self,
        forward: bool,
        size: Duration,
        now: ClockReading,
        effects: &mut Effects,
    ) {
        // A step is noticed between two ticks, so its fractions of a second say nothing.
        let size = Duration::from_secs(size.as_secs_f64().round() as u64);
        let (size, direction) = (
            duration_text(size),
            if forward { "forward" } else { "back" },
        );
        tracing::warn!(
            "the wall clock was set {direction} by {size}; nothing ends sooner or later by that"
        );
        self.keep_orders(now, effects);
        self.keep_leases(now, effects);
    }
}
