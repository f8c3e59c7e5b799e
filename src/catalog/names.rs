//! The names of all zones in one hash table: every name that exists, and every name above one that does.
//!
//! Because the table holds each ancestor of each name up to the root, a name that is missing can have nothing below
//! it. So the closest encloser (RFC 4592 section 3.3.1) is right above, or is found by walking down until the first miss.

use crate::dns::SearchName;

/// Index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// Position among the nodes.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Index of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ZoneId(pub u32);

/// Index of a compiled service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u32);

/// What a name is in its zone.
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
    /// Below a cut: glue at the most.
    Occluded,
}

/// One name.
#[derive(Debug, Clone)]
pub struct NameNode {
    name_at: u32,
    name_length: u8,
    /// Labels of the name, root left out.
    pub labels: u8,
    /// What it is.
    pub role: NameRole,
    /// The zone that it belongs to; meaningless for [`NameRole::Outside`].
    pub zone: ZoneId,
    /// At an apex: the zone above, if that is ours too (it answers for DS, RFC 4035 section 3.1.4.1).
    pub parent_zone: Option<ZoneId>,
    /// The cut that this name is, or lies below.
    pub cut: Option<NodeId>,
    /// `*` below this name.
    pub wildcard: Option<NodeId>,
    /// The service that steers this name.
    pub service: Option<ServiceId>,
    /// First and one past the last of its RRsets.
    pub rrsets: (u32, u32),
    /// Its DNAME RRset.
    pub dname: Option<u32>,
}

/// What a name comes to (RFC 1034 section 4.3.2).
#[derive(Debug)]
pub enum Lookup<'w> {
    /// It exists.
    Found(&'w NameNode),
    /// It does not, and the wildcard of its closest encloser stands in for it.
    Wildcard(&'w NameNode),
    /// It lies at or below this cut.
    Delegated(&'w NameNode),
    /// It lies below this name, which has a DNAME.
    Redirected(&'w NameNode),
    /// It does not exist; the closest encloser does.
    Missing(&'w NameNode),
    /// It lies in none of our zones.
    Outside,
}

impl Lookup<'_> {
    /// The zone that answers; `None`: none of ours.
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

/// All names.
#[derive(Debug, Clone, Default)]
pub struct NameTable {
    /// Upper half: part of the hash; lower half: node index + 1; 0 = free. A power of two, at most half full.
    slots: Vec<u64>,
    nodes: Vec<NameNode>,
    octets: Vec<u8>,
}

/// A hash of a lower-cased wire name. The table is built from the operator's own zones and never grows by queries,
/// so no client can make collisions.
#[inline]
fn hash(name: &[u8]) -> u64 {
    let length = name.len() as u64;
    let Some(last) = name.last_chunk::<LANE>() else {
        return mixed(length, short_lane(name));
    };
    let mut hash = length;
    let mut rest = name;
    while let Some((lane, after)) = rest
        .split_first_chunk::<LANE>()
        .filter(|(_, after)| !after.is_empty())
    {
        hash = mixed(hash, u128::from_le_bytes(*lane));
        rest = after;
    }
    // The last octets, with some before them once more.
    mixed(hash, u128::from_le_bytes(*last))
}

/// Octets that are hashed at a time.
const LANE: usize = 16;

/// A name that is shorter than a lane: its first and last octets, which overlap.
#[inline]
fn short_lane(name: &[u8]) -> u128 {
    match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            u128::from(u64::from_le_bytes(*first)) << 64 | u128::from(u64::from_le_bytes(*last))
        }
        _ => name
            .iter()
            .fold(0, |lane, &octet| lane << 8 | u128::from(octet)),
    }
}

/// A lane folded in by one multiplication.
#[inline]
fn mixed(hash: u64, lane: u128) -> u64 {
    let (low, high) = (
        lane as u64 ^ 0x9e37_79b9_7f4a_7c15 ^ hash,
        (lane >> 64) as u64 ^ 0xd1b5_4a32_d192_ed03,
    );
    let product = u128::from(low) * u128::from(high);
    product as u64 ^ (product >> 64) as u64
}

impl NameTable {
    /// Finds what a name comes to.
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

    /// What a name comes to that is not in the table.
    fn enclosed(&self, name: &SearchName) -> Lookup<'_> {
        // Most names that are missing lie right below one that is there.
        let Some(encloser) = self
            .get(name.suffix(1))
            .or_else(|| self.closest_encloser(name))
        else {
            return Lookup::Outside;
        };
        match encloser.role {
            NameRole::Outside => return Lookup::Outside,
            NameRole::Cut | NameRole::Occluded => return self.delegated(encloser),
            NameRole::Apex | NameRole::Ordinary if encloser.dname.is_some() => {
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

    /// The lowest name above this one that is there, from the root down: however many labels a client makes up, nothing
    /// is looked for below the first one that is missing.
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
        let hash = hash(name);
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            let id = NodeId(slot as u32 - 1);
            if slot >> 32 == hash >> 32
                && let Some(node) = self.node(id)
                && self.octets_of(node) == Some(name)
            {
                return Some((id, node));
            }
            at = (at + 1) & mask;
        }
    }

    /// A node by index.
    #[inline]
    pub fn node(&self, id: NodeId) -> Option<&NameNode> {
        self.nodes.get(id.0 as usize)
    }

    /// A node by index, to be completed.
    pub fn node_mut(&mut self, id: NodeId) -> Option<&mut NameNode> {
        self.nodes.get_mut(id.0 as usize)
    }

    /// The lower-cased wire name of a node.
    pub fn name_of(&self, node: &NameNode) -> &[u8] {
        self.octets_of(node).unwrap_or(&[0])
    }

    #[inline]
    fn octets_of(&self, node: &NameNode) -> Option<&[u8]> {
        let start = node.name_at as usize;
        self.octets
            .get(start..start + usize::from(node.name_length))
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes with their index.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// The index of a lower-cased wire name, made with every ancestor if it is new.
    ///
    /// `describe` gives the zone of a name, `None` for a name above all our zones; and whether it is that zone's apex.
    pub fn make(
        &mut self,
        name: &[u8],
        describe: &impl Fn(&[u8]) -> Option<(ZoneId, bool)>,
    ) -> NodeId {
        if let Some(id) = self.id(name) {
            return id;
        }
        let parent = name.first().filter(|&&length| length > 0).map(|&length| {
            let parent = name.get(1 + usize::from(length)..).unwrap_or(&[0]);
            self.make(parent, describe)
        });
        let (role, zone) = match describe(name) {
            None => (NameRole::Outside, ZoneId(0)),
            Some((zone, true)) => (NameRole::Apex, zone),
            Some((zone, false)) => (NameRole::Ordinary, zone),
        };
        let labels = parent
            .and_then(|parent| self.node(parent))
            .map_or(0, |parent| parent.labels + 1);
        let id = self.push(
            name,
            NameNode {
                name_at: 0,
                name_length: 0,
                labels,
                role,
                zone,
                parent_zone: None,
                cut: None,
                wildcard: None,
                service: None,
                rrsets: (0, 0),
                dname: None,
            },
        );
        if name.starts_with(b"\x01*")
            && let Some(parent) = parent.and_then(|parent| self.node_mut(parent))
        {
            parent.wildcard = Some(id);
        }
        id
    }

    fn push(&mut self, name: &[u8], mut node: NameNode) -> NodeId {
        if (self.nodes.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        node.name_at = self.octets.len() as u32;
        node.name_length = name.len() as u8;
        self.octets.extend_from_slice(name);
        self.nodes.push(node);
        let index = self.nodes.len() as u32;
        self.insert(hash(name), index);
        NodeId(index - 1)
    }

    fn grow(&mut self) {
        self.slots = vec![0; (self.slots.len() * 2).max(64)];
        for index in 0..self.nodes.len() {
            let hash = hash(self.name_of(&self.nodes[index]));
            self.insert(hash, index as u32 + 1);
        }
    }

    fn insert(&mut self, hash: u64, index_plus_one: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = (hash >> 32) << 32 | u64::from(index_plus_one);
    }
}
