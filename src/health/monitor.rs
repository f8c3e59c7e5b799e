//! The monitor: probes every target on its schedule and keeps the board of results.
//!
//! Each target has a task of its own, so a target is never probed twice at once. A fair semaphore
//! limits how many probes run at the same time. The tasks report to one
//! board (`TargetBoard`), and [`Monitor::health`] copies its contents. Queries never
//! wait for the monitor: `control` reads the report and publishes the availability that follows.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::board::{BoardEntry, TargetBoard};
use super::cadence::Cadence;
use super::check::{ProbeTarget, TargetKey};
use super::machine::{HealthMachine, HealthState};
use super::probe::{Observation, ProbeAttempt, Prober, Shortage, ShortageKind};
use super::state::SavedStates;
use super::timeline::HealthChange;
use crate::steering::pick::next_draw;

/// How far a probe may exceed its timeout before it counts as stuck. A busy machine is slow.
const SLACK: Duration = Duration::from_secs(10);
/// How long [`Monitor::first_round`] waits beyond the longest timeout.
const FIRST_ROUND_GRACE: Duration = Duration::from_millis(200);
/// The fractional part of the golden ratio. Its multiples, taken modulo 1, spread any number of
/// targets evenly over the interval.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_894_9;

/// Makes probes: [`Prober`] over sockets, or a simulation in tests.
pub trait ProbeMaker: Send + Sync + 'static {
    /// Makes one probe. It ends within the check's timeout.
    fn probe<'a>(
        &'a self,
        target: &'a ProbeTarget,
    ) -> Pin<Box<dyn Future<Output = ProbeAttempt> + Send + 'a>>;
}

impl ProbeMaker for Prober {
    fn probe<'a>(
        &'a self,
        target: &'a ProbeTarget,
    ) -> Pin<Box<dyn Future<Output = ProbeAttempt> + Send + 'a>> {
        Box::pin(Prober::probe(self, target))
    }
}

/// A snapshot of the health of all targets.
#[derive(Debug, Clone)]
pub struct HealthReport {
    /// Increases when availability may change: a target changes state, is added or removed, becomes
    /// held or released, or answers again while down; or `suspect` changes.
    pub version: u64,
    /// All endpoints fail at once. The monitor suspects its own network and keeps the agreed
    /// states.
    pub suspect: bool,
    /// By target.
    pub targets: HashMap<TargetKey, TargetHealth>,
    /// Number of probes that could not be made, by the kind of shortage on this machine.
    pub not_made: Vec<(ShortageKind, u64)>,
}

/// What the monitor knows of one target.
#[derive(Debug, Clone)]
pub struct TargetHealth {
    /// The agreed state.
    pub state: HealthState,
    /// How long the target has been in this state.
    pub lasting: Duration,
    /// The age of the last result, or `None` without one.
    pub observed_ago: Option<Duration>,
    /// The last result.
    pub last: Option<Arc<Observation>>,
    /// Why the probes since the last result could not be made. The state is kept meanwhile.
    pub not_made: Option<Arc<Shortage>>,
    /// No recent result contradicts the state.
    pub settled: bool,
    /// The target would be down if the monitor did not suspect its own network.
    pub held: bool,
    /// The shortest time until the state can change.
    pub flip_possible_in: Duration,
    /// This server sees it otherwise: the state is what the fleet has agreed.
    pub outvoted: bool,
}

/// How often probes could not be made for one kind of shortage on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortageCount {
    /// The resource that ran out.
    pub kind: ShortageKind,
    /// Number of probes that could not be made for it.
    pub count: u64,
    /// Number of targets whose last probe could not be made for it.
    pub held: usize,
    /// The reason given for the most recent one.
    pub reason: String,
}

/// Probes its targets until it is dropped.
#[derive(Debug)]
pub struct Monitor {
    shared: Arc<Shared>,
    tasks: Mutex<HashMap<TargetKey, AbortHandle>>,
}

struct Shared {
    prober: Arc<dyn ProbeMaker>,
    board: Mutex<TargetBoard>,
    permits: Semaphore,
    start: Instant,
    version: watch::Sender<u64>,
    unobserved: watch::Sender<usize>,
    /// Seed of the random draws.
    seed: u64,
    draws: AtomicU64,
}

impl Monitor {
    /// Starts probing. Must be called inside a tokio runtime.
    ///
    /// `known` holds the agreed states from before a restart. `in_flight` limits how many probes
    /// run at once; 1,024 is enough for 10,000 endpoints.
    pub fn start(
        prober: Arc<dyn ProbeMaker>,
        targets: Vec<ProbeTarget>,
        known: &SavedStates,
        in_flight: usize,
    ) -> Monitor {
        let seed = RandomState::new().hash_one(0);
        Monitor::start_by(seed, prober, targets, known, in_flight)
    }

    /// Like [`Monitor::start`], with a given random seed. On a simulated clock, the same seed
    /// produces the same sequence of probes.
    pub fn start_by(
        seed: u64,
        prober: Arc<dyn ProbeMaker>,
        targets: Vec<ProbeTarget>,
        known: &SavedStates,
        in_flight: usize,
    ) -> Monitor {
        let shared = Shared {
            prober,
            board: Mutex::default(),
            permits: Semaphore::new(in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            start: Instant::now(),
            version: watch::Sender::new(0),
            unobserved: watch::Sender::new(0),
            seed,
            draws: AtomicU64::new(0),
        };
        let monitor = Monitor {
            shared: Arc::new(shared),
            tasks: Mutex::default(),
        };
        monitor.install(targets, known);
        monitor
    }

    /// Replaces the targets. Targets that remain keep their state, even if their rules change.
    pub fn replace(&self, targets: Vec<ProbeTarget>) {
        self.install(targets, &SavedStates::new());
    }

    /// The health of every target.
    pub fn health(&self) -> HealthReport {
        self.shared.board().health(self.shared.now())
    }

    /// The agreed state of every target, to be saved across restarts.
    pub fn states(&self) -> SavedStates {
        let mut states = SavedStates::new();
        for (key, entry) in &self.shared.board().entries {
            states.insert(key.clone(), entry.machine.state());
        }
        states
    }

    /// Every target with its agreed state, and whether the state is only held; and
    /// [`HealthReport::version`] at that moment.
    pub fn target_states(&self) -> (u64, Vec<(ProbeTarget, HealthState, bool)>) {
        let board = self.shared.board();
        let mut states = Vec::with_capacity(board.entries.len());
        for entry in board.entries.values() {
            let machine = &entry.machine;
            states.push((entry.target.clone(), machine.state(), machine.is_held()));
        }
        (board.version, states)
    }

    /// Every kind of shortage on this machine that has prevented a probe.
    pub fn shortages(&self) -> Vec<ShortageCount> {
        self.shared.board().shortages()
    }

    /// Whether a probe has far exceeded its timeout, so that its endpoint is no longer watched.
    pub fn has_late_probe(&self) -> bool {
        self.shared.board().has_late_probe(self.shared.now(), SLACK)
    }

    /// Receives [`HealthReport::version`]. A new value means that availability may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// The stored changes after this number, oldest first.
    pub fn timeline(&self, after: u64) -> Vec<HealthChange> {
        self.shared.board().timeline.after(after)
    }

    /// Waits until every target has had a result, at most slightly longer than the longest timeout.
    /// Returns whether all of them have.
    pub async fn first_round(&self) -> bool {
        let mut longest = Duration::ZERO;
        for entry in self.shared.board().entries.values() {
            longest = longest.max(entry.target.check.rules.timeout);
        }
        let mut unobserved = self.shared.unobserved.subscribe();
        let all_observed = unobserved.wait_for(|left| *left == 0);
        tokio::time::timeout(longest + FIRST_ROUND_GRACE, all_observed)
            .await
            .is_ok()
    }

    /// Like [`Monitor::first_round`], but waits only for these targets.
    pub async fn first_round_of(&self, targets: &[ProbeTarget]) -> bool {
        let mut longest = Duration::ZERO;
        let mut keys = Vec::with_capacity(targets.len());
        for target in targets {
            longest = longest.max(target.check.rules.timeout);
            keys.push(target.key());
        }
        let mut unobserved = self.shared.unobserved.subscribe();
        let all_observed = async {
            while !self.shared.board().has_observed(&keys) {
                // The monitor owns the sender, so this cannot fail.
                let _ = unobserved.changed().await;
            }
        };
        tokio::time::timeout(longest + FIRST_ROUND_GRACE, all_observed)
            .await
            .is_ok()
    }

    fn install(&self, targets: Vec<ProbeTarget>, known: &SavedStates) {
        let mut wanted = BTreeMap::new();
        for target in targets {
            wanted.insert(target.key(), target);
        }
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut board = self.shared.board();
        tasks.retain(|key, task| {
            let stays = wanted.contains_key(key);
            if !stays {
                task.abort();
                board.remove(key);
            }
            stays
        });
        for (key, target) in wanted {
            if let Some(entry) = board.entries.get(&key)
                && entry.target == target
            {
                continue;
            }
            if let Some(task) = tasks.remove(&key) {
                task.abort();
            }
            let state = known.get(&key).copied().unwrap_or(HealthState::Unknown);
            let entry = self.entry(board.remove(&key), target, state);
            let task = tokio::spawn(self.shared.clone().watch_over(
                entry.target.clone(),
                entry.wake.clone(),
                entry.next_probe,
            ));
            board.add(entry);
            tasks.insert(key, task.abort_handle());
        }
        self.shared.publish(&board);
    }

    /// A new entry, with the state and last result of the one that it replaces.
    fn entry(
        &self,
        previous: Option<BoardEntry>,
        target: ProbeTarget,
        state: HealthState,
    ) -> BoardEntry {
        let rules = target.check.rules.clone();
        let now = self.shared.now();
        let mut cadence = Cadence {
            interval: rules.interval,
            quick: rules.quick,
            phase: Duration::ZERO,
        };
        let draw = self.shared.draws.fetch_add(1, Ordering::Relaxed);
        let position = (draw as f64 * GOLDEN_RATIO).fract();
        cadence.phase = now + cadence.period().mul_f64(position);
        let mut entry = BoardEntry {
            target,
            machine: HealthMachine::resume(rules.clone(), state, now),
            cadence,
            last: None,
            observed_at: None,
            not_made: None,
            // The listeners wait for the first round, so it does not wait for the grid.
            next_probe: now,
            probing_since: None,
            wake: Arc::default(),
        };
        if let Some(previous) = previous {
            entry.machine = previous.machine;
            entry.machine.set_rules(rules);
            entry.last = previous.last;
            entry.observed_at = previous.observed_at;
        }
        entry
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in tasks.values() {
            task.abort();
        }
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, TargetBoard> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// A random number in 0.0..1.0.
    fn draw(&self) -> f64 {
        let number = self.draws.fetch_add(1, Ordering::Relaxed);
        (next_draw(self.seed ^ number) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The task of one target: probes it until it is removed from the board.
    async fn watch_over(self: Arc<Self>, target: ProbeTarget, wake: Arc<Notify>, first: Duration) {
        let key = target.key();
        let mut next = first;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.start + next) => {}
                () = wake.notified() => {}
            }
            let Ok(permit) = self.permits.acquire().await else {
                return;
            };
            let started = self.now();
            self.board().begin(&key, started);
            let attempt = self.prober.probe(&target).await;
            drop(permit);
            let Some(after) = self.report(&key, started, attempt) else {
                return;
            };
            next = after;
        }
    }

    /// Passes a result to the board and returns the start of the next probe.
    fn report(
        &self,
        key: &TargetKey,
        started: Duration,
        attempt: ProbeAttempt,
    ) -> Option<Duration> {
        let jitter = self.draw();
        let mut board = self.board();
        let now = self.now();
        let next = match attempt {
            ProbeAttempt::Made(observation) => {
                board.observe(key, started, now, observation, jitter)
            }
            ProbeAttempt::NotMade(shortage) => board.hold(key, started, now, shortage, jitter),
        };
        self.publish(&board);
        next
    }

    fn publish(&self, board: &TargetBoard) {
        send_if_changed(&self.version, board.version);
        send_if_changed(&self.unobserved, board.unobserved);
    }
}

fn send_if_changed<T: PartialEq>(sender: &watch::Sender<T>, value: T) {
    sender.send_if_modified(|held| {
        let changed = *held != value;
        *held = value;
        changed
    });
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("board", &self.board)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
