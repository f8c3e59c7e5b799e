//! TSIG (RFC 8945) for a server that has no keys.
//!
//! A signed query is refused with NOTAUTH and BADKEY (section 5.2.1), instead of being answered as
//! if it were unsigned. [`TsigRecord`] finds the parts of the record in the query, from which the
//! reply's unsigned TSIG record is written.

use super::wire::WireReader;
use super::{CLASS_ANY, RecordType};

/// TSIG ERROR: the key is not recognized (RFC 8945 section 3, IANA "DNS RCODEs").
const BADKEY: u16 = 17;
/// Octets of Time Signed and Fudge.
const TIME_AND_FUDGE: usize = 8;
/// Octets of Original ID and Error.
const ID_AND_ERROR: usize = 4;

/// A well-formed TSIG record in a query: where its parts begin in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TsigRecord {
    /// The record.
    start: usize,
    /// The name of its algorithm.
    algorithm: usize,
    /// Time Signed.
    times: usize,
}

impl TsigRecord {
    /// Reads the next record, whose owner and algorithm must not be compressed. `None` if it is
    /// malformed: a class other than ANY, a TTL, or data that do not add up (RFC 8945 section 4.2).
    pub(super) fn read(reader: &mut WireReader<'_>) -> Option<TsigRecord> {
        let start = reader.position();
        reader.skip_plain_name()?;
        let (rtype, class, ttl) = (reader.u16()?, reader.u16()?, reader.u32()?);
        if (RecordType(rtype), class, ttl) != (RecordType::TSIG, CLASS_ANY, 0) {
            return None;
        }
        let length = reader.u16()?;
        let mut data = reader.part(usize::from(length))?;
        let algorithm = data.position();
        data.skip_plain_name()?;
        let times = data.position();
        data.take(TIME_AND_FUDGE)?;
        let mac_size = data.u16()?;
        data.take(usize::from(mac_size))?;
        data.take(ID_AND_ERROR)?;
        let other_size = data.u16()?;
        data.take(usize::from(other_size))?;
        if !data.is_empty() {
            return None;
        }
        Some(TsigRecord {
            start,
            algorithm,
            times,
        })
    }

    /// Writes the record that refuses the key: the query's own without a MAC (RFC 8945 sections
    /// 5.2.1 and 5.3.2). Returns its length; 0 if it does not fit into `place`.
    pub fn refuse(&self, datagram: &[u8], place: &mut [u8]) -> usize {
        self.write(datagram, place).unwrap_or(0)
    }

    #[expect(
        clippy::arithmetic_side_effects,
        reason = "lengths of parts of a message, which has at most 65,535 octets"
    )]
    fn write(&self, datagram: &[u8], place: &mut [u8]) -> Option<usize> {
        let head = datagram.get(self.start..self.algorithm)?;
        let (head, _length) = head.split_last_chunk::<2>()?;
        let algorithm = datagram.get(self.algorithm..self.times)?;
        // Time Signed and Fudge, as the client has them.
        let times = datagram
            .get(self.times..)?
            .first_chunk::<TIME_AND_FUDGE>()?;
        let id = datagram.first_chunk::<2>()?;
        let (no_mac, no_other) = ([0; 2], [0; 2]);
        let fixed = TIME_AND_FUDGE + no_mac.len() + ID_AND_ERROR + no_other.len();
        let length = (algorithm.len() + fixed) as u16;
        let parts: [&[u8]; 8] = [
            head,
            &length.to_be_bytes(),
            algorithm,
            times,
            &no_mac,
            id,
            &BADKEY.to_be_bytes(),
            &no_other,
        ];
        let mut at = 0;
        for part in parts {
            place.get_mut(at..at + part.len())?.copy_from_slice(part);
            at += part.len();
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ID, and a TSIG record with a MAC.
    fn signed() -> Vec<u8> {
        let data = [
            &b"\x0bhmac-sha256\0\0\0\x60\0\0\x01\x01\x2c\0\x04MACM"[..],
            b"\x12\x34\0\0\0\0",
        ]
        .concat();
        let head = [
            b"\x03key\0\0\xfa\0\xff\0\0\0\0\0".as_slice(),
            &[data.len() as u8],
        ]
        .concat();
        [&[0xab, 0xcd][..], &head, &data].concat()
    }

    #[test]
    fn the_refusal_is_the_record_without_a_mac() {
        let query = signed();
        let mut reader = WireReader::at(&query, 2).unwrap();
        let signature = TsigRecord::read(&mut reader).unwrap();
        assert_eq!(reader.position(), query.len());
        let mut place = [0; 64];
        let length = signature.refuse(&query, &mut place);
        let expected =
            b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x1d\x0bhmac-sha256\0\0\0\x60\0\0\x01\x01\x2c\0\0\xab\xcd\0\x11\0\0";
        assert_eq!(&place[..length], expected);
        assert_eq!(signature.refuse(&query, &mut place[..length - 1]), 0);
    }

    fn is_well_formed(query: &[u8]) -> bool {
        WireReader::at(query, 2).is_some_and(|mut reader| TsigRecord::read(&mut reader).is_some())
    }

    #[test]
    fn every_cut_and_every_odd_length_is_malformed() {
        let query = signed();
        for length in 0..query.len() {
            assert!(!is_well_formed(&query[..length]), "{length}");
        }
        // The class, the TTL, and the lengths of data, MAC and other data.
        for at in [10, 14, 16, 39, query.len() - 1] {
            let mut odd = query.clone();
            odd[at] ^= 1;
            assert!(!is_well_formed(&odd), "octet {at}");
        }
    }
}
