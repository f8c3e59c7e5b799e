//! The task that joins the releases of a fleet with the controller.
//!
//! It owns the [`ReleaseMember`], feeds it with what the engine says, and carries out its steps one at
//! a time: an archive is fetched and unpacked, checked as a reload checks it, and served by a reload.
//! While a release is on trial, the task watches what clients are told; a jump takes the release back.
//! What becomes of a release here is written to the engine as this server's report.

mod calls;
mod fetch;
mod handle;
mod report;
mod steps;
mod store;
mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

pub use self::handle::{ReleaseHalt, ReleasesHandle, ReleasesReport, ServerRelease};

use self::handle::ReleasesEnds;
use self::store::ReleaseStore;
use super::fleet::kv_settings;
use super::running::Control;
use super::worker::NotDone;
use crate::config::FleetConfig;
use crate::config::ReleasesConfig;
use crate::fleet::answer_shares::ShareWatch;
use crate::fleet::desired::{BucketEntry, BucketSnapshot};
use crate::fleet::nats_kv::KvBucket;
use crate::fleet::order_carrier::{OrderCarrier, OrderCommander, OrderNews};
use crate::fleet::release::{ReleaseFault, ReleaseManifest, SignedRelease};
use crate::fleet::release_member::{
    ReleaseFacts, ReleaseMember, ReleaseMemory, ReleaseStep, RingSettings,
};
use crate::fleet::rings::ReleaseReport;
use crate::server::ServerStats;
use crate::text::shown;

/// How often the task looks at the time and at what clients are told.
const TICK: Duration = Duration::from_millis(100);
/// The pause before something that did not work is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// The key of the newest release.
const RELEASE: &str = "release";
/// What stands before the name of a server in the key of its report.
const REPORT: &str = "report.";

impl Control {
    /// Follows the releases of the fleet, if the configuration says whose, with a task of the current
    /// tokio runtime.
    ///
    /// # Errors
    /// A sentence: this server has no name, or TLS cannot be used.
    pub fn start_releases(self: &Arc<Control>, stats: Arc<ServerStats>) -> Result<(), String> {
        let state = self.state();
        let fleet = state.derived.base.fleet.as_ref();
        let Some((fleet, config)) = fleet.and_then(|it| Some((it, it.releases.clone()?))) else {
            return Ok(());
        };
        let Some(directory) = state.directory.clone() else {
            return Ok(());
        };
        let store = ReleaseStore::new(directory);
        let (handle, ends) = ReleasesHandle::new();
        let runner = ReleaseRunner::new(self.clone(), stats, fleet, config, (store, ends))?;
        self.releases.get_or_init(|| handle);
        tokio::spawn(runner.run());
        Ok(())
    }

    /// The releases of the fleet; `None`: the configuration is this server's own.
    pub fn releases(&self) -> Option<&ReleasesHandle> {
        self.releases.get()
    }
}

/// What became of a step.
enum StepEnd {
    Fetched(u64, Result<(), ReleaseFault>),
    Checked(u64, Result<Result<(), String>, NotDone>),
    Served(ReleaseFacts, Result<Result<(), String>, NotDone>),
    WentBack(Result<Result<(), String>, NotDone>),
}

/// The task of releases.
struct ReleaseRunner {
    control: Arc<Control>,
    stats: Arc<ServerStats>,
    fleet: String,
    settings: RingSettings,
    config: ReleasesConfig,
    store: ReleaseStore,
    ends: ReleasesEnds,
    carrier: OrderCarrier,
    commander: OrderCommander,
    member: ReleaseMember,
    shares: ShareWatch,
    /// What the author of the newest release has signed.
    manifest: Option<ReleaseManifest>,
    /// Why the newest value does not count.
    fault: Option<ReleaseFault>,
    refused: BTreeMap<&'static str, u64>,
    /// The newest revision of each key.
    revisions: BTreeMap<String, u64>,
    is_linked: bool,
    /// The bucket was read.
    is_current: bool,
    started: Instant,
    /// A step is under way; its end arrives in `done`.
    is_busy: bool,
    finish: mpsc::Sender<StepEnd>,
    done: mpsc::Receiver<StepEnd>,
    /// No step begins before this.
    pause_until: Instant,
    /// What was saved last.
    saved: ReleaseMemory,
    /// What was written last as the report of this server.
    told: Option<ReleaseReport>,
    /// When that was, or was tried.
    told_at: Option<Instant>,
}

impl ReleaseRunner {
    fn new(
        control: Arc<Control>,
        stats: Arc<ServerStats>,
        fleet: &FleetConfig,
        config: ReleasesConfig,
        (store, ends): (ReleaseStore, ReleasesEnds),
    ) -> Result<ReleaseRunner, String> {
        let kv = kv_settings(fleet, KvBucket::Releases)?;
        let settings = RingSettings {
            server: kv.nats.voter.clone(),
            ring: config.ring,
            soak: config.soak,
        };
        let carrier = OrderCarrier::nats(kv);
        let saved = store.memory();
        let mut remembered = saved.clone();
        remembered.find_served(store.served());
        let (finish, done) = mpsc::channel(1);
        let started = Instant::now();
        Ok(ReleaseRunner {
            control,
            stats,
            fleet: fleet.name.clone(),
            member: ReleaseMember::new(settings.clone(), remembered, Duration::ZERO),
            settings,
            config,
            store,
            ends,
            commander: carrier.commander(),
            carrier,
            shares: ShareWatch::default(),
            manifest: None,
            fault: None,
            refused: BTreeMap::new(),
            revisions: BTreeMap::new(),
            is_linked: false,
            is_current: false,
            started,
            is_busy: false,
            finish,
            done,
            pause_until: started,
            saved,
            told: None,
            told_at: None,
        })
    }

    async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.publish();
            tokio::select! {
                news = self.carrier.next() => self.take(news),
                call = self.ends.calls.recv() => match call {
                    Some(call) => self.obey(call),
                    None => return,
                },
                Some(end) = self.done.recv() => self.take_end(end).await,
                _ = tick.tick() => {}
            }
            self.after().await;
        }
    }

    /// What may follow from anything. While another server takes over, that one does all of this.
    async fn after(&mut self) {
        if !self.control.is_closed() {
            self.turn().await;
            self.save().await;
            self.tell().await;
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn take(&mut self, news: OrderNews) {
        match news {
            OrderNews::Linked => self.is_linked = true,
            OrderNews::Unlinked => self.is_linked = false,
            OrderNews::Refused(sentence) => {
                self.is_current = false;
                let sentence = shown(&sentence);
                tracing::warn!("fleet {}: releases: NATS: {sentence}", self.fleet);
            }
            OrderNews::Missing => self.make_bucket(),
            OrderNews::Snapshot(snapshot) => self.take_snapshot(&snapshot),
            OrderNews::Entry(entry) => self.take_entry(&entry),
        }
    }

    fn make_bucket(&mut self) {
        self.is_current = false;
        self.revisions.clear();
        let commander = self.commander.clone();
        tokio::spawn(async move { commander.make().await });
    }

    fn take_snapshot(&mut self, snapshot: &BucketSnapshot) {
        self.revisions.clear();
        self.is_current = true;
        self.told = None;
        self.told_at = None;
        for entry in &snapshot.entries {
            self.take_entry(entry);
        }
    }

    fn take_entry(&mut self, entry: &BucketEntry) {
        let known = self.revisions.get(&entry.key).copied().unwrap_or(0);
        if entry.revision <= known {
            return;
        }
        self.revisions.insert(entry.key.clone(), entry.revision);
        if entry.key == RELEASE {
            self.take_release(entry.value.as_deref());
        } else if let Some(server) = entry.key.strip_prefix(REPORT) {
            let octets = entry.value.as_deref().unwrap_or_default();
            let report = serde_json::from_slice(octets).ok();
            if server == self.settings.server {
                self.told = report;
            } else {
                self.member.take_report(server, report);
            }
        }
    }

    /// Takes the newest release, if it counts.
    fn take_release(&mut self, value: Option<&[u8]>) {
        match self.read_release(value) {
            Ok(manifest) => {
                self.fault = None;
                if self.manifest.as_ref() != Some(&manifest) {
                    self.say_new(&manifest);
                }
                self.manifest = Some(manifest);
            }
            Err(fault) => {
                self.note(&fault);
                tracing::warn!(
                    "fleet {}: the newest release does not count: {fault}; what was served before \
                     is served still",
                    self.fleet
                );
                self.fault = Some(fault);
            }
        }
    }

    /// Reads the newest release, and hands it to the state machine.
    fn read_release(&mut self, value: Option<&[u8]>) -> Result<ReleaseManifest, ReleaseFault> {
        let signed = SignedRelease::read(value.unwrap_or_default())?;
        let manifest = signed.verify(&self.config.trusted_keys, &self.fleet)?;
        let facts = facts_of(&manifest);
        let is_here = self.store.has(&facts.digest);
        if self.member.take_release(facts, is_here) {
            return Ok(manifest);
        }
        Err(ReleaseFault::Older {
            theirs: manifest.number,
            seen: self.member.memory().seen,
        })
    }

    fn say_new(&self, manifest: &ReleaseManifest) {
        let (number, by) = (manifest.number, shown(&manifest.author));
        let reason = shown(&manifest.reason);
        tracing::info!("fleet {}: release {number} by {by}: {reason}", self.fleet);
    }

    fn note(&mut self, fault: &ReleaseFault) {
        *self.refused.entry(fault.word()).or_default() += 1;
    }

    /// Watches answers, and begins the next step.
    async fn turn(&mut self) {
        let now = self.now();
        self.member.take_touch(self.in_touch());
        self.watch_answers(now);
        if self.is_busy || Instant::now() < self.pause_until {
            return;
        }
        let step = self.member.step(now);
        let (Some(facts), Some(manifest)) = (self.member.target().cloned(), &self.manifest) else {
            return;
        };
        match step {
            ReleaseStep::Rest => return,
            ReleaseStep::Fetch => self.fetch(facts.number, manifest.archive.clone()),
            ReleaseStep::Check => self.check(facts),
            ReleaseStep::Serve => self.serve(facts).await,
            ReleaseStep::GoBack => self.go_back(),
        }
        self.is_busy = true;
    }

    /// Takes back a release on trial if what clients are told has jumped.
    fn watch_answers(&mut self, now: Duration) {
        let counts = self.counts();
        if self.member.is_soaking() {
            let limit = self.config.max_jump;
            if let Some(clause) = self.shares.jumped(now, &counts, limit) {
                self.say_failed(&clause);
                self.member.fail(clause);
            }
        } else {
            self.shares.end();
        }
        self.shares.note(now, counts);
    }

    /// Saves what has to outlive a restart.
    async fn save(&mut self) {
        if *self.member.memory() == self.saved {
            return;
        }
        let (store, memory) = (self.store.clone(), self.member.memory().clone());
        self.saved = memory.clone();
        let workers = &self.control.threads.releases;
        let saved = match workers.run(move || store.save(&memory)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(not_done) => not_done.to_string(),
        };
        tracing::error!("fleet {}: releases are not remembered: {saved}", self.fleet);
    }
}

fn facts_of(manifest: &ReleaseManifest) -> ReleaseFacts {
    ReleaseFacts {
        number: manifest.number,
        digest: manifest.archive.digest.clone(),
        is_return: manifest.is_return,
    }
}
