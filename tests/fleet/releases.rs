//! Configuration in rings: three real servers, a real NATS server, and the real `meridian push`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use meridian::fleet::release::{ArchiveFacts, PIECE, ReleaseManifest, ReleaseSigner, piece_key};
use meridian::fleet::release_archive::{ReleaseFile, pack};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::engine::{VOTERS, await_that, get};
use crate::harness::types::A;
use crate::harness::{Server, Setup, free_port};
use crate::orders::{Engines, change, fail, say, with_token, write_secret};

/// What each server serves from its own file.
const OWN: &str = "192.0.2.1";

/// A fleet whose first server is in ring 0 and the others in ring 1.
struct RingedFleet {
    servers: Vec<Server>,
    engines: Engines,
    folder: tempfile::TempDir,
    key: PathBuf,
}

fn zone(address: &str) -> String {
    format!(
        "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\nwww A {address}\n"
    )
}

fn member(engines: &Engines, voter: &str, public: &str, soak: &str) -> Server {
    setup(engines, voter, public, soak).start()
}

fn setup(engines: &Engines, voter: &str, public: &str, soak: &str) -> Setup {
    let ring = u8::from(voter != VOTERS[0]);
    let setup = Setup::new()
        .zone("example.test", &zone(OWN))
        .config(&format!(
            "[limits]\nenabled = false\n[state]\ndirectory = \"state\"\n[fleet]\nname = \"world\"\n\
         voter = \"{voter}\"\nuser = \"{voter}\"\npassword_file = \"password\"\nservers = [{}]\n\
         [fleet.releases]\nring = {ring}\nsoak = \"{soak}\"\ntrusted_keys = [\"{public}\"]\n",
            engines.urls()
        ));
    write_secret(&setup, "password", &format!("secret of {voter}\n"));
    with_token(setup)
}

/// Makes a key, and returns its public half.
fn new_key(path: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["push", "--new-key"])
        .arg(path)
        .output()
        .expect("the binary of this crate can be run");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Waits until a server can be pushed to and knows so many servers.
fn await_ready(server: &Server, count: usize) {
    await_that(&format!("it is ready:\n{}", server.log()), || {
        let report = releases(server);
        let servers = report["servers"].as_array().cloned().unwrap_or_default();
        let in_touch = servers.iter().filter(|it| it["in_touch"] == true);
        report["ready"] == true && in_touch.count() == count
    });
}

/// A folder whose zone has this address.
fn write_folder(folder: &Path, address: &str) {
    std::fs::create_dir_all(folder.join("zones")).expect("it is ours");
    std::fs::write(folder.join("meridian.toml"), "[zones]\n").expect("it is ours");
    let file = folder.join("zones/example.test.zone");
    std::fs::write(file, zone(address)).expect("it is ours");
}

impl RingedFleet {
    fn start(soak: &str) -> RingedFleet {
        let engines = Engines::start(1);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = folder.path().join("release.key");
        let public = new_key(&key);
        let mut servers = Vec::new();
        for voter in VOTERS {
            servers.push(member(&engines, voter, &public, soak));
        }
        let fleet = RingedFleet {
            servers,
            engines,
            folder,
            key,
        };
        for server in &fleet.servers {
            await_ready(server, VOTERS.len());
        }
        fleet
    }

    /// A folder whose zone has this address.
    fn folder(&self, address: &str) -> PathBuf {
        let folder = self.folder.path().join(address);
        write_folder(&folder, address);
        folder
    }

    fn push(&self, through: usize, folder: &Path, reason: &str) -> String {
        let folder = folder.to_str().expect("it is text");
        let key = self.key.to_str().expect("it is text");
        let arguments = [
            "push", folder, "--key", key, "--reason", reason, "--author", "ops",
        ];
        say(&self.servers[through], &arguments)
    }

    /// Who signs as `meridian push` does.
    fn signer(&self) -> ReleaseSigner {
        let text = std::fs::read_to_string(&self.key).expect("it was written");
        let lines = text.lines().filter(|line| !line.starts_with('-'));
        let base64: String = lines.collect();
        ReleaseSigner::from_pkcs8(&STANDARD.decode(base64).expect("base64")).expect("a key")
    }

    fn manifest(&self, number: u64, archive: &[u8]) -> ReleaseManifest {
        ReleaseManifest {
            fleet: "world".to_owned(),
            number,
            author: "mallory".to_owned(),
            reason: "by hand".to_owned(),
            at: 1_800_000_000,
            archive: ArchiveFacts::of(archive, None),
            before: None,
            is_return: false,
            may_move: false,
        }
    }

    /// Publishes what `meridian push` would refuse to.
    fn publish(&self, manifest: &ReleaseManifest) -> (u16, String) {
        let signed = self.signer().sign(manifest).expect("it is short");
        let port = self.servers[0].admin.expect("it has one").port();
        let body = json!({ "release": signed.text() }).to_string();
        change(port, "POST", "/v1/releases", &body)
    }

    fn hand_over(&self, archive: &[u8]) {
        let port = self.servers[0].admin.expect("it has one").port();
        let digest = ArchiveFacts::of(archive, None).digest;
        for (piece, octets) in archive.chunks(PIECE).enumerate() {
            let body =
                json!({ "key": piece_key(&digest, piece), "octets": STANDARD.encode(octets) });
            let told = change(port, "PUT", "/v1/releases/pieces", &body.to_string());
            assert_eq!(told.0, 200, "{told:?}");
        }
    }

    fn await_all(&self, address: &str) {
        for server in &self.servers {
            await_address(server, address);
        }
    }

    fn await_done(&self, number: u64) {
        for server in &self.servers {
            await_that(
                &format!("release {number} is done:\n{}", server.log()),
                || {
                    let report = releases(server);
                    report["state"] == "done" && report["release"]["number"] == number
                },
            );
        }
    }
}

/// How many checks a server has in common with a voter.
fn shared_checks(server: &Server, voter: &str) -> Value {
    let voters = crate::engine::fleet(server)["voters"].clone();
    let mut voters = voters.as_array().expect("a list").iter();
    let found = voters.find(|it| it["name"] == voter);
    found.expect("it votes")["shared_checks"].clone()
}

#[test]
fn a_probe_votes_on_the_checks_of_the_release_that_its_ring_serves() {
    let engines = Engines::start(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("release.key");
    let public = new_key(&key);
    let server = member(&engines, "ams", &public, "0s");
    let (config, place) = setup(&engines, "sin", &public, "0s").written();
    std::fs::remove_dir_all(place.path().join("zones")).expect("it is ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.args(["probe", "--config"]).arg(config);
    let probe = crate::harness::server::start(command, place);
    await_ready(&server, 2);
    for (number, timeout) in [(1, "300ms"), (2, "400ms")] {
        let config = folder.path().join(timeout);
        write_folder(&config, "192.0.2.2");
        let text = format!(
            "[regions.fra]\n[checks.web]\ntype = \"tcp\"\nport = 9\ntimeout = \"{timeout}\"\n\
             [[services]]\nname = \"app.example.test\"\norder = \"none\"\ncheck = \"web\"\n\
             [services.endpoints]\nfra = [\"127.0.0.1\", \"127.0.0.2\"]\n"
        );
        std::fs::write(config.join("meridian.toml"), text).expect("it is ours");
        let (config, key) = (config.to_str().expect("text"), key.to_str().expect("text"));
        say(&server, &["push", config, "--key", key]);
        await_that(&format!("the probe serves it:\n{}", probe.log()), || {
            releases(&probe)["serving"] == number && releases(&server)["state"] == "done"
        });
        for (one, other) in [(&server, "sin"), (&probe, "ams")] {
            await_that("they share its checks", || shared_checks(one, other) == 2);
        }
    }
    // What it served is what it begins with.
    let place = probe.stopped();
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.args(["probe", "--config"]);
    command.arg(place.path().join("meridian.toml"));
    let probe = crate::harness::server::start(command, place);
    assert_eq!(releases(&probe)["serving"], 2);
    await_that("it votes again", || shared_checks(&server, "sin") == 2);
}

fn archive(zone: &str) -> Vec<u8> {
    let mut files = Vec::new();
    for (path, text) in [
        ("meridian.toml", "[zones]\n"),
        ("zones/example.test.zone", zone),
    ] {
        files.push(ReleaseFile {
            path: path.to_owned(),
            octets: text.as_bytes().to_vec(),
        });
    }
    pack(&files).expect("it is small")
}

fn releases(server: &Server) -> Value {
    serde_json::from_str(&get(server, "/v1/releases")).expect("JSON")
}

/// What a server says of the newest release.
fn own(server: &Server) -> Value {
    let report = releases(server);
    let servers = report["servers"].as_array().expect("a list").clone();
    let own = servers
        .into_iter()
        .find(|it| it["name"] == report["server"]);
    own.expect("it knows itself")
}

fn address(server: &Server) -> String {
    server
        .ask("www.example.test", A)
        .send()
        .addresses()
        .join(" ")
}

#[track_caller]
fn await_address(server: &Server, expected: &str) {
    await_that(&format!("{expected} is served:\n{}", server.log()), || {
        address(server) == expected
    });
}

#[track_caller]
fn expect_metric(server: &Server, line: &str) {
    let metrics = get(server, "/metrics");
    assert!(metrics.contains(line), "{line}\n{metrics}");
}

#[test]
fn a_release_passes_from_ring_to_ring_and_back_within_a_second() {
    let mut fleet = RingedFleet::start("1s");
    fleet.await_all(OWN);
    let first = fleet.folder("192.0.2.2");
    let began = Instant::now();
    let told = fleet.push(2, &first, "more names");
    assert_eq!(told, "release 1 is published; ring 0 serves it first");
    await_address(&fleet.servers[0], "192.0.2.2");
    let canary = began.elapsed();
    assert_eq!(address(&fleet.servers[1]), OWN, "the soak is not over");
    assert_eq!(address(&fleet.servers[2]), OWN, "the soak is not over");
    fleet.await_all("192.0.2.2");
    println!(
        "ring 0 after {canary:?}, ring 1 after {:?}",
        began.elapsed()
    );
    assert!(began.elapsed() > Duration::from_secs(1));
    fleet.await_done(1);
    let table = say(&fleet.servers[1], &["releases"]);
    assert!(
        table.contains("release 1 of world by ops (more names): done"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 5, "{table}");
    let status = say(&fleet.servers[1], &["status"]);
    assert!(status.contains("; release 1"), "{status}");
    expect_metric(&fleet.servers[1], "meridian_fleet_release_serving{} 1\n");
    let again = fleet.push(0, &first, "again");
    assert_eq!(again, "release 1 has these files already");

    // One that is away during the next release catches up, and a restart needs no engine.
    let away = fleet.servers.pop().expect("there are three");
    let folder = away.stopped();
    fleet.push(0, &fleet.folder("192.0.2.3"), "");
    fleet.await_all("192.0.2.3");
    let config = folder.path().join("meridian.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(["serve", "--config"])
        .arg(&config)
        .current_dir(folder.path());
    let back = crate::harness::server::start(command, folder);
    await_address(&back, "192.0.2.3");
    fleet.servers.push(back);
    fleet.await_done(2);

    let key = fleet.key.to_str().expect("it is text").to_owned();
    let began = Instant::now();
    let told = say(&fleet.servers[1], &["push", "--back", "--key", &key]);
    assert!(
        told.starts_with("release 3 is published; it goes back"),
        "{told}"
    );
    for server in &fleet.servers {
        await_address(server, "192.0.2.2");
    }
    let took = began.elapsed();
    println!("back on all servers after {took:?}");
    assert!(
        took < Duration::from_secs(2),
        "a second, on a busy machine: {took:?}"
    );
    fleet.await_done(3);

    fleet.engines.servers[0].kill();
    let server = fleet.servers.remove(0).kill_and_start_again();
    assert_eq!(address(&server), "192.0.2.2");
    assert_eq!(releases(&server)["serving"], 3);
}

#[test]
fn a_release_with_a_broken_zone_is_refused_by_who_reads_it_first_and_served_by_nobody() {
    let fleet = RingedFleet::start("0s");
    let broken = fleet.folder("192.0.2.2");
    std::fs::write(broken.join("zones/example.test.zone"), "www A x").expect("it is ours");
    let (folder, key) = (
        broken.to_str().expect("text"),
        fleet.key.to_str().expect("text"),
    );
    let told = fail(&fleet.servers[0], &["push", folder, "--key", key]);
    assert!(
        told.contains("this is no release") && told.contains("example.test.zone:1"),
        "{told}"
    );
    // By hand, past that check.
    let archive = archive("www A x");
    fleet.hand_over(&archive);
    let told = fleet.publish(&fleet.manifest(1, &archive));
    assert_eq!(told.0, 200, "{told:?}");
    for server in &fleet.servers {
        await_that(&format!("it is halted:\n{}", server.log()), || {
            releases(server)["state"] == "halted"
        });
        assert_eq!(address(server), OWN);
        assert_eq!(releases(server)["serving"], 0);
    }
    // Ring 0 reads it to serve it, ring 1 meanwhile to check it.
    let mut first = None;
    await_that("who refused it says why", || {
        let mut servers = fleet.servers.iter();
        first = servers.find(|server| own(server)["state"] == "refused");
        first.is_some()
    });
    let first = first.expect("it was found");
    let why = own(first)["why"].clone();
    assert!(
        why.as_str()
            .expect("text")
            .contains("zones/example.test.zone:1"),
        "{why}"
    );
    expect_metric(
        first,
        "meridian_fleet_releases_refused_total{reason=\"unfit\"} 1\n",
    );
    let table = say(&fleet.servers[1], &["releases"]);
    assert!(
        table.contains("by mallory (by hand): halted by "),
        "{table}"
    );
    // The next one is better.
    fleet.push(1, &fleet.folder("192.0.2.3"), "repaired");
    fleet.await_all("192.0.2.3");
}

#[test]
fn names_that_are_gone_take_ring_0_back_within_a_second_and_reach_nobody_else() {
    let fleet = RingedFleet::start("10m");
    let canary = &fleet.servers[0];
    for _ in 0..200 {
        assert_eq!(address(canary), OWN);
    }
    // Counts are noted once a second, and the first of them is the beginning.
    let missing =
        "$ORIGIN example.test.\n@ 60 SOA ns1 h 1 2 3 4 5\n 60 NS ns1\nns1 60 A 127.0.0.1\n";
    let archive = archive(missing);
    fleet.hand_over(&archive);
    let told = fleet.publish(&fleet.manifest(1, &archive));
    assert_eq!(told.0, 200, "{told:?}");
    await_that("ring 0 serves it", || address(canary).is_empty());
    let gone = Instant::now();
    while address(canary).is_empty() {
        assert!(gone.elapsed() < Duration::from_secs(20), "{}", canary.log());
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = gone.elapsed();
    println!("back after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    for server in &fleet.servers {
        await_that("it is halted by ring 0", || {
            releases(server)["halted"]["by"] == "ams"
        });
        let halted = releases(server)["halted"].clone();
        let why = halted["why"].as_str().expect("text").to_owned();
        let is_jump = why.starts_with("the share of NXDOMAIN grew from ");
        assert!(is_jump && why.contains("% to 100.0% of "), "{why}");
        assert_eq!(address(server), OWN);
    }
    assert_eq!(own(canary)["state"], "failed");
    await_that("its own files are served", || own(canary)["serving"] == 0);
    canary.await_log("release 1 is taken back", 1);
}

#[test]
fn what_is_wrong_with_a_release_has_a_word_a_metric_and_changes_nothing() {
    let fleet = RingedFleet::start("0s");
    let canary = &fleet.servers[0];
    let good = archive(&zone("192.0.2.7"));
    let subject = "$KV.meridian_world_releases.release";
    // Signed by nobody that the servers know, for another fleet, or changed: through a server, and past it.
    let other = fleet.folder.path().join("other.key");
    let other = other.to_str().expect("text");
    say(canary, &["push", "--new-key", other]);
    let folder = fleet.folder("192.0.2.6");
    let told = fail(
        canary,
        &["push", folder.to_str().expect("text"), "--key", other],
    );
    assert!(told.contains("not among the trusted_keys"), "{told}");
    let moon = ReleaseManifest {
        fleet: "moon".to_owned(),
        ..fleet.manifest(1, &good)
    };
    let told = fleet.publish(&moon);
    assert!(
        told.0 == 409 && told.1.contains("it is for the fleet"),
        "{told:?}"
    );
    let signed = fleet
        .signer()
        .sign(&fleet.manifest(1, &good))
        .expect("short");
    let changed = signed.text().replace("mallory", "trusted");
    for (word, value) in [
        ("wrong_signature", changed.as_str()),
        ("newer_version", "{\"format\":2}"),
        ("no_release", "hello"),
    ] {
        fleet.engines.root().request(subject, value.as_bytes());
        let line = format!("meridian_fleet_releases_refused_total{{reason=\"{word}\"}} 1\n");
        await_that(&format!("it is counted as {word}"), || {
            get(canary, "/metrics").contains(&line)
        });
        assert!(releases(canary)["fault"].is_string());
        assert_eq!(address(canary), OWN);
    }
    // Half arrived: it waits, and goes on when the rest is there.
    let told = fleet.publish(&fleet.manifest(1, &good));
    assert_eq!(told.0, 200, "{told:?}");
    await_that(&format!("it waits for a piece:\n{}", canary.log()), || {
        own(canary)["why"] == "piece 1 of 1 of its archive has not arrived"
    });
    expect_metric(
        canary,
        "meridian_fleet_releases_refused_total{reason=\"incomplete\"} 1\n",
    );
    assert_eq!(address(canary), OWN);
    fleet.hand_over(&good);
    fleet.await_all("192.0.2.7");
    // A piece that is another one.
    let next = archive(&zone("192.0.2.8"));
    let mut tampered = next.clone();
    tampered[40] ^= 1;
    let digest = ArchiveFacts::of(&next, None).digest;
    let piece = format!("$KV.meridian_world_archives.{}", piece_key(&digest, 0));
    fleet.engines.root().request(&piece, &tampered);
    let told = fleet.publish(&fleet.manifest(2, &next));
    assert_eq!(told.0, 200, "{told:?}");
    await_that("it is refused", || own(canary)["state"] == "refused");
    let why = own(canary)["why"].clone();
    assert_eq!(why, "its archive has another digest than its author signed");
    expect_metric(
        canary,
        "meridian_fleet_releases_refused_total{reason=\"wrong_digest\"} 1\n",
    );
    // An older one, as it was.
    fleet
        .engines
        .root()
        .request(subject, signed.text().as_bytes());
    await_that("it is older", || {
        releases(canary)["fault"] == "its number is 1, and release 2 was seen already"
    });
    for server in &fleet.servers {
        assert_eq!(address(server), "192.0.2.7");
    }
    // Pushing it properly repairs the piece.
    fleet.push(0, &fleet.folder("192.0.2.8"), "once more");
    fleet.await_all("192.0.2.8");
}

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_folder_that_is_watched_is_pushed_whenever_it_has_changed() {
    let (engines, folder) = (Engines::start(1), tempfile::tempdir().expect("a folder"));
    let key = folder.path().join("release.key");
    let server = member(&engines, "ams", &new_key(&key), "0s");
    await_ready(&server, 1);
    let config = folder.path().join("config");
    write_folder(&config, "192.0.2.2");
    let admin = format!("http://{}", server.admin.expect("it has one"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.arg("push").arg(&config).arg("--key").arg(&key);
    command.args(["--watch", "--author", "git", "--admin", &admin]);
    command.env("MERIDIAN_TOKEN", crate::orders::TOKEN);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut watching = Ended(command.spawn().expect("it can be run"));
    await_address(&server, "192.0.2.2");
    write_folder(&config, "192.0.2.3");
    await_address(&server, "192.0.2.3");
    std::fs::write(config.join("zones/example.test.zone"), "www A x").expect("it is ours");
    let mut errors = String::new();
    let stderr = watching.0.stderr.take().expect("it is a pipe");
    let mut lines = std::io::BufReader::new(stderr);
    std::io::BufRead::read_line(&mut lines, &mut errors).expect("it is text");
    assert!(errors.contains("this is no release"), "{errors}");
    assert_eq!(address(&server), "192.0.2.3");
    write_folder(&config, "192.0.2.4");
    await_address(&server, "192.0.2.4");
    assert_eq!(releases(&server)["release"]["author"], "git");
    await_that("release 3 is served", || releases(&server)["serving"] == 3);
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments);
    let output = command.output().expect("git is installed");
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
}

fn commit(folder: &Path, author: &str, subject: &str) {
    git(folder, &["add", "--all"]);
    let (name, email) = (format!("user.name={author}"), "user.email=a@example.com");
    let message = format!("{subject}\n\nMore about it.");
    git(
        folder,
        &["-c", &name, "-c", email, "commit", "-q", "-m", &message],
    );
}

#[test]
fn what_is_pushed_from_a_git_checkout_is_told_as_its_last_commit() {
    let (engines, folder) = (Engines::start(1), tempfile::tempdir().expect("a folder"));
    let key = folder.path().join("release.key");
    let server = member(&engines, "ams", &new_key(&key), "0s");
    await_ready(&server, 1);
    let config = folder.path().join("checkout/config");
    write_folder(&config, "192.0.2.2");
    git(&folder.path().join("checkout"), &["init", "-q"]);
    commit(&config, "Ada", "Move www to 192.0.2.2");
    let admin = format!("http://{}", server.admin.expect("it has one"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.arg("push").arg(&config).arg("--key").arg(&key);
    command.args(["--watch", "--admin", &admin]);
    command.env("MERIDIAN_TOKEN", crate::orders::TOKEN);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _watching = Ended(command.spawn().expect("it can be run"));
    await_address(&server, "192.0.2.2");
    let told = |author: &str, reason: &str| {
        let release = releases(&server)["release"].clone();
        assert_eq!(
            (&release["author"], &release["reason"]),
            (&author.into(), &reason.into())
        );
    };
    told("Ada", "Move www to 192.0.2.2");
    write_folder(&config, "192.0.2.3");
    await_address(&server, "192.0.2.3");
    told(
        "Ada",
        "Move www to 192.0.2.2, and changes that are not committed",
    );
}

#[test]
fn an_archive_can_lie_on_an_https_server() {
    let (engines, folder) = (Engines::start(1), tempfile::tempdir().expect("a folder"));
    let key = folder.path().join("release.key");
    let public = new_key(&key);
    let place = folder.path();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pair = KeyPair::generate().expect("random octets");
    let authority = CertifiedIssuer::self_signed(authority, pair).expect("it signs itself");
    std::fs::write(place.join("ca.pem"), authority.pem()).expect("it is ours");
    let pair = KeyPair::generate().expect("random octets");
    let names = vec!["localhost".to_owned()];
    let server = CertificateParams::new(names).expect("a name");
    let server = server.signed_by(&pair, &authority).expect("it signs");
    std::fs::write(place.join("server.pem"), server.pem()).expect("it is ours");
    std::fs::write(place.join("server.key"), pair.serialize_pem()).expect("it is ours");
    let port = free_port();
    let mut command = Command::new("openssl");
    command.args([
        "s_server",
        "-WWW",
        "-cert",
        "server.pem",
        "-key",
        "server.key",
        "-accept",
    ]);
    command.arg(format!("127.0.0.1:{port}")).current_dir(place);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _web = Ended(command.spawn().expect("openssl is installed"));
    let server = setup(&engines, "ams", &public, "0s").start_with(|command| {
        command.env("SSL_CERT_FILE", place.join("ca.pem"));
    });
    await_ready(&server, 1);
    let config = place.join("config");
    write_folder(&config, "192.0.2.2");
    let (config, key) = (config.to_str().expect("text"), key.to_str().expect("text"));
    let (url, file) = (
        format!("https://localhost:{port}/archive"),
        place.join("archive"),
    );
    let url = url.as_str();
    let told = say(&server, &["push", config, "--key", key, "--url", url]);
    assert_eq!(told, "release 1 is published; ring 0 serves it first");
    await_that("it waits for the web server", || {
        let why = own(&server)["why"].to_string();
        why.contains("https://localhost:") && why.contains(" octets long")
    });
    assert_eq!(address(&server), OWN);
    let file = file.to_str().expect("text");
    let told = say(&server, &["push", config, "--write-archive", file]);
    assert!(told.ends_with("nothing was published"), "{told}");
    await_address(&server, "192.0.2.2");
}
