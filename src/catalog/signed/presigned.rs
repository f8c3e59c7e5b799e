//! Signatures and denials that a zone file brings, for zones that were signed elsewhere.
//!
//! The RRSIG and NSEC records of the file are not answered like other records: they become the same
//! tables that signing makes, so answers carry them wherever those of a zone that is signed here would.
//! Nothing is verified, because the zone is served as it is. What a validator would refuse for certain
//! is told as a remark: an RRset without a signature, a TTL that is not the signed one, and a chain
//! that does not lead from name to name.

use super::build::{RrsetToSign, SigningInput, is_signed};
use super::chain::{ChainLink, DenialChain, half};
use super::table::{BitmapTable, TableBuilder};
use crate::catalog::names::NodeId;
use crate::dns::name_order::{compare_names, sort_number};
use crate::dns::{Name, RecordType, WireReader};
use crate::dnssec::validity::is_before;
use crate::dnssec::{MadeSignature, SignatureFields, SignatureOctets};
use crate::text::shown;
use crate::zone::{RRset, Zone};

/// Whether a record of a zone that is signed in its file becomes a part of its tables.
pub fn is_of_tables(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::RRSIG | RecordType::NSEC)
}

/// One signature of a file.
struct FileSignature<'z> {
    owner: NodeId,
    covered: RecordType,
    rdata: &'z [u8],
}

/// The signatures of a zone file, by owner and type.
#[derive(Default)]
pub(super) struct FileSignatures<'z> {
    signatures: Vec<FileSignature<'z>>,
}

impl<'z> FileSignatures<'z> {
    /// Those of every zone that is signed in its file, by zone.
    pub(super) fn of_zones(input: &SigningInput<'z>) -> Vec<Option<FileSignatures<'z>>> {
        let mut all = Vec::with_capacity(input.zones.len());
        for (index, zone) in input.zones.iter().enumerate() {
            let is_presigned = input.signers.of(index).is_none() && zone.is_presigned();
            all.push(is_presigned.then(|| FileSignatures::read(zone, input)));
        }
        all
    }

    fn read(zone: &'z Zone, input: &SigningInput<'z>) -> FileSignatures<'z> {
        let mut signatures = Vec::new();
        for rrset in zone.rrsets() {
            if rrset.rtype() != RecordType::RRSIG {
                continue;
            }
            let Some(owner) = node_of(input, &rrset) else {
                continue;
            };
            for rdata in rrset.rdata() {
                if let Some(covered) = rdata.first_chunk::<2>() {
                    let covered = RecordType(u16::from_be_bytes(*covered));
                    signatures.push(FileSignature {
                        owner,
                        covered,
                        rdata,
                    });
                }
            }
        }
        signatures.sort_by_key(|it| (it.owner, it.covered));
        FileSignatures { signatures }
    }

    /// The signatures of an RRset.
    pub(super) fn of(&self, owner: NodeId, covered: RecordType) -> Vec<MadeSignature> {
        let key = (owner, covered);
        let start = self
            .signatures
            .partition_point(|it| (it.owner, it.covered) < key);
        let mut found = Vec::new();
        for signature in self.signatures.iter().skip(start) {
            if (signature.owner, signature.covered) != key {
                break;
            }
            if let Some((fields, octets)) = SignatureFields::parse(signature.rdata) {
                let octets = SignatureOctets::from_slice(octets);
                found.push(MadeSignature { fields, octets });
            }
        }
        found
    }

    /// When the first of them expires: seconds since 1970, modulo 2^32.
    pub(super) fn first_expiration(&self) -> Option<u32> {
        let mut first = None;
        for signature in &self.signatures {
            if let Some((fields, _)) = SignatureFields::parse(signature.rdata) {
                let expiration = fields.times.expiration;
                if first.is_none_or(|first| is_before(expiration, first)) {
                    first = Some(expiration);
                }
            }
        }
        first
    }
}

/// The node of an RRset's owner.
fn node_of(input: &SigningInput<'_>, rrset: &RRset<'_>) -> Option<NodeId> {
    input.names.id(&rrset.owner().to_ascii_lowercase())
}

/// What is wrong with the signatures of zone files. Of each kind, the first of a zone is told.
#[derive(Default)]
pub(super) struct ZoneRemarks {
    /// Sentences that begin with a file.
    pub(super) sentences: Vec<String>,
    /// Zones with an RRset without a signature, and zones with another TTL.
    unsigned: Vec<usize>,
    relived: Vec<usize>,
}

impl ZoneRemarks {
    /// Looks at the signatures of an RRset.
    pub(super) fn look(
        &mut self,
        input: &SigningInput<'_>,
        rrset: &RrsetToSign<'_>,
        made: &[MadeSignature],
    ) {
        let Some(node) = input.names.node(rrset.node) else {
            return;
        };
        let (file, line) = (&input.zones[rrset.zone].file, rrset.rrset.line());
        let (rtype, owner) = (rrset.rrset.rtype(), rrset.rrset.name());
        if made.is_empty() {
            if is_signed(node, rtype) && !self.unsigned.contains(&rrset.zone) {
                self.unsigned.push(rrset.zone);
                self.sentences.push(format!(
                    "{}:{line}: the zone is signed, but the {rtype} records of {owner} have no \
                     signature, so resolvers that validate refuse them; sign the zone again",
                    shown(file.display())
                ));
            }
            return;
        }
        let ttl = rrset.rrset.ttl();
        let is_other = made.iter().any(|it| it.fields.original_ttl != ttl);
        if is_other && !self.relived.contains(&rrset.zone) {
            self.relived.push(rrset.zone);
            self.sentences.push(format!(
                "{}:{line}: the {rtype} records of {owner} were signed with another time to live than \
                 {ttl}, so resolvers that validate refuse them; sign the zone again",
                shown(file.display())
            ));
        }
    }
}

/// One NSEC record of a file.
struct FileLink<'z> {
    number: u128,
    node: NodeId,
    name: Box<[u8]>,
    next: &'z [u8],
    types: &'z [u8],
    line: u32,
}

/// The chain of a zone file, and a remark if it is broken.
pub(super) fn chain(
    input: &SigningInput<'_>,
    zone: usize,
    signatures: &FileSignatures<'_>,
) -> (DenialChain, Option<String>) {
    let loaded = &input.zones[zone];
    let labels = loaded.origin.label_count();
    let (mut links, mut ttl, mut remark) = (Vec::new(), None, None);
    for rrset in loaded.rrsets() {
        if rrset.rtype() != RecordType::NSEC {
            continue;
        }
        if *ttl.get_or_insert(rrset.ttl()) != rrset.ttl() {
            let sentence =
                "the NSEC records differ in time to live, and are answered with the first";
            remark = Some(told(loaded, rrset.line(), sentence));
        }
        let name: Box<[u8]> = rrset.owner().to_ascii_lowercase().into();
        let parts = rrset.rdata().next().and_then(split_nsec);
        match (input.names.id(&name), parts) {
            (Some(node), Some((next, types))) => links.push(FileLink {
                number: sort_number(&name, labels),
                node,
                name,
                next,
                types,
                line: rrset.line(),
            }),
            _ => {
                let sentence = "an NSEC record of a name that has no other records is left out";
                remark = Some(told(loaded, rrset.line(), sentence));
            }
        }
    }
    links.sort_by(|one, other| {
        one.number
            .cmp(&other.number)
            .then_with(|| compare_names(&one.name, &other.name))
    });
    remark = remark.or_else(|| broken_link(loaded, &links));
    let mut chain = DenialChain {
        ttl: ttl.unwrap_or(0),
        apex_labels: labels as u8,
        apex_length: loaded.origin.as_wire().len() as u8,
        ..DenialChain::default()
    };
    fill(&mut chain, &links, signatures);
    (chain, remark)
}

fn fill(chain: &mut DenialChain, links: &[FileLink<'_>], signatures: &FileSignatures<'_>) {
    let mut bitmaps = BitmapTable::default();
    let mut table = TableBuilder::default();
    for (index, link) in (0..).zip(links) {
        chain.numbers.push(half(link.number));
        chain.links.push(ChainLink {
            node: link.node,
            types: bitmaps.index_of(link.types),
        });
        // What is signed has the spelling of the file (RFC 6840 section 5.1).
        if link.next.iter().any(u8::is_ascii_uppercase) {
            chain.spelled.push((index, link.next.into()));
        }
        table.next();
        table.add(&signatures.of(link.node, RecordType::NSEC));
    }
    chain.bitmaps = bitmaps.bitmaps;
    chain.signatures = table.finish();
}

/// The next name and the types of an NSEC record.
fn split_nsec(rdata: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = WireReader::at(rdata, 0)?;
    reader.skip_plain_name()?;
    rdata.split_at_checked(reader.position())
}

/// The first record that does not lead to the next one.
fn broken_link(zone: &Zone, links: &[FileLink<'_>]) -> Option<String> {
    let Some(first) = links.first() else {
        let sentence = "the zone is signed but has no NSEC records, so nothing proves to resolvers that \
                        validate what does not exist; sign it with NSEC";
        return Some(told(zone, 1, sentence));
    };
    if *first.name != *zone.origin.to_lower().as_wire() {
        return Some(told(zone, first.line, "the apex has no NSEC record"));
    }
    for (index, link) in links.iter().enumerate() {
        let next = links.get(index.wrapping_add(1)).unwrap_or(first);
        if !link.next.eq_ignore_ascii_case(&next.name) {
            let next = Name::from_wire(&next.name).unwrap_or_else(|_| Name::root());
            let sentence = format!("the NSEC record does not lead to {next}; sign the zone again");
            return Some(told(zone, link.line, &sentence));
        }
    }
    None
}

fn told(zone: &Zone, line: u32, sentence: &str) -> String {
    format!("{}:{line}: {sentence}", shown(zone.file.display()))
}
