//! Signatures of the signed zones, and the chains that prove what does not exist (DNSSEC, RFC 4035).
//!
//! Everything is signed when a zone is loaded. A query that sets DO copies signatures from here; it
//! never makes one. The signature of an RRset is found by the RRset's number, and the NSEC record for
//! a missing name by a search in the zone's [`DenialChain`]. `build` makes all of it.
//!
//! A million names have two million signatures, so they are kept without what follows from the RRset
//! itself: type, TTL and owner are known there, and what many signatures share is kept once
//! ([`SignatureTerms`]).

#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod build;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
pub mod presigned;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod table;

use super::names::{NameNode, NameRole, NameTable, NodeId, ZoneId};
use crate::dns::RecordType;
use crate::dns::name_order::{compare_names, sort_number};

pub use build::{RrsetToSign, SigningFault, SigningInput, ZoneSigners};

/// All signed zones of a catalog.
#[derive(Debug, Default)]
pub struct SignedZones {
    /// By [`ZoneId`]; `None`: the zone is not signed.
    zones: Vec<Option<SignedZone>>,
    /// By the number of an RRset.
    signatures: SignatureTable,
    /// Sentences about zones that are signed in their files; each begins with the file.
    pub remarks: Vec<String>,
}

/// What answers need to know of a signed zone.
#[derive(Debug)]
pub struct SignedZone {
    /// The number of the SOA RRset at its own TTL, which its signature covers.
    pub soa: u32,
    /// Proves what does not exist.
    pub chain: DenialChain,
    /// When the first of its signatures expires: seconds since 1970, modulo 2^32.
    pub expires: u32,
    /// Whether its file has the signatures.
    pub is_presigned: bool,
}

/// Signatures by a number that their owner has.
#[derive(Debug, Default)]
pub struct SignatureTable {
    /// By number, the index of the first signature; one more at the end.
    firsts: Vec<u32>,
    places: Vec<SignaturePlace>,
    terms: Vec<SignatureTerms>,
    octets: Vec<u8>,
}

/// Where a signature is, and what it shares with others.
#[derive(Debug, Clone, Copy)]
struct SignaturePlace {
    /// Offset of its octets.
    at: u32,
    /// Index of the terms; the label count is in the upper eight bits.
    terms: u32,
}

/// What many signatures share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignatureTerms {
    /// The algorithm number.
    pub algorithm: u8,
    /// Octets of a signature.
    pub length: u16,
    /// Expiration, inception, key tag and signer, as in the record data (RFC 4034 section 3.1).
    pub tail: Box<[u8]>,
}

/// A signature, in the parts that a record is put together from.
#[derive(Debug, Clone, Copy)]
pub struct SignatureRef<'s> {
    /// Labels of the owner, without root and asterisk (RFC 4034 section 3.1.3).
    pub labels: u8,
    /// What it shares with others.
    pub terms: &'s SignatureTerms,
    /// The signature itself.
    pub octets: &'s [u8],
}

impl SignatureRef<'_> {
    /// The record data in front of the [terms' tail](SignatureTerms::tail).
    #[inline]
    pub fn head(&self, covered: RecordType, original_ttl: u32) -> [u8; 8] {
        let [type1, type0] = covered.0.to_be_bytes();
        let [ttl3, ttl2, ttl1, ttl0] = original_ttl.to_be_bytes();
        let algorithm = self.terms.algorithm;
        [type1, type0, algorithm, self.labels, ttl3, ttl2, ttl1, ttl0]
    }
}

impl SignatureTable {
    /// The signatures of what has this number; none if it is not signed.
    #[inline]
    pub fn of(&self, number: u32) -> impl Iterator<Item = SignatureRef<'_>> {
        let places = self.places_of(number).unwrap_or_default();
        places.iter().filter_map(|place| self.signature(*place))
    }

    #[inline]
    fn places_of(&self, number: u32) -> Option<&[SignaturePlace]> {
        let range = self.firsts.get(number as usize..)?.first_chunk::<2>()?;
        let [start, end] = *range;
        self.places.get(start as usize..end as usize)
    }

    #[inline]
    fn signature(&self, place: SignaturePlace) -> Option<SignatureRef<'_>> {
        let terms = self.terms.get((place.terms & 0xff_ffff) as usize)?;
        let octets = self.octets.get(place.at as usize..)?;
        Some(SignatureRef {
            labels: (place.terms >> 24) as u8,
            terms,
            octets: octets.get(..usize::from(terms.length))?,
        })
    }
}

impl SignedZones {
    /// A zone, if it is signed.
    pub fn zone(&self, zone: ZoneId) -> Option<&SignedZone> {
        self.zones.get(zone.0 as usize)?.as_ref()
    }

    /// The signatures of an RRset by its number.
    #[inline]
    pub fn of_rrset(&self, number: u32) -> impl Iterator<Item = SignatureRef<'_>> {
        self.signatures.of(number)
    }

    /// Number of signatures.
    pub fn count(&self) -> usize {
        let mut count = self.signatures.places.len();
        for zone in self.zones.iter().flatten() {
            count = count.saturating_add(zone.chain.signatures.places.len());
        }
        count
    }
}

/// The NSEC chain of a zone (RFC 4034 section 4): its names in canonical order. The record of each
/// name states the next one and the types of its own.
#[derive(Debug, Default)]
pub struct DenialChain {
    /// Seconds (RFC 9077 section 3: the lesser of the TTL and the MINIMUM of the SOA).
    pub ttl: u32,
    /// Labels of the apex.
    apex_labels: u8,
    /// Octets of the apex.
    apex_length: u8,
    /// The start of each name's sort key.
    numbers: Vec<u64>,
    links: Vec<ChainLink>,
    /// Type bitmaps (RFC 4034 section 4.1.2), each once.
    bitmaps: Vec<Box<[u8]>>,
    /// By index of the link; those of the variants behind them.
    signatures: SignatureTable,
    /// Records of steered names that deny one of their types, sorted.
    variants: Vec<LinkVariant>,
    /// By index of the link, next names that a file spells with capital letters, sorted.
    spelled: Vec<(u32, Box<[u8]>)>,
}

/// One name of a chain.
#[derive(Debug, Clone, Copy)]
struct ChainLink {
    node: NodeId,
    /// Index of its bitmap.
    types: u32,
}

/// The record of a steered name while it has no data of one of its types.
#[derive(Debug, Clone, Copy)]
struct LinkVariant {
    link: u32,
    without: RecordType,
    /// Index of its bitmap.
    types: u32,
    /// Number of its signatures.
    number: u32,
}

/// One NSEC record.
#[derive(Debug, Clone, Copy)]
pub struct NsecRecord<'c> {
    /// Its owner.
    pub owner: NodeId,
    /// The name after it.
    pub next: NodeId,
    /// The types of its owner.
    pub types: &'c [u8],
    /// The number of its signatures in the chain.
    number: u32,
}

impl DenialChain {
    /// Labels of the apex.
    pub fn apex_labels(&self) -> usize {
        usize::from(self.apex_labels)
    }

    /// The labels of one of its names in front of the apex.
    pub fn labels_above_apex<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        name.get(..name.len().checked_sub(usize::from(self.apex_length))?)
    }

    /// The index of the last name that is not behind this one. Names are in lower-cased wire form.
    pub fn find(&self, names: &NameTable, name: &[u8]) -> Option<usize> {
        let number = half(sort_number(name, usize::from(self.apex_labels)));
        let start = self.numbers.partition_point(|it| *it < number);
        let alike = self.numbers.get(start..).unwrap_or_default();
        let count = alike.partition_point(|it| *it == number);
        let alike = self.links.get(start..)?.get(..count)?;
        let before = alike.partition_point(|link| {
            let other = names.node(link.node).map(|node| names.name_of(node));
            other.is_some_and(|other| compare_names(other, name).is_le())
        });
        start.saturating_add(before).checked_sub(1)
    }

    /// The record of a name by its index.
    pub fn record(&self, index: usize) -> Option<NsecRecord<'_>> {
        let link = self.links.get(index)?;
        let after = self.links.get(index.saturating_add(1));
        Some(NsecRecord {
            owner: link.node,
            next: after.or_else(|| self.links.first())?.node,
            types: self.bitmaps.get(link.types as usize)?,
            number: index as u32,
        })
    }

    /// The record of a steered name while it has no data of this type.
    pub fn record_without(&self, index: usize, rtype: RecordType) -> Option<NsecRecord<'_>> {
        let key = (index as u32, rtype);
        let found = self
            .variants
            .binary_search_by_key(&key, |variant| (variant.link, variant.without));
        let variant = self.variants.get(found.ok()?)?;
        Some(NsecRecord {
            types: self.bitmaps.get(variant.types as usize)?,
            number: variant.number,
            ..self.record(index)?
        })
    }

    /// The next name of a record, if the file that has it spells it with capital letters.
    pub fn spelled_next(&self, record: &NsecRecord<'_>) -> Option<&[u8]> {
        if self.spelled.is_empty() {
            return None;
        }
        let found = self
            .spelled
            .binary_search_by_key(&record.number, |(link, _)| *link);
        self.spelled.get(found.ok()?).map(|(_, name)| &**name)
    }

    /// The signatures of a record.
    pub fn signatures(&self, record: &NsecRecord<'_>) -> impl Iterator<Item = SignatureRef<'_>> {
        self.signatures.of(record.number)
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }
}

/// The upper half of a sort number.
fn half(number: u128) -> u64 {
    (number >> 64) as u64
}

/// Whether the zone signs an RRset of a name (RFC 4035 section 2.2).
fn is_signed(node: &NameNode, rtype: RecordType) -> bool {
    match (node.role, rtype) {
        (_, RecordType::RRSIG) => false,
        (NameRole::Apex | NameRole::Ordinary, _) => true,
        (NameRole::Cut, RecordType::DS) => true,
        (NameRole::Cut | NameRole::Occluded | NameRole::Outside, _) => false,
    }
}
