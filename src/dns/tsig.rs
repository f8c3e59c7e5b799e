//! TSIG (RFC 8945) of a server that has no keys: a query that is signed is told so, instead of being answered as if it were
//! not.

use super::{CLASS_ANY, RecordType, SearchName};

/// TSIG ERROR: the key is not recognized (RFC 8945 section 3, IANA "DNS RCODEs").
const BADKEY: u16 = 17;
/// Type, class, TTL and data length.
const FIXED: usize = 10;
/// Time Signed, Fudge and MAC Size.
const TIMES: usize = 10;
/// Original ID, Error and Other Len.
const TAIL: usize = 6;

/// A well-formed TSIG record in a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TsigRecord {
    /// Where the record begins.
    start: usize,
    /// Where the name of its algorithm begins.
    algorithm: usize,
    /// Where the times begin.
    times: usize,
    /// Where the record ends.
    pub(super) end: usize,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "offsets into a message: sums of a few numbers below 2^16"
)]
impl TsigRecord {
    /// Reads the record at `start`, whose owner and algorithm are not compressed. `None` for one that is malformed: another
    /// class than ANY, a TTL, or data that do not add up (RFC 8945 section 4.2).
    pub(super) fn read(datagram: &[u8], start: usize) -> Option<TsigRecord> {
        let fixed = skip_plain_name(datagram, start)?;
        let (&[t1, t0, c1, c0, l3, l2, l1, l0, d1, d0], _) =
            datagram.get(fixed..)?.split_first_chunk::<FIXED>()?;
        let number = |high, low| u16::from_be_bytes([high, low]);
        if (number(t1, t0), number(c1, c0), [l3, l2, l1, l0])
            != (RecordType::TSIG.0, CLASS_ANY, [0; 4])
        {
            return None;
        }
        let algorithm = fixed + FIXED;
        let end = algorithm + usize::from(number(d1, d0));
        let data = datagram.get(..end)?;
        let times = skip_plain_name(data, algorithm)?;
        let &[.., m1, m0] = data.get(times..)?.first_chunk::<TIMES>()?;
        let tail = times + TIMES + usize::from(number(m1, m0));
        let &[.., o1, o0] = data.get(tail..)?.first_chunk::<TAIL>()?;
        let is_whole = tail + TAIL + usize::from(number(o1, o0)) == end;
        is_whole.then_some(TsigRecord {
            start,
            algorithm,
            times,
            end,
        })
    }

    /// Writes the record that says that the key is not known: the query's own, without a MAC (RFC 8945 sections 5.2.1 and
    /// 5.3.2). Returns how long it is; 0 if it does not fit into `place`.
    pub fn refuse(&self, datagram: &[u8], place: &mut [u8]) -> usize {
        self.write(datagram, place).unwrap_or(0)
    }

    fn write(&self, datagram: &[u8], place: &mut [u8]) -> Option<usize> {
        let head = datagram.get(self.start..self.algorithm)?;
        let (head, _length) = head.split_at_checked(head.len().checked_sub(2)?)?;
        let algorithm = datagram.get(self.algorithm..self.times)?;
        // Time Signed and Fudge, as the client has them.
        let times = datagram.get(self.times..)?.first_chunk::<{ TIMES - 2 }>()?;
        let id = datagram.first_chunk::<2>()?;
        let length = (algorithm.len() + TIMES + TAIL) as u16;
        let (no_mac, no_other) = ([0; 2], [0; 2]);
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

/// Where the name at `at` ends; `None` if it is compressed.
fn skip_plain_name(datagram: &[u8], at: usize) -> Option<usize> {
    let mut name = SearchName::new();
    name.read(datagram.get(at..)?)
        .and_then(|length| at.checked_add(length))
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
        let signature = TsigRecord::read(&query, 2).unwrap();
        assert_eq!(signature.end, query.len());
        let mut place = [0; 64];
        let length = signature.refuse(&query, &mut place);
        let expected =
            b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x1d\x0bhmac-sha256\0\0\0\x60\0\0\x01\x01\x2c\0\0\xab\xcd\0\x11\0\0";
        assert_eq!(&place[..length], expected);
        assert_eq!(signature.refuse(&query, &mut place[..length - 1]), 0);
    }

    #[test]
    fn every_cut_and_every_odd_length_is_malformed() {
        let query = signed();
        for length in 0..query.len() {
            assert_eq!(TsigRecord::read(&query[..length], 2), None, "{length}");
        }
        // The class, the TTL, and the lengths of data, MAC and other data.
        for at in [10, 14, 16, 39, query.len() - 1] {
            let mut odd = query.clone();
            odd[at] ^= 1;
            assert_eq!(TsigRecord::read(&odd, 2), None, "octet {at}");
        }
    }
}
