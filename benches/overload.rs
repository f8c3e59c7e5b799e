//! What a flood does to a server: names that do not exist beside one that does, and three times what it can carry.
//!
//! `cargo bench --bench overload -- 60` offers the overload for 60 seconds in all (without a number: for 4). The server has
//! one worker and the first core, the load has the second. What is carried is measured between any two seconds of flood, as
//! many queries under way as keep the worker busy: a virtual machine is faster now and slower then, by more than what is
//! looked for, so only what lies side by side can be compared. Beside ours a server that only turns queries round is
//! flooded: what that one loses, the kernel and the machine take. Loopback only.

mod client;
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

use client::Client;
use datagrams::{Batch, connected, turn_round};
use meter::of_process;
use wire::{Endless, Kind};

/// How many times what the server carries is offered.
const TIMES: f64 = 3.0;
/// How long what is carried is measured.
const MEASURED: Duration = Duration::from_millis(500);
/// How long more is offered then, before it is measured again.
const FLOODED: Duration = Duration::from_secs(1);
/// How often hits and misses are measured, by turns.
const ROUNDS: usize = 9;
/// After this time the service is whole again.
const RECOVERY: Duration = Duration::from_secs(2);
/// The part of what is carried that is offered then.
const AFTERWARDS: f64 = 0.7;
/// How long answers may take.
const PATIENCE: Duration = Duration::from_millis(200);
/// Queries that the kernel cuts out of one datagram.
const SEGMENTS: usize = 64;
/// Sockets of the flood.
const SOCKETS: usize = 8;
/// The word by which this program is the server that does nothing.
const NOTHING: &str = "do-nothing";
/// Room for queries that wait, as the real server asks for.
const QUEUE: libc::c_int = 1 << 20;

fn main() {
    if std::env::args().any(|word| word == NOTHING) {
        return do_nothing();
    }
    let seconds = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(4.0f64);
    let turns = seconds.clamp(2.0, 600.0) as usize;
    pin(1).expect("a second core");
    let server = Server::start("");
    misses_beside_hits(&server);
    overload(&server, turns, "from everywhere");
    drop(server);
    overload(
        &Server::that_does_nothing(),
        turns,
        "from everywhere, to a server that only turns queries round",
    );
    // The same load from one network that is limited: here cookies count.
    let limited = Server::start("[limits]\nexempt = []\nslip = 1\n");
    overload(&limited, turns, "from one network, limited");
}

/// What a name costs that does not exist.
fn misses_beside_hits(server: &Server) {
    let (_, before) = server.used();
    let (mut hits, mut misses) = (Kind::Static.endless(), Kind::NoName.endless());
    let rounds: Vec<[Came; 2]> = (0..ROUNDS)
        .map(|_| {
            [&mut hits, &mut misses]
                .map(|queries| Load::new(server, queries).run(Pace::AsCarried, MEASURED, |_| {}))
        })
        .collect();
    let ratio = |of: fn(&Came) -> f64| middle(rounds.iter().map(|[hit, miss]| of(miss) / of(hit)));
    let [hit, miss] = [0, 1].map(|kind| middle(rounds.iter().map(|round| round[kind].rate)));
    println!("a name that exists: {hit:.0} answers a second; random ones that do not: {miss:.0}");
    println!(
        "side by side: {:.2} of the rate, {:.2} of the cost",
        ratio(|came| came.rate),
        ratio(|came| came.cost)
    );
    let (_, after) = server.used();
    println!(
        "resident: {before} kB before {} random names, {after} kB after",
        misses.written()
    );
}

/// Offers more than is carried, by turns with what is, with two clients beside; then looks whether everything is as before.
fn overload(server: &Server, turns: usize, from: &str) {
    let (_, before) = server.used();
    let mut queries = Kind::Static.endless();
    // A server that does nothing makes no cookies.
    let with_cookie: &[bool] = if server.admin.is_some() {
        &[false, true]
    } else {
        &[]
    };
    let mut clients: Vec<Client> = with_cookie
        .iter()
        .map(|with| Client::new(server.address, *with))
        .collect();
    let mut carried = vec![Load::new(server, &mut queries).run(Pace::AsCarried, MEASURED, |_| {})];
    let mut flooded: Vec<Came> = Vec::new();
    let (mut most, mut looked) = (before, Instant::now());
    for turn in 0..turns {
        let rate = Pace::Rate(carried[turn].rate * TIMES);
        flooded.push(
            Load::new(server, &mut queries).run(rate, FLOODED, |is_flood| {
                clients.iter_mut().for_each(|client| client.turn(is_flood));
                if looked.elapsed() > Duration::from_millis(100) {
                    (looked, most) = (Instant::now(), most.max(server.used().1));
                }
            }),
        );
        carried.push(Load::new(server, &mut queries).run(Pace::AsCarried, MEASURED, |_| {}));
    }
    let beside = |of: fn(&Came) -> f64| {
        let pairs = flooded.iter().zip(carried.windows(2));
        pairs
            .map(move |(came, around)| of(came) / ((of(&around[0]) + of(&around[1])) / 2.0))
            .collect::<Vec<f64>>()
    };
    let (offered, rates, costs) = (
        beside(|came| came.offered),
        beside(|came| came.rate),
        beside(|came| came.cost),
    );
    println!(
        "\n{from}: {:.2} of what is carried, {turns} times for {FLOODED:?}",
        middle(offered)
    );
    let (worst, best) = rates
        .iter()
        .fold((f64::MAX, 0.0f64), |(worst, best), rate| {
            (worst.min(*rate), best.max(*rate))
        });
    println!(
        "{:.0} answers a second, {:.2} of what is carried ({worst:.2} to {best:.2}), at {:.2} of the cost",
        middle(flooded.iter().map(|came| came.rate)),
        middle(rates),
        middle(costs)
    );
    clients
        .into_iter()
        .zip(["without a cookie", "with its cookie"])
        .for_each(|(client, who)| client.report(who));
    println!("resident: {before} kB before, {most} kB at most");
    let rate = middle(carried.iter().map(|came| came.rate)) * AFTERWARDS;
    // A last flood, right before.
    let _ =
        Load::new(server, &mut queries).run(Pace::Rate(rate / AFTERWARDS * TIMES), FLOODED, |_| {});
    std::thread::sleep(RECOVERY);
    let afterwards = Load::new(server, &mut queries).run(Pace::Rate(rate), MEASURED * 4, |_| {});
    println!(
        "{RECOVERY:?} later: {:.3} of {rate:.0} a second are answered",
        afterwards.rate / afterwards.offered
    );
}

/// The one in the middle.
fn middle(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn do_nothing() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, QUEUE)
        .expect("the kernel takes any size for a wish");
    println!("dns={}", socket.local_addr().expect("it is bound"));
    panic!("{}", turn_round(&socket));
}

/// What came of a load.
#[derive(Debug, Clone, Copy)]
struct Came {
    /// Queries a second.
    offered: f64,
    /// Answers a second.
    rate: f64,
    /// Microseconds of the server's processor time for each query that it took.
    cost: f64,
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
        let (zones, config) = (
            folder.path().join("zones"),
            folder.path().join("meridian.toml"),
        );
        fs::create_dir(&zones).expect("it is empty");
        fs::copy(
            world.join("zones/example.com.zone"),
            zones.join("example.com.zone"),
        )
        .expect("it is there");
        let text = fs::read_to_string(world.join("meridian.toml")).expect("it is there");
        fs::write(
            &config,
            format!("{text}\n[admin]\nlisten = \"127.0.0.1:0\"\n{lines}"),
        )
        .expect("writable");
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
        let [address, admin] = ["dns=", "admin="].map(|what| {
            ready
                .split_whitespace()
                .find_map(|word| word.strip_prefix(what)?.parse().ok())
        });
        Server {
            child,
            address: address.expect("the ready line has it"),
            admin,
            _folder: folder,
        }
    }

    /// Queries over UDP that it has taken so far, if it tells.
    fn taken(&self) -> Option<u64> {
        let mut stream = TcpStream::connect(self.admin?).expect("it listens");
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut page = String::new();
        stream
            .write_all(request)
            .and_then(|()| stream.read_to_string(&mut page))
            .expect("it answers");
        let line = "meridian_transport_queries_total{transport=\"udp\"} ";
        Some(
            page.lines()
                .find_map(|found| found.strip_prefix(line)?.parse().ok())
                .expect("it counts them"),
        )
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
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Queries by the row: each system call hands over one, which the kernel cuts up (UDP_SEGMENT of udp(7)).
struct Load<'a> {
    server: &'a Server,
    queries: &'a mut Endless,
    lanes: Vec<Lane>,
    row: Vec<u8>,
    received: Batch,
    offered: u64,
    answered: u64,
}

/// One socket of a load.
struct Lane {
    socket: std::net::UdpSocket,
    /// Queries that have no answer yet.
    open: u64,
}

/// How fast queries come.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// The next row when one was answered, so that some always wait and none is lost.
    AsCarried,
    /// So many a second, whatever is answered.
    Rate(f64),
}

impl<'a> Load<'a> {
    fn new(server: &'a Server, queries: &'a mut Endless) -> Load<'a> {
        let length = queries.write(&mut [0; 512]);
        let lane = |_| {
            let socket = connected(server.address).expect("a free port");
            set(
                &socket,
                libc::SOL_UDP,
                libc::UDP_SEGMENT,
                length as libc::c_int,
            )
            .expect("the kernel cuts datagrams");
            // Answers that are not read in time would count as not given. Without the right to it a smaller one has to do.
            let _ = set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 8 << 20);
            Lane { socket, open: 0 }
        };
        let (lanes, row) = ((0..SOCKETS).map(lane).collect(), vec![0; length * SEGMENTS]);
        Load {
            server,
            queries,
            lanes,
            row,
            received: Batch::new(false),
            offered: 0,
            answered: 0,
        }
    }

    /// Asks for a time, and goes on hearing for a little; `beside` is called in between, and told whether it is over.
    fn run(mut self, pace: Pace, time: Duration, mut beside: impl FnMut(bool)) -> Came {
        let ((used, _), taken, start) = (self.server.used(), self.server.taken(), Instant::now());
        while start.elapsed() < time {
            match pace {
                Pace::AsCarried => self.send_what_has_room(),
                Pace::Rate(rate) => {
                    self.send_what_is_due((start.elapsed().as_secs_f64() * rate) as u64)
                }
            }
            self.receive();
            beside(true);
        }
        let (seconds, answered) = (start.elapsed().as_secs_f64(), self.answered);
        while start.elapsed() < time + PATIENCE && self.answered < self.offered {
            self.receive();
            beside(false);
        }
        // Whoever does not tell what it has taken has answered all of it.
        let taken = self
            .server
            .taken()
            .zip(taken)
            .map_or(self.answered, |(now, before)| now - before);
        let cost = (self.server.used().0 - used).as_secs_f64() * 1e6 / taken as f64;
        // What waited in the queue at the end was not answered within the time, unless everything was.
        let counted = if self.answered + self.offered / 100 > self.offered {
            self.answered
        } else {
            answered
        };
        Came {
            offered: self.offered as f64 / seconds,
            rate: counted as f64 / seconds,
            cost,
        }
    }

    fn send_what_has_room(&mut self) {
        for at in 0..SOCKETS {
            if self.lanes[at].open <= SEGMENTS as u64 {
                self.send(at);
            }
        }
    }

    fn send_what_is_due(&mut self, due: u64) {
        // Whoever was held up does not catch up all at once.
        for _ in 0..(due.saturating_sub(self.offered) / SEGMENTS as u64).min(4) {
            self.send(self.offered as usize / SEGMENTS % SOCKETS);
        }
    }

    fn send(&mut self, at: usize) {
        let length = self.row.len() / SEGMENTS;
        for query in self.row.chunks_exact_mut(length) {
            self.queries.write(query);
        }
        // What the kernel has no room for counts as offered all the same.
        let _ = self.lanes[at].socket.send(&self.row);
        self.lanes[at].open += SEGMENTS as u64;
        self.offered += SEGMENTS as u64;
    }

    fn receive(&mut self) {
        for lane in &mut self.lanes {
            let came = self.received.receive(&lane.socket, 0).unwrap_or(0) as u64;
            lane.open = lane.open.saturating_sub(came);
            self.answered += came;
        }
    }
}

fn set(
    socket: &std::net::UdpSocket,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads one integer.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            length,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
