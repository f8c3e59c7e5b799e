//! Steered names in zones that others have signed: their answers are signed here with a key of the zone, and delv and
//! unbound validate them while regions die and return.

use std::fs;
use std::path::Path;

use crate::answers::STEERED;
use crate::elsewhere::Signer;
use crate::failover::{await_addresses, services};
use crate::harness::{Region, Server, Setup};
use crate::presigned::SignedFile;
use crate::programs::{Unbound, dig_signed, expect_secure, printed, write_anchors_of};
use crate::world;

/// What stands in the file for steered names.
const PLACEHOLDERS: &str = "
www A 192.0.2.254
www AAAA 2001:db8::fe
www TXT beside
*.www A 192.0.2.254
*.www AAAA 2001:db8::fe
several A 192.0.2.254
several AAAA 2001:db8::fe
several HTTPS 1 .
sticky A 192.0.2.254
sticky AAAA 2001:db8::fe
turns A 192.0.2.254
turns AAAA 2001:db8::fe
named CNAME placeholder.example.
mx MX 0 placeholder.example.
_sip._tcp SRV 0 0 0 placeholder.example.
";

fn zone() -> String {
    format!("{}{PLACEHOLDERS}", world::ZONE)
}

/// The zone, signed with these arguments of dnssec-signzone. The KSK is elsewhere.
fn signed(more: &[&str]) -> SignedFile {
    SignedFile::of_bind("example.test", &zone(), more).without_ksk()
}

/// The zone with a chain of NSEC and of NSEC3.
fn files() -> [SignedFile; 2] {
    [signed(&[]), signed(&["-3", "c0ffee"])]
}

fn start(file: &SignedFile, services: &str) -> Server {
    let server = world::setup_presigned(&file.text(), &file.keys(), services).start();
    write_anchors_of(&server, &file.keys());
    server
}

/// What `check` says of a zone with services.
fn checked(setup: Setup) -> String {
    let (config, _folder) = setup.written();
    let config = config.display().to_string();
    let arguments = ["check", "--config", &config];
    printed(env!("CARGO_BIN_EXE_meridian"), "meridian", &arguments)
}

#[track_caller]
fn expect_all_secure(server: &Server) {
    for question in STEERED {
        let (name, rtype) = question.split_once(' ').expect("two words");
        for _ in 0..2 {
            expect_secure(server, "example.test", name, rtype);
        }
    }
    for name in [
        "www.example.test",
        "a.www.example.test",
        "turns.example.test",
    ] {
        expect_secure(server, "example.test", name, "ANY");
    }
    expect_secure(server, "example.test", "host.example.test", "A");
    expect_secure(server, "example.test", "missing.example.test", "A");
}

#[test]
fn every_kind_of_steered_answer_of_a_signed_file_is_secure() {
    for file in files() {
        let server = start(&file, world::SERVICES);
        expect_all_secure(&server);
        for (name, rtype) in [
            ("www.example.test", "ANY"),
            ("www.example.test", "RRSIG"),
            ("www.example.test", "A"),
            ("mx.example.test", "MX"),
            ("named.example.test", "A"),
            ("several.example.test", "HTTPS"),
        ] {
            let reply = dig_signed(&server, name, rtype);
            let is_shown = reply.contains("192.0.2.254") || reply.contains("placeholder");
            assert!(!is_shown, "what stands in the file is shown:\n{reply}");
        }
        assert!(dig_signed(&server, "www.example.test", "TXT").contains("beside"));
    }
}

#[test]
fn steered_answers_of_a_signed_file_stay_secure_while_regions_die_and_return() {
    for more in [&[][..], &["-3", "-"], &["-3", "c0ffee", "-A"]] {
        let file = signed(more);
        let first = Region::start("127.0.1.1", 0);
        let second = Region::start("127.0.1.2", first.port);
        let other = Region::start("127.0.2.1", first.port);
        let server = start(&file, &services(first.port));
        let unbound = Unbound::with_keys(&server, "example.test", &file.keys());
        first.set_broken(true);
        await_addresses(&unbound, &["127.0.1.2", "127.0.2.1"]);
        other.set_broken(true);
        await_addresses(&unbound, &["127.0.1.2"]);
        // Nothing is left, although the file says that there are addresses: the denial is secure, too.
        second.set_broken(true);
        await_addresses(&unbound, &[]);
        let reply = unbound.ask("www.example.test", "AAAA");
        assert!(reply.contains("ANSWER: 0"), "{reply}");
        first.set_broken(false);
        await_addresses(&unbound, &["127.0.1.1"]);
    }
}

#[test]
fn a_server_without_keys_serves_the_steered_names_of_a_signed_file_from_a_bundle() {
    for file in files() {
        let setup = world::setup_presigned(&file.text(), &file.keys(), world::SERVICES);
        let (bundle, _) = Signer::of(setup).sign();
        let server =
            world::setup_elsewhere_presigned(&file.text(), world::SERVICES, &bundle).start();
        write_anchors_of(&server, &file.keys());
        expect_all_secure(&server);
    }
}

#[test]
fn a_name_without_signed_records_of_its_types_is_refused_with_the_way_out() {
    let steered = &services(8000);
    for (text, missing) in [
        ("", "no signed A and AAAA records at this name"),
        ("www TXT words", "no signed A and AAAA records at this name"),
        ("www A 192.0.2.254", "no signed AAAA records at this name"),
        (
            "*.test A 192.0.2.254",
            "no signed A and AAAA records at this name",
        ),
    ] {
        let zone = format!("{}\n{text}\n", world::ZONE);
        let file = SignedFile::of_bind("example.test", &zone, &["-3", "-"]);
        let said = checked(world::setup_presigned(&file.text(), &file.keys(), steered));
        assert!(said.contains(missing), "{said}");
    }
}

#[test]
fn a_key_that_is_not_among_the_keys_of_the_file_is_refused() {
    let file = SignedFile::of_bind("example.test", &zone(), &[]);
    let other = SignedFile::of_bind("example.test", &zone(), &[]);
    let steered = &services(8000);
    let said = checked(world::setup_presigned(&file.text(), &other.keys(), steered));
    assert!(
        said.contains("none is here; put a zone signing key"),
        "{said}"
    );
    let said = checked(world::setup_presigned(&file.text(), &file.keys(), steered));
    assert!(said.contains("good: 1 zone, 1 service"), "{said}");
}

#[test]
fn a_file_that_is_signed_again_with_another_key_needs_that_key() {
    let file = SignedFile::of_bind("example.test", &zone(), &[]);
    let server = start(&file, &services(8000));
    let other = SignedFile::of_bind("example.test", &zone(), &[]);
    let path = server.folder().join("zones/example.test.zone");
    fs::write(&path, other.text()).expect("it is ours");
    server.reload();
    server.await_log("none is here; put a zone signing key", 1);
    expect_secure(&server, "example.test", "www.example.test", "A");
    copy_keys(&other.keys(), &file.keys());
    server.reload();
    server.await_log("reloaded", 1);
    write_anchors_of(&server, &other.keys());
    expect_secure(&server, "example.test", "www.example.test", "A");
}

fn copy_keys(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('K') {
            fs::copy(entry.path(), to.join(name)).expect("both are ours");
        }
    }
}
