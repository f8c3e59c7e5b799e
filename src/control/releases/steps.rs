//! The steps of the state machine: to fetch, to check, to serve, to go back, and what became of them.
//!
//! Each runs in a task of its own, one at a time, and its end comes back to the task of releases. A
//! release that cannot be had yet is asked for again; anything else that is wrong refuses it.

use std::collections::BTreeSet;
use std::time::Instant;

use super::store::ReleaseStore;
use super::{PAUSE, ReleaseRunner, StepEnd, fetch};
use crate::control::events::{EventDraft, EventTopic};
use crate::control::guard::ConfirmedRisks;
use crate::control::worker::NotDone;
use crate::fleet::answer_shares::AnswerCounts;
use crate::fleet::release::{ArchiveFacts, ReleaseFault};
use crate::fleet::release_member::{ReleaseFacts, ReleaseMemory};

/// The word of a release that waits for its parts.
const INCOMPLETE: &str = "incomplete";

impl ReleaseRunner {
    /// Carries out a step in a task of its own.
    fn begin(&self, step: impl Future<Output = StepEnd> + Send + 'static) {
        let finish = self.finish.clone();
        tokio::spawn(async move { finish.send(step.await).await });
    }

    pub(super) fn fetch(&self, number: u64, archive: ArchiveFacts) {
        let (control, store) = (self.control.clone(), self.store.clone());
        let engine = self.commander.clone();
        self.begin(async move {
            let end = fetch::fetch(&control, &engine, store, archive).await;
            StepEnd::Fetched(number, end)
        });
    }

    pub(super) fn check(&self, facts: ReleaseFacts) {
        let control = self.control.clone();
        let folder = self.store.folder_of(&facts.digest);
        self.begin(
            async move { StepEnd::Checked(facts.number, control.check_release(folder).await) },
        );
    }

    pub(super) async fn serve(&mut self, facts: ReleaseFacts) {
        self.member.begin(facts.number);
        self.save().await;
        let manifest = self.manifest.as_ref();
        let may_move = manifest.is_some_and(|it| it.may_move || it.is_return);
        let serving = self.reload(Some(facts.digest.clone()), may_move);
        self.begin(async move { StepEnd::Served(facts, serving.await) });
    }

    pub(super) fn go_back(&self) {
        let home = self.member.memory().home.clone();
        let serving = self.reload(home.map(|home| home.digest), true);
        self.begin(async move { StepEnd::WentBack(serving.await) });
    }

    /// Serves a release, or the server's own files.
    fn reload(
        &self,
        digest: Option<String>,
        may_move: bool,
    ) -> impl Future<Output = Result<Result<(), String>, NotDone>> + Send + use<> {
        let (control, store) = (self.control.clone(), self.store.clone());
        async move {
            let confirmed = confirmed(may_move);
            control.serve_release(store, digest, confirmed).await
        }
    }

    /// Takes in what became of a step.
    pub(super) async fn take_end(&mut self, end: StepEnd) {
        self.is_busy = false;
        match end {
            StepEnd::Fetched(number, Ok(())) => self.member.fetched(number),
            StepEnd::Fetched(number, Err(fault)) => self.not_fetched(number, fault),
            StepEnd::Checked(number, Ok(Ok(()))) => self.member.checked(number),
            StepEnd::Served(facts, Ok(Ok(()))) => self.served(&facts).await,
            StepEnd::Checked(number, Ok(Err(clause)))
            | StepEnd::Served(ReleaseFacts { number, .. }, Ok(Err(clause))) => {
                self.refuse(number, ReleaseFault::Unfit(clause));
            }
            StepEnd::WentBack(Ok(Ok(()))) => self.returned(),
            StepEnd::WentBack(Ok(Err(clause))) => {
                tracing::error!("fleet {}: cannot go back: {clause}", self.fleet);
                self.pause();
            }
            StepEnd::Checked(_, Err(not_done))
            | StepEnd::Served(_, Err(not_done))
            | StepEnd::WentBack(Err(not_done)) => {
                self.member.not_begun();
                tracing::warn!("fleet {}: a release waits: {not_done}", self.fleet);
                self.pause();
            }
        }
    }

    async fn served(&mut self, facts: &ReleaseFacts) {
        let now = self.now();
        self.shares.begin(now, self.counts());
        self.member.served(facts, now);
        tracing::info!("fleet {}: release {} is served", self.fleet, facts.number);
        self.prune().await;
    }

    fn returned(&mut self) {
        self.member.returned();
        let serving = self.member.report().serving;
        tracing::warn!("fleet {}: went back to release {serving}", self.fleet);
    }

    /// What clients were told so far.
    pub(super) fn counts(&self) -> AnswerCounts {
        AnswerCounts::of(&self.stats.sums())
    }

    fn not_fetched(&mut self, number: u64, fault: ReleaseFault) {
        match fault {
            ReleaseFault::Incomplete(clause) => self.wait_for_parts(number, clause),
            fault => self.refuse(number, fault),
        }
    }

    fn wait_for_parts(&mut self, number: u64, clause: String) {
        if self.member.report().why != clause {
            *self.refused.entry(INCOMPLETE).or_default() += 1;
            tracing::warn!("fleet {}: release {number} waits: {clause}", self.fleet);
        }
        self.member.not_fetched(number, clause);
        self.pause();
    }

    /// Waits before the next step.
    fn pause(&mut self) {
        self.pause_until = Instant::now() + PAUSE;
    }

    fn refuse(&mut self, number: u64, fault: ReleaseFault) {
        self.note(&fault);
        self.say_halted(format!("release {number} is refused: {fault}"));
        self.member.refuse(number, fault.to_string());
    }

    pub(super) fn say_failed(&self, clause: &str) {
        let number = self.member.memory().seen;
        self.say_halted(format!("release {number} is taken back: {clause}"));
    }

    fn say_halted(&self, sentence: String) {
        tracing::error!("fleet {}: {sentence}", self.fleet);
        let draft = EventDraft::new(EventTopic::Reload, sentence);
        self.control.events().tell(draft);
    }

    /// Removes releases that nothing goes back to.
    async fn prune(&self) {
        let (store, memory) = (self.store.clone(), self.member.memory().clone());
        let next = self.member.target().cloned();
        let workers = &self.control.threads.releases;
        let _ = workers.run(move || prune(&store, &memory, next)).await;
    }
}

/// Keeps the releases that are served, were proven, or come next.
fn prune(store: &ReleaseStore, memory: &ReleaseMemory, next: Option<ReleaseFacts>) {
    let mut kept = BTreeSet::new();
    kept.extend(next.as_ref().map(|next| &*next.digest));
    kept.extend(memory.proven.iter().map(String::as_str));
    for served in [&memory.serving, &memory.home].into_iter().flatten() {
        kept.insert(&served.digest);
    }
    store.keep_only(&kept);
}

/// Whether clients may move however far.
fn confirmed(may_move: bool) -> ConfirmedRisks {
    ConfirmedRisks {
        moves: may_move,
        uncovers: may_move,
    }
}
