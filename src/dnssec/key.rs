//! Private keys: what is written to files, and what signs.
//!
//! A [`KeyPair`] holds the private octets themselves, so it is made, read or written and then
//! dropped, which wipes them. A [`SigningKey`] is ring's form of the same key and stays as long as
//! the zone is signed. Ring checks that both halves belong together, so a [`SigningKey`] cannot make
//! signatures that its own DNSKEY record does not verify. A private half may be in a PKCS#11 token;
//! then the octets are not here, and the token signs.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use zeroize::Zeroizing;

use super::token::{TokenKey, TokenSetup};
use super::token_uri::TokenUri;
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
    /// The token of the key does not sign; a sentence that names both.
    Token(String),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::NotGenerated(algorithm) => write!(
                f,
                "{algorithm} keys cannot be generated here; make one with dnssec-keygen -a \
                 {algorithm} -b 2048 ZONE, or take ECDSAP256SHA256"
            ),
            KeyError::Rejected(sentence) | KeyError::Token(sentence) => f.write_str(sentence),
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
    /// It is in a token, which does not give it away.
    Token(Box<TokenUri>),
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
    /// Puts two halves together. Whether a key in a token belongs to the public one shows when it
    /// signs.
    ///
    /// # Errors
    /// [`KeyError::Rejected`]: they do not belong together, or ring finds the key too weak.
    pub fn new(public: ZoneKey, private: PrivateKey) -> Result<KeyPair, KeyError> {
        let pair = KeyPair { public, private };
        if pair.token().is_none() {
            RingPair::of(&pair)?;
        }
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

    /// Makes a new key where new keys belong: in a token, or [here](Self::generate).
    ///
    /// # Errors
    /// As for [`KeyPair::generate`]; or the token does not make it.
    pub fn generate_in(
        tokens: &TokenSetup,
        zone: &Name,
        flags: u16,
        algorithm: SigningAlgorithm,
    ) -> Result<KeyPair, KeyError> {
        let Some(uri) = &tokens.new_keys else {
            return KeyPair::generate(zone, flags, algorithm);
        };
        let (octets, place) = tokens
            .generate(uri, zone, algorithm)
            .map_err(KeyError::Token)?;
        KeyPair::in_token(zone, flags, algorithm, &octets, place)
    }

    /// A key whose private half is in a token.
    ///
    /// # Errors
    /// [`KeyError::Rejected`]: the octets are no public key of this algorithm.
    pub fn in_token(
        zone: &Name,
        flags: u16,
        algorithm: SigningAlgorithm,
        octets: &[u8],
        place: TokenUri,
    ) -> Result<KeyPair, KeyError> {
        let public = ZoneKey::new(zone, flags, algorithm, octets).map_err(KeyError::Rejected)?;
        KeyPair::new(public, PrivateKey::Token(Box::new(place)))
    }

    /// The public half.
    pub fn public(&self) -> &ZoneKey {
        &self.public
    }

    /// The private half.
    pub fn private(&self) -> &PrivateKey {
        &self.private
    }

    /// Where the private half is, if it is in a token.
    pub fn token(&self) -> Option<&TokenUri> {
        match &self.private {
            PrivateKey::Token(uri) => Some(uri),
            PrivateKey::Curve(_) | PrivateKey::Rsa(_) => None,
        }
    }
}

/// A key that signs, here or elsewhere. It neither shows nor copies its private half.
pub struct SigningKey {
    public: ZoneKey,
    private: PrivateHalf,
    random: SystemRandom,
}

/// What signs.
enum PrivateHalf {
    /// Ring.
    Here(RingPair),
    /// A token.
    InToken(TokenKey),
    /// Somebody else, whose signatures are in a bundle.
    Elsewhere,
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

    fn sign(&self, random: &SystemRandom, message: &[u8]) -> Result<SignatureOctets, KeyError> {
        match self {
            RingPair::Ecdsa(pair) => match pair.sign(random, message) {
                Ok(signature) => Ok(SignatureOctets::from_slice(signature.as_ref())),
                Err(_) => Err(KeyError::NoRandom),
            },
            RingPair::Ed25519(pair) => Ok(SignatureOctets::from_slice(pair.sign(message).as_ref())),
            RingPair::Rsa(pair) => {
                let mut octets = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, random, message, &mut octets)
                    .map_err(|_| KeyError::NoRandom)?;
                Ok(SignatureOctets::from_slice(&octets))
            }
        }
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
        SigningKey::with_tokens(pair, &TokenSetup::default())
    }

    /// The same where keys may be in tokens, which are not asked before something is to be signed.
    ///
    /// # Errors
    /// As for [`SigningKey::new`]; or it is not known how the token is reached.
    pub fn with_tokens(pair: &KeyPair, tokens: &TokenSetup) -> Result<SigningKey, KeyError> {
        let private = match pair.token() {
            Some(uri) => {
                let key = TokenKey::new(&pair.public, uri, tokens).map_err(KeyError::Token)?;
                PrivateHalf::InToken(key)
            }
            None => PrivateHalf::Here(RingPair::of(pair)?),
        };
        Ok(SigningKey {
            public: pair.public.clone(),
            private,
            random: SystemRandom::new(),
        })
    }

    /// A key whose private half is elsewhere, so that its signatures come from a bundle.
    pub fn elsewhere(public: ZoneKey) -> SigningKey {
        SigningKey {
            public,
            private: PrivateHalf::Elsewhere,
            random: SystemRandom::new(),
        }
    }

    /// The public half.
    pub fn public(&self) -> &ZoneKey {
        &self.public
    }

    /// Whether a token signs, which may take long and fail at any time.
    pub fn is_in_token(&self) -> bool {
        matches!(self.private, PrivateHalf::InToken(_))
    }

    /// Signs octets. Nothing is allocated, except for RSA and by tokens. ECDSA signatures differ each
    /// time; those of Ed25519 and RSA do not.
    ///
    /// # Errors
    /// [`KeyError::NoRandom`], which ECDSA needs; [`KeyError::NoPrivate`]; [`KeyError::Token`].
    pub fn sign(&self, message: &[u8]) -> Result<SignatureOctets, KeyError> {
        match &self.private {
            PrivateHalf::Here(pair) => pair.sign(&self.random, message),
            PrivateHalf::InToken(key) => {
                let signature = key.sign(message).map_err(KeyError::Token)?;
                Ok(SignatureOctets::from_slice(&signature))
            }
            PrivateHalf::Elsewhere => Err(KeyError::NoPrivate),
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
