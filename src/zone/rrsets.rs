//! Joins the sorted records of a zone to RRsets.
//!
//! Duplicates are dropped, all records of an RRset get its lowest TTL (RFC 2181 section 5.2), and
//! an RRset that no message can hold is an error.

use std::collections::HashSet;

use super::RRset;
use super::error::ZoneReport;
use super::order::OrderedRecords;
use super::reading::{ZoneReading, ZoneRecord};
use crate::dns::RecordType;

/// The longest message (RFC 1035 section 4.2.2). An RRset must fit into it with its question.
const MAX_MESSAGE: usize = 65_535;

/// Joins sorted records to RRsets.
pub fn rrsets(
    ordered: OrderedRecords,
    reading: &ZoneReading,
    report: &mut ZoneReport,
) -> Vec<RRset> {
    let mut rrsets: Vec<RRset> = Vec::new();
    let mut group: Vec<ZoneRecord> = Vec::new();
    for record in ordered.into_records() {
        if group
            .first()
            .is_some_and(|first| first.rtype != record.rtype || first.key != record.key)
        {
            rrsets.extend(rrset(&mut group, reading, report));
        }
        group.push(record);
    }
    rrsets.extend(rrset(&mut group, reading, report));
    rrsets
}

/// One RRset of all records in `group`, which is empty afterwards; `None` if it was empty before.
fn rrset(
    group: &mut Vec<ZoneRecord>,
    reading: &ZoneReading,
    report: &mut ZoneReport,
) -> Option<RRset> {
    if group.len() > 1 {
        lowest_ttl(group, reading, report);
        let mut seen = HashSet::new();
        group.retain(|record| seen.insert(comparable(record)));
    }
    let first = group.first()?;
    let (rtype, ttl, place) = (first.rtype, first.ttl, first.place);
    let name = first.owner.as_wire().len();
    // A message of a header, the question, and per record a pointer, ten octets and the data.
    let mut octets = 12 + name + 4;
    for record in group.iter() {
        octets += 12 + record.data.len();
    }
    if octets > MAX_MESSAGE {
        let sentence = format!(
            "the {rtype} records of {} take a message of {octets} octets",
            first.owner
        );
        let sentence = format!("{sentence}, which can have {MAX_MESSAGE}; remove some");
        report.errors.push(reading.finding(place, sentence));
    }
    let owner = first.owner.clone();
    let rdata = group.drain(..).map(|record| record.data).collect();
    Some(RRset {
        owner,
        rtype,
        ttl,
        rdata,
        line: place.line,
    })
}

/// Gives all records the lowest time to live among them (RFC 2181 section 5.2); signatures get
/// the TTL of the records that they sign.
fn lowest_ttl(group: &mut [ZoneRecord], reading: &ZoneReading, report: &mut ZoneReport) {
    let lowest = group.iter().map(|record| record.ttl).min().unwrap_or(0);
    let other = group.iter().find(|record| record.ttl != group[0].ttl);
    if let Some(record) = other.filter(|record| record.rtype != RecordType::RRSIG) {
        let sentence = format!(
            "the {} records of {} differ in time to live",
            record.rtype, record.owner
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
fn comparable(record: &ZoneRecord) -> Vec<u8> {
    let mut data = record.data.to_vec();
    let before = match record.rtype {
        RecordType::NS | RecordType::CNAME | RecordType::DNAME | RecordType::PTR => 0,
        RecordType::MX => 2,
        RecordType::SRV => 6,
        _ => return data,
    };
    // The length octets in front of labels are at most 63, below all letters.
    data[before..].make_ascii_lowercase();
    data
}

/// Whether two records have the same data; names in it compare without case (RFC 4343).
pub fn same_data(a: &ZoneRecord, b: &ZoneRecord) -> bool {
    comparable(a) == comparable(b)
}
