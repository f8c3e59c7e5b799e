//! The servers of a fleet: what is known of each from its votes and from its report.
//!
//! A server may be known by one of them only: an older release votes and does not report, and so does
//! one whose NATS login may not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::fleet::report::{FleetReport, VoterReport};
use crate::control::fleet::reports::ReportsNow;
use crate::fleet::announcement::AnnounceState;
use crate::fleet::report_board::{BoardServer, ClockBounds};
use crate::fleet::server_report::{ServerReport, ServerRole};

/// The server that was asked.
pub const HERE: &str = "here";
/// A server whose votes count and that reports.
pub const WELL: &str = "well";
/// A server whose votes count and that does not report.
pub const VOTES_ONLY: &str = "votes-only";
/// A server that reports and whose votes do not count.
pub const REPORTS_ONLY: &str = "reports-only";
/// A name that two servers have.
pub const DISPUTED: &str = "disputed";
/// A server that is not heard any more.
pub const SILENT: &str = "silent";

/// One server of a fleet. What only its report says is absent or empty without one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetServerStatus {
    /// Its name.
    pub name: String,
    /// Its vantage group.
    pub group: String,
    /// `here`: the server that was asked; `well`; `votes-only`: it does not report; `reports-only`: its
    /// votes do not count; `disputed`: two servers have this name; `silent`: nothing is heard of it.
    pub state: String,
    /// Since how many seconds nothing is heard of it; absent unless it is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_seconds: Option<u64>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<ServerRole>,
    /// Version of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Fingerprint of its configuration and zones without `[server]`, `[admin]`, `[fleet]` and
    /// `[state]`, which are each server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Since when it serves them, in seconds since 1970, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_since: Option<u64>,
    /// Whether most servers of its role that report now serve something else.
    pub odd_revision: bool,
    /// Seconds since it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<u64>,
    /// How far its wall clock is ahead; absent for the server that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockDifference>,
    /// Queries per second; absent: it does not report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queries_per_second: Option<f64>,
    /// The same by result.
    pub queries: BTreeMap<String, f64>,
    /// Answers per second, by region.
    pub regions: BTreeMap<String, f64>,
    /// Orders up to this revision are in force there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders_revision: Option<u64>,
    /// Whether it reads the bucket of orders and the bucket counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders_current: Option<bool>,
    /// Orders that are in force there only, a sentence each, at most 8.
    pub here_only: Vec<String>,
    /// Checks that it sees otherwise than the fleet.
    pub differing: usize,
    /// What its announcer does; absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<AnnounceState>,
}

/// How far the wall clock of another server is ahead of that of the server that was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockDifference {
    /// Milliseconds that it is ahead, negative if it is behind. Without an uncertainty, it is ahead by
    /// at least this much: how long reports travel is not known.
    pub ahead_ms: f64,
    /// The true difference is at most this much more or less; absent: the way back is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty_ms: Option<f64>,
}

impl FleetServerStatus {
    /// Whether its figures are those of the last seconds.
    pub fn is_reporting(&self) -> bool {
        self.queries_per_second.is_some()
    }

    /// Whether it answers queries, as far as is known.
    pub fn is_nameserver(&self) -> bool {
        self.role == Some(ServerRole::Nameserver)
    }

    fn fill(&mut self, report: &ServerReport) {
        self.group.clone_from(&report.group);
        self.role = Some(report.role);
        self.version = Some(report.version.clone());
        self.revision = Some(report.revision.clone());
        self.served_since = Some(report.served_since);
        self.uptime_seconds = Some(report.uptime);
        if let Some(orders) = &report.orders {
            self.orders_revision = Some(orders.revision);
            self.orders_current = Some(orders.current);
        }
        self.here_only.clone_from(&report.here_only);
    }

    fn fill_rates(&mut self, report: &ServerReport) {
        self.queries_per_second = Some(super::rounded(report.rate()));
        self.queries.clone_from(&report.queries);
        self.regions.clone_from(&report.regions);
    }

    fn fill_votes(&mut self, voter: &VoterReport) {
        self.group.clone_from(&voter.group);
        self.differing = voter.differing;
        self.announcement = voter.announcement;
    }
}

/// Every server, by name, at `time` of the board's clock.
pub(super) fn servers(
    votes: &FleetReport,
    reports: &ReportsNow,
    time: Duration,
) -> Vec<FleetServerStatus> {
    let mut names: BTreeSet<&str> = BTreeSet::from([votes.voter.as_str()]);
    names.extend(reports.board.servers().keys().map(String::as_str));
    let mut voters: BTreeMap<&str, &VoterReport> = BTreeMap::new();
    for voter in &votes.voters {
        names.insert(&voter.name);
        voters.insert(&voter.name, voter);
    }
    let mut servers = Vec::with_capacity(names.len());
    for name in names {
        servers.push(if name == votes.voter {
            own(votes, &reports.own)
        } else {
            let voter = voters.get(name).copied();
            other(name, voter, reports.board.servers().get(name), time)
        });
    }
    mark_odd(&mut servers);
    servers
}

fn own(votes: &FleetReport, report: &ServerReport) -> FleetServerStatus {
    let mut server = FleetServerStatus {
        name: votes.voter.clone(),
        group: votes.group.clone(),
        state: if votes.disputed { DISPUTED } else { HERE }.to_owned(),
        differing: votes.outvoted,
        ..FleetServerStatus::default()
    };
    if !report.server.is_empty() {
        server.fill(report);
        server.fill_rates(report);
    }
    server
}

fn other(
    name: &str,
    voter: Option<&VoterReport>,
    known: Option<&BoardServer>,
    time: Duration,
) -> FleetServerStatus {
    let mut server = FleetServerStatus {
        name: name.to_owned(),
        ..FleetServerStatus::default()
    };
    let mut age = f64::MAX;
    if let Some(voter) = voter {
        server.fill_votes(voter);
        age = voter.age_seconds;
    }
    let mut is_reporting = false;
    if let Some(known) = known {
        is_reporting = known.is_fresh(time);
        server.fill(&known.report);
        if is_reporting {
            server.fill_rates(&known.report);
            server.clock = Some(ClockDifference::of(known.clock(time)));
        }
        age = age.min(time.saturating_sub(known.heard_at).as_secs_f64());
    }
    let is_disputed = voter.is_some_and(|voter| voter.state == DISPUTED);
    let is_voting = voter.is_some_and(VoterReport::is_fresh);
    let state = state_of(is_disputed, is_voting, is_reporting);
    server.state = state.to_owned();
    if server.state == SILENT {
        server.silent_seconds = Some(age as u64);
    }
    server
}

/// The state of another server.
fn state_of(disputed: bool, votes: bool, reports: bool) -> &'static str {
    match (votes, reports) {
        _ if disputed => DISPUTED,
        (true, true) => WELL,
        (true, false) => VOTES_ONLY,
        (false, true) => REPORTS_ONLY,
        (false, false) => SILENT,
    }
}

/// Marks the servers that serve something else than most of their role.
fn mark_odd(servers: &mut [FleetServerStatus]) {
    let mut counts: BTreeMap<(bool, String), usize> = BTreeMap::new();
    for server in servers.iter().filter(|server| server.is_reporting()) {
        if let Some(revision) = &server.revision {
            *counts
                .entry((server.is_nameserver(), revision.clone()))
                .or_default() += 1;
        }
    }
    for server in servers {
        let Some(revision) = server.revision.as_ref().filter(|_| server.is_reporting()) else {
            continue;
        };
        let is_nameserver = server.is_nameserver();
        let own = counts.get(&(is_nameserver, revision.clone())).copied();
        let of_role = counts.iter().filter(|(key, _)| key.0 == is_nameserver);
        let most = of_role.map(|(_, count)| *count).max().unwrap_or_default();
        server.odd_revision = own.unwrap_or_default() < most;
    }
}

impl ClockDifference {
    fn of(bounds: ClockBounds) -> ClockDifference {
        let least = bounds.at_least as f64 / 1000.0;
        let Some(most) = bounds.at_most else {
            return ClockDifference {
                ahead_ms: hundredths(least),
                uncertainty_ms: None,
            };
        };
        let most = most as f64 / 1000.0;
        ClockDifference {
            ahead_ms: hundredths((least + most) / 2.0),
            uncertainty_ms: Some(hundredths((most - least) / 2.0)),
        }
    }
}

fn hundredths(milliseconds: f64) -> f64 {
    (milliseconds * 100.0).round() / 100.0
}
