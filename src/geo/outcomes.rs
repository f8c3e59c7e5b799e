//! What one rule set answers to every address: the table that a query looks up.
//!
//! The ranges and their zones are shared by all rule sets ([`AddressTable`]). A rule set adds the
//! outcome of each zone and the positions at which the outcome changes ([`Cuts`]). The stretch
//! between two such positions determines the scope of an answer (RFC 7871 section 7.2.1): the
//! widest aligned block around the address that lies inside the stretch. The scope is exact, and
//! blocks of different outcomes never overlap.

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

use std::net::IpAddr;
use std::sync::Arc;

use super::cuts::Cuts;
use super::table::{AddressTable, split, widest_block_64};

/// What a look-up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundBlock {
    /// The outcome's number.
    pub value: u32,
    /// Prefix length of the widest aligned block around the address that has the same outcome.
    pub scope: u8,
}

/// Maps every address to an outcome, by its zone.
#[derive(Debug, Clone)]
pub struct OutcomeTable {
    zones: Arc<AddressTable>,
    of_zone: Arc<[u32]>,
    changes: Arc<OutcomeChanges>,
}

/// The ranges at which the outcome differs from that of the range before.
#[derive(Debug)]
pub struct OutcomeChanges {
    v4: Cuts,
    v6: Cuts,
    /// Of the ranges inside split /64s. The first range of each is one.
    deep: Cuts,
}

impl OutcomeTable {
    /// The table of a rule set, from the outcome of each zone. Blocks are as wide as the outcomes
    /// allow. This visits every range.
    pub fn new(zones: Arc<AddressTable>, of_zone: Arc<[u32]>) -> OutcomeTable {
        let changes = Arc::new(OutcomeChanges::of(&zones, &of_zone));
        OutcomeTable {
            zones,
            of_zone,
            changes,
        }
    }

    /// A table whose blocks lie inside one range each, narrower than the outcomes allow. It is made at
    /// once and takes no room beside `of_zone`. `everywhere` is [`OutcomeChanges::everywhere`] of these
    /// zones.
    pub fn narrow(
        zones: Arc<AddressTable>,
        of_zone: Arc<[u32]>,
        everywhere: Arc<OutcomeChanges>,
    ) -> OutcomeTable {
        OutcomeTable {
            zones,
            of_zone,
            changes: everywhere,
        }
    }

    /// The same blocks with the outcomes of other zones.
    pub fn with_outcomes(&self, of_zone: Arc<[u32]>) -> OutcomeTable {
        OutcomeTable {
            zones: self.zones.clone(),
            of_zone,
            changes: self.changes.clone(),
        }
    }

    /// A table with zones of its own: each range has the outcome that is its value. The starts are
    /// as in [`AddressTable::from_ranges`].
    pub fn from_ranges(
        v4: impl IntoIterator<Item = (u32, u32)>,
        v6: impl IntoIterator<Item = (u128, u32)> + Send,
    ) -> OutcomeTable {
        let zones = AddressTable::from_ranges(v4, v6);
        let ranges_v4 = zones.ranges_v4().map(|(_, value)| value);
        let ranges_v6 = zones.ranges_v6().map(|(_, value)| value);
        let last = ranges_v4.chain(ranges_v6).max().unwrap_or(0);
        OutcomeTable::new(Arc::new(zones), (0..=last).collect())
    }

    /// One outcome for all addresses.
    pub fn uniform(value: u32) -> OutcomeTable {
        OutcomeTable::new(Arc::new(AddressTable::uniform(0)), Arc::new([value]))
    }

    /// The zones of the addresses.
    pub fn zones(&self) -> &Arc<AddressTable> {
        &self.zones
    }

    /// The outcome of a zone.
    #[inline(always)]
    fn outcome(&self, zone: u32) -> u32 {
        self.of_zone.get(zone as usize).copied().unwrap_or(0)
    }

    /// Looks an address up.
    pub fn find(&self, address: IpAddr) -> FoundBlock {
        match address {
            IpAddr::V4(address) => self.find_v4(address.to_bits()),
            IpAddr::V6(address) => self.find_v6(address.to_bits()),
        }
    }

    /// Looks an IPv4 address up.
    #[inline(always)]
    pub fn find_v4(&self, address: u32) -> FoundBlock {
        let ranges = &self.zones.v4;
        let at = ranges.position(address);
        FoundBlock {
            value: self.outcome(ranges.value(at) as u32),
            scope: ranges.block(address, self.changes.v4.around(at)),
        }
    }

    /// Looks an IPv6 address up.
    #[inline(always)]
    pub fn find_v6(&self, address: u128) -> FoundBlock {
        let ranges = &self.zones.v6;
        let upper = (address >> 64) as u64;
        let at = ranges.position(upper);
        let zone = ranges.value(at);
        if split(zone).is_some() {
            return self.find_deep(address, at);
        }
        FoundBlock {
            value: self.outcome(zone as u32),
            scope: ranges.block(upper, self.changes.v6.around(at)),
        }
    }

    /// Looks an IPv6 address up in the split /64 at position `at` of the upper ranges.
    #[cold]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a prefix of 64 bits at most"
    )]
    fn find_deep(&self, address: u128, at: usize) -> FoundBlock {
        let deep = &self.zones.deep;
        let below = deep.partition_point(|(start, _)| *start <= address);
        let position = below.saturating_sub(1);
        let stretch = self.changes.deep.around(position);
        let zone = deep.get(position).map_or(0, |part| part.1);
        let upper = address >> 64;
        let inside = |at: usize| {
            let start = deep.get(at).map(|part| part.0);
            start.filter(|start| start >> 64 == upper)
        };
        let start = inside(stretch.first).map_or(0, |start| start as u64);
        let next = inside(stretch.next).map(|next| next as u64);
        let value = self.outcome(zone);
        if start == 0 && next.is_none() {
            // All parts of the /64 have this outcome.
            let changes = self.changes.v6.around(at);
            let scope = self.zones.v6.block(upper as u64, changes);
            return FoundBlock { value, scope };
        }
        let inside = widest_block_64(address as u64, Some(start), next);
        FoundBlock {
            value,
            scope: 64 + inside,
        }
    }

    /// Ranges of IPv4 with their outcomes, in order. Neighbours may be alike.
    pub fn ranges_v4(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.zones
            .ranges_v4()
            .map(|(start, zone)| (start, self.outcome(zone)))
    }

    /// Ranges of IPv6 with their outcomes, in order. Neighbours may be alike.
    pub fn ranges_v6(&self) -> impl Iterator<Item = (u128, u32)> + '_ {
        self.zones
            .ranges_v6()
            .map(|(start, zone)| (start, self.outcome(zone)))
    }

    /// Number of stretches with one outcome: IPv4, IPv6 in blocks of 64 bits.
    pub fn stretches(&self) -> (usize, usize) {
        (self.changes.v4.count(), self.changes.v6.count())
    }

    /// Octets of memory held beside the zones.
    #[expect(clippy::arithmetic_side_effects, reason = "what lies in memory")]
    pub fn memory(&self) -> usize {
        let changes = &self.changes;
        let cuts = changes.v4.memory() + changes.v6.memory() + changes.deep.memory();
        size_of_val(&*self.of_zone) + cuts
    }
}

impl OutcomeChanges {
    /// A change at every range.
    pub fn everywhere(zones: &AddressTable) -> OutcomeChanges {
        let all = |ranges: usize| Cuts::new((0..ranges).map(|_| true));
        OutcomeChanges {
            v4: all(zones.v4.len()),
            v6: all(zones.v6.len()),
            deep: all(zones.deep.len()),
        }
    }

    fn of(zones: &AddressTable, of_zone: &[u32]) -> OutcomeChanges {
        let reader = OutcomeReader { zones, of_zone };
        let mut block = None;
        let parts = zones.deep.iter().map(|(start, zone)| {
            let is_first = block.replace(start >> 64) != Some(start >> 64);
            (is_first, reader.outcome(*zone))
        });
        let mut before = None;
        let deep = Cuts::new(parts.map(|(is_first, outcome)| {
            let changes = before.replace(outcome) != Some(outcome);
            is_first || changes
        }));
        OutcomeChanges {
            v4: zones.v4.changes(|zone| Some(reader.outcome(zone as u32))),
            v6: zones.v6.changes(|value| reader.upper_outcome(value)),
            deep,
        }
    }
}

/// Reads the outcomes of zones and of split /64s.
struct OutcomeReader<'z> {
    zones: &'z AddressTable,
    of_zone: &'z [u32],
}

impl OutcomeReader<'_> {
    fn outcome(&self, zone: u32) -> u32 {
        self.of_zone.get(zone as usize).copied().unwrap_or(0)
    }

    /// The outcome of an upper range of IPv6; `None`: it is a split /64 with several outcomes.
    fn upper_outcome(&self, value: i32) -> Option<u32> {
        let Some(first) = split(value) else {
            return Some(self.outcome(value as u32));
        };
        let mut parts = self.zones.deep.iter().skip(first);
        let (start, zone) = parts.next()?;
        let outcome = self.outcome(*zone);
        for (other, zone) in parts {
            if other >> 64 != start >> 64 {
                break;
            }
            if self.outcome(*zone) != outcome {
                return None;
            }
        }
        Some(outcome)
    }
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
            let table = OutcomeTable::from_ranges(ranges.iter().map(|&(start, value)| (start as u32, value)), [(0, 0)]);
            for address in asked.into_iter().chain(starts.iter().flat_map(|&(start, _)| [start, start.wrapping_sub(1)])) {
                prop_assert_eq!(table.find(IpAddr::V4(address.into())), naive(&ranges, u128::from(address), 32));
            }
        }

        #[test]
        fn v6_agrees_with_the_oracle(starts in prop::collection::vec((0u64..6, prop::sample::select(vec![0u64, 0, 1, 1 << 63, u64::MAX, 77]), 0u32..3), 0..30)) {
            let spread = [0u64, 1, 0x2000 << 48, (0x2000 << 48) + 1, (0x2000 << 48) + 2, u64::MAX];
            let starts: Vec<(u128, u32)> = starts.iter().map(|&(high, low, value)| (u128::from(spread[high as usize]) << 64 | u128::from(low), value)).collect();
            let ranges = ranges(starts);
            let table = OutcomeTable::from_ranges([(0, 0)], ranges.iter().copied());
            for address in ranges.iter().flat_map(|&(start, _)| [start, start.wrapping_sub(1), start.wrapping_add(1), start ^ 1 << 70]) {
                prop_assert_eq!(table.find(IpAddr::V6(address.into())), naive(&ranges, address, 128), "{:x}", address);
            }
            let listed: Vec<(u128, u32)> = table.ranges_v6().collect();
            for address in ranges.iter().map(|range| range.0) {
                prop_assert_eq!(naive(&listed, address, 128), naive(&ranges, address, 128));
            }
        }
    }

    proptest! {
        #[test]
        fn zones_of_one_outcome_are_one_block(
            starts in prop::collection::vec((0u64..6, prop::sample::select(vec![0u64, 1, 1 << 63, u64::MAX]), 0u32..5), 0..30),
            of_zone in prop::collection::vec(0u32..3, 5),
        ) {
            let spread = [0u64, 1, 0x2000 << 48, (0x2000 << 48) + 1, (0x2000 << 48) + 2, u64::MAX];
            let mut zoned: Vec<(u128, u32)> = starts
                .iter()
                .map(|&(high, low, zone)| (u128::from(spread[high as usize]) << 64 | u128::from(low), zone))
                .collect();
            zoned.push((0, 4));
            zoned.sort();
            zoned.dedup_by_key(|range| range.0);
            let outcomes: Vec<(u128, u32)> =
                zoned.iter().map(|&(start, zone)| (start, of_zone[zone as usize])).collect();
            let zones = AddressTable::from_ranges([(0, 0)], zoned.iter().copied());
            let table = OutcomeTable::new(Arc::new(zones), of_zone.into());
            for address in zoned.iter().flat_map(|&(start, _)| [start, start.wrapping_sub(1), start.wrapping_add(1), start ^ 1 << 70]) {
                prop_assert_eq!(table.find(IpAddr::V6(address.into())), naive(&outcomes, address, 128), "{:x}", address);
            }
        }
    }

    /// The block with another outcome.
    fn moved(found: FoundBlock, by: u32) -> FoundBlock {
        FoundBlock {
            value: found.value + by,
            ..found
        }
    }

    proptest! {
        #[test]
        fn wide_values_come_to_the_same_as_narrow_ones(
            starts in prop::collection::vec((0u64..6, prop::sample::select(vec![0u64, 1, 1 << 63, u64::MAX]), 0u32..5), 1..30),
            by in prop::sample::select(vec![0x7ffau32, 0x8000, 0xfffe, 0x1_0000]),
        ) {
            let starts: Vec<(u128, u32)> =
                starts.iter().map(|&(high, low, value)| (u128::from(high) << 64 | u128::from(low), value)).collect();
            let ranges = ranges(starts);
            let table = |by: u32| {
                let v4 = ranges.iter().filter(|(start, _)| start >> 32 == 0);
                let v4 = v4.map(|&(start, value)| (start as u32, value + by));
                OutcomeTable::from_ranges(v4, ranges.iter().map(|&(start, value)| (start, value + by)))
            };
            let (narrow, wide) = (table(0), table(by));
            prop_assert!(by < 0x8000 || narrow.zones().memory() < wide.zones().memory());
            prop_assert_eq!(narrow.stretches(), wide.stretches());
            for start in ranges.iter().flat_map(|&(start, _)| [start, start.wrapping_sub(1), start + 1]) {
                prop_assert_eq!(moved(narrow.find_v6(start), by), wide.find_v6(start));
                prop_assert_eq!(moved(narrow.find_v4(start as u32), by), wide.find_v4(start as u32));
            }
            let listed = narrow.ranges_v6().map(|(start, value)| (start, value + by));
            prop_assert!(listed.eq(wide.ranges_v6()));
        }
    }

    #[test]
    fn a_table_of_many_split_blocks_widens() {
        let ranges: Vec<(u128, u32)> = (0..40_000u128)
            .map(|at| (at << 63, (at % 7) as u32))
            .collect();
        let table = OutcomeTable::from_ranges([(0, 0)], ranges.iter().copied());
        for &(start, value) in ranges.iter().step_by(99) {
            assert_eq!(
                table.find_v6(start),
                FoundBlock { value, scope: 65 },
                "{start:x}"
            );
        }
        assert!(table.ranges_v6().take(ranges.len()).eq(ranges));
    }

    #[test]
    fn one_value_for_all_has_scope_zero() {
        let table = OutcomeTable::uniform(3);
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
