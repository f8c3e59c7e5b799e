//! Walks the IPv4 address space, and counts the addresses of each place and pair of outcomes.
//!
//! The atlas and the two tables are step functions of the address. The walk goes from step to step,
//! so it takes as long as there are ranges, not addresses.

use std::net::{IpAddr, Ipv4Addr};

use foldhash::{HashMap, HashMapExt};

use crate::geo::{Atlas, PlaceId};

/// One past the last IPv4 address.
const END: u64 = 1 << 32;

/// Place, outcome before, outcome after.
pub type ClientCell = (PlaceId, u32, u32);

/// The addresses of one cell.
#[derive(Debug, Clone, Copy, Default)]
pub struct CellTally {
    /// The number of addresses.
    pub addresses: u64,
    /// The number of addresses in its widest range.
    pub widest: u64,
    /// An address of that range, as an example.
    pub example: Option<IpAddr>,
}

impl CellTally {
    fn add(&mut self, start: u64, end: u64) {
        let width = end.saturating_sub(start);
        self.addresses += width;
        if width > self.widest {
            // The first address of a network is not a host, but the next one is.
            (self.widest, self.example) = (width, Some(Ipv4Addr::from(start as u32 | 1).into()));
        }
    }
}

/// Steps over the address space.
struct Steps<I: Iterator<Item = (u32, T)>, T> {
    rest: std::iter::Peekable<I>,
    value: T,
}

impl<I: Iterator<Item = (u32, T)>, T: Copy> Steps<I, T> {
    fn new(steps: I, value: T) -> Steps<I, T> {
        Steps {
            rest: steps.peekable(),
            value,
        }
    }

    /// Where the next step begins.
    fn next(&mut self) -> u64 {
        self.rest.peek().map_or(END, |(start, _)| u64::from(*start))
    }

    fn advance_to(&mut self, at: u64) {
        if let Some((_, value)) = self.rest.next_if(|(start, _)| u64::from(*start) == at) {
            self.value = value;
        }
    }
}

/// Counts the addresses of every cell. `before` and `after` are the starts of IPv4 ranges with
/// their outcomes.
pub fn sweep(
    atlas: &Atlas,
    before: impl Iterator<Item = (u32, u32)>,
    after: impl Iterator<Item = (u32, u32)>,
) -> HashMap<ClientCell, CellTally> {
    let mut cells = HashMap::new();
    let mut places = Steps::new(atlas.ranges_v4(), PlaceId::UNKNOWN);
    let (mut before, mut after) = (Steps::new(before, 0), Steps::new(after, 0));
    let mut at = 0;
    while at < END {
        places.advance_to(at);
        before.advance_to(at);
        after.advance_to(at);
        let next = places.next().min(before.next()).min(after.next());
        let cell: &mut CellTally = cells
            .entry((places.value, before.value, after.value))
            .or_default();
        cell.add(at, next);
        // Steps ascend; if they did not, the walk would still end.
        at = next.max(at + 1);
    }
    cells
}
