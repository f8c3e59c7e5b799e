//! The law of the counters: every message that is received raises exactly one of `meridian_queries_total`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::harness::query::{OptSent, Question, header};
use crate::harness::server::{read_framed, write_framed};
use crate::harness::types::*;
use crate::harness::{Server, Setup};
use crate::world::setup;

/// Clients that ask at once, and how often each sends everything.
const CLIENTS: usize = 4;
const ROUNDS: usize = 50;

/// What is expected of the counters.
type Outcomes = BTreeMap<String, u64>;

fn server() -> Setup {
    let access = "deny = [\"127.0.0.3\"]\ndrop = [\"127.0.0.4\"]\ntcp_connections = 5000\ntcp_connections_per_client = 5000";
    let limits = "[limits]\nrate = 1\nslip = 2\nexempt = [\"127.0.0.1\", \"127.0.0.3\"]\n";
    setup().server(access).config(limits)
}

/// Messages with a reply, and the outcome of each.
fn answered() -> Vec<(Vec<u8>, &'static str)> {
    let ask = |name: &str, rtype| Question::new(name, rtype).octets();
    let version = OptSent {
        version: 1,
        ..OptSent::default()
    };
    let with_version = Question {
        opt: Some(version),
        ..Question::new("host.example.test", A)
    };
    let notify = Question {
        flags: 0x2000,
        ..Question::new("example.test", SOA)
    };
    vec![
        (ask("host.example.test", A), "static"),
        (ask("alias.example.test", A), "static"),
        (ask("host.example.test", ANY), "static"),
        (ask("www.example.test", A), "steered"),
        (ask("steered.example.test", A), "steered"),
        (ask("host.example.test", MX), "no-data"),
        (ask("missing.example.test", A), "no-name"),
        (ask("below.child.example.test", A), "referral"),
        (ask("www.example.net", A), "refused"),
        (ask("version.bind", TXT), "refused"),
        (with_version.octets(), "bad-version"),
        (notify.octets(), "not-implemented"),
        (header(7, 0x0100, [1, 0, 0, 0]), "malformed"),
        (header(7, 0x0100, [2, 0, 0, 0]), "malformed"),
    ]
}

/// Messages without a reply.
fn silent() -> Vec<Vec<u8>> {
    let reply = Question {
        flags: 0x8000,
        ..Question::new("host.example.test", A)
    };
    vec![vec![], vec![1, 2, 3], reply.octets(), vec![0; 9000]]
}

fn socket(server: &Server, from: &str) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).expect("a free port");
    socket.connect(server.address()).expect("loopback");
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("not zero");
    socket
}

/// Sends a message and waits for its reply, so that no more is under way than the kernel has room for.
fn exchange(socket: &UdpSocket, message: &[u8]) {
    socket.send(message).expect("loopback takes it");
    let length = socket
        .recv(&mut [0; 4096])
        .unwrap_or_else(|error| panic!("no reply to {message:?}: {error}"));
    assert!(length >= 12);
}

/// All that one client does; what it expects of the counters, where "any" stands for answered or limited.
fn client(server: &Server) -> Outcomes {
    let mut expected = Outcomes::new();
    let mut count = |outcome: &str| *expected.entry(outcome.to_owned()).or_default() += 1;
    let [good, denied] = ["127.0.0.1", "127.0.0.3"].map(|from| socket(server, from));
    let [limited, dropped] = ["127.0.0.2", "127.0.0.4"].map(|from| socket(server, from));
    let host = Question::new("host.example.test", A).octets();
    for _ in 0..ROUNDS {
        for (message, outcome) in answered() {
            exchange(&good, &message);
            count(outcome);
        }
        for message in silent() {
            good.send(&message).expect("loopback takes it");
            count("dropped");
        }
        exchange(&denied, &host);
        count("refused");
        dropped.send(&host).expect("loopback takes it");
        count("dropped");
        limited.send(&host).expect("loopback takes it");
        count("any");
        over_tcp(server, &mut count);
    }
    expected
}

/// Everything with a reply on one connection, and a connection for each message that ends it.
fn over_tcp(server: &Server, count: &mut impl FnMut(&str)) {
    let mut stream = server.connect();
    for (message, outcome) in answered() {
        write_framed(&mut stream, &message);
        count(outcome);
    }
    for _ in answered() {
        assert!(
            read_framed(&mut stream).is_some(),
            "a reply to each, in turn"
        );
    }
    for message in silent() {
        let mut stream = server.connect();
        write_framed(&mut stream, &message);
        count("dropped");
        assert_eq!(read_framed(&mut stream), None, "the connection ends");
    }
}

/// All metrics, as text.
fn metrics(server: &Server) -> String {
    let mut stream = TcpStream::connect(server.admin.expect("it has one")).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("not zero");
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("it reads");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("it answers");
    page
}

/// The counters by outcome.
fn outcomes(server: &Server) -> Outcomes {
    let line = |line: &str| {
        let (outcome, value) = line
            .strip_prefix("meridian_queries_total{verdict=\"")?
            .split_once("\"} ")?;
        Some((outcome.to_owned(), value.parse().ok()?))
    };
    metrics(server).lines().filter_map(line).collect()
}

#[test]
fn each_message_raises_exactly_one_counter() {
    let server = server().start();
    let mut expected = Outcomes::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| client(&server)))
            .collect();
        for client in clients {
            for (outcome, count) in client.join().expect("every client was answered") {
                *expected.entry(outcome).or_default() += count;
            }
        }
    });
    let sent: u64 = expected.values().sum();
    assert!(sent > 7000, "{sent} messages are a load");
    // What is sent without waiting for a reply may still be under way.
    let deadline = Instant::now() + Duration::from_secs(20);
    while outcomes(&server).values().sum::<u64>() < sent && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut counted = outcomes(&server);
    assert_eq!(
        counted.values().sum::<u64>(),
        sent,
        "sent: {expected:?}\ncounted: {counted:?}"
    );
    let either = expected.remove("any").expect("some were to be limited");
    let limited = counted.remove("limited").expect("the counter is there");
    assert!(
        limited > either / 2 && limited < either,
        "{limited} of {either} are above an answer a second"
    );
    *expected.get_mut("static").expect("some were answered") += either - limited;
    counted.retain(|_, count| *count > 0);
    assert_eq!(counted, expected);
}

#[test]
fn times_cookies_and_connections_are_counted() {
    let server = server().start();
    let count = |name: &str| {
        let page = metrics(&server);
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|count| count.parse::<f64>().ok())
            .unwrap_or_else(|| panic!("no {name} in {page}"))
    };
    const COOKIE: u16 = 10;
    let reply = server
        .ask("host.example.test", A)
        .with_option(COOKIE, b"client!!")
        .send();
    let cookie = reply
        .message
        .opt
        .iter()
        .flat_map(|opt| opt.option(COOKIE))
        .next()
        .expect("it gets one")
        .to_vec();
    for _ in 0..2 {
        server
            .ask("host.example.test", A)
            .with_option(COOKIE, &cookie)
            .send();
    }
    let cookies = ["good", "new"]
        .map(|of| count(&format!("meridian_cookie_queries_total{{cookie=\"{of}\"}}")));
    assert_eq!(cookies, [2.0, 1.0]);

    // One after the other, each is a batch.
    for _ in 3..130 {
        server.ask("host.example.test", A).send();
    }
    assert_eq!(
        count("meridian_answer_seconds_count{transport=\"udp\"}"),
        2.0,
        "of 130 batches"
    );
    assert_eq!(
        count("meridian_answer_seconds_bucket{le=\"+Inf\",transport=\"udp\"}"),
        2.0
    );
    let sum = count("meridian_answer_seconds_sum{transport=\"udp\"}");
    assert!(sum > 0.0 && sum < 1.0, "{sum}");

    let opened = count("meridian_tcp_opened_total{}");
    let (first, _second) = (server.connect(), server.connect());
    let await_open = |wanted: f64| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while count("meridian_tcp_connections{}") != wanted {
            assert!(Instant::now() < deadline, "never {wanted} connections");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    await_open(2.0);
    assert_eq!(count("meridian_tcp_opened_total{}"), opened + 2.0);
    drop(first);
    await_open(1.0);
}
