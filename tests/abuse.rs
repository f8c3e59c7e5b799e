//! Everything that strangers, bad luck and clumsy operators can do, at the same time and for long: memory, descriptors
//! and threads stay what they were, and every question is answered right.
//!
//! `tools/test` runs it for [`SECONDS`]. `MERIDIAN_ABUSE_SECONDS=3600 cargo nextest run --test abuse --no-capture` runs
//! an hour of it, and prints what the process held by the minute. All traffic stays on loopback.

#[path = "harness/mod.rs"]
mod harness;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::types::A;
use harness::{Question, Random, Region, Server, Setup};

/// How long the abuse lasts where nothing else is said.
const SECONDS: u64 = 20;
/// What may be held more at the end than after the first quarter: octets, descriptors, threads.
const MEMORY: u64 = 16 << 20;
const DESCRIPTORS: usize = 16;
const THREADS: usize = 4;

const ZONE: &str =
    "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\n";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const FRA: &str = "127.0.1.1";
const IAD: &str = "127.0.2.1";

/// One kind of abuse, once.
type Abuse = fn(&Server, &mut Random);

/// What is done at the same time, each again and again, with a pause so that two cores can carry it all.
const ABUSES: &[(&str, Duration, Abuse)] = &[
    (
        "damaged datagrams",
        Duration::from_micros(500),
        damaged_datagram,
    ),
    ("noise for QUIC", Duration::from_millis(2), noise_for_quic),
    (
        "streams that break off",
        Duration::from_millis(5),
        broken_stream,
    ),
    (
        "handshakes that break off",
        Duration::from_millis(10),
        broken_handshake,
    ),
    (
        "bodies that never end",
        Duration::from_millis(20),
        unfinished_call,
    ),
    ("calls by strangers", Duration::from_millis(10), odd_call),
    (
        "reloads, of which half are refused",
        Duration::from_millis(300),
        reload,
    ),
    ("orders and leases", Duration::from_millis(50), order),
];

#[test]
fn an_hour_of_everything_leaves_nothing_behind() {
    let seconds = std::env::var("MERIDIAN_ABUSE_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let regions = (Region::start(FRA, 0), Region::start(IAD, 0));
    let mut server = start(&regions.0, &regions.1);
    let over = AtomicBool::new(false);
    let asked = AtomicU64::new(0);
    let (early, late) = std::thread::scope(|scope| {
        for (number, &(_, pause, abuse)) in ABUSES.iter().enumerate() {
            let (server, over) = (&server, &over);
            scope.spawn(move || {
                repeat(over, length, pause, number as u64, |random| {
                    abuse(server, random)
                })
            });
        }
        scope.spawn(|| flap(&over, length, &regions.0));
        scope.spawn(|| ask(&over, length, &server, &asked));
        // Should an assertion fail, the others end all the same.
        let held =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watch(&server, length)));
        over.store(true, Ordering::Relaxed);
        held.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    assert!(
        server.is_alive(),
        "the process ended\n{}",
        tail(&server.log())
    );
    println!(
        "{} questions answered right; early {early:?}, late {late:?}",
        asked.load(Ordering::Relaxed)
    );
    assert!(
        late.memory < early.memory + MEMORY,
        "memory: early {early:?}, late {late:?}"
    );
    assert!(
        late.descriptors < early.descriptors + DESCRIPTORS,
        "descriptors: early {early:?}, late {late:?}"
    );
    assert!(
        late.threads < early.threads + THREADS,
        "threads: early {early:?}, late {late:?}"
    );
    assert!(
        !server.log().contains("panicked"),
        "{}",
        tail(&server.log())
    );
}

/// What a process holds: the mean of the samples of some time.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    memory: u64,
    descriptors: usize,
    threads: usize,
}

/// What was held in the second quarter of the time, and in the last one.
fn watch(server: &Server, length: Duration) -> (Held, Held) {
    let (start, every) = (Instant::now(), length / 120);
    let mut samples = Vec::new();
    while start.elapsed() < length {
        std::thread::sleep(every);
        samples.push(held(server));
        if samples.len() % 10 == 0 {
            println!("{:>6} s {:?}", start.elapsed().as_secs(), samples.last());
        }
    }
    let quarter = samples.len() / 4;
    (
        mean(&samples[quarter..2 * quarter]),
        mean(&samples[3 * quarter..]),
    )
}

fn held(server: &Server) -> Held {
    let count = |folder: &str| {
        fs::read_dir(format!("/proc/{}/{folder}", server.id())).map_or(0, Iterator::count)
    };
    Held {
        memory: server.resident(),
        descriptors: count("fd"),
        threads: count("task"),
    }
}

fn mean(samples: &[Held]) -> Held {
    let count = samples.len().max(1);
    Held {
        memory: samples.iter().map(|held| held.memory).sum::<u64>() / count as u64,
        descriptors: samples.iter().map(|held| held.descriptors).sum::<usize>() / count,
        threads: samples.iter().map(|held| held.threads).sum::<usize>() / count,
    }
}

fn repeat(
    over: &AtomicBool,
    length: Duration,
    pause: Duration,
    seed: u64,
    mut action: impl FnMut(&mut Random),
) {
    let (start, mut random) = (Instant::now(), Random(seed));
    while !over.load(Ordering::Relaxed) && start.elapsed() < length {
        action(&mut random);
        std::thread::sleep(pause);
    }
}

/// The near region dies and returns.
fn flap(over: &AtomicBool, length: Duration, fra: &Region) {
    repeat(over, length, Duration::from_millis(700), 0, |random| {
        fra.set_broken(random.below(2) == 0)
    });
}

/// Somebody who wants to know: each question has a right answer within two seconds, whatever else goes on.
fn ask(over: &AtomicBool, length: Duration, server: &Server, asked: &AtomicU64) {
    repeat(over, length, Duration::from_millis(2), 0, |random| {
        let name = if random.below(2) == 0 {
            "ns1.example.test"
        } else {
            "www.example.test"
        };
        let received = (0..3).find_map(|_| {
            server.reply_within(&Question::new(name, A).octets(), Duration::from_secs(2))
        });
        let received =
            received.unwrap_or_else(|| panic!("{name} is not answered\n{}", tail(&server.log())));
        let reply =
            harness::Reply::checked(&Question::new(name, A), harness::Transport::Udp, &received);
        let right: &[&str] = if name.starts_with("ns1") {
            &["127.0.0.1"]
        } else {
            &[FRA, IAD]
        };
        let addresses = reply.addresses();
        let answered = addresses.first().copied().unwrap_or("nothing");
        assert!(
            right.contains(&answered),
            "{name} is answered {answered}\n{}",
            tail(&server.log())
        );
        asked.fetch_add(1, Ordering::Relaxed);
    });
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

fn start(fra: &Region, iad: &Region) -> Server {
    let config = format!(
        "[state]\ndirectory = \"state\"\n[tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n\
         [regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n[regions.nrt]\nlocation = \"NRT\"\n\
         [checks.web]\ntype = \"http\"\ninterval = \"200ms\"\ntimeout = \"200ms\"\n\
         [[services]]\nname = \"www.example.test\"\ncheck = \"web\"\n[services.endpoints]\n\
         fra = {{ address = \"{FRA}\", port = {} }}\niad = {{ address = \"{IAD}\", port = {} }}\n\
         [[services]]\nname = \"shop.example.test\"\n[services.endpoints]\nnrt = \"192.0.2.3\"\n",
        fra.port, iad.port
    );
    let made = rcgen::generate_simple_self_signed(["ns.example.test".to_owned()]).expect("a name");
    let setup = Setup::new()
        .zone("example.test", ZONE)
        .admin("token_file = \"token\"")
        .config(&config);
    let listen = "listen_tls = [\"127.0.0.1:0\"]\nlisten_https = [\"127.0.0.1:0\"]\nlisten_quic = [\"127.0.0.1:0\"]";
    let setup = setup
        .server(listen)
        .file("certificate.pem", made.cert.pem().as_bytes());
    let setup = setup
        .file("key.pem", made.signing_key.serialize_pem().as_bytes())
        .file("token", TOKEN.as_bytes());
    for secret in ["token", "key.pem"] {
        let only_ours = fs::Permissions::from_mode(0o600);
        fs::set_permissions(setup.folder().join(secret), only_ours).expect("it is ours");
    }
    setup.start()
}

/// A connection that waits for nobody longer than a second.
fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .ok()?;
    Some(stream)
}

fn noise(random: &mut Random, most: usize) -> Vec<u8> {
    let length = random.below(most);
    (0..length).map(|_| random.next() as u8).collect()
}

/// From an address of its own: its port may be the next socket's of those who ask, and the reply must not come to them.
fn send_datagram(address: SocketAddr, octets: &[u8]) {
    if let Ok(socket) = UdpSocket::bind("127.0.0.2:0") {
        let _ = socket.send_to(octets, address);
    }
}

fn damaged_datagram(server: &Server, random: &mut Random) {
    let mut message = Question::new("www.example.test", A)
        .option(8, &[0, 1, 24, 0, 203, 0, 113])
        .octets();
    for _ in 0..random.below(6) {
        let at = random.below(message.len());
        message[at] = random.next() as u8;
    }
    message.truncate(1 + random.below(message.len()));
    send_datagram(server.address(), &message);
}

fn noise_for_quic(server: &Server, random: &mut Random) {
    let mut octets = noise(random, 1400);
    if let Some(first) = octets.first_mut() {
        *first |= 0xc0;
    }
    send_datagram(server.encrypted("quic"), &octets);
}

fn broken_stream(server: &Server, random: &mut Random) {
    let Some(mut stream) = connect(server.address()) else {
        return;
    };
    let message = Question::new("www.example.test", A).octets();
    let mut frame = (message.len() as u16).to_be_bytes().to_vec();
    frame.extend_from_slice(&message);
    frame.truncate(1 + random.below(frame.len()));
    let _ = stream.write_all(&frame);
}

fn broken_handshake(server: &Server, random: &mut Random) {
    let transport = if random.below(2) == 0 { "tls" } else { "https" };
    let Some(mut stream) = connect(server.encrypted(transport)) else {
        return;
    };
    let mut octets = noise(random, 600);
    octets.splice(0..0, [0x16, 3, 1, 2, 0, 1, 0]);
    let _ = stream.write_all(&octets);
}

/// Connections that are left open until others push them out.
fn unfinished_call(server: &Server, random: &mut Random) {
    let Some(mut stream) = server.admin.and_then(connect) else {
        return;
    };
    let call = "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{";
    let _ = stream.write_all(&call.as_bytes()[..1 + random.below(call.len())]);
    if random.below(4) != 0 {
        // Held open for as long as the process lives, or until the server has had enough.
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn odd_call(server: &Server, random: &mut Random) {
    let paths = [
        "/v1/status",
        "/v1/explain?name=x",
        "/%ff",
        "/v1/reload",
        "/v1/regions/nrt/drain",
        "/metrics",
        "/",
    ];
    let path = paths[random.below(paths.len())];
    let method = ["GET", "PUT", "POST", "DELETE", "BREW"][random.below(5)];
    let body = ["", "[]", "{}", "{\"reason\": 7}"][random.below(4)];
    let _ = call(
        server,
        method,
        path,
        "Authorization: Bearer wrong\r\n",
        body,
    );
}

fn reload(server: &Server, random: &mut Random) {
    let broken = random.below(2) == 0;
    let zone = if broken {
        format!("{ZONE}www A 192.0.2.300\n")
    } else {
        ZONE.to_owned()
    };
    let (file, new) = (
        server.folder().join("zones/example.test.zone"),
        server.folder().join("zones/new"),
    );
    fs::write(&new, zone).expect("the temporary folder can be written");
    fs::rename(&new, &file).expect("they lie in one folder");
    let status = call(server, "POST", "/v1/reload", &authorized(), "{}");
    let expected = if broken { 422 } else { 200 };
    assert!(
        status.is_none_or(|status| status == expected || status == 503),
        "{status:?}, not {expected}"
    );
}

fn order(server: &Server, random: &mut Random) {
    let (method, body) = if random.below(2) == 0 {
        ("PUT", "{\"reason\": \"x\", \"yes\": true}")
    } else {
        ("DELETE", "")
    };
    let _ = call(server, method, "/v1/regions/nrt/drain", &authorized(), body);
}

fn authorized() -> String {
    format!("Authorization: Bearer {TOKEN}\r\n")
}

/// The status of a call; `None`: nobody answers in time.
fn call(server: &Server, method: &str, path: &str, head: &str, body: &str) -> Option<u16> {
    let mut stream = connect(server.admin?)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).ok()?;
    std::str::from_utf8(octets.get(9..12)?).ok()?.parse().ok()
}
