//! Sorted address ranges in compressed columns: about five bytes per range.
//!
//! Ranges cover the whole space from address 0, so only their starts are stored. A start is stored
//! as its distance from the previous one, and a distance as its trailing zero bits and the rest.
//! Networks are aligned, so the rest is nearly always 1. The list is designed for scans in order.
//! Marks, at most `STRIDE` ranges apart, let [`RangeList::find`] begin close to its address.

use super::address::AddressBits;
use super::atlas::PlaceId;

/// The most ranges between two marks.
const STRIDE: usize = 256;

/// Ranges of one address family, from address 0 to the last, neighbours in different places.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RangeList<A> {
    count: usize,
    /// Trailing zero bits of each distance: one byte per range.
    zeros: Vec<u8>,
    /// Each distance without its trailing zeros: one varint per range.
    steps: Vec<u8>,
    /// The place: one varint per range.
    places: Vec<u8>,
    marks: Vec<Cursor<A>>,
}

/// The position of a scan in each column, and the start of the range read last.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Cursor<A> {
    ranges: usize,
    steps: usize,
    places: usize,
    start: A,
}

impl<A: AddressBits> RangeList<A> {
    /// One range of unknown place.
    pub fn unknown() -> Self {
        RangeBuilder::default().finish()
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none, as in an unfinished list.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.zeros.capacity()
            + self.steps.capacity()
            + self.places.capacity()
            + self.marks.capacity() * size_of::<Cursor<A>>()
    }

    /// Every range in order: its start and its place.
    pub fn iter(&self) -> RangeIter<'_, A> {
        RangeIter {
            list: self,
            at: Cursor::default(),
        }
    }

    /// The ranges from the one that contains an address on, and some before it.
    pub fn iter_from(&self, address: A) -> RangeIter<'_, A> {
        // A mark holds the start of the range before it. The last mark at or before the address may
        // lie inside the range of the address; the previous mark lies before that range.
        let passed = self.marks.partition_point(|mark| mark.start <= address);
        RangeIter {
            list: self,
            at: self
                .marks
                .get(passed.saturating_sub(2))
                .copied()
                .unwrap_or_default(),
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

    /// Appends the columns to `out`, each after its length.
    pub fn write(&self, out: &mut Vec<u8>) {
        for column in [&self.zeros, &self.steps, &self.places] {
            write_varint(out, column.len() as u128);
            out.extend_from_slice(column);
        }
    }

    /// Reads a list that [`RangeList::write`] wrote from the front of `input`. `None` if it is
    /// damaged or contains a place that is not below `places`.
    pub fn read(input: &mut &[u8], places: u32) -> Option<Self> {
        let [zeros, steps, places_column] = [
            read_column(input)?,
            read_column(input)?,
            read_column(input)?,
        ];
        let mut list = RangeList {
            count: zeros.len(),
            zeros,
            steps,
            places: places_column,
            marks: Vec::new(),
        };
        list.marks = list.check(places)?;
        Some(list)
    }

    /// Validates columns from outside: starts ascend, places are below `places`, nothing is left
    /// over. Returns the marks.
    fn check(&self, places: u32) -> Option<Vec<Cursor<A>>> {
        let mut marks = Vec::with_capacity(self.count / STRIDE + 1);
        let mut ranges = self.iter();
        while ranges.at.ranges < self.count {
            let before = ranges.at;
            if before.ranges.is_multiple_of(STRIDE) {
                marks.push(before);
            }
            let (start, place) = ranges.next()?;
            let in_order = if before.ranges == 0 {
                start == A::default()
            } else {
                start > before.start
            };
            if !in_order || place.0 >= places {
                return None;
            }
        }
        (ranges.at.steps == self.steps.len() && ranges.at.places == self.places.len())
            .then_some(marks)
    }
}

/// Iterator over the ranges of a list: start and place.
#[derive(Debug, Clone)]
pub struct RangeIter<'a, A> {
    list: &'a RangeList<A>,
    at: Cursor<A>,
}

impl<A: AddressBits> Iterator for RangeIter<'_, A> {
    type Item = (A, PlaceId);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let zeros = *self.list.zeros.get(self.at.ranges)?;
        let step = read_varint(&self.list.steps, &mut self.at.steps)?;
        let place = read_varint(&self.list.places, &mut self.at.places)?;
        self.at.start = self.at.start.stepped(step, zeros);
        self.at.ranges += 1;
        Some((self.at.start, PlaceId(place as u32)))
    }
}

/// Builds a [`RangeList`] from ranges in order.
#[derive(Debug, Default)]
pub struct RangeBuilder<A> {
    list: RangeList<A>,
    start: A,
    place: PlaceId,
}

impl<A: AddressBits> RangeBuilder<A> {
    /// Adds a range of `place` that begins at `start`. The first start is 0; starts ascend.
    #[inline]
    pub fn push(&mut self, start: A, place: PlaceId) {
        if self.list.count > 0 && self.place == place {
            return;
        }
        if self.list.count.is_multiple_of(STRIDE) {
            self.mark();
        }
        let (step, zeros) = start.distance_from(self.start);
        self.list.zeros.push(zeros);
        write_varint(&mut self.list.steps, step);
        write_varint(&mut self.list.places, u128::from(place.0));
        self.list.count += 1;
        (self.start, self.place) = (start, place);
    }

    /// Adds the ranges of another builder, which begin above all of these. Most of them are copied
    /// as they are stored.
    pub fn append(&mut self, other: Self) {
        let mut ranges = other.list.iter();
        // The first may be in the same place as the last one here. The distance of the second is from
        // the first, so it is written anew as well.
        for (start, place) in ranges.by_ref().take(2) {
            self.push(start, place);
        }
        let copied = ranges.at;
        let list = &other.list;
        if list.count <= copied.ranges {
            return;
        }
        let here = (
            self.list.count,
            self.list.steps.len(),
            self.list.places.len(),
        );
        for mark in list
            .marks
            .iter()
            .filter(|mark| mark.ranges >= copied.ranges)
        {
            self.list.marks.push(Cursor {
                ranges: mark.ranges - copied.ranges + here.0,
                steps: mark.steps - copied.steps + here.1,
                places: mark.places - copied.places + here.2,
                start: mark.start,
            });
        }
        self.list.zeros.extend(&list.zeros[copied.ranges..]);
        self.list.steps.extend(&list.steps[copied.steps..]);
        self.list.places.extend(&list.places[copied.places..]);
        self.list.count += list.count - copied.ranges;
        (self.start, self.place) = (other.start, other.place);
    }

    /// The list, without spare memory. Without any range it is one range of unknown place.
    pub fn finish(mut self) -> RangeList<A> {
        if self.list.is_empty() {
            self.push(A::default(), PlaceId::UNKNOWN);
        }
        for column in [
            &mut self.list.zeros,
            &mut self.list.steps,
            &mut self.list.places,
        ] {
            column.shrink_to_fit();
        }
        self.list
    }

    fn mark(&mut self) {
        let list = &self.list;
        let (ranges, steps, places) = (list.count, list.steps.len(), list.places.len());
        self.list.marks.push(Cursor {
            ranges,
            steps,
            places,
            start: self.start,
        });
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

fn read_column(input: &mut &[u8]) -> Option<Vec<u8>> {
    let mut at = 0;
    let length = usize::try_from(read_varint(input, &mut at)?).ok()?;
    let column = input.get(at..)?.get(..length)?.to_vec();
    *input = &input[at + length..];
    Some(column)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn list<A: AddressBits>(starts: &BTreeMap<A, u32>) -> RangeList<A> {
        let mut builder = RangeBuilder::default();
        builder.push(A::default(), PlaceId(0));
        for (&start, &place) in starts.iter().filter(|(start, _)| **start > A::default()) {
            builder.push(start, PlaceId(place));
        }
        builder.finish()
    }

    fn written<A: AddressBits>(list: &RangeList<A>) -> Vec<u8> {
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
            let read = RangeList::read(&mut rest, 300);
            prop_assert_eq!(read, Some(list));
            prop_assert!(rest.is_empty());
            prop_assert_eq!(RangeList::<u32>::read(&mut &bytes[..bytes.len() - 1], 300), None);
        }

        #[test]
        fn wide_addresses_too(starts in prop::collection::btree_map(any::<u128>(), 0..9u32, 0..40)) {
            let list = list(&starts);
            prop_assert_eq!(RangeList::read(&mut &written(&list)[..], 9), Some(list));
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
            if let Some(list) = RangeList::<u32>::read(&mut &bytes[..], 7) {
                prop_assert!(list.iter().all(|(_, place)| place.0 < 7));
                prop_assert_eq!(list.iter().count(), list.len());
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
            let mut joined = RangeBuilder::default();
            for part in bounds.windows(2) {
                let mut builder = RangeBuilder::default();
                builder.push(part[0], whole.find(part[0]).0);
                for (start, place) in whole.iter().filter(|(start, _)| part[0] < *start && *start < part[1]) {
                    builder.push(start, place);
                }
                joined.append(builder);
            }
            let joined = joined.finish();
            prop_assert_eq!(joined.iter().collect::<Vec<_>>(), whole.iter().collect::<Vec<_>>());
            for address in (0..5000).step_by(7) {
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
