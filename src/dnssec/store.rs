//! The store of signatures: what was signed once is not signed again, even after a restart.
//!
//! A signature is found by its [`SignatureDigest`], which covers the data and the key, but not the
//! times; whether it is still good is for the caller to say (see
//! [`ValidityRules::is_due`](super::ValidityRules::is_due)). A newer signature of the same digest
//! replaces the older one.
//!
//! All signatures are in memory as they are in the file, 98 octets for one of 64, and an index of 11
//! to 22 octets each. [`flush`](SignatureStore::flush) writes what is new behind the rest. A file
//! that is cut off or damaged at any octet yields the signatures before that place, and none that is
//! wrong. One process writes a store: its owner's state directory is locked.
//!
//! ```no_run
//! # fn main() -> Result<(), String> {
//! use meridian::dnssec::SignatureStore;
//!
//! let (mut store, damage) = SignatureStore::open("signatures".as_ref())?;
//! // store.get(&digest), store.add(&digest, times, signature)
//! store.flush()?;
//! store.compact(1_800_000_000)?;
//! # Ok(())
//! # }
//! ```

mod index;
mod log;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::index::StoreIndex;
use self::log::{HEADER, LONGEST, LogRecord, OVERHEAD};
use super::validity::is_before;
use super::{SignatureDigest, ValidityPeriod};
use crate::disk;
use crate::files::{self, FileKind};

/// The rights of the file.
const MODE: u32 = 0o600;
/// Octets below which a store is left as it is.
const SMALL: usize = 1 << 20;
/// Records that are entered into the index together, so that the processor waits for the memory of
/// all of their slots at the same time.
const BATCH: usize = 32;
/// Octets of a record with a signature of 64 octets.
const USUAL: usize = OVERHEAD + 64;

/// A signature in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSignature<'s> {
    /// Its times.
    pub times: ValidityPeriod,
    /// Its octets.
    pub signature: &'s [u8],
}

/// Signatures by digest, in memory and in a file.
#[derive(Debug)]
pub struct SignatureStore {
    /// `None` for a store without a file.
    file: Option<StoreFile>,
    /// Header and records, as in the file.
    log: Vec<u8>,
    index: StoreIndex,
    /// Octets of records that newer ones replaced.
    replaced: usize,
    newest: Option<u32>,
    /// The largest size in octets.
    most: usize,
}

#[derive(Debug)]
struct StoreFile {
    path: PathBuf,
    file: Arc<File>,
    /// Octets of the log that are surely in the file.
    flushed: usize,
}

/// New signatures that are to be written to the file.
#[derive(Debug)]
pub struct StoreWrite {
    path: PathBuf,
    file: Arc<File>,
    at: usize,
    octets: Vec<u8>,
}

impl StoreWrite {
    /// Writes, and waits until it is on the disk. After a [`retain`](SignatureStore::retain) the
    /// store has another file, and this one is written for nothing.
    ///
    /// # Errors
    /// A sentence: the file cannot be written.
    pub fn run(&self) -> Result<(), String> {
        self.file
            .write_all_at(&self.octets, self.at as u64)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| not_written(&self.path, &error))
    }
}

impl SignatureStore {
    /// A store without a file.
    pub fn in_memory() -> SignatureStore {
        SignatureStore::of_log(HEADER.to_vec())
    }

    /// A store without a file, of the octets of another one. `None`: they are not whole.
    pub fn from_octets(octets: &[u8]) -> Option<SignatureStore> {
        let store = SignatureStore::of_log(octets.to_vec());
        (store.log == octets).then_some(store)
    }

    /// The header and all records, as in the file.
    pub fn as_octets(&self) -> &[u8] {
        &self.log
    }

    /// Opens a store, or makes an empty one where there is no file. The second value tells what was
    /// dropped because the file is cut off, damaged or of another version: a sentence for the log.
    ///
    /// # Errors
    /// A sentence: the file cannot be read or written, or is too large to be a store.
    pub fn open(path: &Path) -> Result<(SignatureStore, Option<String>), String> {
        let log = match files::read(path, FileKind::Signatures) {
            Ok(content) => content.octets,
            Err(error) if error.is_missing() => Vec::new(),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let length = log.len();
        let mut store = SignatureStore::of_log(log);
        let dropped = length.saturating_sub(store.log.len());
        let fresh = store.log.len() == HEADER.len();
        if fresh {
            disk::replace(path, &HEADER, MODE).map_err(|error| not_written(path, &error))?;
        }
        let file = open_at(path, store.log.len()).map_err(|error| not_written(path, &error))?;
        store.file = Some(StoreFile {
            path: path.to_owned(),
            file,
            flushed: store.log.len(),
        });
        let is_whole = dropped == 0 && (length == 0 || !fresh || length == HEADER.len());
        let damage = (!is_whole).then(|| {
            format!(
                "{}: is damaged behind octet {}; the signatures that follow are made again",
                path.display(),
                store.log.len()
            )
        });
        Ok((store, damage))
    }

    /// A store of what is whole at the start of these octets.
    fn of_log(mut log: Vec<u8>) -> SignatureStore {
        if !log.starts_with(&HEADER) {
            log.clear();
            log.extend_from_slice(&HEADER);
        }
        let mut store = SignatureStore {
            file: None,
            index: StoreIndex::with_room(log.len() / USUAL),
            log,
            replaced: 0,
            newest: None,
            most: FileKind::Signatures.most() as usize,
        };
        let mut at = HEADER.len();
        loop {
            let mut batch = [None; BATCH];
            let start = at;
            for (entry, record) in batch.iter_mut().zip(log::whole_records(&store.log, start)) {
                *entry = Some((record.digest, record.stored.times, at));
                at += record.length;
            }
            if at == start {
                break;
            }
            for (digest, ..) in batch.iter().flatten() {
                store.index.fetch(digest);
            }
            for (digest, times, place) in batch.into_iter().flatten() {
                store.enter(&digest, times, place);
            }
        }
        store.log.truncate(at);
        store
    }

    /// Enters the record at a place into the index.
    fn enter(&mut self, digest: &SignatureDigest, times: ValidityPeriod, at: usize) {
        let log = &self.log;
        let before = self.index.insert(
            digest,
            at as u32,
            |place| digest_at(log, place).as_ref() == Some(digest),
            |place| digest_at(log, place),
        );
        if let Some(before) = before.and_then(|place| LogRecord::trusted(log, place as usize)) {
            self.replaced += before.length;
        }
        let is_newest = self
            .newest
            .is_none_or(|newest| is_before(newest, times.inception));
        if is_newest {
            self.newest = Some(times.inception);
        }
    }

    /// The signature with this digest.
    pub fn get(&self, digest: &SignatureDigest) -> Option<StoredSignature<'_>> {
        let log = &self.log;
        let place = self.index.find(digest, |place| {
            digest_at(log, place).as_ref() == Some(digest)
        })?;
        LogRecord::trusted(log, place as usize).map(|record| record.stored)
    }

    /// Adds a signature, or replaces the one with the same digest. It is in memory at once, and in
    /// the file after [`flush`](Self::flush).
    ///
    /// # Errors
    /// A sentence: the store is full ([`compact`](Self::compact) or [`retain`](Self::retain) make
    /// room), or the signature is longer than one of 4096 bits. The store is as it was before.
    pub fn add(
        &mut self,
        digest: &SignatureDigest,
        times: ValidityPeriod,
        signature: &[u8],
    ) -> Result<(), String> {
        if signature.len() > LONGEST {
            return Err(format!(
                "a signature of {} octets is longer than any that is made",
                signature.len()
            ));
        }
        if self.log.len() + OVERHEAD + signature.len() > self.most {
            return Err(format!(
                "the store of signatures is full: it has {} in {} MiB",
                self.index.len(),
                self.most >> 20
            ));
        }
        let at = self.log.len();
        log::append(&mut self.log, digest, times, signature);
        self.enter(digest, times, at);
        Ok(())
    }

    /// When the first of the signatures expires, in seconds since 1970 modulo 2^32.
    pub fn first_expiration(&self) -> Option<u32> {
        let mut first = None;
        for record in self.records() {
            let expiration = record.stored.times.expiration;
            if first.is_none_or(|first| is_before(expiration, first)) {
                first = Some(expiration);
            }
        }
        first
    }

    /// The number of signatures.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets of the file, when it is flushed.
    pub fn octets(&self) -> usize {
        self.log.len()
    }

    /// Whether it has half of the octets that it may have.
    pub fn is_half_full(&self) -> bool {
        self.log.len() > self.most / 2
    }

    /// The latest inception of all signatures that were ever read or added: a clock that shows less
    /// than that has gone back, and nothing should be signed by it.
    pub fn newest_inception(&self) -> Option<u32> {
        self.newest
    }

    /// Writes new signatures to the file, and waits until they are on the disk. Call it where waiting
    /// does no harm, or use [`unflushed`](Self::unflushed).
    ///
    /// # Errors
    /// A sentence: the file cannot be written. The signatures stay in memory and are written by the
    /// next call.
    pub fn flush(&mut self) -> Result<(), String> {
        if let Some(write) = self.unflushed() {
            write.run()?;
            self.note_written(&write);
        }
        Ok(())
    }

    /// Whether all signatures are in the file, or there is no file.
    pub fn is_flushed(&self) -> bool {
        self.file
            .as_ref()
            .is_none_or(|file| file.flushed == self.log.len())
    }

    /// Adds all signatures of another store.
    ///
    /// # Errors
    /// A sentence: the store is full.
    pub fn add_all(&mut self, other: &SignatureStore) -> Result<(), String> {
        for record in other.records() {
            let StoredSignature { times, signature } = record.stored;
            self.add(&record.digest, times, signature)?;
        }
        Ok(())
    }

    /// What [`flush`](Self::flush) would write, as a value, so that another thread can wait for the
    /// disk while the store is used. `None` if all is written.
    pub fn unflushed(&self) -> Option<StoreWrite> {
        let file = self.file.as_ref()?;
        let octets = self.log.get(file.flushed..)?;
        if octets.is_empty() {
            return None;
        }
        Some(StoreWrite {
            path: file.path.clone(),
            file: Arc::clone(&file.file),
            at: file.flushed,
            octets: octets.to_vec(),
        })
    }

    /// Notes that a write has [succeeded](StoreWrite::run). Without this it is written once more,
    /// which does no harm.
    pub fn note_written(&mut self, write: &StoreWrite) {
        if let Some(file) = &mut self.file
            && Arc::ptr_eq(&file.file, &write.file)
        {
            file.flushed = file.flushed.max(write.at + write.octets.len());
        }
    }

    /// Drops replaced and expired signatures if they take more than half of the store. Returns
    /// whether they did. Like [`flush`](Self::flush), it waits for the disk.
    ///
    /// # Errors
    /// A sentence: the file cannot be written. The store is as it was before.
    pub fn compact(&mut self, now: u64) -> Result<bool, String> {
        let mut expired = 0;
        for record in self.records() {
            if record.stored.times.left(now) < 0 {
                expired += record.length;
            }
        }
        let stale = self.replaced + expired;
        if self.log.len() < SMALL || stale <= self.log.len() / 2 {
            return Ok(false);
        }
        self.retain(|_, times| times.left(now) >= 0)?;
        Ok(true)
    }

    /// Keeps the signatures that `keep` accepts and writes the store anew.
    ///
    /// # Errors
    /// A sentence: the file cannot be written. The store is as it was before.
    pub fn retain(
        &mut self,
        keep: impl Fn(&SignatureDigest, ValidityPeriod) -> bool,
    ) -> Result<(), String> {
        let mut log = HEADER.to_vec();
        for record in self.records() {
            if keep(&record.digest, record.stored.times) {
                let StoredSignature { times, signature } = record.stored;
                log::append(&mut log, &record.digest, times, signature);
            }
        }
        let mut smaller = SignatureStore::of_log(log);
        if let Some(StoreFile { path, .. }) = &self.file {
            let flushed = smaller.log.len();
            let file = disk::replace(path, &smaller.log, MODE)
                .and_then(|()| open_at(path, flushed))
                .map_err(|error| not_written(path, &error))?;
            let path = path.clone();
            smaller.file = Some(StoreFile {
                path,
                file,
                flushed,
            });
        }
        smaller.most = self.most;
        // What was dropped may have been the newest.
        smaller.newest = self.newest;
        *self = smaller;
        Ok(())
    }

    /// The signatures that were not replaced, in the order of the file.
    fn records(&self) -> impl Iterator<Item = LogRecord<'_>> {
        let mut at = HEADER.len();
        std::iter::from_fn(move || {
            loop {
                let record = LogRecord::trusted(&self.log, at)?;
                let place = at;
                at += record.length;
                if self.is_current(&record.digest, place) {
                    return Some(record);
                }
            }
        })
    }

    /// Whether the record at a place is the one that the index finds.
    fn is_current(&self, digest: &SignatureDigest, at: usize) -> bool {
        let found = self.index.find(digest, |place| {
            digest_at(&self.log, place).as_ref() == Some(digest)
        });
        found == u32::try_from(at).ok()
    }
}

fn digest_at(log: &[u8], place: u32) -> Option<SignatureDigest> {
    LogRecord::trusted(log, place as usize).map(|record| record.digest)
}

/// Opens the file of a store and cuts off what follows the last whole record.
fn open_at(path: &Path, length: usize) -> std::io::Result<Arc<File>> {
    let file = disk::open_existing(path)?;
    file.set_len(length as u64)?;
    Ok(Arc::new(file))
}

fn not_written(path: &Path, error: &std::io::Error) -> String {
    format!("{}: cannot be written: {error}", path.display())
}

#[cfg(test)]
mod tests;
