//! What a real fleet needs: a NATS server, endpoints that some vantages do not reach, and servers.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::server::start;
use crate::harness::types::A;
use crate::harness::{Server, Setup, free_port};

/// How long anything may take that should take a second: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The voters of every test, which are their own groups.
pub const VOTERS: [&str; 3] = ["ams", "iad", "sin"];

/// The NATS server of this machine: the package nats-server of Debian.
pub fn nats_server() -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = format!("{path}:/usr/sbin:/usr/local/sbin");
    let mut files = std::env::split_paths(&folders).map(|folder| folder.join("nats-server"));
    let file = files.find(|file| file.is_file());
    file.expect("nats-server is installed; the Debian package is nats-server")
}

/// What a voter publishes beside votes and orders.
pub fn may_report(voter: &str) -> String {
    format!(
        "\"meridian.world.leases.{voter}\", \"meridian.world.reports.{voter}\", \
         \"meridian.world.explain.*\""
    )
}

/// What a voter hears beside votes and orders.
pub fn may_hear_reports(voter: &str) -> String {
    format!(
        "\"meridian.world.leases.*\", \"meridian.world.reports.*\", \
         \"meridian.world.explain.{voter}\", \
         \"_INBOX.meridian.{voter}.>\""
    )
}

/// A NATS server on a port of its own, with a user for each voter who may publish as that voter only.
pub struct Engine {
    pub port: u16,
    program: PathBuf,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Engine {
    pub fn start() -> Engine {
        let port = free_port();
        let mut users = String::new();
        for voter in VOTERS {
            users.push_str(&format!(
                "{{ user: {voter}, password: \"secret of {voter}\", permissions: {{\n\
                 publish: [\"meridian.world.votes.{voter}\", {}]\n\
                 subscribe: [\"meridian.world.votes.*\", {}]\n\
                 allow_responses: {{ max: 1, expires: \"5s\" }} }} }}\n",
                may_report(voter),
                may_hear_reports(voter)
            ));
        }
        let text = format!("listen: 127.0.0.1:{port}\nauthorization {{ users: [\n{users}] }}\n");
        Engine::with(port, &text)
    }

    /// With this configuration.
    pub fn with(port: u16, text: &str) -> Engine {
        Engine::of(PathBuf::from("nats-server"), port, text)
    }

    /// Another program with this configuration.
    pub fn of(program: PathBuf, port: u16, text: &str) -> Engine {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("nats.conf"), text).expect("it can be written");
        let mut engine = Engine {
            port,
            program,
            folder,
            child: None,
        };
        engine.start_again();
        engine
    }

    pub fn start_again(&mut self) {
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new(&self.program)
            .env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"))
            .arg("-c")
            .arg(self.folder.path().join("nats.conf"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server runs; tools/test installs it");
        self.child = Some(child);
        await_that("the NATS server listens", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client that speaks the protocol of NATS by hand, to say what Meridian would not.
pub struct RawVoter {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl RawVoter {
    pub fn login(engine: &Engine, voter: &str) -> RawVoter {
        RawVoter::at(engine.port, voter)
    }

    pub fn at(port: u16, voter: &str) -> RawVoter {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        let lines = BufReader::new(stream.try_clone().expect("descriptors are left"));
        let mut raw = RawVoter { stream, lines };
        assert!(raw.line().starts_with("INFO "));
        raw.say(&format!(
            "CONNECT {{\"verbose\":false,\"headers\":true,\"user\":\"{voter}\",\"pass\":\"secret of {voter}\"}}\r\nPING\r\n"
        ));
        assert_eq!(raw.line(), "PONG");
        raw
    }

    pub fn publish(&mut self, subject: &str, octets: &[u8]) {
        self.say(&format!("PUB {subject} {}\r\n", octets.len()));
        self.stream.write_all(octets).expect("it is connected");
        self.say("\r\n");
    }

    /// Publishes no octets under a head.
    pub fn publish_with_head(&mut self, subject: &str, head: &str) {
        let length = head.len();
        self.say(&format!("HPUB {subject} {length} {length}\r\n{head}\r\n"));
    }

    /// What is answered to a request.
    pub fn request(&mut self, subject: &str, octets: &[u8]) -> String {
        self.say("SUB _INBOX.raw 1\r\nUNSUB 1 1\r\n");
        self.say(&format!("PUB {subject} _INBOX.raw {}\r\n", octets.len()));
        self.stream.write_all(octets).expect("it is connected");
        self.say("\r\n");
        let head = self.line();
        assert!(head.starts_with("MSG "), "{head}");
        self.line()
    }

    /// Hears what is published there from now on.
    pub fn subscribe(&mut self, subject: &str) {
        self.say(&format!("SUB {subject} 1\r\nPING\r\n"));
        assert_eq!(self.line(), "PONG");
    }

    /// The next message: its subject and its octets.
    pub fn next_message(&mut self) -> (String, Vec<u8>) {
        loop {
            let line = self.line();
            let words: Vec<&str> = line.split(' ').collect();
            let ["MSG", subject, .., length] = &words[..] else {
                continue;
            };
            let mut octets = vec![0; length.parse::<usize>().expect("a length") + 2];
            self.lines.read_exact(&mut octets).expect("it is whole");
            octets.truncate(octets.len() - 2);
            return ((*subject).to_owned(), octets);
        }
    }

    /// What the server says to a ping: PONG, or an error that it had to say before.
    pub fn ping(&mut self) -> String {
        self.say("PING\r\n");
        self.line()
    }

    fn say(&mut self, text: &str) {
        self.stream
            .write_all(text.as_bytes())
            .expect("it is connected");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it answers");
        line.trim_end().to_owned()
    }
}

/// An HTTP endpoint that is broken for some vantages: those that name themselves in a header.
pub struct Endpoint {
    pub port: u16,
    broken_for: Arc<Mutex<BTreeSet<String>>>,
}

impl Endpoint {
    pub fn start(address: &str) -> Endpoint {
        let listener = TcpListener::bind((address, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let broken_for = Arc::new(Mutex::new(BTreeSet::<String>::new()));
        let broken = broken_for.clone();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
                let vantage = request.split("x-vantage: ").nth(1).unwrap_or_default();
                let vantage = vantage.lines().next().unwrap_or_default();
                let is_broken = broken.lock().expect("nobody panics").contains(vantage);
                let line = if is_broken { "503 Broken" } else { "200 OK" };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
            }
        });
        Endpoint { port, broken_for }
    }

    pub fn break_for(&self, vantages: &[&str]) {
        let names = vantages.iter().map(|name| (*name).to_owned());
        *self.broken_for.lock().expect("nobody panics") = names.collect();
    }
}

pub const FRA: &str = "127.0.1.1";
pub const IAD: &str = "127.0.2.1";

/// Two regions, each with an endpoint.
pub struct World {
    pub fra: Endpoint,
    pub iad: Endpoint,
}

impl World {
    pub fn start() -> World {
        World {
            fra: Endpoint::start(FRA),
            iad: Endpoint::start(IAD),
        }
    }

    /// A server of the fleet, with these lines in `[fleet]`.
    pub fn server(&self, vantage: &str, fleet: &str) -> Server {
        self.setup(vantage, &format!("[fleet]\nname = \"world\"\n{fleet}"))
            .start()
    }

    /// A server of the fleet that logs in as itself.
    pub fn member(&self, engine: &Engine, voter: &str) -> Server {
        self.login(engine, voter, voter)
    }

    /// A member that only checks: it has the configuration of a server, and no zones.
    pub fn probe(&self, engine: &Engine, voter: &str) -> Server {
        let (config, folder) = self.login_setup(engine, voter, voter).written();
        std::fs::remove_dir_all(folder.path().join("zones")).expect("it is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
        command.args(["probe", "--config"]).arg(config);
        start(command, folder)
    }

    /// A server that says that it is `voter`, and logs in as `user`.
    pub fn login(&self, engine: &Engine, voter: &str, user: &str) -> Server {
        self.login_setup(engine, voter, user).start()
    }

    pub fn login_setup(&self, engine: &Engine, voter: &str, user: &str) -> Setup {
        let port = engine.port;
        let setup = self.setup(
            voter,
            &format!(
                "[fleet]\nname = \"world\"\nvoter = \"{voter}\"\nuser = \"{user}\"\n\
                 password_file = \"password\"\nservers = [\"nats://127.0.0.1:{port}\"]\n"
            ),
        );
        let file = setup.folder().join("password");
        std::fs::write(&file, format!("secret of {user}\n")).expect("it can be written");
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, owner_only).expect("it is ours");
        setup
    }

    pub fn setup(&self, vantage: &str, fleet: &str) -> Setup {
        let zone =
            "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\n";
        let (fra, iad) = (self.fra.port, self.iad.port);
        let config = format!(
            "{fleet}\n[regions.fra]\n[regions.iad]\n[checks.web]\ntype = \"http\"\ninterval = \"200ms\"\n\
             timeout = \"200ms\"\nfall = 2\nrise = 2\nheaders = {{ x-vantage = \"{vantage}\" }}\n\
             [[services]]\nname = \"www.example.test\"\ncheck = \"web\"\norder = \"priority\"\nramp = \"0s\"\n\
             [services.endpoints]\nfra = {{ address = \"{FRA}\", port = {fra} }}\n\
             iad = {{ address = \"{IAD}\", port = {iad} }}\n"
        );
        Setup::new().zone("example.test", zone).config(&config)
    }
}

pub fn answer(server: &Server) -> String {
    let reply = server.ask("www.example.test", A).send();
    reply.addresses().join(" ")
}

#[track_caller]
pub fn await_answer(server: &Server, expected: &str) -> Duration {
    let start = Instant::now();
    while answer(server) != expected {
        assert!(
            start.elapsed() < PATIENCE,
            "never {expected}:\n{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

/// `fleet` of `GET /v1/status`.
pub fn fleet(server: &Server) -> serde_json::Value {
    let text = get(server, "/v1/status");
    let status: serde_json::Value = serde_json::from_str(&text).expect("the status is JSON");
    status["fleet"].clone()
}

/// The body of a page of the admin server.
pub fn get(server: &Server, path: &str) -> String {
    let admin = server.admin.expect("it has one");
    let mut stream = TcpStream::connect(admin).expect("it listens");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(!head.to_lowercase().contains("chunked"), "{head}");
    body.to_owned()
}

/// Waits until a server hears so many others.
#[track_caller]
pub fn await_voters(server: &Server, count: usize) {
    await_that(&format!("{count} voters"), || {
        let voters = fleet(server)["voters"].clone();
        let voters = voters.as_array().expect("a list");
        let fresh = voters.iter().filter(|voter| voter["state"] == "fresh");
        fresh.count() == count
    });
}

#[track_caller]
pub fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
