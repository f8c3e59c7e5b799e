//! Puts RRsets into wire form when zones are compiled.

use super::{AdditionalRule, AdditionalTarget, RrsetTable, WireRrset};
use crate::catalog::compression::{Compressor, name_length};
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
    /// Adds an RRset in wire form.
    pub fn prepare<'r>(
        &mut self,
        rtype: RecordType,
        ttl: u32,
        rdata: impl ExactSizeIterator<Item = &'r [u8]>,
        owner: &Name,
    ) -> PreparedRrset {
        let mut targets = Vec::new();
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
            if let Some(mut target) = additional_target(rtype, data, owner) {
                if let Some(at) = &mut target.at {
                    *at += (record + RECORD_HEADER - start) as u32;
                }
                targets.push(target);
            }
            count += 1;
        }
        let number = self.len();
        self.prepared.push(WireRrset {
            rtype,
            count,
            octets: (start as u32, self.octets.len() as u32),
            pointers: (first_pointer, self.pointers.len() as u32),
            targets: (0, 0),
        });
        PreparedRrset { number, targets }
    }

    /// Sets the targets of an RRset, once their nodes are known.
    pub fn set_targets(&mut self, number: u32, targets: Vec<AdditionalTarget>) {
        let first = self.targets.len() as u32;
        self.targets.extend(targets);
        if let Some(prepared) = self.prepared.get_mut(number as usize) {
            prepared.targets = (first, self.targets.len() as u32);
        }
    }
}

/// The name in record data that a client asks about next. Its offset is counted from the start of
/// the data.
fn additional_target(rtype: RecordType, data: &[u8], owner: &Name) -> Option<UnresolvedTarget> {
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
    if name.is_root() {
        // "." in ServiceMode means the owner itself (RFC 9460 section 2.5.2). Its binding is what
        // was asked for, so only its addresses are added.
        let is_binding = matches!(rtype, RecordType::SVCB | RecordType::HTTPS);
        return (is_binding && data.get(..2) != Some(&[0, 0])).then(|| UnresolvedTarget {
            at: None,
            name: owner.clone(),
            further: AdditionalRule::Addresses,
        });
    }
    // A binding at the owner itself is in the answer already.
    let further = if name == *owner {
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
