//! The files of a key, as BIND's tools name and write them: `Kexample.com.+013+60646.key` with the
//! DNSKEY record, and `.private` beside it with the private half.
//!
//! ldns, Knot and PowerDNS read and write them too. A key is believed only if everything agrees: the
//! file name, both halves, and the rights of the private file. A `.key` file alone is a key that is
//! published and does not sign here, such as that of another signer of the zone.
//!
//! Files are never overwritten, and the private one belongs to its owner alone from the start.

mod private_text;
mod public_text;
mod times;

use std::fs::File;
use std::path::{Path, PathBuf};

use zeroize::Zeroize;

pub use times::{KeyTimes, parse_time, time_for_people, time_text};

use super::{KeyPair, ZoneKey};
use crate::disk;
use crate::dns::Name;
use crate::files::{self, FileKind, FileRead, ReadError};
use crate::new_files::{self, NewFile};

/// A key with its times, as its files hold it.
#[derive(Debug, Clone)]
pub struct KeyFile {
    /// The public half.
    pub public: ZoneKey,
    /// Both halves; `None` for a key that is only published. To be dropped when a
    /// [`SigningKey`](super::SigningKey) was made from it.
    pub pair: Option<KeyPair>,
    /// When it is published and signs.
    pub times: KeyTimes,
    /// The TTL of the DNSKEY record in seconds, if the file states one.
    pub ttl: Option<u32>,
}

impl KeyFile {
    /// A new key that is to be written.
    pub fn new(pair: KeyPair, times: KeyTimes) -> KeyFile {
        KeyFile {
            public: pair.public().clone(),
            pair: Some(pair),
            times,
            ttl: None,
        }
    }

    /// Reads the files of a key: `path` is either of them, or what they have in common. Also returns
    /// the versions of the files, by which a change is noticed.
    ///
    /// # Errors
    /// A sentence that begins with the path and the line: a file cannot be read, is no key's, or
    /// does not agree with the other one or its own name; or others may read the private key.
    pub fn read(path: &Path) -> Result<(KeyFile, Vec<FileRead>), String> {
        let stem = stem(path);
        let (key_path, private_path) = (with_end(&stem, "key"), with_end(&stem, "private"));
        let content = files::read(&key_path, FileKind::Key)
            .map_err(|error| public_error(&key_path, &private_path, &error))?;
        let public = public_text::parse(&String::from_utf8_lossy(&content.octets))
            .map_err(|mistake| at_line(&key_path, mistake))?;
        check_name(&stem, &key_path, &public.public)?;
        let mut key = KeyFile {
            public: public.public,
            pair: None,
            times: public.times,
            ttl: public.ttl,
        };
        let mut read = vec![content.read];
        match files::read_secret(&private_path, FileKind::Key) {
            Ok((octets, file)) => {
                key.add_private(&octets, &private_path)?;
                read.push(file);
            }
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(private_error(&private_path, &error)),
        }
        Ok((key, read))
    }

    /// The text of the `.key` file.
    pub fn public_text(&self) -> String {
        public_text::text(&self.public, self.ttl, &self.times)
    }

    /// A key without its private half, from the text of a `.key` file.
    ///
    /// # Errors
    /// A sentence without subject: `is no key: ...`.
    pub fn from_public_text(text: &str) -> Result<KeyFile, String> {
        let public = public_text::parse(text)
            .map_err(|(line, sentence)| format!("is no key: line {line}: {sentence}"))?;
        Ok(KeyFile {
            public: public.public,
            pair: None,
            times: public.times,
            ttl: public.ttl,
        })
    }

    /// Takes in the text of the `.private` file.
    ///
    /// # Errors
    /// A sentence that begins with the path: it is no private key, or that of another public one.
    pub(crate) fn add_private(&mut self, octets: &[u8], path: &Path) -> Result<(), String> {
        let text =
            std::str::from_utf8(octets).map_err(|_| format!("{}: is no text", path.display()))?;
        let private =
            private_text::parse(text, &self.public).map_err(|mistake| at_line(path, mistake))?;
        let pair = KeyPair::new(self.public.clone(), private.private)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        self.times = private.times;
        self.pair = Some(pair);
        Ok(())
    }

    /// Writes the files into a folder, which is made if it is missing, and syncs them to the disk.
    /// The private file has mode 600. Returns the path of the `.key` file.
    ///
    /// # Errors
    /// A sentence: a file is there already, or cannot be written. Then neither is left behind.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, String> {
        let stem = folder.join(file_stem(&self.public));
        let key_path = with_end(&stem, "key");
        let mut new = vec![NewFile::public(key_path.clone(), self.public_text())];
        if let Some(pair) = &self.pair {
            let mut text = private_text::text(pair, &self.times);
            let path = with_end(&stem, "private");
            new.insert(0, NewFile::secret(path, std::mem::take(&mut text)));
        }
        let written = new_files::write_new(&new).and_then(|()| sync(&new, folder));
        for file in &mut new {
            file.text.zeroize();
        }
        written.map(|()| key_path)
    }

    /// Replaces the files of a key in a folder, because its times have changed. Files that are not
    /// there are not made.
    ///
    /// # Errors
    /// A sentence: a file cannot be written. Each file is the old or the new one.
    pub fn rewrite(&self, folder: &Path) -> Result<(), String> {
        let stem = folder.join(file_stem(&self.public));
        if let Some(pair) = &self.pair {
            let text = private_text::text(pair, &self.times);
            replace(&with_end(&stem, "private"), text.as_bytes(), 0o600)?;
        }
        let text = public_text::text(&self.public, self.ttl, &self.times);
        replace(&with_end(&stem, "key"), text.as_bytes(), 0o644)
    }
}

fn replace(path: &Path, octets: &[u8], mode: u32) -> Result<(), String> {
    disk::replace(path, octets, mode)
        .map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}

/// Writes new files to the disk: a key that is lost in a crash after the parent has its DS record
/// would take the zone away.
fn sync(written: &[NewFile], folder: &Path) -> Result<(), String> {
    let paths = written.iter().map(|file| file.path.as_path());
    for path in paths.chain([folder]) {
        let synced = File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    }
    Ok(())
}

/// The name of a key's files without their ends: `Kexample.com.+013+60646`. As BIND does it, octets
/// other than letters, digits, `-` and `_` are written as `%2A`.
pub fn file_stem(key: &ZoneKey) -> String {
    format!(
        "K{}+{:03}+{:05}",
        zone_text(key.zone()),
        key.algorithm().number(),
        key.tag()
    )
}

/// A zone's name in the name of a file.
pub(super) fn zone_text(zone: &Name) -> String {
    if zone.is_root() {
        return ".".to_owned();
    }
    let mut text = String::new();
    for label in zone.labels() {
        for octet in label {
            match octet {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                    text.push(char::from(octet.to_ascii_lowercase()));
                }
                _ => text.push_str(&format!("%{octet:02X}")),
            }
        }
        text.push('.');
    }
    text
}

/// The path without the end that tells both files apart. A zone's name has dots itself.
fn stem(path: &Path) -> PathBuf {
    match path.extension().and_then(|end| end.to_str()) {
        Some("key" | "private") => path.with_extension(""),
        _ => path.to_owned(),
    }
}

fn with_end(stem: &Path, end: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(".");
    path.push(end);
    path.into()
}

/// Checks that a file has the name of its key.
fn check_name(stem: &Path, path: &Path, key: &ZoneKey) -> Result<(), String> {
    let expected = file_stem(key);
    let name = stem.file_name().and_then(|name| name.to_str());
    if name.is_some_and(|name| name.eq_ignore_ascii_case(&expected)) {
        return Ok(());
    }
    Err(format!(
        "{}: holds the key {} of {}; such a file is named {expected}.key",
        path.display(),
        key.tag(),
        key.zone()
    ))
}

fn at_line(path: &Path, (line, sentence): private_text::LineMistake) -> String {
    format!("{}:{line}: {sentence}", path.display())
}

fn public_error(path: &Path, private: &Path, error: &ReadError) -> String {
    let (path, missing) = (path.display(), error.is_missing());
    if missing && private.exists() {
        let private = private.display();
        return format!("{path}: is missing; {private} needs the DNSKEY record beside it");
    }
    format!("{path}: {error}")
}

fn private_error(path: &Path, error: &ReadError) -> String {
    let path = path.display();
    match error {
        ReadError::OpenToOthers(mode) => format!(
            "{path}: may be read by others (mode {mode:o}); take that away: chmod 600 {path}"
        ),
        _ => format!("{path}: {error}"),
    }
}

#[cfg(test)]
mod tests;
