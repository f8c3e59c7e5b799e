//! NSEC3 (RFC 5155): hashes of names, and the records that state them.
//!
//! SHA-1 is the only hash that NSEC3 knows. Zones that are signed here have it as RFC 9276 wants it: once,
//! without salt and without opt-out. More iterations and a salt cost everybody time and hide nothing; they
//! are only here for zones that were signed elsewhere ([`HashParameters`]).

use ring::digest::{Context, Digest, SHA1_FOR_LEGACY_USE_ONLY, digest};

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

/// The flag of an NSEC3 record between whose hashes there may be delegations without DS records (RFC
/// 5155 section 3.1.2.1).
pub const OPT_OUT: u8 = 1;
/// More iterations than these are trusted by no resolver that validates (RFC 9276 section 3.2), and
/// would cost too much for each question.
pub const MOST_ITERATIONS: u16 = 50;

/// The letters of base32hex in lower case (RFC 4648 section 7).
const LETTERS: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";

/// The hash of a lower-cased name in wire form (RFC 5155 section 5), without salt and iterations.
pub fn nsec3_hash(name: &[u8]) -> [u8; NSEC3_HASH] {
    octets_of(&digest(&SHA1_FOR_LEGACY_USE_ONLY, name))
}

fn octets_of(digest: &Digest) -> [u8; NSEC3_HASH] {
    let mut hash = [0; NSEC3_HASH];
    for (place, octet) in hash.iter_mut().zip(digest.as_ref()) {
        *place = *octet;
    }
    hash
}

fn salted_hash(octets: &[u8], salt: &[u8]) -> [u8; NSEC3_HASH] {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(octets);
    context.update(salt);
    octets_of(&context.finish())
}

/// How the hashes of a chain are made (RFC 5155 section 4): SHA-1 with a number of further
/// iterations, and a salt. The default has neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashParameters {
    iterations: u16,
    /// What every NSEC3 record has between its flags and the next hash: iterations, salt, and the
    /// octets of a hash.
    shared: Box<[u8]>,
}

impl Default for HashParameters {
    fn default() -> HashParameters {
        HashParameters {
            iterations: 0,
            shared: [0, 0, 0, NSEC3_HASH as u8].into(),
        }
    }
}

impl HashParameters {
    /// Reads the data of an NSEC3PARAM record (RFC 5155 section 4.2). `None`: it is damaged, has
    /// another hash than SHA-1, or flags, so nothing may be denied with its chain.
    pub fn parse(rdata: &[u8]) -> Option<HashParameters> {
        let (&[1, 0, more, less, length], salt) = rdata.split_first_chunk::<5>()? else {
            return None;
        };
        if salt.len() != usize::from(length) {
            return None;
        }
        let shared = [&[more, less, length], salt, &[NSEC3_HASH as u8]].concat();
        Some(HashParameters {
            iterations: u16::from_be_bytes([more, less]),
            shared: shared.into(),
        })
    }

    /// Further iterations.
    pub fn iterations(&self) -> u16 {
        self.iterations
    }

    /// What every NSEC3 record of the chain has between its flags and the next hash.
    pub fn shared(&self) -> &[u8] {
        &self.shared
    }

    fn salt(&self) -> &[u8] {
        match &*self.shared {
            [_, _, _, salt @ .., _] => salt,
            _ => &[],
        }
    }

    /// The hash of a lower-cased name in wire form (RFC 5155 section 5).
    #[inline]
    pub fn hash(&self, name: &[u8]) -> [u8; NSEC3_HASH] {
        if self.iterations == 0 && self.salt().is_empty() {
            nsec3_hash(name)
        } else {
            self.repeated_hash(name)
        }
    }

    #[cold]
    fn repeated_hash(&self, name: &[u8]) -> [u8; NSEC3_HASH] {
        let salt = self.salt();
        let mut hash = salted_hash(name, salt);
        for _ in 0..self.iterations {
            hash = salted_hash(&hash, salt);
        }
        hash
    }

    /// The parts of an NSEC3 record's data. `None`: it is of another chain.
    pub fn split<'d>(&self, rdata: &'d [u8]) -> Option<HashedDenial<'d>> {
        let (&[1, flags], rest) = rdata.split_first_chunk::<2>()? else {
            return None;
        };
        let (next, types) = rest.strip_prefix(&*self.shared)?.split_first_chunk()?;
        Some(HashedDenial {
            flags,
            next: *next,
            types,
        })
    }
}

/// The parts of an NSEC3 record's data that differ within a chain (RFC 5155 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashedDenial<'d> {
    /// Such as [`OPT_OUT`].
    pub flags: u8,
    /// The next hash.
    pub next: [u8; NSEC3_HASH],
    /// The bitmap of the owner's types.
    pub types: &'d [u8],
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

/// The hash that a label states, in small or capital letters; `None`: it is no hash.
pub fn hash_of_label(label: &[u8]) -> Option<[u8; NSEC3_HASH]> {
    if label.len() != NSEC3_LABEL {
        return None;
    }
    let mut hash = [0; NSEC3_HASH];
    for (letters, octets) in label.chunks(8).zip(hash.chunks_mut(5)) {
        let mut bits = 0_u64;
        for letter in letters {
            let letter = letter.to_ascii_lowercase();
            let value = LETTERS.iter().position(|it| *it == letter)?;
            bits = bits << 5 | value as u64;
        }
        for octet in octets.iter_mut().rev() {
            *octet = bits as u8;
            bits >>= 8;
        }
    }
    Some(hash)
}

/// The data of an NSEC3 record (RFC 5155 section 3.2): the hash of the next name, and the types of
/// the owner, RRSIG among them unless it has none.
pub fn nsec3_rdata(next: &[u8; NSEC3_HASH], types: &TypeSet) -> Vec<u8> {
    let mut rdata = [&NSEC3_HEAD[..], next].concat();
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
    fn rfc5155_appendix_a_hashes() {
        // 12 iterations, salt aabbccdd.
        let parameters = HashParameters::parse(&[1, 0, 0, 12, 4, 0xaa, 0xbb, 0xcc, 0xdd]).unwrap();
        for (name, label) in [
            (&b"\x07example\0"[..], b"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
            (b"\x01a\x07example\0", b"35mthgpgcu1qg68fab165klnsnk3dpvl"),
            (
                b"\x01*\x01w\x07example\0",
                b"r53bq7cc2uvmubfu5ocmm6pers9tk9en",
            ),
        ] {
            let hash = parameters.hash(name);
            assert_eq!(nsec3_label(&hash), *label);
            assert_eq!(hash_of_label(label), Some(hash));
        }
    }

    #[test]
    fn the_data_of_a_record_are_split_only_with_the_parameters_of_its_chain() {
        let salted = HashParameters::parse(&[1, 0, 0, 2, 1, 9]).unwrap();
        let plain = HashParameters::default();
        assert_eq!(HashParameters::parse(&NSEC3PARAM), Some(plain.clone()));
        let rdata = [&[1, OPT_OUT], salted.shared(), &[7; 20], b"\0\x01\x40"].concat();
        let denial = HashedDenial {
            flags: OPT_OUT,
            next: [7; 20],
            types: b"\0\x01\x40",
        };
        assert_eq!(salted.split(&rdata), Some(denial));
        assert_eq!(plain.split(&rdata), None);
        let plain_rdata = nsec3_rdata(&[7; 20], &TypeSet::new());
        assert!(plain.split(&plain_rdata).is_some());
        for damaged in [
            &[1, 0, 0, 0, 1][..],
            &[2, 0, 0, 0, 0],
            &[1, 1, 0, 0, 0],
            &[1],
        ] {
            assert_eq!(HashParameters::parse(damaged), None, "{damaged:?}");
        }
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

        #[test]
        fn a_label_is_read_as_it_was_written(hash in any::<[u8; 20]>()) {
            let label = nsec3_label(&hash);
            prop_assert_eq!(hash_of_label(&label), Some(hash));
            prop_assert_eq!(hash_of_label(&label.to_ascii_uppercase()), Some(hash));
        }

        #[test]
        fn octets_by_chance_are_no_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            hash_of_label(&octets);
            if let Some(parameters) = HashParameters::parse(&octets) {
                parameters.split(&octets);
            }
        }
    }
}
