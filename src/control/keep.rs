//! Keeping: lists of orders, leases and names as files in the state directory, each replaced whole.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::health::state;

const VERSION: u32 = 1;
/// Room for the most orders with the longest reasons.
const LARGEST: u64 = 64 * 1024 * 1024;

/// File of the orders.
pub const ORDERS: &str = "orders.json";
/// File of the leases.
pub const LEASES: &str = "leases.json";
/// File of what names were resolved to.
pub const NAMES: &str = "names.json";

#[derive(Serialize, Deserialize)]
struct Saved<T> {
    version: u32,
    items: Vec<T>,
}

/// Reads a list. A file that cannot be used is a warning and an empty list, and stays beside as `NAME.unusable`, since
/// the next order writes a new one.
pub fn load<T: DeserializeOwned>(directory: &Path, name: &str) -> (Vec<T>, Option<String>) {
    let path = directory.join(name);
    let reason = match state::read_json::<Saved<T>>(&path, LARGEST) {
        Ok(None) => return (Vec::new(), None),
        Ok(Some(saved)) if saved.version == VERSION => return (saved.items, None),
        Ok(Some(saved)) => format!("its version is {}, not {VERSION}", saved.version),
        Err(reason) => reason,
    };
    let aside = directory.join(format!("{name}.unusable"));
    let kept = match std::fs::rename(&path, &aside) {
        Ok(()) => format!("it is kept as {}", aside.display()),
        Err(_) => "it stays until something new is ordered".to_owned(),
    };
    (Vec::new(), Some(format!("{}: {reason}; nothing of it is in force, {kept}", path.display())))
}

/// Writes a list; on disk when this returns.
///
/// # Errors
/// A sentence with the file and what went wrong; the file before stays.
pub fn save<T: Serialize>(directory: &Path, name: &str, items: Vec<T>) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: cannot be written: {error}", directory.join(name).display());
    let text = serde_json::to_vec(&Saved { version: VERSION, items }).map_err(|error| told(error.into()))?;
    state::replace_file(directory, name, &text).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load::<u32>(folder.path(), ORDERS), (vec![], None));
        save(folder.path(), ORDERS, vec![1, 2, 3]).unwrap();
        assert_eq!(load(folder.path(), ORDERS), (vec![1, 2, 3], None));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_and_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), ORDERS, vec![1, 2, 3]).unwrap();
        let good = std::fs::read(folder.path().join(ORDERS)).unwrap();
        let newer = String::from_utf8(good.clone()).unwrap().replace("\"version\":1", "\"version\":2");
        let cut = (0..good.len()).map(|size| good[..size].to_vec());
        for bad in cut.chain([newer.into_bytes(), b"{}".to_vec(), vec![0xff; 100]]) {
            std::fs::write(folder.path().join(ORDERS), &bad).unwrap();
            let (items, warning) = load::<u32>(folder.path(), ORDERS);
            assert!(items.is_empty() && warning.unwrap().contains("orders.json: "));
            assert_eq!(std::fs::read(folder.path().join("orders.json.unusable")).unwrap(), bad);
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let told = save(Path::new("/nonexistent/meridian"), ORDERS, vec![1]).unwrap_err();
        assert!(told.contains("orders.json: cannot be written: "), "{told}");
    }
}
