//! New signatures of a part of a zone, which come into the store together.
//!
//! Two threads sign two parts at the same time. Each collects what it makes, so that the store has the
//! signatures in the order of the zone, and is locked once for a part. Signatures of the same slot of
//! renewal lie together, as they will when they are renewed.

use super::log::{self, LONGEST};
use super::{SignatureDigest, StoredSignature};
use crate::dnssec::ValidityPeriod;
use crate::dnssec::validity::SLOTS;

/// New signatures of a part of a zone.
#[derive(Debug)]
pub struct SignaturePart {
    /// By slot of renewal, the records as in the file.
    slots: [Vec<u8>; SLOTS as usize],
}

impl Default for SignaturePart {
    fn default() -> Self {
        SignaturePart {
            slots: [const { Vec::new() }; SLOTS as usize],
        }
    }
}

impl SignaturePart {
    /// Adds a signature, whose owner has this slot of renewal; one that is longer than any that is
    /// made is left out.
    pub fn add(
        &mut self,
        digest: &SignatureDigest,
        slot: usize,
        times: ValidityPeriod,
        signature: &[u8],
    ) {
        if signature.len() > LONGEST {
            return;
        }
        if let Some(records) = self.slots.get_mut(slot) {
            let is_first = records.is_empty();
            let stored = StoredSignature { times, signature };
            log::append(records, is_first, digest, stored);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Vec::is_empty)
    }

    /// The records, as in the file.
    pub(super) fn records(&self) -> Vec<u8> {
        self.slots.concat()
    }
}
