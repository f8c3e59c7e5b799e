//! Signatures and denials that a zone file brings, for zones that were signed elsewhere.
//!
//! The RRSIG, NSEC and NSEC3 records of the file are not answered like other records: they become the
//! same tables that signing makes, so answers carry them wherever those of a zone that is signed here
//! would. Nothing is verified, because the zone is served as it is. What a validator would refuse for
//! certain is told as a remark: an RRset without a signature, a TTL that is not the signed one, and a
//! chain that does not lead from name to name.

use super::SignedZone;
use super::build::{RrsetToSign, SigningFault, SigningInput, is_signed};
use super::chain::half;
use super::file_chain::{FileChain, covered_type, made_of, told};
use super::hashed_file::HashedFile;
use crate::catalog::names::{NodeId, ZoneId};
use crate::dns::name_order::{compare_names, sort_number};
use crate::dns::{Name, RecordType, WireReader};
use crate::dnssec::MadeSignature;
use crate::dnssec::validity::earlier;
use crate::zone::{RRset, Zone};

/// What follows from a signature that is missing or wrong.
const REFUSED: &str = "so resolvers that validate refuse them; sign the zone again";
/// What follows from a chain that is missing.
const UNPROVED: &str = "the zone is signed but has neither NSEC records nor NSEC3 records with their \
                        NSEC3PARAM record, so nothing proves to resolvers that validate what does not \
                        exist; sign it again";

/// Whether a record of a zone that is signed in its file becomes a part of its tables.
pub fn is_of_tables(rtype: RecordType) -> bool {
    matches!(
        rtype,
        RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3
    )
}

/// One signature of a file.
struct FileSignature<'z> {
    owner: NodeId,
    covered: RecordType,
    rdata: &'z [u8],
}

impl FileSignature<'_> {
    fn key(&self) -> (NodeId, RecordType) {
        (self.owner, self.covered)
    }

    fn made(&self) -> Option<MadeSignature> {
        made_of(self.rdata)
    }
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
            let is_presigned = input.presigned[index];
            all.push(is_presigned.then(|| FileSignatures::read(zone, input)));
        }
        all
    }

    fn read(zone: &'z Zone, input: &SigningInput<'z>) -> FileSignatures<'z> {
        let mut found = FileSignatures::default();
        for rrset in zone.rrsets() {
            if rrset.rtype() == RecordType::RRSIG
                && let Some(owner) = node_of(input, &rrset)
            {
                found.add(owner, rrset);
            }
        }
        found.signatures.sort_by_key(FileSignature::key);
        found
    }

    fn add(&mut self, owner: NodeId, rrset: RRset<'z>) {
        for rdata in rrset.rdata() {
            self.signatures.push(FileSignature {
                owner,
                covered: covered_type(rdata),
                rdata,
            });
        }
    }

    /// The signatures of an RRset.
    pub(super) fn of(&self, owner: NodeId, covered: RecordType) -> Vec<MadeSignature> {
        let key = (owner, covered);
        let start = self.signatures.partition_point(|it| it.key() < key);
        let found = self.signatures.iter().skip(start);
        let found = found.take_while(|it| it.key() == key);
        found.filter_map(FileSignature::made).collect()
    }

    /// What answers need to know of the zone. `soa` is the number of its SOA RRset.
    ///
    /// # Errors
    /// The records of steered names could not be signed.
    pub(super) fn zone(
        &self,
        input: &SigningInput<'_>,
        zone: usize,
        soa: u32,
        remarks: &mut ZoneRemarks,
    ) -> Result<SignedZone, SigningFault> {
        let mut made = chain(input, zone, self);
        input.add_steered(zone, &mut made)?;
        remarks.sentences.append(&mut made.remarks);
        let mut expires = self.first_expiration();
        if let Some(of_chain) = made.expires {
            expires = Some(earlier(expires, of_chain));
        }
        Ok(SignedZone {
            id: ZoneId(zone as u32),
            soa,
            chain: made.finish(),
            expires: expires.unwrap_or(0),
            is_presigned: true,
        })
    }

    /// When the first of them expires: seconds since 1970, modulo 2^32.
    fn first_expiration(&self) -> Option<u32> {
        let mut first = None;
        for signature in &self.signatures {
            if let Some(made) = signature.made() {
                first = Some(earlier(first, made.fields.times.expiration));
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
    /// By zone, what was told.
    told: Vec<(RemarkKind, usize)>,
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
        let loaded = &input.zones[rrset.zone];
        if made.is_empty() && is_signed(node, rrset.rrset.rtype()) {
            self.tell(RemarkKind::Unsigned, loaded, rrset);
        }
        let ttl = rrset.rrset.ttl();
        if made.iter().any(|it| it.fields.original_ttl != ttl) {
            self.tell(RemarkKind::OtherTtl, loaded, rrset);
        }
    }

    /// Tells the first of a kind in each zone.
    fn tell(&mut self, kind: RemarkKind, loaded: &Zone, rrset: &RrsetToSign<'_>) {
        if !self.told.contains(&(kind, rrset.zone)) {
            self.told.push((kind, rrset.zone));
            self.sentences
                .push(refused(loaded, rrset.rrset, kind.words()));
        }
    }
}

/// What is wrong with an RRset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RemarkKind {
    Unsigned,
    OtherTtl,
}

impl RemarkKind {
    fn words(self) -> &'static str {
        match self {
            RemarkKind::Unsigned => "have no signature",
            RemarkKind::OtherTtl => "were signed with another time to live",
        }
    }
}

/// Says that validators refuse an RRset.
fn refused(loaded: &Zone, rrset: RRset<'_>, what: &str) -> String {
    let (rtype, owner) = (rrset.rtype(), rrset.name());
    let what = format!("the {rtype} records of {owner} {what}, {REFUSED}");
    told(loaded, rrset.line(), &what)
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

/// The NSEC records of a file.
#[derive(Default)]
struct FileLinks<'z> {
    links: Vec<FileLink<'z>>,
    /// Seconds; `None`: there are none.
    ttl: Option<u32>,
    remark: Option<String>,
}

impl<'z> FileLinks<'z> {
    fn read(input: &SigningInput<'z>, loaded: &'z Zone) -> FileLinks<'z> {
        let mut found = FileLinks::default();
        for rrset in loaded.rrsets() {
            if rrset.rtype() == RecordType::NSEC {
                found.add(input, loaded, rrset);
            }
        }
        found.links.sort_by(|one, other| {
            one.number
                .cmp(&other.number)
                .then_with(|| compare_names(&one.name, &other.name))
        });
        found
    }

    fn add(&mut self, input: &SigningInput<'z>, loaded: &'z Zone, rrset: RRset<'z>) {
        let line = rrset.line();
        if *self.ttl.get_or_insert(rrset.ttl()) != rrset.ttl() {
            let sentence =
                "the NSEC records differ in time to live, and are answered with the first";
            self.remark = Some(told(loaded, line, sentence));
        }
        match FileLink::of(input, loaded, rrset) {
            Some(link) => self.links.push(link),
            None => {
                let sentence = "an NSEC record of a name that has no other records is left out";
                self.remark = Some(told(loaded, line, sentence));
            }
        }
    }
}

impl<'z> FileLink<'z> {
    fn of(input: &SigningInput<'z>, loaded: &Zone, rrset: RRset<'z>) -> Option<FileLink<'z>> {
        let name: Box<[u8]> = rrset.owner().to_ascii_lowercase().into();
        let (next, types) = rrset.rdata().next().and_then(split_nsec)?;
        Some(FileLink {
            number: sort_number(&name, loaded.origin.label_count()),
            node: input.names.id(&name)?,
            line: rrset.line(),
            name,
            next,
            types,
        })
    }
}

impl FileLink<'_> {
    fn leads_to(&self, next: &FileLink<'_>) -> bool {
        self.next.eq_ignore_ascii_case(&next.name)
    }
}

/// The chain of a zone file: with NSEC3, if the file says that it has one.
fn chain(input: &SigningInput<'_>, zone: usize, signatures: &FileSignatures<'_>) -> FileChain {
    let loaded = &input.zones[zone];
    let apex = input.names.id(loaded.origin.to_lower().as_wire());
    if let (Some(hashed), Some(apex)) = (HashedFile::read(loaded), apex) {
        return hashed.into_chain(loaded, apex);
    }
    let FileLinks { links, ttl, remark } = FileLinks::read(input, loaded);
    let mut made = FileChain::new(loaded, ttl);
    fill(&mut made, &links, signatures);
    made.remarks
        .extend(remark.or_else(|| broken_chain(loaded, &links)));
    made
}

fn fill(made: &mut FileChain, links: &[FileLink<'_>], signatures: &FileSignatures<'_>) {
    for (index, link) in (0..).zip(links) {
        made.chain.numbers.push(half(link.number));
        // What is signed has the spelling of the file (RFC 6840 section 5.1).
        if link.next.iter().any(u8::is_ascii_uppercase) {
            made.chain.spelled.push((index, link.next.into()));
        }
        let own = signatures.of(link.node, RecordType::NSEC);
        made.add(link.node, link.types, &own);
    }
}

/// The next name and the types of an NSEC record.
fn split_nsec(rdata: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = WireReader::at(rdata, 0)?;
    reader.skip_plain_name()?;
    rdata.split_at_checked(reader.position())
}

/// What is wrong with the chain as a whole.
fn broken_chain(zone: &Zone, links: &[FileLink<'_>]) -> Option<String> {
    let Some(first) = links.first() else {
        return Some(told(zone, 1, UNPROVED));
    };
    if *first.name != *zone.origin.to_lower().as_wire() {
        return Some(told(zone, first.line, "the apex has no NSEC record"));
    }
    broken_link(zone, links)
}

/// The first record that does not lead to the next one.
fn broken_link(zone: &Zone, links: &[FileLink<'_>]) -> Option<String> {
    let next = links.iter().skip(1).chain(links.first());
    let mut pairs = links.iter().zip(next);
    let (link, next) = pairs.find(|(link, next)| !link.leads_to(next))?;
    let name = Name::from_wire(&next.name).ok()?;
    let sentence = format!("the NSEC record does not lead to {name}; sign the zone again");
    Some(told(zone, link.line, &sentence))
}
