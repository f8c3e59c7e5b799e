//! The cache behind coverage: client counts for each catchment, and the latest report.
//!
//! Counting the clients of a catchment takes seconds, so each one is counted once. A report is
//! cheap and is made again when a new snapshot is published. Where the server samples its traffic,
//! a report is also made again after ten seconds, because the sampled clients change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::clock::BootTime;
use crate::answer::Snapshot;
use crate::catalog::Catalog;
use crate::catalog::services::ServiceView;
use crate::foresight::coverage::{ClassWeights, Coverage, ZoneWeights};
use crate::foresight::coverages::{ClientCounts, coverages, noted};
use crate::geo::Atlas;

/// How old a report may get where the server samples its traffic.
const TRAFFIC_AGE: Duration = Duration::from_secs(10);

/// The coverage of every service at one moment.
#[derive(Debug, Default)]
pub struct CoverageReport {
    of: Weak<Snapshot>,
    made: Duration,
    /// By service, and in it by family; empty where the clients are not counted yet.
    pub services: Vec<Vec<Coverage>>,
}

impl CoverageReport {
    /// Whether it is of this snapshot, and not too old where queries are sampled.
    fn is_fresh(&self, snapshot: &Arc<Snapshot>, now: Duration) -> bool {
        let is_sampled = snapshot.catalog.sample.rules().is_some();
        let is_young = !is_sampled || now.saturating_sub(self.made) < TRAFFIC_AGE;
        is_young && std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(snapshot))
    }
}

/// Client counts, the latest report, and what was logged.
#[derive(Debug, Default)]
pub(super) struct CoverageCache {
    counts: Mutex<ClientCounts>,
    latest: Mutex<Arc<CoverageReport>>,
    /// By service and record type, the percentage without a live region that was logged last.
    pub(super) logged: Mutex<HashMap<(String, String), f64>>,
}

impl CoverageCache {
    pub(super) fn counts(&self) -> MutexGuard<'_, ClientCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clients of a view, counted now if they are not yet. The lock is free while it counts.
    pub(super) fn count(&self, view: &ServiceView, atlas: &Arc<Atlas>) -> Arc<ClassWeights> {
        let known = self.counts().get(view, atlas);
        if let Some(known) = known {
            return known;
        }
        let zones = self.count_map(view, atlas);
        let weights = Arc::new(ClassWeights::of(&view.catchment, &zones));
        self.counts().insert(view, atlas, weights.clone());
        weights
    }

    /// The clients of the map that a view shares with others, counted now if they are not yet.
    fn count_map(&self, view: &ServiceView, atlas: &Arc<Atlas>) -> Arc<ZoneWeights> {
        let known = self.counts().of_map(view, atlas);
        if let Some(known) = known {
            return known;
        }
        let weights = Arc::new(ZoneWeights::of(view.catchment.zones(), atlas));
        self.counts().insert_map(view, atlas, weights.clone());
        weights
    }

    /// Counts the clients of every service.
    pub(super) fn count_all(&self, catalog: &Catalog) {
        for service in &catalog.services {
            for view in service.views.iter().flatten() {
                self.count(view, &catalog.atlas);
            }
        }
    }

    /// The coverage of a snapshot: the latest report, or a new one if that is out of date.
    pub(super) fn report(&self, snapshot: &Arc<Snapshot>) -> Arc<CoverageReport> {
        let latest = self.latest().clone();
        let now = BootTime::now().elapsed();
        if latest.is_whole() && latest.is_fresh(snapshot, now) {
            return latest;
        }
        let (catalog, availability) = (&snapshot.catalog, snapshot.live.availability());
        let services = coverages(catalog, Some(availability), &noted(catalog), &self.counts());
        let report = Arc::new(CoverageReport {
            of: Arc::downgrade(snapshot),
            made: now,
            services,
        });
        *self.latest() = report.clone();
        report
    }

    fn latest(&self) -> MutexGuard<'_, Arc<CoverageReport>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CoverageReport {
    /// Whether the clients of every service are counted.
    fn is_whole(&self) -> bool {
        self.services.iter().all(|families| !families.is_empty())
    }

    /// The coverage of a service, by family.
    pub fn of_service(&self, service: usize) -> &[Coverage] {
        self.services.get(service).map_or(&[], Vec::as_slice)
    }
}
