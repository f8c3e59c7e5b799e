//! RFC 7858: DNS over TLS.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::client::{connect_tls, read_framed, try_connect, write_framed};
use crate::harness::types::*;
use crate::harness::{Message, Question};
use crate::programs::run;
use crate::world::{NAME, question, server};

#[test]
fn kdig_verifies_the_certificate_and_gets_the_answer() {
    let server = server();
    let address = server.encrypted("tls");
    let authority = format!(
        "+tls-ca={}",
        server.folder().join("certificate.pem").display()
    );
    let (port, name) = (address.port().to_string(), format!("+tls-hostname={NAME}"));
    let printed = run(
        "kdig",
        &[
            "@127.0.0.1",
            "-p",
            &port,
            &authority,
            &name,
            "+cookie",
            "+nsid",
            "many.example.test",
            "A",
        ],
    );
    assert!(printed.contains("TLS session (TLS1.3)"), "{printed}");
    assert!(
        printed.contains("status: NOERROR") && printed.contains("ANSWER: 200"),
        "{printed}"
    );
    assert!(!printed.contains("WARNING"), "{printed}");
    let printed = run(
        "kdig",
        &[
            "@127.0.0.1",
            "-p",
            &port,
            &authority,
            &name,
            "+subnet=193.0.0.0/21",
            "www.example.test",
        ],
    );
    assert!(printed.contains("192.0.2.10"), "{printed}");
}

#[test]
fn section_3_3_queries_are_pipelined_and_the_connection_stays() {
    let server = server();
    let mut stream = connect_tls(&server);
    for round in 0..3 {
        for id in 0..50 {
            write_framed(
                &mut stream,
                &Question {
                    id: round * 50 + id,
                    ..question("host.example.test", A)
                }
                .octets(),
            );
        }
        for id in 0..50 {
            let reply =
                Message::read(&read_framed(&mut stream).expect("a reply")).expect("a message");
            assert_eq!((reply.id, reply.answers.len()), (round * 50 + id, 1));
        }
    }
}

#[test]
fn rfc_7828_section_3_the_connection_is_promised_its_time_here_as_over_tcp() {
    let server = server();
    let mut stream = connect_tls(&server);
    write_framed(
        &mut stream,
        &question("host.example.test", A).option(11, &[]).octets(),
    );
    let reply = Message::read(&read_framed(&mut stream).expect("a reply")).expect("a message");
    assert_eq!(
        reply.option(11).collect::<Vec<_>>(),
        [[0, 100]],
        "10 seconds"
    );
}

#[test]
fn another_protocol_is_not_agreed_to() {
    let server = server();
    assert!(try_connect(&server, server.encrypted("tls"), "h2").is_err());
}

#[test]
fn garbage_instead_of_tls_ends_the_connection_alone() {
    let server = server();
    for garbage in [
        &b"GET / HTTP/1.0\r\n\r\n"[..],
        &[0; 5000],
        &[0x16, 3, 1, 0xff, 0xff, 1, 0, 0, 0],
        &[0xff; 300],
    ] {
        for transport in ["tls", "https"] {
            let mut stream =
                TcpStream::connect(server.encrypted(transport)).expect("the server accepts");
            let _ = stream.write_all(garbage);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    let mut stream = connect_tls(&server);
    write_framed(&mut stream, &question("host.example.test", A).octets());
    assert!(read_framed(&mut stream).is_some());
}

#[test]
fn the_end_is_told() {
    let server = server();
    let mut stream = connect_tls(&server);
    write_framed(&mut stream, &question("host.example.test", A).octets());
    assert!(read_framed(&mut stream).is_some());
    stream.conn.send_close_notify();
    stream.flush().expect("the server reads");
    let mut rest = Vec::new();
    // Without a close_notify from the other side, this would be an error.
    assert_eq!(stream.read_to_end(&mut rest).expect("a clean end"), 0);
}
