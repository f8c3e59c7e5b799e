//! Zones: RFC 1035 master files, read and checked.
//!
//! `load` reads one file or every `*.zone` of a folder. Text becomes words (`scanner`), words
//! become records (`read`), record data becomes wire format (`data`), and `check` tests whether the
//! records make sense together. All mistakes of all files are reported at once, each with its file,
//! line and column. The result is plain data in canonical order; `catalog` compiles it for
//! answering.

mod binding;
mod check;
mod class;
mod data;
mod difference;
mod error;
mod fields;
mod generate;
mod known;
mod known_folder;
mod load;
mod location;
mod mnemonics;
mod order;
mod rare;
mod read;
mod reading;
mod rrsets;
mod scanner;
mod store;
#[cfg(test)]
mod testing;
mod words;

use std::path::PathBuf;

use crate::dns::{Name, RecordType};
use crate::files::FileRead;
pub use difference::{RecordChange, differences};
pub use error::{MAX_REPORTED, ZoneError};
pub use known::{OwnerHashes, ZoneEdit};
pub use known_folder::{FolderEdits, KnownFolder};
pub use load::{files_in, load_directory, load_text};
use scanner::{ScanFault, Token};
pub use store::StoreFull;
use store::{PackedRecord, RecordPlace, RecordStore};

/// Octets of the five numbers at the end of an SOA, of which SERIAL is the first (RFC 1035 section
/// 3.3.13).
const SOA_NUMBERS: usize = 20;

/// Zones that loaded without a mistake.
#[derive(Debug, Clone, Default)]
pub struct LoadedZones {
    /// In the order of their files.
    pub zones: Vec<Zone>,
    /// What is odd but served; by file, line and column.
    pub warnings: Vec<ZoneError>,
    /// Name servers, mail exchangers and service hosts inside their zone that have no address in
    /// it, and the warning for each. These are separate, because a service may answer for the name:
    /// a caller that knows the services reports only the names that no service answers.
    pub missing_addresses: Vec<(Name, ZoneError)>,
    /// Every file that was read, those that are included too.
    pub files: Vec<FileRead>,
    /// What the next load can find edits with; `None`: it must read everything.
    pub known: Option<KnownFolder>,
}

/// One zone as its master file states it: checked, in canonical order, nothing compiled yet.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The apex.
    pub origin: Name,
    /// The file that states it.
    pub file: PathBuf,
    /// Every record, joined to RRsets.
    records: RecordStore,
}

impl Zone {
    /// Every RRset, sorted by owner (canonical order), then type. Glue and occluded data included.
    pub fn rrsets(&self) -> impl Iterator<Item = RRset<'_>> {
        let records = self.records.records();
        let mut next = 0;
        std::iter::from_fn(move || {
            let first = records.get(next)?;
            let start = next;
            next += 1;
            while records
                .get(next)
                .is_some_and(|it| it.owner == first.owner && it.rtype == first.rtype)
            {
                next += 1;
            }
            Some(RRset {
                store: &self.records,
                first,
                number: start as u32,
                count: (next - start) as u32,
            })
        })
    }

    /// An RRset by the [number](RRset::number) of its first record and its [size](RRset::count);
    /// `None`: there are no such records.
    pub fn rrset(&self, number: u32, count: u32) -> Option<RRset<'_>> {
        Some(RRset {
            store: &self.records,
            first: self.records.records().get(number as usize)?,
            number,
            count,
        })
    }

    /// Adds an RRset of the apex that the file does not have, such as its DNSKEY records.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn add_at_apex(
        &mut self,
        rtype: RecordType,
        ttl: u32,
        rdata: &[Vec<u8>],
    ) -> Result<(), StoreFull> {
        let origin = self.origin.clone();
        self.add_records(&origin, rtype, ttl, rdata)
    }

    /// Adds an RRset that the file does not have to a name of the zone.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn add_records(
        &mut self,
        name: &Name,
        rtype: RecordType,
        ttl: u32,
        rdata: &[Vec<u8>],
    ) -> Result<(), StoreFull> {
        let owner = self.records.add_owner(name.as_wire())?;
        let place = RecordPlace {
            file: 0,
            line: 0,
            column: 0,
        };
        for data in rdata {
            self.records.add(owner, (rtype, ttl), data, place)?;
        }
        Ok(())
    }

    /// Removes the RRset of a type at the apex, and returns its data.
    pub fn take_at_apex(&mut self, rtype: RecordType) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        let mut records = self.records.take_records();
        records.retain(|record| {
            if record.rtype != rtype {
                return true;
            }
            let owner = self.records.owner(record.owner);
            let is_taken = owner.eq_ignore_ascii_case(self.origin.as_wire());
            if is_taken {
                taken.push(self.records.data(record).to_vec());
            }
            !is_taken
        });
        self.records = std::mem::take(&mut self.records).with_records(records);
        taken
    }

    /// The size of what it holds.
    pub fn extent(&self) -> ZoneExtent {
        let mut extent = ZoneExtent {
            records: self.records.len(),
            ..ZoneExtent::default()
        };
        let mut last = None;
        for record in self.records.records() {
            extent.data_octets += self.records.data(record).len();
            if last != Some(record.owner) {
                last = Some(record.owner);
                extent.owners += 1;
                extent.owner_octets += self.records.owner(record.owner).len();
            }
        }
        extent
    }

    /// The RRsets of the apex, which comes first in canonical order.
    fn at_the_apex(&self) -> impl Iterator<Item = RRset<'_>> {
        let apex = self.origin.as_wire();
        self.rrsets()
            .take_while(|rrset| rrset.owner().eq_ignore_ascii_case(apex))
    }

    /// The RRset of a type at the apex.
    pub fn rrset_at_apex(&self, rtype: RecordType) -> Option<RRset<'_>> {
        self.at_the_apex().find(|rrset| rrset.rtype() == rtype)
    }

    /// The SOA RRset at the apex.
    pub fn soa(&self) -> Option<RRset<'_>> {
        self.rrset_at_apex(RecordType::SOA)
    }

    /// Whether the file has signatures of the zone: RRSIG records at the apex.
    pub fn is_presigned(&self) -> bool {
        self.rrset_at_apex(RecordType::RRSIG).is_some()
    }

    /// SERIAL of the SOA. `None`: there is no whole SOA.
    pub fn serial(&self) -> Option<u32> {
        let serial = self.soa()?.rdata().next()?.last_chunk::<SOA_NUMBERS>()?;
        Some(u32::from_be_bytes(*serial.first_chunk()?))
    }

    /// Replaces SERIAL of the SOA.
    pub fn set_serial(&mut self, serial: u32) {
        let Some(soa) = self.soa().map(|soa| *soa.first) else {
            return;
        };
        let behind = SOA_NUMBERS - size_of::<u32>();
        self.records.overwrite(&soa, behind, &serial.to_be_bytes());
    }

    /// Line of the SOA, and how long resolvers keep a negative answer, in seconds (RFC 2308 section
    /// 5): the lesser of its TTL and MINIMUM. `None`: there is no whole SOA.
    pub fn denial_ttl(&self) -> Option<(u32, u32)> {
        let soa = self.soa()?;
        let minimum = soa.rdata().next()?.last_chunk::<4>()?;
        Some((soa.line(), soa.ttl().min(u32::from_be_bytes(*minimum))))
    }
}

/// The size of a zone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ZoneExtent {
    /// Owners, counted again where their case changes.
    pub owners: usize,
    /// Octets of their names.
    pub owner_octets: usize,
    /// Records.
    pub records: usize,
    /// Octets of the data of all records.
    pub data_octets: usize,
}

/// All records of one owner and type.
#[derive(Debug, Clone, Copy)]
pub struct RRset<'z> {
    store: &'z RecordStore,
    first: &'z PackedRecord,
    number: u32,
    count: u32,
}

impl<'z> RRset<'z> {
    /// The owner in wire form, in the case of its first record.
    pub fn owner(&self) -> &'z [u8] {
        self.store.owner(self.first.owner)
    }

    /// The owner as a name.
    pub fn name(&self) -> Name {
        Name::from_wire(self.owner()).unwrap_or_else(|_| Name::root())
    }

    /// Record type.
    pub fn rtype(&self) -> RecordType {
        self.first.rtype
    }

    /// Seconds, 0..=2^31-1 (RFC 2181 section 8).
    pub fn ttl(&self) -> u32 {
        self.first.ttl
    }

    /// Line of the first record in its file, from 1.
    pub fn line(&self) -> u32 {
        self.first.line
    }

    /// Number of its first record in the zone.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Number of its records.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Record data in uncompressed wire form, each once.
    pub fn rdata(&self) -> impl ExactSizeIterator<Item = &'z [u8]> + Clone + use<'z> {
        let (first, store) = (self.number as usize, self.store);
        let records = store.records();
        let end = records.len().min(first + self.count as usize);
        records[first..end].iter().map(|record| store.data(record))
    }
}

/// The data of one record in presentation form, all names in it absolute, as uncompressed wire
/// form.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_data(rtype: RecordType, text: &str) -> Result<Box<[u8]>, String> {
    let place = Token {
        text: b"",
        quoted: false,
        joined: false,
        line: 1,
        column: 1,
    };
    let words =
        generate::words_of(text.as_bytes(), place).map_err(|fault: ScanFault| fault.sentence)?;
    let mut wire = Vec::new();
    data::parse(rtype, &words, None, place, &mut wire).map_err(|fault| fault.sentence)?;
    Ok(wire.into_boxed_slice())
}
