//! NSEC records (RFC 4034 section 4): the next name, and the types that a name has.
//!
//! A [`TypeSet`] is built from all types that the policy can give, not only from those of the moment,
//! so that a denial stays true when an answer changes. The next name is in lower case, never as
//! somebody asked for it.

use crate::dns::{RecordType, WireReader};

/// A set of record types, and its form as a bitmap in NSEC and NSEC3 records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TypeSet(Vec<RecordType>);

impl TypeSet {
    /// No type.
    pub fn new() -> TypeSet {
        TypeSet::default()
    }

    /// Adds a type. Types that exist only in messages are left out (RFC 4034 section 4.1.2), except
    /// NXNAME (RFC 9824 section 3.1).
    pub fn insert(&mut self, rtype: RecordType) {
        if rtype.is_meta() && rtype != RecordType::NXNAME {
            return;
        }
        if let Err(place) = self.0.binary_search(&rtype) {
            self.0.insert(place, rtype);
        }
    }

    /// Whether the type is in the set.
    pub fn contains(&self, rtype: RecordType) -> bool {
        self.0.binary_search(&rtype).is_ok()
    }

    /// The types by number.
    pub fn iter(&self) -> impl Iterator<Item = RecordType> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is no type.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the bitmap (RFC 4034 section 4.1.2); nothing for the empty set.
    pub fn append_to(&self, rdata: &mut Vec<u8>) {
        for block in self.0.chunk_by(|one, other| one.0 >> 8 == other.0 >> 8) {
            let Some(last) = block.last() else { continue };
            let [window, low] = last.0.to_be_bytes();
            let length = low / 8 + 1;
            rdata.extend_from_slice(&[window, length]);
            let start = rdata.len();
            rdata.resize(start + usize::from(length), 0);
            for rtype in block {
                let [_, low] = rtype.0.to_be_bytes();
                if let Some(octet) = rdata.get_mut(start + usize::from(low / 8)) {
                    *octet |= 0x80 >> (low % 8);
                }
            }
        }
    }

    /// Reads a bitmap. `None` if it is cut off, has blocks out of order, or a length that is none
    /// (RFC 4034 section 4.1.2).
    pub fn parse(bitmap: &[u8]) -> Option<TypeSet> {
        let mut types = Vec::new();
        let mut reader = WireReader::at(bitmap, 0)?;
        let mut last = None;
        while !reader.is_empty() {
            let window = reader.u8()?;
            let length = usize::from(reader.u8()?);
            if last >= Some(window) || !(1..=32).contains(&length) {
                return None;
            }
            last = Some(window);
            for (number, octet) in (0_u8..).zip(reader.take(length)?) {
                for bit in (0..8).filter(|bit| octet & (0x80 >> bit) != 0) {
                    types.push(RecordType(u16::from_be_bytes([window, number * 8 + bit])));
                }
            }
        }
        Some(TypeSet(types))
    }
}

impl FromIterator<RecordType> for TypeSet {
    fn from_iter<T: IntoIterator<Item = RecordType>>(types: T) -> TypeSet {
        let mut set = TypeSet::new();
        for rtype in types {
            set.insert(rtype);
        }
        set
    }
}

/// The data of an NSEC record (RFC 4034 section 4.1). `next` is a lower-cased name in wire form; the
/// types are those of the owner, NSEC and RRSIG among them.
pub fn nsec_rdata(next: &[u8], types: &TypeSet) -> Vec<u8> {
    let mut rdata = Vec::with_capacity(next.len() + 12);
    rdata.extend_from_slice(next);
    types.append_to(&mut rdata);
    rdata
}

/// The next name and the types of an NSEC record. `None` if the data are damaged.
pub fn parse_nsec(rdata: &[u8]) -> Option<(&[u8], TypeSet)> {
    let mut reader = WireReader::at(rdata, 0)?;
    reader.skip_plain_name()?;
    let (next, bitmap) = rdata.split_at_checked(reader.position())?;
    Some((next, TypeSet::parse(bitmap)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc4034_section_4_3_example() {
        let types = TypeSet::from_iter([
            RecordType::RRSIG,
            RecordType::A,
            RecordType(1234),
            RecordType::MX,
            RecordType::NSEC,
            RecordType::A,
            RecordType::ANY,
        ]);
        let rdata = nsec_rdata(b"\x04host\x07example\x03com\0", &types);
        let mut expected = b"\x04host\x07example\x03com\0\0\x06\x40\x01\0\0\0\x03\x04\x1b".to_vec();
        expected.extend([0; 26]);
        expected.push(0x20);
        assert_eq!(rdata, expected);
        let (next, again) = parse_nsec(&rdata).unwrap();
        assert_eq!((next, again), (&b"\x04host\x07example\x03com\0"[..], types));
    }

    proptest! {
        #[test]
        fn a_set_is_read_as_it_was_written(numbers in prop::collection::btree_set(any::<u16>(), 0..40)) {
            let types: TypeSet = numbers.iter().map(|number| RecordType(*number)).collect();
            let mut bitmap = Vec::new();
            types.append_to(&mut bitmap);
            prop_assert_eq!(TypeSet::parse(&bitmap), Some(types.clone()));
            for number in numbers {
                let rtype = RecordType(number);
                let is_kept = !rtype.is_meta() || rtype == RecordType::NXNAME;
                prop_assert_eq!(types.contains(rtype), is_kept);
            }
        }

        #[test]
        fn octets_by_chance_are_no_panic(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            TypeSet::parse(&octets);
            parse_nsec(&octets);
        }
    }

    #[test]
    fn damaged_bitmaps_are_refused() {
        for bad in [
            &b"\0"[..],
            b"\0\0",
            b"\0\x21",
            b"\0\x02\x40",
            b"\x01\x01\x40\0\x01\x40",
        ] {
            assert_eq!(TypeSet::parse(bad), None, "{bad:?}");
        }
    }
}
