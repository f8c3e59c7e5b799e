//! Adds names to the table when zones are compiled.
//!
//! The slots hold positions of nodes, and twice as many slots as nodes keep searches short. A name
//! brings the names above it along, so that every ancestor is in the table. Nothing is ever removed:
//! a zone that loses a name is compiled anew.

use super::{NONE, NameNode, NameRole, NameTable, NodeId, ServiceId, ZoneId};
use crate::dns::name_hash::name_hash;

/// The zone of a name, and whether the name is its apex.
#[derive(Debug, Clone, Copy)]
pub struct NamePlace {
    /// The zone.
    pub zone: ZoneId,
    /// Whether the name is the apex of the zone.
    pub is_apex: bool,
}

impl NameNode {
    /// Notes the zone above an apex.
    pub fn set_parent_zone(&mut self, zone: Option<ZoneId>) {
        self.parent_zone = zone.map_or(NONE, |zone| zone.0);
    }

    /// Notes the service of the name.
    pub fn set_service(&mut self, service: ServiceId) {
        self.service = service.0;
    }

    /// Notes the number of the DNAME RRset.
    pub fn set_dname(&mut self, number: Option<u32>) {
        self.dname = number.unwrap_or(NONE);
    }
}

impl NameTable {
    /// Makes room for so many names of so many octets in all.
    pub fn reserve(&mut self, names: usize, octets: usize) {
        self.nodes.reserve_exact(names);
        self.octets.reserve_exact(octets);
        let slots = ((self.nodes.len() + names) * 2).next_power_of_two();
        if slots > self.slots.len() {
            self.grow(slots);
        }
    }

    /// Gives back memory that was kept for more names.
    pub fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.octets.shrink_to_fit();
    }

    /// The index of a lower-cased wire name. A new name is added with all its ancestors.
    ///
    /// `describe` places a name; it returns `None` for a name above all zones.
    pub fn make(&mut self, name: &[u8], describe: &impl Fn(&[u8]) -> Option<NamePlace>) -> NodeId {
        if let Some(id) = self.id(name) {
            return id;
        }
        let mut parent = None;
        if let Some(&length) = name.first()
            && length > 0
        {
            let above = name.get(1 + usize::from(length)..).unwrap_or(&[0]);
            parent = Some(self.make(above, describe));
        }
        let (role, zone) = match describe(name) {
            None => (NameRole::Outside, ZoneId(0)),
            Some(NamePlace {
                zone,
                is_apex: true,
            }) => (NameRole::Apex, zone),
            Some(NamePlace {
                zone,
                is_apex: false,
            }) => (NameRole::Ordinary, zone),
        };
        let above = parent.and_then(|parent| self.node(parent));
        let node = NameNode {
            name_at: 0,
            name_length: 0,
            labels: above.map_or(0, |parent| parent.labels + 1),
            role,
            zone,
            cut: None,
            wildcard: None,
            rrsets: (0, 0),
            parent_zone: NONE,
            service: NONE,
            dname: NONE,
        };
        let id = self.push(name, node);
        if name.starts_with(b"\x01*")
            && let Some(parent) = parent.and_then(|parent| self.node_mut(parent))
        {
            parent.wildcard = Some(id);
        }
        id
    }

    fn push(&mut self, name: &[u8], mut node: NameNode) -> NodeId {
        if (self.nodes.len() + 1) * 2 > self.slots.len() {
            self.grow((self.slots.len() * 2).max(64));
        }
        node.name_at = self.octets.len() as u32;
        node.name_length = name.len() as u8;
        self.octets.extend_from_slice(name);
        self.nodes.push(node);
        let index = self.nodes.len() as u32;
        self.insert(name_hash(name), index);
        NodeId::new(index - 1)
    }

    fn grow(&mut self, slots: usize) {
        self.slots = vec![0; slots];
        for index in 0..self.nodes.len() {
            let hash = name_hash(self.name_of(&self.nodes[index]));
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
