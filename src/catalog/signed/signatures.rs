//! Signatures by number, kept without what follows from the RRset that they cover.
//!
//! A million names have two million signatures. Type, TTL and owner are known where the RRset is, and
//! what many signatures share is kept once ([`SignatureTerms`]). A signature is found by a number
//! that its owner has: the number of an RRset, or the place of a record in a chain.

use std::ops::Range;

use crate::dns::RecordType;

/// Signatures by a number that their owner has.
///
/// Nearly always, every number has one signature, and all of them are as long. Then the number says
/// where a signature is, and a table is even. Otherwise two more columns say it.
#[derive(Debug, Default)]
pub struct SignatureTable {
    /// By number, the index of the first signature, and one more at the end; empty in an even table,
    /// where the number is the index.
    pub(super) firsts: Vec<u32>,
    /// By index, the offset of the octets; empty in an even table.
    pub(super) offsets: Vec<u32>,
    /// By index, the number of the terms, with the label count in the upper eight bits; or
    /// [`UNSIGNED`].
    pub(super) shared: Vec<u32>,
    pub(super) count: usize,
    /// Octets of each signature of an even table; 0 if there is none.
    pub(super) length: usize,
    pub(super) terms: Vec<SignatureTerms>,
    pub(super) octets: Vec<u8>,
}

/// Stands for a number of an even table that has no signature. There are not so many terms.
pub(super) const UNSIGNED: u32 = u32::MAX;

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
        self.count
    }

    /// The signatures of what has this number; none if it is not signed.
    #[inline]
    pub fn of(&self, number: u32) -> impl Iterator<Item = SignatureRef<'_>> {
        let indices = self.indices_of(number).unwrap_or_default();
        indices.filter_map(|index| self.signature(index))
    }

    #[inline]
    fn indices_of(&self, number: u32) -> Option<Range<usize>> {
        let number = number as usize;
        if self.firsts.is_empty() {
            return Some(number..number.checked_add(1)?);
        }
        let [start, end] = *self.firsts.get(number..)?.first_chunk::<2>()?;
        Some(start as usize..end as usize)
    }

    #[inline]
    fn signature(&self, index: usize) -> Option<SignatureRef<'_>> {
        let shared = *self.shared.get(index)?;
        let terms = self.terms.get((shared & 0xff_ffff) as usize)?;
        let at = match self.offsets.get(index) {
            Some(at) => *at as usize,
            None => index.checked_mul(self.length)?,
        };
        Some(SignatureRef {
            labels: (shared >> 24) as u8,
            terms,
            octets: self.octets.get(at..)?.get(..usize::from(terms.length))?,
        })
    }
}
