//! What a load of signed zones is for, and what every load needs: the time, and a folder.
//!
//! The times of keys and signatures are those of the wall clock, because resolvers go by it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The purpose of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadPurpose {
    /// The result answers queries: missing keys are made, and zones are signed.
    Serve,
    /// The result is looked at.
    Inspect,
    /// The result is not served: its signatures become a bundle.
    Sign,
}

impl LoadPurpose {
    /// Whether missing keys are made, and zones are signed.
    pub(super) fn signs(self) -> bool {
        self != LoadPurpose::Inspect
    }
}

/// Seconds since 1970, by the wall clock, as the times of keys and signatures are counted.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Makes a folder for its owner alone, if it is missing.
pub(super) fn make_folder(folder: &Path) -> Result<(), String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| format!("{}: cannot be made: {error}", folder.display()))
}
