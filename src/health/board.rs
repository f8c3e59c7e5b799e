//! The board: what the monitor knows about all of its targets.
//!
//! The [monitor](super::monitor) holds one [`TargetBoard`] under a lock and passes it every probe
//! result. The board updates the target's state machine, schedules the next probe, and decides
//! whether a silent endpoint is down or whether the monitor itself has lost its network
//! ([`super::suspicion`]). It uses neither tasks nor sockets, and every method takes the time as an
//! argument. Only the timeline records the wall clock, for display.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::cadence::{Cadence, ProbePace};
use super::check::{ProbeTarget, TargetKey};
use super::machine::{HealthMachine, ProbeResult, Transition};
use super::monitor::{HealthReport, ShortageCount, TargetHealth};
use super::probe::{Observation, ProbePhases, Shortage, ShortageKind};
use super::suspicion::{FEWEST, LastReached};
use super::timeline::{HealthChange, Timeline};

/// How many other targets are probed at once when one fails.
const WITNESSES: usize = 3;

/// All targets of the monitor.
#[derive(Debug, Default)]
pub struct TargetBoard {
    /// Sorted, so that a simulation visits targets in the same order on every run.
    pub(super) entries: BTreeMap<TargetKey, BoardEntry>,
    pub(super) timeline: Timeline,
    /// Every serving target fails at once, and at least one is held.
    pub(super) suspect: bool,
    /// Increases with every change of what [`HealthReport`] says about availability.
    pub(super) version: u64,
    reached: LastReached,
    /// Targets that have failed often enough, but are kept up.
    held: BTreeSet<TargetKey>,
    serving: ServingCounts,
    /// Targets without a first result.
    pub(super) unobserved: usize,
    shortages: BTreeMap<ShortageKind, ShortageRecord>,
}

/// One target.
#[derive(Debug)]
pub struct BoardEntry {
    pub(super) target: ProbeTarget,
    pub(super) machine: HealthMachine,
    pub(super) cadence: Cadence,
    pub(super) last: Option<Arc<Observation>>,
    pub(super) observed_at: Option<Duration>,
    /// Why the probes since `last` could not be made.
    pub(super) not_made: Option<Arc<Shortage>>,
    pub(super) next_probe: Duration,
    /// Start of the probe in progress.
    pub(super) probing_since: Option<Duration>,
    /// Triggers a probe at once.
    pub(super) wake: Arc<Notify>,
}

impl BoardEntry {
    /// Whether the target is not serving although its last probe succeeded.
    fn is_seen_alive(&self) -> bool {
        match &self.last {
            Some(last) => !self.serves() && last.result != ProbeResult::Fail,
            None => false,
        }
    }

    fn is_failing(&self) -> bool {
        matches!(&self.last, Some(last) if last.result == ProbeResult::Fail)
    }

    fn serves(&self) -> bool {
        self.machine.state().serves()
    }

    /// Whether the last probe could not be made for this kind of shortage.
    fn lacks(&self, kind: ShortageKind) -> bool {
        matches!(&self.not_made, Some(shortage) if shortage.kind == kind)
    }

    fn is_late(&self, now: Duration, slack: Duration) -> bool {
        match self.probing_since {
            Some(since) => now.saturating_sub(since) > self.target.check.rules.timeout + slack,
            None => false,
        }
    }

    fn observe(
        &mut self,
        now: Duration,
        observation: Observation,
        may_fall: bool,
    ) -> Option<Transition> {
        let result = observation.result;
        self.last = Some(Arc::new(observation));
        self.observed_at = Some(now);
        self.not_made = None;
        self.probing_since = None;
        self.machine.observe(now, result, may_fall)
    }

    fn health(&self, now: Duration) -> TargetHealth {
        TargetHealth {
            state: self.machine.state(),
            lasting: now.saturating_sub(self.machine.since()),
            observed_ago: self.observed_at.map(|at| now.saturating_sub(at)),
            last: self.last.clone(),
            not_made: self.not_made.clone(),
            settled: self.machine.is_settled(),
            held: self.machine.is_held(),
            flip_possible_in: self.machine.time_to_possible_flip(
                &self.cadence,
                self.next_probe,
                now,
            ),
            outvoted: false,
        }
    }
}

/// How many serving targets there are. Remove an entry before it changes and add it afterwards.
#[derive(Debug, Default)]
struct ServingCounts {
    targets: usize,
    /// Serving targets whose last probe failed.
    failing: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl ServingCounts {
    fn add(&mut self, entry: &BoardEntry) {
        if !entry.serves() {
            return;
        }
        self.targets += 1;
        self.failing += usize::from(entry.is_failing());
        *self
            .by_address
            .entry(entry.target.address.ip())
            .or_default() += 1;
    }

    fn remove(&mut self, entry: &BoardEntry) {
        if !entry.serves() {
            return;
        }
        self.targets = self.targets.saturating_sub(1);
        if entry.is_failing() {
            self.failing = self.failing.saturating_sub(1);
        }
        let address = entry.target.address.ip();
        let at_address = self.by_address.entry(address).or_default();
        *at_address = at_address.saturating_sub(1);
        if *at_address == 0 {
            self.by_address.remove(&address);
        }
    }

    /// Serving addresses other than this one.
    fn other_addresses(&self, address: IpAddr) -> usize {
        self.by_address.len() - usize::from(self.by_address.contains_key(&address))
    }
}

/// Probes that could not be made for one kind of shortage.
#[derive(Debug, Default)]
struct ShortageRecord {
    count: u64,
    last_reason: String,
}

impl TargetBoard {
    /// Adds a target.
    pub fn add(&mut self, entry: BoardEntry) {
        self.unobserved += usize::from(entry.last.is_none());
        self.serving.add(&entry);
        self.entries.insert(entry.target.key(), entry);
        self.version += 1;
    }

    /// Removes a target and returns its entry.
    pub fn remove(&mut self, key: &TargetKey) -> Option<BoardEntry> {
        let entry = self.entries.remove(key)?;
        self.unobserved -= usize::from(entry.last.is_none());
        self.held.remove(key);
        self.serving.remove(&entry);
        self.version += 1;
        Some(entry)
    }

    /// Whether every one of these targets has had a result. Unknown keys are ignored.
    pub fn has_observed(&self, keys: &[TargetKey]) -> bool {
        for key in keys {
            if let Some(entry) = self.entries.get(key)
                && entry.last.is_none()
            {
                return false;
            }
        }
        true
    }

    /// Notes that a probe of a target starts.
    pub fn begin(&mut self, key: &TargetKey, now: Duration) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.probing_since = Some(now);
        }
    }

    /// Whether any probe has taken longer than its timeout plus `slack`, which means that the
    /// monitor no longer makes progress.
    pub fn has_late_probe(&self, now: Duration, slack: Duration) -> bool {
        self.entries.values().any(|entry| entry.is_late(now, slack))
    }

    /// Processes a result and returns the start of the target's next probe. Returns `None` if the
    /// target has been removed.
    pub fn observe(
        &mut self,
        key: &TargetKey,
        started: Duration,
        now: Duration,
        observation: Observation,
        jitter: f64,
    ) -> Option<Duration> {
        let doubted = self.doubts(self.entries.get(key)?, &observation, now);
        let reached = observation.reached();
        let entry = self.entries.get_mut(key)?;
        let served = entry.serves();
        let was_seen_alive = entry.is_seen_alive();
        self.serving.remove(entry);
        self.unobserved -= usize::from(entry.last.is_none());
        let transition = entry.observe(now, observation, !doubted);
        self.serving.add(entry);
        let pace = entry.machine.pace();
        entry.next_probe = entry.cadence.next(pace, started, now, jitter);
        let next_probe = entry.next_probe;
        self.version += u64::from(entry.is_seen_alive() != was_seen_alive);
        let held_changed = if entry.machine.is_held() {
            self.held.insert(key.clone())
        } else {
            self.held.remove(key)
        };
        self.version += u64::from(held_changed);
        self.record(key, transition);
        if served && doubted && !self.suspect {
            self.wake_witnesses(key.address.ip(), jitter);
        }
        if reached {
            self.note_reached(now, key.address.ip());
        }
        self.update_suspect();
        Some(next_probe)
    }

    /// Whether a failure may be our own: the endpoint was silent, no other address was reached
    /// since its failures began, and enough addresses serve for that to mean something.
    ///
    /// An endpoint that answers with an error is always believed.
    fn doubts(&self, entry: &BoardEntry, observation: &Observation, now: Duration) -> bool {
        let address = entry.target.address.ip();
        let failing_since = entry.machine.failing_since().unwrap_or(now);
        if observation.reached() || self.reached.other_since(failing_since, address) {
            return false;
        }
        self.serving.other_addresses(address) + usize::from(entry.serves()) >= FEWEST
    }

    /// Processes a probe that could not be made because of a shortage on this machine. The
    /// target's state does not change. Returns the start of the next attempt, or `None` if the
    /// target has been removed.
    pub fn hold(
        &mut self,
        key: &TargetKey,
        started: Duration,
        now: Duration,
        shortage: Shortage,
        jitter: f64,
    ) -> Option<Duration> {
        let entry = self.entries.get_mut(key)?;
        let record = self.shortages.entry(shortage.kind).or_default();
        record.count += 1;
        record.last_reason.clone_from(&shortage.reason);
        entry.not_made = Some(Arc::new(shortage));
        entry.probing_since = None;
        // A target without any result takes no clients, so it does not wait a whole interval.
        let pace = if entry.last.is_none() {
            ProbePace::Quick
        } else {
            entry.machine.pace()
        };
        entry.next_probe = entry.cadence.next(pace, started, now, jitter);
        Some(entry.next_probe)
    }

    /// Every kind of shortage that has occurred.
    pub fn shortages(&self) -> Vec<ShortageCount> {
        let mut counts = Vec::with_capacity(self.shortages.len());
        for (&kind, record) in &self.shortages {
            counts.push(ShortageCount {
                kind,
                count: record.count,
                held: self
                    .entries
                    .values()
                    .filter(|entry| entry.lacks(kind))
                    .count(),
                reason: record.last_reason.clone(),
            });
        }
        counts
    }

    /// The health of every target.
    pub fn health(&self, now: Duration) -> HealthReport {
        let mut targets = HashMap::with_capacity(self.entries.len());
        for (key, entry) in &self.entries {
            targets.insert(key.clone(), entry.health(now));
        }
        let mut not_made = Vec::with_capacity(ShortageKind::ALL.len());
        for kind in ShortageKind::ALL {
            let record = self.shortages.get(&kind);
            not_made.push((kind, record.map_or(0, |record| record.count)));
        }
        HealthReport {
            version: self.version,
            suspect: self.suspect,
            targets,
            not_made,
        }
    }

    /// An endpoint was heard from, so the network works.
    fn note_reached(&mut self, now: Duration, address: IpAddr) {
        self.reached.note(now, address);
        if self.suspect {
            self.forgive();
        } else {
            self.release(now);
        }
    }

    /// Clears all failures after a network outage of our own, and probes those targets again.
    fn forgive(&mut self) {
        self.held.clear();
        for entry in self.entries.values_mut() {
            if entry.serves() && entry.is_failing() {
                entry.machine.forgive();
                entry.wake.notify_one();
            }
        }
    }

    /// Takes down the held targets whose failures another address now confirms.
    fn release(&mut self, now: Duration) {
        for key in self.confirmed_failures() {
            self.held.remove(&key);
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            self.serving.remove(entry);
            let transition = entry.machine.release(now);
            self.serving.add(entry);
            self.record(&key, transition);
        }
    }

    /// Held targets that failed while another address was reached.
    fn confirmed_failures(&self) -> Vec<TargetKey> {
        let mut confirmed = Vec::new();
        for key in &self.held {
            if let Some(entry) = self.entries.get(key)
                && let Some(since) = entry.machine.failing_since()
                && self.reached.other_since(since, key.address.ip())
            {
                confirmed.push(key.clone());
            }
        }
        confirmed
    }

    /// Probes a few serving targets at other addresses now, starting at a random one.
    fn wake_witnesses(&self, address: IpAddr, random: f64) {
        let mut others = Vec::new();
        for entry in self.entries.values() {
            if entry.serves() && !entry.is_failing() && entry.target.address.ip() != address {
                others.push(entry);
            }
        }
        if others.is_empty() {
            return;
        }
        let first = (random * self.entries.len() as f64) as usize;
        for offset in 0..WITNESSES {
            others[(first + offset) % others.len()].wake.notify_one();
        }
    }

    fn update_suspect(&mut self) {
        let suspect = !self.held.is_empty() && self.serving.failing == self.serving.targets;
        if suspect != self.suspect {
            self.suspect = suspect;
            self.version += 1;
        }
    }

    /// Adds a transition to the timeline, with the probe that caused it.
    fn record(&mut self, key: &TargetKey, transition: Option<Transition>) {
        let Some(transition) = transition else { return };
        self.version += 1;
        let mut change = HealthChange {
            number: 0,
            at: SystemTime::now(),
            target: key.clone(),
            from: transition.from,
            to: transition.to,
            cause: None,
            phases: ProbePhases::default(),
        };
        if let Some(entry) = self.entries.get(key)
            && let Some(last) = &entry.last
        {
            change.cause.clone_from(&last.reason);
            change.phases = last.phases;
        }
        self.timeline.push(change);
    }
}
