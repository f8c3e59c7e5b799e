//! `[admin] tls`: the admin address over HTTPS, its certificate, and those who never finish a handshake.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::harness::{Server, Setup};
use crate::world::{self, TOKEN};

const SERVICE: &str = "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n";

/// A certificate for the address of the server, which is its own authority, and its key.
fn write_pair(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("an address");
    write_secret(&folder.join("key.pem"), &made.signing_key.serialize_pem());
    fs::write(folder.join("certificate.pem"), made.cert.pem()).expect("the folder can be written");
}

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).expect("the folder can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

fn setup() -> Setup {
    let keys = "tls = { certificate = \"certificate.pem\", key = \"key.pem\" }";
    let setup = world::setup("state", SERVICE).admin(keys);
    write_pair(setup.folder());
    setup
}

fn curl(server: &Server, scheme: &str, authority: &Path) -> Output {
    let url = format!("{scheme}://{}/v1/status", server.admin.expect("it has one"));
    let arguments = [
        "--silent",
        "--show-error",
        "--max-time",
        "20",
        "--noproxy",
        "*",
        "--cacert",
    ];
    Command::new("curl")
        .args(arguments)
        .arg(authority)
        .arg(url)
        .output()
        .expect("tools/test installs curl")
}

/// A command to the server that trusts the authorities of this file.
fn meridian(server: &Server, authority: &Path, arguments: &[&str]) -> Output {
    let admin = format!("https://{}", server.admin.expect("it has one"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(arguments)
        .args(["--admin", &admin, "--ca-file"])
        .arg(authority);
    command
        .env("MERIDIAN_TOKEN", TOKEN)
        .output()
        .expect("the binary runs")
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn who_trusts_the_authority_is_served_over_https_and_nobody_in_clear() {
    let server = setup().start();
    let authority = server.folder().join("certificate.pem");
    let status = curl(&server, "https", &authority);
    assert!(
        text(&status.stdout).contains("\"summary\":\"every region serves\""),
        "{}",
        text(&status.stderr)
    );
    let drain = ["drain", "fra", "--reason", "x"];
    for (command, expected) in [
        (&["status"][..], "serves "),
        (&drain, "fra is drained"),
        (
            &["explain", "www.example.test", "--client", "203.0.113.0/24"],
            "192.0.2.2",
        ),
        (&["simulate", "www.example.test"], "iad"),
        (&["reload"], "reloaded in "),
    ] {
        let done = meridian(&server, &authority, command);
        assert!(
            text(&done.stdout).contains(expected),
            "{command:?}: {}{}",
            text(&done.stdout),
            text(&done.stderr)
        );
    }
    let clear = curl(&server, "http", &authority);
    let sentence = "{\"error\":\"this server speaks HTTPS: use https:// instead of http://\"}";
    assert_eq!(text(&clear.stdout), sentence, "{}", text(&clear.stderr));
    let other = tempfile::tempdir().expect("a folder");
    write_pair(other.path());
    let refused = meridian(&server, &other.path().join("certificate.pem"), &["status"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    assert!(
        told.contains("certificate") && told.contains("--ca-file"),
        "{told}"
    );
}

#[test]
fn a_new_certificate_is_shown_without_a_reload_and_one_that_cannot_be_used_is_not() {
    let server = setup().start();
    let authority = server.folder().join("certificate.pem");
    let before = server.folder().join("before.pem");
    fs::copy(&authority, &before).expect("the folder can be written");
    fs::write(&authority, "no certificate").expect("it is ours");
    server.await_log(
        "the new admin certificate was refused, the one before is shown still",
        1,
    );
    assert!(curl(&server, "https", &before).status.success());
    write_pair(server.folder());
    server.await_log("the admin certificate was renewed", 1);
    assert!(curl(&server, "https", &authority).status.success());
    assert!(!curl(&server, "https", &before).status.success());
}

#[test]
fn who_never_greets_keeps_nobody_out_and_no_place() {
    let server = setup().start();
    let authority = server.folder().join("certificate.pem");
    let admin = server.admin.expect("it has one");
    let start = Instant::now();
    let mut silent: Vec<TcpStream> = (0..20)
        .map(|_| TcpStream::connect(admin).expect("it listens"))
        .collect();
    // Half of a greeting is none.
    silent
        .iter_mut()
        .take(10)
        .for_each(|stream| stream.write_all(&[22, 3, 1]).expect("it reads"));
    assert!(
        curl(&server, "https", &authority).status.success(),
        "others are served meanwhile"
    );
    for mut stream in silent {
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("it is not zero");
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(
            !matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
            "{ended:?}"
        );
    }
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "a handshake has five seconds: {:?}",
        start.elapsed()
    );
    assert!(curl(&server, "https", &authority).status.success());
}

#[test]
fn check_and_serve_refuse_the_same_certificates() {
    for (mend, expected) in [
        (
            (|folder| fs::remove_file(folder.join("key.pem")).expect("it is there")) as fn(&Path),
            "key.pem: cannot read",
        ),
        (
            |folder| fs::write(folder.join("certificate.pem"), "x").expect("it is ours"),
            "it holds no certificate",
        ),
        (
            |folder| {
                fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o644))
                    .expect("it is ours");
            },
            "others may read the private key",
        ),
    ] {
        let (config, folder) = setup().written();
        mend(folder.path());
        for command in ["check", "serve"] {
            let mut run = Command::new(env!("CARGO_BIN_EXE_meridian"));
            let output = run
                .args([command, "--config"])
                .arg(&config)
                .current_dir(folder.path())
                .output()
                .expect("it runs");
            assert_eq!(output.status.code(), Some(1), "{command}");
            let told = text(&output.stdout) + &text(&output.stderr);
            assert!(told.contains(expected), "{command}: {told}");
        }
    }
}
