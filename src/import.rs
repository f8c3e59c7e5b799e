//! `meridian import gdnsd`: a configuration of gdnsd with its zones, turned into ours as far as ours says the same.

pub mod arguments;
mod checks;
mod datacenters;
mod draft;
mod labels;
mod maps;
mod notes;
mod options;
mod plan;
mod resources;
mod verify;
mod vscf;
mod words;
mod write;
mod zones;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use crate::control;
use crate::files::{self, FileKind};
use crate::new_files::{NewFile, write_new};
use crate::terminal::say;
use crate::text::toml_text;
use crate::text::{counted, shown};
use arguments::ImportCommand;
use checks::ImportedChecks;
use draft::TextDraft;
use maps::GdnsdMap;
use notes::ImportNotes;
use resources::GdnsdResources;
use vscf::{SourcePlace, VscfHash};
use write::ImportedServices;
use zones::ImportedZone;

/// The exit code where everything that could be carried is written, but something is left out or not quite the same.
const DIFFERENCES: u8 = 3;
/// How often everything is carried at most: each time without what was refused before.
const MOST_ROUNDS: usize = 1000;

/// Writes `meridian.toml` and the zones as far as `check` finds them good, and says what could not be carried.
pub fn run(import: &ImportCommand) -> Result<ExitCode, String> {
    let ImportCommand::Gdnsd { directory, to } = import;
    let mut notes = ImportNotes::default();
    let carried = carry_what_is_good(directory, &mut notes)?;
    let services = carried.services;
    let config = to.join("meridian.toml");
    let mut files = Vec::new();
    for zone in carried.zones {
        files.push(NewFile::public(
            to.join("zones").join(zone.file_name()),
            zone.draft.into_text(),
        ));
    }
    let zones = files.len();
    files.insert(
        0,
        NewFile::public(config.clone(), carried.configuration.into_text()),
    );
    write_new(&files)?;
    files
        .iter()
        .for_each(|file| say!("wrote {}", file.path.display()));
    say!(
        "carried: {}, {}",
        counted(zones, "zone"),
        counted(services, "steered name")
    );
    let differences = notes.differences();
    tell("not carried, or not quite the same", &differences);
    tell("not needed here", &notes.needless());
    if differences.is_empty() {
        say!("everything could be carried");
    }
    // What is left to be found here are databases.
    if let Err(mistakes) = control::load(&config, None) {
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        return Err(format!(
            "what was written needs your hand before it can be used:\n  {}",
            told.join("\n  ")
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

fn tell(title: &str, notes: &[String]) {
    if !notes.is_empty() {
        say!("\n{title}:");
        notes.iter().for_each(|note| say!("  {}", shown(note)));
    }
}

/// What a configuration comes to.
struct Carried {
    configuration: TextDraft,
    zones: Vec<ImportedZone>,
    services: usize,
}

/// Everything without what `check` would refuse, which is noted.
fn carry_what_is_good(directory: &Path, notes: &mut ImportNotes) -> Result<Carried, String> {
    let refused = |mistakes: Vec<String>| {
        format!(
            "{} cannot be carried so that it is of use:\n  {}",
            directory.display(),
            mistakes.join("\n  ")
        )
    };
    let mut rounds = 0;
    loop {
        notes.begin();
        let carried = carry(directory, notes)?;
        rounds += 1;
        if rounds >= MOST_ROUNDS || !verify::refuse_mistakes(&carried, notes).map_err(refused)? {
            return Ok(carried);
        }
    }
}

fn carry(directory: &Path, notes: &mut ImportNotes) -> Result<Carried, String> {
    let file = directory.join("config");
    let top = if file.exists() {
        vscf::read_table(&file)?
    } else {
        VscfHash::default()
    };
    notes.unknown_keys(
        &top,
        &["options", "service_types", "plugins"],
        "a configuration",
    );
    let nothing = VscfHash::default();
    let part = |key: &str| top.table(key).unwrap_or(&nothing);
    let options = options::read(part("options"), notes);
    let (zones, dynamic) = zones::read(&directory.join("zones"), &options.ttls, notes)?;
    let plugins = part("plugins");
    let maps = plugins
        .table("geoip")
        .and_then(|geoip| geoip.table("maps"))
        .unwrap_or(&nothing);
    let maps = maps::read(maps, &directory.join("geoip"), notes)?;
    let databases = databases(maps.values(), notes);
    let checks = ImportedChecks::read(part("service_types"), notes);
    let mut resources = GdnsdResources {
        plugins,
        maps,
        checks,
    };
    let mut services = ImportedServices::default();
    for record in &dynamic {
        match resources.find(&record.reference, notes) {
            Ok(plan) => services.add(record, plan, &options.ttls, notes),
            Err(reason) => {
                let sentence = format!(
                    "{} {}: {reason}; the name is not answered",
                    record.name, record.reference
                );
                notes.add(&record.place, sentence);
            }
        }
    }
    let mut draft = TextDraft::default();
    let from = directory.display().to_string();
    draft.push(
        &format!(
            "# Made from {} by meridian import gdnsd. Every key is explained in docs/configuration.md.\n",
            shown(&from)
        ),
        None,
    );
    draft.push("\n[server]\n", None);
    options
        .server
        .iter()
        .for_each(|(line, source)| draft.push(line, Some(source.clone())));
    draft.push("\n[zones]\ndirectory = \"zones\"\n\n[geo]\n", None);
    options
        .geo
        .iter()
        .for_each(|(line, source)| draft.push(line, Some(source.clone())));
    draft.push(&format!("databases = [{databases}]\n\n"), None);
    services.write(&resources.checks, &mut draft);
    Ok(Carried {
        configuration: draft,
        zones,
        services: services.count(),
    })
}

/// The databases of all maps that are there, as elements of a list; the first that knows a client wins.
fn databases<'m>(maps: impl Iterator<Item = &'m Rc<GdnsdMap>>, notes: &mut ImportNotes) -> String {
    let stated: BTreeSet<(&SourcePlace, &PathBuf)> = maps
        .filter_map(|map| map.database.as_ref())
        .map(|(a, b)| (b, a))
        .collect();
    let mut paths: Vec<PathBuf> = Vec::new();
    for (place, path) in stated {
        match fs::canonicalize(path) {
            Ok(path) if !paths.contains(&path) => paths.push(path),
            Ok(_) => {}
            Err(error) => {
                notes.add(
                    place,
                    format!(
                        "{} is left out, and the built-in data locate: {error}",
                        path.display()
                    ),
                );
            }
        }
    }
    let paths: Vec<String> = paths
        .iter()
        .map(|path| toml_text(&path.display().to_string()))
        .collect();
    paths.join(", ")
}

/// A whole file of bounded length.
fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let content = files::read(path, FileKind::Import)
        .map_err(|error| format!("{} {error}", path.display()))?;
    Ok(content.octets)
}
