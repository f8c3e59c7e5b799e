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
use super::cuts::{Cuts, Stretch};

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
    starts: Vec<K>,
    values: ValueColumn,
    /// For each value of the top bits: the range that holds its first key.
    index: Box<[u32]>,
    /// How far a key is shifted to get its top bits.
    shift: u32,
}

/// The values of ranges, in 16 bits each while all of them fit: the zones of one rule set do.
#[derive(Debug, Clone)]
enum ValueColumn {
    Narrow(Vec<i16>),
    Wide(Vec<i32>),
}

impl ValueColumn {
    fn push(&mut self, value: i32) {
        match (&mut *self, i16::try_from(value)) {
            (ValueColumn::Narrow(values), Ok(value)) => values.push(value),
            (ValueColumn::Narrow(values), Err(_)) => {
                let mut wide: Vec<i32> = values.iter().copied().map(i32::from).collect();
                wide.push(value);
                *self = ValueColumn::Wide(wide);
            }
            (ValueColumn::Wide(values), _) => values.push(value),
        }
    }

    fn pop(&mut self) {
        match self {
            ValueColumn::Narrow(values) => drop(values.pop()),
            ValueColumn::Wide(values) => drop(values.pop()),
        }
    }

    #[inline(always)]
    fn get(&self, at: usize) -> Option<i32> {
        match self {
            ValueColumn::Narrow(values) => values.get(at).copied().map(i32::from),
            ValueColumn::Wide(values) => values.get(at).copied(),
        }
    }

    fn shrink(&mut self) {
        match self {
            ValueColumn::Narrow(values) => values.shrink_to_fit(),
            ValueColumn::Wide(values) => values.shrink_to_fit(),
        }
    }

    fn memory(&self) -> usize {
        match self {
            ValueColumn::Narrow(values) => size_of_val(&**values),
            ValueColumn::Wide(values) => size_of_val(&**values),
        }
    }
}

/// The index takes a mebibyte at most.
const MOST_INDEX_BITS: u32 = 18;

#[expect(
    clippy::arithmetic_side_effects,
    reason = "fewer than 2^32 ranges, in order; a block has no more bits than its key"
)]
impl<K: AddressKey> RangeTable<K> {
    /// A table without ranges, and without an index yet.
    fn empty() -> RangeTable<K> {
        RangeTable {
            starts: Vec::new(),
            values: ValueColumn::Narrow(Vec::new()),
            index: Box::new([]),
            shift: 0,
        }
    }

    /// Builds a table from range starts in ascending order, the first of them 0. Equal neighbours
    /// are merged.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (K, i32)>) -> RangeTable<K> {
        let mut table = RangeTable::empty();
        for (start, value) in ranges {
            table.push(start, value);
        }
        table.indexed()
    }

    /// Adds a range behind all others, unless the last one has the same value.
    #[inline]
    fn push(&mut self, start: K, value: i32) {
        match self.starts.len().checked_sub(1) {
            None => self.starts.push(K::from_u64(0)),
            Some(last) if self.values.get(last) == Some(value) => return,
            Some(_) => self.starts.push(start),
        }
        self.values.push(value);
    }

    /// Removes the last range if it begins at `start`.
    fn pop_from(&mut self, start: K) {
        if self.starts.pop_if(|last| *last == start).is_some() {
            self.values.pop();
        }
    }

    /// The finished table, without spare memory.
    fn indexed(mut self) -> RangeTable<K> {
        if self.starts.is_empty() {
            self.push(K::from_u64(0), 0);
        }
        self.starts.shrink_to_fit();
        self.values.shrink();
        let starts = &self.starts;
        let bits = (usize::BITS - starts.len().leading_zeros()).clamp(1, MOST_INDEX_BITS);
        self.shift = K::BITS - bits;
        let mut index = Vec::with_capacity((1 << bits) + 1);
        let mut range = 0;
        for bucket in 0..1u64 << bits {
            let first = bucket << self.shift;
            while starts
                .get(range + 1)
                .is_some_and(|start| start.to_u64() <= first)
            {
                range += 1;
            }
            index.push(range as u32);
        }
        index.push(starts.len() as u32 - 1);
        self.index = index.into();
        self
    }

    /// Number of ranges.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Range starts with their values, in order.
    pub fn ranges(&self) -> impl Iterator<Item = (K, i32)> + '_ {
        let starts = self.starts.iter().enumerate();
        starts.map(|(at, start)| (*start, self.value(at)))
    }

    /// The value of the range at a position.
    #[inline(always)]
    pub(super) fn value(&self, at: usize) -> i32 {
        self.values.get(at).unwrap_or(0)
    }

    /// The positions at which what `outcome` makes of the values changes; `None` always does.
    pub(super) fn changes(&self, outcome: impl Fn(i32) -> Option<u32>) -> Cuts {
        match &self.values {
            ValueColumn::Narrow(values) => {
                Cuts::of_changes(values.iter().map(|value| outcome(i32::from(*value))))
            }
            ValueColumn::Wide(values) => {
                Cuts::of_changes(values.iter().map(|value| outcome(*value)))
            }
        }
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
        size_of_val(&*self.starts) + self.values.memory() + size_of_val(&*self.index)
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

/// The position, in the list of parts, of the first part of a split /64; `None` for the value of a
/// range that has one value. What stands for a split /64 is the complement of its position: a
/// negative number, as short as the position.
#[inline(always)]
pub(super) fn split(value: i32) -> Option<usize> {
    if value < 0 {
        Some(!value as usize)
    } else {
        None
    }
}

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
        let v4 = v4.into_iter().map(|(start, value)| (start, value as i32));
        let (v4, (v6, deep)) = both(|| RangeTable::from_ranges(v4), || split_at_64(v6));
        AddressTable { v4, v6, deep }
    }

    /// One value for all addresses.
    pub fn uniform(value: u32) -> AddressTable {
        AddressTable::from_ranges([(0, value)], [(0, value)])
    }

    /// Ranges of IPv4, in order.
    pub fn ranges_v4(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let ranges = self.v4.ranges();
        ranges.map(|(start, value)| (start, value as u32))
    }

    /// Ranges of IPv6, in order; neighbours may be alike around a split /64.
    pub fn ranges_v6(&self) -> impl Iterator<Item = (u128, u32)> + '_ {
        let mut deep = self.deep.iter().copied().peekable();
        self.v6.ranges().flat_map(move |(start, value)| {
            let block = u128::from(start);
            let mut parts = Vec::new();
            if split(value).is_none() {
                parts.push((block << 64, value as u32));
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

/// The table of the first 64 bits of range starts of 128 bits, and what lies inside split /64s.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "compiled off the query path"
)]
fn split_at_64(
    ranges: impl IntoIterator<Item = (u128, u32)>,
) -> (RangeTable<u64>, Box<[(u128, u32)]>) {
    let (mut upper, mut deep) = (RangeTable::empty(), Vec::new());
    // The value that holds from the last start on, and the block of that start if it is split.
    let mut current = None;
    let mut open: Option<u64> = None;
    for (start, value) in ranges {
        if current == Some(value) {
            continue;
        }
        let block = (start >> 64) as u64;
        if let Some((open_block, current)) = open.zip(current).filter(|(open, _)| block > *open) {
            // The value that left the split /64 goes on behind it.
            if block > open_block + 1 || start as u64 != 0 {
                upper.push(open_block + 1, current as i32);
            }
            open = None;
        }
        if start as u64 == 0 {
            upper.push(block, value as i32);
        } else {
            if open != Some(block) {
                upper.pop_from(block);
                upper.push(block, !(deep.len() as i32));
                deep.push((u128::from(block) << 64, current.unwrap_or(0)));
                open = Some(block);
            }
            deep.push((start, value));
        }
        current = Some(value);
    }
    if let (Some(next), Some(current)) = (open.and_then(|open| open.checked_add(1)), current) {
        upper.push(next, current as i32);
    }
    (upper.indexed(), deep.into())
}
