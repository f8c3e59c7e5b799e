//! Sorted address ranges, packed: about two octets per range.
//!
//! Ranges cover the whole space from address 0, so only their starts are stored. A start is stored
//! as its distance from the previous one, and a distance as its trailing zero bits and the rest.
//! Networks are aligned, so the rest is nearly always 1. Ranges are compressed with zstd in blocks
//! that do not depend on one another: a scan unpacks one block after the other, and
//! [`RangeList::find`] only the one that it needs.

use std::borrow::Cow;
use std::slice;

use zstd::bulk::{Compressor, Decompressor};

use super::address::AddressBits;
use super::atlas::PlaceId;

/// The most ranges of a block in memory. Larger blocks would be hardly smaller in sum.
const STRIDE: usize = 4096;

/// How hard zstd tries. Level 3 takes half as much time again and saves 4 %.
const LEVEL: i32 = 1;

/// The largest block that is unpacked, in octets; a longer one is damage.
const MOST_OCTETS: u32 = 1 << 24;

/// Beside the trailing zero bits of a distance: the rest is not 1, but stated.
const STATED: u8 = 0x80;

/// Ranges of one address family, from address 0 to the last, neighbours in different places.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RangeList<'a, A> {
    blocks: Vec<RangeBlock<A>>,
    packed: Cow<'a, [u8]>,
}

/// Neighbouring ranges. Unpacked they are three columns: an octet for each range with the trailing
/// zero bits of its distance from the one before, the rest of each distance for which it is
/// [`STATED`], and the place of each range. The last two are varints.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RangeBlock<A> {
    /// The start of the first range, whose distance is 0.
    start: A,
    ranges: u32,
    /// Octets of the distances that are stated.
    steps: u32,
    /// Octets of all columns.
    unpacked: u32,
    /// Where it is packed.
    at: usize,
    length: u32,
}

impl<'a, A: AddressBits> RangeList<'a, A> {
    /// One range of unknown place.
    pub fn unknown() -> Self {
        RangeBuilder::default().finish()
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        let ranges = self.blocks.iter().map(|block| block.ranges as usize);
        ranges.sum()
    }

    /// Whether there is none, as in an unfinished list.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        let packed = match &self.packed {
            Cow::Owned(octets) => octets.capacity(),
            Cow::Borrowed(_) => 0,
        };
        packed + self.blocks.capacity() * size_of::<RangeBlock<A>>()
    }

    /// Every range in order: its start and its place.
    pub fn iter(&self) -> RangeIter<'_, A> {
        self.iter_blocks(&self.blocks)
    }

    /// The ranges from the one that contains an address on, and some before it.
    pub fn iter_from(&self, address: A) -> RangeIter<'_, A> {
        let begun = self.blocks.partition_point(|block| block.start <= address);
        self.iter_blocks(self.blocks.get(begun.saturating_sub(1)..).unwrap_or(&[]))
    }

    fn iter_blocks<'i>(&'i self, blocks: &'i [RangeBlock<A>]) -> RangeIter<'i, A> {
        RangeIter {
            blocks: blocks.iter(),
            packed: &self.packed,
            unpacker: Decompressor::new().ok(),
            octets: Vec::new(),
            range: 0,
            ranges: 0,
            step: 0,
            place: 0,
            start: A::default(),
        }
    }

    /// The range that contains an address: place, first and last address.
    pub fn find(&self, address: A) -> (PlaceId, A, A) {
        let mut found = (A::default(), PlaceId::UNKNOWN);
        for (start, place) in self.iter_from(address) {
            if start > address {
                return (found.1, found.0, A::truncate(start.widen() - 1));
            }
            found = (start, place);
        }
        (found.1, found.0, A::LAST)
    }

    /// Appends the list to `out`: the number of blocks, for each of them its start, its ranges, and
    /// its octets of stated distances, of all columns, and when packed; then all that is packed.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_varint(out, self.blocks.len() as u128);
        for block in &self.blocks {
            write_varint(out, block.start.widen());
            for number in [block.ranges, block.steps, block.unpacked, block.length] {
                write_varint(out, u128::from(number));
            }
        }
        out.extend_from_slice(&self.packed);
    }

    /// Reads a list that [`RangeList::write`] wrote from the front of `input`, where its ranges stay.
    /// `None` if the blocks are not in order or too large. What is packed is not looked at: a scan of
    /// a damaged block ends there.
    pub fn read(input: &mut &'a [u8]) -> Option<Self> {
        let (mut blocks, mut at, mut end) = (Vec::new(), 0, 0usize);
        for _ in 0..read_varint(input, &mut at)? {
            let start = read_varint(input, &mut at)?;
            let mut numbers = [0; 4];
            for number in &mut numbers {
                *number = u32::try_from(read_varint(input, &mut at)?).ok()?;
            }
            let [ranges, steps, unpacked, length] = numbers;
            let block = RangeBlock {
                start: A::truncate(start),
                ranges,
                steps,
                unpacked,
                at: end,
                length,
            };
            let is_next = match blocks.last() {
                Some(RangeBlock { start, .. }) => *start < block.start,
                None => start == 0,
            };
            if !is_next || block.start.widen() != start || unpacked > MOST_OCTETS {
                return None;
            }
            end += length as usize;
            blocks.push(block);
        }
        let packed = input.get(at..)?.get(..end)?;
        *input = input.get(at + end..)?;
        Some(RangeList {
            blocks,
            packed: packed.into(),
        })
    }
}

/// Iterator over the ranges of a list: start and place.
pub struct RangeIter<'a, A> {
    /// Those that follow the unpacked one.
    blocks: slice::Iter<'a, RangeBlock<A>>,
    packed: &'a [u8],
    unpacker: Option<Decompressor<'static>>,
    /// The unpacked block.
    octets: Vec<u8>,
    /// How many ranges of the block are read, and how many it has.
    range: usize,
    ranges: usize,
    /// Where the next stated distance is, and the next place.
    step: usize,
    place: usize,
    /// The start of the range read last.
    start: A,
}

impl<A: AddressBits> RangeIter<'_, A> {
    /// Unpacks the next block; `None` at the end, or if the block is damaged.
    #[cold]
    fn unpack(&mut self) -> Option<()> {
        let block = self.blocks.next()?;
        let packed = self.packed.get(block.at..)?.get(..block.length as usize)?;
        self.octets.clear();
        self.octets.reserve(block.unpacked as usize);
        let unpacker = self.unpacker.as_mut()?;
        unpacker
            .decompress_to_buffer(packed, &mut self.octets)
            .ok()?;
        (self.range, self.ranges) = (0, block.ranges as usize);
        (self.step, self.start) = (self.ranges, block.start);
        self.place = self.step + block.steps as usize;
        Some(())
    }
}

impl<A: AddressBits> Iterator for RangeIter<'_, A> {
    type Item = (A, PlaceId);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.range == self.ranges {
            self.unpack()?;
        }
        let zeros = *self.octets.get(self.range)?;
        let step = if zeros & STATED == 0 {
            1
        } else {
            read_varint(&self.octets, &mut self.step)?
        };
        let place = read_varint(&self.octets, &mut self.place)?;
        self.start = self.start.stepped(step, zeros & !STATED);
        self.range += 1;
        Some((self.start, PlaceId(place as u32)))
    }
}

/// Builds a [`RangeList`] from ranges in order.
pub struct RangeBuilder<A> {
    blocks: Vec<RangeBlock<A>>,
    packed: Vec<u8>,
    packer: Compressor<'static>,
    /// The most ranges of a block.
    stride: usize,
    /// The columns of the block that is being filled, and its start.
    zeros: Vec<u8>,
    steps: Vec<u8>,
    places: Vec<u8>,
    first: A,
    /// The last range.
    start: A,
    place: Option<PlaceId>,
}

impl<A: AddressBits> Default for RangeBuilder<A> {
    fn default() -> Self {
        RangeBuilder::packing(STRIDE, LEVEL)
    }
}

impl<A: AddressBits> RangeBuilder<A> {
    /// A builder of blocks of `stride` ranges, packed at a level of zstd.
    pub fn packing(stride: usize, level: i32) -> Self {
        RangeBuilder {
            blocks: Vec::new(),
            packed: Vec::new(),
            packer: Compressor::new(level).expect("there is memory, or the process has ended"),
            stride,
            zeros: Vec::new(),
            steps: Vec::new(),
            places: Vec::new(),
            first: A::default(),
            start: A::default(),
            place: None,
        }
    }

    /// Adds a range of `place` that begins at `start`. The first start is 0; starts ascend.
    #[inline]
    pub fn push(&mut self, start: A, place: PlaceId) {
        if self.place == Some(place) {
            return;
        }
        if self.zeros.is_empty() {
            (self.first, self.start) = (start, start);
        }
        let (step, zeros) = start.distance_from(self.start);
        if step == 1 {
            self.zeros.push(zeros);
        } else {
            self.zeros.push(zeros | STATED);
            write_varint(&mut self.steps, step);
        }
        write_varint(&mut self.places, u128::from(place.0));
        (self.start, self.place) = (start, Some(place));
        if self.zeros.len() == self.stride {
            self.pack();
        }
    }

    /// Packs the block that is being filled.
    fn pack(&mut self) {
        let (ranges, steps) = (self.zeros.len() as u32, self.steps.len() as u32);
        if ranges == 0 {
            return;
        }
        self.zeros.append(&mut self.steps);
        self.zeros.append(&mut self.places);
        let packed = self.packer.compress(&self.zeros);
        let packed = packed.expect("zstd packs all that fits into memory");
        self.blocks.push(RangeBlock {
            start: self.first,
            ranges,
            steps,
            unpacked: self.zeros.len() as u32,
            at: self.packed.len(),
            length: packed.len() as u32,
        });
        self.packed.extend_from_slice(&packed);
        self.zeros.clear();
    }

    /// Adds the ranges of a list, which begin above all of these. Most of them are copied as they are
    /// packed.
    pub fn append(&mut self, list: &RangeList<'_, A>) {
        // The first range may be in the same place as the last one here, so its block is packed anew.
        let Some((first, others)) = list.blocks.split_first() else {
            return;
        };
        for (start, place) in list.iter().take(first.ranges as usize) {
            self.push(start, place);
        }
        if others.is_empty() {
            return;
        }
        self.pack();
        let (from, here) = (first.at + first.length as usize, self.packed.len());
        for block in others {
            self.blocks.push(RangeBlock {
                at: block.at - from + here,
                ..*block
            });
        }
        self.packed.extend_from_slice(&list.packed[from..]);
        self.place = list.iter_from(A::LAST).last().map(|(_, place)| place);
    }

    /// The list, without spare memory. Without any range it is one range of unknown place.
    pub fn finish(mut self) -> RangeList<'static, A> {
        if self.place.is_none() {
            self.push(A::default(), PlaceId::UNKNOWN);
        }
        self.pack();
        self.blocks.shrink_to_fit();
        self.packed.shrink_to_fit();
        RangeList {
            blocks: self.blocks,
            packed: self.packed.into(),
        }
    }
}

/// Appends a number, seven bits per octet, the lowest first.
#[inline]
pub(super) fn write_varint(out: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number at `*at` and advances past it; `None` at the end of the input.
#[inline]
pub(super) fn read_varint(input: &[u8], at: &mut usize) -> Option<u128> {
    let first = *input.get(*at)?;
    *at += 1;
    if first < 0x80 {
        return Some(u128::from(first));
    }
    read_long_varint(input, at, first)
}

fn read_long_varint(input: &[u8], at: &mut usize, first: u8) -> Option<u128> {
    let mut number = u128::from(first & 0x7f);
    for shift in (7..128).step_by(7) {
        let octet = *input.get(*at)?;
        *at += 1;
        number |= u128::from(octet & 0x7f) << shift;
        if octet < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl<A: AddressBits> RangeList<'_, A> {
        /// Whether starts ascend, places are below `places`, and nothing is left over.
        pub fn is_sound(&self, places: u32) -> bool {
            let (mut ranges, mut before, mut count) = (self.iter(), None, 0);
            while let Some((start, place)) = ranges.next() {
                if before.is_some_and(|before| start <= before) || place.0 >= places {
                    return false;
                }
                if ranges.range == ranges.ranges && ranges.place != ranges.octets.len() {
                    return false;
                }
                (before, count) = (Some(start), count + 1);
            }
            count == self.len() && ranges.range == ranges.ranges
        }
    }

    /// Short blocks, so that a few hundred ranges are many of them.
    fn builder<A: AddressBits>() -> RangeBuilder<A> {
        RangeBuilder::packing(50, 1)
    }

    fn list<A: AddressBits>(starts: &BTreeMap<A, u32>) -> RangeList<'static, A> {
        let mut builder = builder();
        builder.push(A::default(), PlaceId(0));
        for (&start, &place) in starts.iter().filter(|(start, _)| **start > A::default()) {
            builder.push(start, PlaceId(place));
        }
        builder.finish()
    }

    fn written<A: AddressBits>(list: &RangeList<'_, A>) -> Vec<u8> {
        let mut bytes = Vec::new();
        list.write(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(starts in prop::collection::btree_map(any::<u32>(), 0..300u32, 0..700)) {
            let list = list(&starts);
            let bytes = written(&list);
            let mut rest = &bytes[..];
            let read = RangeList::read(&mut rest).unwrap();
            prop_assert!(read.is_sound(300) && !read.is_sound(starts.values().max().map_or(0, |place| *place)));
            prop_assert_eq!(read, list);
            prop_assert!(rest.is_empty());
            prop_assert_eq!(RangeList::<u32>::read(&mut &bytes[..bytes.len() - 1]), None);
        }

        #[test]
        fn wide_addresses_too(starts in prop::collection::btree_map(any::<u128>(), 0..9u32, 0..40)) {
            let list = list(&starts);
            let all: Vec<_> = list.iter().collect();
            let mut expected = vec![(0, PlaceId(0))];
            for (&start, &place) in starts.iter().filter(|(start, _)| **start > 0) {
                if expected.last().map(|last| last.1.0) != Some(place) {
                    expected.push((start, PlaceId(place)));
                }
            }
            prop_assert_eq!(all, expected);
            let octets = written(&list);
            prop_assert_eq!(RangeList::read(&mut &octets[..]), Some(list.clone()));
        }

        #[test]
        fn find_agrees_with_a_map(
            starts in prop::collection::btree_map(0..5000u32, 0..3u32, 600..1500),
            address in 0..5000u32,
        ) {
            let list = list(&starts);
            let (place, first, last) = list.find(address);
            let expected = starts.range(..=address).next_back().filter(|(start, _)| **start > 0).map_or(0, |(_, place)| *place);
            prop_assert_eq!(place, PlaceId(expected));
            prop_assert!(first <= address && address <= last);
            let starts = list.iter().map(|(start, _)| start);
            let around: Vec<_> = starts.filter(|start| (first..=last).contains(start)).collect();
            prop_assert_eq!(around, vec![first]);
        }

        #[test]
        fn damage_is_refused_or_harmless(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let starts = (1..900u32).map(|start| (start << 9, start % 7)).collect();
            let mut bytes = written(&list::<u32>(&starts));
            for (index, value) in flips {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(list) = RangeList::<u32>::read(&mut &bytes[..]) {
                prop_assert!(list.is_sound(7) || list.iter().count() < 10_000);
            }
        }
    }

    #[test]
    fn neighbours_in_one_place_are_one_range() {
        let list = list::<u32>(&[(10, 1), (20, 1), (30, 0)].into());
        assert_eq!(
            list.iter().collect::<Vec<_>>(),
            [(0, PlaceId(0)), (10, PlaceId(1)), (30, PlaceId(0))]
        );
        assert_eq!(list.find(15), (PlaceId(1), 10, 29));
        assert_eq!(list.find(u32::MAX), (PlaceId(0), 30, u32::MAX));
    }

    proptest! {
        #[test]
        fn a_list_made_of_parts_is_that_of_the_whole(
            starts in prop::collection::btree_map(1..5000u32, 0..3u32, 1..1500),
            bounds in prop::collection::btree_set(1..5000u32, 0..5),
        ) {
            let whole = list(&starts);
            let bounds: Vec<u32> = std::iter::once(0).chain(bounds).chain([u32::MAX]).collect();
            let mut joined = builder();
            for part in bounds.windows(2) {
                let mut builder = builder();
                builder.push(part[0], whole.find(part[0]).0);
                for (start, place) in whole.iter().filter(|(start, _)| part[0] < *start && *start < part[1]) {
                    builder.push(start, place);
                }
                joined.append(&builder.finish());
            }
            let joined = joined.finish();
            prop_assert_eq!(joined.iter().collect::<Vec<_>>(), whole.iter().collect::<Vec<_>>());
            for address in (0..5000).step_by(211) {
                prop_assert_eq!(joined.find(address), whole.find(address));
            }
        }
    }

    #[test]
    fn an_empty_list_knows_nothing_of_everything() {
        assert_eq!(
            RangeBuilder::<u128>::default().finish().find(9),
            (PlaceId::UNKNOWN, 0, u128::MAX)
        );
    }
}
