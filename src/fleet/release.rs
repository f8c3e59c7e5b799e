//! A release: one immutable archive of a configuration, and what its author has signed about it.
//!
//! The [`ReleaseManifest`] says who made the release and why, and names the archive by its digest. It
//! is signed with an Ed25519 key that servers pin, and travels as a [`SignedRelease`]: the exact text
//! that was signed, the key and the signature. The archive follows in pieces, each a value of the
//! engine, or lies at an HTTPS address. Whatever is wrong is a [`ReleaseFault`] with a word of its own.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::release_archive::MOST_ARCHIVE;
use crate::config::values::fleet::ReleaseKey;

/// The version of manifests that this release of Meridian writes and reads.
pub const FORMAT: u32 = 1;
/// Octets of a piece of an archive; the last one may have fewer. In base64 it fits into the body of a
/// call.
pub const PIECE: usize = 44 << 10;
/// Most octets of a signed release.
pub const MOST_RELEASE: usize = 16 << 10;
/// What stands before the text that is signed, so that the signature counts for nothing else.
const PURPOSE: &str = "meridian release 1\n";

/// An archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArchiveFacts {
    /// SHA-256 of it, as 64 hexadecimal digits.
    pub digest: String,
    /// Its octets.
    pub octets: u64,
    /// Where it lies, an https address; absent: the engine has it in pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl ArchiveFacts {
    /// The facts of these octets.
    pub fn of(archive: &[u8], url: Option<String>) -> ArchiveFacts {
        ArchiveFacts {
            digest: digest_text(archive),
            octets: archive.len() as u64,
            url,
        }
    }

    /// How many pieces it has.
    pub fn pieces(&self) -> usize {
        usize::try_from(self.octets)
            .unwrap_or(usize::MAX)
            .div_ceil(PIECE)
    }

    /// Whether these octets are the archive.
    ///
    /// # Errors
    /// They are not.
    pub fn check(&self, archive: &[u8]) -> Result<(), ReleaseFault> {
        if archive.len() as u64 == self.octets && digest_text(archive) == self.digest {
            Ok(())
        } else {
            Err(ReleaseFault::WrongDigest)
        }
    }
}

/// SHA-256 of octets, as 64 hexadecimal digits.
pub fn digest_text(octets: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for octet in digest(&SHA256, octets).as_ref() {
        text.push_str(&format!("{octet:02x}"));
    }
    text
}

/// Whether a text is a digest as [`digest_text`] writes it.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_digit)
}

fn is_digit(octet: u8) -> bool {
    octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet)
}

/// What the author of a release has signed. Keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseManifest {
    /// The fleet.
    pub fleet: String,
    /// One more than that of the release before it.
    pub number: u64,
    /// Who made it.
    pub author: String,
    /// Why; may be empty.
    pub reason: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// Its archive.
    pub archive: ArchiveFacts,
    /// The archive of the release before, to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<ArchiveFacts>,
    /// It goes back to an archive that was served before.
    #[serde(default)]
    pub is_return: bool,
    /// `[guard]` does not count for it: its author has confirmed that clients move.
    #[serde(default)]
    pub may_move: bool,
}

/// A release as it travels. Its JSON form is stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedRelease {
    /// The version of the form.
    pub format: u32,
    /// The manifest, as the text that was signed.
    pub manifest: String,
    /// The public key that it is signed with, in base64.
    pub key: String,
    /// The signature (Ed25519), in base64.
    pub signature: String,
}

/// Why a release does not count, or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseFault {
    /// It is no release.
    NoRelease,
    /// It was made by a newer version; its format.
    NewerFormat(u32),
    /// It is signed with a key that this server does not trust.
    UnknownKey,
    /// The signature is wrong.
    WrongSignature,
    /// It is of another fleet.
    OtherFleet(String),
    /// A newer one was seen already.
    Older {
        /// Its number.
        theirs: u64,
        /// The number that was seen.
        seen: u64,
    },
    /// A part of its archive has not arrived; a clause.
    Incomplete(String),
    /// Its archive is another one.
    WrongDigest,
    /// Its archive cannot be unpacked; a clause.
    BadArchive(String),
    /// Its configuration has mistakes, or `[guard]` refuses it; a clause.
    Unfit(String),
}

impl ReleaseFault {
    /// The words of metrics.
    pub const WORDS: [&str; 10] = [
        "no_release",
        "newer_version",
        "unknown_key",
        "wrong_signature",
        "other_fleet",
        "older",
        "incomplete",
        "wrong_digest",
        "bad_archive",
        "unfit",
    ];

    /// Its word.
    pub fn word(&self) -> &'static str {
        match self {
            ReleaseFault::NoRelease => "no_release",
            ReleaseFault::NewerFormat(_) => "newer_version",
            ReleaseFault::UnknownKey => "unknown_key",
            ReleaseFault::WrongSignature => "wrong_signature",
            ReleaseFault::OtherFleet(_) => "other_fleet",
            ReleaseFault::Older { .. } => "older",
            ReleaseFault::Incomplete(_) => "incomplete",
            ReleaseFault::WrongDigest => "wrong_digest",
            ReleaseFault::BadArchive(_) => "bad_archive",
            ReleaseFault::Unfit(_) => "unfit",
        }
    }
}

impl fmt::Display for ReleaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReleaseFault::NoRelease => f.write_str("the value is no release"),
            ReleaseFault::NewerFormat(format) => write!(
                f,
                "it was made by a newer version of meridian (format {format}; this one reads \
                 {FORMAT})"
            ),
            ReleaseFault::UnknownKey => f.write_str(
                "it is signed with a key that is not among the trusted_keys of this server",
            ),
            ReleaseFault::WrongSignature => f.write_str("its signature is wrong"),
            ReleaseFault::OtherFleet(fleet) => write!(f, "it is for the fleet \"{fleet}\""),
            ReleaseFault::Older { theirs, seen } => write!(
                f,
                "its number is {theirs}, and release {seen} was seen already"
            ),
            ReleaseFault::WrongDigest => {
                f.write_str("its archive has another digest than its author signed")
            }
            ReleaseFault::BadArchive(clause) => write!(f, "its archive {clause}"),
            ReleaseFault::Incomplete(clause) | ReleaseFault::Unfit(clause) => f.write_str(clause),
        }
    }
}

/// Signs releases. `Debug` does not show the key.
pub struct ReleaseSigner(Ed25519KeyPair);

impl ReleaseSigner {
    /// The key in a PKCS#8 document.
    ///
    /// # Errors
    /// A sentence: it is no Ed25519 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<ReleaseSigner, String> {
        match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            Ok(pair) => Ok(ReleaseSigner(pair)),
            Err(error) => Err(format!("this is no Ed25519 key in PKCS#8: {error}")),
        }
    }

    /// The public half, which servers pin.
    pub fn public(&self) -> String {
        STANDARD.encode(self.0.public_key().as_ref())
    }

    /// Signs a manifest.
    ///
    /// # Errors
    /// A sentence: it is too long, or its archive is.
    pub fn sign(&self, manifest: &ReleaseManifest) -> Result<SignedRelease, String> {
        let manifest = serde_json::to_string(manifest).map_err(|error| error.to_string())?;
        let signature = self.0.sign(&signed_octets(&manifest));
        let signed = SignedRelease {
            format: FORMAT,
            manifest,
            key: self.public(),
            signature: STANDARD.encode(signature.as_ref()),
        };
        if signed.text().len() > MOST_RELEASE {
            return Err("the reason or the address is too long".to_owned());
        }
        Ok(signed)
    }
}

impl fmt::Debug for ReleaseSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReleaseSigner").finish_non_exhaustive()
    }
}

fn signed_octets(manifest: &str) -> Vec<u8> {
    let mut octets = PURPOSE.as_bytes().to_vec();
    octets.extend_from_slice(manifest.as_bytes());
    octets
}

impl SignedRelease {
    /// Reads a release, without checking its signature.
    ///
    /// # Errors
    /// It is none, or of a newer version.
    pub fn read(octets: &[u8]) -> Result<SignedRelease, ReleaseFault> {
        #[derive(Deserialize)]
        struct FormatOnly {
            format: u32,
        }
        if octets.len() > MOST_RELEASE {
            return Err(ReleaseFault::NoRelease);
        }
        let read: FormatOnly =
            serde_json::from_slice(octets).map_err(|_| ReleaseFault::NoRelease)?;
        if read.format > FORMAT {
            return Err(ReleaseFault::NewerFormat(read.format));
        }
        serde_json::from_slice(octets).map_err(|_| ReleaseFault::NoRelease)
    }

    /// The form in which it travels.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The manifest, if its signature is right and it is meant for this fleet.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn verify(
        &self,
        trusted: &[ReleaseKey],
        fleet: &str,
    ) -> Result<ReleaseManifest, ReleaseFault> {
        if self.format > FORMAT {
            return Err(ReleaseFault::NewerFormat(self.format));
        }
        self.check_signature(&self.trusted_key(trusted)?)?;
        let manifest: ReleaseManifest =
            serde_json::from_str(&self.manifest).map_err(|_| ReleaseFault::NoRelease)?;
        if manifest.fleet != fleet {
            return Err(ReleaseFault::OtherFleet(manifest.fleet));
        }
        if manifest.is_sound() {
            Ok(manifest)
        } else {
            Err(ReleaseFault::NoRelease)
        }
    }

    /// The key, if it is one of these.
    fn trusted_key(&self, trusted: &[ReleaseKey]) -> Result<ReleaseKey, ReleaseFault> {
        let key = ReleaseKey::of(&self.key).ok_or(ReleaseFault::NoRelease)?;
        if trusted.contains(&key) {
            Ok(key)
        } else {
            Err(ReleaseFault::UnknownKey)
        }
    }

    fn check_signature(&self, key: &ReleaseKey) -> Result<(), ReleaseFault> {
        let signature = STANDARD.decode(&self.signature).unwrap_or_default();
        UnparsedPublicKey::new(&ED25519, key.0)
            .verify(&signed_octets(&self.manifest), &signature)
            .map_err(|_| ReleaseFault::WrongSignature)
    }
}

impl ReleaseManifest {
    /// Whether its numbers and its archive can be.
    fn is_sound(&self) -> bool {
        let fits = self.archive.octets <= MOST_ARCHIVE as u64;
        self.number > 0 && fits && is_digest(&self.archive.digest)
    }
}

/// The key of a piece in the engine.
pub fn piece_key(digest: &str, piece: usize) -> String {
    format!("{digest}.{piece}")
}

/// Whether a text is a key as [`piece_key`] writes it.
pub fn is_piece_key(text: &str) -> bool {
    let Some((digest, piece)) = text.split_once('.') else {
        return false;
    };
    let number: Result<usize, _> = piece.parse();
    is_digest(digest) && number.is_ok_and(|number| piece_key(digest, number) == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SystemRandom;

    use super::*;

    fn signer() -> (ReleaseSigner, ReleaseKey) {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let signer = ReleaseSigner::from_pkcs8(der.as_ref()).unwrap();
        let key = ReleaseKey::of(&signer.public()).unwrap();
        (signer, key)
    }

    fn manifest(archive: &[u8]) -> ReleaseManifest {
        ReleaseManifest {
            fleet: "world".to_owned(),
            number: 7,
            author: "ops".to_owned(),
            reason: "more names".to_owned(),
            at: 1_800_000_000,
            archive: ArchiveFacts::of(archive, None),
            before: None,
            is_return: false,
            may_move: false,
        }
    }

    #[test]
    fn a_release_is_known_by_its_key_its_signature_and_its_digest() {
        let (signer, key) = signer();
        let signed = signer.sign(&manifest(b"archive")).unwrap();
        let signed = SignedRelease::read(signed.text().as_bytes()).unwrap();
        let read = signed.verify(&[key], "world").unwrap();
        assert_eq!(read, manifest(b"archive"));
        assert_eq!(read.archive.check(b"archive"), Ok(()));
        assert_eq!(
            read.archive.check(b"Archive"),
            Err(ReleaseFault::WrongDigest)
        );
        let other = self::signer().1;
        let fault = |fault: Result<ReleaseManifest, ReleaseFault>| fault.unwrap_err().word();
        assert_eq!(fault(signed.verify(&[other], "world")), "unknown_key");
        assert_eq!(fault(signed.verify(&[key], "moon")), "other_fleet");
        let changed = SignedRelease {
            manifest: signed.manifest.replace("more", "less"),
            ..signed.clone()
        };
        assert_eq!(fault(changed.verify(&[key], "world")), "wrong_signature");
        let newer = "{\"format\":2,\"seal\":\"\"}";
        let newer = SignedRelease::read(newer.as_bytes()).unwrap_err();
        assert_eq!(newer.word(), "newer_version");
        let nothing = SignedRelease::read(b"{}").unwrap_err();
        assert_eq!(nothing.word(), "no_release");
    }

    #[test]
    fn an_archive_is_cut_into_pieces_that_cover_it() {
        for (octets, pieces) in [(0, 0), (1, 1), (PIECE, 1), (PIECE + 1, 2)] {
            let facts = ArchiveFacts::of(&vec![7; octets], None);
            assert_eq!(facts.pieces(), pieces);
        }
    }

    proptest! {
        #[test]
        fn no_octets_but_those_that_were_signed_count(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let (signer, key) = signer();
            let mut text = signer.sign(&manifest(b"archive")).unwrap().text().into_bytes();
            let at = at.index(text.len());
            text[at] ^= 1 << bit;
            if let Ok(read) = SignedRelease::read(&text)
                && let Ok(read) = read.verify(&[key], "world")
            {
                prop_assert_eq!(read, manifest(b"archive"));
            }
        }
    }
}
