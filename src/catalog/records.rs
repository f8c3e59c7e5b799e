//! RRsets in wire form, ready to be copied into a reply.
//!
//! Owners and the ends of names inside record data are compression pointers (RFC 1035 section 4.1.4) whose places
//! are known beforehand ([`super::compression`]). Writing an RRset is one copy, and two octets for each pointer.

use super::compression::{Compressor, PointerSite, name_length};
use super::names::NodeId;
use crate::dns::reply::{RECORD_HEADER, record_header};
use crate::dns::{Name, RecordType};

/// One RRset ready to be copied.
#[derive(Debug, Clone)]
pub struct WireRrset {
    /// Type.
    pub rtype: RecordType,
    /// Number of records.
    pub count: u16,
    octets: (u32, u32),
    pointers: (u32, u32),
    targets: (u32, u32),
}

/// Which records of a name belong into the additional section.
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
    /// Whether records of this type do.
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

/// A name inside record data of which records belong into the additional section.
#[derive(Debug, Clone, Copy)]
pub struct AdditionalTarget {
    /// Where the name stands, from the start of the RRset; `None`: it is the owner.
    pub at: Option<u32>,
    /// The node of that name.
    pub node: NodeId,
    /// Which of its records.
    pub further: AdditionalRule,
}

/// All RRsets of all zones.
#[derive(Debug, Clone, Default)]
pub struct RrsetTable {
    prepared: Vec<WireRrset>,
    octets: Vec<u8>,
    pointers: Vec<PointerSite>,
    targets: Vec<AdditionalTarget>,
}

/// A name inside record data that is yet to be found in the table.
#[derive(Debug)]
pub struct UnresolvedTarget {
    /// Where it stands, from the start of the RRset; `None`: it is the owner.
    pub at: Option<u32>,
    /// The name.
    pub name: Name,
    /// Which of its records are wanted.
    pub further: AdditionalRule,
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
        self.pointers
            .get(prepared.pointers.0 as usize..prepared.pointers.1 as usize)
            .unwrap_or(&[])
    }

    /// Names of which records belong into the additional section.
    #[inline]
    pub fn targets(&self, prepared: &WireRrset) -> &[AdditionalTarget] {
        self.targets
            .get(prepared.targets.0 as usize..prepared.targets.1 as usize)
            .unwrap_or(&[])
    }

    /// Number of RRsets.
    pub fn len(&self) -> u32 {
        self.prepared.len() as u32
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.prepared.is_empty()
    }

    /// Prepares an RRset; returns its number and the names in it that want further records.
    pub fn prepare<'r>(
        &mut self,
        rtype: RecordType,
        ttl: u32,
        rdata: impl ExactSizeIterator<Item = &'r [u8]>,
        owner: &Name,
    ) -> (u32, Vec<UnresolvedTarget>) {
        let mut wanted = Vec::new();
        let (start, first_pointer) = (self.octets.len(), self.pointers.len() as u32);
        let mut compressor = Compressor::new(owner, rtype, rdata.len());
        let mut count = 0;
        for data in rdata {
            let record = self.octets.len();
            self.octets
                .extend_from_slice(&record_header(0, rtype, ttl, 0));
            compressor.data(rtype, data, start, &mut self.octets, &mut self.pointers);
            let length = (self.octets.len() - record - RECORD_HEADER) as u16;
            self.octets[record + 10..record + 12].copy_from_slice(&length.to_be_bytes());
            let at = (record + RECORD_HEADER - start) as u32;
            if let Some(mut found) = wanted_name(rtype, data, owner) {
                found.at = found.at.map(|skip| at + skip);
                wanted.push(found);
            }
            count += 1;
        }
        self.prepared.push(WireRrset {
            rtype,
            count,
            octets: (start as u32, self.octets.len() as u32),
            pointers: (first_pointer, self.pointers.len() as u32),
            targets: (0, 0),
        });
        (self.prepared.len() as u32 - 1, wanted)
    }

    /// Notes the names of an RRset that were found in the table.
    pub fn set_targets(&mut self, number: u32, targets: impl Iterator<Item = AdditionalTarget>) {
        let first = self.targets.len() as u32;
        self.targets.extend(targets);
        if let Some(prepared) = self.prepared.get_mut(number as usize) {
            prepared.targets = (first, self.targets.len() as u32);
        }
    }
}

/// The name in record data about which a client will ask next; its place is counted from the start of the data.
fn wanted_name(rtype: RecordType, data: &[u8], owner: &Name) -> Option<UnresolvedTarget> {
    let (skip, further) = match rtype {
        RecordType::NS => (0, AdditionalRule::Addresses),
        RecordType::MX => (2, AdditionalRule::Addresses),
        RecordType::SVCB | RecordType::HTTPS => (2, AdditionalRule::AddressesAnd(rtype)),
        RecordType::SRV => (6, AdditionalRule::Addresses),
        RecordType::NAPTR => naptr_replacement(data)?,
        _ => return None,
    };
    let rest = data.get(skip..)?;
    let name = Name::from_wire(rest.get(..name_length(rest))?).ok()?;
    let service_binding = matches!(rtype, RecordType::SVCB | RecordType::HTTPS);
    match name.is_root() {
        // The binding of the owner is what was asked for.
        false if name == *owner => Some(UnresolvedTarget {
            at: Some(skip as u32),
            name,
            further: AdditionalRule::Addresses,
        }),
        false => Some(UnresolvedTarget {
            at: Some(skip as u32),
            name,
            further,
        }),
        // "." in ServiceMode means the owner itself (RFC 9460 section 2.5.2), whose binding is what was asked for.
        true if service_binding && data.get(..2) != Some(&[0, 0]) => Some(UnresolvedTarget {
            at: None,
            name: owner.clone(),
            further: AdditionalRule::Addresses,
        }),
        true => None,
    }
}

/// Where the replacement of a NAPTR record stands, and what its flag says of it: "A" leads to addresses, "S" to SRV
/// (RFC 3403 section 4.1, RFC 3404 section 4.3). `None` for other flags, which lead to no records or to further rules.
fn naptr_replacement(data: &[u8]) -> Option<(usize, AdditionalRule)> {
    // Order and preference, then flags, services and a regular expression, each with its length in front.
    let mut at = 4;
    let flags = data.get(at + 1..at + 1 + usize::from(*data.get(at)?))?;
    for _ in 0..3 {
        at += 1 + usize::from(*data.get(at)?);
    }
    match flags {
        b"A" | b"a" => Some((at, AdditionalRule::Addresses)),
        b"S" | b"s" => Some((at, AdditionalRule::Only(RecordType::SRV))),
        _ => None,
    }
}
