//! The records of a zone that prove what does not exist, in the order of their chain.
//!
//! A chain of NSEC records is in the canonical order of names (RFC 4034 section 4); the record of each
//! name states the next one and the types of its own. A chain of NSEC3 records is the same in the order
//! of the names' hashes (RFC 5155). Every record was signed when the zone was loaded. Names are in
//! lower-cased wire form.

use super::signatures::{SignatureRef, SignatureTable};
use crate::catalog::names::{NameNode, NameRole};
use crate::catalog::names::{NameTable, NodeId};
use crate::dns::RecordType;
use crate::dns::name_order::{compare_names, short_sort_number};
use crate::dnssec::ZoneDenial;
use crate::dnssec::denial::{NextName, name_below, name_beside};
use crate::dnssec::nsec3::{HashParameters, NSEC3_HASH};

/// Octets of a hash behind its number.
pub(super) const HASH_REST: usize = NSEC3_HASH - size_of::<u64>();

/// The NSEC or NSEC3 chain of a zone.
#[derive(Debug, Default)]
pub struct DenialChain {
    /// Seconds (RFC 9077 section 3: the lesser of the TTL and the MINIMUM of the SOA).
    pub ttl: u32,
    /// Labels of the apex.
    pub(super) apex_labels: u8,
    /// Octets of the apex.
    pub(super) apex_length: u8,
    /// The kind of its records.
    pub(super) denial: ZoneDenial,
    /// How hashes are made.
    pub(super) parameters: HashParameters,
    /// The flags of each NSEC3 record; empty: none has any.
    pub(super) flags: Vec<u8>,
    /// The start of each name's sort key, or of its hash.
    pub(super) numbers: Vec<u64>,
    /// The rest of each hash; empty in an NSEC chain.
    pub(super) rests: Vec<[u8; HASH_REST]>,
    pub(super) links: Vec<ChainLink>,
    /// Type bitmaps (RFC 4034 section 4.1.2), each once.
    pub(super) bitmaps: Vec<Box<[u8]>>,
    /// By index of the link; those of the variants behind them.
    pub(super) signatures: SignatureTable,
    /// Records of steered names that deny one of their types, sorted.
    pub(super) variants: Vec<LinkVariant>,
    /// By index of the link, next names that a file spells with capital letters, sorted.
    pub(super) spelled: Vec<(u32, Box<[u8]>)>,
}

/// One name of a chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChainLink {
    pub(super) node: NodeId,
    /// Index of its bitmap.
    pub(super) types: u32,
}

/// The record of a steered name while it has no data of one of its types.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinkVariant {
    pub(super) link: u32,
    pub(super) without: RecordType,
    /// Index of its bitmap.
    pub(super) types: u32,
    /// Number of its signatures.
    pub(super) number: u32,
}

/// One record of a chain.
#[derive(Debug, Clone, Copy)]
pub struct DenialRecord<'c> {
    /// Its place in the chain.
    pub index: usize,
    /// The name that it is about.
    pub owner: NodeId,
    /// The place of the record after it.
    pub next: usize,
    /// The types of its name.
    pub types: &'c [u8],
    /// The number of its signatures in the chain.
    number: u32,
}

impl DenialChain {
    /// Labels of the apex.
    pub fn apex_labels(&self) -> usize {
        usize::from(self.apex_labels)
    }

    /// Whether this is a chain of hashes, whose records are NSEC3.
    #[inline]
    pub fn is_hashed(&self) -> bool {
        self.denial == ZoneDenial::Nsec3
    }

    /// Whether a record says nothing of other names, and those of names that do not exist are
    /// signed when somebody asks (RFC 9824).
    #[inline]
    pub fn is_compact(&self) -> bool {
        self.denial == ZoneDenial::Compact
    }

    /// The name that a record of compact denial leads to: the one right behind its own. Behind a
    /// delegation it is the one behind everything below it (RFC 9824 section 3.4).
    pub fn compact_next(&self, node: &NameNode, name: &[u8]) -> Option<NextName> {
        let is_cut = match node.role {
            NameRole::Cut => true,
            // It is the apex of a zone below.
            NameRole::Apex => node.labels != self.apex_labels,
            _ => false,
        };
        if is_cut {
            name_beside(name)
        } else {
            name_below(name)
        }
    }

    /// The type of its records.
    pub fn rtype(&self) -> RecordType {
        if self.is_hashed() {
            RecordType::NSEC3
        } else {
            RecordType::NSEC
        }
    }

    /// The labels of one of its names in front of the apex.
    pub fn labels_above_apex<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        name.get(..name.len().checked_sub(usize::from(self.apex_length))?)
    }

    /// The index of the record at a name, or else of the one that covers it. `None`: the name is
    /// before the apex.
    pub fn find(&self, names: &NameTable, name: &[u8]) -> Option<usize> {
        if self.is_hashed() {
            return self.find_hash(&self.parameters.hash(name));
        }
        let number = short_sort_number(name, usize::from(self.apex_labels));
        let start = self.numbers.partition_point(|it| *it < number);
        let alike = self.numbers.get(start..).unwrap_or_default();
        if alike.first() != Some(&number) {
            return start.checked_sub(1);
        }
        let count = alike.partition_point(|it| *it == number);
        let alike = self.links.get(start..)?.get(..count)?;
        let before = alike.partition_point(|link| {
            let other = names.node(link.node).map(|node| names.name_of(node));
            other.is_some_and(|other| compare_names(other, name).is_le())
        });
        start.saturating_add(before).checked_sub(1)
    }

    /// The index of a name's own NSEC3 record; `None`: it has none.
    pub fn find_own(&self, name: &[u8]) -> Option<usize> {
        let hash = self.parameters.hash(name);
        let index = self.find_hash(&hash)?;
        (self.hash(index) == hash).then_some(index)
    }

    /// The index of the last hash that is not behind this one. Before the first hash it is the last
    /// of all, because the chain is a circle (RFC 5155 section 3.1.7).
    fn find_hash(&self, hash: &[u8; NSEC3_HASH]) -> Option<usize> {
        let (number, rest) = parts_of(hash);
        let mut end = self.end_of(number);
        // Two hashes with the same start are as rare as can be, but they may be made.
        while let Some(last) = end.checked_sub(1)
            && self.numbers.get(last) == Some(&number)
            && self.rests.get(last) > Some(&rest)
        {
            end = last;
        }
        end.checked_sub(1)
            .or_else(|| self.numbers.len().checked_sub(1))
    }

    /// How many hashes have a number that is not behind this one. Hashes are evenly spread, so the
    /// place is close to where the number itself stands among all numbers: nearly always within
    /// twice the square root of their count.
    fn end_of(&self, number: u64) -> usize {
        let count = self.numbers.len();
        let guess = (u128::from(number).saturating_mul(count as u128) >> 64) as usize;
        let reach = count.isqrt().saturating_mul(2);
        let (low, high) = (
            guess.saturating_sub(reach),
            guess.saturating_add(reach).min(count),
        );
        let is_from = low == 0 || self.numbers.get(low).is_some_and(|it| *it <= number);
        let is_to = high == count || self.numbers.get(high).is_some_and(|it| *it > number);
        let (low, high) = if is_from && is_to {
            (low, high)
        } else {
            (0, count)
        };
        let near = self.numbers.get(low..high).unwrap_or_default();
        low.saturating_add(near.partition_point(|it| *it <= number))
    }

    /// The hash of a name by its index; zeros in an NSEC chain.
    pub fn hash(&self, index: usize) -> [u8; NSEC3_HASH] {
        let mut hash = [0; NSEC3_HASH];
        if let (Some(number), Some(rest)) = (self.numbers.get(index), self.rests.get(index))
            && let Some((start, end)) = hash.split_first_chunk_mut::<8>()
        {
            *start = number.to_be_bytes();
            end.copy_from_slice(rest);
        }
        hash
    }

    /// Hash algorithm and flags of an NSEC3 record by its index (RFC 5155 section 3.2).
    pub fn algorithm_and_flags(&self, index: usize) -> [u8; 2] {
        [1, self.flags.get(index).copied().unwrap_or(0)]
    }

    /// How the hashes are made.
    pub fn parameters(&self) -> &HashParameters {
        &self.parameters
    }

    /// Whether the names of delegations without DS records may be missing in the chain, with those
    /// that exist only because of them (RFC 5155 section 6).
    pub fn has_opt_out(&self) -> bool {
        !self.flags.is_empty()
    }

    /// The name of a record by its index.
    pub fn node(&self, index: usize) -> Option<NodeId> {
        self.links.get(index).map(|link| link.node)
    }

    /// The record of a name by its index.
    pub fn record(&self, index: usize) -> Option<DenialRecord<'_>> {
        let link = self.links.get(index)?;
        let after = index.saturating_add(1);
        Some(DenialRecord {
            index,
            owner: link.node,
            next: if after < self.links.len() { after } else { 0 },
            types: self.bitmaps.get(link.types as usize)?,
            number: index as u32,
        })
    }

    /// The record of a steered name while it has no data of this type.
    pub fn record_without(&self, index: usize, rtype: RecordType) -> Option<DenialRecord<'_>> {
        let key = (index as u32, rtype);
        let found = self
            .variants
            .binary_search_by_key(&key, |variant| (variant.link, variant.without));
        let variant = self.variants.get(found.ok()?)?;
        Some(DenialRecord {
            types: self.bitmaps.get(variant.types as usize)?,
            number: variant.number,
            ..self.record(index)?
        })
    }

    /// The next name of a record, if the file that has it spells it with capital letters.
    pub fn spelled_next(&self, record: &DenialRecord<'_>) -> Option<&[u8]> {
        if self.spelled.is_empty() {
            return None;
        }
        let link = record.index as u32;
        let found = self.spelled.binary_search_by_key(&link, |(at, _)| *at);
        self.spelled.get(found.ok()?).map(|(_, name)| &**name)
    }

    /// The signatures of a record.
    pub fn signatures(&self, record: &DenialRecord<'_>) -> impl Iterator<Item = SignatureRef<'_>> {
        self.signatures.of(record.number)
    }

    /// Number of signatures of all records.
    pub fn signature_count(&self) -> usize {
        self.signatures.count()
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
pub(super) fn half(number: u128) -> u64 {
    (number >> 64) as u64
}

/// A hash as its number and the rest.
pub(super) fn parts_of(hash: &[u8; NSEC3_HASH]) -> (u64, [u8; HASH_REST]) {
    let mut rest = [0; HASH_REST];
    match hash.split_first_chunk::<8>() {
        Some((start, end)) => {
            rest.copy_from_slice(end);
            (u64::from_be_bytes(*start), rest)
        }
        None => (0, rest),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chain(hashes: &[[u8; NSEC3_HASH]]) -> DenialChain {
        let mut chain = DenialChain {
            denial: ZoneDenial::Nsec3,
            ..DenialChain::default()
        };
        for hash in hashes {
            let (number, rest) = parts_of(hash);
            chain.numbers.push(number);
            chain.rests.push(rest);
        }
        chain
    }

    /// Hashes as they are, and some that are far from evenly spread or begin alike.
    fn hash() -> impl Strategy<Value = [u8; NSEC3_HASH]> {
        prop_oneof![
            4 => any::<[u8; NSEC3_HASH]>(),
            1 => any::<u8>().prop_map(|octet| {
                let mut hash = [7; NSEC3_HASH];
                hash[19] = octet;
                hash
            }),
            1 => any::<u8>().prop_map(|octet| {
                let mut hash = [0; NSEC3_HASH];
                hash[7] = octet;
                hash
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_hash_is_found_at_the_last_one_that_is_not_behind_it(
            hashes in prop::collection::btree_set(hash(), 1..200),
            others in prop::collection::vec(hash(), 50),
        ) {
            let hashes: Vec<_> = hashes.into_iter().collect();
            let chain = chain(&hashes);
            for (index, hash) in hashes.iter().enumerate() {
                prop_assert_eq!(chain.find_hash(hash), Some(index));
                prop_assert_eq!(chain.hash(index), *hash);
            }
            for other in others {
                let expected = hashes.iter().rposition(|hash| *hash <= other);
                let expected = expected.or(hashes.len().checked_sub(1));
                prop_assert_eq!(chain.find_hash(&other), expected);
            }
        }
    }
}
