//! Zones that dnssec-signzone and ldns-signzone have signed with NSEC3: delv and unbound validate every kind of answer, with
//! salt, iterations and opt-out.

use std::fs;

use crate::harness::{Server, Setup};
use crate::presigned::{QUESTIONS, SignedFile, start};
use crate::programs::{Unbound, dig_signed, expect_secure, printed, write_anchors_of};
use crate::world;

/// Below `unsigned`, there are only delegations without DS records.
const MORE: &str = "
sub.deep.unsigned NS ns.elsewhere.example.
other.unsigned NS ns.elsewhere.example.
*.stars TXT words
";

fn zone() -> String {
    format!("{}{MORE}", world::ZONE)
}

/// Asserts that delv and unbound validate answers of every kind.
#[track_caller]
fn expect_all_secure(server: &Server, file: &SignedFile) {
    let unbound = Unbound::with_keys(server, "example.test", &file.keys());
    for question in QUESTIONS {
        let (name, rtype) = question.split_once(' ').expect("two words");
        expect_secure(server, "example.test", name, rtype);
        // What it leads to is found in caches of resolvers only, not here.
        if !name.starts_with("outside.") {
            unbound.ask(name, rtype);
        }
    }
}

#[test]
fn every_kind_of_answer_of_a_file_with_hashes_of_dnssec_signzone_is_secure() {
    for more in [&["-3", "-"][..], &["-3", "aabbccdd", "-H", "7"]] {
        let file = SignedFile::of_bind("example.test", &zone(), more);
        let server = start(&file);
        expect_all_secure(&server, &file);
    }
}

#[test]
fn every_kind_of_answer_of_a_file_with_hashes_of_ldns_signzone_is_secure() {
    let more = ["-n", "-s", "1234", "-t", "3"];
    let file = SignedFile::of_ldns("example.test", &zone(), &more);
    let server = start(&file);
    expect_all_secure(&server, &file);
}

/// A server of the zone, and unbound, which finds unsigned zones below it at a server of their own.
fn with_unsigned_zones(file: &SignedFile) -> (Server, Server, Unbound) {
    let server = start(file);
    let text = "$TTL 300\n@ SOA ns.elsewhere.example. h 1 7200 1800 259200 30\n@ NS ns.elsewhere.example.\n\
                www A 192.0.2.99\n";
    let below = ["insecure", "sub.deep.unsigned", "other.unsigned"]
        .map(|label| format!("{label}.example.test"));
    let mut setup = Setup::new();
    for zone in &below {
        setup = setup.zone(zone, text);
    }
    let other = setup.start();
    let mut zones = vec![("example.test", vec![server.address().port()])];
    for zone in &below {
        zones.push((zone, vec![other.address().port()]));
    }
    let no_cache = "  cache-max-ttl: 0\n  cache-max-negative-ttl: 0";
    let unbound = Unbound::of_ports(&file.keys(), &zones, no_cache);
    (server, other, unbound)
}

#[test]
fn rfc5155_section_7_2_names_that_opt_out_are_shown_to_be_unsigned() {
    let ldns = ["-n", "-p", "-s", "beef", "-t", "1"];
    for (file, leaves_out) in [
        (
            SignedFile::of_bind("example.test", &zone(), &["-3", "beef", "-A"]),
            true,
        ),
        // It sets the flag, and makes records of all names nevertheless.
        (SignedFile::of_ldns("example.test", &zone(), &ldns), false),
    ] {
        let (server, _other, unbound) = with_unsigned_zones(&file);
        for (question, status, is_secure) in [
            // Signed names are as secure as ever.
            ("host.example.test A", "NOERROR", true),
            ("host.example.test MX", "NOERROR", true),
            ("names.example.test A", "NOERROR", true),
            ("secure.example.test DS", "NOERROR", true),
            // Where something may have been left out, nothing is proved, and nothing is bogus.
            ("missing.example.test A", "NXDOMAIN", false),
            ("a.b.missing.example.test A", "NXDOMAIN", false),
            ("x.stars.example.test TXT", "NOERROR", false),
            ("x.stars.example.test A", "NOERROR", false),
            ("insecure.example.test DS", "NOERROR", false),
            ("sub.deep.unsigned.example.test DS", "NOERROR", false),
            ("deep.unsigned.example.test A", "NOERROR", false),
            ("unsigned.example.test A", "NOERROR", false),
            ("x.unsigned.example.test A", "NXDOMAIN", false),
            ("x.deep.unsigned.example.test A", "NXDOMAIN", false),
            ("www.insecure.example.test A", "NOERROR", false),
            ("www.sub.deep.unsigned.example.test A", "NOERROR", false),
            ("www.other.unsigned.example.test A", "NOERROR", false),
        ] {
            let (name, rtype) = question.split_once(' ').expect("two words");
            let reply = unbound.ask_any(name, rtype);
            assert!(
                reply.contains(&format!("status: {status}")),
                "{question}:\n{reply}"
            );
            let flags = reply.lines().find(|line| line.starts_with(";; flags:"));
            let has_ad = flags.is_some_and(|flags| flags.contains(" ad"));
            assert!(
                has_ad == is_secure || !is_secure && !leaves_out,
                "{question}:\n{reply}"
            );
        }
        for name in [
            "insecure.example.test",
            "x.insecure.example.test",
            "sub.deep.unsigned.example.test",
            "www.sub.deep.unsigned.example.test",
        ] {
            let reply = dig_signed(
                &server,
                name,
                if name.starts_with("x.") { "A" } else { "DS" },
            );
            let count = reply.matches(" IN NSEC3 1 1 ").count();
            assert!(
                (1..=2).contains(&count),
                "{count} records for {name}:\n{reply}"
            );
        }
    }
}

#[test]
fn rfc5155_section_7_2_8_the_owner_of_a_record_does_not_exist() {
    let file = SignedFile::of_bind("example.test", &zone(), &["-3", "-"]);
    let server = start(&file);
    let text = file.text();
    let line = text.lines().find(|line| line.contains("NSEC3 1 0 0 -"));
    let owner = line
        .and_then(|line| line.split_whitespace().next())
        .expect("a record");
    for rtype in ["NSEC3", "A", "RRSIG"] {
        let reply = dig_signed(&server, owner, rtype);
        assert!(reply.contains("status: NXDOMAIN"), "{reply}");
        expect_secure(&server, "example.test", owner, "A");
    }
    // The parameters are a record like any other.
    expect_secure(&server, "example.test", "example.test", "NSEC3PARAM");
}

#[test]
fn rfc9276_section_3_iterations_are_warned_of_and_many_are_refused() {
    let few = SignedFile::of_bind("example.test", &zone(), &["-3", "-", "-H", "10"]);
    let server = start(&few);
    server.await_log("records have 10 iterations", 1);
    let none = SignedFile::of_bind("example.test", &zone(), &["-3", "-"]);
    let many = none
        .text()
        .replace("NSEC3PARAM 1 0 0 -", "NSEC3PARAM 1 0 51 -");
    let (config, _folder) = Setup::new().zone("example.test", &many).written();
    let config = config.display().to_string();
    let check = ["check", "--config", &config];
    let said = printed(env!("CARGO_BIN_EXE_meridian"), "meridian", &check);
    assert!(
        said.contains("is signed with 51 iterations of NSEC3"),
        "{said}"
    );
}

#[test]
fn a_broken_chain_of_hashes_is_warned_of() {
    let file = SignedFile::of_bind("example.test", &zone(), &["-3", "-"]);
    let text = file.text();
    // The record of one name is gone, with its signatures.
    let line = text.lines().find(|line| line.contains("NSEC3 1 0 0 -"));
    let owner = line
        .and_then(|line| line.split_whitespace().next())
        .expect("a record");
    let mut kept = String::new();
    let mut skips = false;
    for line in text.lines() {
        if !line.starts_with(char::is_whitespace) {
            skips = line.starts_with(owner);
        }
        if !skips {
            kept += line;
            kept.push('\n');
        }
    }
    assert!(kept.len() < text.len());
    let server = Setup::new().zone("example.test", &kept).start();
    write_anchors_of(&server, &file.keys());
    server.await_log("NSEC3 record", 1);
    // And a file whose records belong to no chain proves nothing.
    let without = text.replace("NSEC3PARAM 1 0 0 -", "TYPE65400 \\# 1 00");
    let server = Setup::new().zone("example.test", &without).start();
    server.await_log("neither NSEC records nor NSEC3 records", 1);
    drop(fs::read_to_string(file.keys().join("signed")));
}
