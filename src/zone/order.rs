//! The canonical order of names as sort keys, and the records of a zone in that order.
//!
//! In this order everything below a name follows it, so a delegation covers one run of records.

use super::reading::ZoneRecord;
use crate::dns::{Name, RecordType};

/// A key that sorts as `name` does in canonical order (RFC 4034 section 6.1). It is a prefix of the
/// key of every name below `name`.
///
/// Labels from the right in lower case, a zero after each; the octets 0 and 1 inside a label become
/// 1 1 and 1 2.
pub fn canonical_key(name: &Name) -> Box<[u8]> {
    let wire = name.as_wire();
    let mut starts = [0u8; 128];
    let mut count = 0;
    let mut at = 0;
    while wire[at] != 0 {
        starts[count] = at as u8;
        count += 1;
        at += 1 + usize::from(wire[at]);
    }
    let mut key = Vec::with_capacity(wire.len());
    for &start in starts[..count].iter().rev() {
        let start = usize::from(start);
        for &octet in &wire[start + 1..=start + usize::from(wire[start])] {
            match octet {
                0 | 1 => key.extend([1, octet + 1]),
                _ => key.push(octet.to_ascii_lowercase()),
            }
        }
        key.push(0);
    }
    key.into_boxed_slice()
}

/// The records of one zone in canonical order of their owners, then by type, then by their place in
/// the file.
pub struct OrderedRecords {
    records: Vec<ZoneRecord>,
}

impl OrderedRecords {
    /// Sorts the records.
    pub fn new(mut records: Vec<ZoneRecord>) -> Self {
        records.sort_by(|a, b| a.key.cmp(&b.key).then(a.rtype.cmp(&b.rtype)));
        OrderedRecords { records }
    }

    /// The records of each owner.
    pub fn owners(&self) -> impl Iterator<Item = &[ZoneRecord]> {
        self.records.chunk_by(|a, b| a.key == b.key)
    }

    /// Every record, in order.
    pub fn into_records(self) -> Vec<ZoneRecord> {
        self.records
    }

    /// The records from `key` on.
    fn from(&self, key: &[u8]) -> &[ZoneRecord] {
        &self.records[self.records.partition_point(|record| *record.key < *key)..]
    }

    /// The records whose owner has this key.
    pub fn at(&self, key: &[u8]) -> &[ZoneRecord] {
        let from = self.from(key);
        &from[..from.iter().take_while(|record| *record.key == *key).count()]
    }

    /// Whether the name exists: it or a name below it has records (RFC 8020).
    pub fn exists(&self, key: &[u8]) -> bool {
        self.from(key)
            .first()
            .is_some_and(|record| record.key.starts_with(key))
    }

    /// What a query for `name` finds: its own records, or those of the wildcard that covers it (RFC
    /// 4592).
    pub fn found(&self, name: &Name) -> &[ZoneRecord] {
        if self.exists(&canonical_key(name)) {
            return self.at(&canonical_key(name));
        }
        let mut ancestor = name.parent();
        while let Some(encloser) = ancestor {
            if self.exists(&canonical_key(&encloser)) {
                return encloser
                    .child(b"*")
                    .map_or(&[], |wildcard| self.at(&canonical_key(&wildcard)));
            }
            ancestor = encloser.parent();
        }
        &[]
    }
}

/// The first record of that type among an owner's records.
pub fn first_of(records: &[ZoneRecord], rtype: RecordType) -> Option<&ZoneRecord> {
    records.iter().find(|record| record.rtype == rtype)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> impl Strategy<Value = Name> {
        let octet = prop_oneof![
            Just(0u8),
            Just(1),
            Just(2),
            Just(b'a'),
            Just(b'A'),
            Just(b'.'),
            any::<u8>()
        ];
        let labels = prop::collection::vec(prop::collection::vec(octet, 1..4), 0..4);
        labels.prop_map(|labels| {
            labels.iter().fold(Name::root(), |name, label| {
                name.child(label).expect("short")
            })
        })
    }

    proptest! {
        #[test]
        fn keys_sort_like_names_and_continue_below(a in names(), b in names()) {
            let (key_a, key_b) = (canonical_key(&a), canonical_key(&b));
            prop_assert_eq!(a.cmp(&b), key_a.cmp(&key_b));
            prop_assert_eq!(a.is_within(&b), key_a.starts_with(&key_b));
        }
    }
}
