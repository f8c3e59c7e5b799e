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

/// The memory that `meridian check` says a configuration needs, in octets.
#[track_caller]
fn needed(server: &Server) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = command
        .args(["check", "--config"])
        .arg(server.config_file())
        .output();
    let output = output.expect("the binary of this crate can be run");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let after = told
        .split("this configuration needs about ")
        .nth(1)
        .expect(&told);
    let (number, _) = after.split_once(" MB of memory").expect(&told);
    number.parse::<u64>().expect("a number") * 1_000_000
}

fn records(count: usize) -> String {
    let mut zone = "$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n".to_owned();
    for number in 0..count {
        zone += &format!("host{number} A 192.0.2.{}\n", number % 250);
    }
    zone
}

#[test]
fn check_says_how_much_memory_a_configuration_needs() {
    let mut services = SERVICE.to_owned();
    for number in 0..5000 {
        services += &SERVICE.replace("www", &format!("s{number}"));
    }
    let setups = [
        world::setup("state", SERVICE),
        world::setup("state", &services),
        world::setup("state", SERVICE).zone("big.test", &records(200_000)),
    ];
    for setup in setups {
        let server = setup.start();
        let (needed, held) = (needed(&server), server.resident());
        assert!(
            needed.abs_diff(held) * 4 <= held,
            "check: {} MB, served: {} MB",
            needed / 1_000_000,
            held / 1_000_000
        );
    }
}

#[test]
fn what_needs_more_memory_than_the_limit_is_refused_and_the_old_stays() {
    let held = world::start(SERVICE).resident();
    let most = held / 1_000_000 + 60;
    let limited = format!("{SERVICE}\n[limits]\nmemory = \"{most}MB\"\n");
    let server = world::setup("state", &limited)
        .zone("big.test", &records(1))
        .start();
    reload(&server);
    let zone = server.folder().join("zones/big.test.zone");
    std::fs::write(&zone, records(1_000_000)).expect("the temporary folder can be written");
    let (status, told) = call(&server, "POST", "/v1/reload", TOKEN, "{}");
    assert_eq!(status, 422, "{told}");
    assert!(told.contains("[limits] memory leaves "), "{told}");
    assert_eq!(www(&server), "192.0.2.1");
    // A start has nothing to fall back on: it says why and ends.
    let output = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["serve", "--config"])
        .arg(server.config_file())
        .output()
        .expect("the binary of this crate can be run");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let allowed = format!("and [limits] memory allows {most} MB; raise it, or serve less");
    assert!(told.contains(&allowed), "{told}");
}

/// Changes the address of a record of `big.test`, and the serial; everything else of its text stays.
fn edit_record(server: &Server, count: usize, serial: usize) {
    let zone = server.folder().join("zones/big.test.zone");
    let text = records(count)
        .replace("SOA ns1 h 1 ", &format!("SOA ns1 h {serial} "))
        .replace(
            "host7 A 192.0.2.7\n",
            &format!("host7 A 198.51.100.{serial}\n"),
        );
    std::fs::write(zone, text).expect("the temporary folder can be written");
}

/// A server with a long zone, and a limit that leaves so many megabytes beside what it holds.
fn limited(records_in_zone: usize, held: u64, more: u64) -> Server {
    let most = held / 1_000_000 + more;
    let lines = format!("{SERVICE}\n[limits]\nmemory = \"{most}MB\"\n");
    let setup = world::setup("state", &lines).zone("big.test", &records(records_in_zone));
    setup.start()
}

/// An edit of one record of many reads, checks and compiles that record alone, but copies the tables of names.
#[test]
fn an_edit_of_one_record_for_which_there_is_no_room_is_refused_and_the_old_stays() {
    const RECORDS: usize = 150_000;
    let setup = world::setup("state", SERVICE).zone("big.test", &records(RECORDS));
    let held = setup.start().resident();
    let host = |server: &Server| world::answer(server, "host7.big.test").join(" ");
    let server = limited(RECORDS, held, held / 2_000_000);
    edit_record(&server, RECORDS, 2);
    let (status, told) = call(&server, "POST", "/v1/reload", TOKEN, "{}");
    assert_eq!(status, 422, "{told}");
    assert!(told.contains("[limits] memory leaves "), "{told}");
    assert_eq!(
        (host(&server).as_str(), www(&server).as_str()),
        ("192.0.2.7", "192.0.2.1")
    );

    // With room for it, edit follows edit, and all of them together stay within the limit.
    let more = held / 1_000_000 + 80;
    let server = limited(RECORDS, held, more);
    for serial in 2..22 {
        edit_record(&server, RECORDS, serial);
        reload(&server);
        assert_eq!(host(&server), format!("198.51.100.{serial}"));
        assert!(server.resident() <= held + more * 1_000_000, "{serial}");
    }
}

#[test]
fn more_services_than_there_is_room_for_are_refused_before_anything_is_let_go() {
    let held = world::start(SERVICE).resident();
    let most = held / 1_000_000 + 140;
    let limited = format!("{SERVICE}\n[limits]\nmemory = \"{most}MB\"\n");
    let server = world::start(&limited);
    let file = server.config_file();
    let text = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, format!("{text}{}", world::many_services(20_000)))
        .expect("the folder can be written");
    let (status, told) = call(&server, "POST", "/v1/reload", TOKEN, "{}");
    assert_eq!(status, 422, "{told}");
    assert!(told.contains("[limits] memory leaves "), "{told}");
    assert!(server.resident() < held + 140_000_000);
    assert_eq!(www(&server), "192.0.2.1");
    assert!(world::answer(&server, "s1.example.test").is_empty());
    std::fs::write(&file, format!("{text}{}", world::many_services(100))).expect("writable");
    reload(&server);
    assert_eq!(world::answer(&server, "s1.example.test").len(), 1);
}
