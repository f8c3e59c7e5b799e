//! Keeps what was agreed last over a restart, in a file of the state directory.
//!
//! The file is written whole, at most once a second and only if something else was agreed, and every
//! ten minutes in any case, so that its age tells how long the server was away. It is read once, when
//! the server joins its fleet. A file that cannot be used is put aside with a warning, and the server
//! starts as if it had none. What is too old is left out by `fleet::vote_memory`.

use std::sync::Arc;
use std::time::Duration;

use crate::control::clock::{ClockReading, FileStamp};
use crate::control::keep::{self, AGREED, StateList};
use crate::control::state_directory::StateDirectory;
use crate::control::state_writer::StateWriter;
use crate::fleet::member::FleetMember;
use crate::fleet::vote_memory::VoteMemory;

/// The file is written at most this often.
const SOONEST: Duration = Duration::from_secs(1);
/// The file is written at least this often.
const REGULAR: Duration = Duration::from_secs(600);

/// Writes the file when it is due.
pub(super) struct MemoryKeeper {
    writer: Arc<StateWriter>,
    /// What was written last: when, how much had changed until then, and where.
    written: Option<WrittenMemory>,
}

struct WrittenMemory {
    at: Duration,
    changes: u64,
    directory: Arc<StateDirectory>,
}

impl MemoryKeeper {
    /// Nothing was written yet.
    pub(super) fn new(writer: Arc<StateWriter>) -> MemoryKeeper {
        MemoryKeeper {
            writer,
            written: None,
        }
    }

    /// What was agreed before the restart and still counts.
    pub(super) fn load(directory: &StateDirectory, fleet: &str) -> VoteMemory {
        let (mut list, warning) = keep::load::<VoteMemory>(directory.path(), AGREED);
        if let Some(warning) = warning {
            tracing::warn!("fleet {fleet}: what was agreed last is not known: {warning}");
        }
        let gap = list.gap(&ClockReading::now());
        match (list.items.pop(), gap) {
            (Some(memory), Some(gap)) => memory.after(gap, fleet),
            _ => VoteMemory::default(),
        }
    }

    /// Has the file written if that is due.
    pub(super) fn note(
        &mut self,
        member: &FleetMember,
        directory: Arc<StateDirectory>,
        now: Duration,
    ) {
        let changes = member.memory_changes();
        if !self.is_due(changes, &directory, now) {
            return;
        }
        self.written = Some(WrittenMemory {
            at: now,
            changes,
            directory: directory.clone(),
        });
        let list = StateList {
            written: Some(FileStamp::of(&ClockReading::now())),
            items: vec![member.memory(now)],
            seen: None,
        };
        let write = Arc::new(move || keep::save(&directory, AGREED, &list));
        // Nobody waits for it.
        let _ = self.writer.hand(AGREED, write);
    }

    fn is_due(&self, changes: u64, directory: &Arc<StateDirectory>, now: Duration) -> bool {
        let Some(written) = &self.written else {
            return changes > 0;
        };
        let age = now.saturating_sub(written.at);
        let has_news = written.changes != changes || !Arc::ptr_eq(&written.directory, directory);
        age >= REGULAR || has_news && age >= SOONEST
    }
}
