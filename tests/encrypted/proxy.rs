//! The PROXY protocol: a front that the operator names says who the client is, and nobody else does.

use std::io::Write;

use crate::client::{framed, read_framed};
use crate::harness::types::*;
use crate::harness::{Message, Server, Transport};
use crate::programs::run;
use crate::world::{question, server, setup};

/// A header for a client of IPv4 (192.0.2.53 is asked).
fn header(client: [u8; 4]) -> Vec<u8> {
    let addresses = [&client[..], &[192, 0, 2, 53, 0x12, 0x34, 0, 53]].concat();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c", &addresses[..]].concat()
}

/// A header of AF_INET6 for the same client: `::ffff:` and its IPv4 address (RFC 4291 section 2.5.5.2).
fn mapped_header(client: [u8; 4]) -> Vec<u8> {
    let mapped = |address: [u8; 4]| [&[0; 10][..], &[0xff; 2], &address].concat();
    let addresses = [
        &mapped(client)[..],
        &mapped([192, 0, 2, 53]),
        &[0x12, 0x34, 0, 53],
    ]
    .concat();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24", &addresses[..]].concat()
}

/// What a front says of itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// In the Netherlands, and in the United States.
const CLIENTS: [([u8; 4], &str); 2] =
    [([193, 0, 0, 1], "192.0.2.10"), ([8, 8, 8, 8], "192.0.2.20")];

fn fronted() -> Server {
    setup()
        .server("proxy_from = [\"127.0.0.0/8\"]\ndeny = [\"192.0.2.99\", \"127.0.0.9\"]")
        .start()
}

fn asked() -> Vec<u8> {
    question("www.example.test", A).octets()
}

#[track_caller]
fn address(reply: Option<Vec<u8>>) -> String {
    let reply = Message::read(&reply.expect("a reply")).expect("a message");
    reply
        .answers
        .first()
        .map(|record| record.data.clone())
        .unwrap_or_else(|| format!("rcode {}", reply.rcode()))
}

/// A query on a connection that begins with a header.
fn over_tcp(server: &Server, header: &[u8]) -> Option<Vec<u8>> {
    let mut stream = server.connect();
    stream
        .write_all(&[header, &framed(&asked())].concat())
        .expect("the server reads");
    read_framed(&mut stream)
}

#[test]
fn the_client_of_the_header_is_steered() {
    let server = fronted();
    for (client, expected) in CLIENTS {
        let datagram = [header(client), asked()].concat();
        assert_eq!(
            address(server.exchange(&datagram, Transport::Udp)),
            expected
        );
        assert_eq!(address(over_tcp(&server, &header(client))), expected);
    }
    assert_eq!(
        address(server.exchange(&[LOCAL, &asked()].concat(), Transport::Udp)),
        "192.0.2.10",
        "as listed"
    );
    assert!(over_tcp(&server, LOCAL).is_some());
}

#[test]
fn access_goes_by_the_client_of_the_header() {
    let server = fronted();
    let datagram = [header([192, 0, 2, 99]), asked()].concat();
    assert_eq!(
        address(server.exchange(&datagram, Transport::Udp)),
        "rcode 5"
    );
    assert_eq!(
        address(over_tcp(&server, &header([192, 0, 2, 99]))),
        "rcode 5"
    );
}

#[test]
fn an_ipv4_client_in_an_ipv6_header_is_that_ipv4_client() {
    let denied = setup()
        .server("proxy_from = [\"127.0.0.0/8\"]\ndeny = [\"192.0.2.99\"]\ndrop = [\"192.0.2.98\"]")
        .start();
    let allowed = setup()
        .server("proxy_from = [\"127.0.0.0/8\"]\nallow = [\"192.0.2.99\", \"8.8.8.8\"]")
        .start();
    let [no, nothing, yes, other] = [99, 98, 97, 96].map(|last| mapped_header([192, 0, 2, last]));
    for (server, refused, answered) in [(&denied, &no, &yes), (&allowed, &other, &no)] {
        let over_udp =
            |header: &[u8]| server.exchange(&[header, &asked()].concat(), Transport::Udp);
        assert_eq!(address(over_udp(refused)), "rcode 5");
        assert_eq!(address(over_tcp(server, refused)), "rcode 5");
        assert_eq!(address(over_udp(answered)), "192.0.2.10", "as listed");
        assert_eq!(
            address(over_tcp(server, answered)),
            "192.0.2.10",
            "as listed"
        );
        assert_eq!(
            address(over_udp(&mapped_header([8, 8, 8, 8]))),
            "192.0.2.20",
            "and it is steered as one"
        );
    }
    assert_eq!(
        denied.silence_after(&[nothing.clone(), asked()].concat()),
        None
    );
    assert_eq!(over_tcp(&denied, &nothing), None);
}

#[test]
fn a_front_without_a_header_hears_nothing() {
    let server = fronted();
    assert_eq!(server.silence_after(&asked()), None);
    assert_eq!(server.silence_after(&header([8, 8, 8, 8])[..20]), None);
    assert_eq!(over_tcp(&server, &[]), None);
}

#[test]
fn a_header_from_elsewhere_is_no_query() {
    let server = server();
    let datagram = [header([8, 8, 8, 8]), asked()].concat();
    let reply = server
        .exchange(&datagram, Transport::Udp)
        .map(|reply| Message::read(&reply).expect("a message"));
    assert!(reply.is_none_or(|reply| reply.answers.is_empty()));
}

#[test]
fn tls_and_https_take_the_header_before_the_handshake() {
    use crate::client::{connect_tls_behind, over_https_behind};
    let server = fronted();
    for (client, expected) in CLIENTS {
        let mut stream = connect_tls_behind(&server, &header(client)).expect("the server accepts");
        stream
            .write_all(&framed(&asked()))
            .and_then(|()| stream.flush())
            .expect("the server reads");
        assert_eq!(address(read_framed(&mut stream)), expected);
        assert_eq!(
            address(over_https_behind(&server, &asked(), &header(client))),
            expected
        );
    }
    assert!(connect_tls_behind(&server, &[]).is_err());
}

#[test]
fn dnsdist_is_such_a_front() {
    let server = fronted();
    let (folder, front) = (
        tempfile::tempdir().expect("a temporary folder"),
        crate::harness::free_port(),
    );
    let config = format!(
        "setLocal('127.0.0.1:{front}')\nsetACL('127.0.0.0/8')\nsetMaxUDPOutstanding(100)\n\
         newServer({{address='{}', useProxyProtocol=true, checkName='host.example.test.', mustResolve=true}})\n",
        server.address()
    );
    let file = folder.path().join("dnsdist.conf");
    std::fs::write(&file, config).expect("the temporary folder can be written");
    let file = file.display().to_string();
    let _front = crate::harness::server::Process(crate::programs::start(
        "dnsdist",
        &["--supervised", "--disable-syslog", "-C", &file],
    ));
    let port = front.to_string();
    for transport in ["+notcp", "+tcp"] {
        for (client, expected) in [("127.0.0.8", "192.0.2.1"), ("127.0.0.9", "status: REFUSED")] {
            let place = ["@127.0.0.1", "-p", &port, "-b", client, transport];
            let printed = run(
                "kdig",
                &[
                    &place[..],
                    &["+retry=30", "+timeout=1", "host.example.test", "A"],
                ]
                .concat(),
            );
            assert!(
                printed.contains(expected),
                "{client} {transport}: {printed}"
            );
        }
    }
}
