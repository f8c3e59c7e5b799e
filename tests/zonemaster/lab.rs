//! A small Internet in a network namespace.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::harness::Server;
use crate::harness::netns::{find, ip};
use crate::harness::server::start;

/// The zone that is inspected.
pub const ZONE: &str = "meridian-lab.net";

/// Its name servers, as DNSViz wants them.
pub const SERVERS: &str = "ns1.meridian-lab.net=185.49.140.60,ns1.meridian-lab.net=[2a04:b900::8:0:0:60],\
    ns2.meridian-lab.net=194.0.28.53,ns2.meridian-lab.net=[2001:678:2c:0:194:0:28:53]";

/// Where the root is.
pub const HINTS: &str = "\
. 3600000 NS a.root-servers.net.
. 3600000 NS b.root-servers.net.
a.root-servers.net. 3600000 A 198.41.0.4
a.root-servers.net. 3600000 AAAA 2001:503:ba3e::2:30
b.root-servers.net. 3600000 A 170.247.170.2
b.root-servers.net. 3600000 AAAA 2801:1b8:10::b
";

const ROOT: &str = "
$ORIGIN .
$TTL 86400
@ SOA a.root-servers.net. hostmaster.meridian-lab.net. 2026112401 14400 3600 1209600 3600
@ NS a.root-servers.net.
@ NS b.root-servers.net.
a.root-servers.net. A 198.41.0.4
a.root-servers.net. AAAA 2001:503:ba3e::2:30
b.root-servers.net. A 170.247.170.2
b.root-servers.net. AAAA 2801:1b8:10::b
net. NS a.servers.net.
net. NS b.servers.net.
in-addr.arpa. NS a.servers.net.
in-addr.arpa. NS b.servers.net.
ip6.arpa. NS a.servers.net.
ip6.arpa. NS b.servers.net.
a.servers.net. A 192.5.6.30
a.servers.net. AAAA 2001:503:a83e::2:30
b.servers.net. A 192.33.14.30
b.servers.net. AAAA 2001:503:231d::2:30
";

/// What the zones of the second server begin with.
const HEAD: &str = "
$TTL 86400
@ SOA a.servers.net. hostmaster.meridian-lab.net. 2026112401 14400 3600 1209600 3600
@ NS a.servers.net.
@ NS b.servers.net.
";

const NET: &str = "
a.servers A 192.5.6.30
a.servers AAAA 2001:503:a83e::2:30
b.servers A 192.33.14.30
b.servers AAAA 2001:503:231d::2:30
zonemaster NS a.servers
zonemaster NS b.servers
meridian-lab NS ns1.meridian-lab
meridian-lab NS ns2.meridian-lab
ns1.meridian-lab A 185.49.140.60
ns1.meridian-lab AAAA 2a04:b900::8:0:0:60
ns2.meridian-lab A 194.0.28.53
ns2.meridian-lab AAAA 2001:678:2c:0:194:0:28:53
";

const REVERSE: &str = "
60.140.49.185 PTR ns1.meridian-lab.net.
53.28.0.194 PTR ns2.meridian-lab.net.
25.140.49.185 PTR mail.meridian-lab.net.
";

const REVERSE_6: &str = "
0.6.0.0.0.0.0.0.0.0.0.0.8.0.0.0.0.0.0.0.0.0.0.0.0.0.9.b.4.0.a.2 PTR ns1.meridian-lab.net.
3.5.0.0.8.2.0.0.0.0.0.0.4.9.1.0.0.0.0.0.c.2.0.0.8.7.6.0.1.0.0.2 PTR ns2.meridian-lab.net.
";

/// The register that Zonemaster asks for the AS of an address (its `asn_db`), in the form of Team Cymru's.
const NUMBERS: &str = "
*.140.49.185.origin.asnlookup TXT \"64496 | 185.49.140.0/24 | NL | ripencc | 2012-11-30\"
*.28.0.194.origin.asnlookup TXT \"64497 | 194.0.28.0/24 | NL | ripencc | 2008-06-04\"
*.0.0.9.b.4.0.a.2.origin6.asnlookup TXT \"64496 | 2a04:b900::/29 | NL | ripencc | 2012-11-30\"
*.8.7.6.0.1.0.0.2.origin6.asnlookup TXT \"64497 | 2001:678:2c::/48 | NL | ripencc | 2008-06-04\"
";

const INSPECTED: &str = "
$TTL 86400
@ SOA ns1 hostmaster 2026112401 14400 3600 1209600 3600
@ NS ns1
@ NS ns2
@ MX 10 mail
@ TXT \"v=spf1 mx -all\"
ns1 A 185.49.140.60
ns1 AAAA 2a04:b900::8:0:0:60
ns2 A 194.0.28.53
ns2 AAAA 2001:678:2c:0:194:0:28:53
mail A 185.49.140.25
hostmaster MX 10 mail
";

const STEERED: &str = r#"
[regions.fra]
location = "FRA"
[regions.iad]
location = "IAD"
[[services]]
name = "meridian-lab.net"
[services.endpoints]
fra = ["185.49.140.80", "2a04:b900::80"]
iad = ["194.0.28.80", "2001:678:2c::80"]
"#;

const SIGNED: &str = r#"
[zones.dnssec]
sign = "*"
generate = true
"#;

/// The Internet, while it lasts.
pub struct Lab {
    namespace: Namespace,
    servers: Vec<Server>,
    folder: tempfile::TempDir,
}

impl Lab {
    pub fn start() -> Lab {
        Lab::start_with("")
    }

    /// The same with all zones signed, from the root down.
    pub fn start_signed() -> Lab {
        Lab::start_with(SIGNED)
    }

    /// With these lines in each configuration. Whoever is below comes first, because those above have its DS records.
    fn start_with(signing: &str) -> Lab {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut lab = Lab {
            namespace: Namespace::make(),
            servers: Vec::new(),
            folder,
        };
        let is_signed = !signing.is_empty();
        let ours = [
            "185.49.140.60",
            "2a04:b900::8:0:0:60",
            "194.0.28.53",
            "2001:678:2c:0:194:0:28:53",
        ];
        lab.serve(&ours, &[(ZONE, INSPECTED)], &format!("{signing}{STEERED}"));
        let net = NET.to_owned() + &lab.ds_if(is_signed, &[ZONE]);
        let below = [
            ("net", net.as_str()),
            ("in-addr.arpa", REVERSE),
            ("ip6.arpa", REVERSE_6),
            ("zonemaster.net", NUMBERS),
        ];
        let below = below.map(|(origin, records)| (origin, format!("{HEAD}{records}")));
        let below: Vec<(&str, &str)> = below
            .iter()
            .map(|(origin, text)| (*origin, text.as_str()))
            .collect();
        lab.serve(
            &[
                "192.5.6.30",
                "2001:503:a83e::2:30",
                "192.33.14.30",
                "2001:503:231d::2:30",
            ],
            &below,
            signing,
        );
        let root = ROOT.to_owned() + &lab.ds_if(is_signed, &["net", "in-addr.arpa", "ip6.arpa"]);
        lab.serve(
            &[
                "198.41.0.4",
                "2001:503:ba3e::2:30",
                "170.247.170.2",
                "2801:1b8:10::b",
            ],
            &[("root", &root)],
            signing,
        );
        lab
    }

    /// The DS records of zones of the server that was started last.
    fn ds_if(&self, is_signed: bool, zones: &[&str]) -> String {
        let mut records = String::new();
        for zone in zones.iter().filter(|_| is_signed) {
            let server = self.servers.last().expect("one was started");
            records.push_str(&ds_of(server, zone));
        }
        records
    }

    /// The DS record of the zone that is inspected.
    pub fn ds_of_ours(&self) -> String {
        ds_of(self.servers.first().expect("ours"), ZONE)
    }

    /// One Meridian on port 53 of these addresses.
    fn serve(&mut self, addresses: &[&str], zones: &[(&str, &str)], config: &str) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("zones")).expect("an empty folder");
        for (origin, text) in zones {
            let path = folder.path().join(format!("zones/{origin}.zone"));
            fs::write(path, text).expect("the temporary folder can be written");
        }
        let listen: Vec<String> = addresses
            .iter()
            .map(|address| self.namespace.add(address))
            .collect();
        let text = format!(
            "[server]\nlisten = {listen:?}\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n{config}"
        );
        fs::write(folder.path().join("meridian.toml"), text)
            .expect("the temporary folder can be written");
        let mut command = self.namespace.command(env!("CARGO_BIN_EXE_meridian"));
        command.arg("serve").current_dir(folder.path());
        self.servers.push(start(command, folder));
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes a file; its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).expect("the temporary folder can be written");
        self.path(name)
    }

    /// What a program of the inspectors' prints.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = self.namespace.command("timeout");
        command
            .arg("120")
            .arg(find(program))
            .args(arguments)
            .stdin(Stdio::null())
            .env("LC_ALL", "C.UTF-8");
        let output = command.output().expect("ip can be run");
        let [said, errors] = [output.stdout, output.stderr]
            .map(|octets| String::from_utf8_lossy(&octets).into_owned());
        assert!(
            output.status.success(),
            "{program} ended with {}:\n{said}\n{errors}",
            output.status
        );
        format!("{said}{errors}")
    }
}

/// The DS record of a zone of a server.
fn ds_of(server: &Server, zone: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["keys", "ds", zone, "--folder"])
        .arg(server.folder().join("keys"))
        .output()
        .expect("it is built");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// A network of one machine.
struct Namespace(String);

impl Namespace {
    fn make() -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "meridian-lab-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        ip(&format!("netns add {name}"));
        ip(&format!("-n {name} link set lo up"));
        Namespace(name)
    }

    /// Adds an address; where to listen.
    fn add(&self, address: &str) -> String {
        let name = &self.0;
        if address.contains(':') {
            ip(&format!("-n {name} address add {address}/128 dev lo nodad"));
            return format!("[{address}]:53");
        }
        ip(&format!("-n {name} address add {address}/32 dev lo"));
        format!("{address}:53")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find("ip"));
        command.args(["netns", "exec", &self.0, program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new(find("ip"))
            .args(["netns", "delete", &self.0])
            .status();
    }
}
