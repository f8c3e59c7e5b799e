//! One server takes the place of another while clients ask without a pause: no query is lost, nothing is forgotten, and one
//! that cannot begin changes nothing.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::query::subnet_option;
use crate::harness::server::{self, read_framed, write_framed};
use crate::harness::types::A;
use crate::harness::{Question, Region, Reply, Server, Transport};
use crate::world::{self, TOKEN, call, say, www};

const SUCCESSIONS: usize = 4;
const SERVICE: &str = "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n";

/// A question every millisecond, until `over`; the addresses that were given, `None` for what was not answered.
fn ask_until(
    over: &AtomicBool,
    transport: Transport,
    mut ask: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Vec<Option<Vec<String>>> {
    let mut answers = Vec::new();
    // Should what is tried meanwhile fail, nobody says that it is over.
    let deadline = Instant::now() + Duration::from_secs(120);
    for id in (0..=u16::MAX).cycle() {
        if over.load(Ordering::Relaxed) || Instant::now() > deadline {
            break;
        }
        let question = Question {
            id,
            ..Question::new("www.example.test", A)
        };
        let question = question.option(8, &subnet_option("203.0.113.0/24"));
        let reply = ask(&question.octets());
        answers.push(reply.map(|reply| addresses(&question, transport, &reply)));
        std::thread::sleep(Duration::from_millis(1));
    }
    answers
}

fn addresses(question: &Question, transport: Transport, reply: &[u8]) -> Vec<String> {
    Reply::checked(question, transport, reply)
        .addresses()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn over_udp(server: SocketAddr, over: &AtomicBool) -> Vec<Option<Vec<String>>> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("it is not zero");
    ask_until(over, Transport::Udp, |query| {
        socket.send_to(query, server).expect("loopback takes it");
        let mut reply = [0; 4096];
        socket
            .recv(&mut reply)
            .ok()
            .map(|length| reply[..length].to_vec())
    })
}

/// A connection for each question.
fn over_tcp(server: SocketAddr, over: &AtomicBool) -> Vec<Option<Vec<String>>> {
    ask_until(over, Transport::Tcp, |query| {
        let mut stream = TcpStream::connect(server).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("it is not zero");
        write_framed(&mut stream, query);
        read_framed(&mut stream)
    })
}

/// All queries that were counted, by any transport.
fn counted(server: &Server) -> u64 {
    let (status, metrics) = call(server, "GET", "/metrics", TOKEN, "");
    assert_eq!(status, 200);
    let queries = metrics
        .lines()
        .filter(|line| line.starts_with("meridian_queries_total{"));
    queries
        .map(|line| {
            line.rsplit(' ')
                .next()
                .and_then(|count| count.parse::<u64>().ok())
                .expect("a number")
        })
        .sum()
}

/// What a server says that was to take over and could not.
fn fail_to_take_over(server: &Server) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(["serve", "--take-over", "--config"])
        .arg(server.config_file())
        .current_dir(server.folder());
    let output = command.output().expect("the binary runs");
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn no_query_is_lost_and_nothing_is_forgotten_from_server_to_server() {
    let server = world::start(SERVICE);
    say(&server, &["drain", "fra", "--reason", "to be remembered"]);
    let (address, admin) = (server.address(), server.admin);
    let over = AtomicBool::new(false);
    let (server, asked) = std::thread::scope(|scope| {
        let (udp, tcp) = (|| over_udp(address, &over), || over_tcp(address, &over));
        let (udp, tcp) = (scope.spawn(udp), scope.spawn(tcp));
        let mut server = server;
        for _ in 0..SUCCESSIONS {
            let before = counted(&server);
            server = server.succeeded();
            assert_eq!(
                (server.address(), server.admin),
                (address, admin),
                "the same sockets"
            );
            let after = counted(&server);
            assert!(
                after >= before,
                "{before} queries were counted, then {after}"
            );
        }
        over.store(true, Ordering::Relaxed);
        (
            server,
            [udp, tcp].map(|asker| asker.join().expect("it ended")),
        )
    });
    for (transport, answers) in ["UDP", "TCP"].into_iter().zip(asked) {
        assert!(
            answers.len() > 100,
            "hardly a stream over {transport}: {}",
            answers.len()
        );
        let lost = answers.iter().filter(|answer| answer.is_none()).count();
        assert_eq!(
            lost,
            0,
            "queries lost over {transport} of {}",
            answers.len()
        );
        for answer in answers.into_iter().flatten() {
            assert_eq!(answer, ["192.0.2.2"], "over {transport}");
        }
    }
    assert!(say(&server, &["status"]).contains("to be remembered"));
}

#[test]
fn a_region_that_is_down_stays_down_from_the_first_answer_on() {
    let (fra, iad) = (Region::start("127.0.1.1", 0), Region::start("127.0.2.1", 0));
    let server = world::start_checked(&fra, &iad, "");
    fra.set_broken(true);
    world::eventually(&server, Duration::from_secs(20), "fra is out", || {
        www(&server) == "127.0.2.1"
    });
    let address = server.address();
    let over = AtomicBool::new(false);
    let (server, answers) = std::thread::scope(|scope| {
        let asker = scope.spawn(|| over_udp(address, &over));
        let server = server.succeeded();
        over.store(true, Ordering::Relaxed);
        (server, asker.join().expect("it ended"))
    });
    for answer in answers {
        assert_eq!(answer.as_deref(), Some(&["127.0.2.1".to_owned()][..]));
    }
    // It is asked on, and comes back little by little.
    fra.set_broken(false);
    world::eventually(&server, Duration::from_secs(20), "fra is returning", || {
        say(&server, &["status"]).contains("is returning")
    });
}

#[test]
fn one_that_cannot_begin_changes_nothing() {
    let server = world::start(SERVICE);
    let good = fs::read_to_string(server.config_file()).expect("it is there");
    fs::write(
        server.config_file(),
        good.replace("[regions.iad]", "[regoins.iad]"),
    )
    .expect("it can be written");
    let told = String::from_utf8(fail_to_take_over(&server).stderr).expect("text");
    assert!(
        told.contains("meridian.toml:") && told.contains("regoins"),
        "{told}"
    );

    // This one has the sockets already when it fails.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let admin = format!(
        "[admin]\nlisten = \"{}\"",
        taken.local_addr().expect("bound")
    );
    fs::write(
        server.config_file(),
        good.replace("[admin]\nlisten = \"127.0.0.1:0\"", &admin),
    )
    .expect("it can be written");
    let told = String::from_utf8(fail_to_take_over(&server).stderr).expect("text");
    assert!(told.contains("the admin server cannot listen on"), "{told}");
    server.await_log("another server wanted to take over and failed", 1);

    assert_eq!(www(&server), "192.0.2.1");
    say(
        &server,
        &["drain", "fra", "--reason", "orders are taken again"],
    );
    assert_eq!(www(&server), "192.0.2.2");
}

#[test]
fn where_there_is_nobody_to_take_over_from_it_starts_as_usual() {
    let server = world::start(SERVICE);
    let folder = server.stopped();
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(["serve", "--take-over", "--config"])
        .arg(folder.path().join("meridian.toml"));
    command.current_dir(folder.path());
    let server = server::start(command, folder);
    assert_eq!(www(&server), "192.0.2.1");
    server.await_log("no running server uses ", 1);
}
