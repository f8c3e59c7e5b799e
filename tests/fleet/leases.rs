//! Leases of a fleet: three real servers and a real NATS server.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::engine::{Endpoint, FRA, RawVoter, VOTERS, World, answer, await_that, fleet, get};
use crate::harness::Server;
use crate::orders::{Engines, change, member, three};

/// The address that is leased.
const LEASED: &str = "127.0.1.9";

fn path() -> String {
    format!("/v1/services/www.example.test/endpoints/fra/{LEASED}")
}

/// Leases the address on a server.
#[track_caller]
fn lease(server: &Server, endpoint: &Endpoint, ttl: &str) {
    let body = format!(
        "{{\"ttl\": \"{ttl}\", \"port\": {}, \"by\": \"autoscaler\"}}",
        endpoint.port
    );
    let port = server.admin.expect("it has one").port();
    let (status, told) = change(port, "PUT", &path(), &body);
    assert_eq!(status, 200, "{told}\n{}", server.log());
}

fn leases(server: &Server) -> Vec<Value> {
    let status: Value = serde_json::from_str(&get(server, "/v1/status")).expect("JSON");
    status["leases"].as_array().expect("a list").clone()
}

#[track_caller]
fn await_leases(server: &Server, count: usize) {
    await_that(&format!("{count} leases:\n{}", server.log()), || {
        leases(server).len() == count
    });
}

/// Waits until clients of a server are sent to the leased address, too.
#[track_caller]
fn await_leased(server: &Server) {
    await_that(&format!("{LEASED} is answered:\n{}", server.log()), || {
        (0..20).any(|_| answer(server) == LEASED)
    });
}

#[test]
fn an_endpoint_that_registers_on_one_server_is_answered_by_all_and_leaves_all() {
    let (world, engines) = (World::start(), Engines::start(1));
    let leased = Endpoint::start(LEASED);
    let servers = three(&world, &engines);
    lease(&servers[0], &leased, "1h");
    let began = Instant::now();
    for server in &servers {
        await_leases(server, 1);
    }
    println!(
        "a lease is known to three servers {:?} after the reply",
        began.elapsed()
    );
    for server in &servers {
        await_leased(server);
        let lease = &leases(server)[0];
        assert_eq!(lease["server"], "ams", "{lease}");
        assert_eq!(lease["by"], "autoscaler", "{lease}");
        assert!(
            lease["seconds_left"].as_u64().expect("a number") > 3500,
            "{lease}"
        );
    }
    servers[1].await_log(
        "127.0.1.9 is an endpoint of www.example.test in fra for 1h, weight 100",
        1,
    );
    // Renewed elsewhere, and ended on a third server.
    lease(&servers[1], &leased, "2h");
    for server in &servers {
        await_that("iad holds it now", || leases(server)[0]["server"] == "iad");
    }
    let port = servers[2].admin.expect("it has one").port();
    assert_eq!(change(port, "DELETE", &path(), "").0, 200);
    for server in &servers {
        await_leases(server, 0);
        await_that("nobody is sent there", || {
            (0..20).all(|_| answer(server) == FRA)
        });
    }
    servers[0].await_log("127.0.1.9 left www.example.test in fra", 1);
}

#[test]
fn a_server_that_was_away_has_the_leases_of_all_when_it_answers_again() {
    let (world, engines) = (World::start(), Engines::start(1));
    let leased = Endpoint::start(LEASED);
    let mut servers = three(&world, &engines);
    drop(servers.pop());
    lease(&servers[0], &leased, "1h");
    await_leases(&servers[1], 1);
    let newcomer = member(&world, &engines, VOTERS[2]);
    await_leases(&newcomer, 1);
    await_leased(&newcomer);
}

#[test]
fn without_the_engine_the_leases_that_others_hold_stay() {
    let (world, mut engines) = (World::start(), Engines::start(1));
    let leased = Endpoint::start(LEASED);
    let servers = three(&world, &engines);
    lease(&servers[0], &leased, "3s");
    for server in &servers {
        await_leases(server, 1);
    }
    engines.servers[0].kill();
    for server in &servers {
        await_that("the link is gone", || {
            fleet(server)["leases"]["linked"] == false
        });
    }
    // Where it was begun it runs out; elsewhere nobody can know that it was not renewed.
    await_leases(&servers[0], 0);
    for server in &servers[1..] {
        assert_eq!(leases(server).len(), 1);
        await_leased(server);
    }
    // When the engine is back, it has its whole time to be renewed, and is not.
    engines.servers[0].start_again();
    let began = Instant::now();
    for server in &servers[1..] {
        await_leases(server, 0);
    }
    assert!(
        began.elapsed() > Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_wrong_message_about_leases_is_counted_and_named_and_changes_nothing() {
    let (world, engines) = (World::start(), Engines::start(1));
    let server = member(&world, &engines, "ams");
    await_that("it is linked", || {
        fleet(&server)["leases"]["linked"] == true
    });
    let mut raw = RawVoter::at(engines.servers[0].port, "root");
    let lease = |service: &str, time: &str| {
        format!(
            "{{\"version\":1,\"fleet\":\"world\",\"leases\":[{{\"service\":\"{service}\",\"region\":\"fra\",\
             \"address\":\"127.0.1.9\",\"weight\":1,\"ttl\":60,\"left\":60000,\"by\":\"x\",\"time\":{time}}}]}}"
        )
    };
    for message in [
        "{".to_owned(),
        "{\"version\":9}".to_owned(),
        "{\"version\":1,\"fleet\":\"moon\"}".to_owned(),
        lease("nobody.example.test", "1"),
        lease("www.example.test", "99999999999999"),
    ] {
        raw.publish("meridian.world.leases.iad", message.as_bytes());
    }
    assert_eq!(raw.ping(), "PONG");
    await_that("all are counted", || {
        let refused = fleet(&server)["leases"]["refused"].clone();
        refused["misfit"] == 2
            && refused["damaged"] == 1
            && refused["other_version"] == 1
            && refused["other_fleet"] == 1
    });
    assert_eq!(leases(&server).len(), 0);
    server.await_log("a message about leases of iad is of the fleet", 1);
    server.await_log("a lease of iad does not count here", 1);
    let metrics = get(&server, "/metrics");
    assert!(
        metrics.contains("meridian_fleet_leases_refused_total{reason=\"misfit\"} 2\n"),
        "{metrics}"
    );
}
