//! The configuration: `raw` is the file as written, [`Config`] is the truth after every check.
//!
//! ```text
//! text --toml--> document tree --read--> raw tables --resolve--> Config
//! ```
//! Every step adds its mistakes to one report, so that one run tells all of them.

use std::path::Path;

use toml::de::{DeTable, DeValue};

pub mod error;
pub mod model;
pub mod values;

mod addresses;
mod bindings;
mod certificates;
mod check_values;
mod checks;
mod combinations;
mod endpoints;
mod fences;
mod guard;
mod listen;
mod names;
mod raw;
mod raw_endpoints;
mod raw_server;
mod read;
mod request_headers;
mod resolve;
mod service_values;
mod services;
mod traffic;
mod zones;

pub use crate::net::Cidr;
pub use error::ConfigError;
pub use listen::{EncryptedListen, IdentityFiles};
pub use model::*;
pub use names::is_name;

use crate::files::{self, FileContent, FileKind, FileRead};
use error::ConfigReport;
use raw::RawConfig;
use read::{DocumentItem, ReadValue};

/// Longest configuration file, in octets.
pub const MAX_FILE: u64 = FileKind::Configuration.most();
/// Longest file in which every syntax error is looked for; in a longer one the first is told.
const MAX_RECOVERED: usize = 1 << 20;

/// A configuration that can be used, and what is odd about it.
#[derive(Debug, Clone)]
pub struct LoadedConfig {
    /// The truth.
    pub config: Config,
    /// In the order of the file.
    pub warnings: Vec<ConfigError>,
    /// Every file that was read: the configuration and the certificates that its checks name.
    pub files: Vec<FileRead>,
    /// As it stands in the file.
    pub text: String,
}

/// Reads a configuration file; every mistake is in the error, in the order of the file.
pub fn load(file: &Path) -> Result<LoadedConfig, Vec<ConfigError>> {
    let refused = |sentence| vec![ConfigError::whole_file(file, sentence)];
    let FileContent { octets, read } = files::read(file, FileKind::Configuration)
        .map_err(|error| refused(format!("the file {error}")))?;
    let text = text_of(octets).map_err(refused)?;
    let mut loaded = parse(&text, file)?;
    loaded.files.insert(0, read);
    Ok(loaded)
}

/// Reads a configuration from its text; relative paths in it are resolved against the folder of `file`, which is
/// otherwise only a name.
pub fn parse(text: &str, file: &Path) -> Result<LoadedConfig, Vec<ConfigError>> {
    if text.len() as u64 > MAX_FILE {
        let sentence = format!("the file {}", files::ReadError::TooLarge(MAX_FILE));
        return Err(vec![ConfigError::whole_file(file, sentence)]);
    }
    let mut report = ConfigReport::new(file, text);
    let config =
        parse_document(text, &mut report).map(|raw| resolve::resolve(raw, file, &mut report));
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

fn text_of(octets: Vec<u8>) -> Result<String, String> {
    String::from_utf8(octets).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at]
            .iter()
            .filter(|&&octet| octet == b'\n')
            .count()
            + 1;
        format!("line {line} is not UTF-8 text")
    })
}

/// The file as written; `None` if it is no TOML, which is then reported.
fn parse_document(text: &str, report: &mut ConfigReport<'_>) -> Option<RawConfig> {
    let document = match DeTable::parse(text) {
        Ok(document) => document.into_inner(),
        Err(first) => {
            let recovered =
                (text.len() <= MAX_RECOVERED).then(|| DeTable::parse_recoverable(text).1);
            let errors = recovered
                .filter(|errors| !errors.is_empty())
                .unwrap_or_else(|| vec![first]);
            for error in errors {
                report.error(
                    error.span().map_or(text.len(), |span| span.start),
                    error.message().to_owned(),
                );
            }
            return None;
        }
    };
    let document = DeValue::Table(document);
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
mod tests;
