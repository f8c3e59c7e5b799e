//! Finds cells that no rule set can tell apart, before any rule set is looked at.
//!
//! A thousand rule sets mostly choose among the same few regions. The order of all these regions
//! around a cell, and which of them lie within the band of which, determine what each choice of
//! them comes to. So cells with the same order and bands are alike for all rule sets of that band,
//! and one of them stands for the others. This makes the number of cells that are arranged under
//! each rule set a hundred times smaller. It does not pay for many regions, which leave few cells
//! alike; then every cell stands for itself.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;

use super::atlas::Atlas;
use super::both::both;
use super::cell::{Cell, combine, hash, match_alike};
use super::fences::{CatchmentRules, Fence};
use super::networks::FenceNetworks;
use crate::steering::{Band, Bias, RegionOrder, UnitVector};

/// The most candidates, over all bands, for which cells are compared.
const MOST_CANDIDATES: usize = 64;

/// Cells of which each stands for others.
pub struct AlikeCells {
    /// The cells that stand for others, in the order in which they were visited.
    pub representatives: Vec<Cell>,
    /// By cell: the index of its representative.
    pub of_cell: Vec<u32>,
}

impl AlikeCells {
    /// Groups cells, given in the order in which they are visited best.
    pub fn of(
        rules: &[&CatchmentRules],
        networks: &FenceNetworks,
        atlas: &Atlas,
        cells: &[Cell],
        order: &[u32],
    ) -> AlikeCells {
        let bands = BandCandidates::of(rules);
        let count: usize = bands.iter().map(|band| band.candidates.len()).sum();
        if rules.len() == 1 || count > MOST_CANDIDATES {
            return AlikeCells::apart(cells, order);
        }
        let fences = distinct_fences(rules);
        let (first, second) = order.split_at(order.len() / 2);
        let (mut looks, looks_second) = both(
            || Looker::new(&bands, &fences, networks, atlas).look_at(cells, first),
            || Looker::new(&bands, &fences, networks, atlas).look_at(cells, second),
        );
        looks.extend(looks_second);
        AlikeCells::joined(cells, order, &looks)
    }

    /// Every cell in a group of its own.
    fn apart(cells: &[Cell], order: &[u32]) -> AlikeCells {
        let representatives = order.iter().map(|at| cells[*at as usize]).collect();
        let mut of_cell = vec![0; cells.len()];
        for (index, at) in order.iter().enumerate() {
            of_cell[*at as usize] = index as u32;
        }
        AlikeCells {
            representatives,
            of_cell,
        }
    }

    /// Cells with the same look in one group.
    fn joined(cells: &[Cell], order: &[u32], looks: &[u128]) -> AlikeCells {
        let mut known: HashMap<u128, u32, foldhash::fast::RandomState> = HashMap::default();
        let mut representatives = Vec::new();
        let mut of_cell = vec![0; cells.len()];
        for (at, look) in order.iter().zip(looks) {
            let next = representatives.len() as u32;
            let group = *known.entry(*look).or_insert(next);
            if group == next {
                representatives.push(cells[*at as usize]);
            }
            of_cell[*at as usize] = group;
        }
        AlikeCells {
            representatives,
            of_cell,
        }
    }
}

/// All candidates of the rule sets that order by distance with one band.
struct BandCandidates {
    band: Band,
    candidates: Vec<(Option<UnitVector>, Bias)>,
}

impl BandCandidates {
    fn of(rules: &[&CatchmentRules]) -> Vec<BandCandidates> {
        let mut bands: Vec<BandCandidates> = Vec::new();
        for rules in rules {
            let rules = &rules.rules;
            if rules.order != RegionOrder::Nearest {
                continue;
            }
            let at = bands.iter().position(|known| known.band == rules.band);
            let at = at.unwrap_or_else(|| {
                bands.push(BandCandidates {
                    band: rules.band,
                    candidates: Vec::new(),
                });
                bands.len() - 1
            });
            for candidate in &rules.candidates {
                let candidate = (candidate.location, candidate.bias);
                let known = &mut bands[at].candidates;
                if known.len() <= MOST_CANDIDATES && !known.contains(&candidate) {
                    known.push(candidate);
                }
            }
        }
        bands
    }
}

/// Every fence, without the candidates that it allows.
fn distinct_fences(rules: &[&CatchmentRules]) -> Vec<Fence> {
    let mut fences = Vec::new();
    let mut known = HashMap::new();
    for fence in rules.iter().flat_map(|rules| &rules.fences) {
        let fence = Fence {
            allowed: Vec::new(),
            ..fence.clone()
        };
        let state = FixedState::with_seed(3);
        let same: &mut Vec<usize> = known.entry(hash_of_fence(&state, &fence)).or_default();
        if !same.iter().any(|at: &usize| fences[*at] == fence) {
            same.push(fences.len());
            fences.push(fence);
        }
    }
    fences
}

fn hash_of_fence(state: &FixedState, fence: &Fence) -> u64 {
    let mut hasher = state.build_hasher();
    fence.countries.hash(&mut hasher);
    fence.continents.hash(&mut hasher);
    fence.subdivisions.hash(&mut hasher);
    fence.asns.hash(&mut hasher);
    fence.networks.hash(&mut hasher);
    fence.of_unknown.hash(&mut hasher);
    hasher.finish()
}

/// Looks at one cell after the other.
struct Looker<'l> {
    bands: Vec<BandOrder<'l>>,
    fences: &'l [Fence],
    /// By fence: the number of its list of networks.
    lists: Vec<Option<u32>>,
    networks: &'l FenceNetworks,
    atlas: &'l Atlas,
    /// The cell before, and the hash of the fences that match it.
    before: Option<(Cell, u128)>,
}

impl<'l> Looker<'l> {
    fn new(
        bands: &'l [BandCandidates],
        fences: &'l [Fence],
        networks: &'l FenceNetworks,
        atlas: &'l Atlas,
    ) -> Looker<'l> {
        Looker {
            bands: bands.iter().map(BandOrder::new).collect(),
            fences,
            lists: fences.iter().map(|fence| networks.list_of(fence)).collect(),
            networks,
            atlas,
            before: None,
        }
    }

    fn look_at(mut self, cells: &[Cell], order: &[u32]) -> Vec<u128> {
        let mut looks = Vec::with_capacity(order.len());
        for at in order {
            looks.push(self.look(cells[*at as usize]));
        }
        looks
    }

    /// A hash of everything that rule sets can see of a cell.
    fn look(&mut self, cell: Cell) -> u128 {
        let fences = match self.before {
            Some((before, fences)) if match_alike(self.atlas, before, cell) => fences,
            _ => self.look_at_fences(cell),
        };
        self.before = Some((cell, fences));
        let point = self.atlas.place(cell.place).point;
        let mut look = combine(fences, u128::from(point.is_some()));
        look = combine(look, u128::from(cell.place == Cell::UNROUTABLE.place));
        if let Some(point) = point {
            let point = point.unit_vector();
            for band in &mut self.bands {
                look = combine(look, band.look(&point));
            }
        }
        look
    }

    fn look_at_fences(&self, cell: Cell) -> u128 {
        let place = self.atlas.place(cell.place);
        let mut look = u128::from(cell.set);
        for (at, (fence, list)) in self.fences.iter().zip(&self.lists).enumerate() {
            if fence.matches(place, self.networks.contains(cell.set, *list)) {
                look = combine(look, at as u128);
            }
        }
        look
    }
}

/// The order of a band's candidates around the cell before.
struct BandOrder<'l> {
    known: &'l BandCandidates,
    /// The candidates, nearest first, with their distances.
    order: Vec<(f64, u8)>,
    octets: Vec<u8>,
    before: Vec<u8>,
    hash: u128,
}

impl<'l> BandOrder<'l> {
    fn new(known: &'l BandCandidates) -> BandOrder<'l> {
        let count = known.candidates.len() as u8;
        BandOrder {
            known,
            order: (0..count).map(|at| (0.0, at)).collect(),
            octets: Vec::new(),
            before: Vec::new(),
            hash: 0,
        }
    }

    /// A hash of the order, and of how far the band of each candidate reaches in it.
    fn look(&mut self, point: &UnitVector) -> u128 {
        for (biased, at) in &mut self.order {
            let (location, bias) = &self.known.candidates[usize::from(*at)];
            let distance = location.as_ref().map(|site| point.distance_km(site));
            *biased = distance.map_or(0.0, |distance| bias.apply(distance));
        }
        // Mostly in order already, which this sort makes use of.
        self.order
            .sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        std::mem::swap(&mut self.octets, &mut self.before);
        self.octets.clear();
        let mut reach = 0;
        for (biased, at) in &self.order {
            let limit = self.known.band.limit(*biased);
            while self.order.get(reach).is_some_and(|next| next.0 <= limit) {
                reach += 1;
            }
            self.octets.extend([*at, reach as u8]);
        }
        if self.octets != self.before || self.hash == 0 {
            self.hash = hash(&self.octets);
        }
        self.hash
    }
}
