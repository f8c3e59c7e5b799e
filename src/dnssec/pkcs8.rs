//! Private keys in PKCS#8 (RFC 5208, RFC 5958), in PEM or DER: the form of OpenSSL, Knot DNS and
//! PowerDNS.
//!
//! The form says the algorithm, but neither the zone nor the flags, which are arguments. What is
//! written is version 1 with the public key of ECDSA inside, which all of them read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::der::{
    BIT_STRING, DerReader, DerWriter, NULL, OBJECT, OCTET_STRING, SEQUENCE, TAGGED_1, without_zeros,
};
use super::key::{PrivateKey, RsaParts, ed25519_public};
use super::zone_key::{rsa_octets, rsa_parts, uncompressed};
use super::{KeyPair, SigningAlgorithm, ZoneKey};
use crate::dns::Name;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// Characters of base64 on a line (RFC 7468 section 2).
const LINE: usize = 64;

/// 1.2.840.113549.1.1.1, rsaEncryption.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
/// 1.2.840.10045.2.1, id-ecPublicKey.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// 1.2.840.10045.3.1.7, P-256.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// 1.3.132.0.34, P-384.
const P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
/// 1.3.101.112, Ed25519 (RFC 8410).
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Reads a key in PEM, with the label `PRIVATE KEY`.
///
/// # Errors
/// A sentence: there is no such block, it is of an algorithm that signs no zones here, or is
/// damaged.
pub fn from_pem(zone: &Name, flags: u16, text: &str) -> Result<KeyPair, String> {
    let body = text
        .split_once(BEGIN)
        .and_then(|(_, after)| after.split_once(END));
    let Some((body, _)) = body else {
        return Err(missing_block(text).to_owned());
    };
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    base64.extend(body.bytes().filter(|octet| !octet.is_ascii_whitespace()));
    let der = STANDARD.decode(&base64[..]).map(Zeroizing::new);
    let der = der.map_err(|_| "the PRIVATE KEY block is not base64".to_owned())?;
    from_der(zone, flags, &der)
}

/// What is there instead of the block.
fn missing_block(text: &str) -> &'static str {
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        "the key is encrypted; decrypt it first: openssl pkcs8 -in FILE -out KEY"
    } else if text.contains("BEGIN RSA PRIVATE KEY") || text.contains("BEGIN EC PRIVATE KEY") {
        "the key is not in PKCS#8; convert it first: openssl pkcs8 -topk8 -nocrypt -in FILE -out \
         KEY"
    } else {
        "there is no PRIVATE KEY block (PKCS#8 in PEM)"
    }
}

/// Reads a key in DER.
///
/// # Errors
/// A sentence: it is of an algorithm that signs no zones here, or is damaged.
pub fn from_der(zone: &Name, flags: u16, der: &[u8]) -> Result<KeyPair, String> {
    let parts = KeyParts::read(der).ok_or("the private key is no PKCS#8, or is damaged")?;
    let (algorithm, public, private) = match (parts.object, parts.curve) {
        (RSA, _) => rsa(parts.private),
        (EC, Some(P256)) => ecdsa(SigningAlgorithm::EcdsaP256Sha256, parts.private),
        (EC, Some(P384)) => ecdsa(SigningAlgorithm::EcdsaP384Sha384, parts.private),
        (ED25519, _) => ed25519(parts.private),
        _ => Err(
            "the private key is of an algorithm or curve that signs no zones here; P-256, P-384, \
             Ed25519 and RSA do"
                .to_owned(),
        ),
    }?;
    let public = ZoneKey::new(zone, flags, algorithm, &public)?;
    KeyPair::new(public, private).map_err(|error| error.to_string())
}

/// The parts of a PrivateKeyInfo.
struct KeyParts<'d> {
    object: &'d [u8],
    curve: Option<&'d [u8]>,
    private: &'d [u8],
}

impl KeyParts<'_> {
    fn read(der: &[u8]) -> Option<KeyParts<'_>> {
        let mut outer = DerReader::new(der).nested(SEQUENCE)?;
        outer.number()?;
        let mut algorithm = outer.nested(SEQUENCE)?;
        Some(KeyParts {
            object: algorithm.value(OBJECT)?,
            curve: algorithm.value(OBJECT),
            private: outer.value(OCTET_STRING)?,
        })
    }
}

/// An algorithm, and both halves of a key.
type ReadHalves = Result<(SigningAlgorithm, Vec<u8>, PrivateKey), String>;

/// The ECPrivateKey of RFC 5915.
fn ecdsa(algorithm: SigningAlgorithm, der: &[u8]) -> ReadHalves {
    let Some((private, public)) = curve_halves(der) else {
        return Err(format!("the {algorithm} key is damaged"));
    };
    let Some([0, 4, public @ ..]) = public else {
        return Err(format!(
            "the {algorithm} key lacks its public half; add it: openssl ec -in FILE | openssl \
             pkcs8 -topk8 -nocrypt -out KEY"
        ));
    };
    let private = padded(private, algorithm)?;
    Ok((algorithm, public.to_vec(), PrivateKey::Curve(private)))
}

/// The private half of an ECPrivateKey, and the BIT STRING of its public half if there is one.
fn curve_halves(der: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut reader = DerReader::new(der).nested(SEQUENCE)?;
    reader.number()?;
    let private = reader.value(OCTET_STRING)?;
    while let Some(tag) = reader.peek()
        && tag != TAGGED_1
    {
        reader.value(tag)?;
    }
    let tagged = reader.nested(TAGGED_1);
    let public = tagged.and_then(|mut tagged| tagged.value(BIT_STRING));
    Some((private, public))
}

/// The CurvePrivateKey of RFC 8410.
fn ed25519(der: &[u8]) -> ReadHalves {
    let seed = DerReader::new(der).value(OCTET_STRING);
    let seed = seed.ok_or("the Ed25519 key is damaged")?;
    let private = PrivateKey::Curve(Zeroizing::new(seed.to_vec()));
    Ok((SigningAlgorithm::Ed25519, ed25519_public(seed)?, private))
}

/// The RSAPrivateKey of RFC 8017 appendix A.1.2.
fn rsa(der: &[u8]) -> ReadHalves {
    let mut numbers = Vec::with_capacity(9);
    if let Some(mut reader) = DerReader::new(der).nested(SEQUENCE) {
        while let Some(number) = reader.number() {
            numbers.push(number);
        }
    }
    let [_, n, e, d, p, q, dp, dq, q_inverse] = numbers[..] else {
        return Err("the RSA key is damaged".to_owned());
    };
    let parts = RsaParts {
        d: kept(d),
        p: kept(p),
        q: kept(q),
        dp: kept(dp),
        dq: kept(dq),
        q_inverse: kept(q_inverse),
    };
    let public = rsa_octets(e, n);
    Ok((
        SigningAlgorithm::RsaSha256,
        public,
        PrivateKey::Rsa(Box::new(parts)),
    ))
}

fn kept(number: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(number.to_vec())
}

/// A private number of a curve in the length of its algorithm. Some programs leave leading zeros
/// out, and GnuTLS puts one in front where a signed number would be negative.
///
/// # Errors
/// A sentence: it is too long.
pub(super) fn padded(
    octets: &[u8],
    algorithm: SigningAlgorithm,
) -> Result<Zeroizing<Vec<u8>>, String> {
    let length = algorithm.private_length().unwrap_or_default();
    // A seed is no number: its zeros count.
    let octets = match algorithm {
        SigningAlgorithm::Ed25519 => octets,
        _ => without_zeros(octets),
    };
    let Some(missing) = length.checked_sub(octets.len()) else {
        return Err(format!(
            "a private key of {algorithm} has {length} octets, and this one {}",
            octets.len()
        ));
    };
    let mut padded = Zeroizing::new(vec![0; length]);
    if let Some(place) = padded.get_mut(missing..) {
        place.copy_from_slice(octets);
    }
    Ok(padded)
}

/// Writes a key in DER; `None`: its private half is in a token.
pub fn to_der(pair: &KeyPair) -> Option<Zeroizing<Vec<u8>>> {
    let none = DerWriter::default;
    let (algorithm, private) = match pair.private() {
        PrivateKey::Token(_) => return None,
        PrivateKey::Rsa(parts) => (
            none().value(OBJECT, RSA).value(NULL, &[]),
            rsa_der(pair.public(), parts),
        ),
        PrivateKey::Curve(seed) => match pair.public().algorithm() {
            SigningAlgorithm::EcdsaP256Sha256 => (
                none().value(OBJECT, EC).value(OBJECT, P256),
                ecdsa_der(pair.public(), seed),
            ),
            SigningAlgorithm::EcdsaP384Sha384 => (
                none().value(OBJECT, EC).value(OBJECT, P384),
                ecdsa_der(pair.public(), seed),
            ),
            SigningAlgorithm::RsaSha256 | SigningAlgorithm::Ed25519 => (
                none().value(OBJECT, ED25519),
                none().value(OCTET_STRING, seed),
            ),
        },
    };
    let info = none()
        .number(&[0])
        .nested(SEQUENCE, &algorithm)
        .nested(OCTET_STRING, &private);
    Some(none().nested(SEQUENCE, &info).finish())
}

fn ecdsa_der(public: &ZoneKey, private: &[u8]) -> DerWriter {
    let mut bits = vec![0];
    bits.extend_from_slice(&uncompressed(public.octets()));
    let tagged = DerWriter::default().value(BIT_STRING, &bits);
    let key = DerWriter::default()
        .number(&[1])
        .value(OCTET_STRING, private)
        .nested(TAGGED_1, &tagged);
    DerWriter::default().nested(SEQUENCE, &key)
}

fn rsa_der(public: &ZoneKey, parts: &RsaParts) -> DerWriter {
    let (exponent, modulus) = rsa_parts(public.octets()).unwrap_or_default();
    let key = DerWriter::default()
        .number(&[0])
        .number(modulus)
        .number(exponent)
        .number(&parts.d)
        .number(&parts.p)
        .number(&parts.q)
        .number(&parts.dp)
        .number(&parts.dq)
        .number(&parts.q_inverse);
    DerWriter::default().nested(SEQUENCE, &key)
}

/// Writes a key in PEM; `None`: its private half is in a token.
pub fn to_pem(pair: &KeyPair) -> Option<Zeroizing<String>> {
    let der = to_der(pair)?;
    let base64 = Zeroizing::new(STANDARD.encode(&der[..]));
    // A line end for each line and a little more, so that nothing moves while it is written.
    let room = base64.len() + base64.len() / LINE + BEGIN.len() + END.len() + 8;
    let mut text = Zeroizing::new(String::with_capacity(room));
    text.push_str(BEGIN);
    text.push('\n');
    let mut rest = &base64[..];
    while let Some((line, after)) = rest.split_at_checked(LINE) {
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        text.push_str(rest);
        text.push('\n');
    }
    text.push_str(END);
    text.push('\n');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::SigningKey;

    fn generated(algorithm: SigningAlgorithm) -> KeyPair {
        KeyPair::generate(&"example.com".parse().unwrap(), 257, algorithm).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        for algorithm in SigningAlgorithm::ALL {
            if !algorithm.can_generate() {
                continue;
            }
            let pair = generated(algorithm);
            let zone = pair.public().zone();
            let again = from_pem(zone, 257, &to_pem(&pair).unwrap()).unwrap();
            assert_eq!(again.public(), pair.public());
            assert_eq!(to_der(&again).unwrap()[..], to_der(&pair).unwrap()[..]);
            assert!(SigningKey::new(&again).unwrap().sign(b"x").is_ok());
        }
    }

    #[test]
    fn every_cut_is_a_sentence() {
        for algorithm in [SigningAlgorithm::EcdsaP256Sha256, SigningAlgorithm::Ed25519] {
            let pair = generated(algorithm);
            let der = to_der(&pair).unwrap();
            for length in 0..der.len() {
                assert!(from_der(pair.public().zone(), 257, &der[..length]).is_err());
            }
        }
    }

    #[test]
    fn numbers_of_a_curve_are_brought_to_their_length() {
        let p256 = SigningAlgorithm::EcdsaP256Sha256;
        let long = [&[0][..], &[0xff; 32]].concat();
        assert_eq!(padded(&long, p256).unwrap()[..], [0xff; 32]);
        let short = padded(&[0xff; 31], p256).unwrap();
        assert_eq!((short[0], short[1], short.len()), (0, 0xff, 32));
        assert!(padded(&[0xff; 33], p256).is_err());
    }

    #[test]
    fn other_blocks_are_told_apart() {
        let told = |text: &str| from_pem(&Name::root(), 257, text).unwrap_err();
        assert!(told("-----BEGIN ENCRYPTED PRIVATE KEY-----").starts_with("the key is encrypted"));
        assert!(told("-----BEGIN RSA PRIVATE KEY-----").starts_with("the key is not in PKCS#8"));
        assert!(told("").starts_with("there is no PRIVATE KEY block"));
        assert!(told(&format!("{BEGIN}\n?\n{END}")).ends_with("is not base64"));
    }
}
