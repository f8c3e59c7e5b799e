//! Serials that rise whenever the zone or its signatures change, and never go back.

use std::fs;
use std::process::Command;

use crate::harness::Server;
use crate::programs::{dig, expect_secure, write_anchors, write_anchors_of};
use crate::time::start_again;
use crate::world;

/// The serial that a server answers.
#[track_caller]
fn serial(server: &Server, zone: &str) -> u32 {
    let said = dig(server, &["+short", zone, "SOA"]);
    let word = said.split_whitespace().nth(2);
    word.and_then(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("{said}"))
}

/// Has everything read again, and waits until it is served.
fn reload(server: &Server) {
    let before = server.log().matches("reloaded").count();
    server.reload();
    server.await_log("reloaded", before + 1);
}

/// Writes the zone with a serial and further records.
fn write_zone(server: &Server, serial: u32, more: &str) {
    let text = world::ZONE.replace("hostmaster 1 ", &format!("hostmaster {serial} "));
    let path = server.folder().join("zones/example.test.zone");
    fs::write(path, text + more).expect("the folder is ours");
}

#[test]
fn a_serial_rises_with_every_change_and_stays_while_there_is_none() {
    let server = world::setup_rising("increment", world::SERVICES).start();
    write_anchors(&server);
    assert_eq!(
        (
            serial(&server, "example.test"),
            serial(&server, "below.example.test")
        ),
        (2, 1)
    );
    expect_secure(&server, "example.test", "example.test", "SOA");
    expect_secure(&server, "example.test", "missing.example.test", "A");
    reload(&server);
    assert_eq!(serial(&server, "example.test"), 2, "nothing has changed");
    write_zone(&server, 1, "new A 192.0.2.99\n");
    reload(&server);
    assert_eq!(serial(&server, "example.test"), 3);
    expect_secure(&server, "example.test", "example.test", "SOA");
    write_zone(&server, 10, "new A 192.0.2.99\n");
    reload(&server);
    assert_eq!(serial(&server, "example.test"), 10);
    // The file goes back, the serial does not.
    write_zone(&server, 4, "new A 192.0.2.98\n");
    reload(&server);
    assert_eq!(serial(&server, "example.test"), 11);
    let server = start_again(server.stopped(), "+0");
    assert_eq!(
        serial(&server, "example.test"),
        11,
        "a restart changes nothing"
    );
    // Half of the lifetime of all signatures is over.
    let server = start_again(server.stopped(), "+8d");
    assert_eq!(serial(&server, "example.test"), 12);
    // The clock was wrong, so nothing is signed, and the serial stays.
    let server = start_again(server.stopped(), "+0");
    assert_eq!(serial(&server, "example.test"), 12);
}

#[test]
fn the_time_is_a_serial_that_never_goes_back_with_the_clock() {
    let server = world::setup_rising("unixtime", world::SERVICES).start();
    let first = serial(&server, "example.test");
    assert!(first > 1_795_000_000, "{first}");
    let server = start_again(server.stopped(), "+8d");
    let second = serial(&server, "example.test");
    assert!(second >= first + 8 * 86_400, "{second} after {first}");
    let folder = server.stopped();
    // Without its signatures it signs anew, with a right clock.
    for file in ["signatures", "signatures-steered"] {
        fs::remove_file(folder.path().join("state").join(file)).expect("it is kept");
    }
    let server = start_again(folder, "+0");
    write_zone(&server, 1, "new A 192.0.2.99\n");
    reload(&server);
    assert_eq!(serial(&server, "example.test"), second + 1);
}

#[test]
fn a_bundle_takes_the_serial_to_servers_without_keys() {
    let (config, folder) = world::setup_rising("unixtime", world::SERVICES).written();
    let bundle = folder.path().join("signatures.bundle");
    let output = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["sign", "--config"])
        .arg(&config)
        .arg("--output")
        .arg(&bundle)
        .output()
        .expect("it is built");
    assert!(output.status.success(), "{output:?}");
    let octets = fs::read(&bundle).expect("it is written");
    let server = world::setup_elsewhere(world::SERVICES, &octets).start();
    write_anchors_of(&server, &folder.path().join("keys"));
    let said = serial(&server, "example.test");
    assert!(said > 1_795_000_000, "{said}");
    expect_secure(&server, "example.test", "example.test", "SOA");
}
