//! Checks about which the servers of a fleet say different things: who says what, and since when.
//!
//! The list is made from the views that count, at most twice a second, and only of checks of which some
//! server says something else than was agreed. Times are those of this server's monotonic clock.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agreed_votes::{AgreedVotes, CheckTargets};
use crate::fleet::dissents::DissentKey;
use crate::fleet::member::FleetMember;
use crate::health::quorum::CheckVote;

/// Most checks that are listed.
const MOST: usize = 64;
/// The list is made at most this often, unless something else was agreed.
const EVERY: Duration = Duration::from_millis(500);

/// A check about which servers say different things.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DifferingCheck {
    /// The check.
    pub check: String,
    /// The endpoint.
    pub endpoint: String,
    /// What the fleet has agreed: `up`, `down`, or `unknown`.
    pub agreed: String,
    /// Since how many seconds; absent: nothing is agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed_seconds: Option<u64>,
    /// What each server says whose view counts.
    pub says: Vec<VoterSays>,
}

/// What one server says about a check.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoterSays {
    /// Its name.
    pub server: String,
    /// Its vantage group.
    pub group: String,
    /// `up`, `down`, or `unknown`.
    pub vote: String,
    /// Since how many seconds it says otherwise than was agreed; absent: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// The list as it was made last.
#[derive(Default)]
pub(super) struct DifferingList {
    list: Arc<Vec<DifferingCheck>>,
    made_at: Option<Duration>,
}

impl DifferingList {
    /// Something else was agreed, so the next list is a new one.
    pub(super) fn outdate(&mut self) {
        self.made_at = None;
    }

    /// The list, made anew if the last one is old.
    pub(super) fn now(
        &mut self,
        member: &FleetMember,
        targets: &CheckTargets,
        settled: &AgreedVotes,
        now: Duration,
    ) -> Arc<Vec<DifferingCheck>> {
        let is_old = self
            .made_at
            .is_none_or(|at| now.saturating_sub(at) >= EVERY);
        if is_old {
            self.made_at = Some(now);
            self.list = Arc::new(differing(member, targets, settled, now));
        }
        self.list.clone()
    }
}

fn differing(
    member: &FleetMember,
    targets: &CheckTargets,
    settled: &AgreedVotes,
    now: Duration,
) -> Vec<DifferingCheck> {
    let mut list = Vec::new();
    let mut last = None;
    // The keys are in the order of the checks.
    for DissentKey { check, .. } in member.dissents().keys() {
        if last.replace(*check) == Some(*check) || list.len() >= MOST {
            continue;
        }
        let Some(target) = targets.get(*check) else {
            continue;
        };
        let agreed = settled.get(target);
        list.push(DifferingCheck {
            check: target.check.to_string(),
            endpoint: target.address.to_string(),
            agreed: vote_word(agreed.map(|agreed| agreed.vote)).to_owned(),
            agreed_seconds: agreed.map(|agreed| agreed.since.elapsed().as_secs()),
            says: says(member, *check, now),
        });
    }
    list.sort_by(|one, other| (&one.check, &one.endpoint).cmp(&(&other.check, &other.endpoint)));
    list
}

fn says(member: &FleetMember, check: u64, now: Duration) -> Vec<VoterSays> {
    let mut says = Vec::new();
    for (server, group, vote) in member.votes_on(check, now) {
        let key = DissentKey {
            check,
            voter: server.to_owned(),
        };
        let since = member.dissents().get(&key);
        says.push(VoterSays {
            server: server.to_owned(),
            group: group.to_owned(),
            vote: vote_word(Some(vote)).to_owned(),
            seconds: since.map(|since| now.saturating_sub(*since).as_secs()),
        });
    }
    says.sort_by(|one, other| one.server.cmp(&other.server));
    says
}

/// A vote in a word.
pub(super) fn vote_word(vote: Option<CheckVote>) -> &'static str {
    match vote {
        Some(CheckVote::Up) => "up",
        Some(CheckVote::Down) => "down",
        _ => "unknown",
    }
}
