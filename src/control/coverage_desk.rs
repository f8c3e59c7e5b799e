//! What is known of coverage: the clients of each class, counted once for each catchment, and the latest report.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::clock::BootTime;
use crate::answer::Snapshot;
use crate::catalog::Catalog;
use crate::catalog::services::ServiceView;
use crate::foresight::coverage::{ClassWeights, Coverage};
use crate::foresight::coverages::{ClientCounts, coverages, noted};
use crate::geo::Atlas;

/// How old a report may be where clients are noted, who are others all the time.
const TRAFFIC_AGE: Duration = Duration::from_secs(10);
/// The coverage of every service at one moment.
#[derive(Debug, Default)]
pub struct CoverageReport {
    of: Weak<Snapshot>,
    made: Duration,
    /// By service, and in it by family; empty where the clients are not counted yet.
    pub services: Vec<Vec<Coverage>>,
}

/// What is known of coverage.
#[derive(Debug, Default)]
pub(super) struct CoverageDesk {
    counts: Mutex<ClientCounts>,
    latest: Mutex<Arc<CoverageReport>>,
    /// By service and record type, what was told last: the greatest part without a live region.
    pub(super) told: Mutex<HashMap<(String, String), f64>>,
}

impl CoverageDesk {
    pub(super) fn counts(&self) -> MutexGuard<'_, ClientCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clients of a view, counted now if they are not yet. Nobody waits for that at the lock.
    pub(super) fn count(&self, view: &ServiceView, atlas: &Arc<Atlas>) -> Arc<ClassWeights> {
        let known = self.counts().get(view, atlas);
        known.unwrap_or_else(|| {
            let weights = Arc::new(ClassWeights::of(&view.catchment, atlas));
            self.counts().insert(view, atlas, weights.clone());
            weights
        })
    }

    /// Counts the clients of every service of a catalog.
    pub(super) fn count_all(&self, catalog: &Catalog) {
        for view in catalog
            .services
            .iter()
            .flat_map(|service| service.views.iter().flatten())
        {
            self.count(view, &catalog.atlas);
        }
    }

    /// The coverage of a snapshot: the latest, or one that is made now of what is counted.
    pub(super) fn report(&self, snapshot: &Arc<Snapshot>) -> Arc<CoverageReport> {
        let latest = self
            .latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let now = BootTime::now().elapsed();
        let is_young = snapshot.catalog.sample.rules().is_none()
            || now.saturating_sub(latest.made) < TRAFFIC_AGE;
        if is_young && latest.is_whole() && std::ptr::eq(latest.of.as_ptr(), Arc::as_ptr(snapshot))
        {
            return latest;
        }
        let (catalog, availability) = (&snapshot.catalog, snapshot.live.availability());
        let services = coverages(catalog, Some(availability), &noted(catalog), &self.counts());
        let report = Arc::new(CoverageReport {
            of: Arc::downgrade(snapshot),
            made: now,
            services,
        });
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = report.clone();
        report
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
