//! Memory: reloads give back what they took, and one that there is no room for is refused.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::Server;
use crate::world::{self, TOKEN, call, www};

const RELOADS: usize = 200;
const SERVICE: &str = "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n";

#[track_caller]
fn reload(server: &Server) {
    let (status, told) = call(server, "POST", "/v1/reload", TOKEN, "{}");
    assert_eq!(status, 200, "{told}");
}

#[test]
fn after_200_reloads_it_holds_at_most_three_tenths_more_than_at_the_start() {
    let server = world::start(SERVICE);
    let fresh = server.resident();
    for _ in 0..RELOADS {
        reload(&server);
    }
    // The workers nobody asks let go of the last world a moment later.
    let enough = || server.resident() * 10 <= fresh * 13;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !enough() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(
        enough(),
        "{} MB at the start, {} MB after {RELOADS} reloads",
        fresh >> 20,
        server.resident() >> 20
    );
}

/// Lets the process have so many octets more than it has now, or as many as it likes.
fn limit_address_space(server: &Server, more: Option<u64>) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("it runs");
    let size = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .expect("proc(5) has it");
    let size = size
        .trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .expect("a number")
        << 10;
    let limit = more.map_or_else(|| "unlimited".to_owned(), |more| (size + more).to_string());
    let limit = format!("--as={limit}:unlimited");
    let done = Command::new("prlimit")
        .args(["--pid", &server.id().to_string(), &limit])
        .status();
    assert!(done.expect("prlimit of util-linux").success());
}

#[test]
fn a_reload_that_there_is_no_room_for_is_refused_and_the_process_lives() {
    let mut server = world::start(SERVICE);
    reload(&server);
    limit_address_space(&server, Some(8 << 20));
    let (status, told) = call(&server, "POST", "/v1/reload", TOKEN, "{}");
    assert_eq!(status, 422, "{told}");
    assert!(
        told.contains("there is no room for a reload: it may need "),
        "{told}"
    );
    assert!(
        told.contains(" MB beside what is served, and RLIMIT_AS (systemd: LimitAS=) leaves "),
        "{told}"
    );
    assert!(server.is_alive());
    assert_eq!(www(&server), "192.0.2.1");
    limit_address_space(&server, None);
    reload(&server);
    assert_eq!(www(&server), "192.0.2.1");
}
