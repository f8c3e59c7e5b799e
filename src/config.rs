//! Reads the configuration file and the files that it includes.
//!
//! ```text
//! text --toml--> document --tables, values--> the file as written --truth--> Config
//! ```
//!
//! There are four folders, and each uses only those before it. `document` reads TOML and collects
//! mistakes. [`values`] defines the syntax of single values. `tables` declares every key with its
//! default. `truth` resolves names and checks what must fit together. Every step adds its mistakes
//! to one report, so that one run reports all of them. Most unit tests call [`parse`] and are in
//! `tests.rs`; a file with rules of its own has its tests at its end.

use std::path::Path;

use toml::de::{DeTable, DeValue};

mod document;
mod include;
pub mod released;
mod tables;
mod truth;
pub mod values;

pub use crate::net::Cidr;
pub use document::error::{self, ConfigError, SourceFile, SourceLine};
pub use truth::model::{self, *};
pub use truth::{EncryptedListen, IdentityFiles, is_name};

use crate::files::{self, FileContent, FileKind, FileRead};
use document::{ConfigReport, DocumentItem, ReadValue};
use released::{ReleaseChoice, SharedTables};
use tables::{IncludedConfig, RawConfig};

/// The longest configuration file, in octets.
pub const MAX_FILE: u64 = FileKind::Configuration.most();
/// The longest file, in octets, in which every syntax error is reported. In a longer one, only the
/// first is.
const MAX_RECOVERED: usize = 1 << 20;

/// A usable configuration, and its warnings.
#[derive(Debug, Clone)]
pub struct LoadedConfig {
    /// The checked configuration.
    pub config: Config,
    /// In the order of the files.
    pub warnings: Vec<ConfigError>,
    /// Every file that was read: the configuration, the files that it includes, and the
    /// certificates that its checks name.
    pub files: Vec<FileRead>,
    /// The texts of the configuration file and of the files that it includes, in this order.
    pub sources: Vec<SourceFile>,
}

/// Reads a configuration file and the files that it includes, or those of the release that the server
/// serves.
///
/// # Errors
/// Every mistake, in the order of the files.
pub fn load(file: &Path) -> Result<LoadedConfig, Vec<ConfigError>> {
    load_with(file, ReleaseChoice::Served)
}

/// Like [`load`], with this release.
///
/// # Errors
/// Every mistake, in the order of the files.
pub fn load_with(
    file: &Path,
    release: ReleaseChoice<'_>,
) -> Result<LoadedConfig, Vec<ConfigError>> {
    let (text, read) =
        read_text(file).map_err(|sentence| vec![ConfigError::whole_file(file, sentence)])?;
    let mut loaded = parse_with(&text, file, release)?;
    loaded.files.insert(0, read);
    Ok(loaded)
}

/// Reads a configuration from its text. Relative paths in it are resolved against the folder of
/// `file`, which is not read.
///
/// # Errors
/// Every mistake, in the order of the files.
pub fn parse(text: &str, file: &Path) -> Result<LoadedConfig, Vec<ConfigError>> {
    parse_with(text, file, ReleaseChoice::Own)
}

/// Like [`parse`], with this release.
///
/// # Errors
/// Every mistake, in the order of the files.
pub fn parse_with(
    text: &str,
    file: &Path,
    release: ReleaseChoice<'_>,
) -> Result<LoadedConfig, Vec<ConfigError>> {
    if text.len() as u64 > MAX_FILE {
        let sentence = format!("the file {}", files::ReadError::TooLarge(MAX_FILE));
        return Err(vec![ConfigError::whole_file(file, sentence)]);
    }
    let mut report = ConfigReport::new();
    let main = SourceFile {
        file: file.into(),
        text: text.into(),
    };
    let raw = parse_files(main, release, &mut report);
    let config = raw.map(|(raw, shared)| {
        let folders = shared.folders(file);
        truth::resolve::resolve(raw, file, &folders, &mut report)
    });
    let files = std::mem::take(&mut report.files);
    let sources = report.sources();
    let warnings = report.finish()?;
    let config = config.ok_or_else(Vec::new)?;
    Ok(LoadedConfig {
        config,
        warnings,
        files,
        sources,
    })
}

/// The tables of the file and of those that it includes, or of a release. `None`: one of them cannot
/// be read or is no TOML, which is reported. Names that it declares would be missed, so nothing is
/// resolved then.
fn parse_files(
    main: SourceFile,
    release: ReleaseChoice<'_>,
    report: &mut ConfigReport,
) -> Option<(RawConfig, SharedTables)> {
    let raw: RawConfig = parse_document(main.clone(), report)?;
    match release.folder(&raw, &main.file, report)? {
        None => Some((parse_included(raw, &main, report)?, SharedTables::Own)),
        Some(folder) => released::join(raw, folder, report),
    }
}

/// The tables of a file, with those of the files that it includes.
fn parse_included(
    mut raw: RawConfig,
    main: &SourceFile,
    report: &mut ConfigReport,
) -> Option<RawConfig> {
    let patterns = std::mem::take(&mut raw.include.value.0);
    let mut is_whole = true;
    for found in include::find(&patterns, &main.file, report) {
        let Some(text) = include::read(&found, report) else {
            is_whole = false;
            continue;
        };
        let source = SourceFile {
            file: found.value.into(),
            text: text.into(),
        };
        match parse_document(source, report) {
            Some(included) => raw.add(included),
            None => is_whole = false,
        }
    }
    is_whole.then_some(raw)
}

/// The JSON Schema (draft 2020-12) of the configuration file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RawConfig).to_value()
}

/// The JSON Schema (draft 2020-12) of a file that the configuration file includes.
pub fn included_schema() -> serde_json::Value {
    schemars::schema_for!(IncludedConfig).to_value()
}

fn read_text(file: &Path) -> Result<(String, FileRead), String> {
    let FileContent { octets, read } =
        files::read(file, FileKind::Configuration).map_err(|error| format!("the file {error}"))?;
    match String::from_utf8(octets) {
        Ok(text) => Ok((text, read)),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|&&octet| octet == b'\n').count() + 1;
            Err(format!("line {line} is not UTF-8 text"))
        }
    }
}

/// All mistakes of a file that is no TOML; the first alone if the file is long.
fn syntax_errors(text: &str, first: toml::de::Error) -> Vec<toml::de::Error> {
    let mut errors = Vec::new();
    if text.len() <= MAX_RECOVERED {
        errors = DeTable::parse_recoverable(text).1;
    }
    if errors.is_empty() {
        errors.push(first);
    }
    errors
}

/// The tables of one file; `None` after a syntax error, which is reported.
fn parse_document<T: ReadValue>(source: SourceFile, report: &mut ConfigReport) -> Option<T> {
    let text = source.text.clone();
    let base = report.add_source(source);
    let document = match DeTable::parse(&text) {
        Ok(document) => DeValue::Table(document.into_inner()),
        Err(first) => {
            for error in syntax_errors(&text, first) {
                let at = error.span().map_or(text.len(), |span| span.start);
                report.error(base + at, error.message().to_owned());
            }
            return None;
        }
    };
    let whole = DocumentItem {
        key: "the file",
        at: base,
        base,
        value: &document,
    };
    T::read(whole, report)
}

#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod sharing_tests;
#[cfg(test)]
mod tests;
