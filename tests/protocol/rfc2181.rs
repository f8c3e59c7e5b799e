//! RFC 2181: clarifications.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::harness::query::Question;
use crate::harness::reply::check_any;
use crate::harness::server::{read_framed, write_framed};
use crate::harness::types::*;
use crate::harness::{Server, Transport};
use crate::world::setup;

/// Asks one address of the machine; a connected socket takes a reply from nowhere else.
#[track_caller]
fn expect_reply_from(server: &Server, asked: IpAddr, client: IpAddr) {
    let port = server
        .addresses
        .iter()
        .find(|address| address.is_ipv4() == asked.is_ipv4())
        .expect("both families");
    let asked = SocketAddr::new(asked, port.port());
    let query = Question::new("host.example.test", A).octets();
    let socket = UdpSocket::bind((client, 0)).expect("a free port");
    socket.connect(asked).expect("loopback");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("it is not zero");
    socket.send(&query).expect("loopback takes it");
    let mut buffer = [0; 65536];
    let length = socket
        .recv(&mut buffer)
        .unwrap_or_else(|error| panic!("no reply from {asked}: {error}"));
    assert_eq!(
        check_any(&query, Transport::Udp, &buffer[..length])
            .answers
            .len(),
        1
    );
    let mut stream = TcpStream::connect(asked).expect("the server accepts");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("it is not zero");
    write_framed(&mut stream, &query);
    let reply = read_framed(&mut stream).expect("a reply");
    assert_eq!(check_any(&query, Transport::Tcp, &reply).answers.len(), 1);
}

#[test]
fn section_4_1_a_reply_comes_from_the_address_that_was_asked() {
    let server = setup().listen(&["0.0.0.0:0", "[::]:0"]).start();
    for asked in ["127.0.0.1", "127.0.0.2", "127.7.7.7", "::1"] {
        let asked: IpAddr = asked.parse().expect("an address");
        let client: IpAddr = if asked.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            asked
        };
        // Twice: the second batch reuses the buffers of the first.
        expect_reply_from(&server, asked, client);
        expect_reply_from(&server, asked, client);
    }
}

/// Many questions to changing addresses in one go, so that a batch holds several of them.
#[test]
fn section_4_1_holds_for_each_datagram_of_a_batch() {
    let server = setup().listen(&["0.0.0.0:0", "[::]:0"]).start();
    let port = server.address().port();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("it is not zero");
    let query = |id: u16| {
        Question {
            id,
            ..Question::new("host.example.test", A)
        }
        .octets()
    };
    for id in 0..200u16 {
        socket
            .send_to(&query(id), SocketAddr::from(([127, 0, 1, id as u8], port)))
            .expect("loopback takes it");
    }
    for _ in 0..200 {
        let mut buffer = [0; 65536];
        let (length, from) = socket.recv_from(&mut buffer).expect("a reply");
        let id = u16::from_be_bytes([buffer[0], buffer[1]]);
        assert_eq!(
            from,
            SocketAddr::from(([127, 0, 1, id as u8], port)),
            "query {id}"
        );
        check_any(&query(id), Transport::Udp, &buffer[..length]);
    }
}
