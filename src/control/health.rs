//! Health at work: the monitor runs, and every change of what it knows is folded and published at once.
//!
//! Whoever publishes holds Control's one lock and publishes a whole snapshot, so a reload and a flip cannot undo each
//! other. A new World is published only after the endpoints that are new in it have had their first result.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch::Receiver;

use super::Control;
use super::clock::BootTime;
use super::coverage::CoverageReport;
use super::effect::EffectiveOverrides;
use super::health_news;
use super::hold;
use super::leases::LeaseTable;
use super::orders::Override;
use super::probed::{ProbeAccount, ProbedTargets};
use super::reload::ControlState;
use super::standing::AvailabilityFacts;
use super::targets::{Evidence, ProbePlan, ProbeRef};
use super::traffic::{self, MovedRates, PerRegion};
use crate::answer::Snapshot;
use crate::catalog::{Availability, LiveState};
use crate::config::Config;
use crate::health::check::TargetKey;
use crate::health::machine::HealthState;
use crate::health::monitor::{Monitor, TargetHealth};
use crate::health::probe::{Prober, ShortageKind, TrustStore};
use crate::health::state::{self, SavedVerdicts};
use crate::resolve::KnownNames;

/// Most probes at once.
const IN_FLIGHT: usize = 1024;

/// The monitor and the runtime that it lives in.
pub(super) struct MonitorHandle {
    pub(super) monitor: Monitor,
    probed: ProbedTargets,
    runtime: Handle,
}

/// All about health at one moment.
pub struct HealthView {
    /// What is configured.
    pub config: Arc<Config>,
    /// Which endpoint rests on which probe.
    pub(super) plan: Arc<ProbePlan>,
    /// What probes have found.
    pub targets: HashMap<TargetKey, TargetHealth>,
    /// Everything fails at once: the monitor doubts itself and holds what was agreed.
    pub suspect: bool,
    /// Probes that could not be made so far, by what was missing on our side.
    pub not_made: Vec<(ShortageKind, u64)>,
    /// What clients are answered from.
    pub availability: Availability,
    /// Changes of verdicts so far, by what they led to.
    pub transitions: Vec<(&'static str, u64)>,
    /// What operators have ordered.
    pub orders: Vec<Override>,
    /// What bears on which region.
    pub(super) effect: Arc<EffectiveOverrides>,
    /// Endpoints that came by themselves.
    pub leases: LeaseTable,
    /// What names of endpoints resolve to.
    pub names: KnownNames,
    /// Answers that each region of each service has given since the service was compiled.
    pub answers: PerRegion<u64>,
    /// The same per second, over the last seconds.
    pub rates: PerRegion<f64>,
    /// What regions gave when they lost clients.
    pub moved: MovedRates,
    /// Who has a live region.
    pub coverage: Arc<CoverageReport>,
}

impl HealthView {
    /// Whether somebody is asked about an endpoint; if not, it counts as up.
    pub fn asked(&self, service: usize, region: usize, endpoint: usize) -> Option<&ProbeRef> {
        self.plan.asked(service, region, endpoint)
    }

    /// The probe that decides about an endpoint, and what is known of it; `None`: nobody is asked.
    pub fn endpoint(
        &self,
        service: usize,
        region: usize,
        endpoint: usize,
    ) -> Option<(&TargetKey, Option<&TargetHealth>)> {
        let (key, _) = self
            .asked(service, region, endpoint)?
            .deciding(&self.targets, Evidence::Agreed)?;
        Some((key, self.targets.get(key)))
    }

    /// What counts of what is known, for a service.
    pub fn evidence(&self, service: usize) -> Evidence {
        let configured = self.config.services.get(service);
        configured.map_or(Evidence::Agreed, |it| {
            hold::evidence(&self.plan, &self.effect, service, it)
        })
    }

    /// Whether the monitor doubts itself and some service is held as it was.
    pub fn holds(&self) -> bool {
        let mut services = 0..self.config.services.len();
        self.suspect && services.any(|service| self.evidence(service) == Evidence::Agreed)
    }

    /// The order that counts for a region, or sends some of its clients elsewhere: `is drained by ...`.
    pub fn region_order(&self, service: usize, region: usize) -> Option<&str> {
        let bearing = self.effect.bearing(service, region)?;
        bearing
            .order
            .as_ref()
            .map(|order| order.sentence.as_str())
            .or(bearing.shifted())
    }

    /// The order that counts for an endpoint.
    pub fn endpoint_order(&self, service: usize, region: usize, endpoint: usize) -> Option<&str> {
        Some(
            &self
                .effect
                .bearing(service, region)?
                .endpoints
                .get(&endpoint)?
                .sentence,
        )
    }
}

impl Control {
    /// Starts to probe, waits for the first results (no longer than one probe may take) and publishes what they come
    /// to. Must be called inside a tokio runtime, before anybody is answered.
    ///
    /// # Errors
    /// A sentence: no prober can be made.
    pub async fn start_health(&self) -> Result<(), String> {
        let (state, plan) = {
            let current = self.current();
            (current.state.clone(), current.plan.clone())
        };
        let (trust, warning) = TrustStore::from_system()?;
        warning
            .filter(|_| plan.needs_system_roots())
            .iter()
            .for_each(|warning| tracing::warn!("{warning}"));
        let prober = Arc::new(Prober::new(trust));
        let known = state
            .as_deref()
            .map(|directory| load(directory.path()))
            .unwrap_or_default();
        let monitor = Monitor::start(prober, plan.targets.clone(), &known, IN_FLIGHT);
        self.go_on_with_ramps();
        self.keep_zones(&self.current());
        let probed = ProbedTargets::of(plan.targets.clone());
        let watch = self.watch.get_or_init(|| MonitorHandle {
            monitor,
            probed,
            runtime: Handle::current(),
        });
        if !watch.monitor.first_round().await {
            tracing::warn!(
                "some endpoints have no result yet; nobody is sent there until they have"
            );
        }
        self.refresh(&mut self.current(), None);
        Ok(())
    }

    /// All about health at this moment.
    pub fn view(&self) -> HealthView {
        let current = self.current();
        let health = self.watch.get().map(|watch| watch.monitor.health());
        let (targets, suspect, not_made) = health.map_or_else(Default::default, |health| {
            (health.targets, health.suspect, health.not_made)
        });
        let snapshot = self.snapshot();
        let count = |verdict| {
            (
                word(verdict),
                current
                    .told
                    .transitions
                    .get(word(verdict))
                    .copied()
                    .unwrap_or(0),
            )
        };
        let mut view = HealthView {
            config: current.config.clone(),
            plan: current.plan.clone(),
            targets,
            suspect,
            not_made,
            availability: snapshot.present.availability().clone(),
            transitions: [HealthState::Up, HealthState::Degraded, HealthState::Down]
                .map(count)
                .to_vec(),
            orders: current.demands.book.iter().cloned().collect(),
            effect: current.demands.effect.clone(),
            leases: current.demands.leases.clone(),
            names: self.known_names(),
            answers: traffic::answers(&snapshot.world),
            rates: current.traffic.rates(&snapshot.world, since_boot()),
            moved: current.told.moved.clone(),
            coverage: Arc::default(),
        };
        drop(current);
        view.coverage = self.coverage_of(&snapshot);
        view
    }

    /// Probes what a new configuration adds beside what is probed now, and waits for its first results. To be called
    /// before a new World is published, from a thread that may wait.
    pub(super) fn meet(&self, new: &ProbePlan, account: ProbeAccount) {
        let Some(watch) = self.watch.get() else {
            return;
        };
        let _entered = watch.runtime.enter();
        watch.probed.add(&watch.monitor, account, &new.targets);
        watch
            .runtime
            .block_on(watch.monitor.first_round_of(&new.targets));
    }

    /// Probes these for what is served, and nothing else on this account any more.
    pub(super) fn settle(&self, plan: &ProbePlan, account: ProbeAccount) {
        let Some(watch) = self.watch.get() else {
            return;
        };
        let _entered = watch.runtime.enter();
        watch.probed.serve(&watch.monitor, account, &plan.targets);
    }

    /// Folds what is known and publishes it: in a new snapshot of the same World, or of the one in `loaded`.
    /// Returns how many answers per second go elsewhere by it, by the region that gave them.
    pub(super) fn refresh(
        &self,
        current: &mut ControlState,
        loaded: Option<Snapshot>,
    ) -> PerRegion<f64> {
        let is_new = loaded.is_some();
        let before = loaded.map_or_else(|| self.snapshot(), Arc::new);
        let mut moved = PerRegion::new();
        let targets = self
            .watch
            .get()
            .map(|watch| watch.monitor.health().targets)
            .unwrap_or_default();
        let facts = AvailabilityFacts {
            config: &current.config,
            plan: &current.plan,
            targets: &targets,
            effect: &current.demands.effect,
            world: Some(&before.world),
            now: since_boot(),
        };
        let folded = current.memory.fold(&facts);
        current.moving = folded.moving;
        if is_new || before.present.availability() != &folded.availability {
            let rates = current.traffic.rates(&before.world, facts.now);
            moved = traffic::moved(&rates, before.present.availability(), &folded.availability);
            let present = LiveState::compile_at_once(
                &before.world,
                &folded.availability,
                Some(&before.present),
            );
            self.publish(before.with(present));
        }
        if is_new {
            // Services and regions may have other numbers.
            current.told.moved = MovedRates::default();
        }
        current.told.moved.note(&moved, &folded.availability);
        self.tell(current, &folded.availability, &moved);
        health_news::warn_of_certificates(current, &targets);
        moved
    }

    /// Publishes the present with its blocks as wide as can be, if it was published at once and nothing else was since.
    pub(super) fn widen(&self) {
        let narrow = self.snapshot();
        if !narrow.present.is_narrow() {
            return;
        }
        let present = narrow.present.widened(&narrow.world);
        let _current = self.current();
        if Arc::ptr_eq(&self.snapshot(), &narrow) {
            self.publish(narrow.with(present));
        }
    }

    pub(super) fn changes(&self) -> Option<Receiver<u64>> {
        self.watch.get().map(|watch| watch.monitor.changes())
    }

    pub(super) fn react(&self) {
        self.refresh(&mut self.current(), None);
    }

    pub(super) fn tick(&self) {
        let mut current = self.current();
        let hour = since_boot().as_secs() / 3600;
        if current.moving || std::mem::replace(&mut current.told.hour, hour) != hour {
            self.refresh(&mut current, None);
        }
        current.traffic.sample(&self.snapshot().world, since_boot());
        self.tell_of_shortages(&mut current);
        self.keep_verdicts(&mut current);
        self.keep_ramps(&mut current);
    }
}

/// On this clock regions come back.
pub(super) fn since_boot() -> Duration {
    BootTime::now().since(BootTime::default())
}

/// A verdict in one word.
pub fn word(verdict: HealthState) -> &'static str {
    match verdict {
        HealthState::Unknown => "unknown",
        HealthState::Up => "up",
        HealthState::Degraded => "degraded",
        HealthState::Down => "down",
    }
}

/// What was agreed before the restart.
fn load(directory: &Path) -> SavedVerdicts {
    let loaded = state::load(directory);
    loaded
        .warning
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    loaded.verdicts
}
