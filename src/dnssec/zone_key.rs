//! The public half of a zone's key, and the records that are made from it: DNSKEY, DS, CDS and
//! CDNSKEY.
//!
//! A [`ZoneKey`] is all that a nameserver without private keys knows of a key. The octets of the key
//! are checked for their length when it is made, so that no record is published that validators
//! cannot read.

use std::fmt;

use ring::digest::{Context, SHA256, SHA384};
use ring::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::algorithm::told;
use super::{DNSKEY_PROTOCOL, SigningAlgorithm};
use crate::dns::{Name, WireReader};

/// Flags of a key that signs a zone (RFC 4034 section 2.1.1): a ZSK.
pub const ZONE_KEY: u16 = 256;
/// Flags of a key that also is a secure entry point: a KSK, or a CSK.
pub const SECURE_ENTRY: u16 = 257;
/// The flag of a key that was revoked (RFC 5011 section 3).
const REVOKED: u16 = 0x80;

/// The data of the CDS record that asks the parent to remove all DS records (RFC 8078 section 4).
pub const CDS_DELETE: [u8; 5] = [0, 0, 0, 0, 0];
/// The data of the CDNSKEY record that asks for the same.
pub const CDNSKEY_DELETE: [u8; 5] = [0, 0, DNSKEY_PROTOCOL, 0, 0];

/// A digest of DS and CDS records (IANA "DS RR Type Digest Algorithms"). SHA-1 is not made any more
/// (RFC 8624 section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestType {
    /// SHA-256, 2 (RFC 4509).
    Sha256,
    /// SHA-384, 4 (RFC 6605).
    Sha384,
}

impl DigestType {
    /// Its number in DS records.
    pub const fn number(self) -> u8 {
        match self {
            DigestType::Sha256 => 2,
            DigestType::Sha384 => 4,
        }
    }
}

/// The public half of a key, and the zone to which it belongs.
#[derive(Clone, PartialEq, Eq)]
pub struct ZoneKey {
    /// In lower case.
    zone: Name,
    flags: u16,
    algorithm: SigningAlgorithm,
    octets: Box<[u8]>,
    tag: u16,
    /// SHA-256 of the octets.
    print: [u8; 32],
}

impl ZoneKey {
    /// A key of `zone`. `octets` is the Public Key field of its DNSKEY record.
    ///
    /// # Errors
    /// A sentence: the flags are not those of a zone's key (RFC 4034 section 2.1.1), or the octets
    /// are no public key of this algorithm.
    pub fn new(
        zone: &Name,
        flags: u16,
        algorithm: SigningAlgorithm,
        octets: &[u8],
    ) -> Result<ZoneKey, String> {
        if flags & ZONE_KEY == 0 {
            return Err(format!(
                "the flags {flags} lack 256, so this key signs no zone"
            ));
        }
        check_octets(algorithm, octets)?;
        let mut key = ZoneKey {
            zone: zone.to_lower(),
            flags,
            algorithm,
            octets: octets.into(),
            tag: 0,
            print: [0; 32],
        };
        key.tag = key_tag(&key.dnskey_rdata());
        let print = ring::digest::digest(&SHA256, octets);
        key.print.copy_from_slice(print.as_ref());
        Ok(key)
    }

    /// A key from the data of its DNSKEY record.
    ///
    /// # Errors
    /// A sentence: the data are cut off, or of another protocol or algorithm.
    pub fn from_rdata(zone: &Name, rdata: &[u8]) -> Result<ZoneKey, String> {
        let cut = || "the DNSKEY record is cut off".to_owned();
        let mut reader = WireReader::at(rdata, 0).ok_or_else(cut)?;
        let flags = reader.u16().ok_or_else(cut)?;
        let protocol = reader.u8().ok_or_else(cut)?;
        let number = reader.u8().ok_or_else(cut)?;
        if protocol != DNSKEY_PROTOCOL {
            return Err(format!(
                "the protocol is {protocol}; RFC 4034 knows 3 alone"
            ));
        }
        ZoneKey::new(zone, flags, supported(number)?, reader.rest())
    }

    /// The zone, in lower case.
    pub fn zone(&self) -> &Name {
        &self.zone
    }

    /// SHA-256 of the octets: stands for them where a few octets are enough.
    pub fn print(&self) -> &[u8; 32] {
        &self.print
    }

    /// The flags: 256 or 257, and 128 more for a revoked key.
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// Whether it is a secure entry point, to which a DS record of the parent may point.
    pub fn is_entry(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether it was revoked (RFC 5011).
    pub fn is_revoked(&self) -> bool {
        self.flags & REVOKED != 0
    }

    /// The algorithm.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The Public Key field of the DNSKEY record.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The key tag (RFC 4034 appendix B). Two keys of a zone may share it.
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// Octets of a signature by this key.
    pub fn signature_length(&self) -> usize {
        match self.algorithm.signature_length() {
            Some(length) => length,
            None => rsa_parts(&self.octets).map_or(0, |(_, modulus)| modulus.len()),
        }
    }

    /// The data of the DNSKEY record (RFC 4034 section 2.1), and of the CDNSKEY record (RFC 7344
    /// section 3.2).
    pub fn dnskey_rdata(&self) -> Vec<u8> {
        let mut rdata = Vec::with_capacity(4 + self.octets.len());
        rdata.extend_from_slice(&self.flags.to_be_bytes());
        rdata.extend_from_slice(&[DNSKEY_PROTOCOL, self.algorithm.number()]);
        rdata.extend_from_slice(&self.octets);
        rdata
    }

    /// The data of the DS record at the parent (RFC 4034 section 5.1), and of the CDS record (RFC
    /// 7344 section 3.1).
    pub fn ds_rdata(&self, digest: DigestType) -> Vec<u8> {
        let mut context = Context::new(match digest {
            DigestType::Sha256 => &SHA256,
            DigestType::Sha384 => &SHA384,
        });
        context.update(self.zone.as_wire());
        context.update(&self.dnskey_rdata());
        let mut rdata = self.tag.to_be_bytes().to_vec();
        rdata.extend_from_slice(&[self.algorithm.number(), digest.number()]);
        rdata.extend_from_slice(context.finish().as_ref());
        rdata
    }

    /// Whether the data of a DS or CDS record are of this key. Digests of other types than ours match
    /// nothing.
    pub fn matches_ds(&self, rdata: &[u8]) -> bool {
        let digest = match rdata.get(3) {
            Some(2) => DigestType::Sha256,
            Some(4) => DigestType::Sha384,
            _ => return false,
        };
        self.ds_rdata(digest) == rdata
    }

    /// Whether a signature over octets is one of this key.
    pub fn verifies(&self, octets: &[u8], signature: &[u8]) -> bool {
        let algorithm = self.algorithm.verification();
        let verified = match rsa_parts(&self.octets) {
            Some((e, n)) if self.algorithm == SigningAlgorithm::RsaSha256 => {
                let parameters = &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
                RsaPublicKeyComponents { n, e }.verify(parameters, octets, signature)
            }
            _ => UnparsedPublicKey::new(algorithm, self.ring_octets()).verify(octets, signature),
        };
        verified.is_ok()
    }

    /// The public key as ring reads it.
    fn ring_octets(&self) -> Vec<u8> {
        match self.algorithm {
            SigningAlgorithm::EcdsaP256Sha256 | SigningAlgorithm::EcdsaP384Sha384 => {
                uncompressed(&self.octets)
            }
            SigningAlgorithm::RsaSha256 | SigningAlgorithm::Ed25519 => self.octets.to_vec(),
        }
    }
}

impl fmt::Display for ZoneKey {
    /// `example.com/13/60646`: zone, algorithm, key tag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.zone, self.algorithm.number(), self.tag)
    }
}

impl fmt::Debug for ZoneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The algorithm with a number.
///
/// # Errors
/// A sentence: it is none of ours.
pub(super) fn supported(number: u8) -> Result<SigningAlgorithm, String> {
    SigningAlgorithm::from_number(number).ok_or_else(|| {
        format!(
            "algorithm {} is not supported; use 13 (ECDSAP256SHA256), 15 (ED25519), 14 \
             (ECDSAP384SHA384) or 8 (RSASHA256)",
            told(number)
        )
    })
}

/// The key tag of the data of a DNSKEY record (RFC 4034 appendix B).
pub fn key_tag(rdata: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in rdata.chunks(2) {
        let high = pair.first().copied().unwrap_or(0);
        let low = pair.get(1).copied().unwrap_or(0);
        sum = sum.wrapping_add(u32::from(u16::from_be_bytes([high, low])));
    }
    // The carry is added once, as the RFC does it.
    sum = sum.wrapping_add(sum >> 16);
    sum as u16
}

/// A point of a curve of NIST in uncompressed form (SEC 1 section 2.3.3), which DNSKEY leaves the
/// first octet out of (RFC 6605 section 4).
pub(super) fn uncompressed(octets: &[u8]) -> Vec<u8> {
    let mut point = vec![4];
    point.extend_from_slice(octets);
    point
}

/// Bits of the modulus of an RSA key, by the data of its DNSKEY record. `None`: it is of another
/// algorithm.
pub fn rsa_bits(rdata: &[u8]) -> Option<usize> {
    let (head, octets) = rdata.split_first_chunk::<4>()?;
    if !matches!(head[3], 1 | 5 | 7 | 8 | 10) {
        return None;
    }
    let (_, modulus) = rsa_parts(octets)?;
    let zeros = modulus.iter().take_while(|octet| **octet == 0).count();
    let first = modulus.get(zeros).map_or(0, |octet| octet.leading_zeros());
    let octets = modulus.len().saturating_sub(zeros);
    Some(octets.saturating_mul(8).saturating_sub(first as usize))
}

/// The exponent and the modulus of an RSA key in a DNSKEY record (RFC 3110 section 2).
pub(super) fn rsa_parts(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match octets {
        [0, high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
        [length, rest @ ..] => (u16::from(*length), rest),
        [] => return None,
    };
    let (exponent, modulus) = rest.split_at_checked(usize::from(length))?;
    if exponent.is_empty() || modulus.is_empty() {
        return None;
    }
    Some((exponent, modulus))
}

/// An RSA key as a DNSKEY record holds it (RFC 3110 section 2).
pub(super) fn rsa_octets(exponent: &[u8], modulus: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(3 + exponent.len() + modulus.len());
    match u8::try_from(exponent.len()) {
        Ok(length) => octets.push(length),
        Err(_) => {
            octets.push(0);
            octets.extend_from_slice(&(exponent.len() as u16).to_be_bytes());
        }
    }
    octets.extend_from_slice(exponent);
    octets.extend_from_slice(modulus);
    octets
}

/// Checks the length of a public key.
fn check_octets(algorithm: SigningAlgorithm, octets: &[u8]) -> Result<(), String> {
    match algorithm.public_length() {
        Some(length) if length != octets.len() => Err(format!(
            "a public key of {algorithm} has {length} octets, and this one {}",
            octets.len()
        )),
        Some(_) => Ok(()),
        None => match rsa_parts(octets) {
            // RFC 5702 section 2: 512 to 4096 bits. Below 1024 nothing verifies.
            Some((_, modulus)) if (128..=512).contains(&modulus.len()) => Ok(()),
            Some((_, modulus)) => Err(format!(
                "the RSA key has {} bits; 1024 to 4096 are possible",
                8 * modulus.len()
            )),
            None => Err("the RSA key is cut off".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6605 section 6.1.
    fn rfc6605() -> ZoneKey {
        use base64::Engine as _;
        let octets = base64::engine::general_purpose::STANDARD
            .decode(
                "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQL\
                 c8NAA==",
            )
            .unwrap();
        let zone = "Example.NET".parse().unwrap();
        ZoneKey::new(&zone, 257, SigningAlgorithm::EcdsaP256Sha256, &octets).unwrap()
    }

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    #[test]
    fn the_bits_of_an_rsa_key_are_those_of_its_modulus() {
        for (first, length, bits) in [(0x80, 128, 1024), (0x40, 256, 2047), (0xff, 256, 2048)] {
            let mut modulus = vec![0, first];
            modulus.resize(length + 1, 1);
            let rdata = [&[1, 0, 3, 8][..], &rsa_octets(&[1, 0, 1], &modulus)].concat();
            assert_eq!(rsa_bits(&rdata), Some(bits));
        }
        assert_eq!(rsa_bits(&rfc6605().dnskey_rdata()), None);
        assert_eq!(rsa_bits(&[1, 0, 3, 8]), None);
    }

    #[test]
    fn rfc6605_section_6_1_key_tag_and_ds() {
        let key = rfc6605();
        assert_eq!(key.tag(), 55648);
        assert_eq!(
            hex(&key.ds_rdata(DigestType::Sha256)),
            "d9600d02b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17"
        );
        assert_eq!(key.to_string(), "example.net/13/55648");
        let mut rdata = key.ds_rdata(DigestType::Sha384);
        assert!(key.matches_ds(&rdata));
        rdata[20] ^= 1;
        assert!(!key.matches_ds(&rdata) && !key.matches_ds(&rdata[..3]));
        assert_eq!(
            ZoneKey::from_rdata(key.zone(), &key.dnskey_rdata()),
            Ok(key)
        );
    }

    #[test]
    fn a_key_that_validators_cannot_read_is_refused() {
        let zone = Name::root();
        let made = |flags, algorithm, octets: &[u8]| ZoneKey::new(&zone, flags, algorithm, octets);
        assert!(made(257, SigningAlgorithm::Ed25519, &[1; 32]).is_ok());
        assert!(made(257, SigningAlgorithm::Ed25519, &[1; 31]).is_err());
        assert!(made(1, SigningAlgorithm::Ed25519, &[1; 32]).is_err());
        assert!(made(256, SigningAlgorithm::RsaSha256, &[1, 3]).is_err());
        assert!(made(256, SigningAlgorithm::RsaSha256, &[]).is_err());
        let error = ZoneKey::from_rdata(&zone, &[1, 0, 3, 10, 1]).unwrap_err();
        assert!(error.starts_with("algorithm 10 (RSASHA512) is not supported"));
        for length in 0..4 {
            assert!(ZoneKey::from_rdata(&zone, &[1, 0, 3, 15][..length]).is_err());
        }
    }

    #[test]
    fn rsa_keys_are_taken_apart_as_they_are_put_together() {
        for exponent in [&[3][..], &[1, 0, 1], &[7; 300]] {
            let octets = rsa_octets(exponent, &[9; 256]);
            assert_eq!(rsa_parts(&octets), Some((exponent, &[9; 256][..])));
        }
    }
}
