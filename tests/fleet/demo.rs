//! `meridian demo --fleet`, with the real binary and a real NATS server.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::engine::await_that;

/// A demo of a fleet whose folder is in this one.
fn demo(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(["demo", "--fleet", "--port", "0"])
        .args(more)
        .env("TMPDIR", folder)
        .stdin(Stdio::null());
    command
}

fn run(folder: &Path, more: &[&str]) -> Output {
    demo(folder, more).output().expect("the binary runs")
}

fn left_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("there").count()
}

/// How many processes have this folder in their arguments.
fn processes_of(folder: &Path) -> usize {
    let folder = folder.to_str().expect("plain letters").as_bytes();
    let mut count = 0;
    for process in std::fs::read_dir("/proc").expect("Linux").flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if line.windows(folder.len()).any(|part| part == folder) {
            count += 1;
        }
    }
    count
}

#[test]
fn clients_of_a_fleet_lose_no_query_and_get_no_wrong_answer_in_the_tour() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = run(folder.path(), &["--once"]);
    let told = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last = told.lines().last().unwrap_or_default();
    let queries = last
        .strip_prefix("fleet: ")
        .and_then(|rest| rest.strip_suffix(" queries, 0 lost, 0 wrong"))
        .unwrap_or_else(|| panic!("{told}{complaint}"));
    let queries: u32 = queries.parse().expect("a number");
    assert!(queries > 1000, "{told}");
    assert_eq!(output.status.code(), Some(0), "{told}{complaint}");
    for sentence in [
        "all three send its clients elsewhere",
        "ns2 in Chicago is killed (SIGKILL)",
        "ns3 in Singapore hears nobody",
        "it is outvoted, and answers like the others",
        "nobody hears anybody, so everything stays",
        "times another nameserver was asked",
    ] {
        assert!(told.contains(sentence), "{sentence}: {told}");
    }
    assert_eq!(left_in(folder.path()), 0);
    assert_eq!(processes_of(folder.path()), 0);
}

/// A demo that has just begun its tour.
fn begun(folder: &Path) -> Child {
    let mut process = demo(folder, &[])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let output = process.stdout.take().expect("piped");
    let mut lines = BufReader::new(output).lines();
    let greeting = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("end:")));
    assert!(greeting.is_some(), "it ended before its greeting");
    // What it says from here on is read, so that it does not end for want of a reader.
    std::thread::spawn(move || lines.count());
    assert!(processes_of(folder) >= 4, "three nameservers and NATS");
    process
}

#[test]
fn a_demo_of_a_fleet_ends_its_programs_however_it_ends() {
    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGKILL] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut process = begun(folder.path());
        // SAFETY: the process is our child and not waited for yet.
        assert_eq!(unsafe { libc::kill(process.id() as i32, signal) }, 0);
        let status = process.wait().expect("our child");
        await_that("no program is left", || processes_of(folder.path()) == 0);
        if signal != libc::SIGKILL {
            assert!(status.success(), "{signal}: {status}");
            assert_eq!(left_in(folder.path()), 0, "{signal}");
        }
    }
}

#[test]
fn without_a_nats_server_the_demo_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = run(folder.path(), &["--nats-server", "/nowhere/nats-server"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "meridian: /nowhere/nats-server: there is no such program\n"
    );
    assert!(output.stdout.is_empty());
    assert_eq!(left_in(folder.path()), 0);
    // A program that is no NATS server.
    let output = run(folder.path(), &["--nats-server", "/bin/true"]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("/bin/true has ended"), "{complaint}");
    assert_eq!(left_in(folder.path()), 0);
}
