//! A bundle of signatures: everything that a server needs to serve signed zones without a key.
//!
//! It is made where the keys are, and holds the signatures of all zones and of all answers that are
//! foreseen, and the public halves of the keys with their roles. A server computes what is to be
//! signed from its own zones and configuration, and finds the signature by the digest of the data; it
//! checks each one with the public key before it serves it.
//!
//! The file is text with counted blocks, so it can be looked at with `head`:
//!
//! ```text
//! Meridian signature bundle 1
//! Made: 20261129124500
//! Serial: 1795956300 example.com.   that of a zone whose serial rises by itself
//! Roles: published keys zone    what the following key does
//! Key: 312                      the text of a .key file follows, 312 octets
//! Signatures: 4096              a store of signatures follows
//! SHA-256: 5d41...              of everything before this line
//! ```

use ring::digest::{SHA256, digest};

use crate::dns::Name;

use super::key_file::{parse_time, time_text};
use super::{KeyFile, SignatureStore};

/// The first line, with the version of the format.
const HEAD: &[u8] = b"Meridian signature bundle 1\n";
/// What the first line of every version begins with.
const ANY_HEAD: &[u8] = b"Meridian signature bundle ";
/// The most keys in a bundle.
const MOST_KEYS: usize = 100_000;

/// Signatures and public keys.
#[derive(Debug)]
pub struct SignatureBundle {
    /// When it was made, in seconds since 1970.
    pub made_at: u64,
    /// The serials of zones whose file has another one.
    pub serials: Vec<(Name, u32)>,
    /// The keys of all zones.
    pub keys: Vec<BundleKey>,
    /// The signatures.
    pub signatures: SignatureStore,
}

/// A key of a bundle.
#[derive(Debug, Clone)]
pub struct BundleKey {
    /// Without its private half.
    pub key: KeyFile,
    /// What it does while the bundle is served, whatever its times say.
    pub roles: Vec<BundleRole>,
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleRole {
    /// It is in the DNSKEY set.
    Published,
    /// It is in the CDS and CDNSKEY sets.
    Synced,
    /// It signs the DNSKEY, CDS and CDNSKEY sets.
    SignsKeys,
    /// It signs everything else.
    SignsZone,
    /// Its zone asks its parent to remove the DS records (RFC 8078 section 4).
    Leaving,
}

impl BundleRole {
    const ALL: [BundleRole; 5] = [
        BundleRole::Published,
        BundleRole::Synced,
        BundleRole::SignsKeys,
        BundleRole::SignsZone,
        BundleRole::Leaving,
    ];

    fn word(self) -> &'static str {
        match self {
            BundleRole::Published => "published",
            BundleRole::Synced => "synced",
            BundleRole::SignsKeys => "keys",
            BundleRole::SignsZone => "zone",
            BundleRole::Leaving => "leaving",
        }
    }

    fn of_word(word: &str) -> Option<BundleRole> {
        BundleRole::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl SignatureBundle {
    /// The file.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut octets = HEAD.to_vec();
        octets.extend_from_slice(format!("Made: {}\n", time_text(self.made_at)).as_bytes());
        for (zone, serial) in &self.serials {
            octets.extend_from_slice(format!("Serial: {serial} {zone}\n").as_bytes());
        }
        for BundleKey { key, roles } in &self.keys {
            octets.extend_from_slice(b"Roles:");
            for role in roles {
                octets.extend_from_slice(format!(" {}", role.word()).as_bytes());
            }
            octets.push(b'\n');
            add_block(&mut octets, "Key", &[key.public_text().as_bytes()]);
        }
        add_block(&mut octets, "Signatures", &self.signatures.pieces());
        seal(&mut octets);
        octets
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A sentence without the file's name: it is no bundle, of another version, cut off or damaged.
    pub fn parse(octets: &[u8]) -> Result<SignatureBundle, String> {
        if !octets.starts_with(ANY_HEAD) {
            return Err("is no bundle of signatures; `meridian sign` makes one".to_owned());
        }
        let Some(rest) = octets.strip_prefix(HEAD) else {
            return Err("is a bundle of another version; make it with this release".to_owned());
        };
        let mut reader = BundleReader { rest };
        reader.read(octets).unwrap_or_else(|| {
            Err(
                "is cut off or damaged; copy it again, or make it again with `meridian sign`"
                    .to_owned(),
            )
        })
    }
}

/// Reads the lines and blocks of a bundle.
struct BundleReader<'o> {
    rest: &'o [u8],
}

impl<'o> BundleReader<'o> {
    /// `None`: it is cut off or damaged.
    fn read(&mut self, whole: &[u8]) -> Option<Result<SignatureBundle, String>> {
        let made_at = parse_time(self.line("Made")?)?;
        let (mut keys, mut serials) = (Vec::new(), Vec::new());
        while self.rest.starts_with(b"Serial:") {
            let (serial, zone) = self.line("Serial")?.split_once(' ')?;
            serials.push((Name::parse(zone, &Name::root()).ok()?, serial.parse().ok()?));
        }
        let signatures = loop {
            if keys.len() > MOST_KEYS {
                return None;
            }
            if self.rest.starts_with(b"Roles:") {
                let roles = self.roles()?;
                let text = std::str::from_utf8(self.block("Key")?).ok()?;
                match KeyFile::from_public_text(text) {
                    Ok(key) => keys.push(BundleKey { key, roles }),
                    Err(sentence) => return Some(Err(format!("has a key that {sentence}"))),
                }
            } else {
                break self.block("Signatures")?;
            }
        };
        let end = whole.len().checked_sub(self.rest.len())?;
        let sum = self.line("SHA-256")?;
        if !self.rest.is_empty() || sum != hex(whole.get(..end)?) {
            return None;
        }
        Some(Ok(SignatureBundle {
            made_at,
            serials,
            keys,
            signatures: SignatureStore::from_octets(signatures)?,
        }))
    }

    /// The roles of the next key.
    fn roles(&mut self) -> Option<Vec<BundleRole>> {
        let mut roles = Vec::new();
        for word in self.line("Roles")?.split_whitespace() {
            roles.push(BundleRole::of_word(word)?);
        }
        Some(roles)
    }

    /// The value of the next line.
    fn line(&mut self, word: &str) -> Option<&'o str> {
        let end = self.rest.iter().position(|octet| *octet == b'\n')?;
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        let line = std::str::from_utf8(line).ok()?;
        line.strip_prefix(word)?
            .strip_prefix(':')
            .map(str::trim_start)
    }

    /// The octets that follow the next line.
    fn block(&mut self, word: &str) -> Option<&'o [u8]> {
        let length = self.line(word)?.parse().ok()?;
        let (block, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest.strip_prefix(b"\n")?;
        Some(block)
    }
}

fn add_block(octets: &mut Vec<u8>, word: &str, block: &[&[u8]]) {
    let length = block.iter().map(|piece| piece.len()).sum::<usize>();
    octets.extend_from_slice(format!("{word}: {length}\n").as_bytes());
    for piece in block {
        octets.extend_from_slice(piece);
    }
    octets.push(b'\n');
}

/// Adds the last line.
pub fn seal(octets: &mut Vec<u8>) {
    let sum = hex(octets);
    octets.extend_from_slice(format!("SHA-256: {sum}\n").as_bytes());
}

/// The SHA-256 digest of octets, in hexadecimal digits.
fn hex(octets: &[u8]) -> String {
    let mut text = String::new();
    for octet in digest(&SHA256, octets).as_ref() {
        text.push_str(&format!("{octet:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dnssec::{
        KeyPair, KeyTimes, SignatureDigest, SigningAlgorithm, StoredSignature, ValidityPeriod,
    };

    const DIGEST: SignatureDigest = SignatureDigest([7; 20]);
    const TIMES: ValidityPeriod = ValidityPeriod {
        inception: 1_800_000_000,
        expiration: 1_801_000_000,
    };

    fn bundle() -> SignatureBundle {
        let mut keys = Vec::new();
        for (zone, flags) in [("example.com", 257), ("example.com", 256), ("a.test", 257)] {
            let zone = zone.parse().unwrap();
            let pair = KeyPair::generate(&zone, flags, SigningAlgorithm::Ed25519).unwrap();
            let mut key = KeyFile::new(pair, KeyTimes::from_now(1_800_000_000));
            key.ttl = Some(3600);
            let roles = vec![BundleRole::Published, BundleRole::SignsZone];
            keys.push(BundleKey { key, roles });
        }
        let mut signatures = SignatureStore::in_memory();
        signatures.add(&DIGEST, TIMES, &[9; 64]).unwrap();
        SignatureBundle {
            made_at: 1_800_000_001,
            serials: vec![
                ("example.com".parse().unwrap(), 9),
                (Name::root(), u32::MAX),
            ],
            keys,
            signatures,
        }
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written_without_private_keys() {
        let made = bundle();
        let read = SignatureBundle::parse(&made.to_octets()).unwrap();
        assert_eq!(read.made_at, made.made_at);
        assert_eq!(read.serials, made.serials);
        assert_eq!(read.keys.len(), 3);
        for (read, made) in read.keys.iter().zip(&made.keys) {
            assert_eq!(read.roles, made.roles);
            let (read, made) = (&read.key, &made.key);
            assert_eq!(read.public.dnskey_rdata(), made.public.dnskey_rdata());
            assert_eq!(read.public.zone(), made.public.zone());
            assert_eq!(read.ttl, Some(3600));
            assert!(read.times.is_active(made.times.activate.unwrap()));
            assert!(read.pair.is_none());
        }
        let stored = StoredSignature {
            times: TIMES,
            signature: &[9; 64],
        };
        assert_eq!(read.signatures.get(&DIGEST), Some(stored));
    }

    proptest! {
        #[test]
        fn a_bundle_that_is_cut_off_or_changed_anywhere_is_refused(
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let whole = bundle().to_octets();
            let at = at.index(whole.len());
            let refusal = SignatureBundle::parse(&whole[..at]).unwrap_err();
            prop_assert!(refusal.starts_with("is "), "{}", refusal);
            let mut changed = whole;
            changed[at] ^= flip;
            prop_assert!(SignatureBundle::parse(&changed).is_err());
        }
    }

    #[test]
    fn another_version_and_other_files_are_told_apart() {
        let newer = b"Meridian signature bundle 2\nMade: 1\n";
        let refusal = SignatureBundle::parse(newer).unwrap_err();
        assert!(refusal.contains("another version"), "{refusal}");
        let refusal = SignatureBundle::parse(b"-----BEGIN").unwrap_err();
        assert!(refusal.contains("no bundle"), "{refusal}");
    }
}
