//! RFC 8914: Extended DNS Errors; RFC 4892: what the server says of itself; RFC 7828: keeping TCP connections.

use crate::harness::query::Question;
use crate::harness::server::{read_framed, write_framed};
use crate::harness::types::*;
use crate::harness::{Reply, rcodes};
use crate::world::{server, setup};

const ERROR: u16 = 15;
const KEEPALIVE: u16 = 11;

fn option(reply: &Reply, code: u16) -> Option<Vec<u8>> {
    reply
        .message
        .opt
        .iter()
        .flat_map(|opt| opt.option(code))
        .next()
        .map(<[u8]>::to_vec)
}

#[test]
fn section_4_21_not_authoritative_comes_with_refused() {
    let server = server();
    let reply = server
        .ask("example.net", A)
        .with_payload(1232)
        .expect_refused();
    assert_eq!(option(&reply, ERROR), Some(vec![0, 20]));
    server.ask("example.net", A).expect_refused();
    let reply = server
        .ask("example.net", A)
        .with_option(3, b"")
        .expect_refused();
    assert_eq!(
        (option(&reply, ERROR), option(&reply, 3)),
        (Some(vec![0, 20]), Some(b"ns1-test".to_vec()))
    );
    let reply = server.ask("host.example.test", A).with_payload(1232).send();
    assert_eq!(option(&reply, ERROR), None);
}

#[test]
fn section_4_1_every_region_down_is_said() {
    let config = "[checks.dead]\ntype = \"tcp\"\nport = 1\ninterval = \"1s\"\nfall = 1\n\
                  [regions.here]\nlocation = \"FRA\"\n";
    let service = |name: &str, all_down: &str| {
        format!(
            "[[services]]\nname = \"{name}.example.test\"\ncheck = \"dead\"\nall_down = \"{all_down}\"\n\
             endpoints = {{ here = \"127.0.0.1\" }}\n"
        )
    };
    let services = [
        ("all", "answer-all"),
        ("none", "nodata"),
        ("fail", "servfail"),
    ];
    let services: String = services
        .iter()
        .map(|(name, all_down)| service(name, all_down))
        .collect();
    let server = crate::harness::Setup::new().zone("example.test", crate::world::ZONE);
    let server = server.config(&format!("{config}{services}")).start();
    for (name, rcode) in [
        ("all", rcodes::NOERROR),
        ("none", rcodes::NOERROR),
        ("fail", rcodes::SERVFAIL),
    ] {
        let name = format!("{name}.example.test");
        let reply = server
            .ask(&name, A)
            .with_payload(1232)
            .send()
            .expect_rcode(rcode);
        assert_eq!(
            option(&reply, ERROR),
            Some(b"\0\0all regions down".to_vec()),
            "{name}"
        );
        server.ask(&name, A).send().expect_rcode(rcode);
    }
}

fn chaos(name: &str) -> Question {
    Question {
        class: 3,
        ..Question::new(name, TXT)
    }
}

#[test]
fn rfc4892_the_server_says_of_itself_what_it_may() {
    let silent = server();
    for name in [
        "id.server",
        "hostname.bind",
        "version.bind",
        "version.server",
        "example.test",
    ] {
        silent.put(chaos(name)).expect_refused();
    }
    let server = setup()
        .server("chaos_id = \"fra-1\"\nchaos_version = \"none of yours\"")
        .start();
    let told = |name: &str| {
        let reply = server.put(chaos(name)).send().expect_rcode(rcodes::NOERROR);
        let [record] = &reply.message.answers[..] else {
            panic!("one record: {:?}", reply.message)
        };
        assert_eq!((record.class, record.rtype, record.ttl), (3, TXT, 0));
        record.data.clone()
    };
    assert_eq!(told("id.server"), told("HOSTNAME.bind"));
    assert_eq!(told("version.bind"), told("version.server"));
    assert_ne!(told("id.server"), told("version.bind"));
    server.put(chaos("authors.bind")).expect_refused();
    server
        .put(Question {
            class: 3,
            ..Question::new("id.server", A)
        })
        .expect_refused();
    server.ask("id.server", TXT).expect_refused();
}

#[test]
fn rfc7828_section_3_3_2_the_idle_time_is_told_over_tcp_and_only_there() {
    let server = setup().server("tcp_idle = \"2500ms\"").start();
    let reply = server
        .ask("host.example.test", A)
        .with_option(KEEPALIVE, b"")
        .over_tcp()
        .send();
    assert_eq!(option(&reply, KEEPALIVE), Some(vec![0, 25]));
    let reply = server
        .ask("host.example.test", A)
        .with_option(KEEPALIVE, b"")
        .send();
    assert_eq!(option(&reply, KEEPALIVE), None);
    let reply = server
        .ask("host.example.test", A)
        .with_payload(1232)
        .over_tcp()
        .send();
    assert_eq!(option(&reply, KEEPALIVE), None);
}

#[test]
fn rfc7766_section_6_2_2_the_connection_that_was_idle_longest_leaves() {
    // The limit of one client would come first otherwise.
    let server = setup()
        .server("tcp_connections = 3\ntcp_connections_per_client = 4")
        .start();
    let query = Question::new("host.example.test", A).octets();
    let mut open: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = server.connect();
            write_framed(&mut stream, &query);
            assert!(read_framed(&mut stream).is_some());
            std::thread::sleep(std::time::Duration::from_millis(20));
            stream
        })
        .collect();
    let mut new = server.connect();
    write_framed(&mut new, &query);
    assert!(
        read_framed(&mut new).is_some(),
        "there is a place for the new one"
    );
    assert!(read_framed(&mut open[0]).is_none(), "the first one's");
    for stream in &mut open[1..] {
        write_framed(stream, &query);
        assert!(read_framed(stream).is_some(), "the others stay");
    }
}
