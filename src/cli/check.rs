//! `meridian check`: loads everything that the server would load, and prints all findings.
//!
//! Beyond loading, the check examines what would fail at a start: files that the user of the server
//! cannot read, and sockets or certificates that do not work. Findings go to stdout, one a line,
//! notes to stderr.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::access::SystemUser;
use super::arguments::CheckArgs;
use super::topics;
use crate::control::signing::token_mistakes;
use crate::control::start::{self, StartReport};
use crate::control::{self, LoadedState, delegation, needed_memory};
use crate::files::{self, FileKind};
use crate::terminal::{complain, say, say_json};
use crate::text::counted;

/// Prints every mistake and warning as `file:line:column: sentence`. Notes and links to the
/// documentation go to stderr. Exits with 1 if there are mistakes; `--strict` also counts warnings.
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

/// Runs questions to other servers to their end.
fn in_runtime<T>(questions: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => Ok(runtime.block_on(questions)),
        Err(error) => Err(format!("cannot ask other servers: {error}")),
    }
}

/// The findings of a check.
struct Checked {
    found: StartReport,
    /// `None` if the configuration could not be loaded.
    size: Option<ConfigSize>,
}

/// The size of a configuration.
struct ConfigSize {
    zones: usize,
    services: usize,
    /// The memory that a server will hold, in octets.
    memory: u64,
}

impl ConfigSize {
    fn print(&self, file: &Path) {
        say!(
            "{}: good: {}, {}",
            file.display(),
            counted(self.zones, "zone"),
            counted(self.services, "service")
        );
        complain(format_args!(
            "this configuration needs about {} MB of memory",
            self.memory.div_ceil(1_000_000)
        ));
    }
}

/// Names the pages that explain what was refused.
fn print_topics(refusals: &[String], file: &Path) {
    let octets =
        files::read(file, FileKind::Configuration).map_or(Vec::new(), |content| content.octets);
    for topic in topics::of(refusals, file, &String::from_utf8_lossy(&octets)) {
        complain(format_args!("more on {topic}"));
    }
}

/// One finding in JSON.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding<'f> {
    /// The file; `null` if the finding is not about one.
    file: Option<&'f str>,
    /// The line, from 1; `null` if the finding is about the whole file.
    line: Option<u32>,
    /// The column in characters, from 1.
    column: Option<u32>,
    /// `error`, `warning` or `note`.
    severity: &'static str,
    message: &'f str,
}

impl Checked {
    /// Loads what `serve` would load, and examines what it would examine.
    fn of(check: &CheckArgs) -> Result<Checked, String> {
        match control::load(&check.file.config, None) {
            Ok(loaded) => Checked::of_loaded(check, loaded),
            Err(refusals) => Ok(Checked {
                found: StartReport {
                    refusals,
                    ..StartReport::default()
                },
                size: None,
            }),
        }
    }

    fn of_loaded(check: &CheckArgs, loaded: LoadedState) -> Result<Checked, String> {
        let mut found = Checked::examine_start(check, &loaded)?;
        found.refusals.extend(token_mistakes(&loaded.config));
        if check.online {
            let asked = in_runtime(delegation::examine(&loaded))?;
            found.refusals.extend(asked.refusals);
            found.warnings.extend(asked.warnings);
            found.notes.extend(asked.notes);
        }
        found.warnings.splice(0..0, loaded.warnings);
        if let Some(note) = control::hold::note(&loaded.config) {
            let file = check.file.config.display();
            found.notes.push(format!("{file}: {note}"));
        }
        let catalog = &loaded.snapshot.catalog;
        let size = Some(ConfigSize {
            zones: catalog.zones.len(),
            services: catalog.services.len(),
            memory: needed_memory(&loaded.config),
        });
        Ok(Checked { found, size })
    }

    /// Examines a start as the user that `--user` names, or else as ourselves. Findings of a user
    /// that is only guessed become warnings, since the server may run as another one.
    fn examine_start(check: &CheckArgs, loaded: &LoadedState) -> Result<StartReport, String> {
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
        let mut further = unreadable;
        for sentence in [of_user.refusals, of_user.warnings].concat() {
            if !found.refusals.contains(&sentence) && !found.warnings.contains(&sentence) {
                further.push(format!("{sentence} (as the user {})", user.name()));
            }
        }
        found.warnings.append(&mut further);
        Ok(found)
    }

    fn print(&self, check: &CheckArgs, is_good: bool) {
        let file = &check.file.config;
        let StartReport {
            refusals,
            warnings,
            notes,
        } = &self.found;
        for sentence in warnings {
            say!("{sentence}");
        }
        for sentence in refusals {
            say!("{sentence}");
        }
        for note in notes {
            complain(note);
        }
        match &self.size {
            Some(size) if is_good => size.print(file),
            Some(_) => {}
            None => print_topics(refusals, file),
        }
    }

    fn findings(&self) -> Vec<Finding<'_>> {
        let StartReport {
            refusals,
            warnings,
            notes,
        } = &self.found;
        let mut findings = Vec::new();
        for (severity, list) in [("error", refusals), ("warning", warnings), ("note", notes)] {
            for sentence in list {
                findings.push(Finding::read(severity, sentence));
            }
        }
        findings
    }
}

impl<'f> Finding<'f> {
    /// Splits a sentence from the place at its start: `file: `, `file:line: ` or
    /// `file:line:column: `.
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
        let (rest, last) = split_number(place);
        let (file, first) = split_number(rest);
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
            // A place with spaces but without a line number is part of the sentence.
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

/// Splits `text:number`. Without a positive number at the end, the whole text is returned.
fn split_number(text: &str) -> (&str, Option<u32>) {
    if let Some((rest, end)) = text.rsplit_once(':')
        && let Ok(number) = end.parse()
        && number > 0
    {
        return (rest, Some(number));
    }
    (text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_split_into_place_and_message() {
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
