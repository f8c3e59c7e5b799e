//! The demo's own folder: the token and what the server keeps; gone when the demo is.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use crate::new_files::{NewFile, new_token};

/// A folder that nobody else may read, removed in the end.
pub struct DemoFolder(PathBuf);

impl DemoFolder {
    /// Makes it, with a token in the file `token`.
    ///
    /// # Errors
    /// A sentence that names the place.
    pub fn make() -> Result<DemoFolder, String> {
        let path = std::env::temp_dir().join(format!("meridian-demo-{:016x}", any_number()));
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

/// The standard hasher's key is random for each process, and another for each hasher.
fn any_number() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
