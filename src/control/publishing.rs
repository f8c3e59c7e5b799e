//! The controller steps that compute availability and publish it.
//!
//! Every step that may change where clients go ends in [`ControlState::refresh`]. It folds probe
//! results, overrides and remembered state into availability, compiles the live state from it, and
//! reports what changed. A new catalog is published only after its new endpoints have had their
//! first probe, so no client is sent to an endpoint before a probe has succeeded.

use std::sync::Arc;

use super::availability::AvailabilityFacts;
use super::change::{Effects, KeptName, Observations};
use super::clock::ClockReading;
use super::effect::EffectiveOverrides;
use super::health_news;
use super::keep::NAMES;
use super::state::ControlState;
use crate::answer::Snapshot;
use crate::balance::traffic_rates::{self, MovedRates};
use crate::catalog::LiveState;
use crate::catalog::keys::ByRegion;
use crate::resolve::KnownNames;

impl ControlState {
    /// Computes availability and publishes it, with the catalog in force or with the one in
    /// `loaded`. Returns the answers per second that move elsewhere, by the region that gave them.
    pub(super) fn refresh(
        &mut self,
        loaded: Option<Snapshot>,
        now: ClockReading,
        effects: &mut Effects,
    ) -> ByRegion<f64> {
        let is_new = loaded.is_some();
        let before = loaded.map_or_else(|| self.snapshot.clone(), Arc::new);
        let facts = AvailabilityFacts {
            config: &self.derived.config,
            plan: &self.derived.plan,
            targets: &self.inputs.targets,
            effect: &self.derived.effect,
            catalog: Some(&before.catalog),
            now: now.boot.elapsed(),
        };
        let folded = self.memory.fold(&facts);
        self.moving = folded.moving;
        let mut moved = ByRegion::new();
        if is_new || before.live.availability() != &folded.availability {
            let rates = self.traffic.rates(&before.catalog, now.boot.elapsed());
            moved = traffic_rates::moved(&rates, before.live.availability(), &folded.availability);
            let live = LiveState::compile_at_once(
                &before.catalog,
                &folded.availability,
                Some(&before.live),
            );
            self.publish(before.with(live), effects);
        }
        if is_new {
            // Services and regions may have other positions now.
            self.log.moved = MovedRates::default();
        }
        self.log.moved.note(&moved, &folded.availability);
        self.tell(&folded.availability, &moved, effects);
        health_news::warn_of_certificates(&mut self.log, &self.derived.plan, &self.inputs.targets);
        moved
    }

    /// Computes the effect of overrides now, and publishes it. Returns the answers per second that
    /// move elsewhere.
    pub(super) fn apply_overrides(&mut self, now: ClockReading, effects: &mut Effects) -> f64 {
        self.progress = self.inputs.book.progress(now.boot);
        self.derived.effect = Arc::new(EffectiveOverrides::of(
            &self.inputs.book,
            &self.derived.config,
            now.boot,
        ));
        self.refresh(None, now, effects).values().sum()
    }

    /// Publishes what changes with time, and saves the state that has changed.
    pub(super) fn tick(
        &mut self,
        observed: Option<&Observations>,
        now: ClockReading,
        effects: &mut Effects,
    ) {
        let hour = now.boot.elapsed().as_secs() / 3600;
        let is_new_hour = std::mem::replace(&mut self.log.hour, hour) != hour;
        if self.moving || is_new_hour {
            self.refresh(None, now, effects);
        }
        Arc::make_mut(&mut self.traffic).sample(&self.snapshot.catalog, now.boot.elapsed());
        if let Some(observed) = observed {
            self.tell_of_shortages(&observed.shortages);
        }
        self.keep_states(observed, now, effects);
        self.keep_ramps(now, effects);
    }

    /// Applies the addresses of names. Returns the edition that services must be compiled with.
    pub(super) fn take_names(
        &mut self,
        names: KnownNames,
        kept: Option<Vec<KeptName>>,
        now: ClockReading,
        effects: &mut Effects,
    ) -> u64 {
        if *self.inputs.names != names {
            self.inputs.names = Arc::new(names);
            self.inputs.next_edition();
        }
        if let Some(kept) = kept {
            self.keep_list(NAMES, kept, now, effects);
        }
        self.inputs.edition
    }
}
