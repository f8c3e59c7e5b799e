//! State: the last agreed verdicts on disk, so that a restart neither forgets who is dead nor has to guess.

use std::collections::HashMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::check::TargetKey;
use super::verdict::HealthState;
use crate::files::{self, FileKind};

const VERSION: u32 = 1;
/// File of the agreed health.
pub const NAME: &str = "health.json";

/// Verdicts by target.
pub type SavedVerdicts = HashMap<TargetKey, HealthState>;

/// What a start finds.
#[derive(Debug, Default, PartialEq)]
pub struct LoadedHealth {
    /// What was agreed; empty where there is nothing to go by.
    pub verdicts: SavedVerdicts,
    /// Why there is nothing to go by, where something was there.
    pub warning: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    /// Seconds since 1970; for people, since a wall clock may be set: what is agreed holds until probes prove otherwise,
    /// however old it is.
    saved_at: u64,
    targets: Vec<SavedTarget>,
}

#[derive(Serialize, Deserialize)]
struct SavedTarget {
    check: String,
    address: std::net::SocketAddr,
    verdict: HealthState,
}

/// Reads what was agreed. A file that cannot be used is a warning and a fresh start, never an error.
pub fn load(directory: &Path) -> LoadedHealth {
    let path = directory.join(NAME);
    let saved = match read(&path) {
        Ok(Some(saved)) => saved,
        Ok(None) => return LoadedHealth::default(),
        Err(reason) => {
            let warning = format!("{}: {reason}; health starts from nothing", path.display());
            return LoadedHealth {
                warning: Some(warning),
                ..LoadedHealth::default()
            };
        }
    };
    let key = |target: &SavedTarget| TargetKey {
        check: target.check.as_str().into(),
        address: target.address,
    };
    let verdicts = saved
        .targets
        .iter()
        .map(|target| (key(target), target.verdict))
        .collect();
    LoadedHealth {
        verdicts,
        warning: None,
    }
}

/// The file of what is agreed at `now`, in seconds since 1970.
pub fn text(verdicts: &SavedVerdicts, now: u64) -> Vec<u8> {
    let known = verdicts
        .iter()
        .filter(|(_, verdict)| **verdict != HealthState::Unknown);
    let target = |(key, verdict): (&TargetKey, &HealthState)| SavedTarget {
        check: key.check.to_string(),
        address: key.address,
        verdict: *verdict,
    };
    let mut targets: Vec<SavedTarget> = known.map(target).collect();
    targets.sort_by(|one, other| (&one.check, one.address).cmp(&(&other.check, other.address)));
    let saved = Saved {
        version: VERSION,
        saved_at: now,
        targets,
    };
    serde_json::to_vec(&saved).expect("its keys are texts, and none of its parts refuses")
}

fn read(path: &Path) -> Result<Option<Saved>, String> {
    read_file(path)?.map(|text| parse(&text)).transpose()
}

fn parse(text: &[u8]) -> Result<Saved, String> {
    let saved: Saved = parse_json(text)?;
    if saved.version != VERSION {
        return Err(format!("its version is {}, not {VERSION}", saved.version));
    }
    Ok(saved)
}

/// How many verdicts a file of the agreed health holds.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn verdicts_in(text: &[u8]) -> Result<usize, String> {
    parse(text).map(|saved| saved.targets.len())
}

/// Reads a file of the state directory; `None` where there is none.
///
/// # Errors
/// What is wrong with it: it cannot be read, is no file, or is too large.
pub fn read_file(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match files::read(path, FileKind::State) {
        Ok(content) => Ok(Some(content.octets)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(format!("it {error}")),
    }
}

/// What such a file says.
///
/// # Errors
/// It does not hold a `T`.
pub fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| format!("it holds something else: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn verdicts() -> SavedVerdicts {
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
    fn what_is_saved_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(load(directory.path()), LoadedHealth::default());
        std::fs::write(directory.path().join(NAME), text(&verdicts(), NOW)).unwrap();
        assert_eq!(
            load(directory.path()),
            LoadedHealth {
                verdicts: verdicts(),
                warning: None
            }
        );
    }

    #[test]
    fn a_file_that_cannot_be_used_is_a_warning_and_a_fresh_start() {
        let directory = tempfile::tempdir().unwrap();
        let good = text(&verdicts(), NOW);
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
            assert!(
                loaded.verdicts.is_empty() && loaded.warning.unwrap().contains("health.json: ")
            );
        }
    }
}
