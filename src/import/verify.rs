//! The written files checked before they are written, and mistakes traced to what they were made from.

use std::path::Path;
use std::sync::Arc;

use super::Carried;
use super::notes::{ImportNotes, ImportSource};
use super::zones::ImportedZone;
use crate::catalog::Catalog;
use crate::config;
use crate::geo::Atlas;
use crate::zone;

/// What the configuration is called while it is no file.
const CONFIG: &str = "meridian.toml";

/// Notes what `meridian check` would refuse. Returns whether something new was found, so that all has to be carried
/// again without it.
///
/// # Errors
/// A sentence for each mistake that nothing can be left out for.
pub fn refuse_mistakes(carried: &Carried, notes: &mut ImportNotes) -> Result<bool, Vec<String>> {
    let mut mistakes = Mistakes {
        notes,
        is_any_new: false,
        untraced: Vec::new(),
    };
    let mut zones = Vec::new();
    for zone in &carried.zones {
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
    match config::parse(carried.configuration.text(), Path::new(CONFIG)) {
        // What does not fit the zones is looked for when the zones are good.
        Ok(_) if mistakes.is_any() => {}
        Ok(loaded) => {
            let found = Catalog::compile(&loaded.config, &zones, Arc::new(Atlas::empty()));
            for mistake in found.err().unwrap_or_default() {
                mistakes.of_configuration(carried, mistake.line, mistake.sentence);
            }
        }
        Err(errors) => {
            for error in errors {
                mistakes.of_configuration(carried, error.line, error.sentence);
            }
        }
    }
    match mistakes {
        Mistakes {
            is_any_new: false,
            untraced,
            ..
        } if !untraced.is_empty() => Err(untraced),
        Mistakes { is_any_new, .. } => Ok(is_any_new),
    }
}

/// The mistakes of one check.
struct Mistakes<'n> {
    notes: &'n mut ImportNotes,
    is_any_new: bool,
    /// Those that have no source.
    untraced: Vec<String>,
}

impl Mistakes<'_> {
    fn is_any(&self) -> bool {
        self.is_any_new || !self.untraced.is_empty()
    }

    /// A mistake of the whole file counts where no line has one: it may follow from them.
    fn of_zone(&mut self, zone: &ImportedZone, errors: Vec<zone::ZoneError>) {
        let has_lines = errors.iter().any(|error| error.line > 0);
        for error in errors
            .into_iter()
            .filter(|error| error.line > 0 || !has_lines)
        {
            let source = if error.line > 0 {
                zone.draft.source(error.line as usize)
            } else {
                Some(&zone.source)
            };
            self.take(source, error.sentence);
        }
    }

    fn of_configuration(&mut self, carried: &Carried, line: u32, sentence: String) {
        self.take(carried.configuration.source(line as usize), sentence);
    }

    fn take(&mut self, source: Option<&ImportSource>, sentence: String) {
        match source {
            Some(source) => self.is_any_new |= self.notes.refuse(source, sentence),
            None => self.untraced.push(sentence),
        }
    }
}
