//! The result of reading the files of one zone.
//!
//! The reader collects each record with its place, and the origin that the files state. Nothing is
//! checked yet: `check` tests whether the records make sense together.

use std::path::PathBuf;

use super::error::ZoneError;
use super::store::{RecordPlace, RecordStore};
use crate::dns::Name;
use crate::files::FileRead;

/// The records and the origin that the files of one zone state.
#[derive(Default)]
pub struct ZoneReading {
    /// Every file opened, as the operator would name it; the first is the zone's own.
    pub files: Vec<PathBuf>,
    /// The included files, with the contents that were read.
    pub included: Vec<FileRead>,
    /// All valid records, in the order of the files.
    pub records: RecordStore,
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
