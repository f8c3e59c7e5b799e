//! RRsets in wire form, ready to be copied into a reply.
//!
//! Owners and the zone's own name inside record data are compression pointers (RFC 1035 section 4.1.4) whose places
//! are known beforehand: the question always holds the name asked for, and so the zone's name at its end. Writing an
//! RRset is one copy, and two octets for each pointer.

use super::names::NodeId;
use crate::dns::reply::{RECORD_HEADER, record_header};
use crate::dns::{Name, RecordType};

/// One RRset ready to be copied.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Type.
    pub rtype: RecordType,
    /// Number of records.
    pub count: u16,
    octets: (u32, u32),
    apex_pointers: (u32, u32),
    targets: (u32, u32),
}

/// A name inside record data whose addresses belong into the additional section.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Where the name stands, from the start of the RRset; `None`: it is the owner.
    pub at: Option<u32>,
    /// The node of that name.
    pub node: NodeId,
}

/// All RRsets of all zones.
#[derive(Debug, Clone, Default)]
pub struct Records {
    prepared: Vec<Prepared>,
    octets: Vec<u8>,
    apex_pointers: Vec<u16>,
    targets: Vec<Target>,
}

/// A name inside record data that is yet to be found in the table.
#[derive(Debug)]
pub struct Wanted {
    /// Where it stands, from the start of the RRset; `None`: it is the owner.
    pub at: Option<u32>,
    /// The name.
    pub name: Name,
}

impl Records {
    /// An RRset by number.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&Prepared> {
        self.prepared.get(number as usize)
    }

    /// The RRsets of a node.
    #[inline]
    pub fn of(&self, rrsets: (u32, u32)) -> &[Prepared] {
        self.prepared.get(rrsets.0 as usize..rrsets.1 as usize).unwrap_or(&[])
    }

    /// Wire form, pointers blank.
    #[inline]
    pub fn octets(&self, prepared: &Prepared) -> &[u8] {
        self.octets.get(prepared.octets.0 as usize..prepared.octets.1 as usize).unwrap_or(&[])
    }

    /// Where a pointer to the zone's apex belongs, from the start of the RRset.
    #[inline]
    pub fn apex_pointers(&self, prepared: &Prepared) -> &[u16] {
        self.apex_pointers.get(prepared.apex_pointers.0 as usize..prepared.apex_pointers.1 as usize).unwrap_or(&[])
    }

    /// Names whose addresses belong into the additional section.
    #[inline]
    pub fn targets(&self, prepared: &Prepared) -> &[Target] {
        self.targets.get(prepared.targets.0 as usize..prepared.targets.1 as usize).unwrap_or(&[])
    }

    /// Number of RRsets.
    pub fn len(&self) -> u32 {
        self.prepared.len() as u32
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.prepared.is_empty()
    }

    /// Prepares an RRset of a zone; returns its number and the names in it that want addresses.
    pub fn prepare<'r>(
        &mut self,
        rtype: RecordType,
        ttl: u32,
        rdata: impl Iterator<Item = &'r [u8]>,
        origin: &Name,
        owner: &Name,
    ) -> (u32, Vec<Wanted>) {
        let mut wanted = Vec::new();
        let (start, first_pointer) = (self.octets.len(), self.apex_pointers.len() as u32);
        let mut count = 0;
        for data in rdata {
            let record = self.octets.len();
            self.octets.extend_from_slice(&record_header(0, rtype, ttl, 0));
            self.data(start, rtype, data, origin);
            let length = (self.octets.len() - record - RECORD_HEADER) as u16;
            self.octets[record + 10..record + 12].copy_from_slice(&length.to_be_bytes());
            let at = (record + RECORD_HEADER - start) as u32;
            wanted.extend(
                wanted_name(rtype, data, owner).map(|(skip, name)| Wanted { at: skip.map(|skip| at + skip), name }),
            );
            count += 1;
        }
        self.prepared.push(Prepared {
            rtype,
            count,
            octets: (start as u32, self.octets.len() as u32),
            apex_pointers: (first_pointer, self.apex_pointers.len() as u32),
            targets: (0, 0),
        });
        (self.prepared.len() as u32 - 1, wanted)
    }

    /// Record data with the names in it shortened where RFC 3597 section 4 allows that.
    fn data(&mut self, start: usize, rtype: RecordType, data: &[u8], origin: &Name) {
        let (skip, names) = compressible(rtype);
        let (fixed, mut rest) = data.split_at(skip.min(data.len()));
        self.octets.extend_from_slice(fixed);
        for _ in 0..names {
            let length = name_length(rest);
            let (name, after) = rest.split_at(length);
            self.name(start, name, origin);
            rest = after;
        }
        self.octets.extend_from_slice(rest);
    }

    /// A name in full, or its labels below the apex and a pointer to that.
    fn name(&mut self, start: usize, wire: &[u8], origin: &Name) {
        let apex = origin.as_wire();
        let keeps = wire.len().checked_sub(apex.len());
        let within = Name::from_wire(wire).is_ok_and(|name| name.is_within(origin));
        match keeps.and_then(|keeps| wire.get(..keeps)) {
            Some(labels) if within && !origin.is_root() => {
                self.octets.extend_from_slice(labels);
                self.apex_pointers.push((self.octets.len() - start) as u16);
                self.octets.extend_from_slice(&[0, 0]);
            }
            _ => self.octets.extend_from_slice(wire),
        }
    }

    /// Notes the names of an RRset that were found in the table.
    pub fn set_targets(&mut self, number: u32, targets: impl Iterator<Item = Target>) {
        let first = self.targets.len() as u32;
        self.targets.extend(targets);
        if let Some(prepared) = self.prepared.get_mut(number as usize) {
            prepared.targets = (first, self.targets.len() as u32);
        }
    }
}

/// Octets before the names that may be compressed, and how many names there are (RFC 1035 section 3.3).
fn compressible(rtype: RecordType) -> (usize, usize) {
    match rtype {
        RecordType::NS | RecordType::CNAME | RecordType::PTR => (0, 1),
        RecordType::MD | RecordType::MF | RecordType::MB | RecordType::MG | RecordType::MR => (0, 1),
        RecordType::SOA | RecordType::MINFO => (0, 2),
        RecordType::MX => (2, 1),
        _ => (0, 0),
    }
}

/// The name in record data whose addresses a client will want next, and how many octets stand before it
/// (`None`: it is the owner, and does not stand in the data).
fn wanted_name(rtype: RecordType, data: &[u8], owner: &Name) -> Option<(Option<u32>, Name)> {
    let skip = match rtype {
        RecordType::NS => 0,
        RecordType::MX | RecordType::SVCB | RecordType::HTTPS => 2,
        RecordType::SRV => 6,
        _ => return None,
    };
    let rest = data.get(skip..)?;
    let name = Name::from_wire(rest.get(..name_length(rest))?).ok()?;
    let service_binding = matches!(rtype, RecordType::SVCB | RecordType::HTTPS);
    match name.is_root() {
        false => Some((Some(skip as u32), name)),
        // "." in ServiceMode means the owner itself (RFC 9460 section 2.5.2).
        true if service_binding && data.get(..2) != Some(&[0, 0]) => Some((None, owner.clone())),
        true => None,
    }
}

/// Octets of the uncompressed name at the start of `wire`.
fn name_length(wire: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&length) = wire.get(at) {
        at += 1 + usize::from(length);
        if length == 0 {
            break;
        }
    }
    at.min(wire.len())
}
