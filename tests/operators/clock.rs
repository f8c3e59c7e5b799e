//! A wall clock that is set a day forward or back, while the server runs and while it does not: by libfaketime, which
//! lets the server read another wall clock and leaves the clock alone that counts from the boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::types::A;
use crate::harness::{Server, server};
use crate::world::{self, TOKEN, call, eventually, say, www};

const FRA: &str = "192.0.2.1";
const IAD: &str = "192.0.2.2";
const LEASED: &str = "192.0.2.9";
const SERVICE: &str = "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n\
     [[services]]\nname = \"api.example.test\"\n[services.endpoints]\niad = \"192.0.2.2\"\n";
const DAY: i64 = 86_400;
/// Of one service, so that what is leased to the region of the other is not drained.
const DRAIN: [&str; 8] = [
    "drain",
    "fra",
    "--service",
    "www.example.test",
    "--reason",
    "x",
    "--for",
    "1h",
];

/// `+0`, or by how much the wall clock is ahead: `-1d`.
fn set_clock(folder: &Path, offset: &str) {
    fs::write(folder.join("clock.new"), offset).expect("the folder is ours");
    fs::rename(folder.join("clock.new"), folder.join("clock")).expect("the folder is ours");
}

fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib")
        .expect("there is one")
        .flatten()
        .map(|entry| entry.path());
    let found = folders
        .map(|folder| folder.join("faketime/libfaketime.so.1"))
        .find(|path| path.is_file());
    found.expect("libfaketime is installed: apt-get install faketime")
}

/// Lets a command read the wall clock of the folder.
fn preload(command: &mut Command, folder: &Path) {
    command
        .env("LD_PRELOAD", library())
        .env("FAKETIME_TIMESTAMP_FILE", folder.join("clock"));
    command
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

fn start() -> Server {
    let setup = world::setup("state", SERVICE);
    let folder = setup.folder().to_owned();
    set_clock(&folder, "+0");
    setup.start_with(|command| preload(command, &folder))
}

/// The same folder again, with another wall clock.
fn start_again(folder: tempfile::TempDir, offset: &str) -> Server {
    set_clock(folder.path(), offset);
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(["serve", "--config"])
        .arg(folder.path().join("meridian.toml"))
        .current_dir(folder.path());
    preload(&mut command, folder.path());
    server::start(command, folder)
}

fn status(server: &Server) -> Value {
    serde_json::from_str(&call(server, "GET", "/v1/status", TOKEN, "").1).expect("JSON")
}

/// The one order about `fra`: when it ends by the wall clock, and in how many seconds.
fn drain_of_fra(server: &Server) -> Option<(i64, i64)> {
    let status = status(server);
    let order = status["orders"]
        .as_array()?
        .iter()
        .find(|order| order["region"] == "fra")?;
    Some((order["until"].as_i64()?, order["seconds_left"].as_i64()?))
}

fn lease(server: &Server, ttl: &str) {
    let path = format!("/v1/services/api.example.test/endpoints/fra/{LEASED}");
    let (status, told) = call(
        server,
        "PUT",
        &path,
        TOKEN,
        &format!("{{\"ttl\": \"{ttl}\"}}"),
    );
    assert_eq!(status, 200, "{told}");
}

fn api(server: &Server) -> String {
    world::answer(server, "api.example.test").join(" ")
}

#[track_caller]
fn assert_about_an_hour_left(left: i64) {
    assert!((3400..=3600).contains(&left), "{left} s are left");
}

#[test]
fn a_step_of_a_day_while_it_runs_ends_nothing_and_keeps_nothing() {
    for (offset, direction, step) in [("+1d", "forward", DAY), ("-1d", "back", -DAY)] {
        let server = start();
        say(&server, &DRAIN);
        say(&server, &["weight", "iad", "7", "--for", "12s"]);
        say(
            &server,
            &[
                "force",
                "up",
                "iad",
                "--service",
                "www.example.test",
                "--reason",
                "x",
                "--for",
                "12s",
            ],
        );
        lease(&server, "15s");
        let (until, left) = drain_of_fra(&server).expect("it is drained");
        assert_about_an_hour_left(left);
        set_clock(server.folder(), offset);
        server.await_log(&format!("the wall clock was set {direction} by 1d"), 1);
        let (moved, left) = drain_of_fra(&server).expect("it still is");
        assert_about_an_hour_left(left);
        assert!(
            (moved - until - step).abs() <= 2,
            "what people see follows the clock: {until}, then {moved}"
        );
        assert_eq!(
            (www(&server).as_str(), api(&server).as_str()),
            (IAD, LEASED)
        );
        // What is to end ends, though the wall clock says that it is a day too early.
        server.await_log("left api.example.test in fra: its lease was not renewed", 1);
        server.await_log("weight ended (weight 7 by ", 1);
        server.await_log("force ended (forced up by ", 1);
        assert_eq!((www(&server).as_str(), api(&server).as_str()), (IAD, IAD));
        assert_about_an_hour_left(drain_of_fra(&server).expect("it still is").1);
    }
}

#[test]
fn a_step_of_a_day_over_a_restart_ends_nothing_and_keeps_nothing() {
    for offset in ["+1d", "-1d"] {
        let server = start();
        say(&server, &DRAIN);
        lease(&server, "15s");
        let server = start_again(server.stopped(), offset);
        assert_about_an_hour_left(drain_of_fra(&server).expect("it is drained still").1);
        assert_eq!(
            (www(&server).as_str(), api(&server).as_str()),
            (IAD, LEASED)
        );
        server.await_log("left api.example.test in fra: its lease was not renewed", 1);
        assert_eq!(api(&server), IAD);
    }
}

#[test]
fn after_another_boot_the_wall_clock_bridges_the_gap_and_never_by_more_than_was_left() {
    for (offset, left) in [("+30m", Some(1800)), ("-1d", Some(3600)), ("+1d", None)] {
        let server = start();
        say(&server, &DRAIN);
        let folder = server.stopped();
        let file = folder.path().join("state/orders.json");
        let text = fs::read_to_string(&file).expect("it is kept");
        let mut list: Value = serde_json::from_str(&text).expect("JSON");
        list["written"]["boot_id"] = Value::from("another boot");
        fs::write(&file, list.to_string()).expect("it is ours");
        let server = start_again(folder, offset);
        let (found, given) = (drain_of_fra(&server).map(|(_, left)| left), www(&server));
        let Some(left) = left else {
            assert_eq!((found, given.as_str()), (None, FRA), "its hour is over");
            continue;
        };
        assert_eq!(given, IAD);
        let found = found.expect("it is drained still");
        assert!(
            (left - 200..=left).contains(&found),
            "{offset}: {found} s are left"
        );
    }
}

#[test]
fn a_client_whose_cookie_a_step_made_too_old_or_too_young_has_a_good_one_at_once() {
    let server = start();
    let ask = |cookie: &[u8]| -> Vec<u8> {
        let reply = server
            .ask("www.example.test", A)
            .with_option(10, cookie)
            .send();
        let given = reply
            .message
            .opt
            .iter()
            .flat_map(|opt| opt.option(10))
            .next();
        given.expect("it has a cookie").to_vec()
    };
    for offset in ["+1d", "+0"] {
        let cookie = ask(b"client!!");
        assert_eq!(ask(&cookie), cookie, "a good cookie is given back");
        set_clock(server.folder(), offset);
        eventually(&server, Duration::from_secs(10), "another cookie", || {
            ask(&cookie) != cookie
        });
        let renewed = ask(&cookie);
        assert_eq!(ask(&renewed), renewed);
    }
}
