//! Whether a zone's records make sense together (RFC 1034 section 3.6, 2181, 4592, 6672), and its RRsets.

use std::collections::HashSet;

use super::error::{Report, ZoneError};
use super::order::{Ordered, canonical_key, first_of};
use super::read::{Place, Reading, Record};
use super::{RRset, Zone};
use crate::dns::{Name, RecordType};

/// Longest message (RFC 1035 section 4.2.2): what an RRset must fit in with its question.
const MAX_MESSAGE: usize = 65_535;
/// How far a chain of aliases inside the zone is followed when looking for a circle.
const MAX_CHAIN: usize = 32;

/// A zone that was checked; whether it is good is in the report.
pub struct Checked {
    pub zone: Zone,
    /// See [`Loaded::missing_addresses`](super::Loaded::missing_addresses).
    pub missing_addresses: Vec<(Name, ZoneError)>,
}

/// Checks what was read; `None` when it has no apex, which is then told in the report.
pub fn zone(mut reading: Reading, file_origin: Option<&Name>, report: &mut Report) -> Option<Checked> {
    let apex = apex(&reading, file_origin, report)?;
    let records = std::mem::take(&mut reading.records);
    let apex_key = canonical_key(&apex);
    let (inside, outside) = records.into_iter().partition(|record: &Record| record.key.starts_with(&apex_key));
    let ordered = Ordered::new(inside);
    let mut check =
        Check { ordered: &ordered, reading: &reading, apex: &apex, apex_key, report, missing_addresses: Vec::new() };
    check.outside(&outside);
    check.at_the_apex();
    check.owners();
    check.targets();
    let missing_addresses = check.missing_addresses;
    let rrsets = rrsets(ordered, &reading, report);
    Some(Checked { zone: Zone { file: reading.files[0].clone(), origin: apex, rrsets }, missing_addresses })
}

/// The owner of the SOA, if it is what `$ORIGIN` or the file's name says the zone is.
fn apex(reading: &Reading, file_origin: Option<&Name>, report: &mut Report) -> Option<Name> {
    let Some(soa) = first_of(&reading.records, RecordType::SOA) else {
        if !reading.saw_soa {
            let sentence = "the zone has no SOA record; state one at its apex";
            report.errors.push(ZoneError::whole(&reading.files[0], sentence));
        }
        return None;
    };
    let expected = reading.stated_origin.as_ref().or(file_origin);
    let named = [reading.stated_origin.as_ref(), file_origin].into_iter().flatten().any(|name| *name == soa.owner);
    match expected {
        Some(expected) if !named => {
            let sentence = format!("the SOA record is at {}, but the file states the zone {expected}", soa.owner);
            report.errors.push(reading.finding(soa.place, format!("{sentence}; make them agree")));
            None
        }
        _ => Some(soa.owner.clone()),
    }
}

struct Check<'c> {
    ordered: &'c Ordered,
    reading: &'c Reading,
    apex: &'c Name,
    apex_key: Box<[u8]>,
    report: &'c mut Report,
    missing_addresses: Vec<(Name, ZoneError)>,
}

/// What takes the names below it away from the zone.
enum Cover {
    Delegation(Name),
    Redirection(Name),
}

impl<'c> Check<'c> {
    fn error(&mut self, place: Place, sentence: String) {
        self.report.errors.push(self.reading.finding(place, sentence));
    }

    fn warn(&mut self, place: Place, sentence: String) {
        self.report.warnings.push(self.reading.finding(place, sentence));
    }

    fn outside(&mut self, records: &[Record]) {
        for record in records {
            let sentence = format!("{} lies outside the zone {}", record.owner, self.apex);
            self.error(record.place, format!("{sentence}; end names with a dot only when they are complete"));
        }
    }

    fn at_the_apex(&mut self) {
        let records = self.ordered.at(&self.apex_key);
        let has_servers = first_of(records, RecordType::NS).is_some();
        let soa = first_of(records, RecordType::SOA).map(|soa| soa.place);
        if let Some(place) = soa.filter(|_| !has_servers) {
            self.error(place, format!("the zone {} has no NS record at its apex; state its name servers", self.apex));
        }
    }

    /// Everything that concerns one owner and what lies above it.
    fn owners(&mut self) {
        let servers = server_keys(self.ordered);
        let mut cover: Option<(Box<[u8]>, Cover)> = None;
        for records in self.ordered.owners() {
            let key = &records[0].key;
            match cover.as_ref().filter(|(covering, _)| key.starts_with(covering)) {
                Some((_, cover)) => self.below(records, cover, servers.contains(key)),
                None => {
                    self.owner(records);
                    cover = self.cover(records, servers.contains(key)).map(|cover| (key.clone(), cover));
                }
            }
        }
    }

    /// An owner below a zone cut or a DNAME.
    fn below(&mut self, records: &[Record], cover: &Cover, is_server: bool) {
        let owner = &records[0].owner;
        match cover {
            Cover::Redirection(name) => {
                let bare = records.iter().find(|r| !matches!(r.rtype, RecordType::NSEC3 | RecordType::RRSIG));
                if let Some(record) = bare {
                    let sentence = format!("{owner} lies below {name}, whose DNAME redirects all names below it");
                    self.error(record.place, format!("{sentence}; remove one of them"));
                }
            }
            Cover::Delegation(name) => {
                let hidden = records.iter().find(|r| !(is_server && is_address(r.rtype)));
                if let Some(record) = hidden {
                    let sentence =
                        format!("{owner} lies below the delegation of {name}, so this {} record", record.rtype);
                    self.warn(record.place, format!("{sentence} is never served; move it to that zone"));
                }
            }
        }
    }

    /// What this owner takes away from the zone; its own data that goes with it is told.
    fn cover(&mut self, records: &[Record], is_server: bool) -> Option<Cover> {
        let owner = &records[0].owner;
        let is_apex = owner == self.apex;
        if !is_apex && first_of(records, RecordType::NS).is_some() {
            let hidden = records.iter().find(|r| !(stays_at_cut(r.rtype) || is_server && is_address(r.rtype)));
            if let Some(record) = hidden {
                let sentence = format!("{owner} is delegated, so this {} record is never served", record.rtype);
                self.warn(record.place, format!("{sentence}; move it to that zone"));
            }
            return Some(Cover::Delegation(owner.clone()));
        }
        first_of(records, RecordType::DNAME).map(|_| Cover::Redirection(owner.clone()))
    }

    /// What may not stand together at one owner.
    fn owner(&mut self, records: &[Record]) {
        let owner = &records[0].owner;
        self.single(records, RecordType::SOA);
        self.single(records, RecordType::CNAME);
        self.single(records, RecordType::DNAME);
        if let Some(cname) = first_of(records, RecordType::CNAME) {
            let beside = [RecordType::CNAME, RecordType::RRSIG, RecordType::NSEC];
            if let Some(other) = records.iter().find(|record| !beside.contains(&record.rtype)) {
                let sentence = format!("{owner} has a CNAME, so it can hold nothing else, but it also has");
                let other = format!("{} ({}); remove one of them", other.rtype, self.line_of(other, cname));
                self.error(cname.place, format!("{sentence} {other}"));
            }
            self.circle(cname);
        }
        let Some(servers) = first_of(records, RecordType::NS) else { return };
        if owner.is_wildcard() {
            self.error(servers.place, format!("{owner} is a wildcard, which cannot be delegated; name the zone"));
        }
        if let Some(dname) = first_of(records, RecordType::DNAME).filter(|_| owner != self.apex) {
            self.error(dname.place, format!("{owner} is delegated, so it cannot have a DNAME; remove one of them"));
        }
    }

    /// Refuses a second record of a type that must be single.
    fn single(&mut self, records: &[Record], rtype: RecordType) {
        let Some(first) = first_of(records, rtype) else { return };
        let same = |record: &&Record| record.rtype == rtype && !same_data(record, first);
        if let Some(second) = records.iter().find(same) {
            let sentence = format!("{} has a second {rtype} record", first.owner);
            self.error(second.place, format!("{sentence} (the first: {}); keep one", self.line_of(first, second)));
        }
    }

    /// Refuses aliases that lead back to where they start.
    fn circle(&mut self, cname: &Record) {
        let mut at = cname;
        for _ in 0..MAX_CHAIN {
            let Ok(target) = Name::from_wire(&at.data) else { return };
            if target == cname.owner {
                let sentence = format!("the CNAME of {} leads back to itself; break the circle", cname.owner);
                return self.error(cname.place, sentence);
            }
            match first_of(self.ordered.at(&canonical_key(&target)), RecordType::CNAME) {
                Some(next) => at = next,
                None => return,
            }
        }
    }

    /// Names that NS, MX and SRV records point at: inside the zone they need addresses and must be no alias.
    fn targets(&mut self) {
        let mut cut: Option<&Record> = None;
        for record in self.ordered.owners().flatten() {
            cut = cut.filter(|cut| record.key.starts_with(&cut.key));
            if cut.is_some_and(|cut| cut.key != record.key) {
                continue;
            }
            if record.rtype == RecordType::NS && *record.key != *self.apex_key {
                cut = cut.or(Some(record));
            }
            if let Some(target) = target_of(record).filter(|name| !name.is_root() && name.is_within(self.apex)) {
                self.target(record, &target);
            }
        }
    }

    fn target(&mut self, record: &Record, target: &Name) {
        let found = self.ordered.found(target);
        let has_address = self.ordered.at(&canonical_key(target)).iter().any(|record| is_address(record.rtype));
        let Record { owner, rtype, place, .. } = record;
        match self.cut_above(target) {
            // A name server inside the zone it serves can only be found with an address given here: glue.
            Some(cut) if *rtype == RecordType::NS && cut.key == record.key && !has_address => {
                let sentence = format!("the name server {target} lies in {owner}, which is delegated to it");
                self.warn(*place, format!("{sentence}; add its A or AAAA record here (glue)"));
            }
            Some(_) => {}
            None if first_of(found, RecordType::CNAME).is_some() => {
                let sentence = format!("the {rtype} record of {owner} points at {target}, which is a CNAME");
                self.warn(*place, format!("{sentence}; point it at a name with addresses"));
            }
            None if !found.iter().any(|record| is_address(record.rtype)) => {
                let sentence = format!("the {rtype} record of {owner} points at {target}, which has no address");
                let warning = self.reading.finding(*place, format!("{sentence}; add its A or AAAA record"));
                self.missing_addresses.push((target.clone(), warning));
            }
            None => {}
        }
    }

    /// The topmost delegation that `name` lies at or below.
    fn cut_above(&self, name: &Name) -> Option<&'c Record> {
        let mut topmost = None;
        let mut at = Some(name.clone());
        while let Some(ancestor) = at.filter(|ancestor| ancestor != self.apex) {
            topmost = first_of(self.ordered.at(&canonical_key(&ancestor)), RecordType::NS).or(topmost);
            at = ancestor.parent();
        }
        topmost
    }

    /// Where `record` is, told at `told_at`: the line, and the file if that is another.
    fn line_of(&self, record: &Record, told_at: &Record) -> String {
        let Place { file, line, .. } = record.place;
        if file == told_at.place.file {
            format!("line {line}")
        } else {
            format!("{}:{line}", self.reading.files[usize::from(file)].display())
        }
    }
}

/// Types that a zone serves at its delegations; addresses of name servers besides.
fn stays_at_cut(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::NS | RecordType::DS | RecordType::NSEC | RecordType::RRSIG)
}

fn is_address(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::A | RecordType::AAAA)
}

/// Keys of all names that NS records point at.
fn server_keys(ordered: &Ordered) -> HashSet<Box<[u8]>> {
    let servers = ordered.owners().flatten().filter(|record| record.rtype == RecordType::NS);
    servers.filter_map(target_of).map(|name| canonical_key(&name)).collect()
}

/// The host that an NS, MX or SRV record points at.
fn target_of(record: &Record) -> Option<Name> {
    let before = match record.rtype {
        RecordType::NS => 0,
        RecordType::MX => 2,
        RecordType::SRV => 6,
        _ => return None,
    };
    Name::from_wire(record.data.get(before..)?).ok()
}

/// Record data for comparison: a name in it counts in any case (RFC 4343).
fn comparable(record: &Record) -> Vec<u8> {
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

fn same_data(a: &Record, b: &Record) -> bool {
    comparable(a) == comparable(b)
}

/// Joins sorted records to RRsets.
fn rrsets(ordered: Ordered, reading: &Reading, report: &mut Report) -> Vec<RRset> {
    let mut rrsets: Vec<RRset> = Vec::new();
    let mut group: Vec<Record> = Vec::new();
    for record in ordered.into_records() {
        if group.first().is_some_and(|first| first.rtype != record.rtype || first.key != record.key) {
            rrsets.extend(rrset(&mut group, reading, report));
        }
        group.push(record);
    }
    rrsets.extend(rrset(&mut group, reading, report));
    rrsets
}

/// One RRset of all records in `group`, which is empty afterwards; `None` if it was empty before.
fn rrset(group: &mut Vec<Record>, reading: &Reading, report: &mut Report) -> Option<RRset> {
    if group.len() > 1 {
        lowest_ttl(group, reading, report);
        let mut seen = HashSet::new();
        group.retain(|record| seen.insert(comparable(record)));
    }
    let first = group.first()?;
    let (rtype, ttl, place) = (first.rtype, first.ttl, first.place);
    let name = first.owner.as_wire().len();
    // A message of a header, the question, and per record a pointer, ten octets and the data.
    let octets = 12 + name + 4 + group.iter().map(|record| 12 + record.data.len()).sum::<usize>();
    if octets > MAX_MESSAGE {
        let sentence = format!("the {rtype} records of {} take a message of {octets} octets", first.owner);
        let sentence = format!("{sentence}, which can have {MAX_MESSAGE}; remove some");
        report.errors.push(reading.finding(place, sentence));
    }
    let owner = first.owner.clone();
    let rdata = group.drain(..).map(|record| record.data).collect();
    Some(RRset { owner, rtype, ttl, rdata, line: place.line })
}

/// Gives all records the lowest time to live among them (RFC 2181 section 5.2); signatures follow what they sign.
fn lowest_ttl(group: &mut [Record], reading: &Reading, report: &mut Report) {
    let lowest = group.iter().map(|record| record.ttl).min().unwrap_or(0);
    let other = group.iter().find(|record| record.ttl != group[0].ttl);
    if let Some(record) = other.filter(|record| record.rtype != RecordType::RRSIG) {
        let sentence = format!("the {} records of {} differ in time to live", record.rtype, record.owner);
        let sentence = format!("{sentence}; the lowest, {lowest} seconds, is taken for all");
        report.warnings.push(reading.finding(record.place, sentence));
    }
    for record in group {
        record.ttl = lowest;
    }
}
