//! Random zones, small and full of collisions: few labels, so that wildcards, empty non-terminals, aliases, cuts and
//! what they hide meet again and again.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::Name;
use crate::random::Random;

/// A zone that every one of the servers loads.
pub struct Zone {
    pub origin: Name,
    pub records: Vec<Record>,
}

/// One record, its data in presentation form with absolute names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub owner: Name,
    pub ttl: u32,
    pub rtype: &'static str,
    pub data: String,
    /// The name in the data, in lower case.
    pub target: Option<Name>,
}

/// Labels of random names: `*` stands everywhere, some are not text.
const LABELS: [&[u8]; 12] = [
    b"a",
    b"a",
    b"a",
    b"b",
    b"b",
    b"c",
    b"A",
    b"B",
    b"*",
    b"*",
    b"a.b",
    b"\x00\xff",
];

/// What records are made of, the frequent ones often.
const TYPES: [&str; 28] = [
    "A",
    "A",
    "A",
    "AAAA",
    "AAAA",
    "TXT",
    "TXT",
    "MX",
    "MX",
    "SRV",
    "PTR",
    "HTTPS",
    "NAPTR",
    "TYPE65280",
    "CNAME",
    "CNAME",
    "CNAME",
    "CNAME",
    "DNAME",
    "DNAME",
    "NS",
    "NS",
    "NS",
    "NS",
    "NS",
    "CAA",
    "A",
    "GLUE",
];

/// So many zones of a seed, some of them inside others.
pub fn zones(random: &mut Random, count: usize) -> Vec<Zone> {
    let mut origins: Vec<Name> = Vec::new();
    while origins.len() < count {
        let number = origins.len();
        let origin = Name::of(&format!("z{number}.test"));
        origins.push(origin.clone());
        if random.percent(15) {
            let child = origin.child(b"a");
            origins.push(child.clone());
            if random.percent(30) {
                origins.push(child.child(random.of(&[&b"a"[..], b"b"])));
            }
        }
    }
    (0..origins.len())
        .map(|number| Draft::new(random, &origins, number).zone())
        .collect()
}

impl Zone {
    /// The master file.
    pub fn text(&self) -> String {
        let line = |record: &Record| {
            format!(
                "{} {} {} {}\n",
                record.owner, record.ttl, record.rtype, record.data
            )
        };
        self.records.iter().map(line).collect()
    }
}

/// A zone in the making.
struct Draft<'r> {
    random: &'r mut Random,
    origins: &'r [Name],
    origin: Name,
    records: Vec<Record>,
}

impl Draft<'_> {
    fn new<'r>(random: &'r mut Random, origins: &'r [Name], number: usize) -> Draft<'r> {
        Draft {
            random,
            origins,
            origin: origins[number].clone(),
            records: Vec::new(),
        }
    }

    fn zone(mut self) -> Zone {
        self.apex();
        for _ in 0..2 + self.random.below(14) {
            self.record();
        }
        // NSD takes the names of all its zones together, and refuses what hides or contradicts another one's.
        let (origin, origins) = (&self.origin, self.origins);
        self.records.retain(|record| {
            let meets =
                |other: &Name| other.is_below(&record.owner.lower()) || origin.is_below(other);
            let others =
                |other: &Name| other.is_below(origin) && record.owner.lower().is_within(other);
            match record.rtype {
                "DNAME" => !origins.iter().any(|other| meets(other) || others(other)),
                "CNAME" => !origins.iter().any(others),
                _ => true,
            }
        });
        keep_possible(&mut self.records, &self.origin);
        one_ttl(&mut self.records);
        Zone {
            origin: self.origin,
            records: self.records,
        }
    }

    /// The records without which no server loads a zone.
    fn apex(&mut self) {
        let minimum = self.random.of(&[0, 60, 300, 86400]);
        let soa = format!(
            "ns.{0} hostmaster.{0} 1 7200 900 1209600 {minimum}",
            self.origin
        );
        let apex = self.origin.clone();
        self.push(apex.clone(), "SOA", soa, None);
        // BIND refuses a zone whose name servers are in it without an address, so there is always one elsewhere.
        let away = Name::of("ns.elsewhere");
        self.push(apex.clone(), "NS", away.to_string(), Some(away));
        if self.random.percent(20) {
            let target = self.target();
            self.push(apex.clone(), "DNAME", target.to_string(), Some(target));
        } else if self.random.percent(50) {
            let inside = apex.child(b"ns");
            self.push(apex, "NS", inside.to_string(), Some(inside.clone()));
            self.push(inside, "A", "192.0.2.53".to_owned(), None);
        }
    }

    fn record(&mut self) {
        let rtype = self.random.of(&TYPES);
        let owner = self.inside();
        match rtype {
            "NS" | "GLUE" if owner == self.origin => {}
            "NS" => self.delegation(owner),
            "GLUE" => self.crowd(owner),
            _ => {
                let (data, target) = self.data(rtype);
                self.push(owner, rtype, data, target);
            }
        }
    }

    /// A cut with a name server or two, and often with what belongs to a cut.
    fn delegation(&mut self, owner: Name) {
        for _ in 0..1 + self.random.below(2) {
            let target = if self.random.percent(50) {
                owner.child(b"ns")
            } else {
                self.target()
            };
            self.push(
                owner.clone(),
                "NS",
                target.to_string(),
                Some(target.clone()),
            );
            if self.random.percent(60) && target.lower().is_within(&self.origin.lower()) {
                let (rtype, data) = self
                    .random
                    .of(&[("A", "192.0.2.54"), ("AAAA", "2001:db8::54")]);
                self.push(target, rtype, data.to_owned(), None);
            }
        }
        if self.random.percent(40) {
            let digest = "00".repeat(32);
            self.push(owner, "DS", format!("1 8 2 {digest}"), None);
        }
    }

    /// A cut with more glue than a small datagram holds.
    fn crowd(&mut self, owner: Name) {
        for number in 0..10 + self.random.below(15) {
            let server = owner.child(format!("ns{number}").as_bytes());
            self.push(
                owner.clone(),
                "NS",
                server.to_string(),
                Some(server.clone()),
            );
            self.push(server, "A", format!("192.0.2.{number}"), None);
        }
    }

    fn data(&mut self, rtype: &str) -> (String, Option<Name>) {
        let number = self.random.below(4);
        let target = self.target();
        let text = match rtype {
            "A" => return (format!("192.0.2.{number}"), None),
            "AAAA" => return (format!("2001:db8::{number}"), None),
            "TXT" if number == 0 => {
                return (
                    ["x".repeat(250), "Y".repeat(200)]
                        .map(|s| format!("\"{s}\""))
                        .join(" "),
                    None,
                );
            }
            "TXT" => return (format!("\"Text {number}\""), None),
            "TYPE65280" => return (format!("\\# 3 4142{number:02}"), None),
            "CAA" => return (format!("0 issue \"ca{number}.example\""), None),
            "MX" => format!("{number} {target}"),
            "SRV" => format!("{number} 1 443 {target}"),
            "HTTPS" => format!("{number} {target}"),
            "NAPTR" => format!("{number} 1 \"S\" \"\" \"\" {target}"),
            _ => target.to_string(),
        };
        (text, Some(target))
    }

    /// A name of the zone, seldom its apex.
    fn inside(&mut self) -> Name {
        let depth = self.random.of(&[0, 1, 1, 1, 2, 2, 2, 3]);
        (0..depth).fold(self.origin.clone(), |name, _| {
            name.child(self.random.of(&LABELS))
        })
    }

    /// A name that data point at: mostly inside, sometimes in another of the zones, sometimes in none.
    fn target(&mut self) -> Name {
        match self.random.below(10) {
            0 => Name::of("a.elsewhere"),
            1 | 2 => {
                let origin = self.random.below(self.origins.len());
                self.origins[origin].child(self.random.of(&LABELS))
            }
            _ => self.inside(),
        }
    }

    fn push(&mut self, owner: Name, rtype: &'static str, data: String, target: Option<Name>) {
        let ttl = self.random.of(&[0, 60, 300, 3600]);
        self.records.push(Record {
            owner,
            ttl,
            rtype,
            data,
            target: target.map(|target| target.lower()),
        });
    }
}

/// Leaves out what some server refuses to load: every one loads what is left.
fn keep_possible(records: &mut Vec<Record>, origin: &Name) {
    let origin = origin.lower();
    let mut alone = BTreeMap::<Name, &str>::new();
    let mut kept: Vec<Record> = Vec::new();
    let mut known = BTreeSet::new();
    for record in records.drain(..) {
        let owner = record.owner.lower();
        let cut = record.rtype == "NS" && owner != origin;
        // A CNAME or DNAME is single, a CNAME stands alone, and so does a cut beside a DNAME.
        let kind = match record.rtype {
            "CNAME" => "CNAME",
            _ if cut => "NS",
            "DNAME" => "DNAME",
            _ => "",
        };
        let before = alone.get(&owner).copied();
        let possible = match (before, kind) {
            (None, _) => true,
            (Some("CNAME"), _) | (Some(_), "CNAME") | (Some("DNAME"), "DNAME") => false,
            (Some("NS"), "DNAME") | (Some("DNAME"), "NS") => false,
            _ => true,
        };
        if !possible || cut && owner.is_wildcard() || kind == "CNAME" && owner == origin {
            continue;
        }
        if before.is_none_or(str::is_empty) {
            alone.insert(owner.clone(), kind);
        }
        if known.insert((owner, record.rtype, record.data.to_ascii_lowercase())) {
            kept.push(record);
        }
    }
    let redirected: Vec<Name> = kept
        .iter()
        .filter(|record| record.rtype == "DNAME")
        .map(|record| record.owner.lower())
        .collect();
    kept.retain(|record| {
        !redirected
            .iter()
            .any(|above| record.owner.lower().is_below(above))
    });
    // A DS where nothing is delegated any more would be odd.
    let cuts: BTreeSet<Name> = kept
        .iter()
        .filter(|r| r.rtype == "NS")
        .map(|record| record.owner.lower())
        .collect();
    kept.retain(|record| record.rtype != "DS" || cuts.contains(&record.owner.lower()));
    let addresses: BTreeSet<Name> = kept
        .iter()
        .filter(|r| r.rtype == "A")
        .map(|record| record.owner.lower())
        .collect();
    let reachable = |target: &Name| !target.is_within(&origin) || addresses.contains(target);
    kept.retain(|record| {
        record.rtype != "NS"
            || record.owner.lower() != origin
            || record.target.as_ref().is_none_or(reachable)
    });
    *records = kept;
}

/// Gives the records of an RRset the TTL of the first: what becomes of different ones is each server's own affair.
fn one_ttl(records: &mut [Record]) {
    let mut known = BTreeMap::new();
    for record in records {
        record.ttl = *known
            .entry((record.owner.lower(), record.rtype))
            .or_insert(record.ttl);
    }
}
