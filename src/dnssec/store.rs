//! The store of signatures: what was signed once is not signed again, even after a restart.
//!
//! A signature is found by its [`SignatureDigest`], which covers the data and the key, but not the
//! times; whether it is still good is for the caller to say (see
//! [`ValidityRules::is_due`](super::ValidityRules::is_due)). A newer signature of the same digest
//! replaces the older one.
//!
//! All signatures are in memory as they are in the file, 98 octets for one of 64.
//! [`flush`](SignatureStore::flush) writes what is new behind the rest. A file that is cut off or
//! damaged at any octet yields the signatures before that place, and none that is wrong. One process
//! writes a store: its owner's state directory is locked.
//!
//! A zone is signed part by part. What is new of a part is added together ([`SignaturePart`]), and
//! after a restart a part finds its signatures one behind the other ([`SignatureTape`]). Only where
//! that fails an index of all signatures is made, of 11 to 22 octets each.
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
mod part;
mod tape;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use self::index::StoreIndex;
use self::log::{HEADER, LONGEST, LogRecord, OVERHEAD, StoreLog};
pub use self::part::SignaturePart;
pub use self::tape::SignatureTape;
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
    log: StoreLog,
    /// Finds every signature; made when something is not found without it.
    index: OnceLock<StoreIndex>,
    /// Finds the first ones of those that were made together, as far as they were read.
    firsts: Arc<StoreIndex>,
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
        (store.log.len() == octets.len()).then_some(store)
    }

    /// The header and all records, as in the file, in two pieces.
    pub fn pieces(&self) -> [&[u8]; 2] {
        self.log.pieces()
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
        let mut firsts = StoreIndex::default();
        let mut newest = None;
        let mut at = HEADER.len();
        for record in log::whole_records(&log, at) {
            if record.is_first {
                firsts.insert(&record.digest, at as u32, |place| {
                    LogRecord::digest_at(&log, place)
                });
            }
            newest = later(newest, record.stored.times.inception);
            at += record.octets.len();
        }
        log.truncate(at);
        SignatureStore {
            file: None,
            log: StoreLog::new(log),
            index: OnceLock::new(),
            firsts: Arc::new(firsts),
            newest,
            most: FileKind::Signatures.most() as usize,
        }
    }

    /// What finds every signature.
    fn index(&self) -> &StoreIndex {
        self.index.get_or_init(|| {
            let mut index = StoreIndex::with_room(self.log.len() / USUAL);
            let mut records = self.log.records();
            loop {
                let mut batch = [None; BATCH];
                for (entry, (at, record)) in batch.iter_mut().zip(&mut records) {
                    index.fetch(&record.digest);
                    *entry = Some((record.digest, at));
                }
                for (digest, at) in batch.iter().flatten() {
                    index.insert(digest, *at as u32, |place| self.log.digest_at(place));
                }
                if batch.contains(&None) {
                    return index;
                }
            }
        })
    }

    /// The signature with this digest.
    pub fn get(&self, digest: &SignatureDigest) -> Option<StoredSignature<'_>> {
        let place = self.place(digest)?;
        self.log.record(place).map(|record| record.stored)
    }

    /// Where the record of this digest is.
    fn place(&self, digest: &SignatureDigest) -> Option<usize> {
        let place = self
            .index()
            .find(digest, |place| self.log.digest_at(place))?;
        Some(place as usize)
    }

    /// The same; the tape goes on behind it, for an owner with this slot of renewal.
    pub fn get_again(
        &self,
        digest: &SignatureDigest,
        slot: usize,
        tape: &mut SignatureTape,
    ) -> Option<StoredSignature<'_>> {
        let place = self.place(digest)?;
        let record = self.log.record(place)?;
        tape.resume(slot, place + record.octets.len());
        Some(record.stored)
    }

    /// Finds signatures in the order in which they were read, without the store.
    pub fn tape(&self) -> SignatureTape {
        SignatureTape::new(self.log.read().clone(), self.firsts.clone())
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
        let mut record = Vec::with_capacity(OVERHEAD + signature.len());
        let stored = StoredSignature { times, signature };
        log::append(&mut record, false, digest, stored);
        self.add_records(&record)
    }

    /// Adds the signatures of a part of a zone.
    ///
    /// # Errors
    /// A sentence: the store is full, and has none of them.
    pub fn add_part(&mut self, part: &SignaturePart) -> Result<(), String> {
        self.add_records(&part.records())
    }

    fn add_records(&mut self, records: &[u8]) -> Result<(), String> {
        if self.log.len() + records.len() > self.most {
            return Err(format!(
                "the store of signatures is full: it has {} in {} MiB",
                self.len(),
                self.most >> 20
            ));
        }
        let mut at = self.log.len();
        self.log.add(records);
        while let Some(record) = self.log.record(at) {
            if let Some(index) = self.index.get_mut() {
                index.insert(&record.digest, at as u32, |place| self.log.digest_at(place));
            }
            self.newest = later(self.newest, record.stored.times.inception);
            at += record.octets.len();
        }
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
        self.index().len()
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
            self.add_records(record.octets)?;
        }
        Ok(())
    }

    /// What [`flush`](Self::flush) would write, as a value, so that another thread can wait for the
    /// disk while the store is used. `None` if all is written.
    pub fn unflushed(&self) -> Option<StoreWrite> {
        let file = self.file.as_ref()?;
        let octets = self.log.since(file.flushed)?;
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
        if self.log.len() < SMALL {
            return Ok(false);
        }
        let mut good = HEADER.len();
        for record in self.records() {
            if record.stored.times.left(now) >= 0 {
                good += record.octets.len();
            }
        }
        if good >= self.log.len() / 2 {
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
                log.extend_from_slice(record.octets);
            }
        }
        let mut smaller = SignatureStore::of_log(log);
        if let Some(StoreFile { path, .. }) = &self.file {
            let flushed = smaller.log.len();
            let file = disk::replace(path, smaller.log.read(), MODE)
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
        let current =
            |(at, record): &(usize, LogRecord<'_>)| self.place(&record.digest) == Some(*at);
        self.log.records().filter(current).map(|(_, record)| record)
    }
}

/// The later of two times (RFC 1982).
fn later(one: Option<u32>, other: u32) -> Option<u32> {
    Some(one.filter(|one| is_before(other, *one)).unwrap_or(other))
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
