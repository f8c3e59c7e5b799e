//! The result of reading the files of one zone.
//!
//! The reader collects each record with its place, and the origin that the files state. Nothing is
//! checked yet: `check` tests whether the records make sense together.

use std::path::PathBuf;

use super::error::ZoneError;
use crate::dns::{Name, RecordType};
use crate::files::FileRead;

/// Where a record starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// Index in [`ZoneReading::files`].
    pub file: u16,
    /// Line, from 1.
    pub line: u32,
    /// Column in octets, from 1.
    pub column: u32,
}

/// One record as a file states it.
#[derive(Debug)]
pub struct ZoneRecord {
    /// The owner.
    pub owner: Name,
    /// Sorts like the owner, see [`canonical_key`](super::order::canonical_key).
    pub key: Box<[u8]>,
    /// The record type.
    pub rtype: RecordType,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Uncompressed wire format.
    pub data: Box<[u8]>,
    /// Where the record starts.
    pub place: RecordPlace,
}

/// The records and the origin that the files of one zone state.
#[derive(Default)]
pub struct ZoneReading {
    /// Every file opened, as the operator would name it; the first is the zone's own.
    pub files: Vec<PathBuf>,
    /// The included files, with the contents that were read.
    pub included: Vec<FileRead>,
    /// All valid records, in the order of the files.
    pub records: Vec<ZoneRecord>,
    /// The name in the first `$ORIGIN`, if it precedes every record.
    pub stated_origin: Option<Name>,
    /// Whether the files have an SOA that could not be read.
    pub saw_wrong_soa: bool,
}

impl ZoneReading {
    /// An error or warning about the record at `place`.
    pub fn finding(&self, place: RecordPlace, sentence: String) -> ZoneError {
        let file = self.files[usize::from(place.file)].clone();
        ZoneError {
            file,
            line: place.line,
            column: place.column,
            sentence,
        }
    }
}
