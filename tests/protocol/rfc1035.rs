//! RFC 1035: header, question, names on the wire.

use std::time::{Duration, Instant};

use crate::harness::query::{Question, header, wire_name};
use crate::harness::reply::check_any;
use crate::harness::server::{read_framed, write_framed};
use crate::harness::types::*;
use crate::harness::{Transport, rcodes};
use crate::world::{server, setup};

#[test]
fn section_4_1_1_id_and_question_come_back() {
    let server = server();
    for id in [0, 1, 0x8000, 0xffff] {
        let question = Question {
            id,
            ..Question::new("example.test", SOA)
        };
        let reply = server
            .put(question.clone())
            .send()
            .expect_authoritative(true);
        let reply = reply.expect_answer(&[
            "example.test. 3600 SOA ns1.example.test. hostmaster.example.test. 7 14400 3600 1209600 300",
        ]);
        assert_eq!((reply.message.id, reply.message.opt.is_some()), (id, false));
        server
            .put(question)
            .over_tcp()
            .send()
            .expect_authoritative(true);
    }
}

#[test]
fn section_4_1_1_flags_of_the_query_change_nothing() {
    let server = server();
    for flag in [0x0100, 0x0040, 0x0020, 0x0010, 0x0400, 0x0200, 0x0080] {
        server
            .ask("host.example.test", A)
            .with_flags(flag)
            .expect_address("192.0.2.1");
    }
    let checking_disabled = server.ask("host.example.test", A).with_flags(0x0010).send();
    assert_eq!(
        checking_disabled.message.flags & 0x0010,
        0x0010,
        "CD is copied (RFC 4035 section 3.1.6)"
    );
}

#[test]
fn section_4_1_1_responses_get_no_reply() {
    let server = server();
    let question = Question {
        flags: 0x8100,
        ..Question::new("host.example.test", A)
    };
    assert_eq!(server.silence_after(&question.octets()), None);
    assert_eq!(server.silence_after(&header(1, 0x8000, [0, 0, 0, 0])), None);
    server
        .ask("host.example.test", A)
        .expect_address("192.0.2.1");
}

#[test]
fn section_4_1_1_other_opcodes_are_not_implemented() {
    let server = server();
    for opcode in 1..16u16 {
        let flags = opcode << 11;
        let question = Question {
            flags,
            ..Question::new("example.test", SOA)
        };
        let reply = server.put(question).send().expect_error(rcodes::NOTIMP);
        assert_eq!(reply.message.opcode(), opcode);
        let bare = header(7, flags, [0, 0, 0, 0]);
        let reply = server
            .exchange(&bare, Transport::Udp)
            .expect("a reply to a bare header");
        assert_eq!(
            check_any(&bare, Transport::Udp, &reply).rcode(),
            rcodes::NOTIMP
        );
    }
}

#[test]
fn section_4_1_a_message_without_a_header_gets_no_reply() {
    let server = server();
    let whole = Question::new("host.example.test", A).octets();
    for length in [0, 1, 2, 11] {
        assert_eq!(
            server.silence_after(&whole[..length]),
            None,
            "{length} octets"
        );
    }
}

#[test]
fn section_4_1_a_cut_question_is_malformed() {
    let server = server();
    let whole = Question::new("host.example.test", A).octets();
    for length in 12..whole.len() {
        malformed(&server, &whole[..length]);
    }
    malformed(&server, &[&whole[..], b"more"].concat());
}

#[track_caller]
fn malformed(server: &crate::harness::Server, message: &[u8]) {
    let reply = server.exchange(message, Transport::Udp).expect("FORMERR");
    let reply = check_any(message, Transport::Udp, &reply);
    assert!(
        reply.rcode() == rcodes::FORMERR && reply.is_bare(),
        "{reply:?}"
    );
    assert!(
        reply.length <= message.len().max(12),
        "nothing is repeated back"
    );
}

#[test]
fn section_4_1_counts_must_hold_what_they_say() {
    let server = server();
    let question = Question::new("host.example.test", A).question_octets();
    let answer = [&question[..], &[0, 0, 0, 0, 0, 4, 192, 0, 2, 1]].concat();
    for counts in [
        [1, 1, 0, 0],
        [1, 0, 1, 0],
        [1, 0, 0, 1],
        [1, 65535, 65535, 65535],
    ] {
        malformed(&server, &[header(1, 0, counts), question.clone()].concat());
    }
    malformed(
        &server,
        &[header(1, 0, [1, 1, 0, 0]), question, answer].concat(),
    );
}

#[test]
fn section_2_3_4_labels_of_63_and_names_of_255_octets_are_names() {
    let server = server();
    let label = "x".repeat(63);
    server
        .ask(&format!("{label}.example.test"), A)
        .expect_no_name();
    let long = format!("{label}.{label}.{label}.{}.example.test", "y".repeat(48));
    assert_eq!(wire_name(&long).len(), 255);
    server.ask(&long, A).expect_no_name();
    let many = format!("{}example.test", "a.".repeat(120));
    server.ask(&many, A).expect_no_name();
    for length in [49, 63] {
        let question = Question::new(
            &format!(
                "{label}.{label}.{label}.{}.example.test",
                "y".repeat(length)
            ),
            A,
        );
        malformed(&server, &question.octets());
    }
    malformed(
        &server,
        &Question::new(&format!("{}example.test", "a.".repeat(160)), A).octets(),
    );
}

#[test]
fn section_4_1_4_pointers_in_a_question_are_malformed() {
    let server = server();
    let pointers: [&[u8]; 7] = [
        b"\xc0\x0c",         // to itself
        b"\xc0\x20",         // ahead
        b"\xc0\x00",         // into the header
        b"\xff\xff",         // past the end
        b"\x01a\xc0\x0c",    // in a circle
        b"\xc0\x0e\xc0\x0c", // to and fro
        b"\x04host\xc0\x05", // a tail in the header
    ];
    for name in pointers {
        malformed(
            &server,
            &[&header(1, 0, [1, 0, 0, 0])[..], name, &[0, 1, 0, 1]].concat(),
        );
    }
    let chain: Vec<u8> = (0..100)
        .flat_map(|n| (0xc00cu16 + 2 * n).to_be_bytes())
        .collect();
    malformed(
        &server,
        &[&header(1, 0, [1, 0, 0, 0])[..], &chain, &[0, 1, 0, 1]].concat(),
    );
    for kind in [0x40, 0x80] {
        malformed(
            &server,
            &[
                &header(1, 0, [1, 0, 0, 0])[..],
                &[kind | 1, b'a', 0, 0, 1, 0, 1],
            ]
            .concat(),
        );
    }
}

/// Every reply to a test is checked to have no longer names than it must; these have names where that is hardest.
#[test]
fn section_4_1_4_names_in_data_point_at_the_question_and_at_aliases() {
    let zone = "
$TTL 1h
@            SOA   ns1 hostmaster 1 4h 1h 2w 10m
             NS    ns1
             NS    NS2
ns1          A     192.0.2.1
ns2          A     192.0.2.2
down         NS    a.ns.down
             NS    b.ns.down
             NS    ns1
a.ns.down    A     192.0.2.3
b.ns.down    A     192.0.2.4
*.wild       MX    10 one.Two.wild
             MX    20 two.wild
to-mail      CNAME mail.far.test.
to-nowhere   CNAME missing.far.test.
to-servers   CNAME far.test.
to-down      CNAME x.down.far.test.
to-pointer   CNAME pointer.far.test.
back.y       DNAME point.test.
";
    let far = "
$TTL 1h
@            SOA   ns.point.test. to-nowhere.point.test. 1 4h 1h 2w 10m
             NS    ns1.point.test.
             NS    ns.elsewhere.test.
mail         MX    10 a.mail.point.test.
             MX    20 b.mail.point.test.
             MX    30 mail
down         NS    ns1.point.test.
             NS    ns.down
ns.down      A     192.0.2.5
pointer      PTR   elsewhere.test.
";
    let service = r#"
[[services]]
name = "mail.point.test"
answers = 2
ttl = 30
[services.endpoints]
fra = [{ mx = "10 a.mx.mail.point.test." }, { mx = "10 b.mx.mail.point.test." }]
[[services]]
name = "*.web.point.test"
[services.endpoints]
fra = { cname = "x.web.point.test" }
"#;
    let server = setup()
        .zone("point.test", zone)
        .zone("far.test", far)
        .config(service)
        .start();
    let servers = [
        "down.point.test. 3600 NS a.ns.down.point.test.",
        "down.point.test. 3600 NS b.ns.down.point.test.",
        "down.point.test. 3600 NS ns1.point.test.",
    ];
    let glue = [
        "a.ns.down.point.test. 3600 A 192.0.2.3",
        "b.ns.down.point.test. 3600 A 192.0.2.4",
        "ns1.point.test. 3600 A 192.0.2.1",
    ];
    for asked in [
        "x.down.point.test",
        "ns.down.point.test",
        "b.NS.down.point.test",
        "x.a.ns.down.point.test",
    ] {
        server
            .ask(asked, A)
            .send()
            .expect_authority(&servers)
            .expect_additional(&glue);
    }
    let soa = "SOA ns1.point.test. hostmaster.point.test. 1 14400 3600 1209600 600";
    for asked in ["ns1", "x.ns1", "HostMaster", "aaa"] {
        let asked = format!("{asked}.point.test");
        server
            .ask(&asked, TXT)
            .send()
            .expect_authority(&[&format!("point.test. 600 {soa}")]);
    }
    server.ask("a.two.wild.point.test", MX).expect_answer(&[
        "a.two.wild.point.test. 3600 MX 10 one.Two.wild.point.test.",
        "a.two.wild.point.test. 3600 MX 20 two.wild.point.test.",
    ]);
    let far_soa =
        "far.test. 600 SOA ns.point.test. to-nowhere.point.test. 1 14400 3600 1209600 600";
    server
        .ask("to-nowhere.point.test", A)
        .send()
        .expect_rcode(rcodes::NXDOMAIN)
        .expect_authority(&[far_soa]);
    server
        .ask("to-mail.point.test", A)
        .send()
        .expect_rcode(rcodes::NOERROR)
        .expect_authority(&[far_soa]);
    server.ask("to-mail.point.test", MX).expect_answer(&[
        "to-mail.point.test. 3600 CNAME mail.far.test.",
        "mail.far.test. 3600 MX 10 a.mail.point.test.",
        "mail.far.test. 3600 MX 20 b.mail.point.test.",
        "mail.far.test. 3600 MX 30 mail.far.test.",
    ]);
    let reply = server.ask("to-servers.point.test", NS).expect_answer(&[
        "to-servers.point.test. 3600 CNAME far.test.",
        "far.test. 3600 NS ns.elsewhere.test.",
        "far.test. 3600 NS ns1.point.test.",
    ]);
    reply.expect_additional(&["ns1.point.test. 3600 A 192.0.2.1"]);
    let reply = server.ask("to-down.point.test", A).send();
    let reply = reply.expect_authority(&[
        "down.far.test. 3600 NS ns.down.far.test.",
        "down.far.test. 3600 NS ns1.point.test.",
    ]);
    reply.expect_additional(&[
        "ns.down.far.test. 3600 A 192.0.2.5",
        "ns1.point.test. 3600 A 192.0.2.1",
    ]);
    server.ask("to-pointer.point.test", PTR).expect_answer(&[
        "to-pointer.point.test. 3600 CNAME pointer.far.test.",
        "pointer.far.test. 3600 PTR elsewhere.test.",
    ]);
    server
        .ask("down.back.y.point.test", TXT)
        .send()
        .expect_authority(&servers);
    for asked in [
        "x.web.point.test",
        "y.x.web.point.test",
        "other.web.point.test",
    ] {
        server
            .ask(asked, TXT)
            .expect_answer(&[&format!("{asked}. 30 CNAME x.web.point.test.")]);
    }
    server.ask("mail.point.test", MX).expect_answer(&[
        "mail.point.test. 30 MX 10 a.mx.mail.point.test.",
        "mail.point.test. 30 MX 10 b.mx.mail.point.test.",
    ]);
}

#[test]
fn section_3_1_any_octet_may_stand_in_a_label() {
    let server = server();
    let ask = |wire: &[u8]| {
        server.put(Question {
            name: [wire, b"\x07example\x04test\0"].concat(),
            ..Question::new("", A)
        })
    };
    ask(b"\x05z\0\xff z").expect_address("192.0.2.5");
    // RFC 2181 section 11: a dot inside a label separates nothing.
    ask(b"\x07www.dot").expect_address("192.0.2.4");
    ask(b"\x03www\x03dot").expect_no_name();
}

#[test]
fn section_3_2_4_other_classes_are_refused() {
    let server = server();
    for class in [0, 2, 3, 4, 254, 255, 65280] {
        server
            .ask("host.example.test", A)
            .with_class(class)
            .expect_refused();
    }
    server
        .put(Question {
            class: 3,
            ..Question::new("version.bind", TXT)
        })
        .expect_refused();
}

#[test]
fn section_3_2_3_no_type_breaks_anything() {
    let server = server();
    for rtype in (0..=300).chain([1000, 32768, 32769, 65280, 65534, 65535]) {
        for name in [
            "host.example.test",
            "www.example.test",
            "missing.example.test",
            "x.wild.example.test",
        ] {
            let reply = server.ask(name, rtype).send();
            let rcode = reply.message.rcode();
            let expected: &[u16] = match name {
                "missing.example.test" => &[rcodes::NXDOMAIN, rcodes::REFUSED],
                _ => &[rcodes::NOERROR, rcodes::REFUSED],
            };
            assert!(
                expected.contains(&rcode),
                "{name} type {rtype}: {:?}",
                reply.message
            );
        }
    }
}

#[test]
fn rfc5936_transfers_are_refused_to_strangers() {
    let server = server();
    server.ask("example.test", AXFR).over_tcp().expect_refused();
    server.ask("example.test", AXFR).expect_refused();
    server.ask("example.test", 251).over_tcp().expect_refused();
}

#[test]
fn names_outside_our_zones_are_refused() {
    let server = server();
    for name in ["", "test", "example.net", "xexample.test", "com"] {
        for rtype in [A, NS, SOA, ANY, DS] {
            server.ask(name, rtype).expect_refused();
        }
    }
}

#[test]
fn section_6_2_apex_answers_its_name_servers() {
    let server = server();
    let reply = server.ask("example.test", NS).expect_answer(&[
        "example.test. 3600 NS ns1.example.test.",
        "example.test. 3600 NS ns2.example.test.",
    ]);
    reply.expect_authoritative(true).expect_additional(&[
        "ns1.example.test. 3600 A 192.0.2.53",
        "ns1.example.test. 3600 AAAA 2001:db8::53",
        "ns2.example.test. 3600 A 198.51.100.53",
    ]);
}

#[test]
fn section_4_2_1_long_answers_are_cut_and_whole_over_tcp() {
    let server = server();
    for ask in [
        server.ask("big.example.test", TXT),
        server.ask("big.example.test", TXT).with_payload(512),
    ] {
        let reply = ask.send().expect_truncated(true);
        assert!(
            reply.message.answers.is_empty(),
            "whole RRsets or nothing (RFC 2181 section 9)"
        );
    }
    let reply = server
        .ask("big.example.test", TXT)
        .with_payload(1232)
        .send()
        .expect_truncated(false);
    assert_eq!(reply.message.answers.len(), 6);
    let reply = server.ask("big.example.test", TXT).over_tcp().send();
    assert_eq!(reply.message.answers.len(), 6);
    server
        .ask("host.example.test", A)
        .send()
        .expect_truncated(false);
}

/// 4,000 addresses and 1,000 texts at one name. The addresses alone are nearly all that a message over TCP can hold.
#[test]
fn section_4_2_2_five_thousand_records_at_a_name() {
    let addresses: String = (0..4000)
        .map(|n| format!("t A 10.0.{}.{}\n", n / 250, n % 250))
        .collect();
    let texts: String = (0..1000).map(|n| format!("t TXT text-{n}\n")).collect();
    let zone =
        format!("$TTL 1h\n@ SOA ns h 1 4h 1h 2w 5m\n  NS ns\nns A 192.0.2.53\n{addresses}{texts}");
    let server = setup().zone("many.test", &zone).start();
    for (rtype, count) in [(A, 4000), (TXT, 1000)] {
        for ask in [
            server.ask("t.many.test", rtype),
            server.ask("t.many.test", rtype).with_payload(4096),
        ] {
            ask.send().expect_truncated(true);
        }
        let reply = server
            .ask("t.many.test", rtype)
            .over_tcp()
            .send()
            .expect_rcode(rcodes::NOERROR);
        assert_eq!(reply.message.answers.len(), count);
        let reply = server
            .ask("t.many.test", rtype)
            .with_option(3, b"")
            .over_tcp()
            .send();
        assert_eq!(reply.message.answers.len(), count, "NSID has its place too");
    }
    // Names are compressed by copying, whatever their number: the fastest of some is what the server takes.
    let mut stream = server.connect();
    let sent = Question::new("t.many.test", A).octets();
    let times = (0..20).map(|_| {
        let start = Instant::now();
        write_framed(&mut stream, &sent);
        let length = read_framed(&mut stream).expect("a reply").len();
        (start.elapsed(), length)
    });
    let (time, length) = times.min().expect("some");
    assert!(
        length > 60_000 && time < Duration::from_millis(5),
        "{length} octets in {time:?}"
    );
}
