//! Floods on the admin port and a process without descriptors: whoever asks for names does not notice.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::Server;
use crate::harness::types::A;
use crate::world::{self, TOKEN, call, eventually};

/// What the process holds more at the end of a flood than before, at most.
const GROWTH: u64 = 16 << 20;
/// Octets that may be sent before a connection that is of no use is cut: what the buffers of two sockets take.
const TAKEN: usize = 64 << 20;
const GIGABYTE: usize = 1 << 30;

/// Asks over UDP and TCP without a pause while something is done; every query is answered, or this fails.
fn while_asking(server: &Server, done: impl FnOnce()) {
    let over = AtomicBool::new(false);
    let asked = std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                server
                    .ask("ns1.example.test", A)
                    .expect_address("127.0.0.1");
                if count % 20 == 0 {
                    server
                        .ask("ns1.example.test", A)
                        .over_tcp()
                        .expect_address("127.0.0.1");
                }
                count += 1;
            }
            count
        });
        // Should this panic, the asker ends all the same.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(done));
        over.store(true, Ordering::Relaxed);
        let asked = asker.join().expect("every query was answered");
        result.map_or_else(|panic| std::panic::resume_unwind(panic), |()| asked)
    });
    assert!(asked > 100, "hardly asked: {asked}");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("loopback has room");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("it is not zero");
    stream
}

/// A connection that the server's system takes when there is room, and nobody waits for.
fn begin_to_connect(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are descriptors");
    socket.set_nonblocking(true).expect("a live socket");
    let _ = socket.connect(&address.into());
    socket
}

/// Sends a beginning and then as much as is taken, up to a gigabyte; how much that was.
fn pour(address: SocketAddr, beginning: &str) -> usize {
    let mut stream = connect(address);
    let block = [b'x'; 1 << 16];
    let mut sent = 0;
    let _ = stream.write_all(beginning.as_bytes());
    while sent < GIGABYTE && stream.write_all(&block).is_ok() {
        sent += block.len();
    }
    sent
}

#[test]
fn a_flood_on_the_admin_port_costs_dns_nothing() {
    let server = world::start("");
    let admin = server.admin.expect("it listens");
    let before = server.resident();
    while_asking(&server, || {
        let head = pour(admin, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ");
        let fields = format!(
            "Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {GIGABYTE}\r\n\r\n"
        );
        let body = pour(admin, &format!("POST /v1/reload HTTP/1.1\r\n{fields}"));
        assert!(
            head < TAKEN && body < TAKEN,
            "{head} octets of a head and {body} of a body were taken"
        );
        // Bodies that never end, beside a thousand connections, of which some say half a head.
        let slow = "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
        let beginnings = [slow, "", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"];
        let held: Vec<Socket> = (0..1000).map(|_| begin_to_connect(admin)).collect();
        // They drip for two seconds; who is not in yet, or was cut off already, does not mind.
        for round in 0..20 {
            for (stream, beginning) in held.iter().zip(beginnings.into_iter().cycle()) {
                let _ = stream.send(if round == 0 {
                    beginning.as_bytes()
                } else {
                    b"x"
                });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let grown = server.resident().saturating_sub(before);
        assert!(grown < GROWTH, "{grown} octets more");
    });
    eventually(
        &server,
        Duration::from_secs(30),
        "the admin port serves again",
        || call(&server, "GET", "/healthz", TOKEN, "").0 == 200,
    );
}

/// Both accept loops want descriptors, and there are none.
#[test]
fn without_descriptors_nothing_spins_and_everybody_is_answered_in_the_end() {
    let server = world::start("");
    let limit_descriptors = |most: u64| {
        let limit = libc::rlimit {
            rlim_cur: most,
            rlim_max: 64,
        };
        // SAFETY: the structure is read only, and nothing is written back.
        let result = unsafe {
            libc::prlimit(
                server.id() as i32,
                libc::RLIMIT_NOFILE,
                &raw const limit,
                std::ptr::null_mut(),
            )
        };
        assert_eq!(result, 0, "the limit of a child can be set");
    };
    limit_descriptors(64);
    let admin: Vec<TcpStream> = (0..80)
        .map(|_| connect(server.admin.expect("it listens")))
        .collect();
    let dns: Vec<TcpStream> = (0..80).map(|_| connect(server.address())).collect();
    server.await_log("the admin server cannot accept a connection", 1);
    let (start, before) = (Instant::now(), server.processor_time());
    while start.elapsed() < Duration::from_secs(2) {
        server
            .ask("ns1.example.test", A)
            .expect_address("127.0.0.1");
        std::thread::sleep(Duration::from_millis(20));
    }
    let used = server.processor_time() - before;
    assert!(used < Duration::from_millis(400), "{used:?} of 2 s");
    let told = server.log().matches("cannot accept a connection").count();
    assert!(told < 100, "told {told} times");
    // None at all: the reload must not find the one that a connection has just given back.
    limit_descriptors(1);
    server.reload();
    server.await_log("the reload was refused", 1);
    server
        .ask("ns1.example.test", A)
        .expect_address("127.0.0.1");
    limit_descriptors(64);
    drop((admin, dns));
    server
        .ask("ns1.example.test", A)
        .over_tcp()
        .expect_address("127.0.0.1");
    assert_eq!(call(&server, "GET", "/healthz", TOKEN, "").0, 200);
    let before = server.log().matches("reloaded").count();
    server.reload();
    server.await_log("reloaded", before + 1);
}
