//! What one server does with the releases of its fleet: the state machine.
//!
//! [`ReleaseMember`] takes the newest release, the reports of all servers, who is in touch, and the
//! time, and says what to do next as a [`ReleaseStep`]: to fetch, to check, to serve, to go back. It
//! has no clock, no socket and no thread; who drives it tells it how each step went. What it has to
//! remember over a restart is a [`ReleaseMemory`].
//!
//! A server never goes to a release with a lower number than one that it has seen. What it goes back
//! to, when a release fails on trial, is the one that was proven here last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rings::{ReleaseReport, ReleaseState, RingAnswer, RingQuestion, may_serve};

/// Most proven releases that are remembered.
const MOST_PROVEN: usize = 4;

/// The part of a server in its fleet's releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingSettings {
    /// The name of the server.
    pub server: String,
    /// Its ring, from 0.
    pub ring: u8,
    /// How long it serves a release before that counts as proven.
    pub soak: Duration,
}

/// What the state machine knows of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFacts {
    /// Its number, from 1.
    pub number: u64,
    /// The digest of its archive.
    pub digest: String,
    /// It returns to an archive that was served before, so servers that have proven that do not wait
    /// for their ring.
    pub is_return: bool,
}

/// A release that is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedRelease {
    /// Its number.
    pub number: u64,
    /// The digest of its archive.
    pub digest: String,
}

/// What became of a release here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseVerdict {
    /// Its number.
    pub number: u64,
    /// What became of it.
    pub state: ReleaseState,
    /// Why, as a clause; may be empty.
    pub why: String,
}

/// What outlives a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseMemory {
    /// The greatest number that was seen.
    pub seen: u64,
    /// What is served; absent: the server's own files.
    pub serving: Option<ServedRelease>,
    /// What was proven last, to go back to; absent: the server's own files.
    pub home: Option<ServedRelease>,
    /// What became of the newest release.
    pub verdict: Option<ReleaseVerdict>,
    /// The release that is being put in force at this moment.
    pub trying: Option<u64>,
    /// The digests of archives that were proven here, the last one at the end.
    pub proven: Vec<String>,
}

impl ReleaseMemory {
    /// Takes the digest of the archive that the server has started with. It is another one than is
    /// remembered if the server ended between two writes.
    pub fn find_served(&mut self, served: Option<String>) {
        let known = self.serving.as_ref().map(|serving| &serving.digest);
        if known == served.as_ref() {
            return;
        }
        let home = self.home.as_ref().map(|home| &home.digest);
        if home == served.as_ref() {
            self.serving = self.home.clone();
            return;
        }
        let number = self.trying.unwrap_or(self.seen);
        self.serving = served.map(|digest| ServedRelease { number, digest });
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseStep {
    /// Nothing, until something arrives or time passes.
    Rest,
    /// Get the archive of the newest release.
    Fetch,
    /// Check it, without serving it.
    Check,
    /// Serve it.
    Serve,
    /// Serve what was proven last.
    GoBack,
}

/// The state machine.
#[derive(Debug)]
pub struct ReleaseMember {
    settings: RingSettings,
    memory: ReleaseMemory,
    target: Option<ReleaseFacts>,
    /// The archive of the target is here.
    is_here: bool,
    soaking_since: Duration,
    /// Why the target waits for its parts.
    waits_for_parts: String,
    reports: BTreeMap<String, ReleaseReport>,
    in_touch: BTreeSet<String>,
}

impl ReleaseMember {
    /// The state machine of a server that remembers this from before its start. A release that it was
    /// putting in force when it ended has failed.
    pub fn new(settings: RingSettings, mut memory: ReleaseMemory, now: Duration) -> ReleaseMember {
        if let Some(number) = memory.trying.take() {
            memory.verdict = Some(ReleaseVerdict {
                number,
                state: ReleaseState::Failed,
                why: "the server ended while it put it in force".to_owned(),
            });
        }
        ReleaseMember {
            settings,
            memory,
            target: None,
            is_here: false,
            soaking_since: now,
            waits_for_parts: String::new(),
            reports: BTreeMap::new(),
            in_touch: BTreeSet::new(),
        }
    }

    /// What is to be remembered.
    pub fn memory(&self) -> &ReleaseMemory {
        &self.memory
    }

    /// The newest release.
    pub fn target(&self) -> Option<&ReleaseFacts> {
        self.target.as_ref()
    }

    /// The reports of all servers.
    pub fn reports(&self) -> &BTreeMap<String, ReleaseReport> {
        &self.reports
    }

    /// Takes a release whose signature was checked; false: it is older than one that was seen.
    /// `is_here`: its archive is here already.
    pub fn take_release(&mut self, facts: ReleaseFacts, is_here: bool) -> bool {
        if facts.number < self.memory.seen {
            return false;
        }
        if let Some(known) = &self.target
            && known.number == facts.number
        {
            return known.digest == facts.digest;
        }
        self.memory.seen = facts.number;
        self.is_here = is_here;
        self.waits_for_parts.clear();
        self.target = Some(facts);
        true
    }

    /// Takes what another server, or this one before a restart, has reported.
    pub fn take_report(&mut self, server: &str, report: Option<ReleaseReport>) {
        match report {
            Some(report) => drop(self.reports.insert(server.to_owned(), report)),
            None => drop(self.reports.remove(server)),
        }
    }

    /// Takes the names of the servers that are in touch.
    pub fn take_touch(&mut self, in_touch: BTreeSet<String>) {
        self.in_touch = in_touch;
    }

    /// What to do next. A soak that is over ends here.
    pub fn step(&mut self, now: Duration) -> ReleaseStep {
        let Some(target) = self.target.clone() else {
            return ReleaseStep::Rest;
        };
        let state = self.state();
        if self.serves(target.number) {
            return self.step_of_served(&target, state, now);
        }
        if state.halts() {
            return ReleaseStep::Rest;
        }
        let answer = self.answer(&target);
        match answer {
            RingAnswer::Halt { .. } => ReleaseStep::Rest,
            _ if !self.is_here => ReleaseStep::Fetch,
            RingAnswer::Go => ReleaseStep::Serve,
            RingAnswer::Wait(_) if state == ReleaseState::Waiting => ReleaseStep::Check,
            RingAnswer::Wait(_) => ReleaseStep::Rest,
        }
    }

    fn step_of_served(
        &mut self,
        target: &ReleaseFacts,
        state: ReleaseState,
        now: Duration,
    ) -> ReleaseStep {
        match state {
            ReleaseState::Proven => ReleaseStep::Rest,
            ReleaseState::Soaking => {
                if let RingAnswer::Halt { .. } = self.answer(target) {
                    self.settle(ReleaseState::Waiting, String::new());
                    return ReleaseStep::GoBack;
                }
                if now.saturating_sub(self.soaking_since) >= self.settings.soak {
                    self.prove();
                }
                ReleaseStep::Rest
            }
            _ => ReleaseStep::GoBack,
        }
    }

    /// The archive of a release is here.
    pub fn fetched(&mut self, number: u64) {
        if self.is_target(number) {
            self.is_here = true;
            self.waits_for_parts.clear();
        }
    }

    /// The archive of a release cannot be had yet; a clause says why.
    pub fn not_fetched(&mut self, number: u64, clause: String) {
        if self.is_target(number) {
            self.waits_for_parts = clause;
        }
    }

    /// A release was checked without a mistake.
    pub fn checked(&mut self, number: u64) {
        if self.is_target(number) && self.state() == ReleaseState::Waiting {
            self.settle(ReleaseState::Checked, String::new());
        }
    }

    /// A release cannot be served; a clause says why.
    pub fn refuse(&mut self, number: u64, clause: String) {
        if self.memory.trying == Some(number) {
            self.memory.trying = None;
        }
        if self.is_target(number) {
            self.settle(ReleaseState::Refused, clause);
        }
    }

    /// A release is about to be put in force.
    pub fn begin(&mut self, number: u64) {
        self.memory.trying = Some(number);
    }

    /// A release was not put in force, for a reason that may pass.
    pub fn not_begun(&mut self) {
        self.memory.trying = None;
    }

    /// A release is in force.
    pub fn served(&mut self, release: &ReleaseFacts, now: Duration) {
        self.memory.trying = None;
        self.memory.serving = Some(ServedRelease {
            number: release.number,
            digest: release.digest.clone(),
        });
        if !self.is_target(release.number) {
            return;
        }
        self.settle(ReleaseState::Soaking, String::new());
        self.soaking_since = now;
        if self.skips_rings(release) {
            self.prove();
        }
    }

    /// The release that is served has failed; a clause says why.
    pub fn fail(&mut self, clause: String) {
        if self.state() == ReleaseState::Soaking {
            self.settle(ReleaseState::Failed, clause);
        }
    }

    /// What was proven last is in force again.
    pub fn returned(&mut self) {
        self.memory.serving = self.memory.home.clone();
    }

    /// Whether a release is served on trial.
    pub fn is_soaking(&self) -> bool {
        let target = self.target.as_ref();
        self.state() == ReleaseState::Soaking
            && target.is_some_and(|target| self.serves(target.number))
    }

    /// What this server says.
    pub fn report(&self) -> ReleaseReport {
        let serving = self.memory.serving.as_ref();
        ReleaseReport {
            ring: self.settings.ring,
            release: self.memory.seen,
            state: self.state(),
            why: self.why(),
            serving: serving.map_or(0, |serving| serving.number),
        }
    }

    /// Who has halted the newest release, and why.
    pub fn halt(&self) -> Option<(String, String)> {
        let target = self.target.as_ref()?;
        match self.answer(target) {
            RingAnswer::Halt { by, why } => Some((by, why)),
            _ => None,
        }
    }

    fn why(&self) -> String {
        let told = self.verdict().map(|verdict| verdict.why.as_str());
        let is_open = matches!(self.state(), ReleaseState::Waiting | ReleaseState::Checked);
        match (told.unwrap_or_default(), &self.target) {
            ("", Some(target)) if is_open => self.waits_for(target),
            (told, _) => told.to_owned(),
        }
    }

    /// What a release waits for; empty: nothing.
    fn waits_for(&self, target: &ReleaseFacts) -> String {
        match self.answer(target) {
            RingAnswer::Halt { by, .. } => format!("halted by {by}"),
            _ if !self.waits_for_parts.is_empty() => self.waits_for_parts.clone(),
            RingAnswer::Wait(clause) => clause,
            RingAnswer::Go => String::new(),
        }
    }

    fn answer(&self, target: &ReleaseFacts) -> RingAnswer {
        if self.skips_rings(target) {
            return RingAnswer::Go;
        }
        may_serve(&RingQuestion {
            ring: self.settings.ring,
            release: target.number,
            reports: &self.reports,
            in_touch: &self.in_touch,
        })
    }

    /// Whether this server has proven the archive before, and is told to return to it.
    fn skips_rings(&self, release: &ReleaseFacts) -> bool {
        release.is_return && self.memory.proven.contains(&release.digest)
    }

    fn is_target(&self, number: u64) -> bool {
        let target = self.target.as_ref();
        target.is_some_and(|target| target.number == number)
    }

    fn serves(&self, number: u64) -> bool {
        let serving = self.memory.serving.as_ref();
        serving.is_some_and(|serving| serving.number == number)
    }

    /// What became of the newest release.
    fn state(&self) -> ReleaseState {
        let verdict = self.verdict();
        verdict.map_or(ReleaseState::Waiting, |verdict| verdict.state)
    }

    /// The verdict about the newest release.
    fn verdict(&self) -> Option<&ReleaseVerdict> {
        let verdict = self.memory.verdict.as_ref();
        verdict.filter(|verdict| verdict.number == self.memory.seen)
    }

    /// Remembers what became of the newest release. Others read it as this server's report, and so
    /// does this server.
    fn settle(&mut self, state: ReleaseState, why: String) {
        self.memory.verdict = Some(ReleaseVerdict {
            number: self.memory.seen,
            state,
            why,
        });
        let report = self.report();
        self.reports.insert(self.settings.server.clone(), report);
    }

    fn prove(&mut self) {
        let Some(serving) = self.memory.serving.clone() else {
            return;
        };
        let proven = &mut self.memory.proven;
        proven.retain(|digest| *digest != serving.digest);
        proven.push(serving.digest.clone());
        if proven.len() > MOST_PROVEN {
            proven.remove(0);
        }
        self.memory.home = Some(serving);
        self.settle(ReleaseState::Proven, String::new());
    }
}

#[cfg(test)]
mod tests;
