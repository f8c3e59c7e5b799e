//! Where imported text comes from: the place of a statement, and the input files themselves.
//!
//! Every other file of the import builds on this one. A [`SourcePlace`] is a file and a line for
//! messages. An [`ImportSource`] also names the object, since one line may state several.

use std::fmt;
use std::path::Path;
use std::rc::Rc;

use crate::files::{self, FileKind};

/// A file and a line in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePlace {
    /// The path under which the file was opened.
    pub file: Rc<Path>,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for SourcePlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.file.display(), self.line)
    }
}

/// The input that a part of the output was made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImportSource {
    /// Where it is stated.
    pub place: SourcePlace,
    /// The name of the object, since one line may state several.
    pub name: String,
}

impl ImportSource {
    /// The object called `name` that is stated at `place`.
    pub fn new(place: &SourcePlace, name: impl Into<String>) -> ImportSource {
        ImportSource {
            place: place.clone(),
            name: name.into(),
        }
    }
}

/// Reads a whole input file, whose length is bounded.
///
/// # Errors
/// A sentence that begins with the path.
pub fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    match files::read(path, FileKind::Import) {
        Ok(content) => Ok(content.octets),
        Err(error) => Err(format!("{} {error}", path.display())),
    }
}
