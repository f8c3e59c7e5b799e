//! Starts the health monitor, and collects the known health for readers.
//!
//! [`HealthView`] is a copy of the state at one moment. The admin server makes its status pages and
//! metrics from it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::book::OverrideBook;
use super::change::Change;
use super::clock::{BootTime, ClockReading};
use super::controller::MonitorHandle;
use super::coverage_cache::CoverageReport;
use super::effect::EffectiveOverrides;
use super::fleet::FleetHandle;
use super::fleet::leases::LeasesHandle;
use super::fleet::report::FleetReport;
use super::health_news::word;
use super::hold;
use super::keep::{self, RAMPS};
use super::leases::LeaseTable;
use super::overrides::{OrderScope, Override};
use super::releases::ReleasesReport;
use super::running::Control;
use super::targets::{Evidence, ProbePlan, ProbeRef};
use crate::balance::traffic_rates::{self, MovedRates};
use crate::catalog::Availability;
use crate::catalog::keys::{ByRegion, EndpointKey, RegionKey};
use crate::config::Config;
use crate::health::check::TargetKey;
use crate::health::monitor::{Monitor, TargetHealth};
use crate::health::probe::{Prober, ShortageKind, TrustStore};
use crate::health::state::{self, SavedStates};
use crate::resolve::KnownNames;

/// Most probes at once.
const IN_FLIGHT: usize = 1024;

/// Everything that is known of health at one moment.
pub struct HealthView {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// Which probes decide about which endpoint.
    pub(super) plan: Arc<ProbePlan>,
    /// The results of probes.
    pub targets: HashMap<TargetKey, TargetHealth>,
    /// Everything fails at once, so the monitor suspects its own network and holds the last agreed
    /// health.
    pub suspect: bool,
    /// The fleet, if one is configured.
    pub fleet: Option<FleetReport>,
    /// Probes that could not be made so far, by what this server lacked.
    pub not_made: Vec<(ShortageKind, u64)>,
    /// The snapshot that clients are answered from.
    pub availability: Availability,
    /// Changes of health so far, by the new state.
    pub transitions: Vec<(&'static str, u64)>,
    /// The overrides of operators.
    pub orders: Vec<Override>,
    /// The effect of overrides.
    pub(super) effect: Arc<EffectiveOverrides>,
    /// Endpoints that registered themselves.
    pub leases: LeaseTable,
    /// The addresses of endpoint names.
    pub names: KnownNames,
    /// Answers that each region of each service has given since the service was compiled.
    pub answers: ByRegion<u64>,
    /// The answer rate of each region over the last seconds, per second.
    pub rates: ByRegion<f64>,
    /// The answer rates of regions when they lost clients.
    pub moved: MovedRates,
    /// The clients that have a live region.
    pub coverage: Arc<CoverageReport>,
}

impl HealthView {
    /// The probes that decide about an endpoint; `None`: it has no check, so it counts as up.
    pub fn probes_of(&self, key: EndpointKey) -> Option<&ProbeRef> {
        self.plan.probes_of(key)
    }

    /// The probe that decides about an endpoint, and its result; `None`: there is no probe.
    pub fn endpoint(&self, key: EndpointKey) -> Option<(&TargetKey, Option<&TargetHealth>)> {
        let (key, _) = self
            .probes_of(key)?
            .deciding(&self.targets, Evidence::Agreed)?;
        Some((key, self.targets.get(key)))
    }

    /// Which probe results count for a service.
    pub fn evidence(&self, service: usize) -> Evidence {
        match self.config.services.get(service) {
            Some(configured) => hold::evidence(&self.plan, &self.effect, service, configured),
            None => Evidence::Agreed,
        }
    }

    /// Whether the monitor suspects its own network and holds the health of some service.
    pub fn holds(&self) -> bool {
        let mut services = 0..self.config.services.len();
        self.suspect && services.any(|service| self.evidence(service) == Evidence::Agreed)
    }

    /// The override of a region, or the one that sends some of its clients elsewhere: `is drained
    /// by ...`.
    pub fn region_order(&self, key: RegionKey) -> Option<&str> {
        let overrides = self.effect.of_region(key)?;
        match &overrides.order {
            Some(winning) => Some(&winning.sentence),
            None => overrides.shifted(),
        }
    }

    /// The override of an endpoint.
    pub fn endpoint_order(&self, key: EndpointKey) -> Option<&str> {
        let overrides = self.effect.of_region(key.region)?;
        Some(&overrides.endpoints.get(&key.endpoint)?.sentence)
    }
}

impl Control {
    /// Starts to probe, waits for the first results, at most as long as one probe may take, and
    /// publishes them. It must run inside a tokio runtime, before the server answers queries.
    ///
    /// # Errors
    /// A sentence: the prober cannot start, or the controller failed.
    pub async fn start_health(&self) -> Result<(), String> {
        let now = self.state();
        let plan = &now.derived.plan;
        let (trust, warning) = TrustStore::from_system()?;
        if let Some(warning) = warning
            && plan.needs_system_roots()
        {
            tracing::warn!("{warning}");
        }
        let known = match &now.directory {
            Some(directory) => load(directory.path()),
            None => SavedStates::default(),
        };
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
            if let Some(warning) = warning {
                tracing::warn!("{warning}");
            }
            gap = list.gap(&ClockReading::now());
            ramps = list.items;
        }
        let gap = gap.unwrap_or_default();
        self.controller
            .ask(|reply| Change::Begin { ramps, gap, reply })
            .await
            .map_err(|not_done| not_done.to_string())?;
        let config = &now.derived.base;
        if let Some(fleet) = &config.fleet {
            let joined = FleetHandle::join(fleet, &self.shared)?;
            self.shared.fleet.get_or_init(|| joined);
        }
        if !watch.monitor.first_round().await {
            tracing::warn!(
                "some endpoints have no result yet; they get no clients until they have one"
            );
        }
        if let Some(fleet) = self.fleet() {
            fleet.first_views().await;
        }
        self.controller
            .ask(|reply| Change::Observed { reply })
            .await
            .map_err(|not_done| not_done.to_string())
    }

    /// The fleet, with its orders and leases if it keeps any.
    fn fleet_report(&self, book: &OverrideBook) -> Option<FleetReport> {
        let mut report = self.fleet()?.now().report.clone();
        if let Some(orders) = self.fleet_orders() {
            let mut orders = orders.report();
            for order in book.all() {
                orders.here_only += usize::from(order.scope == OrderScope::HereOnly);
            }
            report.orders = Some(orders);
        }
        let configured = &self.state().derived.base;
        report.needs_restart = !self.is_in_fleet(configured.fleet.as_ref());
        report.leases = self.fleet_leases().map(LeasesHandle::report);
        let releases = self.releases();
        report.releases = releases.map(|it| ReleasesReport::clone(&it.report()));
        Some(report)
    }

    /// Everything that is known of health now.
    pub fn view(&self) -> HealthView {
        let state = self.state();
        let (mut targets, mut suspect, mut not_made) = (HashMap::new(), false, Vec::new());
        if let Some(watch) = self.watch() {
            let mut report = watch.monitor.health();
            if let Some(fleet) = self.fleet() {
                fleet.overrule(&mut report);
            }
            targets = report.targets;
            suspect = report.suspect;
            not_made = report.not_made;
        }
        let snapshot = &state.snapshot;
        let mut transitions = Vec::new();
        for (health, count) in &state.transitions {
            transitions.push((word(*health), *count));
        }
        HealthView {
            config: state.derived.config.clone(),
            plan: state.derived.plan.clone(),
            targets,
            suspect,
            fleet: self.fleet_report(&state.book),
            not_made,
            availability: snapshot.live.availability().clone(),
            transitions,
            orders: state.book.all().cloned().collect(),
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

/// The health that was agreed before the restart.
fn load(directory: &Path) -> SavedStates {
    let loaded = state::load(directory);
    if let Some(warning) = loaded.warning {
        tracing::warn!("{warning}");
    }
    loaded.states
}
