//! Files that a command creates where none are: configurations, zones and tokens.
//!
//! A command writes all of its files or none of them, and never overwrites one that is there. A file with a secret is
//! readable by its owner alone from the moment it exists.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::rand::GetRandomFlags;

/// Octets of chance in a token.
const TOKEN_OCTETS: usize = 32;

/// A file that is to be written where none is.
pub struct NewFile {
    /// Where.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
    /// Nobody but its owner may read it.
    pub is_secret: bool,
}

impl NewFile {
    /// A file that everybody may read.
    pub fn public(path: PathBuf, text: String) -> NewFile {
        NewFile {
            path,
            text,
            is_secret: false,
        }
    }

    /// A file that nobody but its owner may read.
    pub fn secret(path: PathBuf, text: String) -> NewFile {
        NewFile {
            path,
            text,
            is_secret: true,
        }
    }

    /// Writes it, and its folder if there is none.
    ///
    /// # Errors
    /// It is there already, or cannot be written.
    pub fn create(&self) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mode = if self.is_secret { 0o600 } else { 0o666 };
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&self.path)?
            .write_all(self.text.as_bytes())
    }
}

/// Writes files where there are none, all or none of them.
///
/// # Errors
/// A sentence: one of them is there already, or cannot be written.
pub fn write_new(files: &[NewFile]) -> Result<(), String> {
    if let Some(file) = files
        .iter()
        .find(|file| file.path.symlink_metadata().is_ok())
    {
        let path = file.path.display();
        return Err(format!(
            "{path} is there already and is not overwritten; choose another folder"
        ));
    }
    let mut written: Vec<&Path> = Vec::new();
    for file in files {
        if let Err(error) = file.create() {
            written.iter().for_each(|path| drop(fs::remove_file(path)));
            return Err(format!(
                "{}: cannot be written: {error}",
                file.path.display()
            ));
        }
        written.push(&file.path);
    }
    Ok(())
}

/// Random octets as hexadecimal digits, and the end of the line.
///
/// # Errors
/// A sentence: the system has none to give.
pub fn new_token() -> Result<String, String> {
    let mut octets = [0; TOKEN_OCTETS];
    let taken = rustix::rand::getrandom(&mut octets, GetRandomFlags::empty());
    let taken =
        taken.map_err(|error| format!("the system has no random octets for a token: {error}"))?;
    if taken < octets.len() {
        return Err("the system has too few random octets for a token".to_owned());
    }
    let mut token: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    token.push('\n');
    Ok(token)
}
