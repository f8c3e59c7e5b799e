//! The fleet for people and metrics: who votes, how lately, and who differs about what.
//!
//! A report is made after every turn of the fleet's task and read by `/v1/status` and `/metrics`. Times
//! in it are ages at that moment.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agreed_votes::CheckTargets;
use super::differing::vote_word;
use super::leases::LeasesReport;
use super::orders::report::OrdersReport;
use crate::control::releases::ReleasesReport;
use crate::fleet::announcement::{AnnounceCount, AnnounceState};
use crate::fleet::member::FleetMember;
use crate::fleet::view_error::HearError;

/// Most differences that a report lists.
const MOST_DIFFERENCES: usize = 256;
/// The word for a voter whose view counts.
const FRESH: &str = "fresh";

/// The fleet as this server sees it. Keys are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetReport {
    /// The name of the fleet.
    pub name: String,
    /// The name of this server.
    pub voter: String,
    /// Its vantage group.
    pub group: String,
    /// Whether a NATS server is connected.
    pub linked: bool,
    /// Since how many seconds it is; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_seconds: Option<u64>,
    /// How often the connection was made or lost.
    pub link_changes: u64,
    /// Groups whose votes count now, with the own.
    pub fresh_groups: usize,
    /// Groups that were heard within the last day.
    pub known_groups: usize,
    /// Whether so many groups may decide. If not, the last agreed health holds.
    pub quorum: bool,
    /// Whether another server has this server's name, so that neither counts.
    pub disputed: bool,
    /// Whether `[fleet]` of the configuration that is served is another one than that of the start.
    /// It counts from the next restart on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_restart: bool,
    /// The checks of this server.
    #[serde(default)]
    pub checks: usize,
    /// Checks that this server sees otherwise than the fleet.
    pub outvoted: usize,
    /// Checks that the fleet decides about and this server does not see, because its monitor suspects
    /// itself.
    #[serde(default)]
    pub unseen: usize,
    /// Servers that speak and have never had a check in common with this one: they have another
    /// configuration, or are another fleet of the same name. What they say does not count.
    #[serde(default)]
    pub strangers: Vec<String>,
    /// The other servers, by name.
    pub voters: Vec<VoterReport>,
    /// Who sees a check otherwise than the fleet, at most 256.
    pub differences: Vec<DifferenceReport>,
    /// Messages that arrived.
    pub views: u64,
    /// Messages that were not counted, by reason.
    pub refused: BTreeMap<String, u64>,
    /// The orders of the fleet; absent: without NATS servers, orders are each server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<OrdersReport>,
    /// What is known of the leases of others; absent where leases are each server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<LeasesReport>,
    /// The releases of its configuration; absent: the configuration is each server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases: Option<ReleasesReport>,
}

/// Another server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoterReport {
    /// Its name.
    pub name: String,
    /// Its vantage group.
    pub group: String,
    /// `fresh`, `silent`, or `disputed`: two servers have this name.
    pub state: String,
    /// Seconds since its last view arrived.
    pub age_seconds: f64,
    /// The checks that it votes on.
    pub checks: usize,
    /// Of the own checks, how many it has in the same definition.
    pub shared_checks: usize,
    /// The own checks that it sees otherwise than the fleet.
    pub differing: usize,
    /// Whether it has never had a check in common with this server, so that its view does not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stranger: bool,
    /// What its announcer does; absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<AnnounceState>,
}

/// A voter that sees a check otherwise than the fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DifferenceReport {
    /// The check.
    pub check: String,
    /// The endpoint.
    pub endpoint: String,
    /// The voter.
    pub voter: String,
    /// What the fleet has agreed: `up` or `down`.
    pub agreed: String,
    /// Since how many seconds they differ.
    pub seconds: u64,
}

impl VoterReport {
    /// Whether its view is a fresh one of one server.
    pub fn is_fresh(&self) -> bool {
        self.state == FRESH
    }
}

impl FleetReport {
    /// How many of the other servers whose views count announce.
    pub fn announce_count(&self) -> AnnounceCount {
        let mut count = AnnounceCount::default();
        for voter in self.voters.iter().filter(|voter| voter.is_fresh()) {
            if let Some(state) = voter.announcement
                && !voter.stranger
            {
                count.add(&self.voter, &voter.name, state);
            }
        }
        count
    }
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub(super) struct FleetCounts {
    pub(super) views: u64,
    pub(super) link_changes: u64,
    refused: BTreeMap<&'static str, u64>,
}

impl FleetCounts {
    pub(super) fn refuse(&mut self, word: &'static str) {
        *self.refused.entry(word).or_default() += 1;
    }

    fn refused(&self) -> BTreeMap<String, u64> {
        let mut refused = BTreeMap::new();
        for word in HearError::WORDS {
            let count = self.refused.get(word).copied().unwrap_or_default();
            refused.insert(word.to_owned(), count);
        }
        refused
    }
}

/// The way to the engine.
pub(super) struct EngineLink<'c> {
    pub(super) since: Option<Duration>,
    pub(super) counts: &'c FleetCounts,
}

/// The report at `now`.
pub(super) fn of(
    member: &FleetMember,
    targets: &CheckTargets,
    link: &EngineLink<'_>,
    now: Duration,
) -> FleetReport {
    let settings = member.settings();
    let mut differences = Vec::new();
    let mut differing: BTreeMap<&str, usize> = BTreeMap::new();
    for (key, since) in member.dissents() {
        *differing.entry(&key.voter).or_default() += 1;
        let Some(target) = targets.get(key.check) else {
            continue;
        };
        if differences.len() < MOST_DIFFERENCES {
            differences.push(DifferenceReport {
                check: target.check.to_string(),
                endpoint: target.address.to_string(),
                voter: key.voter.clone(),
                agreed: vote_word(member.settled_on(key.check)).to_owned(),
                seconds: now.saturating_sub(*since).as_secs(),
            });
        }
    }
    let groups = member.groups();
    FleetReport {
        name: settings.fleet.clone(),
        voter: settings.voter.clone(),
        group: settings.group.clone(),
        linked: link.since.is_some(),
        linked_seconds: link.since.map(|since| now.saturating_sub(since).as_secs()),
        link_changes: link.counts.link_changes,
        fresh_groups: groups.fresh,
        known_groups: groups.known,
        quorum: member.has_quorum(),
        disputed: member.is_disputed(now),
        needs_restart: false,
        checks: member.checks(),
        unseen: member.unseen(),
        outvoted: differing
            .get(settings.voter.as_str())
            .copied()
            .unwrap_or_default(),
        strangers: Vec::new(),
        voters: voters(member, &differing, now),
        differences,
        views: link.counts.views,
        refused: link.counts.refused(),
        orders: None,
        leases: None,
        releases: None,
    }
}

fn voters(
    member: &FleetMember,
    differing: &BTreeMap<&str, usize>,
    now: Duration,
) -> Vec<VoterReport> {
    let mut voters = Vec::new();
    for (name, voter) in member.board().voters() {
        let state = if voter.is_disputed(now) {
            "disputed"
        } else if voter.is_fresh(now) {
            FRESH
        } else {
            "silent"
        };
        let age = now.saturating_sub(voter.heard_at);
        voters.push(VoterReport {
            name: name.to_owned(),
            group: voter.view.group.clone(),
            state: state.to_owned(),
            age_seconds: (age.as_secs_f64() * 1000.0).round() / 1000.0,
            checks: voter.view.checks(),
            shared_checks: voter.aligned.shared,
            differing: differing.get(name).copied().unwrap_or_default(),
            stranger: voter.is_stranger(),
            announcement: voter.view.announcement,
        });
    }
    voters
}
