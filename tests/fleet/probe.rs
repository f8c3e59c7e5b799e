//! `meridian probe`: a vantage point without a nameserver, beside two nameservers.

use std::process::{Command, Stdio};

use crate::engine::{Engine, FRA, IAD, World, await_answer, await_that, await_voters, fleet, get};

fn meridian(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.args(arguments).stdin(Stdio::null());
    command
}

#[test]
fn the_votes_of_a_probe_count_as_those_of_a_nameserver() {
    let (world, engine) = (World::start(), Engine::start());
    let [ams, iad] = ["ams", "iad"].map(|voter| world.member(&engine, voter));
    let probe = world.probe(&engine, "sin");
    for server in [&ams, &iad, &probe] {
        await_voters(server, 2);
    }
    await_answer(&ams, FRA);
    assert_eq!(get(&probe, "/healthz"), "ok\n");
    assert!(get(&probe, "/metrics").contains("\nmeridian_fleet_quorum{} 1\n"));
    // Its checks are those of the nameservers, though it has no zones.
    let voters = fleet(&ams)["voters"].clone();
    let seen = voters.as_array().expect("a list").iter();
    let mut seen = seen.filter(|voter| voter["name"] == "sin");
    assert_eq!(seen.next().expect("it votes")["shared_checks"], 2);
    // One nameserver and the probe are two of three.
    world.fra.break_for(&["ams", "sin"]);
    for server in [&ams, &iad] {
        await_answer(server, IAD);
    }
    await_that("iad is outvoted", || fleet(&iad)["outvoted"] == 1);
    world.fra.break_for(&["ams"]);
    await_answer(&ams, FRA);
}

#[test]
fn a_probe_opens_no_port_for_queries_and_ends_at_a_signal() {
    let (world, engine) = (World::start(), Engine::start());
    let probe = world.probe(&engine, "sin");
    assert!(!probe.ready().contains("dns="), "{}", probe.ready());
    assert!(probe.stop(), "SIGTERM ends it regularly");
}

#[test]
fn a_probe_without_a_fleet_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("meridian.toml");
    std::fs::write(&file, "[regions.fra]\n").expect("it can be written");
    let path = file.to_str().expect("plain letters");
    let output = meridian(&["probe", "--config", path]).output();
    let output = output.expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("there is no [fleet]"), "{complaint}");
}
