//! The NSEC3 records that a zone file brings, as a chain (RFC 5155).
//!
//! Their owners are hashes, which are no names of the zone: nobody is answered with them but as proofs.
//! The NSEC3PARAM record says which of them belong together, so a file may change from one chain to
//! another. Hash, salt and opt-out are those of the file. What breaks the chain is told as a remark.

use super::chain::parts_of;
use super::file_chain::{FileChain, covered_type, made_of, told};
use crate::catalog::names::NodeId;
use crate::dns::RecordType;
use crate::dnssec::nsec3::{HashParameters, HashedDenial, NSEC3_HASH, NSEC3_LABEL, hash_of_label};
use crate::dnssec::{MadeSignature, ZoneDenial};
use crate::zone::{RRset, Zone};

/// One NSEC3 record of a file.
struct HashedLink<'z> {
    hash: [u8; NSEC3_HASH],
    denial: HashedDenial<'z>,
    /// The RRSIG records of the same owner.
    signatures: Option<RRset<'z>>,
    line: u32,
}

impl<'z> HashedLink<'z> {
    fn of(zone: &Zone, parameters: &HashParameters, rrset: RRset<'z>) -> Option<HashedLink<'z>> {
        let (label, apex) = rrset.owner().split_at_checked(NSEC3_LABEL + 1)?;
        let (&length, label) = label.split_first()?;
        let is_below =
            usize::from(length) == NSEC3_LABEL && apex.eq_ignore_ascii_case(zone.origin.as_wire());
        Some(HashedLink {
            hash: hash_of_label(label).filter(|_| is_below)?,
            denial: rrset.rdata().find_map(|rdata| parameters.split(rdata))?,
            signatures: None,
            line: rrset.line(),
        })
    }

    fn made(&self) -> Vec<MadeSignature> {
        let mut made = Vec::new();
        for rdata in self.signatures.iter().flat_map(RRset::rdata) {
            if covered_type(rdata) == RecordType::NSEC3 {
                made.extend(made_of(rdata));
            }
        }
        made
    }
}

/// The NSEC3 records of one chain of a file.
#[derive(Default)]
pub(super) struct HashedFile<'z> {
    parameters: HashParameters,
    links: Vec<HashedLink<'z>>,
    /// Seconds; `None`: there are none.
    ttl: Option<u32>,
    /// Sentences that begin with the file.
    remarks: Vec<String>,
}

impl<'z> HashedFile<'z> {
    /// The first chain that the file says to be complete; `None`: there is none.
    pub(super) fn read(zone: &'z Zone) -> Option<HashedFile<'z>> {
        let stated = zone.rrset_at_apex(RecordType::NSEC3PARAM)?;
        for rdata in stated.rdata() {
            if let Some(parameters) = HashParameters::parse(rdata) {
                let found = HashedFile::of(zone, parameters);
                if !found.links.is_empty() {
                    return Some(found);
                }
            }
        }
        None
    }

    fn of(zone: &'z Zone, parameters: HashParameters) -> HashedFile<'z> {
        let mut found = HashedFile {
            parameters,
            ..HashedFile::default()
        };
        let mut signatures: Option<RRset<'z>> = None;
        for rrset in zone.rrsets() {
            // The types of an owner follow one another in the order of their numbers.
            match rrset.rtype() {
                RecordType::RRSIG => signatures = Some(rrset),
                RecordType::NSEC3 => {
                    let own =
                        signatures.filter(|it| it.owner().eq_ignore_ascii_case(rrset.owner()));
                    found.add(zone, rrset, own);
                }
                _ => {}
            }
        }
        found.links.sort_unstable_by_key(|link| link.hash);
        found.look(zone);
        found
    }

    fn add(&mut self, zone: &Zone, rrset: RRset<'z>, signatures: Option<RRset<'z>>) {
        let Some(link) = HashedLink::of(zone, &self.parameters, rrset) else {
            return;
        };
        if *self.ttl.get_or_insert(rrset.ttl()) != rrset.ttl() && self.remarks.is_empty() {
            let sentence =
                "the NSEC3 records differ in time to live, and are answered with the first";
            self.remarks.push(told(zone, link.line, sentence));
        }
        self.links.push(HashedLink { signatures, ..link });
    }

    /// Tells what resolvers that validate would refuse, or not trust.
    fn look(&mut self, zone: &Zone) {
        let first = self.links.first().map_or(1, |link| link.line);
        let iterations = self.parameters.iterations();
        if iterations > 0 {
            let sentence = repeated(iterations);
            self.remarks.push(told(zone, first, &sentence));
        }
        if !self.has(zone.origin.to_lower().as_wire()) {
            let sentence = "the apex has no NSEC3 record; sign the zone again";
            self.remarks.push(told(zone, first, sentence));
        } else if let Some(line) = self.broken_line() {
            let sentence = "the NSEC3 record does not lead to the next one; sign the zone again";
            self.remarks.push(told(zone, line, sentence));
        }
    }

    /// Whether a name has a record.
    fn has(&self, name: &[u8]) -> bool {
        let hash = self.parameters.hash(name);
        self.links.binary_search_by_key(&hash, |it| it.hash).is_ok()
    }

    /// The line of the first record that does not lead to the next one.
    fn broken_line(&self) -> Option<u32> {
        let next = self.links.iter().skip(1).chain(self.links.first());
        let mut pairs = self.links.iter().zip(next);
        let (link, _) = pairs.find(|it| it.0.denial.next != it.1.hash)?;
        Some(link.line)
    }

    /// The chain of these records. The hashes do not tell which names they are of, and no proof asks
    /// for that: all have the node of the apex.
    pub(super) fn into_chain(self, zone: &Zone, apex: NodeId) -> FileChain {
        let mut made = FileChain::new(zone, self.ttl);
        made.chain.denial = ZoneDenial::Nsec3;
        made.chain.parameters = self.parameters;
        made.remarks = self.remarks;
        let has_flags = self.links.iter().any(|link| link.denial.flags != 0);
        for link in &self.links {
            let (number, rest) = parts_of(&link.hash);
            made.chain.numbers.push(number);
            made.chain.rests.push(rest);
            if has_flags {
                made.chain.flags.push(link.denial.flags);
            }
            made.add(apex, link.denial.types, &link.made());
        }
        made
    }
}

fn repeated(iterations: u16) -> String {
    format!(
        "its NSEC3 records have {iterations} iterations, which hide nothing, cost time, and make some \
         resolvers distrust them (RFC 9276); sign the zone with 0"
    )
}
