//! Zones that dnssec-signzone has signed: they are served as they are, and delv and unbound validate
//! every kind of answer.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Server, Setup};
use crate::programs::{Unbound, delv, expect_secure, printed, write_anchors_of};
use crate::world;

/// A folder in which a zone was signed, with its keys.
pub struct SignedFile {
    folder: tempfile::TempDir,
    /// What the files of each key have in common.
    stems: Vec<String>,
}

impl SignedFile {
    /// Signs a zone with BIND's tools.
    fn new(zone: &str, text: &str) -> SignedFile {
        SignedFile::of_bind(zone, text, &[])
    }

    /// The same with more arguments of dnssec-signzone.
    pub fn of_bind(zone: &str, text: &str, more: &[&str]) -> SignedFile {
        let file = SignedFile::with_keys(zone, text);
        let place = file.folder.path().display().to_string();
        let (input, output) = (format!("{place}/zone"), format!("{place}/signed"));
        let arguments = [
            &["-S", "-K", &place, "-d", &place, "-o", zone, "-f", &output][..],
            more,
            &[&input],
        ]
        .concat();
        let said = printed("dnssec-signzone", "bind9-utils", &arguments);
        assert!(Path::new(&output).exists(), "{said}");
        file
    }

    /// Signs a zone with those of ldns.
    pub fn of_ldns(zone: &str, text: &str, more: &[&str]) -> SignedFile {
        let file = SignedFile::with_keys(zone, text);
        let place = file.folder.path().display().to_string();
        let (input, output) = (format!("{place}/zone"), format!("{place}/signed"));
        let mut arguments = [more, &["-o", zone, "-f", &output, &input]].concat();
        let mut stems = Vec::new();
        for stem in &file.stems {
            stems.push(format!("{place}/{stem}"));
        }
        arguments.extend(stems.iter().map(String::as_str));
        let said = printed("ldns-signzone", "ldnsutils", &arguments);
        assert!(Path::new(&output).exists(), "{said}");
        file
    }

    /// A zone that is not signed, and its keys: a KSK and a ZSK.
    fn with_keys(zone: &str, text: &str) -> SignedFile {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("zone"), text).expect("it is ours");
        let place = folder.path().display().to_string();
        let keys = ["-q", "-K", &place, "-a", "ECDSAP256SHA256"];
        let mut stems = Vec::new();
        for more in [&["-f", "KSK"][..], &[]] {
            let arguments = [&keys[..], more, &[zone]].concat();
            let said = printed("dnssec-keygen", "bind9-utils", &arguments);
            stems.push(said.trim().to_owned());
        }
        SignedFile { folder, stems }
    }

    /// Removes the private half of the KSK, as where it is kept elsewhere.
    pub fn without_ksk(self) -> SignedFile {
        let path = self
            .folder
            .path()
            .join(format!("{}.private", self.stems[0]));
        fs::remove_file(path).expect("it is there");
        self
    }

    pub fn text(&self) -> String {
        fs::read_to_string(self.folder.path().join("signed")).expect("it is signed")
    }

    pub fn keys(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

fn signed() -> SignedFile {
    SignedFile::new("example.test", world::ZONE)
}

/// A server of the signed file and of a zone below it that is signed nowhere.
pub fn start(file: &SignedFile) -> Server {
    let server = Setup::new().zone("example.test", &file.text()).start();
    write_anchors_of(&server, &file.keys());
    server
}

/// Questions of every kind about the signed file.
pub const QUESTIONS: [&str; 25] = [
    "example.test SOA",
    "example.test NS",
    "example.test DNSKEY",
    "example.test TXT",
    "host.example.test A",
    "HOST.example.test AAAA",
    "host.example.test MX",
    "host.example.test NSEC",
    "upper.example.test A",
    "outside.example.test CNAME",
    "names.example.test A",
    "deep.ent.names.example.test A",
    "a.wild.example.test A",
    "a.b.wild.example.test TXT",
    "a.wild.example.test AAAA",
    "wild.example.test A",
    "a.alias.example.test A",
    "x.dname.example.test A",
    "y.dname.example.test A",
    "insecure.example.test DS",
    "secure.example.test DS",
    "a.example.test A",
    "nothing.example.test A",
    "zzz.example.test A",
    "a.b.c.d.nothing.example.test A",
];

#[test]
fn every_kind_of_answer_of_a_signed_file_is_secure() {
    let file = signed();
    let server = start(&file);
    for question in QUESTIONS {
        let (name, rtype) = question.split_once(' ').expect("two words");
        expect_secure(&server, "example.test", name, rtype);
    }
}

#[test]
fn unbound_validates_a_signed_file_with_its_denials_and_wildcards() {
    let file = signed();
    let server = start(&file);
    let unbound = Unbound::with_keys(&server, "example.test", &file.keys());
    for (name, rtype) in [
        ("host.example.test", "A"),
        ("missing.example.test", "A"),
        ("host.example.test", "MX"),
        ("x.wild.example.test", "TXT"),
        ("x.wild.example.test", "AAAA"),
        ("insecure.example.test", "DS"),
    ] {
        unbound.ask(name, rtype);
    }
}

#[test]
fn a_signed_file_that_was_edited_is_served_with_warnings_about_what_is_bogus() {
    let file = signed();
    let text = file.text() + "\nnew.example.test. 300 IN A 192.0.2.77\n";
    let server = Setup::new().zone("example.test", &text).start();
    write_anchors_of(&server, &file.keys());
    server.await_log("the A records of new.example.test have no signature", 1);
    expect_secure(&server, "example.test", "host.example.test", "A");
    let said = delv(&server, "example.test", "new.example.test", "A");
    assert!(!said.contains("fully validated"), "{said}");
}

#[test]
fn a_steered_name_in_a_signed_file_is_refused_with_the_way_out() {
    let file = signed();
    let (config, _folder) = Setup::new()
        .zone("example.test", &file.text())
        .config("[regions.fra]\n")
        .config(
            "[[services]]\nname = \"www.example.test\"\norder = \"none\"\n\
             endpoints = { fra = \"192.0.2.1\" }\n",
        )
        .written();
    let config = config.display().to_string();
    let said = printed(
        env!("CARGO_BIN_EXE_meridian"),
        "meridian",
        &["check", "--config", &config],
    );
    assert!(
        said.contains("www.example.test lies in example.test, which is signed in its file"),
        "{said}"
    );
    assert!(said.contains("put a zone signing key"), "{said}");
}
