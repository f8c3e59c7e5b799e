//! Health at work: the monitor is started, and readers are shown all that is known of health.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::change::Change;
use super::clock::{BootTime, ClockReading};
use super::controller::MonitorHandle;
use super::coverage_desk::CoverageReport;
use super::effect::EffectiveOverrides;
use super::health_news::word;
use super::hold;
use super::keep::{self, RAMPS};
use super::leases::LeaseTable;
use super::orders::Override;
use super::running::Control;
use super::targets::{Evidence, ProbePlan, ProbeRef};
use crate::balance::traffic_rates::{self, MovedRates};
use crate::catalog::Availability;
use crate::catalog::keys::ByRegion;
use crate::config::Config;
use crate::health::check::TargetKey;
use crate::health::monitor::{Monitor, TargetHealth};
use crate::health::probe::{Prober, ShortageKind, TrustStore};
use crate::health::state::{self, SavedVerdicts};
use crate::resolve::KnownNames;

/// Most probes at once.
const IN_FLIGHT: usize = 1024;

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
    pub answers: ByRegion<u64>,
    /// The same per second, over the last seconds.
    pub rates: ByRegion<f64>,
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
    /// A sentence: no prober can be made, or the controller failed.
    pub async fn start_health(&self) -> Result<(), String> {
        let now = self.state();
        let plan = &now.derived.plan;
        let (trust, warning) = TrustStore::from_system()?;
        warning
            .filter(|_| plan.needs_system_roots())
            .iter()
            .for_each(|warning| tracing::warn!("{warning}"));
        let known = now
            .directory
            .as_deref()
            .map(|directory| load(directory.path()))
            .unwrap_or_default();
        let monitor = Monitor::start(
            Arc::new(Prober::new(trust)),
            plan.targets.clone(),
            &known,
            IN_FLIGHT,
        );
        let watch = self.shared.watch.get_or_init(|| MonitorHandle {
            monitor,
            runtime: Handle::current(),
        });
        let (mut ramps, mut gap) = (Vec::new(), None);
        if let Some(directory) = &now.directory {
            let (list, warning) = keep::load(directory.path(), RAMPS);
            warning
                .iter()
                .for_each(|warning| tracing::warn!("{warning}"));
            gap = list.gap(&ClockReading::now());
            ramps = list.items;
        }
        let gap = gap.unwrap_or_default();
        let begun = self
            .controller
            .ask(|reply| Change::Begin { ramps, gap, reply })
            .await;
        begun.map_err(|not_done| not_done.to_string())?;
        if !watch.monitor.first_round().await {
            tracing::warn!(
                "some endpoints have no result yet; nobody is sent there until they have"
            );
        }
        let observed = self
            .controller
            .ask(|reply| Change::Observed { reply })
            .await;
        observed.map_err(|not_done| not_done.to_string())
    }

    /// All about health at this moment.
    pub fn view(&self) -> HealthView {
        let state = self.state();
        let health = self.watch().map(|watch| watch.monitor.health());
        let (targets, suspect, not_made) = health.map_or_else(Default::default, |health| {
            (health.targets, health.suspect, health.not_made)
        });
        let snapshot = &state.snapshot;
        let mut transitions = Vec::new();
        for (verdict, count) in &state.transitions {
            transitions.push((word(*verdict), *count));
        }
        HealthView {
            config: state.derived.config.clone(),
            plan: state.derived.plan.clone(),
            targets,
            suspect,
            not_made,
            availability: snapshot.live.availability().clone(),
            transitions,
            orders: state.book.iter().cloned().collect(),
            effect: state.derived.effect.clone(),
            leases: LeaseTable::clone(&state.leases),
            names: self.known_names(),
            answers: traffic_rates::answers(&snapshot.catalog),
            rates: state
                .traffic
                .rates(&snapshot.catalog, BootTime::now().elapsed()),
            moved: state.moved.clone(),
            coverage: self.coverage_of(snapshot),
        }
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
