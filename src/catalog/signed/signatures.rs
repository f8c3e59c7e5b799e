//! Signatures by number, kept without what follows from the RRset that they cover.
//!
//! A million names have two million signatures. Type, TTL and owner are known where the RRset is, and
//! what many signatures share is kept once ([`SignatureTerms`]). A signature is found by a number
//! that its owner has: the number of an RRset, or the place of a record in a chain.

use crate::dns::RecordType;

/// Signatures by a number that their owner has.
#[derive(Debug, Default)]
pub struct SignatureTable {
    /// By number, the index of the first signature; one more at the end.
    pub(super) firsts: Vec<u32>,
    pub(super) places: Vec<SignaturePlace>,
    pub(super) terms: Vec<SignatureTerms>,
    pub(super) octets: Vec<u8>,
}

/// Where a signature is, and what it shares with others.
#[derive(Debug, Clone, Copy)]
pub(super) struct SignaturePlace {
    /// Offset of its octets.
    pub(super) at: u32,
    /// Index of the terms; the label count is in the upper eight bits.
    pub(super) terms: u32,
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
    /// Number of signatures.
    pub fn count(&self) -> usize {
        self.places.len()
    }

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
