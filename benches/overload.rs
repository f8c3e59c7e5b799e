//! What a flood does to a server: names that do not exist beside one that does, and three times what it can carry.
//!
//! `cargo bench --bench overload -- 60` offers the overload for 60 seconds (without a number: for 5). The server has one
//! worker and the first core, the load has the second, so that figures are ratios of one run. Beside it a server that only
//! turns queries round is flooded: what that one loses, the kernel and the machine take. Loopback only.

mod datagrams;
mod meter;
mod wire;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datagrams::{Batch, connected, turn_round};
use meter::of_process;
use wire::{Endless, Kind};

/// How many times what the server carries is offered.
const TIMES: f64 = 3.0;
/// What is offered first, and how much more each time, until a tenth is lost.
const FIRST: f64 = 20_000.0;
const STEP: f64 = 1.1;
/// How long each rate is offered.
const MEASURED: Duration = Duration::from_millis(500);
/// Measurements of which the best counts: other work on this machine makes them worse, nothing makes them better.
const ROUNDS: usize = 3;
/// After this time the service is whole again.
const RECOVERY: Duration = Duration::from_secs(2);
/// The part of what is carried that is offered then.
const AFTERWARDS: f64 = 0.7;
/// How long answers may take.
const PATIENCE: Duration = Duration::from_millis(300);
/// Queries that the kernel cuts out of one datagram.
const SEGMENTS: usize = 64;
/// Sockets of the flood.
const SOCKETS: usize = 8;
/// What clients beside the flood ask for.
const NAME: &str = "static.example.com";
/// How often each client beside the flood asks.
const INTERVAL: Duration = Duration::from_millis(2);

/// The word by which this program is the server that does nothing.
const NOTHING: &str = "do-nothing";
/// Room for queries that wait, as the real server asks for.
const QUEUE: libc::c_int = 4 << 20;

fn main() {
    if std::env::args().any(|word| word == NOTHING) {
        return do_nothing();
    }
    let seconds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(5.0f64);
    let time = Duration::from_secs_f64(seconds.clamp(1.0, 600.0));
    pin(1).expect("a second core");
    let server = Server::start("");
    let (_, before) = server.used();
    let mut hits = Kind::Static.endless();
    let mut misses = Kind::NoName.endless();
    // By turns, so that what else the machine does concerns both.
    let rounds: Vec<[Came; 2]> =
        (0..ROUNDS).map(|_| [&mut hits, &mut misses].map(|queries| carried(&server, queries))).collect();
    let [hit, miss] = [0, 1].map(|kind| rounds.iter().map(|round| round[kind]).fold(Came::default(), Came::better));
    hit.report("static", &hit);
    miss.report("no-name", &hit);
    let (_, after) = server.used();
    println!("resident: {before} kB before {} random names, {after} kB after", misses.written());
    overload(&server, &hit, time, "from everywhere");
    drop(server);
    control(time);
    // The same load from one network that is limited: here cookies count.
    overload(&Server::start("[limits]\nexempt = []\nslip = 1\n"), &hit, time, "from one network, limited");
}

/// Offers more and more until a tenth is lost; the most that came of it.
fn carried(server: &Server, queries: &mut Endless) -> Came {
    let (mut best, mut rate) = (Came::default(), FIRST);
    loop {
        // Loss that does not come again was somebody else's doing.
        let mut tries = (0..3).map(|_| Flood::new(server.address, queries, rate).run(server, MEASURED, || {}));
        let mut tried = |came: Came| {
            best = best.better(came);
            came.rate >= rate * 0.9
        };
        if !tries.any(&mut tried) {
            return best;
        }
        rate *= STEP;
    }
}

/// Offers more than is carried, with two clients beside; then looks whether everything is as before.
fn overload(server: &Server, carried: &Came, time: Duration, from: &str) {
    let (_, before) = server.used();
    let mut clients = [false, true].map(|with_cookie| Client::new(server.address, with_cookie));
    let (mut most, mut looked, mut queries) = (before, Instant::now(), Kind::Static.endless());
    let flooded = Flood::new(server.address, &mut queries, carried.rate * TIMES).run(server, time, || {
        clients.iter_mut().for_each(Client::turn);
        if looked.elapsed() > Duration::from_millis(100) {
            (looked, most) = (Instant::now(), most.max(server.used().1));
        }
    });
    println!("\n{from}: {:.2} of what is carried for {time:?}", flooded.offered / carried.rate);
    flooded.report("flooded", carried);
    let [without, with] = clients;
    without.report("without a cookie");
    with.report("with its cookie");
    println!("resident: {before} kB before, {most} kB at most");
    std::thread::sleep(RECOVERY);
    let rate = carried.rate * AFTERWARDS;
    let afterwards = Flood::new(server.address, &mut queries, rate).run(server, MEASURED * 4, || {});
    println!("{RECOVERY:?} later: {:.3} of {rate:.0} a second are answered", afterwards.rate / afterwards.offered);
}

/// The flood from everywhere for a server that does nothing, measured by what that one carries.
fn control(time: Duration) {
    let (server, mut queries) = (Server::that_does_nothing(), Kind::Static.endless());
    let carried = carried(&server, &mut queries);
    let flooded = Flood::new(server.address, &mut queries, carried.rate * TIMES).run(&server, time, || {});
    println!("\na server that only turns queries round, in the same flood:");
    flooded.report("flooded", &carried);
}

fn do_nothing() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, QUEUE).expect("the kernel takes any size for a wish");
    println!("dns={}", socket.local_addr().expect("it is bound"));
    panic!("{}", turn_round(&socket));
}

/// What came of a load.
#[derive(Debug, Clone, Copy, Default)]
struct Came {
    /// Queries a second.
    offered: f64,
    /// Answers a second.
    rate: f64,
    /// Microseconds of the server's processor time for each query that it took.
    cost: f64,
}

impl Came {
    fn better(self, other: Came) -> Came {
        if other.rate > self.rate { other } else { self }
    }

    fn report(&self, what: &str, whole: &Came) {
        let Came { rate, cost, .. } = self;
        let (share, ratio) = (rate / whole.rate, cost / whole.cost);
        println!("{what:8} {rate:8.0} answers a second ({share:.2}), {cost:.2} us of processor time each ({ratio:.2})");
    }
}

/// A server on the first core; it ends with its owner.
struct Server {
    child: Child,
    address: SocketAddr,
    /// Where it tells what it has taken.
    admin: Option<SocketAddr>,
    _folder: Option<tempfile::TempDir>,
}

impl Server {
    /// Ours, with the world of all benches.
    fn start(lines: &str) -> Server {
        let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/world");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (zones, config) = (folder.path().join("zones"), folder.path().join("meridian.toml"));
        fs::create_dir(&zones).expect("it is empty");
        fs::copy(world.join("zones/example.com.zone"), zones.join("example.com.zone")).expect("it is there");
        let text = fs::read_to_string(world.join("meridian.toml")).expect("it is there");
        fs::write(&config, format!("{text}\n[admin]\nlisten = \"127.0.0.1:0\"\n{lines}")).expect("writable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
        command.args(["serve", "--config"]).arg(&config);
        Server::run(command, Some(folder))
    }

    fn that_does_nothing() -> Server {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        command.arg(NOTHING);
        Server::run(command, None)
    }

    /// Starts it and reads from its first line where it is.
    fn run(mut command: Command, folder: Option<tempfile::TempDir>) -> Server {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // SAFETY: between fork and exec one system call is made, on a structure of the child's own stack.
        unsafe { command.pre_exec(|| pin(0)) };
        let mut child = command.spawn().expect("cargo has built it");
        let mut ready = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut ready)
            .expect("it says that it is ready");
        let [address, admin] = ["dns=", "admin="]
            .map(|what| ready.split_whitespace().find_map(|word| word.strip_prefix(what)?.parse().ok()));
        Server { child, address: address.expect("the ready line has it"), admin, _folder: folder }
    }

    /// Queries over UDP that it has taken so far, if it tells.
    fn taken(&self) -> Option<u64> {
        let mut stream = TcpStream::connect(self.admin?).expect("it listens");
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut page = String::new();
        stream.write_all(request).and_then(|()| stream.read_to_string(&mut page)).expect("it answers");
        let line = "meridian_transport_queries_total{transport=\"udp\"} ";
        Some(page.lines().find_map(|found| found.strip_prefix(line)?.parse().ok()).expect("it counts them"))
    }

    /// Processor time so far, and kilobytes of memory.
    fn used(&self) -> (Duration, u64) {
        of_process(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the calling thread, and all that it starts, on one core.
fn pin(core: usize) -> io::Result<()> {
    // SAFETY: a set of bits on this stack, for which all zeros is a value; the kernel reads as much as it is told.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Queries at a rate that does not depend on answers: each system call hands over a row of them, which the kernel cuts up
/// (UDP_SEGMENT of udp(7)).
struct Flood<'q> {
    sockets: Vec<std::net::UdpSocket>,
    queries: &'q mut Endless,
    row: Vec<u8>,
    received: Batch,
    rate: f64,
    offered: u64,
    answered: u64,
}

impl<'q> Flood<'q> {
    fn new(address: SocketAddr, queries: &'q mut Endless, rate: f64) -> Flood<'q> {
        let length = queries.write(&mut [0; 512]);
        let sockets: Vec<_> = (0..SOCKETS).map(|_| connected(address).expect("a free port")).collect();
        for socket in &sockets {
            set(socket, libc::SOL_UDP, libc::UDP_SEGMENT, length as libc::c_int).expect("the kernel cuts datagrams");
            // Answers that are not read in time would count as not given. Without the right to it a smaller one has to do.
            let _ = set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 8 << 20);
        }
        let row = vec![0; length * SEGMENTS];
        Flood { sockets, queries, row, received: Batch::new(false), rate, offered: 0, answered: 0 }
    }

    /// Floods for a time, with something else in between; answers may come a little later.
    fn run(mut self, server: &Server, time: Duration, mut beside: impl FnMut()) -> Came {
        let ((used, _), taken, start) = (server.used(), server.taken(), Instant::now());
        while start.elapsed() < time {
            self.send(start.elapsed());
            self.receive();
            beside();
        }
        let seconds = start.elapsed().as_secs_f64();
        let answered = self.answered;
        while start.elapsed() < time + PATIENCE {
            self.receive();
        }
        // Whoever does not tell what it has taken has answered all of it.
        let taken = server.taken().zip(taken).map_or(self.answered, |(now, before)| now - before);
        let cost = (server.used().0 - used).as_secs_f64() * 1e6 / taken as f64;
        // What waited in the queue at the end was not answered within the time, unless everything was.
        let counted = if self.answered + self.offered / 100 > self.offered { self.answered } else { answered };
        Came { offered: self.offered as f64 / seconds, rate: counted as f64 / seconds, cost }
    }

    /// Sends what is due.
    fn send(&mut self, passed: Duration) {
        let due = ((passed.as_secs_f64() * self.rate) as u64).saturating_sub(self.offered) / SEGMENTS as u64;
        // Whoever was held up does not catch up all at once.
        for _ in 0..due.min(4) {
            let length = self.row.len() / SEGMENTS;
            for query in self.row.chunks_exact_mut(length) {
                self.queries.write(query);
            }
            // What the kernel has no room for counts as offered all the same.
            let _ = self.sockets[self.offered as usize / SEGMENTS % SOCKETS].send(&self.row);
            self.offered += SEGMENTS as u64;
        }
    }

    fn receive(&mut self) {
        for socket in &self.sockets {
            self.answered += self.received.receive(socket, 0).unwrap_or(0) as u64;
        }
    }
}

fn set(socket: &std::net::UdpSocket, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads one integer.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Somebody who asks now and then.
struct Client {
    socket: std::net::UdpSocket,
    query: Vec<u8>,
    /// When the query of each number was sent.
    sent: Vec<Instant>,
    whole: usize,
    waited: Vec<Duration>,
}

impl Client {
    fn new(address: SocketAddr, with_cookie: bool) -> Client {
        let socket = connected(address).expect("a free port");
        let mut client = Client { socket, query: Vec::new(), sent: Vec::new(), whole: 0, waited: Vec::new() };
        client.query = if with_cookie { cookie_query(&client.cookie()) } else { wire::query(0, NAME, 1, &[]) };
        client
    }

    /// A good cookie: the last option of a reply is where it ends.
    fn cookie(&self) -> Vec<u8> {
        let mut buffer = [0; 1500];
        for _ in 0..100 {
            self.socket.send(&cookie_query(b"client!!")).expect("loopback");
            std::thread::sleep(Duration::from_millis(20));
            if let Ok(length) = self.socket.recv(&mut buffer)
                && buffer[..length].windows(8).any(|octets| octets == b"client!!")
            {
                return buffer[length - 24..length].to_vec();
            }
        }
        panic!("no cookie");
    }

    fn turn(&mut self) {
        let mut buffer = [0; 1500];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let number = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
            // QR and not TC.
            self.whole += usize::from(length > 12 && buffer[2] & 0x82 == 0x80);
            self.waited.extend(self.sent.get(number).map(Instant::elapsed));
        }
        if self.sent.last().is_none_or(|last| last.elapsed() > INTERVAL) && self.sent.len() < usize::from(u16::MAX) {
            self.query[..2].copy_from_slice(&(self.sent.len() as u16).to_be_bytes());
            self.sent.push(Instant::now());
            self.socket.send(&self.query).expect("loopback");
        }
    }

    /// What share of its queries got a whole answer, and how long answers took.
    fn report(mut self, who: &str) {
        self.waited.sort();
        let (asked, share) = (self.sent.len(), self.whole as f64 / self.sent.len() as f64);
        let at = |part: f64| self.waited.get((self.waited.len() as f64 * part) as usize).copied().unwrap_or_default();
        println!(
            "a client {who}: {share:.3} of {asked} got a whole answer, usually after {:.1?}, at the slowest {:.1?}",
            at(0.5),
            self.waited.last().copied().unwrap_or_default()
        );
    }
}

fn cookie_query(cookie: &[u8]) -> Vec<u8> {
    let option = [&[0, 10, 0, cookie.len() as u8], cookie].concat();
    wire::query(0, NAME, 1, &option)
}
