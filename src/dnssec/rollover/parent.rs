//! What the servers of the parent answer, and whether it is what a roll waits for.
//!
//! Every server counts: a secondary of the parent that still has the old records gives them to
//! resolvers. A server that gives no answer leaves the question open.

use super::{KeyLabel, RollKind, ZoneRoll};
use crate::dnssec::ZoneKey;

/// The DS records of a zone, as one server of the parent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DsAnswer {
    /// The server, for people.
    pub server: String,
    /// The data of the records and their TTL in seconds, which is 0 where there are none; or why
    /// there is no answer.
    pub records: Result<(Vec<Vec<u8>>, u32), String>,
}

/// What all servers of the parent that were asked have answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParentAnswer {
    /// One for each server.
    pub servers: Vec<DsAnswer>,
}

/// Whether the parent has what a roll waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParentVerdict {
    /// All of its servers have.
    Ready,
    /// A server has not; a sentence says which one, and what it has.
    Other(String),
    /// Not every server has answered, and no answer says otherwise.
    Unknown(String),
}

impl ParentAnswer {
    /// The longest TTL of DS records, in seconds.
    pub fn longest_ttl(&self) -> u32 {
        let mut longest = 0;
        for server in &self.servers {
            if let Ok((_, ttl)) = server.records {
                longest = longest.max(ttl);
            }
        }
        longest
    }
}

impl ZoneRoll {
    /// Whether these answers are what the roll waits for: the new keys have DS records on every
    /// server, and the old ones on none.
    pub fn judge(&self, answer: &ParentAnswer, keys: &[ZoneKey]) -> ParentVerdict {
        let mut open = answer
            .servers
            .is_empty()
            .then(|| "no server of the parent is known".to_owned());
        for server in &answer.servers {
            match &server.records {
                Ok((records, _)) => {
                    if let Some(other) = self.difference(records, keys) {
                        return ParentVerdict::Other(format!("{} {other}", server.server));
                    }
                }
                Err(reason) => open = Some(format!("{}: {reason}", server.server)),
            }
        }
        open.map_or(ParentVerdict::Ready, ParentVerdict::Unknown)
    }

    /// What is wrong with the records of one server.
    fn difference(&self, records: &[Vec<u8>], keys: &[ZoneKey]) -> Option<String> {
        if self.kind == RollKind::Unsign {
            let first = records.first()?;
            return Some(format!("has the DS record of {}", label_of(first)));
        }
        for key in keys {
            let is_awaited = key.is_entry() && self.new.contains(&KeyLabel::of(key));
            if is_awaited && !records.iter().any(|record| key.matches_ds(record)) {
                return Some(format!("has no DS record of {}", KeyLabel::of(key)));
            }
        }
        // Whatever its digest: a record of the old key that nobody can check is one too many.
        let left = records.iter().find(|it| self.old.contains(&label_of(it)))?;
        Some(format!("has the DS record of {}", label_of(left)))
    }
}

/// The key that a DS record names.
fn label_of(record: &[u8]) -> KeyLabel {
    match record {
        [high, low, algorithm, ..] => KeyLabel {
            algorithm: *algorithm,
            tag: u16::from_be_bytes([*high, *low]),
        },
        _ => KeyLabel {
            algorithm: 0,
            tag: 0,
        },
    }
}
