//! The records of a zone, packed: a few large blocks of memory instead of several small ones for
//! each record.
//!
//! Owners and record data lie one behind the other in one vector of octets; a record is a row of
//! numbers that says where. Records that follow one another usually have the same owner, which is
//! kept once. A zone of a million records would otherwise make three million allocations, which
//! take longer than reading the text and leave gaps that no later block fits into.

use crate::dns::{Name, RecordType};

/// Where a record starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// Index in [`ZoneReading::files`](super::reading::ZoneReading::files).
    pub file: u16,
    /// Line, from 1.
    pub line: u32,
    /// Column in octets, from 1.
    pub column: u32,
}

/// Where an owner is in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerId(u32);

/// A record as numbers, which say where its owner and data lie.
#[derive(Debug, Clone, Copy)]
pub struct PackedRecord {
    /// Where the owner is: an octet with its length, then its wire form.
    pub owner: OwnerId,
    data: u32,
    length: u16,
    /// The record type.
    pub rtype: RecordType,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Line, from 1, in its file.
    pub line: u32,
    /// Column in octets, from 1; at most 65,535.
    column: u16,
    file: u16,
}

/// One record as a file states it.
#[derive(Debug, Clone, Copy)]
pub struct ZoneRecord<'s> {
    /// The owner in uncompressed wire form, as written.
    pub owner: &'s [u8],
    /// The record type.
    pub rtype: RecordType,
    /// Uncompressed wire format.
    pub data: &'s [u8],
    /// Where the record starts.
    pub place: RecordPlace,
}

impl ZoneRecord<'_> {
    /// The owner as a name.
    pub fn name(&self) -> Name {
        Name::from_wire(self.owner).unwrap_or_else(|_| Name::root())
    }
}

/// A store would need more octets than 32 bits can count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreFull;

/// Records with their owners and data.
#[derive(Debug, Clone, Default)]
pub struct RecordStore {
    octets: Vec<u8>,
    records: Vec<PackedRecord>,
}

impl RecordStore {
    /// An empty store with room for so many octets and records.
    pub fn with_capacity(octets: usize, records: usize) -> RecordStore {
        RecordStore {
            octets: Vec::with_capacity(octets),
            records: Vec::with_capacity(records),
        }
    }

    /// Adds an owner, given in wire form.
    ///
    /// # Errors
    /// There is no room.
    pub fn add_owner(&mut self, wire: &[u8]) -> Result<OwnerId, StoreFull> {
        let at = self.place_for(1 + wire.len())?;
        // A name has at most 255 octets.
        self.octets.push(wire.len() as u8);
        self.octets.extend_from_slice(wire);
        Ok(OwnerId(at))
    }

    /// Adds a record of an owner of this store.
    ///
    /// # Errors
    /// There is no room.
    pub fn add(
        &mut self,
        owner: OwnerId,
        (rtype, ttl): (RecordType, u32),
        data: &[u8],
        place: RecordPlace,
    ) -> Result<(), StoreFull> {
        let at = self.place_for(data.len())?;
        self.octets.extend_from_slice(data);
        self.records.push(PackedRecord {
            owner,
            data: at,
            length: data.len() as u16,
            rtype,
            ttl,
            line: place.line,
            column: u16::try_from(place.column).unwrap_or(u16::MAX),
            file: place.file,
        });
        Ok(())
    }

    /// Adds all records of another store, whose text starts so many lines below.
    ///
    /// # Errors
    /// There is no room.
    pub fn append(&mut self, other: &RecordStore, lines: u32) -> Result<(), StoreFull> {
        let start = self.place_for(other.octets.len())?;
        self.octets.extend_from_slice(&other.octets);
        self.records.reserve(other.records.len());
        for record in &other.records {
            self.records.push(PackedRecord {
                owner: OwnerId(record.owner.0 + start),
                data: record.data + start,
                line: record.line + lines,
                ..*record
            });
        }
        Ok(())
    }

    /// Where so many more octets go.
    fn place_for(&self, octets: usize) -> Result<u32, StoreFull> {
        let end = self.octets.len() + octets;
        match (u32::try_from(self.octets.len()), u32::try_from(end)) {
            (Ok(start), Ok(_)) => Ok(start),
            _ => Err(StoreFull),
        }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Every record.
    pub fn records(&self) -> &[PackedRecord] {
        &self.records
    }

    /// The wire form of an owner.
    pub fn owner(&self, id: OwnerId) -> &[u8] {
        let at = id.0 as usize;
        &self.octets[at + 1..at + 1 + usize::from(self.octets[at])]
    }

    /// The data of a record.
    pub fn data(&self, record: &PackedRecord) -> &[u8] {
        let at = record.data as usize;
        &self.octets[at..at + usize::from(record.length)]
    }

    /// Replaces octets of a record's data that end so many octets before its end.
    pub fn overwrite(&mut self, record: &PackedRecord, from_end: usize, octets: &[u8]) {
        let end = (record.data as usize + usize::from(record.length)).checked_sub(from_end);
        let start = end.and_then(|end| end.checked_sub(octets.len()));
        if let (Some(start), Some(end)) = (start, end)
            && start >= record.data as usize
            && let Some(place) = self.octets.get_mut(start..end)
        {
            place.copy_from_slice(octets);
        }
    }

    /// A record of this store with everything that belongs to it.
    pub fn view(&self, record: &PackedRecord) -> ZoneRecord<'_> {
        ZoneRecord {
            owner: self.owner(record.owner),
            rtype: record.rtype,
            data: self.data(record),
            place: RecordPlace {
                file: record.file,
                line: record.line,
                column: record.column.into(),
            },
        }
    }

    /// Whether two records have the same owner, whatever its case.
    pub fn same_owner(&self, one: &PackedRecord, other: &PackedRecord) -> bool {
        one.owner == other.owner
            || self
                .owner(one.owner)
                .eq_ignore_ascii_case(self.owner(other.owner))
    }

    /// The same octets with other records of them.
    pub fn with_records(self, records: Vec<PackedRecord>) -> RecordStore {
        RecordStore {
            octets: self.octets,
            records,
        }
    }

    /// Takes the records out, to be given back by [`RecordStore::with_records`].
    pub fn take_records(&mut self) -> Vec<PackedRecord> {
        std::mem::take(&mut self.records)
    }

    /// Gives back memory that was kept for more records.
    pub fn shrink(&mut self) {
        self.octets.shrink_to_fit();
        self.records.shrink_to_fit();
    }
}
