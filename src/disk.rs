//! Replaces files atomically.
//!
//! A new file is written beside the old one, synced to disk, and renamed over it. A reader finds
//! the old or the new content, and so does a restart after a crash. The new file is always created,
//! never opened, so an existing file or link with its name is never written to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replaces a file by one with this content and mode (less the umask). The content is on disk when
/// this returns. On an error, the old file is unchanged.
///
/// # Errors
/// The error of the operating system.
pub fn replace(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    let temporary = beside(path)?;
    let written = write_new(&temporary, octets, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error matters more than a failure to remove the partial file.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Removes the temporary files of processes that ended while they replaced a file in this folder.
/// The caller must know that no other process writes there. Files that cannot be removed stay.
pub fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_temporary) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The temporary name, such as `.orders.json.1234`. It is in the folder of the file itself, because
/// a rename cannot cross file systems.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or(ErrorKind::InvalidFilename)?;
    Ok(path.with_file_name(format!(".{name}.{}", std::process::id())))
}

fn is_temporary(name: &str) -> bool {
    match name
        .strip_prefix('.')
        .and_then(|rest| rest.rsplit_once('.'))
    {
        Some((_, number)) => {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        }
        None => false,
    }
}

fn write_new(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    let mut file = match create_new(path, mode) {
        // An earlier process had the same id, or another program created the file.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path).and_then(|()| create_new(path, mode))?
        }
        made => made?,
    };
    file.write_all(octets)?;
    file.sync_all()
}

/// Creates a file where none is, with this mode less the umask (`O_CREAT | O_EXCL | O_NOFOLLOW`).
///
/// # Errors
/// Something with this name exists already, or the error of the system.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// Opens a file that is there, to write parts of it at their places (`O_NOFOLLOW`, without waiting).
///
/// # Errors
/// The error of the operating system.
pub fn open_existing(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_lies_under_the_temporary_name_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (
            folder.path().join("victim"),
            folder.path().join("orders.json"),
        );
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, beside(&path).unwrap()).unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let data = fs::symlink_metadata(&path).unwrap();
        assert!(data.is_file());
        assert_eq!(data.permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "no temporary file is left"
        );
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir_all(path.join("in the way")).unwrap();
        assert!(replace(&path, b"new", 0o600).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn leftovers_are_known_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            ".orders.json.1234",
            ".health.json.7",
            "orders.json",
            "orders.json.1",
            ".hidden",
            ".a.b",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_leftovers(folder.path());
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, [".a.b", ".hidden", "orders.json", "orders.json.1"]);
    }
}
