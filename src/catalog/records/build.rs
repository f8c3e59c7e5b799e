//! Puts RRsets into wire form when zones are compiled.

use super::{AdditionalRule, AdditionalTarget, RrsetNames, RrsetTable, WireRrset};
use crate::catalog::compression::{Compressor, compressible, name_length};
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
        self.prepared.reserve_exact(rrsets);
        self.octets.reserve_exact(octets);
    }

    /// Gives back memory that was kept for more records.
    pub fn shrink(&mut self) {
        self.prepared.shrink_to_fit();
        self.octets.shrink_to_fit();
        self.names.shrink_to_fit();
        self.pointers.shrink_to_fit();
        self.targets.shrink_to_fit();
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
        let start = self.octets.len();
        let mut count = 0;
        let mut names = 0;
        if has_names(rtype) {
            let first_pointer = self.pointers.len() as u32;
            let mut compressor = Compressor::new(owner, rtype, rdata.len());
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
            self.names.push(RrsetNames {
                pointers: (first_pointer, self.pointers.len() as u32),
                targets: (0, 0),
            });
            names = self.names.len() as u32;
        } else {
            for data in rdata {
                let header = record_header(0, rtype, ttl, data.len() as u16);
                self.octets.extend_from_slice(&header);
                self.octets.extend_from_slice(data);
                count += 1;
            }
        }
        let number = self.len();
        self.prepared.push(WireRrset {
            rtype,
            count,
            octets: (start as u32, self.octets.len() as u32),
            names,
        });
        PreparedRrset { number, targets }
    }

    /// Sets the targets of an RRset, once their nodes are known.
    pub fn set_targets(&mut self, number: u32, targets: Vec<AdditionalTarget>) {
        let first = self.targets.len() as u32;
        self.targets.extend(targets);
        let last = self.targets.len() as u32;
        if let Some(prepared) = self.prepared.get(number as usize)
            && let Some(names) = self
                .names
                .get_mut((prepared.names as usize).wrapping_sub(1))
        {
            names.targets = (first, last);
        }
    }
}

/// Whether the data of a type has names that are compressed, or whose records belong in the
/// additional section.
fn has_names(rtype: RecordType) -> bool {
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
    // The binding of the owner is what was asked for.
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
