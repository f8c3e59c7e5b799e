//! The steps that save the state that outlives a restart.
//!
//! Each step makes a file from the current state and adds an [`Action::Keep`]. The controller
//! passes these files to the state writer in order, so the last version of a file is the newest.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::change::{Action, Effects, KeptFile, Observations};
use super::clock::{ClockReading, FileStamp};
use super::keep::{LEASES, ORDERS, RAMPS, StateList, ZONES, save, write};
use super::state::ControlState;
use crate::config::values::duration_text;
use crate::health::state;

impl ControlState {
    /// Saves the overrides; `None`: there is no state directory.
    pub(super) fn keep_orders(
        &self,
        now: ClockReading,
        effects: &mut Effects,
    ) -> Option<&'static str> {
        let mut records = Vec::new();
        for override_ in self.inputs.book.all() {
            records.push(override_.record(&now));
        }
        let list = StateList {
            written: Some(FileStamp::of(&now)),
            items: records,
            seen: self.seen.as_deref().cloned(),
        };
        self.keep_file(ORDERS, list, effects)
    }

    /// Saves the leases; `None`: there is no state directory.
    pub(super) fn keep_leases(
        &self,
        now: ClockReading,
        effects: &mut Effects,
    ) -> Option<&'static str> {
        let mut records = Vec::new();
        for lease in self.inputs.leases.iter() {
            records.push(lease.record(&now));
        }
        self.keep_list(LEASES, records, now, effects)
    }

    /// Saves a list; `None`: there is no state directory.
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
        let list = StateList {
            items,
            written: Some(FileStamp::of(&now)),
            seen: None,
        };
        self.keep_file(name, list, effects)
    }

    fn keep_file<T>(
        &self,
        name: &'static str,
        list: StateList<T>,
        effects: &mut Effects,
    ) -> Option<&'static str>
    where
        T: Serialize + Send + Sync + 'static,
    {
        let directory = self.directory.clone()?;
        let write = Arc::new(move || save(&directory, name, &list));
        effects.actions.push(Action::Keep(KeptFile { name, write }));
        Some(name)
    }

    /// Saves the agreed health if it has changed.
    pub(super) fn keep_states(
        &mut self,
        observed: Option<&Observations>,
        now: ClockReading,
        effects: &mut Effects,
    ) {
        let states = observed.and_then(|observed| observed.states.as_ref());
        let (Some(directory), Some(states)) = (self.directory.clone(), states) else {
            return;
        };
        if self.log.saved.as_ref() == Some(states) {
            return;
        }
        let (agreed, seconds) = (states.clone(), now.wall.as_secs());
        let write =
            Arc::new(move || write(&directory, state::NAME, &state::to_json(&agreed, seconds)));
        effects.actions.push(Action::Keep(KeptFile {
            name: state::NAME,
            write,
        }));
        self.log.saved = Some(states.clone());
    }

    /// Saves which regions are ramping up, if these have changed.
    pub(super) fn keep_ramps(&mut self, now: ClockReading, effects: &mut Effects) {
        let ramps = self.memory.ramps(&self.derived.config, now.boot.elapsed());
        let mut regions = Vec::new();
        for ramp in &ramps {
            regions.push((ramp.service.clone(), ramp.region.clone()));
        }
        if regions != self.log.ramps {
            self.log.ramps = regions;
            self.keep_list(RAMPS, ramps, now, effects);
        }
    }

    /// Saves which zones are served.
    pub(super) fn keep_zones(&self, now: ClockReading, effects: &mut Effects) {
        // The list of a hundred thousand zones is made only if there is a place for it.
        if self.directory.is_some() {
            // The list of a hundred thousand zones is made only if there is a place for it.
            if self.directory.is_some() {
                self.keep_list(ZONES, self.files.prints.zones(), now, effects);
            }
        }
    }

    /// Saves everything, because the state directory has changed. The agreed health follows with
    /// the next tick.
    pub(super) fn keep_everything(&mut self, now: ClockReading, effects: &mut Effects) {
        self.keep_orders(now, effects);
        self.keep_leases(now, effects);
        self.log.saved = None;
        self.log.ramps.clear();
    }

    /// Notes that the wall clock was set. No deadline moves. The files are written again, because
    /// their stamps have the old time, and the next boot would compute a wrong gap from them.
    pub(super) fn note_clock_step(
        &self,
        forward: bool,
        size: Duration,
        now: ClockReading,
        effects: &mut Effects,
    ) {
        // The size is measured between two ticks, so fractions of a second mean nothing.
        let size = duration_text(Duration::from_secs(size.as_secs_f64().round() as u64));
        let direction = if forward { "forward" } else { "back" };
        tracing::warn!(
            "the wall clock was set {direction} by {size}; nothing ends sooner or later by that"
        );
        self.keep_orders(now, effects);
        self.keep_leases(now, effects);
    }
}
