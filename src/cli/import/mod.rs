//! `meridian import gdnsd`: a configuration of gdnsd with its zones, turned into ours as far as ours says the same.

mod checks;
mod labels;
mod maps;
mod notes;
mod options;
mod plan;
mod resources;
mod vscf;
mod words;
mod write;
mod zones;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::arguments::Import;
use super::init::{toml_text, write_new};
use crate::cli::paper::say;
use crate::control;
use crate::files::{self, FileKind};
use crate::text::shown;
use checks::Checks;
use maps::Map;
use notes::Notes;
use resources::Resources;
use vscf::{Place, Table};
use write::Services;
use zones::{Dynamic, Zone};

/// Writes `meridian.toml` and the zones, checks them, and says what could not be carried.
pub fn run(import: &Import) -> Result<ExitCode, String> {
    let Import::Gdnsd { directory, to } = import;
    let mut notes = Notes::default();
    let Carried { configuration, zones, services } = carry(directory, &mut notes)?;
    let config = to.join("meridian.toml");
    let mut files = vec![(config.clone(), configuration)];
    for Zone { name, text } in zones {
        let text = String::from_utf8(text).map_err(|_| format!("the zone {name} holds octets that are no UTF-8"))?;
        files.push((to.join("zones").join(format!("{}.zone", name.replace('/', "@"))), text));
    }
    write_new(&files)?;
    files.iter().for_each(|(path, _)| say!("wrote {}", path.display()));
    say!("carried: {} zones, {services} steered names", files.len() - 1);
    tell(&notes.lines());
    match control::load(&config, None) {
        Ok(_) => say!("\nnext: meridian check --config {0} && meridian serve --config {0}", config.display()),
        Err(mistakes) => {
            let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            return Err(format!("what was written needs your hand before it can be used:\n  {}", told.join("\n  ")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(notes: &[String]) {
    if notes.is_empty() {
        return say!("everything could be carried");
    }
    say!("\nnot carried, or not quite the same:");
    notes.iter().for_each(|note| say!("  {}", shown(note)));
}

/// What a configuration comes to.
struct Carried {
    configuration: String,
    zones: Vec<Zone>,
    services: usize,
}

fn carry(directory: &Path, notes: &mut Notes) -> Result<Carried, String> {
    let file = directory.join("config");
    let top = if file.exists() { vscf::read_table(&file)? } else { Table::default() };
    notes.unknown_keys(&top, &["options", "service_types", "plugins"], "a configuration");
    let nothing = Table::default();
    let part = |key: &str| top.table(key).unwrap_or(&nothing);
    let options = options::read(part("options"), notes);
    let (zones, dynamic) = zones::read(&directory.join("zones"), options.default_ttl, notes)?;
    let plugins = part("plugins");
    let maps = plugins.table("geoip").and_then(|geoip| geoip.table("maps")).unwrap_or(&nothing);
    let maps = maps::read(maps, &directory.join("geoip"), notes)?;
    let databases = databases(maps.values(), notes);
    let checks = Checks::read(part("service_types"), notes);
    let mut resources = Resources { plugins, maps, checks };
    let mut services = Services::default();
    for record in &dynamic {
        add(record, &mut resources, &mut services, options.ttl_bounds, notes);
    }
    let configuration = format!(
        "# Made from {} by meridian import gdnsd. Every key is explained in docs/configuration.md.\n\n\
         [server]\n{}\n[zones]\ndirectory = \"zones\"\n\n[geo]\n{}databases = [{databases}]\n\n{}",
        toml_text(&directory.display().to_string()),
        options.server,
        options.geo,
        services.toml(&resources.checks.toml())
    );
    Ok(Carried { configuration, zones, services: services.count })
}

fn add(
    record: &Dynamic,
    resources: &mut Resources<'_>,
    services: &mut Services,
    bounds: (u32, u32),
    notes: &mut Notes,
) {
    match resources.find(&record.reference, notes) {
        Ok(plan) => services.add(record, &plan, bounds, notes),
        Err(reason) => {
            let sentence = format!("{} {}: {reason}; the name is not answered", record.name, record.reference);
            notes.add(&record.place, sentence);
        }
    }
}

/// The databases of all maps that are there, as elements of a list; the first that knows a client wins.
fn databases<'m>(maps: impl Iterator<Item = &'m Map>, notes: &mut Notes) -> String {
    let stated: BTreeSet<(&Place, &PathBuf)> =
        maps.filter_map(|map| map.database.as_ref()).map(|(a, b)| (b, a)).collect();
    let mut paths: Vec<PathBuf> = Vec::new();
    for (place, path) in stated {
        match fs::canonicalize(path) {
            Ok(path) if !paths.contains(&path) => paths.push(path),
            Ok(_) => {}
            Err(error) => {
                notes.add(place, format!("{} is left out, and the built-in data locate: {error}", path.display()));
            }
        }
    }
    let paths: Vec<String> = paths.iter().map(|path| toml_text(&path.display().to_string())).collect();
    paths.join(", ")
}

/// A whole file of bounded length.
fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let content = files::read(path, FileKind::Import).map_err(|error| format!("{} {error}", path.display()))?;
    Ok(content.octets)
}
