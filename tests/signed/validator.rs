//! hickory-proto's validator accepts every signature of every answer, in generated configurations and states of health.

use std::collections::BTreeMap;
use std::fs;

use hickory_proto::dnssec::Verifier;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, RRSIG};
use hickory_proto::op::Message;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use meridian::answer::{Snapshot, Transport, answer};
use meridian::catalog::LiveState;
use meridian::catalog::availability::Availability;
use meridian::control::signing::LoadPurpose;
use meridian::control::{ConfigOrigin, LoadedState};
use meridian::dns::QueryScratch;
use meridian::net::ClientAddress;
use proptest::prelude::*;

use crate::harness::Question;

const ZONE: &str = "$TTL 300
@ SOA ns1 hostmaster 1 7200 1800 259200 30
@ NS ns1
ns1 A 192.0.2.53
host A 192.0.2.1
host A 192.0.2.2
*.wild TXT \"w\"
alias CNAME www
below NS ns.below
ns.below A 192.0.2.6
a.b.c A 192.0.2.7
";
/// What is asked in every state.
const QUESTIONS: [(&str, u16); 14] = [
    ("www.example.com", 1),
    ("www.example.com", 28),
    ("www.example.com", 65),
    ("www.example.com", 16),
    ("x.www.example.com", 1),
    ("alias.example.com", 1),
    ("host.example.com", 1),
    ("host.example.com", 28),
    ("q.wild.example.com", 16),
    ("q.wild.example.com", 1),
    ("nothing.example.com", 1),
    ("b.c.example.com", 1),
    ("x.below.example.com", 1),
    ("example.com", 6),
];
/// Records by owner and type.
type RecordSets = BTreeMap<(Name, RecordType), Vec<Record>>;

const DNSKEY_TYPE: u16 = 48;
/// Draws for each question.
const DRAWS: u64 = 24;

fn config(sizes: &[usize], denial: &str, keys: &str) -> String {
    let mut text = "[zones.dnssec]\nsign = \"*\"\ngenerate = true\npolicy = \"all\"\n".to_owned();
    text += &format!("policies.all = {{ denial = \"{denial}\" }}\n");
    for (region, _) in sizes.iter().enumerate() {
        text += &format!("[regions.r{region}]\nlocation = [{}, 8]\n", region * 10);
    }
    for name in ["www.example.com", "*.www.example.com"] {
        text += &format!("[[services]]\nname = \"{name}\"\n{keys}[services.endpoints]\n");
        for (region, size) in sizes.iter().enumerate() {
            let mut endpoints = Vec::new();
            for at in 1..=*size {
                let weight = at * 10;
                endpoints.push(format!(
                    "{{ address = \"192.0.{region}.{at}\", weight = {weight} }}"
                ));
                endpoints.push(format!("\"2001:db8:{region}::{at}\""));
            }
            text += &format!("r{region} = [{}]\n", endpoints.join(", "));
        }
    }
    text
}

fn load(text: &str) -> LoadedState {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("zones")).expect("it is ours");
    fs::write(folder.path().join("zones/example.com.zone"), ZONE).expect("it is ours");
    let file = folder.path().join("meridian.toml");
    fs::write(&file, text).expect("it is ours");
    let loaded = ConfigOrigin::File(file).load_for(LoadPurpose::Serve, None);
    loaded.unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"))
}

fn ask(snapshot: &Snapshot, name: &str, rtype: u16, seed: u64) -> Message {
    let mut question = Question::new(name, rtype);
    question.opt().flags |= 0x8000;
    let mut buffer = [0; 4096];
    let summary = answer(
        &question.octets(),
        ClientAddress::from([198, 51, 100, 7]),
        Transport::Stream,
        &snapshot.context(seed),
        &mut QueryScratch::default(),
        &mut buffer,
    );
    Message::from_vec(&buffer[..summary.length]).expect("hickory reads it")
}

/// The signatures and the other RRsets of a section.
fn sorted(records: &[Record]) -> (Vec<RRSIG>, RecordSets) {
    let (mut signatures, mut sets) = (Vec::new(), RecordSets::new());
    for record in records {
        if let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data {
            signatures.push(signature.clone());
            continue;
        }
        let key = (record.name.clone(), record.record_type());
        sets.entry(key)
            .or_insert_with(Vec::new)
            .push(record.clone());
    }
    (signatures, sets)
}

fn keys_of(snapshot: &Snapshot) -> Vec<DNSKEY> {
    let mut keys = Vec::new();
    for record in &ask(snapshot, "example.com", DNSKEY_TYPE, 0).answers {
        if let RData::DNSSEC(DNSSECRData::DNSKEY(key)) = &record.data {
            keys.push(key.clone());
        }
    }
    assert!(!keys.is_empty());
    keys
}

/// Checks every RRset of an answer, and returns how many signatures there were.
fn check(message: &Message, keys: &[DNSKEY], case: &str) -> usize {
    let mut verified = 0;
    for section in [&message.answers, &message.authorities] {
        let (signatures, sets) = sorted(section);
        for ((owner, rtype), records) in sets {
            // A delegation belongs to the zone below.
            if rtype == RecordType::NS && owner.to_ascii() != "example.com." {
                continue;
            }
            let mut is_signed = false;
            for signature in &signatures {
                let input = signature.input();
                if input.type_covered != rtype {
                    continue;
                }
                let key = keys.iter().find(|key| {
                    key.calculate_key_tag()
                        .is_ok_and(|tag| tag == input.key_tag)
                });
                let key = key.unwrap_or_else(|| panic!("no key {}: {case}", input.key_tag));
                let good = key.verify_rrsig(&owner, DNSClass::IN, signature, records.iter());
                is_signed |= good.is_ok();
            }
            assert!(is_signed, "{owner} {rtype} is bogus: {case}\n{message:?}");
            verified += 1;
        }
    }
    verified
}

/// Takes an endpoint in or out, or a region if there is no endpoint of this number.
fn change(availability: &mut Availability, region: usize, endpoint: usize) {
    for service in availability.services_mut() {
        let region = region % service.regions.len();
        let region = &mut service.regions[region];
        match region.endpoints.get_mut(endpoint) {
            Some(is_up) => *is_up = !*is_up,
            None => {
                let is_back = !region.endpoints.contains(&true);
                region.endpoints.fill(is_back);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn another_validator_accepts_every_answer_of_every_state(
        sizes in prop::collection::vec(1..5_usize, 1..4),
        answers in 1..4_u8,
        pick in prop::sample::select(vec!["weighted", "round-robin", "sticky", "least-load"]),
        order in prop::sample::select(vec!["nearest", "priority", "none"]),
        denial in prop::sample::select(vec!["nsec", "nsec3", "compact"]),
        all_down in prop::sample::select(vec!["answer-all", "nodata", "last-good"]),
        changes in prop::collection::vec((0..3_usize, 0..9_usize), 3),
    ) {
        let keys = format!(
            "answers = {answers}\npick = \"{pick}\"\norder = \"{order}\"\nall_down = \"{all_down}\"\n\
             https = \"1 . alpn=h2\"\n"
        );
        let loaded = load(&config(&sizes, denial, &keys));
        let mut availability = Availability::all_up(&loaded.config);
        let keys = keys_of(&loaded.snapshot);
        let mut snapshot = loaded.snapshot;
        let mut verified = 0;
        for (region, endpoint) in changes {
            for (name, rtype) in QUESTIONS {
                for draw in 0..DRAWS {
                    let seed = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let message = ask(&snapshot, name, rtype, seed);
                    verified += check(&message, &keys, &format!("{name} {rtype} {availability:?}"));
                }
            }
            change(&mut availability, region, endpoint);
            let live = LiveState::compile_at_once(&snapshot.catalog, &availability, Some(&snapshot.live));
            snapshot = snapshot.with(live);
        }
        prop_assert!(verified > QUESTIONS.len() * DRAWS as usize);
    }
}
