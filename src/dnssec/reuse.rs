//! Signs an RRset only if the store has no signature that is still good.
//!
//! This is the one place that joins validity, signed data and store: a stored signature brings its
//! own times, which go into the RRSIG record in place of those that a new one would have. The store
//! is only read here, so that several threads can sign at once; what is new, the caller adds.

use super::key::KeyError;
use super::validity::owner_hash;
use super::{
    RrsetHead, SignatureDigest, SignatureFields, SignatureOctets, SignatureStore, SignedData,
    SigningKey, ValidityRules,
};

/// A signature over an RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RrsetSignature {
    /// The fields of the RRSIG record.
    pub fields: SignatureFields,
    /// The signature.
    pub octets: SignatureOctets,
    /// Its digest, under which it is to be added to the store if it is new.
    pub digest: SignatureDigest,
    /// Whether it was made now.
    pub is_new: bool,
}

/// Takes the signature of an RRset from the store unless it [is due](ValidityRules::is_due), or signs.
/// Arguments are as for [`sign_rrset`](super::sign_rrset); `now` is in seconds since 1970.
///
/// # Errors
/// [`KeyError::NoRandom`].
pub fn sign_or_reuse<'d>(
    key: &SigningKey,
    rrset: RrsetHead<'_>,
    rdatas: impl IntoIterator<Item = &'d [u8]>,
    (rules, now): (ValidityRules, u64),
    store: &SignatureStore,
    buffer: &mut SignedData,
) -> Result<RrsetSignature, KeyError> {
    let times = rules.period(owner_hash(rrset.owner), now);
    let mut fields = SignatureFields::of(key.public(), rrset, times);
    buffer.fill(&fields, rrset, rdatas);
    let digest = buffer.digest(key.public());
    let stored = store
        .get(&digest)
        .filter(|stored| !rules.is_due(stored.times, now));
    let octets = match stored {
        Some(stored) => {
            fields.times = stored.times;
            SignatureOctets::from_slice(stored.signature)
        }
        None => key.sign(buffer.octets())?,
    };
    Ok(RrsetSignature {
        fields,
        octets,
        digest,
        is_new: stored.is_none(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::RecordType;
    use crate::dnssec::{KeyPair, SigningAlgorithm, verify_rrset};

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn over_months_every_signature_is_good_and_few_are_made(
            label in "[a-z]{1,8}",
            hours in prop::collection::vec(1..40_u64, 50),
        ) {
            let zone = "example".parse().unwrap();
            let pair = KeyPair::generate(&zone, 257, SigningAlgorithm::EcdsaP256Sha256).unwrap();
            let key = SigningKey::new(&pair).unwrap();
            let owner = zone.child(label.as_bytes()).unwrap();
            let rrset = RrsetHead { owner: owner.as_wire(), rtype: RecordType::A, ttl: 60 };
            let rules = ValidityRules::default();
            let (mut store, mut buffer) = (SignatureStore::in_memory(), SignedData::new());
            let (mut now, mut made) = (NOW, 0);
            for hour in hours {
                now += hour * 3600;
                let data = [&[192, 0, 2, 1][..]];
                let signature =
                    sign_or_reuse(&key, rrset, data, (rules, now), &store, &mut buffer).unwrap();
                if signature.is_new {
                    made += 1;
                    let (digest, octets) = (&signature.digest, signature.octets.as_slice());
                    store.add(digest, signature.fields.times, octets).unwrap();
                }
                // A client may keep it for its TTL and more.
                let later = now + 6 * DAY;
                let octets = signature.octets.as_slice();
                let verified =
                    verify_rrset(key.public(), &signature.fields, octets, rrset, data, later);
                prop_assert_eq!(verified, Ok(()));
            }
            prop_assert!(made <= (now - NOW) / (7 * DAY) + 2, "{} in {}", made, now - NOW);
        }
    }

    #[test]
    fn a_signature_of_other_data_or_another_key_is_never_taken() {
        let zone = "example".parse().unwrap();
        let mut store = SignatureStore::in_memory();
        let mut buffer = SignedData::new();
        let rules = (ValidityRules::default(), NOW);
        for _ in 0..2 {
            let pair = KeyPair::generate(&zone, 257, SigningAlgorithm::Ed25519).unwrap();
            let key = SigningKey::new(&pair).unwrap();
            for (owner, ttl, data) in [
                (&b"\x01a\x07example\0"[..], 60, [1, 2, 3, 4]),
                (b"\x01a\x07example\0", 60, [1, 2, 3, 5]),
                (b"\x01a\x07example\0", 61, [1, 2, 3, 4]),
                (b"\x01b\x07example\0", 60, [1, 2, 3, 4]),
            ] {
                let rrset = RrsetHead {
                    owner,
                    rtype: RecordType::A,
                    ttl,
                };
                let data = [&data[..]];
                let made = sign_or_reuse(&key, rrset, data, rules, &store, &mut buffer).unwrap();
                assert!(made.is_new);
                let octets = made.octets.as_slice();
                store.add(&made.digest, made.fields.times, octets).unwrap();
                let again = sign_or_reuse(&key, rrset, data, rules, &store, &mut buffer).unwrap();
                assert_eq!((again.is_new, &again.octets), (false, &made.octets));
            }
        }
    }
}
