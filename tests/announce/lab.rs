//! Two routers, four nameservers and a client, each in a network namespace.
//!
//! ```text
//! client ── r1 ── r2        r1 prefers ns1, then ns2, ns3 and ns4. Every nameserver has the service
//!          ╱  ╲  ╱  ╲       address 192.0.2.53 and a BIRD of its own, which tells its router about it
//!       ns1  ns2 ns3 ns4    by BGP. NATS, and the endpoint that the nameservers probe, are on r1.
//! ```

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::harness::netns::{Namespaces, Program, find, ip};

/// How long anything may take that should take a second or two: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// The address that every nameserver announces.
pub const SERVICE: &str = "192.0.2.53";
/// The nameservers, the one that routers prefer first.
pub const SERVERS: [&str; 4] = ["ns1", "ns2", "ns3", "ns4"];
/// All namespaces.
const NAMES: [&str; 7] = ["client", "r1", "r2", "ns1", "ns2", "ns3", "ns4"];
/// The address of the endpoint that the nameservers probe.
const ENDPOINT: &str = "10.77.1.1";
/// BGP sessions that notice a dead peer within three seconds, and a new one within one.
const QUICK: &str = "hold time 3; keepalive time 1; connect delay time 1; connect retry time 1; \
                     error wait time 1, 2;";

/// What runs in the namespace of a nameserver.
#[derive(Default)]
pub struct Site {
    pub server: Option<Program>,
    pub announcer: Option<Program>,
    pub bird: Option<Program>,
}

/// The network, while it lasts.
pub struct Lab {
    pub sites: [Site; 4],
    _shared: Vec<Program>,
    net: Namespaces,
    folder: tempfile::TempDir,
}

impl Lab {
    /// Everything runs, and every nameserver announces. `keys` are those of `[announce]`.
    pub fn start(keys: &str) -> Lab {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("man{}-{count}-", std::process::id());
        let mut lab = Lab {
            sites: Default::default(),
            _shared: Vec::new(),
            net: Namespaces::add(prefix, &NAMES),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        lab.connect();
        lab.start_routers();
        for at in 0..SERVERS.len() {
            lab.configure(at, keys);
            lab.start_bird(at);
            lab.start_server(at);
            lab.start_announcer(at);
        }
        for (at, name) in SERVERS.iter().enumerate() {
            await_that(&format!("{name} announces"), || {
                lab.bird(at, "show protocols meridian").contains(" up ")
            });
        }
        lab
    }

    /// The full name of a namespace.
    pub fn namespace(&self, name: &str) -> String {
        self.net.full_name(name)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Cables, addresses and routes.
    fn connect(&self) {
        self.net.cable("r1", "client", "10.77.0");
        self.net.cable("r1", "r2", "10.77.1");
        for (at, server) in SERVERS.iter().enumerate() {
            let router = router_of(at);
            self.net.cable(router, server, &subnet(at));
            let name = self.namespace(server);
            ip(&format!("-n {name} address add {SERVICE}/32 dev lo"));
            ip(&format!("-n {name} route add default via {}.1", subnet(at)));
            if router == "r2" {
                let r1 = self.namespace("r1");
                ip(&format!(
                    "-n {r1} route add {}.0/30 via 10.77.1.2",
                    subnet(at)
                ));
            }
        }
        ip(&format!(
            "-n {} route add default via 10.77.0.1",
            self.namespace("client")
        ));
        ip(&format!(
            "-n {} route add default via 10.77.1.1",
            self.namespace("r2")
        ));
        for router in ["r1", "r2"] {
            self.net.forward(router);
        }
    }

    /// NATS, which also is the endpoint, and the BIRDs of the routers.
    fn start_routers(&mut self) {
        let mut command = self.net.command("r1", "nats-server");
        command.args(["-a", "0.0.0.0", "-p", "4222", "-m", "8222"]);
        self._shared
            .push(Program::start(command, &self.path("nats.log")));
        for (router, other, own, peer) in [
            ("r1", "r2", "10.77.1.1", "10.77.1.2"),
            ("r2", "r1", "10.77.1.2", "10.77.1.1"),
        ] {
            let mut text = format!(
                "router id {own};\nprotocol device {{ }}\n\
                 protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; }}\n\
                 protocol bgp {other} {{ local {own} as 65000; neighbor {peer} as 65000; direct; {QUICK}\n\
                 ipv4 {{ import all; export all; next hop self; }}; }}\n"
            );
            for (at, server) in SERVERS.iter().enumerate() {
                if router_of(at) == router {
                    let (subnet, preference) = (subnet(at), 400 - 100 * at);
                    text += &format!(
                        "protocol bgp {server} {{ local {subnet}.1 as 65000; neighbor {subnet}.2 as 6501{at}; {QUICK}\n\
                         ipv4 {{ export none; import filter {{ bgp_local_pref = {preference}; accept; }}; }}; }}\n"
                    );
                }
            }
            let program = self.start_bird_with(router, &text);
            self._shared.push(program);
        }
    }

    /// Starts a BIRD whose configuration is this.
    fn start_bird_with(&self, name: &str, text: &str) -> Program {
        let config = self.path(&format!("{name}.bird.conf"));
        fs::write(&config, text).expect("the folder can be written");
        let mut command = self.net.command(name, "bird");
        command.arg("-f").arg("-c").arg(&config);
        command.arg("-s").arg(self.path(&format!("{name}.ctl")));
        Program::start(command, &self.path(&format!("{name}.bird.log")))
    }

    /// The BIRD of a nameserver, as in the guide.
    pub fn start_bird(&mut self, at: usize) {
        let subnet = subnet(at);
        let text = format!(
            "router id {subnet}.2;\nprotocol device {{ }}\n\
             protocol static meridian {{ disabled; ipv4; route {SERVICE}/32 reject; }}\n\
             protocol bgp edge {{ local as 6501{at}; neighbor {subnet}.1 as 65000; {QUICK}\n\
             ipv4 {{ import none; export where proto = \"meridian\"; }}; }}\n"
        );
        self.sites[at].bird = Some(self.start_bird_with(SERVERS[at], &text));
    }

    fn configure(&self, at: usize, keys: &str) {
        let name = SERVERS[at];
        let folder = self.path(name);
        fs::create_dir_all(folder.join("zones")).expect("the folder can be written");
        let zone = format!(
            "$TTL 60\n@ SOA ns1 hostmaster 1 14400 3600 1209600 60\n@ NS ns1\nns1 A {SERVICE}\n\
             who TXT \"{name}\"\n"
        );
        fs::write(folder.join("zones/example.com.zone"), zone).expect("it can be written");
        let control = self.path(&format!("{name}.ctl"));
        let text = format!(
            "[server]\nlisten = [\"{SERVICE}:53\"]\nworkers = 1\n\
             [admin]\nlisten = \"unix:admin.sock\"\n\
             [announce]\naddresses = [\"{SERVICE}\"]\nquery = \"example.com\"\nbird = {control:?}\n\
             interval = \"200ms\"\ntimeout = \"500ms\"\nfall = 2\nrise = 3\npause = \"1s\"\n{keys}\n\
             [fleet]\nname = \"world\"\nvoter = \"{name}\"\nservers = [\"nats://10.77.0.1:4222\"]\n\
             [regions.fra]\nlocation = \"FRA\"\n\
             [checks.tcp]\ntype = \"tcp\"\nport = 8222\ninterval = \"300ms\"\nquick = \"100ms\"\n\
             timeout = \"200ms\"\nfall = 2\nrise = 2\n\
             [[services]]\nname = \"www.example.com\"\ncheck = \"tcp\"\nprivate_targets = true\n\
             [services.endpoints]\nfra = [\"{ENDPOINT}\"]\n"
        );
        let file = folder.join("meridian.toml");
        fs::write(&file, text).expect("it can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }

    pub fn start_server(&mut self, at: usize) {
        let program = self.meridian(at, "serve");
        await_that("the server is ready", || {
            program.log().contains("ready dns=")
        });
        self.sites[at].server = Some(program);
    }

    pub fn start_announcer(&mut self, at: usize) {
        self.sites[at].announcer = Some(self.meridian(at, "announce"));
    }

    fn meridian(&self, at: usize, word: &str) -> Program {
        let name = SERVERS[at];
        let mut command = self.net.command(name, env!("CARGO_BIN_EXE_meridian"));
        command.arg(word).current_dir(self.path(name));
        let log = self.path(&format!("{name}.{word}.log"));
        let _ = fs::remove_file(&log);
        Program::start(command, &log)
    }

    /// Cuts the cable of a nameserver at its router, or mends it.
    pub fn cut(&self, at: usize, is_cut: bool) {
        let state = if is_cut { "down" } else { "up" };
        let router = self.namespace(router_of(at));
        ip(&format!("-n {router} link set {} {state}", SERVERS[at]));
    }

    /// Takes a nameserver's way to the endpoint, or gives it back; it still hears the others.
    pub fn blind(&self, at: usize, is_blind: bool) {
        let word = if is_blind { "add" } else { "delete" };
        let name = self.namespace(SERVERS[at]);
        ip(&format!("-n {name} route {word} unreachable {ENDPOINT}/32"));
    }

    /// What the BIRD of a nameserver says.
    pub fn bird(&self, at: usize, command: &str) -> String {
        let output = Command::new(find("birdc"))
            .arg("-s")
            .arg(self.path(&format!("{}.ctl", SERVERS[at])))
            .args(command.split(' '))
            .output()
            .expect("birdc runs; the Debian package is bird2");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The status of a nameserver.
    pub fn status(&self, at: usize) -> serde_json::Value {
        let mut command = self
            .net
            .command(SERVERS[at], env!("CARGO_BIN_EXE_meridian"));
        let socket = format!(
            "unix:{}",
            self.path(SERVERS[at]).join("admin.sock").display()
        );
        let output = command
            .args(["status", "--json", "--admin", &socket])
            .output();
        let output = output.expect("the binary of this crate runs");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// The state of a nameserver's announcer, as the server knows it.
    pub fn announcement(&self, at: usize) -> String {
        let status = self.status(at);
        status["announcement"]["state"]
            .as_str()
            .unwrap_or("unknown")
            .to_owned()
    }

    /// Everything that was logged, for a test that fails.
    pub fn logs(&self) -> String {
        let mut logs = String::new();
        for (name, site) in SERVERS.iter().zip(&self.sites) {
            for (what, program) in [("server", &site.server), ("announcer", &site.announcer)] {
                if let Some(program) = program {
                    logs += &format!("── {name}, {what}\n{}", program.log());
                }
            }
        }
        logs
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        self.sites = Default::default();
        self._shared.clear();
    }
}

fn router_of(at: usize) -> &'static str {
    if at < 2 { "r1" } else { "r2" }
}

fn subnet(at: usize) -> String {
    format!("10.77.1{}", at + 1)
}

/// Waits until something holds.
#[track_caller]
pub fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
