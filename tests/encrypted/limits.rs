//! Seats, time and access: as for TCP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{
    Ended, connect_quic, connect_tls, exchange, framed, over_http1, read_framed, run,
};
use crate::client::{over_https, over_quic, over_tls, try_connect, write_framed};
use crate::harness::types::*;
use crate::harness::{Message, Server, rcodes};
use crate::world::{question, server, setup};

fn asked() -> Vec<u8> {
    question("host.example.test", A).octets()
}

/// Whether a connection still answers.
fn answers(stream: &mut (impl Read + Write)) -> bool {
    let frame = framed(&asked());
    stream
        .write_all(&frame)
        .and_then(|()| stream.flush())
        .is_ok()
        && read_framed(stream).is_some()
}

/// The sum of a metric with a label.
fn metric(server: &Server, line: &str) -> u64 {
    let mut stream =
        TcpStream::connect(server.admin.expect("it listens")).expect("the admin server accepts");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("it answers");
    let found = page
        .lines()
        .find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no {line} in {page}"))
}

#[test]
fn one_client_has_as_many_connections_as_over_tcp_and_all_transports_share_them() {
    let server = setup().server("tcp_connections_per_client = 3").start();
    let mut plain = server.connect();
    let mut tls = connect_tls(&server);
    assert!(answers(&mut plain) && answers(&mut tls));
    run(async {
        let (_endpoint, connection) = connect_quic(&server).await.expect("there is a third seat");
        assert!(matches!(
            exchange(&connection, &framed(&asked())).await,
            Ended::Well(_)
        ));
        let mut second = connect_tls(&server);
        assert!(answers(&mut second), "there is room");
        assert!(!answers(&mut plain), "which the longest idle made");
        assert!(over_https(&server, &asked()).is_some());
        assert!(!answers(&mut tls), "then the next");
        assert!(
            matches!(
                exchange(&connection, &framed(&asked())).await,
                Ended::Well(_)
            ),
            "others stay"
        );
    });
    assert!(
        metric(
            &server,
            "meridian_tcp_closed_total{reason=\"client-limit\"}"
        ) >= 2
    );
}

#[test]
fn the_longest_idle_leaves_for_whoever_comes() {
    let server = setup()
        .server("tcp_connections = 2\ntcp_connections_per_client = 2\ntcp_idle = \"1m\"")
        .start();
    let mut first = connect_tls(&server);
    assert!(answers(&mut first));
    drop(first);
    // Forged addresses cannot take the last seats: the client has to prove its own, and does.
    assert!(over_quic(&server, &asked()).is_some());
    assert!(over_https(&server, &asked()).is_some());
}

#[test]
fn whoever_asks_nothing_is_let_go() {
    let server = setup().server("tcp_idle = \"500ms\"").start();
    let mut tls = connect_tls(&server);
    assert!(answers(&mut tls));
    let start = Instant::now();
    assert_eq!(tls.read(&mut [0; 1]).expect("the end is told"), 0);
    let mut https =
        try_connect(&server, server.encrypted("https"), "http/1.1").expect("the server accepts");
    https
        .write_all(b"GET /dns-query?dns=")
        .and_then(|()| https.flush())
        .expect("the server reads");
    let _ = https.read_to_end(&mut Vec::new());
    let mut second =
        try_connect(&server, server.encrypted("https"), "h2").expect("the server accepts");
    let _ = second.read_to_end(&mut Vec::new());
    run(async {
        let (_endpoint, connection) = connect_quic(&server).await.expect("the server accepts");
        let (mut send, _receive) = connection.open_bi().await.expect("a stream");
        // One octet at a time is no use.
        while send.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(
        start.elapsed() < Duration::from_secs(9),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn whoever_does_not_shake_hands_is_let_go() {
    let server = server();
    let start = Instant::now();
    let mut streams = ["tls", "https"].map(|transport| {
        let mut stream =
            TcpStream::connect(server.encrypted(transport)).expect("the server accepts");
        stream
            .write_all(&[0x16, 3, 1, 1, 0])
            .expect("the server reads");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("it is not zero");
        stream
    });
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0);
    }
    assert!(start.elapsed() > Duration::from_secs(4) && start.elapsed() < Duration::from_secs(15));
}

#[test]
fn deny_and_drop_hold_on_every_transport() {
    let denied = setup().server("deny = [\"127.0.0.0/8\"]").start();
    for over in [over_tls, over_https, over_quic] {
        let reply = over(&denied, &asked()).expect("a reply");
        assert_eq!(
            Message::read(&reply).expect("a message").rcode(),
            rcodes::REFUSED
        );
    }
    let dropped = setup().server("drop = [\"127.0.0.0/8\"]").start();
    for over in [over_tls, over_https, over_quic] {
        assert_eq!(over(&dropped, &asked()), None);
    }
    let head = "POST /dns-query\nContent-Type: application/dns-message";
    assert!(
        over_http1(&dropped, head, &asked()).is_none(),
        "not even a status"
    );
}

#[test]
fn a_long_query_ends_the_connection_and_not_the_server() {
    let server = server();
    let mut stream = connect_tls(&server);
    write_framed(&mut stream, &[0; 8193]);
    assert!(read_framed(&mut stream).is_none());
    assert!(over_tls(&server, &asked()).is_some());
}

#[test]
fn queries_are_counted_by_what_they_came_on() {
    let server = server();
    let _ = (
        over_tls(&server, &asked()),
        over_https(&server, &asked()),
        over_quic(&server, &asked()),
    );
    let _ = over_quic(&server, &asked());
    for (transport, count) in [
        ("udp", 0),
        ("tcp", 0),
        ("tls", 1),
        ("https", 1),
        ("quic", 2),
    ] {
        let line = format!("meridian_transport_queries_total{{transport=\"{transport}\"}}");
        assert_eq!(metric(&server, &line), count, "{transport}");
    }
}
