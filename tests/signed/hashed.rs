//! Zones that deny with NSEC3: delv and unbound validate every kind of answer, dnssec-verify and ldns-verify-zone the
//! whole zone as clients see it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use meridian::dns::Name;
use meridian::dnssec::nsec3::{nsec3_hash, nsec3_label};

use crate::answers::{expect_all_secure, expect_any_secure};
use crate::elsewhere::{Signer, expect_secure_sample};
use crate::failover::{await_addresses, services};
use crate::harness::{Region, Server};
use crate::programs::{
    Unbound, dig_signed, expect_secure, printed, write_anchors, write_anchors_of,
};
use crate::world;

/// The names of the zone that have records, and those that others lie below.
const NAMES: [&str; 23] = [
    "example.test",
    "ns1.example.test",
    "mail.example.test",
    "host.example.test",
    "text.example.test",
    "upper.example.test",
    "outside.example.test",
    "names.example.test",
    "ent.names.example.test",
    "deep.ent.names.example.test",
    "wild.example.test",
    "*.wild.example.test",
    "alias.example.test",
    "*.alias.example.test",
    "other.example.test",
    "x.other.example.test",
    "dname.example.test",
    "insecure.example.test",
    "x.insecure.example.test",
    "secure.example.test",
    "x.secure.example.test",
    "below.example.test",
    "missing.example.test",
];
const TYPES: [&str; 14] = [
    "SOA",
    "NS",
    "MX",
    "A",
    "AAAA",
    "TXT",
    "CNAME",
    "DNAME",
    "DS",
    "DNSKEY",
    "CDS",
    "CDNSKEY",
    "NSEC3PARAM",
    "HINFO",
];

#[test]
fn every_kind_of_answer_of_a_zone_with_hashes_is_secure() {
    let server = world::setup_denying("nsec3", world::SERVICES).start();
    write_anchors(&server);
    expect_all_secure(&server);
    expect_any_secure(&server);
    let unbound = Unbound::start(&server, "example.test");
    for question in crate::answers::STATIC.iter().chain(crate::answers::STEERED) {
        let (name, rtype) = question.split_once(' ').expect("two words");
        // What the zone has for others is found in caches of resolvers only, not here.
        if name.starts_with("outside.") || name.starts_with("named.") {
            continue;
        }
        let reply = unbound.ask(name, rtype);
        assert!(!reply.contains("\tNSEC\t"), "{reply}");
    }
}

#[test]
fn a_server_without_keys_denies_with_hashes_while_regions_die() {
    let signer = Signer::of(world::setup_denying("nsec3", world::SERVICES));
    let (bundle, _) = signer.sign();
    let server = world::setup_elsewhere(world::SERVICES, &bundle)
        .config(&world::policy("nsec3"))
        .start();
    write_anchors_of(&server, &signer.keys());
    expect_secure_sample(&server);
    drop(server);
    let first = Region::start("127.0.1.1", 0);
    let second = Region::start("127.0.1.2", first.port);
    let other = Region::start("127.0.2.1", first.port);
    let services = services(first.port);
    let signer = Signer::of(world::setup_denying("nsec3", &services));
    let server = world::setup_elsewhere(&services, &signer.sign().0)
        .config(&world::policy("nsec3"))
        .start();
    let unbound = Unbound::with_keys(&server, "example.test", &signer.keys());
    for region in [&first, &second, &other] {
        region.set_broken(true);
    }
    // Each of these denials says that the name has no address now.
    await_addresses(&unbound, &[]);
    write_anchors_of(&server, &signer.keys());
    expect_secure(&server, "example.test", "www.example.test", "ANY");
    other.set_broken(false);
    await_addresses(&unbound, &["127.0.2.1"]);
}

/// Asks the server and returns all records of the replies, as dig prints them.
fn records(server: &Server, questions: &[(String, &str)]) -> BTreeSet<String> {
    let port = server.address().port().to_string();
    let mut text = String::new();
    for (name, rtype) in questions {
        writeln!(text, "{name} {rtype}").expect("it is memory");
    }
    let batch = server.folder().join("questions");
    fs::write(&batch, text).expect("the folder is ours");
    let batch = batch.display().to_string();
    let arguments = [
        "@127.0.0.1",
        "-p",
        &port,
        "+noall",
        "+answer",
        "+authority",
        "+additional",
        "+dnssec",
        "+nocrypto",
        "+crypto",
        "+tcp",
        "+norecurse",
        "+nosplit",
        "-f",
        &batch,
    ];
    let said = printed("dig", "bind9-dnsutils", &arguments);
    let mut found = BTreeSet::new();
    for line in said.lines().filter(|line| !line.is_empty()) {
        // The SOA of a denial has another TTL.
        let is_of_denial = line.contains("\t30\tIN\tSOA") || line.contains("\t30\tIN\tRRSIG\tSOA");
        // Of the zone below, this one has the delegation.
        let is_below = line.contains("below.example.test.") && !line.contains("\tIN\tNS\t");
        if !line.starts_with(';') && !is_of_denial && !is_below {
            found.insert(line.to_owned());
        }
    }
    found
}

/// The NSEC3 records: the label of each, and that of the next.
fn chain(records: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut chain = BTreeMap::new();
    for record in records {
        let words: Vec<&str> = record.split_whitespace().collect();
        if words[3] == "NSEC3" {
            let (label, _) = words[0].split_once('.').expect("labels");
            chain.insert(label.to_ascii_lowercase(), words[8].to_ascii_lowercase());
        }
    }
    chain
}

/// A name that does not exist, whose hash is right behind that of a label.
fn name_behind(label: &str) -> String {
    let mut best: Option<(String, String)> = None;
    for number in 0..100_000 {
        let name = format!("guess{number}.example.test");
        let wire = name.parse::<Name>().expect("a name");
        let hash = nsec3_label(&nsec3_hash(wire.as_wire()));
        let hash = String::from_utf8_lossy(&hash).into_owned();
        if *hash > *label && best.as_ref().is_none_or(|(least, _)| hash < *least) {
            best = Some((hash, name));
        }
    }
    best.expect("one is behind").1
}

/// The zone as clients see it: every name with every type, and guesses until the chain is a circle.
fn seen_zone(server: &Server) -> String {
    let mut questions = Vec::new();
    for name in NAMES {
        for rtype in TYPES {
            questions.push((name.to_owned(), rtype));
        }
    }
    let mut found = records(server, &questions);
    loop {
        let chain = chain(&found);
        let missing = chain.values().find(|next| !chain.contains_key(*next));
        let Some(missing) = missing else { break };
        let before = found.len();
        found.append(&mut records(server, &[(name_behind(missing), "A")]));
        assert!(found.len() > before, "{missing} is not there");
    }
    let mut text = String::new();
    for record in found {
        text += &record;
        text.push('\n');
    }
    text
}

#[test]
fn rfc5155_section_7_1_the_whole_zone_passes_the_verifiers_of_bind_and_ldns() {
    let server = world::setup_denying("nsec3", "").start();
    let zone = seen_zone(&server);
    // The chain has the names with records, those above them, and the delegations, and nothing else.
    assert_eq!(zone.matches(" IN NSEC3 1 0 0 -").count(), 20, "{zone}");
    let path = server.folder().join("seen");
    fs::write(&path, &zone).expect("the folder is ours");
    for (program, arguments) in [
        ("dnssec-verify", &["-z", "-q", "-o", "example.test"][..]),
        ("ldns-verify-zone", &[]),
    ] {
        let search = std::env::var("PATH").unwrap_or_default();
        let output = Command::new(program)
            .env("PATH", format!("{search}:/usr/sbin:/usr/local/sbin"))
            .args(arguments)
            .arg(&path)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {said}\n{zone}");
    }
}

#[test]
fn rfc5155_section_7_2_a_denial_has_the_records_that_it_needs_and_no_more() {
    let server = world::setup_denying("nsec3", world::SERVICES).start();
    for (name, rtype, at_most) in [
        ("host.example.test", "MX", 1),
        ("names.example.test", "A", 1),
        ("insecure.example.test", "DS", 1),
        ("x.insecure.example.test", "A", 1),
        ("a.wild.example.test", "A", 1),
        ("x.secure.example.test", "A", 0),
        ("host.example.test", "NSEC", 1),
        ("a.wild.example.test", "AAAA", 3),
        ("a.b.nothing.example.test", "A", 3),
        ("host.example.test", "A", 0),
    ] {
        let reply = dig_signed(&server, name, rtype);
        let count = reply.matches(" IN NSEC3 1 0 0 -").count();
        let is_good = count <= at_most && (count > 0 || at_most == 0);
        assert!(is_good, "{count} records for {name} {rtype}:\n{reply}");
    }
}
