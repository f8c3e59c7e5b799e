//! The algorithms that sign zones (IANA "DNS Security Algorithm Numbers").
//!
//! These four are what validators must or should support and what ring offers (RFC 8624 section
//! 3.1). A key of any other algorithm is refused by name, so that an operator who brings an old zone
//! knows which key is meant.

use std::fmt;

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaSigningAlgorithm,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, VerificationAlgorithm,
};

/// An algorithm of DNSKEY and RRSIG records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SigningAlgorithm {
    /// RSA with SHA-256, 8 (RFC 5702). Keys can be brought but not generated.
    RsaSha256,
    /// ECDSA on P-256 with SHA-256, 13 (RFC 6605). The default.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384, 14 (RFC 6605). About twenty times slower to sign than P-256.
    EcdsaP384Sha384,
    /// Ed25519, 15 (RFC 8080).
    Ed25519,
}

impl SigningAlgorithm {
    /// All of them, by number.
    pub const ALL: [SigningAlgorithm; 4] = [
        SigningAlgorithm::RsaSha256,
        SigningAlgorithm::EcdsaP256Sha256,
        SigningAlgorithm::EcdsaP384Sha384,
        SigningAlgorithm::Ed25519,
    ];

    /// The algorithm with this number, if it is one of ours.
    pub fn from_number(number: u8) -> Option<SigningAlgorithm> {
        SigningAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.number() == number)
    }

    /// The algorithm with this mnemonic, in any case, if it is one of ours.
    pub fn from_mnemonic(text: &str) -> Option<SigningAlgorithm> {
        SigningAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.mnemonic().eq_ignore_ascii_case(text))
    }

    /// The number in records.
    pub const fn number(self) -> u8 {
        match self {
            SigningAlgorithm::RsaSha256 => 8,
            SigningAlgorithm::EcdsaP256Sha256 => 13,
            SigningAlgorithm::EcdsaP384Sha384 => 14,
            SigningAlgorithm::Ed25519 => 15,
        }
    }

    /// The mnemonic of the IANA registry.
    pub const fn mnemonic(self) -> &'static str {
        match self {
            SigningAlgorithm::RsaSha256 => "RSASHA256",
            SigningAlgorithm::EcdsaP256Sha256 => "ECDSAP256SHA256",
            SigningAlgorithm::EcdsaP384Sha384 => "ECDSAP384SHA384",
            SigningAlgorithm::Ed25519 => "ED25519",
        }
    }

    /// Octets of a signature; `None` for RSA, where it is the length of the modulus.
    pub const fn signature_length(self) -> Option<usize> {
        match self {
            SigningAlgorithm::RsaSha256 => None,
            SigningAlgorithm::EcdsaP256Sha256 | SigningAlgorithm::Ed25519 => Some(64),
            SigningAlgorithm::EcdsaP384Sha384 => Some(96),
        }
    }

    /// Octets of the public key in a DNSKEY record; `None` for RSA.
    pub const fn public_length(self) -> Option<usize> {
        match self {
            SigningAlgorithm::RsaSha256 => None,
            SigningAlgorithm::EcdsaP256Sha256 => Some(64),
            SigningAlgorithm::EcdsaP384Sha384 => Some(96),
            SigningAlgorithm::Ed25519 => Some(32),
        }
    }

    /// Octets of the private key; `None` for RSA, whose private key has several parts.
    pub const fn private_length(self) -> Option<usize> {
        match self {
            SigningAlgorithm::RsaSha256 => None,
            SigningAlgorithm::EcdsaP256Sha256 | SigningAlgorithm::Ed25519 => Some(32),
            SigningAlgorithm::EcdsaP384Sha384 => Some(48),
        }
    }

    /// Whether names that are steered may be signed with it. A change of health can need thousands
    /// of signatures at once, and P-384 takes some 280 microseconds for each on one core. RSA with
    /// 2048 bits takes some 430, and is let through for those who must have it.
    pub const fn may_sign_steered(self) -> bool {
        !matches!(self, SigningAlgorithm::EcdsaP384Sha384)
    }

    /// Whether [`generate`](super::KeyPair::generate) makes such keys. Ring cannot make RSA keys.
    pub const fn can_generate(self) -> bool {
        !matches!(self, SigningAlgorithm::RsaSha256)
    }

    /// Ring's signing algorithm on a curve of NIST.
    pub(super) fn ecdsa(self) -> Option<&'static EcdsaSigningAlgorithm> {
        match self {
            SigningAlgorithm::EcdsaP256Sha256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
            SigningAlgorithm::EcdsaP384Sha384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
            SigningAlgorithm::RsaSha256 | SigningAlgorithm::Ed25519 => None,
        }
    }

    /// Ring's verification.
    pub(super) fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            SigningAlgorithm::RsaSha256 => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            SigningAlgorithm::EcdsaP256Sha256 => &ECDSA_P256_SHA256_FIXED,
            SigningAlgorithm::EcdsaP384Sha384 => &ECDSA_P384_SHA384_FIXED,
            SigningAlgorithm::Ed25519 => &ED25519,
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    /// The mnemonic.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mnemonic())
    }
}

/// How an algorithm that may not be ours is told to people: `8 (RSASHA256)`, `10 (RSASHA512)`.
pub fn told(number: u8) -> String {
    let name = match number {
        1 => "RSAMD5",
        3 => "DSA",
        5 => "RSASHA1",
        6 => "DSA-NSEC3-SHA1",
        7 => "RSASHA1-NSEC3-SHA1",
        10 => "RSASHA512",
        12 => "ECC-GOST",
        16 => "ED448",
        _ => match SigningAlgorithm::from_number(number) {
            Some(algorithm) => algorithm.mnemonic(),
            None => return number.to_string(),
        },
    };
    format!("{number} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_mnemonics_lead_back() {
        for algorithm in SigningAlgorithm::ALL {
            assert_eq!(
                SigningAlgorithm::from_number(algorithm.number()),
                Some(algorithm)
            );
            let lower = algorithm.mnemonic().to_ascii_lowercase();
            assert_eq!(SigningAlgorithm::from_mnemonic(&lower), Some(algorithm));
        }
        assert_eq!(SigningAlgorithm::from_number(10), None);
        assert_eq!(told(10), "10 (RSASHA512)");
        assert_eq!(told(13), "13 (ECDSAP256SHA256)");
        assert_eq!(told(200), "200");
    }
}
