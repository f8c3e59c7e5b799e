//! Nobody waits for what he does not need: orders not for a reload, a sign of life not for anybody.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
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
    command
        .args([
            "-f",
            "-p",
            &process,
            "-e",
            "trace=openat",
            "-e",
            &delay,
            "-P",
        ])
        .arg(path);
    let mut strace = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace can be run; install it with: sudo apt-get install strace");
    let mut told = BufReader::new(strace.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("attached") {
        line.clear();
        assert!(
            told.read_line(&mut line).expect("it tells") > 0,
            "strace could not attach: {line}"
        );
    }
    // What else it tells is read, so that it never waits for us.
    std::thread::spawn(move || told.lines().map_while(Result::ok).for_each(drop));
    Process(strace)
}

/// Whether some thread of the server is being held up.
fn is_held_up(server: &Server) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.id())).expect("it runs");
    let mut states = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    states.any(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('t'))
    })
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
        let leases: Vec<_> = leased
            .iter()
            .map(|address| scope.spawn(|| timed(|| lease(server, address))))
            .collect();
        for (method, path, body) in [
            ("PUT", "/v1/regions/fra/drain", "{\"yes\": true}"),
            ("GET", "/healthz", ""),
            ("GET", "/v1/status", ""),
            (
                "GET",
                "/v1/explain?name=www.example.test&client=203.0.113.7",
                "",
            ),
            ("GET", "/metrics", ""),
            ("PUT", "/v1/regions/fra/weight", "{\"weight\": 7}"),
            ("DELETE", "/v1/regions/fra/drain", "{}"),
        ] {
            let ((status, told), took) = timed(|| call(server, method, path, TOKEN, body));
            assert_eq!(status, 200, "{method} {path}: {told}");
            assert!(
                took < AT_ONCE,
                "{method} {path} took {took:?}\n{}",
                server.log()
            );
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
    let _leased: Vec<Region> = leased
        .iter()
        .map(|address| Region::start(address, fra.port))
        .collect();
    let server = start(&fra, "");
    let zone = server.folder().join("zones/example.test.zone");
    let strace = hold_up_opening(&server, &zone, HELD_UP);
    server.reload();
    eventually(&server, Duration::from_secs(5), "the reload hangs", || {
        is_held_up(&server)
    });
    let leased: Vec<&str> = leased.iter().map(String::as_str).collect();
    nothing_waits(&server, &leased, || is_held_up(&server));
    // Failover goes on, too.
    fra.set_broken(true);
    server.await_log(&format!("{FRA}:{} of {SERVICE}: up -> down", fra.port), 1);
    assert!(
        is_held_up(&server),
        "the reload was over before failover was"
    );
    server.await_log("\"reloaded", 1);
    drop(strace);
    // What was leased and ordered meanwhile holds after the reload.
    let status = say(&server, &["status"]);
    assert!(
        leased.iter().all(|address| status.contains(address)),
        "{status}"
    );
    assert!(
        call(&server, "GET", "/metrics", "", "")
            .1
            .contains("meridian_order{action=\"weight\"")
    );
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
    nothing_waits(&server, &["127.0.1.11"], || {
        !server.log().contains("\"reloaded")
    });
    server.await_log("\"reloaded", 1);
    assert!(
        say(&server, &["status", "--wide"]).contains("127.0.1.11"),
        "what was leased meanwhile stays"
    );
}

/// Connections from one address, and from as many as there are places, that all say they have something to say.
fn held(server: &Server, beginning: &str) -> Vec<TcpStream> {
    let admin = server.admin.expect("it has one");
    let addresses =
        (0..10).flat_map(|host| std::iter::repeat_n(format!("127.0.0.{}", host + 2), 32));
    let mut held: Vec<TcpStream> = addresses
        .map(|address| world::connect_from(&address, admin))
        .collect();
    held.extend((0..200).map(|_| world::connect_from("127.0.0.66", admin)));
    for stream in &mut held {
        let _ = stream.write_all(beginning.as_bytes());
    }
    held
}

/// Signs of life, looks and orders, of somebody who comes while others hold all that they can.
#[track_caller]
fn somebody_is_served(server: &Server) {
    for (method, path, body) in [
        ("GET", "/healthz", ""),
        ("GET", "/readyz", ""),
        ("PUT", "/v1/regions/fra/drain", "{}"),
        ("DELETE", "/v1/regions/fra/drain", "{}"),
        ("GET", "/v1/status", ""),
        ("GET", "/metrics", ""),
    ] {
        let ((status, told), took) = timed(|| call(server, method, path, TOKEN, body));
        assert_eq!(status, 200, "{method} {path}: {told}");
        assert!(
            took < Duration::from_secs(1),
            "{method} {path} took {took:?}"
        );
    }
}

#[test]
fn half_sent_bodies_hold_up_nobody() {
    let server = world::start("");
    for beginning in [
        "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
        "GET /healthz HTTP/1.1\r\nHost: local",
        "",
        "GET /v1/shares?name=x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let held = held(&server, beginning);
        somebody_is_served(&server);
        drop(held);
    }
}

/// A body is asked for from whoever has shown the token alone, so a stranger is told at once.
#[test]
fn the_gate_comes_before_the_body() {
    let server = world::start("");
    let head = "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n";
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    for (fields, expected) in [
        ("", "401"),
        (
            "Authorization: Bearer 0123456789abcdef0123456789abcdeX\r\n",
            "401",
        ),
        ("Host: rebound.example\r\n", "4"),
    ] {
        let (answer, took) = timed(|| raw(&server, format!("{head}{fields}\r\n{{").as_bytes()));
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected}")),
            "{answer}"
        );
        assert!(took < Duration::from_secs(3), "{took:?}: {answer}");
    }
    let long = head.replace("1000", "1000000000");
    assert!(raw(&server, format!("{long}{right}\r\n{{").as_bytes()).starts_with("HTTP/1.1 413 "));
    // Whoever may change something has ten seconds for the body.
    let (answer, took) = timed(|| raw(&server, format!("{head}{right}\r\n{{").as_bytes()));
    assert!(
        answer.starts_with("HTTP/1.1 408 ")
            && answer.contains("{\"error\":\"the body did not arrive"),
        "{answer}"
    );
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// What comes back until the server closes.
fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = world::connect_from("127.0.0.1", server.admin.expect("it has one"));
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn every_error_is_an_object_with_a_sentence() {
    let server = world::start(
        "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\n",
    );
    let authorized =
        format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n");
    let with_body = |method: &str, path: &str, body: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\n{authorized}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let get =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let drain = "/v1/regions/fra/drain";
    let fields: String = (0..100)
        .map(|number| format!("X-{number}: y\r\n"))
        .collect();
    let table: Vec<(u16, String)> = vec![
        // What is no HTTP, or too much of it.
        (400, "\r\n\r\n\0\0\r\n\r\n".to_owned()),
        (400, "GET\r\n\r\n".to_owned()),
        (400, "GET / HTTP/9.9\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned()),
        (
            400,
            "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n".to_owned(),
        ),
        (
            400,
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
        ),
        (
            431,
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000)),
        ),
        (
            431,
            format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
        ),
        (
            431,
            format!(
                "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "x".repeat(20_000)
            ),
        ),
        // The second request on a connection, too.
        (
            400,
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGARBAGE\r\n\r\n".to_owned(),
        ),
        // Where nothing is, or not for that method.
        (404, get("/v2")),
        (404, get("//")),
        (404, get("/v1/regions/fra")),
        (405, get("/v1/reload")),
        (405, with_body("BREW", "/v1/status", "")),
        (405, with_body("DELETE", "/healthz", "")),
        // Parameters.
        (400, get("/v1/explain?%ff")),
        (400, get("/v1/explain?name=x&client=%ff")),
        (400, get("/v1/explain")),
        (400, get("/v1/shares?name=x&over=y")),
        (400, get("/v1/events?after=x")),
        (
            421,
            get("/v1/status").replace("localhost", "rebound.example"),
        ),
        (
            403,
            get("/v1/status").replace("Connection", "Sec-Fetch-Site: cross-site\r\nConnection"),
        ),
        // Paths and bodies.
        (400, with_body("PUT", "/v1/regions/%ff/drain", "{}")),
        (
            400,
            with_body(
                "PUT",
                "/v1/services/www.example.test/endpoints/fra/%ff",
                "{}",
            ),
        ),
        (404, with_body("PUT", "/v1/regions/%00/drain", "{}")),
        (400, with_body("PUT", drain, "[]")),
        (400, with_body("PUT", drain, "[\"a reason\"]")),
        (400, with_body("PUT", drain, "null")),
        (400, with_body("PUT", drain, "\u{feff}{}")),
        (400, with_body("PUT", drain, "{\"for\": []}")),
        (400, with_body("POST", "/v1/reload", "[]")),
        (400, with_body("POST", "/v1/reload", "reload=yes")),
        (413, with_body("PUT", drain, &"x".repeat(70_000))),
        (
            413,
            format!(
                "PUT {drain} HTTP/1.1\r\n{authorized}Transfer-Encoding: chunked\r\n\r\n20000\r\n{}",
                "x".repeat(0x20000)
            ),
        ),
        (401, with_body("PUT", drain, "{}").replace(TOKEN, "x")),
        (
            401,
            with_body("PUT", drain, "{}").replace("Bearer", "Basic"),
        ),
        (
            401,
            with_body("PUT", drain, "{}").replace("Authorization", "X"),
        ),
    ];
    for (status, request) in &table {
        let answer = raw(&server, request.as_bytes());
        let shown: String = request.chars().take(100).collect();
        let last = answer.rfind("HTTP/1.1 ").map_or("", |at| &answer[at..]);
        assert!(
            last.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown:?}: {answer}"
        );
        let (head, body) = last.split_once("\r\n\r\n").expect("a head");
        assert!(
            head.to_lowercase()
                .contains("content-type: application/json"),
            "{shown:?}: {answer}"
        );
        let body: serde_json::Value =
            serde_json::from_str(body).unwrap_or_else(|_| panic!("{shown:?}: {answer}"));
        assert!(
            body["error"]
                .as_str()
                .is_some_and(|sentence| sentence.len() > 5),
            "{shown:?}: {answer}"
        );
    }
    // A head that does not end is told so, and so is one that was cut off by nobody but the clock.
    let (answer, took) = timed(|| raw(&server, b"GET /healthz HTTP/1.1\r\nHost: local"));
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("{\"error\":"),
        "{answer}"
    );
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// Half of them have no token, half a wrong one: the log has a line or two, and the number of the rest.
#[test]
fn refused_calls_are_a_line_a_second_of_the_log_for_each_address() {
    let server = world::start("");
    let start = Instant::now();
    for address in ["127.0.0.1", "127.0.0.2"] {
        for _ in 0..100 {
            let mut stream = world::connect_from(address, server.admin.expect("it has one"));
            let _ =
                stream.write_all(b"PUT /v1/regions/fra/drain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("it answers");
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        }
    }
    server.await_log("\"status\":401", 2);
    let lines = server.log().matches("\"status\":401").count() as u64;
    assert!(
        (2..=2 + 2 * (start.elapsed().as_secs() + 1)).contains(&lines),
        "{lines} in {:?}",
        start.elapsed()
    );
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(
        call(&server, "PUT", "/v1/regions/fra/drain", "wrong", "{}").0,
        401
    );
    server.await_log("more refused calls of 127.0.0.1", 1);
}

/// What the probes of a container ask with.
#[test]
fn a_sign_of_life_is_a_command() {
    let server = world::start("");
    assert_eq!(
        (
            say(&server, &["status", "--live"]),
            say(&server, &["status", "--ready"])
        ),
        ("ok".into(), "ok".into())
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = command
        .args(["status", "--live", "--admin", "127.0.0.1:1"])
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

fn start(fra: &Region, lines: &str) -> Server {
    world::start(&format!(
        "[checks.web]\ntype = \"http\"\nport = {}\ninterval = \"500ms\"\ntimeout = \"500ms\"\n{lines}\n\
         [[services]]\nname = \"{SERVICE}\"\ncheck = \"web\"\n[services.endpoints]\nfra = \"{FRA}\"\n",
        fra.port
    ))
}
