//! Rings: when a server of a fleet may serve a release of the configuration.
//!
//! Every server has a ring, and says in a [`ReleaseReport`] what became of the release there. A
//! release passes from ring to ring: a server may serve it when the servers of every lower ring have
//! proven it, and when nobody has refused it. [`may_serve`] is that decision, a function of values, so
//! the same reports lead to the same decision on every server of a ring, without a leader.
//!
//! Time is no part of it. A server that has served a release for its own soak says that it is proven,
//! so a server that was away catches up at once.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of a release on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// It waits, for its parts or for its ring.
    Waiting,
    /// It was read and checked, and waits for its ring.
    Checked,
    /// It is served on trial.
    Soaking,
    /// It was served for the soak without a complaint.
    Proven,
    /// It was refused before it was served.
    Refused,
    /// It was served and taken back.
    Failed,
}

impl ReleaseState {
    /// Whether it halts the release everywhere.
    pub fn halts(self) -> bool {
        matches!(self, ReleaseState::Refused | ReleaseState::Failed)
    }

    /// The state as a word of reports.
    pub fn word(self) -> &'static str {
        match self {
            ReleaseState::Waiting => "waiting",
            ReleaseState::Checked => "checked",
            ReleaseState::Soaking => "soaking",
            ReleaseState::Proven => "proven",
            ReleaseState::Refused => "refused",
            ReleaseState::Failed => "failed",
        }
    }
}

/// What a server says of the newest release that it knows. Keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseReport {
    /// Its ring.
    pub ring: u8,
    /// The number of the release that it speaks of; 0: none was seen.
    pub release: u64,
    /// What became of it.
    pub state: ReleaseState,
    /// Why, as a clause; may be empty.
    #[serde(default)]
    pub why: String,
    /// The number of the release that it serves; 0: its own files.
    pub serving: u64,
}

/// What is asked about a server and a release.
#[derive(Debug, Clone, Copy)]
pub struct RingQuestion<'q> {
    /// The ring of the server.
    pub ring: u8,
    /// The number of the release.
    pub release: u64,
    /// What servers have reported last, by name.
    pub reports: &'q BTreeMap<String, ReleaseReport>,
    /// The servers that are in touch.
    pub in_touch: &'q BTreeSet<String>,
}

/// Whether a server may serve a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingAnswer {
    /// It may.
    Go,
    /// Not until a lower ring has proven it; a clause says for whom it waits.
    Wait(String),
    /// Somebody has refused it.
    Halt {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
}

/// Whether a server of this ring may serve this release now.
///
/// 1. A release that anybody has refused, or served and taken back, halts.
/// 2. Of every lower ring, at least one server must have proven it.
/// 3. Of every lower ring, every server that is in touch must have proven it. One that is away counts
///    only if it was trying the release when it was heard last.
pub fn may_serve(question: &RingQuestion<'_>) -> RingAnswer {
    for (name, report) in question.reports {
        if report.release == question.release && report.state.halts() {
            return RingAnswer::Halt {
                by: name.clone(),
                why: report.why.clone(),
            };
        }
    }
    for ring in 0..question.ring {
        if let Some(clause) = waits_for(ring, question) {
            return RingAnswer::Wait(clause);
        }
    }
    RingAnswer::Go
}

/// For whom of a lower ring a release waits; `None`: the ring has proven it.
fn waits_for(ring: u8, question: &RingQuestion<'_>) -> Option<String> {
    let mut proven = 0;
    for (name, report) in question.reports {
        if report.ring != ring {
            continue;
        }
        let is_of_it = report.release == question.release;
        let is_here = question.in_touch.contains(name);
        match (is_of_it, report.state) {
            (true, ReleaseState::Proven) => proven += 1,
            (true, ReleaseState::Soaking) if !is_here => {
                return Some(format!(
                    "waits for {name} of ring {ring}, which went away while it tried it"
                ));
            }
            _ if is_here => return Some(format!("waits for {name} of ring {ring}")),
            _ => {}
        }
    }
    (proven == 0).then(|| format!("waits for ring {ring}, of which no server has proven it"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = ReleaseState> {
        prop::sample::select(vec![
            ReleaseState::Waiting,
            ReleaseState::Checked,
            ReleaseState::Soaking,
            ReleaseState::Proven,
            ReleaseState::Refused,
            ReleaseState::Failed,
        ])
    }

    fn reports() -> impl Strategy<Value = BTreeMap<String, ReleaseReport>> {
        let report =
            (0..3_u8, 6..8_u64, state(), 5..8_u64).prop_map(|(ring, release, state, serving)| {
                ReleaseReport {
                    ring,
                    release,
                    state,
                    why: String::new(),
                    serving,
                }
            });
        prop::collection::btree_map("[a-f]", report, 0..6)
    }

    proptest! {
        #[test]
        fn a_release_is_served_only_after_every_lower_ring_has_proven_it_and_nobody_refused_it(
            reports in reports(),
            in_touch in prop::collection::btree_set("[a-f]", 0..6),
            ring in 0..4_u8,
        ) {
            let question = RingQuestion { ring, release: 7, reports: &reports, in_touch: &in_touch };
            let answer = may_serve(&question);
            prop_assert_eq!(&answer, &may_serve(&question));
            let mut refused = false;
            let mut proven = BTreeSet::new();
            let mut open = BTreeSet::new();
            for (name, report) in &reports {
                let is_of_it = report.release == 7;
                refused |= is_of_it && report.state.halts();
                if is_of_it && report.state == ReleaseState::Proven {
                    proven.insert(report.ring);
                } else if in_touch.contains(name) || (is_of_it && report.state == ReleaseState::Soaking) {
                    open.insert(report.ring);
                }
            }
            let is_proven = (0..ring).all(|lower| proven.contains(&lower) && !open.contains(&lower));
            let expected = match (refused, is_proven) {
                (true, _) => "halt",
                (false, true) => "go",
                (false, false) => "wait",
            };
            let told = match answer {
                RingAnswer::Go => "go",
                RingAnswer::Wait(_) => "wait",
                RingAnswer::Halt { .. } => "halt",
            };
            prop_assert_eq!(told, expected);
        }
    }
}
