//! The messages of the controller: changes go in, effects come out.
//!
//! A [`Change`] carries a fact or a request, and a channel for the reply where somebody waits for one. The step of
//! [`super::state::ControlState`] turns it into [`Effects`], which the controller's thread carries out in order. Replies
//! are sent last, when everybody can already see what changed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::oneshot;

use super::availability::SavedRamp;
use super::build::{BuildJob, BuiltServices, ReloadDraft};
use super::clock::ClockReading;
use super::events::EventDraft;
use super::keeper::{FileWrite, WriteTicket};
use super::leases::{Lease, LeaseKey};
use super::orders::{Override, OverrideKind, OverrideSubject};
use super::outcome::{ChangeRefusal, Ended, PendingChange};
use super::probed::ProbeAccount;
use crate::answer::Snapshot;
use crate::catalog::LiveState;
use crate::health::check::{ProbeTarget, TargetKey};
use crate::health::monitor::{ShortageCount, TargetHealth};
use crate::health::state::SavedVerdicts;
use crate::health::timeline::HealthChange;
use crate::resolve::KnownNames;

/// Where a reply goes.
pub type Reply<T> = oneshot::Sender<T>;

/// Something that happened outside, or that somebody wants.
pub enum Change {
    /// Probing begins. Regions that were coming back before a restart go on from where they were.
    Begin {
        /// The regions, as they were written down.
        ramps: Vec<SavedRamp>,
        /// How long ago they were written down.
        gap: Duration,
        /// Told when it is done.
        reply: Reply<()>,
    },
    /// A reload has read everything and was not refused.
    Reload {
        /// What was read.
        draft: Box<ReloadDraft>,
        /// Told when it is served.
        reply: Reply<()>,
    },
    /// Probe these beside what is served.
    Probe {
        /// The targets.
        targets: Vec<ProbeTarget>,
        /// Why.
        account: ProbeAccount,
        /// Told when their probes have begun.
        reply: Reply<()>,
    },
    /// Services were compiled and their new endpoints probed.
    Built(Box<BuiltServices>),
    /// Compiling services ended in a panic.
    BuildFailed,
    /// Probes have found something new.
    Observed {
        /// Told when it is published.
        reply: Reply<()>,
    },
    /// Names have resolved to something else.
    Resolved {
        /// Every address that is known now.
        names: KnownNames,
        /// What to keep for the time after a restart, if it changed.
        kept: Option<Vec<KeptName>>,
        /// Told the edition that services must be compiled with.
        reply: Reply<u64>,
    },
    /// An operator gives an override.
    Override {
        /// The override.
        order: Override,
        /// Told what became of it.
        reply: Reply<Result<PendingChange, ChangeRefusal>>,
    },
    /// An operator lifts an override.
    Lift {
        /// What it is about.
        subject: OverrideSubject,
        /// Which kind.
        kind: OverrideKind,
        /// Who lifts it.
        by: String,
        /// Told what became of it.
        reply: Reply<Result<PendingChange, ChangeRefusal>>,
    },
    /// An endpoint begins or renews a lease.
    Lease {
        /// The lease.
        lease: Lease,
        /// Told what became of it.
        reply: Reply<Result<PendingChange, ChangeRefusal>>,
    },
    /// A lease is given up.
    EndLease {
        /// Which one.
        key: LeaseKey,
        /// Who gives it up.
        by: String,
        /// Told what became of it.
        reply: Reply<Result<PendingChange, ChangeRefusal>>,
    },
    /// A second has passed: what moves with time is worked out again.
    Tick {
        /// Told when it is published.
        reply: Reply<()>,
    },
    /// A second has passed: overrides and leases end that have run out.
    Expire {
        /// Told what has ended.
        reply: Reply<Ended>,
    },
    /// The blocks of a snapshot were widened.
    Widened {
        /// The snapshot.
        narrow: Arc<Snapshot>,
        /// The same with wide blocks.
        live: LiveState,
    },
    /// Everything that is not written yet is to be written.
    WriteAll {
        /// Told when it was handed to the keeper.
        reply: SyncSender<()>,
    },
}

impl Change {
    /// Whether the step works out availability, for which it needs the newest results of probes.
    pub fn needs_observations(&self) -> bool {
        !matches!(
            self,
            Change::Widened { .. }
                | Change::Probe { .. }
                | Change::Lease { .. }
                | Change::BuildFailed
        )
    }
}

impl Change {
    /// Whether the step keeps verdicts.
    pub fn needs_verdicts(&self) -> bool {
        matches!(
            self,
            Change::Begin { .. }
                | Change::Tick { .. }
                | Change::WriteAll { .. }
                | Change::Reload { .. }
                | Change::Built(_)
        )
    }
}

/// What is true at the moment of a step.
pub struct StepFacts {
    /// The time.
    pub clocks: ClockReading,
    /// What the monitor knows; `None`: nothing is probed yet, or the step needs none of it.
    pub observations: Option<Observations>,
}

/// What the monitor knows at one moment.
#[derive(Default)]
pub struct Observations {
    /// The results of probes.
    pub targets: HashMap<TargetKey, TargetHealth>,
    /// Changes of verdicts since the last step.
    pub events: Vec<HealthChange>,
    /// Probes that could not be made.
    pub shortages: Vec<ShortageCount>,
    /// The verdicts, to be kept; `None`: nobody asked for them.
    pub verdicts: Option<SavedVerdicts>,
}

/// What a step wants to be done.
#[derive(Default)]
pub struct Effects {
    /// In this order.
    pub actions: Vec<Action>,
    /// Sent when all of that is done.
    pub replies: Vec<Answer>,
    /// Services of this edition are in force now; `None`: they are those of before.
    pub compiled: Option<u64>,
}

/// One thing to do outside. None of them blocks.
pub enum Action {
    /// Answer from this snapshot.
    Publish(Arc<Snapshot>),
    /// Tell those who watch events.
    Tell(EventDraft),
    /// Hand a file to the keeper.
    Keep(KeptFile),
    /// Probe these targets and no others.
    Probe(Vec<ProbeTarget>),
    /// Compile services on the thread for it.
    Build(Box<BuildJob>),
}

/// A file that must outlive a restart.
pub struct KeptFile {
    /// Its name in the state directory.
    pub name: &'static str,
    /// Writes it.
    pub write: FileWrite,
}

/// A reply that is due.
pub enum Answer {
    /// It is done.
    Done(Reply<()>),
    /// An edition of the inputs will be compiled.
    Edition(Reply<u64>, u64),
    /// A change was made or refused.
    Made(
        Reply<Result<PendingChange, ChangeRefusal>>,
        Result<PendingChange, ChangeRefusal>,
    ),
    /// These have ended.
    Ended(Reply<Ended>, Ended),
    /// All was handed to the keeper.
    Handed(SyncSender<()>),
}

impl Answer {
    /// Sends it, with the ticket of the file that keeps the change. Somebody who has left needs no reply.
    pub fn send(self, tickets: &[(&'static str, WriteTicket)]) {
        match self {
            Answer::Done(reply) => drop(reply.send(())),
            Answer::Edition(reply, edition) => drop(reply.send(edition)),
            Answer::Made(reply, mut made) => {
                if let Ok(pending) = &mut made {
                    let ticket = tickets
                        .iter()
                        .rev()
                        .find(|(name, _)| Some(*name) == pending.file);
                    pending.ticket = ticket.map(|(_, ticket)| *ticket);
                }
                drop(reply.send(made));
            }
            Answer::Ended(reply, ended) => drop(reply.send(ended)),
            Answer::Handed(reply) => drop(reply.try_send(())),
        }
    }
}

/// What a name was resolved to, for the time after a restart.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct KeptName {
    /// The name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}
