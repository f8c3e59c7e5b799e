//! The leases of a fleet, for the rest of control, people and metrics.
//!
//! The controller hands what was begun, renewed or ended here to the task of leases, which never makes
//! it wait. The task leaves a [`LeasesReport`] for readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::fleet::lease_news::LeaseNews;

/// Most leases that wait to be told.
const MOST_WAITING: usize = 4096;

/// What the rest of control knows of the fleet's leases.
pub struct LeasesHandle {
    news: mpsc::Sender<LeaseNews>,
    report: Arc<ArcSwap<LeasesReport>>,
}

/// The ends of a handle that the task holds.
pub(in crate::control) struct LeasesEnds {
    pub(in crate::control) news: mpsc::Receiver<LeaseNews>,
    pub(in crate::control) report: Arc<ArcSwap<LeasesReport>>,
}

/// The leases of a fleet as this server hears of them. Keys are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeasesReport {
    /// Whether a NATS server is connected. If not, the leases that others hold stay as they are.
    pub linked: bool,
    /// Messages of other servers.
    pub messages: u64,
    /// Messages, and leases in them, that did not count, by reason.
    pub refused: BTreeMap<String, u64>,
}

impl LeasesHandle {
    /// A handle, and the ends for its task.
    pub(in crate::control) fn new() -> (LeasesHandle, LeasesEnds) {
        let (send, news) = mpsc::channel(MOST_WAITING);
        let report = Arc::new(ArcSwap::from_pointee(LeasesReport::default()));
        let handle = LeasesHandle {
            news: send,
            report: report.clone(),
        };
        (handle, LeasesEnds { news, report })
    }

    /// Tells the other servers of a lease. If too many wait, it is not told before it is renewed.
    pub(in crate::control) fn share(&self, news: LeaseNews) {
        let _ = self.news.try_send(news);
    }

    /// What is known now.
    pub fn report(&self) -> LeasesReport {
        LeasesReport::clone(&self.report.load())
    }
}
