//! The mistakes and warnings of a configuration file, each with its place.
//!
//! A [`ConfigReport`] collects them while the file is read and resolved, and turns byte offsets
//! into lines and columns. Each mistake is one sentence. All of them are returned together, in the
//! order of the file, because an operator wants to correct them in one edit.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::files::{self, FileKind, FileRead, ReadError};
use crate::text::shown;

/// The most mistakes that one run reports. The rest is only counted.
const MOST_KEPT: usize = 1000;

/// One mistake or warning. Displays as `meridian.toml:14:9: sentence (did you mean "fra"?)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The configuration file, as it was named.
    pub file: PathBuf,
    /// From 1; 0 when the mistake is about the whole file.
    pub line: u32,
    /// In characters, from 1; 0 when the mistake is about the whole file.
    pub column: u32,
    /// What is wrong, as a sentence.
    pub sentence: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl ConfigError {
    /// A mistake that has no line, such as a file that cannot be read.
    pub fn whole_file(file: &Path, sentence: String) -> Self {
        ConfigError {
            file: file.to_owned(),
            line: 0,
            column: 0,
            sentence,
            hint: None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", shown(self.file.display()))?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}", shown(&self.sentence))?;
        match &self.hint {
            Some(hint) => write!(f, " (did you mean \"{}\"?)", shown(hint)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// What is wrong with a value, without its place in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ValueError {
    /// The whole sentence; absent: "expected this, found that".
    pub sentence: Option<String>,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl From<String> for ValueError {
    fn from(sentence: String) -> Self {
        ValueError {
            sentence: Some(sentence),
            hint: None,
        }
    }
}

impl ValueError {
    /// A sentence together with what was probably meant.
    pub fn with_hint(sentence: String, hint: Option<String>) -> Self {
        ValueError {
            sentence: Some(sentence),
            hint,
        }
    }
}

/// Collects mistakes and warnings, and turns byte offsets into lines and columns.
pub struct ConfigReport<'t> {
    file: &'t Path,
    text: &'t str,
    line_starts: Vec<usize>,
    errors: Vec<ConfigError>,
    warnings: Vec<ConfigError>,
    omitted: usize,
    /// The files that were read besides the configuration file.
    pub files: Vec<FileRead>,
}

impl<'t> ConfigReport<'t> {
    /// An empty report about this file.
    pub fn new(file: &'t Path, text: &'t str) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        ConfigReport {
            file,
            text,
            line_starts,
            errors: Vec::new(),
            warnings: Vec::new(),
            omitted: 0,
            files: Vec::new(),
        }
    }

    /// A mistake in the value or key that starts at this byte.
    pub fn error(&mut self, at: usize, refusal: impl Into<ValueError>) {
        if self.errors.len() < MOST_KEPT {
            let error = self.place(at, refusal.into());
            self.errors.push(error);
        } else {
            self.omitted += 1;
        }
    }

    /// A warning: this works, but is probably not intended.
    pub fn warning(&mut self, at: usize, sentence: String) {
        if self.warnings.len() < MOST_KEPT {
            let warning = self.place(at, sentence.into());
            self.warnings.push(warning);
        }
    }

    /// The candidate that `text` probably means. `None` once the report is full, because a search
    /// for each of very many mistakes would take too long.
    pub fn hint<'c>(
        &self,
        text: &str,
        candidates: impl IntoIterator<Item = &'c str>,
    ) -> Option<String> {
        const MOST_CANDIDATES: usize = 1000;
        if self.errors.len() >= MOST_KEPT {
            return None;
        }
        nearest(text, candidates.into_iter().take(MOST_CANDIDATES))
    }

    /// Reads a file that the configuration names, and records its version.
    ///
    /// # Errors
    /// A sentence without the path.
    pub fn read_file(&mut self, path: &Path, kind: FileKind) -> Result<Vec<u8>, String> {
        let content = files::read(path, kind).map_err(|error| format!("the file {error}"))?;
        self.files.push(content.read);
        Ok(content.octets)
    }

    /// Like `read_file`, for a file that only its owner may read.
    ///
    /// # Errors
    /// A sentence without the path; also if others may read the file.
    pub fn read_secret(
        &mut self,
        path: &Path,
        kind: FileKind,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let told = |error| match error {
            ReadError::OpenToOthers(mode) => {
                let path = path.display();
                format!(
                    "others may read the file (mode {mode:o}); `chmod 600 {path}` keeps it a secret"
                )
            }
            error => format!("the file {error}"),
        };
        let (octets, read) = files::read_secret(path, kind).map_err(told)?;
        self.files.push(read);
        Ok(octets)
    }

    /// The line of this byte, from 1.
    pub fn line(&self, at: usize) -> u32 {
        self.line_starts.partition_point(|&start| start <= at) as u32
    }

    /// The warnings, or the mistakes if there is one; in the order of the file.
    pub fn finish(mut self) -> Result<Vec<ConfigError>, Vec<ConfigError>> {
        let in_file_order = |error: &ConfigError| (error.line, error.column);
        if self.errors.is_empty() {
            self.warnings.sort_by_key(in_file_order);
            return Ok(self.warnings);
        }
        self.errors.sort_by_key(in_file_order);
        if self.omitted > 0 {
            let sentence = format!("and {} more mistakes", self.omitted);
            self.errors
                .push(ConfigError::whole_file(self.file, sentence));
        }
        Err(self.errors)
    }

    fn place(&self, at: usize, refusal: ValueError) -> ConfigError {
        let line = self.line(at);
        let start = self.line_starts[line as usize - 1];
        let column = self
            .text
            .get(start..at)
            .map_or(0, |before| before.chars().count()) as u32
            + 1;
        let sentence = refusal.sentence.unwrap_or_default();
        ConfigError {
            file: self.file.to_owned(),
            line,
            column,
            sentence,
            hint: refusal.hint,
        }
    }
}

/// The candidate that is most like `text`, if any is like it enough to be what was meant.
pub fn nearest<'c>(text: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    const LONGEST: usize = 64;
    if text.len() > LONGEST {
        return None;
    }
    let text = text.to_lowercase();
    let most_edits = (text.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::osa_distance(&text, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|&(edits, _)| edits <= most_edits)
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate.to_owned())
}
