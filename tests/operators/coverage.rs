//! Clients without a live region: a fence leaves Europe one region, and that is the one that dies or is drained.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Region, Server};
use crate::world::{self, TOKEN, call, eventually, fail, say, www};

const PATIENCE: Duration = Duration::from_secs(30);
const FENCE: &str =
    "[[services.fence]]\nclients = { continents = [\"EU\"] }\nregions = [\"fra\"]\n";
const LOST: &str = "www.example.test A: no live region for ";

/// A service of two regions, of which Europe has only the first.
fn start(lines: &str) -> Server {
    world::start(&format!(
        "{lines}[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\n\
         iad = \"192.0.2.2\"\n{FENCE}"
    ))
}

fn status(server: &Server) -> Value {
    serde_json::from_str(&say(server, &["status", "--json"])).expect("JSON")
}

/// The coverage of the service, once its clients are counted.
fn coverage(server: &Server) -> Value {
    let is_counted = || status(server)["services"][0]["coverage"][0].is_object();
    eventually(server, PATIENCE, "clients are counted", is_counted);
    status(server)["services"][0]["coverage"][0].clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// The part of the address space without a live region, 0 to 1, as Prometheus sees it.
fn ratio(server: &Server) -> Option<f64> {
    let (_, page) = call(server, "GET", "/metrics", TOKEN, "");
    let labels = "service=\"www.example.test\",type=\"A\",over=\"addresses\"";
    let value = page.lines().find_map(|line| {
        line.strip_prefix("meridian_service_uncovered_ratio{")?
            .strip_prefix(labels)?
            .strip_prefix("} ")
    });
    value.map(|value| value.parse().expect("a number"))
}

#[test]
fn a_fenced_region_that_dies_is_the_first_thing_that_everybody_sees() {
    let (fra, iad) = (Region::start("127.0.1.1", 0), Region::start("127.0.2.1", 0));
    let server = world::start(&format!("{}{FENCE}", world::checked(&fra, &iad, "")));
    let well = coverage(&server);
    assert_eq!(
        (&well["type"], number(&well["addresses"]["live_percent"])),
        (&Value::from("A"), 100.0),
        "{well}"
    );
    assert_eq!(well["losing"], Value::Array(Vec::new()));
    assert_eq!(ratio(&server), Some(0.0));
    assert!(say(&server, &["status"]).starts_with("meridian "));

    fra.set_broken(true);
    eventually(&server, PATIENCE, "Europe is lost", || {
        ratio(&server).is_some_and(|ratio| ratio > 0.0)
    });
    let lost = coverage(&server);
    let [dead, displaced] =
        ["dead_percent", "displaced_percent"].map(|part| number(&lost["addresses"][part]));
    assert!((15.0..30.0).contains(&dead), "{lost}");
    assert!(
        displaced > 0.0,
        "others who were near the region go on to the next: {lost}"
    );
    assert!(
        (ratio(&server).expect("counted") - dead / 100.0).abs() < 1e-9,
        "{lost}"
    );
    assert!(
        (5.0..20.0).contains(&number(&lost["population"]["dead_percent"])),
        "{lost}"
    );
    let countries = lost["losing"].as_array().expect("a list");
    assert!(
        countries.len() == 10 && lost["losing_countries"].as_u64() > Some(40),
        "{lost}"
    );
    assert!(
        countries[..3]
            .iter()
            .any(|country| country["country"] == "DE"),
        "the largest first: {lost}"
    );
    let printed = say(&server, &["status"]);
    let first = printed.lines().next().expect("a line");
    assert!(first.starts_with(LOST), "{first}");
    let expected = " more countries; they are given a region that is out; 1 of 2 regions of www.example.test is down: fra (";
    assert!(first.contains(expected), "{first}");
    server.await_log("\"www.example.test A: no live region for", 1);

    fra.set_broken(false);
    eventually(&server, PATIENCE, "Europe is back", || {
        ratio(&server) == Some(0.0)
    });
    server.await_log(
        "www.example.test A: every client has a live region again",
        1,
    );
    let (_, events) = call(&server, "GET", "/v1/status", TOKEN, "");
    assert!(!events.contains("no live region"), "{events}");
}

#[test]
fn a_drain_that_leaves_clients_without_a_region_is_to_be_meant() {
    let server = start("");
    coverage(&server);
    say(
        &server,
        &["drain", "iad", "--reason", "the others have fra"],
    );
    say(&server, &["undrain", "iad"]);
    let told = fail(&server, &["drain", "fra", "--reason", "new kernel"]);
    assert!(
        told.contains("nothing is done yet: once fra is drained, "),
        "{told}"
    );
    assert!(
        told.contains("have no live region of www.example.test (A): ") && told.contains("--yes"),
        "{told}"
    );
    assert_eq!(www(&server), "192.0.2.1", "nothing is done");
    assert!(fail(&server, &["force", "down", "fra", "--reason", "x"]).contains("no live region"));
    let drain = "/v1/services/www.example.test/regions/fra/drain";
    let (code, body) = call(&server, "PUT", drain, TOKEN, "{\"reason\": \"x\"}");
    let refused: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (code, &refused["confirm"]),
        (409, &Value::from("yes")),
        "{body}"
    );
    assert_eq!(
        call(
            &server,
            "PUT",
            drain,
            TOKEN,
            "{\"reason\": \"x\", \"yes\": true}"
        )
        .0,
        200
    );
    let lost = coverage(&server);
    assert!(number(&lost["addresses"]["dead_percent"]) > 15.0, "{lost}");
    assert!(say(&server, &["status"]).starts_with(LOST));
    // Nobody loses anything by what is out already.
    say(
        &server,
        &[
            "force",
            "down",
            "fra",
            "--service",
            "www.example.test",
            "--reason",
            "x",
        ],
    );
    say(&server, &["drain", "fra", "--reason", "everywhere"]);
    // Who is left has the other region.
    assert!(fail(&server, &["drain", "iad", "--reason", "x"]).contains("have no live region"));
    say(&server, &["drain", "iad", "--reason", "x", "--yes"]);
}
