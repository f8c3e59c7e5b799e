//! The status of 100,000 endpoints of 10,000 services: in pages, with filters, and as a whole by the command.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::Server;
use crate::world::{self, TOKEN, call, say};

const SERVICES: usize = 10_000;
/// What a page of a thousand services with ten endpoints each may take.
const MOST_OCTETS: usize = 6_000_000;
/// How long a call may take in a debug build, beside other tests.
const PATIENCE: Duration = Duration::from_secs(10);

/// The status that a query selects, and its length.
#[track_caller]
fn status(server: &Server, query: &str) -> (Value, usize) {
    let start = Instant::now();
    let (code, text) = call(server, "GET", &format!("/v1/status?{query}"), "", "");
    assert_eq!(code, 200, "{query}: {text}");
    assert!(start.elapsed() < PATIENCE, "{query}: {:?}", start.elapsed());
    println!("{query:40} {:9} octets, {:?}", text.len(), start.elapsed());
    (serde_json::from_str(&text).expect("JSON"), text.len())
}

fn names(status: &Value) -> Vec<String> {
    let services = status["services"].as_array().expect("a list");
    let names = services.iter().map(|service| &service["name"]);
    names
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect()
}

/// The names of all pages, and that each page but the last has `limit` of them.
#[track_caller]
fn all_pages(server: &Server, query: &str, limit: usize) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let (page, _) = status(server, &format!("{query}&endpoints=none{after}"));
        all.extend(names(&page));
        let Some(next) = page["next"].as_str() else {
            return all;
        };
        assert_eq!(names(&page).len(), limit);
        after = format!("&after={next}");
    }
}

fn drain(server: &Server, service: &str) {
    let path = format!("/v1/services/{service}/regions/fra/drain");
    let (code, told) = call(server, "PUT", &path, TOKEN, "{}");
    assert_eq!(code, 200, "{told}");
}

fn api(server: &Server) {
    let (first, octets) = status(server, "");
    assert_eq!(first["services_matching"], SERVICES);
    assert_eq!(
        names(&first).len(),
        1000,
        "one page, though nobody asked for it"
    );
    assert!(octets < MOST_OCTETS, "{octets}");
    let expected: BTreeSet<String> = (0..SERVICES)
        .map(|number| format!("s{number}.example.test"))
        .collect();
    for (query, limit) in [("limit=3333", 3333), ("", 1000)] {
        let all = all_pages(server, query, limit);
        assert!(all.is_sorted(), "pages are in the order of the names");
        assert_eq!(all.len(), SERVICES);
        assert_eq!(BTreeSet::from_iter(all), expected);
    }
    let (found, octets) = status(server, "match=S777.&limit=25");
    assert_eq!(names(&found), ["s777.example.test"]);
    assert!(octets < 10_000, "{octets}");
    let (one, _) = status(server, "service=s31.example.test&region=iad");
    assert_eq!(
        one["services"][0]["health"][0]["endpoints"]
            .as_array()
            .map(Vec::len),
        Some(5)
    );
    assert_eq!(one["services_matching"], 1);
}

fn states(server: &Server) {
    assert_eq!(status(server, "state=drained").0["services_matching"], 0);
    // On one page, they are in the order of the configuration.
    let drained = ["s4242.example.test", "s42.example.test"];
    drained.iter().for_each(|name| drain(server, name));
    let (found, _) = status(server, "state=drained");
    assert_eq!(names(&found), drained);
    assert_eq!(found["services_troubled"], 2);
    assert_eq!(found["services"][0]["health"][0]["state"], "drained");
    assert_eq!(
        status(server, "state=drained&region=iad").0["services_matching"],
        0
    );
    let (both, _) = status(server, "state=unchecked&limit=1&after=s4242.example.test");
    assert_eq!(both["services_matching"], SERVICES);
    assert_eq!(names(&both), ["s4243.example.test"]);
}

fn command(server: &Server) {
    let json: Value = serde_json::from_str(&say(server, &["status", "--json"])).expect("JSON");
    assert_eq!(
        names(&json).len(),
        SERVICES,
        "the command follows the pages"
    );
    assert_eq!(json["next"], Value::Null);
    let text = say(server, &["status"]);
    assert!(text.lines().count() < 80, "{text}");
    for told in [
        "s42.example.test",
        "s4242.example.test",
        "and 9978 more, all of them healthy",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let page = say(server, &["status", "--match", "s99", "--limit", "2"]);
    assert!(
        page.contains("s99.example.test") && page.contains("s990.example.test"),
        "{page}"
    );
    assert!(
        page.contains("add `--after s990.example.test` for the next ones"),
        "{page}"
    );
    let after = [
        "status",
        "--json",
        "--limit",
        "1",
        "--after",
        "s990.example.test",
    ];
    let json: Value = serde_json::from_str(&say(server, &after)).expect("JSON");
    assert_eq!(names(&json), ["s9900.example.test"]);
    let drained = say(server, &["status", "--state", "drained", "--region", "fra"]);
    assert!(
        drained.contains("s42.example.test") && !drained.contains("s43."),
        "{drained}"
    );
}

#[test]
fn a_hundred_thousand_endpoints_are_told_in_pages_and_found_by_filters() {
    let server = world::start(&world::many_services(SERVICES));
    api(&server);
    states(&server);
    command(&server);
}

#[test]
fn a_page_goes_on_where_the_last_one_ended_though_that_service_is_gone() {
    let server = world::start(&world::many_services(7));
    let (whole, _) = status(&server, "");
    assert_eq!(names(&whole).len(), 7);
    let (first, _) = status(&server, "limit=3");
    assert_eq!(names(&first).last(), Some(&"s2.example.test".to_owned()));
    let file = server.config_file();
    let text = std::fs::read_to_string(&file).expect("it is there");
    let less = text.replace("\"s2.example.test\"", "\"s25.example.test\"");
    std::fs::write(&file, less).expect("the folder can be written");
    let (code, told) = call(&server, "POST", "/v1/reload", TOKEN, "{}");
    assert_eq!(code, 200, "{told}");
    let (second, _) = status(&server, "limit=3&after=s2.example.test");
    let expected = ["s25.example.test", "s3.example.test", "s4.example.test"];
    assert_eq!(names(&second), expected);
    let (_, refused) = call(&server, "GET", "/v1/status?state=dead", "", "");
    assert!(
        refused.contains("state is one of up, unchecked"),
        "{refused}"
    );
}
