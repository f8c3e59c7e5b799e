//! Board: what the monitor knows of all its targets at once. Time comes in as an argument; no task, no socket.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::cadence::{Cadence, ProbePace};
use super::check::{ProbeTarget, TargetKey};
use super::monitor::{HealthReport, ShortageCount, TargetHealth};
use super::probe::{Observation, ProbePhases, Shortage, ShortageKind};
use super::suspicion::{FEWEST, LastReached};
use super::timeline::{HealthChange, Timeline};
use super::verdict::{HealthMachine, ProbeResult, Transition};

/// How many others are asked when one fails.
const WITNESSES: usize = 3;

/// All targets.
#[derive(Debug, Default)]
pub struct TargetBoard {
    /// In an order that is the same on every run, so that a play can be played again.
    pub(super) entries: BTreeMap<TargetKey, BoardEntry>,
    pub(super) timeline: Timeline,
    pub(super) suspect: bool,
    /// Changes of what [`HealthReport`] decides by.
    pub(super) version: u64,
    reached: LastReached,
    held: BTreeSet<TargetKey>,
    /// Serving targets by address.
    serving: HashMap<IpAddr, usize>,
    serving_count: usize,
    failing_count: usize,
    /// Targets whose first result is still to come.
    pub(super) unobserved: usize,
    /// Probes that could not be made, by what was missing on our side; the reason is that of the last.
    pub(super) not_made: BTreeMap<ShortageKind, (u64, String)>,
}

/// One target.
#[derive(Debug)]
pub struct BoardEntry {
    pub(super) target: ProbeTarget,
    pub(super) machine: HealthMachine,
    pub(super) cadence: Cadence,
    pub(super) last: Option<Arc<Observation>>,
    pub(super) observed_at: Option<Duration>,
    /// Why the probes after that could not be made.
    pub(super) not_made: Option<Arc<Shortage>>,
    pub(super) next_probe: Duration,
    /// When the probe that is under way was started.
    pub(super) probing_since: Option<Duration>,
    /// Asks for a probe now.
    pub(super) wake: Arc<Notify>,
}

impl BoardEntry {
    /// Nothing lets it serve yet, but it was good when it was last asked.
    fn is_seen_alive(&self) -> bool {
        !self.machine.verdict().serves()
            && self
                .last
                .as_ref()
                .is_some_and(|last| last.outcome != ProbeResult::Fail)
    }

    fn is_failing(&self) -> bool {
        self.last
            .as_ref()
            .is_some_and(|last| last.outcome == ProbeResult::Fail)
    }
}

impl TargetBoard {
    /// Takes a target in.
    pub fn add(&mut self, entry: BoardEntry) {
        let key = entry.target.key();
        self.unobserved += usize::from(entry.last.is_none());
        self.tally(&entry, true);
        self.entries.insert(key, entry);
        self.version += 1;
    }

    /// Forgets a target.
    pub fn remove(&mut self, key: &TargetKey) -> Option<BoardEntry> {
        let entry = self.entries.remove(key)?;
        self.unobserved -= usize::from(entry.last.is_none());
        self.held.remove(key);
        self.tally(&entry, false);
        self.version += 1;
        Some(entry)
    }

    /// Whether each of these that is a target has had a result.
    pub fn has_observed(&self, keys: &[TargetKey]) -> bool {
        keys.iter()
            .filter_map(|key| self.entries.get(key))
            .all(|entry| entry.last.is_some())
    }

    /// A probe of a target starts.
    pub fn begin(&mut self, key: &TargetKey, now: Duration) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.probing_since = Some(now);
        }
    }

    /// Whether some probe has taken longer than its timeout and `slack`: the monitor is not at work any more.
    pub fn has_late_probe(&self, now: Duration, slack: Duration) -> bool {
        self.entries.values().any(|entry| {
            let most = entry.target.check.rules.timeout + slack;
            entry
                .probing_since
                .is_some_and(|since| now.saturating_sub(since) > most)
        })
    }

    /// Takes in a result, and says when the next probe of the target starts; `None`: the target is not there any more.
    pub fn observe(
        &mut self,
        key: &TargetKey,
        started: Duration,
        now: Duration,
        observation: Observation,
        jitter: f64,
    ) -> Option<Duration> {
        let mut entry = self.entries.remove(key)?;
        self.tally(&entry, false);
        self.unobserved -= usize::from(entry.last.is_none());
        let outcome = observation.outcome;
        let reached = observation.reached();
        let failing_since = entry.machine.failing_since().unwrap_or(now);
        // Whoever says himself that he does not serve is believed; only silence may be our own.
        let silent = outcome == ProbeResult::Fail && !reached;
        let alone = silent && !self.reached.other_since(failing_since, key.address.ip());
        // Its own address counts with the others, though it is out of the tally just now.
        let others = self
            .serving
            .keys()
            .filter(|&&address| address != key.address.ip())
            .take(FEWEST)
            .count();
        let serves = entry.machine.verdict().serves();
        let was_seen_alive = entry.is_seen_alive();
        let doubted = alone && others + usize::from(serves) >= FEWEST;
        entry.last = Some(Arc::new(observation));
        entry.observed_at = Some(now);
        entry.not_made = None;
        entry.probing_since = None;
        let turn = entry.machine.observe(now, outcome, !doubted);
        entry.next_probe = entry
            .cadence
            .next(entry.machine.pace(), started, now, jitter);
        let next = entry.next_probe;
        let held = entry.machine.is_held();
        self.version += u64::from(entry.is_seen_alive() != was_seen_alive);
        self.tally(&entry, true);
        self.entries.insert(key.clone(), entry);
        let is_news = if held {
            self.held.insert(key.clone())
        } else {
            self.held.remove(key)
        };
        self.version += u64::from(is_news);
        self.record(key, turn);
        if outcome == ProbeResult::Fail && serves && doubted && !self.suspect {
            self.ask_witnesses(key.address.ip(), jitter);
        }
        if reached {
            self.reached.note(now, key.address.ip());
            if self.suspect {
                self.forgive()
            } else {
                self.release(now)
            };
        }
        self.suspect_itself();
        Some(next)
    }

    /// Takes in that a probe could not be made for want of something on our side: nothing is known, so that everything
    /// stays as it was agreed. Says when it is tried again; `None`: the target is not there any more.
    pub fn hold(
        &mut self,
        key: &TargetKey,
        started: Duration,
        now: Duration,
        shortage: Shortage,
        jitter: f64,
    ) -> Option<Duration> {
        let entry = self.entries.get_mut(key)?;
        let told = self.not_made.entry(shortage.kind).or_default();
        *told = (told.0 + 1, shortage.reason.clone());
        entry.not_made = Some(Arc::new(shortage));
        entry.probing_since = None;
        // Who has had no result at all takes nobody, so that it is not left waiting for a whole interval.
        let pace = if entry.last.is_none() {
            ProbePace::Quick
        } else {
            entry.machine.pace()
        };
        entry.next_probe = entry.cadence.next(pace, started, now, jitter);
        Some(entry.next_probe)
    }

    /// Every kind of shortage that there was.
    pub fn shortages(&self) -> Vec<ShortageCount> {
        let mut counts = Vec::with_capacity(self.not_made.len());
        for (&kind, (count, reason)) in &self.not_made {
            let is_held = |entry: &&BoardEntry| {
                entry
                    .not_made
                    .as_ref()
                    .is_some_and(|shortage| shortage.kind == kind)
            };
            let held = self.entries.values().filter(is_held).count();
            counts.push(ShortageCount {
                kind,
                count: *count,
                held,
                reason: reason.clone(),
            });
        }
        counts
    }

    /// All that is known.
    pub fn health(&self, now: Duration) -> HealthReport {
        let of = |entry: &BoardEntry| TargetHealth {
            verdict: entry.machine.verdict(),
            lasting: now.saturating_sub(entry.machine.since()),
            observed_ago: entry.observed_at.map(|at| now.saturating_sub(at)),
            last: entry.last.clone(),
            not_made: entry.not_made.clone(),
            settled: entry.machine.is_settled(),
            held: entry.machine.is_held(),
            flip_possible_in: entry.machine.time_to_possible_flip(
                &entry.cadence,
                entry.next_probe,
                now,
            ),
        };
        let targets = self
            .entries
            .iter()
            .map(|(key, entry)| (key.clone(), of(entry)))
            .collect();
        let not_made =
            ShortageKind::ALL.map(|kind| (kind, self.not_made.get(&kind).map_or(0, |told| told.0)));
        HealthReport {
            version: self.version,
            suspect: self.suspect,
            targets,
            not_made: not_made.to_vec(),
        }
    }

    /// Somebody was reached again: what failed meanwhile proves nothing, so all are asked anew.
    fn forgive(&mut self) {
        self.held.clear();
        for entry in self
            .entries
            .values_mut()
            .filter(|entry| entry.machine.verdict().serves() && entry.is_failing())
        {
            entry.machine.forgive();
            entry.wake.notify_one();
        }
    }

    /// Lets those fall that were held for want of a witness who is here now.
    fn release(&mut self, now: Duration) {
        let since = |key: &TargetKey| {
            self.entries
                .get(key)
                .and_then(|entry| entry.machine.failing_since())
        };
        let proved = |key: &&TargetKey| {
            since(key).is_some_and(|since| self.reached.other_since(since, key.address.ip()))
        };
        let proved: Vec<TargetKey> = self.held.iter().filter(proved).cloned().collect();
        for key in proved {
            self.held.remove(&key);
            let Some(mut entry) = self.entries.remove(&key) else {
                continue;
            };
            self.tally(&entry, false);
            let turn = entry.machine.release(now);
            self.tally(&entry, true);
            self.entries.insert(key.clone(), entry);
            self.record(&key, turn);
        }
    }

    /// Wakes some serving targets of other addresses, beginning at a place drawn by chance.
    fn ask_witnesses(&self, address: IpAddr, chance: f64) {
        let skipped = (chance * self.entries.len() as f64) as usize;
        let others = self.entries.values().filter(|entry| {
            entry.machine.verdict().serves()
                && !entry.is_failing()
                && entry.target.address.ip() != address
        });
        others
            .cycle()
            .skip(skipped)
            .take(WITNESSES)
            .for_each(|entry| entry.wake.notify_one());
    }

    fn suspect_itself(&mut self) {
        let suspect = !self.held.is_empty() && self.failing_count == self.serving_count;
        if suspect != self.suspect {
            self.suspect = suspect;
            self.version += 1;
        }
    }

    fn record(&mut self, key: &TargetKey, turn: Option<Transition>) {
        let Some(turn) = turn else { return };
        self.version += 1;
        let last = self.entries.get(key).and_then(|entry| entry.last.as_ref());
        self.timeline.push(HealthChange {
            number: 0,
            at: SystemTime::now(),
            target: key.clone(),
            from: turn.from,
            to: turn.to,
            cause: last.and_then(|last| last.reason.clone()),
            phases: last.map_or(ProbePhases::default(), |last| last.phases),
        });
    }

    fn tally(&mut self, entry: &BoardEntry, add: bool) {
        if !entry.machine.verdict().serves() {
            return;
        }
        let change = |count: &mut usize| {
            *count = if add {
                *count + 1
            } else {
                count.saturating_sub(1)
            }
        };
        change(&mut self.serving_count);
        if entry.is_failing() {
            change(&mut self.failing_count);
        }
        let address = entry.target.address.ip();
        let at_address = self.serving.entry(address).or_default();
        change(at_address);
        if *at_address == 0 {
            self.serving.remove(&address);
        }
    }
}
