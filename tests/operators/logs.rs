//! Streams that take no log: a full disk, a closed pipe, a pipe that nobody reads. Nothing depends on what they take.

use std::fs::{self, File};
use std::io::{PipeReader, Read, pipe};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::harness::{Region, Server};
use crate::world::{self, TOKEN, call, eventually, say, www};

const SERVICE: &str = "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n";
/// The end of a stop, on a machine that does much else.
const SOON: Duration = Duration::from_secs(2);

fn dev_full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .expect("the kernel has it")
        .into()
}

fn closed_pipe() -> Stdio {
    let (reader, writer) = pipe().expect("descriptors are left");
    drop(reader);
    writer.into()
}

/// A pipe with room for a page, and its other end.
fn small_pipe() -> (PipeReader, Stdio) {
    let (reader, writer) = pipe().expect("descriptors are left");
    // SAFETY: sets the size of an open pipe.
    assert!(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) } >= 4096);
    (reader, writer.into())
}

/// Lines of the log that the server says it has lost.
fn lost(server: &Server) -> u64 {
    let (status, metrics) = call(server, "GET", "/metrics", "", "");
    assert_eq!(status, 200, "{metrics}");
    let line = metrics
        .lines()
        .find(|line| line.starts_with("meridian_log_lines_dropped_total"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("it is not told:\n{metrics}"))
}

#[test]
fn streams_that_fail_cost_no_reply_and_end_nothing() {
    for stderr in [dev_full(), closed_pipe()] {
        let server = world::setup("state", SERVICE).start_logging_to(stderr);
        let (status, body) = call(&server, "POST", "/v1/reload", TOKEN, "");
        assert_eq!(status, 200, "{body}");
        assert_eq!(
            say(&server, &["drain", "fra", "--reason", "x"]),
            "fra is drained"
        );
        assert_eq!(call(&server, "PUT", "/v1/regions/fra/drain", "", "").0, 401);
        assert_eq!(www(&server), "192.0.2.2");
        server.reload();
        eventually(
            &server,
            Duration::from_secs(20),
            "the lost lines are counted",
            || lost(&server) >= 4,
        );
        let (ended_well, took) = server.ended_by(libc::SIGTERM);
        assert!(ended_well && took < SOON, "{ended_well} {took:?}");
    }
}

#[test]
fn a_start_with_something_to_say_and_nobody_to_say_it_to_is_a_start() {
    for stderr in [dev_full(), closed_pipe()] {
        // A state directory that cannot be made is a warning.
        let server = world::setup("/proc/nothing", SERVICE).start_logging_to(stderr);
        assert_eq!(www(&server), "192.0.2.1");
        assert!(lost(&server) > 0);
    }
}

#[test]
fn a_start_that_is_refused_says_so_by_its_exit_code_whatever_takes_its_words() {
    for (stderr, command) in [
        (dev_full(), "serve"),
        (closed_pipe(), "serve"),
        (dev_full(), "status"),
    ] {
        let mut meridian = Command::new(env!("CARGO_BIN_EXE_meridian"));
        let meridian = match command {
            "serve" => meridian.args([command, "--config", "/nowhere/meridian.toml"]),
            _ => meridian.args([command, "--admin", "http://127.0.0.1:1"]),
        };
        let status = meridian
            .stdout(Stdio::null())
            .stderr(stderr)
            .status()
            .expect("the binary runs");
        assert_eq!(status.code(), Some(1), "{command}");
    }
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_neither_failover_nor_operators_nor_the_end() {
    let (fra, iad) = (Region::start("127.0.1.1", 0), Region::start("127.0.2.1", 0));
    let (reader, stderr) = small_pipe();
    let server = world::setup("state", &world::checked(&fra, &iad, "")).start_logging_to(stderr);
    for round in 0..30 {
        let order = format!("{{\"reason\": \"{}\"}}", "y".repeat(400));
        assert_eq!(
            call(&server, "PUT", "/v1/regions/iad/drain", TOKEN, &order).0,
            200,
            "round {round}"
        );
        assert_eq!(
            call(&server, "DELETE", "/v1/regions/iad/drain", TOKEN, "").0,
            200,
            "round {round}"
        );
        // Refused calls of strangers with long paths.
        let path = format!("/v1/regions/{}/drain", "x".repeat(4000));
        assert_eq!(call(&server, "PUT", &path, "", "").0, 401, "round {round}");
    }
    for (broken, gives) in [(true, "127.0.2.1"), (false, "127.0.1.1")] {
        fra.set_broken(broken);
        eventually(
            &server,
            Duration::from_secs(60),
            "health reaches the answers",
            || www(&server) == gives,
        );
    }
    assert_eq!(
        call(&server, "GET", "/healthz", "", ""),
        (200, "ok\n".to_owned())
    );
    let (ended_well, took) = server.ended_by(libc::SIGTERM);
    assert!(ended_well && took < SOON, "{ended_well} {took:?}");
    drop(reader);
}

#[test]
fn lines_that_did_not_fit_are_counted_and_told_when_the_pipe_is_read_again() {
    let (mut reader, stderr) = small_pipe();
    let setup = world::setup("state", SERVICE);
    let server = setup.start_logging_to(stderr);
    // Each refusal is one line of some 15 kilobytes, and the queue holds four megabytes.
    let long = "x".repeat(2000);
    let bad: String = (0..150)
        .map(|number| format!("name{number} A {long}{number}\n"))
        .collect();
    let zone = server.folder().join("zones/example.test.zone");
    let good = fs::read_to_string(&zone).expect("it is there");
    fs::write(&zone, format!("{good}{bad}")).expect("writable");
    eventually(&server, Duration::from_secs(120), "lines are lost", || {
        for _ in 0..50 {
            assert_eq!(call(&server, "POST", "/v1/reload", TOKEN, "").0, 422);
        }
        lost(&server) > 0
    });
    let (found, told) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        let (mut text, mut piece) = (Vec::new(), vec![0; 1 << 16]);
        while let Ok(length @ 1..) = reader.read(&mut piece) {
            text.extend_from_slice(&piece[..length]);
            let end = &text[text.len().saturating_sub(length + 200)..];
            if end.windows(10).any(|words| words == b"were lost;") {
                let _ = found.send(());
            }
        }
        text
    });
    told.recv_timeout(Duration::from_secs(60))
        .expect("what was lost is told");
    let lost = lost(&server);
    let (ended_well, _) = server.ended_by(libc::SIGTERM);
    assert!(ended_well);
    let text = String::from_utf8(reading.join().expect("it ended")).expect("text");
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line:.200}")))
        .collect();
    let told = lines.iter().filter(|line| {
        line["message"]
            .as_str()
            .is_some_and(|it| it.contains("were lost;"))
    });
    let told: u64 = told
        .map(|line| line["lines"].as_u64().expect("a number"))
        .sum();
    assert_eq!(told, lost);
}

#[test]
fn what_a_client_sent_is_cut_in_the_log() {
    let server = world::start(SERVICE);
    let long = "x".repeat(4000);
    for token in ["", TOKEN] {
        call(
            &server,
            "PUT",
            &format!("/v1/regions/{long}/drain"),
            token,
            "",
        );
    }
    server.await_log("\"status\":404", 1);
    for line in server.log().lines().filter(|line| line.contains("audit")) {
        assert!(line.len() < 2000, "{} octets: {line}", line.len());
        assert!(line.contains("xxx... (4022 octets)"), "{line}");
    }
}
