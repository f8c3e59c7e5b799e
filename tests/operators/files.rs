//! Files from outside while a server runs: half written, no files at all, or endless. What was served is served on.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::Server;
use crate::world::{self, TOKEN, answer, call};

/// How long a writer pauses between two pieces of a file.
const PAUSE: Duration = Duration::from_millis(20);
/// A pause that the server may take for the end of writing.
const TOO_LONG: Duration = Duration::from_millis(250);

fn reload(server: &Server) -> (u16, String) {
    call(server, "POST", "/v1/reload", TOKEN, "{}")
}

/// The lines of a zone; the first and the last name have the same address.
fn zone(generation: u8) -> Vec<String> {
    let mut lines = vec![
        "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\n"
            .to_owned(),
    ];
    lines.push(format!("first A 192.0.2.{generation}\n"));
    lines.extend((0..40).map(|number| format!("n{number} A 192.0.2.{generation}\n")));
    lines.push(format!("last A 192.0.2.{generation}\n"));
    lines
}

/// Writes over a file, a line at a time; says so if it was held up for longer than a writer may be.
fn write_slowly(path: &Path, lines: &[String], held_up: &AtomicBool) {
    let mut file = File::create(path).expect("the folder can be written");
    let mut last = Instant::now();
    for line in lines {
        file.write_all(line.as_bytes())
            .expect("the folder can be written");
        if last.elapsed() > TOO_LONG {
            held_up.store(true, Ordering::SeqCst);
        }
        last = Instant::now();
        std::thread::sleep(PAUSE);
    }
}

#[test]
fn a_zone_that_is_half_written_is_never_served() {
    let server = world::start("");
    let path = server.folder().join("zones/example.test.zone");
    let held_up = AtomicBool::new(false);
    let (mut reloads, mut told_so) = (0, 0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for generation in 1..=4 {
                write_slowly(&path, &zone(generation), &held_up);
            }
        });
        while !writer.is_finished() {
            // No faster than changes are taken.
            std::thread::sleep(Duration::from_millis(15));
            let (status, told) = reload(&server);
            reloads += 1;
            assert!(
                status == 200 || told.contains("example.test.zone"),
                "{status} {told}"
            );
            told_so += u32::from(told.contains("changed while being read"));
            let (first, last) = (
                answer(&server, "first.example.test"),
                answer(&server, "last.example.test"),
            );
            assert!(
                first == last || held_up.load(Ordering::SeqCst),
                "half a zone: {first:?}, {last:?}; {told}"
            );
        }
    });
    assert!(
        reloads > 2 && told_so > 0,
        "{told_so} of {reloads} were told so"
    );
    assert_eq!(reload(&server).0, 200);
    assert_eq!(answer(&server, "last.example.test"), ["192.0.2.4"]);
}

#[test]
fn what_is_no_file_refuses_a_reload_at_once_and_nothing_else() {
    let server = world::start("");
    let path = |name: &str| server.folder().join(name);
    let config = fs::read(path("meridian.toml")).expect("it is there");
    for (name, what) in [
        ("zones/other.test.zone", "is a pipe"),
        ("meridian.toml", "is a pipe"),
    ] {
        let _ = fs::remove_file(path(name));
        assert!(
            Command::new("mkfifo")
                .arg(path(name))
                .status()
                .expect("mkfifo of coreutils")
                .success()
        );
        let start = Instant::now();
        let (status, told) = reload(&server);
        assert!(
            status != 200 && told.contains(name) && told.contains(what),
            "{status} {told}"
        );
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
        fs::remove_file(path(name)).expect("it is there");
        symlink("/dev/zero", path(name)).expect("the folder can be written");
        let (status, told) = reload(&server);
        assert!(
            status != 200 && told.contains("is a device, not a regular file"),
            "{status} {told}"
        );
        fs::remove_file(path(name)).expect("it is there");
        File::create(path(name))
            .expect("the folder can be written")
            .set_len(2 << 30)
            .expect("a sparse file");
        let (status, told) = reload(&server);
        assert!(
            status != 200 && told.contains("is larger than "),
            "{status} {told}"
        );
        fs::remove_file(path(name)).expect("it is there");
        fs::write(path("meridian.toml"), &config).expect("the folder can be written");
        assert_eq!(answer(&server, "ns1.example.test"), ["127.0.0.1"]);
    }
    // The token is read at each call, too.
    fs::remove_file(path("token")).expect("it is there");
    assert!(
        Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(path("token"))
            .status()
            .expect("mkfifo")
            .success()
    );
    let (status, told) = reload(&server);
    assert!(
        status == 500 && told.contains("the token file is a pipe, not a regular file"),
        "{status} {told}"
    );
    fs::remove_file(path("token")).expect("it is there");
    world::write_token(&server);
    assert_eq!(reload(&server).0, 200);
}
