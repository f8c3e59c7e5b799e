//! A set of offsets with ranks: numbers the records of a database without gaps.
//!
//! The set has one bit per octet of the data section and a running count per 64 bits. The rank of
//! an offset, which is the index of its record's value, takes two steps and no hashing (Jacobson,
//! "Space-efficient static trees and graphs", 1989, 2.1).

use super::both::both;

/// Offsets below a bound that was known in advance.
#[derive(Debug, Clone, Default)]
pub struct OffsetTable {
    words: Vec<Word>,
    count: usize,
}

/// 64 neighbouring offsets.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    /// Those that are in the set, the lowest in the lowest bit.
    members: u64,
    /// How many members lie before these.
    before: u32,
}

impl OffsetTable {
    /// The set of the offsets of two parts, each read on a thread of its own, in any order and with
    /// repetitions. `None` if one of them is not below `bound`.
    pub fn collect<O: Iterator<Item = usize>>(
        bound: usize,
        part: impl FnOnce() -> O,
        other: impl FnOnce() -> O + Send,
    ) -> Option<Self> {
        let (part, other) = both(|| members(bound, part()), || members(bound, other()));
        let mut count = 0;
        let mut words = Vec::with_capacity(bound.div_ceil(64));
        for (members, others) in part?.into_iter().zip(other?) {
            let members = members | others;
            words.push(Word {
                members,
                before: count,
            });
            count += members.count_ones();
        }
        Some(OffsetTable {
            words,
            count: count as usize,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many lie before `offset`, which is below the bound.
    #[inline]
    pub fn rank(&self, offset: usize) -> usize {
        let word = self.words[offset / 64];
        let before = word.members & ((1 << (offset % 64)) - 1);
        word.before as usize + before.count_ones() as usize
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        (0..)
            .step_by(64)
            .zip(&self.words)
            .flat_map(|(first, word)| {
                let rest = std::iter::successors(some(word.members), |members| {
                    some(members & (members - 1))
                });
                rest.map(move |members| first + members.trailing_zeros() as usize)
            })
    }
}

/// One bit for each of the offsets. `None` if one of them is not below `bound`.
fn members(bound: usize, offsets: impl Iterator<Item = usize>) -> Option<Vec<u64>> {
    let mut members = vec![0u64; bound.div_ceil(64)];
    for offset in offsets {
        if offset >= bound {
            return None;
        }
        members[offset / 64] |= 1 << (offset % 64);
    }
    Some(members)
}

/// The members of a word, unless it has none.
fn some(members: u64) -> Option<u64> {
    (members != 0).then_some(members)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_whose_members_know_their_place(members in prop::collection::vec(0..300usize, 0..80)) {
            let (part, other) = members.split_at(members.len() / 3);
            let offsets =
                OffsetTable::collect(300, || part.iter().copied(), || other.iter().copied()).unwrap();
            let expected: BTreeSet<usize> = members.into_iter().collect();
            prop_assert_eq!(offsets.len(), expected.len());
            prop_assert_eq!(offsets.iter().collect::<BTreeSet<_>>(), expected.clone());
            prop_assert!(offsets.iter().is_sorted());
            for offset in 0..300 {
                prop_assert_eq!(offsets.rank(offset), expected.range(..offset).count());
            }
        }
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let collect =
            |bound, offset: usize| OffsetTable::collect(bound, || 0..0, || offset..offset + 1);
        assert!(collect(64, 63).is_some());
        assert!(collect(64, 64).is_none());
        let empty = OffsetTable::collect(0, || 0..0, || 0..0);
        assert!(empty.is_some_and(|offsets| offsets.is_empty()));
    }
}
