//! Signals: what ends a server ends it within a second at any moment, and what means nothing does not end it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::Setup;
use crate::world::{self, www};

/// A second, and something for a machine that does much else.
const SOON: Duration = Duration::from_secs(2);
const ZONE: &str =
    "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\n";

/// A server with an endpoint that takes connections and says nothing for so long.
fn silent(listener: &TcpListener, timeout: &str) -> Setup {
    let port = listener.local_addr().expect("bound").port();
    Setup::new().zone("example.test", ZONE).config(&format!(
        "[checks.web]\ntype = \"http\"\ninterval = \"30s\"\ntimeout = \"{timeout}\"\n[regions.fra]\nlocation = \"FRA\"\n\
         [[services]]\nname = \"www.example.test\"\ncheck = \"web\"\n[services.endpoints]\n\
         fra = {{ address = \"127.0.0.1\", port = {port} }}\n"
    ))
}

fn send(process: u32, signal: i32) {
    // SAFETY: the process is our child and not waited for yet, so its number is still its own.
    assert_eq!(
        unsafe { libc::kill(process as i32, signal) },
        0,
        "the server is gone"
    );
}

#[test]
fn a_start_that_waits_for_probes_ends_within_a_second() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (mut process, folder) = silent(&listener, "20s").begin();
        // The first probe is under way.
        let _probe = listener.accept().expect("it is probed");
        send(process.0.id(), signal);
        let start = Instant::now();
        let status = process.0.wait().expect("it is our child");
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(
            status.success() && start.elapsed() < SOON,
            "{status} after {:?}\n{log}",
            start.elapsed()
        );
    }
}

#[test]
fn a_reload_that_is_asked_for_during_the_start_is_made_after_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let pid = std::sync::mpsc::channel();
    let (config, folder) = silent(&listener, "3s").written();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(["serve", "--config"])
        .arg(&config)
        .current_dir(folder.path());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _probe = listener.accept().expect("it is probed");
            let id = child_with(&config);
            send(id, libc::SIGHUP);
            let _ = pid.0.send(id);
        });
        let server = crate::harness::server::start(command, folder);
        assert_eq!(pid.1.recv().expect("it was found"), server.id());
        server.await_log("\"reloaded\"", 1);
    });
}

/// The process that serves this configuration.
fn child_with(config: &std::path::Path) -> u32 {
    let config = config.to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").expect("proc(5)").flatten();
    let numbers =
        processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let has_it = |id: &u32| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line)
            .split('\0')
            .any(|word| word == config)
    };
    numbers.into_iter().find(has_it).expect("it runs")
}

#[test]
fn signals_that_mean_nothing_end_nothing() {
    let server = world::start(
        "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n",
    );
    for (signal, name) in [
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, ""),
    ] {
        server.signal(signal);
        if !name.is_empty() {
            server.await_log(&format!("{name} is ignored"), 1);
        }
        assert_eq!(www(&server), "192.0.2.1");
    }
    let (ended_well, took) = server.ended_by(libc::SIGINT);
    assert!(ended_well && took < SOON, "{ended_well} {took:?}");
}
