//! What tells one set of zones from another, RRset by RRset.

use std::collections::BTreeMap;

use domain::base::rdata::UnknownRecordData;
use domain::base::{ParseRecordData, Rtype};
use domain::dep::octseq::Parser;
use domain::rdata::ZoneRecordData;

use super::{RRset, Zone};
use crate::dns::{Name, RecordType};

/// An RRset that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordChange {
    /// The zone's apex.
    pub zone: String,
    /// The owner.
    pub name: String,
    /// Its type.
    pub rtype: RecordType,
    /// `TTL DATA` of each record before, sorted; empty: it is new.
    pub before: Vec<String>,
    /// The same after; empty: it is gone.
    pub after: Vec<String>,
}

/// By zone, owner and type, in the order of the zones and of their owners.
type Records<'z> = BTreeMap<(&'z Name, &'z Name, u16), &'z RRset>;

/// Every RRset that differs; a zone that is gone or new differs in all of them.
pub fn differences(before: &[Zone], after: &[Zone]) -> Vec<RecordChange> {
    let (before, after) = (records(before), records(after));
    let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let change = |key: &(&Name, &Name, u16)| {
        let (old, new) = (before.get(key).copied(), after.get(key).copied());
        if old.zip(new).is_some_and(|(old, new)| is_same(old, new)) {
            return None;
        }
        let texts = |rrset: Option<&RRset>| rrset.map_or(Vec::new(), texts);
        let (zone, name, rtype) = (key.0.to_string(), key.1.to_string(), RecordType(key.2));
        Some(RecordChange {
            zone,
            name,
            rtype,
            before: texts(old),
            after: texts(new),
        })
    };
    keys.into_iter().filter_map(change).collect()
}

fn records(zones: &[Zone]) -> Records<'_> {
    let mut records = Records::new();
    for zone in zones {
        records.extend(
            zone.rrsets
                .iter()
                .map(|rrset| ((&zone.origin, &rrset.owner, rrset.rtype.0), rrset)),
        );
    }
    records
}

fn is_same(one: &RRset, other: &RRset) -> bool {
    let sorted = |rrset: &RRset| {
        let mut rdata = rrset.rdata.clone();
        rdata.sort_unstable();
        rdata
    };
    one.ttl == other.ttl && sorted(one) == sorted(other)
}

fn texts(rrset: &RRset) -> Vec<String> {
    let mut texts: Vec<String> = rrset
        .rdata
        .iter()
        .map(|data| format!("{} {}", rrset.ttl, data_text(rrset.rtype, data)))
        .collect();
    texts.sort_unstable();
    texts
}

/// Record data in presentation form; octets (RFC 3597 section 5) where the type has none here.
fn data_text(rtype: RecordType, wire: &[u8]) -> String {
    let mut parser = Parser::from_ref(wire);
    match ZoneRecordData::<_, domain::base::ParsedName<_>>::parse_rdata(
        Rtype::from_int(rtype.0),
        &mut parser,
    ) {
        Ok(Some(data)) if parser.remaining() == 0 => data.to_string(),
        _ => UnknownRecordData::from_octets(Rtype::from_int(rtype.0), wire)
            .map_or_else(|_| String::new(), |it| it.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn zones(records: &str) -> Vec<Zone> {
        let text = format!(
            "$ORIGIN example.com.\n$TTL 60\n@ SOA ns1 h 7 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n{records}"
        );
        crate::zone::load_text(Path::new("example.com.zone"), text.as_bytes(), None, None)
            .unwrap()
            .zones
    }

    fn told(before: &str, after: &str) -> Vec<String> {
        let line =
            |it: &RecordChange| format!("{} {} {:?} {:?}", it.name, it.rtype, it.before, it.after);
        differences(&zones(before), &zones(after))
            .iter()
            .map(line)
            .collect()
    }

    #[test]
    fn what_differs_is_told_and_nothing_else() {
        assert_eq!(
            told(
                "a A 192.0.2.1\n A 192.0.2.2\n",
                "A A 192.0.2.2\nA A 192.0.2.1\n"
            ),
            [""; 0]
        );
        let found = told(
            "a A 192.0.2.1\nb TXT \"x y\"\n",
            "a A 192.0.2.2\nc 5 TYPE65280 \\# 3 010203\n",
        );
        let expected = [
            "a.example.com A [\"60 192.0.2.1\"] [\"60 192.0.2.2\"]",
            "b.example.com TXT [\"60 \\\"x y\\\"\"] []",
            "c.example.com TYPE65280 [] [\"5 \\\\# 3 01 02 03\"]",
        ];
        assert_eq!(found, expected);
        assert_eq!(
            told("a A 192.0.2.1\n", "a 61 A 192.0.2.1\n").len(),
            1,
            "a TTL is a difference"
        );
        assert_eq!(
            differences(&zones(""), &[]).len(),
            3,
            "a zone that is gone is gone whole"
        );
    }
}
