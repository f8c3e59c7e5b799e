//! Zones from files: one file, or every `*.zone` of a folder, with all mistakes of all of them at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::check;
use super::error::{Report, ZoneError};
use super::read::{Reader, read_file};
use super::{Loaded, Zone};
use crate::dns::Name;

/// Loads every `*.zone` file right in `folder`, in the order of their names.
///
/// Relative names start from the file's name without `.zone`, unless the file states `$ORIGIN`; files included
/// are looked up from `folder` and must lie inside. The errors are all mistakes of all files, at most
/// [`MAX_REPORTED`](super::error::MAX_REPORTED) of them, in the order of files, lines and columns.
pub fn load_directory(folder: &Path) -> Result<Loaded, Vec<ZoneError>> {
    let files = zone_files(folder).map_err(|error| vec![error])?;
    let mut loading = Loading::default();
    for file in files {
        match read_file(&file) {
            Ok(text) => loading.zone(&file, &text, origin_from(&file).as_ref(), Some(folder)),
            Err(reason) => loading.report.errors.push(ZoneError::whole(&file, reason)),
        }
    }
    loading.finish(folder)
}

/// Loads one zone from text: `file_label` names it in sentences, `default_origin` completes relative names before
/// the first `$ORIGIN`, and only files inside `folder` can be included, none without it.
pub fn load_text(
    file_label: &Path,
    text: &[u8],
    default_origin: Option<&Name>,
    folder: Option<&Path>,
) -> Result<Loaded, Vec<ZoneError>> {
    let mut loading = Loading::default();
    loading.zone(file_label, text, default_origin, folder);
    loading.finish(file_label)
}

/// What is loaded so far.
#[derive(Default)]
struct Loading {
    zones: Vec<Zone>,
    missing_addresses: Vec<(Name, ZoneError)>,
    report: Report,
    stated_in: HashMap<Name, PathBuf>,
}

impl Loading {
    fn zone(&mut self, file: &Path, text: &[u8], default_origin: Option<&Name>, folder: Option<&Path>) {
        let mut reader = Reader::new(file, default_origin, folder, &mut self.report);
        reader.read(0, text);
        let Some(checked) = check::zone(reader.finish(), default_origin, &mut self.report) else { return };
        self.missing_addresses.extend(checked.missing_addresses);
        let zone = checked.zone;
        if let Some(other) = self.stated_in.insert(zone.origin.clone(), file.to_owned()) {
            let sentence = format!("the zone {} is also stated by {}; keep one", zone.origin, other.display());
            self.report.errors.push(ZoneError::whole(file, sentence));
        }
        self.zones.push(zone);
    }

    fn finish(self, whole: &Path) -> Result<Loaded, Vec<ZoneError>> {
        if !self.report.errors.is_empty() {
            return Err(self.report.errors.into_sorted(whole));
        }
        let warnings = self.report.warnings.into_sorted(whole);
        Ok(Loaded { zones: self.zones, warnings, missing_addresses: self.missing_addresses })
    }
}

/// The zone files of a folder, sorted.
fn zone_files(folder: &Path) -> Result<Vec<PathBuf>, ZoneError> {
    let unreadable = |error| ZoneError::whole(folder, format!("the zones folder cannot be read: {error}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "zone") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// `example.com.zone` is the file of `example.com`.
fn origin_from(file: &Path) -> Option<Name> {
    file.file_stem()?.to_str()?.parse().ok()
}
