//! Reads the configuration file.
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
mod tables;
mod truth;
pub mod values;

pub use crate::net::Cidr;
pub use document::error::{self, ConfigError};
pub use truth::model::{self, *};
pub use truth::{EncryptedListen, IdentityFiles, is_name};

use crate::files::{self, FileContent, FileKind, FileRead};
use document::{ConfigReport, DocumentItem, ReadValue};
use tables::RawConfig;

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
    /// In the order of the file.
    pub warnings: Vec<ConfigError>,
    /// Every file that was read: the configuration and the certificates that its checks name.
    pub files: Vec<FileRead>,
    /// The text of the file.
    pub text: String,
}

/// Reads a configuration file.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn load(file: &Path) -> Result<LoadedConfig, Vec<ConfigError>> {
    let (text, read) =
        read_text(file).map_err(|sentence| vec![ConfigError::whole_file(file, sentence)])?;
    let mut loaded = parse(&text, file)?;
    loaded.files.insert(0, read);
    Ok(loaded)
}

/// Reads a configuration from its text. Relative paths in it are resolved against the folder of
/// `file`, which is not read.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn parse(text: &str, file: &Path) -> Result<LoadedConfig, Vec<ConfigError>> {
    if text.len() as u64 > MAX_FILE {
        let sentence = format!("the file {}", files::ReadError::TooLarge(MAX_FILE));
        return Err(vec![ConfigError::whole_file(file, sentence)]);
    }
    let mut report = ConfigReport::new(file, text);
    let raw = parse_document(text, &mut report);
    let config = raw.map(|raw| truth::resolve::resolve(raw, file, &mut report));
    let files = std::mem::take(&mut report.files);
    let warnings = report.finish()?;
    let config = config.ok_or_else(Vec::new)?;
    Ok(LoadedConfig {
        config,
        warnings,
        files,
        text: text.to_owned(),
    })
}

/// The JSON Schema (draft 2020-12) of the configuration file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RawConfig).to_value()
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

/// The tables of the file; `None` after a syntax error, which is reported.
fn parse_document(text: &str, report: &mut ConfigReport<'_>) -> Option<RawConfig> {
    let document = match DeTable::parse(text) {
        Ok(document) => DeValue::Table(document.into_inner()),
        Err(first) => {
            let mut errors = Vec::new();
            if text.len() <= MAX_RECOVERED {
                errors = DeTable::parse_recoverable(text).1;
            }
            if errors.is_empty() {
                errors.push(first);
            }
            for error in errors {
                let at = error.span().map_or(text.len(), |span| span.start);
                report.error(at, error.message().to_owned());
            }
            return None;
        }
    };
    RawConfig::read(
        DocumentItem {
            key: "the file",
            at: 0,
            value: &document,
        },
        report,
    )
}

#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod tests;
