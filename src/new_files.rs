//! Files that commands create: configurations, zones and tokens.
//!
//! A command writes all of its files or none of them, and never overwrites an existing one. A file
//! with a secret is readable only by its owner from the moment it exists.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::rand::GetRandomFlags;

use crate::disk;

/// Random octets in a token.
const TOKEN_OCTETS: usize = 32;

/// A file to create.
pub struct NewFile {
    /// Its path.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
    /// Only its owner may read it.
    pub is_secret: bool,
}

impl NewFile {
    /// A file that every user may read.
    pub fn public(path: PathBuf, text: String) -> NewFile {
        NewFile {
            path,
            text,
            is_secret: false,
        }
    }

    /// A file that only its owner may read.
    pub fn secret(path: PathBuf, text: String) -> NewFile {
        NewFile {
            path,
            text,
            is_secret: true,
        }
    }

    /// Creates the file, and its folder if there is none.
    ///
    /// # Errors
    /// The file exists already, or cannot be written.
    pub fn create(&self) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mode = if self.is_secret { 0o600 } else { 0o666 };
        disk::create_new(&self.path, mode)?.write_all(self.text.as_bytes())
    }
}

/// Creates all of these files, or none of them.
///
/// # Errors
/// A sentence: one of the files exists already, or cannot be written.
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
            for path in written {
                // The error that is returned matters more.
                let _ = fs::remove_file(path);
            }
            return Err(format!(
                "{}: cannot be written: {error}",
                file.path.display()
            ));
        }
        written.push(&file.path);
    }
    Ok(())
}

/// A token: random octets as hexadecimal digits, with a line end.
///
/// # Errors
/// A sentence: the system has no random octets.
pub fn new_token() -> Result<String, String> {
    let mut octets = [0; TOKEN_OCTETS];
    let taken = rustix::rand::getrandom(&mut octets, GetRandomFlags::empty());
    let taken =
        taken.map_err(|error| format!("the system has no random octets for a token: {error}"))?;
    if taken < octets.len() {
        return Err("the system has too few random octets for a token".to_owned());
    }
    let mut token = String::new();
    for octet in octets {
        token.push_str(&format!("{octet:02x}"));
    }
    token.push('\n');
    Ok(token)
}
