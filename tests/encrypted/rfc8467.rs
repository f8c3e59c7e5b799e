//! RFC 7830 and RFC 8467: padding, where nobody can read along, and nowhere else.

use crate::client::{over_https, over_quic, over_tls};
use crate::harness::types::*;
use crate::harness::{Message, Transport};
use crate::programs::run;
use crate::world::{question, server};

#[test]
fn section_4_1_replies_are_multiples_of_468_octets() {
    let server = server();
    for name in [
        "host.example.test",
        "many.example.test",
        "missing.example.test",
        "example.org",
    ] {
        let asked = question(name, A).option(12, &[0; 40]).octets();
        for over in [over_tls, over_https, over_quic] {
            let reply = over(&server, &asked).expect("a reply");
            assert_eq!(reply.len() % 468, 0, "{name}");
            let reply = Message::read(&reply).expect("a message");
            assert!(
                reply
                    .option(12)
                    .next()
                    .is_some_and(|padding| padding.iter().all(|octet| *octet == 0))
            );
        }
    }
}

#[test]
fn rfc_7830_section_4_who_does_not_pad_is_not_padded() {
    let server = server();
    let asked = question("host.example.test", A).option(3, &[]).octets();
    for over in [over_tls, over_https, over_quic] {
        let reply = Message::read(&over(&server, &asked).expect("a reply")).expect("a message");
        assert_eq!(reply.option(12).count(), 0);
    }
}

#[test]
fn nothing_is_padded_in_the_clear() {
    let server = server();
    let asked = question("host.example.test", A)
        .option(12, &[0; 40])
        .octets();
    for transport in [Transport::Udp, Transport::Tcp] {
        let reply = server.exchange(&asked, transport).expect("a reply");
        assert_eq!(
            Message::read(&reply).expect("a message").option(12).count(),
            0
        );
    }
}

#[test]
fn kdig_pads_and_is_padded() {
    let server = server();
    let port = server.encrypted("tls").port().to_string();
    let printed = run(
        "kdig",
        &[
            "@127.0.0.1",
            "-p",
            &port,
            "+tls",
            "+padding",
            "host.example.test",
        ],
    );
    assert!(
        printed.contains("PADDING") && printed.contains("Received 468 B"),
        "{printed}"
    );
}
