//! Two regions, what they are answered with, and what the server says of itself.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::types::A;
use crate::harness::{NameServer, Server, Setup};

pub const ZONE: &str =
    "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\n";

/// A server whose clients are near `fra`, with `iad` far away, that resolves by `names`.
pub fn setup(names: &NameServer, lines: &str) -> Setup {
    let places = "[[geo.networks]]\ncidr = \"198.18.0.0/15\"\nlocation = \"FRA\"\n[regions.fra]\nlocation = \"FRA\"\n\
                  [regions.iad]\nlocation = \"IAD\"\n";
    Setup::new()
        .zone("example.test", ZONE)
        .config(&format!("{}{places}{lines}", names.config()))
}

/// A check of the regions of the test that sees changes within a second.
pub fn check(port: u16) -> String {
    format!(
        "[checks.web]\ntype = \"http\"\nport = {port}\ninterval = \"200ms\"\ntimeout = \"200ms\"\nrise = 2\n"
    )
}

/// The data of the answers for a name and type, in order.
pub fn answer(server: &Server, name: &str, rtype: u16) -> Vec<String> {
    let reply = server.ask(name, rtype).from_subnet("198.18.0.0/24").send();
    let mut data: Vec<String> = reply
        .message
        .answers
        .iter()
        .map(|record| record.data.clone())
        .collect();
    data.sort();
    data
}

/// What clients near Frankfurt are told of the one service.
pub fn www(server: &Server) -> String {
    answer(server, "www.example.test", A).join(" ")
}

#[track_caller]
pub fn eventually(server: &Server, what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "never: {what}\n{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// For so long it stays as it is.
#[track_caller]
pub fn stays(server: &Server, lasting: Duration, what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while start.elapsed() < lasting {
        assert!(holds(), "not any more: {what}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What `meridian status --wide` prints.
pub fn printed(server: &Server) -> String {
    let admin = format!("http://{}", server.admin.expect("it has one"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = command
        .args(["status", "--wide", "--admin", &admin])
        .output()
        .expect("the binary runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An endpoint in `GET /v1/status`, by region and number.
pub fn endpoint(server: &Server, region: usize, number: usize) -> serde_json::Value {
    let mut stream = TcpStream::connect(server.admin.expect("it has one")).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("it is not zero");
    stream
        .write_all(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let body = text.split_once("\r\n\r\n").expect("a body").1;
    let status: serde_json::Value = serde_json::from_str(body).expect("JSON");
    status["services"][0]["health"][region]["endpoints"][number].clone()
}
