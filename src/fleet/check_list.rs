//! The checks of one server, in an order that all servers share.
//!
//! A check is known by a digest of its definition. Sorted digests are cut into blocks by their first
//! bits, and each block has a digest of its own. So a view names 10,000 checks with less than a
//! kilobyte: where the digest of a block is the same on both sides, so are its checks, and a block
//! that differs is spelled out. [`CheckList::align`] puts the votes of a view in the order of the
//! reader's own checks.

use std::borrow::Cow;
use std::hash::Hasher as _;
use std::ops::Range;

use siphasher::sip::SipHasher24;

use super::bounds::MOST_CHECKS;
use super::view::{ViewBlock, VoterView};
use crate::health::quorum::CheckVote;

/// The most bits that number a block.
pub const MOST_BITS: u8 = 10;
/// A list is cut so that blocks have between this many checks and twice as many, on average.
const CHECKS_IN_BLOCK: usize = 64;

/// The digests of checks, sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckList {
    digests: Vec<u64>,
    /// The list cut into as many blocks as its own views have. Most views of others have as many.
    cut: Vec<ListBlock>,
}

/// A block of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ListBlock {
    /// The places of its checks.
    range: Range<usize>,
    /// A digest of the checks' digests.
    digest: u32,
}

/// The parts of all checks in which two lists differ: a bit for each of 1,024 ranges of digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DigestRanges([u64; 16]);

impl DigestRanges {
    /// Adds the ranges of a block.
    fn add(&mut self, block: usize, bits: u8) {
        for range in ranges_of(block, bits) {
            if let Some(word) = self.0.get_mut(range / 64) {
                *word |= 1 << (range % 64);
            }
        }
    }

    /// Adds the ranges of another.
    pub fn extend(&mut self, other: DigestRanges) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == [0; 16]
    }

    /// Whether it shares a range with a block.
    fn meets(&self, block: usize, bits: u8) -> bool {
        for range in ranges_of(block, bits) {
            if let Some(word) = self.0.get(range / 64)
                && word & (1 << (range % 64)) != 0
            {
                return true;
            }
        }
        false
    }
}

/// The ranges of a block, of 1,024.
fn ranges_of(block: usize, bits: u8) -> Range<usize> {
    let shift = MOST_BITS.saturating_sub(bits);
    block << shift..(block + 1) << shift
}

/// The votes of a view in the order of the reader's checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlignedVotes {
    /// By check of the reader.
    pub votes: Vec<CheckVote>,
    /// Where the two lists differ.
    pub differing: DigestRanges,
    /// How many checks both have.
    pub shared: usize,
    /// Both have checks, all of the voter's are known, and none of them is the reader's.
    pub is_foreign: bool,
}

impl CheckList {
    /// The list of these checks. If they are too many, those with the smallest digests.
    pub fn new(mut digests: Vec<u64>) -> CheckList {
        digests.sort_unstable();
        digests.dedup();
        digests.truncate(MOST_CHECKS);
        let mut list = CheckList {
            digests,
            cut: Vec::new(),
        };
        list.cut = list.cut_anew(list.bits());
        list
    }

    /// The digests, sorted.
    pub fn digests(&self) -> &[u64] {
        &self.digests
    }

    /// How many bits number its blocks.
    pub fn bits(&self) -> u8 {
        let mut bits = 0;
        while bits < MOST_BITS && self.digests.len() >= CHECKS_IN_BLOCK << (bits + 1) {
            bits += 1;
        }
        bits
    }

    /// The blocks of a view with these votes, one for each check. Blocks that meet `spelled` are
    /// spelled out.
    pub fn blocks(&self, votes: &[CheckVote], spelled: &DigestRanges) -> Vec<ViewBlock> {
        let bits = self.bits();
        let mut blocks = Vec::with_capacity(1 << bits);
        for (block, ListBlock { range, digest }) in self.cut(bits).iter().enumerate() {
            let digests = self.digests.get(range.clone()).unwrap_or_default();
            blocks.push(ViewBlock {
                digest: *digest,
                votes: votes.get(range.clone()).unwrap_or_default().to_vec(),
                spelled: spelled.meets(block, bits).then(|| digests.to_vec()),
            });
        }
        blocks
    }

    /// The votes of a view on these checks.
    pub fn align(&self, view: &VoterView) -> AlignedVotes {
        let mut aligned = AlignedVotes {
            votes: vec![CheckVote::Absent; self.digests.len()],
            differing: DigestRanges::default(),
            shared: 0,
            is_foreign: false,
        };
        let own_blocks = self.cut(view.bits);
        for (at, (cut, block)) in own_blocks.iter().zip(view.blocks.iter()).enumerate() {
            let own = self.digests.get(cut.range.clone()).unwrap_or_default();
            let votes = aligned.votes.get_mut(cut.range.clone()).unwrap_or_default();
            if own.len() == block.votes.len() && cut.digest == block.digest {
                votes.copy_from_slice(&block.votes);
                continue;
            }
            aligned.differing.add(at, view.bits);
            match &block.spelled {
                Some(theirs) => merge(own, votes, theirs, &block.votes),
                None if !block.votes.is_empty() => votes.fill(CheckVote::Unread),
                None => {}
            }
        }
        let mut unread = 0;
        for vote in &aligned.votes {
            let is_shared = !matches!(vote, CheckVote::Absent | CheckVote::Unread);
            aligned.shared += usize::from(is_shared);
            unread += usize::from(*vote == CheckVote::Unread);
        }
        let both_have = !self.digests.is_empty() && view.checks() > 0;
        aligned.is_foreign = both_have && aligned.shared + unread == 0;
        aligned
    }

    /// The list in 2 to the power of `bits` blocks.
    fn cut(&self, bits: u8) -> Cow<'_, [ListBlock]> {
        if self.cut.len() == 1 << bits {
            Cow::Borrowed(&self.cut)
        } else {
            Cow::Owned(self.cut_anew(bits))
        }
    }

    fn cut_anew(&self, bits: u8) -> Vec<ListBlock> {
        let mut blocks = Vec::with_capacity(1 << bits);
        let mut start = 0;
        for block in 0..1_usize << bits {
            let rest = self.digests.get(start..).unwrap_or_default();
            let length = rest.partition_point(|digest| block_of(*digest, bits) <= block);
            let digest = block_digest(rest.get(..length).unwrap_or_default());
            let range = start..start + length;
            start = range.end;
            blocks.push(ListBlock { range, digest });
        }
        blocks
    }
}

/// The block of a check.
pub(super) fn block_of(digest: u64, bits: u8) -> usize {
    match bits {
        0 => 0,
        bits => (digest >> (64 - u32::from(bits))) as usize,
    }
}

/// The digest of a block: the upper half of a SipHash of its checks. It finds differences, and
/// nobody gains by making two lists alike: who may vote may also lie.
fn block_digest(digests: &[u64]) -> u32 {
    let mut hasher = SipHasher24::new_with_keys(0x6d65_7269_6469_616e, 0x626c_6f63_6b73);
    for digest in digests {
        hasher.write(&digest.to_le_bytes());
    }
    (hasher.finish() >> 32) as u32
}

/// Copies the votes on the checks that both sorted lists have.
fn merge(own: &[u64], votes: &mut [CheckVote], theirs: &[u64], their_votes: &[CheckVote]) {
    let mut rest = theirs.iter().zip(their_votes).peekable();
    for (digest, vote) in own.iter().zip(votes) {
        while rest.next_if(|(other, _)| *other < digest).is_some() {}
        if let Some((_, theirs)) = rest.next_if(|(other, _)| *other == digest) {
            *vote = *theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use CheckVote::{Absent, Down, Unknown, Up};

    fn list(size: u64) -> CheckList {
        CheckList::new((0..size).map(crate::fleet::testing::spread).collect())
    }

    fn view_of(list: &CheckList, votes: &[CheckVote], spelled: DigestRanges) -> VoterView {
        VoterView {
            bits: list.bits(),
            blocks: list.blocks(votes, &spelled).into(),
            ..crate::fleet::testing::view("a", 1)
        }
    }

    #[test]
    fn equal_lists_compare_without_being_spelled_out() {
        for size in [0, 1, 63, 64, 127, 128, 1000, 10_000] {
            let list = list(size);
            let votes: Vec<CheckVote> = (0..size)
                .map(|at| [Up, Down, Unknown][at as usize % 3])
                .collect();
            let aligned = list.align(&view_of(&list, &votes, DigestRanges::default()));
            assert_eq!(aligned.votes, votes);
            assert!(aligned.differing.is_empty());
        }
    }

    #[test]
    fn too_many_checks_leave_the_same_ones_on_all_servers() {
        let all = list(70_000);
        let mut reversed: Vec<u64> = (0..70_000).map(crate::fleet::testing::spread).collect();
        reversed.reverse();
        assert_eq!(all.digests().len(), MOST_CHECKS);
        assert_eq!(all, CheckList::new(reversed));
    }

    proptest! {
        #[test]
        fn shared_checks_count_once_differences_are_spelled_out(
            own in prop::collection::hash_set(0u64..3000, 0..800),
            theirs in prop::collection::hash_set(0u64..3000, 0..800),
        ) {
            let spread = |numbers: &std::collections::HashSet<u64>| {
                CheckList::new(numbers.iter().map(|at| crate::fleet::testing::spread(*at)).collect())
            };
            let (own, theirs) = (spread(&own), spread(&theirs));
            let votes: Vec<CheckVote> =
                theirs.digests().iter().map(|digest| if digest % 2 == 0 { Up } else { Down }).collect();
            let silent = own.align(&view_of(&theirs, &votes, DigestRanges::default()));
            let back = theirs.align(&view_of(
                &own, &vec![Up; own.digests().len()], DigestRanges::default(),
            ));
            // They see where we differ, and spell that out.
            let spoken = own.align(&view_of(&theirs, &votes, back.differing));
            for (at, digest) in own.digests().iter().enumerate() {
                let expected = match theirs.digests().binary_search(digest) {
                    Ok(position) => votes[position],
                    Err(_) => Absent,
                };
                prop_assert_eq!(spoken.votes[at], expected);
                prop_assert!([Absent, CheckVote::Unread, expected].contains(&silent.votes[at]));
            }
        }
    }
}
