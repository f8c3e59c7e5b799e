//! Five nameservers and three NATS servers on two shores, and cables that are pulled. It needs root.
//!
//! ```text
//!            west ═══════ east          The endpoint of fra is on west, that of iad on east.
//!           ╱  │           │  ╲  ╲      NATS runs on ns1, ns3 and ns4. Each nameserver is a
//!        ns1  ns2        ns3 ns4 ns5    group of its own.
//! ```

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::engine::await_that;
use crate::harness::netns::{Namespaces, Program, enter, ip};
use crate::orders::nats_server;

const SERVERS: [&str; 5] = ["ns1", "ns2", "ns3", "ns4", "ns5"];
/// Those with a NATS server.
const ENGINES: [&str; 3] = ["ns1", "ns3", "ns4"];
const NAMES: [&str; 7] = ["west", "east", "ns1", "ns2", "ns3", "ns4", "ns5"];
const FRA: &str = "10.81.0.1";
const IAD: &str = "10.81.0.2";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The shore of a nameserver.
fn shore(server: &str) -> &'static str {
    if server < "ns3" { "west" } else { "east" }
}

fn subnet(server: &str) -> String {
    format!("10.81.{}", server.trim_start_matches("ns"))
}

/// The network, while it lasts.
struct Shores {
    servers: Vec<Program>,
    clients: Vec<Client>,
    _shared: Vec<Program>,
    net: Namespaces,
    folder: tempfile::TempDir,
}

impl Shores {
    /// Everything runs, and all agree that both regions are up.
    fn start() -> Shores {
        let mut shores = Shores {
            servers: Vec::new(),
            clients: Vec::new(),
            _shared: Vec::new(),
            net: Namespaces::add(format!("mpart{}-", std::process::id()), &NAMES),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        shores.connect();
        for (name, port) in [("west", 8181), ("east", 8182)] {
            let mut command = shores.net.command(name, "python3");
            let address = if name == "west" { FRA } else { IAD };
            command.args(["-m", "http.server", &port.to_string(), "--bind", address]);
            command.current_dir(shores.folder.path());
            let log = shores.path(&format!("{name}.log"));
            shores._shared.push(Program::start(command, &log));
        }
        for server in ENGINES {
            shores.start_engine(server);
        }
        for server in SERVERS {
            shores.configure(server);
            let mut command = shores.net.command(server, env!("CARGO_BIN_EXE_meridian"));
            command.arg("serve").current_dir(shores.path(server));
            let log = shores.path(&format!("{server}.log"));
            shores.servers.push(Program::start(command, &log));
        }
        for server in SERVERS {
            await_that(
                &format!("{server} hears all:\n{}", shores.log(server)),
                || {
                    let fleet = shores.status(server)["fleet"].clone();
                    fleet["fresh_groups"] == 5 && fleet["orders"]["current"] == true
                },
            );
            let client = Client::start(
                shores.net.full_name(server),
                format!("{}.2", subnet(server)),
            );
            shores.clients.push(client);
        }
        for at in 0..SERVERS.len() {
            shores.await_answer(at, FRA);
        }
        shores
    }

    fn connect(&self) {
        let net = &self.net;
        net.cable("west", "east", "10.81.0");
        for server in SERVERS {
            let (near, subnet) = (shore(server), subnet(server));
            net.cable(near, server, &subnet);
            let name = net.full_name(server);
            ip(&format!("-n {name} route add default via {subnet}.1"));
            let (far, gateway) = if near == "west" {
                ("east", FRA)
            } else {
                ("west", IAD)
            };
            let far = net.full_name(far);
            ip(&format!("-n {far} route add {subnet}.0/30 via {gateway}"));
        }
        net.forward("west");
        net.forward("east");
    }

    fn start_engine(&mut self, server: &str) {
        let mut routes = Vec::new();
        for other in ENGINES {
            routes.push(format!("nats-route://{}.2:6222", subnet(other)));
        }
        let store = self.path(&format!("{server}.jetstream"));
        let text = format!(
            "listen: 0.0.0.0:4222\nserver_name: {server}\njetstream {{ store_dir: {store:?} }}\n\
             cluster {{ name: w, listen: 0.0.0.0:6222, routes: [{}] }}\n",
            routes.join(", ")
        );
        let config = self.path(&format!("{server}.nats.conf"));
        fs::write(&config, text).expect("the folder can be written");
        let program = nats_server();
        let mut command = self.net.command(server, &program.display().to_string());
        command.arg("-c").arg(config);
        let log = self.path(&format!("{server}.nats.log"));
        self._shared.push(Program::start(command, &log));
    }

    fn configure(&self, server: &str) {
        let folder = self.path(server);
        fs::create_dir_all(folder.join("zones")).expect("the folder can be written");
        let zone =
            "$TTL 60\n@ SOA ns1 hostmaster 1 14400 3600 1209600 60\n@ NS ns1\nns1 A 192.0.2.53\n";
        fs::write(folder.join("zones/example.com.zone"), zone).expect("it can be written");
        fs::write(folder.join("token"), TOKEN).expect("it can be written");
        // The nearest NATS server first, as an operator would.
        let mut engines = Vec::new();
        for engine in ENGINES {
            engines.push(format!("\"nats://{}.2:4222\"", subnet(engine)));
        }
        let text = format!(
            "[server]\nlisten = [\"{}.2:53\"]\nworkers = 1\n[admin]\nlisten = \"unix:admin.sock\"\n\
             token_file = \"token\"\n[state]\ndirectory = \"state\"\n\
             [fleet]\nname = \"world\"\nvoter = \"{server}\"\nservers = [{}]\n\
             [regions.fra]\n[regions.iad]\n\
             [checks.web]\ntype = \"http\"\npath = \"/\"\ninterval = \"300ms\"\ntimeout = \"200ms\"\nfall = 2\nrise = 2\n\
             [[services]]\nname = \"www.example.com\"\ncheck = \"web\"\norder = \"priority\"\nramp = \"0s\"\n\
             private_targets = true\n[services.endpoints]\n\
             fra = {{ address = \"{FRA}\", port = 8181 }}\niad = {{ address = \"{IAD}\", port = 8182 }}\n",
            subnet(server),
            engines.join(", ")
        );
        fs::write(folder.join("meridian.toml"), text).expect("it can be written");
        for name in ["meridian.toml", "token"] {
            let owner_only = fs::Permissions::from_mode(0o600);
            fs::set_permissions(folder.join(name), owner_only).expect("it is ours");
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self, server: &str) -> String {
        fs::read_to_string(self.path(&format!("{server}.log"))).unwrap_or_default()
    }

    /// What `meridian` prints when it is told something about a nameserver, and whether that was done.
    fn say(&self, server: &str, arguments: &[&str]) -> (bool, String) {
        let socket = format!("unix:{}", self.path(server).join("admin.sock").display());
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_meridian"))
            .args(arguments)
            .args(["--admin", &socket])
            .env("MERIDIAN_TOKEN", TOKEN)
            .output()
            .expect("the binary of this crate runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.success(), said)
    }

    fn status(&self, server: &str) -> Value {
        let (_, said) = self.say(server, &["status", "--json"]);
        serde_json::from_str(&said).unwrap_or_default()
    }

    /// Pulls a cable of `near`, or plugs it in again.
    fn pull(&self, near: &str, far: &str, is_pulled: bool) {
        let state = if is_pulled { "down" } else { "up" };
        let name = self.net.full_name(near);
        ip(&format!("-n {name} link set {far} {state}"));
        if !is_pulled {
            // The kernel has dropped what went over it.
            let servers = SERVERS.iter().filter(|server| shore(server) != near);
            for server in servers.filter(|_| near == "west" && far == "east") {
                ip(&format!(
                    "-n {name} route add {}.0/30 via {IAD}",
                    subnet(server)
                ));
            }
        }
    }

    #[track_caller]
    fn await_answer(&self, at: usize, expected: &str) {
        let server = SERVERS[at];
        await_that(&format!("{server} answers {expected}"), || {
            self.clients[at].last() == expected
        });
    }

    /// Every query since the last time that was asked got an address.
    #[track_caller]
    fn expect_nothing_lost(&self) {
        for client in &self.clients {
            let seen = client.take();
            for answer in &seen {
                assert!(answer != "lost" && answer != "no address", "{seen:?}");
            }
        }
    }

    /// What was answered beside this, with the name of the server, since the last time that was asked.
    fn others_than(&self, expected: &str) -> Vec<String> {
        let mut others = Vec::new();
        for (server, client) in SERVERS.iter().zip(&self.clients) {
            for answer in client.take() {
                if answer != expected {
                    others.push(format!("{server}: {answer}"));
                }
            }
        }
        others
    }
}

impl Drop for Shores {
    fn drop(&mut self) {
        if thread::panicking() {
            for server in SERVERS {
                eprintln!("── {server}\n{}", self.log(server));
            }
        }
        self.clients.clear();
        self.servers.clear();
        self._shared.clear();
    }
}

/// A client beside a nameserver, which asks it all the time.
struct Client {
    seen: Arc<Mutex<Vec<String>>>,
    last: Arc<Mutex<String>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    fn start(namespace: String, server: String) -> Client {
        let (seen, last) = (
            Arc::<Mutex<Vec<String>>>::default(),
            Arc::<Mutex<String>>::default(),
        );
        let is_over = Arc::<AtomicBool>::default();
        let (noted, newest, ends) = (seen.clone(), last.clone(), is_over.clone());
        let thread = thread::spawn(move || {
            enter(&namespace);
            let server: SocketAddr = format!("{server}:53").parse().expect("an address");
            while !ends.load(Ordering::SeqCst) {
                let answer = ask(server);
                *newest.lock().expect("nobody panics with it") = answer.clone();
                let mut noted = noted.lock().expect("nobody panics with it");
                if noted.last() != Some(&answer) {
                    noted.push(answer);
                }
                drop(noted);
                // Not so often that the server would take it for a flood.
                thread::sleep(Duration::from_millis(50));
            }
        });
        Client {
            seen,
            last,
            is_over,
            thread: Some(thread),
        }
    }

    /// The newest answer.
    fn last(&self) -> String {
        self.last.lock().expect("nobody panics with it").clone()
    }

    /// The different answers since the last time, and the newest.
    fn take(&self) -> Vec<String> {
        let mut seen = self.seen.lock().expect("nobody panics with it");
        let mut taken = std::mem::take(&mut *seen);
        taken.push(self.last());
        taken
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The address of `www.example.com` by this server; `lost` without an answer within a second.
fn ask(server: SocketAddr) -> String {
    const QUERY: &[u8] =
        b"\x12\x34\x00\x00\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\x00\x01\x00\x01";
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a time");
    let mut reply = [0; 512];
    let sent = socket.send_to(QUERY, server);
    match sent.and_then(|_| socket.recv(&mut reply)) {
        // One record of an address ends the reply.
        Ok(length) if length > 33 && reply[7] == 1 => {
            let [.., a, b, c, d] = reply[..length] else {
                unreachable!()
            };
            format!("{a}.{b}.{c}.{d}")
        }
        Ok(_) => "no address".to_owned(),
        Err(_) => "lost".to_owned(),
    }
}

#[test]
fn cables_are_pulled_and_nobody_is_answered_wrongly() {
    let shores = Shores::start();
    // What was answered while everything started.
    shores.others_than(FRA);

    // One is cut off: it answers those beside it as before, and so do all others.
    shores.pull("east", "ns5", true);
    await_that("the others have lost ns5", || {
        shores.status("ns1")["fleet"]["fresh_groups"] == 4
    });
    await_that("ns5 hears nobody", || {
        shores.status("ns5")["fleet"]["fresh_groups"] == 1
    });
    thread::sleep(Duration::from_secs(2));
    assert_eq!(shores.others_than(FRA), [""; 0]);
    shores.pull("east", "ns5", false);
    let name = shores.net.full_name("ns5");
    ip(&format!(
        "-n {name} route replace default via {}.1",
        subnet("ns5")
    ));
    await_that("ns5 is back", || {
        shores.status("ns5")["fleet"]["fresh_groups"] == 5
    });
    assert_eq!(shores.others_than(FRA), [""; 0]);

    // The sea cable: east is the majority and does not reach fra. West sees iad fail, and decides nothing.
    shores.pull("west", "east", true);
    for at in 2..5 {
        shores.await_answer(at, IAD);
    }
    await_that("west has no quorum", || {
        shores.status("ns1")["fleet"]["quorum"] == false
    });
    // What is ordered where the majority of NATS servers is, holds there; elsewhere it is refused.
    await_that("east takes orders", || {
        shores
            .say(
                "ns3",
                &["drain", "fra", "--reason", "the sea cable", "--yes"],
            )
            .0
    });
    // While NATS there still looks for a majority, nobody can say whether an order was made.
    await_that("west refuses orders in clear words", || {
        let (is_done, said) = shores.say(
            "ns2",
            &["drain", "iad", "--reason", "the sea cable", "--yes"],
        );
        assert!(!is_done, "{said}");
        said.contains("--here-only")
    });
    for (at, server) in SERVERS.iter().enumerate() {
        let expected = if shore(server) == "west" { FRA } else { IAD };
        assert_eq!(shores.clients[at].last(), expected, "{server}");
    }
    shores.expect_nothing_lost();

    // When it is mended, west hears of the order, and all see both regions.
    shores.pull("west", "east", false);
    for at in 0..5 {
        shores.await_answer(at, IAD);
    }
    for server in SERVERS {
        await_that(&format!("{server} has the order and hears all"), || {
            let status = shores.status(server);
            status["orders"][0]["reason"] == "the sea cable" && status["fleet"]["fresh_groups"] == 5
        });
    }
    await_that("the order is lifted", || {
        shores.say("ns1", &["undrain", "fra"]).0
    });
    for at in 0..5 {
        shores.await_answer(at, FRA);
    }
    shores.expect_nothing_lost();
}
