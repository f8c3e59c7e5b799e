//! What a server notes of who asks, and what commands make of it.

use std::fs;

use serde_json::Value;

use crate::harness::Server;
use crate::harness::types::A;
use crate::world::{TOKEN, call, fail, say, start};

const SERVICES: &str = "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\n\
                        iad = \"198.51.100.1\"\n";

/// What the server says that it has noted: service, network, queries.
fn noted(server: &Server) -> Vec<(String, String, u64)> {
    let (status, body) = call(server, "GET", "/v1/traffic", TOKEN, "");
    assert_eq!(status, 200, "{body}");
    let traffic: Value = serde_json::from_str(&body).expect("JSON");
    let text = |client: &Value, key: &str| client[key].as_str().expect("a string").to_owned();
    let client = |it: &Value| {
        (
            text(it, "service"),
            text(it, "client"),
            it["queries"].as_u64().expect("a number"),
        )
    };
    traffic["clients"]
        .as_array()
        .expect("a list")
        .iter()
        .map(client)
        .collect()
}

fn ask(server: &Server, subnet: &str, times: usize) {
    for _ in 0..times {
        server.ask("www.example.test", A).from_subnet(subnet).send();
    }
}

/// `meridian` in the server's folder, without `--admin`: what is written of it is in its configuration.
fn by_configuration(server: &Server, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = command
        .current_dir(server.folder())
        .args(arguments)
        .output()
        .expect("the binary runs");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn real_clients_are_counted_and_guarded() {
    let server = start(&format!(
        "[guard]\nmax_move = \"30%\"\n[traffic]\nsample = 1\n{SERVICES}"
    ));
    ask(&server, "203.0.113.77/32", 90);
    ask(&server, "203.0.113.0/24", 5);
    ask(&server, "133.11.0.0/16", 5);
    server
        .ask("www.example.test", A)
        .over_tcp()
        .from_subnet("2a01:4f8:1:2::/64")
        .send();
    // Of a client no more than its network, and of names that are no services nothing.
    server
        .ask("ns1.example.test", A)
        .from_subnet("203.0.113.0/24")
        .send();
    let www = |client: &str, queries| ("www.example.test".to_owned(), client.to_owned(), queries);
    let expected = [
        www("133.11.0.0/24", 5),
        www("203.0.113.0/24", 95),
        www("2a01:4f8:1::/48", 1),
    ];
    assert_eq!(noted(&server), expected);

    let told = say(
        &server,
        &[
            "simulate",
            "www.example.test",
            "--traffic",
            "live",
            "--down",
            "fra",
        ],
    );
    assert!(
        told.contains("% of the traffic recorded recently would be sent elsewhere"),
        "{told}"
    );
    assert!(
        told.contains("of 101 queries recorded recently; 0 more came from unknown locations"),
        "{told}"
    );
    let told = fail(
        &server,
        &["simulate", "www.example.test", "--traffic", "file.json"],
    );
    assert!(
        told.contains("use --traffic live, or remove --admin"),
        "{told}"
    );

    // The network that asks most is told to be elsewhere: hardly any address moves, and nearly all of the traffic.
    let good = fs::read_to_string(server.config_file()).expect("it is there");
    let moved = good.replacen("location = \"FRA\"", "location = \"IAD\"", 1);
    let moved = moved.replace("sample = 1\n", "sample = 1\nipv4_prefix = 16\n");
    assert_ne!(moved, good);
    fs::write(server.folder().join("old.toml"), &good).expect("writable");
    let (_, saved) = call(&server, "GET", "/v1/traffic", TOKEN, "");
    fs::write(server.folder().join("saved.json"), &saved).expect("writable");
    fs::write(server.config_file(), &moved).expect("writable");
    let planned = by_configuration(
        &server,
        &[
            "plan",
            "meridian.toml",
            "--config",
            "old.toml",
            "--traffic",
            "saved.json",
        ],
    );
    let sentence = "of 101 queries recorded recently are sent elsewhere";
    assert!(
        planned.contains(sentence) && planned.contains("the server would refuse it: "),
        "{planned}"
    );
    let refused = fail(&server, &["reload"]);
    assert!(
        refused.contains(
            "94.1% of the traffic recorded recently of www.example.test (A) would be sent"
        ),
        "{refused}"
    );

    // What was noted is still known after a reload, as coarse as is now wanted.
    say(&server, &["reload", "--yes-move"]);
    let expected = [
        www("133.11.0.0/16", 5),
        www("203.0.0.0/16", 95),
        www("2a01:4f8:1::/48", 1),
    ];
    assert_eq!(noted(&server), expected);
}

#[test]
fn nothing_is_noted_unless_it_is_asked_for() {
    let server = start(SERVICES);
    ask(&server, "203.0.113.0/24", 5);
    assert_eq!(noted(&server), []);
    let told = fail(
        &server,
        &["simulate", "www.example.test", "--traffic", "live"],
    );
    assert!(
        told.contains(
            "the server does not sample its traffic; in its configuration, [traffic] sample = 64"
        ),
        "{told}"
    );
}

#[test]
fn answers_by_region_are_the_replies_that_clients_were_sent() {
    let server = start(SERVICES);
    let explain = "/v1/explain?name=www.example.test&client=203.0.113.0/24";
    let shares = "/v1/shares?name=www.example.test";
    let (mut fra, mut iad) = (0, 0);
    for round in 0..40 {
        // Nobody of these is a client.
        for path in [
            explain,
            &format!("{explain}&down=fra"),
            shares,
            &format!("{shares}&down=iad"),
        ] {
            assert_eq!(call(&server, "GET", path, TOKEN, "").0, 200, "{path}");
        }
        say(
            &server,
            &["explain", "www.example.test", "--client", "133.11.0.0/16"],
        );
        let subnet = if round % 4 == 0 {
            "8.8.8.0/24"
        } else {
            "203.0.113.0/24"
        };
        let reply = match round % 2 {
            0 => server.ask("www.example.test", A).from_subnet(subnet).send(),
            _ => server
                .ask("www.example.test", A)
                .over_tcp()
                .from_subnet(subnet)
                .send(),
        };
        match &reply.addresses()[..] {
            ["192.0.2.1"] => fra += 1,
            ["198.51.100.1"] => iad += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(fra > 0 && iad > 0, "{fra} {iad}");
    let status: Value = serde_json::from_str(&say(&server, &["status", "--json"])).expect("JSON");
    let counted: Vec<&Value> = (0..2)
        .map(|region| &status["services"][0]["health"][region]["answers"])
        .collect();
    assert_eq!(counted, [&Value::from(fra), &Value::from(iad)]);
    let (_, metrics) = call(&server, "GET", "/metrics", TOKEN, "");
    for (region, count) in [("fra", fra), ("iad", iad)] {
        let line = format!(
            "meridian_answers_total{{service=\"www.example.test\",region=\"{region}\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{line}");
    }
}
