//! Carries out rolls of keys: counts the time that a step is served, asks the parent, and saves what
//! follows.
//!
//! What is to be done is decided by [`ZoneRoll::step`]. A step is saved in the folder of keys first,
//! and then served by a reload. Only rolls that were loaded with what is served are here, so time is
//! counted for what is served. The parent is asked by a task of its own, because its servers may be
//! slow.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::BootTime;
use super::signing::{self, now};
use crate::config::{Config, DnssecConfig};
use crate::dns::{Name, RecordType};
use crate::dnssec::rollover::{
    DsAnswer, ParentAnswer, RollFacts, RollStep, ZoneTtls, public_halves, roll_path,
    write_roll_times,
};
use crate::dnssec::{KeyFolder, ZoneKey, ZoneRoll};
use crate::zone::Zone;

/// Seconds of a wait after which it is saved: a restart loses no more.
const SAVE: u64 = 60;
/// How long to wait after a file could not be written.
const RETRY: Duration = Duration::from_secs(60);
/// The least and the most time between two questions to a parent.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(600));

/// An answer of a parent counts for this much longer than three times the time between two questions:
/// many zones may be asked about before.
const PATIENCE: Duration = Duration::from_secs(60);

/// A roll that is under way, and what is served of its zone.
#[derive(Debug, Clone)]
pub struct ServedRoll {
    /// The zone.
    pub zone: Name,
    roll: ZoneRoll,
    keys: Vec<ZoneKey>,
    ttls: ZoneTtls,
    /// The state on the disk, as far as it is known.
    saved: ZoneRoll,
}

/// The rolls that are under way in a folder, for the zones that are signed here.
pub fn under_way(config: &Config, folder: &KeyFolder, zones: &[Zone]) -> Vec<ServedRoll> {
    let mut rolls = Vec::new();
    let Some(dnssec) = config.dnssec.as_ref().filter(|dnssec| dnssec.rolls) else {
        return rolls;
    };
    for zone in zones {
        let origin = zone.origin.to_lower();
        let Some(roll) = folder.roll_of(origin.as_wire()) else {
            continue;
        };
        if !roll.is_under_way() || !signing::is_selected(dnssec, zone) {
            continue;
        }
        rolls.push(ServedRoll {
            ttls: ttls_of(config, zone),
            roll: roll.clone(),
            saved: roll.clone(),
            keys: public_halves(folder.of_zone(origin.as_wire())),
            zone: origin,
        });
    }
    rolls
}

/// The longest TTLs of a zone and of the names that are steered in it.
fn ttls_of(config: &Config, zone: &Zone) -> ZoneTtls {
    let mut ttls = ZoneTtls::default();
    for rrset in zone.rrsets() {
        if rrset.rtype() == RecordType::DNSKEY {
            ttls.dnskey = ttls.dnskey.max(rrset.ttl());
        }
        ttls.longest = ttls.longest.max(rrset.ttl());
    }
    for service in &config.services {
        if is_within(&service.name, &zone.origin) {
            ttls.longest = ttls.longest.max(service.ttl);
        }
    }
    ttls
}

/// Whether a name is an apex or below it.
fn is_within(name: &Name, apex: &Name) -> bool {
    let mut name = Some(name.clone());
    while let Some(above) = name {
        if above == *apex {
            return true;
        }
        name = above.parent();
    }
    false
}

/// The rolls that are under way, as they are served.
#[derive(Default)]
pub struct RollBoard {
    rolls: Vec<ServedRoll>,
    /// Until when time was counted; `None`: it begins now.
    counted: Option<BootTime>,
    /// No attempt before, because a file could not be written.
    pause: Option<BootTime>,
    /// The disk has another state than what is served; a load follows.
    is_stale: bool,
}

impl RollBoard {
    /// Rolls that were loaded and are served from now on.
    pub fn new(rolls: Vec<ServedRoll>) -> RollBoard {
        RollBoard {
            rolls,
            ..RollBoard::default()
        }
    }

    /// What each roll waits for, by zone.
    fn sentences(&self) -> Vec<(Name, String)> {
        let mut sentences = Vec::new();
        for served in &self.rolls {
            let (title, waits) = (served.roll.title(), served.roll.sentence());
            sentences.push((served.zone.clone(), format!("{title}: {waits}")));
        }
        sentences
    }

    /// Keeps what was counted for the same steps before a reload.
    pub fn go_on_from(&mut self, before: &RollBoard) {
        for served in &mut self.rolls {
            let same = before.rolls.iter().find(|it| it.zone == served.zone);
            if let Some(same) = same.filter(|same| is_same(&same.roll, &served.roll)) {
                served.roll = same.roll.clone();
            }
        }
    }

    /// Counts the time since the last call, and saves what follows. Returns whether a load is due,
    /// because a roll has come to another step.
    pub fn advance(&mut self, config: &Config, parents: &ParentBoard) -> bool {
        parents.tell(self.sentences());
        let Some(dnssec) = config.dnssec.as_ref().filter(|_| !self.rolls.is_empty()) else {
            parents.want(Vec::new());
            return false;
        };
        let boot = BootTime::now();
        if self.is_stale || self.pause.is_some_and(|until| boot < until) {
            self.counted = None;
            return false;
        }
        let elapsed = self.count(boot);
        for served in &mut self.rolls {
            match served.advance(dnssec, elapsed, parents) {
                Ok(is_due) => self.is_stale |= is_due,
                Err(mistake) => {
                    tracing::warn!(zone = %served.zone, "a roll of keys cannot go on: {mistake}");
                    self.pause = Some(boot.after(RETRY));
                }
            }
        }
        parents.want(self.wanted(dnssec));
        self.is_stale
    }

    /// The whole seconds since the last count; what is left is counted the next time.
    fn count(&mut self, boot: BootTime) -> Duration {
        let counted = *self.counted.get_or_insert(boot);
        let elapsed = Duration::from_secs(boot.since(counted).as_secs());
        self.counted = Some(counted.after(elapsed));
        elapsed
    }

    /// The zones whose parents are to be asked.
    fn wanted(&self, dnssec: &DnssecConfig) -> Vec<WantedZone> {
        let mut wanted = Vec::new();
        for served in self.rolls.iter().filter(|it| it.roll.asks_parent()) {
            wanted.push(WantedZone {
                zone: served.zone.clone(),
                pause: served.pause(dnssec),
            });
        }
        wanted
    }
}

/// Whether two states are of the same step of the same roll.
fn is_same(one: &ZoneRoll, other: &ZoneRoll) -> bool {
    (one.serial, one.kind, one.phase) == (other.serial, other.kind, other.phase)
}

impl ServedRoll {
    /// Returns whether a load is due.
    fn advance(
        &mut self,
        dnssec: &DnssecConfig,
        elapsed: Duration,
        parents: &ParentBoard,
    ) -> Result<bool, String> {
        let answer = parents.answer(&self.zone, self.pause(dnssec));
        match self.step(dnssec, elapsed, answer.as_deref()) {
            RollStep::Waits(roll) => {
                let is_there = !self.is_news(&roll) || self.save(&roll, &dnssec.keys)?;
                self.roll = roll;
                Ok(!is_there)
            }
            RollStep::Advances(roll) => {
                if self.save(&roll, &dnssec.keys)? {
                    self.tell(&roll);
                    self.copy_times(&roll, &dnssec.keys);
                }
                Ok(true)
            }
        }
    }

    fn step(
        &self,
        dnssec: &DnssecConfig,
        elapsed: Duration,
        parent: Option<&ParentAnswer>,
    ) -> RollStep {
        self.roll.step(&RollFacts {
            elapsed,
            now: now(),
            ttls: self.ttls,
            parent,
            delays: dnssec.rules_of(&self.zone).delays,
            keys: &self.keys,
        })
    }

    /// Copies the times of a step into the files of keys. Only other tools read them, so a failure
    /// holds nothing up.
    fn copy_times(&self, roll: &ZoneRoll, folder: &Path) {
        if let Err(mistake) = write_roll_times(roll, folder, &self.keys) {
            tracing::warn!(zone = %self.zone, "a key's own times are not those of its roll: {mistake}");
        }
    }

    /// Saves a state, unless the disk has another step than the one that is served. Returns whether
    /// it was saved.
    fn save(&mut self, roll: &ZoneRoll, folder: &Path) -> Result<bool, String> {
        let is_there = self.is_on_disk(folder)?;
        if is_there {
            roll.write(&roll_path(folder, &self.zone))?;
            self.saved = roll.clone();
        }
        Ok(is_there)
    }

    /// Whether people, or a restart, should know of a state.
    fn is_news(&self, roll: &ZoneRoll) -> bool {
        let saved = &self.saved;
        roll.needed != saved.needed
            || roll.is_parent_ready != saved.is_parent_ready
            || roll.parent_note != saved.parent_note
            || roll.waited < saved.waited
            || roll.waited >= saved.waited.saturating_add(SAVE)
    }

    /// Whether the disk still has the step that is served.
    fn is_on_disk(&self, folder: &Path) -> Result<bool, String> {
        let read = ZoneRoll::read(&roll_path(folder, &self.zone))?;
        Ok(read.is_some_and(|disk| is_same(&disk, &self.saved)))
    }

    fn tell(&self, roll: &ZoneRoll) {
        let (title, phase) = (roll.title(), roll.phase.word());
        tracing::info!(zone = %self.zone, step = phase, "a roll of keys goes on: the zone {title}");
    }

    /// The time between two questions to the parent.
    fn pause(&self, dnssec: &DnssecConfig) -> Duration {
        let delays = dnssec.rules_of(&self.zone).delays;
        let ttl = self.roll.ds_ttl.max(delays.parent_ds_ttl);
        Duration::from_secs((ttl / 20).into()).clamp(PAUSE.0, PAUSE.1)
    }
}

/// A zone whose parent is to be asked.
#[derive(Debug, Clone)]
struct WantedZone {
    zone: Name,
    /// Time between two questions.
    pause: Duration,
}

/// What the parents of zones have answered, which are to be asked, and what the rolls wait for.
#[derive(Default)]
pub struct ParentBoard(Mutex<ParentMemory>);

#[derive(Default)]
struct ParentMemory {
    wanted: Vec<WantedZone>,
    /// What each roll waits for, by zone.
    sentences: Vec<(Name, String)>,
    answers: HashMap<Name, HeardParent>,
}

/// What one parent has answered.
struct HeardParent {
    answer: Arc<ParentAnswer>,
    /// When its servers were asked.
    at: BootTime,
    /// When it was to be asked last, even if its servers were not found.
    tried: BootTime,
    /// When each server has answered last.
    heard: Vec<BootTime>,
}

impl HeardParent {
    /// A new answer. A server that has answered a moment ago may miss some questions.
    fn new(mut answer: ParentAnswer, before: Option<&HeardParent>, patience: Duration) -> Self {
        let (at, mut heard) = (BootTime::now(), Vec::new());
        for server in &mut answer.servers {
            let mut when = at;
            if let Some((old, old_at)) = before.and_then(|before| before.of(&server.server))
                && server.records.is_err()
                && at.since(old_at) < patience
            {
                server.records = old.records.clone();
                when = old_at;
            }
            heard.push(when);
        }
        HeardParent {
            answer: Arc::new(answer),
            at,
            tried: at,
            heard,
        }
    }

    /// The answer of one server, if it has given one.
    fn of(&self, server: &str) -> Option<(&DsAnswer, BootTime)> {
        let mut all = self.answer.servers.iter().zip(&self.heard);
        let (answer, at) = all.find(|(answer, _)| answer.server == server)?;
        answer.records.is_ok().then_some((answer, *at))
    }
}

impl ParentBoard {
    fn memory(&self) -> MutexGuard<'_, ParentMemory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what each roll waits for.
    fn tell(&self, sentences: Vec<(Name, String)>) {
        self.memory().sentences = sentences;
    }

    /// What each roll waits for, by zone.
    pub fn sentences(&self) -> Vec<(Name, String)> {
        self.memory().sentences.clone()
    }

    /// Says whose parents are to be asked from now on.
    fn want(&self, wanted: Vec<WantedZone>) {
        let mut memory = self.memory();
        memory
            .answers
            .retain(|zone, _| wanted.iter().any(|it| it.zone == *zone));
        memory.wanted = wanted;
    }

    /// The last answer, unless several are missing since.
    fn answer(&self, zone: &Name, pause: Duration) -> Option<Arc<ParentAnswer>> {
        let memory = self.memory();
        let heard = memory.answers.get(zone)?;
        let age = BootTime::now().since(heard.at);
        (age < patience(pause)).then(|| heard.answer.clone())
    }

    /// The zones whose parent is due.
    pub fn due(&self) -> Vec<Name> {
        let (memory, now) = (self.memory(), BootTime::now());
        let mut due = Vec::new();
        for wanted in &memory.wanted {
            let last = memory.answers.get(&wanted.zone);
            if last.is_none_or(|heard| now.since(heard.tried) >= wanted.pause) {
                due.push(wanted.zone.clone());
            }
        }
        due
    }

    /// Takes in the answer of a parent.
    pub fn note(&self, zone: Name, answer: ParentAnswer) {
        let mut memory = self.memory();
        let Some(wanted) = memory.wanted.iter().find(|it| it.zone == zone) else {
            return;
        };
        let patience = patience(wanted.pause);
        let heard = HeardParent::new(answer, memory.answers.get(&zone), patience);
        memory.answers.insert(zone, heard);
    }

    /// Takes in that the servers of a parent were not found. What they have answered a moment ago
    /// counts for a while, as it does for a server that does not answer.
    pub fn note_not_found(&self, zone: Name, reason: String) {
        let mut memory = self.memory();
        let now = BootTime::now();
        let wanted = memory.wanted.iter().find(|it| it.zone == zone);
        let Some(patience) = wanted.map(|wanted| patience(wanted.pause)) else {
            return;
        };
        if let Some(heard) = memory.answers.get_mut(&zone)
            && now.since(heard.at) < patience
        {
            heard.tried = now;
            return;
        }
        drop(memory);
        let answer = DsAnswer {
            server: "the parent".to_owned(),
            records: Err(reason),
        };
        self.note(
            zone,
            ParentAnswer {
                servers: vec![answer],
            },
        );
    }
}

/// For how long an answer counts: some questions may be lost.
fn patience(pause: Duration) -> Duration {
    pause.saturating_mul(3).saturating_add(PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_have_answered_counts_while_they_are_not_found_for_a_moment() {
        let (board, zone): (_, Name) = (ParentBoard::default(), "example.test".parse().unwrap());
        let pause = Duration::from_secs(2);
        board.want(vec![WantedZone {
            zone: zone.clone(),
            pause,
        }]);
        board.note_not_found(zone.clone(), "no answer".to_owned());
        let unknown = board.answer(&zone, pause).unwrap();
        assert!(unknown.servers[0].records.is_err());
        let server = DsAnswer {
            server: "192.0.2.1:53".to_owned(),
            records: Ok((vec![vec![1, 2, 13, 2]], 300)),
        };
        board.note(
            zone.clone(),
            ParentAnswer {
                servers: vec![server.clone()],
            },
        );
        board.note_not_found(zone.clone(), "no answer".to_owned());
        assert_eq!(board.answer(&zone, pause).unwrap().servers, [server]);
        // It is asked again after the pause, and not at once.
        assert!(board.due().is_empty());
    }
}
