//! A state directory that hangs, is full, or cannot be written at all: orders and failover do not depend on it.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Region, Server};
use crate::world::{self, eventually, fail, say, www};

const FRA: &str = "127.0.1.1";
const IAD: &str = "127.0.2.1";

/// A disk that does something else than to take what is written, until this is dropped.
struct Trouble(Child);

impl Trouble {
    /// `fault` is strace's: what becomes of fsync(2).
    #[track_caller]
    fn begin(server: &Server, fault: &str) -> Trouble {
        let inject = format!("inject=fsync:{fault}");
        let strace = Command::new("strace")
            .args([
                "-f",
                "-qqq",
                "-p",
                &server.id().to_string(),
                "-e",
                "signal=none",
                "-e",
                "trace=fsync",
                "-e",
                &inject,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let trouble = Trouble(strace.expect("strace is installed: apt-get install strace"));
        let traced = |thread: fs::DirEntry| {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        };
        let threads = || {
            fs::read_dir(format!("/proc/{}/task", server.id()))
                .expect("it runs")
                .flatten()
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !threads().all(traced) {
            assert!(
                Instant::now() < deadline,
                "strace cannot attach; it needs root or ptrace_scope 0"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        trouble
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        // SAFETY: strace is our child and not waited for yet, so its number is still its own.
        unsafe { libc::kill(self.0.id() as i32, libc::SIGTERM) };
        let _ = self.0.wait();
    }
}

#[test]
fn a_disk_that_hangs_delays_neither_orders_nor_failover() {
    let (fra, iad) = (Region::start(FRA, 0), Region::start(IAD, 0));
    let server = world::start_checked(&fra, &iad, "");
    let kept = |name: &str| server.folder().join("state").join(name).is_file();
    eventually(&server, Duration::from_secs(10), "health is kept", || {
        kept("health.json")
    });
    let trouble = Trouble::begin(&server, "delay_enter=60000000");
    let drain: [&[&str]; 2] = [&["drain", "fra", "--reason", "x"], &["undrain", "fra"]];
    for (order, takes, gives) in [
        (drain[0], "fra is drained", IAD),
        (drain[1], "fra: drain removed", FRA),
    ] {
        std::thread::scope(|scope| {
            let told = scope.spawn(|| fail(&server, order));
            eventually(
                &server,
                Duration::from_secs(3),
                "the order is in force",
                || www(&server) == gives,
            );
            let told = told.join().expect("it ended");
            assert!(
                told.contains(takes) && told.contains("but this would not outlive a restart yet: "),
                "{told}"
            );
            assert!(
                told.contains("the disk has not taken orders.json in 5 s"),
                "{told}"
            );
        });
    }
    fra.set_broken(true);
    eventually(&server, Duration::from_secs(4), "failover", || {
        www(&server) == IAD
    });
    // The disk comes to itself: what waited is written.
    drop(trouble);
    eventually(
        &server,
        Duration::from_secs(20),
        "the orders are kept",
        || kept("orders.json"),
    );
    let health =
        || fs::read_to_string(server.folder().join("state/health.json")).unwrap_or_default();
    eventually(
        &server,
        Duration::from_secs(20),
        "the health is kept",
        || health().contains("\"down\""),
    );
    assert_eq!(www(&server.kill_and_start_again()), IAD);
}

#[test]
fn a_full_disk_is_told_and_the_order_is_written_when_there_is_room() {
    let server = world::start("");
    let trouble = Trouble::begin(&server, "error=ENOSPC");
    let told = fail(&server, &["drain", "fra", "--reason", "x"]);
    assert!(
        told.contains("state/orders.json: cannot be written: No space left on device"),
        "{told}"
    );
    drop(trouble);
    let file = server.folder().join("state/orders.json");
    eventually(&server, Duration::from_secs(10), "it is written", || {
        file.is_file()
    });
    server.await_log("orders.json can be written again", 1);
}

#[test]
fn a_directory_that_takes_no_files_is_told_and_the_server_serves() {
    let server = world::start_with_state(
        "/proc",
        "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n",
    );
    let told = fail(&server, &["drain", "fra", "--reason", "x"]);
    assert!(
        told.contains("/proc/orders.json: cannot be written: "),
        "{told}"
    );
    assert_eq!(www(&server), "192.0.2.2");
    assert!(say(&server, &["status"]).contains("is drained: fra"));
}
