//! What the log says of the reports: one line for each kind of trouble, none for what stays.
//!
//! That a link was lost is told by the votes, which use the same NATS servers. Wrong reports are named
//! once an hour by server and kind, because whoever sends them can send many.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::fleet::server_report::ReportError;
use crate::text::shown;

/// Most kinds of wrong reports that are remembered.
const MOST_NAMED: usize = 256;
/// Most refusals that are named between two connections.
const MOST_REFUSALS: usize = 16;
/// When a kind of wrong report is named again.
const AGAIN: Duration = Duration::from_secs(3600);

/// What was said already.
#[derive(Default)]
pub(super) struct StatusLog {
    fleet: String,
    refusals: BTreeSet<String>,
    last_refusal: Option<String>,
    named: BTreeMap<(String, &'static str), Duration>,
    counts: BTreeMap<&'static str, u64>,
}

impl StatusLog {
    pub(super) fn new(fleet: &str) -> StatusLog {
        let mut counts = BTreeMap::new();
        for word in ReportError::WORDS {
            counts.insert(word, 0);
        }
        StatusLog {
            fleet: fleet.to_owned(),
            counts,
            ..StatusLog::default()
        }
    }

    pub(super) fn linked(&mut self) {
        self.refusals.clear();
        self.last_refusal = None;
    }

    /// What the engine has refused since it was last connected.
    pub(super) fn refusal(&self) -> Option<String> {
        self.last_refusal.clone()
    }

    /// Reports that were not counted, by reason.
    pub(super) fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.counts.clone()
    }

    pub(super) fn refused_by_engine(&mut self, sentence: &str) {
        self.last_refusal = Some(sentence.to_owned());
        if self.refusals.len() < MOST_REFUSALS && self.refusals.insert(sentence.to_owned()) {
            tracing::warn!(
                "fleet {}: reports: NATS: {}; `meridian fleet init` writes the permissions that \
                 they need. Votes and orders do not depend on them",
                self.fleet,
                shown(sentence)
            );
        }
    }

    pub(super) fn not_counted(&mut self, now: Duration, server: &str, error: &ReportError) {
        *self.counts.entry(error.word()).or_default() += 1;
        if *error == ReportError::Late {
            return;
        }
        if !self.is_new(now, (server.to_owned(), error.word())) {
            return;
        }
        let sentence = error.to_string();
        tracing::warn!(
            "fleet {}: a report of \"{}\" {}",
            self.fleet,
            shown(server),
            shown(&sentence)
        );
    }
    /// Whether a kind of wrong report is to be named now.
    fn is_new(&mut self, now: Duration, key: (String, &'static str)) -> bool {
        let told = self.named.get(&key);
        if told.is_some_and(|at| now.saturating_sub(*at) < AGAIN) {
            return false;
        }
        if self.named.len() >= MOST_NAMED {
            self.named.clear();
        }
        self.named.insert(key, now);
        true
    }
}
