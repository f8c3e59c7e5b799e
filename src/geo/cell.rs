//! Cells: the smallest sets of clients that steering can tell apart.
//!
//! A cell is a place of the atlas, or the part of it inside the networks of some lists that fences
//! have. What rule sets offer to a cell is kept as a hash of 128 bits. Two different offers among a
//! hundred thousand share one with a probability of about 2^-95.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;

use super::atlas::{Atlas, PlaceId};
use super::networks::ListSet;

/// A place, or the part of it inside the networks of some lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The place.
    pub place: PlaceId,
    /// The lists of networks that contain it.
    pub set: ListSet,
}

impl Cell {
    /// Private and special-purpose addresses that no list contains.
    pub const UNROUTABLE: Cell = Cell {
        place: PlaceId::UNROUTABLE,
        set: 0,
    };
}

/// Whether two cells are the same to every fence, because their places differ in their points at
/// most.
pub fn match_alike(atlas: &Atlas, one: Cell, other: Cell) -> bool {
    let (a, b) = (atlas.place(one.place), atlas.place(other.place));
    one.set == other.set
        && a.country == b.country
        && a.continent == b.continent
        && a.subdivision == b.subdivision
        && a.asn == b.asn
}

/// A hash of octets.
pub fn hash(octets: &[u8]) -> u128 {
    let high = FixedState::with_seed(1).hash_one(octets);
    let low = FixedState::with_seed(2).hash_one(octets);
    u128::from(high) << 64 | u128::from(low)
}

/// The hash of a list of hashes and one more.
pub fn combine(list: u128, hash: u128) -> u128 {
    const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    (list.rotate_left(29) ^ hash)
        .wrapping_add(1)
        .wrapping_mul(ODD)
}
