//! Zones: clients that every rule set treats alike.
//!
//! The address space is kept once, however many rule sets there are. A cell is a place of the
//! atlas, or the part of a place inside some networks that fences list. [`ZoneMap::compile`] gives
//! cells the same zone if every rule set arranges its regions for them in the same way. So the map
//! is only as fine as the rule sets require, and a rule set is a small table over zones.

use std::collections::HashMap;
use std::sync::Arc;

use super::atlas::{Atlas, PlaceId};
use super::both::both;
use super::cell::Cell;
use super::fences::CatchmentRules;
use super::networks::{FenceNetworks, ListSet, overlay};
use super::outcomes::OutcomeChanges;
use super::signature::Signatures;
use super::table::AddressTable;

/// The zone of private and special-purpose addresses outside all networks of fences.
pub const UNROUTABLE_ZONE: u32 = 0;

/// Maps every address to its zone.
pub struct ZoneMap {
    /// The ranges of addresses.
    pub table: Arc<AddressTable>,
    /// A change at each of them.
    pub everywhere: Arc<OutcomeChanges>,
    /// A cell of each zone, which stands for the others.
    pub cells: Vec<Cell>,
    /// The networks that fences list.
    pub networks: FenceNetworks,
}

impl ZoneMap {
    /// The zones of these rule sets.
    pub fn compile(rules: &[&CatchmentRules], atlas: &Atlas) -> ZoneMap {
        let mut networks = FenceNetworks::of(rules);
        let (steps_v4, steps_v6) = networks.steps();
        let cells = Cells::of(atlas, &steps_v4, &steps_v6);
        let signatures = Signatures::of(rules, &networks, atlas, &cells.list);
        let mut zones: HashMap<u128, u32, foldhash::fast::RandomState> = HashMap::default();
        let mut of_cell = Vec::with_capacity(cells.list.len());
        let mut representatives = vec![Cell::UNROUTABLE];
        for (cell, signature) in cells.list.iter().zip(signatures.of_cells()) {
            if *cell == Cell::UNROUTABLE {
                of_cell.push(UNROUTABLE_ZONE);
                continue;
            }
            let next = representatives.len() as u32;
            let zone = *zones.entry(*signature).or_insert(next);
            if zone == next {
                representatives.push(*cell);
            }
            of_cell.push(zone);
        }
        let zone_of = |place, set| {
            let cell = cells.number(Cell { place, set });
            of_cell.get(cell).copied().unwrap_or(UNROUTABLE_ZONE)
        };
        let v4 = overlay(atlas.ranges_v4(), &steps_v4);
        let v6 = overlay(atlas.ranges_v6(), &steps_v6);
        let table = AddressTable::from_ranges(
            v4.map(|(start, place, set)| (start, zone_of(place, set))),
            v6.map(|(start, place, set)| (start, zone_of(place, set))),
        );
        ZoneMap {
            everywhere: Arc::new(OutcomeChanges::everywhere(&table)),
            table: Arc::new(table),
            cells: representatives,
            networks,
        }
    }
}

/// Every cell of the address space.
struct Cells {
    /// The places by number, then the parts of places inside networks.
    list: Vec<Cell>,
    inside: HashMap<Cell, usize>,
}

impl Cells {
    fn of(atlas: &Atlas, v4: &[(u32, ListSet)], v6: &[(u128, ListSet)]) -> Cells {
        let mut list = Vec::with_capacity(atlas.places().len());
        for place in 0..atlas.places().len() as u32 {
            list.push(Cell {
                place: PlaceId(place),
                set: 0,
            });
        }
        let mut cells = Cells {
            list,
            inside: HashMap::new(),
        };
        let found = both(
            || inside(overlay(atlas.ranges_v4(), v4), v4),
            || inside(overlay(atlas.ranges_v6(), v6), v6),
        );
        for cell in [found.0, found.1].into_iter().flatten() {
            let next = cells.list.len();
            if *cells.inside.entry(cell).or_insert(next) == next {
                cells.list.push(cell);
            }
        }
        cells
    }

    fn number(&self, cell: Cell) -> usize {
        if cell.set == 0 {
            cell.place.0 as usize
        } else {
            self.inside.get(&cell).copied().unwrap_or(usize::MAX)
        }
    }
}

/// The cells inside networks, in order; neighbours differ.
fn inside<A>(
    ranges: impl Iterator<Item = (A, PlaceId, ListSet)>,
    steps: &[(A, ListSet)],
) -> Vec<Cell> {
    let mut cells = Vec::new();
    if steps.iter().all(|step| step.1 == 0) {
        return cells;
    }
    for (_, place, set) in ranges {
        let cell = Cell { place, set };
        if set != 0 && cells.last() != Some(&cell) {
            cells.push(cell);
        }
    }
    cells
}
