//! The figures of a fleet with real servers: how soon an order is in force on all, how soon the deciding
//! vote changes the answers, and what the fleet costs one server.
//!
//! By default the tests are small and only say that it works. `MERIDIAN_FLEET_FIGURES=1` makes them as
//! large as docs/figures.md says, and `BINARY` names the program to measure:
//! `BINARY=target/release/meridian MERIDIAN_FLEET_FIGURES=1 cargo nextest run --test fleet figures
//! --no-capture -j1`. The voters that do not answer queries are simulated there by one process, because
//! fifty machines do not fit on one; views, NATS and all work of the answering servers are real.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use meridian::fleet::server_report::ServerReport;
use meridian::fleet::view::VoterView;
use meridian::health::quorum::CheckVote;
use serde_json::Value;

use crate::engine::{
    Engine, FRA, IAD, RawVoter, World, answer, await_answer, await_that, await_voters,
};
use crate::harness::server::start;
use crate::harness::{Server, Setup, free_port};
use crate::orders;

/// How much is measured.
struct FigureSize {
    /// Servers that an order must reach.
    servers: usize,
    /// Orders.
    orders: usize,
    voters: usize,
    checks: usize,
    /// Deciding votes.
    decisions: usize,
    /// How long a fleet without news is watched.
    quiet: Duration,
}

fn size() -> FigureSize {
    if std::env::var_os("MERIDIAN_FLEET_FIGURES").is_some() {
        FigureSize {
            servers: 20,
            orders: 200,
            voters: 50,
            checks: 10_000,
            decisions: 200,
            quiet: Duration::from_secs(30),
        }
    } else {
        FigureSize {
            servers: 3,
            orders: 4,
            voters: 8,
            checks: 100,
            decisions: 4,
            quiet: Duration::from_secs(2),
        }
    }
}

/// Prints the middle, the 99th of a hundred, and the largest.
fn print_times(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
    println!(
        "{what}: p50 {:?}, p99 {:?}, most {:?}, of {}",
        at(0.5),
        at(0.99),
        at(1.0),
        times.len()
    );
}

/// NATS servers of one cluster, which anybody may use; the first has a port for monitoring.
fn cluster(count: usize) -> (Vec<Engine>, u16, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
    let routes: Vec<String> = ports
        .iter()
        .map(|(_, port)| format!("nats-route://127.0.0.1:{port}"))
        .collect();
    let monitor = free_port();
    let mut engines = Vec::new();
    for (at, (port, peers)) in ports.iter().enumerate() {
        let store = folder.path().join(port.to_string());
        let mut text = format!(
            "listen: 127.0.0.1:{port}\nserver_name: n{port}\nping_interval: \"1h\"\n\
             jetstream {{ store_dir: {store:?}, sync_interval: always }}\n"
        );
        if at == 0 {
            text += &format!("http: 127.0.0.1:{monitor}\n");
        }
        if count > 1 {
            text += &format!(
                "cluster {{ name: w, listen: 127.0.0.1:{peers}, routes: [{}] }}\n",
                routes.join(", ")
            );
        }
        engines.push(Engine::of(orders::nats_server(), *port, &text));
    }
    (engines, monitor, folder)
}

/// The section of a member; every server begins with another NATS server.
fn section(name: &str, engines: &[Engine]) -> String {
    let urls: Vec<String> = engines
        .iter()
        .map(|engine| format!("\"nats://127.0.0.1:{}\"", engine.port))
        .collect();
    format!(
        "[state]\ndirectory = \"state\"\n[fleet]\nname = \"world\"\nvoter = \"{name}\"\nservers = [{}]\n",
        urls.join(", ")
    )
}

/// Starts the program that is measured.
fn started(setup: Setup) -> Server {
    let (config, folder) = setup.written();
    let binary = std::env::var("BINARY");
    let binary = binary.unwrap_or_else(|_| env!("CARGO_BIN_EXE_meridian").to_owned());
    let binary = std::fs::canonicalize(binary).expect("there is such a program");
    let mut command = Command::new(binary);
    command.args(["serve", "--config"]).arg(&config);
    command.current_dir(folder.path());
    start(command, folder)
}

/// The time until all servers answer this, by `began`. Asking leaves the processors to the servers, so
/// it is up to a millisecond late.
fn until_all(servers: &[Server], expected: &str, began: Instant) -> Duration {
    let mut waiting: Vec<&Server> = servers.iter().collect();
    while !waiting.is_empty() {
        waiting.retain(|server| answer(server) != expected);
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "never {expected}"
        );
        if !waiting.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    began.elapsed()
}

#[test]
fn an_order_is_soon_in_force_on_all_servers() {
    let size = size();
    let world = World::start();
    let (engines, _, _folder) = cluster(3);
    let mut servers = Vec::new();
    for number in 0..size.servers {
        let name = format!("ns{number}");
        let setup = world.setup(&name, &section(&name, &engines));
        servers.push(started(orders::with_token(setup)));
    }
    for server in &servers {
        orders::await_current(server);
        await_answer(server, FRA);
    }
    let (mut called, mut everywhere) = (Vec::new(), Vec::new());
    for round in 0..size.orders {
        let (method, expected) = [("PUT", IAD), ("DELETE", FRA)][round % 2];
        let port = servers[round % servers.len()]
            .admin
            .expect("it has one")
            .port();
        let began = Instant::now();
        let call = std::thread::spawn(move || {
            let body = "{\"by\": \"ops\"}";
            let (status, told) = orders::change(port, method, "/v1/regions/fra/drain", body);
            assert_eq!(status, 200, "{told}");
            began.elapsed()
        });
        everywhere.push(until_all(&servers, expected, began));
        called.push(call.join().expect("the order was made"));
    }
    print_times("an order, from the call to its reply", &mut called);
    let count = servers.len();
    let what = format!("an order, from the call to the answers of {count} servers");
    print_times(&what, &mut everywhere);
}

/// Accepts connections at every address of this machine.
fn accept_everything() -> u16 {
    let listener = TcpListener::bind(("0.0.0.0", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
        }
    });
    port
}

/// Services with so many checks, each of which is made once an hour.
fn many_checks(count: usize, port: u16) -> String {
    const EACH: usize = 10;
    let mut text = format!(
        "[checks.port]\ntype = \"tcp\"\nport = {port}\ninterval = \"1h\"\ntimeout = \"5s\"\n"
    );
    for region in 0..EACH {
        text += &format!("[regions.r{region}]\n");
    }
    for service in 0..count / EACH {
        text += &format!(
            "[[services]]\nname = \"s{service}.example.test\"\ncheck = \"port\"\norder = \"priority\"\n\
             [services.endpoints]\n"
        );
        for region in 0..EACH {
            let number = service * EACH + region;
            let address = format!(
                "127.{}.{}.{}",
                10 + number / 50_000,
                number / 200 % 250,
                number % 200 + 1
            );
            text += &format!("r{region} = \"{address}\"\n");
        }
    }
    text
}

/// Voters that see everything up but one check, of which each says what it is told.
struct SimulatedVoters {
    raw: RawVoter,
    views: Vec<VoterView>,
    /// The check, by its block and its place there.
    check: (usize, usize),
}

impl SimulatedVoters {
    fn publish(&mut self, at: usize) {
        let view = &mut self.views[at];
        view.sequence += 1;
        let (subject, octets) = (format!("meridian.world.votes.{}", view.voter), view.write());
        self.raw.publish(&subject, &octets);
    }

    /// Publishes a report as real servers do.
    fn report(&mut self, at: usize) {
        let view = &self.views[at];
        let report = ServerReport {
            fleet: view.fleet.clone(),
            server: view.voter.clone(),
            group: view.group.clone(),
            epoch: view.epoch,
            sequence: view.sequence,
            version: "0.1.0".to_owned(),
            revision: "0123456789abcdef0123456789abcdef".to_owned(),
            queries: ["static", "steered", "no-name"]
                .map(|it| (it.to_owned(), 1234.5))
                .into(),
            regions: (0..10).map(|at| (format!("r{at}"), 123.4)).collect(),
            clocks: (0..16).map(|at| (format!("v{at}"), -1234)).collect(),
            ..ServerReport::default()
        };
        let subject = format!("meridian.world.reports.{}", report.server);
        self.raw.publish(&subject, &report.write());
    }

    fn vote(&mut self, at: usize, vote: CheckVote) {
        let (block, place) = self.check;
        Arc::make_mut(&mut self.views[at].blocks)[block].votes[place] = vote;
        self.publish(at);
    }
}

/// Waits for a view of a voter of which this holds.
fn await_view(votes: &mut RawVoter, voter: &str, holds: impl Fn(&VoterView) -> bool) -> VoterView {
    let began = Instant::now();
    loop {
        let (subject, octets) = votes.next_message();
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "never: a view of {voter}"
        );
        if subject.ends_with(voter)
            && let Ok(view) = VoterView::read(&octets, "world")
            && holds(&view)
        {
            return view;
        }
    }
}

/// How many checks a view sees down, and the last of them by block and place; `None`: it does not see
/// all of them up or down, or spells a block out.
fn down(view: &VoterView, checks: usize) -> Option<(usize, (usize, usize))> {
    let (mut count, mut last) = (0, (0, 0));
    for (number, block) in view.blocks.iter().enumerate() {
        for (place, vote) in block.votes.iter().enumerate() {
            match vote {
                CheckVote::Up => {}
                CheckVote::Down => (count, last) = (count + 1, (number, place)),
                _ => return None,
            }
        }
        if block.spelled.is_some() {
            return None;
        }
    }
    (view.checks() == checks).then_some((count, last))
}

/// Processor time of a process so far.
fn processor_time(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, rest) = text.rsplit_once(')').expect("a name in brackets");
    let fields: Vec<u64> = rest
        .split_whitespace()
        .map(|field| field.parse().unwrap_or_default())
        .collect();
    Duration::from_millis((fields[11] + fields[12]) * 10)
}

/// Resident memory of a process, in MB.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("it runs");
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number") * 4096 / 1_000_000
}

/// What the NATS server has sent to a server and received of it, in octets.
fn carried(monitor: u16, server: &str) -> (u64, u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", monitor)).expect("it listens");
    write!(
        stream,
        "GET /connz?limit=1024 HTTP/1.0\r\nHost: localhost\r\n\r\n"
    )
    .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    let told: Value = serde_json::from_str(body).expect("JSON");
    let (mut sent, mut received) = (0, 0);
    for connection in told["connections"].as_array().expect("a list") {
        let name = connection["name"].as_str().unwrap_or_default();
        if name.split(' ').nth(1) == Some(server) {
            sent += connection["out_bytes"].as_u64().unwrap_or_default();
            received += connection["in_bytes"].as_u64().unwrap_or_default();
        }
    }
    (sent, received)
}

#[test]
fn the_deciding_vote_soon_changes_all_answers_and_a_fleet_costs_little() {
    const REAL: usize = 3;
    let size = size();
    let world = World::start();
    let (engines, monitor, _folder) = cluster(1);
    let names: Vec<String> = (0..REAL).map(|number| format!("ns{number}")).collect();
    let more = many_checks(size.checks, accept_everything());
    let lone = started(world.setup("lone", "").config(&more));
    let mut servers = Vec::new();
    for name in &names {
        let setup = world.setup(name, &section(name, &engines)).config(&more);
        servers.push(started(setup));
    }
    let mut votes = RawVoter::at(engines[0].port, "anybody");
    votes.subscribe("meridian.world.votes.*");
    let checks = size.checks + 2;
    let sees = |count| move |view: &VoterView| down(view, checks).is_some_and(|it| it.0 == count);
    let template = await_view(&mut votes, "ns0", sees(0));
    // One server loses the region, which shows the place of its check.
    world.fra.break_for(&["ns0"]);
    let broken = await_view(&mut votes, "ns0", sees(1));
    let (_, check) = down(&broken, checks).expect("one is down");
    world.fra.break_for(&[]);
    await_view(&mut votes, "ns0", sees(0));
    drop(votes);
    let mut views = Vec::new();
    for number in 0..size.voters - REAL {
        views.push(VoterView {
            voter: format!("v{number}"),
            group: format!("v{number}"),
            epoch: number as u64 + 1,
            sequence: 0,
            known_groups: size.voters as u16,
            ..template.clone()
        });
    }
    let simulated = views.len();
    let voters = Arc::new(Mutex::new(SimulatedVoters {
        raw: RawVoter::at(engines[0].port, "anybody"),
        views,
        check,
    }));
    let is_over = Arc::new(AtomicBool::new(false));
    let speaking = std::thread::spawn({
        let (voters, is_over) = (voters.clone(), is_over.clone());
        move || {
            let mut turn = 0;
            while !is_over.load(Ordering::Relaxed) {
                {
                    let mut voters = voters.lock().expect("nobody panics");
                    voters.publish(turn % simulated);
                    if turn / simulated % 2 == 0 {
                        voters.report(turn % simulated);
                    }
                }
                turn += 1;
                std::thread::sleep(Duration::from_secs(1) / simulated as u32);
            }
        }
    });
    for server in &servers {
        await_voters(server, size.voters - 1);
        await_answer(server, FRA);
    }
    // Half of all voters see it down, which is a tie; the next one decides.
    let say = |at: usize, vote| voters.lock().expect("nobody panics").vote(at, vote);
    let half = size.voters / 2;
    for at in 0..half {
        say(at, CheckVote::Down);
    }
    let mut times = Vec::new();
    let mut is_down = false;
    for _ in 0..size.decisions {
        // After a pause nothing of the last round is under way, and a tie has changed nothing.
        std::thread::sleep(Duration::from_millis(400));
        let before = if is_down { IAD } else { FRA };
        for server in &servers {
            assert_eq!(answer(server), before);
        }
        is_down = !is_down;
        let (decides, expected, vote) = if is_down {
            (half, IAD, CheckVote::Down)
        } else {
            (half - 1, FRA, CheckVote::Up)
        };
        let began = Instant::now();
        say(decides, vote);
        times.push(until_all(&servers, expected, began));
        // Back to a tie.
        let (tie, back) = if is_down {
            (half, CheckVote::Up)
        } else {
            (half - 1, CheckVote::Down)
        };
        std::thread::sleep(Duration::from_millis(150));
        say(tie, back);
    }
    println!(
        "{} voters, {checks} checks, {REAL} servers that answer",
        size.voters
    );
    print_times("from the deciding vote to the answers of all", &mut times);
    let pid = servers[0].id();
    let (busy, alone) = (processor_time(pid), processor_time(lone.id()));
    let (sent, received) = carried(monitor, "ns0");
    std::thread::sleep(size.quiet);
    let seconds = size.quiet.as_secs_f64();
    let core = |now: Duration, before: Duration| (now - before).as_secs_f64() / seconds * 100.0;
    let (sent_now, received_now) = carried(monitor, "ns0");
    println!(
        "one server: {:.1} % of a core ({:.1} % without a fleet), {:.0} kB/s from NATS, {:.0} kB/s to it, \
         {} MB ({} MB without a fleet)",
        core(processor_time(pid), busy),
        core(processor_time(lone.id()), alone),
        (sent_now - sent) as f64 / seconds / 1000.0,
        (received_now - received) as f64 / seconds / 1000.0,
        resident(pid),
        resident(lone.id())
    );
    await_that("the page shows all of them", || {
        let page: Value =
            serde_json::from_str(&crate::engine::get(&servers[0], "/v1/fleet")).expect("JSON");
        page["servers"].as_array().map(Vec::len) == Some(size.voters)
    });
    is_over.store(true, Ordering::Relaxed);
    speaking.join().expect("it ends");
}
