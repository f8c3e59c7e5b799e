//! Keeping: what outlives a restart, as files in the state directory, each replaced whole by the keeper's thread.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::clock::{ClockReading, FileStamp};
use super::fingerprint::ServedZone;
use super::health::since_boot;
use super::keeper::WriteTicket;
use super::operate::{ChangeOutcome, ChangeRefusal};
use super::reload::{Control, ControlState};
use super::state_directory::StateDirectory;
use crate::config::Config;
use crate::config::values::duration_text;
use crate::health::state;

const VERSION: u32 = 1;

/// File of the orders.
pub const ORDERS: &str = "orders.json";
/// File of the leases.
pub const LEASES: &str = "leases.json";
/// File of what names were resolved to.
pub const NAMES: &str = "names.json";

/// File of the zones that are served: their serials, and fingerprints of their records.
pub const ZONES: &str = "zones.json";
/// File of the regions that are coming back.
pub const RAMPS: &str = "ramps.json";

/// How long a change waits to be on disk before it is told that it is not, and how long a stop waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file that was handed to the keeper.
pub(super) type PendingFile = (&'static str, WriteTicket);

// Whoever hands something in holds what is current, so that what comes last is the newest.
impl Control {
    /// Waits until a change is kept, though not for a disk that hangs.
    pub(super) async fn kept(
        &self,
        sentence: String,
        (name, ticket): PendingFile,
    ) -> Result<ChangeOutcome, ChangeRefusal> {
        match self.keeper.wait(name, ticket, PATIENCE).await {
            Ok(()) => Ok(ChangeOutcome {
                sentence,
                kept: true,
            }),
            Err(reason) => Err(ChangeRefusal::NotKept(format!(
                "{sentence}; but this would not outlive a restart yet: {reason} (it is tried until it succeeds)"
            ))),
        }
    }

    /// Where what must outlive a restart is kept; `None`: nowhere.
    pub fn state_directory(&self) -> Option<Arc<StateDirectory>> {
        self.current().state.clone()
    }

    /// What takes the place of the state directory under a new configuration; `None`: it stays.
    ///
    /// # Errors
    /// A sentence: another server owns it.
    pub(super) fn other_state_directory(
        &self,
        new: &Config,
    ) -> Result<Option<Option<StateDirectory>>, String> {
        let state = self.current().state.clone();
        match (state, &new.state_directory) {
            (None, None) => Ok(None),
            (Some(state), Some(path)) if state.is_at(path) => Ok(None),
            (_, path) => path
                .as_deref()
                .map(StateDirectory::own)
                .transpose()
                .map(Some),
        }
    }

    /// Somebody has set the wall clock. Nothing ends by it; but what is on disk was stamped by the old time, by which the
    /// next boot would reckon how long nobody was there.
    pub(super) fn note_step(&self, forward: bool, size: Duration) {
        // A step is noticed between two ticks, so its fractions of a second say nothing.
        let size = Duration::from_secs(size.as_secs_f64().round() as u64);
        let (size, direction) = (
            duration_text(size),
            if forward { "forward" } else { "back" },
        );
        tracing::warn!(
            "the wall clock was set {direction} by {size}; nothing ends sooner or later by that"
        );
        let current = self.current();
        self.keep_orders(&current);
        self.keep_leases(&current);
    }

    /// Has the orders written; `None`: there is no state directory.
    pub(super) fn keep_orders(&self, current: &ControlState) -> Option<PendingFile> {
        let now = ClockReading::now();
        self.keep_list_at(
            current,
            ORDERS,
            current
                .demands
                .book
                .iter()
                .map(|order| order.record(&now))
                .collect(),
            &now,
        )
    }

    /// Has the leases written; `None`: there is no state directory.
    pub(super) fn keep_leases(&self, current: &ControlState) -> Option<PendingFile> {
        let now = ClockReading::now();
        let leases = current
            .demands
            .leases
            .iter()
            .map(|lease| lease.record(&now));
        self.keep_list_at(current, LEASES, leases.collect(), &now)
    }

    /// Has a list written; `None`: there is no state directory.
    pub(super) fn keep_list<T>(
        &self,
        current: &ControlState,
        name: &'static str,
        items: Vec<T>,
    ) -> Option<PendingFile>
    where
        T: Serialize + Send + Sync + 'static,
    {
        self.keep_list_at(current, name, items, &ClockReading::now())
    }

    /// The same of what was true at this moment.
    fn keep_list_at<T>(
        &self,
        current: &ControlState,
        name: &'static str,
        items: Vec<T>,
        at: &ClockReading,
    ) -> Option<PendingFile>
    where
        T: Serialize + Send + Sync + 'static,
    {
        let (directory, list) = (
            current.state.clone()?,
            StateList {
                items,
                written: Some(FileStamp::of(at)),
            },
        );
        Some((
            name,
            self.keeper
                .hand(name, Arc::new(move || save(&directory, name, &list))),
        ))
    }

    /// Has the agreed health written, if it is another than was handed in before.
    pub(super) fn keep_verdicts(&self, current: &mut ControlState) {
        let (Some(watch), Some(directory)) = (&self.watch.get(), &current.state) else {
            return;
        };
        let verdicts = Arc::new(watch.monitor.verdicts());
        if current.told.saved.as_ref() == Some(&verdicts) {
            return;
        }
        let (directory, now, agreed) = (
            directory.clone(),
            ClockReading::now().wall.as_secs(),
            verdicts.clone(),
        );
        self.keeper.hand(
            state::NAME,
            Arc::new(move || write(&directory, state::NAME, &state::text(&agreed, now))),
        );
        current.told.saved = Some(verdicts);
    }

    /// Regions that were coming back before the restart go on from where they were.
    pub(super) fn go_on_with_ramps(&self) {
        let mut current = self.current();
        let Some(directory) = current.state.clone() else {
            return;
        };
        let (ramps, warning) = load(directory.path(), RAMPS);
        warning
            .iter()
            .for_each(|warning| tracing::warn!("{warning}"));
        let gap = ramps.gap(&ClockReading::now()).unwrap_or_default();
        let config = current.config.clone();
        current
            .memory
            .go_on(&config, &ramps.items, gap, since_boot());
    }

    /// Has it written which regions are coming back, if these are others than before.
    pub(super) fn keep_ramps(&self, current: &mut ControlState) {
        let ramps = current.memory.ramps(&current.config, since_boot());
        let regions = || {
            ramps
                .iter()
                .map(|ramp| (ramp.service.clone(), ramp.region.clone()))
        };
        if !regions().eq(current.told.ramps.iter().cloned()) {
            current.told.ramps = regions().collect();
            self.keep_list(current, RAMPS, ramps);
        }
    }

    /// Has it written which zones are served.
    pub(super) fn keep_zones(&self, current: &ControlState) {
        self.keep_list(current, ZONES, current.prints.zones());
    }

    /// Has everything written: to another directory.
    pub(super) fn keep_everything(&self, current: &mut ControlState) {
        self.keep_orders(current);
        self.keep_leases(current);
        current.told.saved = None;
        current.told.ramps.clear();
        self.keep_verdicts(current);
    }

    /// Before a stop: writes what is left, though a disk that hangs is not waited for.
    pub fn finish_keeping(&self) {
        self.keep_verdicts(&mut self.current());
        self.keeper.finish(PATIENCE);
    }
}

/// A list of the state directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateList<T> {
    /// When it was written; absent in files of before this was noted.
    #[serde(default)]
    pub written: Option<FileStamp>,
    /// What is in it.
    pub items: Vec<T>,
}

impl<T> Default for StateList<T> {
    fn default() -> StateList<T> {
        StateList {
            written: None,
            items: Vec::new(),
        }
    }
}

impl<T> StateList<T> {
    /// How long before `now` it was written, if it says so.
    pub fn gap(&self, now: &ClockReading) -> Option<Duration> {
        self.written
            .as_ref()
            .map(|written| written.gap(&FileStamp::of(now)))
    }
}

#[derive(Serialize, Deserialize)]
struct Saved<L> {
    version: u32,
    #[serde(flatten)]
    list: L,
}

/// Reads a list. A file that cannot be used is a warning and an empty list, and stays beside as `NAME.unusable`, since
/// the next order writes a new one.
pub fn load<T: DeserializeOwned>(directory: &Path, name: &str) -> (StateList<T>, Option<String>) {
    let path = directory.join(name);
    let read = state::read_file(&path).and_then(|text| text.map(|text| parse(&text)).transpose());
    let reason = match read {
        Ok(list) => return (list.unwrap_or_default(), None),
        Err(reason) => reason,
    };
    let aside = directory.join(format!("{name}.unusable"));
    let kept = match std::fs::rename(&path, &aside) {
        Ok(()) => format!("it is kept as {}", aside.display()),
        Err(_) => "it stays until something new is ordered".to_owned(),
    };
    (
        StateList::default(),
        Some(format!(
            "{}: {reason}; nothing of it is in force, {kept}",
            path.display()
        )),
    )
}

/// The zones that were served last, as far as the state directory can say. Nothing is changed there.
pub fn served_zones(directory: &Path) -> Vec<ServedZone> {
    let text = state::read_file(&directory.join(ZONES)).ok().flatten();
    text.and_then(|text| parse(&text).ok())
        .unwrap_or_default()
        .items
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

/// Writes a list; on disk when this returns.
///
/// # Errors
/// A sentence with the file and what went wrong; the file before stays.
fn save<T: Serialize>(
    directory: &StateDirectory,
    name: &str,
    list: &StateList<T>,
) -> Result<(), String> {
    let text = serde_json::to_vec(&Saved {
        version: VERSION,
        list,
    });
    write(
        directory,
        name,
        &text.map_err(|error| format!("{name}: cannot be written: {error}"))?,
    )
}

fn write(directory: &StateDirectory, name: &str, text: &[u8]) -> Result<(), String> {
    let path = directory.path().join(name);
    directory
        .replace(name, text)
        .map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            load::<u32>(folder.path(), ORDERS),
            (StateList::default(), None)
        );
        let list = StateList {
            written: Some(FileStamp::of(&ClockReading::now())),
            items: vec![1, 2, 3],
        };
        save(&StateDirectory::own(folder.path()).unwrap(), ORDERS, &list).unwrap();
        assert_eq!(load(folder.path(), ORDERS), (list, None));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_and_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::own(folder.path()).unwrap();
        save(
            &directory,
            ORDERS,
            &StateList {
                written: None,
                items: vec![1, 2, 3],
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
    fn a_directory_that_cannot_be_is_told() {
        let directory = StateDirectory::own(Path::new("/dev/null/meridian")).unwrap();
        let told = save(
            &directory,
            ORDERS,
            &StateList {
                written: None,
                items: vec![1],
            },
        )
        .unwrap_err();
        assert!(told.contains("orders.json: cannot be written: "), "{told}");
    }
}
