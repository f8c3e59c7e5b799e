//! Verifies client subnet scopes over a whole compiled map.
//!
//! The blocks of all answers must join without a gap and without an overlap, and each must have one
//! outcome. The walk visits every IPv4 block of a table once.

use std::net::Ipv4Addr;

use crate::geo::OutcomeTable;

/// The IPv4 blocks of one table: the cache of a resolver that has asked for every client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockCounts {
    /// Number of blocks.
    pub count: u64,
    /// How many of them are longer than /24, more than a resolver sends (RFC 7871 section 11.1).
    pub beyond_24: u64,
    /// The longest scope prefix-length.
    pub narrowest: u8,
    /// The shortest one.
    pub widest: u8,
}

/// Walks the IPv4 blocks of a table, with the widths that `find` reports.
///
/// # Errors
/// A sentence that names the first address at which two blocks overlap or an answer changes inside
/// one.
pub fn verify_scopes(table: &OutcomeTable) -> Result<BlockCounts, String> {
    let mut blocks = BlockCounts {
        count: 0,
        beyond_24: 0,
        narrowest: 0,
        widest: 32,
    };
    let mut at: u64 = 0;
    while let Ok(first) = u32::try_from(at) {
        let found = table.find(Ipv4Addr::from(first).into());
        let size = 1u64 << (32 - u32::from(found.scope.min(32)));
        let last = first | (size - 1) as u32;
        if !at.is_multiple_of(size) {
            return Err(overlap(first, found.scope));
        }
        // A block is inside one range, so its last address and the middle stand for all of it.
        for other in [last, first + (size / 2) as u32] {
            if table.find(Ipv4Addr::from(other.min(last)).into()) != found {
                return Err(overlap(other, found.scope));
            }
        }
        blocks.count += 1;
        blocks.beyond_24 += u64::from(found.scope > 24);
        blocks.narrowest = blocks.narrowest.max(found.scope);
        blocks.widest = blocks.widest.min(found.scope);
        at += size;
    }
    Ok(blocks)
}

fn overlap(address: u32, scope: u8) -> String {
    format!(
        "the block /{scope} around {} is not one answer's alone",
        Ipv4Addr::from(address)
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_answer_is_one_block_and_a_split_is_counted() {
        let all = verify_scopes(&OutcomeTable::uniform(1));
        assert_eq!(
            all,
            Ok(BlockCounts {
                count: 1,
                beyond_24: 0,
                narrowest: 0,
                widest: 0
            })
        );
        let table =
            OutcomeTable::from_ranges([(0, 1), (0x0a00_0000, 2), (0x0a00_0100, 1)], [(0, 1)]);
        // 10.0.0.0/24, and a block for each bit in which an address may differ from it.
        assert_eq!(
            verify_scopes(&table),
            Ok(BlockCounts {
                count: 25,
                beyond_24: 0,
                narrowest: 24,
                widest: 1
            })
        );
    }

    proptest! {
        #[test]
        fn no_two_blocks_of_any_table_overlap(starts in prop::collection::btree_map(any::<u32>(), 0..5u32, 0..60)) {
            let ranges = std::iter::once((0, 0)).chain(starts.into_iter().filter(|(start, _)| *start > 0));
            let table = OutcomeTable::from_ranges(ranges, [(0, 0)]);
            let blocks = verify_scopes(&table).map_err(TestCaseError::fail)?;
            prop_assert!(blocks.count >= table.stretches().0 as u64);
        }
    }
}
