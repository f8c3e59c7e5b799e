//! Sockets that a service manager opens and passes (`sd_listen_fds(3)`), and what it is told (`sd_notify(3)`): the test is
//! the service manager.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::server::{read_framed, start, write_framed};
use crate::harness::{Question, Setup};

const A: u16 = 1;
const ZONE: &str =
    "$ORIGIN example.test.\n@ 60 SOA ns hostmaster 1 1 1 1 1\n@ 60 NS ns\nns 60 A 192.0.2.53\n";
const PATIENCE: Duration = Duration::from_secs(20);

/// A pair of sockets on one port, as `ListenDatagram=` and `ListenStream=` open them: without blocking.
fn pair() -> (UdpSocket, TcpListener) {
    for _ in 0..32 {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("it is bound")) else {
            continue;
        };
        udp.set_nonblocking(true).expect("a live socket");
        return (udp, tcp);
    }
    panic!("no port is free for both UDP and TCP");
}

/// The configuration for `address`.
fn setup(address: SocketAddr) -> Setup {
    Setup::new()
        .listen(&[&address.to_string()])
        .zone("example.test", ZONE)
}

/// `meridian serve` with these descriptors as 3, 4 and so on, and `LISTEN_PID` its own. The shell keeps its number when it
/// becomes the server.
fn serve(folder: &Path, passed: &[RawFd]) -> Command {
    // SAFETY: copies descriptors of live sockets to numbers above those that they are to have, to be inherited.
    let copies: Vec<RawFd> = passed
        .iter()
        .map(|fd| unsafe { libc::fcntl(*fd, libc::F_DUPFD, 100) })
        .collect();
    assert!(
        copies.iter().all(|copy| *copy >= 100),
        "descriptors are left"
    );
    let moves: String = (3..)
        .zip(&copies)
        .map(|(to, from)| format!(" {to}<&{from} {from}<&-"))
        .collect();
    let script = format!(
        "LISTEN_PID=$$ LISTEN_FDS={} exec \"$0\" \"$@\" {moves}",
        passed.len()
    );
    let mut command = Command::new("bash");
    command.args([
        "-c",
        &script,
        env!("CARGO_BIN_EXE_meridian"),
        "serve",
        "--config",
    ]);
    command
        .arg(folder.join("meridian.toml"))
        .current_dir(folder);
    command
}

fn query(id: u16) -> Vec<u8> {
    let mut message = Question::new("ns.example.test", A).octets();
    message[..2].copy_from_slice(&id.to_be_bytes());
    message
}

/// Sends a query every 10 ms until `done`, not more than the kernel's smallest queue holds.
fn send_until(done: &AtomicBool, client: &UdpSocket, ids: &mut u16) -> HashSet<u16> {
    let mut sent = HashSet::new();
    while !done.load(Ordering::Relaxed) && sent.len() < 250 {
        *ids += 1;
        client
            .send(&query(*ids))
            .expect("the socket stays open whoever reads it");
        sent.insert(*ids);
        std::thread::sleep(Duration::from_millis(10));
    }
    sent
}

/// Takes replies until all of `awaited` have come.
fn receive_all(client: &UdpSocket, mut awaited: HashSet<u16>) {
    let mut buffer = [0; 1500];
    while !awaited.is_empty() {
        let length = client
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("{} are lost: {error}", awaited.len()));
        let id = u16::from_be_bytes([buffer[0], buffer[1]]);
        assert!(awaited.remove(&id), "{id} is answered once");
        assert_eq!(
            (buffer[3] & 15, &buffer[length - 4..length]),
            (0, &[192, 0, 2, 53][..]),
            "NOERROR and the address"
        );
    }
}

#[test]
fn a_restart_on_passed_sockets_loses_no_query() {
    let (udp, tcp) = pair();
    let address = udp.local_addr().expect("it is bound");
    let passed = [tcp.as_raw_fd(), udp.as_raw_fd()];
    let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    client.connect(address).expect("loopback");
    client
        .set_read_timeout(Some(PATIENCE))
        .expect("it is not zero");
    let mut folder = setup(address).written().1;
    let config = folder.path().join("meridian.toml");
    let text = std::fs::read_to_string(&config).expect("it was written");
    // Three threads read the one socket.
    std::fs::write(&config, text.replace("workers = 1\n", "workers = 3\n"))
        .expect("it can be written");
    assert!(text.contains("workers = 1\n"), "{text}");
    let mut ids = 0;
    for _ in 0..3 {
        // Nobody reads yet: these wait in the queue of the sockets.
        let early = send_until(&AtomicBool::new(false), &client, &mut ids);
        let mut stream = TcpStream::connect(address).expect("the listener is open");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("it is not zero");
        write_framed(&mut stream, &query(7));
        let server = start(serve(folder.path(), &passed), folder);
        assert_eq!(server.address(), address);
        receive_all(&client, early);
        assert_eq!(read_framed(&mut stream).expect("a reply")[..2], [0, 7]);

        // And these come while it leaves.
        let done = AtomicBool::new(false);
        let (late, stopped) = std::thread::scope(|scope| {
            let late = scope.spawn(|| send_until(&done, &client, &mut ids));
            let stopped = server.stopped();
            done.store(true, Ordering::Relaxed);
            (late.join().expect("it sends"), stopped)
        });
        folder = stopped;
        assert!(!late.is_empty(), "a stop takes longer than the first query");
        let server = start(serve(folder.path(), &passed), folder);
        receive_all(&client, late);
        folder = server.stopped();
    }
}

#[test]
fn a_socket_that_nothing_wants_is_named() {
    let ((udp, tcp), (other, _)) = (pair(), pair());
    let folder = setup(udp.local_addr().expect("it is bound")).written().1;
    let passed = [tcp.as_raw_fd(), udp.as_raw_fd(), other.as_raw_fd()];
    let output = serve(folder.path(), &passed)
        .output()
        .expect("the shell runs");
    let told = String::from_utf8_lossy(&output.stderr);
    let expected = format!(
        "nothing in the configuration listens on: UDP {};",
        other.local_addr().expect("it is bound")
    );
    assert!(told.contains(&expected), "{told}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_cannot_be_served_is_named() {
    let file = std::fs::File::open("/dev/null").expect("it is there");
    let mixed = UdpSocket::bind("[::]:0").expect("a free port");
    let (_, listener) = pair();
    let connection =
        TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    for (passed, mistake) in [
        (file.as_raw_fd(), "is no socket"),
        (
            mixed.as_raw_fd(),
            "mixes IPv4 into IPv6; the socket unit must say BindIPv6Only=ipv6-only",
        ),
        (
            connection.as_raw_fd(),
            "is a connection, not a listener; the socket unit must say Accept=no",
        ),
    ] {
        let folder = setup("127.0.0.1:0".parse().expect("an address"))
            .written()
            .1;
        let output = serve(folder.path(), &[passed])
            .output()
            .expect("the shell runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.contains(&format!("file descriptor 3 was passed to us and {mistake}")),
            "{told}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let folder = setup("127.0.0.1:0".parse().expect("an address"))
        .written()
        .1;
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .env("LISTEN_PID", "1")
        .env("LISTEN_FDS", "1")
        .args(["serve", "--config"]);
    command
        .arg(folder.path().join("meridian.toml"))
        .current_dir(folder.path());
    assert!(start(command, folder).stop());
}

#[test]
fn the_service_manager_is_told_when_it_serves_and_when_it_stops() {
    let folder = setup("127.0.0.1:0".parse().expect("an address"))
        .written()
        .1;
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a new socket");
    manager
        .set_read_timeout(Some(PATIENCE))
        .expect("it is not zero");
    let mut command = serve(folder.path(), &[]);
    command.env("NOTIFY_SOCKET", &path);
    let server = start(command, folder);
    let mut buffer = [0; 100];
    let mut told = || {
        let length = manager.recv(&mut buffer).expect("it tells");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(told(), "READY=1");
    // The folder with the socket must outlive the process.
    let _folder = server.stopped();
    assert_eq!(told(), "STOPPING=1");
}
