//! The real binary with real endpoints that die and return: where clients are sent meanwhile.

#[path = "harness/mod.rs"]
mod harness;

use std::time::{Duration, Instant};

use harness::types::A;
use harness::{Region, Server, Setup};

const ZONE: &str =
    "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\n";

/// Two regions; the clients of 203.0.113.0/24 are near the first.
fn setup(fra: u16, iad: u16, keys: &str) -> Setup {
    let config = format!(
        "{keys}\n[[geo.networks]]\ncidr = \"203.0.113.0/24\"\nlocation = \"FRA\"\n[regions.fra]\nlocation = \"FRA\"\n\
         [regions.iad]\nlocation = \"IAD\"\n[checks.web]\ntype = \"http\"\npath = \"/health\"\ninterval = \"200ms\"\n\
         timeout = \"200ms\"\n[[services]]\nname = \"www.example.test\"\ncheck = \"web\"\n[services.endpoints]\n\
         fra = {{ address = \"127.0.1.1\", port = {fra} }}\niad = {{ address = \"127.0.2.1\", port = {iad} }}\n"
    );
    Setup::new().zone("example.test", ZONE).config(&config)
}

const FRA: &str = "127.0.1.1";
const IAD: &str = "127.0.2.1";

fn answer(server: &Server, subnet: &str) -> Vec<String> {
    let reply = server.ask("www.example.test", A).from_subnet(subnet).send();
    reply.addresses().into_iter().map(str::to_owned).collect()
}

#[track_caller]
fn await_answer(server: &Server, expected: &str, within: Duration) {
    let start = Instant::now();
    while answer(server, "203.0.113.0/24") != [expected] {
        assert!(
            start.elapsed() < within,
            "never {expected}:\n{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many of 64 networks near Frankfurt get Frankfurt.
fn share(server: &Server) -> usize {
    (0..64)
        .filter(|network| answer(server, &format!("203.0.113.{}/30", network * 4)) == [FRA])
        .count()
}

fn run(arguments: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(arguments)
        .output();
    String::from_utf8_lossy(&output.expect("the binary runs").stdout).into_owned()
}

#[test]
fn a_dead_region_is_left_and_comes_back_slowly() {
    let (fra, iad) = (Region::start(FRA, 0), Region::start(IAD, 0));
    let server = setup(fra.port, iad.port, "").start();
    assert_eq!(share(&server), 64);
    fra.set_broken(true);
    await_answer(&server, IAD, Duration::from_secs(4));
    assert_eq!(share(&server), 0);
    server.await_log("up -> down", 1);
    let admin = format!("http://{}", server.admin.expect("it has one"));
    let told = run(&["status", "--admin", &admin]);
    assert!(
        told.contains("1 of 2 regions of www.example.test is down: fra ("),
        "{told}"
    );
    let told = run(&[
        "explain",
        "www.example.test",
        "--client",
        "203.0.113.0/24",
        "--admin",
        &admin,
    ]);
    assert!(told.contains("is down: ") && told.contains("503"), "{told}");
    fra.set_broken(false);
    server.await_log("down -> up", 1);
    std::thread::sleep(Duration::from_secs(4));
    let early = share(&server);
    assert!(early < 40, "{early} of 64 at once");
    std::thread::sleep(Duration::from_secs(16));
    let later = share(&server);
    assert!(later > early, "the share grows: {early}, {later}");
}

#[test]
fn nobody_is_ever_sent_to_an_endpoint_that_is_dead_at_the_start_or_at_a_reload() {
    let (fra, iad) = (Region::start(FRA, 0), Region::start(IAD, 0));
    fra.set_broken(true);
    let server = setup(fra.port, iad.port, "").start();
    assert_eq!(share(&server), 0);
    for _ in 0..3 {
        server.reload();
    }
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        assert_eq!(answer(&server, "203.0.113.0/24"), [IAD]);
    }
    server.await_log("\"reloaded\"", 1);
    // An endpoint that is new, and dead: nothing listens there.
    let text = std::fs::read_to_string(server.config_file()).expect("it is there");
    std::fs::write(
        server.config_file(),
        text.replace("\"127.0.1.1\"", "\"127.0.1.9\""),
    )
    .expect("writable");
    let before = server.log().matches("\"reloaded\"").count();
    server.reload();
    while server.log().matches("\"reloaded\"").count() == before {
        assert_eq!(answer(&server, "203.0.113.0/24"), [IAD]);
    }
    assert_eq!(share(&server), 0);
}

#[test]
fn when_all_are_down_all_are_given() {
    let (fra, iad) = (Region::start(FRA, 0), Region::start(IAD, 0));
    let server = setup(fra.port, iad.port, "").start();
    fra.set_broken(true);
    await_answer(&server, IAD, Duration::from_secs(4));
    iad.set_broken(true);
    await_answer(&server, FRA, Duration::from_secs(4));
    server.await_log("EVERY region of www.example.test is out", 1);
}

#[test]
fn what_was_agreed_outlives_a_restart() {
    let (fra, iad) = (Region::start(FRA, 0), Region::start(IAD, 0));
    fra.set_broken(true);
    let state = tempfile::tempdir().expect("a folder");
    let keys = format!("[state]\ndirectory = \"{}\"", state.path().display());
    assert!(setup(fra.port, iad.port, &keys).start().stop());
    // It is well again, but a first good result does not bring back what was agreed to be down.
    fra.set_broken(false);
    let server = setup(fra.port, iad.port, &keys).start();
    assert!(share(&server) < 40, "it comes back slowly");
    server.await_log("down -> up", 1);
}

/// The state says that all are down; the one that answers is given at once, not the nearest, which is dead.
#[test]
fn after_a_kill_in_the_first_moment_of_a_recovery_nobody_is_sent_to_the_dead() {
    let (fra, iad) = (Region::start(FRA, 0), Region::start(IAD, 0));
    let state = tempfile::tempdir().expect("a folder");
    let keys = format!("[state]\ndirectory = \"{}\"", state.path().display());
    let server = setup(fra.port, iad.port, &keys).start();
    fra.set_broken(true);
    iad.set_broken(true);
    server.await_log("EVERY region of www.example.test is out", 1);
    let start = Instant::now();
    let kept = || std::fs::read_to_string(state.path().join("health.json")).unwrap_or_default();
    while kept().matches("\"down\"").count() < 2 {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "never kept: {}",
            kept()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    iad.set_broken(false);
    let server = server.kill_and_start_again();
    let mut answers = 0;
    while !server.log().contains("down -> up") {
        assert!(
            start.elapsed() < Duration::from_secs(40),
            "never up:\n{}",
            server.log()
        );
        assert_eq!(
            answer(&server, "203.0.113.0/24"),
            [IAD],
            "after {answers} answers\n{}",
            server.log()
        );
        answers += 1;
    }
    assert!(answers > 0, "it takes a while until it is agreed to be up");
    await_answer(&server, IAD, Duration::from_secs(4));
}

/// Three servers that refuse are dead, not out of reach: the page that needs no check is given.
#[test]
fn the_sorry_page_is_given_when_all_that_is_checked_refuses() {
    let first = Region::start("127.0.3.1", 0);
    let port = first.port;
    let others = ["127.0.3.2", "127.0.3.3"].map(|address| Region::start(address, port));
    let config = format!(
        "[regions.one]\n[regions.two]\n[regions.three]\n[regions.sorry]\n\
         [checks.web]\ntype = \"http\"\nport = {port}\ninterval = \"200ms\"\ntimeout = \"200ms\"\n\
         [[services]]\nname = \"www.example.test\"\norder = \"priority\"\n[services.endpoints]\n\
         one = {{ address = \"127.0.3.1\", check = \"web\" }}\ntwo = {{ address = \"127.0.3.2\", check = \"web\" }}\n\
         three = {{ address = \"127.0.3.3\", check = \"web\" }}\nsorry = \"192.0.2.99\"\n"
    );
    let server = Setup::new()
        .zone("example.test", ZONE)
        .config(&config)
        .start();
    assert_eq!(answer(&server, "203.0.113.0/24"), ["127.0.3.1"]);
    first.close();
    others.iter().for_each(Region::close);
    await_answer(&server, "192.0.2.99", Duration::from_secs(10));
    let admin = format!("http://{}", server.admin.expect("it has one"));
    let told = run(&["status", "--admin", &admin]);
    assert!(
        told.contains("3 of 4 regions of www.example.test are down"),
        "{told}"
    );
    assert!(!told.contains("nothing can be reached"), "{told}");
}
