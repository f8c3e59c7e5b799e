//! Databases in MaxMind DB format.
//!
//! The `maxminddb` library reads and checks the metadata, and only this file uses it. The walk
//! through the search tree ([`SearchTree`]) and the decoder of records ([`ValueReader`]) are ours.
//! A file is read into memory, not mapped: truncating a mapped file kills the process. Each
//! distinct record is decoded once, in file order, however many networks share it. The tree is then
//! walked once, and every network looks up the value of its record.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maxminddb::Reader;

use super::address::AddressBits;
use super::both::each;
use super::error::GeoError;
use super::offsets::OffsetTable;
use super::record::GeoRecord;
use super::tree::SearchTree;
use super::values::ValueReader;
use crate::files::{self, FileKind};

/// A database in memory, its metadata checked and its records found.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    file: Vec<u8>,
    metadata: DatabaseMetadata,
    /// Offset of the data section.
    section: usize,
    /// The offsets of the distinct records in the data section.
    records: OffsetTable,
}

/// What a file says of itself.
#[derive(Debug)]
struct DatabaseMetadata {
    kind: String,
    built: SystemTime,
    /// Nodes of the search tree.
    nodes: u32,
    /// Bits of a record of a node.
    record_size: u16,
    ip_version: u16,
}

impl Database {
    /// [Opens](Self::open) several files, two at a time.
    ///
    /// # Errors
    /// That of the first file, in their order, that is not sound.
    pub fn open_all(paths: &[PathBuf]) -> Result<Vec<Self>, GeoError> {
        each(paths, |path| Self::open(path)).into_iter().collect()
    }

    /// Reads a file, checks its metadata and finds its records.
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        let content =
            files::read(path, FileKind::Database).map_err(|error| GeoError::new(path, error))?;
        Self::from_octets(path, content.octets)
    }

    /// The database in `file`; `path` is for messages.
    pub fn from_octets(path: &Path, file: Vec<u8>) -> Result<Self, GeoError> {
        let metadata = DatabaseMetadata::read(&file).map_err(|error| {
            GeoError::new(
                path,
                format_args!("is not a sound MaxMind DB file: {error}"),
            )
        })?;
        let tree = metadata.nodes as usize * (usize::from(metadata.record_size) / 4);
        let mut database = Database {
            path: path.to_owned(),
            file,
            section: tree + SEPARATOR,
            records: OffsetTable::default(),
            metadata,
        };
        database.records = database.find_records()?;
        Ok(database)
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database type from the metadata: `GeoLite2-City`.
    pub fn kind(&self) -> &str {
        &self.metadata.kind
    }

    /// When it was built.
    pub fn built(&self) -> SystemTime {
        self.metadata.built
    }

    /// The offsets of the distinct records in the data section.
    pub fn records(&self) -> &OffsetTable {
        &self.records
    }

    /// Finds the records on two threads, each of which scans half of the tree.
    fn find_records(&self) -> Result<OffsetTable, GeoError> {
        let first = self.first_record();
        let [lower, upper] = self.tree()?.halves();
        let lower = || lower.offsets(first);
        OffsetTable::collect(self.data().len(), lower, || upper.offsets(first))
            .ok_or_else(|| self.damaged_tree())
    }

    /// Decodes the records at `offsets` in order and returns what `interpret` makes of each.
    pub fn read<'a, V>(
        &'a self,
        offsets: impl Iterator<Item = usize>,
        mut interpret: impl FnMut(GeoRecord<'a>) -> V,
    ) -> Result<Vec<V>, GeoError> {
        let mut values = ValueReader::new(self.data());
        offsets
            .map(|offset| Ok(interpret(self.read_one(&mut values, offset)?)))
            .collect()
    }

    /// The database without its records, for which there are these values.
    pub fn with_values<V>(mut self, values: Vec<V>) -> ReadDatabase<V> {
        self.file.truncate(self.section);
        self.file.shrink_to_fit();
        ReadDatabase {
            database: self,
            values,
        }
    }

    fn read_one<'a>(
        &'a self,
        values: &mut ValueReader<'a>,
        offset: usize,
    ) -> Result<GeoRecord<'a>, GeoError> {
        GeoRecord::read(values, offset).map_err(|_| {
            let at = self.section + offset;
            GeoError::new(
                &self.path,
                format_args!("its record at octet {at} is damaged; fetch the file again"),
            )
        })
    }

    fn tree(&self) -> Result<SearchTree<'_>, GeoError> {
        let metadata = &self.metadata;
        SearchTree::new(
            &self.file,
            metadata.nodes,
            metadata.record_size,
            metadata.ip_version,
        )
        .map_err(|_| self.damaged_tree())
    }

    fn data(&self) -> &[u8] {
        self.file.get(self.section..).unwrap_or_default()
    }

    /// The number in the tree of a record at offset 0 of the data section.
    fn first_record(&self) -> usize {
        self.metadata.nodes as usize + SEPARATOR
    }

    fn damaged_tree(&self) -> GeoError {
        GeoError::new(
            &self.path,
            "its search tree is damaged; fetch the file again",
        )
    }
}

impl DatabaseMetadata {
    fn read(file: &[u8]) -> Result<DatabaseMetadata, maxminddb::MaxMindDbError> {
        let reader = Reader::from_source(file)?;
        let metadata = reader.metadata();
        let built = UNIX_EPOCH.checked_add(Duration::from_secs(metadata.build_epoch));
        Ok(DatabaseMetadata {
            kind: metadata.database_type.clone(),
            built: built.unwrap_or(UNIX_EPOCH),
            nodes: metadata.node_count,
            record_size: metadata.record_size,
            ip_version: metadata.ip_version,
        })
    }
}

/// Octets between the tree and the data section.
const SEPARATOR: usize = 16;

/// A database whose records are decoded. Only its search tree is still in memory.
#[derive(Debug)]
pub struct ReadDatabase<V> {
    /// The file.
    database: Database,
    /// The value of each record, in file order.
    values: Vec<V>,
}

impl<V: Copy + Default> ReadDatabase<V> {
    /// The file, without its records.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Every network of one address family in order, starting with the one that contains `from`.
    /// Each comes with the value of its record; gaps are included, with `V::default()`.
    pub fn networks<A: AddressBits>(
        &self,
        from: A,
    ) -> Result<impl Iterator<Item = Result<(A, V), GeoError>>, GeoError> {
        let ReadDatabase { database, values } = self;
        let records = &database.records;
        let first_record = database.first_record();
        let value = move |record: u32| {
            values
                .get(records.rank((record as usize).checked_sub(first_record)?))
                .copied()
        };
        Ok(database.tree()?.leaves(from).map(move |leaf| match leaf {
            Ok((first, None)) => Ok((first, V::default())),
            Ok((first, Some(record))) => value(record)
                .map(|value| (first, value))
                .ok_or_else(|| database.damaged_tree()),
            Err(_) => Err(database.damaged_tree()),
        }))
    }
}
