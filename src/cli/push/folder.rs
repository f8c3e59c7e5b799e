//! Makes the archive of a folder: exactly the files that a server would read.
//!
//! The folder is loaded as a server loads a release, so one with mistakes makes no archive. What lies
//! elsewhere, such as a database with an absolute path, stays on the servers. Files that only their
//! owner may read are taken for secrets and refused, unless they are configuration or zones.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::control::{ConfigOrigin, LoadedState};
use crate::files::{self, FileKind};
use crate::fleet::release_archive::{ReleaseFile, pack};

/// An archive that was made.
pub struct PackedFolder {
    /// The archive.
    pub archive: Vec<u8>,
    /// How many files it has.
    pub files: usize,
    /// Likely mistakes, and files that stay where they are.
    pub warnings: Vec<String>,
}

/// Checks a folder and packs it.
///
/// # Errors
/// A sentence with every mistake.
pub fn pack_folder(folder: &Path) -> Result<PackedFolder, String> {
    let origin = ConfigOrigin::Pushed(folder.to_owned());
    let loaded = origin.load(None).map_err(|mistakes| {
        format!(
            "{}: this is no release:\n  {}",
            folder.display(),
            mistakes.join("\n  ")
        )
    })?;
    let mut warnings = loaded.warnings.clone();
    let mut files = Vec::new();
    for (path, kind) in files_of(&loaded) {
        let Ok(below) = path.strip_prefix(folder) else {
            let path = path.display();
            warnings.push(format!(
                "{path}: is not in the folder, so every server needs its own"
            ));
            continue;
        };
        refuse_secret(&loaded, &path)?;
        let content = files::read(&path, kind)
            .map_err(|error| format!("{}: the file {error}", path.display()))?;
        files.push(ReleaseFile {
            path: below.to_string_lossy().into_owned(),
            octets: content.octets,
        });
    }
    Ok(PackedFolder {
        archive: pack(&files)?,
        files: files.len(),
        warnings,
    })
}

/// Every file that a load has read, with its kind.
fn files_of(loaded: &LoadedState) -> BTreeMap<PathBuf, FileKind> {
    let mut found = BTreeMap::new();
    for file in &loaded.files {
        found.insert(file.path.clone(), FileKind::Zone);
    }
    for database in &loaded.config.geo.databases {
        found.insert(database.clone(), FileKind::Database);
    }
    let dnssec = loaded.config.dnssec.as_ref();
    if let Some(bundle) = dnssec.and_then(|dnssec| dnssec.bundle.clone()) {
        found.insert(bundle, FileKind::Zone);
    }
    // There is no own file: the text of one was empty.
    found.retain(|path, _| path.is_file());
    found
}

/// Refuses a file that its owner keeps from others.
fn refuse_secret(loaded: &LoadedState, path: &Path) -> Result<(), String> {
    let sources: BTreeSet<&Path> = loaded.sources.iter().map(|source| &*source.file).collect();
    let is_text = sources.contains(path) || path.starts_with(&loaded.config.zones_directory);
    let mode = path
        .metadata()
        .map_or(0o644, |data| data.permissions().mode());
    if is_text || mode & 0o077 != 0 {
        return Ok(());
    }
    Err(format!(
        "{}: only its owner may read it, so it is a secret, and secrets never leave their server; \
         state an absolute path of the servers",
        path.display()
    ))
}
