//! A thread that is stuck: the test stops one thread of a running server, as a debugger does, and lets it go again.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::harness::Region;
use crate::world::{self, call, eventually, www};

/// Longer than a part may go without a turn, on a machine that does much else.
const LONG: Duration = Duration::from_secs(60);

/// A thread that is stopped until this is dropped, on the thread that stopped it.
struct Stopped(libc::pid_t);

impl Stopped {
    /// Stops the thread of this name.
    fn of(process: u32, name: &str) -> Stopped {
        let threads = fs::read_dir(format!("/proc/{process}/task"))
            .expect("it runs")
            .flatten();
        let is_named = |path: &std::path::PathBuf| {
            fs::read_to_string(path.join("comm")).is_ok_and(|it| it.trim() == name)
        };
        let thread = threads
            .map(|entry| entry.path())
            .find(is_named)
            .unwrap_or_else(|| panic!("no thread {name}"));
        let number: libc::pid_t = thread
            .file_name()
            .expect("a number")
            .to_string_lossy()
            .parse()
            .expect("a number");
        // SAFETY: a thread of our child's; no memory of ours is touched.
        unsafe {
            assert_eq!(
                libc::ptrace(libc::PTRACE_SEIZE, number, 0, 0),
                0,
                "{}",
                std::io::Error::last_os_error()
            );
            assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, number, 0, 0), 0);
            assert_eq!(
                libc::waitpid(number, std::ptr::null_mut(), libc::__WALL),
                number
            );
        }
        Stopped(number)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // SAFETY: we stopped it.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, 0, 0) };
    }
}

#[test]
fn what_is_stuck_is_said_until_it_turns_again() {
    let (fra, iad) = (Region::start("127.0.1.1", 0), Region::start("127.0.2.1", 0));
    let setup = world::setup("state", &world::checked(&fra, &iad, ""));
    let path = setup.folder().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a new socket");
    manager.set_nonblocking(true).expect("a live socket");
    let server = setup.start_with(|command| {
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000")
            .env_remove("WATCHDOG_PID");
    });
    // How many signs of life came since this was last asked.
    let signs = || {
        let (mut buffer, mut signs) = ([0; 100], 0);
        while let Ok(length) = manager.recv(&mut buffer) {
            signs += usize::from(&buffer[..length] == b"WATCHDOG=1");
        }
        signs
    };
    let healthz = || call(&server, "GET", "/healthz", "", "");
    eventually(&server, LONG, "signs of life", || signs() > 0);
    assert_eq!(healthz(), (200, "ok\n".to_owned()));

    // The publisher and the timer have the controller do their work.
    let parts = [
        ("controller", "so nothing that changes takes effect"),
        ("publisher", "so changes of health do not reach the answers"),
        ("timer", "so orders and leases do not end"),
    ];
    let stopped = Stopped::of(server.id(), "controller");
    let start = Instant::now();
    eventually(&server, LONG, "it says what is stuck", || {
        healthz().0 == 503
    });
    assert!(
        start.elapsed() > Duration::from_secs(8),
        "it said so after {:?}",
        start.elapsed()
    );
    for (part, meaning) in parts {
        let sentence = format!("the {part} has not turned for ");
        let is_told = || {
            let (status, told) = healthz();
            status == 503 && told.contains(&sentence) && told.contains(meaning)
        };
        eventually(&server, LONG, "each stuck part is told", is_told);
        assert_eq!(call(&server, "GET", "/readyz", "", "").0, 503);
        server.await_log(&sentence, 1);
        let metrics = call(&server, "GET", "/metrics", "", "").1;
        assert!(
            metrics.contains(&format!("meridian_stuck{{part=\"{part}\"}} 1")),
            "{metrics}"
        );
        let status = call(&server, "GET", "/v1/status", "", "").1;
        assert!(
            status.contains("\"summary\":\"stuck: the ") && status.contains(&sentence),
            "{status}"
        );
    }
    signs();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(signs(), 0, "no sign of life while something is stuck");
    drop(stopped);
    eventually(&server, LONG, "it turns again", || {
        healthz() == (200, "ok\n".to_owned())
    });
    eventually(&server, LONG, "signs of life again", || signs() > 0);
    fra.set_broken(true);
    eventually(&server, LONG, "failover", || www(&server) == "127.0.2.1");
}
