//! What becomes of a change that somebody asked for: it is made, refused, or has ended by itself.

use super::events::EventDraft;
use super::leases::{Lease, LeaseMistake};
use super::orders::Override;
use super::state_writer::WriteTicket;
use super::worker::NotDone;

/// A change that was made, and what is still to be awaited for it.
#[derive(Debug, Default)]
pub struct PendingChange {
    /// What is true then.
    pub sentence: String,
    /// The event that is told once it is in force.
    pub news: Option<EventDraft>,
    /// The edition that services must be compiled with, if they must.
    pub edition: Option<u64>,
    /// The file that keeps it, with its ticket of the state writer.
    pub file: Option<&'static str>,
    /// The ticket for that file.
    pub ticket: Option<WriteTicket>,
    /// It is kept already.
    pub kept: bool,
}

/// What has ended by itself.
#[derive(Debug, Default)]
pub struct Ended {
    /// Overrides.
    pub orders: Vec<Override>,
    /// Leases.
    pub leases: Vec<Lease>,
    /// The edition without them; `None`: no services must be compiled for that.
    pub edition: Option<u64>,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeOutcome {
    /// What is true now.
    pub sentence: String,
    /// Whether it outlives a restart: there is a state directory.
    pub kept: bool,
}

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// It is about something that is not there.
    Unknown(String),
    /// It does not fit what is there.
    Unfit(String),
    /// It takes their last live region from clients, and nobody said that this is meant.
    Uncovers(String),
    /// It is in force, but does not outlive a restart.
    NotKept(String),
    /// The server has no time for it now; it was not begun.
    Busy(String),
    /// It ended early, by a mistake of ours.
    Failed(String),
}

impl From<NotDone> for ChangeRefusal {
    fn from(not_done: NotDone) -> ChangeRefusal {
        match not_done {
            NotDone::Busy(_) => ChangeRefusal::Busy(not_done.to_string()),
            NotDone::Panicked(_) => ChangeRefusal::Failed(not_done.to_string()),
        }
    }
}

impl From<LeaseMistake> for ChangeRefusal {
    fn from(misfit: LeaseMistake) -> ChangeRefusal {
        match misfit {
            LeaseMistake::Unknown(sentence) => ChangeRefusal::Unknown(sentence),
            LeaseMistake::NoRoom(sentence) => ChangeRefusal::Unfit(sentence),
        }
    }
}
