//! What is remembered of the zones folder, to load an edit of a long file at the cost of the edit.
//!
//! It exists only if a file is long enough to be read by blocks, nothing in the folder caused a
//! warning, and no file includes another one. Files whose print is the same are not read again.

use std::path::Path;
use std::sync::Arc;

use super::known::{FileBlocks, ZoneEdit};
use super::load::{origin_from, zones_only};
use crate::dns::Name;
use crate::files::{self, FileKind, FilePrint, FileRead};

/// The zone files of a folder as they were loaded.
#[derive(Debug, Clone)]
pub struct KnownFolder {
    files: Vec<KnownFile>,
}

#[derive(Debug, Clone)]
struct KnownFile {
    read: FileRead,
    apex: Name,
    /// `None`: the file is short.
    blocks: Option<Arc<FileBlocks>>,
    /// It was not being written when it was read, so its print stands for its content.
    is_settled: bool,
}

/// What has changed in a folder since it was loaded.
#[derive(Debug)]
pub struct FolderEdits {
    /// For each file that has changed, what has changed in its zone.
    pub edits: Vec<ZoneEdit>,
    /// What is to be remembered from here on.
    pub known: KnownFolder,
    /// Every file, as it was read at some time.
    pub files: Vec<FileRead>,
}

impl KnownFolder {
    /// Remembers files with the apex of their zones; `blocks` are those of some of them, by number.
    pub(super) fn new<'n>(
        files: &[FileRead],
        apexes: impl Iterator<Item = &'n Name>,
        blocks: Vec<(usize, FileBlocks)>,
    ) -> KnownFolder {
        let mut known = Vec::with_capacity(files.len());
        for (read, apex) in files.iter().zip(apexes) {
            known.push(KnownFile {
                read: read.clone(),
                apex: apex.clone(),
                blocks: None,
                is_settled: read.print.is_settled(),
            });
        }
        for (number, blocks) in blocks {
            known[number].blocks = Some(Arc::new(blocks));
        }
        KnownFolder { files: known }
    }

    /// Reads what has changed. `None`: the whole folder must be loaded again to know.
    pub fn edits(&self, folder: &Path) -> Option<FolderEdits> {
        let found = zones_only(folder)?;
        if found.len() != self.files.len() {
            return None;
        }
        let (mut edits, mut known) = (Vec::new(), Vec::with_capacity(found.len()));
        for (path, before) in found.iter().zip(&self.files) {
            if *path != before.read.path {
                return None;
            }
            if before.is_settled && FilePrint::of(path).as_ref() == Some(&before.read.print) {
                known.push(before.clone());
                continue;
            }
            let blocks = before.blocks.as_ref()?;
            let content = files::read(path, FileKind::Zone).ok()?;
            let origin = origin_from(path).ok()?;
            let (edit, blocks) =
                blocks.edit(path, origin.as_ref(), &before.apex, &content.octets)?;
            edits.push(edit);
            known.push(KnownFile {
                is_settled: content.read.print.is_settled(),
                read: content.read,
                apex: before.apex.clone(),
                blocks: Some(Arc::new(blocks)),
            });
        }
        let files = known.iter().map(|file| file.read.clone()).collect();
        Some(FolderEdits {
            edits,
            known: KnownFolder { files: known },
            files,
        })
    }
}
