//! Range tables: sorted range starts with a value each, and an index over the top bits.
//!
//! One [`AddressTable`] maps the whole address space of both families to zones, and every rule set
//! shares it. [`super::outcomes`] adds what a rule set answers in each zone; a query looks both up.

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

use std::hint::select_unpredictable;

use super::both::both;
use super::cuts::Stretch;

/// An address as a table's key.
pub trait AddressKey: Copy + Ord {
    /// Bits of the key.
    const BITS: u32;
    /// The key as a number.
    fn to_u64(self) -> u64;
    /// The key of a number.
    fn from_u64(number: u64) -> Self;
    /// Prefix length of the widest aligned block around the key that starts at or after `start` and
    /// ends before `next`; `None`: it may reach to that end of the address space.
    fn widest_block(self, start: Option<Self>, next: Option<Self>) -> u8;
}

impl AddressKey for u32 {
    const BITS: u32 = 32;
    fn to_u64(self) -> u64 {
        u64::from(self)
    }
    fn from_u64(number: u64) -> u32 {
        number as u32
    }
    #[inline(always)]
    fn widest_block(self, start: Option<u32>, next: Option<u32>) -> u8 {
        widest_block_32(self, start, next)
    }
}

impl AddressKey for u64 {
    const BITS: u32 = 64;
    fn to_u64(self) -> u64 {
        self
    }
    fn from_u64(number: u64) -> u64 {
        number
    }
    #[inline(always)]
    fn widest_block(self, start: Option<u64>, next: Option<u64>) -> u8 {
        widest_block_64(self, start, next)
    }
}

/// Ranges that cover every key, each with a value; neighbours differ.
#[derive(Debug, Clone)]
pub struct RangeTable<K> {
    starts: Box<[K]>,
    values: Box<[u32]>,
    /// For each value of the top bits: the range that holds its first key.
    index: Box<[u32]>,
    /// How far a key is shifted to get its top bits.
    shift: u32,
}

/// The index takes a mebibyte at most.
const MOST_INDEX_BITS: u32 = 18;

#[expect(
    clippy::arithmetic_side_effects,
    reason = "fewer than 2^32 ranges, in order; a block has no more bits than its key"
)]
impl<K: AddressKey> RangeTable<K> {
    /// Builds a table from range starts in ascending order, the first of them 0. Equal neighbours
    /// are merged.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (K, u32)>) -> RangeTable<K> {
        let (mut starts, mut values): (Vec<K>, Vec<u32>) = (Vec::new(), Vec::new());
        for (start, value) in ranges {
            if values.last() != Some(&value) {
                starts.push(if starts.is_empty() {
                    K::from_u64(0)
                } else {
                    start
                });
                values.push(value);
            }
        }
        if starts.is_empty() {
            starts.push(K::from_u64(0));
            values.push(0);
        }
        RangeTable::indexed(starts, values)
    }

    fn indexed(starts: Vec<K>, values: Vec<u32>) -> RangeTable<K> {
        let bits = (usize::BITS - starts.len().leading_zeros()).clamp(1, MOST_INDEX_BITS);
        let shift = K::BITS - bits;
        let mut index = Vec::with_capacity((1 << bits) + 1);
        let mut range = 0;
        for bucket in 0..1u64 << bits {
            let first = bucket << shift;
            while starts
                .get(range + 1)
                .is_some_and(|start| start.to_u64() <= first)
            {
                range += 1;
            }
            index.push(range as u32);
        }
        index.push(starts.len() as u32 - 1);
        RangeTable {
            starts: starts.into(),
            values: values.into(),
            index: index.into(),
            shift,
        }
    }

    /// Number of ranges.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Range starts with their values, in order.
    pub fn ranges(&self) -> impl Iterator<Item = (K, u32)> + '_ {
        self.starts.iter().copied().zip(self.values.iter().copied())
    }

    /// The value of the range at a position.
    #[inline(always)]
    pub(super) fn value(&self, at: usize) -> u32 {
        self.values.get(at).copied().unwrap_or(0)
    }

    /// The values of all ranges, in order.
    pub(super) fn values(&self) -> &[u32] {
        &self.values
    }

    /// The position of the range that holds `key`.
    #[inline(always)]
    pub(super) fn position(&self, key: K) -> usize {
        let bucket = (key.to_u64() >> self.shift) as usize;
        let (low, high) = match self.index.get(bucket..bucket + 2) {
            Some(&[low, high]) => (low as usize, high as usize),
            _ => (0, 0),
        };
        let mut base = low;
        let mut size = high - low + 1;
        while size > 1 {
            let half = size / 2;
            let Some(&start) = self.starts.get(base + half) else {
                break;
            };
            // The half is unpredictable, so this avoids a branch.
            base = select_unpredictable(start <= key, base + half, base);
            size -= half;
        }
        base
    }

    /// Prefix length of the widest aligned block around `key` that lies inside a stretch of ranges.
    #[inline(always)]
    pub(super) fn block(&self, key: K, stretch: Stretch) -> u8 {
        let start = self.starts.get(stretch.first).copied();
        key.widest_block(start, self.starts.get(stretch.next).copied())
    }

    /// Octets of memory held.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.values) + size_of_val(&*self.index)
    }
}

/// Prefix length of the widest aligned block around `key` that starts at or after `start` and ends
/// before `next`; `None`: the block may reach to that end of the address space.
#[inline(always)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a key is smaller than the bit that is put before it"
)]
fn widest_block_32(key: u32, start: Option<u32>, next: Option<u32>) -> u8 {
    // With a 1 before each key, the key before the first one differs from all keys in that bit.
    let one = 1 << 32;
    let before = one + u64::from(start.unwrap_or(0)) - 1;
    let after = next.map_or(0, |next| one | u64::from(next));
    // The highest bit in which the nearer one differs must belong to the prefix.
    let key = one | u64::from(key);
    let differing = (key ^ before).min(key ^ after);
    (differing.leading_zeros() - 31) as u8
}

/// As [`widest_block_32`].
#[inline(always)]
pub(super) fn widest_block_64(key: u64, start: Option<u64>, next: Option<u64>) -> u8 {
    // Halves leave room for a bit above all others, which stands for "nothing to avoid".
    let nothing = 1 << 63;
    let before = start.and_then(|start| start.checked_sub(1));
    let before = before.map_or(nothing, |before| (key ^ before) >> 1);
    let after = next.map_or(nothing, |next| (key ^ next) >> 1);
    before.min(after).leading_zeros() as u8
}

/// Marks the value of a /64 that contains several values. The other bits are the position of its
/// first part in the list of parts.
pub(super) const SPLIT: u32 = 1 << 31;

/// A table for both families. IPv6 is keyed by its first 64 bits; the few /64s that contain several
/// values are kept apart.
#[derive(Debug, Clone)]
pub struct AddressTable {
    pub(super) v4: RangeTable<u32>,
    pub(super) v6: RangeTable<u64>,
    /// Range starts inside split /64s, in order; each split /64 has one at its first address.
    pub(super) deep: Box<[(u128, u32)]>,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "as in both tables; a table lies in memory"
)]
impl AddressTable {
    /// Builds a table from range starts in ascending order, each list starting at address 0. Values
    /// are below 2^31. Each family is built on a thread of its own.
    pub fn from_ranges(
        v4: impl IntoIterator<Item = (u32, u32)>,
        v6: impl IntoIterator<Item = (u128, u32)> + Send,
    ) -> AddressTable {
        let build_v6 = || {
            let (v6, deep) = split_at_64(v6);
            (RangeTable::from_ranges(v6), deep.into())
        };
        let (v4, (v6, deep)) = both(|| RangeTable::from_ranges(v4), build_v6);
        AddressTable { v4, v6, deep }
    }

    /// One value for all addresses.
    pub fn uniform(value: u32) -> AddressTable {
        let (v4, v6) = (
            RangeTable::from_ranges([(0, value)]),
            RangeTable::from_ranges([(0, value)]),
        );
        AddressTable {
            v4,
            v6,
            deep: Box::new([]),
        }
    }

    /// Ranges of IPv4, in order.
    pub fn ranges_v4(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.v4.ranges()
    }

    /// Ranges of IPv6, in order; neighbours may be alike around a split /64.
    pub fn ranges_v6(&self) -> impl Iterator<Item = (u128, u32)> + '_ {
        let mut deep = self.deep.iter().copied().peekable();
        self.v6.ranges().flat_map(move |(start, value)| {
            let block = u128::from(start);
            let mut parts = Vec::new();
            if value & SPLIT == 0 {
                parts.push((block << 64, value));
            } else {
                while let Some(part) = deep.next_if(|(part, _)| part >> 64 == block) {
                    parts.push(part);
                }
            }
            parts
        })
    }

    /// Number of ranges: IPv4, IPv6.
    pub fn len(&self) -> (usize, usize) {
        (self.v4.len(), self.v6.len() + self.deep.len())
    }

    /// Never: each family has one range at least.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Octets of memory held.
    pub fn memory(&self) -> usize {
        self.v4.memory() + self.v6.memory() + size_of_val(&*self.deep)
    }
}

/// Range starts with their values.
type Steps<K> = Vec<(K, u32)>;

/// Range starts of 128 bits to those of their first 64, and what lies inside split /64s.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "compiled off the query path"
)]
fn split_at_64(ranges: impl IntoIterator<Item = (u128, u32)>) -> (Steps<u64>, Steps<u128>) {
    let (mut upper, mut deep) = (Steps::<u64>::new(), Steps::<u128>::new());
    // The value that holds from the last start on, and the block of that start if it is split.
    let mut current = None;
    let mut split: Option<u64> = None;
    for (start, value) in ranges {
        if current == Some(value) {
            continue;
        }
        let block = (start >> 64) as u64;
        if let Some((open, current)) = split.zip(current).filter(|(open, _)| block > *open) {
            // The value that left the split /64 goes on behind it.
            if block > open + 1 || start as u64 != 0 {
                upper.push((open + 1, current));
            }
            split = None;
        }
        if start as u64 == 0 {
            upper.push((block, value));
        } else {
            if split != Some(block) {
                if upper.last().is_some_and(|&(last, _)| last == block) {
                    upper.pop();
                }
                upper.push((block, SPLIT | deep.len() as u32));
                deep.push((u128::from(block) << 64, current.unwrap_or(0)));
                split = Some(block);
            }
            deep.push((start, value));
        }
        current = Some(value);
    }
    if let (Some(next), Some(current)) = (split.and_then(|open| open.checked_add(1)), current) {
        upper.push((next, current));
    }
    (upper, deep)
}
