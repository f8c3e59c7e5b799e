//! Zones: RFC 1035 master files, read and checked. What comes out is data only; `answer::world` compiles it.

use std::path::PathBuf;

use crate::dns::{Name, RecordType};

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
