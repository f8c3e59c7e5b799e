//! The octets of a store: a header, and records one behind the other.
//!
//! A record is its length (2 octets), a CRC-32C of length and content (4), the digest (20), inception
//! and expiration (4 each), and the signature. All numbers are in network order. A store that
//! was cut off or damaged is read up to the first record that is not whole: what follows is made
//! again.

use super::StoredSignature;
use crate::dnssec::crc32c::crc32c;
use crate::dnssec::signed_data::DIGEST;
use crate::dnssec::{SignatureDigest, ValidityPeriod};

/// What every store begins with: a name and the version of the format.
pub const HEADER: [u8; 16] = *b"Meridian sigs\0\0\x01";
/// Octets of length and checksum.
const FRAME: usize = 6;
/// Octets of a record beside the signature.
pub const OVERHEAD: usize = FRAME + DIGEST + 8;
/// Octets of the longest signature, one of RSA with 4096 bits.
pub const LONGEST: usize = 512;

/// A record of a store.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'l> {
    /// Its digest.
    pub digest: SignatureDigest,
    /// The signature.
    pub stored: StoredSignature<'l>,
    /// Octets of the whole record.
    pub length: usize,
}

impl<'l> LogRecord<'l> {
    /// The record at a place of a store. `None` if it is not whole.
    pub fn checked(log: &'l [u8], at: usize) -> Option<LogRecord<'l>> {
        let rest = log.get(at..)?;
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (sum, after) = after.split_first_chunk::<4>()?;
        let content = after.get(..usize::from(u16::from_be_bytes(*length)))?;
        if checksum(*length, content) != u32::from_be_bytes(*sum) {
            return None;
        }
        LogRecord::of(content)
    }

    /// The record at a place where a whole one is.
    pub fn trusted(log: &'l [u8], at: usize) -> Option<LogRecord<'l>> {
        let rest = log.get(at..)?;
        let (length, after) = rest.split_first_chunk::<2>()?;
        let content = after.get(4..)?;
        LogRecord::of(content.get(..usize::from(u16::from_be_bytes(*length)))?)
    }

    fn of(content: &'l [u8]) -> Option<LogRecord<'l>> {
        let (digest, rest) = content.split_first_chunk::<DIGEST>()?;
        let (inception, rest) = rest.split_first_chunk::<4>()?;
        let (expiration, signature) = rest.split_first_chunk::<4>()?;
        let times = ValidityPeriod {
            inception: u32::from_be_bytes(*inception),
            expiration: u32::from_be_bytes(*expiration),
        };
        Some(LogRecord {
            digest: SignatureDigest(*digest),
            stored: StoredSignature { times, signature },
            length: FRAME + content.len(),
        })
    }
}

/// The records from a place on, up to the first that is not whole.
pub fn whole_records(log: &[u8], mut at: usize) -> impl Iterator<Item = LogRecord<'_>> {
    std::iter::from_fn(move || {
        let record = LogRecord::checked(log, at)?;
        at += record.length;
        Some(record)
    })
}

/// The checksum of a record, which covers its length.
fn checksum(length: [u8; 2], content: &[u8]) -> u32 {
    // The length is mixed in, so that the content need not be copied behind it.
    crc32c(content) ^ crc32c(&length)
}

/// Appends a record to a store. The signature has at most [`LONGEST`] octets.
pub fn append(
    log: &mut Vec<u8>,
    digest: &SignatureDigest,
    times: ValidityPeriod,
    signature: &[u8],
) {
    let length = ((DIGEST + 8 + signature.len()) as u16).to_be_bytes();
    let start = log.len();
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
