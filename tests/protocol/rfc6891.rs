//! RFC 6891: EDNS(0); RFC 5001: NSID.

use crate::harness::query::{OptSent, Question, header};
use crate::harness::reply::check_any;
use crate::harness::types::*;
use crate::harness::{Message, Server, Transport, rcodes};
use crate::world::server;

/// A query with these records behind the question.
fn with_records(server: &Server, counts: [u16; 4], records: &[Vec<u8>]) -> Message {
    let question = Question::new("host.example.test", A).question_octets();
    let message = [header(1, 0, counts), question, records.concat()].concat();
    let reply = server.exchange(&message, Transport::Udp).expect("a reply");
    check_any(&message, Transport::Udp, &reply)
}

#[test]
fn section_6_1_1_opt_is_answered_with_opt() {
    let server = server();
    server
        .ask("host.example.test", A)
        .with_payload(1232)
        .expect_address("192.0.2.1");
    server
        .ask("missing.example.test", A)
        .with_payload(1232)
        .expect_no_name();
    server
        .ask("host.example.test", AAAA)
        .with_payload(1232)
        .expect_nodata();
    server
        .ask("example.net", A)
        .with_payload(1232)
        .expect_refused();
    server
        .ask("host.example.test", A)
        .with_flags(0x1000)
        .with_payload(1232)
        .expect_error(rcodes::NOTIMP);
}

#[test]
fn section_6_1_1_two_opt_records_are_malformed() {
    let opt = OptSent::default().octets();
    assert_eq!(
        with_records(&server(), [1, 0, 0, 2], &[opt.clone(), opt]).rcode(),
        rcodes::FORMERR
    );
}

#[test]
fn section_6_1_2_an_opt_with_a_name_or_in_another_section_is_malformed() {
    let server = server();
    let opt = OptSent::default().octets();
    let named = [b"\x01a".to_vec(), opt.clone()].concat();
    for (counts, record) in [
        ([1, 0, 0, 1], &named),
        ([1, 1, 0, 0], &opt),
        ([1, 0, 1, 0], &opt),
    ] {
        assert_eq!(
            with_records(&server, counts, std::slice::from_ref(record)).rcode(),
            rcodes::FORMERR,
            "{counts:?}"
        );
    }
}

#[test]
fn section_6_1_1_opt_need_not_be_last() {
    let record = [&b"\x01a\0\0\x01\0\x01\0\0\0\0\0\x04"[..], &[192, 0, 2, 1]].concat();
    let reply = with_records(
        &server(),
        [1, 0, 0, 2],
        &[OptSent::default().octets(), record],
    );
    assert_eq!(
        (reply.rcode(), reply.opt.is_some()),
        (rcodes::NOERROR, true)
    );
}

#[test]
fn section_6_1_2_unknown_options_are_ignored_and_not_echoed() {
    let server = server();
    for code in [0, 100, 65001, 65535, 12, 11] {
        let reply = server
            .ask("host.example.test", A)
            .with_option(code, b"x")
            .expect_address("192.0.2.1");
        let options = reply.message.opt.expect("OPT").options;
        assert!(options.is_empty(), "{options:?}");
    }
}

#[test]
fn section_6_1_2_an_option_past_the_end_is_malformed() {
    let server = server();
    for options in [&[0, 3][..], &[0], &[0, 3, 0], &[0, 3, 0, 9, 1]] {
        let opt = OptSent {
            options: options.to_vec(),
            ..OptSent::default()
        };
        let reply = with_records(&server, [1, 0, 0, 1], &[opt.octets()]);
        assert_eq!(
            (reply.rcode(), reply.opt.is_some()),
            (rcodes::FORMERR, true),
            "{options:?}"
        );
    }
    let mut cut = OptSent::default().octets();
    *cut.last_mut().expect("not empty") = 200;
    assert_eq!(
        with_records(&server, [1, 0, 0, 1], &[cut]).rcode(),
        rcodes::FORMERR,
        "RDLENGTH past the end"
    );
}

#[test]
fn section_6_1_1_opt_is_answered_with_opt_whatever_is_wrong() {
    let server = server();
    let question = Question::new("host.example.test", A).question_octets();
    for flags in [0, 0x8000] {
        let opt = OptSent {
            flags,
            ..OptSent::default()
        }
        .octets();
        let cut_option = OptSent {
            flags,
            options: vec![0, 3, 0, 9, 1],
            ..OptSent::default()
        }
        .octets();
        let answer = b"\0\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04".to_vec();
        for (counts, parts, repeats) in [
            ([0, 0, 0, 1], [vec![], opt.clone()].concat(), false),
            (
                [2, 0, 0, 1],
                [question.repeat(2), opt.clone()].concat(),
                false,
            ),
            ([1, 1, 0, 1], [question.clone(), answer, opt].concat(), true),
            ([1, 0, 0, 1], [question.clone(), cut_option].concat(), true),
        ] {
            let message = [header(7, 0, counts), parts].concat();
            let reply = server.exchange(&message, Transport::Udp).expect("a reply");
            let reply = check_any(&message, Transport::Udp, &reply);
            assert!(
                reply.rcode() == rcodes::FORMERR && reply.is_bare(),
                "{counts:?}: {reply:?}"
            );
            assert_eq!(
                reply.opt.expect("OPT").flags,
                flags,
                "DO is copied: {counts:?}"
            );
            assert_eq!(
                reply.question,
                if repeats { &question[..] } else { &[] },
                "{counts:?}"
            );
        }
    }
}

#[test]
fn section_6_1_3_other_versions_are_badvers_without_records() {
    let server = server();
    for version in [1, 2, 255] {
        for (flags, options) in [(0, vec![]), (0x8000, vec![]), (0x4001, vec![0, 8, 0, 1, 7])] {
            let mut question = Question::new("host.example.test", A);
            *question.opt() = OptSent {
                version,
                flags,
                options,
                payload: 1232,
            };
            server.put(question).expect_error(rcodes::BADVERS);
        }
    }
}

#[test]
fn section_6_1_4_flags_nobody_knows_are_zero_and_do_is_copied() {
    let server = server();
    for flags in [0, 0x8000, 0x4000, 0x0001, 0xffff] {
        let mut question = Question::new("host.example.test", A);
        question.opt().flags = flags;
        // The harness compares the flags.
        server.put(question).expect_address("192.0.2.1");
    }
}

#[test]
fn section_6_2_3_payloads_below_512_mean_512_and_large_ones_1232() {
    let server = server();
    for payload in [0, 1, 511, 512] {
        server
            .ask("big.example.test", TXT)
            .with_payload(payload)
            .send()
            .expect_truncated(true);
        server
            .ask("host.example.test", A)
            .with_payload(payload)
            .expect_address("192.0.2.1");
    }
    for payload in [1232, 4096, 65535] {
        server
            .ask("big.example.test", TXT)
            .with_payload(payload)
            .send()
            .expect_truncated(false);
    }
}

#[test]
fn section_6_1_2_two_hundred_options_are_answered_each_once() {
    let server = server();
    let mut ask = server.ask("host.example.test", A);
    for _ in 0..200 {
        ask = ask.with_option(3, b"");
    }
    let reply = ask.expect_address("192.0.2.1");
    assert_eq!(
        reply.message.opt.expect("OPT").options,
        [(3, b"ns1-test".to_vec())]
    );
}

#[test]
fn rfc5001_section_2_3_nsid_only_when_asked() {
    let server = server();
    let reply = server
        .ask("host.example.test", A)
        .with_option(3, b"")
        .send();
    assert_eq!(
        reply.message.opt.expect("OPT").option(3).next(),
        Some(&b"ns1-test"[..])
    );
    let reply = server.ask("host.example.test", A).with_payload(1232).send();
    assert!(reply.message.opt.expect("OPT").options.is_empty());
}

#[test]
fn all_known_options_at_once() {
    let server = server();
    let ask = server
        .ask("www.example.test", A)
        .with_dnssec()
        .with_option(3, b"")
        .with_option(12, &[0; 16]);
    let reply = ask
        .with_option(15, &[0, 0])
        .from_subnet("198.51.100.0/24")
        .expect_address("198.51.100.10");
    let codes: Vec<u16> = reply
        .message
        .opt
        .iter()
        .flat_map(|opt| &opt.options)
        .map(|(code, _)| *code)
        .collect();
    assert!(codes.contains(&3) && codes.contains(&8), "{codes:?}");
}

#[test]
fn section_6_1_2_five_thousand_octets_of_options_are_answered_each_once() {
    let server = server();
    let mut question = Question::new("host.example.test", A);
    for _ in 0..200 {
        question = question
            .option(3, &[])
            .option(10, &[7; 8])
            .option(12, &[0; 8]);
    }
    assert!(question.octets().len() > 5000);
    for transport in [Transport::Udp, Transport::Tcp] {
        let reply = server
            .exchange(&question.octets(), transport)
            .expect("a reply");
        let reply = check_any(&question.octets(), transport, &reply);
        assert_eq!(
            (reply.rcode(), reply.answers.len()),
            (rcodes::NOERROR, 1),
            "{reply:?}"
        );
        assert_eq!(reply.option(10).count(), 1, "one cookie");
    }
}
