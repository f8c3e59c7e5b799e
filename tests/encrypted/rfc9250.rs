//! RFC 9250: DNS over QUIC. Debian's kdig is built without QUIC, so the client is ours (on quinn).

use std::net::UdpSocket;

use crate::client::{Ended, connect_quic, exchange, framed, over_quic, quic_octets, run};
use crate::harness::types::*;
use crate::harness::{Message, Question};
use crate::world::{question, server};

/// DOQ_PROTOCOL_ERROR (section 4.3).
const PROTOCOL_ERROR: Ended = Ended::Closed(2);

#[test]
fn section_4_2_one_connection_carries_many_queries_at_a_time() {
    let server = server();
    run(async {
        let (_endpoint, connection) = connect_quic(&server).await.expect("the server accepts");
        let asked = framed(&question("host.example.test", A).octets());
        let mut exchanges = tokio::task::JoinSet::new();
        for _ in 0..500 {
            let (connection, asked) = (connection.clone(), asked.clone());
            exchanges.spawn(async move { exchange(&connection, &asked).await });
        }
        while let Some(ended) = exchanges.join_next().await {
            let Ok(Ended::Well(octets)) = ended else {
                panic!("{ended:?}")
            };
            assert_eq!(
                Message::read(&octets[2..])
                    .expect("a message")
                    .answers
                    .len(),
                1
            );
        }
    });
}

#[test]
fn section_4_2_1_the_message_id_is_0() {
    let server = server();
    let reply = over_quic(&server, &question("host.example.test", A).octets()).expect("a reply");
    assert_eq!(Message::read(&reply).expect("a message").id, 0);
    let numbered = Question::new("host.example.test", A).octets();
    assert_eq!(quic_octets(&server, &framed(&numbered)), PROTOCOL_ERROR);
}

#[test]
fn section_4_3_3_what_breaks_the_rules_ends_the_connection() {
    let server = server();
    let whole = question("host.example.test", A).octets();
    let keepalive = question("host.example.test", A).option(11, &[]).octets();
    for octets in [
        &framed(&whole)[..whole.len()],
        &[framed(&whole), vec![0]].concat(),
        &[framed(&whole), framed(&whole)].concat(),
        &[0],
        &[],
        &framed(&[]),
        &framed(&[0; 8193]),
        &framed(&keepalive),
    ] {
        assert_eq!(
            quic_octets(&server, octets),
            PROTOCOL_ERROR,
            "{octets:02x?}"
        );
    }
    assert!(over_quic(&server, &whole).is_some(), "others are answered");
}

#[test]
fn section_4_1_1_only_doq_is_agreed_to_and_garbage_is_passed_over() {
    let server = server();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    for garbage in [
        &[][..],
        &[0; 1200],
        &[0xff; 1200],
        &[0xc0; 1200],
        &question("host.example.test", A).octets(),
    ] {
        socket
            .send_to(garbage, server.encrypted("quic"))
            .expect("loopback takes it");
    }
    assert!(over_quic(&server, &question("host.example.test", A).octets()).is_some());
    assert!(
        !server.log().contains("WARN") && !server.log().contains("ERROR"),
        "{}",
        server.log()
    );
}

#[test]
fn section_4_3_a_query_that_is_given_up_leaves_the_others_alone() {
    let server = server();
    run(async {
        let (_endpoint, connection) = connect_quic(&server).await.expect("the server accepts");
        let (mut send, _receive) = connection.open_bi().await.expect("a stream");
        send.write_all(&[0, 29, 0]).await.expect("the server reads");
        send.reset(3_u32.into()).expect("it is open");
        let asked = framed(&question("host.example.test", A).octets());
        let ended = exchange(&connection, &asked).await;
        assert!(matches!(ended, Ended::Well(_)), "{ended:?}");
    });
}
