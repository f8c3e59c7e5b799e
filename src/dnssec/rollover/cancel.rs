//! Takes a roll back while nobody depends on its new keys.
//!
//! Until a new key is asked for at the parent or signs the zone alone, its records can go at once: what
//! caches have is signed by the old keys as well. A new algorithm can be taken back only until its keys
//! are published, because validators may insist on signatures of every algorithm in a cached DNSKEY set
//! (RFC 6781 section 4.1.4). Later, the way back is another roll.

use std::path::Path;

use super::roll_file::roll_path;
use super::{KeyLabel, RollKind, RollPhase, RolledZone, ZoneRoll};
use crate::dnssec::{KeyFile, KeyTimes};

impl ZoneRoll {
    /// The state after the roll was taken back. Its new keys must then have their
    /// [end](Self::end_of_new).
    ///
    /// # Errors
    /// A sentence: it has come too far.
    pub fn cancelled(&self, now: u64) -> Result<ZoneRoll, String> {
        if !self.is_under_way() {
            return Err("no roll is under way".to_owned());
        }
        if !self.is_early() || self.new.is_empty() {
            return Err(self.too_far());
        }
        Ok(ZoneRoll {
            phase: RollPhase::Done,
            serial: self.serial.saturating_add(1),
            old: Vec::new(),
            new: Vec::new(),
            waited: 0,
            needed: 0,
            floor: self.floor.max(now),
            ..self.clone()
        })
    }

    /// Whether nobody depends on the new keys.
    fn is_early(&self) -> bool {
        match self.kind {
            RollKind::Algorithm => self.phase == RollPhase::SignAhead,
            RollKind::Unsign => false,
            _ => self.phase == RollPhase::Publish,
        }
    }

    fn too_far(&self) -> String {
        let (title, waits) = (self.title(), self.sentence());
        let way = match self.kind {
            RollKind::Unsign => "take it back with `meridian keys ds ZONE --restore`",
            _ => "when it is done, roll again",
        };
        format!("it {title}, and has come too far to be taken back ({waits}); {way}")
    }

    /// Whether it was taken back.
    pub fn is_cancelled(&self) -> bool {
        let is_empty = self.old.is_empty() && self.new.is_empty();
        is_empty && self.phase == RollPhase::Done && self.kind != RollKind::Unsign
    }

    /// Ends the times of a key that came with a roll which was taken back.
    pub fn end_of_new(&self, times: &mut KeyTimes) {
        times.inactive = Some(self.floor);
        times.delete = Some(self.floor);
        times.sync_publish = None;
        times.created.get_or_insert(self.floor);
    }
}

impl RolledZone<'_> {
    /// Takes the roll of the zone back, and writes that into a folder. The files of the new keys stay,
    /// with times that are over. Returns the roll.
    ///
    /// # Errors
    /// A sentence: no roll is under way, it has come too far, or a file cannot be written.
    pub fn cancel(&self, folder: &Path, now: u64) -> Result<ZoneRoll, String> {
        let zone = self.zone;
        let Some(roll) = self.roll else {
            return Err(format!("{zone}: no roll is under way"));
        };
        let cancelled = roll
            .cancelled(now)
            .map_err(|reason| format!("{zone}: {reason}"))?;
        // Until the roll says otherwise, it alone speaks for these keys.
        for key in self.keys {
            if roll.new.contains(&KeyLabel::of(&key.public)) {
                let mut key: KeyFile = key.clone();
                cancelled.end_of_new(&mut key.times);
                key.rewrite(folder)?;
            }
        }
        cancelled.write(&roll_path(folder, zone))?;
        Ok(cancelled)
    }
}
