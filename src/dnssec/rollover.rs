//! How the keys of a zone are replaced: the steps of a roll, and what each waits for (RFC 7583).
//!
//! A [`ZoneRoll`] is the whole state of one zone's roll. [`ZoneRoll::step`] is a pure function of it
//! and of facts: what is served, what the parent answers, and how much time has passed. While a roll
//! is under way, it alone says what its keys do; their own times are a copy for other tools.
//!
//! Two rules make it safe whatever happens. Time counts only while the present step is served, by a
//! clock that cannot be set, so neither a refused reload nor a wrong date shortens a wait. And a wait
//! for the parent starts again whenever one of its servers gives another answer, or none.

mod cancel;
mod parent;
mod roles;
mod roll_file;
mod sentence;
mod start;

use std::fmt;
use std::time::Duration;

pub use parent::{DsAnswer, ParentAnswer, ParentVerdict};
pub use roles::{KeyRoles, KeyStanding};
pub use roll_file::{roll_path, rolled_zone, write_roll_times};
pub use start::{RollPlan, RollRequest, RolledZone, public_halves};

use super::{KeyFile, KeyTimes, SigningAlgorithm, ZoneKey};

/// A key of a zone, as the name of its file tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyLabel {
    /// The number of its algorithm.
    pub algorithm: u8,
    /// Its key tag.
    pub tag: u16,
}

impl KeyLabel {
    /// The label of a key.
    pub fn of(key: &ZoneKey) -> KeyLabel {
        KeyLabel {
            algorithm: key.algorithm().number(),
            tag: key.tag(),
        }
    }
}

impl fmt::Display for KeyLabel {
    /// `12345 (ED25519)`: tag and algorithm.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SigningAlgorithm::from_number(self.algorithm) {
            Some(algorithm) => write!(f, "{} ({algorithm})", self.tag),
            None => write!(f, "{} (algorithm {})", self.tag, self.algorithm),
        }
    }
}

/// What is replaced, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollKind {
    /// The ZSK, by pre-publication (RFC 6781 section 4.1.1.1): answers never carry two signatures.
    Zsk,
    /// The KSK, by double signatures of the DNSKEY set (RFC 6781 section 4.1.2): the parent is asked
    /// once.
    Ksk,
    /// The key that signs everything. The DNSKEY set has two signatures as for a KSK; the old key
    /// signs the zone until the parent has the new DS record.
    Csk,
    /// All keys, by others of another algorithm, conservatively (RFC 6781 section 4.1.4): everything
    /// is signed by both before the new keys are published.
    Algorithm,
    /// All DS records are taken back, so that the zone may be unsigned (RFC 8078 section 4).
    Unsign,
}

/// A step of a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollPhase {
    /// The new keys sign the zone and are not published.
    SignAhead,
    /// The new keys are published.
    Publish,
    /// The parent is asked for the new DS record.
    Submit,
    /// The new key signs the zone; the old one is published.
    Retire,
    /// The old keys sign the zone and are not published any more.
    SignBehind,
    /// Nothing is left to do.
    Done,
}

/// What happens to a key; each is a time in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyEvent {
    Publish,
    Activate,
    Inactive,
    Delete,
    SyncPublish,
    SyncDelete,
}

impl KeyEvent {
    fn place(self, times: &mut KeyTimes) -> &mut Option<u64> {
        match self {
            KeyEvent::Publish => &mut times.publish,
            KeyEvent::Activate => &mut times.activate,
            KeyEvent::Inactive => &mut times.inactive,
            KeyEvent::Delete => &mut times.delete,
            KeyEvent::SyncPublish => &mut times.sync_publish,
            KeyEvent::SyncDelete => &mut times.sync_delete,
        }
    }
}

impl RollKind {
    /// The steps in their order.
    pub fn phases(self) -> &'static [RollPhase] {
        use RollPhase::{Done, Publish, Retire, SignAhead, SignBehind, Submit};
        match self {
            RollKind::Zsk => &[Publish, Retire, Done],
            RollKind::Ksk => &[Publish, Submit, Done],
            RollKind::Csk => &[Publish, Submit, Retire, Done],
            RollKind::Algorithm => &[SignAhead, Publish, Submit, SignBehind, Done],
            RollKind::Unsign => &[Submit, Done],
        }
    }

    /// What happens to the new and to the old keys when a step begins.
    fn events(self, phase: RollPhase) -> (&'static [KeyEvent], &'static [KeyEvent]) {
        use KeyEvent::{Activate, Delete, Inactive, Publish, SyncDelete, SyncPublish};
        match (self, phase) {
            (RollKind::Unsign, _) | (_, RollPhase::SignAhead) => (&[], &[]),
            (RollKind::Zsk, RollPhase::Publish) => (&[Publish], &[]),
            (RollKind::Zsk, RollPhase::Retire) => (&[Activate], &[Inactive]),
            (RollKind::Zsk | RollKind::Csk, RollPhase::Done) => (&[], &[Delete]),
            (RollKind::Algorithm, RollPhase::Done) => (&[], &[]),
            (_, RollPhase::Publish) => (&[Publish, Activate], &[]),
            (_, RollPhase::Submit) => (&[SyncPublish], &[SyncDelete]),
            (_, RollPhase::Retire) => (&[], &[Inactive]),
            (_, RollPhase::SignBehind | RollPhase::Done) => (&[], &[Inactive, Delete]),
        }
    }
}

/// What an operator knows about the servers of a zone and of its parent, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollDelays {
    /// Until every server of the zone serves a change.
    pub propagation: u32,
    /// Until every server of the parent serves a change.
    pub parent_propagation: u32,
    /// The TTL of DS records at the parent, unless its servers state a longer one.
    pub parent_ds_ttl: u32,
}

impl Default for RollDelays {
    /// An hour, an hour and a day, as BIND assumes.
    fn default() -> Self {
        RollDelays {
            propagation: 3600,
            parent_propagation: 3600,
            parent_ds_ttl: 86_400,
        }
    }
}

/// The longest TTLs of a zone as it is served, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ZoneTtls {
    /// Of the DNSKEY records.
    pub dnskey: u32,
    /// Of all other records, negative answers included.
    pub longest: u32,
}

/// What a step is computed from.
#[derive(Debug)]
pub struct RollFacts<'f> {
    /// For how long the present step was served since the last computation.
    pub elapsed: Duration,
    /// The wall clock in seconds since 1970, which may be wrong; for the times of keys alone.
    pub now: u64,
    /// What is served.
    pub ttls: ZoneTtls,
    /// The last answer of the parent, unless it is old.
    pub parent: Option<&'f ParentAnswer>,
    /// The delays.
    pub delays: RollDelays,
    /// The keys of the zone.
    pub keys: &'f [ZoneKey],
}

/// The state of a roll, as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneRoll {
    /// What is replaced.
    pub kind: RollKind,
    /// The step.
    pub phase: RollPhase,
    /// Rises with each step, also over several rolls of a zone, so that two states can be told
    /// apart.
    pub serial: u32,
    /// The keys that go.
    pub old: Vec<KeyLabel>,
    /// The keys that come.
    pub new: Vec<KeyLabel>,
    /// Seconds of the present wait that are over.
    pub waited: u64,
    /// Seconds that the present wait takes; 0: no server has computed it.
    pub needed: u64,
    /// The wall clock when `waited` was counted, for people.
    pub counted: u64,
    /// The latest time that a key of the zone was given. The keys are read as of that time at
    /// least, so a clock that goes back undoes nothing.
    pub floor: u64,
    /// The longest TTLs since the roll began.
    pub ttls: ZoneTtls,
    /// The longest TTL of DS records that the parent has stated.
    pub ds_ttl: u32,
    /// Whether the parent has what it was asked for, as far as the last answer tells.
    pub is_parent_ready: bool,
    /// What is wrong with the last answer of the parent, for people.
    pub parent_note: String,
}

/// What follows from a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollStep {
    /// The same step, with more of its wait behind it.
    Waits(ZoneRoll),
    /// The next step, which is to be saved and then served.
    Advances(ZoneRoll),
}

impl ZoneRoll {
    /// A roll at its first step. `before` is the last roll of the zone, if there was one.
    pub fn begin(
        kind: RollKind,
        old: Vec<KeyLabel>,
        new: Vec<KeyLabel>,
        before: Option<&ZoneRoll>,
        now: u64,
    ) -> ZoneRoll {
        let floor = before.map_or(0, |before| before.floor).max(now);
        ZoneRoll {
            kind,
            phase: kind.phases().first().copied().unwrap_or(RollPhase::Done),
            serial: before.map_or(1, |before| before.serial.saturating_add(1)),
            old,
            new,
            waited: 0,
            needed: 0,
            counted: floor,
            floor,
            ttls: before.map_or_else(ZoneTtls::default, |before| before.ttls),
            ds_ttl: before.map_or(0, |before| before.ds_ttl),
            is_parent_ready: false,
            parent_note: String::new(),
        }
    }

    /// Whether something is left to do.
    pub fn is_under_way(&self) -> bool {
        self.phase != RollPhase::Done
    }

    /// Whether the zone asks its parent to remove all DS records.
    pub fn asks_for_deletion(&self) -> bool {
        self.kind == RollKind::Unsign
    }

    /// Whether the parent must be asked.
    pub fn asks_parent(&self) -> bool {
        self.phase == RollPhase::Submit
    }

    /// The time as of which the keys of the zone are read: the clock, unless it has gone back.
    pub fn time_of_keys(&self, now: u64) -> u64 {
        now.max(self.floor)
    }

    /// Whether a key signs the zone without being published.
    pub fn signs_unpublished(&self, key: KeyLabel) -> bool {
        match self.phase {
            RollPhase::SignAhead => self.new.contains(&key),
            RollPhase::SignBehind => self.old.contains(&key),
            _ => false,
        }
    }

    /// Sets the times of a key to what the roll says: what has happened lies in the past, and what
    /// is to come has no time. Keys outside of the roll keep theirs.
    pub fn set_times(&self, key: KeyLabel, times: &mut KeyTimes) {
        let is_new = self.new.contains(&key);
        if !is_new && !self.old.contains(&key) {
            return;
        }
        let mut has_come = true;
        for phase in self.kind.phases() {
            let (new, old) = self.kind.events(*phase);
            for event in if is_new { new } else { old } {
                let place = event.place(times);
                *place = match *place {
                    _ if !has_come => None,
                    Some(time) => Some(time.min(self.floor)),
                    None => Some(self.floor),
                };
            }
            has_come &= *phase != self.phase;
        }
        if is_new {
            // A key without any time would be one of the time before keys had times.
            times.created.get_or_insert(self.floor);
        }
    }

    /// The same for a key with its files. Returns whether anything has changed.
    pub fn set_times_of(&self, key: &mut KeyFile) -> bool {
        let before = key.times.clone();
        self.set_times(KeyLabel::of(&key.public), &mut key.times);
        key.times != before
    }

    /// What follows from these facts.
    pub fn step(&self, facts: &RollFacts<'_>) -> RollStep {
        let mut roll = self.clone();
        roll.counted = facts.now;
        roll.ttls.dnskey = roll.ttls.dnskey.max(facts.ttls.dnskey);
        roll.ttls.longest = roll.ttls.longest.max(facts.ttls.longest);
        if roll.asks_parent() {
            roll.hear_parent(facts);
        } else {
            roll.waited = roll.waited.saturating_add(facts.elapsed.as_secs());
        }
        roll.needed = roll.needed(facts.delays);
        let is_ready = !roll.asks_parent() || roll.is_parent_ready;
        if !roll.is_under_way() || !is_ready || roll.waited < roll.needed {
            return RollStep::Waits(roll);
        }
        RollStep::Advances(roll.next(facts.now))
    }

    /// Counts only while the parent has what it was asked for.
    fn hear_parent(&mut self, facts: &RollFacts<'_>) {
        let Some(answer) = facts.parent else {
            // After a restart, nothing speaks against what was counted.
            self.is_parent_ready = false;
            return;
        };
        self.ds_ttl = self.ds_ttl.max(answer.longest_ttl());
        let verdict = self.judge(answer, facts.keys);
        self.is_parent_ready = verdict == ParentVerdict::Ready;
        match verdict {
            ParentVerdict::Ready => {
                self.waited = self.waited.saturating_add(facts.elapsed.as_secs());
                self.parent_note.clear();
            }
            // A server that was not heard may have given others the old records meanwhile.
            ParentVerdict::Other(note) | ParentVerdict::Unknown(note) => {
                self.waited = 0;
                self.parent_note = note;
            }
        }
    }

    /// Seconds that the present step takes.
    fn needed(&self, delays: RollDelays) -> u64 {
        let (ttl, delay) = match self.phase {
            RollPhase::SignAhead | RollPhase::Retire => (self.ttls.longest, delays.propagation),
            RollPhase::Publish | RollPhase::SignBehind => (self.ttls.dnskey, delays.propagation),
            RollPhase::Submit => {
                let ttl = self.ds_ttl.max(delays.parent_ds_ttl);
                (ttl, delays.parent_propagation)
            }
            RollPhase::Done => (0, 0),
        };
        // In its last second a record may still be used.
        u64::from(ttl)
            .saturating_add(delay.into())
            .saturating_add(1)
    }

    /// The state at the start of the next step.
    fn next(mut self, now: u64) -> ZoneRoll {
        let mut later = self
            .kind
            .phases()
            .iter()
            .skip_while(|it| **it != self.phase);
        later.next();
        self.phase = later.next().copied().unwrap_or(RollPhase::Done);
        self.serial = self.serial.saturating_add(1);
        self.waited = 0;
        self.needed = 0;
        self.floor = self.floor.max(now);
        self.is_parent_ready = false;
        self
    }
}

#[cfg(test)]
mod tests;
