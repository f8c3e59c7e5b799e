//! The outcomes of a requested change.
//!
//! A change is made, is refused, or ends when its time is over. A [`PendingChange`] is applied but
//! not yet in force or not yet saved. It becomes a [`ChangeOutcome`] when both are done, or a
//! [`ChangeRefusal`] that says why not.

use super::events::EventDraft;
use super::leases::{Lease, LeaseMistake};
use super::overrides::Override;
use super::state_writer::WriteTicket;
use super::worker::NotDone;

/// A change that was made, and what its caller still has to wait for.
#[derive(Debug, Default)]
pub struct PendingChange {
    /// The result, as a sentence.
    pub sentence: String,
    /// The event to publish once the change is in force.
    pub news: Option<EventDraft>,
    /// The edition that services must be compiled with, if any.
    pub edition: Option<u64>,
    /// The state file that the change is written to.
    pub file: Option<&'static str>,
    /// The ticket for that file.
    pub ticket: Option<WriteTicket>,
    /// Whether the change is saved already.
    pub kept: bool,
}

/// Overrides and leases whose time is over.
#[derive(Debug, Default)]
pub struct Ended {
    /// Overrides.
    pub orders: Vec<Override>,
    /// Leases.
    pub leases: Vec<Lease>,
    /// The edition without them; `None`: no services must be compiled for that.
    pub edition: Option<u64>,
}

/// What became of the leases that another server has told.
#[derive(Debug, Default)]
pub struct LeasesTaken {
    /// The edition that services must be compiled with, if any.
    pub edition: Option<u64>,
    /// The events to publish once it is in force.
    pub news: Vec<EventDraft>,
    /// How many do not fit this server.
    pub refused: u64,
    /// Why the first of them does not, as a sentence.
    pub reason: Option<String>,
}

/// The outcome of a change that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeOutcome {
    /// The result, as a sentence.
    pub sentence: String,
    /// Whether it outlives a restart: there is a state directory.
    pub kept: bool,
}

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// Its subject is not configured.
    Unknown(String),
    /// It contradicts the configuration or another change.
    Unfit(String),
    /// It would leave clients without a healthy region, and the request did not allow that.
    Uncovers(String),
    /// It is in force, but does not outlive a restart.
    NotKept(String),
    /// The server is too busy; the change was not begun.
    Busy(String),
    /// The fleet takes no orders now; the change was not made.
    NotTaken(String),
    /// Nobody has confirmed it; it may still take effect.
    Unconfirmed(String),
    /// It panicked, which is a bug.
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
