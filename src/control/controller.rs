//! The controller: one thread that owns the state of control and is the only publisher.
//!
//! Everything that changes what is served is a [`Change`] in a bounded queue. The controller takes
//! one after the other, lets [`ControlState::step`] compute the effects, and carries them out: it
//! swaps the snapshot that queries are answered from, hands files to the state writer, publishes
//! events, and sends replies last. It also publishes a [`StateView`], an immutable value that the
//! admin server and all other readers use without a lock.
//!
//! The controller never waits for anything outside. Files are read, names resolved, services
//! compiled and first probes awaited on worker threads, whose results come back as changes. So a
//! reload that hangs on a mount holds up neither failover nor drains. The controller notes every
//! turn with the watchdog, so that a stuck one can be seen from outside.
//!
//! ```text
//! files, API, probes, names ─► Change ─► queue ─► step(state, change, facts) ─► Effects
//!                                ▲                                                │
//!                                └───────── worker threads (compile, probe) ◄─────┤
//!                                                     publish, save, events, reply ◄┘
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};

use super::announcement::AnnouncementDesk;
use super::book::OverrideBook;
use super::build::{BuildJob, BuiltServices, LoadedFiles};
use super::change::{Action, Change, ChangeReply, Effects, KeptFile, Observations, StepFacts};
use super::clock::ClockReading;
use super::events::EventLog;
use super::fleet::FleetHandle;
use super::fleet::leases::LeasesHandle;
use super::fleet::orders::OrdersHandle;
use super::fleet::reports::ReportsHandle;
use super::inputs::Derived;
use super::leases::LeaseTable;
use super::state::ControlState;
use super::state_directory::StateDirectory;
use super::state_writer::{StateWriter, WriteTicket};
use super::watchdog::{Watchdog, WatchedPart};
use super::worker::{NotDone, WorkerPool};
use crate::answer::Snapshot;
use crate::balance::traffic_rates::{MovedRates, TrafficRates};
use crate::fleet::desired::DesiredMemory;
use crate::health::machine::HealthState;
use crate::health::monitor::Monitor;
use crate::server::PublishedSnapshot;

/// The name of the thread.
const NAME: &str = "controller";
/// Changes by operators and endpoints that may wait; each takes some milliseconds.
const MOST_CALLS: usize = 256;
/// Room for those and for the changes that control makes itself, of which a dozen may wait.
const MOST_WAITING: usize = MOST_CALLS + 64;
/// The controller turns at least this often.
const BEAT: Duration = Duration::from_secs(1);

/// The monitor and the runtime that it lives in.
pub struct MonitorHandle {
    /// Probes endpoints.
    pub monitor: Monitor,
    /// Its probes run there.
    pub runtime: Handle,
}

/// The state of control at one moment, for readers.
pub struct StateView {
    /// What is in force.
    pub derived: Derived,
    /// The snapshot that queries are answered from.
    pub snapshot: Arc<Snapshot>,
    /// The overrides of operators.
    pub book: Arc<OverrideBook>,
    /// Endpoints that registered themselves.
    pub leases: Arc<LeaseTable>,
    /// The files that were read with the configuration.
    pub files: LoadedFiles,
    /// The state directory, if there is one.
    pub directory: Option<Arc<StateDirectory>>,
    /// The last that was seen of the fleet's orders.
    pub seen: Option<Arc<DesiredMemory>>,
    /// Changes of health so far, by the new state.
    pub transitions: Vec<(HealthState, u64)>,
    /// The answer rates of regions when they lost clients.
    pub moved: MovedRates,
    /// The answer rates of regions.
    pub traffic: Arc<TrafficRates>,
}

impl StateView {
    /// The view of the state now.
    pub fn of(state: &ControlState) -> StateView {
        let mut transitions = Vec::new();
        for health in [HealthState::Up, HealthState::Degraded, HealthState::Down] {
            let count = state.log.transitions.get(&health);
            transitions.push((health, count.copied().unwrap_or(0)));
        }
        StateView {
            derived: state.derived.clone(),
            snapshot: state.snapshot.clone(),
            book: state.inputs.book.clone(),
            leases: state.inputs.leases.clone(),
            files: state.files.clone(),
            directory: state.directory.clone(),
            seen: state.seen.clone(),
            transitions,
            moved: state.log.moved.clone(),
            traffic: state.traffic.clone(),
        }
    }
}

/// What the controller shares with the rest of control.
#[derive(Clone)]
pub struct Shared {
    /// The snapshot that the workers answer from.
    pub published: Arc<PublishedSnapshot>,
    /// The state that readers see.
    pub view: Arc<ArcSwap<StateView>>,
    /// The edition of the services that are served.
    pub compiled: watch::Sender<u64>,
    /// Absent until probing starts.
    pub watch: Arc<OnceLock<MonitorHandle>>,
    /// The fleet; absent where none is configured.
    pub fleet: Arc<OnceLock<FleetHandle>>,
    /// The orders of the fleet; absent where orders are this server's own.
    pub fleet_orders: Arc<OnceLock<OrdersHandle>>,
    /// The leases of the fleet; absent where leases are this server's own.
    pub fleet_leases: Arc<OnceLock<LeasesHandle>>,
    /// The reports of the fleet's servers; absent where no fleet is configured.
    pub fleet_reports: Arc<OnceLock<ReportsHandle>>,
    /// What the announcer of this server says.
    pub announcement: Arc<AnnouncementDesk>,
    /// Writes files.
    pub state_writer: Arc<StateWriter>,
    /// The log of events.
    pub events: Arc<EventLog>,
    /// Detects stuck threads.
    pub watchdog: Arc<Watchdog>,
}

/// A handle that sends changes to the controller. The thread ends when the handle is dropped.
pub struct Controller {
    queue: Arc<SyncSender<Change>>,
    calls: Semaphore,
}

impl Controller {
    /// Starts the controller thread with this state.
    ///
    /// # Errors
    /// A sentence: the system cannot start the thread.
    pub fn start(state: ControlState, shared: Shared) -> Result<Controller, String> {
        let (sender, changes) = sync_channel(MOST_WAITING);
        let queue = Arc::new(sender);
        let compile = WorkerPool::start("compile", 1, 1)?;
        let turning = TurningController {
            state,
            shared,
            compile,
            queue: Arc::downgrade(&queue),
        };
        std::thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || turning.run(&changes))
            .map_err(|error| format!("cannot make the thread \"{NAME}\": {error}"))?;
        Ok(Controller {
            queue,
            calls: Semaphore::new(MOST_CALLS),
        })
    }

    /// Asks for a change and waits for the reply.
    ///
    /// # Errors
    /// Too many changes wait already, or the step panicked.
    pub async fn call<T>(
        &self,
        change: impl FnOnce(ChangeReply<T>) -> Change,
    ) -> Result<T, NotDone> {
        let _permit = self.calls.try_acquire().map_err(|_| NotDone::Busy(NAME))?;
        self.ask(change).await
    }

    /// Asks for a change that control makes itself. The queue has room reserved for these.
    ///
    /// # Errors
    /// The step panicked, or the queue is full.
    pub async fn ask<T>(
        &self,
        change: impl FnOnce(ChangeReply<T>) -> Change,
    ) -> Result<T, NotDone> {
        let (reply, result) = oneshot::channel();
        match self.queue.try_send(change(reply)) {
            Ok(()) => result.await.map_err(|_| NotDone::Panicked(NAME)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(NotDone::Busy(NAME)),
        }
    }

    /// Asks for a change from a thread that may block.
    ///
    /// # Errors
    /// The step panicked.
    pub fn ask_and_wait<T>(
        &self,
        change: impl FnOnce(ChangeReply<T>) -> Change,
    ) -> Result<T, NotDone> {
        let (reply, result) = oneshot::channel();
        self.send(change(reply));
        result.blocking_recv().map_err(|_| NotDone::Panicked(NAME))
    }

    /// Sends a change from a thread that may block. It does not wait for the step.
    pub fn send(&self, change: Change) {
        // The thread outlives this handle.
        let _ = self.queue.send(change);
    }

    /// Sends a change if the queue has room, and returns whether it had. It never blocks.
    pub fn offer(&self, change: Change) -> bool {
        self.queue.try_send(change).is_ok()
    }
}

/// The state of the controller thread.
struct TurningController {
    state: ControlState,
    shared: Shared,
    compile: WorkerPool,
    queue: Weak<SyncSender<Change>>,
}

impl TurningController {
    fn run(mut self, changes: &Receiver<Change>) {
        loop {
            match changes.recv_timeout(BEAT) {
                Ok(change) => {
                    // The panic hook logs it, and callers see that their reply was dropped.
                    let _ = catch_unwind(AssertUnwindSafe(|| self.turn(change)));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.shared.watchdog.note(WatchedPart::Controller);
        }
    }

    fn turn(&mut self, change: Change) {
        let observations = self.observe(&change);
        let effects = self.state.step(
            change,
            StepFacts {
                clocks: ClockReading::now(),
                observations,
            },
        );
        self.carry_out(effects);
    }

    fn observe(&self, change: &Change) -> Option<Observations> {
        if !change.needs_observations() {
            return None;
        }
        let monitor = &self.shared.watch.get()?.monitor;
        let mut states = None;
        if change.needs_states() {
            states = Some(monitor.states());
        }
        let mut seen = monitor.health();
        if let Some(fleet) = self.shared.fleet.get() {
            fleet.overrule(&mut seen);
        }
        Some(Observations {
            targets: seen.targets,
            events: monitor.timeline(self.state.log.event),
            shortages: monitor.shortages(),
            states,
        })
    }

    fn carry_out(&mut self, effects: Effects) {
        let mut tickets: Vec<(&'static str, WriteTicket)> = Vec::new();
        for action in effects.actions {
            match action {
                Action::Publish(snapshot) => self.shared.published.store(snapshot),
                Action::Tell(news) => self.shared.events.tell(news),
                Action::Share(news) => {
                    if let Some(leases) = self.shared.fleet_leases.get() {
                        leases.share(news);
                    }
                }
                Action::Keep(KeptFile { name, write }) => {
                    tickets.push((name, self.shared.state_writer.hand(name, write)))
                }
                Action::Probe(targets) => {
                    if let Some(watch) = self.shared.watch.get() {
                        let _entered = watch.runtime.enter();
                        watch.monitor.replace(targets);
                    }
                }
                Action::Build(job) => self.build(*job),
            }
        }
        self.shared.view.store(Arc::new(StateView::of(&self.state)));
        for answer in effects.replies {
            answer.send(&tickets);
        }
        if let Some(edition) = effects.compiled {
            self.shared
                .compiled
                .send_if_modified(|compiled| std::mem::replace(compiled, edition) != edition);
        }
    }

    /// Compiles services and waits for first probes, on the compile thread. Its queue has room,
    /// because one job runs at a time.
    fn build(&mut self, job: BuildJob) {
        let (watch, queue) = (self.shared.watch.clone(), self.queue.clone());
        self.compile.offer(move || {
            let built = catch_unwind(AssertUnwindSafe(|| compile_and_probe(job, watch.get())));
            let change = match built {
                Ok(built) => Change::Built(Box::new(built)),
                Err(_) => Change::BuildFailed,
            };
            if let Some(queue) = queue.upgrade() {
                let _ = queue.send(change);
            }
        });
    }
}

fn compile_and_probe(job: BuildJob, watch: Option<&MonitorHandle>) -> BuiltServices {
    let plan = job.derived.plan.clone();
    let built = job.compile();
    if let Some(watch) = watch {
        watch
            .runtime
            .block_on(watch.monitor.first_round_of(&plan.targets));
    }
    built
}
