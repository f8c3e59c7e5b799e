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
mod load;
mod location;
mod mnemonics;
mod order;
mod rare;
mod read;
mod reading;
mod rrsets;
mod scanner;
#[cfg(test)]
mod testing;
mod words;

use std::path::PathBuf;

use crate::dns::{Name, RecordType};
use crate::files::FileRead;
pub use difference::{RecordChange, differences};
pub use error::{MAX_REPORTED, ZoneError};
pub use load::{files_in, load_directory, load_text};
use scanner::{ScanFault, Token};

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
}

/// One zone as its master file states it: checked, in canonical order, nothing compiled yet.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The apex.
    pub origin: Name,
    /// The file that states it.
    pub file: PathBuf,
    /// Every RRset, sorted by owner (canonical order), then type. Glue and occluded data included.
    pub rrsets: Vec<RRset>,
}

impl Zone {
    /// Line of the SOA, and how long resolvers keep a negative answer, in seconds (RFC 2308 section
    /// 5): the lesser of its TTL and MINIMUM. `None`: there is no whole SOA.
    pub fn denial_ttl(&self) -> Option<(u32, u32)> {
        let soa = self
            .rrsets
            .iter()
            .find(|rrset| rrset.rtype == RecordType::SOA && rrset.owner == self.origin)?;
        let minimum = soa.rdata.first()?.last_chunk::<4>()?;
        Some((soa.line, soa.ttl.min(u32::from_be_bytes(*minimum))))
    }
}

/// All records of one owner and type.
#[derive(Debug, Clone)]
pub struct RRset {
    /// Owner, in the case of its first record.
    pub owner: Name,
    /// Record type.
    pub rtype: RecordType,
    /// Seconds, 0..=2^31-1 (RFC 2181 section 8).
    pub ttl: u32,
    /// Record data in uncompressed wire form, each once.
    pub rdata: Vec<Box<[u8]>>,
    /// Line of the first record in its file, from 1.
    pub line: u32,
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
    data::parse(rtype, &words, None, place).map_err(|fault| fault.sentence)
}
