//! Every system call of a running server for files, sockets, threads and clocks fails or stalls: what clients, and
//! operators, see meanwhile and afterwards is what `docs/faults.md` says.
//!
//! Each row of that table is one play. A server with two checked regions runs; the fault begins; the near region dies,
//! an operator drains a region and reloads; the fault ends. Queries are answered throughout, the process lives, and
//! afterwards everything works as if nothing had been.

#[path = "../harness/mod.rs"]
mod harness;

mod strace;
mod table;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::query::subnet_option;
use harness::server::read_framed;
use harness::types::A;
use harness::{Question, Region, Reply, Server, Setup, Transport};
use strace::Injection;
use table::Row;

const ZONE: &str =
    "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\n";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const FRA: &str = "127.0.1.1";
const IAD: &str = "127.0.2.1";

/// How long what must happen may take: stalls of a second, under ptrace, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long what must not happen is watched for: several rounds of probes.
const WATCH: Duration = Duration::from_secs(3);
/// How long a call of the API may take before it counts as no connection.
const CALL: Duration = Duration::from_secs(12);
/// How often a question is asked, and how long a resolver waits each time.
const TRIES: usize = 5;
const REPLY: Duration = Duration::from_secs(2);
/// The section whose servers run programs as checks. Elsewhere they would only be in the way: strace has to let go of a
/// child that is just being made.
const PROGRAMS: &str = "Threads and processes";
/// Rows that are played at the same time.
const TOGETHER: usize = 3;

#[test]
fn files() {
    play_all("Files");
}

#[test]
fn sockets() {
    play_all("Sockets");
}

#[test]
fn threads_and_processes() {
    play_all(PROGRAMS);
}

#[test]
fn clocks_and_waiting() {
    play_all("Clocks and waiting");
}

/// Whoever adds a call adds what happens when it fails.
#[test]
fn every_call_is_in_the_table() {
    let regions = (Region::start(FRA, 0), Region::start(IAD, 0));
    let server = start(&regions.0, &regions.1, true);
    let watching = Injection::watch(server.id(), &server.folder().join("strace"));
    let quiet = Row {
        calls: "",
        fault: "",
        answers: "follow",
        order: "done",
        reload: "done",
        said: "",
    };
    watch(&quiet, &server, &regions.0).expect("nothing fails");
    let known = table::known_calls();
    let seen = watching.seen();
    assert!(seen.len() > 15, "{seen:?}");
    let unknown: Vec<&String> = seen
        .iter()
        .filter(|call| !known.contains(&call.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "docs/faults.md says nothing of {unknown:?}"
    );
}

/// Plays the rows of a section, and reports all that differ from what they say.
/// Most threads and processes that a start makes.
const MOST_MADE: usize = 64;

#[test]
fn a_thread_that_cannot_be_made_at_the_start_is_an_error() {
    let (config, folder) = Setup::new().zone("example.test", ZONE).config("").written();
    let notes = folder.path().join("notes");
    for number in 1..=MOST_MADE {
        let mut strace = Command::new("strace");
        strace
            .args([
                "-f",
                "-qqq",
                "-e",
                "trace=clone3",
                "-e",
                "signal=none",
                "-o",
            ])
            .arg(&notes);
        strace.args(["-e", &format!("inject=clone3:error=EAGAIN:when={number}")]);
        strace
            .args([env!("CARGO_BIN_EXE_meridian"), "serve", "--config"])
            .arg(&config);
        let mut child = strace
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is installed");
        let mut ready = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut ready)
            .expect("it says something or ends");
        if ready.starts_with("ready") {
            end_traced(child.id());
        }
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "thread {number}: {said}");
        let faults = fs::read_to_string(&notes).expect("strace notes");
        if !faults.contains("INJECTED") {
            assert!(number > 5, "a start makes more threads than {number}");
            return;
        }
        if !ready.starts_with("ready") {
            assert_eq!(output.status.code(), Some(1), "thread {number}: {said}");
            assert!(
                said.lines().any(|line| line.starts_with("meridian: ")),
                "thread {number}: {said}"
            );
        }
    }
    panic!("a start makes more than {MOST_MADE} threads");
}

/// Ends the program that strace has started.
fn end_traced(strace: u32) {
    let children =
        fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).expect("strace runs");
    for child in children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
    {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_raw(child).expect("not 0"),
            rustix::process::Signal::TERM,
        );
    }
}

fn play_all(section: &str) {
    let mut differing = Vec::new();
    for rows in table::rows(section).chunks(TOGETHER) {
        std::thread::scope(|scope| {
            let plays: Vec<_> = rows
                .iter()
                .map(|row| (row, scope.spawn(move || play(row, section == PROGRAMS))))
                .collect();
            for (row, play) in plays {
                let differs = play.join().unwrap_or_else(|panic| Err(text_of(&*panic)));
                if let Err(sentence) = differs {
                    differing.push(format!("{} {}: {sentence}", row.calls, row.fault));
                }
            }
        });
    }
    assert!(
        differing.is_empty(),
        "docs/faults.md, {section}:\n{}",
        differing.join("\n\n")
    );
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic").to_owned()
}

/// One row from start to end.
fn play(row: &Row, with_programs: bool) -> Result<(), String> {
    let regions = (Region::start(FRA, 0), Region::start(IAD, 0));
    let mut server = start(&regions.0, &regions.1, with_programs);
    let notes = server.folder().join("strace");
    let injection = Injection::begin(server.id(), row.calls, row.fault, &notes);
    let meanwhile = watch(row, &server, &regions.0);
    let touched = injection.end();
    if !server.is_alive() {
        return Err(format!("the process ended\n{}", server.log()));
    }
    let meanwhile = meanwhile.map_err(|sentence| format!("{sentence}\n{}", server.log()))?;
    if touched == 0 {
        return Err("no call was touched".to_owned());
    }
    expect_healed(&server, &regions.0)?;
    let is_said = server.log().contains(row.said) || meanwhile.contains(row.said);
    if !row.said.is_empty() && !is_said {
        return Err(format!(
            "nothing says {:?}\n{}\n{meanwhile}",
            row.said,
            server.log()
        ));
    }
    Ok(())
}

/// A server with two checked regions; clients of 203.0.113.0/24 are near `fra`.
fn start(fra: &Region, iad: &Region, with_programs: bool) -> Server {
    let (program, check) = match with_programs {
        true => (
            "[checks.own]\ntype = \"exec\"\nprogram = \"/bin/true\"\ninterval = \"200ms\"\ntimeout = \"200ms\"\n",
            "check = \"own\"\n",
        ),
        false => ("", ""),
    };
    let config = format!(
        "[state]\ndirectory = \"state\"\n[[geo.networks]]\ncidr = \"203.0.113.0/24\"\nlocation = \"FRA\"\n\
         [regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n[regions.nrt]\nlocation = \"NRT\"\n\
         [checks.web]\ntype = \"http\"\ninterval = \"200ms\"\ntimeout = \"200ms\"\nrise = 2\n\
         {program}\
         [[services]]\nname = \"www.example.test\"\ncheck = \"web\"\nramp = \"0s\"\n[services.endpoints]\n\
         fra = {{ address = \"{FRA}\", port = {} }}\niad = {{ address = \"{IAD}\", port = {} }}\n\
         [[services]]\nname = \"shop.example.test\"\n{check}[services.endpoints]\nnrt = \"192.0.2.3\"\n",
        fra.port, iad.port
    );
    let setup = Setup::new()
        .zone("example.test", ZONE)
        .admin("token_file = \"token\"")
        .config(&config);
    let setup = setup.file("token", TOKEN.as_bytes());
    fs::set_permissions(
        setup.folder().join("token"),
        fs::Permissions::from_mode(0o600),
    )
    .expect("it is ours");
    setup.start()
}

/// Does everything that people and fate do while the fault is in force; returns what status and metrics said.
fn watch(row: &Row, server: &Server, fra: &Region) -> Result<String, String> {
    expect_answers(server)?;
    fra.set_broken(true);
    let followed = || www(server).as_deref() == Some(IAD);
    match row.answers {
        "follow" => eventually(PATIENCE, followed)
            .then_some(())
            .ok_or("the dead region is never left")?,
        "are held" => (!eventually(WATCH, followed))
            .then_some(())
            .ok_or("the region is left")?,
        other => return Err(format!("{other:?} is no word for answers")),
    }
    let order = call(
        server,
        "PUT",
        "/v1/regions/nrt/drain",
        r#"{"reason": "test", "yes": true}"#,
    );
    expect_outcome("a drain", row.order, &order)?;
    let reload = call(server, "POST", "/v1/reload", "{}");
    expect_outcome("a reload", row.reload, &reload)?;
    expect_answers(server)?;
    let said =
        ["/v1/status", "/metrics", "/healthz"].map(|path| body(call(server, "GET", path, "")));
    Ok([said.join("\n"), body(order), body(reload)].join("\n"))
}

/// Static and steered names are answered; over TCP, where connections can be had at all, the same.
fn expect_answers(server: &Server) -> Result<(), String> {
    let over_tcp = address_over_tcp(server, &Question::new("ns1.example.test", A));
    if over_tcp
        .as_deref()
        .is_some_and(|address| address != "127.0.0.1")
    {
        return Err(format!(
            "over TCP, ns1.example.test is answered {over_tcp:?}"
        ));
    }
    let fixed = address(server, Question::new("ns1.example.test", A));
    if fixed.as_deref() != Some("127.0.0.1") {
        return Err(format!("ns1.example.test is answered {fixed:?}"));
    }
    match www(server).as_deref() {
        Some(FRA | IAD) => Ok(()),
        other => Err(format!("www.example.test is answered {other:?}")),
    }
}

fn expect_outcome(what: &str, expected: &str, found: &Option<(u16, String)>) -> Result<(), String> {
    let word = match found {
        None => "no connection",
        Some((200..=299, _)) => "done",
        Some((507, _)) => "not kept",
        Some(_) => "refused",
    };
    if word == expected {
        Ok(())
    } else {
        Err(format!("{what} is {word}, not {expected}: {found:?}"))
    }
}

/// With the fault gone, failover, orders, reloads and health work as ever.
fn expect_healed(server: &Server, fra: &Region) -> Result<(), String> {
    let healed = |what: &str, holds: &dyn Fn() -> bool| {
        eventually(PATIENCE, holds)
            .then_some(())
            .ok_or_else(|| format!("afterwards, {what}\n{}", server.log()))
    };
    healed("the region that died meanwhile is not left", &|| {
        www(server).as_deref() == Some(IAD)
    })?;
    fra.set_broken(false);
    healed("the region that returns is not given", &|| {
        www(server).as_deref() == Some(FRA)
    })?;
    healed("/healthz is not ok", &|| {
        call(server, "GET", "/healthz", "").is_some_and(|(status, _)| status == 200)
    })?;
    healed("a reload fails", &|| {
        call(server, "POST", "/v1/reload", "{}").is_some_and(|(status, _)| status == 200)
    })?;
    let drain = || {
        call(
            server,
            "PUT",
            "/v1/regions/nrt/drain",
            r#"{"reason": "test", "yes": true}"#,
        )
    };
    healed("a drain fails", &|| {
        drain().is_some_and(|(status, _)| status == 200)
    })
}

/// Where clients near Frankfurt are sent.
fn www(server: &Server) -> Option<String> {
    address(
        server,
        Question::new("www.example.test", A).option(8, &subnet_option("203.0.113.0/24")),
    )
}

/// The first address of the answer. Asks again when a reply is lost, as resolvers do.
fn address(server: &Server, question: Question) -> Option<String> {
    for _ in 0..TRIES {
        if let Some(received) = server.reply_within(&question.octets(), REPLY) {
            let reply = Reply::checked(&question, Transport::Udp, &received);
            return reply
                .addresses()
                .first()
                .map(|address| (*address).to_owned());
        }
    }
    None
}

/// The first address of the answer over TCP, if there is one.
fn address_over_tcp(server: &Server, question: &Question) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&server.address(), REPLY).ok()?;
    stream.set_read_timeout(Some(REPLY)).ok()?;
    let message = question.octets();
    stream
        .write_all(&[&(message.len() as u16).to_be_bytes(), &message[..]].concat())
        .ok()?;
    let reply = Reply::checked(question, Transport::Tcp, &read_framed(&mut stream)?);
    reply
        .addresses()
        .first()
        .map(|address| (*address).to_owned())
}

fn eventually(within: Duration, holds: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < within {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Status and body of a call; `None`: nobody answers.
fn call(server: &Server, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&server.admin?, CALL).ok()?;
    stream.set_read_timeout(Some(CALL)).ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    Some((
        status,
        text.split_once("\r\n\r\n")
            .map_or(String::new(), |(_, body)| body.to_owned()),
    ))
}

fn body(answer: Option<(u16, String)>) -> String {
    answer.map_or(String::new(), |(_, body)| body)
}
