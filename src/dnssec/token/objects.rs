//! The objects of a token: how keys are found, made, and read.
//!
//! Keys are made so that they never leave the token (CKA_SENSITIVE, and not CKA_EXTRACTABLE). A token
//! gives the point of a curve as an OCTET STRING in DER, and some give it bare; both are read.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::session::told;
use crate::dnssec::SigningAlgorithm;
use crate::dnssec::der::without_zeros;
use crate::dnssec::token_uri::TokenObject;
use crate::dnssec::zone_key::rsa_octets;

/// 1.2.840.10045.3.1.7 in DER, P-256.
const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// 1.3.132.0.34 in DER, P-384.
const P384: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 0x22];
/// 1.3.101.112 in DER, Ed25519 (RFC 8410).
const ED25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];
/// The same as a name (PKCS#11 3.0 section 2.3.5).
const ED25519_NAME: &[u8] = b"\x13\x0cedwards25519";
/// Bits of RSA keys that are made.
const RSA_BITS: u64 = 2048;
/// The public exponent of RSA keys, 65537.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// The one object of a class that is meant.
///
/// # Errors
/// A sentence: there is none, or there are several.
pub(super) fn find(
    session: &Session,
    class: ObjectClass,
    object: &TokenObject,
) -> Result<ObjectHandle, String> {
    let mut template = vec![Attribute::Token(true), Attribute::Class(class)];
    if let Some(label) = &object.label {
        template.push(Attribute::Label(label.clone().into_bytes()));
    }
    if let Some(id) = &object.id {
        template.push(Attribute::Id(id.clone()));
    }
    let found = session
        .find_objects(&template)
        .map_err(|error| told("its objects cannot be listed", &error))?;
    let kind = if class == ObjectClass::PRIVATE_KEY {
        "private key"
    } else {
        "public key"
    };
    match found[..] {
        [key] => Ok(key),
        [] => Err(format!(
            "the token has no such {kind}; list what it has with pkcs11-tool --list-objects"
        )),
        _ => Err(format!(
            "the token has several such {kind}s; add id= to the URI"
        )),
    }
}

/// A key pair to be made.
pub(super) struct KeyRequest<'o> {
    algorithm: SigningAlgorithm,
    label: &'o str,
}

impl<'o> KeyRequest<'o> {
    /// A key pair with a label.
    ///
    /// # Errors
    /// A sentence: there is no label.
    pub(super) fn new(
        algorithm: SigningAlgorithm,
        object: &'o TokenObject,
    ) -> Result<KeyRequest<'o>, String> {
        let label = object.label.as_deref().ok_or("the key has no label")?;
        Ok(KeyRequest { algorithm, label })
    }

    /// Makes it, and returns the Public Key field of its DNSKEY record.
    ///
    /// # Errors
    /// A sentence: what the token says.
    pub(super) fn make(&self, session: &Session) -> Result<Vec<u8>, String> {
        let mechanism = match self.algorithm {
            SigningAlgorithm::RsaSha256 => Mechanism::RsaPkcsKeyPairGen,
            SigningAlgorithm::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
            _ => Mechanism::EccKeyPairGen,
        };
        let (public, private) = (self.public(), self.private());
        let (made, _) = session
            .generate_key_pair(&mechanism, &public, &private)
            .map_err(|error| {
                let what = format!("the token makes no keys of {}", self.algorithm);
                told(&what, &error)
            })?;
        public_half(session, made).map(|(_, octets)| octets)
    }

    /// What both halves have.
    fn both(&self) -> Vec<Attribute> {
        let label = self.label.as_bytes().to_vec();
        vec![
            Attribute::Token(true),
            Attribute::Label(label.clone()),
            // Other programs pair both halves by it.
            Attribute::Id(label),
        ]
    }

    fn public(&self) -> Vec<Attribute> {
        let mut template = self.both();
        template.extend([Attribute::Private(false), Attribute::Verify(true)]);
        match self.algorithm {
            SigningAlgorithm::RsaSha256 => {
                template.push(Attribute::ModulusBits(RSA_BITS.into()));
                template.push(Attribute::PublicExponent(RSA_EXPONENT.to_vec()));
            }
            SigningAlgorithm::EcdsaP256Sha256 => template.push(Attribute::EcParams(P256.to_vec())),
            SigningAlgorithm::EcdsaP384Sha384 => template.push(Attribute::EcParams(P384.to_vec())),
            SigningAlgorithm::Ed25519 => template.push(Attribute::EcParams(ED25519.to_vec())),
        }
        template
    }

    fn private(&self) -> Vec<Attribute> {
        let mut template = self.both();
        template.extend([
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ]);
        template
    }
}

/// The algorithm of a public key, and the Public Key field of its DNSKEY record.
///
/// # Errors
/// A sentence: the key cannot be read, or signs no zones.
pub(super) fn public_half(
    session: &Session,
    key: ObjectHandle,
) -> Result<(SigningAlgorithm, Vec<u8>), String> {
    let kind = read(session, key, &[AttributeType::KeyType])?;
    if kind.contains(&Attribute::KeyType(KeyType::RSA)) {
        let types = [AttributeType::PublicExponent, AttributeType::Modulus];
        return match &read(session, key, &types)?[..] {
            [
                Attribute::PublicExponent(exponent),
                Attribute::Modulus(modulus),
            ] => {
                let octets = rsa_octets(without_zeros(exponent), without_zeros(modulus));
                Ok((SigningAlgorithm::RsaSha256, octets))
            }
            _ => Err("the RSA key has no modulus and exponent".to_owned()),
        };
    }
    let types = [AttributeType::EcParams, AttributeType::EcPoint];
    match &read(session, key, &types)?[..] {
        [Attribute::EcParams(curve), Attribute::EcPoint(point)] => curve_half(curve, point),
        _ => Err("the key has no curve and point".to_owned()),
    }
}

/// Attributes of an object, in the order in which they are asked for.
fn read(
    session: &Session,
    key: ObjectHandle,
    types: &[AttributeType],
) -> Result<Vec<Attribute>, String> {
    session
        .get_attributes(key, types)
        .map_err(|error| told("the public key cannot be read", &error))
}

/// The public half of a key on a curve.
fn curve_half(curve: &[u8], point: &[u8]) -> Result<(SigningAlgorithm, Vec<u8>), String> {
    let algorithm = match curve {
        P256 => SigningAlgorithm::EcdsaP256Sha256,
        P384 => SigningAlgorithm::EcdsaP384Sha384,
        ED25519 | ED25519_NAME => SigningAlgorithm::Ed25519,
        _ => {
            return Err("the key is on another curve than P-256, P-384 and Ed25519".to_owned());
        }
    };
    let length = algorithm.public_length().unwrap_or_default();
    let is_nist = algorithm != SigningAlgorithm::Ed25519;
    // NIST's points begin with an octet that says that they are not compressed.
    let bare = length.saturating_add(is_nist.into());
    let point = match point {
        [4, stated, inner @ ..] if usize::from(*stated) == bare && inner.len() == bare => inner,
        point => point,
    };
    let octets = match point {
        [4, octets @ ..] if is_nist => octets,
        octets => octets,
    };
    if octets.len() == length {
        Ok((algorithm, octets.to_vec()))
    } else {
        Err(format!("the token's public key of {algorithm} is damaged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_in_both_forms() {
        for (curve, prefix, length, algorithm) in [
            (P256, &[4][..], 64, SigningAlgorithm::EcdsaP256Sha256),
            (P384, &[4], 96, SigningAlgorithm::EcdsaP384Sha384),
            (ED25519, &[], 32, SigningAlgorithm::Ed25519),
            (ED25519_NAME, &[], 32, SigningAlgorithm::Ed25519),
        ] {
            // Octets that look like a header of DER are none inside.
            for first in [4, 0x41, 0x20, 7] {
                let octets = [&[first][..], &vec![first; length - 1]].concat();
                let bare = [prefix, &octets].concat();
                let wrapped = [&[4, bare.len() as u8][..], &bare].concat();
                for point in [&bare, &wrapped] {
                    assert_eq!(curve_half(curve, point), Ok((algorithm, octets.clone())));
                }
                assert!(curve_half(curve, &bare[..bare.len() - 1]).is_err());
            }
        }
        assert!(curve_half(b"\x06\x05\x2b\x81\x04\x00\x0a", &[4; 65]).is_err());
    }
}
