//! Checks the converted files before they are written.
//!
//! The check is that of `meridian check`, run on the text in memory. Each mistake is traced by its
//! line to the object that the line was made from.

use std::path::Path;
use std::sync::Arc;

use super::files::ImportedFiles;
use super::notes::ImportNotes;
use super::source::ImportSource;
use super::zones::ImportedZone;
use crate::catalog::{Catalog, CatalogError};
use crate::config;
use crate::geo::Atlas;
use crate::zone;

/// The name of the configuration in messages while it is not a file yet.
const CONFIG: &str = "meridian.toml";

/// Marks every object that `meridian check` would refuse. Returns whether one is new, so that the
/// conversion has to run again without it.
///
/// # Errors
/// A sentence for each mistake that cannot be traced to an object.
pub fn refuse_mistakes(
    imported: &ImportedFiles,
    notes: &mut ImportNotes,
) -> Result<bool, Vec<String>> {
    let mut mistakes = Mistakes {
        notes,
        is_any_new: false,
        untraced: Vec::new(),
    };
    let mut zones = Vec::new();
    for zone in &imported.zones {
        match zone::load_text(
            Path::new(&zone.file_name()),
            zone.draft.text().as_bytes(),
            None,
            None,
        ) {
            Ok(loaded) => zones.extend(loaded.zones),
            Err(errors) => mistakes.of_zone(zone, errors),
        }
    }
    match config::parse(imported.configuration.text(), Path::new(CONFIG)) {
        // What does not fit the zones is looked for when the zones are good.
        Ok(_) if mistakes.is_any() => {}
        Ok(loaded) => {
            let found = Catalog::compile(&loaded.config, &zones, Arc::new(Atlas::empty()));
            if let Err(CatalogError::Services(found)) = found {
                for mistake in found {
                    mistakes.of_configuration(imported, mistake.stated.line, mistake.sentence);
                }
            }
        }
        Err(errors) => {
            for error in errors {
                mistakes.of_configuration(imported, error.line, error.sentence);
            }
        }
    }
    if mistakes.is_any_new || mistakes.untraced.is_empty() {
        Ok(mistakes.is_any_new)
    } else {
        Err(mistakes.untraced)
    }
}

/// The mistakes that one check finds.
struct Mistakes<'n> {
    notes: &'n mut ImportNotes,
    is_any_new: bool,
    /// Sentences of mistakes that no object is the source of.
    untraced: Vec<String>,
}

impl Mistakes<'_> {
    fn is_any(&self) -> bool {
        self.is_any_new || !self.untraced.is_empty()
    }

    /// Mistakes of the whole file (line 0) may follow from those of its lines, so they count only
    /// where no line has one.
    fn of_zone(&mut self, zone: &ImportedZone, errors: Vec<zone::ZoneError>) {
        let has_lines = errors.iter().any(|error| error.line > 0);
        for error in errors {
            if error.line > 0 {
                self.take(zone.draft.source(error.line as usize), error.sentence);
            } else if !has_lines {
                self.take(Some(&zone.source), error.sentence);
            }
        }
    }

    fn of_configuration(&mut self, imported: &ImportedFiles, line: u32, sentence: String) {
        self.take(imported.configuration.source(line as usize), sentence);
    }

    fn take(&mut self, source: Option<&ImportSource>, sentence: String) {
        match source {
            Some(source) => self.is_any_new |= self.notes.refuse(source, sentence),
            None => self.untraced.push(sentence),
        }
    }
}
