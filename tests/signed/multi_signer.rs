//! Two signers of one zone, each with keys of its own (RFC 8901 model 2): Meridian and BIND. unbound, whose cache mixes
//! what both have signed, validates all of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::server::Process;
use crate::harness::{Server, Setup, free_port};
use crate::programs::{Unbound, printed};

const PARENT: &str = "$TTL 60
@ SOA ns hostmaster 1 7200 1800 259200 60
@ NS ns
ns A 127.0.0.1
example NS ns.example
ns.example A 127.0.0.1
";

/// Negative answers are not kept, so that each question goes to a signer.
const ZONE: &str = "$TTL 60
@ SOA ns hostmaster 1 7200 1800 259200 0
@ NS ns
ns A 127.0.0.1
*.wild A 192.0.2.2
$GENERATE 1-40 h$ A 192.0.2.$
";

/// The second signer: its keys, and named with the zone that it has signed.
struct Bind {
    folder: tempfile::TempDir,
    ksk: String,
    zsk: String,
}

impl Bind {
    fn new() -> Bind {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path().display().to_string();
        let make = |more: &[&str]| {
            let arguments = [
                &["-q", "-K", &place, "-a", "ECDSAP256SHA256"][..],
                more,
                &["example.test"],
            ];
            printed("dnssec-keygen", "bind9-utils", &arguments.concat())
                .trim()
                .to_owned()
        };
        let (ksk, zsk) = (make(&["-f", "KSK"]), make(&[]));
        Bind { folder, ksk, zsk }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The DS record of its KSK, or its CDS record.
    fn ds(&self, rtype: &str) -> String {
        let key = self.path(&format!("{}.key", self.ksk));
        let said = printed(
            "dnssec-dsfromkey",
            "bind9-utils",
            &["-2", &key.display().to_string()],
        );
        said.replace(" DS ", &format!(" {rtype} "))
    }

    /// Signs the zone with its own keys, and with the records of the other signer in it.
    fn serve(&self, others: &str) -> (Process, u16) {
        let place = self.folder.path().display().to_string();
        let text = format!(
            "{ZONE}who 0 TXT bind\n$INCLUDE {place}/{}.key\n$INCLUDE {place}/{}.key\n{others}\n{}",
            self.ksk,
            self.zsk,
            self.ds("CDS")
        );
        fs::write(self.path("zone"), text).expect("it is ours");
        let (file, output) = (format!("{place}/zone"), format!("{place}/signed"));
        let arguments = [
            "-K",
            &place,
            "-d",
            &place,
            "-o",
            "example.test",
            "-f",
            &output,
            "-k",
            &self.ksk,
            &file,
            &self.zsk,
        ];
        let said = printed("dnssec-signzone", "bind9-utils", &arguments);
        assert!(Path::new(&output).exists(), "{said}");
        let port = free_port();
        let config = format!(
            "options {{ directory \"{place}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
             pid-file none; session-keyfile \"{place}/session\"; recursion no; allow-transfer {{ none; }}; }};\n\
             controls {{ }};\nzone \"example.test\" {{ type primary; file \"{output}\"; }};\n"
        );
        fs::write(self.path("named.conf"), config).expect("it is ours");
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new("named")
            .env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"))
            .arg("-g")
            .arg("-c")
            .arg(self.path("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("named: {error}; install it with: sudo apt-get install bind9")
        });
        (Process(child), port)
    }
}

/// What dig prints of the data of an answer.
fn data(port: u16, name: &str, rtype: &str) -> String {
    let arguments = ["@127.0.0.1", "-p", &port.to_string(), "+short", name, rtype];
    printed("dig", "bind9-dnsutils", &arguments)
}

/// The lines of a folder's DNSKEY records with these flags.
fn dnskeys(folder: &Path, flags: &str) -> String {
    let mut found = String::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().extension().is_some_and(|end| end == "key") {
            let text = fs::read_to_string(entry.path()).expect("a key");
            let lines = text
                .lines()
                .filter(|line| line.contains(&format!("DNSKEY {flags} ")));
            found.extend(lines.map(|line| format!("{line}\n")));
        }
    }
    found
}

fn reload(server: &Server) {
    let before = server.log().matches("reloaded").count();
    server.reload();
    server.await_log("reloaded", before + 1);
}

#[test]
fn rfc8901_section_2_1_2_a_resolver_validates_through_two_signers_of_a_zone() {
    let signed = "[zones.dnssec]\nsign = \"*\"\ngenerate = true\n";
    let parent = Setup::new().zone("test", PARENT).config(signed).start();
    let own = Setup::new()
        .zone("example.test", &format!("{ZONE}who 0 TXT meridian\n"))
        .config(&format!(
            "{signed}policy = \"split\"\npolicies.split = {{ split_keys = true }}\n"
        ))
        .start();
    let bind = Bind::new();
    // Each signer gets the ZSK of the other, and both have the CDS records of both.
    let keys = own.folder().join("keys");
    let zsk = format!("{}.key", bind.zsk);
    fs::copy(bind.path(&zsk), keys.join(&zsk)).expect("it is ours");
    let own_cds = data(own.address().port(), "example.test", "CDS");
    let file = own.folder().join("zones/example.test.zone");
    fs::write(
        file,
        format!("{ZONE}who 0 TXT meridian\n{}", bind.ds("CDS")),
    )
    .expect("it is ours");
    reload(&own);
    let others = format!("{}@ CDS {}", dnskeys(&keys, "256"), own_cds);
    let (_named, port) = bind.serve(&others.replace(&dnskeys(bind.folder.path(), "256"), ""));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !data(port, "who.example.test", "TXT").contains("bind") {
        assert!(Instant::now() < deadline, "named does not answer");
        std::thread::sleep(Duration::from_millis(100));
    }
    let sorted = |port: u16| {
        let said = data(port, "example.test", "CDS");
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(own.address().port()), sorted(port));
    assert_eq!(sorted(port).len(), 2);
    // The parent has the DS records of both.
    let own_ds = own_cds
        .lines()
        .map(|line| format!("example DS {line}\n"))
        .collect::<String>();
    let registered = format!("{PARENT}{own_ds}{}", bind.ds("DS"));
    fs::write(parent.folder().join("zones/test.zone"), registered).expect("it is ours");
    reload(&parent);
    let zones = [
        ("test", vec![parent.address().port()]),
        ("example.test", vec![own.address().port(), port]),
    ];
    let unbound = Unbound::of_ports(&parent.folder().join("keys"), &zones, "");
    let (mut by_bind, mut by_us) = (0, 0);
    for number in 1..=40 {
        unbound.ask(&format!("h{number}.example.test"), "A");
        unbound.ask(&format!("missing{number}.example.test"), "A");
        unbound.ask(&format!("x{number}.wild.example.test"), "A");
        let who = unbound.ask("who.example.test", "TXT");
        by_bind += usize::from(who.contains("\"bind\""));
        by_us += usize::from(who.contains("\"meridian\""));
    }
    assert!(
        by_bind > 0 && by_us > 0,
        "{by_bind} answers of BIND, {by_us} of ours"
    );
}
