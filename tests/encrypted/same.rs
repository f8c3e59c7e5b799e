//! One answer path: what TCP says, the encrypted transports say, octet for octet.

use crate::client::{over_https, over_quic, over_tls};
use crate::harness::types::*;
use crate::harness::{Question, Server, Transport};
use crate::world::{question, server};

/// Queries of every kind, right and wrong; the ID is 0 in all of them.
fn messages() -> Vec<Vec<u8>> {
    let ask = |name: &str, rtype: u16| question(name, rtype).octets();
    let subnet = |subnet: &str| {
        question("www.example.test", A)
            .option(8, &crate::harness::query::subnet_option(subnet))
            .octets()
    };
    let flags = |flags: u16| {
        Question {
            flags,
            ..question("host.example.test", A)
        }
        .octets()
    };
    let mut version = question("host.example.test", A);
    version.opt().version = 7;
    let mut dnssec = question("host.example.test", A).option(3, &[]);
    dnssec.opt().flags = 0x8000;
    let whole = ask("host.example.test", A);
    vec![
        ask("host.example.test", A),
        ask("HOST.example.TEST", A),
        ask("mixed.example.test", ANY),
        ask("alias.example.test", A),
        ask("missing.example.test", A),
        ask("host.example.test", TXT),
        ask("x.sub.example.test", A),
        ask("example.test", SOA),
        ask("example.test", AXFR),
        ask("example.org", A),
        ask("www.example.test", A),
        ask("many.example.test", A),
        question("many.example.test", A).option(10, &[]).octets(),
        subnet("193.0.0.0/21"),
        subnet("8.8.8.0/24"),
        subnet("10.0.0.0/8"),
        version.octets(),
        dnssec.octets(),
        flags(0x0110),
        flags(0x2800),
        Question {
            class: 3,
            ..question("version.bind", TXT)
        }
        .octets(),
        whole[..whole.len() - 1].to_vec(),
        whole[..12].to_vec(),
        [&whole[..], &[0]].concat(),
    ]
}

fn expect_same(over: impl Fn(&Server, &[u8]) -> Option<Vec<u8>>) {
    let server = server();
    for message in messages() {
        let plain = server
            .exchange(&message, Transport::Tcp)
            .expect("TCP answers every one of them");
        assert_eq!(over(&server, &message), Some(plain), "to {message:02x?}");
    }
}

#[test]
fn tls_says_what_tcp_says() {
    expect_same(over_tls);
}

#[test]
fn https_says_what_tcp_says() {
    expect_same(over_https);
}

#[test]
fn quic_says_what_tcp_says() {
    expect_same(over_quic);
}

#[test]
fn what_is_no_query_gets_no_reply_anywhere() {
    let server = server();
    let response = Question {
        flags: 0x8100,
        ..question("host.example.test", A)
    }
    .octets();
    for message in [&response[..], &response[..11], &[]] {
        assert_eq!(server.exchange(message, Transport::Tcp), None);
        for over in [over_tls, over_https, over_quic] {
            assert_eq!(over(&server, message), None, "to {message:02x?}");
        }
    }
    assert!(
        over_tls(&server, &question("host.example.test", A).octets()).is_some(),
        "the next one is answered"
    );
}

#[test]
fn a_cookie_is_given_and_good_on_every_transport() {
    let server = server();
    let asked = question("host.example.test", A)
        .option(10, &[7; 8])
        .octets();
    for over in [over_tls, over_https, over_quic] {
        let reply = over(&server, &asked).expect("a reply");
        let reply = crate::harness::Message::read(&reply).expect("a message");
        let cookie = reply.option(10).next().expect("a cookie").to_vec();
        assert!(cookie.len() == 24 && cookie.starts_with(&[7; 8]));
    }
}
