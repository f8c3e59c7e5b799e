//! The certificate: read again when its files change, and never given up for a worse one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::client::{
    certificates, connect_quic, connect_tls, read_framed, run, try_connect, write_framed,
};
use crate::harness::Server;
use crate::harness::types::*;
use crate::world::{pair, question, server, setup, write};

/// Whether every transport shows the certificate that is in the folder now; clients trust no other.
fn is_shown(server: &Server) -> bool {
    let expected = certificates(&server.folder().join("certificate.pem"));
    let tls = ["tls", "https"].map(|transport| {
        let protocol = if transport == "tls" { "dot" } else { "h2" };
        let stream = try_connect(server, server.encrypted(transport), protocol);
        stream.is_ok_and(|stream| stream.conn.peer_certificates() == Some(&expected))
    });
    let quic = run(async { connect_quic(server).await.is_ok() });
    assert!(
        tls[0] == tls[1] && tls[0] == quic,
        "the transports show different certificates"
    );
    quic
}

#[test]
fn a_new_certificate_is_shown_without_a_reload_and_open_connections_go_on() {
    let server = server();
    let mut open = connect_tls(&server);
    assert!(is_shown(&server));
    write(server.folder(), &pair());
    server.await_log("the certificate was renewed", 1);
    assert!(is_shown(&server));
    write_framed(&mut open, &question("host.example.test", A).octets());
    assert!(read_framed(&mut open).is_some());
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_and_the_one_before_is_shown() {
    let server = server();
    let folder = server.folder();
    let good = fs::read_to_string(folder.join("certificate.pem")).expect("it is there");
    fs::write(folder.join("certificate.pem"), "no certificate").expect("the folder can be written");
    server.await_log(
        "the new certificate was refused, the one before is shown still",
        1,
    );
    server.await_log("certificate.pem: it holds no certificate", 1);
    fs::write(folder.join("certificate.pem"), pair().0).expect("the folder can be written");
    server.await_log("key.pem: the private key is not that of the certificate", 1);
    fs::write(folder.join("certificate.pem"), good).expect("the folder can be written");
    server.await_log("the certificate was renewed", 1);
    assert!(is_shown(&server));
    fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o644))
        .expect("it is ours");
    server.reload();
    server.await_log("key.pem: others may read the private key (mode 644)", 1);
    assert!(is_shown(&server));
}

#[test]
fn a_reload_reads_the_certificate_too() {
    let server = server();
    write(server.folder(), &pair());
    server.reload();
    server.await_log("reloaded", 1);
    assert!(is_shown(&server));
}

#[test]
fn check_tells_what_is_wrong_with_the_certificate() {
    let setup = setup();
    fs::write(setup.folder().join("key.pem"), "nothing").expect("the folder can be written");
    let config = "[server]\nlisten_tls = [\"127.0.0.1\"]\n[tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"";
    fs::write(setup.folder().join("meridian.toml"), config).expect("the folder can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = command
        .args(["check", "--config", "meridian.toml"])
        .current_dir(setup.folder())
        .output();
    let output = output.expect("the binary runs");
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && printed.contains("key.pem: it holds no private key"),
        "{printed}"
    );
}
