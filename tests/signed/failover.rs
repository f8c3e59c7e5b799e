//! Answers stay secure for unbound while regions die and return, and keys and services come by a reload.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::Region;
use crate::programs::{Unbound, delv, expect_secure, write_anchors};
use crate::world;

pub fn services(port: u16) -> String {
    format!(
        r#"
[checks.health]
type = "http"
port = {port}
path = "/health"
interval = "100ms"
timeout = "90ms"
fall = 1
rise = 1

[[services]]
name = "www.example.test"
ttl = 1
order = "none"
answers = 2
check = "health"
all_down = "nodata"
[services.endpoints]
fra = ["127.0.1.1", "127.0.1.2"]
iad = ["127.0.2.1"]
"#
    )
}

/// Asks until the answer has all of these addresses and no other; every answer on the way is secure.
#[track_caller]
pub fn await_addresses(unbound: &Unbound, wanted: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let reply = unbound.ask("www.example.test", "A");
        let mut found: Vec<&str> = Vec::new();
        for line in reply
            .lines()
            .filter(|line| line.starts_with("www.example.test."))
        {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [_, _, "IN", "A", address] = words[..] {
                found.push(address);
            }
        }
        found.sort_unstable();
        if found == wanted {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{found:?} instead of {wanted:?}:\n{reply}"
        );
    }
}

#[test]
fn answers_stay_secure_while_regions_die_and_return() {
    let first = Region::start("127.0.1.1", 0);
    let second = Region::start("127.0.1.2", first.port);
    let other = Region::start("127.0.2.1", first.port);
    let server = world::setup(&services(first.port)).start();
    let unbound = Unbound::start(&server, "example.test");
    first.set_broken(true);
    await_addresses(&unbound, &["127.0.1.2", "127.0.2.1"]);
    other.set_broken(true);
    await_addresses(&unbound, &["127.0.1.2"]);
    // Nothing is left: the denial is secure, too.
    second.set_broken(true);
    await_addresses(&unbound, &[]);
    first.set_broken(false);
    await_addresses(&unbound, &["127.0.1.1"]);
    other.set_broken(false);
    await_addresses(&unbound, &["127.0.1.1", "127.0.2.1"]);
}

#[test]
fn a_reload_signs_what_is_new() {
    let server = world::setup(world::SERVICES).start();
    write_anchors(&server);
    let zone = server.folder().join("zones/example.test.zone");
    fs::write(&zone, format!("{}\nnew A 192.0.2.77\n", world::ZONE)).expect("it is ours");
    server.reload();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !delv(&server, "example.test", "new.example.test", "A").contains("192.0.2.77") {
        assert!(Instant::now() < deadline, "{}", server.log());
    }
    expect_secure(&server, "example.test", "new.example.test", "A");
    expect_secure(&server, "example.test", "newer.example.test", "A");
    expect_secure(&server, "example.test", "several.example.test", "HTTPS");
}
