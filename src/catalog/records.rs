//! RRsets in wire form, ready to be copied into a reply.
//!
//! Owners, and names inside record data, end in compression pointers (RFC 1035 section 4.1.4) whose
//! offsets are known beforehand ([`super::compression`]). Writing an RRset is one copy, and two
//! octets for each pointer. `build` fills the table; queries only read it.

#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod build;

use super::compression::PointerSite;
use super::names::NodeId;
use crate::dns::RecordType;

pub use build::{PreparedRrset, UnresolvedTarget};

/// One RRset, ready to be copied.
#[derive(Debug, Clone)]
pub struct WireRrset {
    /// Type.
    pub rtype: RecordType,
    /// Number of records.
    pub count: u16,
    octets: (u32, u32),
    /// One more than the number of its [`RrsetNames`]; 0: its data has no names.
    names: u32,
}

/// The names in the data of an RRset. Most RRsets are addresses and have none.
#[derive(Debug, Clone)]
struct RrsetNames {
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

/// All RRsets of all zones.
#[derive(Debug, Clone, Default)]
pub struct RrsetTable {
    prepared: Vec<WireRrset>,
    octets: Vec<u8>,
    names: Vec<RrsetNames>,
    pointers: Vec<PointerSite>,
    targets: Vec<AdditionalTarget>,
}

impl RrsetTable {
    /// An RRset by number.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&WireRrset> {
        self.prepared.get(number as usize)
    }

    /// The RRsets of a node.
    #[inline]
    pub fn of(&self, rrsets: (u32, u32)) -> &[WireRrset] {
        self.prepared
            .get(rrsets.0 as usize..rrsets.1 as usize)
            .unwrap_or(&[])
    }

    /// Wire form, pointers blank.
    #[inline]
    pub fn octets(&self, prepared: &WireRrset) -> &[u8] {
        self.octets
            .get(prepared.octets.0 as usize..prepared.octets.1 as usize)
            .unwrap_or(&[])
    }

    /// The pointers inside its record data.
    #[inline]
    pub fn pointers(&self, prepared: &WireRrset) -> &[PointerSite] {
        let Some(names) = self.names_in(prepared) else {
            return &[];
        };
        self.pointers
            .get(names.pointers.0 as usize..names.pointers.1 as usize)
            .unwrap_or(&[])
    }

    /// The names in its data whose records belong in the additional section.
    #[inline]
    pub fn targets(&self, prepared: &WireRrset) -> &[AdditionalTarget] {
        let Some(names) = self.names_in(prepared) else {
            return &[];
        };
        self.targets
            .get(names.targets.0 as usize..names.targets.1 as usize)
            .unwrap_or(&[])
    }

    #[inline]
    fn names_in(&self, prepared: &WireRrset) -> Option<&RrsetNames> {
        self.names.get(prepared.names.checked_sub(1)? as usize)
    }

    /// Number of RRsets.
    pub fn len(&self) -> u32 {
        self.prepared.len() as u32
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.prepared.is_empty()
    }
}
