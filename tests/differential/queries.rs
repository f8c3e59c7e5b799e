//! Random queries: at, above, below and beside the names of a zone, of every kind of type, with and without EDNS.

use crate::harness::{Question, Transport};
use crate::names::Name;
use crate::random::Random;
use crate::zones::Zone;

/// A query, and how it travels.
pub struct Asked {
    pub question: Question,
    pub name: Name,
    pub transport: Transport,
}

/// A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, NAPTR, DNAME, DS, RRSIG, NSEC, DNSKEY, HTTPS, CAA, two unknown, ANY.
const TYPES: [u16; 30] = [
    1, 1, 1, 1, 1, 2, 2, 5, 6, 12, 15, 15, 16, 16, 28, 28, 33, 35, 39, 43, 43, 46, 47, 48, 65, 257,
    65280, 1000, 255, 255,
];
const LABELS: [&[u8]; 8] = [b"a", b"b", b"c", b"*", b"A", b"ns", b"a.b", b"x"];

/// One query about `zone`.
pub fn query(random: &mut Random, zone: &Zone) -> Asked {
    let plain = name(random, zone);
    let name = mixed_case(random, &plain);
    let mut question = Question {
        name: name.wire(),
        ..Question::new(".", random.of(&TYPES))
    };
    question.id = random.below(0x1_0000) as u16;
    if random.percent(50) {
        question.flags = 0;
    }
    if random.percent(60) {
        question.opt().payload = random.of(&[0, 512, 600, 1232, 1232, 4096]);
        question.opt().flags = if random.percent(40) { 0x8000 } else { 0 };
    }
    Asked {
        question,
        name,
        transport: if random.percent(15) {
            Transport::Tcp
        } else {
            Transport::Udp
        },
    }
}

fn name(random: &mut Random, zone: &Zone) -> Name {
    let record = &zone.records[random.below(zone.records.len())];
    let start = match &record.target {
        Some(target) if random.percent(20) => target.clone(),
        _ => record.owner.clone(),
    };
    match random.below(10) {
        0..=3 => start,
        4..=6 => start.child(random.of(&LABELS)),
        7 => start.child(random.of(&LABELS)).child(random.of(&LABELS)),
        8 => start.parent(),
        _ => start.parent().child(random.of(&LABELS)),
    }
}

/// Sometimes letters of either case, as resolvers send them (0x20).
fn mixed_case(random: &mut Random, name: &Name) -> Name {
    if random.percent(70) {
        return name.clone();
    }
    let mut turn = |octet: &u8| {
        if random.percent(50) {
            octet.to_ascii_uppercase()
        } else {
            octet.to_ascii_lowercase()
        }
    };
    Name(
        name.0
            .iter()
            .map(|label| label.iter().map(&mut turn).collect())
            .collect(),
    )
}
