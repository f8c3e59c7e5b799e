//! Converts a gdnsd directory into the text of a configuration and its zones.
//!
//! This joins the readers of the single parts (`options`, `plugins`, `service_types` and zones) and
//! writes the configuration. Nothing touches the disk: the result is checked first.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::checks::ImportedChecks;
use super::draft::TextDraft;
use super::maps;
use super::notes::ImportNotes;
use super::options::{self, OptionLine};
use super::resources::GdnsdResources;
use super::source::SourcePlace;
use super::vscf::{self, VscfHash};
use super::write::ImportedServices;
use super::zones::{self, ImportedZone};
use crate::text::{shown, toml_text};

/// The converted files.
pub struct ImportedFiles {
    /// The text of `meridian.toml`.
    pub configuration: TextDraft,
    /// One file per zone.
    pub zones: Vec<ImportedZone>,
    /// Number of services in the configuration.
    pub services: usize,
}

impl ImportedFiles {
    /// Converts everything except what `notes` already lists as refused.
    ///
    /// # Errors
    /// A sentence: an input file cannot be read or parsed.
    pub fn convert(directory: &Path, notes: &mut ImportNotes) -> Result<ImportedFiles, String> {
        let top = read_config(&directory.join("config"), notes)?;
        let options = options::read(top.table_or_empty("options"), notes);
        let records = zones::read(&directory.join("zones"), &options.ttls, notes)?;
        let plugins = top.table_or_empty("plugins");
        let maps = plugins.table_or_empty("geoip").table_or_empty("maps");
        let maps = maps::read(maps, &directory.join("geoip"), notes)?;
        let databases = databases(maps.values().filter_map(|map| map.database.as_ref()), notes);
        let checks = ImportedChecks::read(top.table_or_empty("service_types"), notes);
        let mut resources = GdnsdResources {
            plugins,
            maps,
            checks,
        };
        let mut services = ImportedServices::default();
        for record in &records.dynamic {
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
        draft.push(&head(directory), None);
        draft.push("\n[server]\n", None);
        push_options(&mut draft, options.server);
        draft.push("\n[zones]\ndirectory = \"zones\"\n\n[geo]\n", None);
        push_options(&mut draft, options.geo);
        draft.push(&format!("databases = [{databases}]\n\n"), None);
        services.write(&resources.checks, &mut draft);
        Ok(ImportedFiles {
            configuration: draft,
            zones: records.zones,
            services: services.count(),
        })
    }
}

/// Reads gdnsd's `config`; a missing file counts as an empty one.
fn read_config(file: &Path, notes: &mut ImportNotes) -> Result<VscfHash, String> {
    let mut config = VscfHash::default();
    if file.exists() {
        config = vscf::read_table(file)?;
    }
    let known = ["options", "service_types", "plugins"];
    notes.unknown_keys(&config, &known, "a configuration");
    Ok(config)
}

/// The comment at the start of the configuration.
fn head(directory: &Path) -> String {
    let from = directory.display().to_string();
    format!(
        "# Made from {} by meridian import gdnsd. \
         Every key is explained in docs/configuration.md.\n",
        shown(&from)
    )
}

fn push_options(draft: &mut TextDraft, lines: Vec<OptionLine>) {
    for line in lines {
        draft.push(&line.text, Some(line.source));
    }
}

/// The existing databases of all maps, as elements of a TOML list in the order of their places.
/// The first database that knows a client wins.
fn databases<'m>(
    stated: impl Iterator<Item = &'m (PathBuf, SourcePlace)>,
    notes: &mut ImportNotes,
) -> String {
    let mut in_order = BTreeSet::new();
    for (path, place) in stated {
        in_order.insert((place, path));
    }
    let mut listed: Vec<String> = Vec::new();
    for (place, path) in in_order {
        match fs::canonicalize(path) {
            Ok(path) => {
                let path = toml_text(&path.display().to_string());
                if !listed.contains(&path) {
                    listed.push(path);
                }
            }
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
    listed.join(", ")
}
