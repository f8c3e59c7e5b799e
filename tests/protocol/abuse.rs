//! What keeps the server from being a weapon: limits, access, and how much longer than a query a reply can be.

use std::net::UdpSocket;
use std::time::Duration;

use crate::harness::query::{OptSent, Question};
use crate::harness::reply::check_any;
use crate::harness::types::*;
use crate::harness::{Message, Server, Transport, rcodes};
use crate::world::{server, setup};

/// One socket, so that every query comes from one address; what is sent back to each of `count` queries.
fn flood(server: &Server, question: &Question, count: usize) -> Vec<Option<Message>> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect(server.address()).expect("loopback");
    let sent = question.octets();
    let mut buffer = [0; 4096];
    let mut replies = Vec::new();
    for _ in 0..count {
        // What comes comes at once; what was silence so far is so again.
        let patience = if replies.last().is_some_and(Option::is_none) {
            20
        } else {
            1000
        };
        socket
            .set_read_timeout(Some(Duration::from_millis(patience)))
            .expect("not zero");
        socket.send(&sent).expect("loopback takes it");
        replies.push(
            socket
                .recv(&mut buffer)
                .ok()
                .map(|length| check_any(&sent, Transport::Udp, &buffer[..length])),
        );
    }
    replies
}

fn counts(replies: &[Option<Message>]) -> [usize; 3] {
    let count = |kind: fn(&&Message) -> bool| replies.iter().flatten().filter(kind).count();
    let silent = replies.iter().filter(|reply| reply.is_none()).count();
    [
        count(|reply| !reply.is_truncated()),
        count(|reply| reply.is_truncated() && reply.is_bare()),
        silent,
    ]
}

#[test]
fn above_the_limit_clients_are_sent_to_tcp() {
    let server = setup().config("[limits]\nexempt = []\n").start();
    let question = Question::new("host.example.test", A);
    let [whole, truncated, silent] = counts(&flood(&server, &question, 2000));
    assert!(
        (125..600).contains(&whole),
        "{whole} whole replies: a burst of 125, and 50 a second"
    );
    assert_eq!(
        (whole + truncated, silent),
        (2000, 0),
        "with slip 1 every other one says TC"
    );
    server.put(question).over_tcp().expect_address("192.0.2.1");
}

#[test]
fn slip_0_is_silence_and_loopback_is_exempt_unless_told() {
    let server = setup()
        .config("[limits]\nexempt = []\nslip = 0\nrate = 5\n")
        .start();
    let [whole, truncated, silent] =
        counts(&flood(&server, &Question::new("host.example.test", A), 60));
    assert!(
        (12..55).contains(&whole) && truncated == 0 && silent > 0,
        "{whole} {truncated} {silent}"
    );
    let server = setup().config("[limits]\nslip = 0\n").start();
    assert_eq!(
        counts(&flood(
            &server,
            &Question::new("host.example.test", A),
            1000
        )),
        [1000, 0, 0]
    );
}

#[test]
fn a_good_cookie_is_never_limited() {
    let server = setup()
        .config("[limits]\nexempt = []\nslip = 0\nrate = 1\n")
        .start();
    let reply = server
        .ask("host.example.test", A)
        .with_option(10, b"client!!")
        .send();
    let cookie = reply
        .message
        .opt
        .iter()
        .flat_map(|opt| opt.option(10))
        .next()
        .expect("a cookie")
        .to_vec();
    let question = Question::new("host.example.test", A);
    assert_eq!(
        counts(&flood(&server, &question.clone().option(10, &cookie), 300)),
        [300, 0, 0]
    );
    let [whole, _, silent] = counts(&flood(&server, &question, 30));
    assert!(
        whole < 10 && silent > 15,
        "those without one are: {whole} {silent}"
    );
    assert_eq!(
        counts(&flood(&server, &question.option(10, &cookie), 100)),
        [100, 0, 0],
        "above the limit too"
    );
}

#[test]
fn dry_run_answers_and_a_reload_ends_it() {
    let limits = "[limits]\nexempt = []\nrate = 10\ndry_run = true\n";
    let server = setup().config(limits).start();
    let question = Question::new("host.example.test", A);
    assert_eq!(counts(&flood(&server, &question, 500)), [500, 0, 0]);
    let text = std::fs::read_to_string(server.config_file()).expect("it is there");
    std::fs::write(
        server.config_file(),
        text.replace("dry_run = true", "dry_run = false"),
    )
    .expect("it can be written");
    server.reload();
    server.await_log("reloaded", 1);
    let [whole, truncated, _] = counts(&flood(&server, &question, 500));
    assert!(whole < 400 && truncated > 100, "{whole} {truncated}");
}

#[test]
fn who_is_denied_is_told_so_and_who_is_dropped_is_not() {
    let server = setup().server("deny = [\"127.0.0.1\"]").start();
    let reply = server
        .ask("host.example.test", A)
        .with_payload(1232)
        .expect_refused();
    assert_eq!(
        reply.message.opt.expect("OPT").option(15).next(),
        Some(&[0, 18][..]),
        "prohibited (RFC 8914)"
    );
    server.ask("host.example.test", A).expect_refused();
    server
        .ask("host.example.test", A)
        .over_tcp()
        .expect_refused();
    let server = setup().server("allow = [\"127.0.0.0/8\"]").start();
    server
        .ask("host.example.test", A)
        .expect_address("192.0.2.1");
    let server = setup().server("allow = [\"192.0.2.0/24\"]").start();
    server.ask("host.example.test", A).expect_refused();
    let server = setup().server("drop = [\"127.0.0.0/8\"]").start();
    assert_eq!(
        server.silence_after(&Question::new("host.example.test", A).octets()),
        None
    );
}

#[test]
fn a_zone_is_for_those_whom_its_access_names() {
    let access = "[[zones.access]]\nzone = \"other.test\"\ndeny = [\"127.0.0.1\"]\n";
    let server = setup().config(access).start();
    for question in [
        Question::new("other.test", SOA),
        Question::new("missing.other.test", A),
    ] {
        let reply = server
            .put(question.clone())
            .with_payload(1232)
            .expect_refused();
        let opt = reply.message.opt.expect("OPT");
        assert_eq!(
            opt.option(15).next(),
            Some(&[0, 18][..]),
            "prohibited (RFC 8914)"
        );
        server.put(question.clone()).over_tcp().expect_refused();
        server
            .put(question)
            .from_subnet("203.0.113.0/24")
            .expect_refused();
    }
    // Other zones are as they were, and what leads into this one ends there.
    server
        .ask("host.example.test", A)
        .expect_address("192.0.2.1");
    server
        .ask("circle.example.test", A)
        .expect_answer(&["circle.example.test. 3600 CNAME circle.other.test."]);
    // It is reloaded like everything, and a slip of the pen is refused.
    let text = std::fs::read_to_string(server.config_file()).expect("it is there");
    std::fs::write(
        server.config_file(),
        text.replace("\"other.test\"", "\"othr.test\""),
    )
    .expect("writable");
    server.reload();
    server.await_log("there is no zone othr.test whose access this could be", 1);
    server.ask("other.test", SOA).expect_refused();
    std::fs::write(server.config_file(), text.replace("127.0.0.1", "127.0.0.2")).expect("writable");
    let before = server.log().matches("reloaded").count();
    server.reload();
    server.await_log("reloaded", before + 1);
    assert_eq!(
        server.ask("other.test", SOA).send().message.rcode(),
        rcodes::NOERROR
    );
}

/// Every kind of query, the shortest that asks for it: the worst is what docs/testing.md says.
#[test]
fn the_worst_amplification_is_what_is_documented() {
    let server = server();
    let names = [
        "example.test",
        "host.example.test",
        "www.example.test",
        "x.wild.example.test",
        "big.example.test",
        "mail.example.test",
        "web.example.test",
        "svc.example.test",
        "one.example.test",
        "none.example.test",
        "child.example.test",
        "x.child.example.test",
        "x.crowded.example.test",
        "crowded.example.test",
        "other.test",
        "circle.other.test",
        "sister.example.test",
        "example.net",
        ".",
    ];
    let types = [
        A, NS, CNAME, SOA, MX, TXT, AAAA, SRV, DS, HTTPS, AXFR, ANY, 0, 65535,
    ];
    let opts = [
        None,
        Some(vec![]),
        Some(vec![0, 3, 0, 0]),
        Some([&[0, 10, 0, 8][..], &[7; 8]].concat()),
    ];
    let mut worst = (0.0, String::new());
    for (name, rtype) in names
        .iter()
        .flat_map(|name| types.map(|rtype| (name, rtype)))
    {
        for options in &opts {
            let mut question = Question::new(name, rtype);
            question.opt = options.clone().map(|options| OptSent {
                options,
                ..OptSent::default()
            });
            let reply = server.put(question.clone()).send().message;
            let ratio = reply.length as f64 / question.octets().len() as f64;
            assert!(
                reply.rcode() != rcodes::REFUSED || ratio < 2.0,
                "{name} {rtype}: REFUSED is small"
            );
            if ratio > worst.0 {
                worst = (
                    ratio,
                    format!("{name} TYPE{rtype} {options:?}: {} octets", reply.length),
                );
            }
        }
    }
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing.md");
    let page = std::fs::read_to_string(page).expect("it is there");
    let said = format!("{:.1} times", worst.0);
    assert!(
        page.contains(&said),
        "docs/testing.md does not say {said} ({})",
        worst.1
    );
}
