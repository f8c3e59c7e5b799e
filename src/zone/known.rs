//! What is remembered of a long zone file, to find out what an edit of it has changed.
//!
//! For each block: a hash of its text, and the hashes of the owners in it. After an edit, blocks
//! whose text is still there need not be read again. The records of an owner are read anew from all
//! blocks that have or had one, so they are those that the whole file states, in its order.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::Zone;
use super::check;
use super::error::ZoneReport;
use super::order::{OrderedRecords, is_within};
use super::read::ZoneReader;
use super::read::blocks::{BlockRead, BlockStart, block_end};
use super::reading::ZoneReading;
use super::rrsets::rrsets;
use super::scanner::{Scanner, without_mark};
use super::store::{OwnerId, RecordStore, ZoneRecord};
use crate::dns::Name;
use crate::dns::name::MAX_NAME;
use crate::dns::name_hash::name_hash;

/// A small edit concerns at most one in so many blocks.
const SMALL: usize = 8;
/// So many blocks may always be read again.
const FEW: usize = 8;

/// The blocks of a file that was read.
#[derive(Debug, Clone)]
pub struct FileBlocks {
    /// The state that all blocks but the first start with.
    pub start: BlockStart,
    /// In the order of the file.
    pub blocks: Vec<KnownBlock>,
    /// Two hashes together, with seeds of their own, are taken as the text itself.
    hashers: [RandomState; 2],
}

/// A block that was read.
#[derive(Debug, Clone)]
pub struct KnownBlock {
    text: [u64; 2],
    lines: u32,
    /// The hash of each owner, sorted.
    owners: Arc<[u64]>,
}

/// Hashes of owners. Half a million may be looked up for an edit.
pub type OwnerHashes = HashSet<u64, foldhash::fast::RandomState>;

/// What an edit has changed in a zone.
#[derive(Debug)]
pub struct ZoneEdit {
    /// The zone, but only with the records of the owners below.
    pub zone: Zone,
    /// The hashes of all owners whose records may be others now; those without records in `zone`
    /// have none any more.
    pub owners: OwnerHashes,
}

impl FileBlocks {
    /// No block yet.
    pub fn new(start: BlockStart) -> FileBlocks {
        FileBlocks {
            start,
            blocks: Vec::new(),
            hashers: [RandomState::default(), RandomState::default()],
        }
    }

    /// Adds a block with its text, records and lines.
    pub fn add(&mut self, text: &[u8], records: &RecordStore, lines: u32) {
        self.blocks.push(self.block(text, records, lines));
    }

    /// What is remembered of a block.
    pub fn block(&self, text: &[u8], records: &RecordStore, lines: u32) -> KnownBlock {
        let mut owners = Vec::new();
        let mut last = None;
        for record in records.records() {
            if last != Some(record.owner) {
                last = Some(record.owner);
                owners.push(owner_hash(records.owner(record.owner)));
            }
        }
        owners.sort_unstable();
        owners.dedup();
        KnownBlock {
            text: self.hash(text),
            lines,
            owners: owners.into(),
        }
    }

    fn hash(&self, text: &[u8]) -> [u64; 2] {
        [
            self.hashers[0].hash_one(text),
            self.hashers[1].hash_one(text),
        ]
    }

    /// For each text the known block that it is; both in the same order.
    fn matched(&self, texts: &[&[u8]]) -> Vec<Option<usize>> {
        let mut places = HashMap::new();
        for (at, block) in self.blocks.iter().enumerate() {
            places.entry(block.text).or_insert(at);
        }
        let mut next = 0;
        let mut matched = Vec::with_capacity(texts.len());
        for text in texts {
            let hash = self.hash(text);
            let at = match self.blocks.get(next) {
                Some(block) if block.text == hash => Some(next),
                _ => places.get(&hash).copied().filter(|at| *at >= next),
            };
            next = at.map_or(next, |at| at + 1);
            matched.push(at);
        }
        matched
    }

    /// What the new text of the file changes in the zone `apex`, and what is to be remembered of
    /// it. `None`: that can only be found out by reading the whole file.
    pub fn edit(
        &self,
        file: &Path,
        file_origin: Option<&Name>,
        apex: &Name,
        text: &[u8],
    ) -> Option<(ZoneEdit, FileBlocks)> {
        let text = without_mark(text);
        let texts = block_texts(text);
        let matched = self.matched(&texts);
        let mut edit = EditedBlocks {
            known: self,
            file,
            file_origin,
            apex,
            text,
            most: FEW.max(texts.len() / SMALL),
            owners: OwnerHashes::default(),
            read: Vec::new(),
        };
        edit.read_new(&texts, &matched)?;
        edit.read_others(&texts, &matched)?;
        edit.finish(&matched)
    }
}

/// An edit that is being read.
struct EditedBlocks<'k> {
    known: &'k FileBlocks,
    file: &'k Path,
    file_origin: Option<&'k Name>,
    apex: &'k Name,
    text: &'k [u8],
    /// The most blocks that are read.
    most: usize,
    owners: OwnerHashes,
    /// The number of each block that was read, with its records and lines.
    read: Vec<(usize, RecordStore, KnownBlock)>,
}

impl EditedBlocks<'_> {
    /// Reads the blocks that are new. The owners of these, and of those that are gone, are the ones
    /// whose records may have changed.
    fn read_new(&mut self, texts: &[&[u8]], matched: &[Option<usize>]) -> Option<()> {
        let kept: HashSet<usize> = matched.iter().flatten().copied().collect();
        for (at, block) in self.known.blocks.iter().enumerate() {
            if !kept.contains(&at) {
                self.owners.extend(block.owners.iter());
            }
        }
        for (at, block) in texts.iter().enumerate() {
            if matched[at].is_some() {
                continue;
            }
            let (records, lines) = self.records_of(at, block)?;
            let known = self.known.block(block, &records, lines);
            self.owners.extend(known.owners.iter());
            self.read.push((at, records, known));
            if self.read.len() > self.most {
                return None;
            }
        }
        // The head is at the head or nowhere.
        let mut places = matched.iter().enumerate();
        let is_in_place = places.all(|(at, found)| found.is_none_or(|it| (at == 0) == (it == 0)));
        is_in_place.then_some(())
    }

    /// The records of a block and its number of lines. `None`: it cannot be read by itself.
    fn records_of(&self, number: usize, block: &[u8]) -> Option<(RecordStore, u32)> {
        if number == 0 {
            return self.head();
        }
        let read = BlockRead::of(&self.known.start, block).filter(|read| !read.needs_last_ttl)?;
        Some((read.records, read.lines))
    }

    fn head(&self) -> Option<(RecordStore, u32)> {
        let mut report = ZoneReport::default();
        let mut reader = ZoneReader::new(self.file, self.file_origin, None, &mut report);
        let mut scanner = Scanner::new(self.text);
        let start = reader.read_head(self.text, &mut scanner)?;
        let reading = reader.finish();
        let is_same = start.is_like(&self.known.start)
            && check::apex(&reading, self.file_origin, &mut report).as_ref() == Some(self.apex)
            && report.is_empty();
        is_same.then(|| (reading.records, scanner.position().1 - 1))
    }

    /// Reads the blocks that have more records of the owners that may have changed.
    fn read_others(&mut self, texts: &[&[u8]], matched: &[Option<usize>]) -> Option<()> {
        for (at, found) in matched.iter().enumerate() {
            let Some(found) = found else { continue };
            let known = &self.known.blocks[*found];
            if !known.owners.iter().any(|owner| self.owners.contains(owner)) {
                continue;
            }
            if self.read.len() >= self.most {
                return None;
            }
            let (records, _) = self.records_of(at, texts[at])?;
            self.read.push((at, records, known.clone()));
        }
        self.read.sort_unstable_by_key(|(at, ..)| *at);
        Some(())
    }

    /// Joins the records of the owners that may have changed.
    fn finish(self, matched: &[Option<usize>]) -> Option<(ZoneEdit, FileBlocks)> {
        let (file, apex) = (self.file, self.apex);
        let mut store = RecordStore::default();
        let mut blocks = Vec::with_capacity(matched.len());
        let mut line = 0;
        let mut read = self.read.iter().peekable();
        for (at, found) in matched.iter().enumerate() {
            let mut block = found.map(|found| self.known.blocks[found].clone());
            if let Some((_, records, known)) = read.next_if(|(number, ..)| *number == at) {
                add_those_of(&mut store, records, &self.owners, line)?;
                block = Some(known.clone());
            }
            let block = block?;
            line += block.lines;
            blocks.push(block);
        }
        let mut owners = store
            .records()
            .iter()
            .map(|record| store.owner(record.owner));
        if !owners.all(|owner| is_within(owner, apex.as_wire())) {
            return None;
        }
        let mut report = ZoneReport::default();
        let reading = ZoneReading {
            files: vec![file.to_owned()],
            ..ZoneReading::default()
        };
        let records = rrsets(OrderedRecords::new(store, apex), &reading, &mut report);
        let edit = ZoneEdit {
            zone: Zone {
                origin: apex.clone(),
                file: file.to_owned(),
                records,
            },
            owners: self.owners,
        };
        let blocks = FileBlocks {
            blocks,
            start: self.known.start.clone(),
            hashers: self.known.hashers.clone(),
        };
        report.is_empty().then_some((edit, blocks))
    }
}

/// Adds the records of these owners, whose text starts so many lines below.
fn add_those_of(
    store: &mut RecordStore,
    records: &RecordStore,
    owners: &OwnerHashes,
    lines: u32,
) -> Option<()> {
    let mut last: Option<(OwnerId, Option<OwnerId>)> = None;
    for record in records.records() {
        let owner = match last {
            Some((known, new)) if known == record.owner => new,
            _ => {
                let wire = records.owner(record.owner);
                if owners.contains(&owner_hash(wire)) {
                    Some(store.add_owner(wire).ok()?)
                } else {
                    None
                }
            }
        };
        last = Some((record.owner, owner));
        let Some(owner) = owner else { continue };
        let ZoneRecord {
            rtype,
            data,
            mut place,
            ..
        } = records.view(record);
        place.line += lines;
        store.add(owner, (rtype, record.ttl), data, place).ok()?;
    }
    Some(())
}

/// The hash of an owner, whatever its case.
fn owner_hash(wire: &[u8]) -> u64 {
    let mut lower = [0; MAX_NAME];
    let lower = &mut lower[..wire.len()];
    lower.copy_from_slice(wire);
    lower.make_ascii_lowercase();
    name_hash(lower)
}

fn block_texts(text: &[u8]) -> Vec<&[u8]> {
    let mut texts = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = block_end(text, at);
        texts.push(&text[at..end]);
        at = end;
    }
    texts
}
