//! Names in record data are as short as RFC 1035 section 4.1.4 lets them be.

use std::collections::HashSet;

use super::types::*;

/// Most octets of a message that a pointer reaches.
const REACH: usize = 0x4000;

/// A name in a message.
struct Name {
    /// Its labels in lower case, without the root.
    labels: Vec<Vec<u8>>,
    /// How many of them are written out before a pointer or the root.
    written: usize,
    /// Where it ends.
    end: usize,
}

/// Checks that no name in the data of a type that may be compressed (RFC 3597 section 4) is written out where its end
/// stands in the message already.
#[track_caller]
pub fn check_shortest(message: &[u8]) {
    let counts: Vec<usize> = message[4..12]
        .chunks(2)
        .map(|count| number(count, 0))
        .collect();
    let mut known = HashSet::new();
    let mut at = 12;
    for _ in 0..counts[0] {
        let name = read(message, at);
        note(&name, at, &mut known);
        at = name.end + 4;
    }
    for _ in 0..counts[1..].iter().sum() {
        let owner = read(message, at);
        note(&owner, at, &mut known);
        let rtype = number(message, owner.end) as u16;
        let data = owner.end + 10;
        let (fixed, names, may_point) = names_in(rtype);
        let mut place = data + fixed;
        for _ in 0..names {
            let name = read(message, place);
            let end_stands_already =
                (0..name.written).any(|skip| known.contains(&name.labels[skip..]));
            assert!(
                !(may_point && end_stands_already),
                "type {rtype} at {at} could be shorter: {message:02x?}"
            );
            note(&name, place, &mut known);
            place = name.end;
        }
        at = data + number(message, owner.end + 8);
    }
}

/// Octets before the names in the data of a type, how many names there are, and whether they may be pointers.
fn names_in(rtype: u16) -> (usize, usize, bool) {
    match rtype {
        NS | CNAME | PTR => (0, 1, true),
        SOA => (0, 2, true),
        MX => (2, 1, true),
        DNAME => (0, 1, false),
        _ => (0, 0, false),
    }
}

fn number(octets: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([octets[at], octets[at + 1]]))
}

/// Every end of a name that a pointer can reach, from now on.
fn note(name: &Name, at: usize, known: &mut HashSet<Vec<Vec<u8>>>) {
    let mut place = at;
    for skip in 0..name.written {
        if place < REACH {
            known.insert(name.labels[skip..].to_vec());
        }
        place += 1 + name.labels[skip].len();
    }
}

fn read(message: &[u8], mut at: usize) -> Name {
    let (mut labels, mut written, mut end) = (Vec::new(), 0, None);
    loop {
        let length = usize::from(message[at]);
        if length >= 0xc0 {
            end = end.or(Some(at + 2));
            at = number(message, at) & (REACH - 1);
        } else if length == 0 {
            return Name {
                labels,
                written,
                end: end.unwrap_or(at + 1),
            };
        } else {
            labels.push(message[at + 1..at + 1 + length].to_ascii_lowercase());
            written += usize::from(end.is_none());
            at += 1 + length;
        }
    }
}
