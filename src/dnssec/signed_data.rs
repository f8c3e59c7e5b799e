//! The octets that a signature covers (RFC 4034 section 3.1.8.1), and their digest, by which the
//! store finds a signature.
//!
//! [`SignedData`] is a buffer: it is filled for one RRset after the other and keeps its memory, so
//! that signing a zone allocates next to nothing. The digest covers everything except the times, and
//! the key: a signature is found again whatever its period, and never for other data or another key
//! with the same tag.

use ring::digest::{Context, SHA256};

use super::canonical_data::canonicalize;
use super::owner_labels::{last_labels, signed_labels};
use super::{SignatureFields, ZoneKey};
use crate::dns::{CLASS_IN, RecordType};

/// Where the times are in the signed data, which start with the data of the RRSIG record.
const TIMES: std::ops::Range<usize> = 8..16;
/// Octets of a [`SignatureDigest`].
pub const DIGEST: usize = 20;

/// Names, type and TTL of an RRset of class IN.
#[derive(Debug, Clone, Copy)]
pub struct RrsetHead<'r> {
    /// The owner in wire form, in any case.
    pub owner: &'r [u8],
    /// The type.
    pub rtype: RecordType,
    /// The TTL in seconds: the largest with which the RRset may be served.
    pub ttl: u32,
}

/// SHA-256, cut to 20 octets, of signed data without their times and of the key. It is as good as
/// unique: 160 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignatureDigest(pub [u8; DIGEST]);

/// What a signature covers.
#[derive(Debug, Default)]
pub struct SignedData {
    octets: Vec<u8>,
    /// The data of all records in canonical form, one behind the other.
    data: Vec<u8>,
    /// Where each record's data are in `data`, in canonical order (RFC 4034 section 6.3).
    places: Vec<(u32, u32)>,
}

impl SignedData {
    /// An empty buffer.
    pub fn new() -> SignedData {
        SignedData::default()
    }

    /// Fills the buffer for one RRset. Records may come in any order and more than once; their data
    /// are uncompressed, of at most 65,535 octets. The owner of an answer that was expanded from a
    /// wildcard is replaced by the wildcard (RFC 4035 section 5.3.2), which the fields' labels tell;
    /// the TTL is the fields' original TTL.
    pub fn fill<'d>(
        &mut self,
        fields: &SignatureFields,
        rrset: RrsetHead<'_>,
        rdatas: impl IntoIterator<Item = &'d [u8]>,
    ) {
        self.order(rrset.rtype, rdatas);
        self.octets.clear();
        fields.append_to(&mut self.octets);
        let mut head = Vec::with_capacity(rrset.owner.len() + 10);
        append_owner(fields.labels, rrset.owner, &mut head);
        head.extend_from_slice(&rrset.rtype.0.to_be_bytes());
        head.extend_from_slice(&CLASS_IN.to_be_bytes());
        head.extend_from_slice(&fields.original_ttl.to_be_bytes());
        let mut last = None;
        for place in &self.places {
            let data = slice_of(&self.data, *place);
            // An RRset is a set (RFC 4034 section 6.3).
            if last == Some(data) {
                continue;
            }
            last = Some(data);
            self.octets.extend_from_slice(&head);
            self.octets
                .extend_from_slice(&(data.len() as u16).to_be_bytes());
            self.octets.extend_from_slice(data);
        }
    }

    /// Takes in the data of all records in canonical form and order.
    fn order<'d>(&mut self, rtype: RecordType, rdatas: impl IntoIterator<Item = &'d [u8]>) {
        self.data.clear();
        self.places.clear();
        for rdata in rdatas {
            let start = self.data.len();
            self.data.extend_from_slice(rdata);
            if let Some(copy) = self.data.get_mut(start..) {
                canonicalize(rtype, copy);
            }
            self.places.push((start as u32, self.data.len() as u32));
        }
        let data = &self.data;
        self.places
            .sort_unstable_by(|one, other| slice_of(data, *one).cmp(slice_of(data, *other)));
    }

    /// The octets to sign.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The digest by which the store finds the signature of a key over these data.
    pub fn digest(&self, key: &ZoneKey) -> SignatureDigest {
        let mut context = Context::new(&SHA256);
        context.update(key.print());
        context.update(self.octets.get(..TIMES.start).unwrap_or_default());
        context.update(self.octets.get(TIMES.end..).unwrap_or_default());
        let digest = context.finish();
        let mut cut = [0; DIGEST];
        for (place, octet) in cut.iter_mut().zip(digest.as_ref()) {
            *place = *octet;
        }
        SignatureDigest(cut)
    }
}

fn slice_of(data: &[u8], (start, end): (u32, u32)) -> &[u8] {
    data.get(start as usize..end as usize).unwrap_or_default()
}

/// Appends the owner in lower case, the wildcard in place of a name that was expanded from it.
fn append_owner(labels: u8, owner: &[u8], octets: &mut Vec<u8>) {
    let start = octets.len();
    match last_labels(owner, labels) {
        Some(closest) if labels < signed_labels(owner) => {
            octets.extend_from_slice(&[1, b'*']);
            octets.extend_from_slice(closest);
        }
        _ => octets.extend_from_slice(owner),
    }
    if let Some(copy) = octets.get_mut(start..) {
        copy.make_ascii_lowercase();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dnssec::{SigningAlgorithm, ValidityPeriod};

    fn key(octet: u8) -> ZoneKey {
        let zone = "example".parse().unwrap();
        ZoneKey::new(&zone, 257, SigningAlgorithm::Ed25519, &[octet; 32]).unwrap()
    }

    fn filled(owner: &[u8], rtype: RecordType, rdatas: &[&[u8]], inception: u32) -> SignedData {
        let head = RrsetHead {
            owner,
            rtype,
            ttl: 3600,
        };
        let times = ValidityPeriod {
            inception,
            expiration: inception + 1,
        };
        let fields = SignatureFields::of(&key(1), head, times);
        let mut data = SignedData::new();
        data.fill(&fields, head, rdatas.iter().copied());
        data
    }

    #[test]
    fn rfc4034_section_3_1_8_1_octets() {
        let data = filled(
            b"\x01W\x07example\0",
            RecordType::MX,
            &[b"\0\x02\x01B\0", b"\0\x01\x01C\0", b"\0\x02\x01b\0"],
            5,
        );
        let fields = b"\0\x0f\x0f\x02\0\0\x0e\x10\0\0\0\x06\0\0\0\x05";
        let head = b"\x01w\x07example\0\0\x0f\0\x01\0\0\x0e\x10\0\x05";
        let tag = key(1).tag().to_be_bytes();
        let expected = [
            &fields[..],
            &tag,
            b"\x07example\0",
            head,
            b"\0\x01\x01c\0",
            head,
            b"\0\x02\x01b\0",
        ]
        .concat();
        assert_eq!(data.octets(), expected);
    }

    proptest! {
        #[test]
        fn order_case_and_repetition_change_nothing(
            mut rdatas in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 1..8),
            turn in 0..8_usize,
        ) {
            let owner = b"\x01w\x07example\0";
            let slices: Vec<&[u8]> = rdatas.iter().map(|data| &data[..]).collect();
            let before = filled(owner, RecordType::TXT, &slices, 5);
            let turned = turn % rdatas.len();
            rdatas.rotate_left(turned);
            rdatas.push(rdatas[0].clone());
            let slices: Vec<&[u8]> = rdatas.iter().map(|data| &data[..]).collect();
            let after = filled(b"\x01W\x07EXAMPLE\0", RecordType::TXT, &slices, 5);
            prop_assert_eq!(before.octets(), after.octets());
        }
    }

    #[test]
    fn the_digest_tells_everything_apart_but_the_times() {
        let owner = b"\x01w\x07example\0";
        let base = filled(owner, RecordType::A, &[b"\x01\x02\x03\x04"], 5).digest(&key(1));
        let later = filled(owner, RecordType::A, &[b"\x01\x02\x03\x04"], 9).digest(&key(1));
        assert_eq!(base, later);
        for other in [
            filled(owner, RecordType::A, &[b"\x01\x02\x03\x05"], 5).digest(&key(1)),
            filled(owner, RecordType::A, &[b"\x01\x02\x03\x04"], 5).digest(&key(2)),
            filled(owner, RecordType::TXT, &[b"\x01\x02\x03\x04"], 5).digest(&key(1)),
            filled(b"\x07example\0", RecordType::A, &[b"\x01\x02\x03\x04"], 5).digest(&key(1)),
        ] {
            assert_ne!(base, other);
        }
    }
}
