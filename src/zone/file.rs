//! Files that zones are read from.

use std::path::Path;

/// Largest file, in octets; it is held in memory while it is read.
const MAX_FILE: u64 = 1 << 30;

/// A regular file's content, bounded; a sentence without the file's name otherwise.
pub fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("it cannot be read: {error}");
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.len() > MAX_FILE {
        return Err(format!("it is larger than {MAX_FILE} octets; split the zone"));
    }
    std::fs::read(path).map_err(unreadable)
}
