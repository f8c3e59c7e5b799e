//! Saved health: the agreed state of every target on disk.
//!
//! `health.json` in the state directory keeps the states across a restart, so that a new process
//! neither sends clients to dead endpoints nor waits for the first round of probes. A saved state
//! holds until probes prove it wrong, however old the file is.
//!
//! [`read_file`] and [`parse_json`] also serve the other files of the state directory.

use std::collections::HashMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::check::TargetKey;
use super::machine::HealthState;
use crate::files::{self, FileKind};

const VERSION: u32 = 1;
/// The name of the file.
pub const NAME: &str = "health.json";

/// Agreed states by target.
pub type SavedStates = HashMap<TargetKey, HealthState>;

/// The result of reading the file at startup.
#[derive(Debug, Default, PartialEq)]
pub struct LoadedHealth {
    /// The saved states, or none if there is no usable file.
    pub states: SavedStates,
    /// Why an existing file is not usable.
    pub warning: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SavedFile {
    version: u32,
    /// Seconds since 1970. For people only, since the wall clock may be wrong.
    saved_at: u64,
    targets: Vec<SavedTarget>,
}

#[derive(Serialize, Deserialize)]
struct SavedTarget {
    check: String,
    address: std::net::SocketAddr,
    #[serde(rename = "verdict")]
    state: HealthState,
}

/// Reads the saved states. An unusable file causes a warning and an empty start, never an error.
pub fn load(directory: &Path) -> LoadedHealth {
    let path = directory.join(NAME);
    let saved = match read(&path) {
        Ok(Some(saved)) => saved,
        Ok(None) => return LoadedHealth::default(),
        Err(reason) => {
            let warning = format!("{}: {reason}; no health is restored", path.display());
            return LoadedHealth {
                warning: Some(warning),
                ..LoadedHealth::default()
            };
        }
    };
    let mut loaded = LoadedHealth::default();
    for target in saved.targets {
        let key = TargetKey {
            check: target.check.into(),
            address: target.address,
        };
        loaded.states.insert(key, target.state);
    }
    loaded
}

/// The contents of the file for these states. `now` is in seconds since 1970.
pub fn to_json(states: &SavedStates, now: u64) -> Vec<u8> {
    let mut targets = Vec::with_capacity(states.len());
    for (key, &state) in states {
        if state != HealthState::Unknown {
            targets.push(SavedTarget {
                check: key.check.to_string(),
                address: key.address,
                state,
            });
        }
    }
    targets.sort_by(|one, other| (&one.check, one.address).cmp(&(&other.check, other.address)));
    let saved = SavedFile {
        version: VERSION,
        saved_at: now,
        targets,
    };
    serde_json::to_vec(&saved).expect("all keys are strings and every field serializes")
}

fn read(path: &Path) -> Result<Option<SavedFile>, String> {
    match read_file(path)? {
        Some(text) => parse(&text).map(Some),
        None => Ok(None),
    }
}

fn parse(text: &[u8]) -> Result<SavedFile, String> {
    let saved: SavedFile = parse_json(text)?;
    if saved.version != VERSION {
        return Err(format!("its version is {}, not {VERSION}", saved.version));
    }
    Ok(saved)
}

/// The number of states in a health file.
///
/// # Errors
/// The file is malformed or has another version.
pub(crate) fn count_states(text: &[u8]) -> Result<usize, String> {
    Ok(parse(text)?.targets.len())
}

/// Reads a file of the state directory. Returns `None` if it does not exist.
///
/// # Errors
/// The file cannot be read, is not a regular file, or is too large.
pub fn read_file(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match files::read(path, FileKind::State) {
        Ok(content) => Ok(Some(content.octets)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(format!("it {error}")),
    }
}

/// Parses a file of the state directory.
///
/// # Errors
/// The text is not JSON, or not a `T`.
pub fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| format!("its content is not valid: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn states() -> SavedStates {
        let key = |address: &str| TargetKey {
            check: "web".into(),
            address: address.parse().unwrap(),
        };
        HashMap::from([
            (key("192.0.2.1:80"), HealthState::Up),
            (key("[2001:db8::1]:80"), HealthState::Down),
        ])
    }

    #[test]
    fn saved_states_are_loaded() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(load(directory.path()), LoadedHealth::default());
        std::fs::write(directory.path().join(NAME), to_json(&states(), NOW)).unwrap();
        assert_eq!(
            load(directory.path()),
            LoadedHealth {
                states: states(),
                warning: None
            }
        );
    }

    #[test]
    fn an_unusable_file_causes_a_warning_and_an_empty_start() {
        let directory = tempfile::tempdir().unwrap();
        let good = to_json(&states(), NOW);
        let other_version = String::from_utf8(good.clone())
            .unwrap()
            .replace("\"version\":1", "\"version\":2");
        let cut: Vec<Vec<u8>> = (0..good.len()).map(|size| good[..size].to_vec()).collect();
        for bad in
            cut.into_iter()
                .chain([other_version.into_bytes(), vec![0xff; 100], b"[]".to_vec()])
        {
            std::fs::write(directory.path().join(NAME), &bad).unwrap();
            let loaded = load(directory.path());
            assert!(loaded.states.is_empty() && loaded.warning.unwrap().contains("health.json: "));
        }
    }
}
