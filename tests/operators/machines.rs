//! Machines that lack something: here IPv6, in a network namespace without it. Needs root.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::Server;
use crate::harness::server::start;

/// A command in a network namespace of its own, where loopback is up and IPv6 is off.
fn without_ipv6(arguments: &[&str], folder: &Path) -> Command {
    let script = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && ip link set lo up && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--net", "sh", "-c", script, env!("CARGO_BIN_EXE_meridian")])
        .args(arguments);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .current_dir(folder)
        .env("PATH", format!("{path}:/usr/sbin"));
    command
}

/// What dig prints in the namespace of a server.
fn dig(server: &Server, name: &str) -> String {
    let (port, namespace) = (
        server.address().port().to_string(),
        format!("--net=/proc/{}/ns/net", server.id()),
    );
    let mut command = Command::new("nsenter");
    command.args([
        &namespace,
        "dig",
        "@127.0.0.1",
        "-p",
        &port,
        "+short",
        "+time=5",
        name,
        "A",
    ]);
    command.arg("+subnet=193.0.0.0/21");
    String::from_utf8_lossy(&command.output().expect("nsenter of util-linux").stdout)
        .trim()
        .to_owned()
}

#[test]
fn what_init_writes_starts_where_there_is_no_ipv6() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut init = Command::new(env!("CARGO_BIN_EXE_meridian"));
    init.args([
        "init",
        "--domain",
        "example.com",
        "--region",
        "fra=FRA@192.0.2.1",
        "--region",
        "iad=IAD@192.0.2.2",
    ]);
    assert!(
        init.current_dir(folder.path())
            .output()
            .expect("the binary runs")
            .status
            .success()
    );
    let server = start(without_ipv6(&["serve"], folder.path()), folder);
    assert_eq!(
        server.addresses,
        ["127.0.0.1:1053".parse().expect("an address")]
    );
    assert_eq!(dig(&server, "www.example.com"), "192.0.2.1");
    server.await_log("cannot listen on [::1]:1053: this machine has no IPv6", 1);
}

#[test]
fn what_the_package_installs_starts_where_there_is_no_ipv6() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/debian");
    let text = fs::read_to_string(packaging.join("meridian.toml")).expect("it is there");
    // As it is, but for where the state is; with a listener of every kind that every machine with IPv6 has.
    let text = text.replace(
        "/var/lib/meridian",
        &folder.path().join("state").display().to_string(),
    );
    fs::write(folder.path().join("meridian.toml"), text).expect("writable");
    fs::create_dir(folder.path().join("zones")).expect("a new folder");
    fs::copy(
        packaging.join("zones/example.com.zone"),
        folder.path().join("zones/example.com.zone"),
    )
    .expect("writable");
    let server = start(without_ipv6(&["serve"], folder.path()), folder);
    assert_eq!(dig(&server, "www.example.com"), "192.0.2.3");
}

#[test]
fn where_no_address_is_left_or_a_named_one_is_missing_the_start_is_refused() {
    for (listen, expected) in [
        (
            "[\"[::1]:1053\"]",
            "this machine has none of the addresses to listen on",
        ),
        (
            "[\"127.0.0.1:1053\", \"[2001:db8::1]:1053\"]",
            "cannot listen on [2001:db8::1]:1053",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = format!("[server]\nlisten = {listen}\n[zones]\ndirectory = \"zones\"\n");
        fs::write(folder.path().join("meridian.toml"), text).expect("writable");
        fs::create_dir(folder.path().join("zones")).expect("a new folder");
        let zone =
            "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\n";
        fs::write(folder.path().join("zones/example.test.zone"), zone).expect("writable");
        let output = without_ipv6(&["serve"], folder.path())
            .output()
            .expect("unshare of util-linux, and root");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(expected), "{told}");
    }
}
