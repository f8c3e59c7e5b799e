//! Range tables, which a query looks up: sorted range starts with a value each, and an index over
//! the top bits.
//!
//! The range that is found determines the scope of an answer (RFC 7871 section 7.2.1): the widest
//! aligned block around the address that lies inside the range. The scope is exact, and blocks of
//! different ranges never overlap.

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
use std::net::IpAddr;

use super::both::both;

/// An address as a table's key.
pub trait AddressKey: Copy + Ord {
    /// Bits of the key.
    const BITS: u32;
    /// The key as a number.
    fn to_u64(self) -> u64;
    /// The key of a number.
    fn from_u64(number: u64) -> Self;
}

impl AddressKey for u32 {
    const BITS: u32 = 32;
    fn to_u64(self) -> u64 {
        u64::from(self)
    }
    fn from_u64(number: u64) -> u32 {
        number as u32
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

/// What a look-up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundBlock {
    /// The range's value.
    pub value: u32,
    /// Prefix length of the widest aligned block around the address that lies inside the range.
    pub scope: u8,
}

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

    /// Never: there is one range at least.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Range starts with their values, in order.
    pub fn ranges(&self) -> impl Iterator<Item = (K, u32)> + '_ {
        self.starts.iter().copied().zip(self.values.iter().copied())
    }

    /// The position of the range that holds `key`.
    #[inline]
    fn position(&self, key: K) -> usize {
        let bucket = (key.to_u64() >> self.shift) as usize;
        let low = self.index.get(bucket).map_or(0, |&range| range as usize);
        let high = self
            .index
            .get(bucket + 1)
            .map_or(low, |&range| range as usize);
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

    /// Looks a key up.
    #[inline]
    pub fn find(&self, key: K) -> FoundBlock {
        let at = self.position(key);
        let start = self.starts.get(at).map_or(0, |start| start.to_u64());
        let next = self.starts.get(at + 1).map(|next| next.to_u64());
        let value = self.values.get(at).copied().unwrap_or(0);
        let key = key.to_u64();
        let host_bits =
            free_bits(key, start.checked_sub(1), K::BITS).min(free_bits(key, next, K::BITS));
        FoundBlock {
            value,
            scope: (K::BITS - host_bits) as u8,
        }
    }

    /// Octets of memory held.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.values) + size_of_val(&*self.index)
    }
}

/// The number of low bits of `key` whose block does not contain `foreign`; all bits without one.
#[inline]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "different numbers of 64 bits have at most 63 leading bits in common"
)]
fn free_bits(key: u64, foreign: Option<u64>, bits: u32) -> u32 {
    foreign.map_or(bits, |foreign| 63 - (key ^ foreign).leading_zeros())
}

/// Marks a /64 that is split: its parts are in `deep`.
const SPLIT: u32 = u32::MAX;

/// A table for both families. IPv6 is keyed by its first 64 bits; the few /64s that contain several
/// values are kept apart.
#[derive(Debug, Clone)]
pub struct AddressTable {
    v4: RangeTable<u32>,
    v6: RangeTable<u64>,
    /// Range starts inside split /64s, in order; each split /64 has one at its first address.
    deep: Box<[(u128, u32)]>,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "as in both tables; a table lies in memory"
)]
impl AddressTable {
    /// Builds a table from range starts in ascending order, each list starting at address 0. Values
    /// are below `u32::MAX`. Each family is built on a thread of its own.
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

    /// Looks an address up.
    pub fn find(&self, address: IpAddr) -> FoundBlock {
        match address {
            IpAddr::V4(address) => self.find_v4(address.to_bits()),
            IpAddr::V6(address) => self.find_v6(address.to_bits()),
        }
    }

    /// Looks an IPv4 address up.
    #[inline]
    pub fn find_v4(&self, address: u32) -> FoundBlock {
        self.v4.find(address)
    }

    /// Looks an IPv6 address up.
    #[inline]
    pub fn find_v6(&self, address: u128) -> FoundBlock {
        let found = self.v6.find((address >> 64) as u64);
        if found.value == SPLIT {
            self.find_deep(address)
        } else {
            found
        }
    }

    /// Looks an address up inside a split /64. Neighbours outside the /64 do not limit the block.
    #[cold]
    fn find_deep(&self, address: u128) -> FoundBlock {
        let next = self.deep.partition_point(|&(start, _)| start <= address);
        let (start, value) = next
            .checked_sub(1)
            .and_then(|at| self.deep.get(at))
            .copied()
            .unwrap_or((0, 0));
        let inside = |other: u128| other >> 64 == address >> 64;
        let low_bits = |other: u128| Some(other as u64).filter(|_| inside(other));
        let before = start.checked_sub(1).and_then(low_bits);
        let after = self.deep.get(next).and_then(|&(start, _)| low_bits(start));
        let free = free_bits(address as u64, before, 64).min(free_bits(address as u64, after, 64));
        FoundBlock {
            value,
            scope: (128 - free) as u8,
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
            let start = u128::from(start) << 64;
            let mut parts = Vec::new();
            if value != SPLIT {
                parts.push((start, value));
            } else {
                // Split /64s that follow each other are one range of the upper table.
                let mut block = start >> 64;
                while let Some(part) =
                    deep.next_if(|(part, _)| part >> 64 == block || part >> 64 == block + 1)
                {
                    block = part.0 >> 64;
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
                upper.push((block, SPLIT));
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The oracle: the last start at or below the address, and the widest aligned block that keeps
    /// its value.
    fn naive(ranges: &[(u128, u32)], address: u128, bits: u32) -> FoundBlock {
        let value_at = |address: u128| {
            ranges
                .iter()
                .rev()
                .find(|(start, _)| *start <= address)
                .map_or(0, |range| range.1)
        };
        let at = ranges
            .iter()
            .rposition(|(start, _)| *start <= address)
            .unwrap();
        let value = value_at(address);
        let mut first = at;
        while first > 0 && ranges[first - 1].1 == value {
            first -= 1;
        }
        let mut after = at + 1;
        while after < ranges.len() && ranges[after].1 == value {
            after += 1;
        }
        let start = ranges[first].0;
        let last = if after < ranges.len() {
            ranges[after].0 - 1
        } else {
            u128::MAX >> (128 - bits)
        };
        let fits = |scope: &u32| {
            let host = (u128::MAX >> (128 - bits)).checked_shr(*scope).unwrap_or(0);
            address & !host >= start && address | host <= last
        };
        FoundBlock {
            value,
            scope: (0..=bits).find(fits).unwrap() as u8,
        }
    }

    fn ranges(starts: Vec<(u128, u32)>) -> Vec<(u128, u32)> {
        let mut ranges = starts;
        ranges.push((0, 9));
        ranges.sort();
        ranges.dedup_by_key(|range| range.0);
        ranges
    }

    proptest! {
        #[test]
        fn v4_agrees_with_the_oracle(starts in prop::collection::vec((any::<u32>(), 0u32..4), 0..200), asked in prop::collection::vec(any::<u32>(), 20)) {
            let ranges = ranges(starts.iter().map(|&(start, value)| (u128::from(start), value)).collect());
            let table = AddressTable::from_ranges(ranges.iter().map(|&(start, value)| (start as u32, value)), [(0, 0)]);
            for address in asked.into_iter().chain(starts.iter().flat_map(|&(start, _)| [start, start.wrapping_sub(1)])) {
                prop_assert_eq!(table.find(IpAddr::V4(address.into())), naive(&ranges, u128::from(address), 32));
            }
        }

        #[test]
        fn v6_agrees_with_the_oracle(starts in prop::collection::vec((0u64..6, prop::sample::select(vec![0u64, 0, 1, 1 << 63, u64::MAX, 77]), 0u32..3), 0..30)) {
            let spread = [0u64, 1, 0x2000 << 48, (0x2000 << 48) + 1, (0x2000 << 48) + 2, u64::MAX];
            let starts: Vec<(u128, u32)> = starts.iter().map(|&(high, low, value)| (u128::from(spread[high as usize]) << 64 | u128::from(low), value)).collect();
            let ranges = ranges(starts);
            let table = AddressTable::from_ranges([(0, 0)], ranges.iter().copied());
            for address in ranges.iter().flat_map(|&(start, _)| [start, start.wrapping_sub(1), start.wrapping_add(1), start ^ 1 << 70]) {
                prop_assert_eq!(table.find(IpAddr::V6(address.into())), naive(&ranges, address, 128), "{:x}", address);
            }
            let listed: Vec<(u128, u32)> = table.ranges_v6().collect();
            for address in ranges.iter().map(|range| range.0) {
                prop_assert_eq!(naive(&listed, address, 128), naive(&ranges, address, 128));
            }
        }
    }

    #[test]
    fn one_value_for_all_has_scope_zero() {
        let table = AddressTable::uniform(3);
        assert_eq!(
            table.find("203.0.113.7".parse().unwrap()),
            FoundBlock { value: 3, scope: 0 }
        );
        assert_eq!(
            table.find("2001:db8::1".parse().unwrap()),
            FoundBlock { value: 3, scope: 0 }
        );
    }
}
