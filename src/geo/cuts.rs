//! Positions in a list at which something changes, as a bit set that finds the next and the
//! previous one in a few steps.
//!
//! All rule sets share one list of address ranges. What a rule set adds is one bit for each range:
//! whether its answer changes there. A query needs the nearest such positions around the range that
//! holds its client. They are nearly always in the same word of 64 bits. For long stretches without
//! a change, each level above has one bit for each word below that is not empty, so a search takes
//! a few steps however long the list is.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

/// Bits of a word.
const WORD: usize = 64;

/// A set of positions below a fixed length. It contains position 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cuts {
    /// One bit for each position.
    words: Box<[u64]>,
    /// Bit i: whether word i is not empty.
    summary: Box<[u64]>,
    /// Bit i of a level: whether word i of the level below is not empty. The last has one word.
    above: Box<[Box<[u64]>]>,
}

/// The stretch between two cuts that holds a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The cut at or before the position.
    pub first: usize,
    /// The next cut; beyond the list after the last one.
    pub next: usize,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions are below the length of a list in memory; shifts are below 64"
)]
impl Cuts {
    /// The set of the positions at which `values` yields another value than before. `None` differs
    /// from every value.
    pub fn of_changes(values: impl ExactSizeIterator<Item = Option<u32>>) -> Cuts {
        let mut before = None;
        Cuts::new(values.map(|value| {
            let changes = value.is_none() || value != before;
            before = value;
            changes
        }))
    }

    /// The set of the positions for which `bits` yields true. Position 0 is added.
    pub fn new(bits: impl ExactSizeIterator<Item = bool>) -> Cuts {
        let mut words: Vec<u64> = Vec::with_capacity(bits.len() / WORD + 1);
        let (mut word, mut at) = (1, 0);
        for bit in bits {
            word |= u64::from(bit) << at;
            at += 1;
            if at == WORD {
                words.push(word);
                (word, at) = (0, 0);
            }
        }
        if at != 0 || words.is_empty() {
            words.push(word);
        }
        let first = summary(&words);
        let mut above: Vec<Box<[u64]>> = Vec::new();
        while above.last().map_or(first.len(), |level| level.len()) > 1 {
            above.push(summary(above.last().map_or(&first[..], |level| level)));
        }
        Cuts {
            words: words.into(),
            summary: first,
            above: above.into(),
        }
    }

    /// The cuts around a position.
    #[inline(always)]
    pub fn around(&self, at: usize) -> Stretch {
        let word = self.word(at / WORD);
        // Both count bits modulo 64.
        let until = word.wrapping_shl(!at as u32);
        let after = word.wrapping_shr(at as u32) >> 1;
        Stretch {
            first: if until != 0 {
                at - until.leading_zeros() as usize
            } else {
                self.before(at / WORD)
            },
            next: if after != 0 {
                at + 1 + after.trailing_zeros() as usize
            } else {
                self.after(at / WORD)
            },
        }
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    /// The last cut in the words before one.
    #[cold]
    #[inline(never)]
    fn before(&self, word: usize) -> usize {
        let summary = self.summary.get(word / WORD).copied().unwrap_or(0);
        let hits = summary & ((1 << (word % WORD)) - 1);
        if hits == 0 {
            return self.far_before(word / WORD);
        }
        let found = last_bit(word / WORD, hits);
        last_bit(found, self.word(found))
    }

    /// The first cut in the words after one.
    #[cold]
    #[inline(never)]
    fn after(&self, word: usize) -> usize {
        let summary = self.summary.get(word / WORD).copied().unwrap_or(0);
        let hits = summary >> (word % WORD) >> 1;
        if hits == 0 {
            return self.far_after(word / WORD).unwrap_or(usize::MAX);
        }
        let found = word + 1 + hits.trailing_zeros() as usize;
        first_bit(found, self.word(found))
    }

    /// How many cuts there are.
    pub fn count(&self) -> usize {
        let bits = self.words.iter().map(|word| word.count_ones() as usize);
        bits.sum()
    }

    /// Octets of memory held.
    pub fn memory(&self) -> usize {
        let levels = self.above.iter().map(|level| size_of_val(&**level));
        size_of_val(&*self.words) + size_of_val(&*self.summary) + levels.sum::<usize>()
    }

    /// The words of a level, counted from the set itself.
    fn level(&self, level: usize) -> Option<&[u64]> {
        match level {
            0 => Some(&self.words),
            1 => Some(&self.summary),
            _ => self.above.get(level - 2).map(|words| &**words),
        }
    }

    /// The last cut before a word of the summary.
    #[cold]
    fn far_before(&self, at: usize) -> usize {
        let (mut level, mut at) = (2, at);
        let found = loop {
            let Some(words) = self.level(level) else {
                return 0;
            };
            let word = words.get(at / WORD).copied().unwrap_or(0);
            let hits = word & ((1 << (at % WORD)) - 1);
            if hits != 0 {
                break last_bit(at / WORD, hits);
            }
            (level, at) = (level + 1, at / WORD);
        };
        self.descend(level, found, last_bit)
    }

    /// The first cut after a word of the summary.
    #[cold]
    fn far_after(&self, at: usize) -> Option<usize> {
        let (mut level, mut at) = (2, at);
        let found = loop {
            let word = self.level(level)?.get(at / WORD).copied().unwrap_or(0);
            let hits = word >> (at % WORD) >> 1;
            if hits != 0 {
                break at + 1 + hits.trailing_zeros() as usize;
            }
            (level, at) = (level + 1, at / WORD);
        };
        Some(self.descend(level, found, first_bit))
    }

    /// Follows a set bit of a level down to the set itself.
    fn descend(&self, level: usize, found: usize, choose: fn(usize, u64) -> usize) -> usize {
        let (mut level, mut found) = (level, found);
        while let Some(below) = level.checked_sub(1) {
            let word = self.level(below).and_then(|words| words.get(found));
            found = choose(found, word.copied().unwrap_or(1));
            level = below;
        }
        found
    }
}

/// One bit for each word: whether it is not empty.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions are below the length of a list in memory; shifts are below 64"
)]
fn summary(words: &[u64]) -> Box<[u64]> {
    let mut summary = Vec::with_capacity(words.len() / WORD + 1);
    for chunk in words.chunks(WORD) {
        let mut bits = 0;
        for (at, word) in chunk.iter().enumerate() {
            bits |= u64::from(*word != 0) << at;
        }
        summary.push(bits);
    }
    summary.into()
}

/// The position of the lowest bit of a word that is not empty.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions are below the length of a list in memory"
)]
fn first_bit(word: usize, bits: u64) -> usize {
    word * WORD + bits.trailing_zeros() as usize
}

/// The position of the highest bit of a word that is not empty.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions are below the length of a list in memory"
)]
fn last_bit(word: usize, bits: u64) -> usize {
    word * WORD + (WORD - 1) - bits.leading_zeros() as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn check(length: usize, members: &BTreeSet<usize>, asked: impl Iterator<Item = usize>) {
        let cuts = Cuts::new((0..length).map(|at| members.contains(&at)));
        for at in asked {
            let expected = Stretch {
                first: members.range(..=at).next_back().copied().unwrap_or(0),
                next: members
                    .range(at + 1..)
                    .next()
                    .copied()
                    .unwrap_or(usize::MAX),
            };
            assert_eq!(cuts.around(at), expected, "around {at} of {length}");
        }
    }

    proptest! {
        #[test]
        fn the_cuts_around_a_position_are_the_nearest(
            length in 1usize..3000,
            members in prop::collection::btree_set(0usize..3000, 0..60),
        ) {
            let members: BTreeSet<usize> =
                members.into_iter().filter(|at| *at < length).chain([0]).collect();
            check(length, &members, 0..length);
        }
    }

    #[test]
    fn long_stretches_are_crossed() {
        let length = 20_000_000;
        for members in [
            vec![0],
            vec![0, length - 1],
            vec![0, 64, 4096, 262_144, 16_777_216],
        ] {
            let members: BTreeSet<usize> = members.into_iter().collect();
            let asked = [
                0,
                63,
                64,
                65,
                4095,
                4096,
                262_143,
                300_000,
                16_777_215,
                length - 1,
            ];
            check(length, &members, asked.into_iter());
        }
        assert_eq!(
            Cuts::new(std::iter::empty()).around(0),
            Stretch {
                first: 0,
                next: usize::MAX
            }
        );
    }
}
