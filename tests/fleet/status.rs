//! One page for all servers of a fleet: what each reports, who says what, and where orders are in force.

use serde_json::Value;

use crate::engine::{
    Engine, FRA, IAD, RawVoter, VOTERS, World, await_answer, await_that, await_voters, get,
};
use crate::harness::Server;
use crate::harness::types::A;
use crate::orders::{self, Engines};

/// `GET /v1/fleet`.
fn page(server: &Server) -> Value {
    serde_json::from_str(&get(server, "/v1/fleet")).expect("the page is JSON")
}

/// What a page says of a server.
fn row(page: &Value, name: &str) -> Value {
    let servers = page["servers"].as_array().expect("a list");
    let mut found = servers.iter().filter(|server| server["name"] == name);
    found.next().cloned().unwrap_or(Value::Null)
}

/// Waits until every server has the reports of all.
pub fn await_reports(servers: &[Server]) {
    for server in servers {
        await_that(&format!("all report: {}", page(server)), || {
            page(server)["rates"]["servers"] == servers.len()
        });
    }
}

fn three(world: &World, engine: &Engine) -> Vec<Server> {
    let servers: Vec<Server> = VOTERS.map(|voter| world.member(engine, voter)).into();
    for server in &servers {
        await_voters(server, 2);
    }
    await_reports(&servers);
    servers
}

#[test]
fn every_server_knows_what_all_are_and_do() {
    let (world, engine) = (World::start(), Engine::start());
    let servers = three(&world, &engine);
    let told = page(&servers[0]);
    assert_eq!(
        (&told["name"], &told["server"], &told["linked"]),
        (&"world".into(), &"ams".into(), &true.into())
    );
    for (name, state) in [("ams", "here"), ("iad", "well"), ("sin", "well")] {
        let server = row(&told, name);
        assert_eq!(server["state"], state, "{told}");
        assert_eq!(server["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(server["role"], "nameserver");
        assert!(server["uptime_seconds"].as_u64() < Some(60), "{server}");
    }
    // Both run on this machine, so the clocks are one, and the bounds must hold that.
    await_that("the clocks are bounded from both sides", || {
        let clock = row(&page(&servers[0]), "iad")["clock"].clone();
        let ahead = clock["ahead_ms"].as_f64().expect("it is measured");
        let bound = clock["uncertainty_ms"].as_f64();
        bound.is_some_and(|bound| ahead.abs() <= bound + 0.02 && bound < 500.0)
    });
    // What two of them answer is added up.
    await_that("the rates of two servers are added up", || {
        for _ in 0..50 {
            servers[1].ask("www.example.test", A).send();
            servers[2].ask("none.example.test", A).send();
        }
        let rates = page(&servers[0])["rates"].clone();
        let of = |result: &str| rates["queries"][result].as_f64().unwrap_or_default();
        of("steered") > 1.0 && of("no-name") > 1.0
    });
    let metrics = get(&servers[0], "/metrics");
    for line in [
        "meridian_fleet_strangers{} 0",
        "meridian_fleet_reports_refused_total{reason=\"no_report\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn a_server_that_falls_silent_stays_listed_and_its_rates_do_not() {
    let (world, engine) = (World::start(), Engine::start());
    let mut servers = three(&world, &engine);
    drop(servers.pop());
    await_that("sin is silent", || {
        row(&page(&servers[0]), "sin")["state"] == "silent"
    });
    let told = page(&servers[0]);
    assert_eq!(told["rates"]["servers"], 2, "{told}");
    assert_eq!(row(&told, "sin")["version"], env!("CARGO_PKG_VERSION"));
    assert!(row(&told, "sin")["silent_seconds"].as_u64() < Some(30));
    assert_eq!(told["summary"], "sin is silent");
}

#[test]
fn wrong_reports_are_named_and_counted_and_change_nothing() {
    let (world, engine) = (World::start(), Engine::start());
    let [ams, iad] = ["ams", "iad"].map(|voter| world.member(&engine, voter));
    await_that("it hears reports", || {
        row(&page(&ams), "iad")["state"] == "well"
    });
    let mut raw = RawVoter::login(&engine, "sin");
    let subject = "meridian.world.reports.sin";
    raw.publish(subject, b"hello");
    raw.publish(subject, &vec![b' '; 70_000]);
    raw.publish(subject, b"{\"report\": 9}");
    let words = ["no_report", "too_long", "other_version"];
    await_that("all are counted", || {
        let metrics = get(&ams, "/metrics");
        words.iter().all(|word| {
            let line = format!("meridian_fleet_reports_refused_total{{reason=\"{word}\"}} 1\n");
            metrics.contains(&line)
        })
    });
    ams.await_log("a report of \\\"sin\\\" is no report", 1);
    assert_eq!(page(&ams)["servers"].as_array().map(Vec::len), Some(2));
    drop(iad);
    // Nobody reports as somebody else.
    raw.publish("meridian.world.reports.iad", b"x");
    let refusal = raw.ping();
    assert!(refusal.contains("Permissions Violation"), "{refusal}");
}

#[test]
fn who_says_what_about_a_check_is_listed_with_the_time() {
    let (world, engine) = (World::start(), Engine::start());
    let servers = three(&world, &engine);
    for server in &servers {
        await_answer(server, FRA);
    }
    world.fra.break_for(&["sin"]);
    await_that("they differ", || {
        page(&servers[0])["differing"] != serde_json::json!([])
    });
    let told = page(&servers[0]);
    let differing = told["differing"][0].clone();
    assert_eq!(differing["agreed"], "up", "{differing}");
    assert!(
        differing["endpoint"]
            .as_str()
            .expect("text")
            .starts_with(FRA)
    );
    let says = differing["says"].as_array().expect("a list");
    let votes: Vec<(&Value, &Value)> = says.iter().map(|it| (&it["server"], &it["vote"])).collect();
    let expected = ["up", "up", "down"].map(Value::from);
    let names = VOTERS.map(Value::from);
    assert_eq!(votes, names.iter().zip(&expected).collect::<Vec<_>>());
    assert!(says[2]["seconds"].as_u64() < Some(30), "{differing}");
    assert_eq!(says[0]["seconds"], Value::Null);
    assert_eq!(row(&told, "sin")["differing"], 1);
    world.fra.break_for(&[]);
    await_that("they agree", || {
        page(&servers[0])["differing"] == serde_json::json!([])
    });
}

/// The arguments of `meridian explain` for a client, at a server.
fn ask<'a>(at: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let name = ["explain", "www.example.test", "--client", "192.0.2.1"];
    [&name, ["--at", at].as_slice(), more].concat()
}

#[test]
fn another_server_explains_its_own_answer() {
    let (world, engine) = (World::start(), Engine::start());
    let servers = three(&world, &engine);
    let told = orders::say(&servers[0], &ask("iad", &[]));
    assert!(told.contains("www.example.test"), "{told}");
    let json = |server, at| -> Value {
        serde_json::from_str(&orders::say(server, &ask(at, &["--json"]))).expect("JSON")
    };
    assert_eq!(json(&servers[0], "sin"), json(&servers[2], "sin"));
    let down = orders::say(&servers[0], &ask("iad", &["--down", "fra"]));
    assert!(down.contains(IAD), "{down}");
    let unknown = orders::fail(&servers[0], &ask("nowhere", &[]));
    assert!(
        unknown.contains("has no server \"nowhere\"; it has ams, iad, sin"),
        "{unknown}"
    );
    let wrong = [
        "explain",
        "www.example.test",
        "--client",
        "192.0.2.1",
        "--at",
        "iad",
        "--down",
        "mars",
    ];
    let refused = orders::fail(&servers[0], &wrong);
    assert!(
        refused.contains("iad: ") && refused.contains("mars"),
        "{refused}"
    );
    // One that is frozen does not answer, and the time is bounded.
    servers[1].signal(libc::SIGSTOP);
    let silent = orders::fail(&servers[0], &ask("iad", &[]));
    servers[1].signal(libc::SIGCONT);
    assert!(
        silent.contains("iad does not answer within 2 s"),
        "{silent}"
    );
}

/// The drain on a page.
fn drain(page: &Value) -> Value {
    let orders = page["orders"].as_array().expect("a list");
    let mut drains = orders.iter();
    let drain = drains.find(|it| {
        it["order"]
            .as_str()
            .is_some_and(|it| it.contains("drained"))
    });
    drain.cloned().unwrap_or(Value::Null)
}

#[test]
fn an_order_says_by_whom_and_where_it_is_in_force() {
    let (world, engines) = (World::start(), Engines::start(1));
    let servers = orders::three(&world, &engines);
    await_reports(&servers);
    orders::say(
        &servers[0],
        &["drain", "fra", "--reason", "new kernel", "--by", "ops"],
    );
    orders::say(
        &servers[1],
        &[
            "weight",
            "iad",
            "5",
            "--here-only",
            "--reason",
            "a test",
            "--by",
            "dev",
        ],
    );
    for server in &servers {
        await_that("it is in force on all", || {
            drain(&page(server))["in_force"] == serde_json::json!(VOTERS)
        });
    }
    let told = page(&servers[2]);
    let order = drain(&told);
    assert_eq!(order["order"], "fra is drained", "{told}");
    assert_eq!(
        (&order["by"], &order["reason"]),
        (&"ops".into(), &"new kernel".into())
    );
    assert!(order["revision"].as_u64() > Some(0), "{order}");
    await_that("the order of one server is named there", || {
        let told = row(&page(&servers[2]), "iad")["here_only"].clone();
        told.to_string().contains("weight 5") && told.to_string().contains("dev")
    });
    let told = orders::say(&servers[2], &["fleet", "status"]);
    for part in [
        "fra is drained",
        "ops",
        "new kernel",
        "all 3",
        "on this server only",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn without_the_permission_to_report_everything_else_goes_on() {
    let world = World::start();
    let port = crate::harness::free_port();
    let mut users = String::new();
    for voter in VOTERS {
        users.push_str(&format!(
            "{{ user: {voter}, password: \"secret of {voter}\", permissions: {{ \
             publish: \"meridian.world.votes.{voter}\", subscribe: \"meridian.world.votes.*\" }} }}\n"
        ));
    }
    let text = format!("listen: 127.0.0.1:{port}\nauthorization {{ users: [\n{users}] }}\n");
    let engine = Engine::with(port, &text);
    let [ams, iad] = ["ams", "iad"].map(|voter| world.member(&engine, voter));
    for server in [&ams, &iad] {
        await_voters(server, 1);
        await_answer(server, FRA);
        server.await_log("writes the permissions that they need", 1);
    }
    await_that("votes count", || {
        row(&page(&ams), "iad")["state"] == "votes-only"
    });
    let told = page(&ams);
    assert!(
        told["refusal"]
            .as_str()
            .expect("told")
            .contains("Permissions Violation"),
        "{told}"
    );
    assert_eq!(told["summary"], "iad votes and does not report");
}

#[test]
fn two_fleets_of_one_name_on_one_engine_are_told() {
    let (world, engine) = (World::start(), Engine::start());
    let other = World::start();
    let [ams, iad] = ["ams", "iad"].map(|voter| world.member(&engine, voter));
    let alien = other.member(&engine, "sin");
    await_that("ams notices", || {
        page(&ams)["strangers"] == serde_json::json!(["sin"])
    });
    await_that("sin notices", || {
        page(&alien)["strangers"] == serde_json::json!(["ams", "iad"])
    });
    ams.await_log(
        "no check in common with sin: another configuration, or another fleet",
        1,
    );
    for server in [&ams, &iad] {
        let (fresh, known) = (&page(server)["fresh_groups"], &page(server)["known_groups"]);
        assert_eq!((fresh, known), (&2.into(), &2.into()), "sin does not count");
    }
    assert_eq!(page(&alien)["known_groups"], 1);
    assert!(get(&iad, "/metrics").contains("\nmeridian_fleet_strangers{} 1\n"));
    let summary = page(&ams)["summary"].to_string();
    assert!(
        summary.contains("perhaps another fleet of the same name"),
        "{summary}"
    );
}
