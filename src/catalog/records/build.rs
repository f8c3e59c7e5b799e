//! Puts RRsets into wire form when zones are compiled.
//!
//! Names in record data are compressed here, as far as that does not depend on the reply. The names
//! whose addresses belong in the additional section are collected on the way, and become nodes when
//! all names are known.

use std::sync::Arc;

use super::{AdditionalRule, AdditionalTarget, RrsetTable, WireRrset};
use crate::catalog::compression::{Compressor, PointerSite, compressible, name_length};
use crate::dns::reply::{RECORD_HEADER, record_header};
use crate::dns::{Name, RecordType};

/// A name in record data whose node is not known yet.
#[derive(Debug)]
pub struct UnresolvedTarget {
    /// Its offset from the start of the RRset; `None`: it is the owner.
    pub at: Option<u32>,
    /// The name.
    pub name: Name,
    /// Which of its records belong in the additional section.
    pub further: AdditionalRule,
}

/// An RRset that was added to the table.
#[derive(Debug)]
pub struct PreparedRrset {
    /// Its number.
    pub number: u32,
    /// The names in its data whose records belong in the additional section.
    pub targets: Vec<UnresolvedTarget>,
}

impl RrsetTable {
    /// Makes room for so many RRsets and octets.
    pub fn reserve(&mut self, rrsets: usize, octets: usize) {
        self.edits.prepared.reserve_exact(rrsets);
        self.edits.octets.reserve_exact(octets);
    }

    /// Makes what was added so far the part that later tables share, and gives back memory that
    /// was kept for more.
    pub fn settle(&mut self) {
        let mut columns = std::mem::take(&mut self.edits);
        columns.prepared.shrink_to_fit();
        columns.octets.shrink_to_fit();
        columns.pointers.shrink_to_fit();
        columns.targets.shrink_to_fit();
        self.base = Arc::new(columns);
    }

    /// Octets that edits have added, and those that were compiled together.
    pub fn octets_of_edits(&self) -> (usize, usize) {
        (self.edits.octets.len(), self.base.octets.len())
    }

    /// Adds an RRset that another table has, which this one is a copy of.
    pub fn add_again(&mut self, rrset: &WireRrset) -> u32 {
        let octets = self.octets(rrset).to_vec();
        let pointers = self.pointers(rrset).to_vec();
        let targets = self.targets(rrset).to_vec();
        let number = self.add_prepared(rrset.rtype, rrset.count, &octets, &pointers);
        self.set_targets(number, targets);
        number
    }

    /// Adds an RRset of another table, without the targets of its names.
    pub fn add_other(&mut self, other: &RrsetTable, rrset: &WireRrset) -> u32 {
        let (octets, pointers) = (other.octets(rrset), other.pointers(rrset));
        self.add_prepared(rrset.rtype, rrset.count, octets, pointers)
    }

    fn add_prepared(
        &mut self,
        rtype: RecordType,
        count: u16,
        octets: &[u8],
        pointers: &[PointerSite],
    ) -> u32 {
        let number = self.len();
        let start = self.base.octets.len() + self.edits.octets.len();
        let first = self.base.pointers.len() + self.edits.pointers.len();
        self.edits.octets.extend_from_slice(octets);
        self.edits.pointers.extend_from_slice(pointers);
        self.edits.prepared.push(WireRrset {
            number,
            rtype,
            count,
            octets: (start as u32, (start + octets.len()) as u32),
            pointers: (first as u32, (first + pointers.len()) as u32),
            targets: (0, 0),
        });
        number
    }

    /// Adds an RRset in wire form; the owner is in wire form, too.
    pub fn prepare<'r>(
        &mut self,
        rtype: RecordType,
        ttl: u32,
        rdata: impl ExactSizeIterator<Item = &'r [u8]>,
        owner: &[u8],
    ) -> PreparedRrset {
        let mut targets = Vec::new();
        let mut count = 0;
        if has_names(rtype) {
            let (mut octets, mut pointers) = (Vec::new(), Vec::new());
            let mut compressor = Compressor::new(owner, rtype, rdata.len());
            for data in rdata {
                let record = octets.len();
                octets.extend_from_slice(&record_header(0, rtype, ttl, 0));
                compressor.data(rtype, data, 0, &mut octets, &mut pointers);
                let length = (octets.len() - record - RECORD_HEADER) as u16;
                octets[record + 10..record + 12].copy_from_slice(&length.to_be_bytes());
                if let Some(mut target) = additional_target(rtype, data, owner) {
                    if let Some(at) = &mut target.at {
                        *at += (record + RECORD_HEADER) as u32;
                    }
                    targets.push(target);
                }
                count += 1;
            }
            let number = self.add_prepared(rtype, count, &octets, &pointers);
            return PreparedRrset { number, targets };
        }
        let number = self.len();
        let start = self.base.octets.len() + self.edits.octets.len();
        let octets = &mut self.edits.octets;
        for data in rdata {
            let header = record_header(0, rtype, ttl, data.len() as u16);
            octets.extend_from_slice(&header);
            octets.extend_from_slice(data);
            count += 1;
        }
        let end = self.base.octets.len() + octets.len();
        self.edits.prepared.push(WireRrset {
            number,
            rtype,
            count,
            octets: (start as u32, end as u32),
            pointers: (0, 0),
            targets: (0, 0),
        });
        PreparedRrset { number, targets }
    }

    /// Sets the targets of an RRset that was just added, once their nodes are known.
    pub fn set_targets(&mut self, number: u32, targets: Vec<AdditionalTarget>) {
        let first = self.base.targets.len() + self.edits.targets.len();
        let last = first + targets.len();
        let place = (number as usize).checked_sub(self.base.prepared.len());
        if let Some(rrset) = place.and_then(|place| self.edits.prepared.get_mut(place)) {
            rrset.targets = (first as u32, last as u32);
            self.edits.targets.extend(targets);
        }
    }
}

/// Whether the data of a type has names that are compressed, or whose records belong in the
/// additional section.
pub fn has_names(rtype: RecordType) -> bool {
    compressible(rtype).1 > 0 || target_place(rtype).is_some()
}

/// Where in the data of a type the name is whose records belong in the additional section, and
/// which of them. In a NAPTR record, the data says so.
fn target_place(rtype: RecordType) -> Option<(usize, AdditionalRule)> {
    match rtype {
        RecordType::NS | RecordType::NAPTR => Some((0, AdditionalRule::Addresses)),
        RecordType::MX => Some((2, AdditionalRule::Addresses)),
        RecordType::SVCB | RecordType::HTTPS => Some((2, AdditionalRule::AddressesAnd(rtype))),
        RecordType::SRV => Some((6, AdditionalRule::Addresses)),
        _ => None,
    }
}

/// The name in record data that a client asks about next. Its offset is counted from the start of
/// the data.
fn additional_target(rtype: RecordType, data: &[u8], owner: &[u8]) -> Option<UnresolvedTarget> {
    let (skip, further) = match rtype {
        RecordType::NAPTR => naptr_replacement(data)?,
        _ => target_place(rtype)?,
    };
    let owner = Name::from_wire(owner).ok()?;
    let rest = data.get(skip..)?;
    let name = Name::from_wire(rest.get(..name_length(rest))?).ok()?;
    if name.is_root() {
        // "." in ServiceMode means the owner itself (RFC 9460 section 2.5.2). Its binding is what
        // was asked for, so only its addresses are added.
        let is_binding = matches!(rtype, RecordType::SVCB | RecordType::HTTPS);
        return (is_binding && data.get(..2) != Some(&[0, 0])).then_some(UnresolvedTarget {
            at: None,
            name: owner,
            further: AdditionalRule::Addresses,
        });
    }
    // A binding at the owner itself is in the answer already.
    let further = if name == owner {
        AdditionalRule::Addresses
    } else {
        further
    };
    Some(UnresolvedTarget {
        at: Some(skip as u32),
        name,
        further,
    })
}

/// The offset of the replacement in a NAPTR record, and the records that its flag leads to: "A" to
/// addresses, "S" to SRV (RFC 3403 section 4.1, RFC 3404 section 4.3). `None` for other flags,
/// which lead to no records or to further rules.
fn naptr_replacement(data: &[u8]) -> Option<(usize, AdditionalRule)> {
    // Order and preference, then flags, services and a regular expression, each with its length in
    // front.
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
