//! Databases in MaxMind DB format. The only file that knows the library that reads their metadata.
//!
//! A file is read whole, not mapped: a mapped file that someone truncates kills the process. Its tree is walked once,
//! and each distinct record is decoded once, however many networks share it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foldhash::{HashMap, HashMapExt};
use maxminddb::Reader;

use super::address::Address;
use super::error::GeoError;
use super::record::Record;
use super::tree::{Leaves, Tree};
use super::values::Values;

/// A database in memory, its head checked.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    file: File,
    reader: Reader<File>,
    /// Where the data section begins.
    section: usize,
}

/// The octets of a file: the library decodes records, the tree is ours.
#[derive(Debug, Clone)]
struct File(Arc<Vec<u8>>);

impl AsRef<[u8]> for File {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Database {
    /// Reads a file and checks what its metadata says.
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        let file = std::fs::read(path).map_err(|error| GeoError::new(path, format_args!("cannot be read: {error}")))?;
        Self::from_octets(path, file)
    }

    /// The database in `file`; `path` is for messages.
    pub fn from_octets(path: &Path, file: Vec<u8>) -> Result<Self, GeoError> {
        let file = File(Arc::new(file));
        let reader = Reader::from_source(file.clone())
            .map_err(|error| GeoError::new(path, format_args!("is not a sound MaxMind DB file: {error}")))?;
        let metadata = reader.metadata();
        let tree = metadata.node_count as usize * (usize::from(metadata.record_size) / 4);
        Ok(Database { path: path.to_owned(), file, section: tree + SEPARATOR, reader })
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it calls itself: `GeoLite2-City`.
    pub fn kind(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was built.
    pub fn built(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.reader.metadata().build_epoch)).unwrap_or(UNIX_EPOCH)
    }

    /// Every network of one address family in order, from the one that holds `from` on, gaps included, each with what `interpret` makes of its record
    /// (called once per distinct record) or, in a gap, `V::default()`.
    pub fn networks<'a, A, V, F>(&'a self, from: A, interpret: F) -> Result<Networks<'a, A, V, F>, GeoError>
    where
        A: Address,
        V: Copy + Default,
        F: FnMut(Record<'a>) -> V,
    {
        let metadata = self.reader.metadata();
        let tree = Tree::new(self.file.as_ref(), metadata.node_count, metadata.record_size, metadata.ip_version)
            .map_err(|_| self.damaged_tree())?;
        Ok(Networks {
            database: self,
            leaves: tree.leaves(from),
            values: Values::new(self.file.as_ref().get(self.section..).unwrap_or_default()),
            nodes: metadata.node_count as usize,
            interpret,
            recent: vec![(0, V::default()); RECENT],
            known: HashMap::new(),
        })
    }

    fn damaged_tree(&self) -> GeoError {
        GeoError::new(&self.path, "its search tree is damaged; fetch the file again")
    }
}

/// Octets between the tree and the data section.
const SEPARATOR: usize = 16;

/// Records remembered by the lowest bits of their number, in front of the map of all: neighbours share records.
const RECENT: usize = 1 << 14;

/// Iterator over the networks of a [`Database`]: first address and value.
pub struct Networks<'a, A, V, F> {
    database: &'a Database,
    leaves: Leaves<'a, A>,
    values: Values<'a>,
    nodes: usize,
    interpret: F,
    recent: Vec<(u32, V)>,
    known: HashMap<u32, V>,
}

impl<'a, A: Address, V: Copy + Default, F: FnMut(Record<'a>) -> V> Iterator for Networks<'a, A, V, F> {
    type Item = Result<(A, V), GeoError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.leaves.next()? {
            Ok((first, None)) => Ok((first, V::default())),
            Ok((first, Some(record))) => self.value(first, record).map(|value| (first, value)),
            Err(_) => Err(self.database.damaged_tree()),
        })
    }
}

impl<'a, A: Address, V: Copy + Default, F: FnMut(Record<'a>) -> V> Networks<'a, A, V, F> {
    /// The value of the record with this number in the tree, which the network that begins at `first` has.
    #[inline]
    fn value(&mut self, first: A, record: u32) -> Result<V, GeoError> {
        let slot = record as usize % RECENT;
        if self.recent[slot].0 != record {
            self.recent[slot] = (record, self.known_value(first, record)?);
        }
        Ok(self.recent[slot].1)
    }

    fn known_value(&mut self, first: A, record: u32) -> Result<V, GeoError> {
        if let Some(value) = self.known.get(&record) {
            return Ok(*value);
        }
        let read = self.read(first, record)?;
        let value = (self.interpret)(read);
        self.known.insert(record, value);
        Ok(value)
    }

    /// A record's number is its offset in the data section behind the number of nodes and the separator.
    fn read(&mut self, first: A, record: u32) -> Result<Record<'a>, GeoError> {
        let offset = (record as usize).checked_sub(self.nodes + SEPARATOR);
        let read = offset.and_then(|offset| Record::read(&mut self.values, offset).ok());
        read.ok_or_else(|| {
            let reason = format!("its record of {} is damaged; fetch the file again", first.ip());
            GeoError::new(&self.database.path, reason)
        })
    }
}
