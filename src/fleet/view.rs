//! A voter's view: everything that one server says to its fleet, in one message.
//!
//! A view is always whole, so nothing depends on the order of messages, and a lost one costs at most
//! a second. [`VoterView::write`] and [`VoterView::read`] are its wire form: about 3.5 kB for 10,000
//! checks that all servers share. The reader trusts nothing. Its input is bounded and ends with a
//! checksum, every length is checked, and each way of being wrong has a sentence of its own
//! ([`super::view_error::ViewError`]).
//!
//! ```text
//! MVEW | version | length of all u32 | fleet, voter, group | epoch u64 | sequence u64
//! | known groups u16 | bits of blocks u8 | blocks: checks u16 (highest bit: spelled out), digest u32
//! | votes, two bits each | digests of spelled blocks u64 | regions u16: name, answers f32, load f32
//! | version 2 only: what the announcer does u8 | checksum u64
//! ```
//! Numbers are little-endian. Text has one octet of length before it. A server without an announcer
//! writes version 1.

use std::hash::Hasher as _;
use std::sync::Arc;

use siphasher::sip::SipHasher24;

use super::announcement::AnnounceState;
use super::bounds::{LONGEST_NAME, MOST_CHECKS, MOST_OCTETS, MOST_REGIONS};
use super::check_list::{MOST_BITS, block_of};
use super::view_error::ViewError;
use crate::health::quorum::CheckVote;
use crate::text::is_plain_name;

const MAGIC: &[u8; 4] = b"MVEW";
/// The version of a view that says nothing of an announcer.
const PLAIN: u8 = 1;
/// The version of a view that says what an announcer does.
const ANNOUNCING: u8 = 2;
/// Magic, version and length.
const HEAD: usize = 9;
const CHECKSUM: usize = 8;
/// In the number of a block's checks: the block is spelled out.
const SPELLED: u16 = 0x8000;

/// What one voter sees.
#[derive(Debug, Clone, PartialEq)]
pub struct VoterView {
    /// The name of the fleet.
    pub fleet: String,
    /// The name of the voter, unique in the fleet.
    pub voter: String,
    /// Its vantage group.
    pub group: String,
    /// A random number of the voter's process.
    pub epoch: u64,
    /// Rises with every view of the process.
    pub sequence: u64,
    /// How many groups the voter has heard lately, its own included.
    pub known_groups: u16,
    /// The number of blocks is 2 to the power of this.
    pub bits: u8,
    /// The checks, in the order of their digests. Views that say the same share them.
    pub blocks: Arc<Vec<ViewBlock>>,
    /// What the voter measures of each region.
    pub regions: Vec<RegionFigures>,
    /// What its announcer does; `None`: it has none, or does not hear of it.
    pub announcement: Option<AnnounceState>,
}

/// The checks whose digests begin with the same bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewBlock {
    /// A digest of the checks' digests.
    pub digest: u32,
    /// By check.
    pub votes: Vec<CheckVote>,
    /// The digests of the checks, if some server has others.
    pub spelled: Option<Vec<u64>>,
}

/// What a voter measures of a region.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionFigures {
    /// The name of the region.
    pub name: String,
    /// Answers with this region, per second.
    pub answers: f32,
    /// The mean load that its endpoints report, 1.0 = full; `None`: they report none.
    pub load: Option<f32>,
}

/// A view as it was read.
#[derive(Debug)]
pub struct ReadView<'o> {
    /// The view.
    pub view: VoterView,
    /// The octets of its number of blocks and of the blocks, which are the same where these are.
    pub packed: &'o [u8],
}

/// The blocks of a view that was read before.
#[derive(Debug, Clone, Copy)]
pub struct KnownBlocks<'k> {
    /// As in [`ReadView::packed`]; not empty.
    pub packed: &'k [u8],
    /// The blocks.
    pub blocks: &'k Arc<Vec<ViewBlock>>,
}

impl VoterView {
    /// The wire form. Regions beyond [`MOST_REGIONS`] are left out.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(MAGIC);
        out.push(if self.announcement.is_some() {
            ANNOUNCING
        } else {
            PLAIN
        });
        out.extend_from_slice(&[0; 4]);
        for name in [&self.fleet, &self.voter, &self.group] {
            write_text(&mut out, name);
        }
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.known_groups.to_le_bytes());
        out.push(self.bits);
        self.write_blocks(&mut out);
        self.write_regions(&mut out);
        if let Some(state) = self.announcement {
            out.push(state.octet());
        }
        seal(&mut out);
        out
    }

    fn write_blocks(&self, out: &mut Vec<u8>) {
        let mut votes = VotePacker::default();
        let mut digests = Vec::new();
        for block in self.blocks.iter() {
            let count = u16::try_from(block.votes.len()).unwrap_or(SPELLED - 1);
            let flag = if block.spelled.is_some() { SPELLED } else { 0 };
            out.extend_from_slice(&(count | flag).to_le_bytes());
            out.extend_from_slice(&block.digest.to_le_bytes());
            for vote in &block.votes {
                votes.push(*vote);
            }
            for digest in block.spelled.iter().flatten() {
                digests.extend_from_slice(&digest.to_le_bytes());
            }
        }
        out.extend_from_slice(&votes.finish());
        out.extend_from_slice(&digests);
    }

    fn write_regions(&self, out: &mut Vec<u8>) {
        let count = self.regions.len().min(MOST_REGIONS);
        out.extend_from_slice(&(count as u16).to_le_bytes());
        for region in self.regions.iter().take(count) {
            write_text(out, &region.name);
            out.extend_from_slice(&region.answers.to_le_bytes());
            out.extend_from_slice(&region.load.unwrap_or(f32::NAN).to_le_bytes());
        }
    }

    /// Reads a view of this fleet.
    ///
    /// # Errors
    /// It is not a whole, undamaged view of this fleet in a version that this server reads.
    pub fn read(octets: &[u8], fleet: &str) -> Result<VoterView, ViewError> {
        Ok(VoterView::read_beside(octets, fleet, |_| None)?.view)
    }

    /// Reads a view of this fleet. Most views have the same checks and votes as the one before of the
    /// same voter, so `known` names those by the voter, and they are not read again.
    ///
    /// # Errors
    /// It is not a whole, undamaged view of this fleet in a version that this server reads.
    pub fn read_beside<'o, 'k>(
        octets: &'o [u8],
        fleet: &str,
        known: impl FnOnce(&str) -> Option<KnownBlocks<'k>>,
    ) -> Result<ReadView<'o>, ViewError> {
        if octets.len() > MOST_OCTETS {
            return Err(ViewError::TooLong(octets.len()));
        }
        let (version, rest) = checked_body(octets)?;
        let mut body = ViewReader { rest };
        let theirs = body.name()?;
        if theirs != fleet {
            return Err(ViewError::OtherFleet(theirs));
        }
        let mut view = VoterView {
            fleet: theirs,
            voter: body.name()?,
            group: body.name()?,
            epoch: u64::from_le_bytes(body.array()?),
            sequence: u64::from_le_bytes(body.array()?),
            known_groups: u16::from_le_bytes(body.array()?),
            bits: 0,
            blocks: Arc::default(),
            regions: Vec::new(),
            announcement: None,
        };
        let at_blocks = body.rest;
        match known(&view.voter).filter(|known| at_blocks.starts_with(known.packed)) {
            Some(known) => {
                view.bits = body.octet()?;
                body.rest = at_blocks.get(known.packed.len()..).unwrap_or_default();
                view.blocks = known.blocks.clone();
            }
            None => {
                view.bits = body.octet()?;
                if view.bits > MOST_BITS {
                    return Err(ViewError::BadBlocks);
                }
                view.blocks = Arc::new(body.blocks(view.bits)?);
            }
        }
        let length = at_blocks.len() - body.rest.len();
        let packed = at_blocks.get(..length).unwrap_or_default();
        view.regions = body.regions()?;
        if version == ANNOUNCING {
            let state = AnnounceState::from_octet(body.octet()?);
            view.announcement = Some(state.ok_or(ViewError::BadAnnouncement)?);
        }
        if !body.rest.is_empty() {
            return Err(ViewError::BadLength);
        }
        Ok(ReadView { view, packed })
    }

    /// The number of checks.
    pub fn checks(&self) -> usize {
        self.blocks.iter().map(|block| block.votes.len()).sum()
    }
}

/// The version, and the octets between head and checksum, if all are right.
fn checked_body(octets: &[u8]) -> Result<(u8, &[u8]), ViewError> {
    let mut head = ViewReader { rest: octets };
    if head.rest.len() < HEAD {
        let is_cut = !octets.is_empty() && MAGIC.starts_with(octets.get(..4).unwrap_or(octets));
        return Err(if is_cut {
            ViewError::CutOff
        } else {
            ViewError::NoView
        });
    }
    if head.array::<4>()? != *MAGIC {
        return Err(ViewError::NoView);
    }
    let version = head.octet()?;
    if version != PLAIN && version != ANNOUNCING {
        return Err(ViewError::OtherVersion(version));
    }
    let length = u32::from_le_bytes(head.array()?) as usize;
    if length > octets.len() {
        return Err(ViewError::CutOff);
    }
    if length < octets.len() || length < HEAD + CHECKSUM {
        return Err(ViewError::BadLength);
    }
    let end = octets.len() - CHECKSUM;
    let (signed, sum) = octets.split_at_checked(end).ok_or(ViewError::BadLength)?;
    if sum != checksum(signed).to_le_bytes() {
        return Err(ViewError::Damaged);
    }
    let body = signed.get(HEAD..).ok_or(ViewError::BadLength)?;
    Ok((version, body))
}

/// Detects damage. It does not authenticate, which is the engine's part.
fn checksum(octets: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(0x6d65_7269_6469_616e, 0x0076_6965_7773);
    hasher.write(octets);
    hasher.finish()
}

/// Writes the length into the head, and the checksum behind everything.
pub(crate) fn seal(out: &mut Vec<u8>) {
    let length = u32::try_from(out.len() + CHECKSUM).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(HEAD - 4..HEAD) {
        field.copy_from_slice(&length.to_le_bytes());
    }
    let sum = checksum(out);
    out.extend_from_slice(&sum.to_le_bytes());
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let octets = text.as_bytes();
    let octets = octets.get(..LONGEST_NAME).unwrap_or(octets);
    out.push(octets.len() as u8);
    out.extend_from_slice(octets);
}

/// Packs votes, four in an octet, the first in the lowest bits.
#[derive(Default)]
struct VotePacker {
    octets: Vec<u8>,
    used: u32,
}

impl VotePacker {
    fn push(&mut self, vote: CheckVote) {
        if self.used == 0 {
            self.octets.push(0);
        }
        let bits: u8 = match vote {
            CheckVote::Absent | CheckVote::Unread | CheckVote::Unknown => 0,
            CheckVote::Up => 1,
            CheckVote::Down => 2,
        };
        if let Some(last) = self.octets.last_mut() {
            *last |= bits << self.used;
        }
        self.used = (self.used + 2) % 8;
    }

    fn finish(self) -> Vec<u8> {
        self.octets
    }
}

/// Reads from the front.
struct ViewReader<'o> {
    rest: &'o [u8],
}

impl<'o> ViewReader<'o> {
    fn take(&mut self, count: usize) -> Result<&'o [u8], ViewError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(ViewError::BadLength)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ViewError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ViewError::BadLength)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn octet(&mut self) -> Result<u8, ViewError> {
        let [octet] = self.array()?;
        Ok(octet)
    }

    fn text(&mut self) -> Result<&'o str, ViewError> {
        let length = usize::from(self.octet()?);
        let octets = self.take(length)?;
        str::from_utf8(octets).map_err(|_| ViewError::BadName)
    }

    fn name(&mut self) -> Result<String, ViewError> {
        let text = self.text()?;
        if is_plain_name(text) {
            Ok(text.to_owned())
        } else {
            Err(ViewError::BadName)
        }
    }

    fn blocks(&mut self, bits: u8) -> Result<Vec<ViewBlock>, ViewError> {
        let mut heads = Vec::with_capacity(1 << bits);
        let mut checks = 0;
        for _ in 0..1_u32 << bits {
            let count = u16::from_le_bytes(self.array()?);
            let digest = u32::from_le_bytes(self.array()?);
            checks += usize::from(count & !SPELLED);
            heads.push((usize::from(count & !SPELLED), count & SPELLED != 0, digest));
        }
        if checks > MOST_CHECKS {
            return Err(ViewError::TooManyChecks(checks));
        }
        let mut votes = unpack(self.take(checks.div_ceil(4))?, checks)?.into_iter();
        let mut blocks = Vec::with_capacity(heads.len());
        for (count, _, digest) in &heads {
            blocks.push(ViewBlock {
                digest: *digest,
                votes: votes.by_ref().take(*count).collect(),
                spelled: None,
            });
        }
        for (at, (block, (count, is_spelled, _))) in blocks.iter_mut().zip(heads).enumerate() {
            if is_spelled {
                block.spelled = Some(self.digests(count, at, bits)?);
            }
        }
        Ok(blocks)
    }

    /// The digests of a block. They rise, and belong to the block.
    fn digests(&mut self, count: usize, block: usize, bits: u8) -> Result<Vec<u64>, ViewError> {
        let octets = self.take(count * 8)?;
        let mut digests: Vec<u64> = Vec::with_capacity(count);
        for chunk in octets.as_chunks::<8>().0 {
            let digest = u64::from_le_bytes(*chunk);
            let rises = digests.last().is_none_or(|last| *last < digest);
            if !rises || block_of(digest, bits) != block {
                return Err(ViewError::BadBlocks);
            }
            digests.push(digest);
        }
        Ok(digests)
    }

    fn regions(&mut self) -> Result<Vec<RegionFigures>, ViewError> {
        let count = usize::from(u16::from_le_bytes(self.array()?));
        if count > MOST_REGIONS {
            return Err(ViewError::TooManyRegions(count));
        }
        let mut regions = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.text()?;
            if name.is_empty() || name.len() > LONGEST_NAME {
                return Err(ViewError::BadName);
            }
            let answers = f32::from_le_bytes(self.array()?);
            let load = f32::from_le_bytes(self.array()?);
            regions.push(RegionFigures {
                name: name.to_owned(),
                answers: if answers.is_finite() {
                    answers.max(0.0)
                } else {
                    0.0
                },
                load: load.is_finite().then(|| load.max(0.0)),
            });
        }
        Ok(regions)
    }
}

fn unpack(octets: &[u8], count: usize) -> Result<Vec<CheckVote>, ViewError> {
    let mut votes = Vec::with_capacity(count);
    for at in 0..count {
        let octet = octets.get(at / 4).copied().unwrap_or_default();
        votes.push(match octet >> (at % 4 * 2) & 3 {
            0 => CheckVote::Unknown,
            1 => CheckVote::Up,
            2 => CheckVote::Down,
            _ => return Err(ViewError::BadVote),
        });
    }
    Ok(votes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fleet::check_list::{CheckList, DigestRanges};
    use crate::fleet::testing;

    /// A view of this many checks, half of its blocks spelled out.
    fn sample(checks: u64, is_spelled: bool) -> VoterView {
        let list = CheckList::new((0..checks).map(testing::spread).collect());
        let votes: Vec<CheckVote> = (0..checks)
            .map(|at| [CheckVote::Up, CheckVote::Down, CheckVote::Unknown][at as usize % 3])
            .collect();
        let mut differing = DigestRanges::default();
        if is_spelled {
            let other = CheckList::new(vec![1, u64::MAX / 2]);
            differing = other.align(&sample(checks, false)).differing;
        }
        VoterView {
            bits: list.bits(),
            blocks: list.blocks(&votes, &differing).into(),
            regions: vec![
                RegionFigures {
                    name: "fra".into(),
                    answers: 12.5,
                    load: Some(0.25),
                },
                RegionFigures {
                    name: "iad".into(),
                    answers: 0.0,
                    load: None,
                },
            ],
            announcement: is_spelled.then_some(AnnounceState::Doubtful),
            ..testing::view("ams1", 7)
        }
    }

    #[test]
    fn ten_thousand_checks_take_less_than_four_kilobytes() {
        let shared = sample(10_000, false).write().len();
        assert!((3_000..4_000).contains(&shared), "{shared}");
        let spelled = sample(10_000, true).write().len();
        assert!(spelled < 84_000, "{spelled}");
        assert!(sample(65_536, true).write().len() <= MOST_OCTETS);
    }

    #[test]
    fn each_way_of_being_wrong_has_its_error() {
        let good = sample(200, true).write();
        let read = |octets: &[u8]| VoterView::read(octets, "world").unwrap_err();
        assert_eq!(read(&[]), ViewError::NoView);
        assert_eq!(read(b"hello, here is a stranger"), ViewError::NoView);
        assert_eq!(read(&vec![0; 1_000_000]), ViewError::TooLong(1_000_000));
        assert_eq!(read(&good[..good.len() - 1]), ViewError::CutOff);
        let future = [&good[..4], &[3], &good[5..]].concat();
        assert_eq!(read(&future), ViewError::OtherVersion(3));
        let longer = [&good[..], &[0]].concat();
        assert_eq!(read(&longer), ViewError::BadLength);
        let elsewhere = VoterView::read(&good, "moon").unwrap_err();
        assert_eq!(elsewhere, ViewError::OtherFleet("world".into()));
        let mut swapped = sample(200, true);
        for block in Arc::make_mut(&mut swapped.blocks) {
            if let Some(spelled) = &mut block.spelled {
                spelled.reverse();
            }
        }
        assert_eq!(read(&swapped.write()), ViewError::BadBlocks);
        let unnamed = VoterView {
            voter: "a.b".into(),
            ..sample(1, false)
        };
        assert_eq!(read(&unnamed.write()), ViewError::BadName);
    }

    #[test]
    fn the_fuzzers_begin_with_views_of_both_versions() {
        let seeds: [(&[u8], Option<AnnounceState>); 3] = [
            (include_bytes!("../../fuzz/corpus/view/spelled"), None),
            (
                include_bytes!("../../fuzz/corpus/view/announced"),
                Some(AnnounceState::Announced),
            ),
            (
                include_bytes!("../../fuzz/corpus/view/doubtful"),
                Some(AnnounceState::Doubtful),
            ),
        ];
        for (seed, announcement) in seeds {
            let mut octets = seed.to_vec();
            seal(&mut octets);
            let view = VoterView::read(&octets, "world").unwrap();
            assert_eq!(view.announcement, announcement);
        }
        let mut octets = include_bytes!("../../fuzz/corpus/view/no_state").to_vec();
        seal(&mut octets);
        let read = VoterView::read(&octets, "world");
        assert_eq!(read, Err(ViewError::BadAnnouncement));
    }

    #[test]
    fn an_announcer_is_told_in_version_2_and_its_absence_in_version_1() {
        for announcement in [None].into_iter().chain(AnnounceState::ALL.map(Some)) {
            let view = VoterView {
                announcement,
                ..sample(50, false)
            };
            let octets = view.write();
            assert_eq!(octets[4], if announcement.is_some() { 2 } else { 1 });
            assert_eq!(VoterView::read(&octets, "world"), Ok(view));
        }
        let mut strange = sample(50, true).write();
        strange.truncate(strange.len() - CHECKSUM);
        *strange.last_mut().unwrap() = 5;
        seal(&mut strange);
        let error = VoterView::read(&strange, "world").unwrap_err();
        assert_eq!(error, ViewError::BadAnnouncement);
        let mut older = sample(50, true).write();
        older.truncate(older.len() - CHECKSUM);
        older[4] = PLAIN;
        seal(&mut older);
        let error = VoterView::read(&older, "world").unwrap_err();
        assert_eq!(error, ViewError::BadLength);
    }

    #[test]
    fn cut_at_any_octet_it_is_refused() {
        let good = sample(300, true).write();
        for end in 0..good.len() {
            let error = VoterView::read(&good[..end], "world").unwrap_err();
            let is_clear = matches!(error, ViewError::CutOff | ViewError::NoView);
            assert!(is_clear, "{end}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            checks in 0u64..2000, is_spelled: bool, epoch: u64, state in 0u8..5,
        ) {
            let announcement = AnnounceState::from_octet(state);
            let view = VoterView { epoch, announcement, ..sample(checks, is_spelled) };
            prop_assert_eq!(VoterView::read(&view.write(), "world"), Ok(view));
        }

        #[test]
        fn a_view_that_says_the_same_shares_what_was_read_and_another_is_read(
            checks in 0u64..500, is_spelled: bool, change: prop::sample::Index,
        ) {
            let first = sample(checks, is_spelled);
            let octets = first.write();
            let read = VoterView::read_beside(&octets, "world", |_| None).unwrap();
            let known = KnownBlocks { packed: read.packed, blocks: &read.view.blocks };
            let mut next = VoterView { sequence: 8, regions: Vec::new(), ..first };
            let octets = next.write();
            let same = VoterView::read_beside(&octets, "world", |_| Some(known)).unwrap();
            prop_assert!(Arc::ptr_eq(&same.view.blocks, known.blocks));
            prop_assert_eq!((&same.view, same.packed), (&next, known.packed));
            let blocks = Arc::make_mut(&mut next.blocks);
            let at = change.index(blocks.len());
            blocks[at].digest ^= 1;
            let octets = next.write();
            let other = VoterView::read_beside(&octets, "world", |_| Some(known)).unwrap();
            prop_assert_eq!(other.view, next);
            prop_assert_ne!(other.packed, known.packed);
        }

        #[test]
        fn a_flipped_bit_is_found(at: prop::sample::Index, bit in 0u8..8) {
            let mut octets = sample(100, true).write();
            let at = at.index(octets.len());
            octets[at] ^= 1 << bit;
            prop_assert!(VoterView::read(&octets, "world").is_err());
        }

        #[test]
        fn a_liar_with_a_good_checksum_cannot_break_the_reader(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut octets = sample(100, true).write();
            for (at, value) in changes {
                let end = octets.len() - CHECKSUM;
                octets[HEAD + at.index(end - HEAD)] = value;
            }
            octets.truncate(octets.len() - CHECKSUM);
            seal(&mut octets);
            if let Ok(view) = VoterView::read(&octets, "world") {
                let own = CheckList::new((0..100).map(testing::spread).collect());
                prop_assert_eq!(own.align(&view).votes.len(), 100);
                prop_assert_eq!(VoterView::read(&view.write(), "world").map(|v| v.checks()), Ok(view.checks()));
            }
        }

        #[test]
        fn noise_is_refused(octets in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(VoterView::read(&octets, "world").is_err());
        }
    }
}
