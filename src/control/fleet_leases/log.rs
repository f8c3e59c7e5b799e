//! What the log says of the fleet's leases.
//!
//! Wrong messages, and leases that do not fit this server, are named once by server and kind, and
//! again after an hour, because whoever sends them can send many. That a link was lost is told by the
//! votes, which use the same NATS servers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::text::shown;

/// Most kinds of wrong messages that are remembered.
const MOST_NAMED: usize = 256;
/// Most refusals that are named between two connections.
const MOST_REFUSALS: usize = 16;
/// When a kind of wrong message is named again.
const AGAIN: Duration = Duration::from_secs(3600);

/// What was said already.
pub(super) struct LeasesLog {
    fleet: String,
    refusals: BTreeSet<String>,
    named: BTreeMap<(String, &'static str), Instant>,
}

impl LeasesLog {
    pub(super) fn new(fleet: &str) -> LeasesLog {
        LeasesLog {
            fleet: fleet.to_owned(),
            refusals: BTreeSet::new(),
            named: BTreeMap::new(),
        }
    }

    pub(super) fn linked(&mut self) {
        self.refusals.clear();
    }

    pub(super) fn refused_by_engine(&mut self, sentence: &str) {
        if self.refusals.len() < MOST_REFUSALS && self.refusals.insert(sentence.to_owned()) {
            tracing::warn!("fleet {}: leases: NATS: {}", self.fleet, shown(sentence));
        }
    }

    /// Names a message or a lease of `server` that does not count, and why.
    pub(super) fn refuse(&mut self, server: &str, kind: &'static str, clause: &str) {
        let name = (server.to_owned(), kind);
        let is_recent = self.named.get(&name).is_some_and(|at| at.elapsed() < AGAIN);
        let is_full = self.named.len() >= MOST_NAMED && !self.named.contains_key(&name);
        if is_recent || is_full {
            return;
        }
        self.named.insert(name, Instant::now());
        let (fleet, server, clause) = (&self.fleet, shown(server), shown(clause));
        if kind == "misfit" {
            tracing::warn!("fleet {fleet}: a lease of {server} does not count here: {clause}");
        } else {
            tracing::warn!("fleet {fleet}: a message about leases of {server} {clause}");
        }
    }
}
