//! delv, unbound and dig, with the keys of a server as trust anchors.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::server::Process;
use crate::harness::{Server, free_port};

/// Runs a program to its end, whatever its exit code, and returns what it printed.
#[track_caller]
pub fn printed(program: &str, package: &str, arguments: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"))
        .stdin(Stdio::null())
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!("{program}: {error}; install it with: sudo apt-get install {package}")
    });
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

/// What dig prints that asks a server.
#[track_caller]
pub fn dig(server: &Server, arguments: &[&str]) -> String {
    let port = server.address().port().to_string();
    let all = [&["@127.0.0.1", "-p", &port], arguments].concat();
    printed("dig", "bind9-dnsutils", &all)
}

/// The reply of an authoritative server, with its DNSSEC records, as dig prints it.
#[track_caller]
pub fn dig_signed(server: &Server, name: &str, rtype: &str) -> String {
    dig(server, &["+dnssec", "+norecurse", name, rtype])
}

/// The zone, flags, protocol, algorithm and key of every DNSKEY record in a folder of keys.
fn keys(folder: &Path) -> Vec<Vec<String>> {
    let mut keys = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of keys").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|end| end != "key") {
            continue;
        }
        let text = fs::read_to_string(path).expect("a key");
        for line in text.lines().filter(|line| !line.starts_with(';')) {
            let mut words = line.split_whitespace();
            let zone = words.next().expect("an owner").to_owned();
            let mut fields = vec![zone];
            for word in words.skip_while(|word| *word != "DNSKEY").skip(1) {
                fields.push(word.to_owned());
            }
            keys.push(fields);
        }
    }
    keys
}

/// Writes the entry keys of a server as trust anchors for delv.
pub fn write_anchors(server: &Server) {
    write_anchors_of(server, &server.folder().join("keys"));
}

/// The same with the keys of a folder.
pub fn write_anchors_of(server: &Server, folder: &Path) {
    let mut text = String::from("trust-anchors {\n");
    for key in keys(folder) {
        let [zone, flags, protocol, algorithm, data @ ..] = &key[..] else {
            panic!("{key:?}");
        };
        if flags == "257" {
            let data = data.concat();
            writeln!(
                text,
                "{zone} static-key {flags} {protocol} {algorithm} \"{data}\";"
            )
            .expect("it is memory");
        }
    }
    text.push_str("};\n");
    fs::write(server.folder().join("anchors"), text).expect("the folder is ours");
}

/// What delv says of an answer of the server, with the keys of `zone` as trust anchors.
pub fn delv(server: &Server, zone: &str, name: &str, rtype: &str) -> String {
    let port = server.address().port().to_string();
    let anchors = server.folder().join("anchors").display().to_string();
    let root = format!("+root={zone}");
    let arguments = [
        "@127.0.0.1",
        "-p",
        &port,
        "-a",
        &anchors,
        &root,
        name,
        rtype,
    ];
    printed("delv", "bind9-dnsutils", &arguments)
}

/// Asserts that delv validates an answer.
#[track_caller]
pub fn expect_secure(server: &Server, zone: &str, name: &str, rtype: &str) {
    let said = delv(server, zone, name, rtype);
    assert!(said.contains("fully validated"), "{name} {rtype}:\n{said}");
}

/// Asserts that delv validates the addresses of a name through a resolver, with the keys of a parent as trust anchors.
#[track_caller]
pub fn expect_secure_below(parent: &Server, resolver: &Unbound, zone: &str, name: &str) {
    write_anchors(parent);
    let anchors = parent.folder().join("anchors").display().to_string();
    let (port, root) = (resolver.port.to_string(), format!("+root={zone}"));
    let arguments = ["@127.0.0.1", "-p", &port, "-a", &anchors, &root, name, "A"];
    let said = printed("delv", "bind9-dnsutils", &arguments);
    assert!(said.contains("fully validated"), "{name}:\n{said}");
}

/// The zones with the port of each server.
fn ports_of<'z>(zones: &[(&'z str, &Server)]) -> Vec<(&'z str, Vec<u16>)> {
    let mut ports = Vec::new();
    for (zone, server) in zones {
        ports.push((*zone, vec![server.address().port()]));
    }
    ports
}

/// A running unbound that validates, with a server as the only authority for its zone.
pub struct Unbound {
    port: u16,
    _process: Process,
    folder: tempfile::TempDir,
}

impl Unbound {
    /// Trusts the keys of a server, and caches nothing.
    pub fn start(server: &Server, zone: &str) -> Unbound {
        Unbound::with_keys(server, zone, &server.folder().join("keys"))
    }

    /// The same with the keys of a folder.
    pub fn with_keys(server: &Server, zone: &str, trusted: &Path) -> Unbound {
        let no_cache = "  cache-max-ttl: 0\n  cache-max-negative-ttl: 0";
        Unbound::start_with(trusted, &[(zone, server)], no_cache)
    }

    /// Trusts the keys of a parent, finds each zone at its server, and caches what it may. `prepare` changes the command
    /// that starts it.
    pub fn of_chain_at(
        parent: &Server,
        zones: &[(&str, &Server)],
        prepare: impl FnOnce(&mut Command),
    ) -> Unbound {
        let ports = ports_of(zones);
        Unbound::of_ports_at(&parent.folder().join("keys"), &ports, "", prepare)
    }

    fn start_with(trusted: &Path, zones: &[(&str, &Server)], options: &str) -> Unbound {
        Unbound::of_ports(trusted, &ports_of(zones), options)
    }

    /// Trusts the keys of a folder, and finds each zone at these ports of this machine.
    pub fn of_ports(trusted: &Path, zones: &[(&str, Vec<u16>)], options: &str) -> Unbound {
        Unbound::of_ports_at(trusted, zones, options, |_| {})
    }

    fn of_ports_at(
        trusted: &Path,
        zones: &[(&str, Vec<u16>)],
        options: &str,
        prepare: impl FnOnce(&mut Command),
    ) -> Unbound {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let path = folder.path().display();
        let mut anchors = String::new();
        for key in keys(trusted) {
            let [owner, flags, fields @ ..] = &key[..] else {
                panic!("{key:?}");
            };
            if flags == "257" {
                writeln!(
                    anchors,
                    "  trust-anchor: \"{owner} DNSKEY {flags} {}\"",
                    fields.join(" ")
                )
                .expect("it is memory");
            }
        }
        let mut stubs = String::new();
        for (zone, ports) in zones {
            write!(stubs, "stub-zone:\n  name: \"{zone}\"\n").expect("it is memory");
            for port in ports {
                writeln!(stubs, "  stub-addr: 127.0.0.1@{port}").expect("it is memory");
            }
        }
        let config = format!(
            r#"
server:
  directory: "{path}"
  username: ""
  chroot: ""
  pidfile: ""
  logfile: "{path}/log"
  use-syslog: no
  verbosity: 2
  val-log-level: 2
  interface: 127.0.0.1
  port: {port}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  do-daemonize: no
  module-config: "validator iterator"
  local-zone: "test." nodefault
  qname-minimisation: yes
{options}
{anchors}
{stubs}
remote-control:
  control-enable: no
"#
        );
        let file = folder.path().join("unbound.conf");
        fs::write(&file, config).expect("the temporary folder can be written");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("unbound");
        command
            .env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"))
            .arg("-d")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        prepare(&mut command);
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("unbound: {error}; install it with: sudo apt-get install unbound")
        });
        let unbound = Unbound {
            port,
            _process: Process(child),
            folder,
        };
        unbound.await_ready();
        unbound
    }

    fn await_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "unbound: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The reply to a query, as dig prints it, which must be secure.
    #[track_caller]
    pub fn ask(&self, name: &str, rtype: &str) -> String {
        let reply = self.ask_any(name, rtype);
        let flags = reply.lines().find(|line| line.starts_with(";; flags:"));
        let is_secure = flags.is_some_and(|flags| flags.contains(" ad"));
        assert!(is_secure, "{name} {rtype}:\n{reply}\n{}", self.log());
        reply
    }

    /// The reply to a query, as dig prints it.
    pub fn ask_any(&self, name: &str, rtype: &str) -> String {
        let port = self.port.to_string();
        let arguments = [
            "@127.0.0.1",
            "-p",
            &port,
            "+dnssec",
            "+time=10",
            "+tries=1",
            name,
            rtype,
        ];
        printed("dig", "bind9-dnsutils", &arguments)
    }
}
