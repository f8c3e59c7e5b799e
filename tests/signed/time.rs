//! Restarts sign nothing that is still good, and the clock may run or be set: by libfaketime.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Server, server};
use crate::programs::dig;
use crate::world;

fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("there is one").flatten();
    let found = folders
        .map(|entry| entry.path().join("faketime/libfaketime.so.1"))
        .find(|path| path.is_file());
    found.expect("libfaketime is installed: apt-get install faketime")
}

/// A clock that a test sets, for the programs that are started under it.
pub struct TestClock {
    folder: tempfile::TempDir,
}

impl TestClock {
    /// It shows the right time.
    pub fn new() -> TestClock {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = TestClock { folder };
        clock.set_ahead(0);
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// Puts it ahead by so many days.
    pub fn set_ahead(&self, days: u32) {
        // A program may read the file at any time, so it is never half written.
        let next = self.folder.path().join("next");
        fs::write(&next, format!("+{days}d")).expect("the folder is ours");
        fs::rename(next, self.file()).expect("the folder is ours");
    }

    /// Puts a program under it.
    pub fn apply(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

/// Starts the server of a folder again, with its clock ahead by this.
pub fn start_again(folder: tempfile::TempDir, offset: &str) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(["serve", "--config"])
        .arg(folder.path().join("meridian.toml"))
        .current_dir(folder.path())
        .env("LD_PRELOAD", library())
        .env("FAKETIME", offset)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    server::start(command, folder)
}

/// The RRSIG record of an answer: its expiration and its signature.
fn signature(server: &Server, name: &str, rtype: &str) -> (String, String) {
    let options = ["+dnssec", "+nosplit", "+noall", "+answer", name, rtype];
    let said = dig(server, &options);
    let line = said
        .lines()
        .find(|line| line.contains("RRSIG"))
        .unwrap_or_else(|| panic!("{said}"));
    let words: Vec<&str> = line.split_whitespace().collect();
    (
        words[8].to_owned(),
        words.last().copied().unwrap_or_default().to_owned(),
    )
}

/// The signatures of a static and of steered names.
fn signatures(server: &Server) -> Vec<(String, String)> {
    let mut signatures = Vec::new();
    for (name, rtype) in [
        ("host.example.test", "A"),
        ("example.test", "DNSKEY"),
        ("www.example.test", "AAAA"),
        ("host.below.example.test", "A"),
    ] {
        signatures.push(signature(server, name, rtype));
    }
    signatures
}

fn state_of(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut files = Vec::new();
    for name in ["signatures", "signatures-steered"] {
        let path = folder.join("state").join(name);
        files.push((path.clone(), fs::metadata(path).expect("it is kept").len()));
    }
    files
}

#[test]
fn a_restart_signs_nothing_that_is_still_good() {
    let server = world::setup(world::SERVICES).start();
    let before = signatures(&server);
    let folder = server.stopped();
    let files = state_of(folder.path());
    let server = start_again(folder, "+0");
    // ECDSA signatures differ each time they are made.
    assert_eq!(signatures(&server), before);
    assert_eq!(state_of(server.folder()), files);
}

#[test]
fn signatures_are_renewed_before_they_expire_and_kept_where_the_clock_is_wrong() {
    let server = world::setup(world::SERVICES).start();
    let first = signatures(&server);
    let folder = server.stopped();
    // Half of their lifetime is over.
    let server = start_again(folder, "+8d");
    let second = signatures(&server);
    for ((one, _), (other, _)) in first.iter().zip(&second) {
        assert!(other > one, "{other} is not after {one}");
    }
    let folder = server.stopped();
    // The clock is right again, which looks as if it had gone back: nothing is signed by it.
    let server = start_again(folder, "+0");
    server.await_log("the clock shows", 1);
    assert_eq!(signatures(&server), second);
}

#[test]
fn running_servers_renew_signatures() {
    let clock = TestClock::new();
    let server = world::setup(world::SERVICES).start_with(|command| clock.apply(command));
    let before = signatures(&server);
    clock.set_ahead(8);
    server.await_log("reloaded", 1);
    for ((one, _), (other, _)) in before.iter().zip(&signatures(&server)) {
        assert!(other > one, "{other} is not after {one}");
    }
}
