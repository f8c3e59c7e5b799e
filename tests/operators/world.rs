//! What operators act upon: servers, the commands and calls to them.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::types::A;
use crate::harness::{Region, Server, Setup};

const ZONE: &str =
    "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\n";
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A server with a token, a state folder, two regions and these lines; clients of 203.0.113.0/24 are near `fra`.
pub fn start(lines: &str) -> Server {
    start_with_state("state", lines)
}

/// Writes the token file of a server.
pub fn write_token(server: &Server) {
    let path = server.folder().join("token");
    fs::write(&path, TOKEN).expect("the folder can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

/// The same with another state folder.
pub fn start_with_state(directory: &str, lines: &str) -> Server {
    setup(directory, lines).start()
}

/// The same, not started yet.
pub fn setup(directory: &str, lines: &str) -> Setup {
    let config = format!(
        "[state]\ndirectory = \"{directory}\"\n[[geo.networks]]\ncidr = \"203.0.113.0/24\"\nlocation = \"FRA\"\n\
         [regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n{lines}"
    );
    let setup = Setup::new()
        .zone("example.test", ZONE)
        .admin("token_file = \"token\"")
        .config(&config);
    let setup = setup.file("token", TOKEN.as_bytes());
    fs::set_permissions(
        setup.folder().join("token"),
        fs::Permissions::from_mode(0o600),
    )
    .expect("it is ours");
    setup
}

/// The same with a check of both regions, and with these lines beside it.
pub fn start_checked(fra: &Region, iad: &Region, lines: &str) -> Server {
    start(&checked(fra, iad, lines))
}

/// The lines of such a check.
pub fn checked(fra: &Region, iad: &Region, lines: &str) -> String {
    format!(
        "[checks.web]\ntype = \"http\"\ninterval = \"200ms\"\ntimeout = \"200ms\"\n{lines}\n\
         [[services]]\nname = \"www.example.test\"\ncheck = \"web\"\n[services.endpoints]\n\
         fra = {{ address = \"127.0.1.1\", port = {} }}\niad = {{ address = \"127.0.2.1\", port = {} }}\n",
        fra.port, iad.port
    )
}

/// The lines of so many services `sN.example.test` in alphabetical disorder, each with ten endpoints of its own.
pub fn many_services(count: usize) -> String {
    let mut lines = String::new();
    for number in (0..count).rev() {
        let (high, low) = (number / 250, number % 250);
        let addresses = |first: usize| {
            let all = (first..first + 5).map(|net| format!("\"10.{net}.{high}.{low}\""));
            all.collect::<Vec<_>>().join(", ")
        };
        lines += &format!(
            "[[services]]\nname = \"s{number}.example.test\"\n[services.endpoints]\nfra = [{}]\niad = [{}]\n",
            addresses(0),
            addresses(5)
        );
    }
    lines
}

pub fn answer(server: &Server, name: &str) -> Vec<String> {
    let reply = server.ask(name, A).from_subnet("203.0.113.0/24").send();
    reply.addresses().into_iter().map(str::to_owned).collect()
}

/// Where clients near Frankfurt are sent.
pub fn www(server: &Server) -> String {
    answer(server, "www.example.test").join(" ")
}

/// A command to the server, with its token.
pub fn meridian(server: &Server, arguments: &[&str]) -> Output {
    let admin = format!("http://{}", server.admin.expect("it has one"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(arguments)
        .args(["--admin", &admin])
        .env("MERIDIAN_TOKEN", TOKEN)
        .env("USER", "somebody");
    command
        .env_remove("SUDO_USER")
        .output()
        .expect("the binary runs")
}

/// What a command says that must succeed.
#[track_caller]
pub fn say(server: &Server, arguments: &[&str]) -> String {
    let output = meridian(server, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{arguments:?}: {errors}\n{}",
        server.log()
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What a command says that must fail.
#[track_caller]
pub fn fail(server: &Server, arguments: &[&str]) -> String {
    let output = meridian(server, arguments);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// Status and body of a call.
pub fn call(server: &Server, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
    call_as(
        server,
        method,
        path,
        &format!("Host: localhost\r\nAuthorization: Bearer {token}"),
        body,
    )
}

/// The same with these header fields.
pub fn call_as(server: &Server, method: &str, path: &str, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.admin.expect("it has one")).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("it is not zero");
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let status = text
        .get(9..12)
        .and_then(|status| status.parse().ok())
        .expect("a status line");
    (
        status,
        text.split_once("\r\n\r\n")
            .map_or(String::new(), |(_, body)| body.to_owned()),
    )
}

/// A connection from this address, with a patience.
#[track_caller]
pub fn connect_from(address: &str, to: SocketAddr) -> TcpStream {
    let from = SocketAddr::new(address.parse().expect("an address"), 0);
    let socket =
        Socket::new(Domain::for_address(to), Type::STREAM, None).expect("there are descriptors");
    socket.bind(&from.into()).expect("an address of loopback");
    socket.connect(&to.into()).expect("it listens");
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("it is not zero");
    socket.into()
}

#[track_caller]
pub fn eventually(server: &Server, within: Duration, what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < within, "never: {what}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}
