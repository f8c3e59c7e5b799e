//! The temporary folder of the demo, with the admin token and the state directory.
//!
//! Only its owner can read it, and it is removed when the demo ends.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use crate::new_files::{NewFile, new_token};

/// A private folder that is removed when this is dropped.
pub struct DemoFolder(PathBuf);

impl DemoFolder {
    /// Creates the folder, with a token in the file `token`.
    ///
    /// # Errors
    /// A sentence that names the path.
    pub fn make() -> Result<DemoFolder, String> {
        let path = std::env::temp_dir().join(format!("meridian-demo-{:016x}", random_number()));
        let refusal =
            |error: std::io::Error| format!("{}: cannot be made: {error}", path.display());
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(refusal)?;
        let folder = DemoFolder(path.clone());
        NewFile::secret(path.join("token"), new_token()?)
            .create()
            .map_err(refusal)?;
        Ok(folder)
    }

    /// Its path.
    pub fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A random number: the standard hasher has a new random key each time.
fn random_number() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
