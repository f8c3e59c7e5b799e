//! Monitor: probes every target by its cadence and keeps the board of verdicts.
//!
//! One task for each target, so that none is ever probed twice at once; a fair semaphore caps how many probes run
//! together. Nobody who answers queries waits for any of this.

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
use super::probe::{Observation, ProbeAttempt, Prober, Shortage, ShortageKind};
use super::state::SavedVerdicts;
use super::timeline::HealthChange;
use super::verdict::{HealthMachine, HealthState};
use crate::steering::pick::next_draw;

/// What a probe may take beyond its timeout: a machine without an idle processor is slow, and not stuck.
const SLACK: Duration = Duration::from_secs(10);

/// Whoever makes probes: [`Prober`] with sockets, or a play in a test.
pub trait ProbeMaker: Send + Sync + 'static {
    /// One probe, over within the check's timeout.
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

/// All that is known at one moment.
#[derive(Debug, Clone)]
pub struct HealthReport {
    /// Grows with every change of a verdict, of the set of targets or of `suspect`, and when one is held or not any more, or
    /// is down and was seen alive or not any more.
    pub version: u64,
    /// Everything fails at once: the monitor doubts itself and holds what was agreed.
    pub suspect: bool,
    /// By target.
    pub targets: HashMap<TargetKey, TargetHealth>,
    /// Probes that could not be made so far, by what was missing on our side.
    pub not_made: Vec<(ShortageKind, u64)>,
}

/// What is known of one target.
#[derive(Debug, Clone)]
pub struct TargetHealth {
    /// What is agreed.
    pub verdict: HealthState,
    /// For how long.
    pub lasting: Duration,
    /// How old the last result is; `None`: there is none.
    pub observed_ago: Option<Duration>,
    /// The last result.
    pub last: Option<Arc<Observation>>,
    /// Why the probes since then could not be made, if there were any: what is agreed is held meanwhile.
    pub not_made: Option<Arc<Shortage>>,
    /// Nothing speaks against the verdict.
    pub settled: bool,
    /// Would be down, were the monitor not in doubt of itself.
    pub held: bool,
    /// The earliest that the verdict could change.
    pub flip_possible_in: Duration,
}

/// How often something was missing on our side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortageCount {
    /// What.
    pub kind: ShortageKind,
    /// Probes that could not be made for want of it, so far.
    pub count: u64,
    /// Targets whose last probe could not be made for want of it.
    pub held: usize,
    /// Why the last of them could not.
    pub reason: String,
}

/// Probes until it is dropped.
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
    /// Draws are made from it.
    chance: u64,
    draws: AtomicU64,
}

impl Monitor {
    /// Starts probing; must be called inside a tokio runtime. `known` is what was agreed before a restart;
    /// `in_flight` caps how many probes run at once (1,024 serves 10,000 endpoints).
    pub fn start(
        prober: Arc<dyn ProbeMaker>,
        targets: Vec<ProbeTarget>,
        known: &SavedVerdicts,
        in_flight: usize,
    ) -> Monitor {
        Monitor::start_by(
            RandomState::new().hash_one(0),
            prober,
            targets,
            known,
            in_flight,
        )
    }

    /// [`Monitor::start`] with this chance: on a clock of its own the same chance makes the same play.
    pub fn start_by(
        chance: u64,
        prober: Arc<dyn ProbeMaker>,
        targets: Vec<ProbeTarget>,
        known: &SavedVerdicts,
        in_flight: usize,
    ) -> Monitor {
        let shared = Shared {
            prober,
            board: Mutex::default(),
            permits: Semaphore::new(in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            start: Instant::now(),
            version: watch::Sender::new(0),
            unobserved: watch::Sender::new(0),
            chance,
            draws: AtomicU64::new(0),
        };
        let monitor = Monitor {
            shared: Arc::new(shared),
            tasks: Mutex::default(),
        };
        monitor.install(targets, known);
        monitor
    }

    /// Probes these from now on. Targets that stay keep their state, also under changed rules.
    pub fn replace(&self, targets: Vec<ProbeTarget>) {
        self.install(targets, &SavedVerdicts::new());
    }

    /// Every verdict and what it rests on.
    pub fn health(&self) -> HealthReport {
        self.shared.board().health(self.shared.now())
    }

    /// The verdicts alone, to be kept across restarts.
    pub fn verdicts(&self) -> SavedVerdicts {
        self.shared
            .board()
            .entries
            .iter()
            .map(|(key, entry)| (key.clone(), entry.machine.verdict()))
            .collect()
    }

    /// What was missing on our side so far: every kind of shortage that there was.
    pub fn shortages(&self) -> Vec<ShortageCount> {
        self.shared.board().shortages()
    }

    /// Whether some probe takes much longer than it may, so that its endpoint is not watched any more.
    pub fn has_late_probe(&self) -> bool {
        self.shared.board().has_late_probe(self.shared.now(), SLACK)
    }

    /// Holds [`HealthReport::version`]; changes whenever folding again is due.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// The kept changes after this number, oldest first.
    pub fn timeline(&self, after: u64) -> Vec<HealthChange> {
        self.shared.board().timeline.after(after)
    }

    /// Waits until every target has had a result, at most for the longest timeout and a moment to take it in. Says
    /// whether all have.
    pub async fn first_round(&self) -> bool {
        let longest = {
            let board = self.shared.board();
            board
                .entries
                .values()
                .map(|entry| entry.target.check.rules.timeout)
                .max()
                .unwrap_or_default()
        };
        let mut unobserved = self.shared.unobserved.subscribe();
        let all = unobserved.wait_for(|left| *left == 0);
        tokio::time::timeout(longest + Duration::from_millis(200), all)
            .await
            .is_ok()
    }

    /// The same of these alone: what others wait for holds nobody up.
    pub async fn first_round_of(&self, targets: &[ProbeTarget]) -> bool {
        let longest = targets
            .iter()
            .map(|target| target.check.rules.timeout)
            .max()
            .unwrap_or_default();
        let keys: Vec<TargetKey> = targets.iter().map(ProbeTarget::key).collect();
        let mut unobserved = self.shared.unobserved.subscribe();
        let all = async {
            while !self.shared.board().has_observed(&keys) {
                // The sender is the monitor's own, so it outlives this.
                let _ = unobserved.changed().await;
            }
        };
        tokio::time::timeout(longest + Duration::from_millis(200), all)
            .await
            .is_ok()
    }

    fn install(&self, targets: Vec<ProbeTarget>, known: &SavedVerdicts) {
        let wanted: BTreeMap<TargetKey, ProbeTarget> = targets
            .into_iter()
            .map(|target| (target.key(), target))
            .collect();
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
            if board
                .entries
                .get(&key)
                .is_some_and(|entry| entry.target == target)
            {
                continue;
            }
            if let Some(task) = tasks.remove(&key) {
                task.abort();
            }
            let entry = self.entry(board.remove(&key), target, known.get(&key).copied());
            let (target, wake, first) =
                (entry.target.clone(), entry.wake.clone(), entry.next_probe);
            board.add(entry);
            tasks.insert(
                key,
                tokio::spawn(watch_over(self.shared.clone(), target, wake, first)).abort_handle(),
            );
        }
        self.shared.publish(&board);
    }

    fn entry(
        &self,
        before: Option<BoardEntry>,
        target: ProbeTarget,
        known: Option<HealthState>,
    ) -> BoardEntry {
        let (rules, now) = (target.check.rules.clone(), self.shared.now());
        // Multiples of the golden ratio fill the interval evenly, however many follow.
        let place = (self.shared.draws.fetch_add(1, Ordering::Relaxed) as f64
            * 0.618_033_988_749_894_9)
            .fract();
        let mut cadence = Cadence {
            interval: rules.interval,
            quick: rules.quick,
            phase: Duration::ZERO,
        };
        cadence.phase = now + cadence.period().mul_f64(place);
        let new =
            || HealthMachine::resume(rules.clone(), known.unwrap_or(HealthState::Unknown), now);
        let (mut machine, last, observed_at) = before.map_or_else(
            || (new(), None, None),
            |entry| (entry.machine, entry.last, entry.observed_at),
        );
        machine.set_rules(rules.clone());
        // The first round does not wait for the grid, since the listeners wait for it.
        let (next_probe, probing_since, not_made, wake) = (now, None, None, Arc::default());
        BoardEntry {
            target,
            machine,
            cadence,
            last,
            observed_at,
            not_made,
            next_probe,
            probing_since,
            wake,
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.values().for_each(AbortHandle::abort);
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, TargetBoard> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// 0.0..1.0
    fn draw(&self) -> f64 {
        let number = self.draws.fetch_add(1, Ordering::Relaxed);
        (next_draw(self.chance ^ number) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn observed(
        &self,
        key: &TargetKey,
        started: Duration,
        result: ProbeAttempt,
    ) -> Option<Duration> {
        let jitter = self.draw();
        let mut board = self.board();
        let now = self.now();
        let next = match result {
            ProbeAttempt::Made(observation) => {
                board.observe(key, started, now, observation, jitter)
            }
            ProbeAttempt::NotMade(shortage) => board.hold(key, started, now, shortage, jitter),
        };
        self.publish(&board);
        next
    }

    fn publish(&self, board: &TargetBoard) {
        let replace = |sender: &watch::Sender<u64>, value| {
            sender.send_if_modified(|held| std::mem::replace(held, value) != value);
        };
        replace(&self.version, board.version);
        self.unobserved
            .send_if_modified(|held| std::mem::replace(held, board.unobserved) != board.unobserved);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("board", &self.board)
            .finish_non_exhaustive()
    }
}

/// The life of one target.
async fn watch_over(shared: Arc<Shared>, target: ProbeTarget, wake: Arc<Notify>, first: Duration) {
    let key = target.key();
    let mut next = first;
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(shared.start + next) => {}
            () = wake.notified() => {}
        }
        let Ok(permit) = shared.permits.acquire().await else {
            return;
        };
        let started = shared.now();
        shared.board().begin(&key, started);
        let result = shared.prober.probe(&target).await;
        drop(permit);
        let Some(after) = shared.observed(&key, started, result) else {
            return;
        };
        next = after;
    }
}

#[cfg(test)]
mod tests;
