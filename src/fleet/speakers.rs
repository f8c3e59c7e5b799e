//! Who speaks under one voter's name: one server, or several.
//!
//! Each process of a server has its own random epoch, so a restart looks like a second server at
//! first. But a process that was restarted falls silent, while a second server goes on. Two epochs
//! that are both heard over more than [`OVERLAP`] are two servers. The newest process is the one
//! that counts until then.

use std::time::Duration;

use super::bounds::FRESH;
use super::view_error::HearError;

/// A message of a process that has ended is not under way for longer than this.
const OVERLAP: Duration = Duration::from_secs(1);
/// The most processes that are told apart.
const MOST: usize = 8;

/// The processes that were heard lately under one name, in the order in which they appeared.
#[derive(Debug, Clone, Default)]
pub struct Speakers {
    list: Vec<Speaker>,
}

#[derive(Debug, Clone, Copy)]
struct Speaker {
    epoch: u64,
    sequence: u64,
    first_at: Duration,
    heard_at: Duration,
}

impl Speakers {
    /// Notes a message. It counts if it is the newest of the newest process.
    ///
    /// # Errors
    /// [`HearError::Late`]: it is older than another of the process, or of an older process.
    pub fn hear(&mut self, now: Duration, epoch: u64, sequence: u64) -> Result<(), HearError> {
        self.list
            .retain(|speaker| speaker.epoch == epoch || is_recent(speaker, now));
        let newest = self.list.len().checked_sub(1);
        let known = self.list.iter().position(|speaker| speaker.epoch == epoch);
        let Some(position) = known else {
            self.add(now, epoch, sequence);
            return Ok(());
        };
        let Some(speaker) = self.list.get_mut(position) else {
            return Err(HearError::Late);
        };
        if sequence <= speaker.sequence {
            return Err(HearError::Late);
        }
        if !is_recent(speaker, now) {
            speaker.first_at = now;
        }
        speaker.sequence = sequence;
        speaker.heard_at = now;
        if Some(position) == newest {
            Ok(())
        } else {
            Err(HearError::Late)
        }
    }

    /// Whether several of them go on speaking.
    pub fn are_several(&self, now: Duration) -> bool {
        for (position, newer) in self.list.iter().enumerate() {
            for older in self.list.iter().take(position) {
                let both_until = newer.heard_at.min(older.heard_at);
                let overlap = both_until.saturating_sub(newer.first_at);
                if overlap >= OVERLAP && is_recent(newer, now) && is_recent(older, now) {
                    return true;
                }
            }
        }
        false
    }

    /// Whether any of them goes on speaking beside a process that runs since `started`.
    pub fn go_on_beside(&self, started: Duration, now: Duration) -> bool {
        for rival in &self.list {
            let overlap = rival.heard_at.saturating_sub(rival.first_at.max(started));
            if overlap >= OVERLAP && is_recent(rival, now) {
                return true;
            }
        }
        false
    }

    fn add(&mut self, now: Duration, epoch: u64, sequence: u64) {
        if self.list.len() >= MOST {
            let silent = self.list.iter().enumerate();
            let silent = silent.min_by_key(|(_, speaker)| speaker.heard_at);
            if let Some((position, _)) = silent {
                self.list.remove(position);
            }
        }
        self.list.push(Speaker {
            epoch,
            sequence,
            first_at: now,
            heard_at: now,
        });
    }
}

fn is_recent(speaker: &Speaker, now: Duration) -> bool {
    now.saturating_sub(speaker.heard_at) <= FRESH
}
