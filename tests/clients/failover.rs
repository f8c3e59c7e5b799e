//! `examples/regional-balancers` with real balancers, backends and a real resolver: what dies is left within the time
//! that is promised, every fetch after that succeeds, and what returns is given its clients back little by little.
//!
//! The region nrt stands in a network namespace of the test's own, so that the way to it can be cut; that needs root.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::netns::ip;
use crate::harness::server::{Process, start};
use crate::harness::{Server, free_port, types};
use crate::programs::find;
use crate::resolver::Unbound;

/// From the failure to the last answer that may still be kept: detection, the TTL, and a margin for a busy machine.
const REFUSED: Duration = Duration::from_secs(4 + 2 + 2);
const SILENT: Duration = Duration::from_secs(10 + 2 + 2);
/// Five good checks in a row, which may come as seldom as every six seconds after a longer outage.
const BACK: Duration = Duration::from_secs(45);

/// The example, copied, with ports that nobody has and certificates of its own.
struct Site {
    folder: tempfile::TempDir,
    https: u16,
    backend: u16,
    cut: Namespace,
}

/// A network namespace with one cable to it.
struct Namespace {
    name: String,
    cable: String,
    inside: String,
}

impl Namespace {
    fn make() -> Namespace {
        let id = std::process::id();
        let (name, cable) = (format!("meridian-{id}"), format!("mn{id}"));
        let subnet = format!("10.213.{}", id % 250);
        let namespace = Namespace {
            name,
            cable,
            inside: format!("{subnet}.2"),
        };
        let Namespace {
            name,
            cable,
            inside,
        } = &namespace;
        ip(&format!("netns add {name}"));
        ip(&format!(
            "link add {cable} type veth peer name inside netns {name}"
        ));
        ip(&format!("address add {subnet}.1/30 dev {cable}"));
        ip(&format!("link set {cable} up"));
        ip(&format!("-n {name} address add {inside}/30 dev inside"));
        ip(&format!("-n {name} link set inside up"));
        ip(&format!("-n {name} link set lo up"));
        namespace
    }

    fn cut(&self) {
        ip(&format!("-n {} link set inside down", self.name));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new(find("ip"))
            .args(["link", "delete", &self.cable])
            .status();
        let _ = Command::new(find("ip"))
            .args(["netns", "delete", &self.name])
            .status();
    }
}

impl Site {
    fn make() -> Site {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let site = Site {
            folder,
            https: free_port(),
            backend: free_port(),
            cut: Namespace::make(),
        };
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/regional-balancers");
        for name in [
            "meridian.toml",
            "fra/nginx.conf",
            "iad/haproxy.cfg",
            "nrt/Caddyfile",
            "zones/example.com.zone",
        ] {
            let text = fs::read_to_string(example.join(name)).expect("the example has it");
            site.write(name, &site.adapted(&text));
        }
        ["run", "tls"]
            .iter()
            .for_each(|name| fs::create_dir(site.path(name)).expect("a new folder"));
        let made = rcgen::generate_simple_self_signed(vec!["www.example.com".to_owned()])
            .expect("a certificate");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        site.write("tls/cert.pem", &certificate);
        site.write("tls/key.pem", &key);
        site.write("tls/both.pem", &format!("{certificate}{key}"));
        site
    }

    /// Other ports, nrt behind the cable, certificates verified, and no admin port that others have.
    fn adapted(&self, text: &str) -> String {
        let away = &self.cut.inside;
        text.replace("8443", &self.https.to_string())
            .replace("8081", &self.backend.to_string())
            .replace("bind 127.0.3.1\n", &format!("bind {away}\n"))
            .replace("\"127.0.3.1\"", &format!("\"{away}\""))
            .replace("verify = false  ", "ca_file = \"tls/cert.pem\"  ")
            .replace(
                "\n[regions]\n",
                "\n[server]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n[regions]\n",
            )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in the folder"))
            .expect("the folder can be written");
        fs::write(path, text).expect("the folder can be written");
    }

    /// Starts a program in the folder; with `inside`, beyond the cable.
    fn run(&self, program: &str, arguments: &[&str], inside: bool) -> Process {
        let mut command = Command::new(find(if inside { "ip" } else { program }));
        if inside {
            command
                .args(["netns", "exec", &self.cut.name])
                .arg(find(program));
        }
        let log = fs::File::create(self.path(&format!(
            "run/{program}-{}.log",
            arguments.join("_").replace('/', "-")
        )));
        let log = log.expect("the folder can be written");
        command.args(arguments).current_dir(self.folder.path());
        command
            .env("XDG_DATA_HOME", self.path("run"))
            .env("XDG_CONFIG_HOME", self.path("run"));
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log);
        Process(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{program}: {error}")),
        )
    }

    fn backend(&self, region: &str, number: u8, which: u8) -> Process {
        let listen = format!("127.0.{number}.1{which}:{}", self.backend);
        let body = format!("{region}, backend {which}");
        self.run(
            "caddy",
            &["respond", "--listen", &listen, "--body", &body],
            region == "nrt",
        )
    }

    fn nginx(&self) -> Process {
        let prefix = format!("{}/", self.folder.path().display());
        self.run("nginx", &["-p", &prefix, "-c", "fra/nginx.conf"], false)
    }

    fn await_open(&self, address: &str, port: u16) {
        let address: SocketAddr = format!("{address}:{port}").parse().expect("an address");
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            assert!(
                Instant::now() < deadline,
                "{address} does not open; {}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn logs(&self) -> String {
        let files = fs::read_dir(self.path("run"))
            .expect("it was made")
            .flatten();
        let logs = files.filter(|file| {
            file.path()
                .extension()
                .is_some_and(|extension| extension == "log")
        });
        logs.map(|log| {
            format!(
                "{:?}: {}",
                log.file_name(),
                fs::read_to_string(log.path()).unwrap_or_default()
            )
        })
        .collect()
    }
}

/// Somebody with a browser behind the resolver.
struct Visitor<'s> {
    site: &'s Site,
    resolver: &'s Unbound,
    /// Where the resolver sees it.
    at: &'static str,
}

impl Visitor<'_> {
    /// The page, or what went wrong.
    fn fetch(&self) -> Result<String, String> {
        let told = self.resolver.ask(self.at, "www.example.com", "A");
        let port = self.site.https;
        let resolve = format!("www.example.com:{port}:{told}");
        let authority = self.site.path("tls/cert.pem").display().to_string();
        let mut curl = Command::new(find("curl"));
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "2",
            "--noproxy",
            "*",
            "--cacert",
            &authority,
        ]);
        curl.args(["--resolve", &resolve])
            .arg(format!("https://www.example.com:{port}/"));
        let output = curl.output().expect("curl can be run");
        let said = String::from_utf8_lossy(if output.status.success() {
            &output.stdout
        } else {
            &output.stderr
        });
        if output.status.success() {
            Ok(said.into_owned())
        } else {
            Err(format!("{told}: {said}"))
        }
    }

    /// Fetches until the region answers, within `limit`, and says how long it took; then nothing may go wrong.
    #[track_caller]
    fn await_region(&self, region: &str, limit: Duration) -> Duration {
        let begin = Instant::now();
        loop {
            let page = self.fetch();
            if page.as_ref().is_ok_and(|page| page.starts_with(region)) {
                break;
            }
            assert!(
                begin.elapsed() < limit,
                "{region} does not answer within {limit:?}: {page:?}; {}",
                self.site.logs()
            );
        }
        let took = begin.elapsed();
        self.expect_region(region, 20);
        took
    }

    /// So many fetches in a row, all of which succeed.
    #[track_caller]
    fn expect_region(&self, region: &str, count: usize) {
        for _ in 0..count {
            let page = self.fetch();
            assert!(
                page.as_ref().is_ok_and(|page| page.starts_with(region)),
                "{page:?} and not {region}"
            );
        }
    }
}

fn signal(process: &Child, signal: i32) {
    // SAFETY: a child that was not waited for yet, so its number is still its own.
    assert_eq!(unsafe { libc::kill(process.id() as i32, signal) }, 0);
}

/// How many of 64 networks in Europe are told this address.
fn share_of(server: &Server, address: &str) -> usize {
    let told = |network: &u8| {
        let reply = server
            .ask("www.example.com", types::A)
            .from_subnet(&format!("127.1.{network}.0/24"))
            .send();
        reply.addresses() == [address]
    };
    (0..64).filter(told).count()
}

#[test]
fn whatever_dies_its_clients_are_served_from_the_next_region() {
    let site = Site::make();
    let mut backends = vec![site.backend("fra", 1, 1), site.backend("fra", 1, 2)];
    let _others = [("iad", 2, 1), ("iad", 2, 2), ("nrt", 3, 1), ("nrt", 3, 2)].map(
        |(name, number, which)| {
            let backend = site.backend(name, number, which);
            if number == 2 {
                site.await_open(&format!("127.0.2.1{which}"), site.backend);
            }
            backend
        },
    );
    let fra = site.nginx();
    let iad = site.run("haproxy", &["-f", "iad/haproxy.cfg"], false);
    let _nrt = site.run(
        "caddy",
        &["run", "--config", "nrt/Caddyfile", "--adapter", "caddyfile"],
        true,
    );
    ["127.0.1.1", "127.0.2.1", &site.cut.inside]
        .iter()
        .for_each(|address| site.await_open(address, site.https));
    site.await_open("127.0.1.11", site.backend);
    site.await_open("127.0.1.12", site.backend);
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(["serve", "--config", "meridian.toml"])
        .current_dir(site.folder.path());
    let server = start(command, tempfile::tempdir().expect("a temporary folder"));
    let resolver = Unbound::start_for("example.com.", server.address().port());
    let european = Visitor {
        site: &site,
        resolver: &resolver,
        at: "127.1.0.1",
    };
    let japanese = Visitor {
        site: &site,
        resolver: &resolver,
        at: "127.3.0.1",
    };

    european.await_region("fra", BACK);
    japanese.await_region("nrt", BACK);

    // One backend less is the balancer's affair.
    drop(backends.remove(0));
    european.expect_region("fra", 20);
    // The last one is the region's end.
    backends.clear();
    let took = european.await_region("iad", REFUSED);
    println!("without backends: {took:.1?}");
    let _backends = [site.backend("fra", 1, 1), site.backend("fra", 1, 2)];
    // It returns little by little, and each client once.
    let begin = Instant::now();
    let mut shares = vec![0];
    while *shares.last().expect("there is one") < 64 {
        assert!(begin.elapsed() < BACK, "{shares:?}");
        shares.push(share_of(&server, "127.0.1.1"));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(
        shares.is_sorted(),
        "clients that came back stay: {shares:?}"
    );
    assert!(
        shares
            .iter()
            .filter(|share| (4..60).contains(*share))
            .count()
            >= 3,
        "it is a ramp: {shares:?}"
    );
    european.await_region("fra", BACK);

    // The balancer dies.
    drop(fra);
    let took = european.await_region("iad", REFUSED);
    println!("without a balancer: {took:.1?}");
    // The next one hangs, and only the farthest is left.
    signal(&iad.0, libc::SIGSTOP);
    let took = european.await_region("nrt", SILENT);
    println!("hung: {took:.1?}");
    signal(&iad.0, libc::SIGCONT);
    european.await_region("iad", BACK);

    // The cable to the other side of the world is cut; who is near there is sent elsewhere, all others notice nothing.
    site.cut.cut();
    let begin = Instant::now();
    while japanese.fetch().is_err() {
        assert!(
            begin.elapsed() < SILENT,
            "nobody answers a client of the region that was cut off"
        );
    }
    println!("cut off: {:.1?}", begin.elapsed());
    japanese.expect_region("iad", 20);
    european.expect_region("iad", 5);
}
