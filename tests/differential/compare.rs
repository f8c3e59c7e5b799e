//! A reply as far as the RFCs fix it, and what differs between two.

use std::collections::BTreeSet;

use crate::harness::{Message, Record};

/// What of a reply is compared: sets, for the order is free, and names in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub rcode: u16,
    pub authoritative: bool,
    pub answers: BTreeSet<Record>,
    pub authorities: BTreeSet<Record>,
    pub additionals: BTreeSet<Record>,
}

/// A part of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Rcode,
    Authoritative,
    Answer,
    Authority,
    Additional,
}

impl View {
    pub fn of(message: &Message) -> View {
        let set = |records: &[Record]| records.iter().map(lower).collect::<BTreeSet<Record>>();
        View {
            rcode: message.rcode(),
            authoritative: message.is_authoritative(),
            answers: set(&message.answers),
            authorities: set(&message.authorities),
            additionals: set(&message.additionals),
        }
    }

    /// NS records and no SOA in authority: it sends somewhere else.
    pub fn refers(&self) -> bool {
        self.authorities.iter().any(|record| record.rtype == 2)
            && !self.authorities.iter().any(|record| record.rtype == 6)
    }

    /// The parts in which the other is different.
    pub fn differences(&self, other: &View) -> Vec<Part> {
        let parts = [
            (Part::Rcode, self.rcode != other.rcode),
            (
                Part::Authoritative,
                self.authoritative != other.authoritative,
            ),
            (Part::Answer, self.answers != other.answers),
            (Part::Authority, self.authorities != other.authorities),
            (Part::Additional, self.additionals != other.additionals),
        ];
        parts
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(part, _)| part)
            .collect()
    }
}

/// Names in lower case, text as it is: some servers keep the case of the file, some do not (RFC 4343 section 4).
fn lower(record: &Record) -> Record {
    let data = match record.rtype {
        // SRV, NAPTR, SVCB, HTTPS: hexadecimal digits of octets, among them a name.
        33 | 35 | 64 | 65 => lower_octets(&record.data),
        // Names among numbers.
        2 | 5 | 6 | 12 | 15 | 39 => record.data.to_ascii_lowercase(),
        _ => record.data.clone(),
    };
    Record {
        owner: record.owner.to_ascii_lowercase(),
        data,
        ..record.clone()
    }
}

pub fn lower_octets(digits: &str) -> String {
    let octets = digits
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    octets
        .map(|octet| format!("{:02x}", octet.to_ascii_lowercase()))
        .collect()
}

impl std::fmt::Display for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "rcode {}, aa {}", self.rcode, self.authoritative)?;
        let sections = [
            ("answer", &self.answers),
            ("authority", &self.authorities),
            ("additional", &self.additionals),
        ];
        for (section, records) in sections {
            for record in records {
                let data: String = record.data.chars().take(60).collect();
                writeln!(
                    f,
                    "  {section} {} {} {} {data}",
                    record.owner, record.ttl, record.rtype
                )?;
            }
        }
        Ok(())
    }
}
