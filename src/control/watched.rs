//! Detects changed files for `[zones] watch`.
//!
//! The server looks at the configuration and the zone files periodically. A changed file is loaded
//! without a command once two looks in a row find it unchanged, so that no half-written file is
//! read. A change that is refused is not read again until the files change again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{FilePrint, FileRead};
use crate::zone;

/// The files of a configuration with their fingerprints; `None`: the file cannot be read.
pub type FileStates = Vec<(PathBuf, Option<FilePrint>)>;

/// The files that were loaded, and their state at the last look.
#[derive(Debug, Default)]
pub struct WatchedFiles {
    loaded: Arc<FileStates>,
    seen: Arc<FileStates>,
}

/// The state of the files at the time that they were read.
pub fn as_read(files: &[FileRead]) -> FileStates {
    let mut states = FileStates::new();
    for file in files {
        states.push((file.path.clone(), Some(file.print.clone())));
    }
    sorted(states)
}

/// The present state of the same files, and of the zone files that the folder has now.
pub fn now(before: &FileStates, zones: &Path) -> FileStates {
    let mut states = FileStates::new();
    for (path, _) in before {
        states.push((path.clone(), FilePrint::of(path)));
    }
    for path in zone::files_in(zones) {
        let print = FilePrint::of(&path);
        states.push((path, print));
    }
    sorted(states)
}

/// The files by path, each once.
fn sorted(mut states: FileStates) -> FileStates {
    states.sort_unstable_by(|(one, _), (other, _)| one.as_os_str().cmp(other.as_os_str()));
    states.dedup_by(|(one, _), (other, _)| one == other);
    states
}

impl WatchedFiles {
    /// These files are loaded and served.
    pub fn of(mut loaded: FileStates) -> WatchedFiles {
        loaded.shrink_to_fit();
        let loaded = Arc::new(loaded);
        WatchedFiles {
            seen: loaded.clone(),
            loaded,
        }
    }

    /// The files to look at, as they were loaded.
    pub fn loaded(&self) -> &FileStates {
        &self.loaded
    }

    /// Records the present state of the files. Returns true once if they differ from the loaded
    /// ones and have not changed since the last look.
    pub fn has_settled(&mut self, now: FileStates) -> bool {
        // What is equal is kept once.
        let mut now = Arc::new(now);
        for known in [&self.loaded, &self.seen] {
            if now == *known {
                now = known.clone();
            }
        }
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
    fn a_change_is_reported_once_when_it_is_no_longer_being_written() {
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
