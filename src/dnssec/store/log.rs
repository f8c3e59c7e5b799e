//! The octets of a store: a header, and records one behind the other.
//!
//! A record is its length (2 octets), a CRC-32C of length and content (4), the digest (20), inception
//! and expiration (4 each), and the signature. All numbers are in network order. The highest bit of
//! the length is set in the first of the signatures that were made together, those of a part of a
//! zone and one slot of renewal. A store that was cut off or damaged is read up to the first record that is not whole: what
//! follows is made again.

use std::sync::Arc;

use super::StoredSignature;
use crate::dnssec::crc32c::crc32c;
use crate::dnssec::signed_data::DIGEST;
use crate::dnssec::{SignatureDigest, ValidityPeriod};

/// What every store begins with: a name and the version of the format.
pub const HEADER: [u8; 16] = *b"Meridian sigs\0\0\x02";
/// Octets of length and checksum.
const FRAME: usize = 6;
/// Octets of a record beside the signature.
pub const OVERHEAD: usize = FRAME + DIGEST + 8;
/// Octets of the longest signature, one of RSA with 4096 bits.
pub const LONGEST: usize = 512;

/// The bit of a length that says "the first of those that were made together".
const FIRST: u16 = 0x8000;

/// The header and the records of a store.
#[derive(Debug)]
pub struct StoreLog {
    /// What the store was made from. It never changes, so other threads may look at it.
    read: Arc<Vec<u8>>,
    /// What was added since then.
    added: Vec<u8>,
}

impl StoreLog {
    /// A log of these octets.
    pub fn new(read: Vec<u8>) -> StoreLog {
        StoreLog {
            read: Arc::new(read),
            added: Vec::new(),
        }
    }

    /// What the store was made from.
    pub fn read(&self) -> &Arc<Vec<u8>> {
        &self.read
    }

    /// Octets of all.
    pub fn len(&self) -> usize {
        self.read.len().saturating_add(self.added.len())
    }

    /// Both parts, one behind the other.
    pub fn pieces(&self) -> [&[u8]; 2] {
        [&self.read, &self.added]
    }

    /// All octets from a place on that was the end once.
    pub fn since(&self, place: usize) -> Option<&[u8]> {
        self.added.get(place.checked_sub(self.read.len())?..)
    }

    /// The record at a place where a whole one is.
    pub fn record(&self, at: usize) -> Option<LogRecord<'_>> {
        match at.checked_sub(self.read.len()) {
            Some(at) => LogRecord::trusted(&self.added, at),
            None => LogRecord::trusted(&self.read, at),
        }
    }

    /// The digest of the record at a place where a whole one is.
    pub fn digest_at(&self, at: u32) -> Option<SignatureDigest> {
        self.record(at as usize).map(|record| record.digest)
    }

    /// Every record with its place.
    pub fn records(&self) -> impl Iterator<Item = (usize, LogRecord<'_>)> {
        let mut at = HEADER.len();
        std::iter::from_fn(move || {
            let record = self.record(at)?;
            let place = at;
            at += record.octets.len();
            Some((place, record))
        })
    }

    /// Adds whole records.
    pub fn add(&mut self, records: &[u8]) {
        self.added.extend_from_slice(records);
    }
}

/// A record of a store.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'l> {
    /// Whether it is the first of those that were made together.
    pub is_first: bool,
    /// Its digest.
    pub digest: SignatureDigest,
    /// The signature.
    pub stored: StoredSignature<'l>,
    /// The whole record.
    pub octets: &'l [u8],
}

impl<'l> LogRecord<'l> {
    /// The digest of the record at a place of a store where a whole one is.
    pub fn digest_at(log: &'l [u8], at: u32) -> Option<SignatureDigest> {
        LogRecord::trusted(log, at as usize).map(|record| record.digest)
    }

    /// The record at a place of a store. `None` if it is not whole.
    pub fn checked(log: &'l [u8], at: usize) -> Option<LogRecord<'l>> {
        let record = LogRecord::trusted(log, at)?;
        let (length, after) = record.octets.split_first_chunk::<2>()?;
        let (sum, content) = after.split_first_chunk::<4>()?;
        (checksum(*length, content) == u32::from_be_bytes(*sum)).then_some(record)
    }

    /// The record at a place where a whole one is.
    pub fn trusted(log: &'l [u8], at: usize) -> Option<LogRecord<'l>> {
        let rest = log.get(at..)?;
        let length = u16::from_be_bytes(*rest.first_chunk::<2>()?);
        let octets = rest.get(..FRAME + usize::from(length & !FIRST))?;
        let (digest, after) = octets.get(FRAME..)?.split_first_chunk::<DIGEST>()?;
        let (inception, after) = after.split_first_chunk::<4>()?;
        let (expiration, signature) = after.split_first_chunk::<4>()?;
        let times = ValidityPeriod {
            inception: u32::from_be_bytes(*inception),
            expiration: u32::from_be_bytes(*expiration),
        };
        Some(LogRecord {
            is_first: length & FIRST != 0,
            digest: SignatureDigest(*digest),
            stored: StoredSignature { times, signature },
            octets,
        })
    }
}

/// The records from a place on, up to the first that is not whole.
pub fn whole_records(log: &[u8], mut at: usize) -> impl Iterator<Item = LogRecord<'_>> {
    std::iter::from_fn(move || {
        let record = LogRecord::checked(log, at)?;
        at += record.octets.len();
        Some(record)
    })
}

/// The checksum of a record, which covers its length.
fn checksum(length: [u8; 2], content: &[u8]) -> u32 {
    // The length is mixed in, so that the content need not be copied behind it.
    crc32c(content) ^ crc32c(&length)
}

/// Appends a record of a signature of at most [`LONGEST`] octets.
pub fn append(
    log: &mut Vec<u8>,
    is_first: bool,
    digest: &SignatureDigest,
    StoredSignature { times, signature }: StoredSignature<'_>,
) {
    let start = log.len();
    let first = if is_first { FIRST } else { 0 };
    let length = ((DIGEST + 8 + signature.len()) as u16 | first).to_be_bytes();
    log.extend_from_slice(&length);
    log.extend_from_slice(&[0; 4]);
    log.extend_from_slice(&digest.0);
    log.extend_from_slice(&times.inception.to_be_bytes());
    log.extend_from_slice(&times.expiration.to_be_bytes());
    log.extend_from_slice(signature);
    let sum = log
        .get(start + FRAME..)
        .map(|content| checksum(length, content));
    if let (Some(place), Some(sum)) = (log.get_mut(start + 2..start + FRAME), sum) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}
