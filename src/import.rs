//! `meridian import gdnsd`: converts a gdnsd configuration and its zones.
//!
//! The import converts what both servers express the same way and reports every difference with the
//! file and line that it comes from. It checks the converted text exactly as `meridian check`
//! would. An object that fails the check is left out and reported, and the conversion runs again
//! without it. So the files that an import writes always load, except for geodata that are not
//! installed.

pub mod arguments;
mod checks;
mod datacenters;
mod draft;
mod files;
mod inherited;
mod labels;
mod maps;
mod notes;
mod options;
mod plan;
mod resources;
mod source;
mod ttl;
mod verify;
mod vscf;
mod words;
mod write;
mod zones;

use std::path::Path;
use std::process::ExitCode;

use crate::control;
use crate::new_files::{NewFile, write_new};
use crate::terminal::say;
use crate::text::{counted, shown};
use arguments::ImportCommand;
use files::ImportedFiles;
use notes::ImportNotes;

/// The exit code when files were written, but the report lists differences.
const DIFFERENCES: u8 = 3;
/// The most conversions, each without the objects that earlier checks have refused.
const MOST_ROUNDS: usize = 1000;

/// Writes `meridian.toml` and the zones that pass the check, and reports the differences.
pub fn run(import: &ImportCommand) -> Result<ExitCode, String> {
    let ImportCommand::Gdnsd { directory, to } = import;
    let mut notes = ImportNotes::default();
    let imported = convert_valid_objects(directory, &mut notes)?;
    let config = to.join("meridian.toml");
    let zone_count = imported.zones.len();
    let service_count = imported.services;
    write_files(imported, to)?;
    say!(
        "converted: {}, {}",
        counted(zone_count, "zone"),
        counted(service_count, "steered name")
    );
    let differences = notes.differences();
    print_notes("not converted, or different", &differences);
    print_notes("not needed here", &notes.needless());
    if differences.is_empty() {
        say!("everything was converted");
    }
    // The text has passed the check already; only geodata files can still be missing.
    if let Err(mistakes) = control::load(&config, None) {
        return Err(format!(
            "the written files need changes before they can be used:\n  {}",
            mistakes.join("\n  ")
        ));
    }
    say!(
        "\nnext: meridian check --config {0} && meridian serve --config {0}",
        config.display()
    );
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DIFFERENCES)
    })
}

/// Writes the configuration and the zones to a directory.
fn write_files(imported: ImportedFiles, to: &Path) -> Result<(), String> {
    let mut files = vec![NewFile::public(
        to.join("meridian.toml"),
        imported.configuration.into_text(),
    )];
    for zone in imported.zones {
        let path = to.join("zones").join(zone.file_name());
        files.push(NewFile::public(path, zone.draft.into_text()));
    }
    write_new(&files)?;
    for file in &files {
        say!("wrote {}", file.path.display());
    }
    Ok(())
}

fn print_notes(title: &str, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    say!("\n{title}:");
    for note in notes {
        say!("  {}", shown(note));
    }
}

/// Converts until the check refuses no further object that can be left out.
fn convert_valid_objects(
    directory: &Path,
    notes: &mut ImportNotes,
) -> Result<ImportedFiles, String> {
    let mut rounds = 0;
    loop {
        notes.begin();
        let imported = ImportedFiles::convert(directory, notes)?;
        rounds += 1;
        if rounds >= MOST_ROUNDS {
            return Ok(imported);
        }
        match verify::refuse_mistakes(&imported, notes) {
            Ok(true) => {}
            Ok(false) => return Ok(imported),
            Err(mistakes) => {
                return Err(format!(
                    "{} cannot be converted to a valid configuration:\n  {}",
                    directory.display(),
                    mistakes.join("\n  ")
                ));
            }
        }
    }
}
