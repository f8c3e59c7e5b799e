//! `meridian fleet init`: what it writes starts three NATS servers, which three Meridians join over TLS.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::engine::{
    FRA, IAD, VOTERS, World, await_answer, await_that, await_voters, fleet, nats_server,
};
use crate::harness::free_port;
use crate::orders;

fn init(folder: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["fleet", "init"])
        .arg(folder)
        .args(more)
        .output()
        .expect("the binary runs")
}

/// A port for clients such that the port of the cluster, 2000 higher, is free as well.
fn port_with_cluster() -> u16 {
    loop {
        let port = free_port();
        if port < 60_000 && std::net::TcpListener::bind(("127.0.0.1", port + 2000)).is_ok() {
            return port;
        }
    }
}

/// A NATS server in the folder that was written for it.
struct WrittenServer(Child);

impl WrittenServer {
    fn start(program: &Path, folder: &Path) -> WrittenServer {
        let version = Command::new(program).arg("--version").output();
        let version = String::from_utf8(version.expect("it runs").stdout).expect("plain");
        if version.contains("v2.9.") {
            // As the file says, this one does not know a key, and carries votes without it.
            let file = folder.join("nats.conf");
            let text = std::fs::read_to_string(&file).expect("it was written");
            let (before, rest) = text.split_once("jetstream {").expect("it has the block");
            let (block, after) = rest.split_once("}\n").expect("the block ends");
            assert!(block.contains("sync_interval: always"), "{block}");
            std::fs::write(&file, format!("{before}{after}")).expect("it is ours");
        }
        let child = Command::new(program)
            .args(["-c", "nats.conf"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        WrittenServer(child)
    }
}

impl Drop for WrittenServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A fleet that was written, with its NATS servers running.
struct WrittenFleet {
    folder: tempfile::TempDir,
    _servers: Vec<WrittenServer>,
}

impl WrittenFleet {
    fn start() -> WrittenFleet {
        WrittenFleet::with(&nats_server())
    }

    fn with(program: &Path) -> WrittenFleet {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("fleet");
        let mut options = Vec::new();
        for number in 1..=3 {
            options.push("--nats".to_owned());
            options.push(format!("n{number}=127.0.0.1:{}", port_with_cluster()));
        }
        for voter in VOTERS {
            options.push("--voter".to_owned());
            options.push(voter.to_owned());
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let output = init(&target, &options);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        let servers =
            ["n1", "n2", "n3"].map(|name| WrittenServer::start(program, &target.join(name)));
        WrittenFleet {
            folder,
            _servers: servers.into(),
        }
    }

    fn of(&self, name: &str) -> PathBuf {
        self.folder.path().join("fleet").join(name)
    }

    /// The keys of a nameserver's section, with paths that hold anywhere.
    fn keys(&self, voter: &str) -> String {
        let folder = self.of(voter);
        let text = std::fs::read_to_string(folder.join("fleet.toml")).expect("it was written");
        let (_, keys) = text.split_once("name = \"world\"\n").expect("a section");
        let at = |name: &str| folder.join(name).display().to_string();
        keys.replace("nats-ca.pem", &at("nats-ca.pem"))
            .replace("nats.password", &at("nats.password"))
    }
}

#[test]
fn three_servers_join_the_written_fleet_over_tls_and_agree() {
    let (world, written) = (World::start(), WrittenFleet::start());
    let servers = VOTERS.map(|voter| world.server(voter, &written.keys(voter)));
    for server in &servers {
        await_voters(server, 2);
        await_answer(server, FRA);
    }
    world.fra.break_for(&["ams"]);
    await_that("ams is outvoted", || fleet(&servers[0])["outvoted"] == 1);
    await_answer(&servers[0], FRA);
    world.fra.break_for(&["ams", "sin"]);
    for server in &servers {
        await_answer(server, IAD);
    }
    for server in &servers {
        assert!(
            !server.log().contains("Permissions Violation"),
            "{}",
            server.log()
        );
    }
}

#[test]
fn orders_of_the_written_fleet_are_in_force_on_all() {
    let (world, written) = (World::start(), WrittenFleet::with(&orders::nats_server()));
    let servers = VOTERS.map(|voter| {
        let fleet = format!("[fleet]\nname = \"world\"\n{}", written.keys(voter));
        let state = "[state]\ndirectory = \"state\"\n";
        orders::start_with_token(world.setup(voter, &format!("{state}{fleet}")))
    });
    for server in &servers {
        orders::await_current(server);
        await_answer(server, FRA);
    }
    orders::say(&servers[0], &["drain", "fra", "--reason", "new kernel"]);
    for server in &servers {
        await_answer(server, IAD);
    }
    orders::say(&servers[2], &["undrain", "fra"]);
    for server in &servers {
        await_answer(server, FRA);
        assert!(
            !server.log().contains("Permissions Violation"),
            "{}",
            server.log()
        );
    }
}

#[test]
fn a_voter_of_the_written_fleet_has_its_own_vote_and_no_other() {
    let (world, written) = (World::start(), WrittenFleet::start());
    let ams = world.server("ams", &written.keys("ams"));
    let keys = written
        .keys("sin")
        .replace("voter = \"sin\"", "voter = \"iad\"");
    let thief = world.server("sin", &keys);
    thief.await_log("Permissions Violation", 1);
    await_voters(&thief, 1);
    assert_eq!(fleet(&ams)["voters"], serde_json::json!([]));
    // Without TLS, and with another authority, nobody gets in.
    let ca = format!(
        "ca_file = \"{}\"\n",
        written.of("sin").join("nats-ca.pem").display()
    );
    let stranger = world.server("sin", &written.keys("sin").replace(&ca, ""));
    stranger.await_log("no NATS server can be reached", 1);
    assert_eq!(fleet(&stranger)["linked"], false);
}

/// A client that is the user `ams` of a written fleet, and hears what it is refused.
struct OrdersClient {
    client: async_nats::Client,
    votes: async_nats::Subscriber,
    refusals: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl OrdersClient {
    async fn login(written: &WrittenFleet) -> OrdersClient {
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let password = std::fs::read_to_string(written.of("ams").join("nats.password"));
        let keys = written.keys("ams");
        let (_, url) = keys.split_once("servers = [\"").expect("servers");
        let (url, _) = url.split_once('"').expect("an address");
        let (sender, refusals) = tokio::sync::mpsc::unbounded_channel();
        let client = async_nats::ConnectOptions::new()
            .user_and_password("ams".into(), password.expect("written").trim_end().into())
            .add_root_certificates(written.of("ams").join("nats-ca.pem"))
            .custom_inbox_prefix("_INBOX.meridian.ams")
            .retry_on_initial_connect()
            .event_callback(move |event| {
                if let async_nats::Event::ServerError(error) = event {
                    let _ = sender.send(error.to_string());
                }
                std::future::ready(())
            })
            .connect(url)
            .await
            .expect("an address");
        let votes = client.subscribe("meridian.world.votes.*").await;
        OrdersClient {
            votes: votes.expect("a subject"),
            client,
            refusals,
        }
    }

    /// Whether a message on this subject is refused.
    async fn is_refused(&mut self, subject: &'static str) -> bool {
        for subject in [subject, "meridian.world.votes.ams"] {
            let sent = self.client.publish(subject, "x".into()).await;
            sent.expect("it is connected");
        }
        // The own vote comes back after whatever was said about the message before it.
        let vote = futures_util::StreamExt::next(&mut self.votes).await;
        assert!(vote.is_some(), "the own vote is allowed");
        let refusal = tokio::time::timeout(Duration::from_millis(200), self.refusals.recv());
        match refusal.await {
            Ok(refusal) => {
                let refusal = refusal.expect("the client lives");
                assert!(refusal.contains("Permissions Violation"), "{refusal}");
                true
            }
            Err(_) => false,
        }
    }
}

#[tokio::test]
async fn what_a_client_of_the_orders_sends_is_allowed_and_nothing_else() {
    let written = WrittenFleet::start();
    let mut client = OrdersClient::login(&written).await;
    for (subject, is_allowed) in [
        ("$KV.meridian_world_orders.region.fra", true),
        ("$JS.API.STREAM.INFO.KV_meridian_world_orders", true),
        ("$JS.API.STREAM.CREATE.KV_meridian_world_orders", true),
        ("$JS.API.CONSUMER.CREATE.KV_meridian_world_orders.a.b", true),
        ("$JS.API.DIRECT.GET.KV_meridian_world_orders.a", true),
        ("$KV.meridian_world_releases.release", true),
        ("$KV.meridian_world_archives.abc.0", true),
        ("$JS.API.STREAM.MSG.GET.KV_meridian_world_archives", true),
        ("$JS.API.STREAM.CREATE.KV_meridian_world_releases", true),
        ("$KV.meridian_world_releases.report.somebody", false),
        ("$JS.API.STREAM.DELETE.KV_meridian_world_archives", false),
        ("$KV.meridian_moon_orders.region.fra", false),
        ("$JS.API.STREAM.DELETE.KV_meridian_world_orders", false),
        ("$JS.API.STREAM.PURGE.KV_meridian_world_orders", false),
        ("$JS.API.STREAM.UPDATE.KV_meridian_world_orders", false),
        ("$JS.API.STREAM.CREATE.KV_meridian_moon_orders", false),
        ("meridian.world.votes.iad", false),
        ("meridian.world.leases.iad", false),
        ("meridian.world.reports.ams", true),
        ("meridian.world.reports.iad", false),
        ("meridian.world.explain.iad", true),
        ("_INBOX.meridian.iad.x", false),
    ] {
        assert_eq!(client.is_refused(subject).await, !is_allowed, "{subject}");
    }
}

#[test]
fn nothing_is_overwritten_and_contradictions_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = folder.path().join("fleet");
    assert!(init(&target, &[]).status.success());
    let before = std::fs::read(target.join("ca.key")).expect("written");
    let again = init(&target, &[]);
    assert_eq!(again.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&again.stderr);
    assert!(
        complaint.contains("is there already and is not overwritten"),
        "{complaint}"
    );
    assert_eq!(std::fs::read(target.join("ca.key")).expect("there"), before);
    let other = folder.path().join("other");
    for (options, sentence) in [
        (
            vec!["--voter", "a", "--voter", "a"],
            "two servers are named a",
        ),
        (
            vec!["--nats", "a=h", "--nats", "b=h"],
            "would use the port 4222 of h",
        ),
        (vec!["--nats", "a=h:64000"], "leaves no room"),
    ] {
        let output = init(&other, &options);
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains(sentence), "{complaint}");
        assert!(!other.exists());
    }
}

#[test]
fn only_their_owner_can_read_keys_and_passwords() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = folder.path().join("fleet");
    assert!(init(&target, &[]).status.success());
    for secret in [
        "ca.key",
        "nats1/server.key",
        "nats1/nats.conf",
        "ns1/nats.password",
    ] {
        let data = std::fs::metadata(target.join(secret)).expect("written");
        assert_eq!(data.permissions().mode() & 0o777, 0o600, "{secret}");
    }
}
