//! Reloads under load: nothing lost, nothing wrong, what is broken refused with its reason.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use meridian::geo::build::build;

use crate::harness::query::{Question, subnet_option};
use crate::harness::types::*;
use crate::harness::{Message, Server, Setup};
use crate::lookups::figure;
use crate::programs::{finish, start};
use crate::world::{CONFIG, ZONE, setup};

/// Writes beside the file and renames, as careful programs do.
fn replace(path: &Path, octets: &[u8]) {
    let beside = path.with_extension("new");
    fs::write(&beside, octets).expect("the temporary folder can be written");
    fs::rename(beside, path).expect("the temporary folder can be written");
}

/// Asks without a pause until told to stop; how many replies came. Each of them must be one that is allowed.
struct Load {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Load {
    fn start(server: &Server, allowed: &'static [&'static str]) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, stopped) = (server.address(), stop.clone());
        let thread = std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            socket.connect(address).expect("loopback");
            socket.set_read_timeout(Some(Duration::from_secs(10))).expect("not zero");
            let mut count = 0;
            while !stopped.load(Ordering::Relaxed) {
                let question = Question::new("www.example.test", A).option(8, &subnet_option("203.0.113.0/24"));
                let sent = Question { id: count as u16, ..question }.octets();
                socket.send(&sent).expect("loopback takes it");
                let mut buffer = [0; 1500];
                let length = socket.recv(&mut buffer).unwrap_or_else(|_| panic!("query {count} was lost"));
                let reply = Message::read(&buffer[..length]).expect("a good reply");
                assert_eq!(reply.id, count as u16, "a reply to another query");
                let [answer] = &reply.answers[..] else { panic!("not one answer: {reply:?}") };
                assert!(allowed.contains(&&answer.data[..]), "a wrong answer: {reply:?}");
                count += 1;
            }
            count
        });
        Load { stop, thread }
    }

    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no query was lost and no answer wrong")
    }
}

/// A steady crowd for as long as twenty reloads may take at least.
fn start_dnsperf(server: &Server) -> std::process::Child {
    let queries = server.folder().join("queries");
    fs::write(&queries, "www.example.test A\nhost.example.test A\nnone.example.test A\n").expect("writable");
    let (port, queries) = (server.address().port().to_string(), queries.display().to_string());
    start("dnsperf", &["-s", "127.0.0.1", "-p", &port, "-d", &queries, "-l", "15", "-Q", "2000", "-q", "50"])
}

#[test]
fn twenty_reloads_lose_nothing_and_refuse_what_is_broken() {
    let mut server = setup().start();
    let (config, zone) = (server.config_file(), server.folder().join("zones/example.test.zone"));
    let good = fs::read_to_string(&config).expect("the configuration is there");
    let load = Load::start(&server, &["192.0.2.10", "192.0.2.110"]);
    let crowd = start_dnsperf(&server);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..20 {
        let breaks = round % 2 == 1;
        match round % 4 {
            1 => replace(&config, format!("{good}\nunknown_key = 1\n").as_bytes()),
            3 => replace(&zone, format!("{ZONE}broken A 192.0.2.300\n").as_bytes()),
            _ => {
                let other = if round % 8 == 0 { "192.0.2.110" } else { "192.0.2.10" };
                replace(&zone, ZONE.as_bytes());
                replace(&config, good.replace("192.0.2.10\"", &format!("{other}\"")).as_bytes());
            }
        }
        server.reload();
        if breaks {
            refused += 1;
            server.await_log("the reload was refused", refused);
        } else {
            taken += 1;
            server.await_log("\"reloaded\"", taken);
        }
    }
    let replies = load.finish();
    assert!(replies > 100, "{replies} replies");
    let report = finish("dnsperf", crowd);
    assert_eq!(figure(&report, "Queries lost"), 0, "{report}");
    assert!(figure(&report, "Queries completed") > 1000, "{report}");
    let log = server.log();
    assert!(log.contains("unknown_key") && log.contains("meridian.toml:"), "the reason is told:\n{log}");
    assert!(log.contains("192.0.2.300") && log.contains("example.test.zone:"), "the reason is told:\n{log}");
    assert!(server.is_alive());
}

#[test]
fn a_reload_that_is_taken_changes_the_answers() {
    let server = setup().start();
    server.ask("www.example.test", A).expect_address("192.0.2.10");
    let good = fs::read_to_string(server.config_file()).expect("the configuration is there");
    replace(&server.config_file(), good.replace("192.0.2.10\"", "192.0.2.77\"").as_bytes());
    let zone = format!("{ZONE}new A 192.0.2.88\n");
    replace(&server.folder().join("zones/example.test.zone"), zone.as_bytes());
    server.ask("new.example.test", A).expect_no_name();
    server.reload();
    server.await_log("\"reloaded\"", 1);
    server.ask("www.example.test", A).expect_address("192.0.2.77");
    server.ask("new.example.test", A).expect_address("192.0.2.88");
}

/// A database in which 203.0.113.0/24's neighbour 80.0.0.0/8 stands at these coordinates.
fn database(folder: &Path, coordinates: &str) -> Vec<u8> {
    let (table, output) = (folder.join("table.csv"), folder.join("table.mmdb"));
    fs::write(&table, format!("network,latitude,longitude\n80.0.0.0/8,{coordinates}\n")).expect("writable");
    build(&table, &output).expect("a good table");
    fs::read(output).expect("it was written")
}

/// Waits until the answer is this one.
#[track_caller]
fn await_answer(server: &Server, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let reply = server.ask("www.example.test", A).from_subnet("80.1.2.0/24").send();
        if reply.addresses() == [expected] {
            return;
        }
        assert!(Instant::now() < deadline, "still {:?}:\n{}", reply.addresses(), server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_database_is_picked_up_by_itself_and_a_broken_one_refused() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let (near_fra, near_iad) = (database(scratch.path(), "50.0,8.0"), database(scratch.path(), "39.0,-77.0"));
    let config = format!("[geo]\ndatabases = [\"city.mmdb\"]\n{CONFIG}");
    let mut server = Setup::new().zone("example.test", ZONE).file("city.mmdb", &near_fra).config(&config).start();
    let file = server.folder().join("city.mmdb");
    await_answer(&server, "192.0.2.10");
    replace(&file, &near_iad);
    await_answer(&server, "198.51.100.10");
    server.await_log("\"reloaded\"", 1);
    for (count, broken) in [&near_fra[..near_fra.len() / 2], b"not a database", b""].into_iter().enumerate() {
        replace(&file, broken);
        server.await_log("the reload was refused", count + 1);
        await_answer(&server, "198.51.100.10");
    }
    assert!(server.log().contains("city.mmdb"), "the reason names the file:\n{}", server.log());
    replace(&file, &near_fra);
    await_answer(&server, "192.0.2.10");
    assert!(server.is_alive());
}

#[test]
fn sigterm_ends_it_well() {
    let server = setup().start();
    server.ask("host.example.test", A).expect_address("192.0.2.1");
    assert!(server.stop());
}
