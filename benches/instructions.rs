//! Instructions per query, counted by valgrind: the same on every run, however busy the machine is.
//!
//! - `cargo bench --bench instructions`: the answer alone, each kind of query, compared with `instructions.txt`;
//!   fails when a kind takes 3 % more.
//! - `cargo bench --bench instructions -- record`: writes that file.
//! - `cargo bench --bench instructions -- signed`: queries with DO, for a world that is signed and for one that is not.
//! - `cargo bench --bench instructions -- server [KIND]`: the worker as it runs, sockets included: what N queries sent
//!   one by one take, less what none take. With `MERIDIAN_CITY_DB=file` it has that database loaded.
//!
//! Needs valgrind. Instructions of the kernel are not counted.

mod wire;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use meridian::answer::{Snapshot, Transport, answer};
use meridian::control::signing::LoadPurpose;
use meridian::control::{ConfigOrigin, LoadedState};
use meridian::dns::QueryScratch;
use meridian::net::ClientAddress;
use wire::Kind;

/// Queries of each kind in the driver.
const QUERIES: usize = 1000;
/// Queries of each kind sent to a server.
const SENT: usize = 2000;
/// How much more than the baseline is too much, in parts of one.
const TOLERANCE: f64 = 0.03;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(),
        ["record"] => record(),
        ["server"] => server(&Kind::ALL),
        ["server", name] => Kind::named(name)
            .ok_or_else(|| format!("no kind is called {name}"))
            .and_then(|kind| server(&[kind])),
        ["signed"] => compare_signed(),
        ["drive"] => drive(),
        ["drive-signed"] => drive_signed(),
        _ => Err(
            "usage: cargo bench --bench instructions [-- record | signed | server [KIND]]"
                .to_owned(),
        ),
    };
    done.map_or_else(
        |mistake| {
            eprintln!("{mistake}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches")
}

fn baseline() -> PathBuf {
    folder().join("instructions.txt")
}

/// Compares each kind with its baseline.
fn check() -> Result<(), String> {
    let text = std::fs::read_to_string(baseline())
        .map_err(|error| format!("{}: {error}", baseline().display()))?;
    let before: BTreeMap<&str, f64> = text.lines().filter_map(parse_line).collect();
    let mut worse = Vec::new();
    for (kind, now) in measure_answers()? {
        let before = before.get(kind.name()).copied().unwrap_or(f64::INFINITY);
        println!(
            "{:18} {now:8.0} instructions, {:+.1} %",
            kind.name(),
            (now / before - 1.0) * 100.0
        );
        if now > before * (1.0 + TOLERANCE) {
            worse.push(format!(
                "{}: {now:.0} instructions a query, {before:.0} before",
                kind.name()
            ));
        }
    }
    if worse.is_empty() {
        Ok(())
    } else {
        Err(worse.join("\n"))
    }
}

fn parse_line(line: &str) -> Option<(&str, f64)> {
    let (kind, count) = line.split_once(' ')?;
    Some((kind, count.trim().parse().ok()?))
}

fn record() -> Result<(), String> {
    let lines: String = measure_answers()?
        .into_iter()
        .map(|(kind, count)| format!("{:18} {count:.0}\n", kind.name()))
        .collect();
    print!("{lines}");
    let head = "# Instructions per answer, by `cargo bench --bench instructions -- record`.\n";
    std::fs::write(baseline(), format!("{head}{lines}")).map_err(|error| error.to_string())
}

/// Compares answers with signatures to the same answers of a world that is not signed.
fn compare_signed() -> Result<(), String> {
    let functions = drive_in_valgrind("drive-signed")?;
    for kind in SIGNED {
        let name = kind.name().replace('-', "_");
        let plain = cost_of(&functions, &format!("asks_do_{name}"))?;
        let signed = cost_of(&functions, &format!("asks_signed_{name}"))?;
        println!(
            "{:18} {plain:8.0} instructions with DO, {signed:8.0} signed: {:.2}",
            kind.name(),
            signed / plain
        );
    }
    Ok(())
}

/// The cost of a function for each of its queries.
fn cost_of(functions: &[(String, f64)], name: &str) -> Result<f64, String> {
    let found = functions.iter().find(|(function, _)| function == name);
    match found {
        Some((_, cost)) => Ok(*cost / QUERIES as f64),
        None => Err(format!("{name} is not in the profile")),
    }
}

/// Runs a driver in valgrind; each kind has a function of its own, whose cost is read from the profile.
fn drive_in_valgrind(driver: &str) -> Result<Vec<(String, f64)>, String> {
    let scratch = Folder::new()?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = valgrind(&scratch, "out");
    command
        .args(["--toggle-collect=asks_*", "--separate-threads=no"])
        .arg(program)
        .arg(driver);
    run(&mut command)?;
    costs(&scratch.0.join("out"))
}

fn measure_answers() -> Result<Vec<(Kind, f64)>, String> {
    let functions = drive_in_valgrind("drive")?;
    Kind::ALL
        .into_iter()
        .map(|kind| {
            let name = format!("asks_{}", kind.name().replace('-', "_"));
            Ok((kind, cost_of(&functions, &name)?))
        })
        .collect()
}

/// Inclusive cost by function.
fn costs(profile: &Path) -> Result<Vec<(String, f64)>, String> {
    let shown = Command::new("callgrind_annotate")
        .args(["--inclusive=yes", "--threshold=100", "--auto=no"])
        .arg(profile)
        .output()
        .map_err(|error| format!("callgrind_annotate: {error}"))?;
    let text = String::from_utf8_lossy(&shown.stdout);
    let cost = |line: &str| -> Option<(String, f64)> {
        let count = line
            .split_whitespace()
            .next()?
            .replace(',', "")
            .parse()
            .ok()?;
        let function = line.split(':').find(|part| part.starts_with("asks_"))?;
        Some((function.split_whitespace().next()?.to_owned(), count))
    };
    Ok(text.lines().filter_map(cost).collect())
}

/// What runs in valgrind: every kind, each in its function.
fn drive() -> Result<(), String> {
    let loaded = meridian::control::load(&folder().join("world/meridian.toml"), None)
        .map_err(|mistakes| mistakes.join("\n"))?;
    let snapshot = &loaded.snapshot;
    for kind in Kind::ALL {
        let queries = kind.queries(QUERIES);
        match kind {
            Kind::SteeredSubnet => asks_steered_subnet(snapshot, &queries),
            Kind::Steered => asks_steered(snapshot, &queries),
            Kind::SteeredSubnetV6 => asks_steered_subnet_v6(snapshot, &queries),
            Kind::Static => asks_static(snapshot, &queries),
            Kind::NoName => asks_no_name(snapshot, &queries),
            Kind::NoData => asks_no_data(snapshot, &queries),
            Kind::Referral => asks_referral(snapshot, &queries),
        }
    }
    Ok(())
}

/// The kinds that are compared with and without signatures.
const SIGNED: [Kind; 5] = [
    Kind::SteeredSubnet,
    Kind::Steered,
    Kind::Static,
    Kind::NoName,
    Kind::NoData,
];

/// What runs in valgrind for [`compare_signed`].
fn drive_signed() -> Result<(), String> {
    let scratch = Folder::new()?;
    let file = scratch.configuration()?;
    let plain = load(&file)?;
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let signed = "[zones.dnssec]\nsign = \"*\"\ngenerate = true\n\n[regions]";
    std::fs::write(&file, text.replace("[regions]", signed)).map_err(|error| error.to_string())?;
    let signed = load(&file)?;
    for kind in SIGNED {
        let queries = kind.queries_with_do(QUERIES);
        let (plain, signed) = (&plain.snapshot, &signed.snapshot);
        match kind {
            Kind::SteeredSubnet => {
                asks_do_steered_subnet(plain, &queries);
                asks_signed_steered_subnet(signed, &queries);
            }
            Kind::Steered => {
                asks_do_steered(plain, &queries);
                asks_signed_steered(signed, &queries);
            }
            Kind::Static => {
                asks_do_static(plain, &queries);
                asks_signed_static(signed, &queries);
            }
            Kind::NoName => {
                asks_do_no_name(plain, &queries);
                asks_signed_no_name(signed, &queries);
            }
            _ => {
                asks_do_no_data(plain, &queries);
                asks_signed_no_data(signed, &queries);
            }
        }
    }
    Ok(())
}

fn load(file: &Path) -> Result<LoadedState, String> {
    let origin = ConfigOrigin::File(file.to_owned());
    origin
        .load_for(LoadPurpose::Serve, None)
        .map_err(|mistakes| mistakes.join("\n"))
}

/// A function that valgrind can tell from the others.
macro_rules! asks {
    ($($name:ident)+) => {$(
        #[unsafe(no_mangle)]
        #[inline(never)]
        fn $name(snapshot: &Snapshot, queries: &[Vec<u8>]) {
            ask(snapshot, queries, stringify!($name));
        }
    )+};
}

asks!(asks_steered_subnet asks_steered asks_steered_subnet_v6 asks_static asks_no_name asks_no_data asks_referral);
asks!(asks_do_steered_subnet asks_do_steered asks_do_static asks_do_no_name asks_do_no_data);
asks!(asks_signed_steered_subnet asks_signed_steered asks_signed_static asks_signed_no_name asks_signed_no_data);

#[inline(always)]
fn ask(snapshot: &Snapshot, queries: &[Vec<u8>], name: &str) {
    let source = ClientAddress::from([198, 41, 0, 4]);
    let mut buffer = [0; 1232];
    let mut octets = 0;
    let mut scratch = QueryScratch::default();
    for (draw, query) in (0u64..).zip(queries) {
        let moment = snapshot.client_context(0, draw << 32);
        let buffer = black_box(&mut buffer);
        octets += answer(
            black_box(query),
            source,
            Transport::Udp,
            &moment,
            &mut scratch,
            buffer,
        )
        .length;
    }
    // Both keep the functions apart, which are folded into one otherwise.
    black_box((octets, name));
}

/// Runs the server in valgrind, once for each kind and once for none.
fn server(kinds: &[Kind]) -> Result<(), String> {
    let scratch = Folder::new()?;
    let idle = serve_in_valgrind(&scratch, &[])?;
    for kind in kinds {
        let total = serve_in_valgrind(&scratch, &kind.queries(SENT))?;
        println!(
            "{:18} {:8.0} instructions a query",
            kind.name(),
            (total - idle) / SENT as f64
        );
    }
    Ok(())
}

/// Instructions of a whole run of the server in which it answers `queries`.
fn serve_in_valgrind(scratch: &Folder, queries: &[Vec<u8>]) -> Result<f64, String> {
    let mut command = valgrind(scratch, "server");
    let mut child = command
        .arg("--separate-threads=yes")
        .arg(env!("CARGO_BIN_EXE_meridian"))
        .args(["serve", "--config"])
        .arg(scratch.configuration()?)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| missing(&error))?;
    let mut ready = String::new();
    let read = child
        .stdout
        .take()
        .map(BufReader::new)
        .map(|mut out| (out.read_line(&mut ready), out));
    let address = ready
        .split_whitespace()
        .find_map(|word| word.strip_prefix("dns=")?.split(',').next()?.parse().ok());
    let asked = address
        .ok_or_else(|| format!("the server is not ready: {ready:?}"))
        .and_then(|to| send(to, queries));
    // SAFETY: a signal to a child that was not waited for yet, whose number therefore nobody else has.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    child.wait().map_err(|error| error.to_string())?;
    drop(read);
    asked?;
    worker_total(&scratch.0)
}

/// Instructions of the worker's thread: the one whose profile has the code of batches. Profiles are taken away.
fn worker_total(folder: &Path) -> Result<f64, String> {
    let mut total = None;
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if !path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("server"))
        {
            continue;
        }
        let profile = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        std::fs::remove_file(&path).map_err(|error| error.to_string())?;
        if profile.contains("src/server/batch.rs") {
            total = profile
                .lines()
                .find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
        }
    }
    total.ok_or_else(|| "no thread's profile has the code of batches".to_owned())
}

/// Sends queries one by one, so that every one of them is a batch of its own.
fn send(to: SocketAddr, queries: &[Vec<u8>]) -> Result<(), String> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let ready = socket
        .connect(to)
        .and_then(|()| socket.set_read_timeout(Some(Duration::from_secs(20))));
    ready.map_err(|error| error.to_string())?;
    let mut reply = [0; 4096];
    for query in queries {
        let answered = socket.send(query).and_then(|_| socket.recv(&mut reply));
        answered.map_err(|error| format!("no answer: {error}"))?;
    }
    Ok(())
}

fn valgrind(scratch: &Folder, profile: &str) -> Command {
    let mut command = Command::new("valgrind");
    let file = format!("--callgrind-out-file={}", scratch.0.join(profile).display());
    command.args(["--tool=callgrind", "--quiet", &file]);
    command
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| missing(&error))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("valgrind ended with {status}"))
    }
}

fn missing(error: &std::io::Error) -> String {
    format!(
        "valgrind cannot be run ({error}); install it, for example with apt-get install valgrind"
    )
}

/// A folder for profiles that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder, String> {
        let path =
            std::env::temp_dir().join(format!("meridian-instructions-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Folder(path))
    }

    /// The configuration of the benches, with the city database if there is one.
    fn configuration(&self) -> Result<PathBuf, String> {
        let world = folder().join("world");
        let text = std::fs::read_to_string(world.join("meridian.toml"))
            .map_err(|error| error.to_string())?;
        let mut text = text.replace("\"zones\"", &format!("{:?}", world.join("zones")));
        if let Some(database) = std::env::var_os("MERIDIAN_CITY_DB") {
            text = text.replace(
                "[regions]",
                &format!("[geo]\ndatabases = [{database:?}]\n\n[regions]"),
            );
        }
        let file = self.0.join("meridian.toml");
        std::fs::write(&file, text).map_err(|error| error.to_string())?;
        Ok(file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
