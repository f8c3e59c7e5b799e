//! Key files as this program writes them, and every way in which they can be wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::dnssec::SigningAlgorithm;

fn written(folder: &Path, algorithm: SigningAlgorithm) -> (KeyFile, PathBuf) {
    let zone = "Example.com".parse().unwrap();
    let pair = KeyPair::generate(&zone, 257, algorithm).unwrap();
    let mut times = KeyTimes::from_now(1_800_000_000);
    times.delete = Some(1_900_000_000);
    times
        .others
        .push(("Predecessor".to_owned(), "4711".to_owned()));
    let key = KeyFile::new(pair, times);
    let path = key.write(folder).unwrap();
    (key, path)
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in [
        SigningAlgorithm::EcdsaP256Sha256,
        SigningAlgorithm::EcdsaP384Sha384,
        SigningAlgorithm::Ed25519,
    ] {
        let (key, path) = written(folder.path(), algorithm);
        let private = path.with_extension("private");
        assert_eq!(
            fs::metadata(&private).unwrap().permissions().mode() & 0o777,
            0o600
        );
        for path in [&path, &private, &path.with_extension("")] {
            let (again, files) = KeyFile::read(path).unwrap();
            assert_eq!(again.public, key.public);
            assert_eq!(again.times, key.times);
            assert!(again.pair.is_some());
            assert_eq!(files.len(), 2);
        }
        let error = key.write(folder.path()).unwrap_err();
        assert!(
            error.contains("is there already and is not overwritten"),
            "{error}"
        );
    }
}

#[test]
fn a_key_in_a_token_has_a_label_as_we_and_as_bind_write_it() {
    let folder = tempfile::tempdir().unwrap();
    let (key, _) = written(folder.path(), SigningAlgorithm::EcdsaP256Sha256);
    let place: crate::dnssec::TokenUri = "pkcs11:token=zones;object=a%20key".parse().unwrap();
    let (zone, octets) = (key.public.zone(), key.public.octets());
    let algorithm = SigningAlgorithm::EcdsaP256Sha256;
    let pair = KeyPair::in_token(zone, 257, algorithm, octets, place.clone()).unwrap();
    let key = KeyFile::new(pair, key.times);
    let folder = tempfile::tempdir().unwrap();
    let path = key.write(folder.path()).unwrap();
    let private = path.with_extension("private");
    let ours = fs::read_to_string(&private).unwrap();
    assert!(
        ours.contains("\nLabel: pkcs11:token=zones;object=a%20key\n"),
        "{ours}"
    );
    // `echo -ne 'pkcs11:token=zones;object=a%20key\0' | base64`
    let label = "cGtjczExOnRva2VuPXpvbmVzO29iamVjdD1hJTIwa2V5AA==";
    let theirs = ours.replace(&place.to_string(), label);
    for text in [
        &ours,
        &theirs.replace("Label", "Engine: cGtjczExAA==\nLabel"),
    ] {
        fs::write(&private, text).unwrap();
        let (again, _) = KeyFile::read(&path).unwrap();
        assert_eq!(again.pair.unwrap().token(), Some(&place));
        assert_eq!(again.times, key.times);
    }
    for (label, told) in [
        (
            "pkcs11:token=zones",
            ":3: Label names no object of the token",
        ),
        (
            "a-key",
            ":3: a key in a token is written as pkcs11:token=NAME",
        ),
    ] {
        fs::write(&private, ours.replace(&place.to_string(), label)).unwrap();
        let error = KeyFile::read(&path).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
    fs::write(&private, ours).unwrap();
    key.rewrite(folder.path()).unwrap();
    assert!(
        KeyFile::read(&path)
            .unwrap()
            .0
            .pair
            .unwrap()
            .token()
            .is_some()
    );
}

#[test]
fn a_key_without_its_private_half_is_only_published() {
    let folder = tempfile::tempdir().unwrap();
    let (key, path) = written(folder.path(), SigningAlgorithm::Ed25519);
    fs::remove_file(path.with_extension("private")).unwrap();
    let (again, files) = KeyFile::read(&path).unwrap();
    assert!(again.pair.is_none());
    assert_eq!(files.len(), 1);
    // The comments have the times, but not the other lines.
    assert_eq!(again.times.time_lines(), key.times.time_lines());
}

#[test]
fn rights_of_others_are_refused_with_the_command_that_takes_them_away() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = written(folder.path(), SigningAlgorithm::Ed25519);
    let private = path.with_extension("private");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o640)).unwrap();
    let error = KeyFile::read(&path).unwrap_err();
    let private = private.display();
    assert_eq!(
        error,
        format!("{private}: may be read by others (mode 640); take that away: chmod 600 {private}")
    );
}

#[test]
fn files_that_do_not_agree_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, one) = written(folder.path(), SigningAlgorithm::EcdsaP256Sha256);
    let (_, other) = written(folder.path(), SigningAlgorithm::EcdsaP256Sha256);
    let (_, edwards) = written(folder.path(), SigningAlgorithm::Ed25519);
    let private = one.with_extension("private");
    fs::copy(other.with_extension("private"), &private).unwrap();
    let error = KeyFile::read(&one).unwrap_err();
    assert!(
        error.ends_with("the private key does not belong to the public key"),
        "{error}"
    );
    fs::copy(edwards.with_extension("private"), &private).unwrap();
    let error = KeyFile::read(&one).unwrap_err();
    assert!(
        error.contains("the private key is of ED25519, and the public key"),
        "{error}"
    );
    fs::copy(&other, &one).unwrap();
    let error = KeyFile::read(&one).unwrap_err();
    assert!(
        error.contains("such a file is named Kexample.com.+013+"),
        "{error}"
    );
}

#[test]
fn every_bad_line_is_told_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = written(folder.path(), SigningAlgorithm::EcdsaP256Sha256);
    let private = path.with_extension("private");
    let good = fs::read_to_string(&private).unwrap();
    for (from, to, expected) in [
        ("v1.3", "v2.0", ":1: the format is \"v2.0\""),
        (
            "13 (ECDSAP256SHA256)",
            "10 (RSASHA512)",
            ":2: algorithm 10 (RSASHA512) is not supported",
        ),
        ("13 (ECDSAP256SHA256)", "x", ":2: Algorithm is \"x\""),
        (
            "PrivateKey: ",
            "PrivateKey: !",
            ":3: PrivateKey is not base64",
        ),
        (
            "PrivateKey",
            "PrivateKez",
            ":8: the line PrivateKey: is missing",
        ),
        (
            "Created: 2",
            "Created: x",
            ":4: Created is \"x0270115080000\"",
        ),
        (
            "Predecessor:",
            "Predecessor",
            ":8: a line is written as Word: value",
        ),
        (
            "PrivateKey:",
            "Label:",
            ":3: a key in a token is written as pkcs11:token=NAME",
        ),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        fs::write(&private, bad).unwrap();
        let error = KeyFile::read(&path).unwrap_err();
        assert!(error.contains(expected), "{error}\n{expected}");
    }
    fs::write(&private, good).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    for (from, to, expected) in [
        (
            "DNSKEY",
            "DNSKEX",
            ":6: \"DNSKEX\" stands where DNSKEY is expected",
        ),
        ("257 3", "1 3", ":6: the flags 1 lack 256"),
        ("257 3", "257 2", ":6: the protocol is 2"),
        (
            "3 13 ",
            "3 15 ",
            ":6: a public key of ED25519 has 32 octets, and this one 64",
        ),
        ("IN DNSKEY", ";", ":6: there is no DNSKEY record"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        fs::write(&path, bad).unwrap();
        let error = KeyFile::read(&path).unwrap_err();
        assert!(error.contains(expected), "{error}\n{expected}");
    }
}

#[test]
fn every_cut_of_the_private_file_is_an_error_or_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let (key, path) = written(folder.path(), SigningAlgorithm::EcdsaP256Sha256);
    let private = path.with_extension("private");
    let good = fs::read(&private).unwrap();
    for length in 0..good.len() {
        fs::write(&private, &good[..length]).unwrap();
        if let Ok((again, _)) = KeyFile::read(&path) {
            assert_eq!(again.public, key.public);
        }
    }
}

#[test]
fn records_are_read_in_every_layout() {
    let folder = tempfile::tempdir().unwrap();
    let (key, path) = written(folder.path(), SigningAlgorithm::EcdsaP256Sha256);
    let text = fs::read_to_string(&path).unwrap();
    let record = text.lines().last().unwrap();
    let (front, base64) = record.split_at(record.len() - 40);
    let variants = [
        format!("{front} {base64}\n"),
        format!("; a comment\n\n{front} (\n  {base64} ; with more\n)\n"),
        record.replace(" IN ", "\t3600\tIN\t"),
        record.replace(" IN ", " in 3600 "),
        record.replace(" 13 ", " ecdsap256sha256 "),
        record.replace(" IN ", " ").to_uppercase().replace(
            &format!("{front}{base64}").to_uppercase()[record.len() - 88..],
            &record[record.len() - 88..],
        ),
    ];
    for variant in variants {
        fs::write(&path, &variant).unwrap();
        let (again, _) = KeyFile::read(&path).unwrap();
        assert_eq!(again.public, key.public, "{variant}");
        assert_eq!(again.ttl, variant.contains("3600").then_some(3600));
    }
}

#[test]
fn names_of_files_are_binds() {
    let key = |zone: &str| {
        ZoneKey::new(
            &zone.parse().unwrap(),
            257,
            SigningAlgorithm::Ed25519,
            &[0; 32],
        )
        .unwrap()
    };
    let root = key(".");
    assert_eq!(file_stem(&root), format!("K.+015+{:05}", root.tag()));
    let odd = key(r"A/b\.c.*.example");
    assert_eq!(
        file_stem(&odd),
        format!("Ka%2Fb%2Ec.%2A.example.+015+{:05}", odd.tag())
    );
}

/// Text of pieces that key files have, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "Private-key-format: v1.3\n",
        "Algorithm: 13 (ECDSAP256SHA256)\n",
        "Algorithm: 8\n",
        "PrivateKey: AAAA\n",
        "Modulus: AAAA\n",
        "Created: 20261129091538\n",
        "; Publish: 20261129091538 (",
        "example.com. IN DNSKEY 257 3 13 ",
        "\\",
        ";",
        "(",
        " ",
        ":",
        "\n",
        "\u{fc}",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn text_by_chance_is_a_mistake_with_a_line_and_no_panic(
        text in pieces(),
        other in "[ -~\\n]{0,200}",
    ) {
        let zone = "example.com".parse().unwrap();
        let octets = [7; 64];
        let key = ZoneKey::new(&zone, 257, SigningAlgorithm::EcdsaP256Sha256, &octets).unwrap();
        for text in [&text, &other] {
            if let Err((line, sentence)) = private_text::parse(text, &key) {
                prop_assert!(line >= 1 && !sentence.is_empty());
            }
            if let Err((line, sentence)) = public_text::parse(text) {
                prop_assert!(line >= 1 && !sentence.is_empty());
            }
        }
    }
}
