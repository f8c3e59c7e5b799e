//! Files that hold secrets: read only while nobody else may read them.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

/// How mistakes about such a file are told.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// What it holds: `the token`.
    pub content: &'static str,
    /// What it is: `the token file`.
    pub file: &'static str,
    /// What the right mode does: `keeps it a secret`.
    pub kept: &'static str,
}

/// The first `most` octets of a regular file that nobody but its owner may read; they are wiped when they are dropped.
///
/// # Errors
/// A sentence with the file: it cannot be read, is no regular file, or others could read it too.
pub fn read(path: &Path, most: u64, words: Words) -> Result<Zeroizing<String>, String> {
    let (name, Words { content, file: what, kept }) = (path.display(), words);
    let unreadable = |error| format!("{name}: cannot read {content}: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let data = file.metadata().map_err(unreadable)?;
    if !data.is_file() {
        return Err(format!("{name}: {what} is not a regular file"));
    }
    if data.mode() & 0o077 != 0 {
        let mode = data.mode() & 0o777;
        return Err(format!("{name}: others may read {content} (mode {mode:o}); `chmod 600 {name}` {kept}"));
    }
    // With room for all of it at once: a text that grows leaves copies behind.
    let room = usize::try_from(data.len().min(most)).unwrap_or(0).saturating_add(1);
    let mut text = Zeroizing::new(String::with_capacity(room));
    file.take(most).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}
