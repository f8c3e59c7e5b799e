//! NSEC3 (RFC 5155) as RFC 9276 wants it: SHA-1 once, without salt and without opt-out.
//!
//! SHA-1 is the only hash that NSEC3 knows. More iterations and a salt cost validators time and hide
//! nothing, so this module does not offer them.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::TypeSet;

/// Octets of a hash.
pub const NSEC3_HASH: usize = 20;
/// Characters of a hash as a label.
pub const NSEC3_LABEL: usize = 32;
/// The data of the NSEC3PARAM record (RFC 5155 section 4.2): SHA-1, no flags, no iterations, no
/// salt.
pub const NSEC3PARAM: [u8; 5] = [1, 0, 0, 0, 0];
/// The start of the data of every NSEC3 record: the parameters, and the octets of the next hash.
pub const NSEC3_HEAD: [u8; 6] = [1, 0, 0, 0, 0, NSEC3_HASH as u8];

/// The letters of base32hex in lower case (RFC 4648 section 7).
const LETTERS: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";

/// The hash of a lower-cased name in wire form (RFC 5155 section 5).
pub fn nsec3_hash(name: &[u8]) -> [u8; NSEC3_HASH] {
    let mut hash = [0; NSEC3_HASH];
    for (place, octet) in hash
        .iter_mut()
        .zip(digest(&SHA1_FOR_LEGACY_USE_ONLY, name).as_ref())
    {
        *place = *octet;
    }
    hash
}

/// The hash as the first label of an NSEC3 record's owner. The order of the labels is that of the
/// hashes.
pub fn nsec3_label(hash: &[u8; NSEC3_HASH]) -> [u8; NSEC3_LABEL] {
    let mut label = [0; NSEC3_LABEL];
    // Five octets make eight letters.
    for (octets, letters) in hash.chunks(5).zip(label.chunks_mut(8)) {
        let mut bits = 0_u64;
        for octet in octets {
            bits = bits << 8 | u64::from(*octet);
        }
        for letter in letters.iter_mut().rev() {
            *letter = LETTERS.get((bits & 31) as usize).copied().unwrap_or(b'0');
            bits >>= 5;
        }
    }
    label
}

/// The data of an NSEC3 record (RFC 5155 section 3.2): the hash of the next name, and the types of
/// the owner, RRSIG among them unless it has none.
pub fn nsec3_rdata(next: &[u8; NSEC3_HASH], types: &TypeSet) -> Vec<u8> {
    let mut rdata = Vec::with_capacity(NSEC3_HEAD.len() + NSEC3_HASH + 8);
    rdata.extend_from_slice(&NSEC3_HEAD);
    rdata.extend_from_slice(next);
    types.append_to(&mut rdata);
    rdata
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::RecordType;

    #[test]
    fn hashes_are_those_of_sha1sum() {
        // printf '\007example\003com\0' | sha1sum
        let hash = nsec3_hash(b"\x07example\x03com\0");
        assert_eq!(
            (hash[..4].to_vec(), hash[19]),
            (vec![0xc5, 0xe4, 0xb4, 0xda], 0xf4)
        );
        assert_eq!(nsec3_label(&[0; 20]), [b'0'; 32]);
        assert_eq!(nsec3_label(&[0xff; 20]), [b'v'; 32]);
        let mut one = [0; 20];
        one[19] = 1;
        assert_eq!(nsec3_label(&one)[31], b'1');
    }

    #[test]
    fn rfc5155_section_3_2_data() {
        let rdata = nsec3_rdata(&[7; 20], &TypeSet::from_iter([RecordType::A]));
        let expected = [&b"\x01\0\0\0\0\x14"[..], &[7; 20], b"\0\x01\x40"].concat();
        assert_eq!(rdata, expected);
    }

    proptest! {
        #[test]
        fn labels_are_in_the_order_of_hashes(a in any::<[u8; 20]>(), b in any::<[u8; 20]>()) {
            prop_assert_eq!(a.cmp(&b), nsec3_label(&a).cmp(&nsec3_label(&b)));
        }
    }
}
