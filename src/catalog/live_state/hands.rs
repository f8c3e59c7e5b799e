//! The signatures of steered answers: one for each set of endpoints that a reply may carry.
//!
//! A set that replies carry whole is a hand, and has a number in its view
//! ([`LiveView::hand_of`](super::LiveView::hand_of)). The RRSIG records of a hand are kept in wire
//! form, so that a reply copies them and fills in owner and TTL.

use crate::steering::HandId;

/// RRSIG records by number: the owner of each is a blank pointer, and its TTL is blank.
#[derive(Debug, Default)]
pub struct HandSignatures {
    octets: Box<[u8]>,
    /// Where the records of each number end.
    ends: Box<[u32]>,
    /// How many each number has; those that could not be signed have none.
    counts: Box<[u8]>,
}

/// The RRSIG records of one set.
#[derive(Debug, Clone, Copy)]
pub struct SignedHand<'s> {
    /// In wire form.
    pub records: &'s [u8],
    /// How many there are, at least one.
    pub count: u8,
}

impl HandSignatures {
    /// The records of a number; `None`: it is not signed.
    #[inline]
    pub fn of(&self, hand: HandId) -> Option<SignedHand<'_>> {
        let number = hand.0 as usize;
        let end = *self.ends.get(number)? as usize;
        let start = match number.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        let count = *self.counts.get(number)?;
        if count == 0 {
            return None;
        }
        Some(SignedHand {
            records: self.octets.get(start..end)?,
            count,
        })
    }

    /// Number of records.
    pub fn count(&self) -> usize {
        self.counts.iter().copied().map(usize::from).sum()
    }
}

/// Signatures that are being collected.
#[derive(Debug, Default)]
pub struct HandSignaturesBuilder {
    octets: Vec<u8>,
    ends: Vec<u32>,
    counts: Vec<u8>,
}

impl HandSignaturesBuilder {
    /// Adds the records of the next number.
    pub fn add(&mut self, records: &[u8], count: u8) {
        self.octets.extend_from_slice(records);
        self.ends.push(self.octets.len() as u32);
        self.counts.push(count);
    }

    /// The signatures.
    pub fn finish(self) -> HandSignatures {
        HandSignatures {
            octets: self.octets.into(),
            ends: self.ends.into(),
            counts: self.counts.into(),
        }
    }
}
