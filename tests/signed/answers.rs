//! Every kind of answer is secure for delv.

use crate::harness::Server;
use crate::harness::types::{A, MX};
use crate::programs::{dig, expect_secure, write_anchors};
use crate::world;

const RRSIG: u16 = 46;

fn start() -> Server {
    let server = world::setup(world::SERVICES).start();
    write_anchors(&server);
    server
}

/// Questions about everything in the zone, and what is not there.
pub const STATIC: &[&str] = &[
    "example.test SOA",
    "example.test NS",
    "example.test MX",
    "example.test DNSKEY",
    "example.test CDS",
    "example.test CDNSKEY",
    "example.test TXT",
    "example.test ANY",
    "host.example.test A",
    "host.example.test AAAA",
    "host.example.test MX",
    "host.example.test NSEC",
    "HOST.Example.TEST A",
    "text.example.test TXT",
    // An alias inside the zone, one that leads out of it, and one to a name without the type.
    "upper.example.test A",
    "outside.example.test CNAME",
    "upper.example.test MX",
    // Empty non-terminals.
    "names.example.test A",
    "ent.names.example.test A",
    "deep.ent.names.example.test A",
    // Wildcards: data, no data, an alias, and names that are asked for as they are.
    "a.wild.example.test A",
    "a.b.wild.example.test TXT",
    "a.wild.example.test AAAA",
    "*.wild.example.test A",
    "wild.example.test A",
    "a.alias.example.test A",
    "a.alias.example.test MX",
    // DNAME: what is there below its target, and what is not.
    "x.dname.example.test A",
    "y.dname.example.test A",
    "dname.example.test DNAME",
    // Delegations, signed and not.
    "insecure.example.test DS",
    "secure.example.test DS",
    "below.example.test DS",
    // Names that do not exist: before all others, between, behind, and far below.
    "a.example.test A",
    "nothing.example.test A",
    "zzz.example.test A",
    "a.b.c.d.nothing.example.test A",
    "a.host.example.test A",
];
/// The same about the zone below.
pub const BELOW: [&str; 3] = [
    "below.example.test SOA",
    "host.below.example.test A",
    "a.below.example.test A",
];
/// Questions for steered names.
pub const STEERED: &[&str] = &[
    "www.example.test A",
    "www.example.test AAAA",
    "www.example.test TXT",
    "a.www.example.test A",
    "a.www.example.test AAAA",
    "a.b.www.example.test TXT",
    "several.example.test A",
    "several.example.test AAAA",
    "several.example.test HTTPS",
    "sticky.example.test A",
    "sticky.example.test AAAA",
    "turns.example.test A",
    "named.example.test A",
    "named.example.test CNAME",
    "named.example.test TXT",
    "mx.example.test MX",
    "mx.example.test A",
    "_sip._tcp.example.test SRV",
    "_tcp.example.test A",
];

/// Asserts that delv validates every kind of answer.
pub fn expect_all_secure(server: &Server) {
    for question in STATIC {
        let (name, rtype) = question.split_once(' ').expect("two words");
        expect_secure(server, "example.test", name, rtype);
    }
    for question in BELOW {
        let (name, rtype) = question.split_once(' ').expect("two words");
        expect_secure(server, "below.example.test", name, rtype);
    }
    for question in STEERED {
        let (name, rtype) = question.split_once(' ').expect("two words");
        // Each query draws anew.
        for _ in 0..4 {
            expect_secure(server, "example.test", name, rtype);
        }
    }
}

/// Asserts that ANY gets something that is signed, of names and wildcards that have only a service, too.
pub fn expect_any_secure(server: &Server) {
    for name in [
        "host",
        "x.wild",
        "www",
        "a.www",
        "a.b.www",
        "several",
        "named",
        "mx",
        "_sip._tcp",
    ] {
        let name = format!("{name}.example.test");
        expect_secure(server, "example.test", &name, "ANY");
    }
}

#[test]
fn every_kind_of_answer_is_secure() {
    let server = start();
    expect_all_secure(&server);
    expect_any_secure(&server);
}

#[test]
fn only_queries_that_ask_for_signatures_get_them() {
    let server = start();
    for (name, rtype) in [
        ("www.example.test", A),
        ("host.example.test", A),
        ("none.example.test", MX),
    ] {
        let reply = server.ask(name, rtype).send();
        for record in reply
            .message
            .answers
            .iter()
            .chain(&reply.message.authorities)
        {
            assert_ne!(record.rtype, RRSIG, "{name}");
        }
    }
}

#[test]
fn signatures_can_be_asked_for_by_their_type() {
    let server = start();
    let reply = server.ask("host.example.test", RRSIG).send();
    assert_eq!(reply.message.answers.len(), 2, "A and AAAA");
    for record in &reply.message.answers {
        assert_eq!(record.rtype, RRSIG);
    }
}

#[test]
fn a_set_that_does_not_fit_with_its_signatures_is_truncated_and_whole_over_tcp() {
    let server = start();
    let keys = [
        "+dnssec",
        "+bufsize=512",
        "+ignore",
        "example.test",
        "DNSKEY",
    ];
    let short = dig(&server, &keys);
    assert!(
        !short.contains(" tc "),
        "one key fits into 512 octets:\n{short}"
    );
    let name = "a.b.c.nothing.example.test";
    let denied = ["+dnssec", "+bufsize=512", "+ignore", name, "A"];
    let short = dig(&server, &denied);
    assert!(short.contains("flags: qr aa tc"), "{short}");
    let whole = dig(&server, &[&denied[..], &["+tcp"]].concat());
    assert!(!whole.contains(" tc "), "{whole}");
    assert_eq!(whole.matches("RRSIG\tNSEC").count(), 2, "{whole}");
}
