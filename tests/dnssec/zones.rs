//! Whole zones: what we sign, dnssec-verify and ldns-verify-zone accept; what dnssec-signzone signs, we accept.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use meridian::dns::{Name, RecordType};
use meridian::dnssec::key_file::parse_time;
use meridian::dnssec::{
    DigestType, KeyFile, KeyPair, KeyTimes, RrsetHead, SignatureFields, SigningAlgorithm,
    SigningKey, ValidityPeriod, ZoneKey, verify_rrset,
};

use super::programs::{data_behind, key_at, keygen, printed, run, write};
use super::signed_zone::{Denial, RecordTypeChoice, SignedZone};

const APEX: &str = "Example.com";

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn wire(text: &str) -> Vec<u8> {
    name(text).as_wire().to_vec()
}

/// A zone of more than 1,000 RRsets with everything that makes signing hard: names in capitals, inside data too, wildcards,
/// empty non-terminals, delegations with and without DS and glue, DNAME, odd octets, sets in no order.
fn zone() -> SignedZone {
    let apex = name(APEX);
    let mut zone = SignedZone::new(&apex);
    let soa = [
        wire("NS1.example.com"),
        wire("Admin.EXAMPLE.com"),
        vec![0; 20],
    ]
    .concat();
    zone.add(&apex, RecordType::SOA, soa);
    for server in ["NS2.Example.com", "ns1.example.com"] {
        zone.add(&apex, RecordType::NS, wire(server));
        zone.add(&name(server), RecordType::A, vec![192, 0, 2, 53]);
    }
    for number in 0..400_u32 {
        let depth = ["", ".a", ".b.a", ".Deep.er.c"][number as usize % 4];
        let owner = name(&format!("Host-{number}{depth}.{APEX}"));
        let [.., high, low] = number.to_be_bytes();
        for last in [9, 3, 7] {
            zone.add(&owner, RecordType::A, vec![10, high, low, last]);
        }
        let text = format!("text {number}");
        zone.add(
            &owner,
            RecordType::TXT,
            [&[text.len() as u8], text.as_bytes()].concat(),
        );
        let mx = [vec![0, low], wire(&format!("MX-{number}.Example.COM"))].concat();
        zone.add(&owner, RecordType::MX, mx);
    }
    zone.add(
        &name(&format!("*.{APEX}")),
        RecordType::TXT,
        b"\x04wild".to_vec(),
    );
    zone.add(
        &name(&format!("*.Wild.{APEX}")),
        RecordType::A,
        vec![192, 0, 2, 1],
    );
    zone.add(
        &name(&format!("alias.{APEX}")),
        RecordType::CNAME,
        wire("Host-0.example.COM"),
    );
    zone.add(
        &name(&format!("tree.{APEX}")),
        RecordType::DNAME,
        wire("Elsewhere.Example.NET"),
    );
    let srv = [vec![0, 1, 0, 2, 0, 3], wire("SRV.Example.com")].concat();
    zone.add(&name(&format!("_x._tcp.{APEX}")), RecordType::SRV, srv);
    let naptr = [
        &b"\0\x01\0\x02\x01U\x03SIP\x05!x!y!"[..],
        &wire("Re.Example.com"),
    ]
    .concat();
    zone.add(&name(&format!("naptr.{APEX}")), RecordType::NAPTR, naptr);
    let https = [
        vec![0, 1],
        wire("SVC.Example.com"),
        b"\0\x01\0\x03\x02h2".to_vec(),
    ]
    .concat();
    zone.add(&name(&format!("https.{APEX}")), RecordType::HTTPS, https);
    zone.add(
        &name(&format!(r"odd\000.{APEX}")),
        RecordType(65280),
        b"\x01A\0".to_vec(),
    );
    zone.add(
        &name(&format!(r"odd.{APEX}")),
        RecordType(65281),
        b"ABC".to_vec(),
    );
    let child =
        KeyPair::generate(&name("Sub.example.com"), 257, SigningAlgorithm::Ed25519).unwrap();
    let secure = name(&format!("Sub.{APEX}"));
    zone.add(
        &secure,
        RecordType::DS,
        child.public().ds_rdata(DigestType::Sha256),
    );
    for cut in [secure, name(&format!("Bare.{APEX}"))] {
        zone.add(&cut, RecordType::NS, [b"\x02NS", cut.as_wire()].concat());
        let glue = cut.child(b"NS").unwrap();
        zone.add(&glue, RecordType::A, vec![192, 0, 2, 54]);
    }
    assert!(zone.rrsets() > 1000);
    zone
}

/// The keys of a zone: one for everything, or one for the keys and one for the rest.
fn keys(folder: &Path, algorithm: SigningAlgorithm, is_split: bool) -> Vec<SigningKey> {
    let flags: &[u16] = if is_split { &[257, 256] } else { &[257] };
    let made = flags.iter().map(|flags| {
        if algorithm.can_generate() {
            let pair = KeyPair::generate(&name(APEX), *flags, algorithm).unwrap();
            return SigningKey::new(&pair).unwrap();
        }
        let key = key_at(&keygen(folder, "example.com", algorithm, *flags));
        SigningKey::new(&key.pair.unwrap()).unwrap()
    });
    made.collect()
}

fn signed(keys: &[SigningKey], denial: Denial, now: u64) -> String {
    use RecordTypeChoice::{Keys, Others};
    let roles: Vec<BTreeSet<RecordTypeChoice>> = match keys.len() {
        1 => vec![[Keys, Others].into()],
        _ => vec![[Keys].into(), [Others].into()],
    };
    let keys: Vec<_> = keys.iter().zip(roles).collect();
    zone().sign(&keys, denial, now)
}

#[test]
fn rfc4035_section_2_signed_zones_pass_the_verifiers_of_bind_and_ldns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zone");
    for algorithm in SigningAlgorithm::ALL {
        for (is_split, denial) in [
            (false, Denial::Nsec),
            (true, Denial::Nsec),
            (false, Denial::Nsec3),
        ] {
            let keys = keys(folder.path(), algorithm, is_split);
            write(&path, &signed(&keys, denial, now()));
            let mut arguments = vec!["-q", "-o", "example.com", "zone"];
            if !is_split {
                arguments.insert(0, "-z");
            }
            printed(folder.path(), "dnssec-verify", &arguments);
            printed(folder.path(), "ldns-verify-zone", &["zone"]);
        }
    }
}

#[test]
fn a_zone_with_one_wrong_octet_passes_neither() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys(folder.path(), SigningAlgorithm::EcdsaP256Sha256, false);
    let good = signed(&keys, Denial::Nsec, now());
    let bad = good.replacen("\\# 4 0a000009", "\\# 4 0a000008", 1);
    assert_ne!(good, bad);
    write(&folder.path().join("zone"), &bad);
    let arguments = ["-z", "-q", "-o", "example.com", "zone"];
    assert!(
        !run(folder.path(), "dnssec-verify", &arguments)
            .status
            .success()
    );
    assert!(
        !run(folder.path(), "ldns-verify-zone", &["zone"])
            .status
            .success()
    );
}

/// A zone in text that BIND signs, of records that are easily read back.
const PLAIN: &str = "\
example.com. 300 IN SOA ns.example.com. a.example.com. 1 1 1 1 1
example.com. 300 IN NS NS.Example.com.
ns.example.com. 300 IN A 192.0.2.1
ns.example.com. 300 IN A 10.0.0.1
*.w.example.com. 300 IN A 192.0.2.2
b.a.example.com. 300 IN A 192.0.2.3
";

#[test]
fn signatures_of_bind_are_verified_here() {
    for algorithm in SigningAlgorithm::ALL {
        let folder = tempfile::tempdir().unwrap();
        let key = if algorithm.can_generate() {
            let pair = KeyPair::generate(&name("example.com"), 257, algorithm).unwrap();
            let key = KeyFile::new(pair, KeyTimes::from_now(now() - 10));
            key.write(folder.path()).unwrap();
            key.public
        } else {
            key_at(&keygen(folder.path(), "example.com", algorithm, 257)).public
        };
        write(&folder.path().join("zone"), PLAIN);
        let arguments = [
            "-S",
            "-z",
            "-O",
            "full",
            "-o",
            "example.com",
            "-f",
            "signed",
            "zone",
        ];
        printed(folder.path(), "dnssec-signzone", &arguments);
        let text = fs::read_to_string(folder.path().join("signed")).unwrap();
        let lines = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let text = lines.collect::<Vec<_>>().join("\n");
        for owner in ["ns.example.com", "*.w.example.com", "b.a.example.com"] {
            let verified = verified_addresses(&text, owner, &key);
            assert_eq!(verified, 1, "{algorithm} {owner}");
        }
    }
}

/// Verifies the signatures of the addresses of a name, and returns their number.
fn verified_addresses(text: &str, owner: &str, key: &ZoneKey) -> usize {
    let lines = || {
        text.lines()
            .filter(|line| line.split_whitespace().next() == Some(&format!("{owner}.")))
    };
    let mut addresses = Vec::new();
    for line in lines().filter(|line| line.contains(" IN A ")) {
        let address: std::net::Ipv4Addr = data_behind(line, "A")[0].parse().unwrap();
        addresses.push(address.octets());
    }
    assert!(!addresses.is_empty(), "{owner}");
    let mut count = 0;
    for line in lines().filter(|line| line.contains(" IN RRSIG A ")) {
        let words = data_behind(line, "RRSIG");
        let (fields, signature) = read_signature(&words);
        let wire = wire(owner);
        let rrset = RrsetHead {
            owner: &wire,
            rtype: RecordType::A,
            ttl: 1,
        };
        let rdatas = addresses.iter().map(|octets| &octets[..]);
        let verified = verify_rrset(key, &fields, &signature, rrset, rdatas, now());
        assert_eq!(verified, Ok(()), "{line}");
        count += 1;
    }
    count
}

fn read_signature(words: &[&str]) -> (SignatureFields, Vec<u8>) {
    let fields = SignatureFields {
        type_covered: words[0].parse().unwrap(),
        algorithm: words[1].parse().unwrap(),
        labels: words[2].parse().unwrap(),
        original_ttl: words[3].parse().unwrap(),
        times: ValidityPeriod {
            expiration: parse_time(words[4]).unwrap() as u32,
            inception: parse_time(words[5]).unwrap() as u32,
        },
        key_tag: words[6].parse().unwrap(),
        signer: name(words[7]),
    };
    (fields, STANDARD.decode(words[8..].concat()).unwrap())
}
