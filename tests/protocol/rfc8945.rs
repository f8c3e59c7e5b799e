//! RFC 8945: a server without keys tells those who sign that it does not know theirs.

use crate::harness::query::{Question, header};
use crate::harness::reply::check_any;
use crate::harness::types::*;
use crate::harness::{Transport, rcodes};
use crate::world::server;

const NOTAUTH: u16 = 9;
/// Owner, type, class ANY and TTL.
const HEAD: &[u8] = b"\x03key\x07example\0\0\xfa\0\xff\0\0\0\0";
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\0";
/// Time Signed and Fudge.
const TIMES: &[u8] = b"\0\0\x60\0\0\x01\x01\x2c";
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";

/// A TSIG record of these parts.
fn tsig(head: &[u8], mac: &[u8], original_id: u16, error: u16) -> Vec<u8> {
    let mac = [&(mac.len() as u16).to_be_bytes(), mac].concat();
    let data = [
        ALGORITHM,
        TIMES,
        &mac,
        &original_id.to_be_bytes(),
        &error.to_be_bytes(),
        &[0, 0],
    ]
    .concat();
    [head, &(data.len() as u16).to_be_bytes(), &data].concat()
}

/// A query for an address with these records in the authority and the additional section.
fn query(authorities: &[&[u8]], additionals: &[&[u8]]) -> Vec<u8> {
    let question = Question::new("host.example.test", A).question_octets();
    let counts = [1, 0, authorities.len() as u16, additionals.len() as u16];
    [
        header(0x1234, 0x0100, counts),
        question,
        authorities.concat(),
        additionals.concat(),
    ]
    .concat()
}

#[test]
fn section_5_2_1_an_unknown_key_is_refused_without_a_signature() {
    let server = server();
    let signed = tsig(HEAD, &[7; 32], 0x1234, 0);
    for (additionals, transport) in [
        (vec![&signed[..]], Transport::Udp),
        (vec![&signed[..]], Transport::Tcp),
        (vec![OPT, &signed[..]], Transport::Udp),
        (vec![OPT, &signed[..]], Transport::Tcp),
    ] {
        let query = query(&[], &additionals);
        let reply = server.exchange(&query, transport).expect("a reply");
        let read = check_any(&query, transport, &reply);
        assert_eq!(read.rcode(), NOTAUTH, "{read:?}");
        assert!(
            read.answers.is_empty()
                && !read.is_authoritative()
                && read.opt.is_some() == (additionals.len() == 2)
        );
        // The same record, last, with no MAC and BADKEY.
        assert!(
            reply.ends_with(&tsig(HEAD, &[], 0x1234, 17)),
            "{reply:02x?}"
        );
    }
}

#[test]
fn section_5_1_a_signature_that_is_malformed_or_not_last_is_malformed() {
    let server = server();
    let good = tsig(HEAD, &[7; 32], 0x1234, 0);
    let class_in = tsig(
        b"\x03key\x07example\0\0\xfa\0\x01\0\0\0\0",
        &[7; 32],
        0x1234,
        0,
    );
    let with_ttl = tsig(
        b"\x03key\x07example\0\0\xfa\0\xff\0\0\0\x01",
        &[7; 32],
        0x1234,
        0,
    );
    let no_data = [HEAD, &[0, 0]].concat();
    let mut long_mac = good.clone();
    long_mac[HEAD.len() + 2 + ALGORITHM.len() + TIMES.len() + 1] += 1;
    let cases: [(&str, Vec<u8>); 7] = [
        ("before OPT", query(&[], &[&good, OPT])),
        ("twice", query(&[], &[&good, &good])),
        ("in the authority section", query(&[&good], &[])),
        ("of class IN", query(&[], &[&class_in])),
        ("with a TTL", query(&[], &[&with_ttl])),
        ("without data", query(&[], &[&no_data])),
        ("with a MAC beyond its end", query(&[], &[&long_mac])),
    ];
    for (what, query) in cases {
        for transport in [Transport::Udp, Transport::Tcp] {
            let reply = server
                .exchange(&query, transport)
                .unwrap_or_else(|| panic!("no reply to one {what}"));
            let reply = check_any(&query, transport, &reply);
            assert!(
                reply.rcode() == rcodes::FORMERR && reply.answers.is_empty(),
                "{what}: {reply:?}"
            );
        }
    }
}
