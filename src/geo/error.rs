//! The error for geodata that cannot be used: the file and the reason.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::text::shown;

/// Geodata that cannot be used: which file, what is wrong, what to do. It is boxed to stay small,
/// because loops over millions of networks return it in their results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeoError(Box<(PathBuf, String)>);

impl GeoError {
    /// The file `path` cannot be used for this `reason`: a sentence in lower case.
    pub fn new(path: &Path, reason: impl fmt::Display) -> Self {
        GeoError(Box::new((path.to_owned(), reason.to_string())))
    }

    /// The file that is wrong.
    pub fn path(&self) -> &Path {
        &self.0.0
    }

    /// What is wrong with it.
    pub fn reason(&self) -> &str {
        &self.0.1
    }
}

impl fmt::Display for GeoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            shown(self.path().display()),
            shown(self.reason())
        )
    }
}

impl std::error::Error for GeoError {}
