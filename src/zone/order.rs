//! The canonical order of names, and the records of a zone in that order.
//!
//! In this order everything below a name follows it, so a delegation covers one run of records. The
//! owners are sorted by a number that holds the start of their sort key; whole names are compared
//! only where the numbers are equal.

use std::cmp::Ordering;

use super::store::{PackedRecord, RecordStore, ZoneRecord};
use crate::dns::name_order::{compare_names, sort_number};
use crate::dns::{Name, RecordType};
use crate::two_threads::both;

/// Owners from which sorting on two threads takes less time than starting a thread.
const MANY: usize = 4096;

/// Whether a name in wire form is `ancestor` or lies below it.
pub fn is_within(name: &[u8], ancestor: &[u8]) -> bool {
    let mut rest = name;
    while rest.len() > ancestor.len() {
        rest = &rest[1 + usize::from(rest[0])..];
    }
    rest.len() == ancestor.len() && rest.eq_ignore_ascii_case(ancestor)
}

/// Records that follow one another in the file and have the same owner.
#[derive(Clone, Copy)]
struct OwnerRun {
    /// Upper and lower half of the [`sort_number`].
    number: (u64, u64),
    first: u32,
    count: u32,
}

/// The records of one zone in canonical order of their owners, then by type, then by their place in
/// the file.
pub struct OrderedRecords {
    store: RecordStore,
}

impl OrderedRecords {
    /// Sorts the records, all of which lie in the zone.
    pub fn new(mut store: RecordStore, apex: &Name) -> Self {
        let runs = runs(&store);
        let labels = apex.label_count();
        let (mut first, mut second) = if runs.len() < MANY {
            (sorted(&store, &runs, labels), Vec::new())
        } else {
            let (one, other) = runs.split_at(runs.len() / 2);
            let store = &store;
            both(
                || sorted(store, one, labels),
                || sorted(store, other, labels),
            )
        };
        drop(runs);
        let unordered = store.take_records();
        let mut records = Vec::with_capacity(unordered.len());
        // The smallest of the two sorted lists is at their end.
        while let Some(next) = smallest(&store, &unordered, &mut first, &mut second) {
            let first = next.first as usize;
            records.extend_from_slice(&unordered[first..first + next.count as usize]);
        }
        drop(unordered);
        let mut store = store.with_records(records);
        sort_types(&mut store);
        OrderedRecords { store }
    }

    /// The records of each owner.
    pub fn owners(&self) -> impl Iterator<Item = OwnerRecords<'_>> {
        let store = &self.store;
        let chunks = store.records().chunk_by(|a, b| store.same_owner(a, b));
        chunks.map(move |records| OwnerRecords { store, records })
    }

    /// Every record, in order.
    pub fn into_store(self) -> RecordStore {
        self.store
    }

    /// The records from `name` on.
    fn starting_at(&self, name: &[u8]) -> OwnerRecords<'_> {
        let (store, records) = (&self.store, self.store.records());
        let start = records.partition_point(|record| {
            compare_names(store.owner(record.owner), name) == Ordering::Less
        });
        OwnerRecords {
            store,
            records: &records[start..],
        }
    }

    /// The records whose owner has this name, in wire form.
    pub fn at(&self, name: &[u8]) -> OwnerRecords<'_> {
        let OwnerRecords { store, records } = self.starting_at(name);
        let count = records
            .iter()
            .take_while(|record| store.owner(record.owner).eq_ignore_ascii_case(name))
            .count();
        OwnerRecords {
            store,
            records: &records[..count],
        }
    }

    /// Whether the name exists: it or a name below it has records (RFC 8020).
    pub fn exists(&self, name: &[u8]) -> bool {
        let next = self.starting_at(name).iter().next();
        next.is_some_and(|record| is_within(record.owner, name))
    }

    /// What a query for `name` finds: its own records, or those of the wildcard that covers it (RFC
    /// 4592).
    pub fn found(&self, name: &Name) -> OwnerRecords<'_> {
        if self.exists(name.as_wire()) {
            return self.at(name.as_wire());
        }
        let mut ancestor = name.parent();
        while let Some(encloser) = ancestor {
            if self.exists(encloser.as_wire()) {
                if let Ok(wildcard) = encloser.child(b"*") {
                    return self.at(wildcard.as_wire());
                }
                break;
            }
            ancestor = encloser.parent();
        }
        OwnerRecords {
            store: &self.store,
            records: &[],
        }
    }
}

/// Records of one owner, ordered by type.
#[derive(Clone, Copy)]
pub struct OwnerRecords<'s> {
    store: &'s RecordStore,
    records: &'s [PackedRecord],
}

impl<'s> OwnerRecords<'s> {
    /// Each record.
    pub fn iter(self) -> impl Iterator<Item = ZoneRecord<'s>> {
        self.records.iter().map(|record| self.store.view(record))
    }

    /// The first record of that type.
    pub fn first_of(self, rtype: RecordType) -> Option<ZoneRecord<'s>> {
        let found = self.records.iter().find(|record| record.rtype == rtype)?;
        Some(self.store.view(found))
    }

    /// Whether all records are of types that need no look at other records.
    pub fn is_plain(self, needs_a_look: impl Fn(RecordType) -> bool) -> bool {
        !self.records.iter().any(|record| needs_a_look(record.rtype))
    }

    /// The owner in wire form; the root if there is no record.
    pub fn owner(self) -> &'s [u8] {
        self.records
            .first()
            .map_or(&[0], |record| self.store.owner(record.owner))
    }
}

/// The runs of records with one owner, in the order of the file.
fn runs(store: &RecordStore) -> Vec<OwnerRun> {
    let mut runs: Vec<OwnerRun> = Vec::new();
    let mut first = 0;
    for of_owner in store.records().chunk_by(|a, b| a.owner == b.owner) {
        runs.push(OwnerRun {
            number: (0, 0),
            first,
            count: of_owner.len() as u32,
        });
        first += of_owner.len() as u32;
    }
    runs
}

/// The runs from the last to the first.
fn sorted(store: &RecordStore, runs: &[OwnerRun], apex_labels: usize) -> Vec<OwnerRun> {
    let mut sorted = Vec::with_capacity(runs.len());
    for run in runs {
        let owner = store.owner(store.records()[run.first as usize].owner);
        let number = sort_number(owner, apex_labels);
        sorted.push(OwnerRun {
            number: ((number >> 64) as u64, number as u64),
            ..*run
        });
    }
    sorted.sort_unstable_by(|a, b| by_owner(store, store.records(), b, a));
    sorted
}

fn by_owner(store: &RecordStore, records: &[PackedRecord], a: &OwnerRun, b: &OwnerRun) -> Ordering {
    a.number
        .cmp(&b.number)
        .then_with(|| {
            let owner_a = store.owner(records[a.first as usize].owner);
            let owner_b = store.owner(records[b.first as usize].owner);
            compare_names(owner_a, owner_b)
        })
        .then(a.first.cmp(&b.first))
}

/// Takes the smallest run from the ends of two lists.
fn smallest(
    store: &RecordStore,
    records: &[PackedRecord],
    one: &mut Vec<OwnerRun>,
    other: &mut Vec<OwnerRun>,
) -> Option<OwnerRun> {
    match (one.last(), other.last()) {
        (Some(a), Some(b)) if by_owner(store, records, a, b) == Ordering::Greater => other.pop(),
        (Some(_), _) => one.pop(),
        (None, _) => other.pop(),
    }
}

/// Sorts the records of each owner by type.
fn sort_types(store: &mut RecordStore) {
    let mut records = store.take_records();
    let mut rest = &mut records[..];
    while let Some(first) = rest.first().copied() {
        let mut count = 1;
        while rest
            .get(count)
            .is_some_and(|it| store.same_owner(&first, it))
        {
            count += 1;
        }
        let (of_owner, after) = rest.split_at_mut(count);
        if !of_owner.is_sorted_by_key(|record| record.rtype) {
            of_owner.sort_by_key(|record| record.rtype);
        }
        rest = after;
    }
    *store = std::mem::take(store).with_records(records);
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
        fn wire_forms_compare_like_names(a in names(), b in names()) {
            prop_assert_eq!(a.cmp(&b), compare_names(a.as_wire(), b.as_wire()));
            prop_assert_eq!(a.is_within(&b), is_within(a.as_wire(), b.as_wire()));
            let numbers = [&a, &b].map(|name| sort_number(name.as_wire(), 0));
            match a.cmp(&b) {
                Ordering::Less => prop_assert!(numbers[0] <= numbers[1]),
                Ordering::Equal => prop_assert_eq!(numbers[0], numbers[1]),
                Ordering::Greater => prop_assert!(numbers[0] >= numbers[1]),
            }
        }
    }
}
