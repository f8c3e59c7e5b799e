//! Nobody waits for what he does not need: orders not for a reload, a sign of life not for anybody.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::server::Process;
use crate::harness::{Region, Server};
use crate::world::{self, TOKEN, call, eventually, say};

const FRA: &str = "127.0.1.1";
const IAD: &str = "127.0.2.1";
const SERVICE: &str = "www.example.test";

/// How long a reload is held up.
const HELD_UP: Duration = Duration::from_secs(6);
/// How long what does not wait for it may take on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Lets every opening of a file take so long, on the thread that opens it, as a mount that is gone does.
fn hold_up_opening(server: &Server, path: &Path, time: Duration) -> Process {
    let process = server.id().to_string();
    let delay = format!("inject=openat:delay_enter={}", time.as_micros());
    let mut command = Command::new("strace");
    command.args(["-f", "-p", &process, "-e", "trace=openat", "-e", &delay, "-P"]).arg(path);
    let mut strace = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace can be run; install it with: sudo apt-get install strace");
    let mut told = BufReader::new(strace.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("attached") {
        line.clear();
        assert!(told.read_line(&mut line).expect("it tells") > 0, "strace could not attach: {line}");
    }
    // What else it tells is read, so that it never waits for us.
    std::thread::spawn(move || told.lines().map_while(Result::ok).for_each(drop));
    Process(strace)
}

/// Whether some thread of the server is being held up.
fn is_held_up(server: &Server) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.id())).expect("it runs");
    let mut states = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    states.any(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('t')))
}

/// How long something takes, with its result.
fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = what();
    (result, start.elapsed())
}

fn lease(server: &Server, address: &str) -> (u16, String) {
    let path = format!("/v1/services/{SERVICE}/endpoints/fra/{address}");
    call(server, "PUT", &path, TOKEN, "{\"ttl\": \"60s\"}")
}

/// Leases, drains, weights, signs of life, explanations: none of them waits while `still` holds.
#[track_caller]
fn nothing_waits(server: &Server, leased: &[&str], still: impl Fn() -> bool) {
    std::thread::scope(|scope| {
        let leases: Vec<_> = leased.iter().map(|address| scope.spawn(|| timed(|| lease(server, address)))).collect();
        for (method, path, body) in [
            ("PUT", "/v1/regions/fra/drain", "{}"),
            ("GET", "/healthz", ""),
            ("GET", "/v1/status", ""),
            ("GET", "/v1/explain?name=www.example.test&client=203.0.113.7", ""),
            ("GET", "/metrics", ""),
            ("PUT", "/v1/regions/fra/weight", "{\"weight\": 7}"),
            ("DELETE", "/v1/regions/fra/drain", "{}"),
        ] {
            let ((status, told), took) = timed(|| call(server, method, path, TOKEN, body));
            assert_eq!(status, 200, "{method} {path}: {told}");
            assert!(took < AT_ONCE, "{method} {path} took {took:?}\n{}", server.log());
        }
        for lease in leases {
            let ((status, told), took) = lease.join().expect("it was answered");
            assert_eq!(status, 200, "{told}");
            assert!(took < AT_ONCE, "a lease took {took:?}\n{}", server.log());
        }
    });
    assert!(still(), "the reload was over before this was");
}

#[test]
fn orders_and_leases_do_not_wait_for_a_reload_that_cannot_read() {
    let fra = Region::start(FRA, 0);
    let leased: Vec<String> = (11..15).map(|host| format!("127.0.1.{host}")).collect();
    let _leased: Vec<Region> = leased.iter().map(|address| Region::start(address, fra.port)).collect();
    let server = start(&fra, "");
    let zone = server.folder().join("zones/example.test.zone");
    let strace = hold_up_opening(&server, &zone, HELD_UP);
    server.reload();
    eventually(&server, Duration::from_secs(5), "the reload hangs", || is_held_up(&server));
    let leased: Vec<&str> = leased.iter().map(String::as_str).collect();
    nothing_waits(&server, &leased, || is_held_up(&server));
    // Failover goes on, too.
    fra.set_broken(true);
    server.await_log(&format!("{FRA}:{} of {SERVICE}: up -> down", fra.port), 1);
    assert!(is_held_up(&server), "the reload was over before failover was");
    server.await_log("\"reloaded", 1);
    drop(strace);
    // What was leased and ordered meanwhile holds after the reload.
    let status = say(&server, &["status"]);
    assert!(leased.iter().all(|address| status.contains(address)), "{status}");
    assert!(call(&server, "GET", "/metrics", "", "").1.contains("meridian_order{action=\"weight\""));
}

#[test]
fn orders_and_leases_do_not_wait_for_a_reload_that_waits_for_probes() {
    let fra = Region::start(FRA, 0);
    let _leased = Region::start("127.0.1.11", fra.port);
    let server = start(&fra, "");
    // It takes connections and says nothing.
    let silent = TcpListener::bind((IAD, 0)).expect("a free port");
    let port = silent.local_addr().expect("bound").port();
    let slow = format!(
        "[checks.slow]\ntype = \"http\"\nport = {port}\ninterval = \"10s\"\ntimeout = \"{}s\"\n\
         [[services]]\nname = \"slow.example.test\"\ncheck = \"slow\"\n[services.endpoints]\niad = \"{IAD}\"\n",
        HELD_UP.as_secs()
    );
    let config = fs::read_to_string(server.config_file()).expect("it is there");
    fs::write(server.config_file(), format!("{config}\n{slow}")).expect("it can be written");
    server.reload();
    let (_probe, _) = silent.accept().expect("the reload probes what is new");
    nothing_waits(&server, &["127.0.1.11"], || !server.log().contains("\"reloaded"));
    server.await_log("\"reloaded", 1);
    assert!(say(&server, &["status"]).contains("127.0.1.11"), "what was leased meanwhile stays");
}

fn start(fra: &Region, lines: &str) -> Server {
    world::start(&format!(
        "[checks.web]\ntype = \"http\"\nport = {}\ninterval = \"500ms\"\ntimeout = \"500ms\"\n{lines}\n\
         [[services]]\nname = \"{SERVICE}\"\ncheck = \"web\"\n[services.endpoints]\nfra = \"{FRA}\"\n",
        fra.port
    ))
}
