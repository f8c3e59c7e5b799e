//! What the reader collects from the files of one zone: records, each with its place, and what the files state.

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
    /// The type.
    pub rtype: RecordType,
    /// Seconds.
    pub ttl: u32,
    /// Uncompressed wire format.
    pub data: Box<[u8]>,
    /// Where the record starts.
    pub place: RecordPlace,
}

/// What the files of one zone state.
#[derive(Default)]
pub struct ZoneReading {
    /// Every file opened, as the operator would name it; the first is the zone's own.
    pub files: Vec<PathBuf>,
    /// The included ones as they were when they were read.
    pub included: Vec<FileRead>,
    /// All good records in the order they stand.
    pub records: Vec<ZoneRecord>,
    /// What the first `$ORIGIN` before any record names.
    pub stated_origin: Option<Name>,
    /// Whether an SOA was there that could not be read.
    pub saw_wrong_soa: bool,
}

impl ZoneReading {
    /// A mistake or warning at that place.
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
