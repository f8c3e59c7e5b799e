//! Three servers of one fleet on loopback, with a real NATS server that carries their votes.

use std::time::{Duration, Instant};

use crate::engine::{
    Engine, FRA, IAD, VOTERS, World, answer, await_answer, await_that, await_voters, fleet, get,
};
use crate::harness::{Server, free_port};

/// A fleet of three that hear each other.
fn three(world: &World, engine: &Engine) -> Vec<Server> {
    let mut servers = Vec::new();
    for voter in VOTERS {
        servers.push(world.member(engine, voter));
    }
    for server in &servers {
        await_voters(server, 2);
        await_answer(server, FRA);
    }
    servers
}

/// For a while, every answer of every server is this.
#[track_caller]
fn stays(servers: &[Server], expected: &str, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        for server in servers {
            assert_eq!(answer(server), expected, "{}", server.log());
        }
    }
}

#[test]
fn what_one_vantage_sees_changes_nothing_and_what_two_see_goes_out_everywhere() {
    let (world, engine) = (World::start(), Engine::start());
    let servers = three(&world, &engine);
    world.fra.break_for(&["ams"]);
    await_that("ams is outvoted", || fleet(&servers[0])["outvoted"] == 1);
    stays(&servers, FRA, Duration::from_secs(2));
    let difference = &fleet(&servers[1])["differences"][0];
    assert_eq!(difference["voter"], "ams");
    assert_eq!(difference["agreed"], "up");
    assert!(difference["endpoint"].as_str().unwrap().starts_with(FRA));
    let metrics = get(&servers[0], "/metrics");
    assert!(
        metrics.contains("\nmeridian_fleet_outvoted_checks{} 1\n"),
        "{metrics}"
    );
    servers[0].await_log("outvote this server on 1 check;", 1);
    // The second vantage decides: two probes, a view, a verdict.
    let since = Instant::now();
    world.fra.break_for(&["ams", "iad"]);
    for server in &servers {
        await_answer(server, IAD);
    }
    let took = since.elapsed();
    println!("two of three: out everywhere after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?} on a busy machine");
    assert_eq!(fleet(&servers[2])["outvoted"], 1, "sin reaches it still");
    let told = get(&servers[2], "/v1/status");
    assert!(told.contains("most of the fleet sees it down"), "{told}");
    world.fra.break_for(&[]);
    for server in &servers {
        await_answer(server, FRA);
    }
}

#[test]
fn without_the_engine_nothing_changes_and_votes_go_on_when_it_is_back() {
    let (world, mut engine) = (World::start(), Engine::start());
    let servers = three(&world, &engine);
    engine.kill();
    for server in &servers {
        server.await_log("no NATS server can be reached", 1);
        await_voters(server, 0);
        server.await_log("too few to decide", 1);
    }
    // One vantage loses a region, and nobody who could say otherwise is heard.
    world.fra.break_for(&["ams"]);
    await_that("ams sees it", || servers[0].log().contains("up -> down"));
    stays(&servers, FRA, Duration::from_secs(1));
    engine.start_again();
    for server in &servers {
        server.await_log("the NATS server is connected", 2);
        await_voters(server, 2);
    }
    stays(&servers, FRA, Duration::from_secs(1));
    world.fra.break_for(&["ams", "sin"]);
    for server in &servers {
        await_answer(server, IAD);
    }
}

#[test]
fn what_was_agreed_last_holds_over_a_restart_without_the_engine() {
    let (world, mut engine) = (World::start(), Engine::start());
    let mut servers = Vec::new();
    for voter in VOTERS {
        let setup = world.login_setup(&engine, voter, voter);
        servers.push(setup.config("[state]\ndirectory = \"state\"\n").start());
    }
    for server in &servers {
        await_voters(server, 2);
        await_answer(server, FRA);
    }
    let kept = servers[0].folder().join("state/agreed.json");
    await_that("it is saved", || {
        let text = std::fs::read_to_string(&kept).unwrap_or_default();
        let told: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let told = &told["items"][0];
        told["up"].as_array().map(Vec::len) == Some(2)
            && told["groups"].as_object().map(|groups| groups.len()) == Some(2)
    });
    engine.kill();
    world.fra.break_for(&["ams"]);
    let ams = servers.remove(0).kill_and_start_again();
    await_that("ams sees it", || fleet(&ams)["outvoted"] == 1);
    let told = fleet(&ams);
    assert_eq!(
        (&told["known_groups"], &told["quorum"]),
        (&3.into(), &false.into())
    );
    stays(&[ams], FRA, Duration::from_secs(1));
}

#[test]
fn a_damaged_file_of_what_was_agreed_is_put_aside() {
    let (world, engine) = (World::start(), Engine::start());
    let setup = world.login_setup(&engine, "ams", "ams");
    let setup = setup.config("[state]\ndirectory = \"state\"\n");
    std::fs::create_dir(setup.folder().join("state")).expect("it is ours");
    let setup = setup.file("state/agreed.json", b"{\"version\": 1");
    let ams = setup.start();
    ams.await_log("what was agreed last is not known", 1);
    await_answer(&ams, FRA);
    assert!(ams.folder().join("state/agreed.json.unusable").is_file());
}

#[test]
fn a_server_that_starts_alone_decides_alone() {
    let world = World::start();
    let lonely = "servers = [\"nats://127.0.0.1:1\"]\nvoter = \"ams\"\n";
    let server = world.server("ams", lonely);
    await_answer(&server, FRA);
    world.fra.break_for(&["ams"]);
    await_answer(&server, IAD);
    world.fra.break_for(&[]);
    await_answer(&server, FRA);
    assert_eq!(fleet(&server)["linked"], false);
    assert_eq!(fleet(&server)["quorum"], true, "one of one");
    server.await_log("no NATS server can be reached", 1);
}

#[test]
fn a_fleet_of_one_does_what_a_server_without_a_fleet_does() {
    let world = World::start();
    let server = world.server("ams", "voter = \"ams\"\n");
    await_answer(&server, FRA);
    world.fra.break_for(&["ams"]);
    await_answer(&server, IAD);
    world.iad.break_for(&["ams"]);
    // With nothing left, all regions count, and the first in order is given.
    await_answer(&server, FRA);
    world.iad.break_for(&[]);
    await_answer(&server, IAD);
    world.fra.break_for(&[]);
    await_answer(&server, FRA);
    assert_eq!(fleet(&server)["outvoted"], 0);
}

#[test]
fn a_changed_fleet_is_warned_of_and_waits_for_a_restart() {
    let world = World::start();
    let server = world.server("ams", "voter = \"ams\"\n");
    let path = server.config_file();
    let before = std::fs::read_to_string(&path).expect("it was written");
    let waits = || get(&server, "/metrics").contains("\nmeridian_fleet_needs_restart{} 1\n");
    assert!(!waits());
    let renamed = before.replace("voter = \"ams\"", "voter = \"iad\"");
    std::fs::write(&path, renamed).expect("it is ours");
    server.reload();
    server.await_log(
        "[fleet] has changed, which counts from the next restart on",
        1,
    );
    await_that("the status says so", || {
        fleet(&server)["needs_restart"] == true
    });
    assert_eq!(fleet(&server)["voter"], "ams");
    assert!(waits());
    std::fs::write(
        &path,
        before.replace("[fleet]\nname = \"world\"\nvoter = \"ams\"", ""),
    )
    .expect("it is ours");
    server.reload();
    server.await_log("[fleet] is gone, which counts from the next restart on", 1);
    std::fs::write(&path, before).expect("it is ours");
    server.reload();
    await_that("it is as it was", || !waits());
}

#[test]
fn a_frozen_server_is_missed_and_comes_back() {
    let (world, engine) = (World::start(), Engine::start());
    let servers = three(&world, &engine);
    servers[1].signal(libc::SIGSTOP);
    await_voters(&servers[0], 1);
    world.fra.break_for(&["ams", "sin"]);
    await_answer(&servers[0], IAD);
    await_answer(&servers[2], IAD);
    servers[1].signal(libc::SIGCONT);
    await_voters(&servers[0], 2);
    await_answer(&servers[1], IAD);
}

#[test]
fn votes_go_on_with_one_of_three_nats_servers() {
    let world = World::start();
    let ports: Vec<(u16, u16)> = (0..3).map(|_| (free_port(), free_port())).collect();
    let mut routes = Vec::new();
    let mut urls = Vec::new();
    for (port, cluster) in &ports {
        routes.push(format!("nats-route://127.0.0.1:{cluster}"));
        urls.push(format!("\"nats://127.0.0.1:{port}\""));
    }
    let mut engines = Vec::new();
    for (port, cluster) in &ports {
        let text = format!(
            "listen: 127.0.0.1:{port}\nserver_name: n{port}\ncluster {{ name: w, \
             listen: 127.0.0.1:{cluster}, routes: [{}] }}\n",
            routes.join(", ")
        );
        engines.push(Engine::with(*port, &text));
    }
    let mut servers = Vec::new();
    for voter in VOTERS {
        let keys = format!("voter = \"{voter}\"\nservers = [{}]\n", urls.join(", "));
        servers.push(world.server(voter, &keys));
    }
    for server in &servers {
        await_voters(server, 2);
        await_answer(server, FRA);
    }
    for left in [2, 1] {
        engines[left].kill();
        for server in &servers {
            await_that("it is connected again", || fleet(server)["linked"] == true);
            await_voters(server, 2);
        }
        stays(&servers, FRA, Duration::from_millis(500));
    }
    world.fra.break_for(&["ams", "sin"]);
    for server in &servers {
        await_answer(server, IAD);
    }
}
