//! The files of the state directory, which outlive a restart.
//!
//! Each file is a JSON list with a version, and a stamp that says when it was written. The state
//! writer replaces a file as a whole. A file that cannot be used at the start is renamed to
//! `NAME.unusable`, and the server starts with an empty list and a warning.

use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::clock::{ClockReading, FileStamp};
use super::fingerprint::ServedZone;
use super::state_directory::StateDirectory;
use crate::fleet::desired::DesiredMemory;
use crate::health::state;

const VERSION: u32 = 1;

/// The file of overrides.
pub const ORDERS: &str = "orders.json";
/// The file of what the fleet has agreed last.
pub const AGREED: &str = "agreed.json";
/// The file of leases.
pub const LEASES: &str = "leases.json";
/// The file of addresses that names were resolved to.
pub const NAMES: &str = "names.json";
/// The file of zones that are served, with their serials and the fingerprints of their records.
pub const ZONES: &str = "zones.json";
/// The file of the CDS records that parents were notified of.
pub const NOTICES: &str = "notices.json";
/// The file of serials of signed zones that rise by themselves.
pub const SERIALS: &str = "serials.json";
/// The file of regions that are ramping up.
pub const RAMPS: &str = "ramps.json";

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateList<T> {
    /// When it was written; absent in files of old versions.
    #[serde(default)]
    pub written: Option<FileStamp>,
    /// What is in it.
    pub items: Vec<T>,
    /// The last that was seen of the fleet's orders; only in the file of orders, so that both are
    /// always of one moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<DesiredMemory>,
}

impl<T> Default for StateList<T> {
    fn default() -> StateList<T> {
        StateList {
            written: None,
            items: Vec::new(),
            seen: None,
        }
    }
}

impl<T> StateList<T> {
    /// How long before `now` it was written, if it says so.
    pub fn gap(&self, now: &ClockReading) -> Option<Duration> {
        let written = self.written.as_ref()?;
        Some(written.gap(&FileStamp::of(now)))
    }
}

#[derive(Serialize, Deserialize)]
struct Saved<L> {
    version: u32,
    #[serde(flatten)]
    list: L,
}

/// Reads a list. A file that cannot be used gives an empty list and a warning. It is kept as
/// `NAME.unusable`, because the next change writes a new file.
pub fn load<T: DeserializeOwned>(directory: &Path, name: &str) -> (StateList<T>, Option<String>) {
    let path = directory.join(name);
    let reason = match read_list(&path) {
        Ok(list) => return (list, None),
        Err(reason) => reason,
    };
    let kept = put_aside(&path, &directory.join(format!("{name}.unusable")));
    let path = path.display();
    let warning = format!("{path}: {reason}; nothing of it is in force, {kept}");
    (StateList::default(), Some(warning))
}

/// Renames a file that cannot be used, and says what became of it.
fn put_aside(path: &Path, aside: &Path) -> String {
    match std::fs::rename(path, aside) {
        Ok(()) => format!("it is kept as {}", aside.display()),
        Err(_) => "it stays until something new is ordered".to_owned(),
    }
}

/// Reads a list without changing any files; an empty one if it cannot be used.
pub(super) fn look<T: DeserializeOwned>(directory: &Path, name: &str) -> StateList<T> {
    read_list(&directory.join(name)).unwrap_or_default()
}

/// The zones that were served last; none if the file cannot be used. This changes no files.
pub fn served_zones(directory: &Path) -> Vec<ServedZone> {
    look(directory, ZONES).items
}

/// Reads a file; an empty list if there is none.
fn read_list<T: DeserializeOwned>(path: &Path) -> Result<StateList<T>, String> {
    match state::read_file(path)? {
        Some(text) => parse(&text),
        None => Ok(StateList::default()),
    }
}

/// Reads the text of a list.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<StateList<T>, String> {
    let saved: Saved<StateList<T>> = state::parse_json(text)?;
    if saved.version == VERSION {
        Ok(saved.list)
    } else {
        Err(format!("its version is {}, not {VERSION}", saved.version))
    }
}

/// Writes a list. It is on disk when this returns.
///
/// # Errors
/// A sentence with the file and what went wrong. The old file stays.
pub(super) fn save<T: Serialize>(
    directory: &StateDirectory,
    name: &str,
    list: &StateList<T>,
) -> Result<(), String> {
    let text = text(list).map_err(|error| format!("{name}: cannot be written: {error}"))?;
    write(directory, name, &text)
}

/// The text of a list.
///
/// # Errors
/// It cannot be put into JSON.
pub(super) fn text<T: Serialize>(list: &StateList<T>) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Saved {
        version: VERSION,
        list,
    })
}

pub(super) fn write(directory: &StateDirectory, name: &str, text: &[u8]) -> Result<(), String> {
    let path = directory.path().join(name);
    directory
        .replace(name, text)
        .map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_states_are_loaded() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            load::<u32>(folder.path(), ORDERS),
            (StateList::default(), None)
        );
        let list = StateList {
            written: Some(FileStamp::of(&ClockReading::now())),
            items: vec![1, 2, 3],
            seen: None,
        };
        save(&StateDirectory::own(folder.path()).unwrap(), ORDERS, &list).unwrap();
        assert_eq!(load(folder.path(), ORDERS), (list, None));
    }

    #[test]
    fn an_unusable_file_is_reported_and_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::own(folder.path()).unwrap();
        save(
            &directory,
            ORDERS,
            &StateList {
                written: None,
                items: vec![1, 2, 3],
                seen: None,
            },
        )
        .unwrap();
        let good = std::fs::read(folder.path().join(ORDERS)).unwrap();
        let newer = String::from_utf8(good.clone())
            .unwrap()
            .replace("\"version\":1", "\"version\":2");
        let cut = (0..good.len()).map(|size| good[..size].to_vec());
        for bad in cut.chain([newer.into_bytes(), b"{}".to_vec(), vec![0xff; 100]]) {
            std::fs::write(folder.path().join(ORDERS), &bad).unwrap();
            let (list, warning) = load::<u32>(folder.path(), ORDERS);
            assert!(list.items.is_empty() && warning.unwrap().contains("orders.json: "));
            assert_eq!(
                std::fs::read(folder.path().join("orders.json.unusable")).unwrap(),
                bad
            );
        }
    }

    #[test]
    fn a_directory_that_cannot_be_created_is_reported() {
        let directory = StateDirectory::own(Path::new("/dev/null/meridian")).unwrap();
        let told = save(
            &directory,
            ORDERS,
            &StateList {
                written: None,
                items: vec![1],
                seen: None,
            },
        )
        .unwrap_err();
        assert!(told.contains("orders.json: cannot be written: "), "{told}");
    }
}
