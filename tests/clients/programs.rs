//! Programs of others: found, run within a time, and their words.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Which Debian package has which program.
const PACKAGES: [(&str, &str); 18] = [
    ("dig", "bind9-dnsutils"),
    ("delv", "bind9-dnsutils"),
    ("kdig", "knot-dnsutils"),
    ("drill", "ldnsutils"),
    ("dnsperf", "dnsperf"),
    ("unbound", "unbound"),
    ("gdnsd", "gdnsd"),
    ("nginx", "nginx"),
    ("haproxy", "haproxy"),
    ("caddy", "caddy"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("dnsdist", "dnsdist"),
    ("ip", "iproute2"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("prometheus-alertmanager", "prometheus-alertmanager"),
    ("amtool", "prometheus-alertmanager"),
];

/// Longest run of a program.
const LIMIT: Duration = Duration::from_secs(60);

/// The program's path; a test cannot go on without it.
#[track_caller]
pub fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        let package = PACKAGES
            .iter()
            .find(|(known, _)| *known == program)
            .map_or(program, |(_, package)| package);
        panic!("{program} is not installed; install it with: sudo apt-get install {package}")
    })
}

/// Starts a program with its words kept.
#[track_caller]
pub fn start(program: &str, arguments: &[&str]) -> std::process::Child {
    let mut command = Command::new(find(program));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Runs a program to its end, and gives back what it printed.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> String {
    finish(program, start(program, arguments))
}

/// Waits for a program, within the limit.
#[track_caller]
pub fn finish(program: &str, mut child: std::process::Child) -> String {
    let deadline = Instant::now() + LIMIT;
    while child.try_wait().expect("it is our child").is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("{program} did not end within {LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("it has ended");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(
        status.success(),
        "{program} ended with {status}:\n{stdout}\n{stderr}"
    );
    stdout.into_owned()
}
