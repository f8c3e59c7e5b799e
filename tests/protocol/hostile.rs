//! Whatever comes, every reply is a good one, short enough, and the server lives.

use std::net::UdpSocket;
use std::time::Duration;

use crate::harness::query::{OptSent, Question};
use crate::harness::reply::check_any;
use crate::harness::types::*;
use crate::harness::{Random, Transport};
use crate::world::server;

fn seeds() -> Vec<Vec<u8>> {
    let names = [
        "www.example.test",
        "host.example.test",
        "x.wild.example.test",
        "x.crowded.example.test",
        "big.example.test",
    ];
    let plain = names
        .iter()
        .flat_map(|name| [A, TXT, ANY, NS].map(|rtype| Question::new(name, rtype)));
    let rich = plain.clone().map(|question| {
        let mut question = question
            .option(8, &[0, 1, 24, 0, 203, 0, 113])
            .option(3, b"");
        let options = question.opt().options.clone();
        *question.opt() = OptSent {
            payload: 4096,
            flags: 0x8000,
            version: 0,
            options,
        };
        question
    });
    plain
        .clone()
        .chain(rich)
        .map(|question| question.octets())
        .collect()
}

fn mutate(message: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(6) {
        let at = random.below(message.len() + 1);
        match (random.below(6), message.get_mut(at)) {
            (0, Some(octet)) => *octet ^= 1 << random.below(8),
            (1, Some(octet)) => *octet = random.next() as u8,
            (2, _) => message.truncate(at),
            (3, _) => message.insert(at, random.next() as u8),
            (4, _) => message.extend_from_within(at..),
            _ => message.resize(message.len() + random.below(40), random.next() as u8),
        }
        message.truncate(4000);
    }
}

#[test]
fn every_reply_to_a_damaged_query_is_a_good_reply() {
    let mut server = server();
    let mut random = Random(20260101);
    let seeds = seeds();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect(server.address()).expect("loopback");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("not zero");
    let mut replies = 0;
    for round in 0..20_000u32 {
        let mut message = seeds[random.below(seeds.len())].clone();
        mutate(&mut message, &mut random);
        socket.send(&message).expect("loopback takes it");
        // What may get no reply is followed by a query that must get one.
        let may_be_dropped = message.len() < 12 || message[2] & 0x80 != 0;
        let mut buffer = [0; 65536];
        if may_be_dropped {
            continue;
        }
        let length = socket
            .recv(&mut buffer)
            .unwrap_or_else(|_| panic!("round {round}: no reply to {message:02x?}"));
        check_any(&message, Transport::Udp, &buffer[..length]);
        replies += 1;
    }
    assert!(replies > 10_000, "{replies} replies");
    assert!(server.is_alive());
    server
        .ask("host.example.test", A)
        .expect_address("192.0.2.1");
}

#[test]
fn nothing_is_amplified_much() {
    let server = server();
    for name in ["example.net", "."] {
        let question = Question::new(name, ANY);
        let reply = server.put(question.clone()).send();
        assert!(reply.message.length <= question.octets().len() + 64);
    }
}
