//! RRSIG records (RFC 4034 section 3): their fields, making a signature and verifying one.
//!
//! ```
//! use meridian::dns::RecordType;
//! use meridian::dnssec::{
//!     KeyPair, RrsetHead, SignatureFields, SignedData, SigningAlgorithm, SigningKey, ValidityRules,
//!     sign_rrset, verify_rrset,
//! };
//!
//! let zone = "example.com".parse().unwrap();
//! let pair = KeyPair::generate(&zone, 257, SigningAlgorithm::EcdsaP256Sha256).unwrap();
//! let key = SigningKey::new(&pair).unwrap();
//! let rrset = RrsetHead { owner: b"\x03www\x07example\x03com\0", rtype: RecordType::A, ttl: 300 };
//! let (data, now) = ([&[192, 0, 2, 1][..]], 1_800_000_000);
//! let times = ValidityRules::default().period(7, now);
//! let (fields, signature) =
//!     sign_rrset(&key, rrset, data, times, &mut SignedData::new()).unwrap();
//! assert_eq!(verify_rrset(key.public(), &fields, signature.as_slice(), rrset, data, now), Ok(()));
//! let rdata = fields.rdata(signature.as_slice());
//! assert_eq!(SignatureFields::parse(&rdata), Some((fields, signature.as_slice())));
//! ```

use std::fmt;

use super::key::KeyError;
use super::owner_labels::signed_labels;
use super::{RrsetHead, SignatureOctets, SignedData, SigningKey, ValidityPeriod, ZoneKey};
use crate::dns::{Name, RecordType, WireReader};

/// The data of an RRSIG record without the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureFields {
    /// The type of the signed RRset.
    pub type_covered: RecordType,
    /// The number of the algorithm.
    pub algorithm: u8,
    /// Labels of the owner, without root and `*`.
    pub labels: u8,
    /// The TTL in seconds that was signed. The served TTL may be smaller (RFC 4035 section 5.3.3).
    pub original_ttl: u32,
    /// Inception and expiration.
    pub times: ValidityPeriod,
    /// The tag of the key.
    pub key_tag: u16,
    /// The zone that signed, in lower case.
    pub signer: Name,
}

impl SignatureFields {
    /// The fields of a signature of this key.
    pub fn of(key: &ZoneKey, rrset: RrsetHead<'_>, times: ValidityPeriod) -> SignatureFields {
        SignatureFields {
            type_covered: rrset.rtype,
            algorithm: key.algorithm().number(),
            labels: signed_labels(rrset.owner),
            original_ttl: rrset.ttl,
            times,
            key_tag: key.tag(),
            signer: key.zone().clone(),
        }
    }

    /// Appends the data of the record up to the signature: 18 octets and the signer.
    pub fn append_to(&self, rdata: &mut Vec<u8>) {
        rdata.extend_from_slice(&self.type_covered.0.to_be_bytes());
        rdata.extend_from_slice(&[self.algorithm, self.labels]);
        rdata.extend_from_slice(&self.original_ttl.to_be_bytes());
        rdata.extend_from_slice(&self.times.expiration.to_be_bytes());
        rdata.extend_from_slice(&self.times.inception.to_be_bytes());
        rdata.extend_from_slice(&self.key_tag.to_be_bytes());
        rdata.extend_from_slice(self.signer.as_wire());
    }

    /// The whole data of the record.
    pub fn rdata(&self, signature: &[u8]) -> Vec<u8> {
        let length = 18 + self.signer.as_wire().len() + signature.len();
        let mut rdata = Vec::with_capacity(length);
        self.append_to(&mut rdata);
        rdata.extend_from_slice(signature);
        rdata
    }

    /// Reads the data of a record, and returns the signature beside the fields. `None` if they are
    /// cut off.
    pub fn parse(rdata: &[u8]) -> Option<(SignatureFields, &[u8])> {
        let mut reader = WireReader::at(rdata, 0)?;
        let type_covered = RecordType(reader.u16()?);
        let (algorithm, labels) = (reader.u8()?, reader.u8()?);
        let original_ttl = reader.u32()?;
        let (expiration, inception) = (reader.u32()?, reader.u32()?);
        let key_tag = reader.u16()?;
        let start = reader.position();
        reader.skip_plain_name()?;
        let signer = Name::from_wire(rdata.get(start..reader.position())?).ok()?;
        let times = ValidityPeriod {
            inception,
            expiration,
        };
        let fields = SignatureFields {
            type_covered,
            algorithm,
            labels,
            original_ttl,
            times,
            key_tag,
            signer: signer.to_lower(),
        };
        Some((fields, reader.rest()))
    }
}

/// Signs an RRset. `rdatas` are uncompressed and may be in any order; `buffer` is memory that is used
/// again for each RRset. Returns what [`SignatureFields::rdata`] makes the RRSIG record's data from.
///
/// # Errors
/// [`KeyError::NoRandom`].
pub fn sign_rrset<'d>(
    key: &SigningKey,
    rrset: RrsetHead<'_>,
    rdatas: impl IntoIterator<Item = &'d [u8]>,
    times: ValidityPeriod,
    buffer: &mut SignedData,
) -> Result<(SignatureFields, SignatureOctets), KeyError> {
    let fields = SignatureFields::of(key.public(), rrset, times);
    buffer.fill(&fields, rrset, rdatas);
    let signature = key.sign(buffer.octets())?;
    Ok((fields, signature))
}

/// Why a signature is not accepted. It displays as a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureFault {
    /// Signer, algorithm or key tag are not those of the key.
    OtherKey,
    /// The type covered is not the RRset's.
    OtherType,
    /// The owner is not in the signer's zone, or has fewer labels than were signed.
    OtherOwner,
    /// The present time is outside its times.
    OutOfTime,
    /// It was made for other data, or by another key.
    Wrong,
}

impl fmt::Display for SignatureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignatureFault::OtherKey => "the signature is of another key",
            SignatureFault::OtherType => "the signature covers another type",
            SignatureFault::OtherOwner => "the signature is of another zone or name",
            SignatureFault::OutOfTime => "the signature has expired or is not valid yet",
            SignatureFault::Wrong => "the signature does not match the data",
        })
    }
}

impl std::error::Error for SignatureFault {}

/// Verifies a signature as a validator does (RFC 4035 section 5.3). The TTL of `rrset` may be any,
/// since the original one is signed.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_rrset<'d>(
    key: &ZoneKey,
    fields: &SignatureFields,
    signature: &[u8],
    rrset: RrsetHead<'_>,
    rdatas: impl IntoIterator<Item = &'d [u8]>,
    now: u64,
) -> Result<(), SignatureFault> {
    check_fields(key, fields, rrset, now)?;
    let mut data = SignedData::new();
    data.fill(fields, rrset, rdatas);
    verify_octets(key, data.octets(), signature)
}

/// Verifies a signature of a key over octets.
///
/// # Errors
/// [`SignatureFault::Wrong`].
pub fn verify_octets(key: &ZoneKey, octets: &[u8], signature: &[u8]) -> Result<(), SignatureFault> {
    if key.verifies(octets, signature) {
        Ok(())
    } else {
        Err(SignatureFault::Wrong)
    }
}

/// The checks of RFC 4035 section 5.3.1.
fn check_fields(
    key: &ZoneKey,
    fields: &SignatureFields,
    rrset: RrsetHead<'_>,
    now: u64,
) -> Result<(), SignatureFault> {
    let is_of_key = fields.signer == *key.zone()
        && fields.algorithm == key.algorithm().number()
        && fields.key_tag == key.tag();
    let is_of_owner = fields.labels <= signed_labels(rrset.owner)
        && Name::from_wire(rrset.owner).is_ok_and(|owner| owner.is_within(key.zone()));
    if !is_of_key {
        Err(SignatureFault::OtherKey)
    } else if fields.type_covered != rrset.rtype {
        Err(SignatureFault::OtherType)
    } else if !is_of_owner {
        Err(SignatureFault::OtherOwner)
    } else if !fields.times.contains(now) {
        Err(SignatureFault::OutOfTime)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dnssec::{KeyPair, SigningAlgorithm, ValidityRules};

    const NOW: u64 = 1_800_000_000;

    fn signing_key(algorithm: SigningAlgorithm) -> SigningKey {
        let zone = "example".parse().unwrap();
        SigningKey::new(&KeyPair::generate(&zone, 257, algorithm).unwrap()).unwrap()
    }

    fn head(owner: &[u8]) -> RrsetHead<'_> {
        RrsetHead {
            owner,
            rtype: RecordType::TXT,
            ttl: 300,
        }
    }

    fn signed(
        key: &SigningKey,
        owner: &[u8],
        rdatas: &[&[u8]],
    ) -> (SignatureFields, SignatureOctets) {
        let times = ValidityRules::default().period(1, NOW);
        let rdatas = rdatas.iter().copied();
        sign_rrset(key, head(owner), rdatas, times, &mut SignedData::new()).unwrap()
    }

    fn verified(
        key: &SigningKey,
        (fields, signature): &(SignatureFields, SignatureOctets),
        rrset: RrsetHead<'_>,
        rdatas: &[&[u8]],
    ) -> Result<(), SignatureFault> {
        let rdatas = rdatas.iter().copied();
        verify_rrset(
            key.public(),
            fields,
            signature.as_slice(),
            rrset,
            rdatas,
            NOW,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_signature_holds_for_its_data_and_no_other(
            rdatas in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..5),
            at in any::<prop::sample::Index>(),
            curve in prop::sample::select(vec![
                SigningAlgorithm::EcdsaP256Sha256,
                SigningAlgorithm::EcdsaP384Sha384,
                SigningAlgorithm::Ed25519,
            ]),
        ) {
            let key = signing_key(curve);
            let mut slices: Vec<&[u8]> = rdatas.iter().map(|data| &data[..]).collect();
            let owner = b"\x01a\x07example\0";
            let made = signed(&key, owner, &slices);
            prop_assert_eq!(Some(made.1.as_slice().len()), curve.signature_length());
            slices.reverse();
            prop_assert_eq!(verified(&key, &made, head(b"\x01A\x07eXample\0"), &slices), Ok(()));
            let mut other = rdatas.clone();
            at.get_mut(&mut other)[0] ^= 0x80;
            let slices: Vec<&[u8]> = other.iter().map(|data| &data[..]).collect();
            prop_assert_eq!(
                verified(&key, &made, head(owner), &slices),
                Err(SignatureFault::Wrong)
            );
        }

        #[test]
        fn octets_by_chance_are_no_panic(rdata in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some((fields, signature)) = SignatureFields::parse(&rdata) {
                prop_assert!(fields.rdata(signature).eq_ignore_ascii_case(&rdata));
            }
        }
    }

    #[test]
    fn rfc4035_section_5_3_2_a_wildcard_holds_for_what_it_expands_to() {
        let key = signing_key(SigningAlgorithm::Ed25519);
        let made = signed(&key, b"\x01*\x01w\x07example\0", &[b"\x01x"]);
        assert_eq!(made.0.labels, 2);
        for owner in [
            &b"\x01*\x01w\x07example\0"[..],
            b"\x01a\x01w\x07example\0",
            b"\x01b\x01a\x01w\x07example\0",
        ] {
            assert_eq!(verified(&key, &made, head(owner), &[b"\x01x"]), Ok(()));
        }
        assert_eq!(
            verified(&key, &made, head(b"\x01a\x01v\x07example\0"), &[b"\x01x"]),
            Err(SignatureFault::Wrong)
        );
        assert_eq!(
            verified(&key, &made, head(b"\x07example\0"), &[b"\x01x"]),
            Err(SignatureFault::OtherOwner)
        );
    }

    #[test]
    fn rfc4035_section_5_3_1_every_field_is_checked() {
        let key = signing_key(SigningAlgorithm::Ed25519);
        let owner = b"\x01a\x07example\0";
        let (fields, signature) = signed(&key, owner, &[b"\x01x"]);
        let tried = |change: fn(&mut SignatureFields)| {
            let mut fields = fields.clone();
            change(&mut fields);
            verified(&key, &(fields, signature.clone()), head(owner), &[b"\x01x"])
        };
        assert_eq!(tried(|_| ()), Ok(()));
        assert_eq!(
            tried(|fields| fields.key_tag ^= 1),
            Err(SignatureFault::OtherKey)
        );
        assert_eq!(
            tried(|fields| fields.signer = Name::root()),
            Err(SignatureFault::OtherKey)
        );
        assert_eq!(
            tried(|fields| fields.algorithm = 8),
            Err(SignatureFault::OtherKey)
        );
        assert_eq!(
            tried(|fields| fields.type_covered = RecordType::A),
            Err(SignatureFault::OtherType)
        );
        assert_eq!(
            tried(|fields| fields.labels = 3),
            Err(SignatureFault::OtherOwner)
        );
        assert_eq!(
            tried(|fields| fields.times.expiration = NOW as u32 - 1),
            Err(SignatureFault::OutOfTime)
        );
        assert_eq!(
            tried(|fields| fields.original_ttl += 1),
            Err(SignatureFault::Wrong)
        );
        let outside = verified(
            &key,
            &(fields.clone(), signature.clone()),
            head(b"\x01a\x07another\0"),
            &[b"\x01x"],
        );
        assert_eq!(outside, Err(SignatureFault::OtherOwner));
    }

    /// The first example: private key, public key, tag, and the signature over an MX record.
    #[test]
    fn rfc8080_section_6_1_example() {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let octets = |text| STANDARD.decode(text).unwrap();
        let zone: Name = "example.com".parse().unwrap();
        let public = octets("l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=");
        let seed = octets("ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=");
        let public = ZoneKey::new(&zone, 257, SigningAlgorithm::Ed25519, &public).unwrap();
        assert_eq!(public.tag(), 3613);
        let private = crate::dnssec::key::PrivateKey::Curve(seed.into());
        let key = SigningKey::new(&KeyPair::new(public, private).unwrap()).unwrap();
        let rrset = RrsetHead {
            owner: zone.as_wire(),
            rtype: RecordType::MX,
            ttl: 3600,
        };
        let times = ValidityPeriod {
            inception: 1_438_207_200,
            expiration: 1_440_021_600,
        };
        let mx = [&b"\0\x0a\x04mail\x07example\x03com\0"[..]];
        let (_, signature) = sign_rrset(&key, rrset, mx, times, &mut SignedData::new()).unwrap();
        assert_eq!(
            signature.as_slice(),
            octets(
                "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcr\
                 qNAg=="
            )
        );
    }

    #[test]
    fn curves_sign_the_same_octets_with_different_octets_except_ed25519() {
        let owner = b"\x01a\x07example\0";
        let key = signing_key(SigningAlgorithm::Ed25519);
        assert_eq!(signed(&key, owner, &[b"x"]), signed(&key, owner, &[b"x"]));
        let key = signing_key(SigningAlgorithm::EcdsaP256Sha256);
        assert_ne!(signed(&key, owner, &[b"x"]), signed(&key, owner, &[b"x"]));
    }
}
