//! Reloads under load: nothing lost, nothing wrong, what is broken refused with its reason.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
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

/// Which generations of the files may be answered: from the last that was taken to the one that is offered. A generation
/// is the last octet of two addresses, the one of the service and the one of `generation.example.test`.
struct Generations {
    taken: AtomicU8,
    offered: AtomicU8,
}

/// Asks without a pause until told to stop; how many replies came. Each of them must be of a generation that is allowed.
struct Load {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Load {
    fn start(server: &Server, allowed: Option<Arc<Generations>>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, stopped) = (server.address(), stop.clone());
        let thread = std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            socket.connect(address).expect("loopback");
            socket
                .set_read_timeout(Some(Duration::from_secs(10)))
                .expect("not zero");
            let mut count = 0;
            while !stopped.load(Ordering::Relaxed) {
                let oldest = allowed
                    .as_ref()
                    .map(|allowed| allowed.taken.load(Ordering::SeqCst));
                let reply = one_reply(&socket, count);
                if let Some((oldest, allowed)) = oldest.zip(allowed.as_ref()) {
                    let newest = allowed.offered.load(Ordering::SeqCst);
                    let [answer] = &reply.answers[..] else {
                        panic!("not one answer: {reply:?}")
                    };
                    let generation = answer
                        .data
                        .strip_prefix("192.0.2.")
                        .and_then(|last| last.parse().ok());
                    let right = generation
                        .is_some_and(|generation| (oldest..=newest).contains(&generation));
                    assert!(right, "not of {oldest} to {newest}: {reply:?}");
                }
                count += 1;
            }
            count
        });
        Load { stop, thread }
    }

    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .expect("no query was lost and no answer wrong")
    }
}

/// The reply to the query of this number, for a service and a record of the zone by turns.
fn one_reply(socket: &UdpSocket, count: u64) -> Message {
    let name = ["www.example.test", "generation.example.test"][count as usize % 2];
    let question = Question::new(name, A).option(8, &subnet_option("203.0.113.0/24"));
    let sent = Question {
        id: count as u16,
        ..question
    }
    .octets();
    socket.send(&sent).expect("loopback takes it");
    let mut buffer = [0; 1500];
    let length = socket
        .recv(&mut buffer)
        .unwrap_or_else(|_| panic!("query {count} was lost"));
    let reply = Message::read(&buffer[..length]).expect("a good reply");
    assert_eq!(reply.id, count as u16, "a reply to another query");
    reply
}

/// A steady crowd until it is interrupted.
fn start_dnsperf(server: &Server) -> Child {
    let queries = server.folder().join("queries");
    fs::write(
        &queries,
        "www.example.test A\nhost.example.test A\nnone.example.test A\n",
    )
    .expect("writable");
    let (port, queries) = (
        server.address().port().to_string(),
        queries.display().to_string(),
    );
    start(
        "dnsperf",
        &[
            "-s",
            "127.0.0.1",
            "-p",
            &port,
            "-d",
            &queries,
            "-l",
            "55",
            "-Q",
            "1000",
            "-q",
            "50",
        ],
    )
}

/// Ends a crowd; nothing that it asked was lost or refused.
fn finish_dnsperf(crowd: Child) {
    // SAFETY: the process is our child and not waited for yet, so its number is still its own.
    unsafe { libc::kill(crowd.id() as i32, libc::SIGINT) };
    let report = finish("dnsperf", crowd);
    assert_eq!(figure(&report, "Queries lost"), 0, "{report}");
    assert!(figure(&report, "Queries completed") > 1000, "{report}");
    assert!(
        !report.contains("SERVFAIL") && !report.contains("REFUSED"),
        "{report}"
    );
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// An address that stands in broken files only.
const BAIT: u8 = 255;

/// How long a reload may take where others write gigabytes to the same disk.
const BUSY_DISK: Duration = Duration::from_secs(60);

/// Everything that a reload reads, and can be broken.
struct Files {
    server: Server,
    config: String,
    database: Vec<u8>,
}

impl Files {
    fn start() -> Files {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let database = database(scratch.path(), "50.0,8.0");
        let secrets = "cookie_secrets_file = \"secrets\"\nallow = [\"127.0.0.0/8\"]";
        let setup = Setup::new()
            .zone("example.test", &Files::zone(0))
            .file("city.mmdb", &database)
            .server(secrets);
        let setup = setup
            .file("secrets", b"e5e973e5a6b2a43f48e7dc849e37bfcf")
            .file("token", TOKEN.as_bytes());
        for name in ["secrets", "token"] {
            fs::set_permissions(setup.folder().join(name), Permissions::from_mode(0o600))
                .expect("it is ours");
        }
        let access = "[[zones.access]]\nzone = \"example.test\"\ndeny = [\"192.0.2.1\"]\n";
        let config = format!(
            "[geo]\ndatabases = [\"city.mmdb\"]\n{access}{}",
            CONFIG.replace("192.0.2.10\"", "192.0.2.0\"")
        );
        let server = setup
            .admin("token_file = \"token\"")
            .config(&config)
            .start();
        let config = fs::read_to_string(server.config_file()).expect("the configuration is there");
        Files {
            server,
            config,
            database,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.folder().join(name)
    }

    fn zone(generation: u8) -> String {
        format!("{ZONE}generation A 192.0.2.{generation}\n")
    }

    fn config(&self, generation: u8) -> String {
        self.config
            .replace("\"192.0.2.0\"", &format!("\"192.0.2.{generation}\""))
    }

    /// Everything good again.
    fn mend(&self, generation: u8) {
        replace(
            &self.path("zones/example.test.zone"),
            Files::zone(generation).as_bytes(),
        );
        replace(
            &self.path("meridian.toml"),
            self.config(generation).as_bytes(),
        );
        fs::set_permissions(self.path("secrets"), Permissions::from_mode(0o600))
            .expect("it is ours");
        if fs::read(self.path("city.mmdb")).ok().as_ref() != Some(&self.database) {
            replace(&self.path("city.mmdb"), &self.database);
        }
    }

    /// Breaks one file in one way, and baits the others; what the refusal names.
    fn spoil(&self, way: usize) -> &'static str {
        let (zone, config) = (self.path("zones/example.test.zone"), self.config(BAIT));
        let configured = |from: &str, to: &str| {
            assert!(config.contains(from), "{from} is in the configuration");
            replace(
                &self.path("meridian.toml"),
                config.replacen(from, to, 1).as_bytes(),
            );
        };
        let named = match way % WAYS {
            0 => {
                (
                    configured("[regions.fra]", "unknown_key = 1\n[regions.fra]"),
                    "unknown_key",
                )
                    .1
            }
            1 => (configured("[[services]]", "[[services"), "meridian.toml:").1,
            2 => {
                (
                    configured("zone = \"example.test\"", "zone = \"other.test\""),
                    "there is no zone other.test",
                )
                    .1
            }
            3 => (configured("127.0.0.0/8", "127.0.0.300/8"), "127.0.0.300").1,
            4 => {
                (
                    replace(
                        &zone,
                        format!("{}broken A 192.0.2.300\n", Files::zone(BAIT)).as_bytes(),
                    ),
                    "192.0.2.300",
                )
                    .1
            }
            5 => {
                (
                    replace(&zone, &Files::zone(BAIT).as_bytes()[..60]),
                    "example.test.zone",
                )
                    .1
            }
            6 => (unreadable(&zone), "example.test").1,
            7 => {
                (
                    replace(
                        &self.path("city.mmdb"),
                        &self.database[..self.database.len() / 2],
                    ),
                    "city.mmdb",
                )
                    .1
            }
            8 => (unreadable(&self.path("city.mmdb")), "city.mmdb").1,
            _ => {
                fs::set_permissions(self.path("secrets"), Permissions::from_mode(0o644))
                    .expect("it is ours");
                "others may read the cookie secrets"
            }
        };
        if way % WAYS > 3 {
            replace(&self.path("meridian.toml"), config.as_bytes());
        }
        named
    }

    /// Status and body.
    fn reload(&self) -> (u16, String) {
        let mut stream = TcpStream::connect(self.server.admin.expect("it listens"))
            .expect("the admin server accepts");
        stream.set_read_timeout(Some(BUSY_DISK)).expect("not zero");
        let head = format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close");
        let request = format!("POST /v1/reload HTTP/1.1\r\n{head}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        (text[9..12].parse().expect("a status"), text)
    }

    #[track_caller]
    fn expect(&self, generation: u8) {
        let expected = format!("192.0.2.{generation}");
        self.server
            .ask("www.example.test", A)
            .from_subnet("203.0.113.0/24")
            .expect_address(&expected);
        self.server
            .ask("generation.example.test", A)
            .expect_address(&expected);
    }
}

/// Ways in which [`Files::spoil`] spoils.
const WAYS: usize = 10;

/// A link that leads nowhere in the place of a file: whoever is root may read every file that is there.
fn unreadable(path: &Path) {
    fs::remove_file(path).expect("it is there");
    std::os::unix::fs::symlink("nowhere", path).expect("nothing is there any more");
}

#[test]
fn two_hundred_reloads_lose_nothing_and_refuse_what_is_broken() {
    let mut files = Files::start();
    let generations = Arc::new(Generations {
        taken: AtomicU8::new(0),
        offered: AtomicU8::new(0),
    });
    let load = Load::start(&files.server, Some(generations.clone()));
    let crowd = start_dnsperf(&files.server);
    for round in 0..100u8 {
        let generation = round + 1;
        generations.offered.store(generation, Ordering::SeqCst);
        files.mend(generation);
        let (status, body) = files.reload();
        assert_eq!(status, 200, "{body}");
        generations.taken.store(generation, Ordering::SeqCst);
        files.expect(generation);
        let named = files.spoil(usize::from(round));
        let (status, body) = files.reload();
        assert!(
            status == 422 && body.contains(named),
            "{round}: the reason names {named}: {body}"
        );
        files.expect(generation);
    }
    let replies = load.finish();
    assert!(replies > 1000, "{replies} replies");
    finish_dnsperf(crowd);
    assert!(
        files.server.log().matches("the reload was refused").count() >= 100,
        "each is told"
    );
    assert!(files.server.is_alive());
}

/// Whoever comes late reads what is there by then: what is newer is never overwritten by what is older.
#[test]
fn two_who_reload_at_once_leave_the_newest_in_force() {
    let files = Files::start();
    let generations = Generations {
        taken: AtomicU8::new(0),
        offered: AtomicU8::new(BAIT - 1),
    };
    let load = Load::start(&files.server, Some(Arc::new(generations)));
    let over = AtomicBool::new(false);
    // Should what is tried meanwhile fail, nobody says that it is over.
    let deadline = Instant::now() + Duration::from_secs(120);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) && Instant::now() < deadline {
                let (status, body) = files.reload();
                assert_eq!(status, 200, "{body}");
            }
        });
        for generation in 1..60 {
            files.mend(generation);
            let (status, body) = files.reload();
            assert_eq!(status, 200, "{body}");
            files.expect(generation);
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(load.finish() > 100);
    files.expect(59);
}

/// Files as a failing disk or a slip of the hand leaves them: taken or refused, never half, and nobody is lost.
#[test]
fn two_hundred_damaged_files_lose_nothing() {
    let mut files = Files::start();
    let load = Load::start(&files.server, None);
    let mut random = 20_260_101;
    let (mut taken, mut refused) = (0, 0);
    for round in 0..200 {
        let name = ["meridian.toml", "zones/example.test.zone", "city.mmdb"][round % 3];
        let mut octets = fs::read(files.path(name)).expect("it is there");
        damage(&mut octets, &mut random);
        replace(&files.path(name), &octets);
        let (status, body) = files.reload();
        match status {
            200 => taken += 1,
            422 => {
                refused += 1;
                files.expect(0);
            }
            _ => panic!("{round}: {body}"),
        }
        files.mend(0);
        // What was damaged so that it could still be read was served; the next round begins with what is good.
        if status == 200 {
            let (status, body) = files.reload();
            assert_eq!(status, 200, "{round}: {body}");
            files.expect(0);
        }
    }
    assert!(load.finish() > 1000 && files.server.is_alive());
    assert!(
        taken > 5 && refused > 50,
        "both happen: {taken} taken, {refused} refused"
    );
}

/// A few octets other, missing or more.
fn damage(octets: &mut Vec<u8>, random: &mut u64) {
    let mut below = |limit: usize| {
        *random = meridian::steering::pick::next_draw(*random);
        (*random % limit.max(1) as u64) as usize
    };
    for _ in 0..1 + below(4) {
        let at = below(octets.len());
        match below(5) {
            0 => octets.truncate(at),
            1 => octets.insert(at, below(256) as u8),
            2 => drop(octets.drain(at..(at + below(20)).min(octets.len()))),
            _ => octets[at..]
                .iter_mut()
                .take(1)
                .for_each(|octet| *octet ^= 1 << below(8)),
        }
    }
}

#[test]
fn a_reload_that_is_taken_changes_the_answers() {
    let server = setup().start();
    server
        .ask("www.example.test", A)
        .expect_address("192.0.2.10");
    let good = fs::read_to_string(server.config_file()).expect("the configuration is there");
    replace(
        &server.config_file(),
        good.replace("192.0.2.10\"", "192.0.2.77\"").as_bytes(),
    );
    let zone = format!("{ZONE}new A 192.0.2.88\n");
    assert!(
        zone.contains("1 4h 1h 2w 30"),
        "a new serial, or the reload warns"
    );
    replace(
        &server.folder().join("zones/example.test.zone"),
        zone.replace("1 4h 1h 2w 30", "2 4h 1h 2w 30").as_bytes(),
    );
    server.ask("new.example.test", A).expect_no_name();
    server.reload();
    server.await_log("\"reloaded\"", 1);
    server
        .ask("www.example.test", A)
        .expect_address("192.0.2.77");
    server
        .ask("new.example.test", A)
        .expect_address("192.0.2.88");
}

/// A database in which 203.0.113.0/24's neighbour 80.0.0.0/8 stands at these coordinates.
fn database(folder: &Path, coordinates: &str) -> Vec<u8> {
    let (table, output) = (folder.join("table.csv"), folder.join("table.mmdb"));
    fs::write(
        &table,
        format!("network,latitude,longitude\n80.0.0.0/8,{coordinates}\n"),
    )
    .expect("writable");
    build(&table, &output).expect("a good table");
    fs::read(output).expect("it was written")
}

/// Waits until the answer is this one.
#[track_caller]
fn await_answer(server: &Server, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let reply = server
            .ask("www.example.test", A)
            .from_subnet("80.1.2.0/24")
            .send();
        if reply.addresses() == [expected] {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "still {:?}:\n{}",
            reply.addresses(),
            server.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_database_is_picked_up_by_itself_and_a_broken_one_refused() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let (near_fra, near_iad) = (
        database(scratch.path(), "50.0,8.0"),
        database(scratch.path(), "39.0,-77.0"),
    );
    let config = format!("[geo]\ndatabases = [\"city.mmdb\"]\n{CONFIG}");
    let mut server = Setup::new()
        .zone("example.test", ZONE)
        .file("city.mmdb", &near_fra)
        .config(&config)
        .start();
    let file = server.folder().join("city.mmdb");
    await_answer(&server, "192.0.2.10");
    replace(&file, &near_iad);
    await_answer(&server, "198.51.100.10");
    server.await_log("\"reloaded\"", 1);
    for (count, broken) in [&near_fra[..near_fra.len() / 2], b"not a database", b""]
        .into_iter()
        .enumerate()
    {
        replace(&file, broken);
        server.await_log("the reload was refused", count + 1);
        await_answer(&server, "198.51.100.10");
    }
    assert!(
        server.log().contains("city.mmdb"),
        "the reason names the file:\n{}",
        server.log()
    );
    replace(&file, &near_fra);
    await_answer(&server, "192.0.2.10");
    assert!(server.is_alive());
}

#[test]
fn sigterm_ends_it_well() {
    let server = setup().start();
    server
        .ask("host.example.test", A)
        .expect_address("192.0.2.1");
    assert!(server.stop());
}
