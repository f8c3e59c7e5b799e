//! Mistakes in zone files, and the bounded list that collects them.
//!
//! Every mistake names its file, line and column. A list keeps the first [`MAX_REPORTED`] and
//! counts the rest, so a file full of mistakes cannot fill the memory or the screen. Errors refuse
//! a load; warnings do not.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::text::shown;

/// The most errors, and the most warnings, that one load keeps; further ones are only counted.
pub const MAX_REPORTED: usize = 100;

/// One mistake or warning: where it is, and a sentence that says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneError {
    /// The file, as the operator would name it.
    pub file: PathBuf,
    /// Line from 1; 0 when the file or folder as a whole is meant.
    pub line: u32,
    /// Column in octets from 1; 0 when the file or folder as a whole is meant.
    pub column: u32,
    /// Lower case, cause first, no full stop.
    pub sentence: String,
}

impl ZoneError {
    /// A mistake of a whole file or folder.
    pub fn whole(file: &Path, sentence: impl Into<String>) -> Self {
        ZoneError {
            file: file.to_owned(),
            line: 0,
            column: 0,
            sentence: sentence.into(),
        }
    }
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, sentence) = (shown(self.file.display()), shown(&self.sentence));
        match self.line {
            0 => write!(f, "{file}: {sentence}"),
            line => write!(f, "{file}:{line}:{}: {sentence}", self.column),
        }
    }
}

impl std::error::Error for ZoneError {}

/// A list that keeps its first [`MAX_REPORTED`] entries and counts the rest.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<ZoneError>,
    more: usize,
}

impl Findings {
    /// Adds the findings of another list behind those of this one.
    fn append(&mut self, other: Findings) {
        for finding in other.kept {
            self.push(finding);
        }
        self.more += other.more;
    }

    /// Keeps the finding, or counts it if the list is full.
    pub fn push(&mut self, finding: ZoneError) {
        if self.kept.len() < MAX_REPORTED {
            self.kept.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The findings by file, line and column; one more at the end states how many were left out.
    pub fn into_sorted(self, whole: &Path) -> Vec<ZoneError> {
        let mut kept = self.kept;
        kept.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        if self.more > 0 {
            kept.push(ZoneError::whole(
                whole,
                format!("and {} more like these, left out here", self.more),
            ));
        }
        kept
    }
}

/// The findings of a load: errors refuse it, warnings do not.
#[derive(Debug, Default)]
pub(super) struct ZoneReport {
    pub errors: Findings,
    pub warnings: Findings,
}

impl ZoneReport {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.warnings.is_empty()
    }

    /// Adds what was found in another file.
    pub fn append(&mut self, other: ZoneReport) {
        self.errors.append(other.errors);
        self.warnings.append(other.warnings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_says_what_it_left_out() {
        let mut findings = Findings::default();
        for line in (1..=MAX_REPORTED as u32 + 7).rev() {
            findings.push(ZoneError {
                file: "a.zone".into(),
                line,
                column: 3,
                sentence: "no".into(),
            });
        }
        let listed = findings.into_sorted(Path::new("zones"));
        assert_eq!(listed.len(), MAX_REPORTED + 1);
        assert_eq!(listed[0].to_string(), "a.zone:8:3: no");
        assert_eq!(
            listed[MAX_REPORTED].to_string(),
            "zones: and 7 more like these, left out here"
        );
    }
}
