//! Keys: those of BIND, ldns, Knot and OpenSSL are read here, and ours there; tags and DS records are the same.

use std::fs;
use std::path::Path;

use meridian::dns::Name;
use meridian::dnssec::{
    DigestType, KeyFile, KeyFolder, KeyPair, KeyTimes, SigningAlgorithm, SigningKey, ZoneKey,
    pkcs8, rrsig,
};

use super::programs::{data_behind, hex, key_at, keygen, printed, write};

const NOW: u64 = 1_795_943_739;

fn zone() -> Name {
    "example.com".parse().unwrap()
}

/// A key of every algorithm; that of RSA comes from OpenSSL, since ring makes none.
fn made(folder: &Path, algorithm: SigningAlgorithm) -> KeyPair {
    if algorithm.can_generate() {
        return KeyPair::generate(&zone(), 257, algorithm).unwrap();
    }
    let arguments = [
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
    ];
    let pem = printed(folder, "openssl", &arguments);
    pkcs8::from_pem(&zone(), 257, &pem).unwrap()
}

/// A DS record in the words of its data, the digest in one piece and in lower case.
fn ds_words(key: &ZoneKey, digest: DigestType) -> Vec<String> {
    let rdata = key.ds_rdata(digest);
    let tag = u16::from_be_bytes([rdata[0], rdata[1]]);
    vec![
        tag.to_string(),
        rdata[2].to_string(),
        rdata[3].to_string(),
        hex(&rdata[4..]),
    ]
}

fn words_of(record: &str, rtype: &str) -> Vec<String> {
    let words = data_behind(record, rtype);
    let (head, digest) = words.split_at(3);
    let mut words: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
    words.push(digest.concat().to_lowercase());
    words
}

/// Signs with the private half and verifies with the public one.
fn assert_signs(key: &KeyFile) {
    let pair = key.pair.as_ref().expect("both halves");
    let signing = SigningKey::new(pair).unwrap();
    let signature = signing.sign(b"message").unwrap();
    assert_eq!(signature.as_slice().len(), key.public.signature_length());
    let verified = rrsig::verify_octets(&key.public, b"message", signature.as_slice());
    assert_eq!(verified, Ok(()));
}

#[test]
fn keys_of_bind_are_read_with_their_tags_times_and_ds_records() {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in SigningAlgorithm::ALL {
        for flags in [256, 257] {
            let path = keygen(folder.path(), "Example.COM", algorithm, flags);
            let key = key_at(&path);
            assert_eq!(key.public.algorithm(), algorithm);
            assert_eq!((key.public.flags(), key.public.zone()), (flags, &zone()));
            assert!(key.times.created.is_some() && key.times.publish == key.times.activate);
            assert_signs(&key);
            let path = path.to_str().unwrap();
            for (option, digest) in [
                ("SHA-256", DigestType::Sha256),
                ("SHA-384", DigestType::Sha384),
            ] {
                let arguments = ["-a", option, path];
                let record = printed(folder.path(), "dnssec-dsfromkey", &arguments);
                assert_eq!(words_of(&record, "DS"), ds_words(&key.public, digest));
            }
        }
    }
    let keys = KeyFolder::read(folder.path()).unwrap();
    assert_eq!(keys.of_zone(zone().as_wire()).len(), 8);
}

#[test]
fn a_short_rsa_key_of_bind_signs_nothing_but_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["-q", "-a", "RSASHA256", "-b", "1024", "example.com"];
    let stem = printed(folder.path(), "dnssec-keygen", &arguments);
    let path = folder.path().join(&stem);
    let error = KeyFile::read(&path).unwrap_err();
    let private = folder.path().join(format!("{stem}.private"));
    let expected = format!("{}: the RSA key is refused (", private.display());
    assert!(error.starts_with(&expected), "{error}");
    assert!(error.contains("it needs 2048 to 4096 bits"), "{error}");
    fs::remove_file(private).unwrap();
    let key = key_at(&path);
    assert!(key.pair.is_none() && key.public.signature_length() == 128);
}

#[test]
fn keys_of_other_algorithms_are_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (algorithm, told) in [("ED448", "16 (ED448)"), ("RSASHA512", "10 (RSASHA512)")] {
        let bits: &[&str] = if algorithm == "RSASHA512" {
            &["-b", "2048"]
        } else {
            &[]
        };
        let arguments = [&["-q", "-a", algorithm], bits, &["example.com"]].concat();
        let stem = printed(folder.path(), "dnssec-keygen", &arguments);
        let error = KeyFile::read(&folder.path().join(&stem)).unwrap_err();
        let expected = format!(": algorithm {told} is not supported; use 13 ");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn files_that_are_read_and_written_again_are_binds() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for algorithm in SigningAlgorithm::ALL {
        let path = keygen(folder.path(), "example.com", algorithm, 257);
        let again = key_at(&path).write(other.path()).unwrap();
        assert_eq!(again.file_name(), path.file_name());
        let private = |path: &Path| fs::read_to_string(path.with_extension("private")).unwrap();
        assert_eq!(private(&again), private(&path));
    }
}

#[test]
fn keys_of_ours_are_read_by_bind_and_ldns() {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in SigningAlgorithm::ALL {
        let pair = made(folder.path(), algorithm);
        let key = KeyFile::new(pair, KeyTimes::from_now(NOW));
        let path = key.write(folder.path()).unwrap();
        let path = path.to_str().unwrap();
        let record = printed(folder.path(), "dnssec-dsfromkey", &["-2", path]);
        let expected = ds_words(&key.public, DigestType::Sha256);
        assert_eq!(words_of(&record, "DS"), expected);
        for (option, digest) in [("-2", DigestType::Sha256), ("-4", DigestType::Sha384)] {
            let record = printed(folder.path(), "ldns-key2ds", &["-n", option, path]);
            assert_eq!(words_of(&record, "DS"), ds_words(&key.public, digest));
        }
        // dnssec-settime reads both files, changes a time and writes them again.
        printed(
            folder.path(),
            "dnssec-settime",
            &["-I", "20300101000000", path],
        );
        let (again, _) = KeyFile::read(path.as_ref()).unwrap();
        assert_eq!(again.times.inactive, Some(1_893_456_000));
        assert_eq!(again.times.activate, Some(NOW));
        assert_signs(&again);
    }
}

#[test]
fn keys_of_ldns_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in SigningAlgorithm::ALL {
        let arguments = [
            "-a",
            algorithm.mnemonic(),
            "-b",
            "2048",
            "-k",
            "example.com",
        ];
        let stem = printed(folder.path(), "ldns-keygen", &arguments);
        let key = key_at(&folder.path().join(&stem));
        assert_signs(&key);
        let record = fs::read_to_string(folder.path().join(format!("{stem}.ds"))).unwrap();
        let digest = match words_of(&record, "DS")[2].as_str() {
            "2" => DigestType::Sha256,
            _ => DigestType::Sha384,
        };
        assert_eq!(words_of(&record, "DS"), ds_words(&key.public, digest));
    }
}

#[test]
fn keys_of_ours_are_imported_by_knot() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("kasp");
    fs::create_dir(&store).unwrap();
    for algorithm in SigningAlgorithm::ALL {
        let pair = made(folder.path(), algorithm);
        let key = KeyFile::new(pair, KeyTimes::from_now(NOW));
        let path = key.write(folder.path()).unwrap();
        let store = store.to_str().unwrap();
        let base = ["-D", store, "example.com"];
        let import = [&base[..], &["import-bind", path.to_str().unwrap()]].concat();
        printed(folder.path(), "keymgr", &import);
        let tag = key.public.tag().to_string();
        let record = printed(
            folder.path(),
            "keymgr",
            &[&base[..], &["ds", &tag]].concat(),
        );
        let record = record
            .lines()
            .find(|line| words_of(line, "DS")[2] == "2")
            .expect("a DS record with SHA-256");
        assert_eq!(
            words_of(record, "DS"),
            ds_words(&key.public, DigestType::Sha256)
        );
        // Knot makes its own PEM of what it imported.
        let mut found = 0;
        for entry in fs::read_dir(Path::new(store).join("keys"))
            .unwrap()
            .flatten()
        {
            let pem = fs::read_to_string(entry.path()).unwrap();
            let again = pkcs8::from_pem(&zone(), 257, &pem).unwrap();
            found += usize::from(*again.public() == key.public);
        }
        assert_eq!(found, 1, "{algorithm}");
    }
}

#[test]
fn keys_of_knot_are_read_from_their_pem() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    for algorithm in SigningAlgorithm::ALL {
        let name = format!("algorithm={}", algorithm.mnemonic());
        let arguments = [
            "-D",
            store,
            "example.com",
            "generate",
            &name,
            "size=2048",
            "ksk=yes",
            "zsk=yes",
        ];
        let arguments: Vec<&str> = match algorithm {
            SigningAlgorithm::RsaSha256 => arguments.to_vec(),
            _ => arguments
                .into_iter()
                .filter(|word| *word != "size=2048")
                .collect(),
        };
        let id = printed(folder.path(), "keymgr", &arguments);
        let id = id.lines().last().unwrap();
        let pem = fs::read_to_string(folder.path().join(format!("keys/{id}.pem"))).unwrap();
        let key = pkcs8::from_pem(&zone(), 257, &pem).unwrap();
        let record = printed(
            folder.path(),
            "keymgr",
            &["-D", store, "example.com", "dnskey", id],
        );
        let words = data_behind(&record, "DNSKEY");
        use base64::Engine as _;
        let octets = base64::engine::general_purpose::STANDARD.encode(key.public().octets());
        let number = algorithm.number().to_string();
        assert_eq!(words, ["257", "3", &number, &octets]);
    }
}

#[test]
fn openssl_reads_our_pem_and_we_its() {
    let folder = tempfile::tempdir().unwrap();
    for (algorithm, arguments) in [
        (SigningAlgorithm::RsaSha256, &["RSA"][..]),
        (
            SigningAlgorithm::EcdsaP256Sha256,
            &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        ),
        (
            SigningAlgorithm::EcdsaP384Sha384,
            &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        ),
        (SigningAlgorithm::Ed25519, &["ED25519"]),
    ] {
        let arguments = [&["genpkey", "-algorithm"], arguments].concat();
        let theirs = printed(folder.path(), "openssl", &arguments);
        let key = pkcs8::from_pem(&zone(), 257, &theirs).unwrap();
        assert_eq!(key.public().algorithm(), algorithm);
        write(&folder.path().join("theirs"), &theirs);
        write(
            &folder.path().join("ours"),
            &pkcs8::to_pem(&key).expect("the key is here"),
        );
        let public = |file| printed(folder.path(), "openssl", &["pkey", "-in", file, "-pubout"]);
        assert_eq!(public("ours"), public("theirs"));
        printed(
            folder.path(),
            "openssl",
            &["pkey", "-in", "ours", "-check", "-noout"],
        );
    }
}

#[test]
fn times_that_a_roll_changes_are_read_by_bind() {
    let folder = tempfile::tempdir().unwrap();
    let path = keygen(folder.path(), "example.com", SigningAlgorithm::Ed25519, 257);
    let mut key = key_at(&path);
    key.times.inactive = Some(1_893_456_000);
    key.times.delete = Some(1_893_456_060);
    key.rewrite(folder.path()).unwrap();
    let path = path.to_str().unwrap();
    let told = printed(folder.path(), "dnssec-settime", &["-u", "-p", "all", path]);
    assert!(told.contains("Inactive: 1893456000"), "{told}");
    assert!(told.contains("Delete: 1893456060"), "{told}");
    assert_eq!(key_at(Path::new(path)).times, key.times);
    assert_signs(&key_at(Path::new(path)));
}
