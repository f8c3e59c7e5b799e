//! What the signers of all zones share: the time, and the signatures that were made before.
//!
//! A session finds signatures in its store, which is a file that outlives restarts, or in a bundle
//! that was made elsewhere. It says whether the clock can be right, and notes when the first of the
//! signatures in use is due to be made anew. Where a key does not sign, because its token is gone, a
//! signature that is due stays in use until it expires. Of a zone that is signed part by part, the
//! signatures of a part are found, and kept, together.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::key::KeyError;
use super::rrsig::verify_octets;
use super::store::{SignaturePart, SignatureTape};
use super::validity::{ValidityRules, is_before};
use super::zone_signer::{SigningError, SigningRoom};
use super::{
    SignatureDigest, SignatureOctets, SignatureStore, SignedData, SigningKey, StoredSignature,
    ValidityPeriod,
};

/// A clock that shows an earlier time is wrong: 1 November 2026.
const EARLIEST: u64 = 1_793_491_200;
/// Seconds between two sentences about what is not signed.
const TELL: u64 = 60;

/// What the signers of all zones share.
pub struct SigningSession {
    /// Tells the seconds since 1970.
    pub(super) clock: fn() -> u64,
    pub(super) rules: ValidityRules,
    store: RwLock<SignatureStore>,
    /// Signatures that were made elsewhere. With them nothing is signed here, and the store has those
    /// of them that were found to be good.
    pub(super) bundle: Option<Arc<SignatureStore>>,
    /// Everything that was made or taken from the store, for a bundle.
    taken: Option<Mutex<SignatureStore>>,
    /// Whether new signatures go into the store.
    is_kept: bool,
    /// Something could not be collected.
    is_overfull: AtomicBool,
    pub(super) made: AtomicU64,
    /// When the first signature in use is due, in seconds since 1970.
    pub(super) next_due: AtomicU64,
    /// Why signatures that are due are still in use.
    fault: Mutex<Option<KeyError>>,
    /// When somebody was told last of what is not signed, in seconds since 1970.
    told: AtomicU64,
}

impl SigningSession {
    /// Signs with signatures of the store as far as they last. The clock tells the seconds since
    /// 1970.
    pub fn new(clock: fn() -> u64, rules: ValidityRules, store: SignatureStore) -> SigningSession {
        SigningSession {
            clock,
            rules,
            store: RwLock::new(store),
            bundle: None,
            taken: None,
            is_kept: true,
            is_overfull: AtomicBool::new(false),
            made: AtomicU64::new(0),
            next_due: AtomicU64::new(u64::MAX),
            fault: Mutex::default(),
            told: AtomicU64::new(0),
        }
    }

    /// Takes signatures from a bundle, and signs nothing.
    pub fn with_bundle(mut self, bundle: Arc<SignatureStore>) -> SigningSession {
        self.bundle = Some(bundle);
        self
    }

    /// Keeps no signature: whoever asks does, within bounds.
    pub fn forgetting(mut self) -> SigningSession {
        self.is_kept = false;
        self
    }

    /// Collects all signatures that are in use, for a bundle.
    pub fn collecting(mut self) -> SigningSession {
        self.taken = Some(Mutex::new(SignatureStore::in_memory()));
        self
    }

    /// What was [collected](Self::collecting) since the last time.
    ///
    /// # Errors
    /// A sentence: there was too much.
    pub fn take_collected(&self) -> Result<SignatureStore, String> {
        if self.is_overfull.load(Ordering::Relaxed) {
            return Err("there are more signatures than a bundle can have".to_owned());
        }
        let Some(taken) = &self.taken else {
            return Ok(SignatureStore::in_memory());
        };
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut taken, SignatureStore::in_memory()))
    }

    pub(super) fn collect(
        &self,
        digest: &SignatureDigest,
        times: ValidityPeriod,
        octets: &SignatureOctets,
    ) {
        if let Some(taken) = &self.taken {
            let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
            if taken.get(digest).is_none() && taken.add(digest, times, octets.as_slice()).is_err() {
                self.is_overfull.store(true, Ordering::Relaxed);
            }
        }
    }

    /// How many signatures were made, and not found in the store.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Whether the store is half full.
    pub fn is_half_full(&self) -> bool {
        self.read_store().is_half_full()
    }

    /// Whether the clock shows a time that cannot be right, so that nothing is signed by it.
    pub fn is_clock_wrong(&self) -> bool {
        if self.bundle.is_some() {
            return false;
        }
        let store = self.read_store();
        is_clock_wrong(&store, (self.clock)())
    }

    /// When the first of the signatures that were made or found is due to be made anew, in seconds
    /// since 1970; `None`: there were none.
    pub fn next_due(&self) -> Option<u64> {
        noted(&self.next_due)
    }

    /// Why signatures that are due are still in use, if that was found since the last time.
    pub fn take_fault(&self) -> Option<KeyError> {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.take()
    }

    /// Whether people are to be told that something is not signed: once a minute.
    pub fn is_news(&self) -> bool {
        let now = (self.clock)();
        let told = self.told.load(Ordering::Relaxed);
        let is_news = now.saturating_sub(told) >= TELL || now < told;
        if is_news {
            self.told.store(now, Ordering::Relaxed);
        }
        is_news
    }

    fn read_store(&self) -> RwLockReadGuard<'_, SignatureStore> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_store(&self) -> RwLockWriteGuard<'_, SignatureStore> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// For signing a part of a zone, whose RRsets come in the same order each time.
    pub fn part(&self) -> SigningRoom<'_> {
        let store = self.read_store();
        let now = (self.clock)();
        let mut room = SigningRoom::default();
        room.part = Some(PartSigning {
            session: self,
            now,
            is_clock_wrong: is_clock_wrong(&store, now),
            tape: store.tape(),
            new: SignaturePart::default(),
        });
        room
    }

    /// Writes new signatures to the file of the store. Others sign while this waits for the disk.
    ///
    /// # Errors
    /// A sentence: the file cannot be written.
    pub fn keep(&self) -> Result<(), String> {
        let store = self.read_store();
        let Some(write) = store.unflushed() else {
            return Ok(());
        };
        drop(store);
        write.run()?;
        let mut store = self.write_store();
        store.note_written(&write);
        Ok(())
    }

    /// Writes new signatures to the file of the store, and drops old ones if they are many.
    ///
    /// # Errors
    /// A sentence: the file cannot be written.
    pub fn flush(&self) -> Result<(), String> {
        let now = (self.clock)();
        let mut store = self.write_store();
        if store.is_flushed() {
            return Ok(());
        }
        store.flush()?;
        store.compact(now).map(|_| ())
    }
}

impl fmt::Debug for SigningSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSession")
    }
}

/// A time that was noted.
pub(super) fn noted(due: &AtomicU64) -> Option<u64> {
    match due.load(Ordering::Relaxed) {
        u64::MAX => None,
        due => Some(due),
    }
}

/// The signatures of a part of a zone, while it is signed. What is new comes into the store at the
/// end.
#[derive(Debug)]
pub(super) struct PartSigning<'s> {
    session: &'s SigningSession,
    /// When it began, in seconds since 1970.
    pub(super) now: u64,
    is_clock_wrong: bool,
    tape: SignatureTape,
    new: SignaturePart,
}

impl PartSigning<'_> {
    /// What the store has for an RRset, whose owner has this slot of renewal.
    pub(super) fn stored(&mut self, digest: &SignatureDigest, slot: usize) -> StoredState {
        let (rules, now, is_clock_wrong) = (self.session.rules, self.now, self.is_clock_wrong);
        let is_good =
            |stored: &StoredSignature<'_>| is_clock_wrong || !rules.is_due(stored.times, now);
        if let Some(stored) = self.tape.find(digest, slot).filter(is_good) {
            return StoredState::good(stored);
        }
        let store = self.session.read_store();
        match store.get_again(digest, slot, &mut self.tape) {
            Some(stored) if is_good(&stored) => StoredState::good(stored),
            _ if is_clock_wrong => StoredState::ClockWrong,
            _ => StoredState::Due,
        }
    }

    /// Adds a signature that was made, whose owner has this slot of renewal.
    pub(super) fn add(
        &mut self,
        digest: &SignatureDigest,
        slot: usize,
        times: ValidityPeriod,
        octets: &SignatureOctets,
    ) {
        if self.session.is_kept {
            self.new.add(digest, slot, times, octets.as_slice());
        }
    }
}

impl Drop for PartSigning<'_> {
    fn drop(&mut self) {
        if !self.new.is_empty() {
            let mut store = self.session.write_store();
            // As when a single one is added.
            let _ = store.add_part(&self.new);
        }
    }
}

/// What the store has for an RRset.
pub(super) enum StoredState {
    /// A signature to serve.
    Good(ValidityPeriod, SignatureOctets),
    /// None, or one that is due to be made anew.
    Due,
    /// None, and none can be made.
    ClockWrong,
}

impl StoredState {
    fn good(stored: StoredSignature<'_>) -> StoredState {
        StoredState::Good(stored.times, SignatureOctets::from_slice(stored.signature))
    }
}

impl SigningSession {
    pub(super) fn stored(&self, digest: &SignatureDigest, now: u64) -> StoredState {
        let store = self.read_store();
        let is_clock_wrong = is_clock_wrong(&store, now);
        if let Some(stored) = store.get(digest)
            && (is_clock_wrong || !self.rules.is_due(stored.times, now))
        {
            return StoredState::good(stored);
        }
        if is_clock_wrong {
            return StoredState::ClockWrong;
        }
        StoredState::Due
    }

    /// A signature that is due but has not expired, for want of a new one.
    #[cold]
    pub(super) fn unexpired(
        &self,
        digest: &SignatureDigest,
        now: u64,
        error: KeyError,
    ) -> Result<(ValidityPeriod, SignatureOctets), SigningError> {
        let store = self.read_store();
        let Some(stored) = store.get(digest).filter(|it| it.times.contains(now)) else {
            return Err(SigningError::Key(error));
        };
        let octets = SignatureOctets::from_slice(stored.signature);
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.get_or_insert(error);
        Ok((stored.times, octets))
    }

    pub(super) fn add(
        &self,
        digest: &SignatureDigest,
        times: ValidityPeriod,
        octets: &SignatureOctets,
    ) {
        if !self.is_kept {
            return;
        }
        let mut store = self.write_store();
        // A full store means signing again after a restart, and nothing worse.
        let _ = store.add(digest, times, octets.as_slice());
    }

    /// Whether a signature of the bundle is good. What was checked once is in the store.
    pub(super) fn is_good(
        &self,
        digest: &SignatureDigest,
        found: StoredSignature<'_>,
        key: &SigningKey,
        data: &SignedData,
    ) -> bool {
        let store = self.read_store();
        if store.get(digest) == Some(found) {
            return true;
        }
        drop(store);
        let is_good = verify_octets(key.public(), data.octets(), found.signature).is_ok();
        if is_good {
            let octets = SignatureOctets::from_slice(found.signature);
            self.add(digest, found.times, &octets);
        }
        is_good
    }
}

/// Whether a time is before the newest inception of a store, or before this program was written.
fn is_clock_wrong(store: &SignatureStore, now: u64) -> bool {
    let newest = store.newest_inception();
    now < EARLIEST || newest.is_some_and(|newest| is_before(now as u32, newest))
}
