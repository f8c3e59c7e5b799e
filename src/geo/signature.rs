//! Signatures of cells: one number for what every rule set offers to a client.
//!
//! Two cells with the same signature get the same tiers from every rule set. A signature is a hash
//! over the tiers, so it needs no room for each rule set. First, cells that no rule set can tell
//! apart are joined ([`AlikeCells`]); then one of each is arranged under every rule set. The
//! distance between a cell and a site is computed once for all of them.

use std::collections::HashMap;
use std::num::NonZeroU32;

use super::alike::AlikeCells;
use super::atlas::{Atlas, PlaceId};
use super::both::both;
use super::cell::{Cell, combine, hash, match_alike};
use super::fences::CatchmentRules;
use super::networks::{FenceNetworks, ListSet};
use super::place::{Place, PlaceCode};
use crate::steering::tiers::TierArranger;
use crate::steering::{Point, RegionOrder, UnitVector};

/// The signature of every cell.
pub struct Signatures(Vec<u128>);

/// Cells whose distances are held at a time.
const BATCH: usize = 4096;

impl Signatures {
    /// Arranges every cell under every rule set.
    pub fn of(
        rules: &[&CatchmentRules],
        networks: &FenceNetworks,
        atlas: &Atlas,
        cells: &[Cell],
    ) -> Signatures {
        let mut order: Vec<u32> = (0..cells.len() as u32).collect();
        order.sort_by_cached_key(|at| visiting_key(atlas.place(cells[*at as usize].place)));
        let alike = AlikeCells::of(rules, networks, atlas, cells, &order);
        let sites = Sites::of(rules);
        let run = |cells: &[Cell]| {
            let mut signer = Signer {
                rules: SignedRules::of(rules, networks, &sites),
                sites: &sites,
                atlas,
                networks,
                distances: Vec::new(),
            };
            signer.sign(cells)
        };
        let (first, second) = alike
            .representatives
            .split_at(alike.representatives.len() / 2);
        let (mut signatures, signed_second) = both(|| run(first), || run(second));
        signatures.extend(signed_second);
        let of_cell = alike.of_cell.iter();
        Signatures(of_cell.map(|at| signatures[*at as usize]).collect())
    }

    /// The signature of each cell.
    pub fn of_cells(&self) -> &[u128] {
        &self.0
    }
}

/// What a place is sorted by: neighbours in this order are mostly near each other, and mostly match
/// the same fences.
fn visiting_key(place: &Place) -> (u64, u64, u64) {
    let country = code_number(place.country) << 32 | code_number(place.subdivision);
    let curve = place.point.map_or(0, curve_number);
    (
        country,
        u64::from(place.asn.map_or(0, NonZeroU32::get)),
        curve,
    )
}

fn code_number(code: Option<PlaceCode>) -> u64 {
    u64::from(code.map_or(0, |code| u32::from_be_bytes(code.octets())))
}

/// The position of a point on a curve through all places (Morton 1966).
fn curve_number(point: Point) -> u64 {
    let scale = f64::from(1 << 20);
    let x = ((point.longitude() + 180.0) / 360.0 * scale) as u64;
    let y = ((point.latitude() + 90.0) / 180.0 * scale) as u64;
    let mut curve = 0;
    for bit in 0..21 {
        curve |= (x >> bit & 1) << (2 * bit) | (y >> bit & 1) << (2 * bit + 1);
    }
    curve
}

/// The locations of all candidates, each once.
struct Sites(Vec<UnitVector>);

impl Sites {
    fn of(rules: &[&CatchmentRules]) -> Sites {
        let mut sites: Vec<UnitVector> = Vec::new();
        let mut known: HashMap<[u64; 3], ()> = HashMap::new();
        for candidate in rules.iter().flat_map(|rules| &rules.rules.candidates) {
            if let Some(site) = candidate.location
                && known.insert(site.0.map(f64::to_bits), ()).is_none()
            {
                sites.push(site);
            }
        }
        Sites(sites)
    }

    fn numbers(&self) -> HashMap<[u64; 3], usize> {
        let sites = self.0.iter().enumerate();
        sites
            .map(|(at, site)| (site.0.map(f64::to_bits), at))
            .collect()
    }
}

/// One rule set while it is signed.
struct SignedRules<'r> {
    rules: &'r CatchmentRules,
    arranger: TierArranger<'r>,
    /// By candidate: the number of its site.
    sites: Vec<Option<usize>>,
    /// By fence: the number of its list.
    lists: Vec<Option<u32>>,
    /// The first fence that matched the cell before, and what arrangements under it come to.
    fence: Option<usize>,
    /// The hash of the arrangement before.
    arranged: Option<u128>,
    /// By fence, the last without one: the hash of what a client without a location gets.
    fixed: Vec<Option<u128>>,
}

impl<'r> SignedRules<'r> {
    fn of(
        rules: &[&'r CatchmentRules],
        networks: &FenceNetworks,
        sites: &Sites,
    ) -> Vec<SignedRules<'r>> {
        let numbers = sites.numbers();
        let mut signed = Vec::with_capacity(rules.len());
        for rules in rules {
            let number = |site: UnitVector| numbers.get(&site.0.map(f64::to_bits)).copied();
            let candidates = rules.rules.candidates.iter();
            signed.push(SignedRules {
                rules,
                arranger: TierArranger::new(&rules.rules),
                sites: candidates
                    .map(|candidate| candidate.location.and_then(number))
                    .collect(),
                lists: rules
                    .fences
                    .iter()
                    .map(|fence| networks.list_of(fence))
                    .collect(),
                fence: None,
                arranged: None,
                fixed: vec![None; rules.fences.len() + 1],
            });
        }
        signed
    }

    /// Finds the first fence that matches a cell.
    fn enter(&mut self, place: &Place, set: ListSet, networks: &FenceNetworks) {
        if self.rules.fences.is_empty() {
            return;
        }
        let lists = &self.lists;
        let fence = self.rules.fence_of(place, |fence| {
            let list = lists.get(fence).copied().flatten();
            networks.contains(set, list)
        });
        if fence != self.fence {
            self.fence = fence;
            self.arranged = None;
            self.arranger.allow(self.rules.allowed_by(fence));
        }
    }

    /// Whether some fence lists a network that contains these addresses.
    fn lists_any(&self, set: ListSet, networks: &FenceNetworks) -> bool {
        self.lists.iter().any(|list| networks.contains(set, *list))
    }

    /// The hash of the tiers of a client without a location.
    fn sign_unlocated(&mut self) -> u128 {
        let slot = self.fence.unwrap_or(self.rules.fences.len());
        let known = self.fixed.get(slot).copied().flatten();
        if let Some(known) = known {
            return known;
        }
        let allowed = self.rules.allowed_by(self.fence);
        let hash = hash(self.rules.rules.arrange(None, allowed).octets());
        if let Some(slot) = self.fixed.get_mut(slot) {
            *slot = Some(hash);
        }
        hash
    }

    /// The hash of the tiers of a client with these distances from the sites.
    fn sign_located(&mut self, distance: impl Fn(usize) -> f64) -> u128 {
        let sites = &self.sites;
        let changed = self.arranger.arrange(|candidate| {
            let site = sites.get(candidate).copied().flatten();
            site.map(&distance)
        });
        match self.arranged {
            Some(before) if !changed => before,
            _ => {
                let hash = hash(self.arranger.octets());
                self.arranged = Some(hash);
                hash
            }
        }
    }
}

/// Signs cells on one thread.
struct Signer<'r> {
    rules: Vec<SignedRules<'r>>,
    sites: &'r Sites,
    atlas: &'r Atlas,
    networks: &'r FenceNetworks,
    /// Kilometres of a batch: all of its cells for the first site, and so on.
    distances: Vec<f64>,
}

impl Signer<'_> {
    /// The signatures of cells.
    fn sign(&mut self, cells: &[Cell]) -> Vec<u128> {
        let mut signatures = Vec::with_capacity(cells.len());
        for batch in cells.chunks(BATCH) {
            signatures.extend(self.sign_batch(batch));
        }
        signatures
    }

    fn sign_batch(&mut self, cells: &[Cell]) -> Vec<u128> {
        self.measure(cells);
        let mut signatures = vec![0; cells.len()];
        let mut enters = vec![true; cells.len()];
        for (at, pair) in cells.windows(2).enumerate() {
            enters[at + 1] = !match_alike(self.atlas, pair[0], pair[1]);
        }
        let distances = &self.distances;
        for rules in &mut self.rules {
            let is_nearest = rules.rules.rules.order == RegionOrder::Nearest;
            for (at, cell) in cells.iter().enumerate() {
                let place = self.atlas.place(cell.place);
                if enters[at] {
                    rules.enter(place, cell.set, self.networks);
                }
                let hash = if cell.place == PlaceId::UNROUTABLE
                    && !rules.lists_any(cell.set, self.networks)
                {
                    UNROUTABLE_HASH
                } else if is_nearest && place.point.is_some() {
                    rules.sign_located(|site| distances[site * cells.len() + at])
                } else {
                    rules.sign_unlocated()
                };
                signatures[at] = combine(signatures[at], hash);
            }
        }
        signatures
    }

    fn measure(&mut self, cells: &[Cell]) {
        self.distances.clear();
        let mut points = Vec::with_capacity(cells.len());
        for cell in cells {
            let point = self.atlas.place(cell.place).point;
            points.push(point.map_or(UnitVector([0.0; 3]), |point| point.unit_vector()));
        }
        for site in &self.sites.0 {
            self.distances
                .extend(points.iter().map(|point| point.distance_km(site)));
        }
    }
}

/// What stands for the tiers of addresses that have no location at all.
const UNROUTABLE_HASH: u128 = 1;
