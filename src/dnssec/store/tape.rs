//! Finds signatures in the order in which they are in the file.
//!
//! A zone is signed part by part, in the same order each time. The signatures of a part whose owners
//! have the same slot of renewal ([`SLOTS`]) lie one behind the other, because they are made and
//! renewed together ([`SignaturePart`](super::SignaturePart)). So a tape looks for each signature
//! behind the last one of its slot, and for the first one of a part and slot in an index of those.
//! Whatever is not found like that, the store finds.

use std::sync::Arc;

use super::index::StoreIndex;
use super::log::LogRecord;
use super::{SignatureDigest, StoredSignature};
use crate::dnssec::validity::SLOTS;

/// Finds signatures that a store has read, in their order.
#[derive(Debug)]
pub struct SignatureTape {
    log: Arc<Vec<u8>>,
    firsts: Arc<StoreIndex>,
    /// By slot of renewal, the place behind the last one of them.
    next_of_slot: [usize; SLOTS as usize],
}

impl SignatureTape {
    pub(super) fn new(log: Arc<Vec<u8>>, firsts: Arc<StoreIndex>) -> SignatureTape {
        SignatureTape {
            // No record is at the end.
            next_of_slot: [log.len(); SLOTS as usize],
            log,
            firsts,
        }
    }

    /// The signature with this digest, whose owner has this slot of renewal. There may be one if none
    /// is found, or a newer one.
    pub fn find(&mut self, digest: &SignatureDigest, slot: usize) -> Option<StoredSignature<'_>> {
        let next = self.next_of_slot.get_mut(slot)?;
        let (stored, end) = match wanted(&self.log, *next, digest) {
            Some(found) => found,
            None => first(&self.log, &self.firsts, digest)?,
        };
        *next = end;
        fetch(&self.log, end);
        Some(stored)
    }

    /// Goes on behind a record that the store found, for an owner with this slot.
    pub(super) fn resume(&mut self, slot: usize, end: usize) {
        if let Some(next) = self.next_of_slot.get_mut(slot) {
            *next = end;
        }
    }
}

/// Brings a record into the processor's cache, which is wanted after some others.
fn fetch(log: &[u8], at: usize) {
    for line in [0, 64] {
        std::hint::black_box(log.get(at + line).copied());
    }
}

/// The signature at a place and the end of its record, if it has this digest.
fn wanted<'l>(
    log: &'l [u8],
    at: usize,
    digest: &SignatureDigest,
) -> Option<(StoredSignature<'l>, usize)> {
    let record = LogRecord::trusted(log, at)?;
    (record.digest == *digest).then_some((record.stored, at + record.octets.len()))
}

/// The same for the first one of those that were added together, if it has this digest.
fn first<'l>(
    log: &'l [u8],
    firsts: &StoreIndex,
    digest: &SignatureDigest,
) -> Option<(StoredSignature<'l>, usize)> {
    let place = firsts.find(digest, |place| LogRecord::digest_at(log, place))?;
    wanted(log, place as usize, digest)
}
