//! Keys are rolled to the end with a real parent, and unbound validates all the way with its caches on.
//!
//! TTLs and delays are of a second, so a roll takes some. The test plays the registrar: it puts the DS records that
//! `meridian keys ds` prints into the parent's zone.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Server, Setup};
use crate::programs::{Unbound, expect_secure_below};
use crate::time::TestClock;

const PARENT: &str = "$TTL 1
@ SOA ns hostmaster 1 7200 1800 259200 1
@ NS ns
ns A 127.0.0.1
example NS ns.example
ns.example A 127.0.0.1
";

const ZONE: &str = "$TTL 1
@ SOA ns hostmaster 1 7200 1800 259200 1
@ NS ns
ns A 127.0.0.1
host A 192.0.2.1
*.wild A 192.0.2.2
";

const SIGNED: &str = r#"
[zones.dnssec]
sign = "*"
generate = true
"#;

/// A parent, its child, and a resolver that trusts the parent's key.
struct Family {
    parent: Server,
    child: Server,
    unbound: Unbound,
    /// What all of them, and commands, run under.
    clock: Option<TestClock>,
}

impl Family {
    fn start(policy: &str) -> Family {
        Family::start_with("1s", policy)
    }

    /// The same with another `propagation`.
    fn start_with(propagation: &str, policy: &str) -> Family {
        Family::start_at(propagation, policy, None)
    }

    fn start_at(propagation: &str, policy: &str, clock: Option<TestClock>) -> Family {
        let prepare = |command: &mut Command| {
            if let Some(clock) = &clock {
                clock.apply(command);
            }
        };
        let parent = Setup::new()
            .zone("test", PARENT)
            .config(SIGNED)
            .start_with(prepare);
        let config = format!(
            r#"
{SIGNED}
parent_servers = ["127.0.0.1:{}"]
policy = "quick"
policies.quick = {{ propagation = "{propagation}", parent_propagation = "0s", parent_ds_ttl = "1s"{policy} }}

[state]
directory = "state"

[regions.fra]
[regions.iad]

[[services]]
name = "www.example.test"
ttl = 1
order = "none"
answers = 2
[services.endpoints]
fra = ["192.0.2.10", "192.0.2.11"]
iad = ["192.0.2.20"]
"#,
            parent.address().port()
        );
        let child = Setup::new()
            .zone("example.test", ZONE)
            .config(&config)
            .start_with(prepare);
        let zones = [("test", &parent), ("example.test", &child)];
        let unbound = Unbound::of_chain_at(&parent, &zones, prepare);
        let family = Family {
            parent,
            child,
            unbound,
            clock,
        };
        family.register();
        family.ask();
        family
    }

    /// Runs `meridian keys` on the keys of the child.
    #[track_caller]
    fn keys(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
        if let Some(clock) = &self.clock {
            clock.apply(&mut command);
        }
        let output = command
            .arg("keys")
            .args(arguments)
            .arg("--config")
            .arg(self.child.config_file())
            .output()
            .expect("the binary of this crate can be run");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}{complaint}");
        said
    }

    /// Puts these DS records into the parent's zone.
    fn publish(&self, records: &str) {
        let path = self.parent.folder().join("zones/test.zone");
        fs::write(path, format!("{PARENT}{records}")).expect("the folder is ours");
        let before = self.parent.log().matches("reloaded").count();
        self.parent.reload();
        self.parent.await_log("reloaded", before + 1);
    }

    /// Gives the parent the DS records that the child's operator sees.
    fn register(&self) {
        let records = self.keys(&["ds", "example.test"]);
        self.publish(&records.replace(" IN DS ", " 1 IN DS "));
    }

    /// Every kind of answer is secure now.
    #[track_caller]
    fn ask(&self) {
        for (name, rtype) in [
            ("host.example.test", "A"),
            ("www.example.test", "A"),
            ("x.wild.example.test", "A"),
            ("nothing.example.test", "A"),
            ("example.test", "DNSKEY"),
            ("example.test", "CDS"),
        ] {
            self.unbound.ask(name, rtype);
        }
    }

    /// The step of the roll, and what `meridian keys list` says of it.
    fn step(&self) -> (String, String) {
        let said = self.keys(&["list", "--json"]);
        let keys: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
        let roll = &keys[0]["roll"];
        let word = |key: &str| roll[key].as_str().unwrap_or_default().to_owned();
        (word("step"), word("state"))
    }

    /// Begins a roll and carries it to its end; returns its steps and their sentences.
    #[track_caller]
    fn roll(&self, arguments: &[&str]) -> Vec<(String, String)> {
        let before = self.tags();
        self.keys(&[&["roll", "example.test"], arguments].concat());
        self.child.reload();
        let mut steps: Vec<(String, String)> = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(240);
        loop {
            self.ask();
            let (step, state) = self.step();
            if steps.last().is_none_or(|(last, _)| *last != step) {
                expect_secure_below(&self.parent, &self.unbound, "test", "host.example.test");
                steps.push((step.clone(), state.clone()));
            }
            if state.starts_with("waits for the parent to publish") {
                self.register();
            }
            if step == "done" {
                break;
            }
            assert!(Instant::now() < deadline, "{steps:?}\n{}", self.child.log());
        }
        self.ask();
        assert_ne!(self.tags(), before, "the keys are others");
        steps
    }

    /// Puts the clock ahead, and waits until both servers have signed anew.
    fn advance(&self, days: u32) {
        let servers = [&self.parent, &self.child];
        let before = servers.map(|server| server.log().matches("reloaded").count());
        let clock = self.clock.as_ref().expect("the family is under one");
        clock.set_ahead(days);
        for (server, before) in servers.into_iter().zip(before) {
            server.await_log("reloaded", before + 1);
        }
    }

    /// The tags of the keys in the DNSKEY set.
    fn tags(&self) -> Vec<String> {
        let reply = self.unbound.ask("example.test", "DNSKEY");
        let mut keys = Vec::new();
        for line in reply.lines().filter(|line| line.contains("\tDNSKEY\t")) {
            keys.push(line.split('\t').next_back().unwrap_or_default().to_owned());
        }
        keys.sort();
        keys
    }
}

fn words(steps: &[(String, String)]) -> Vec<&str> {
    let words = steps.iter().map(|(step, _)| step.as_str());
    words.collect()
}

/// Short steps may pass between two looks.
#[track_caller]
fn expect_order(steps: &[(String, String)], all: &[&str]) {
    let mut rest = all.iter();
    for word in words(steps) {
        assert!(rest.any(|it| *it == word), "{word} in {steps:?}");
    }
}

#[test]
fn rfc6781_section_4_1_1_1_a_zsk_is_rolled_by_pre_publication() {
    let family = Family::start(", split_keys = true");
    let steps = family.roll(&["--zsk"]);
    expect_order(&steps, &["publish", "retire", "done"]);
}

#[test]
fn rfc6781_section_4_1_2_the_only_key_is_rolled_when_the_parent_has_the_new_one() {
    let family = Family::start("");
    let steps = family.roll(&[]);
    expect_order(&steps, &["publish", "submit", "retire", "done"]);
    assert!(words(&steps).contains(&"submit"), "{steps:?}");
}

#[test]
fn rfc6781_section_4_1_4_an_algorithm_is_rolled_with_two_signatures_of_everything() {
    let family = Family::start("");
    let steps = family.roll(&["--algorithm", "ed25519"]);
    expect_order(
        &steps,
        &["sign-ahead", "publish", "submit", "sign-behind", "done"],
    );
    for key in family.tags() {
        assert!(key.starts_with("257 3 15 "), "{key}");
    }
}

#[test]
fn rfc8078_section_4_a_zone_becomes_unsigned_when_no_cache_has_its_ds_record() {
    let family = Family::start("");
    family.keys(&["ds", "example.test", "--delete"]);
    family.child.reload();
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let cds = family.unbound.ask_any("example.test", "CDS");
        if cds.contains("CDS\t0 0 0 00") {
            break;
        }
        assert!(Instant::now() < deadline, "{cds}");
    }
    family.publish("");
    while family.step().0 != "done" {
        family.unbound.ask_any("host.example.test", "A");
        assert!(Instant::now() < deadline, "{:?}", family.step());
    }
    // Unsigned now, and nobody minds.
    let file = family.child.config_file();
    let config = fs::read_to_string(&file).expect("it is ours");
    let config = config.replace("sign = \"*\"", "sign = []");
    fs::write(&file, config).expect("it is ours");
    let before = family.child.log().matches("reloaded").count();
    family.child.reload();
    family.child.await_log("reloaded", before + 1);
    let reply = family.unbound.ask_any("host.example.test", "A");
    assert!(reply.contains("status: NOERROR"), "{reply}");
}

#[test]
fn rfc6781_section_4_1_2_a_ksk_is_rolled_when_the_parent_has_the_new_one() {
    let family = Family::start(", split_keys = true");
    let steps = family.roll(&["--ksk"]);
    expect_order(&steps, &["publish", "submit", "done"]);
    let (said, is_good) = check_online(&family);
    assert!(is_good, "{said}");
}

#[test]
fn a_ksk_is_rolled_while_the_clock_runs_through_two_lives_of_signatures() {
    let family = Family::start_at("1s", ", split_keys = true", Some(TestClock::new()));
    let before = family.tags();
    family.keys(&["roll", "example.test", "--ksk"]);
    family.child.reload();
    // Signatures are good for 14 days. The clock jumps at every step of the roll; where the resolver did not see it
    // jump, all signatures would be of the future.
    let mut days = 0;
    let deadline = Instant::now() + Duration::from_secs(240);
    loop {
        family.ask();
        let (step, state) = family.step();
        let until = match step.as_str() {
            "publish" => 8,
            "submit" => 24,
            _ => 32,
        };
        if days < until {
            days += 8;
            family.advance(days);
            family.ask();
        } else if state.starts_with("waits for the parent to publish") {
            family.register();
        } else if step == "done" {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{step}: {state}\n{}",
            family.child.log()
        );
    }
    family.ask();
    assert_ne!(family.tags(), before, "the keys are others");
}

#[test]
fn a_roll_can_be_taken_back_while_its_key_is_only_published() {
    let family = Family::start_with("1h", ", split_keys = true");
    let before = family.tags();
    family.keys(&["roll", "example.test", "--ksk"]);
    family.child.reload();
    let deadline = Instant::now() + Duration::from_secs(60);
    while family.tags().len() == before.len() {
        assert!(Instant::now() < deadline, "{}", family.child.log());
    }
    let said = family.keys(&["roll", "example.test", "--cancel"]);
    assert!(
        said.contains("example.test keeps its keys: a roll was taken back"),
        "{said}"
    );
    family.child.reload();
    while family.tags() != before {
        family.ask();
        assert!(Instant::now() < deadline, "{}", family.child.log());
    }
    family.ask();
    assert_eq!(family.step().0, "done");
    // There is nothing left to take back.
    let output = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["keys", "roll", "example.test", "--cancel", "--config"])
        .arg(family.child.config_file())
        .output()
        .expect("the binary of this crate can be run");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("no roll is under way"), "{complaint}");
}

/// What `meridian check --online` prints of the child, and whether it is content.
fn check_online(family: &Family) -> (String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["check", "--online", "--config"])
        .arg(family.child.config_file())
        .output()
        .expect("the binary of this crate can be run");
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    (said, output.status.success())
}

#[test]
fn a_check_compares_the_parent_with_the_keys() {
    let family = Family::start("");
    assert!(check_online(&family).1);
    family.publish("");
    let (said, is_good) = check_online(&family);
    assert!(
        is_good && said.contains("the parent of example.test has no DS record"),
        "{said}"
    );
    let other = "example DS 12345 13 2 \
                 0000000000000000000000000000000000000000000000000000000000000000\n";
    family.publish(other);
    let (said, is_good) = check_online(&family);
    assert!(!is_good, "{said}");
    assert!(
        said.contains("has a DS record (12345) that is of no key of the zone, and no other"),
        "{said}"
    );
    let both = family.keys(&["ds", "example.test"]) + other;
    family.publish(&both);
    let (said, is_good) = check_online(&family);
    assert!(
        is_good && said.contains("of no key of the zone; have it removed"),
        "{said}"
    );
    // The child forgets to sign.
    let config = fs::read_to_string(family.child.config_file()).expect("it is ours");
    fs::write(
        family.child.config_file(),
        config.replace("sign = \"*\"", "sign = \"other.test\""),
    )
    .expect("it is ours");
    let other = family.child.folder().join("zones/other.test.zone");
    fs::write(other, ZONE).expect("it is ours");
    let (said, is_good) = check_online(&family);
    assert!(
        !is_good && said.contains("but the zone is not signed"),
        "{said}"
    );
}
