//! Signs the RRsets of a zone with the keys that are due for each, and remembers what it signed.
//!
//! A [`SigningSession`] is shared by all zones: it has the time, and the store in which a signature of
//! the same data by the same key may be found that is good for some time yet. Only what is not there
//! is signed. Two threads may sign at once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::key::KeyError;
use super::key_file::time_text;
use super::signing_session::{PartSigning, StoredState, noted};
use super::validity::{owner_hash, slot_of};
use super::{
    RrsetHead, SignatureFields, SignatureOctets, SignedData, SigningKey, SigningSession,
    ValidityPeriod, ZoneDenial,
};
use crate::dns::{Name, RecordType};

/// Seconds until a key that did not sign is asked for the same again.
const RETRY: u64 = 600;

/// Why an RRset is not signed. It displays as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigningError {
    /// The key does not sign.
    Key(KeyError),
    /// It is not in the store, and enough was signed for now.
    Postponed,
    /// The bundle has no good signature of these data.
    NotInBundle(Name, RecordType),
    /// The clock has gone back: it shows a time before the newest signature, or before this program
    /// was written. Seconds since 1970.
    Clock(u64),
}

impl fmt::Display for SigningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SigningError::Key(error) => error.fmt(f),
            SigningError::Postponed => f.write_str("enough was signed for now"),
            SigningError::NotInBundle(owner, rtype) => write!(
                f,
                "the bundle has no good signature of {owner} {rtype} as it is here; make the bundle \
                 anew with `meridian sign` from the same zones and configuration"
            ),
            SigningError::Clock(now) => write!(
                f,
                "the clock shows {} (UTC), which is before the newest signature or before this \
                 program was written; set the clock",
                time_text(*now)
            ),
        }
    }
}

impl std::error::Error for SigningError {}

/// One signature with its fields.
#[derive(Debug, Clone)]
pub struct MadeSignature {
    /// Everything in front of the signature.
    pub fields: SignatureFields,
    /// The signature.
    pub octets: SignatureOctets,
}

/// Memory for signing one RRset after the other.
#[derive(Debug, Default)]
pub struct SigningRoom<'s> {
    data: SignedData,
    /// What is found and made together, if it is a part of a zone that is signed.
    pub(super) part: Option<PartSigning<'s>>,
    /// The signatures of the RRset that was signed last.
    pub made: Vec<MadeSignature>,
}

/// The keys that sign a zone.
#[derive(Debug, Clone)]
pub struct ZoneSigner {
    apex: Name,
    /// They sign the keys themselves: KSKs and CSKs.
    entry_keys: Vec<Arc<SigningKey>>,
    /// They sign everything else: ZSKs and CSKs.
    zone_keys: Vec<Arc<SigningKey>>,
    session: Arc<SigningSession>,
    /// When the first of its signatures is due, in seconds since 1970.
    next_due: Arc<AtomicU64>,
    denial: ZoneDenial,
}

impl ZoneSigner {
    /// A signer with these keys. Keys with the flag of an entry point sign the keys, the others sign
    /// the zone; where one kind is missing, the other signs both (RFC 4035 section 2.1).
    pub fn new(apex: &Name, keys: &[Arc<SigningKey>], session: Arc<SigningSession>) -> ZoneSigner {
        let (mut entry_keys, mut zone_keys) = (Vec::new(), Vec::new());
        for key in keys {
            if key.public().is_entry() {
                entry_keys.push(key.clone());
            } else {
                zone_keys.push(key.clone());
            }
        }
        // Each algorithm must sign everything (RFC 4035 section 2.2).
        for key in keys {
            let algorithm = key.public().algorithm();
            for signing in [&mut zone_keys, &mut entry_keys] {
                if !signing
                    .iter()
                    .any(|it| it.public().algorithm() == algorithm)
                {
                    signing.push(key.clone());
                }
            }
        }
        ZoneSigner {
            apex: apex.to_lower(),
            entry_keys,
            zone_keys,
            session,
            next_due: Arc::new(AtomicU64::new(u64::MAX)),
            denial: ZoneDenial::default(),
        }
    }

    /// A signer whose keys have their roles: the first ones sign the DNSKEY, CDS and CDNSKEY sets,
    /// the second ones everything else.
    pub fn of_roles(
        apex: &Name,
        entry_keys: Vec<Arc<SigningKey>>,
        zone_keys: Vec<Arc<SigningKey>>,
        session: Arc<SigningSession>,
    ) -> ZoneSigner {
        ZoneSigner {
            apex: apex.to_lower(),
            entry_keys,
            zone_keys,
            session,
            next_due: Arc::new(AtomicU64::new(u64::MAX)),
            denial: ZoneDenial::default(),
        }
    }

    /// The same signer for a zone that denies in this way.
    pub fn with_denial(self, denial: ZoneDenial) -> ZoneSigner {
        ZoneSigner { denial, ..self }
    }

    /// How the zone proves what does not exist.
    pub fn denial(&self) -> ZoneDenial {
        self.denial
    }

    /// The zone, in lower case.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// What it shares with the signers of other zones.
    pub fn session(&self) -> &SigningSession {
        &self.session
    }

    /// When the first of the zone's signatures that were made or found is due to be made anew, in
    /// seconds since 1970; `None`: there were none.
    pub fn next_due(&self) -> Option<u64> {
        noted(&self.next_due)
    }

    /// Notes when a signature is due, which is in so many seconds at the earliest.
    fn note(&self, times: ValidityPeriod, now: u64, earliest: u64) {
        let session = &self.session;
        let until = u64::from(session.rules.until_due(times, now));
        let due = now.saturating_add(until.max(earliest));
        for noted in [&self.next_due, &session.next_due] {
            // Two threads sign, and it nearly never changes.
            if due < noted.load(Ordering::Relaxed) {
                noted.fetch_min(due, Ordering::Relaxed);
            }
        }
    }

    /// Whether every key may sign steered names.
    pub fn may_sign_steered(&self) -> bool {
        self.zone_keys
            .iter()
            .all(|key| key.public().algorithm().may_sign_steered())
    }

    /// Whether a key that signs the zone is in a token, which may take long.
    pub fn has_token(&self) -> bool {
        self.zone_keys.iter().any(|key| key.is_in_token())
    }

    /// Signs an RRset with every key that is due; the result is in `room`.
    ///
    /// # Errors
    /// The system has no random octets, or its clock cannot be right.
    pub fn sign<'d>(
        &self,
        rrset: RrsetHead<'_>,
        rdatas: impl Iterator<Item = &'d [u8]> + Clone,
        room: &mut SigningRoom<'_>,
    ) -> Result<(), SigningError> {
        self.sign_within(&mut u32::MAX.clone(), rrset, rdatas, room)
    }

    /// The same with at most `budget` signatures that are not in the store; what is made is taken
    /// off.
    ///
    /// # Errors
    /// The budget is used up, the system has no random octets, or its clock cannot be right.
    pub fn sign_within<'d>(
        &self,
        budget: &mut u32,
        rrset: RrsetHead<'_>,
        rdatas: impl Iterator<Item = &'d [u8]> + Clone,
        room: &mut SigningRoom<'_>,
    ) -> Result<(), SigningError> {
        room.made.clear();
        let is_of_keys = matches!(
            rrset.rtype,
            RecordType::DNSKEY | RecordType::CDS | RecordType::CDNSKEY
        );
        let keys = if is_of_keys {
            &self.entry_keys
        } else {
            &self.zone_keys
        };
        for key in keys {
            let made = self.signature(key, rrset, rdatas.clone(), room, budget)?;
            room.made.push(made);
        }
        Ok(())
    }

    fn signature<'d>(
        &self,
        key: &SigningKey,
        rrset: RrsetHead<'_>,
        rdatas: impl Iterator<Item = &'d [u8]> + Clone,
        room: &mut SigningRoom<'_>,
        budget: &mut u32,
    ) -> Result<MadeSignature, SigningError> {
        let session = &self.session;
        let SigningRoom { data, part, .. } = room;
        let now = part.as_ref().map_or_else(session.clock, |part| part.now);
        let hash = owner_hash(rrset.owner);
        let times = session.rules.period(hash, now);
        let mut fields = SignatureFields::of(key.public(), rrset, times);
        data.fill(&fields, rrset, rdatas.clone());
        let digest = data.digest(key.public());
        if let Some(bundle) = &session.bundle {
            let Some(stored) = bundle.get(&digest) else {
                return Err(not_in_bundle(rrset));
            };
            fields.times = stored.times;
            data.fill(&fields, rrset, rdatas);
            if !session.is_good(&digest, stored, key, data) {
                return Err(not_in_bundle(rrset));
            }
            let octets = SignatureOctets::from_slice(stored.signature);
            return Ok(MadeSignature { fields, octets });
        }
        let mut earliest = 0;
        let stored = match part {
            Some(part) => part.stored(&digest, slot_of(hash)),
            None => session.stored(&digest, now),
        };
        let (times, octets) = match stored {
            StoredState::Good(times, octets) => (times, octets),
            StoredState::ClockWrong => return Err(SigningError::Clock(now)),
            StoredState::Due => {
                *budget = budget.checked_sub(1).ok_or(SigningError::Postponed)?;
                match key.sign(data.octets()) {
                    Ok(octets) => {
                        session.made.fetch_add(1, Ordering::Relaxed);
                        match part {
                            Some(part) => part.add(&digest, slot_of(hash), times, &octets),
                            None => session.add(&digest, times, &octets),
                        }
                        (times, octets)
                    }
                    Err(error) => {
                        earliest = RETRY;
                        session.unexpired(&digest, now, error)?
                    }
                }
            }
        };
        fields.times = times;
        self.note(times, now, earliest);
        session.collect(&digest, times, &octets);
        Ok(MadeSignature { fields, octets })
    }
}

#[cold]
fn not_in_bundle(rrset: RrsetHead<'_>) -> SigningError {
    let owner = Name::from_wire(rrset.owner).unwrap_or_else(|_| Name::root());
    SigningError::NotInBundle(owner, rrset.rtype)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dnssec::key::PrivateKey;
    use crate::dnssec::{KeyPair, SignatureStore, SigningAlgorithm, ValidityRules, verify_rrset};

    const DAY: u64 = 86_400;

    thread_local! {
        static CLOCK: std::cell::Cell<u64> = const { std::cell::Cell::new(1_800_000_000) };
    }

    fn clock() -> u64 {
        CLOCK.get()
    }

    fn advance(seconds: i64) {
        CLOCK.set(CLOCK.get().wrapping_add_signed(seconds));
    }

    fn signer(flags: &[u16], session: &Arc<SigningSession>) -> ZoneSigner {
        let zone = "example".parse().unwrap();
        let mut keys = Vec::new();
        for flags in flags {
            let pair = KeyPair::generate(&zone, *flags, SigningAlgorithm::EcdsaP256Sha256).unwrap();
            keys.push(Arc::new(SigningKey::new(&pair).unwrap()));
        }
        ZoneSigner::new(&zone, &keys, session.clone())
    }

    fn session() -> Arc<SigningSession> {
        let store = SignatureStore::in_memory();
        Arc::new(SigningSession::new(clock, ValidityRules::default(), store))
    }

    fn head(owner: &[u8], rtype: RecordType) -> RrsetHead<'_> {
        RrsetHead {
            owner,
            rtype,
            ttl: 60,
        }
    }

    fn sign(signer: &ZoneSigner, rrset: RrsetHead<'_>, data: &[u8]) -> Vec<MadeSignature> {
        let mut room = SigningRoom::default();
        signer
            .sign(rrset, std::iter::once(data), &mut room)
            .unwrap();
        room.made
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn over_months_every_signature_is_good_and_few_are_made(
            label in "[a-z]{1,8}",
            hours in prop::collection::vec(1..40_i64, 50),
        ) {
            let start = clock();
            let session = session();
            let signer = signer(&[257], &session);
            let owner = signer.apex().child(label.as_bytes()).unwrap();
            let rrset = head(owner.as_wire(), RecordType::A);
            for hour in hours {
                advance(hour * 3600);
                let data = [192, 0, 2, 1];
                for made in sign(&signer, rrset, &data) {
                    // A client may keep it for its TTL and more.
                    let later = clock() + 6 * DAY;
                    let key = signer.zone_keys[0].public();
                    let octets = made.octets.as_slice();
                    let data = std::iter::once(&data[..]);
                    prop_assert_eq!(
                        verify_rrset(key, &made.fields, octets, rrset, data, later),
                        Ok(())
                    );
                }
            }
            prop_assert!(session.made() <= (clock() - start) / (7 * DAY) + 2);
        }
    }

    #[test]
    fn a_signature_of_other_data_or_another_key_is_never_taken() {
        let session = session();
        let mut wanted = 0;
        for _ in 0..2 {
            let signer = signer(&[257], &session);
            for (owner, data) in [
                (&b"\x01a\x07example\0"[..], [1, 2, 3, 4]),
                (b"\x01a\x07example\0", [1, 2, 3, 5]),
                (b"\x01b\x07example\0", [1, 2, 3, 4]),
            ] {
                wanted += 1;
                let rrset = head(owner, RecordType::A);
                let made = sign(&signer, rrset, &data);
                assert_eq!(session.made(), wanted);
                let again = sign(&signer, rrset, &data);
                assert_eq!(made[0].octets, again[0].octets);
                assert_eq!(session.made(), wanted);
            }
        }
    }

    #[test]
    fn keys_are_signed_by_the_entry_key_and_the_rest_by_the_other() {
        let session = session();
        let signer = signer(&[257, 256], &session);
        let apex = b"\x07example\0";
        let entry = signer.entry_keys[0].public().tag();
        let zone = signer.zone_keys[0].public().tag();
        for (rtype, tag) in [
            (RecordType::DNSKEY, entry),
            (RecordType::CDS, entry),
            (RecordType::CDNSKEY, entry),
            (RecordType::SOA, zone),
            (RecordType::NSEC, zone),
        ] {
            let made = sign(&signer, head(apex, rtype), b"x");
            assert_eq!(made.len(), 1);
            assert_eq!(made[0].fields.key_tag, tag, "{rtype}");
        }
    }

    #[test]
    fn a_clock_that_has_gone_back_signs_nothing_and_takes_what_there_is() {
        let session = session();
        let signer = signer(&[257], &session);
        let rrset = head(b"\x01a\x07example\0", RecordType::A);
        let made = sign(&signer, rrset, b"1234");
        advance(-30 * 86_400);
        assert!(session.is_clock_wrong());
        assert_eq!(sign(&signer, rrset, b"1234")[0].octets, made[0].octets);
        let mut room = SigningRoom::default();
        let data = std::iter::once(&b"5678"[..]);
        let refused = signer.sign(rrset, data, &mut room);
        assert_eq!(refused, Err(SigningError::Clock(clock())));
    }

    #[test]
    fn a_signature_that_is_due_stays_until_it_expires_where_the_key_does_not_sign() {
        let session = session();
        let here = signer(&[257], &session);
        let rrset = head(b"\x01a\x07example\0", RecordType::A);
        let made = sign(&here, rrset, b"1234");
        // The same key, in a token that nobody can reach.
        let uri = "pkcs11:token=x;object=y?module-path=/nowhere.so".parse();
        let place = PrivateKey::Token(Box::new(uri.unwrap()));
        let pair = KeyPair::new(here.zone_keys[0].public().clone(), place).unwrap();
        let key = Arc::new(SigningKey::new(&pair).unwrap());
        let mut due = 0;
        loop {
            advance(DAY as i64);
            let away = ZoneSigner::new(here.apex(), std::slice::from_ref(&key), session.clone());
            let mut room = SigningRoom::default();
            let data = std::iter::once(&b"1234"[..]);
            let signed = away.sign(rrset, data, &mut room);
            if !made[0].fields.times.contains(clock()) {
                let Err(SigningError::Key(KeyError::Token(sentence))) = signed else {
                    panic!("{signed:?}");
                };
                assert!(sentence.contains("the key example/13/"), "{sentence}");
                assert!(sentence.contains("/nowhere.so"), "{sentence}");
                break;
            }
            assert_eq!(signed, Ok(()));
            assert_eq!(room.made[0].octets, made[0].octets);
            if ValidityRules::default().is_due(made[0].fields.times, clock()) {
                due += 1;
                assert!(session.take_fault().is_some());
                // It is tried again soon, and not at once.
                assert_eq!(away.next_due(), Some(clock() + RETRY));
            } else {
                assert!(session.take_fault().is_none());
            }
        }
        assert!(due >= 6, "{due}");
        // What was never signed cannot be served.
        let away = ZoneSigner::new(here.apex(), &[key], session.clone());
        let mut room = SigningRoom::default();
        let other = std::iter::once(&b"5678"[..]);
        assert!(away.sign(rrset, other, &mut room).is_err());
    }

    #[test]
    fn a_budget_is_for_new_signatures_only() {
        let session = session();
        let signer = signer(&[257], &session);
        let rrset = head(b"\x01a\x07example\0", RecordType::A);
        let mut room = SigningRoom::default();
        let mut budget = 1;
        for (data, expected) in [
            (b"1234", Ok(())),
            (b"1234", Ok(())),
            (b"5678", Err(SigningError::Postponed)),
        ] {
            let data = std::iter::once(&data[..]);
            assert_eq!(
                signer.sign_within(&mut budget, rrset, data, &mut room),
                expected
            );
        }
        assert_eq!(budget, 0);
    }
}
