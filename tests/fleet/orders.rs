//! Orders of a fleet: three real servers, and real NATS servers that keep the orders.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::engine::{
    Engine, FRA, IAD, RawVoter, VOTERS, World, answer, await_answer, await_that, fleet, get,
    may_hear_reports, may_report,
};
use crate::harness::{Server, Setup, free_port};

pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const STREAM: &str = "KV_meridian_world_orders";

/// NATS servers with JetStream, and a folder for what they keep.
pub struct Engines {
    pub servers: Vec<Engine>,
    /// What each of them is configured with.
    texts: Vec<String>,
    _folder: tempfile::TempDir,
}

/// The NATS server that `tools/test` installs, because Debian's is too old.
pub fn nats_server() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nats-server/bin/nats-server")
}

impl Engines {
    pub fn start(count: usize) -> Engines {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let mut routes = Vec::new();
        for (_, cluster) in &ports {
            routes.push(format!("nats-route://127.0.0.1:{cluster}"));
        }
        let (mut servers, mut texts) = (Vec::new(), Vec::new());
        for (port, cluster) in &ports {
            let store = folder.path().join(port.to_string());
            let mut text = format!(
                "listen: 127.0.0.1:{port}\nserver_name: n{port}\njetstream {{ store_dir: {store:?} }}\n\
                 authorization {{ users: [\n{}] }}\n",
                users()
            );
            if count > 1 {
                text.push_str(&format!(
                    "cluster {{ name: w, listen: 127.0.0.1:{cluster}, routes: [{}] }}\n",
                    routes.join(", ")
                ));
            }
            servers.push(Engine::of(nats_server(), *port, &text));
            texts.push(text);
        }
        Engines {
            servers,
            texts,
            _folder: folder,
        }
    }

    pub fn urls(&self) -> String {
        let mut urls = Vec::new();
        for engine in &self.servers {
            urls.push(format!("\"nats://127.0.0.1:{}\"", engine.port));
        }
        urls.join(", ")
    }

    /// Somebody who may do everything.
    pub fn root(&self) -> RawVoter {
        RawVoter::at(self.servers[0].port, "root")
    }
}

/// The users of the guide, and one who may do everything.
fn users() -> String {
    let mut users = "{ user: root, password: \"secret of root\" }\n".to_owned();
    for voter in VOTERS {
        let mut publish = vec![
            format!("\"meridian.world.votes.{voter}\""),
            may_report(voter),
        ];
        for bucket in ["orders", "releases", "archives"] {
            let stream = format!("KV_meridian_world_{bucket}");
            publish.push(format!(
                "\"$KV.meridian_world_{bucket}.>\", \"$JS.API.STREAM.INFO.{stream}\", \
                 \"$JS.API.STREAM.CREATE.{stream}\", \"$JS.API.STREAM.MSG.GET.{stream}\", \
                 \"$JS.API.DIRECT.GET.{stream}.>\", \"$JS.API.CONSUMER.CREATE.{stream}\", \
                 \"$JS.API.CONSUMER.CREATE.{stream}.>\", \"$JS.API.CONSUMER.DELETE.{stream}.>\", \
                 \"$JS.FC.{stream}.>\""
            ));
        }
        users.push_str(&format!(
            "{{ user: {voter}, password: \"secret of {voter}\", permissions: {{\n\
             publish: [{}]\n\
             subscribe: [\"meridian.world.votes.*\", {}]\n\
             allow_responses: {{ max: 1, expires: \"5s\" }} }} }}\n",
            publish.join(", "),
            may_hear_reports(voter)
        ));
    }
    users
}

/// A server of the fleet with a state directory, and with a token for changes.
pub fn member(world: &World, engines: &Engines, voter: &str) -> Server {
    let setup = world.setup(
        voter,
        &format!(
            "[state]\ndirectory = \"state\"\n[fleet]\nname = \"world\"\nvoter = \"{voter}\"\n\
             user = \"{voter}\"\npassword_file = \"password\"\nservers = [{}]\n",
            engines.urls()
        ),
    );
    write_secret(&setup, "password", &format!("secret of {voter}\n"));
    start_with_token(setup)
}

/// A server that takes orders by this file's token.
pub fn start_with_token(setup: Setup) -> Server {
    with_token(setup).start()
}

/// With this file's token for orders.
pub fn with_token(setup: Setup) -> Setup {
    let setup = setup.admin("token_file = \"token\"");
    write_secret(&setup, "token", &format!("{TOKEN}\n"));
    setup
}

pub fn write_secret(setup: &Setup, name: &str, text: &str) {
    let file = setup.folder().join(name);
    std::fs::write(&file, text).expect("it can be written");
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, owner_only).expect("it is ours");
}

/// A fleet of three whose orders can be changed.
pub fn three(world: &World, engines: &Engines) -> Vec<Server> {
    let mut servers = Vec::new();
    for voter in VOTERS {
        servers.push(member(world, engines, voter));
    }
    for server in &servers {
        await_current(server);
        await_answer(server, FRA);
    }
    servers
}

fn orders(server: &Server) -> Value {
    fleet(server)["orders"].clone()
}

#[track_caller]
pub fn await_current(server: &Server) {
    await_that(&format!("orders can be changed:\n{}", server.log()), || {
        let orders = orders(server);
        orders["linked"] == true && orders["current"] == true
    });
}

fn meridian(server: &Server, arguments: &[&str]) -> Output {
    let admin = server.admin.expect("it has one");
    Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(arguments)
        .args(["--admin", &format!("http://{admin}")])
        .env("MERIDIAN_TOKEN", TOKEN)
        .env("USER", "ops")
        .env_remove("SUDO_USER")
        .output()
        .expect("the binary of this crate can be run")
}

#[track_caller]
pub fn say(server: &Server, arguments: &[&str]) -> String {
    let output = meridian(server, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n{}", server.log());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[track_caller]
pub fn fail(server: &Server, arguments: &[&str]) -> String {
    let output = meridian(server, arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}\n{}", server.log());
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

#[test]
fn an_order_through_one_server_is_in_force_on_all_within_300_milliseconds() {
    let (world, engines) = (World::start(), Engines::start(1));
    let servers = three(&world, &engines);
    let admin = servers[0].admin.expect("it has one");
    let began = Instant::now();
    let body = "{\"by\": \"ops\", \"reason\": \"new kernel\", \"for\": \"2h\"}";
    let told = change(admin.port(), "PUT", "/v1/regions/fra/drain", body);
    let replied = began.elapsed();
    for server in &servers {
        await_answer(server, IAD);
    }
    let took = began.elapsed();
    println!("an order: replied after {replied:?}, in force on three servers after {took:?}");
    assert!(
        told.1
            .contains("fra is drained for 2h (fleet world, revision "),
        "{told:?}"
    );
    assert!(took < Duration::from_millis(300), "{took:?}");
    // Author, reason and end are known everywhere.
    for server in &servers {
        let status: Value = serde_json::from_str(&get(server, "/v1/status")).expect("JSON");
        let order = &status["orders"][0];
        assert_eq!(order["by"], "ops", "{order}");
        assert_eq!(order["reason"], "new kernel");
        assert_eq!(order["scope"], "fleet");
        let left = order["seconds_left"].as_u64().expect("a number");
        assert!((7100..=7200).contains(&left), "{left}");
    }
    servers[2].await_log("the fleet's order: fra is drained by ops: new kernel", 1);
    // Through another server it is removed.
    let told = say(&servers[1], &["undrain", "fra"]);
    assert!(
        told.starts_with("fra: drain removed (fleet world, revision "),
        "{told}"
    );
    for server in &servers {
        await_answer(server, FRA);
    }
    // What was ordered is known through every server.
    let log = say(&servers[2], &["orders", "log"]);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(
        lines[1].contains("fra is drained for 2h") && lines[1].contains("ams"),
        "{log}"
    );
    assert!(
        lines[1].contains("new kernel") && lines[1].contains("ops"),
        "{log}"
    );
    assert!(
        lines[2].contains("fra: drain removed") && lines[2].contains("iad"),
        "{log}"
    );
    let json = say(&servers[0], &["orders", "log", "fra", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["orders"].as_array().map(Vec::len), Some(2), "{json}");
    let none = say(&servers[0], &["orders", "log", "iad"]);
    assert_eq!(none, "nothing was ordered");
}

/// Status and body of a call.
pub fn change(port: u16, method: &str, path: &str, body: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let status = text.get(9..12).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.expect("a status line"), body.expect("a head"))
}

#[test]
fn of_two_orders_at_once_one_is_first_and_the_other_is_told_who_was() {
    let (world, engines) = (World::start(), Engines::start(1));
    let servers = three(&world, &engines);
    let mut conflicts = 0;
    for round in 0..20 {
        let mut threads = Vec::new();
        for (server, by) in servers.iter().zip(["alice", "bob", "carol"]) {
            let port = server.admin.expect("it has one").port();
            let body = format!("{{\"by\": \"{by}\", \"reason\": \"round {round}\"}}");
            threads.push(std::thread::spawn(move || {
                change(port, "PUT", "/v1/regions/fra/drain", &body)
            }));
        }
        let mut made = 0;
        for thread in threads {
            let (status, body) = thread.join().expect("it does not panic");
            match status {
                200 => made += 1,
                409 => {
                    conflicts += 1;
                    assert!(
                        body.contains("somebody else was first: fra is drained by ")
                            && body.contains(" through "),
                        "{body}"
                    );
                }
                _ => panic!("{status} {body}"),
            }
        }
        assert!(made > 0);
        // All agree on one author.
        await_that("all have the same order", || {
            let mut authors = Vec::new();
            for server in &servers {
                let status: Value = serde_json::from_str(&get(server, "/v1/status")).expect("JSON");
                authors.push(status["orders"][0].clone()["by"].clone());
            }
            authors.windows(2).all(|pair| pair[0] == pair[1])
        });
    }
    println!("{conflicts} conflicts in 20 rounds of three");
    assert!(conflicts > 0);
}

#[test]
fn without_the_engine_orders_stay_new_ones_are_refused_and_one_for_here_only_works() {
    let (world, mut engines) = (World::start(), Engines::start(1));
    let mut servers = three(&world, &engines);
    say(&servers[0], &["drain", "fra", "--reason", "new kernel"]);
    for server in &servers {
        await_answer(server, IAD);
    }
    engines.servers[0].kill();
    await_that("the link is gone", || {
        orders(&servers[0])["linked"] == false
    });
    let began = Instant::now();
    let told = fail(&servers[0], &["undrain", "fra"]);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert!(
        told.contains(
            "for all servers of the fleet world, and no NATS server can be reached: it was not made"
        ) && told.contains("--here-only"),
        "{told}"
    );
    for server in &servers {
        assert_eq!(answer(server), IAD);
    }
    // Here only, and shown as such everywhere.
    let told = say(
        &servers[0],
        &["drain", "iad", "--reason", "mine", "--here-only", "--yes"],
    );
    assert_eq!(told, "iad is drained on this server only");
    let status = say(&servers[0], &["status"]);
    assert!(
        status.contains("is drained on this server only"),
        "{status}"
    );
    assert!(status.contains("1 order on this server only"), "{status}");
    assert!(status.contains("which cannot be changed now"), "{status}");
    let json: Value = serde_json::from_str(&get(&servers[0], "/v1/status")).expect("JSON");
    assert_eq!(json["orders"][0]["scope"], "here-only", "{json}");
    servers[0].await_log("iad is drained on this server only", 1);
    let metrics = get(&servers[0], "/metrics");
    for line in [
        "meridian_fleet_orders_current{} 0\n",
        "meridian_fleet_orders_here_only{} 1\n",
        "meridian_fleet_orders_alarm{reason=\"gone\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    // A restart without the engine keeps both.
    let server = servers.remove(0).kill_and_start_again();
    let json: Value = serde_json::from_str(&get(&server, "/v1/status")).expect("JSON");
    let scopes: Vec<&Value> = (0..2).map(|at| &json["orders"][at]["scope"]).collect();
    assert_eq!(scopes, ["here-only", "fleet"], "{json}");
    let told = say(&server, &["undrain", "iad", "--here-only"]);
    assert_eq!(told, "iad: drain removed on this server only");
    assert_eq!(answer(&server), IAD, "fra is drained by the fleet");
    // When the engine is back, so are orders for all.
    engines.servers[0].start_again();
    await_current(&server);
    let told = say(&server, &["undrain", "fra"]);
    assert!(told.starts_with("fra: drain removed"), "{told}");
    for server in servers.iter().chain([&server]) {
        await_answer(server, FRA);
    }
}

#[test]
fn a_bucket_that_is_gone_made_anew_or_emptied_is_an_alarm_and_can_be_restored() {
    let (world, engines) = (World::start(), Engines::start(1));
    let mut servers = three(&world, &engines);
    say(&servers[0], &["drain", "fra", "--reason", "new kernel"]);
    for server in &servers {
        await_answer(server, IAD);
    }
    let deleted = engines
        .root()
        .request(&format!("$JS.API.STREAM.DELETE.{STREAM}"), b"");
    assert!(deleted.contains("\"success\":true"), "{deleted}");
    for server in &servers {
        await_that("it is alarmed", || orders(server)["alarm_reason"] == "gone");
        server.await_log("the bucket of the fleet's orders is gone", 1);
        assert_eq!(answer(server), IAD);
    }
    let told = fail(&servers[1], &["undrain", "fra"]);
    assert!(
        told.contains("the bucket of the fleet's orders is gone: the order was not made"),
        "{told}"
    );
    let status = say(&servers[1], &["status"]);
    assert!(
        status.contains("ALARM: the bucket of the fleet's orders is gone"),
        "{status}"
    );
    let metrics = get(&servers[1], "/metrics");
    assert!(
        metrics.contains("meridian_fleet_orders_alarm{reason=\"gone\"} 1\n"),
        "{metrics}"
    );
    // Nobody makes it again by itself, not even after a restart.
    let last = servers.remove(2).kill_and_start_again();
    servers.push(last);
    await_that("it is alarmed", || {
        orders(&servers[2])["alarm_reason"] == "gone"
    });
    assert_eq!(answer(&servers[2]), IAD);
    // An operator does, from what a server holds.
    let told = say(&servers[0], &["orders", "restore"]);
    assert!(
        told.starts_with("the bucket has the 1 orders that this server holds"),
        "{told}"
    );
    for server in &servers {
        await_current(server);
        assert_eq!(answer(server), IAD);
        assert_eq!(orders(server)["epoch"], 2);
    }
    // A newcomer has the order, too.
    let newcomer = member(&world, &engines, "sin");
    await_answer(&newcomer, IAD);
    drop(newcomer);
    // Deleted by hand: no order.
    let mut root = engines.root();
    let head = "NATS/1.0\r\nKV-Operation: DEL\r\n\r\n";
    root.publish_with_head("$KV.meridian_world_orders.drain.fra.=.=", head);
    for server in &servers {
        await_that("it is alarmed", || {
            orders(server)["alarm_reason"] == "emptied"
        });
        assert_eq!(answer(server), IAD);
    }
    say(&servers[1], &["orders", "restore"]);
    for server in &servers {
        await_current(server);
    }
    say(&servers[1], &["undrain", "fra"]);
    for server in &servers {
        await_answer(server, FRA);
    }
}

#[test]
fn values_that_are_no_orders_are_named_and_change_nothing() {
    let (world, engines) = (World::start(), Engines::start(1));
    let server = member(&world, &engines, "ams");
    await_current(&server);
    let mut root = engines.root();
    let subject = "$KV.meridian_world_orders.drain.fra.=.=";
    root.request(subject, b"hello");
    server.await_log("of drain.fra.=.= is no order", 1);
    root.request(subject, &vec![b' '; 7000]);
    server.await_log("has 7000 octets, more than", 1);
    let other = "{\"version\":1,\"region\":\"iad\",\"kind\":\"drain\",\"order\":{\"action\":\"drain\"},\
                 \"by\":\"x\",\"server\":\"x\",\"since\":1}";
    root.request(subject, other.as_bytes());
    server.await_log("is a drain of iad, which has another key", 1);
    assert_eq!(answer(&server), FRA);
    assert_eq!(orders(&server)["refused"], 3);
    // The key can be used.
    say(&server, &["drain", "fra", "--reason", "x"]);
    await_answer(&server, IAD);
    let log = say(&server, &["orders", "log"]);
    assert_eq!(log.lines().count(), 5, "{log}");
}

/// NATS elects a new leader 4 to 9 seconds after it has missed the old one (minElectionTimeoutDefault and
/// maxElectionTimeoutDefault in its raft.go), and has no option for it. Meridian may add no more than this.
const AFTER_ELECTION: Duration = Duration::from_secs(2);

#[test]
fn an_order_goes_through_as_soon_as_nats_has_a_leader_again() {
    let (world, mut engines) = (World::start(), Engines::start(3));
    let servers = three(&world, &engines);
    say(&servers[0], &["drain", "fra", "--reason", "x"]);
    for server in &servers {
        await_answer(server, IAD);
    }
    let info = engines
        .root()
        .request(&format!("$JS.API.STREAM.INFO.{STREAM}"), b"");
    let info: Value = serde_json::from_str(&info).expect("JSON");
    assert_eq!(info["config"]["num_replicas"], 3, "{info}");
    let leader = info["cluster"]["leader"]
        .as_str()
        .expect("a name")
        .to_owned();
    let line = format!("server_name: {leader}\n");
    let at = engines.texts.iter().position(|text| text.contains(&line));
    let at = at.expect("it is one of them");
    let mut witness = RawVoter::at(engines.servers[(at + 1) % 3].port, "root");
    witness.subscribe(&format!(
        "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.{STREAM}"
    ));
    engines.servers[at].kill();
    let killed = Instant::now();
    let election = std::thread::spawn(move || {
        witness.next_message();
        Instant::now()
    });
    let mut refused = Vec::new();
    let through = loop {
        let output = meridian(&servers[0], &["undrain", "fra"]);
        if output.status.success() {
            break Instant::now();
        }
        let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        assert!(
            killed.elapsed() < Duration::from_secs(30),
            "{told}\n{}",
            servers[0].log()
        );
        refused.push((killed.elapsed(), told));
        std::thread::sleep(Duration::from_millis(200));
    };
    let elected = election.join().expect("a leader is elected");
    for server in &servers {
        await_answer(server, FRA);
    }
    let after = through.saturating_duration_since(elected);
    println!(
        "the leader was killed: another was elected after {:?}, an order went through {after:?} later, and was \
         everywhere after {:?}; {refused:#?}",
        elected - killed,
        killed.elapsed()
    );
    assert!(after < AFTER_ELECTION, "{after:?}: {refused:#?}");
}
