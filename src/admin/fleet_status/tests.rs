//! What is made of votes and reports, without servers.

use std::time::Duration;

use super::servers::servers;
use super::*;
use crate::control::fleet::report::{FleetReport, VoterReport};
use crate::control::fleet::reports::ReportsNow;
use crate::fleet::server_report::{ServerReport, ServerRole};

fn report(server: &str, revision: &str) -> ServerReport {
    ServerReport {
        fleet: "world".into(),
        server: server.into(),
        group: "europe".into(),
        sequence: 1,
        version: "0.1.0".into(),
        revision: revision.into(),
        queries: BTreeMap::from([("steered".to_owned(), 10.5), ("no-name".to_owned(), 1.0)]),
        regions: BTreeMap::from([("fra".to_owned(), 10.5)]),
        ..ServerReport::default()
    }
}

/// The server `ams`, which has heard reports of these at second 0 and votes of others.
fn known(reporting: &[ServerReport], voting: &[(&str, &str)]) -> (FleetReport, ReportsNow) {
    let mut reports = ReportsNow {
        own: report("ams", "a"),
        board: crate::fleet::report_board::ReportBoard::new("world", "ams"),
        ..ReportsNow::default()
    };
    for report in reporting {
        let (name, octets) = (report.server.clone(), report.clone().write());
        reports
            .board
            .hear(Duration::ZERO, 0, &name, &octets)
            .unwrap();
    }
    let mut votes = FleetReport {
        name: "world".into(),
        voter: "ams".into(),
        group: "europe".into(),
        linked: true,
        quorum: true,
        ..FleetReport::default()
    };
    for (name, state) in voting {
        votes.voters.push(VoterReport {
            name: (*name).into(),
            state: (*state).into(),
            age_seconds: 0.5,
            ..VoterReport::default()
        });
    }
    (votes, reports)
}

fn states(servers: &[FleetServerStatus]) -> Vec<(&str, &str)> {
    let states = servers.iter();
    states
        .map(|server| (server.name.as_str(), server.state.as_str()))
        .collect()
}

#[test]
fn a_server_is_known_by_its_votes_or_its_report_or_both() {
    let reporting = [report("iad", "a"), report("sin", "a"), report("lost", "a")];
    let voting = [
        ("iad", "fresh"),
        ("old", "fresh"),
        ("two", "disputed"),
        ("lost", "silent"),
    ];
    let (votes, reports) = known(&reporting, &voting);
    let list = servers(&votes, &reports, Duration::from_secs(2));
    assert_eq!(
        states(&list),
        [
            ("ams", "here"),
            ("iad", "well"),
            ("lost", "reports-only"),
            ("old", "votes-only"),
            ("sin", "reports-only"),
            ("two", "disputed"),
        ]
    );
    let later = servers(&votes, &reports, Duration::from_secs(100));
    let lost = &later[2];
    assert_eq!(
        (lost.state.as_str(), lost.silent_seconds),
        ("silent", Some(0))
    );
    assert_eq!(lost.version.as_deref(), Some("0.1.0"), "it is still known");
    assert!(!lost.is_reporting(), "its old figures count for nothing");
}

#[test]
fn the_rates_of_all_that_report_are_added_up() {
    let probe = ServerReport {
        role: ServerRole::Probe,
        queries: BTreeMap::new(),
        regions: BTreeMap::new(),
        ..report("probe", "b")
    };
    let (votes, reports) = known(&[report("iad", "a"), probe], &[]);
    let rates = FleetRates::of(&servers(&votes, &reports, Duration::from_secs(1)));
    assert_eq!((rates.servers, rates.queries_per_second), (2, 23.0));
    assert_eq!(rates.queries["steered"], 21.0);
    assert_eq!(rates.regions["fra"], 21.0);
    let silent = FleetRates::of(&servers(&votes, &reports, Duration::from_secs(10)));
    assert_eq!((silent.servers, silent.queries_per_second), (1, 11.5));
}

#[test]
fn another_configuration_than_most_of_its_role_is_odd() {
    let probe = ServerReport {
        role: ServerRole::Probe,
        ..report("probe", "p")
    };
    let reporting = [report("iad", "a"), report("sin", "b"), probe];
    let (votes, reports) = known(&reporting, &[]);
    let list = servers(&votes, &reports, Duration::from_secs(1));
    let odd: Vec<&str> = list
        .iter()
        .filter(|server| server.odd_revision)
        .map(|server| server.name.as_str())
        .collect();
    assert_eq!(odd, ["sin"]);
}

#[test]
fn the_summary_begins_with_the_worst() {
    let (votes, reports) = known(&[report("iad", "a")], &[("iad", "fresh")]);
    let mut status = FleetStatus {
        server: "ams".into(),
        linked: true,
        quorum: true,
        servers: servers(&votes, &reports, Duration::from_secs(1)),
        ..FleetStatus::default()
    };
    let said = |status: &FleetStatus| summary::summary(status, false);
    assert_eq!(said(&status), "2 servers, all well");
    status.differing.push(DifferingCheck::default());
    assert_eq!(said(&status), "servers say different things about 1 check");
    status.servers[1].state = "silent".into();
    assert_eq!(said(&status), "iad is silent; and 1 more");
    status.linked = false;
    let sentence = said(&status);
    assert!(
        sentence.starts_with("ams reaches no NATS server"),
        "{sentence}"
    );
    assert_eq!(summary::summary(&status, true), "iad is silent; and 1 more");
}
