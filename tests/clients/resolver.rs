//! unbound, a real recursive resolver, with EDNS Client Subnet towards the server.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::server::Process;
use crate::harness::{Setup, free_port};
use crate::programs::{find, run};
use crate::world::{CONFIG, ZONE};

/// A running unbound and its port.
pub struct Unbound {
    port: u16,
    _process: Process,
    folder: tempfile::TempDir,
}

impl Unbound {
    fn start(server_port: u16) -> Unbound {
        Unbound::start_for("example.test.", server_port)
    }

    /// Starts it with a stub zone at `server_port`; every client's /24 is sent along.
    pub fn start_for(zone: &str, server_port: u16) -> Unbound {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let path = folder.path().display();
        let config = format!(
            r#"
server:
  directory: "{path}"
  username: ""
  chroot: ""
  pidfile: ""
  logfile: "{path}/log"
  use-syslog: no
  verbosity: 1
  interface: 127.0.0.1
  interface: ::1
  port: {port}
  access-control: 127.0.0.0/8 allow
  access-control: ::1 allow
  do-not-query-localhost: no
  do-daemonize: no
  module-config: "subnetcache iterator"
  send-client-subnet: 127.0.0.1
  client-subnet-always-forward: yes
  max-client-subnet-ipv4: 32
  max-client-subnet-ipv6: 64
  min-client-subnet-ipv4: 0
  local-zone: "test." nodefault
  qname-minimisation: yes
stub-zone:
  name: "{zone}"
  stub-addr: 127.0.0.1@{server_port}
remote-control:
  control-enable: no
"#
        );
        let file = folder.path().join("unbound.conf");
        fs::write(&file, config).expect("the temporary folder can be written");
        let mut command = Command::new(find("unbound"));
        command
            .arg("-d")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process(command.spawn().expect("unbound can be run"));
        let unbound = Unbound {
            port,
            _process: process,
            folder,
        };
        unbound.await_ready();
        unbound
    }

    fn await_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "unbound does not start:\n{}",
                log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What a client at this address is told, addresses only.
    pub fn ask(&self, client: &str, name: &str, rtype: &str) -> String {
        let port = self.port.to_string();
        let arguments = [
            "@127.0.0.1",
            "-p",
            &port,
            "-b",
            client,
            "+time=10",
            "+tries=1",
            "+short",
            name,
            rtype,
        ];
        run("dig", &arguments).trim().to_owned()
    }

    /// Whether a client at this address is told anything within two seconds.
    fn knows(&self, client: &str, name: &str) -> bool {
        let port = self.port.to_string();
        let mut dig = Command::new(find("dig"));
        dig.args([
            "@127.0.0.1",
            "-p",
            &port,
            "-b",
            client,
            "+time=2",
            "+tries=1",
            name,
            "A",
        ]);
        let reply = dig.output().expect("dig can be run");
        String::from_utf8_lossy(&reply.stdout).contains("status: NOERROR")
    }
}

/// Networks inside 127.0.0.0/8 stand for clients all over the world: these are addresses that a test can ask from.
const CLIENTS: &str = r#"
[[geo.networks]]
cidr = "127.1.0.0/16"
location = "FRA"
[[geo.networks]]
cidr = "127.2.0.0/16"
location = "IAD"
"#;

#[test]
fn every_client_of_a_resolver_gets_its_own_region() {
    let server = Setup::new()
        .zone("example.test", ZONE)
        .config(CONFIG)
        .config(CLIENTS)
        .start();
    let unbound = Unbound::start(server.address().port());
    for _ in 0..3 {
        assert_eq!(
            unbound.ask("127.1.0.1", "www.example.test", "A"),
            "192.0.2.10"
        );
        assert_eq!(
            unbound.ask("127.2.0.1", "www.example.test", "A"),
            "198.51.100.10"
        );
        assert_eq!(
            unbound.ask("127.2.9.1", "www.example.test", "AAAA"),
            "2001:db8::20"
        );
        assert_eq!(
            unbound.ask("127.1.9.1", "alias.example.test", "A"),
            "www.example.test.\n192.0.2.10"
        );
        assert_eq!(
            unbound.ask("127.2.9.1", "alias.example.test", "A"),
            "www.example.test.\n198.51.100.10"
        );
        assert_eq!(
            unbound.ask("127.2.9.1", "host.example.test", "A"),
            "192.0.2.1"
        );
        assert_eq!(unbound.ask("127.2.9.1", "none.example.test", "A"), "");
    }
}

#[test]
fn a_resolver_keeps_one_answer_for_a_scope() {
    let server = Setup::new()
        .zone("example.test", ZONE)
        .config(CONFIG)
        .config(CLIENTS)
        .start();
    let unbound = Unbound::start(server.address().port());
    assert_eq!(
        unbound.ask("127.1.0.1", "www.example.test", "A"),
        "192.0.2.10"
    );
    assert_eq!(
        unbound.ask("127.2.0.1", "www.example.test", "A"),
        "198.51.100.10"
    );
    // With the server gone, only what the resolver keeps can answer: for all clients in the scopes, and only those.
    assert!(server.stop());
    assert_eq!(
        unbound.ask("127.1.200.7", "www.example.test", "A"),
        "192.0.2.10"
    );
    assert_eq!(
        unbound.ask("127.2.200.7", "www.example.test", "A"),
        "198.51.100.10"
    );
    assert!(unbound.knows("127.1.77.7", "www.example.test"));
    assert!(
        !unbound.knows("127.3.0.1", "www.example.test"),
        "an answer for a client that nobody asked about"
    );
}
