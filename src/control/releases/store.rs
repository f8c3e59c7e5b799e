//! Releases on disk: `releases/` in the state directory.
//!
//! Each release has a folder with its digest as its name, which is complete or not there: it is
//! unpacked beside it, written to the disk and renamed. `served` names the one that is served, for the
//! next start and for every command. `memory.json` is what the state machine remembers.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, open, syncfs};

use crate::config::released::{FOLDER, MAIN, SERVED};
use crate::control::state_directory::StateDirectory;
use crate::disk;
use crate::files::{self, FileKind};
use crate::fleet::release::{ReleaseFault, is_digest};
use crate::fleet::release_archive::unpack;
use crate::fleet::release_member::ReleaseMemory;

const MEMORY: &str = "memory.json";

/// The folder of releases.
#[derive(Clone)]
pub(super) struct ReleaseStore {
    directory: Arc<StateDirectory>,
}

impl ReleaseStore {
    pub(super) fn new(directory: Arc<StateDirectory>) -> ReleaseStore {
        ReleaseStore { directory }
    }

    fn folder(&self) -> PathBuf {
        self.directory.path().join(FOLDER)
    }

    /// The folder of a release.
    pub(super) fn folder_of(&self, digest: &str) -> PathBuf {
        self.folder().join(digest)
    }

    /// Whether a release is here.
    pub(super) fn has(&self, digest: &str) -> bool {
        is_digest(digest) && self.folder_of(digest).join(MAIN).is_file()
    }

    /// What the state machine remembers; nothing if that cannot be read, which is logged.
    pub(super) fn memory(&self) -> ReleaseMemory {
        let path = self.folder().join(MEMORY);
        let read = match files::read(&path, FileKind::State) {
            Ok(content) => {
                serde_json::from_slice(&content.octets).map_err(|error| error.to_string())
            }
            Err(error) if error.is_missing() => return ReleaseMemory::default(),
            Err(error) => Err(format!("the file {error}")),
        };
        read.unwrap_or_else(|sentence| {
            tracing::warn!("{}: {sentence}", path.display());
            ReleaseMemory::default()
        })
    }

    /// Writes what the state machine remembers.
    pub(super) fn save(&self, memory: &ReleaseMemory) -> io::Result<()> {
        let text = serde_json::to_vec(memory)?;
        make_folder(&self.folder())?;
        self.directory.replace(&format!("{FOLDER}/{MEMORY}"), &text)
    }

    /// The digest of the release that is served.
    pub(super) fn served(&self) -> Option<String> {
        let content = files::read(&self.folder().join(SERVED), FileKind::Secret).ok()?;
        Some(String::from_utf8_lossy(&content.octets).trim().to_owned())
    }

    /// Names the release that is served; `None`: the server's own files are.
    pub(super) fn mark_served(&self, digest: Option<&str>) -> io::Result<()> {
        let name = format!("{FOLDER}/{SERVED}");
        match digest {
            Some(digest) => self
                .directory
                .replace(&name, format!("{digest}\n").as_bytes()),
            None => match fs::remove_file(self.directory.path().join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
        }
    }

    /// Unpacks an archive that has this digest.
    ///
    /// # Errors
    /// It cannot be unpacked, or not be written.
    pub(super) fn unpack(&self, digest: &str, archive: &[u8]) -> Result<(), ReleaseFault> {
        let folder = self.folder_of(digest);
        let beside = self
            .folder()
            .join(format!(".{digest}.{}", std::process::id()));
        let unpacked = unpack_into(&beside, archive).and_then(|()| {
            let _ = fs::remove_dir_all(&folder);
            write_out(&beside)
                .and_then(|()| fs::rename(&beside, &folder))
                .map_err(|error| unwritten(&folder, &error))
        });
        if unpacked.is_err() {
            let _ = fs::remove_dir_all(&beside);
        }
        unpacked?;
        if self.has(digest) {
            return Ok(());
        }
        let clause = format!("holds no {MAIN}");
        Err(ReleaseFault::BadArchive(clause))
    }

    /// Removes every release but these.
    pub(super) fn keep_only(&self, digests: &BTreeSet<&str>) {
        for entry in fs::read_dir(self.folder()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_left = name.starts_with('.') && entry.path().is_dir();
            if is_left || (is_digest(name) && !digests.contains(name)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn unpack_into(folder: &Path, archive: &[u8]) -> Result<(), ReleaseFault> {
    let _ = fs::remove_dir_all(folder);
    make_folder(folder).map_err(|error| unwritten(folder, &error))?;
    let mut fault = None;
    let unpacked = unpack(archive, |file| {
        let path = folder.join(&file.path);
        write_file(&path, &file.octets).map_err(|error| {
            fault = Some(unwritten(&path, &error));
            String::new()
        })
    });
    match (unpacked, fault) {
        (_, Some(fault)) => Err(fault),
        (Err(clause), None) => Err(ReleaseFault::BadArchive(clause)),
        (Ok(()), None) => Ok(()),
    }
}

/// A full disk may have room later, so this is no fault of the release.
fn unwritten(path: &Path, error: &io::Error) -> ReleaseFault {
    ReleaseFault::Incomplete(format!("{}: cannot be written: {error}", path.display()))
}

fn write_file(path: &Path, octets: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    disk::create_new(path, 0o600)?.write_all(octets)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Has everything written to the disk, at once for all files.
fn write_out(folder: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(folder, flags, Mode::empty())?;
    Ok(syncfs(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::release::digest_text;
    use crate::fleet::release_archive::{ReleaseFile, pack};

    #[test]
    fn a_release_is_there_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::own(folder.path()).unwrap();
        let store = ReleaseStore::new(Arc::new(directory));
        store.save(&ReleaseMemory::default()).unwrap();
        let mut files = Vec::new();
        for path in [MAIN, "zones/a.zone"] {
            files.push(ReleaseFile {
                path: path.to_owned(),
                octets: b"x".to_vec(),
            });
        }
        let archive = pack(&files).unwrap();
        let digest = digest_text(&archive);
        let cut = store.unpack(&digest, &archive[..archive.len() / 2]);
        assert_eq!(cut.unwrap_err().word(), "bad_archive");
        assert!(!store.has(&digest));
        store.unpack(&digest, &archive).unwrap();
        assert!(store.has(&digest));
        let zone = store.folder_of(&digest).join("zones/a.zone");
        assert_eq!(fs::read(zone).unwrap(), b"x");
        store.mark_served(Some(&digest)).unwrap();
        assert_eq!(store.served(), Some(digest.clone()));
        store.keep_only(&BTreeSet::from([digest.as_str()]));
        assert!(store.has(&digest));
        store.keep_only(&BTreeSet::new());
        assert!(!store.has(&digest));
        store.mark_served(None).unwrap();
        store.mark_served(None).unwrap();
        // Without a configuration it is none.
        let archive = pack(&files[1..]).unwrap();
        let digest = digest_text(&archive);
        assert!(store.unpack(&digest, &archive).is_err() && !store.has(&digest));
    }
}
