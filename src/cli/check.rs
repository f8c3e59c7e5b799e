//! `meridian check`

use std::process::ExitCode;

use serde::Serialize;

use super::access::SystemUser;
use super::arguments::CheckArgs;
use super::topics;
use crate::control::start::{self, StartReport};
use crate::control::{self, LoadedState};
use crate::files::{self, FileKind};
use crate::terminal::{complain, say, say_json};
use crate::text::counted;

/// Prints every mistake and warning as `file:line:column: sentence`; on stderr, where to read on, and what is no mistake
/// but so at this moment. Exit 0 without mistakes, 1 with; `--strict` takes warnings as mistakes.
pub fn run(check: &CheckArgs) -> Result<ExitCode, String> {
    let checked = Checked::of(check)?;
    let StartReport {
        refusals, warnings, ..
    } = &checked.found;
    let is_good = refusals.is_empty() && (!check.strict || warnings.is_empty());
    if check.json {
        say_json(serde_json::to_string(&checked.findings()).map_err(|error| error.to_string())?);
    } else {
        checked.print(check, is_good);
    }
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What was found in all.
struct Checked {
    found: StartReport,
    /// How many zones and services; `None`: they could not be loaded.
    size: Option<(usize, usize)>,
}

/// One thing that was found, for programs.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding<'f> {
    /// `null`: it is about no file.
    file: Option<&'f str>,
    /// From 1; `null`: it is about the whole file.
    line: Option<u32>,
    /// In characters, from 1.
    column: Option<u32>,
    /// `error`, `warning` or `note`.
    severity: &'static str,
    message: &'f str,
}

impl Checked {
    /// Loads what `serve` would load, and looks at what it would look at.
    fn of(check: &CheckArgs) -> Result<Checked, String> {
        let loaded = match control::load(&check.file.config, None) {
            Ok(loaded) => loaded,
            Err(refusals) => {
                return Ok(Checked {
                    found: StartReport {
                        refusals,
                        ..StartReport::default()
                    },
                    size: None,
                });
            }
        };
        let size = Some((
            loaded.snapshot.catalog.zones.len(),
            loaded.snapshot.catalog.services.len(),
        ));
        let mut found = Checked::beside_the_files(check, &loaded)?;
        found.warnings.splice(0..0, loaded.warnings);
        let held = control::hold::note(&loaded.config);
        found
            .notes
            .extend(held.map(|note| format!("{}: {note}", check.file.config.display())));
        Ok(Checked { found, size })
    }

    /// As the user that was named, or as ourselves; then what a user that was only guessed would meet is a warning, since
    /// it may not be the one that serves.
    fn beside_the_files(check: &CheckArgs, loaded: &LoadedState) -> Result<StartReport, String> {
        let user = SystemUser::find(check.user.as_deref(), &loaded.config)?;
        let Some(user) = user else {
            return Ok(start::examine(&loaded.config, &loaded.prints));
        };
        let (unreadable, of_user) = user.findings(loaded);
        if check.user.is_some() {
            let mut found = of_user;
            found.refusals.extend(unreadable);
            return Ok(found);
        }
        let mut found = start::examine(&loaded.config, &loaded.prints);
        let guessed = of_user.refusals.into_iter().chain(of_user.warnings);
        let further: Vec<String> = guessed
            .filter(|sentence| {
                !found.refusals.contains(sentence) && !found.warnings.contains(sentence)
            })
            .map(|sentence| format!("{sentence} (as the user {})", user.name()))
            .collect();
        found.warnings.extend(unreadable.into_iter().chain(further));
        Ok(found)
    }

    fn print(&self, check: &CheckArgs, is_good: bool) {
        let file = &check.file.config;
        let StartReport {
            refusals,
            warnings,
            notes,
        } = &self.found;
        warnings
            .iter()
            .chain(refusals)
            .for_each(|sentence| say!("{sentence}"));
        notes.iter().for_each(complain);
        match self.size {
            Some((zones, services)) if is_good => {
                say!(
                    "{}: good: {}, {}",
                    file.display(),
                    counted(zones, "zone"),
                    counted(services, "service")
                );
            }
            Some(_) => {}
            None => {
                let octets = files::read(file, FileKind::Configuration)
                    .map_or(Vec::new(), |content| content.octets);
                topics::of(refusals, file, &String::from_utf8_lossy(&octets))
                    .iter()
                    .for_each(|topic| complain(format_args!("more on {topic}")));
            }
        }
    }

    fn findings(&self) -> Vec<Finding<'_>> {
        let StartReport {
            refusals,
            warnings,
            notes,
        } = &self.found;
        let kinds = [("error", refusals), ("warning", warnings), ("note", notes)];
        let of_kind = kinds
            .into_iter()
            .map(|(severity, list)| list.iter().map(move |it| Finding::read(severity, it)));
        of_kind.flatten().collect()
    }
}

impl<'f> Finding<'f> {
    /// A sentence with the place that it begins with: `file: `, `file:line: ` or `file:line:column: `.
    fn read(severity: &'static str, sentence: &'f str) -> Finding<'f> {
        let whole = Finding {
            file: None,
            line: None,
            column: None,
            severity,
            message: sentence,
        };
        let Some((place, message)) = sentence.split_once(": ") else {
            return whole;
        };
        let number = |text: &'f str| {
            let (rest, number) = text.rsplit_once(':')?;
            Some((
                rest,
                number.parse::<u32>().ok().filter(|number| *number > 0)?,
            ))
        };
        let (rest, last) =
            number(place).map_or((place, None), |(rest, number)| (rest, Some(number)));
        let (file, first) =
            number(rest).map_or((rest, None), |(rest, number)| (rest, Some(number)));
        match (first, last) {
            (Some(line), column) => Finding {
                file: Some(file),
                line: Some(line),
                column,
                severity,
                message,
            },
            (None, Some(line)) => Finding {
                file: Some(file),
                line: Some(line),
                severity,
                message,
                ..whole
            },
            // Words that only end in a colon are no path.
            (None, None) if place.contains(' ') => whole,
            (None, None) => Finding {
                file: Some(file),
                severity,
                message,
                ..whole
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_taken_apart_where_its_place_ends() {
        let read = |sentence| {
            let Finding {
                file,
                line,
                column,
                message,
                ..
            } = Finding::read("error", sentence);
            (file, line, column, message)
        };
        assert_eq!(
            read("m.toml:3:14: no: not so"),
            (Some("m.toml"), Some(3), Some(14), "no: not so")
        );
        assert_eq!(
            read("z/a b.zone:7: no"),
            (Some("z/a b.zone"), Some(7), None, "no")
        );
        assert_eq!(
            read("token: too short"),
            (Some("token"), None, None, "too short")
        );
        assert_eq!(read("it is so: no"), (None, None, None, "it is so: no"));
    }
}
