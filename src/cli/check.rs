//! `meridian check`

use std::process::ExitCode;

use super::access::User;
use super::arguments::Check;
use super::topics;
use crate::cli::paper::{complain, say};
use crate::control;
use crate::files::{self, FileKind};

/// Prints every mistake and warning as `file:line:column: sentence`; on stderr, where to read on, and for which services
/// health is held while nothing can be reached; as root, what the user that serves may not read, too. Exit 0 without
/// mistakes, 1 with.
pub fn run(check: &Check) -> Result<ExitCode, String> {
    match control::load(&check.file.config, None) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| say!("{warning}"));
            if let Some(note) = control::hold::note(&loaded.config) {
                complain(format_args!("{}: {note}", check.file.config.display()));
            }
            let user = User::find(check.user.as_deref(), &loaded.config)?;
            let refusals = user.map_or(Vec::new(), |user| user.refusals(&loaded));
            refusals.iter().for_each(|refusal| say!("{refusal}"));
            // Who was only guessed may not be the one that serves.
            if check.user.is_some() && !refusals.is_empty() {
                return Ok(ExitCode::FAILURE);
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
            let octets =
                files::read(&check.file.config, FileKind::Configuration).map_or(Vec::new(), |content| content.octets);
            topics::of(&mistakes, &check.file.config, &String::from_utf8_lossy(&octets))
                .iter()
                .for_each(|topic| complain(format_args!("more on {topic}")));
            Ok(ExitCode::FAILURE)
        }
    }
}
