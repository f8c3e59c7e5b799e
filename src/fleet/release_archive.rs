//! The archive of a release: the files of a configuration, as tar and zstd.
//!
//! [`pack`] writes the same octets for the same files. [`unpack`] trusts nothing: the octets, the files
//! and what they expand to are bounded, and only plain files with plain paths below the folder count.
//! Neither takes private keys, which never leave the server that they belong to.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Component, Path};

use zeroize::Zeroize;

/// Most octets of an archive.
pub const MOST_ARCHIVE: usize = 64 << 20;
/// Most octets of all of its files.
pub const MOST_UNPACKED: u64 = 1 << 30;
/// Most files.
pub const MOST_FILES: usize = 100_000;
/// Longest path, in octets.
const MOST_PATH: usize = 512;
/// Deepest path.
const MOST_PARTS: usize = 16;
/// How much is compressed: slower than the fastest and faster than the best.
const LEVEL: i32 = 9;
/// The reader looks back so far at most: 16 MiB, the logarithm of that.
const WINDOW: u32 = 24;
/// What private keys are known by.
const KEY_MARKS: [&str; 2] = ["PRIVATE KEY-----", "Private-key-format:"];
/// Longer files are zones, not keys.
const LONGEST_KEY: usize = 256 << 10;

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFile {
    /// Its path below the folder, with slashes.
    pub path: String,
    /// Its content.
    pub octets: Vec<u8>,
}

/// Packs files, in the order of their paths.
///
/// # Errors
/// A sentence: a path cannot be kept, a file is a private key, or there is too much.
pub fn pack(files: &[ReleaseFile]) -> Result<Vec<u8>, String> {
    let mut sorted: Vec<&ReleaseFile> = files.iter().collect();
    sorted.sort_by(|one, other| one.path.cmp(&other.path));
    let mut bounds = ArchiveBounds::default();
    let packing = zstd::stream::write::Encoder::new(Vec::new(), LEVEL);
    let mut tar = tar::Builder::new(packing.map_err(unpackable)?);
    for file in sorted {
        bounds.admit(&file.path, file.octets.len() as u64)?;
        refuse_keys(file)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(file.octets.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        let added = tar.append_data(&mut header, &file.path, &file.octets[..]);
        added.map_err(unpackable)?;
    }
    let mut packing = tar.into_inner().map_err(unpackable)?;
    packing.flush().map_err(unpackable)?;
    let archive = packing.finish().map_err(unpackable)?;
    if archive.len() > MOST_ARCHIVE {
        return Err(format!(
            "the archive has {} octets, more than {MOST_ARCHIVE}",
            archive.len()
        ));
    }
    Ok(archive)
}

fn unpackable(error: std::io::Error) -> String {
    format!("the archive cannot be written: {error}")
}

/// Reads an archive and hands over one file after the other.
///
/// # Errors
/// A clause: it is damaged, holds something else than plain files, has too much, or holds a private
/// key; or what the receiver says.
pub fn unpack(
    octets: &[u8],
    mut take: impl FnMut(ReleaseFile) -> Result<(), String>,
) -> Result<(), String> {
    if octets.len() > MOST_ARCHIVE {
        return Err(format!("has more than {MOST_ARCHIVE} octets"));
    }
    let mut reader = zstd::stream::read::Decoder::with_buffer(octets).map_err(damaged)?;
    reader.window_log_max(WINDOW).map_err(damaged)?;
    // Headers and padding of so many files fit as well.
    let most = MOST_UNPACKED + MOST_FILES as u64 * 2048;
    let mut tar = tar::Archive::new(reader.take(most));
    let mut bounds = ArchiveBounds::default();
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = String::from_utf8(entry.path_bytes().into_owned());
        let path = path.map_err(|_| "has a path that is no UTF-8".to_owned())?;
        let shown = crate::text::shown(&path).to_string();
        match entry.header().entry_type() {
            tar::EntryType::Regular => {}
            tar::EntryType::Directory => continue,
            _ => return Err(format!("holds \"{shown}\", which is no plain file")),
        }
        let size = entry.size();
        bounds.admit(&path, size)?;
        let mut file = ReleaseFile {
            path,
            octets: Vec::new(),
        };
        entry.read_to_end(&mut file.octets).map_err(damaged)?;
        if file.octets.len() as u64 != size {
            return Err(format!("ends inside of \"{shown}\""));
        }
        if let Err(sentence) = refuse_keys(&file) {
            file.octets.zeroize();
            return Err(sentence);
        }
        take(file)?;
    }
    if bounds.files.is_empty() {
        return Err("holds no file".to_owned());
    }
    Ok(())
}

fn damaged(error: std::io::Error) -> String {
    format!("is damaged: {error}")
}

/// Refuses private keys, by their names and their texts.
fn refuse_keys(file: &ReleaseFile) -> Result<(), String> {
    let path = crate::text::shown(&file.path).to_string();
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let has_name = name.starts_with('K') && name.ends_with(".private");
    let is_short = file.octets.len() <= LONGEST_KEY;
    if has_name || (is_short && holds_key(&file.octets)) {
        return Err(format!(
            "\"{path}\" is a private key, and keys never leave their server; state its path in the \
             server's own file, or use keys = \"elsewhere\" with a bundle of signatures"
        ));
    }
    Ok(())
}

fn holds_key(octets: &[u8]) -> bool {
    let mut is_key = false;
    for mark in KEY_MARKS {
        is_key |= octets
            .windows(mark.len())
            .any(|part| part == mark.as_bytes());
    }
    is_key
}

/// Whether a path leads to a place below the folder, and is written in the one way.
fn is_plain(path: &str) -> bool {
    let mut parts = 0;
    for part in Path::new(path).components() {
        if !matches!(part, Component::Normal(_)) {
            return false;
        }
        parts += 1;
    }
    parts == path.split('/').count() && parts <= MOST_PARTS && is_line(path)
}

fn is_line(path: &str) -> bool {
    path.len() <= MOST_PATH && !path.contains(char::is_control)
}

/// What an archive has so far.
#[derive(Default)]
struct ArchiveBounds {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
    octets: u64,
}

impl ArchiveBounds {
    /// Counts a file, if its path is a plain one and there is room for it.
    fn admit(&mut self, path: &str, octets: u64) -> Result<(), String> {
        let shown = crate::text::shown(path).to_string();
        if !is_plain(path) {
            return Err(format!("the path \"{shown}\" cannot be in a release"));
        }
        if !self.files.insert(path.to_owned()) || self.folders.contains(path) {
            return Err(format!("the path \"{shown}\" is there twice"));
        }
        if !self.admit_folders(path) {
            return Err(format!("the path \"{shown}\" lies in a file"));
        }
        self.octets = self.octets.saturating_add(octets);
        if self.has_room() {
            return Ok(());
        }
        Err(format!(
            "has more than {MOST_FILES} files, or {MOST_UNPACKED} octets of files"
        ))
    }

    /// Notes the folders of a path; false: one of them is a file.
    fn admit_folders(&mut self, path: &str) -> bool {
        for (at, _) in path.match_indices('/') {
            let folder = path.get(..at).unwrap_or_default();
            if self.files.contains(folder) {
                return false;
            }
            self.folders.insert(folder.to_owned());
        }
        true
    }

    fn has_room(&self) -> bool {
        self.files.len() <= MOST_FILES && self.octets <= MOST_UNPACKED
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, octets: &[u8]) -> ReleaseFile {
        ReleaseFile {
            path: path.to_owned(),
            octets: octets.to_vec(),
        }
    }

    fn read(archive: &[u8]) -> Result<Vec<ReleaseFile>, String> {
        let mut files = Vec::new();
        unpack(archive, |file| {
            files.push(file);
            Ok(())
        })?;
        Ok(files)
    }

    /// An archive with one entry that [`pack`] would not write.
    fn odd(path: &str, kind: tar::EntryType) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        let name = &mut header.as_old_mut().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(3);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, &b"abc"[..]).unwrap();
        zstd::stream::encode_all(&tar.into_inner().unwrap()[..], 1).unwrap()
    }

    #[test]
    fn paths_links_and_keys_are_refused() {
        for path in ["/etc/passwd", "../a", "a/../../b", "./a", "a//b", "a\nb"] {
            let sentence = read(&odd(path, tar::EntryType::Regular)).unwrap_err();
            assert!(
                sentence.contains("cannot be in a release"),
                "{path}: {sentence}"
            );
            assert!(pack(&[file(path, b"x")]).is_err(), "{path}");
        }
        for kind in [
            tar::EntryType::Symlink,
            tar::EntryType::Link,
            tar::EntryType::Fifo,
        ] {
            let sentence = read(&odd("a", kind)).unwrap_err();
            assert!(sentence.contains("no plain file"), "{sentence}");
        }
        let keys = [
            file("keys/Kexample.test.+013+00001.private", b"x"),
            file("tls.pem", b"-----BEGIN EC PRIVATE KEY-----"),
            file("k", b"Private-key-format: v1.3"),
        ];
        for key in keys {
            let sentence = pack(std::slice::from_ref(&key)).unwrap_err();
            assert!(sentence.contains("is a private key"), "{sentence}");
        }
        assert!(pack(&[file("a", b""), file("a", b"")]).is_err());
        assert!(pack(&[file("a", b""), file("a/b", b"")]).is_err());
    }

    #[test]
    fn what_expands_without_end_is_refused_before_it_is_kept() {
        let mut header = tar::Header::new_gnu();
        header.set_path("zones/a.zone").unwrap();
        header.set_size(MOST_UNPACKED + 1);
        header.set_cksum();
        let archive = zstd::stream::encode_all(&header.as_bytes()[..], 1).unwrap();
        let sentence = read(&archive).unwrap_err();
        assert!(
            sentence.contains("has more than 100000 files"),
            "{sentence}"
        );
        assert!(read(&[]).is_err());
        assert!(read(&zstd::stream::encode_all(&[0_u8; 1024][..], 1).unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn what_was_packed_is_read_again_and_a_cut_or_flipped_archive_loses_nothing_else(
            contents in prop::collection::btree_map("[a-z]{1,9}(/[a-z]{1,9}\\.zone)?", prop::collection::vec(any::<u8>(), 0..900), 1..9),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let mut files = Vec::new();
            for (path, octets) in &contents {
                files.push(file(path, octets));
            }
            let Ok(archive) = pack(&files) else {
                // A file that another path has as its folder.
                return Ok(());
            };
            prop_assert_eq!(pack(&files).unwrap(), archive.clone());
            prop_assert_eq!(read(&archive).unwrap(), files);
            let at = at.index(archive.len());
            let _ = read(&archive[..at]);
            let mut flipped = archive.clone();
            flipped[at] ^= 1 << bit;
            let _ = read(&flipped);
        }

        #[test]
        fn any_octets_are_refused_in_a_clause(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(read(&octets).is_err());
            let packed = zstd::stream::encode_all(&octets[..], 1).unwrap();
            let _ = read(&packed);
        }
    }
}
