//! Compares two sets of zones, RRset by RRset, for `meridian plan`.
//!
//! A change is an RRset that was added, removed, or has another TTL or other data. The order of the
//! records in an RRset does not count. Changes are listed by zone, owner and type.

use std::collections::{BTreeMap, BTreeSet};

use domain::base::rdata::UnknownRecordData;
use domain::base::{ParseRecordData, Rtype};
use domain::dep::octseq::Parser;
use domain::rdata::ZoneRecordData;

use super::{RRset, Zone};
use crate::dns::{Name, RecordType};

/// An RRset that was added, removed or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordChange {
    /// The zone's apex.
    pub zone: String,
    /// The owner.
    pub name: String,
    /// Its type.
    pub rtype: RecordType,
    /// `TTL DATA` of each record before, sorted; empty if the RRset is new.
    pub before: Vec<String>,
    /// The same after; empty if the RRset was removed.
    pub after: Vec<String>,
}

/// By zone, owner and type, in the order of the zones and of their owners.
type Records<'z> = BTreeMap<(&'z Name, Name, u16), RRset<'z>>;

/// Every RRset that differs; all RRsets of an added or removed zone differ.
pub fn differences(before: &[Zone], after: &[Zone]) -> Vec<RecordChange> {
    let (before, after) = (records(before), records(after));
    let mut keys: BTreeSet<_> = before.keys().collect();
    keys.extend(after.keys());
    let mut changes = Vec::new();
    for key in keys {
        let (old, new) = (before.get(key).copied(), after.get(key).copied());
        if let (Some(old), Some(new)) = (old, new)
            && is_same(old, new)
        {
            continue;
        }
        let (zone, name, rtype) = key;
        changes.push(RecordChange {
            zone: zone.to_string(),
            name: name.to_string(),
            rtype: RecordType(*rtype),
            before: texts(old),
            after: texts(new),
        });
    }
    changes
}

fn records(zones: &[Zone]) -> Records<'_> {
    let mut records = Records::new();
    for zone in zones {
        for rrset in zone.rrsets() {
            let key = (&zone.origin, rrset.name(), rrset.rtype().0);
            records.insert(key, rrset);
        }
    }
    records
}

fn is_same(one: RRset<'_>, other: RRset<'_>) -> bool {
    one.ttl() == other.ttl() && sorted_data(one) == sorted_data(other)
}

fn sorted_data(rrset: RRset<'_>) -> Vec<&[u8]> {
    let mut data: Vec<&[u8]> = rrset.rdata().collect();
    data.sort_unstable();
    data
}

/// `TTL DATA` of each record, sorted; empty without an RRset.
fn texts(rrset: Option<RRset<'_>>) -> Vec<String> {
    let mut texts = Vec::new();
    if let Some(rrset) = rrset {
        for data in rrset.rdata() {
            let text = data_text(rrset.rtype(), data);
            texts.push(format!("{} {text}", rrset.ttl()));
        }
    }
    texts.sort_unstable();
    texts
}

/// Record data in presentation form, or in the form of RFC 3597 section 5 if the type has none
/// here.
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

    fn changes(before: &str, after: &str) -> Vec<String> {
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
            changes(
                "a A 192.0.2.1\n A 192.0.2.2\n",
                "A A 192.0.2.2\nA A 192.0.2.1\n"
            ),
            [""; 0]
        );
        let found = changes(
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
            changes("a A 192.0.2.1\n", "a 61 A 192.0.2.1\n").len(),
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
