//! RRsets in wire form, ready to be copied into a reply.
//!
//! Owners, and names inside record data, end in compression pointers (RFC 1035 section 4.1.4) whose
//! offsets are known beforehand ([`super::compression`]). Writing an RRset is one copy, and two
//! octets for each pointer. `build` fills the table; queries only read it.

#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod build;

use std::sync::Arc;

use super::compression::PointerSite;
use super::names::NodeId;
use crate::dns::RecordType;
use crate::dns::reply::RECORD_HEADER;

pub use build::{PreparedRrset, UnresolvedTarget, has_names};

/// One RRset, ready to be copied.
#[derive(Debug, Clone)]
pub struct WireRrset {
    /// Its number in the table.
    pub number: u32,
    /// Type.
    pub rtype: RecordType,
    /// Number of records.
    pub count: u16,
    octets: (u32, u32),
    pointers: (u32, u32),
    targets: (u32, u32),
}

/// Which records of a name belong in the additional section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdditionalRule {
    /// A and AAAA.
    Addresses,
    /// A, AAAA and this type.
    AddressesAnd(RecordType),
    /// This type alone.
    Only(RecordType),
}

impl AdditionalRule {
    /// Whether records of this type belong there.
    #[inline]
    pub fn has(self, rtype: RecordType) -> bool {
        let is_address = matches!(rtype, RecordType::A | RecordType::AAAA);
        match self {
            AdditionalRule::Addresses => is_address,
            AdditionalRule::AddressesAnd(other) => is_address || rtype == other,
            AdditionalRule::Only(only) => rtype == only,
        }
    }
}

/// A name in record data whose records belong in the additional section.
#[derive(Debug, Clone, Copy)]
pub struct AdditionalTarget {
    /// Its offset from the start of the RRset; `None`: it is the owner.
    pub at: Option<u32>,
    /// The node of that name.
    pub node: NodeId,
    /// Which of its records belong there.
    pub further: AdditionalRule,
}

/// All RRsets of all zones: those that were compiled together, and those of later edits behind them.
/// The numbers and offsets of the latter go on where the former end.
#[derive(Debug, Clone, Default)]
pub struct RrsetTable {
    /// Shared by all tables that differ in edits only.
    base: Arc<RrsetColumns>,
    edits: RrsetColumns,
}

/// RRsets, and what belongs to them.
#[derive(Debug, Clone, Default)]
struct RrsetColumns {
    prepared: Vec<WireRrset>,
    octets: Vec<u8>,
    pointers: Vec<PointerSite>,
    targets: Vec<AdditionalTarget>,
}

/// A part of a column, or of the one that goes on behind it.
#[inline]
fn part<'c, T>(base: &'c [T], edits: &'c [T], range: (u32, u32)) -> &'c [T] {
    match base.get(range.0 as usize..range.1 as usize) {
        Some(part) => part,
        None => part_behind(base.len(), edits, range).unwrap_or(&[]),
    }
}

#[cold]
fn part_behind<T>(base: usize, edits: &[T], range: (u32, u32)) -> Option<&[T]> {
    let start = (range.0 as usize).checked_sub(base)?;
    let end = (range.1 as usize).checked_sub(base)?;
    edits.get(start..end)
}

#[cold]
fn one_behind<T>(base: usize, edits: &[T], number: u32) -> Option<&T> {
    edits.get((number as usize).checked_sub(base)?)
}

/// The data of records in wire form whose owners are pointers and whose data has none.
pub fn plain_data(octets: &[u8]) -> Vec<Vec<u8>> {
    let (mut found, mut rest) = (Vec::new(), octets);
    while let Some((header, after)) = rest.split_first_chunk::<RECORD_HEADER>() {
        let length = header.last_chunk().map_or(0, |it| u16::from_be_bytes(*it));
        let Some((data, after)) = after.split_at_checked(length.into()) else {
            break;
        };
        found.push(data.to_vec());
        rest = after;
    }
    found
}

impl RrsetTable {
    /// An RRset by number.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&WireRrset> {
        let base = &self.base.prepared;
        base.get(number as usize)
            .or_else(|| one_behind(base.len(), &self.edits.prepared, number))
    }

    /// The RRsets of a node.
    #[inline]
    pub fn of(&self, rrsets: (u32, u32)) -> &[WireRrset] {
        part(&self.base.prepared, &self.edits.prepared, rrsets)
    }

    /// Wire form, pointers blank.
    #[inline]
    pub fn octets(&self, prepared: &WireRrset) -> &[u8] {
        part(&self.base.octets, &self.edits.octets, prepared.octets)
    }

    /// The pointers inside its record data.
    #[inline]
    pub fn pointers(&self, prepared: &WireRrset) -> &[PointerSite] {
        part(&self.base.pointers, &self.edits.pointers, prepared.pointers)
    }

    /// The names in its data whose records belong in the additional section.
    #[inline]
    pub fn targets(&self, prepared: &WireRrset) -> &[AdditionalTarget] {
        part(&self.base.targets, &self.edits.targets, prepared.targets)
    }

    /// Number of RRsets.
    pub fn len(&self) -> u32 {
        self.base
            .prepared
            .len()
            .saturating_add(self.edits.prepared.len()) as u32
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
