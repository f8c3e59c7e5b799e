//! The names of all zones in one hash table: every name that exists, and every name above one that
//! does.
//!
//! The table holds each ancestor of each name up to the root, so a missing name has nothing below
//! it. The closest encloser (RFC 4592 section 3.3.1) is usually the parent; otherwise it is found
//! by walking down from the root until the first miss. `build` fills the table; queries only read
//! it.

#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod build;

use std::num::NonZeroU32;

use crate::dns::SearchName;
use crate::dns::name_hash::name_hash;

pub use build::NamePlace;

/// Index of a node. It is kept as a number that is never 0, so that an optional one takes no more
/// memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(NonZeroU32);

impl NodeId {
    /// The node that was added after so many others.
    fn new(index: u32) -> NodeId {
        NodeId(NonZeroU32::MIN.saturating_add(index))
    }

    /// Position among the nodes.
    #[inline]
    pub fn index(self) -> usize {
        self.0.get().wrapping_sub(1) as usize
    }
}

/// Index of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ZoneId(pub u32);

/// Index of a compiled service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u32);

/// The role of a name in its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRole {
    /// Above all our zones.
    Outside,
    /// The apex of a zone.
    Apex,
    /// An authoritative name, or one that only has names below it.
    Ordinary,
    /// A zone cut: NS records that are not at the apex (RFC 1034 section 4.2.1).
    Cut,
    /// Below a cut: glue at most.
    Occluded,
}

/// A name that exists, or the ancestor of one.
#[derive(Debug, Clone)]
pub struct NameNode {
    name_at: u32,
    name_length: u8,
    /// Number of labels, without the root.
    pub labels: u8,
    /// Its role in its zone.
    pub role: NameRole,
    /// The zone that it belongs to; meaningless for [`NameRole::Outside`].
    pub zone: ZoneId,
    /// The zone cut at or above this name.
    pub cut: Option<NodeId>,
    /// The wildcard right below this name.
    pub wildcard: Option<NodeId>,
    /// The numbers of its first RRset and of the one past its last.
    pub rrsets: (u32, u32),
    /// [`NONE`] or a number, see the methods of the same names.
    parent_zone: u32,
    service: u32,
    dname: u32,
}

/// No number. There are millions of nodes, and an optional number would take twice the memory.
const NONE: u32 = u32::MAX;

impl NameNode {
    /// At an apex: the parent zone, if it is loaded too. It answers for DS (RFC 4035 section
    /// 3.1.4.1).
    #[inline]
    pub fn parent_zone(&self) -> Option<ZoneId> {
        if self.parent_zone == NONE {
            None
        } else {
            Some(ZoneId(self.parent_zone))
        }
    }

    /// The service that steers this name.
    #[inline]
    pub fn service(&self) -> Option<ServiceId> {
        if self.service == NONE {
            None
        } else {
            Some(ServiceId(self.service))
        }
    }

    /// The number of its DNAME RRset.
    #[inline]
    pub fn dname(&self) -> Option<u32> {
        if self.dname == NONE {
            None
        } else {
            Some(self.dname)
        }
    }
}

/// The result of looking up a name (RFC 1034 section 4.3.2).
#[derive(Debug)]
pub enum Lookup<'w> {
    /// It exists.
    Found(&'w NameNode),
    /// It does not exist, but the wildcard of its closest encloser matches it.
    Wildcard(&'w NameNode),
    /// It is at or below this cut.
    Delegated(&'w NameNode),
    /// It is below this name, which has a DNAME.
    Redirected(&'w NameNode),
    /// It does not exist; the closest encloser does.
    Missing(&'w NameNode),
    /// It is in no zone.
    Outside,
}

impl Lookup<'_> {
    /// The zone that answers; `None` outside all zones.
    pub fn zone(&self) -> Option<ZoneId> {
        match self {
            Lookup::Found(node)
            | Lookup::Wildcard(node)
            | Lookup::Delegated(node)
            | Lookup::Redirected(node)
            | Lookup::Missing(node) => Some(node.zone),
            Lookup::Outside => None,
        }
    }
}

/// The names of all zones.
#[derive(Debug, Clone, Default)]
pub struct NameTable {
    /// Upper half: part of the hash; lower half: node index + 1; 0 = free. A power of two, at most
    /// half full.
    slots: Vec<u64>,
    nodes: Vec<NameNode>,
    octets: Vec<u8>,
}

impl NameTable {
    /// Looks a name up.
    #[inline(always)]
    pub fn look_up(&self, name: &SearchName) -> Lookup<'_> {
        match self.find(name.as_wire()) {
            Some((_, node)) => match node.role {
                NameRole::Apex | NameRole::Ordinary => Lookup::Found(node),
                NameRole::Outside => Lookup::Outside,
                NameRole::Cut | NameRole::Occluded => self.delegated(node),
            },
            None => self.enclosed(name),
        }
    }

    fn delegated<'w>(&'w self, node: &'w NameNode) -> Lookup<'w> {
        Lookup::Delegated(node.cut.and_then(|cut| self.node(cut)).unwrap_or(node))
    }

    /// Looks up a name that is not in the table, from its closest encloser.
    fn enclosed(&self, name: &SearchName) -> Lookup<'_> {
        // Most missing names are right below one that exists.
        let Some(encloser) = self
            .get(name.suffix(1))
            .or_else(|| self.closest_encloser(name))
        else {
            return Lookup::Outside;
        };
        match encloser.role {
            NameRole::Outside => return Lookup::Outside,
            NameRole::Cut | NameRole::Occluded => return self.delegated(encloser),
            NameRole::Apex | NameRole::Ordinary if encloser.dname().is_some() => {
                return Lookup::Redirected(encloser);
            }
            NameRole::Apex | NameRole::Ordinary => {}
        }
        match encloser.wildcard.and_then(|wildcard| self.node(wildcard)) {
            Some(wildcard) if matches!(wildcard.role, NameRole::Cut | NameRole::Occluded) => {
                self.delegated(wildcard)
            }
            Some(wildcard) => Lookup::Wildcard(wildcard),
            None => Lookup::Missing(encloser),
        }
    }

    /// The lowest existing name above this one, from the root down. The walk ends at the first
    /// missing name, however many labels a client makes up.
    fn closest_encloser(&self, name: &SearchName) -> Option<&NameNode> {
        let mut encloser = self.get(&[0])?;
        for skip in (1..name.label_count()).rev() {
            match self.get(name.suffix(skip)) {
                Some(node) => encloser = node,
                None => break,
            }
        }
        Some(encloser)
    }

    /// The node of a lower-cased wire name.
    #[inline(never)]
    pub fn get(&self, name: &[u8]) -> Option<&NameNode> {
        self.find(name).map(|(_, node)| node)
    }

    /// The index of a lower-cased wire name.
    pub fn id(&self, name: &[u8]) -> Option<NodeId> {
        self.find(name).map(|(id, _)| id)
    }

    #[inline(always)]
    fn find(&self, name: &[u8]) -> Option<(NodeId, &NameNode)> {
        let hash = name_hash(name);
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let slot = *self.slots.get(at)?;
            // A free slot has no node.
            let id = NodeId(NonZeroU32::new(slot as u32)?);
            if slot >> 32 == hash >> 32
                && let Some(node) = self.node(id)
                && self.octets_of(node) == Some(name)
            {
                return Some((id, node));
            }
            at = at.wrapping_add(1) & mask;
        }
    }

    /// A node by index.
    #[inline]
    pub fn node(&self, id: NodeId) -> Option<&NameNode> {
        self.nodes.get(id.index())
    }

    /// A node by index, for the compiler to complete.
    pub fn node_mut(&mut self, id: NodeId) -> Option<&mut NameNode> {
        self.nodes.get_mut(id.index())
    }

    /// The lower-cased wire name of a node.
    pub fn name_of(&self, node: &NameNode) -> &[u8] {
        self.octets_of(node).unwrap_or(&[0])
    }

    #[inline]
    fn octets_of(&self, node: &NameNode) -> Option<&[u8]> {
        let start = node.name_at as usize;
        self.octets
            .get(start..start.wrapping_add(usize::from(node.name_length)))
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The indices of all nodes, ancestors first.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId::new)
    }
}
