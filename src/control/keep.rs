//! Keeping: what outlives a restart, as files in the state directory, each replaced whole by the keeper's thread.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keeper::Ticket;
use super::operate::{Changed, Refusal};
use super::reload::{Control, Current};
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

/// How long a change waits to be on disk before it is told that it is not, and how long a stop waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file that was handed to the keeper.
pub(super) type Handed = (&'static str, Ticket);

// Whoever hands something in holds what is current, so that what comes last is the newest.
impl Control {
    /// Waits until a change is kept, though not for a disk that hangs.
    pub(super) async fn kept(&self, sentence: String, (name, ticket): Handed) -> Result<Changed, Refusal> {
        match self.keeper.wait(name, ticket, PATIENCE).await {
            Ok(()) => Ok(Changed { sentence, kept: true }),
            Err(reason) => Err(Refusal::NotKept(format!(
                "{sentence}; but this would not outlive a restart yet: {reason} (it is tried until it succeeds)"
            ))),
        }
    }

    /// Has the orders written; `None`: there is no state directory.
    pub(super) fn keep_orders(&self, current: &Current) -> Option<Handed> {
        self.keep_list(current, ORDERS, current.demands.book.iter().cloned().collect())
    }

    /// Has the leases written; `None`: there is no state directory.
    pub(super) fn keep_leases(&self, current: &Current) -> Option<Handed> {
        self.keep_list(current, LEASES, current.demands.leases.iter().cloned().collect())
    }

    /// Has a list written; `None`: there is no state directory.
    pub(super) fn keep_list<T>(&self, current: &Current, name: &'static str, items: Vec<T>) -> Option<Handed>
    where
        T: Serialize + Send + Sync + 'static,
    {
        let directory = current.config.state_directory.clone()?;
        Some((name, self.keeper.hand(name, Arc::new(move || save(&directory, name, &items)))))
    }

    /// Has the agreed health written, if it is another than was handed in before.
    pub(super) fn keep_verdicts(&self, current: &mut Current) {
        let (Some(watch), Some(directory)) = (&self.watch.get(), &current.config.state_directory) else { return };
        let verdicts = Arc::new(watch.monitor.verdicts());
        if current.told.saved.as_ref() == Some(&verdicts) {
            return;
        }
        let (directory, now, agreed) = (directory.clone(), SystemTime::now(), verdicts.clone());
        self.keeper.hand(state::NAME, Arc::new(move || state::save(&directory, &agreed, now)));
        current.told.saved = Some(verdicts);
    }

    /// Has everything written: to another directory.
    pub(super) fn keep_everything(&self, current: &mut Current) {
        self.keep_orders(current);
        self.keep_leases(current);
        current.told.saved = None;
        self.keep_verdicts(current);
    }

    /// Before a stop: writes what is left, though a disk that hangs is not waited for.
    pub fn finish_keeping(&self) {
        self.keep_verdicts(&mut self.current());
        self.keeper.finish(PATIENCE);
    }
}

#[derive(Serialize, Deserialize)]
struct Saved<T> {
    version: u32,
    items: T,
}

/// Reads a list. A file that cannot be used is a warning and an empty list, and stays beside as `NAME.unusable`, since
/// the next order writes a new one.
pub fn load<T: DeserializeOwned>(directory: &Path, name: &str) -> (Vec<T>, Option<String>) {
    let path = directory.join(name);
    let read = state::read_file(&path, LARGEST).and_then(|text| text.map(|text| parse(&text)).transpose());
    let reason = match read {
        Ok(items) => return (items.unwrap_or_default(), None),
        Err(reason) => reason,
    };
    let aside = directory.join(format!("{name}.unusable"));
    let kept = match std::fs::rename(&path, &aside) {
        Ok(()) => format!("it is kept as {}", aside.display()),
        Err(_) => "it stays until something new is ordered".to_owned(),
    };
    (Vec::new(), Some(format!("{}: {reason}; nothing of it is in force, {kept}", path.display())))
}

/// The items of a list.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<Vec<T>, String> {
    let saved: Saved<Vec<T>> = state::parse_json(text)?;
    if saved.version == VERSION {
        Ok(saved.items)
    } else {
        Err(format!("its version is {}, not {VERSION}", saved.version))
    }
}

/// Writes a list; on disk when this returns.
///
/// # Errors
/// A sentence with the file and what went wrong; the file before stays.
pub fn save<T: Serialize>(directory: &Path, name: &str, items: &[T]) -> Result<(), String> {
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
        save(folder.path(), ORDERS, &[1, 2, 3]).unwrap();
        assert_eq!(load(folder.path(), ORDERS), (vec![1, 2, 3], None));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_and_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), ORDERS, &[1, 2, 3]).unwrap();
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
    fn a_directory_that_cannot_be_is_told() {
        let told = save(Path::new("/dev/null/meridian"), ORDERS, &[1]).unwrap_err();
        assert!(told.contains("orders.json: cannot be written: "), "{told}");
    }
}
