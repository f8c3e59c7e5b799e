//! Signed zones: what Meridian signs by itself, and what it serves of files that dnssec-signzone has signed with the same
//! keys, against Knot and BIND, which serve these files.
//!
//! Signatures of ECDSA differ each time that they are made, and so do their times. Where both sides have signed, the rest
//! of each RRSIG record is compared: the type, algorithm, labels, TTL, key and signer. In NSEC records we spell the next
//! name in lower case, and dnssec-signzone as the file does.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::compare::{View, lower_octets};
use crate::harness::{Message, Record, Setup};
use crate::random::Random;
use crate::servers::{Servers, file_of};
use crate::zones::{self, Zone};
use crate::{Sum, compare_views, queries};

const SEED: u64 = 7;
const ZONES: usize = 120;
const QUERIES: usize = 25;
/// How many of the zones dnssec-signzone must take.
const LEAST: usize = 60;
const WHO: [&str; 2] = ["Knot", "BIND"];
/// Type numbers.
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const ANY: u16 = 255;

/// Arguments of dnssec-signzone for chains of NSEC and of NSEC3, the last one with opt-out.
const DENIALS: [&[&str]; 4] = [
    &[],
    &["-3", "-", "-H", "0"],
    &["-3", "c0ffee", "-H", "4"],
    &["-3", "c0ffee", "-H", "0", "-A"],
];

#[test]
fn zones_that_are_signed_here_answer_as_those_of_dnssec_signzone_with_the_same_keys() {
    run(false, &DENIALS[..1], |message| {
        let mut view = View::of(message);
        for section in [
            &mut view.answers,
            &mut view.authorities,
            &mut view.additionals,
        ] {
            *section = section.iter().map(without_signature).collect();
        }
        view
    });
}

#[test]
fn files_that_are_signed_are_served_as_knot_and_bind_serve_them() {
    run(true, &DENIALS[..1], View::of);
}

#[test]
fn files_that_are_signed_with_nsec3_are_served_as_knot_and_bind_serve_them() {
    run(true, &DENIALS[1..], View::of);
}

/// Compares everything, with our files signed as well, or signed by ourselves.
fn run(is_presigned: bool, denials: &[&[&str]], view: fn(&Message) -> View) {
    let mut random = Random::new(SEED);
    let mut zones = zones::zones(&mut random, ZONES);
    // Records of a zone inside another are left out of the outer one here, and dnssec-signzone signs them there.
    let origins: Vec<_> = zones.iter().map(|zone| zone.origin.clone()).collect();
    zones.retain(|zone| {
        let is_nested =
            |other| zone.origin.is_below(other) || Clone::clone(other).is_below(&zone.origin);
        !origins.iter().any(is_nested)
    });
    let mut setup = Setup::new().listen(&["127.0.0.1:0"]);
    for folder in ["keys", "signed"] {
        fs::create_dir(setup.folder().join(folder)).expect("the folder is ours");
    }
    let mut denials = denials.iter().cycle();
    zones.retain(|zone| {
        let denial = denials.next().expect("a circle");
        sign(setup.folder(), zone, denial)
    });
    assert!(zones.len() >= LEAST, "{} zones are signed", zones.len());
    for zone in &zones {
        let file = file_of(zone);
        let text = match is_presigned {
            true => fs::read_to_string(setup.folder().join(format!("signed/{file}.zone")))
                .expect("it is signed"),
            false => format!("$ORIGIN {}\n{}", zone.origin, zone.text()),
        };
        setup = setup.zone(&file, &text);
    }
    if !is_presigned {
        setup = setup.config("[zones.dnssec]\nsign = \"*\"\n");
    }
    let servers = Servers::start_beside(setup.start(), "signed", &WHO, &zones);
    let mut sum = Sum::default();
    for zone in &zones {
        for _ in 0..QUERIES {
            let mut asked = queries::query(&mut random, zone);
            // Signatures can be asked for by their type, and ANY gives one RRset here.
            if [RRSIG, ANY].contains(&asked.question.rtype) {
                continue;
            }
            if random.percent(80) {
                asked.question.opt().flags = 0x8000;
            }
            compare_views(SEED, &servers, &zones, zone, &asked, view, &mut sum);
        }
    }
    println!("{} zones, {} replies compared", zones.len(), sum.compared);
    for (item, count) in &sum.explained {
        println!("{item:32} {count:>6}");
    }
    sum.expect_explained();
}

/// Signs a zone into the folder `signed`, with a key in the folder `keys`. Returns whether it could be signed.
fn sign(folder: &Path, zone: &Zone, denial: &[&str]) -> bool {
    let (file, origin) = (file_of(zone), zone.origin.to_string());
    let (keys, plain) = (folder.join("keys"), folder.join("plain"));
    let text = format!("$ORIGIN {}\n{}", zone.origin, zone.text());
    fs::write(&plain, text).expect("the folder is ours");
    let is_made = Command::new("dnssec-keygen")
        .args(["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K"])
        .arg(&keys)
        .arg(&origin)
        .output()
        .expect("it is installed: sudo apt-get install bind9-utils")
        .status
        .success();
    assert!(is_made, "{origin} has a key");
    Command::new("dnssec-signzone")
        .args(["-S", "-z", "-o", &origin, "-K"])
        .arg(&keys)
        .arg("-d")
        .arg(folder)
        .arg("-f")
        .arg(folder.join(format!("signed/{file}.zone")))
        .args(denial)
        .arg(&plain)
        .output()
        .expect("it is installed")
        .status
        .success()
}

/// The record without times and signature, if it is an RRSIG record, and an NSEC record in lower case.
fn without_signature(record: &Record) -> Record {
    let mut record = record.clone();
    if record.rtype == NSEC {
        record.data = lower_octets(&record.data);
    }
    if record.rtype == RRSIG {
        // Hexadecimal digits: 16 of type, algorithm, labels and TTL, 16 of times, 4 of the key, the signer, and 128.
        let digits = &record.data;
        let end = digits.len() - 128;
        record.data = format!("{}{}", &digits[..16], &digits[32..end]);
    }
    record
}
