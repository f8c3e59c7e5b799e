//! The mistakes and warnings of a configuration, each with its place.
//!
//! A [`ConfigReport`] collects them while the files are read and resolved, and turns offsets into
//! files, lines and columns. Each mistake is one sentence. All of them are returned together, in the
//! order of the file, because an operator wants to correct them in one edit.

use std::fmt;
use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// A configuration file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The file, as it was named.
    pub file: Arc<Path>,
    /// The text of the file.
    pub text: Arc<str>,
}

/// A line of a configuration file. Displays as `meridian.toml:14`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// The file, as it was named.
    pub file: Arc<Path>,
    /// From 1.
    pub line: u32,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", shown(self.file.display()), self.line)
    }
}

impl SourceLine {
    /// No line of any file.
    pub fn none() -> Self {
        SourceLine {
            file: Path::new("").into(),
            line: 0,
        }
    }

    /// How a sentence about `here` names this line: `line 14`, or `line 14 of shop.toml` if that is
    /// another file.
    pub fn seen_from(&self, here: &SourceLine) -> String {
        if self.file == here.file {
            format!("line {}", self.line)
        } else {
            format!("line {} of {}", self.line, shown(self.file.display()))
        }
    }
}

/// A file of the report, and the offsets that its octets have there.
struct ReportedFile {
    source: SourceFile,
    /// The offset of the first octet. The octet after the last one belongs to the file, too.
    base: usize,
    /// Octets of the file at which a line starts.
    line_starts: Vec<usize>,
}

/// Collects mistakes and warnings, and turns offsets into files, lines and columns.
///
/// Offsets count the octets of all files, in the order in which they were added.
#[derive(Default)]
pub struct ConfigReport {
    sources: Vec<ReportedFile>,
    errors: Vec<PlacedError>,
    warnings: Vec<PlacedError>,
    omitted: usize,
    /// The files that were read besides the main configuration file.
    pub files: Vec<FileRead>,
}

/// A mistake with its offset, by which the report is sorted.
struct PlacedError {
    at: usize,
    error: ConfigError,
}

impl ConfigReport {
    /// An empty report.
    pub fn new() -> Self {
        ConfigReport::default()
    }

    /// Adds a file. Returns the offset of its first octet.
    pub fn add_source(&mut self, source: SourceFile) -> usize {
        let base = self
            .sources
            .last()
            .map_or(0, |last| last.base + last.source.text.len() + 1);
        let ends = source.text.match_indices('\n');
        let line_starts = std::iter::once(0)
            .chain(ends.map(|(at, _)| at + 1))
            .collect();
        self.sources.push(ReportedFile {
            source,
            base,
            line_starts,
        });
        base
    }

    /// The files, in the order in which they were added.
    pub fn sources(&self) -> Vec<SourceFile> {
        let files = self.sources.iter();
        files.map(|file| file.source.clone()).collect()
    }

    /// A mistake in the value or key that starts at this byte.
    pub fn error(&mut self, at: usize, refusal: impl Into<ValueError>) {
        if self.errors.len() < MOST_KEPT {
            let error = self.place(at, refusal.into());
            self.errors.push(PlacedError { at, error });
        } else {
            self.omitted += 1;
        }
    }

    /// A warning: this works, but is probably not intended.
    pub fn warning(&mut self, at: usize, sentence: String) {
        if self.warnings.len() < MOST_KEPT {
            let error = self.place(at, sentence.into());
            self.warnings.push(PlacedError { at, error });
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
        match files::read_secret(path, kind) {
            Ok((octets, read)) => {
                self.files.push(read);
                Ok(octets)
            }
            Err(ReadError::OpenToOthers(mode)) => Err(format!(
                "others may read the file (mode {mode:o}); `chmod 600 {}` keeps it a secret",
                path.display()
            )),
            Err(error) => Err(format!("the file {error}")),
        }
    }

    /// The line of this offset.
    pub fn line(&self, at: usize) -> SourceLine {
        let source = self.source_of(at);
        source.map_or_else(SourceLine::none, |source| SourceLine {
            file: source.source.file.clone(),
            line: source.line(at),
        })
    }

    /// The folder of the file that contains this offset. Relative paths in the file start there.
    pub fn folder(&self, at: usize) -> PathBuf {
        let file = self.source_of(at).map(|source| &source.source.file);
        let folder = file.and_then(|file| file.parent());
        folder.unwrap_or(Path::new("")).to_owned()
    }

    /// The warnings, or the mistakes if there is one; in the order of the files.
    pub fn finish(mut self) -> Result<Vec<ConfigError>, Vec<ConfigError>> {
        if self.errors.is_empty() {
            return Ok(in_file_order(self.warnings));
        }
        let main = self.sources.first().map(|main| main.source.file.clone());
        let mut errors = in_file_order(take(&mut self.errors));
        if self.omitted > 0 {
            let sentence = format!("and {} more mistakes", self.omitted);
            let main = main.unwrap_or(Path::new("").into());
            errors.push(ConfigError::whole_file(&main, sentence));
        }
        Err(errors)
    }

    fn source_of(&self, at: usize) -> Option<&ReportedFile> {
        let after = self.sources.partition_point(|source| source.base <= at);
        self.sources.get(after.checked_sub(1)?)
    }

    fn place(&self, at: usize, refusal: ValueError) -> ConfigError {
        let line = self.line(at);
        let column = self.source_of(at).map_or(0, |source| source.column(at));
        ConfigError {
            file: line.file.to_path_buf(),
            line: line.line,
            column,
            sentence: refusal.sentence.unwrap_or_default(),
            hint: refusal.hint,
        }
    }
}

impl ReportedFile {
    /// The line of an offset in this file, from 1.
    fn line(&self, at: usize) -> u32 {
        let octet = at - self.base;
        self.line_starts.partition_point(|&start| start <= octet) as u32
    }

    /// The column of an offset in this file, in characters, from 1.
    fn column(&self, at: usize) -> u32 {
        let start = self.line_starts[self.line(at) as usize - 1];
        let before = self.source.text.get(start..at - self.base);
        before.map_or(0, |before| before.chars().count()) as u32 + 1
    }
}

/// Sorts by file, line and column.
fn in_file_order(mut errors: Vec<PlacedError>) -> Vec<ConfigError> {
    errors.sort_by_key(|placed| placed.at);
    errors.into_iter().map(|placed| placed.error).collect()
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
