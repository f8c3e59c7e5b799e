//! Private keys: what is written to files, and what signs.
//!
//! A [`KeyPair`] holds the private octets themselves, so it is made, read or written and then
//! dropped, which wipes them. A [`SigningKey`] is ring's form of the same key and stays as long as
//! the zone is signed. Ring checks that both halves belong together, so a [`SigningKey`] cannot make
//! signatures that its own DNSKEY record does not verify.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use zeroize::Zeroizing;

use super::zone_key::{rsa_parts, uncompressed};
use super::{SigningAlgorithm, ZoneKey, pkcs8};
use crate::dns::Name;

/// Octets of the longest signature of a fixed length, that of P-384.
const LONGEST_FIXED: usize = 96;

/// Why a key is not made, or does not sign. It displays as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// Ring cannot make keys of this algorithm.
    NotGenerated(SigningAlgorithm),
    /// The two halves do not belong together, or the key is weak; a sentence.
    Rejected(String),
    /// The system has no random octets.
    NoRandom,
    /// The private half is elsewhere.
    NoPrivate,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::NotGenerated(algorithm) => write!(
                f,
                "{algorithm} keys cannot be generated here; make one with dnssec-keygen -a \
                 {algorithm} -b 2048 ZONE, or take ECDSAP256SHA256"
            ),
            KeyError::Rejected(sentence) => f.write_str(sentence),
            KeyError::NoRandom => f.write_str("the system has no random octets"),
            KeyError::NoPrivate => f.write_str("the private key is elsewhere"),
        }
    }
}

impl std::error::Error for KeyError {}

/// The private half of a key. It is wiped when it is dropped.
#[derive(Clone)]
pub enum PrivateKey {
    /// The number (ECDSA) or the seed (Ed25519), as long as the algorithm says.
    Curve(Zeroizing<Vec<u8>>),
    /// The parts of an RSA key.
    Rsa(Box<RsaParts>),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// The parts of an RSA key beside modulus and exponent (RFC 8017 section 3.2), as numbers in network
/// order without leading zeros.
#[derive(Clone)]
pub struct RsaParts {
    /// The private exponent.
    pub d: Zeroizing<Vec<u8>>,
    /// The first prime.
    pub p: Zeroizing<Vec<u8>>,
    /// The second prime.
    pub q: Zeroizing<Vec<u8>>,
    /// `d mod (p - 1)`.
    pub dp: Zeroizing<Vec<u8>>,
    /// `d mod (q - 1)`.
    pub dq: Zeroizing<Vec<u8>>,
    /// The inverse of `q mod p`.
    pub q_inverse: Zeroizing<Vec<u8>>,
}

/// Both halves of a key, to be written to a file or made into a [`SigningKey`].
#[derive(Debug, Clone)]
pub struct KeyPair {
    public: ZoneKey,
    private: PrivateKey,
}

impl KeyPair {
    /// Puts two halves together.
    ///
    /// # Errors
    /// [`KeyError::Rejected`]: they do not belong together, or ring finds the key too weak.
    pub fn new(public: ZoneKey, private: PrivateKey) -> Result<KeyPair, KeyError> {
        let pair = KeyPair { public, private };
        RingPair::of(&pair)?;
        Ok(pair)
    }

    /// Makes a new key of `zone` with these flags, 256 or 257. The private half passes through a
    /// buffer of ring on the stack, which ring does not wipe.
    ///
    /// # Errors
    /// RSA keys cannot be made; the flags are those of no zone key; the system has no random octets.
    pub fn generate(
        zone: &Name,
        flags: u16,
        algorithm: SigningAlgorithm,
    ) -> Result<KeyPair, KeyError> {
        let random = SystemRandom::new();
        let document = match algorithm.ecdsa() {
            Some(curve) => EcdsaKeyPair::generate_pkcs8(curve, &random),
            None if algorithm == SigningAlgorithm::Ed25519 => {
                Ed25519KeyPair::generate_pkcs8(&random)
            }
            None => return Err(KeyError::NotGenerated(algorithm)),
        };
        let document = document.map_err(|_| KeyError::NoRandom)?;
        pkcs8::from_der(zone, flags, document.as_ref()).map_err(KeyError::Rejected)
    }

    /// The public half.
    pub fn public(&self) -> &ZoneKey {
        &self.public
    }

    /// The private half.
    pub fn private(&self) -> &PrivateKey {
        &self.private
    }
}

/// A key that signs, here or elsewhere. It neither shows nor copies its private half.
pub struct SigningKey {
    public: ZoneKey,
    /// `None`: it signs elsewhere.
    pair: Option<RingPair>,
    random: SystemRandom,
}

/// Ring's forms.
enum RingPair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl RingPair {
    /// Has ring check a pair.
    fn of(pair: &KeyPair) -> Result<RingPair, KeyError> {
        let algorithm = pair.public.algorithm();
        let public = pair.public.octets();
        let made = match (&pair.private, algorithm.ecdsa()) {
            (PrivateKey::Curve(octets), Some(curve)) => {
                let point = uncompressed(public);
                let random = SystemRandom::new();
                EcdsaKeyPair::from_private_key_and_public_key(curve, octets, &point, &random)
                    .map(RingPair::Ecdsa)
            }
            (PrivateKey::Curve(seed), None) if algorithm == SigningAlgorithm::Ed25519 => {
                Ed25519KeyPair::from_seed_and_public_key(seed, public).map(RingPair::Ed25519)
            }
            (PrivateKey::Rsa(parts), None) if algorithm == SigningAlgorithm::RsaSha256 => {
                return rsa_pair(public, parts).map(|pair| RingPair::Rsa(Box::new(pair)));
            }
            _ => {
                return Err(KeyError::Rejected(format!(
                    "the private key is not one of {algorithm}"
                )));
            }
        };
        made.map_err(|_| {
            KeyError::Rejected("the private key does not belong to the public key".to_owned())
        })
    }
}

/// Ring's form of an RSA key.
fn rsa_pair(public: &[u8], parts: &RsaParts) -> Result<RsaKeyPair, KeyError> {
    let Some((exponent, modulus)) = rsa_parts(public) else {
        return Err(KeyError::Rejected("the RSA key is cut off".to_owned()));
    };
    let components = ring::rsa::KeyPairComponents {
        public_key: RsaPublicKeyComponents {
            n: modulus,
            e: exponent,
        },
        d: &parts.d[..],
        p: &parts.p[..],
        q: &parts.q[..],
        dP: &parts.dp[..],
        dQ: &parts.dq[..],
        qInv: &parts.q_inverse[..],
    };
    RsaKeyPair::from_components(&components).map_err(|reason| {
        KeyError::Rejected(format!(
            "the RSA key is refused ({reason}); it needs 2048 to 4096 bits, a public exponent of \
             65537 or more, and a private key that belongs to the public key"
        ))
    })
}

impl SigningKey {
    /// Makes a key ready to sign. The pair may be dropped afterwards.
    ///
    /// # Errors
    /// [`KeyError::Rejected`]: the halves do not belong together, or the key is too weak.
    pub fn new(pair: &KeyPair) -> Result<SigningKey, KeyError> {
        Ok(SigningKey {
            public: pair.public.clone(),
            pair: Some(RingPair::of(pair)?),
            random: SystemRandom::new(),
        })
    }

    /// A key whose private half is elsewhere, so that its signatures come from a bundle.
    pub fn elsewhere(public: ZoneKey) -> SigningKey {
        SigningKey {
            public,
            pair: None,
            random: SystemRandom::new(),
        }
    }

    /// The public half.
    pub fn public(&self) -> &ZoneKey {
        &self.public
    }

    /// Signs octets. Nothing is allocated, except for RSA. ECDSA signatures differ each time;
    /// those of Ed25519 and RSA do not.
    ///
    /// # Errors
    /// [`KeyError::NoRandom`], which ECDSA needs; [`KeyError::NoPrivate`].
    pub fn sign(&self, message: &[u8]) -> Result<SignatureOctets, KeyError> {
        match self.pair.as_ref().ok_or(KeyError::NoPrivate)? {
            RingPair::Ecdsa(pair) => match pair.sign(&self.random, message) {
                Ok(signature) => Ok(SignatureOctets::from_slice(signature.as_ref())),
                Err(_) => Err(KeyError::NoRandom),
            },
            RingPair::Ed25519(pair) => Ok(SignatureOctets::from_slice(pair.sign(message).as_ref())),
            RingPair::Rsa(pair) => {
                let mut octets = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut octets)
                    .map_err(|_| KeyError::NoRandom)?;
                Ok(SignatureOctets::from_slice(&octets))
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public)
    }
}

/// A signature: in place for the curves, elsewhere for RSA.
#[derive(Clone)]
pub struct SignatureOctets(SignatureForm);

#[derive(Clone)]
enum SignatureForm {
    Fixed([u8; LONGEST_FIXED], u8),
    Long(Box<[u8]>),
}

impl SignatureOctets {
    /// A copy of these octets.
    pub fn from_slice(octets: &[u8]) -> SignatureOctets {
        let mut fixed = [0; LONGEST_FIXED];
        match fixed.get_mut(..octets.len()) {
            Some(place) => {
                place.copy_from_slice(octets);
                SignatureOctets(SignatureForm::Fixed(fixed, octets.len() as u8))
            }
            None => SignatureOctets(SignatureForm::Long(octets.into())),
        }
    }

    /// The octets.
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            SignatureForm::Fixed(octets, length) => {
                octets.get(..usize::from(*length)).unwrap_or_default()
            }
            SignatureForm::Long(octets) => octets,
        }
    }
}

impl AsRef<[u8]> for SignatureOctets {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for SignatureOctets {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for SignatureOctets {}

impl fmt::Debug for SignatureOctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", self.as_slice())
    }
}

/// The public half of an Ed25519 key.
///
/// # Errors
/// The seed has not 32 octets.
pub(super) fn ed25519_public(seed: &[u8]) -> Result<Vec<u8>, String> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed)
        .map_err(|_| "an Ed25519 key has 32 octets".to_owned())?;
    Ok(pair.public_key().as_ref().to_vec())
}
