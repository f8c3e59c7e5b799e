//! A running `meridian`: its folder, its process, its sockets.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Ask, Question, Transport};

/// How long a start may take: a loaded machine and a debug build are slow.
const START: Duration = Duration::from_secs(120);
/// How long a reply may take.
const REPLY: Duration = Duration::from_secs(10);
/// How long to wait for a reply that must not come.
const SILENCE: Duration = Duration::from_millis(300);

/// What a server is started with.
pub struct Setup {
    folder: tempfile::TempDir,
    listen: String,
    server_keys: String,
    admin_keys: String,
    config: String,
}

impl Setup {
    pub fn new() -> Setup {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("zones")).expect("an empty folder");
        let listen = r#"["127.0.0.1:0", "[::1]:0"]"#.to_owned();
        Setup {
            folder,
            listen,
            server_keys: String::new(),
            admin_keys: String::new(),
            config: String::new(),
        }
    }

    /// Listens there instead of on both loopback addresses.
    pub fn listen(mut self, addresses: &[&str]) -> Setup {
        self.listen = format!("{addresses:?}");
        self
    }

    /// Adds a zone file.
    pub fn zone(self, origin: &str, text: &str) -> Setup {
        self.file(&format!("zones/{origin}.zone"), text.as_bytes())
    }

    /// Adds a file to the folder of the configuration.
    pub fn file(self, path: &str, octets: &[u8]) -> Setup {
        fs::write(self.folder.path().join(path), octets)
            .expect("the temporary folder can be written");
        self
    }

    /// Adds lines to `[server]`.
    pub fn server(mut self, keys: &str) -> Setup {
        self.server_keys.push_str(keys);
        self.server_keys.push('\n');
        self
    }

    /// Adds lines to `[admin]`.
    pub fn admin(mut self, keys: &str) -> Setup {
        self.admin_keys.push_str(keys);
        self.admin_keys.push('\n');
        self
    }

    /// Everything but `[server]` and `[admin]`.
    pub fn config(mut self, text: &str) -> Setup {
        self.config.push_str(text);
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts `meridian serve` on free ports and waits until it is ready.
    pub fn start(self) -> Server {
        self.start_with(|_| {})
    }

    /// The same, with something else done to the command.
    pub fn start_with(self, prepare: impl FnOnce(&mut Command)) -> Server {
        let (config, folder) = self.written();
        let mut command = serve(&config);
        prepare(&mut command);
        start(command, folder)
    }

    /// The same, with its log going there.
    pub fn start_logging_to(self, stderr: impl Into<Stdio>) -> Server {
        let (config, folder) = self.written();
        start_logging_to(serve(&config), folder, stderr)
    }

    /// The same without waiting for it to be ready; what it prints is not read.
    pub fn begin(self) -> (Process, tempfile::TempDir) {
        let (config, folder) = self.written();
        let log = fs::File::create(folder.path().join("log"))
            .expect("the temporary folder can be written");
        let mut command = serve(&config);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        (
            Process(
                command
                    .spawn()
                    .expect("the binary of this crate can be run"),
            ),
            folder,
        )
    }

    /// The configuration file, and the folder that it lies in.
    pub fn written(self) -> (PathBuf, tempfile::TempDir) {
        let config = self.folder.path().join("meridian.toml");
        let text = format!(
            "[server]\nlisten = {}\nworkers = 1\n{}\n[admin]\nlisten = \"127.0.0.1:0\"\n{}\n{}",
            self.listen, self.server_keys, self.admin_keys, self.config
        );
        fs::write(&config, text).expect("the temporary folder can be written");
        (config, self.folder)
    }
}

/// `meridian serve` in the folder of a configuration.
fn serve(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(["serve", "--config"])
        .arg(config)
        .current_dir(config.parent().expect("it lies in a folder"));
    command
}

/// Starts a command that serves and waits until it is ready; its log goes into the folder.
#[track_caller]
pub fn start(command: Command, folder: tempfile::TempDir) -> Server {
    let log =
        fs::File::create(folder.path().join("log")).expect("the temporary folder can be written");
    start_logging_to(command, folder, log)
}

/// The same, with its log going there.
#[track_caller]
pub fn start_logging_to(
    mut command: Command,
    folder: tempfile::TempDir,
    stderr: impl Into<Stdio>,
) -> Server {
    let log = folder.path().join("log");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .expect("the binary of this crate can be run");
    let stdout = child.stdout.take().expect("it is piped");
    let process = Process(child);
    let ready = await_ready(stdout)
        .unwrap_or_else(|| panic!("no ready line; it said:\n{}", read_log(&log)));
    let (addresses, admin) = parse_ready(&ready);
    Server {
        addresses,
        admin,
        ready,
        process,
        folder,
    }
}

/// Reads stdout to its end on a thread, so that the server never waits for us; the ready line comes back.
fn await_ready(stdout: impl Read + Send + 'static) -> Option<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line.starts_with("ready ") {
                let _ = send.send(line);
            }
        }
    });
    receive.recv_timeout(START).ok()
}

/// `ready dns=127.0.0.1:1053,[::1]:1053 admin=127.0.0.1:8053`; either part may be missing.
fn parse_ready(line: &str) -> (Vec<SocketAddr>, Option<SocketAddr>) {
    let field = |name: &str| {
        line.split_whitespace()
            .find_map(|word| word.strip_prefix(name))
    };
    // A server that only checks has no DNS addresses.
    let dns = field("dns=").into_iter().flat_map(|dns| dns.split(','));
    let addresses = dns.map(|address| address.parse().expect("an address with a port"));
    (
        addresses.collect(),
        field("admin=").and_then(|admin| admin.trim_start_matches("https://").parse().ok()),
    )
}

fn read_log(log: &Path) -> String {
    fs::read(log)
        .map(|octets| String::from_utf8_lossy(&octets).into_owned())
        .unwrap_or_default()
}

/// A process that ends with its owner.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that answers; dropping it ends it.
pub struct Server {
    /// As announced: the first is IPv4, the second IPv6.
    pub addresses: Vec<SocketAddr>,
    /// Where operators look, if it listens there.
    pub admin: Option<SocketAddr>,
    ready: String,
    process: Process,
    folder: tempfile::TempDir,
}

impl Server {
    /// The demo, on free ports.
    pub fn demo() -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
        command.args([
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--port",
            "0",
        ]);
        start(command, tempfile::tempdir().expect("a temporary folder"))
    }

    /// The ready line.
    pub fn ready(&self) -> &str {
        &self.ready
    }

    /// Where it listens for DNS (IPv4).
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Of its process.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Where it listens for `tls`, `https` or `quic`.
    #[track_caller]
    pub fn encrypted(&self, transport: &str) -> SocketAddr {
        let word = self
            .ready
            .split_whitespace()
            .find_map(|word| word.strip_prefix(transport)?.strip_prefix('='));
        word.and_then(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("no {transport} in {:?}", self.ready))
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("meridian.toml")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        read_log(&self.folder.path().join("log"))
    }

    /// Waits until the log holds `count` lines with `text`.
    #[track_caller]
    pub fn await_log(&self, text: &str, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.log().matches(text).count() < count {
            assert!(
                Instant::now() < deadline,
                "the log never said {text:?} {count} times:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let id = self.process.0.id() as i32;
        // SAFETY: the process is our child and not waited for yet, so its number is still its own.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0, "the server is gone");
    }

    /// Asks it to read everything again.
    pub fn reload(&self) {
        self.signal(libc::SIGHUP);
    }

    /// Asks it to stop, and waits; whether it ended well.
    pub fn stop(mut self) -> bool {
        self.signal(libc::SIGTERM);
        self.process.0.wait().is_ok_and(|status| status.success())
    }

    /// Ends it as a power failure would, and starts it again on the same folder.
    pub fn kill_and_start_again(self) -> Server {
        let Server {
            mut process,
            folder,
            ..
        } = self;
        process.0.kill().expect("it runs");
        let _ = process.0.wait();
        start(serve(&folder.path().join("meridian.toml")), folder)
    }

    /// Another server that has taken over from this one, which has ended well.
    #[track_caller]
    pub fn succeeded(self) -> Server {
        let Server {
            mut process,
            folder,
            ..
        } = self;
        let mut command = serve(&folder.path().join("meridian.toml"));
        command.arg("--take-over");
        let log = folder.path().join("log");
        let before = folder.path().join("log.before");
        fs::rename(&log, &before).expect("it is there");
        let server = start(command, folder);
        let status = process.0.wait().expect("it is our child");
        assert!(status.success(), "{status}\n{}", read_log(&before));
        server
    }

    /// Asks it to stop by a signal; whether it ended well, and how long that took.
    pub fn ended_by(self, signal: i32) -> (bool, Duration) {
        self.signal(signal);
        let start = Instant::now();
        let mut process = self.process;
        (
            process.0.wait().is_ok_and(|status| status.success()),
            start.elapsed(),
        )
    }

    /// Its folder, once it has ended well.
    #[track_caller]
    pub fn stopped(self) -> tempfile::TempDir {
        self.signal(libc::SIGTERM);
        let Server {
            mut process,
            folder,
            ..
        } = self;
        assert!(process.0.wait().is_ok_and(|status| status.success()));
        folder
    }

    /// Octets of memory that it holds.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("proc(5) has it");
        line.trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .expect("a number")
            << 10
    }

    /// Processor time of all its threads so far; the kernel counts it in hundredths of a second.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("it runs");
        let fields = stat.rsplit(')').next().expect("a part").split_whitespace();
        let ticks = fields
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().expect("a number"));
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.0.try_wait(), Ok(None))
    }

    /// A query to be put together.
    pub fn ask(&self, name: &str, rtype: u16) -> Ask<'_> {
        Ask::new(self, Question::new(name, rtype))
    }

    /// A query made elsewhere.
    pub fn put(&self, question: Question) -> Ask<'_> {
        Ask::new(self, question)
    }

    /// Sends octets and waits for the reply; `None` if none comes, or the connection is closed.
    pub fn exchange(&self, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
        match transport {
            Transport::Udp => self.udp(message, REPLY),
            Transport::Tcp => {
                let mut stream = self.connect();
                write_framed(&mut stream, message);
                read_framed(&mut stream)
            }
        }
    }

    /// Sends octets that must stay without a reply; what comes if one does.
    pub fn silence_after(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.udp(message, SILENCE)
    }

    /// Sends octets over UDP and waits so long for the reply, which may never come.
    pub fn reply_within(&self, message: &[u8], patience: Duration) -> Option<Vec<u8>> {
        self.udp(message, patience)
    }

    fn udp(&self, message: &[u8], patience: Duration) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind((IpAddr::from(Ipv4Addr::LOCALHOST), 0)).expect("a free port");
        socket
            .set_read_timeout(Some(patience))
            .expect("it is not zero");
        socket
            .send_to(message, self.address())
            .expect("loopback takes it");
        let mut buffer = [0; 65536];
        let (length, from) = socket.recv_from(&mut buffer).ok()?;
        assert_eq!(
            from,
            self.address(),
            "the reply comes from where the query went"
        );
        Some(buffer[..length].to_vec())
    }

    /// A TCP connection with a patience.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("the server accepts");
        stream
            .set_read_timeout(Some(REPLY))
            .expect("it is not zero");
        stream.set_nodelay(true).expect("a live socket");
        stream
    }
}

/// Writes a message with its length in front, in one piece.
pub fn write_framed(stream: &mut TcpStream, message: &[u8]) {
    let frame = [&(message.len() as u16).to_be_bytes(), message].concat();
    stream.write_all(&frame).expect("the server reads");
}

/// Reads one message; `None` at the end of the stream.
pub fn read_framed(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}
