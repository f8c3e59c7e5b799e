//! The state of control and its step function.
//!
//! [`ControlState`] is everything that control knows. Only [`ControlState::step`] changes it: it
//! takes a [`Change`] and the current facts, and returns [`Effects`]. A step does not read files,
//! wait or send anything, so a test can play every flow. In a running server the controller's
//! thread owns the state.
//!
//! One set of services is compiled at a time. A change that needs new services during a build only
//! increments the edition of the inputs, and the next build covers all such changes. A reload that
//! arrives during a build waits for it. If leases or weights have changed since the reload read
//! them, its services are built once more before they are served.

use std::sync::Arc;
use std::time::Duration;

use super::availability::AvailabilityMemory;
use super::build::{BuildJob, BuiltServices, DraftRest, LoadedFiles, ReloadDraft};
use super::change::{Action, Answer, Change, ChangeReply, Effects, StepFacts};
use super::clock::ClockReading;
use super::effect::EffectiveOverrides;
use super::inputs::{ControlInputs, Derived, derive};
use super::log_state::LogState;
use super::probed::{ProbeAccount, ProbedTargets};
use super::state_directory::StateDirectory;
use crate::answer::Snapshot;
use crate::balance::traffic_rates::TrafficRates;
use crate::fleet::desired::DesiredMemory;

/// Everything that control knows.
pub struct ControlState {
    /// The inputs of the configuration in force.
    pub inputs: ControlInputs,
    /// What is in force.
    pub derived: Derived,
    /// What is being answered from.
    pub snapshot: Arc<Snapshot>,
    /// The files that were read with the configuration.
    pub files: LoadedFiles,
    /// The state directory; `None`: nothing is saved.
    pub directory: Option<Arc<StateDirectory>>,
    /// The last that was seen of the fleet's orders; `None`: nothing, or there is no fleet.
    pub seen: Option<Arc<DesiredMemory>>,
    /// What the availability fold remembers of each region.
    pub memory: AvailabilityMemory,
    /// Availability may change though no probe does.
    pub moving: bool,
    /// What has been logged and saved already.
    pub log: LogState,
    /// The answer rates of regions.
    pub traffic: Arc<TrafficRates>,
    /// The progress of gradual overrides when their effect was last computed.
    pub progress: Vec<f64>,
    /// A lease was renewed and is not saved yet. Renewals are saved once a second.
    pub renewed: bool,
    /// The clocks at the last time that overrides and leases were ended.
    pub clocks: ClockReading,
    /// Endpoints are probed.
    pub is_probing: bool,
    probed: ProbedTargets,
    /// Services are being compiled.
    is_building: bool,
    /// The edition of the services that are served.
    compiled: u64,
    /// A reload that waits for the build that is under way.
    waiting: Option<(Box<ReloadDraft>, ChangeReply<()>)>,
}

impl ControlState {
    /// The state of a server that begins to serve `snapshot`, which was compiled from `derived`.
    pub fn new(
        inputs: ControlInputs,
        derived: Derived,
        snapshot: Arc<Snapshot>,
        files: LoadedFiles,
        directory: Option<StateDirectory>,
        clocks: ClockReading,
    ) -> ControlState {
        ControlState {
            compiled: derived.edition,
            inputs,
            derived,
            snapshot,
            files,
            directory: directory.map(Arc::new),
            seen: None,
            memory: AvailabilityMemory::default(),
            moving: false,
            log: LogState::default(),
            traffic: Arc::default(),
            progress: Vec::new(),
            renewed: false,
            clocks,
            is_probing: false,
            probed: ProbedTargets::default(),
            is_building: false,
            waiting: None,
        }
    }

    /// Applies one change, and returns what the controller has to do.
    pub fn step(&mut self, change: Change, facts: StepFacts) -> Effects {
        let mut effects = Effects::default();
        let now = facts.clocks;
        let mut observed = facts.observations;
        if let Some(observed) = &mut observed {
            self.inputs.targets = std::mem::take(&mut observed.targets);
            self.note_events(&observed.events);
        }
        match change {
            Change::Begin { ramps, gap, reply } => {
                self.begin(&ramps, gap, now, &mut effects);
                effects.replies.push(Answer::Done(reply));
            }
            Change::Reload { draft, reply } => self.reload(draft, reply, now, &mut effects),
            Change::Probe {
                targets,
                account,
                reply,
            } => {
                self.probed.add(account, &targets);
                effects.actions.push(Action::Probe(self.probed.union()));
                effects.replies.push(Answer::Done(reply));
            }
            Change::Built(built) => self.take_built(*built, now, &mut effects),
            Change::BuildFailed => {
                self.is_building = false;
                if let Some((draft, reply)) = self.waiting.take() {
                    self.reload(draft, reply, now, &mut effects);
                }
                // The build is tried again at the next change or tick.
                return effects;
            }
            Change::Observed { reply } => {
                self.refresh(None, now, &mut effects);
                effects.replies.push(Answer::Done(reply));
            }
            Change::Resolved { names, kept, reply } => {
                let edition = self.take_names(names, kept, now, &mut effects);
                effects.replies.push(Answer::Edition(reply, edition));
            }
            Change::Override { order, reply } => {
                let made = self.set_override(order, now, &mut effects);
                effects.replies.push(Answer::Made(reply, made));
            }
            Change::Lift { lift, reply } => {
                let made = self.remove_override(&lift, now, &mut effects);
                effects.replies.push(Answer::Made(reply, made));
            }
            Change::FleetOrders {
                orders,
                seen,
                reply,
            } => {
                let made = self.take_fleet_orders(orders, seen, now, &mut effects);
                effects.replies.push(Answer::Made(reply, Ok(made)));
            }
            Change::Lease { lease, reply } => {
                let made = self.put_lease(lease, now, &mut effects);
                effects.replies.push(Answer::Made(reply, made));
            }
            Change::EndLease { key, by, reply } => {
                let made = self.end_lease(&key, &by, now, &mut effects);
                effects.replies.push(Answer::Made(reply, Ok(made)));
            }
            Change::FleetLeases { leases, reply } => {
                let taken = self.take_fleet_leases(leases, now, &mut effects);
                effects.replies.push(Answer::Taken(reply, taken));
            }
            Change::LeaseLink { is_linked, reply } => {
                Arc::make_mut(&mut self.inputs.leases).set_linked(is_linked, now.boot);
                effects.replies.push(Answer::Done(reply));
            }
            Change::Tick { reply } => {
                self.tick(observed.as_ref(), now, &mut effects);
                effects.replies.push(Answer::Done(reply));
            }
            Change::Expire { reply } => {
                let ended = self.expire(now, &mut effects);
                effects.replies.push(Answer::Ended(reply, ended));
            }
            Change::Widened { narrow, live } => {
                if Arc::ptr_eq(&narrow, &self.snapshot) {
                    self.publish(narrow.with(live), &mut effects);
                }
            }
            Change::WriteAll { reply } => {
                self.keep_states(observed.as_ref(), now, &mut effects);
                effects.replies.push(Answer::Handed(reply));
            }
        }
        if self.log.saved.is_none() {
            self.keep_states(observed.as_ref(), now, &mut effects);
        }
        self.build(now, &mut effects);
        effects
    }

    /// Publishes a snapshot, from which queries are answered from now on.
    pub(super) fn publish(&mut self, snapshot: Snapshot, effects: &mut Effects) {
        self.snapshot = Arc::new(snapshot);
        effects.actions.push(Action::Publish(self.snapshot.clone()));
    }

    /// Starts to compile services if the inputs have a newer edition than the services in force and
    /// no build is under way.
    fn build(&mut self, now: ClockReading, effects: &mut Effects) {
        if self.is_building || self.inputs.edition <= self.compiled {
            return;
        }
        let derived = derive(&self.inputs, &self.derived, now.boot);
        let before = (!derived.has_services_of(&self.derived)).then(|| self.snapshot.clone());
        self.start_build(
            BuildJob {
                derived,
                before,
                reload: None,
            },
            ProbeAccount::Change,
            effects,
        );
    }

    fn start_build(&mut self, job: BuildJob, account: ProbeAccount, effects: &mut Effects) {
        self.is_building = true;
        self.probed.add(account, &job.derived.plan.targets);
        effects.actions.push(Action::Probe(self.probed.union()));
        effects.actions.push(Action::Build(Box::new(job)));
    }

    /// Serves the services that were built, and continues with the reload that waited for the
    /// build.
    fn take_built(&mut self, built: BuiltServices, now: ClockReading, effects: &mut Effects) {
        self.is_building = false;
        let BuiltServices {
            derived,
            snapshot,
            reload,
        } = built;
        if let Some((draft, reply)) = reload {
            let plain = snapshot.unwrap_or(draft.plain);
            self.install_reload(derived, plain, draft.rest, now, effects);
            effects.replies.push(Answer::Done(reply));
        } else {
            self.install(derived, snapshot, ProbeAccount::Change, now, effects);
        }
        if let Some((draft, reply)) = self.waiting.take() {
            self.reload(draft, reply, now, effects);
        }
    }

    /// What is in force with a draft, whose own derivation may be older than overrides and leases.
    fn derive_again(&self, draft: &ReloadDraft, now: ClockReading) -> Derived {
        let inputs = ControlInputs {
            base: draft.base.clone(),
            names: draft.rest.names.clone(),
            ..self.inputs.clone()
        };
        derive(&inputs, &draft.derived, now.boot)
    }

    /// Puts a reload in force. If leases or weights have changed since it was read, its services
    /// are compiled again first; during another build it waits.
    fn reload(
        &mut self,
        draft: Box<ReloadDraft>,
        reply: ChangeReply<()>,
        now: ClockReading,
        effects: &mut Effects,
    ) {
        if self.is_building {
            self.waiting = Some((draft, reply));
            return;
        }
        let derived = self.derive_again(&draft, now);
        if !derived.has_services_of(&draft.derived) {
            let job = BuildJob {
                derived,
                before: None,
                reload: Some((draft, reply)),
            };
            self.start_build(job, ProbeAccount::Reload, effects);
            return;
        }
        let snapshot = draft.overlaid.unwrap_or(draft.plain);
        self.install_reload(derived, snapshot, draft.rest, now, effects);
        effects.replies.push(Answer::Done(reply));
    }

    /// Puts the services of a reload in force, with its files and its state directory.
    fn install_reload(
        &mut self,
        derived: Derived,
        snapshot: Snapshot,
        rest: DraftRest,
        now: ClockReading,
        effects: &mut Effects,
    ) {
        snapshot.catalog.continue_sample(&self.snapshot.catalog);
        self.inputs.base = derived.base.clone();
        self.inputs.names = rest.names;
        self.files = rest.files;
        self.install(derived, Some(snapshot), ProbeAccount::Reload, now, effects);
        if let Some(directory) = rest.state {
            self.directory = directory.map(Arc::new);
            self.keep_everything(now, effects);
        }
        self.keep_zones(now, effects);
    }

    /// Puts services in force, and keeps the memory of the regions that stay.
    fn install(
        &mut self,
        derived: Derived,
        snapshot: Option<Snapshot>,
        account: ProbeAccount,
        now: ClockReading,
        effects: &mut Effects,
    ) {
        if !derived.has_services_of(&self.derived) {
            self.memory = self
                .memory
                .carried_over(&self.derived.config, &derived.config);
        }
        self.compiled = self.compiled.max(derived.edition);
        // Overrides may have changed while it was compiled.
        let effect = Arc::new(EffectiveOverrides::of(
            &self.inputs.book,
            &derived.config,
            now.boot,
        ));
        self.derived = Derived { effect, ..derived };
        self.refresh(snapshot, now, effects);
        self.probed.serve(account, &self.derived.plan.targets);
        effects.actions.push(Action::Probe(self.probed.union()));
        effects.compiled = Some(self.compiled);
    }

    /// Resumes the saved ramps and starts to probe.
    fn begin(
        &mut self,
        ramps: &[super::availability::SavedRamp],
        gap: Duration,
        now: ClockReading,
        effects: &mut Effects,
    ) {
        self.is_probing = true;
        self.memory
            .resume_ramps(&self.derived.config, ramps, gap, now.boot.elapsed());
        self.keep_zones(now, effects);
        self.probed
            .serve(ProbeAccount::Change, &self.derived.plan.targets);
        effects.actions.push(Action::Probe(self.probed.union()));
    }
}

#[cfg(test)]
mod tests;
