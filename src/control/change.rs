//! The messages of the controller: changes go in, effects come out.
//!
//! A [`Change`] carries a fact or a request, and a channel for the reply if the sender waits for
//! one. The step of [`super::state::ControlState`] turns it into [`Effects`], which the controller
//! carries out in order. Replies are sent last, when all readers can already see the change.

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
use super::leases::{FleetLease, Lease, LeaseKey};
use super::outcome::{ChangeRefusal, Ended, LeasesTaken, PendingChange};
use super::overrides::{FleetOrder, Override, OverrideLift};
use super::probed::ProbeAccount;
use super::state_writer::{FileWrite, WriteTicket};
use crate::answer::Snapshot;
use crate::catalog::LiveState;
use crate::fleet::desired::DesiredMemory;
use crate::fleet::lease_news::LeaseNews;
use crate::health::check::{ProbeTarget, TargetKey};
use crate::health::monitor::{ShortageCount, TargetHealth};
use crate::health::state::SavedStates;
use crate::health::timeline::HealthChange;
use crate::resolve::KnownNames;

/// Where a reply goes.
pub type ChangeReply<T> = oneshot::Sender<T>;

/// Something that happened outside, or a request.
pub enum Change {
    /// Probing begins. Regions that were ramping up before a restart continue from where they were.
    Begin {
        /// The saved ramps.
        ramps: Vec<SavedRamp>,
        /// How long ago they were saved.
        gap: Duration,
        /// Receives a message when it is done.
        reply: ChangeReply<()>,
    },
    /// A reload has read everything and was not refused.
    Reload {
        /// The result of reading the files.
        draft: Box<ReloadDraft>,
        /// Receives a message when it is served.
        reply: ChangeReply<()>,
    },
    /// Probe these targets in addition to those that are served.
    Probe {
        /// The targets.
        targets: Vec<ProbeTarget>,
        /// The reason for which they are probed.
        account: ProbeAccount,
        /// Receives a message when their probes have begun.
        reply: ChangeReply<()>,
    },
    /// Services were compiled and their new endpoints probed.
    Built(Box<BuiltServices>),
    /// Compiling services panicked.
    BuildFailed,
    /// Probes have found something new.
    Observed {
        /// Receives a message when it is published.
        reply: ChangeReply<()>,
    },
    /// Names have resolved to something else.
    Resolved {
        /// Every address that is known now.
        names: KnownNames,
        /// What to save for a restart, if it changed.
        kept: Option<Vec<KeptName>>,
        /// Receives the edition that services must be compiled with.
        reply: ChangeReply<u64>,
    },
    /// An operator sets an override.
    Override {
        /// The override.
        order: Override,
        /// Receives the result.
        reply: ChangeReply<Result<PendingChange, ChangeRefusal>>,
    },
    /// An operator removes an override.
    Lift {
        /// The removal.
        lift: OverrideLift,
        /// Receives the result.
        reply: ChangeReply<Result<PendingChange, ChangeRefusal>>,
    },
    /// Orders of the fleet have arrived.
    FleetOrders {
        /// The orders, in the order of their revisions.
        orders: Vec<FleetOrder>,
        /// The last that was seen of the fleet's orders, with these.
        seen: Arc<DesiredMemory>,
        /// Receives what has to be waited for.
        reply: ChangeReply<Result<PendingChange, ChangeRefusal>>,
    },
    /// An endpoint begins or renews a lease.
    Lease {
        /// The lease.
        lease: Lease,
        /// Receives the result.
        reply: ChangeReply<Result<PendingChange, ChangeRefusal>>,
    },
    /// An endpoint or an operator ends a lease.
    EndLease {
        /// The lease.
        key: LeaseKey,
        /// The author.
        by: String,
        /// Receives the result.
        reply: ChangeReply<Result<PendingChange, ChangeRefusal>>,
    },
    /// Other servers of the fleet hold these leases, or have ended them.
    FleetLeases {
        /// Of one server, the oldest first.
        leases: Vec<FleetLease>,
        /// Receives how many did not fit, with the sentence of the first.
        reply: ChangeReply<LeasesTaken>,
    },
    /// The engine of the fleet's leases can be reached, or cannot be any more.
    LeaseLink {
        /// Whether it can be reached.
        is_linked: bool,
        /// Receives a message when it is noted.
        reply: ChangeReply<()>,
    },
    /// A second has passed: update everything that changes with time.
    Tick {
        /// Receives a message when it is published.
        reply: ChangeReply<()>,
    },
    /// A second has passed: end the overrides and leases that have run out.
    Expire {
        /// Receives what has ended.
        reply: ChangeReply<Ended>,
    },
    /// The blocks of a snapshot were widened.
    Widened {
        /// The snapshot.
        narrow: Arc<Snapshot>,
        /// The same with wide blocks.
        live: LiveState,
    },
    /// Save everything that is not saved yet.
    WriteAll {
        /// Receives a message once all files have been passed to the state writer.
        reply: SyncSender<()>,
    },
}

impl Change {
    /// Whether the step computes availability, which needs the newest results of probes.
    pub fn needs_observations(&self) -> bool {
        !matches!(
            self,
            Change::Widened { .. }
                | Change::Probe { .. }
                | Change::Lease { .. }
                | Change::FleetLeases { .. }
                | Change::LeaseLink { .. }
                | Change::BuildFailed
        )
    }

    /// Whether the step saves the agreed health.
    pub fn needs_states(&self) -> bool {
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

/// The time and the results of probes, as a step sees them.
pub struct StepFacts {
    /// The time.
    pub clocks: ClockReading,
    /// What the monitor knows; `None`: probing has not begun, or the step does not need it.
    pub observations: Option<Observations>,
}

/// What the monitor knows at one moment.
#[derive(Default)]
pub struct Observations {
    /// The results of probes.
    pub targets: HashMap<TargetKey, TargetHealth>,
    /// Changes of health since the last step.
    pub events: Vec<HealthChange>,
    /// Probes that could not be made.
    pub shortages: Vec<ShortageCount>,
    /// The agreed health to save; `None`: the step does not save it.
    pub states: Option<SavedStates>,
}

/// What the controller has to do after a step.
#[derive(Default)]
pub struct Effects {
    /// Carried out in this order.
    pub actions: Vec<Action>,
    /// Sent after all actions.
    pub replies: Vec<Answer>,
    /// The edition of the services that are now in force; `None`: it has not changed.
    pub compiled: Option<u64>,
}

/// One thing to do outside. No action blocks.
pub enum Action {
    /// Answer from this snapshot.
    Publish(Arc<Snapshot>),
    /// Add an event to the log of events.
    Tell(EventDraft),
    /// Tell the other servers of the fleet of a lease.
    Share(LeaseNews),
    /// Hand a file to the state writer.
    Keep(KeptFile),
    /// Probe these targets and no others.
    Probe(Vec<ProbeTarget>),
    /// Compile services on the compile thread.
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
#[expect(
    clippy::large_enum_variant,
    reason = "a step makes a few of them, and each is moved once"
)]
pub enum Answer {
    /// It is done.
    Done(ChangeReply<()>),
    /// An edition of the inputs will be compiled.
    Edition(ChangeReply<u64>, u64),
    /// A change was made or refused.
    Made(
        ChangeReply<Result<PendingChange, ChangeRefusal>>,
        Result<PendingChange, ChangeRefusal>,
    ),
    /// Leases of other servers were taken in.
    Taken(ChangeReply<LeasesTaken>, LeasesTaken),
    /// These have ended.
    Ended(ChangeReply<Ended>, Ended),
    /// Everything was handed to the state writer.
    Handed(SyncSender<()>),
}

impl Answer {
    /// Sends the reply, with the ticket of the file that saves the change. A receiver that is gone
    /// is not an error.
    pub fn send(self, tickets: &[(&'static str, WriteTicket)]) {
        match self {
            Answer::Done(reply) => drop(reply.send(())),
            Answer::Edition(reply, edition) => drop(reply.send(edition)),
            Answer::Made(reply, mut made) => {
                if let Ok(pending) = &mut made {
                    for (name, ticket) in tickets {
                        if Some(*name) == pending.file {
                            pending.ticket = Some(*ticket);
                        }
                    }
                }
                drop(reply.send(made));
            }
            Answer::Taken(reply, taken) => drop(reply.send(taken)),
            Answer::Ended(reply, ended) => drop(reply.send(ended)),
            Answer::Handed(reply) => drop(reply.try_send(())),
        }
    }
}

/// The addresses of a name, saved for a restart.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct KeptName {
    /// The name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}
