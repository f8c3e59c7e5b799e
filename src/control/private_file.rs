//! Reads files that hold secrets.
//!
//! A secret file is refused if other users can read it, if it is not a regular file or if it is too
//! large. The admin token and the cookie secrets are read in this way.

use std::path::Path;

use zeroize::Zeroizing;

use crate::files::{self, FileKind, ReadError};
use crate::text::shown;

/// The fewest octets of a token. Sixteen random characters cannot be guessed.
const LEAST: usize = 16;

/// The words for errors about a kind of secret file.
#[derive(Debug, Clone, Copy)]
pub struct FileMessages {
    /// The name of its content: `the token`.
    pub content: &'static str,
    /// The name of the file: `the token file`.
    pub file: &'static str,
    /// The effect of the right mode: `keeps it a secret`.
    pub kept: &'static str,
}

/// Why such a file was not read: a sentence with the file.
#[derive(Debug, Clone)]
pub struct PrivateFileError {
    sentence: String,
    may_pass: bool,
}

impl PrivateFileError {
    /// Its content is not valid.
    pub fn unfit(sentence: String) -> PrivateFileError {
        PrivateFileError {
            sentence,
            may_pass: false,
        }
    }

    /// Whether this says nothing about the file ([`ReadError::may_pass`]).
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }
}

impl std::fmt::Display for PrivateFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<PrivateFileError> for String {
    fn from(error: PrivateFileError) -> String {
        error.sentence
    }
}

/// The text of a regular file that only its owner may read. The text is wiped when it is dropped.
///
/// # Errors
/// A sentence with the file: it cannot be read, is not a regular file, is too large, or others may
/// read it.
pub fn read(
    path: &Path,
    kind: FileKind,
    words: FileMessages,
) -> Result<Zeroizing<String>, PrivateFileError> {
    let (
        name,
        FileMessages {
            content,
            file: what,
            kept,
        },
    ) = (shown(path.display()), words);
    let (mut octets, _) = files::read_secret(path, kind).map_err(|error| {
        let may_pass = error.may_pass();
        let sentence = match error {
            ReadError::Refused(error) => format!("{name}: cannot read {content}: {error}"),
            ReadError::OpenToOthers(mode) => format!(
                "{name}: others may read {content} (mode {mode:o}); `chmod 600 {name}` {kept}"
            ),
            error => format!("{name}: {what} {error}"),
        };
        PrivateFileError { sentence, may_pass }
    })?;
    // The octets are moved, because a copy would not be wiped.
    let text = String::from_utf8(std::mem::take(&mut *octets)).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        PrivateFileError::unfit(format!("{name}: {what} is not UTF-8 text"))
    });
    text.map(Zeroizing::new)
}

/// Reads a token file: one token, without the white space around it. The token is wiped when it is
/// dropped.
///
/// # Errors
/// A sentence: the file cannot be read, others may read it, or the token is too short.
pub fn read_token(path: &Path) -> Result<Zeroizing<String>, PrivateFileError> {
    let name = path.display();
    let words = FileMessages {
        content: "the token",
        file: "the token file",
        kept: "keeps it a secret",
    };
    let text = read(path, FileKind::Secret, words)?;
    let token = text.trim();
    if token.contains(char::is_whitespace) || !token.is_ascii() {
        let sentence =
            format!("{name}: the file must hold one token of ASCII characters without blanks");
        return Err(PrivateFileError::unfit(sentence));
    }
    if token.len() < LEAST {
        let sentence = format!(
            "{name}: the token is shorter than {LEAST} characters; `openssl rand -hex 32` makes one"
        );
        return Err(PrivateFileError::unfit(sentence));
    }
    Ok(Zeroizing::new(token.to_owned()))
}
