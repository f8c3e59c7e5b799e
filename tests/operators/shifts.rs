//! Shifts: some of a region's clients, always the same ones, go elsewhere and come back.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::Server;
use crate::harness::types::A;
use crate::world::{self, TOKEN, call, eventually, fail, say, www};

const FRA: &str = "192.0.2.1";
const IAD: &str = "192.0.2.2";
const SIN: &str = "192.0.2.3";
const NETWORKS: usize = 400;

/// A service of three regions; clients of 20.0.0.0/8 are near the first, then the second.
fn start() -> Server {
    world::start(
        "[regions.sin]\nlocation = \"SIN\"\n[[geo.networks]]\ncidr = \"20.0.0.0/8\"\nlocation = \"FRA\"\n\
         [[geo.networks]]\ncidr = \"21.0.0.0/8\"\nlocation = \"IAD\"\n\
         [[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n\
         sin = \"192.0.2.3\"\n",
    )
}

fn network(first: u8, number: usize) -> String {
    format!("{first}.{}.{}.0/24", number / 256, number % 256)
}

/// Which of the client networks get this address.
fn given(server: &Server, first: u8, address: &str) -> BTreeSet<usize> {
    let gets = |number: &usize| {
        let reply = server
            .ask("www.example.test", A)
            .from_subnet(&network(first, *number))
            .send();
        reply.addresses() == [address]
    };
    (0..NETWORKS).filter(gets).collect()
}

/// Within three standard deviations of the part that was asked for.
fn is_about(count: usize, part: f64) -> bool {
    let (all, count) = (NETWORKS as f64, count as f64);
    (count - all * part).abs() <= 3.0 * (all * part * (1.0 - part)).sqrt()
}

#[test]
fn some_of_a_regions_clients_go_elsewhere_and_the_same_ones_come_back() {
    let server = start();
    assert_eq!(given(&server, 20, FRA).len(), NETWORKS);
    let told = say(&server, &["shift", "fra", "20%", "--reason", "canary"]);
    assert_eq!(
        told,
        "fra has 20% of its clients shifted to their next region"
    );
    let fifth = given(&server, 20, IAD);
    assert!(is_about(fifth.len(), 0.2), "{}", fifth.len());
    assert_eq!(given(&server, 20, FRA).len(), NETWORKS - fifth.len());
    assert_eq!(
        given(&server, 21, IAD).len(),
        NETWORKS,
        "nobody outside the region moves"
    );
    say(&server, &["shift", "fra", "40%"]);
    let more = given(&server, 20, IAD);
    assert!(
        is_about(more.len(), 0.4) && more.is_superset(&fifth),
        "{} after {}",
        more.len(),
        fifth.len()
    );
    assert_eq!(
        say(&server, &["shift", "fra", "20"]),
        "fra has 20% of its clients shifted to their next region"
    );
    assert_eq!(given(&server, 20, IAD), fifth);
    let removed = say(&server, &["unshift", "fra"]);
    assert_eq!(removed, "fra: shift removed");
    assert_eq!(given(&server, 20, FRA).len(), NETWORKS);
    say(
        &server,
        &["shift", "fra", "100%", "--service", "www.example.test"],
    );
    assert_eq!(given(&server, 20, IAD).len(), NETWORKS);
    say(
        &server,
        &["shift", "fra", "0%", "--service", "www.example.test"],
    );
    assert_eq!(given(&server, 20, FRA).len(), NETWORKS);
}

#[test]
fn shifted_clients_go_to_the_region_that_is_named_as_long_as_it_is_up() {
    let server = start();
    say(&server, &["shift", "fra", "30%"]);
    let moved = given(&server, 20, IAD);
    say(&server, &["shift", "fra", "30%", "--to", "sin"]);
    assert_eq!(
        (given(&server, 20, SIN), given(&server, 20, IAD).len()),
        (moved.clone(), 0)
    );
    say(&server, &["drain", "sin", "--reason", "x"]);
    assert_eq!(
        given(&server, 20, IAD),
        moved,
        "it is not up, so they go to their next one"
    );
    say(&server, &["undrain", "sin"]);
    say(&server, &["force", "down", "fra", "--reason", "x"]);
    assert_eq!(
        given(&server, 20, IAD).len(),
        NETWORKS,
        "of a region that is down nobody is shifted"
    );
    say(&server, &["force", "off", "fra"]);
    assert_eq!(given(&server, 20, SIN), moved);
    assert!(fail(&server, &["shift", "fra", "5%", "--to", "fra"]).contains("to another region"));
    assert!(
        fail(&server, &["shift", "fra", "5%", "--to", "sim"]).contains("did you mean \"sin\"?")
    );
    assert!(fail(&server, &["shift", "fra", "120%"]).contains("not a percentage from 0% to 100%"));
    for body in [
        "{}",
        "{\"percent\": 101}",
        "{\"percent\": 5, \"weight\": 1}",
        "{\"percent\": 5, \"over\": \"soon\"}",
    ] {
        assert_eq!(
            call(&server, "PUT", "/v1/regions/fra/shift", TOKEN, body).0,
            400,
            "{body}"
        );
    }
    assert_eq!(
        call(
            &server,
            "PUT",
            "/v1/regions/fra/weight",
            TOKEN,
            "{\"weight\": 5, \"over\": \"5m\"}"
        )
        .0,
        400
    );
}

#[test]
fn a_shift_is_shown_wherever_orders_are_and_survives_a_kill() {
    let server = start();
    say(
        &server,
        &[
            "shift", "fra", "20%", "--to", "sin", "--reason", "canary", "--for", "2h",
        ],
    );
    let moved = given(&server, 20, SIN);
    let server = server.kill_and_start_again();
    assert_eq!(given(&server, 20, SIN), moved);
    let sentence = "has 20% of its clients shifted to sin by somebody: canary";
    let status = say(&server, &["status"]);
    assert!(
        status.contains(&format!(
            "fra of www.example.test {sentence}; it takes 80% of its clients"
        )),
        "{status}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&say(&server, &["status", "--json"])).expect("JSON");
    let order = &json["orders"][0];
    assert_eq!(
        (&order["action"], &order["to"]),
        (&"shift".into(), &"sin".into())
    );
    assert_eq!(
        (order["percent"].as_f64(), order["moved_percent"].as_f64()),
        (Some(20.0), Some(20.0))
    );
    assert_eq!(json["services"][0]["health"][0]["order"], sentence);
    let explain = |number: usize| {
        say(
            &server,
            &[
                "explain",
                "www.example.test",
                "--client",
                &network(20, number),
            ],
        )
    };
    let (gone, stays) = (
        *moved.first().expect("some"),
        (0..NETWORKS).find(|it| !moved.contains(it)).expect("some"),
    );
    let explained = explain(gone);
    assert!(
        explained.contains(&format!(
            "takes 80% of its clients, not this one: it {sentence}"
        )),
        "{explained}"
    );
    assert!(
        explained.contains("takes clients that are shifted to it from fra"),
        "{explained}"
    );
    assert!(
        explain(stays).contains("is the nearest"),
        "{}",
        explain(stays)
    );
    let (_, metrics) = call(&server, "GET", "/metrics", "", "");
    let line = "meridian_order{action=\"shift\",service=\"\",region=\"fra\",endpoint=\"\"} 0.2";
    assert!(metrics.contains(line), "{metrics}");
    let shares = call(&server, "GET", "/v1/shares?name=www.example.test", "", "").1;
    let shares: serde_json::Value = serde_json::from_str(&shares).expect("JSON");
    assert!(shares.to_string().contains("fra"), "{shares}");
    let audited = server.kill_and_start_again();
    say(&audited, &["shift", "fra", "10%"]);
    audited.await_log("audit: PUT", 1);
    assert!(
        audited
            .log()
            .contains("fra has 10% of its clients shifted to their next region")
    );
}

#[test]
fn a_shift_over_a_while_moves_each_client_once_and_a_drain_may_take_its_time_too() {
    let server = start();
    let told = say(&server, &["shift", "fra", "50%", "--over", "6s"]);
    assert_eq!(
        told,
        "fra has 50% of its clients shifted to their next region over 6s"
    );
    let mut seen = BTreeSet::new();
    let mut steps = 0;
    let start = std::time::Instant::now();
    while !is_about(seen.len(), 0.5) {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{} moved\n{}",
            seen.len(),
            server.log()
        );
        let now = given(&server, 20, IAD);
        assert!(now.is_superset(&seen), "nobody turns back");
        steps += usize::from(now.len() > seen.len());
        seen = now;
    }
    assert!(steps > 2, "all at once");
    say(&server, &["unshift", "fra", "--over", "2s"]);
    eventually(&server, Duration::from_secs(20), "all are back", || {
        given(&server, 20, FRA).len() == NETWORKS
    });
    server.await_log("shift ended", 1);
    assert_eq!(
        say(&server, &["drain", "fra", "--over", "2s", "--reason", "x"]),
        "fra is drained over 2s"
    );
    assert_eq!(www(&server).len(), FRA.len(), "somebody answers");
    eventually(&server, Duration::from_secs(20), "fra is drained", || {
        given(&server, 20, IAD).len() == NETWORKS
    });
    let status = || say(&server, &["status"]);
    eventually(
        &server,
        Duration::from_secs(20),
        "it counts as drained",
        || status().contains("is drained: fra"),
    );
}

#[test]
fn a_drain_is_taken_back_over_a_while_too() {
    let server = start();
    assert_eq!(
        say(&server, &["undrain", "fra", "--over", "2s"]),
        "fra: no drain to remove"
    );
    say(&server, &["drain", "fra", "--reason", "x"]);
    assert_eq!(given(&server, 20, IAD).len(), NETWORKS);
    let endpoint = ["fra", "--service", "www.example.test", "--endpoint", FRA];
    let refused = fail(
        &server,
        &[&["undrain"], &endpoint[..], &["--over", "2s"]].concat(),
    );
    assert!(
        refused.contains("an endpoint is undrained at once"),
        "{refused}"
    );
    let told = say(&server, &["undrain", "fra", "--over", "6s"]);
    assert!(told.starts_with("fra is undrained over 6s"), "{told}");
    let mut seen = BTreeSet::new();
    let mut steps = 0;
    let start = std::time::Instant::now();
    while seen.len() < NETWORKS {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{} are back\n{}",
            seen.len(),
            server.log()
        );
        let now = given(&server, 20, FRA);
        assert!(now.is_superset(&seen), "nobody goes away again");
        steps += usize::from(now.len() > seen.len());
        seen = now;
    }
    assert!(steps > 2, "all at once");
    server.await_log("drain ended (undrained over 6s by somebody)", 1);
    let status: serde_json::Value =
        serde_json::from_str(&say(&server, &["status", "--json"])).expect("JSON");
    assert_eq!(status["orders"], serde_json::json!([]));
}

#[test]
fn a_weight_that_changes_nothing_says_so() {
    let server = start();
    let told = say(&server, &["weight", "fra", "10"]);
    assert!(
        told.starts_with(
            "fra has weight 10; that changes nothing now: fra shares a tier with no other"
        ),
        "{told}"
    );
    assert!(told.ends_with("meridian shift fra 20%"), "{told}");
}
