//! The state directory and its owner.
//!
//! One server at a time owns the directory, because two writers would overwrite each other's
//! state. The owner holds a lock (flock(2)) on a file in it, which the kernel releases when the
//! process ends. The file holds the process id, so that a second server can name the owner. Only
//! the owner writes. A server that cannot create the directory tries again with every write. The
//! lock belongs to the open file and not to the process, so a takeover passes the open file along
//! with the sockets and the directory always has an owner.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Access, FlockOperation, access, flock};
use rustix::io::Errno;

use crate::disk;

/// The file that the owner locks. It stays when the owner ends.
const LOCK: &str = "lock";
/// How long a new server waits for the previous owner to end.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two attempts to lock.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The directory with the state that outlives a restart, and its lock.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    lock: Mutex<Ownership>,
}

#[derive(Debug)]
enum Ownership {
    /// The lock could not be taken yet; every write tries again.
    Pending,
    /// This process owns the directory as long as this file is open.
    Held(Arc<File>),
    /// Another server has taken over.
    GivenUp,
}

/// Why the lock cannot be taken.
enum LockError {
    /// Another process holds it; its process id, if the file contains one.
    Taken(Option<u32>),
    /// The directory or the file cannot be created, opened or locked.
    Unusable(io::Error),
}

impl StateDirectory {
    /// Creates the directory if it is missing, and makes this process its owner. If it cannot be
    /// created or locked, a warning is logged, because the server can answer without it.
    ///
    /// # Errors
    /// A sentence: another process owns it.
    pub fn own(path: &Path) -> Result<StateDirectory, String> {
        let ownership = match lock(path, PATIENCE) {
            Ok(file) => {
                disk::remove_leftovers(path);
                write_process_id(&file);
                Ownership::Held(Arc::new(file))
            }
            Err(LockError::Taken(owner)) => return Err(owned_by_another(path, owner)),
            // The checks before a start have reported what [`unusable`] finds.
            Err(LockError::Unusable(error)) => {
                if unusable(path).is_none() {
                    tracing::warn!("{}", nothing_saved(path, &error));
                }
                Ownership::Pending
            }
        };
        Ok(StateDirectory {
            path: path.to_owned(),
            lock: Mutex::new(ownership),
        })
    }

    /// The directory of the server that this one replaces, with its lock.
    pub fn inherited(path: &Path, lock: OwnedFd) -> StateDirectory {
        StateDirectory {
            path: path.to_owned(),
            lock: Mutex::new(Ownership::Held(Arc::new(lock.into()))),
        }
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether another path names the same directory.
    pub fn is_at(&self, path: &Path) -> bool {
        let (ours, other) = (
            fs::canonicalize(&self.path).ok(),
            fs::canonicalize(path).ok(),
        );
        self.path == path || ours.is_some() && ours == other
    }

    /// Replaces a file as a whole. The new file is readable only by its owner, and on disk when
    /// this returns.
    ///
    /// # Errors
    /// The error of the system; the old file stays.
    pub fn replace(&self, name: &str, text: &[u8]) -> io::Result<()> {
        // Not under the mutex: a disk that hangs must not delay a takeover.
        let _held = self.held()?;
        disk::replace(&self.path.join(name), text, 0o600)
    }

    /// A copy of the lock, for the server that takes over; `None`: this process does not hold it.
    pub fn lock_to_pass_on(&self) -> Option<OwnedFd> {
        match &*self.ownership() {
            Ownership::Held(file) => file.try_clone().ok().map(OwnedFd::from),
            _ => None,
        }
    }

    /// Ends all writing, because another server has taken over.
    pub fn give_up(&self) {
        *self.ownership() = Ownership::GivenUp;
    }

    /// Writes the id of this process into the lock file, after a takeover.
    pub fn take_charge(&self) {
        if let Ownership::Held(file) = &*self.ownership() {
            write_process_id(file);
        }
    }

    fn ownership(&self) -> MutexGuard<'_, Ownership> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock. If it could not be taken before, this tries again.
    fn held(&self) -> io::Result<Arc<File>> {
        let mut ownership = self.ownership();
        match &*ownership {
            Ownership::Held(file) => Ok(file.clone()),
            Ownership::GivenUp => Err(io::Error::other("another server has taken over")),
            Ownership::Pending => {
                let file = lock(&self.path, Duration::ZERO).map_err(|error| match error {
                    LockError::Unusable(error) => error,
                    LockError::Taken(owner) => {
                        io::Error::other(owned_by_another(&self.path, owner))
                    }
                })?;
                write_process_id(&file);
                let file = Arc::new(file);
                *ownership = Ownership::Held(file.clone());
                Ok(file)
            }
        }
    }
}

/// Creates the directory, opens the lock file and locks it. Waits this long for another owner.
fn lock(directory: &Path, patience: Duration) -> Result<File, LockError> {
    let file = make(directory)
        .and_then(|()| open(&directory.join(LOCK)))
        .map_err(LockError::Unusable)?;
    let end = Instant::now() + patience;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if Instant::now() < end => std::thread::sleep(RETRY_PAUSE),
            Err(Errno::WOULDBLOCK) => return Err(LockError::Taken(read_process_id(&file))),
            Err(Errno::INTR) => {}
            // Some network file systems have no locks. Saving without a lock is better than not
            // saving.
            Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {
                let directory = directory.display();
                tracing::warn!(
                    "{directory}: the file system has no locks; make sure that no other server uses \
                     this directory"
                );
                return Ok(file);
            }
            Err(error) => return Err(LockError::Unusable(error.into())),
        }
    }
}

/// Creates the directory for its owner alone, and missing parents with the usual permissions.
fn make(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    directory.parent().map_or(Ok(()), fs::create_dir_all)?;
    DirBuilder::new().mode(0o700).create(directory)
}

/// Opens the lock file. It follows no symbolic link, and does not block if the file is a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("the lock is not a regular file"))
    }
}

/// Writes the process id into the lock file. It is only informational, so errors such as a full
/// disk are ignored.
fn write_process_id(file: &File) {
    let number = format!("{}\n", std::process::id());
    let _ = file
        .set_len(0)
        .and_then(|()| file.write_all_at(number.as_bytes(), 0));
}

fn read_process_id(mut file: &File) -> Option<u32> {
    let mut text = String::new();
    file.by_ref().take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The error that another process owns the directory.
fn owned_by_another(path: &Path, owner: Option<u32>) -> String {
    let owner = owner.map_or_else(
        || "another server".to_owned(),
        |number| format!("another server (process {number})"),
    );
    format!(
        "{}: {owner} uses this state directory; stop it, replace it with `meridian serve \
         --take-over`, or give this one a [state] directory of its own",
        path.display()
    )
}

/// Why this process cannot save anything in the directory; `None`: it can. Changes nothing.
pub fn unusable(path: &Path) -> Option<String> {
    let there = nearest_existing(path);
    let result = if there.is_dir() {
        access(there, Access::WRITE_OK | Access::EXEC_OK)
    } else if there == path {
        Err(Errno::EXIST)
    } else {
        Err(Errno::NOTDIR)
    };
    result.err().map(|error| nothing_saved(path, &error.into()))
}

/// The nearest ancestor that exists. Missing folders would be created in it.
fn nearest_existing(path: &Path) -> &Path {
    for folder in path.ancestors() {
        if !folder.as_os_str().is_empty() && fs::symlink_metadata(folder).is_ok() {
            return folder;
        }
    }
    Path::new(".")
}

/// A warning if other users may write into the directory, because they could drain regions.
pub fn open_to_others(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).map_or(0, |data| data.permissions().mode() & 0o777);
    let path = path.display();
    (mode & 0o022 != 0).then(|| {
        format!(
            "{path}: other users may write into this state directory (mode {mode:o}); run `chmod \
             700 {path}`"
        )
    })
}

/// A note that another process owns the directory now; `None`: no process does.
pub fn owner(path: &Path) -> Option<String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path.join(LOCK));
    let file = file.ok()?;
    let is_taken = flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
    is_taken.then(|| {
        let process = read_process_id(&file)
            .map_or_else(String::new, |number| format!(" (process {number})"));
        format!(
            "{}: a server{process} uses this state directory now",
            path.display()
        )
    })
}

fn nothing_saved(path: &Path, error: &io::Error) -> String {
    format!(
        "{}: nothing can be saved there yet: {error}",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_private_and_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/state");
        let owned = StateDirectory::own(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let error = StateDirectory::own(&path).unwrap_err();
        let process = format!(
            "another server (process {}) uses this state directory",
            std::process::id()
        );
        assert!(
            error.contains(&process) && error.contains("--take-over"),
            "{error}"
        );
        drop(owned);
        assert!(StateDirectory::own(&path).is_ok());
    }

    #[test]
    fn a_lock_that_is_passed_on_always_has_an_owner() {
        let folder = tempfile::tempdir().unwrap();
        let old = StateDirectory::own(folder.path()).unwrap();
        let new = StateDirectory::inherited(folder.path(), old.lock_to_pass_on().unwrap());
        new.replace("a", b"x").unwrap();
        old.give_up();
        assert!(old.replace("a", b"y").is_err() && old.lock_to_pass_on().is_none());
        assert!(
            matches!(
                lock(folder.path(), Duration::ZERO),
                Err(LockError::Taken(_))
            ),
            "the new server holds the lock"
        );
        drop(new);
        assert!(lock(folder.path(), Duration::ZERO).is_ok());
    }

    #[test]
    fn every_write_tries_again_to_create_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        fs::write(&path, "in the way").unwrap();
        let directory = StateDirectory::own(&path).unwrap();
        assert!(directory.replace("a", b"x").is_err());
        fs::remove_file(&path).unwrap();
        directory.replace("a", b"x").unwrap();
        assert!(StateDirectory::own(&path).is_err(), "it is owned now");
    }

    #[test]
    fn leftovers_are_removed_and_a_symbolic_link_as_the_lock_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".orders.json.999999"), "half").unwrap();
        drop(StateDirectory::own(folder.path()).unwrap());
        assert!(!folder.path().join(".orders.json.999999").exists());
        let victim = folder.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        fs::remove_file(folder.path().join(LOCK)).unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join(LOCK)).unwrap();
        let directory = StateDirectory::own(folder.path()).unwrap();
        assert!(directory.replace("a", b"x").is_err());
        assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
    }
}
