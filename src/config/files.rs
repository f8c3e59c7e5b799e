//! Files that a check names: certificates, keys and secrets, each with a bound.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// Reads a regular file of at most `most` octets. Never waits for a writer, as opening a FIFO would.
///
/// # Errors
/// A sentence without the path.
pub fn read(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    read_open(open(path)?, most)
}

/// The same of a file that only its owner may read.
///
/// # Errors
/// A sentence without the path; also where others may read it.
pub fn read_secret(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    let file = open(path)?;
    let mode = file.metadata().map_err(|error| format!("cannot look at the file: {error}"))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(format!("others may read the file (mode {mode:o}); `chmod 600 {path}` keeps it a secret"));
    }
    read_open(file, most)
}

fn open(path: &Path) -> Result<File, String> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| format!("cannot open the file: {error}"))?;
    let data = file.metadata().map_err(|error| format!("cannot look at the file: {error}"))?;
    if data.is_file() { Ok(file) } else { Err("it is not a regular file".to_owned()) }
}

fn read_open(file: File, most: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    // With room for all of it at once: a text that grows leaves copies behind.
    let length = file.metadata().map_or(0, |data| data.len()).min(most);
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1)));
    let size = file.take(most + 1).read_to_end(&mut text).map_err(|error| format!("cannot read the file: {error}"))?;
    if size as u64 > most {
        return Err(format!("the file is longer than {} KiB", most >> 10));
    }
    Ok(text)
}
