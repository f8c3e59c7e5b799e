//! What the log says of the fleet: one line for each change, none for what stays.
//!
//! Wrong messages are named once by voter and kind, and again after an hour, because whoever sends
//! them can send many. Nothing here is counted; `report` has the numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::agreed_votes::AgreedChange;
use crate::fleet::member::FleetMember;
use crate::fleet::view_error::HearError;
use crate::health::quorum::CheckVote;
use crate::text::{counted, list, shown};

/// Most kinds of wrong messages that are remembered.
const MOST_NAMED: usize = 256;
/// Most refusals that are named between two connections.
const MOST_REFUSALS: usize = 16;
/// When a kind of wrong message is named again.
const AGAIN: Duration = Duration::from_secs(3600);
/// Most checks that a line names.
const MOST_CHECKS: usize = 4;

/// What was said already.
#[derive(Default)]
pub(super) struct FleetNews {
    fleet: String,
    is_linked: Option<bool>,
    /// What NATS has refused since it was last connected.
    refusals: BTreeSet<String>,
    named: BTreeMap<(String, &'static str), Duration>,
    fresh: BTreeSet<String>,
    has_quorum: Option<bool>,
    is_outvoted: bool,
}

impl FleetNews {
    pub(super) fn new(fleet: &str) -> FleetNews {
        FleetNews {
            fleet: fleet.to_owned(),
            ..FleetNews::default()
        }
    }

    pub(super) fn linked(&mut self) {
        self.refusals.clear();
        if self.is_linked.replace(true) != Some(true) {
            tracing::info!("fleet {}: the NATS server is connected", self.fleet);
        }
    }

    pub(super) fn unlinked(&mut self) {
        if self.is_linked.replace(false) != Some(false) {
            tracing::warn!(
                "fleet {}: no NATS server can be reached; \
                 answers stay, and the last agreed health holds",
                self.fleet
            );
        }
    }

    /// The engine, or the way to it, refuses something. A first attempt to connect that fails has no
    /// other news.
    pub(super) fn refused(&mut self, sentence: &str) {
        if self.is_linked != Some(true) {
            self.unlinked();
        }
        if self.refusals.len() < MOST_REFUSALS && self.refusals.insert(sentence.to_owned()) {
            tracing::warn!("fleet {}: NATS: {}", self.fleet, shown(sentence));
        }
    }

    pub(super) fn not_counted(&mut self, now: Duration, voter: &str, error: &HearError) {
        if *error == HearError::Late {
            return;
        }
        let key = (voter.to_owned(), error.word());
        let is_new = match self.named.get(&key) {
            Some(at) => now.saturating_sub(*at) >= AGAIN,
            None => true,
        };
        if is_new {
            if self.named.len() >= MOST_NAMED {
                self.named.clear();
            }
            self.named.insert(key, now);
            let (fleet, voter) = (&self.fleet, shown(voter));
            tracing::warn!("fleet {fleet}: a message of \"{voter}\" is not counted: {error}");
        }
    }

    /// Says who came and went, and whether enough groups are in touch.
    pub(super) fn note(&mut self, now: Duration, member: &FleetMember) {
        let mut fresh = BTreeSet::new();
        for (name, voter) in member.board().voters() {
            if voter.is_fresh(now) {
                fresh.insert(name.to_owned());
            }
        }
        for name in fresh.difference(&self.fresh) {
            tracing::info!("fleet {}: {name} votes", self.fleet);
        }
        for name in self.fresh.difference(&fresh) {
            tracing::warn!("fleet {}: {name} does not vote any more", self.fleet);
        }
        self.fresh = fresh;
        let has_quorum = member.has_quorum();
        if self
            .has_quorum
            .replace(has_quorum)
            .is_some_and(|had| had != has_quorum)
        {
            let groups = member.groups();
            let (fleet, fresh, known) = (&self.fleet, groups.fresh, groups.known);
            if has_quorum {
                tracing::info!("fleet {fleet}: {fresh} of {known} groups decide again");
            } else {
                tracing::warn!(
                    "fleet {fleet}: {fresh} of {known} groups are too few to decide; \
                     the last agreed health holds"
                );
            }
        }
        let own = &member.settings().voter;
        let outvoted = member
            .dissents()
            .keys()
            .filter(|key| key.voter == *own)
            .count();
        if (outvoted > 0) != self.is_outvoted {
            self.is_outvoted = outvoted > 0;
            if outvoted > 0 {
                tracing::warn!(
                    "fleet {}: the others outvote this server on {}; \
                     its own network may be at fault",
                    self.fleet,
                    counted(outvoted, "check")
                );
            } else {
                tracing::info!("fleet {}: this server sees what the fleet sees", self.fleet);
            }
        }
    }

    /// Says what is agreed now and was not before.
    pub(super) fn settled(&self, changes: &[AgreedChange], member: &FleetMember) {
        if member.groups().fresh < 2 {
            return;
        }
        for (vote, word) in [(CheckVote::Down, "down"), (CheckVote::Up, "up")] {
            let mut names = Vec::new();
            for AgreedChange {
                target,
                vote: agreed,
            } in changes
            {
                if *agreed == vote {
                    names.push(format!("{} at {}", target.check, target.address));
                }
            }
            if !names.is_empty() {
                names.sort();
                let (fleet, names) = (&self.fleet, list(&names, MOST_CHECKS));
                tracing::info!("fleet {fleet}: agreed {word}: {names}");
            }
        }
    }
}
