//! Finds the record of a digest: a table with open addressing.
//!
//! A slot has the place of a record and 32 bits of its digest, eight octets, so that a record is
//! looked at only if it is almost certainly the right one. Digests are even, so they need no other
//! hash. The table is at most three quarters full, which makes 11 to 22 octets a signature.

use crate::dnssec::SignatureDigest;

/// Slots of the smallest table.
const FEWEST: usize = 1024;

/// The table.
#[derive(Debug, Default)]
pub struct StoreIndex {
    /// The tag of a digest above the place of its record. No record is at place 0.
    slots: Vec<u64>,
    count: usize,
}

/// Two parts of a digest: where it is looked for, and what a slot keeps of it.
fn parts(digest: &SignatureDigest) -> (u64, u32) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = digest.0;
    let home = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    (home, u32::from_be_bytes([i, j, k, l]))
}

impl StoreIndex {
    /// A table with room for so many records.
    pub fn with_room(records: usize) -> StoreIndex {
        let slots = (records * 4 / 3 + 1).next_power_of_two().max(FEWEST);
        StoreIndex {
            slots: vec![0; slots],
            count: 0,
        }
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Brings the slot of a digest into the processor's cache.
    pub fn fetch(&self, digest: &SignatureDigest) {
        let (home, _) = parts(digest);
        let mask = self.slots.len().wrapping_sub(1);
        std::hint::black_box(self.slots.get(home as usize & mask).copied());
    }

    /// The place of a digest's record. `digest_at` is the digest of the record at a place.
    pub fn find(
        &self,
        digest: &SignatureDigest,
        digest_at: impl Fn(u32) -> Option<SignatureDigest>,
    ) -> Option<u32> {
        let slot = self.slot_of(digest, &digest_at)?;
        let place = *self.slots.get(slot)? as u32;
        if place == 0 { None } else { Some(place) }
    }

    /// Puts in a digest and the place of its record, which is not 0, instead of an older one.
    pub fn insert(
        &mut self,
        digest: &SignatureDigest,
        place: u32,
        digest_at: impl Fn(u32) -> Option<SignatureDigest>,
    ) {
        if (self.count + 1) * 4 > self.slots.len() * 3 {
            self.grow(&digest_at);
        }
        let slot = self.slot_of(digest, &digest_at);
        let Some(content) = slot.and_then(|slot| self.slots.get_mut(slot)) else {
            return;
        };
        if *content as u32 == 0 {
            self.count += 1;
        }
        let (_, tag) = parts(digest);
        *content = u64::from(tag) << 32 | u64::from(place);
    }

    /// The slot of a digest, or the empty one where it belongs.
    fn slot_of(
        &self,
        digest: &SignatureDigest,
        digest_at: &impl Fn(u32) -> Option<SignatureDigest>,
    ) -> Option<usize> {
        let (home, tag) = parts(digest);
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = home as usize & mask;
        loop {
            let content = *self.slots.get(slot)?;
            let place = content as u32;
            let may_be_it = (content >> 32) as u32 == tag;
            if place == 0 || may_be_it && digest_at(place).as_ref() == Some(digest) {
                return Some(slot);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Doubles the table.
    fn grow(&mut self, digest_at: &impl Fn(u32) -> Option<SignatureDigest>) {
        let larger = StoreIndex::with_room(self.slots.len().max(FEWEST / 2));
        let before = std::mem::replace(self, larger);
        for content in before.slots {
            let place = content as u32;
            if place == 0 {
                continue;
            }
            if let Some(digest) = digest_at(place)
                && let Some(slot) = self.slot_of(&digest, digest_at)
                && let Some(empty) = self.slots.get_mut(slot)
            {
                *empty = content;
                self.count += 1;
            }
        }
    }
}
