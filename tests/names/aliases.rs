//! Endpoints that are answered as the addresses that a name elsewhere has, at the apex too.

use std::time::Duration;

use crate::harness::rcodes::{NOERROR, SERVFAIL};
use crate::harness::types::{A, AAAA, SOA};
use crate::harness::{NameServer, Region, Server};
use crate::world::{answer, check, endpoint, eventually, printed, setup, stays, www};

fn start(names: &NameServer, port: u16, endpoints: &str) -> Server {
    let services = "[[services]]\nname = \"www.example.test\"\ncheck = \"web\"\nramp = \"0s\"\n\
                    private_targets = true\n[services.endpoints]\n";
    setup(names, &format!("{}{services}{endpoints}", check(port))).start()
}

#[test]
fn an_alias_at_the_apex_is_answered_as_addresses() {
    let names = NameServer::start();
    names.set("lb.cdn.test", &["192.0.2.1", "2001:db8::1"], 7);
    names.set("us.cdn.test", &["192.0.2.2"], 3600);
    let server = setup(
        &names,
        "[[services]]\nname = \"example.test\"\nttl = 60\n[services.endpoints]\nfra = { alias = \"lb.cdn.test\" }\n\
         [[services]]\nname = \"*.example.test\"\nttl = 60\nanswers = 2\n[services.endpoints]\n\
         fra = [{ alias = \"us.cdn.test\" }, \"192.0.2.3\"]\n",
    )
    .start();
    let asked = names.asked();
    for _ in 0..100 {
        server
            .ask("example.test", A)
            .expect_answer(&["example.test. 7 A 192.0.2.1"]);
        server
            .ask("example.test", AAAA)
            .expect_answer(&["example.test. 7 AAAA 2001:db8::1"]);
    }
    assert!(names.asked() <= asked + 2, "no query waits for a resolver");
    server
        .ask("example.test", SOA)
        .send()
        .expect_rcode(0)
        .expect_authoritative(true);
    // The service's own TTL where that is the shorter one.
    server.ask("x.example.test", A).expect_answer(&[
        "x.example.test. 60 A 192.0.2.2",
        "x.example.test. 60 A 192.0.2.3",
    ]);
    server.ask("x.example.test", AAAA).expect_nodata();
    let lb = endpoint(&server, 0, 0);
    assert_eq!(
        (&lb["endpoint"], &lb["alias"]),
        (&"192.0.2.1".into(), &"lb.cdn.test".into())
    );
    assert!(
        printed(&server).contains("of lb.cdn.test"),
        "{}",
        printed(&server)
    );
}

#[test]
fn answers_and_probes_follow_an_alias_that_moves() {
    let names = NameServer::start();
    let before = Region::start("127.0.1.11", 0);
    let after = Region::start("127.0.1.12", before.port);
    let both = Region::start("127.0.1.13", before.port);
    let _us = Region::start("127.0.2.1", before.port);
    names.set("lb.cdn.test", &["127.0.1.11"], 1);
    let server = start(
        &names,
        before.port,
        "fra = { alias = \"lb.cdn.test\" }\niad = \"127.0.2.1\"\n",
    );
    server
        .ask("www.example.test", A)
        .expect_answer(&["www.example.test. 1 A 127.0.1.11"]);
    names.set("lb.cdn.test", &["127.0.1.12"], 1);
    eventually(&server, "the answers follow", || {
        www(&server) == "127.0.1.12"
    });
    server.await_log(
        "lb.cdn.test has other addresses now: 127.0.1.12 (before: 127.0.1.11)",
        1,
    );
    before.set_broken(true);
    stays(
        &server,
        Duration::from_millis(1000),
        "nobody asks the old one",
        || www(&server) == "127.0.1.12",
    );
    // Each address has its own health.
    names.set("lb.cdn.test", &["127.0.1.12", "127.0.1.13"], 1);
    eventually(&server, "both are given", || www(&server) == "127.0.1.13");
    after.set_broken(true);
    server.await_log("127.0.1.12:", 2);
    eventually(&server, "only the good one is given", || {
        (0..20).all(|_| www(&server) == "127.0.1.13")
    });
    both.set_broken(true);
    eventually(&server, "the region is out", || www(&server) == "127.0.2.1");
}

#[test]
fn the_last_good_addresses_are_given_while_an_alias_does_not_resolve() {
    let names = NameServer::start();
    let eu = Region::start("127.0.1.14", 0);
    let _us = Region::start("127.0.2.1", eu.port);
    names.set("lb.cdn.test", &["127.0.1.14"], 1);
    let server = start(
        &names,
        eu.port,
        "fra = { alias = \"lb.cdn.test\" }\niad = \"127.0.2.1\"\n",
    );
    for (silent, why) in [
        (true, "no answer within 500ms"),
        (false, "there is no such name"),
    ] {
        names.set_silent(silent);
        names.forget("lb.cdn.test");
        let unresolved = || {
            endpoint(&server, 0, 0)["unresolved"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        eventually(&server, why, || unresolved().ends_with(why));
        stays(
            &server,
            Duration::from_millis(1500),
            "it is given still",
            || www(&server) == "127.0.1.14",
        );
        let printed = printed(&server);
        assert!(
            printed.contains("of lb.cdn.test; does not resolve") && printed.contains(why),
            "{printed}"
        );
    }
    // No address at all is no better.
    names.set("lb.cdn.test", &[], 1);
    eventually(&server, "status", || {
        endpoint(&server, 0, 0)["unresolved"] == "does not resolve: it has no address"
    });
    server.reload();
    server.await_log("\"reloaded", 1);
    assert_eq!(www(&server), "127.0.1.14");
    eu.set_broken(true);
    eventually(&server, "its health still counts", || {
        www(&server) == "127.0.2.1"
    });
}

#[test]
fn what_never_resolved_is_no_answer() {
    let names = NameServer::start();
    names.set_silent(true);
    let services = "[[services]]\nname = \"www.example.test\"\nramp = \"0s\"\n[services.endpoints]\n\
                    fra = { alias = \"lb.cdn.test\" }\niad = \"192.0.2.9\"\n\
                    [[services]]\nname = \"example.test\"\n[services.endpoints]\nfra = { alias = \"lb.cdn.test\" }\n";
    let server = setup(&names, services).start();
    assert_eq!(www(&server), "192.0.2.9", "others are there");
    let reply = server.ask("example.test", A).send().expect_rcode(SERVFAIL);
    assert!(
        reply.message.answers.is_empty(),
        "nobody may keep that there is nothing"
    );
    let explained = explain(&server, "www.example.test");
    assert!(
        explained.contains("fra may lack endpoints: lb.cdn.test is not resolved yet (A and AAAA)"),
        "{explained}"
    );
    let lb = endpoint(&server, 0, 0);
    assert_eq!((&lb["verdict"], &lb["up"]), (&"down".into(), &false.into()));
    assert_eq!(
        lb["reason"],
        "lb.cdn.test does not resolve: no answer within 500ms"
    );
    names.set("lb.cdn.test", &["192.0.2.1"], 3600);
    names.set_silent(false);
    eventually(&server, "it resolves", || www(&server) == "192.0.2.1");
    eventually(&server, "at the apex, too", || {
        answer(&server, "example.test", A) == ["192.0.2.1"]
    });
    let rcode = || server.ask("example.test", AAAA).send().message.rcode();
    eventually(&server, "it is known to have no AAAA", || {
        rcode() == NOERROR
    });
    server.ask("example.test", AAAA).expect_nodata();
}

/// A is SERVFAIL until it is known, with its own reason and its own retries; AAAA, which is known for an hour, is given.
#[track_caller]
fn expect_half(server: &Server, names: &NameServer) {
    server
        .ask("www.example.test", AAAA)
        .expect_answer(&["www.example.test. 30 AAAA 2001:db8::1"]);
    let reply = server
        .ask("www.example.test", A)
        .send()
        .expect_rcode(SERVFAIL);
    assert!(
        reply.message.authorities.is_empty(),
        "nobody may keep that there is nothing"
    );
    let lb = endpoint(server, 0, 0);
    assert_eq!(
        lb["unresolved"],
        "does not resolve (A): no answer within 500ms"
    );
    let kept = endpoint(server, 0, 1);
    assert_eq!(
        (&kept["endpoint"], &kept["up"]),
        (&"lb.cdn.test".into(), &false.into())
    );
    assert_eq!(
        kept["reason"],
        "lb.cdn.test does not resolve (A): no answer within 500ms"
    );
    let told = printed(server);
    assert!(told.contains("lb.cdn.test does not resolve (A)"), "{told}");
    names.set_deaf_to(None);
    eventually(
        server,
        "A is asked for again, long before the TTL of AAAA is over",
        || www(server) == "192.0.2.1",
    );
    assert_eq!(
        endpoint(server, 0, 0)["unresolved"],
        serde_json::Value::Null
    );
    server
        .ask("www.example.test", AAAA)
        .expect_answer(&["www.example.test. 30 AAAA 2001:db8::1"]);
}

#[test]
fn an_alias_that_half_resolves_fails_for_the_other_half_alone() {
    let names = NameServer::start();
    names.set("lb.cdn.test", &["192.0.2.1", "2001:db8::1"], 3600);
    names.set_deaf_to(Some(A));
    let service = "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = { alias = \"lb.cdn.test\" }\n";
    let server = setup(&names, service).start();
    expect_half(&server, &names);
}

#[test]
fn an_alias_that_half_resolves_after_a_reload_fails_for_the_other_half_alone() {
    let names = NameServer::start();
    names.set("lb.cdn.test", &["192.0.2.1", "2001:db8::1"], 3600);
    names.set_deaf_to(Some(A));
    let service =
        "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.9\"\n";
    let server = setup(&names, service).start();
    let text = std::fs::read_to_string(server.config_file()).expect("it was written");
    let changed = text.replace("fra = \"192.0.2.9\"", "fra = { alias = \"lb.cdn.test\" }");
    std::fs::write(server.config_file(), changed).expect("it can be written");
    server.reload();
    server.await_log("\"reloaded", 1);
    expect_half(&server, &names);
}

#[test]
fn an_alias_that_comes_to_private_space_is_refused_unless_the_service_says_so() {
    let names = NameServer::start();
    names.set(
        "lb.cdn.test",
        &["10.0.0.1", "127.0.0.1", "2001:db8::1"],
        3600,
    );
    let service = |keys: &str| {
        format!(
            "[[services]]\nname = \"www.example.test\"\n{keys}[services.endpoints]\nfra = {{ alias = \"lb.cdn.test\" }}\n"
        )
    };
    let server = setup(&names, &service("")).start();
    server
        .ask("www.example.test", A)
        .send()
        .expect_rcode(SERVFAIL);
    server
        .ask("www.example.test", AAAA)
        .expect_answer(&["www.example.test. 30 AAAA 2001:db8::1"]);
    let reason = endpoint(&server, 0, 1)["reason"].to_string();
    assert!(
        reason.contains("lb.cdn.test comes to 10.0.0.1, 127.0.0.1, private space"),
        "{reason}"
    );
    assert!(
        printed(&server).contains("private_targets = true allows that"),
        "{}",
        printed(&server)
    );
    let server = setup(&names, &service("answers = 2\nprivate_targets = true\n")).start();
    assert_eq!(
        answer(&server, "www.example.test", A),
        ["10.0.0.1", "127.0.0.1"]
    );
}

#[test]
fn a_restart_while_nothing_resolves_gives_what_was_known_before() {
    let names = NameServer::start();
    let eu = Region::start("127.0.1.15", 0);
    names.set("lb.cdn.test", &["127.0.1.15"], 3600);
    names.set("us.cdn.test", &["127.0.2.9"], 3600);
    let endpoints = "fra = { alias = \"lb.cdn.test\" }\niad = { alias = \"us.cdn.test\" }\n[state]\ndirectory = \"state\"\n";
    let server = start(&names, eu.port, endpoints);
    assert_eq!(www(&server), "127.0.1.15");
    names.set_silent(true);
    let server = server.kill_and_start_again();
    server
        .ask("www.example.test", A)
        .expect_answer(&["www.example.test. 5 A 127.0.1.15"]);
    assert_eq!(
        endpoint(&server, 0, 0)["unresolved"],
        "does not resolve: no answer within 500ms"
    );
    server.await_log(
        "lb.cdn.test does not resolve (A); its last addresses stay in use: 127.0.1.15",
        1,
    );
    // A file that cannot be used is told, and no reason not to start.
    std::fs::write(server.folder().join("state/names.json"), "[]").expect("it can be written");
    let server = server.kill_and_start_again();
    server.await_log("names.json", 1);
    server
        .ask("www.example.test", A)
        .send()
        .expect_rcode(SERVFAIL);
    names.set_silent(false);
    eventually(&server, "it resolves", || www(&server) == "127.0.1.15");
}

#[test]
fn a_reload_adds_an_alias_and_takes_it_away() {
    let names = NameServer::start();
    names.set("lb.cdn.test", &["192.0.2.1"], 3600);
    let with = |endpoints: &str| {
        format!("[[services]]\nname = \"www.example.test\"\n[services.endpoints]\n{endpoints}")
    };
    let server = setup(&names, &with("fra = \"192.0.2.9\"\n")).start();
    assert_eq!(
        (www(&server).as_str(), names.asked()),
        ("192.0.2.9", 0),
        "nothing is looked up without need"
    );
    let file = server.config_file();
    let text = std::fs::read_to_string(&file).expect("it was written");
    let changed = text.replace(
        "fra = \"192.0.2.9\"",
        "fra = [{ alias = \"lb.cdn.test\", weight = 1000000 }, { address = \"192.0.2.9\", weight = 0 }]",
    );
    std::fs::write(&file, changed).expect("it can be written");
    server.reload();
    server.await_log("\"reloaded", 1);
    assert_eq!(
        www(&server),
        "192.0.2.1",
        "looked up before it was published"
    );
    std::fs::write(&file, text).expect("it can be written");
    server.reload();
    server.await_log("\"reloaded", 2);
    assert_eq!(www(&server), "192.0.2.9");
}

fn explain(server: &Server, name: &str) -> String {
    let admin = format!("http://{}", server.admin.expect("it has one"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = command
        .args(["explain", name, "--client", "198.18.0.1", "--admin", &admin])
        .output();
    String::from_utf8_lossy(&output.expect("the binary runs").stdout).into_owned()
}
