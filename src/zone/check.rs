//! Checks whether the records of a zone make sense together.
//!
//! The checks follow RFC 1034 section 3.6, RFC 2181, RFC 4592 and RFC 6672: one SOA at the apex,
//! nothing beside a CNAME, nothing below a DNAME, glue at delegations, and targets of NS, MX and
//! SRV that have addresses. A mistake refuses the zone; an oddity that other servers load as well
//! is a warning.

use std::collections::HashSet;

use super::Zone;
use super::error::{ZoneError, ZoneReport};
use super::order::{OrderedRecords, OwnerRecords, is_within};
use super::reading::ZoneReading;
use super::rrsets::{rrsets, same_data};
use super::store::{RecordPlace, RecordStore, ZoneRecord};
use crate::dns::{Name, RecordType};

/// The most CNAMEs that are followed to find a loop.
const MAX_CHAIN: usize = 32;

/// A zone that was checked. The report has its errors, if any.
pub struct CheckedZone {
    pub zone: Zone,
    /// See [`LoadedZones::missing_addresses`](super::LoadedZones::missing_addresses).
    pub missing_addresses: Vec<(Name, ZoneError)>,
}

/// Checks what was read; `None` when it has no apex, which the report then says.
pub fn zone(
    mut reading: ZoneReading,
    file_origin: Option<&Name>,
    report: &mut ZoneReport,
) -> Option<CheckedZone> {
    let apex = apex(&reading, file_origin, report)?;
    let inside = without_outside(&mut reading, &apex, report);
    let ordered = OrderedRecords::new(inside, &apex);
    let mut check = Check {
        ordered: &ordered,
        reading: &reading,
        apex: &apex,
        report,
        missing_addresses: Vec::new(),
    };
    check.at_the_apex();
    check.owners();
    check.targets();
    let missing_addresses = check.missing_addresses;
    let records = rrsets(ordered, &reading, report);
    Some(CheckedZone {
        zone: Zone {
            file: reading.files[0].clone(),
            origin: apex,
            records,
        },
        missing_addresses,
    })
}

/// The records inside the zone; the others are reported.
fn without_outside(reading: &mut ZoneReading, apex: &Name, report: &mut ZoneReport) -> RecordStore {
    let mut store = std::mem::take(&mut reading.records);
    let mut records = store.take_records();
    let mut seen = None;
    records.retain(|record| {
        // One look is enough for records of one owner that follow one another.
        if seen == Some(record.owner) {
            return true;
        }
        let view = store.view(record);
        let inside = is_within(view.owner, apex.as_wire());
        if inside {
            seen = Some(record.owner);
        } else {
            let sentence = format!(
                "{} lies outside the zone {apex}; end names with a dot only when they are complete",
                view.name()
            );
            report.errors.push(reading.finding(view.place, sentence));
        }
        inside
    });
    store.with_records(records)
}

/// The owner of the SOA, if `$ORIGIN` or the file's name agrees with it.
pub fn apex(
    reading: &ZoneReading,
    file_origin: Option<&Name>,
    report: &mut ZoneReport,
) -> Option<Name> {
    let records = &reading.records;
    let mut all = records.records().iter();
    let Some(soa) = all.find(|record| record.rtype == RecordType::SOA) else {
        if !reading.saw_wrong_soa {
            let sentence = "the zone has no SOA record; state one at its apex";
            report
                .errors
                .push(ZoneError::whole(&reading.files[0], sentence));
        }
        return None;
    };
    let soa = records.view(soa);
    let owner = soa.name();
    let expected = reading.stated_origin.as_ref().or(file_origin);
    let named = [reading.stated_origin.as_ref(), file_origin]
        .into_iter()
        .flatten()
        .any(|name| *name == owner);
    match expected {
        Some(expected) if !named => {
            let sentence =
                format!("the SOA record is at {owner}, but the file states the zone {expected}");
            report
                .errors
                .push(reading.finding(soa.place, format!("{sentence}; make them agree")));
            None
        }
        _ => Some(owner),
    }
}

struct Check<'c> {
    ordered: &'c OrderedRecords,
    reading: &'c ZoneReading,
    apex: &'c Name,
    report: &'c mut ZoneReport,
    missing_addresses: Vec<(Name, ZoneError)>,
}

/// A record set that removes the names below it from the zone.
enum Cover {
    Delegation(Name),
    Redirection(Name),
}

impl<'c> Check<'c> {
    fn error(&mut self, place: RecordPlace, sentence: String) {
        self.report
            .errors
            .push(self.reading.finding(place, sentence));
    }

    fn warn(&mut self, place: RecordPlace, sentence: String) {
        self.report
            .warnings
            .push(self.reading.finding(place, sentence));
    }

    fn at_the_apex(&mut self) {
        let records = self.ordered.at(self.apex.as_wire());
        let has_servers = records.first_of(RecordType::NS).is_some();
        let soa = records.first_of(RecordType::SOA).map(|soa| soa.place);
        if let Some(place) = soa.filter(|_| !has_servers) {
            self.error(
                place,
                format!(
                    "the zone {} has no NS record at its apex; state its name servers",
                    self.apex
                ),
            );
        }
    }

    /// Checks each owner by itself and against the delegation or DNAME above it.
    fn owners(&mut self) {
        let servers = servers(self.ordered);
        let mut cover: Option<(&[u8], Cover)> = None;
        for records in self.ordered.owners() {
            let owner = records.owner();
            if let Some((_, cover)) = cover.as_ref().filter(|(above, _)| is_within(owner, above)) {
                let is_server = servers.contains(&owner.to_ascii_lowercase());
                self.below(records, cover, is_server);
                continue;
            }
            cover = None;
            if records.is_plain(needs_a_look) {
                continue;
            }
            self.owner(records);
            let is_server = servers.contains(&owner.to_ascii_lowercase());
            cover = self.cover(records, is_server).map(|cover| (owner, cover));
        }
    }

    /// Warns about records below a zone cut or a DNAME, which are never served.
    fn below(&mut self, records: OwnerRecords<'_>, cover: &Cover, is_server: bool) {
        let owner = name_of(records.owner());
        match cover {
            Cover::Redirection(name) => {
                let bare = records
                    .iter()
                    .find(|r| !matches!(r.rtype, RecordType::NSEC3 | RecordType::RRSIG));
                if let Some(record) = bare {
                    let sentence = format!(
                        "{owner} lies below {name}, whose DNAME redirects all names below it"
                    );
                    self.error(record.place, format!("{sentence}; remove one of them"));
                }
            }
            Cover::Delegation(name) => {
                let hidden = records.iter().find(|r| !(is_server && is_address(r.rtype)));
                if let Some(record) = hidden {
                    let sentence = format!(
                        "{owner} lies below the delegation of {name}, so this {} record",
                        record.rtype
                    );
                    self.warn(
                        record.place,
                        format!("{sentence} is never served; move it to that zone"),
                    );
                }
            }
        }
    }

    /// The delegation or DNAME at this owner, if there is one. Reports records of the owner that it
    /// hides.
    fn cover(&mut self, records: OwnerRecords<'_>, is_server: bool) -> Option<Cover> {
        let owner = name_of(records.owner());
        let is_apex = owner == *self.apex;
        if !is_apex && records.first_of(RecordType::NS).is_some() {
            let hidden = records
                .iter()
                .find(|r| !(stays_at_cut(r.rtype) || is_server && is_address(r.rtype)));
            if let Some(record) = hidden {
                let sentence = format!(
                    "{owner} is delegated, so this {} record is never served",
                    record.rtype
                );
                self.warn(record.place, format!("{sentence}; move it to that zone"));
            }
            return Some(Cover::Delegation(owner));
        }
        records
            .first_of(RecordType::DNAME)
            .map(|_| Cover::Redirection(owner))
    }

    fn soa(&mut self, soa: ZoneRecord<'_>) {
        let (owner, apex) = (soa.name(), self.apex);
        if owner != *apex {
            let sentence = format!("{owner} has an SOA record, but only the apex {apex} can");
            self.error(soa.place, format!("{sentence}; remove it"));
        }
    }

    /// Checks the records of one owner: single types, CNAME, NS and DNAME.
    fn owner(&mut self, records: OwnerRecords<'_>) {
        if let Some(soa) = records.first_of(RecordType::SOA) {
            self.soa(soa);
        }
        self.single(records, RecordType::SOA);
        self.single(records, RecordType::CNAME);
        self.single(records, RecordType::DNAME);
        if let Some(cname) = records.first_of(RecordType::CNAME) {
            self.beside_cname(records, cname);
            self.circle(cname);
        }
        self.delegation(records);
    }

    /// Refuses other data beside a CNAME (RFC 1034 section 3.6.2, RFC 4035 section 2.5).
    fn beside_cname(&mut self, records: OwnerRecords<'_>, cname: ZoneRecord<'_>) {
        let beside = [RecordType::CNAME, RecordType::RRSIG, RecordType::NSEC];
        let Some(other) = records
            .iter()
            .find(|record| !beside.contains(&record.rtype))
        else {
            return;
        };
        let line = self.line_of(other.place, cname.place);
        let sentence = format!(
            "{} has a CNAME, so it can hold nothing else, but it also has {} ({line}); remove one of \
             them",
            cname.name(),
            other.rtype
        );
        self.error(cname.place, sentence);
    }

    /// Refuses a delegated wildcard, and a DNAME at a delegation.
    fn delegation(&mut self, records: OwnerRecords<'_>) {
        let owner = name_of(records.owner());
        let Some(servers) = records.first_of(RecordType::NS) else {
            return;
        };
        if owner.is_wildcard() {
            let sentence = "is a wildcard, which cannot be delegated; name the zone";
            self.error(servers.place, format!("{owner} {sentence}"));
        }
        if let Some(dname) = records
            .first_of(RecordType::DNAME)
            .filter(|_| owner != *self.apex)
        {
            self.error(
                dname.place,
                format!("{owner} is delegated, so it cannot have a DNAME; remove one of them"),
            );
        }
    }

    /// Refuses a second record of a type that must be single.
    fn single(&mut self, records: OwnerRecords<'_>, rtype: RecordType) {
        let Some(first) = records.first_of(rtype) else {
            return;
        };
        let second = records
            .iter()
            .find(|record| record.rtype == rtype && !same_data(*record, first));
        if let Some(second) = second {
            let sentence = format!("{} has a second {rtype} record", first.name());
            self.error(
                second.place,
                format!(
                    "{sentence} (the first: {}); keep one",
                    self.line_of(first.place, second.place)
                ),
            );
        }
    }

    /// Warns of aliases that lead back to their start. This is no error: a reply holds each alias
    /// once, resolvers stop by themselves, and other servers load such zones as well.
    fn circle(&mut self, cname: ZoneRecord<'_>) {
        let mut at = cname;
        for _ in 0..MAX_CHAIN {
            let Ok(target) = Name::from_wire(at.data) else {
                return;
            };
            if target == cname.name() {
                let sentence = format!("the CNAME of {target} leads back to itself");
                return self.warn(
                    cname.place,
                    format!("{sentence}, so it has no address; break the circle"),
                );
            }
            match self
                .ordered
                .at(target.as_wire())
                .first_of(RecordType::CNAME)
            {
                Some(next) => at = next,
                None => return,
            }
        }
    }

    /// Checks the targets of NS, MX and SRV records inside the zone: they need addresses and must
    /// not be aliases.
    fn targets(&mut self) {
        let mut cut: Option<&[u8]> = None;
        for records in self.ordered.owners() {
            let owner = records.owner();
            cut = cut.filter(|cut| is_within(owner, cut));
            if cut.is_some() || records.is_plain(|rtype| host_at(rtype).is_some()) {
                continue;
            }
            for record in records.iter() {
                if let Some(target) =
                    target_of(record).filter(|name| !name.is_root() && name.is_within(self.apex))
                {
                    self.target(record, &target);
                }
            }
            let is_cut = records.first_of(RecordType::NS).is_some();
            if is_cut && !owner.eq_ignore_ascii_case(self.apex.as_wire()) {
                cut = Some(owner);
            }
        }
    }

    fn target(&mut self, record: ZoneRecord<'_>, target: &Name) {
        let found = self.ordered.found(target);
        let has_address = self
            .ordered
            .at(target.as_wire())
            .iter()
            .any(|record| is_address(record.rtype));
        let ZoneRecord { rtype, place, .. } = record;
        let owner = record.name();
        match self.cut_above(target) {
            // A name server inside the delegated zone can only be found by its glue.
            Some(cut) if rtype == RecordType::NS && cut.name() == owner && !has_address => {
                let sentence =
                    format!("the name server {target} lies in {owner}, which is delegated to it");
                self.warn(
                    place,
                    format!("{sentence}; add its A or AAAA record here (glue)"),
                );
            }
            Some(_) => {}
            None if found.first_of(RecordType::CNAME).is_some() => {
                let sentence =
                    format!("the {rtype} record of {owner} points at {target}, which is a CNAME");
                self.warn(
                    place,
                    format!("{sentence}; point it at a name with addresses"),
                );
            }
            None if !found.iter().any(|record| is_address(record.rtype)) => {
                let sentence = format!(
                    "the {rtype} record of {owner} points at {target}, which has no address"
                );
                let warning = self
                    .reading
                    .finding(place, format!("{sentence}; add its A or AAAA record"));
                self.missing_addresses.push((target.clone(), warning));
            }
            None => {}
        }
    }

    /// The topmost delegation that `name` lies at or below.
    fn cut_above(&self, name: &Name) -> Option<ZoneRecord<'c>> {
        let mut topmost = None;
        let mut at = Some(name.clone());
        while let Some(ancestor) = at.filter(|ancestor| ancestor != self.apex) {
            let here = self.ordered.at(ancestor.as_wire());
            topmost = here.first_of(RecordType::NS).or(topmost);
            at = ancestor.parent();
        }
        topmost
    }

    /// Where a record is, for a message about `other`: the line, and the file if it is another one.
    fn line_of(&self, record: RecordPlace, other: RecordPlace) -> String {
        let RecordPlace { file, line, .. } = record;
        if file == other.file {
            format!("line {line}")
        } else {
            format!("{}:{line}", self.reading.files[usize::from(file)].display())
        }
    }
}

/// Types that a zone serves at a delegation, besides glue.
fn stays_at_cut(rtype: RecordType) -> bool {
    matches!(
        rtype,
        RecordType::NS | RecordType::DS | RecordType::NSEC | RecordType::RRSIG
    )
}

fn is_address(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::A | RecordType::AAAA)
}

/// Types whose owner is looked at together with its other records.
fn needs_a_look(rtype: RecordType) -> bool {
    matches!(
        rtype,
        RecordType::SOA | RecordType::CNAME | RecordType::DNAME | RecordType::NS
    )
}

/// All names that NS records point at, in lower case.
fn servers(ordered: &OrderedRecords) -> HashSet<Vec<u8>> {
    let mut servers = HashSet::new();
    for records in ordered.owners() {
        for record in records.iter() {
            if record.rtype == RecordType::NS {
                servers.insert(record.data.to_ascii_lowercase());
            }
        }
    }
    servers
}

/// Where in the data of a type the host is that it points at.
fn host_at(rtype: RecordType) -> Option<usize> {
    match rtype {
        RecordType::NS => Some(0),
        RecordType::MX => Some(2),
        RecordType::SRV => Some(6),
        _ => None,
    }
}

/// The host that an NS, MX or SRV record points at.
fn target_of(record: ZoneRecord<'_>) -> Option<Name> {
    Name::from_wire(record.data.get(host_at(record.rtype)?..)?).ok()
}

fn name_of(wire: &[u8]) -> Name {
    Name::from_wire(wire).unwrap_or_else(|_| Name::root())
}

#[cfg(test)]
mod tests {
    use crate::zone::testing::{HEAD, errors, listing, load, warnings};

    const NONE: [&str; 0] = [];

    #[test]
    fn one_soa_at_the_apex() {
        assert_eq!(
            load("").expect_err("empty"),
            ["z.zone: the zone has no SOA record; state one at its apex"]
        );
        let second =
            "z.zone:4:1: example.com has a second SOA record (the first: line 2); keep one";
        assert_eq!(errors("@ SOA a. b. 9 2 3 4 5\n"), [second]);
        assert_eq!(
            errors("@ SOA NS.example.net. host.example.net. 1 7200 3 4 5\n").len(),
            1,
            "names count as data"
        );
        let away = "z.zone:2:1: the SOA record is at www.example.com, but the file states the zone example.com; \
            make them agree";
        assert_eq!(
            load(&HEAD.replace("@ SOA", "www SOA")).expect_err("away"),
            [away]
        );
        let below = "z.zone:4:1: www.example.com has an SOA record, but only the apex example.com can; remove it";
        assert_eq!(errors("www SOA a. b. 9 2 3 4 5\n"), [below]);
        assert_eq!(load("@ SOA a. b.\n").expect_err("bad SOA").len(), 1);
    }

    #[test]
    fn the_apex_is_where_the_soa_is() {
        let zone = |text: &str| load(text).map(|loaded| loaded.zones[0].origin.to_string());
        let rest = "1 SOA a. b. 1 2 3 4 5\n";
        assert_eq!(
            zone(&format!("$ORIGIN example.org.\n@ {rest} NS a.\n")).as_deref(),
            Ok("example.org")
        );
        assert_eq!(
            zone(&format!("$ORIGIN com.\nexample {rest} NS a.\n")).as_deref(),
            Ok("example.com")
        );
    }

    #[test]
    fn the_apex_has_name_servers() {
        let text = HEAD.replace("@ NS", "a NS");
        let sentence =
            "z.zone:2:1: the zone example.com has no NS record at its apex; state its name servers";
        assert_eq!(load(&text).expect_err("no NS"), [sentence]);
    }

    #[test]
    fn data_outside_the_zone_is_refused() {
        let sentence = "z.zone:4:1: www.example.com.org lies outside the zone example.com; end names with a dot only \
            when they are complete";
        assert_eq!(errors("www.example.com.org. A 192.0.2.1\n"), [sentence]);
    }

    #[test]
    fn a_cname_is_alone_and_single() {
        let both = "z.zone:5:1: www.example.com has a CNAME, so it can hold nothing else, but it also has A (line 4); \
            remove one of them";
        assert_eq!(errors("www A 192.0.2.1\nwww CNAME a\n"), [both]);
        let two =
            "z.zone:5:1: www.example.com has a second CNAME record (the first: line 4); keep one";
        assert_eq!(errors("www CNAME a\nWWW CNAME b\n"), [two]);
        assert_eq!(errors("www CNAME a\nwww CNAME A\nwww NSEC x CNAME\n"), NONE);
    }

    #[test]
    fn a_circle_of_aliases_is_told() {
        let circle = "leads back to itself, so it has no address; break the circle";
        let zone = "a CNAME b\nb CNAME a\nc CNAME a\nd CNAME d\n";
        assert_eq!(errors(zone), NONE);
        assert_eq!(
            warnings(zone),
            [
                format!("z.zone:4:1: the CNAME of a.example.com {circle}"),
                format!("z.zone:5:1: the CNAME of b.example.com {circle}"),
                format!("z.zone:7:1: the CNAME of d.example.com {circle}"),
            ]
        );
    }

    #[test]
    fn a_dname_is_single_with_nothing_below() {
        let two =
            "z.zone:5:1: a.example.com has a second DNAME record (the first: line 4); keep one";
        assert_eq!(errors("a DNAME x.\na DNAME y.\n"), [two]);
        let below = "z.zone:4:1: b.a.example.com lies below a.example.com, whose DNAME redirects all names below it; \
            remove one of them";
        assert_eq!(errors("b.a A 192.0.2.1\na DNAME x.\n"), [below]);
        let alias = "z.zone:5:1: a.example.com has a CNAME, so it can hold nothing else, but it also has DNAME (line 4); \
            remove one of them";
        assert_eq!(errors("a DNAME x.\na CNAME y.\n"), [alias]);
        let cut =
            "z.zone:4:1: a.example.com is delegated, so it cannot have a DNAME; remove one of them";
        assert_eq!(errors("a DNAME x.\na NS y.\n"), [cut]);
        assert_eq!(errors("a DNAME x.\na A 192.0.2.1\nab A 192.0.2.1\n"), NONE);
    }

    #[test]
    fn wildcards_cannot_be_delegated() {
        let sentence =
            "z.zone:4:1: *.example.com is a wildcard, which cannot be delegated; name the zone";
        assert_eq!(errors("* NS x.\n"), [sentence]);
    }

    #[test]
    fn name_servers_below_their_own_cut_need_glue() {
        let sentence = "z.zone:4:1: the name server ns.sub.example.com lies in sub.example.com, which is delegated to \
            it; add its A or AAAA record here (glue)";
        assert_eq!(warnings("sub NS ns.sub\n"), [sentence]);
        assert_eq!(warnings("sub NS ns.sub\nns.sub AAAA 2001:db8::1\n"), NONE);
        assert_eq!(
            warnings("sub NS ns.other\nother NS ns.other\nns.other A 192.0.2.1\n"),
            NONE,
            "sibling glue"
        );
        assert_eq!(
            warnings("sub NS ns.other\nother NS x.\n"),
            NONE,
            "found by asking for the other zone"
        );
    }

    #[test]
    fn data_below_a_cut_is_hidden_unless_it_is_glue() {
        let text = "sub NS ns.sub\nsub TXT x\nsub DS 1 8 2 00\nns.sub A 192.0.2.1\nwww.sub A 192.0.2.1\nns.sub TXT x\n";
        assert_eq!(
            warnings(&text.replace("DS 1 8 2 00", "NSEC x")),
            [
                "z.zone:5:1: sub.example.com is delegated, so this TXT record is never served; move it to that zone",
                "z.zone:8:1: www.sub.example.com lies below the delegation of sub.example.com, so this A record is never \
                    served; move it to that zone",
                "z.zone:9:1: ns.sub.example.com lies below the delegation of sub.example.com, so this TXT record is never \
                    served; move it to that zone",
            ]
        );
    }

    #[test]
    fn targets_have_addresses_and_are_no_alias() {
        let alias = |rtype| {
            format!(
                "z.zone:4:1: the {rtype} record of x.example.com points at a.example.com, which is a CNAME; point it at a \
                    name with addresses"
            )
        };
        let missing = |rtype| {
            format!(
                "z.zone:4:1: the {rtype} record of x.example.com points at a.example.com, which has no address; add its A \
                    or AAAA record"
            )
        };
        for (rtype, data) in [("NS", "a"), ("MX", "0 a"), ("SRV", "0 0 0 a")] {
            assert_eq!(
                warnings(&format!("x {rtype} {data}\na CNAME b\n")),
                [alias(rtype)]
            );
            assert_eq!(
                warnings(&format!("x {rtype} {data}\na TXT b\n")),
                [missing(rtype)]
            );
            assert_eq!(
                warnings(&format!("x {rtype} {data}\n* A 192.0.2.1\n")),
                NONE
            );
            assert_eq!(
                warnings(&format!(
                    "x {rtype} {data}\n* A 192.0.2.1\nb.a A 192.0.2.1\n"
                )),
                [missing(rtype)]
            );
            assert_eq!(
                warnings(&format!("x {rtype} {data}\na A 192.0.2.1\n")),
                NONE
            );
        }
        assert_eq!(warnings("x MX 0 .\n"), NONE);
        let loaded = load(&format!("{HEAD}x MX 0 a\n")).expect("good");
        assert_eq!(loaded.missing_addresses[0].0.to_string(), "a.example.com");
        assert!(loaded.warnings.is_empty());
    }

    #[test]
    fn an_rrset_has_one_ttl_and_each_record_once() {
        let text = "a 60 A 192.0.2.1\na 30 A 192.0.2.2\nA 30 A 192.0.2.1\nb MX 1 x.\nb MX 1 X.\nb MX 257 x.\n";
        let differ = "z.zone:5:1: the A records of a.example.com differ in time to live; the lowest, 30 seconds, is taken \
            for all";
        assert_eq!(warnings(text), [differ]);
        assert_eq!(
            listing(text),
            [
                "a.example.com 30 A c0000201,c0000202",
                "b.example.com 3600 MX 0001017800,0101017800"
            ]
        );
        let signature = "13 3 3600 20260201000000 20260101000000 1 example.com. AAAA";
        let signatures = format!("a 60 RRSIG A {signature}\na 30 RRSIG TXT {signature}\n");
        assert_eq!(warnings(&signatures), NONE);
    }

    #[test]
    fn an_rrset_fits_a_message() {
        let text: String = (0..2000).map(|n| format!("a TXT {n:022}\n")).collect();
        let sentence = "z.zone:4:1: the TXT records of a.example.com take a message of 70031 octets, which can have 65535; \
            remove some";
        assert_eq!(errors(&text), [sentence]);
    }

    #[test]
    fn rrsets_are_in_canonical_order_then_by_type() {
        let text = "z A 192.0.2.1\nb.a TXT x\na.z A 192.0.2.1\na TXT x\na A 192.0.2.1\n";
        let order: Vec<String> = listing(text)
            .iter()
            .map(|line| line.replace(" 3600", ""))
            .collect();
        assert_eq!(
            order,
            [
                "a.example.com A c0000201",
                "a.example.com TXT 0178",
                "b.a.example.com TXT 0178",
                "z.example.com A c0000201",
                "a.z.example.com A c0000201",
            ]
        );
    }
}
