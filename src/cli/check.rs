//! `meridian check`

use std::process::ExitCode;

use super::arguments::Check;
use super::topics;
use crate::cli::paper::{complain, say};
use crate::control;

/// Prints every mistake and warning as `file:line:column: sentence`; on stderr, where to read on, and for which services
/// health is held while nothing can be reached. Exit 0 without mistakes, 1 with.
pub fn run(check: &Check) -> Result<ExitCode, String> {
    match control::load(&check.file.config, None) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| say!("{warning}"));
            if let Some(note) = control::hold::note(&loaded.config) {
                complain(format_args!("{}: {note}", check.file.config.display()));
            }
            let world = &loaded.snapshot.world;
            say!(
                "{}: good: {} zones, {} services",
                check.file.config.display(),
                world.zones.len(),
                world.services.len()
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| say!("{mistake}"));
            let text = std::fs::read_to_string(&check.file.config).unwrap_or_default();
            topics::of(&mistakes, &check.file.config, &text)
                .iter()
                .for_each(|topic| complain(format_args!("more on {topic}")));
            Ok(ExitCode::FAILURE)
        }
    }
}
