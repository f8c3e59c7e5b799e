//! `meridian import gdnsd`: what a real gdnsd answers with its configuration, a real Meridian answers with ours.

#[path = "../harness/mod.rs"]
mod harness;
// The clients speak more of its words.
#[allow(dead_code)]
#[path = "../clients/programs.rs"]
mod programs;

mod mistakes;
mod odd;
mod scale;

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use harness::query::subnet_option;
use harness::server::{Process, Server, start};
use harness::strict::Message;
use harness::{Question, free_port, types};

/// The exit code where all is written that can be, but something is left out.
pub const LEFT_OUT: i32 = 3;

/// How often a question is asked whose answer is drawn: a share of a tenth is missed once in 10^11 tests.
const DRAWS: usize = 240;

/// Clients: known to the database, known better to the operator, in neither.
pub const CLIENTS: [&str; 11] = [
    "81.2.69.160/28",   // Great Britain
    "89.160.20.112/28", // Sweden
    "216.160.83.56/29", // Washington
    "67.43.156.0/24",   // Bhutan, as the test database has it
    "175.16.199.0/24",  // China
    "8.8.8.0/24",       // not in that database, but in what is built in here: the United States
    "203.0.113.0/25",   // the operator's
    "203.0.113.192/26", // a part of it
    "198.18.5.0/24",
    "10.1.0.0/16",
    "2001:db8:5:1::/64",
];

/// Names that are answered alike by everybody, and those whose answer is drawn.
const NAMES: [&str; 20] = [
    "one",
    "six",
    "else",
    "pair",
    "both",
    "scripted",
    "filed",
    "failover",
    "names",
    "mixed",
    "ordered-2",
    "a.www",
    "de.www",
    "near",
    "second",
    "one-mx",
    "mail",
    "up",
    "here.text",
    "nothing",
];

/// gdnsd's example in a folder of its own.
pub struct Gdnsd {
    folder: tempfile::TempDir,
    port: u16,
}

impl Gdnsd {
    pub fn example() -> Gdnsd {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy_folder(&root.join("tests/import/gdnsd"), folder.path());
        let database = "GeoIP2-City-Test.mmdb";
        fs::copy(
            root.join("tests/data/mmdb").join(database),
            folder.path().join("geoip").join(database),
        )
        .expect("copied");
        fs::create_dir(folder.path().join("run")).expect("made");
        fs::write(folder.path().join("run/states"), "192.0.2.18 => UP\n").expect("written");
        let gdnsd = Gdnsd {
            folder,
            port: free_port(),
        };
        let run = gdnsd.path("run").display().to_string();
        gdnsd.edit("config", |text| {
            text.replace("@PORT@", &gdnsd.port.to_string())
                .replace("@RUN@", &run)
        });
        gdnsd
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn edit(&self, path: &str, change: impl Fn(&str) -> String) {
        let text = fs::read_to_string(self.path(path)).expect("it is there");
        fs::write(self.path(path), change(&text)).expect("written");
    }

    /// Runs the real one until it answers.
    pub fn start(&self) -> Process {
        let log = fs::File::create(self.path("log")).expect("writable");
        let mut command = Command::new(programs::find("gdnsd"));
        command
            .arg("-c")
            .arg(self.folder.path())
            .arg("start")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let process = Process(command.spawn().expect("gdnsd runs"));
        let deadline = Instant::now() + Duration::from_secs(30);
        while exchange(
            self.address(),
            &Question::new("example.com", types::SOA),
            Duration::from_millis(100),
        )
        .is_none()
        {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "gdnsd does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        process
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Imports it into `out`.
    pub fn import(&self) -> Output {
        let [from, to] = ["", "out"].map(|path| self.path(path).display().to_string());
        run(&["import", "gdnsd", &from, "--to", &to])
    }

    /// Serves what was imported, on a port that the system chooses.
    pub fn serve(&self) -> Server {
        let port = self.port;
        self.edit("out/meridian.toml", |text| {
            let text = text.replace(&format!("\"127.0.0.1:{port}\""), "\"127.0.0.1:0\"");
            text.replace("[zones]", "[admin]\nlisten = \"127.0.0.1:0\"\n\n[zones]")
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
        command
            .args(["serve", "--config"])
            .arg(self.path("out/meridian.toml"));
        start(command, tempfile::tempdir().expect("a temporary folder"))
    }
}

pub fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(arguments)
        .output()
        .expect("the binary runs")
}

pub fn printed(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the temporary folder can be written");
    for entry in fs::read_dir(from)
        .expect("the example can be read")
        .flatten()
    {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the temporary folder can be written");
        }
    }
}

pub fn exchange(server: SocketAddr, question: &Question, patience: Duration) -> Option<Message> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket
        .set_read_timeout(Some(patience))
        .expect("it is not zero");
    socket.connect(server).ok()?;
    socket.send(&question.octets()).ok()?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    Some(Message::read(&buffer[..length]).expect("a well-formed reply"))
}

/// The response code, and what the name asked for has: ours goes on behind a CNAME of its zone, gdnsd leaves that to others.
pub fn answer(server: SocketAddr, name: &str, rtype: u16, client: &str) -> (u16, BTreeSet<String>) {
    let question = Question::new(name, rtype).option(8, &subnet_option(client));
    let reply = exchange(server, &question, Duration::from_secs(10)).expect("a reply");
    let own = reply.answers.iter().filter(|record| {
        record
            .owner
            .trim_end_matches('.')
            .eq_ignore_ascii_case(name)
    });
    let records = own.map(|record| format!("{} {} {}", record.owner, record.rtype, record.data));
    (
        reply.rcode(),
        records.map(|record| record.to_ascii_lowercase()).collect(),
    )
}

/// Everything that is ever answered, of `DRAWS` times.
fn answers(server: SocketAddr, name: &str, rtype: u16) -> BTreeSet<String> {
    (0..DRAWS)
        .flat_map(|_| answer(server, name, rtype, CLIENTS[0]).1)
        .collect()
}

#[test]
fn gdnsd_and_its_import_answer_alike() {
    let gdnsd = Gdnsd::example();
    let _process = gdnsd.start();
    let told = gdnsd.import();
    assert_eq!(told.status.code(), Some(LEFT_OUT), "{}", printed(&told));
    let server = gdnsd.serve();
    let both = [gdnsd.address(), server.address()];
    for label in NAMES {
        let name = format!("{label}.example.com");
        for rtype in [types::A, types::AAAA, types::MX, types::TXT] {
            if ["names", "mixed"].contains(&label) {
                let [theirs, ours] = both.map(|server| answers(server, &name, rtype));
                assert_eq!(ours, theirs, "{name} {rtype}");
                continue;
            }
            for client in CLIENTS {
                let [theirs, ours] = both.map(|server| answer(server, &name, rtype, client));
                assert_eq!(ours, theirs, "{name} {rtype} for {client}: ours, theirs");
            }
        }
    }
    for rtype in [types::A, types::MX, types::NS] {
        let [theirs, ours] = both.map(|server| answer(server, "example.org", rtype, CLIENTS[0]));
        assert_eq!(ours, theirs, "example.org {rtype}");
    }
    // Nine of ten, drawn: every client gets one of two.
    let [theirs, ours] = both.map(|server| answers(server, "uneven.example.com", types::A));
    assert_eq!((&ours, ours.len()), (&theirs, 2));
}
