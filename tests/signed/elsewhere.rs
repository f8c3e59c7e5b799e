//! Servers without keys: they serve a bundle of signatures that `meridian sign` makes where the keys are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failover::{await_addresses, services};
use crate::harness::{Region, Server, Setup};
use crate::programs::{Unbound, expect_secure, write_anchors_of};
use crate::world;

/// The machine with the keys.
pub struct Signer {
    config: PathBuf,
    folder: tempfile::TempDir,
}

impl Signer {
    fn new(services: &str) -> Signer {
        Signer::of(world::setup(services))
    }

    pub fn of(setup: Setup) -> Signer {
        let (config, folder) = setup.written();
        Signer { config, folder }
    }

    /// Signs everything. Returns the bundle, and what was printed.
    pub fn sign(&self) -> (Vec<u8>, String) {
        let file = self.folder.path().join("signatures.bundle");
        let output = Command::new(env!("CARGO_BIN_EXE_meridian"))
            .args(["sign", "--config"])
            .arg(&self.config)
            .arg("--output")
            .arg(&file)
            .output()
            .expect("it is built");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let mistakes = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}{mistakes}");
        (fs::read(file).expect("it is written"), said)
    }

    pub fn config(&self) -> &Path {
        &self.config
    }

    pub fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("it is a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn a_server_without_keys_answers_securely_while_regions_die_and_return() {
    let first = Region::start("127.0.1.1", 0);
    let second = Region::start("127.0.1.2", first.port);
    let other = Region::start("127.0.2.1", first.port);
    let services = services(first.port);
    let signer = Signer::new(&services);
    let (bundle, _) = signer.sign();
    let server = world::setup_elsewhere(&services, &bundle).start();
    let unbound = Unbound::with_keys(&server, "example.test", &signer.keys());
    first.set_broken(true);
    await_addresses(&unbound, &["127.0.1.2", "127.0.2.1"]);
    first.set_broken(false);
    other.set_broken(true);
    await_addresses(&unbound, &["127.0.1.1", "127.0.1.2"]);
    second.set_broken(true);
    await_addresses(&unbound, &["127.0.1.1"]);
    first.set_broken(true);
    await_addresses(&unbound, &[]);
    other.set_broken(false);
    await_addresses(&unbound, &["127.0.2.1"]);
    unbound.ask("missing.example.test", "A");
    unbound.ask("x.wild.example.test", "TXT");
    let mut found = Vec::new();
    files(server.folder(), &mut found);
    for file in found {
        let text = fs::read(&file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains("PrivateKey"), "{} is a key", file.display());
    }
}

/// Asserts that delv validates answers of every kind.
#[track_caller]
pub fn expect_secure_sample(server: &Server) {
    for (name, rtype) in [
        ("example.test", "DNSKEY"),
        ("example.test", "CDS"),
        ("host.example.test", "AAAA"),
        ("a.wild.example.test", "A"),
        ("upper.example.test", "AAAA"),
        ("none.example.test", "A"),
        ("insecure.example.test", "DS"),
        ("www.example.test", "A"),
        ("www.example.test", "MX"),
        ("x.www.example.test", "AAAA"),
        ("several.example.test", "A"),
        ("several.example.test", "HTTPS"),
        ("sticky.example.test", "A"),
        ("turns.example.test", "A"),
        ("named.example.test", "CNAME"),
        ("mx.example.test", "MX"),
        ("_sip._tcp.example.test", "SRV"),
    ] {
        expect_secure(server, "example.test", name, rtype);
    }
}

#[test]
fn everything_that_a_signing_server_answers_is_in_the_bundle() {
    let signer = Signer::new(world::SERVICES);
    let (bundle, _) = signer.sign();
    let server = world::setup_elsewhere(world::SERVICES, &bundle).start();
    write_anchors_of(&server, &signer.keys());
    expect_secure_sample(&server);
}

#[test]
fn signing_again_makes_only_what_is_new() {
    let signer = Signer::new(world::SERVICES);
    let (first, said) = signer.sign();
    assert!(said.contains("Sign again by"), "{said}");
    let (again, said) = signer.sign();
    assert!(said.contains("signatures, 0 of them new"), "{said}");
    assert_eq!(first.len(), again.len());
    let zone = signer.folder.path().join("zones/example.test.zone");
    fs::write(zone, format!("{}\nma A 192.0.2.77\n", world::ZONE)).expect("it is ours");
    // The name itself, its NSEC record, and that of the name before it.
    assert!(signer.sign().1.contains(" 3 of them new"));
}

#[test]
fn a_bundle_that_does_not_fit_is_refused_and_the_one_before_is_served() {
    let signer = Signer::new(world::SERVICES);
    let (bundle, _) = signer.sign();
    let server = world::setup_elsewhere(world::SERVICES, &bundle).start();
    write_anchors_of(&server, &signer.keys());
    let (file, zone) = (
        server.folder().join("signatures.bundle"),
        server.folder().join("zones/example.test.zone"),
    );
    fs::write(&file, &bundle[..bundle.len() - 9]).expect("it is ours");
    server.reload();
    server.await_log("is cut off or damaged", 1);
    fs::write(&file, &bundle).expect("it is ours");
    let text = format!("{}\nnew A 192.0.2.77\n", world::ZONE);
    fs::write(&zone, &text).expect("it is ours");
    server.reload();
    server.await_log("the bundle has no good signature of", 1);
    expect_secure(&server, "example.test", "host.example.test", "A");
    fs::write(signer.folder.path().join("zones/example.test.zone"), text).expect("it is ours");
    // A new bundle is noticed by itself.
    fs::write(&file, signer.sign().0).expect("it is ours");
    server.await_log("reloaded", 1);
    expect_secure(&server, "example.test", "new.example.test", "A");
}
