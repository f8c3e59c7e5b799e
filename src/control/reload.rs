//! What is being served, and how it is replaced.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::load::{AtlasCache, FilePrint, Loaded, load};
use crate::config::Config;
use crate::server::Published;

/// The running state and the file that it comes from.
pub struct Control {
    file: PathBuf,
    published: Arc<Published>,
    current: Mutex<Current>,
}

struct Current {
    config: Config,
    atlas: AtlasCache,
    databases: Vec<Option<FilePrint>>,
}

/// A reload that was refused: every mistake, a line each. What was served before is served still.
#[derive(Debug)]
pub struct Refused(pub Vec<String>);

impl Control {
    /// Takes charge of what was loaded first.
    pub fn new(file: &Path, loaded: Loaded) -> Control {
        let Loaded { config, snapshot, atlas, .. } = loaded;
        let databases = prints(&config);
        Control {
            file: file.to_owned(),
            published: Arc::new(Published::from_pointee(snapshot)),
            current: Mutex::new(Current { config, atlas, databases }),
        }
    }

    /// What the workers answer from.
    pub fn published(&self) -> Arc<Published> {
        self.published.clone()
    }

    /// Reads everything anew and swaps it in; returns the warnings. One reload at a time.
    pub fn reload(&self) -> Result<Vec<String>, Refused> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before reading: a file that changes meanwhile is read again.
        let databases = prints(&current.config);
        let loaded = load(&self.file, Some(&current.atlas)).map_err(Refused)?;
        let mut warnings = loaded.warnings;
        if loaded.config.server.listen != current.config.server.listen
            || loaded.config.server.workers != current.config.server.workers
        {
            warnings.push(format!("{}: new listen addresses and workers need a restart", self.file.display()));
        }
        let same_databases = loaded.config.geo.databases == current.config.geo.databases;
        current.databases = if same_databases { databases } else { prints(&loaded.config) };
        current.config = loaded.config;
        current.atlas = loaded.atlas;
        self.published.store(Arc::new(loaded.snapshot));
        Ok(warnings)
    }

    /// Whether a database file is another than the one that was read, and whole enough to be looked at.
    pub fn databases_changed(&self) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = prints(&current.config);
        now.iter().all(Option::is_some) && now != current.databases
    }

    /// Notes the database files as they are, so that a refused one is not read again until it changes again.
    pub fn note_databases(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.databases = prints(&current.config);
    }
}

fn prints(config: &Config) -> Vec<Option<FilePrint>> {
    config.geo.databases.iter().map(|path| FilePrint::of(path)).collect()
}
