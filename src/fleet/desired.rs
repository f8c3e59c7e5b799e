//! What a fleet wants: its orders, as this server has seen them last.
//!
//! The orders of a fleet are values in a bucket of the engine, each under a key and with a revision.
//! [`DesiredState`] takes what the bucket says and tells what follows for this server. It never goes
//! back: a bucket that is gone, older, emptied or made anew is an [`OrdersAlarm`], and no order is
//! removed by that. Only a value removes an order, because it says who wanted that.
//!
//! A bucket is known by its mark, a value with a number that nobody else has and an epoch. An operator
//! who restores the orders from one server writes a mark of a later epoch, which all servers follow.
//! There is no clock and no socket here; values are opaque except for a [`ValueCheck`].

mod alarm;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::alarm::OrdersAlarm;

/// The key of a bucket's mark.
pub const MARK: &str = "_bucket";
/// Most keys of a bucket.
pub const MOST_KEYS: usize = 10_000;
/// New keys stop so much earlier, because many servers may write one at once.
const SPARE_KEYS: usize = 1_000;
/// Most keys that are written.
pub const MOST_WRITTEN: usize = MOST_KEYS - SPARE_KEYS;
/// Most octets of a value.
pub const MOST_OCTETS: usize = 6_144;
/// Most octets of all values together.
pub const MOST_OF_ALL: usize = 16 << 20;

/// Whether the value of a key is in force (true) or removes what was (false); an error is a clause
/// such as `is no JSON`.
pub type ValueCheck = fn(key: &str, value: &str) -> Result<bool, String>;

/// What a bucket is known by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketMark {
    /// A number that no other bucket has.
    pub id: u64,
    /// Rises when an operator restores the orders.
    pub epoch: u64,
    /// Who made or restored it.
    pub by: String,
}

/// The last that was seen of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredEntry {
    /// The revision of the key, also if its value was refused.
    pub revision: u64,
    /// The last value that counts; may be empty.
    pub value: String,
    /// Whether that value is in force.
    pub in_force: bool,
}

/// The last that was seen of a bucket, which outlives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredMemory {
    /// The fleet.
    pub fleet: String,
    /// The mark of the bucket.
    pub mark: BucketMark,
    /// The greatest revision.
    pub revision: u64,
    /// Every key without the mark.
    pub keys: BTreeMap<String, DesiredEntry>,
}

/// The newest value of a key, as the bucket has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketEntry {
    /// The key.
    pub key: String,
    /// Its revision. Revisions of a bucket rise over all of its keys.
    pub revision: u64,
    /// The value; `None`: the key was deleted by hand.
    pub value: Option<Vec<u8>>,
}

/// The newest values of all keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketSnapshot {
    /// The last revision that was given out, also if its value is gone.
    pub last_revision: u64,
    /// The entries.
    pub entries: Vec<BucketEntry>,
}

/// What follows from news of the bucket.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DesiredNews {
    /// Values that count from now on, in the order of their revisions.
    pub changes: Vec<DesiredChange>,
    /// Values that do not count, each with a clause.
    pub refused: Vec<RefusedValue>,
    /// What the bucket has to be asked.
    pub need: Option<BucketNeed>,
}

impl DesiredNews {
    fn needing(need: BucketNeed) -> DesiredNews {
        DesiredNews {
            need: Some(need),
            ..DesiredNews::default()
        }
    }
}

/// A key whose value has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredChange {
    /// The key.
    pub key: String,
    /// The revision.
    pub revision: u64,
    /// The new value; `None`: the key is not in the restored bucket.
    pub value: Option<String>,
    /// The value that was in force.
    pub before: Option<String>,
}

/// A value that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedValue {
    /// The key.
    pub key: String,
    /// The revision.
    pub revision: u64,
    /// Why, as a clause: `is no JSON`.
    pub clause: String,
}

/// A key as it is written when the orders are restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredKey {
    /// The key.
    pub key: String,
    /// Its value; `None`: it is removed.
    pub value: Option<String>,
    /// The revision that it has in the bucket; 0: none.
    pub expected: u64,
}

/// What the bucket has to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketNeed {
    /// It has to be made.
    Bucket,
    /// It is new and needs a mark.
    Mark,
    /// All of it has to be read again.
    Snapshot,
}

/// What a fleet wants, as this server knows it.
#[derive(Debug)]
pub struct DesiredState {
    fleet: String,
    check: ValueCheck,
    memory: Option<DesiredMemory>,
    alarm: Option<OrdersAlarm>,
    /// The newest revision of each key in the bucket, whether it counts or not.
    bucket: BTreeMap<String, u64>,
    /// Whether the bucket has been read since the start.
    is_current: bool,
    /// The octets of all values that are remembered.
    octets: usize,
}

impl DesiredState {
    /// The state of a server that remembers this from before its start. What it remembers of another
    /// fleet does not count.
    pub fn new(fleet: &str, memory: Option<DesiredMemory>, check: ValueCheck) -> DesiredState {
        let memory = memory.filter(|memory| memory.fleet == fleet);
        let mut octets = 0;
        for entry in memory.iter().flat_map(|memory| memory.keys.values()) {
            octets += entry.value.len();
        }
        DesiredState {
            fleet: fleet.to_owned(),
            check,
            memory,
            alarm: None,
            bucket: BTreeMap::new(),
            is_current: false,
            octets,
        }
    }

    /// What is to be remembered; `None`: no bucket was ever seen.
    pub fn memory(&self) -> Option<&DesiredMemory> {
        self.memory.as_ref()
    }

    /// Why the bucket does not count now.
    pub fn alarm(&self) -> Option<&OrdersAlarm> {
        self.alarm.as_ref()
    }

    /// Whether the bucket was read since the start, and counts.
    pub fn is_current(&self) -> bool {
        self.is_current && self.alarm.is_none()
    }

    /// The greatest revision that was seen; 0: none.
    pub fn revision(&self) -> u64 {
        self.memory.as_ref().map_or(0, |memory| memory.revision)
    }

    /// The revision that a writer expects of a key; 0: the key is new.
    pub fn expected(&self, key: &str) -> u64 {
        self.bucket.get(key).copied().unwrap_or(0)
    }

    /// Whether a value of so many octets has room.
    pub fn has_room(&self, key: &str, octets: usize) -> bool {
        let has_key = self.bucket.len() < MOST_WRITTEN || self.bucket.contains_key(key);
        has_key && self.octets.saturating_add(octets) <= MOST_OF_ALL
    }

    /// The bucket cannot be read. What is in force stays, and is not what the bucket has until it is
    /// read again.
    pub fn take_unread(&mut self) {
        self.is_current = false;
    }

    /// There is no bucket. One is made only by a server that has never seen any.
    pub fn take_missing(&mut self) -> DesiredNews {
        self.bucket.clear();
        if self.memory.is_some() {
            self.alarm = Some(OrdersAlarm::Gone);
            return DesiredNews::default();
        }
        DesiredNews::needing(BucketNeed::Bucket)
    }

    /// Takes the newest values of all keys.
    pub fn take_snapshot(&mut self, snapshot: &BucketSnapshot) -> DesiredNews {
        self.bucket.clear();
        let mut mark = None;
        for entry in &snapshot.entries {
            self.bucket.insert(entry.key.clone(), entry.revision);
            if entry.key == MARK {
                mark = read_mark(entry);
            }
        }
        let Some(mark) = mark else {
            if self.memory.is_none() && snapshot.last_revision == 0 {
                return DesiredNews::needing(BucketNeed::Mark);
            }
            self.alarm = Some(OrdersAlarm::Emptied(Vec::new()));
            return DesiredNews::default();
        };
        self.is_current = true;
        let restored = match &self.memory {
            Some(memory) => mark.epoch > memory.mark.epoch,
            None => true,
        };
        if restored {
            self.alarm = None;
            return self.adopt(mark, snapshot);
        }
        self.alarm = self.judge(&mark, snapshot);
        let mut news = DesiredNews::default();
        if self.alarm.is_none() {
            for entry in by_revision(&snapshot.entries) {
                self.apply(entry, &mut news);
            }
        }
        news
    }

    /// Takes one new value.
    pub fn take_entry(&mut self, entry: &BucketEntry) -> DesiredNews {
        let mut news = DesiredNews::default();
        let known = self.bucket.get(&entry.key).copied().unwrap_or(0);
        if entry.revision <= known {
            return news;
        }
        self.bucket.insert(entry.key.clone(), entry.revision);
        if entry.key == MARK || self.alarm.is_some() || self.memory.is_none() {
            news.need = Some(BucketNeed::Snapshot);
            return news;
        }
        self.apply(entry, &mut news);
        news
    }

    /// What an operator who restores the orders from this server has to write: the values in force,
    /// and the removal of every other key that the bucket has.
    pub fn restoration(&self) -> Vec<RestoredKey> {
        let mut keys = Vec::new();
        let mut ours = BTreeSet::new();
        if let Some(memory) = &self.memory {
            for (key, entry) in &memory.keys {
                if entry.in_force {
                    ours.insert(key);
                    keys.push(RestoredKey {
                        key: key.clone(),
                        value: Some(entry.value.clone()),
                        expected: self.expected(key),
                    });
                }
            }
        }
        for (key, revision) in &self.bucket {
            if key != MARK && !ours.contains(key) {
                keys.push(RestoredKey {
                    key: key.clone(),
                    value: None,
                    expected: *revision,
                });
            }
        }
        keys
    }

    /// The mark of a restored bucket, or of the first one.
    pub fn next_mark(&self, id: u64, by: &str) -> BucketMark {
        let epoch = self.memory.as_ref().map_or(0, |memory| memory.mark.epoch);
        BucketMark {
            id,
            epoch: epoch + 1,
            by: by.to_owned(),
        }
    }

    /// Why a bucket does not continue what was seen; `None`: it does.
    fn judge(&self, mark: &BucketMark, snapshot: &BucketSnapshot) -> Option<OrdersAlarm> {
        let memory = self.memory.as_ref()?;
        if mark.id != memory.mark.id {
            return Some(OrdersAlarm::Recreated);
        }
        let mut theirs = snapshot.last_revision;
        let mut found: BTreeMap<&str, &BucketEntry> = BTreeMap::new();
        for entry in &snapshot.entries {
            theirs = theirs.max(entry.revision);
            found.insert(&entry.key, entry);
        }
        let older = OrdersAlarm::Older {
            theirs,
            ours: memory.revision,
        };
        if theirs < memory.revision {
            return Some(older);
        }
        let mut missing = Vec::new();
        for (key, entry) in &memory.keys {
            match found.get(key.as_str()) {
                Some(theirs) if theirs.revision < entry.revision => return Some(older),
                Some(theirs) if theirs.value.is_some() => {}
                _ if entry.in_force => missing.push(key.clone()),
                _ => {}
            }
        }
        (!missing.is_empty()).then_some(OrdersAlarm::Emptied(missing))
    }

    /// Takes a bucket as it is: the first one, or one that was restored.
    fn adopt(&mut self, mark: BucketMark, snapshot: &BucketSnapshot) -> DesiredNews {
        let before = self.memory.replace(DesiredMemory {
            fleet: self.fleet.clone(),
            mark,
            revision: 0,
            keys: BTreeMap::new(),
        });
        self.octets = 0;
        let mut news = DesiredNews::default();
        for entry in by_revision(&snapshot.entries) {
            self.apply(entry, &mut news);
        }
        let held = before.map(|memory| memory.keys).unwrap_or_default();
        let mut found = BTreeSet::new();
        for change in &mut news.changes {
            change.before = in_force(&held, &change.key);
            found.insert(change.key.clone());
        }
        for (key, entry) in &held {
            if entry.in_force && !found.contains(key) {
                news.changes.push(DesiredChange {
                    key: key.clone(),
                    revision: self.revision(),
                    value: None,
                    before: Some(entry.value.clone()),
                });
            }
        }
        news
    }

    /// Takes one value of a bucket that counts. One that was seen already changes nothing.
    fn apply(&mut self, entry: &BucketEntry, news: &mut DesiredNews) {
        let Some(memory) = &mut self.memory else {
            return;
        };
        if entry.key == MARK {
            memory.revision = memory.revision.max(entry.revision);
            return;
        }
        let known = memory.keys.get(&entry.key);
        if known.is_some_and(|known| entry.revision <= known.revision) {
            return;
        }
        let before = known.filter(|known| known.in_force);
        let before = before.map(|known| known.value.clone());
        if entry.value.is_none() && before.is_some() {
            self.alarm = Some(OrdersAlarm::Emptied(vec![entry.key.clone()]));
            return;
        }
        let replaced = known.map_or(0, |known| known.value.len());
        let octets = self.octets - replaced + entry.value.as_ref().map_or(0, Vec::len);
        let read = if known.is_none() && memory.keys.len() >= MOST_KEYS {
            Err(format!("is beyond the {MOST_KEYS} keys of a fleet"))
        } else if octets > MOST_OF_ALL {
            Err(format!("is beyond the {MOST_OF_ALL} octets of a fleet"))
        } else {
            read_value(entry, self.check)
        };
        memory.revision = memory.revision.max(entry.revision);
        match read {
            Ok((value, in_force)) => {
                self.octets = octets;
                let taken = DesiredEntry {
                    revision: entry.revision,
                    value: value.to_owned(),
                    in_force,
                };
                memory.keys.insert(entry.key.clone(), taken);
                news.changes.push(DesiredChange {
                    key: entry.key.clone(),
                    revision: entry.revision,
                    value: Some(value.to_owned()),
                    before,
                });
            }
            Err(clause) => {
                if let Some(known) = memory.keys.get_mut(&entry.key) {
                    known.revision = entry.revision;
                }
                news.refused.push(RefusedValue {
                    key: entry.key.clone(),
                    revision: entry.revision,
                    clause,
                });
            }
        }
    }
}

fn in_force(keys: &BTreeMap<String, DesiredEntry>, key: &str) -> Option<String> {
    let entry = keys.get(key).filter(|entry| entry.in_force)?;
    Some(entry.value.clone())
}

fn by_revision(entries: &[BucketEntry]) -> Vec<&BucketEntry> {
    let mut sorted: Vec<&BucketEntry> = entries.iter().collect();
    sorted.sort_by_key(|entry| entry.revision);
    sorted
}

/// The text of a value, and whether it is in force. A key without a value has none.
fn read_value(entry: &BucketEntry, check: ValueCheck) -> Result<(&str, bool), String> {
    let Some(octets) = &entry.value else {
        return Ok(("", false));
    };
    if octets.len() > MOST_OCTETS {
        let length = octets.len();
        return Err(format!("has {length} octets, more than {MOST_OCTETS}"));
    }
    let text = str::from_utf8(octets).map_err(|_| "is no UTF-8".to_owned())?;
    Ok((text, check(&entry.key, text)?))
}

fn read_mark(entry: &BucketEntry) -> Option<BucketMark> {
    serde_json::from_slice(entry.value.as_deref()?).ok()
}

#[cfg(test)]
mod tests;
