//! Detects changed files for `[zones] watch`.
//!
//! A changed file is loaded without a command once it has not been written for a while, so that
//! no half-written file is read.

use std::path::{Path, PathBuf};

use crate::files::{FilePrint, FileRead};
use crate::zone;

/// The files of a configuration, and what each was; `None`: it cannot be looked at.
pub type FileStates = Vec<(PathBuf, Option<FilePrint>)>;

/// What was loaded, and what was seen since.
#[derive(Debug, Default)]
pub struct WatchedFiles {
    loaded: FileStates,
    seen: FileStates,
}

/// The files as they were read.
pub fn as_read(files: &[FileRead]) -> FileStates {
    sorted(
        files
            .iter()
            .map(|file| (file.path.clone(), Some(file.print.clone())))
            .collect(),
    )
}

/// The same files, and the zones that the folder has, as they are now.
pub fn now(before: &FileStates, zones: &Path) -> FileStates {
    let known = before.iter().map(|(path, _)| path.clone());
    let look = |path: PathBuf| (path.clone(), FilePrint::of(&path));
    sorted(known.chain(zone::files_in(zones)).map(look).collect())
}

fn sorted(mut look: FileStates) -> FileStates {
    look.sort_by(|(one, _), (other, _)| one.cmp(other));
    look.dedup_by(|(one, _), (other, _)| one == other);
    look
}

impl WatchedFiles {
    /// From now on these are served.
    pub fn of(loaded: FileStates) -> WatchedFiles {
        WatchedFiles {
            seen: loaded.clone(),
            loaded,
        }
    }

    /// What to look at.
    pub fn loaded(&self) -> &FileStates {
        &self.loaded
    }

    /// Takes notice of how the files are; true when they are others than those that were loaded, and were left alone since
    /// the last time. What is then refused is not read again until it changes again.
    pub fn has_settled(&mut self, now: FileStates) -> bool {
        let is_settled = now != self.loaded && now == self.seen;
        if is_settled {
            self.loaded = now.clone();
        }
        self.seen = now;
        is_settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_told_once_when_it_was_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.zone");
        std::fs::write(&file, "a").unwrap();
        let look = |before: &FileStates| now(before, folder.path());
        let mut watched = WatchedFiles::of(look(&FileStates::new()));
        assert!(!watched.has_settled(look(watched.loaded())));
        std::fs::write(&file, "ab").unwrap();
        assert!(
            !watched.has_settled(look(watched.loaded())),
            "it may still be written"
        );
        assert!(watched.has_settled(look(watched.loaded())));
        assert!(!watched.has_settled(look(watched.loaded())), "once");
        std::fs::write(folder.path().join("b.zone"), "new").unwrap();
        std::fs::write(folder.path().join("b.zone~"), "no zone").unwrap();
        assert!(
            !watched.has_settled(look(watched.loaded()))
                && watched.has_settled(look(watched.loaded()))
        );
        std::fs::remove_file(&file).unwrap();
        assert!(
            !watched.has_settled(look(watched.loaded()))
                && watched.has_settled(look(watched.loaded()))
        );
    }
}
