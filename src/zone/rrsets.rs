//! Joins the sorted records of a zone to RRsets.
//!
//! Duplicates are dropped, all records of an RRset get its lowest TTL (RFC 2181 section 5.2) and the
//! owner of its first, and an RRset that no message can hold is an error.

use std::borrow::Cow;
use std::collections::HashSet;

use super::error::ZoneReport;
use super::order::OrderedRecords;
use super::reading::ZoneReading;
use super::store::{PackedRecord, RecordStore, ZoneRecord};
use crate::dns::RecordType;

/// The longest message (RFC 1035 section 4.2.2). An RRset must fit into it with its question.
const MAX_MESSAGE: usize = 65_535;

/// Joins sorted records to RRsets: records that follow one another and have the same type and the
/// same owner, in its place in the store too.
pub fn rrsets(
    ordered: OrderedRecords,
    reading: &ZoneReading,
    report: &mut ZoneReport,
) -> RecordStore {
    let mut store = ordered.into_store();
    let mut records = store.take_records();
    let (mut start, mut end) = (0, 0);
    while let Some(&first) = records.get(start) {
        let mut after = start + 1;
        while records
            .get(after)
            .is_some_and(|it| it.rtype == first.rtype && store.same_owner(&first, it))
        {
            after += 1;
        }
        let kept = match after - start {
            1 => 1,
            _ => join(&store, &mut records[start..after], reading, report),
        };
        check_size(&store, &records[start..start + kept], reading, report);
        records.copy_within(start..start + kept, end);
        (start, end) = (after, end + kept);
    }
    records.truncate(end);
    let mut store = store.with_records(records);
    store.shrink();
    store
}

/// Makes one RRset of several records; the first so many are kept.
fn join(
    store: &RecordStore,
    group: &mut [PackedRecord],
    reading: &ZoneReading,
    report: &mut ZoneReport,
) -> usize {
    let owner = group[0].owner;
    lowest_ttl(store, group, reading, report);
    let mut seen = HashSet::new();
    let mut kept = 0;
    for at in 0..group.len() {
        let mut record = group[at];
        if seen.insert(comparable(store.view(&record))) {
            record.owner = owner;
            group[kept] = record;
            kept += 1;
        }
    }
    kept
}

fn check_size(
    store: &RecordStore,
    group: &[PackedRecord],
    reading: &ZoneReading,
    report: &mut ZoneReport,
) {
    let Some(first) = group.first().map(|first| store.view(first)) else {
        return;
    };
    // A message of a header, the question, and per record a pointer, ten octets and the data.
    let mut octets = 12 + first.owner.len() + 4;
    for record in group {
        octets += 12 + store.data(record).len();
    }
    if octets > MAX_MESSAGE {
        let (rtype, owner) = (first.rtype, first.name());
        let sentence = format!("the {rtype} records of {owner} take a message of {octets} octets");
        let sentence = format!("{sentence}, which can have {MAX_MESSAGE}; remove some");
        report.errors.push(reading.finding(first.place, sentence));
    }
}

/// Gives all records the lowest time to live among them (RFC 2181 section 5.2); signatures get
/// the TTL of the records that they sign.
fn lowest_ttl(
    store: &RecordStore,
    group: &mut [PackedRecord],
    reading: &ZoneReading,
    report: &mut ZoneReport,
) {
    let lowest = group.iter().map(|record| record.ttl).min().unwrap_or(0);
    let other = group.iter().find(|record| record.ttl != group[0].ttl);
    if let Some(record) = other.filter(|record| record.rtype != RecordType::RRSIG) {
        let record = store.view(record);
        let sentence = format!(
            "the {} records of {} differ in time to live",
            record.rtype,
            record.name()
        );
        let sentence = format!("{sentence}; the lowest, {lowest} seconds, is taken for all");
        report
            .warnings
            .push(reading.finding(record.place, sentence));
    }
    for record in group {
        record.ttl = lowest;
    }
}

/// Record data for comparison: names are compared without case (RFC 4343).
fn comparable(record: ZoneRecord<'_>) -> Cow<'_, [u8]> {
    let before = match record.rtype {
        RecordType::NS | RecordType::CNAME | RecordType::DNAME | RecordType::PTR => 0,
        RecordType::MX => 2,
        RecordType::SRV => 6,
        _ => return Cow::Borrowed(record.data),
    };
    // The length octets in front of labels are at most 63, below all letters.
    let mut data = record.data.to_vec();
    data[before..].make_ascii_lowercase();
    Cow::Owned(data)
}

/// Whether two records have the same data; names in it compare without case (RFC 4343).
pub fn same_data(a: ZoneRecord<'_>, b: ZoneRecord<'_>) -> bool {
    comparable(a) == comparable(b)
}
