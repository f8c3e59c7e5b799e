//! Puts an edit of a zone into a compiled catalog, without compiling the rest again.
//!
//! Only what cannot concern any other name is edited: other data of a record, more records of a
//! name, and new names, as long as nothing refers to them. Names that records point at, delegations,
//! aliases, wildcards, names of services and names that are gone need the whole. The result is what
//! compiling all zones anew would give, except for the numbers of nodes and RRsets.

use std::sync::Arc;

use super::catchments::CatchmentCache;
use super::compile::negative_soa;
use super::names::{NamePlace, NameRole, NameTable, NodeId, ZoneId};
use super::prints::rrset_print;
use super::records::{RrsetTable, WireRrset, has_names};
use super::{Catalog, CatalogZone, ClientSample};
use crate::config::Config;
use crate::dns::RecordType;
use crate::dns::name_hash::name_hash;
use crate::zone::{RRset, ZoneEdit};

impl Catalog {
    /// The catalog after these edits of zones, with the services of a configuration that differs in
    /// nothing that concerns zones. `None`: all zones must be compiled.
    pub fn edited(&self, config: &Config, edits: &[ZoneEdit]) -> Option<Catalog> {
        if self.signed.is_some() {
            return None;
        }
        let mut editor = Editor {
            names: self.names.clone(),
            records: self.records.clone(),
            zones: self.zones.clone(),
            pointed_at: &self.pointed_at,
        };
        for edit in edits {
            editor.zone(edit)?;
        }
        let (edited, compiled) = editor.records.octets_of_edits();
        if edited > compiled / 4 {
            // What edits have replaced is still there.
            return None;
        }
        let Editor {
            names,
            records,
            zones,
            ..
        } = editor;
        Some(Catalog {
            names,
            records,
            zones,
            signed: None,
            pointed_at: self.pointed_at.clone(),
            services: CatchmentCache::of(&self.services).compile_services(config, &self.atlas),
            regions: self.regions.clone(),
            atlas: self.atlas.clone(),
            sample: Arc::new(ClientSample::new(config.traffic_sample)),
        })
    }
}

/// A catalog that is being edited.
struct Editor<'c> {
    names: NameTable,
    records: RrsetTable,
    zones: Vec<CatalogZone>,
    pointed_at: &'c [u64],
}

/// The RRsets of one owner, as they are to be.
struct OwnerEdit {
    name: Vec<u8>,
    wire: RrsetTable,
    /// The edited SOA of the zone.
    soa: Option<Vec<u8>>,
    ttl_of_soa: u32,
}

impl OwnerEdit {
    fn rrsets(&self) -> &[WireRrset] {
        self.wire.of((0, self.wire.len()))
    }
}

impl Editor<'_> {
    fn zone(&mut self, edit: &ZoneEdit) -> Option<()> {
        let apex = edit.zone.origin.to_lower();
        let zone = self.names.get(apex.as_wire())?.zone;
        let mut missing = edit.owners.clone();
        let rrsets: Vec<RRset<'_>> = edit.zone.rrsets().collect();
        for of_owner in rrsets.chunk_by(have_one_owner) {
            let owner = owner_edit(of_owner);
            missing.remove(&name_hash(&owner.name));
            self.owner(zone, &owner)?;
        }
        missing.is_empty().then_some(())
    }

    fn owner(&mut self, zone: ZoneId, owner: &OwnerEdit) -> Option<()> {
        let Some(id) = self.names.id(&owner.name) else {
            return self.new_name(zone, owner);
        };
        let node = self.names.node(id)?;
        let before = self.records.of(node.rrsets).to_vec();
        let is_same = before.len() == owner.rrsets().len()
            && before
                .iter()
                .zip(owner.rrsets())
                .all(|(old, new)| self.is_same(old, owner, new));
        if is_same {
            return Some(());
        }
        let is_apex = node.role == NameRole::Apex;
        let is_plain = node.zone == zone
            && matches!(node.role, NameRole::Apex | NameRole::Ordinary)
            && node.cut.is_none()
            && node.service().is_none()
            && node.dname().is_none();
        if !is_plain || !self.may_change(&before, owner, is_apex) {
            return None;
        }
        self.change_print(zone, &before, owner)?;
        self.replace(id, &before, owner)?;
        if let Some(soa) = &owner.soa
            && is_apex
        {
            self.change_soa(zone, soa, owner)?;
        }
        Some(())
    }

    /// Whether the RRsets of an owner may be replaced without a look at other names.
    fn may_change(&self, before: &[WireRrset], owner: &OwnerEdit, is_apex: bool) -> bool {
        let (old_types, new_types) = (types_of(before), types_of(owner.rrsets()));
        for old in before {
            let new = owner.rrsets().iter().find(|new| new.rtype == old.rtype);
            let is_same = new.is_some_and(|new| self.is_same(old, owner, new));
            if !is_same && !is_simple(old.rtype, is_apex) {
                return false;
            }
        }
        for rtype in &new_types {
            if !old_types.contains(rtype) && !is_simple(*rtype, is_apex) {
                return false;
            }
        }
        let is_alias = new_types.contains(&RecordType::CNAME);
        old_types == new_types
            || !(is_alias || has_star(&owner.name) || self.is_pointed_at(&owner.name))
    }

    /// A name that is not in the table; the names between it and the one above are new, too.
    fn new_name(&mut self, zone: ZoneId, owner: &OwnerEdit) -> Option<()> {
        let is_simple = owner.rrsets().iter().all(|it| is_simple(it.rtype, false));
        if !is_simple || has_star(&owner.name) {
            return None;
        }
        let mut rest = &owner.name[..];
        let mut is_new = true;
        while let Some((&length, _)) = rest.split_first() {
            match self.names.get(rest) {
                None if is_new && length > 0 => {
                    if self.is_pointed_at(rest) {
                        return None;
                    }
                }
                Some(above) => {
                    is_new = false;
                    let is_plain = above.zone == zone
                        && matches!(above.role, NameRole::Apex | NameRole::Ordinary)
                        && above.cut.is_none()
                        && above.dname().is_none();
                    if !is_plain {
                        return None;
                    }
                    if above.role == NameRole::Apex {
                        break;
                    }
                }
                None => return None,
            }
            rest = rest.get(1 + usize::from(length)..)?;
        }
        let id = self.names.make(&owner.name, &|_| {
            Some(NamePlace {
                zone,
                is_apex: false,
            })
        });
        self.change_print(zone, &[], owner)?;
        self.replace(id, &[], owner)
    }

    /// Gives a node its new RRsets, behind all others.
    fn replace(&mut self, id: NodeId, before: &[WireRrset], owner: &OwnerEdit) -> Option<()> {
        let first = self.records.len();
        for new in owner.rrsets() {
            let old = before.iter().find(|old| old.rtype == new.rtype);
            match old.filter(|old| self.is_same(old, owner, new)) {
                // It keeps the targets of its names.
                Some(old) => self.records.add_again(old),
                None => self.records.add_other(&owner.wire, new),
            };
        }
        let last = self.records.len();
        self.names.node_mut(id)?.rrsets = (first, last);
        Some(())
    }

    fn change_soa(&mut self, zone: ZoneId, soa: &[u8], owner: &OwnerEdit) -> Option<()> {
        let known = self.zones.get_mut(zone.0 as usize)?;
        let (number, serial) = negative_soa(&owner.name, owner.ttl_of_soa, soa, &mut self.records);
        (known.negative_soa, known.serial) = (number, serial);
        Some(())
    }

    fn change_print(
        &mut self,
        zone: ZoneId,
        before: &[WireRrset],
        owner: &OwnerEdit,
    ) -> Option<()> {
        let mut print = self.zones.get(zone.0 as usize)?.print;
        let part = &mut Vec::new();
        for old in before {
            print = print.wrapping_sub(rrset_print(&owner.name, &self.records, old, part));
        }
        for new in owner.rrsets() {
            print = print.wrapping_add(rrset_print(&owner.name, &owner.wire, new, part));
        }
        self.zones.get_mut(zone.0 as usize)?.print = print;
        Some(())
    }

    fn is_same(&self, old: &WireRrset, owner: &OwnerEdit, new: &WireRrset) -> bool {
        old.rtype == new.rtype
            && self.records.octets(old) == owner.wire.octets(new)
            && self.records.pointers(old) == owner.wire.pointers(new)
    }

    fn is_pointed_at(&self, name: &[u8]) -> bool {
        self.pointed_at.binary_search(&name_hash(name)).is_ok()
    }
}

/// Puts the RRsets of one owner into wire form.
fn owner_edit(rrsets: &[RRset<'_>]) -> OwnerEdit {
    let mut owner = OwnerEdit {
        name: Vec::new(),
        wire: RrsetTable::default(),
        soa: None,
        ttl_of_soa: 0,
    };
    for rrset in rrsets {
        owner.name = rrset.owner().to_ascii_lowercase();
        owner
            .wire
            .prepare(rrset.rtype(), rrset.ttl(), rrset.rdata(), rrset.owner());
        if rrset.rtype() == RecordType::SOA {
            owner.soa = rrset.rdata().next().map(<[u8]>::to_vec);
            owner.ttl_of_soa = rrset.ttl();
        }
    }
    owner
}

fn have_one_owner(a: &RRset<'_>, b: &RRset<'_>) -> bool {
    a.owner().eq_ignore_ascii_case(b.owner())
}

fn types_of(rrsets: &[WireRrset]) -> Vec<RecordType> {
    rrsets.iter().map(|rrset| rrset.rtype).collect()
}

/// Whether records of a type concern their owner alone.
fn is_simple(rtype: RecordType, is_apex: bool) -> bool {
    match rtype {
        RecordType::SOA => is_apex,
        RecordType::DNAME | RecordType::DS => false,
        other => !has_names(other),
    }
}

/// Whether a name has a label `*`, which makes the name above it one with a wildcard.
fn has_star(name: &[u8]) -> bool {
    name.windows(2).any(|octets| octets == b"\x01*")
}
