//! The loop of the fleet's task.
//!
//! Everything that happens wakes it: a view, a change of health, the time to publish or to forget a
//! view. It takes all that has arrived, decides once, and publishes. Time is that of `Instant`, which
//! nobody can set.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use super::agreed_votes::{AgreedVotes, CheckTargets};
use super::differing::DifferingList;
use super::memory::MemoryKeeper;
use super::news::FleetNews;
use super::now::FleetNow;
use super::report::{self, FleetCounts};
use super::strangers::StrangerList;
use crate::control::announcement::AnnouncementDesk;
use crate::control::controller::{MonitorHandle, StateView};
use crate::control::region_rates::region_rates;
use crate::fleet::bounds::MOST_REGIONS;
use crate::fleet::digest::DigestMaker;
use crate::fleet::member::{FleetMember, REGULAR};
use crate::fleet::view::RegionFigures;
use crate::fleet::view_error::HearError;
use crate::fleet::votes::{VoteCarrier, VoteNews};
use crate::health::check::{ProbeTarget, TargetKey};
use crate::health::machine::HealthState;
use crate::health::quorum::CheckVote;
use crate::steering::PickMethod;

/// The least time between two turns, so that many messages are taken at once.
const PAUSE: Duration = Duration::from_millis(10);
/// A turn may take one part in this many of a processor's time.
const PART: u32 = 10;
/// A report is made at most this often, unless something is decided.
const REPORT: Duration = Duration::from_millis(200);
/// The figures of regions are added up at most this often.
const FIGURES: Duration = Duration::from_secs(2);
/// How long after the engine was reached every other server has spoken.
const FIRST_ROUND: Duration = Duration::from_millis(1200);

/// What the runner reads of this server.
pub(super) struct RunnerInput {
    pub(super) watch: Arc<OnceLock<MonitorHandle>>,
    pub(super) view: Arc<ArcSwap<StateView>>,
    pub(super) announcement: Arc<AnnouncementDesk>,
}

/// Where the runner puts what it finds.
pub(super) struct RunnerOutput {
    pub(super) now: Arc<ArcSwap<FleetNow>>,
    pub(super) version: watch::Sender<u64>,
    pub(super) has_heard: watch::Sender<bool>,
    pub(super) is_silent: Arc<AtomicBool>,
    /// Absent where this server is alone.
    pub(super) keeper: Option<MemoryKeeper>,
}

/// The task of the fleet.
pub(super) struct FleetRunner {
    member: FleetMember,
    carrier: VoteCarrier,
    input: RunnerInput,
    output: RunnerOutput,
    start: Instant,
    /// The targets of the own checks, and which target of the monitor has which digest.
    targets: Arc<CheckTargets>,
    digests: Vec<(ProbeTarget, u64)>,
    settled: Arc<AgreedVotes>,
    /// As in [`FleetNow`].
    contrary: Arc<Vec<TargetKey>>,
    own_version: u64,
    counts: FleetCounts,
    news: FleetNews,
    differing: DifferingList,
    strangers: StrangerList,
    /// Since when the engine can be reached.
    linked_since: Option<Duration>,
    /// The monitor has something new.
    has_own: bool,
    /// Something may be decided otherwise now.
    is_due: bool,
    /// When to decide though nothing has happened.
    decide_at: Duration,
    /// When the next turn makes a report.
    report_at: Duration,
    /// When the next view has new figures of regions.
    figures_at: Duration,
}

impl FleetRunner {
    pub(super) fn new(
        member: FleetMember,
        carrier: VoteCarrier,
        input: RunnerInput,
        output: RunnerOutput,
    ) -> FleetRunner {
        FleetRunner {
            news: FleetNews::new(&member.settings().fleet),
            member,
            carrier,
            input,
            output,
            start: Instant::now(),
            targets: Arc::default(),
            digests: Vec::new(),
            settled: Arc::default(),
            contrary: Arc::default(),
            own_version: 0,
            counts: FleetCounts::default(),
            differing: DifferingList::default(),
            strangers: StrangerList::default(),
            linked_since: None,
            has_own: true,
            is_due: true,
            decide_at: Duration::ZERO,
            report_at: Duration::ZERO,
            figures_at: Duration::ZERO,
        }
    }

    /// Runs until nobody holds the handle any more, or the monitor ends.
    pub(super) async fn run(mut self) {
        let Some(watch) = self.input.watch.get() else {
            return;
        };
        let mut changes = watch.monitor.changes();
        loop {
            let wake = self.next_wake();
            tokio::select! {
                news = self.carrier.next() => self.take(news),
                changed = changes.changed() => match changed {
                    Ok(()) => self.has_own = true,
                    Err(_) => return,
                },
                () = tokio::time::sleep_until((self.start + wake).into()) => {}
            }
            while let Some(news) = self.carrier.try_next() {
                self.take(news);
            }
            let began = thread_time();
            self.turn();
            if self.output.version.is_closed() {
                return;
            }
            let took = thread_time().saturating_sub(began);
            tokio::time::sleep(PAUSE.max(took * PART)).await;
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn next_wake(&self) -> Duration {
        let mut wake = self.member.next_due().min(self.decide_at);
        if !*self.output.has_heard.borrow()
            && let Some(since) = self.linked_since
        {
            wake = wake.min(since + FIRST_ROUND);
        }
        wake
    }

    fn take(&mut self, news: VoteNews) {
        let now = self.now();
        match news {
            VoteNews::Linked => {
                self.linked_since = Some(now);
                self.counts.link_changes += 1;
                self.news.linked();
                self.member.speak_again();
            }
            VoteNews::Unlinked => {
                if self.linked_since.take().is_some() {
                    self.counts.link_changes += 1;
                }
                self.news.unlinked();
            }
            VoteNews::Refused(sentence) => self.news.refused(&sentence),
            VoteNews::View { voter, octets } => {
                self.counts.views += 1;
                match self.member.hear(now, &voter, &octets) {
                    Ok(changed) => self.is_due |= changed,
                    Err(error) => {
                        self.is_due |= matches!(error, HearError::TwoServers { .. });
                        self.counts.refuse(error.word());
                        self.news.not_counted(now, &voter, &error);
                    }
                }
            }
        }
    }

    /// Decides and publishes.
    fn turn(&mut self) {
        let now = self.now();
        let is_other = std::mem::take(&mut self.has_own);
        if is_other {
            self.take_own_votes();
        }
        if std::mem::take(&mut self.is_due) || self.decide_at <= now {
            if self.member.decide(now) {
                self.settle();
            } else if is_other {
                self.note_contrary();
            }
            let expiry = self.member.next_expiry(now) + Duration::from_millis(1);
            self.decide_at = expiry.min(now + REGULAR);
            self.report_at = now;
        }
        let is_silent = self.output.is_silent.load(Ordering::SeqCst);
        if let Some(keeper) = &mut self.output.keeper
            && let Some(directory) = self.input.view.load().directory.clone()
            && !is_silent
        {
            keeper.note(&self.member, directory, now);
        }
        self.member
            .set_announcement(self.input.announcement.state());
        if self.member.next_due() <= now && !is_silent {
            if self.figures_at <= now {
                self.figures_at = now + FIGURES;
                self.member.set_regions(self.region_figures());
            }
            let view = self.member.next_view(now);
            self.carrier.publish(view);
        }
        let has_heard = self
            .linked_since
            .is_some_and(|since| now >= since + FIRST_ROUND);
        if has_heard {
            self.output
                .has_heard
                .send_if_modified(|heard| !std::mem::replace(heard, true));
        }
        // Most views say nothing new, and arrive fifty times a second in a large fleet.
        if self.report_at <= now {
            self.report_at = now + REPORT;
            self.report(now);
        }
    }

    /// Says who came and went, and shows the fleet as it is now.
    fn report(&mut self, now: Duration) {
        self.news.note(now, &self.member);
        let link = report::EngineLink {
            since: self.linked_since,
            counts: &self.counts,
        };
        let mut report = report::of(&self.member, &self.targets, &link, now);
        report.strangers = self.strangers.note(&self.member, now);
        let (member, targets) = (&self.member, &self.targets);
        self.output.now.store(Arc::new(FleetNow {
            turned_at: Instant::now(),
            settled: self.settled.clone(),
            contrary: self.contrary.clone(),
            own_version: self.own_version,
            differing: self.differing.now(member, targets, &self.settled, now),
            report,
        }));
    }

    fn take_own_votes(&mut self) {
        let Some(watch) = self.input.watch.get() else {
            return;
        };
        let (version, states) = watch.monitor.target_states();
        self.own_version = version;
        let known = self.digests.iter().map(|(target, _)| target);
        if !known.eq(states.iter().map(|(target, ..)| target)) {
            self.take_targets(&states);
        }
        let mut votes = BTreeMap::new();
        for ((_, state, is_held), (_, digest)) in states.iter().zip(&self.digests) {
            votes.insert(*digest, CheckVote::of(*state, *is_held));
        }
        self.member.set_votes(&votes);
        self.is_due = true;
    }

    /// Takes other targets than before.
    fn take_targets(&mut self, states: &[(ProbeTarget, HealthState, bool)]) {
        let mut maker = DigestMaker::default();
        let mut targets = BTreeMap::new();
        self.digests.clear();
        for (target, ..) in states {
            let digest = maker.digest(target);
            self.digests.push((target.clone(), digest));
            targets.insert(digest, target.key());
        }
        self.targets = Arc::new(CheckTargets::of(targets));
    }

    /// Publishes what is agreed now.
    fn settle(&mut self) {
        // Both are in the order of the digests.
        let votes = self.member.settled().map(|(_, vote)| vote);
        let (settled, changes) = self.settled.next(&self.targets, votes, Instant::now());
        self.news.settled(&changes, &self.member);
        self.settled = Arc::new(settled);
        self.note_contrary();
        self.differing.outdate();
        // The version follows the votes, so that who waits for it sees them.
        let before = self.output.now.load_full();
        self.output.now.store(Arc::new(FleetNow {
            turned_at: Instant::now(),
            settled: self.settled.clone(),
            contrary: self.contrary.clone(),
            own_version: self.own_version,
            differing: before.differing.clone(),
            report: before.report.clone(),
        }));
        self.output.version.send_modify(|version| *version += 1);
    }

    fn note_contrary(&mut self) {
        self.contrary = Arc::new(self.settled.contrary_to(self.member.own_votes()));
    }

    /// The answers per second of each region, added up over services, and the mean load that its
    /// endpoints report.
    fn region_figures(&self) -> Vec<RegionFigures> {
        let view = self.input.view.load();
        let config = &view.derived.config;
        let loads = self.region_loads(&view);
        let mut figures = Vec::new();
        for (index, answers) in region_rates(config, &view.snapshot.catalog, &view.traffic) {
            if let Some(region) = config.regions.get(index)
                && figures.len() < MOST_REGIONS
            {
                let load = loads.get(&index).map(|sum| (sum.total / sum.count) as f32);
                figures.push(RegionFigures {
                    name: region.name.clone(),
                    answers: answers as f32,
                    load,
                });
            }
        }
        figures
    }

    /// The loads that endpoints report, by region. Empty where no service follows them.
    fn region_loads(&self, view: &StateView) -> BTreeMap<usize, LoadSum> {
        let mut loads: BTreeMap<usize, LoadSum> = BTreeMap::new();
        let services = &view.derived.config.services;
        let follows = services
            .iter()
            .any(|service| service.pick == PickMethod::LeastLoad);
        let Some(watch) = self.input.watch.get().filter(|_| follows) else {
            return loads;
        };
        for (key, target) in watch.monitor.health().targets {
            let Some(load) = target.last.as_ref().and_then(|last| last.load) else {
                continue;
            };
            for place in view.derived.plan.places(&key) {
                let service = services.get(place.service);
                let region = service.and_then(|service| service.regions.get(place.region));
                if let Some(region) = region {
                    let sum = loads.entry(usize::from(region.region.0)).or_default();
                    sum.total += load;
                    sum.count += 1.0;
                }
            }
        }
        loads
    }
}

/// The processor time of this thread. A turn has no point at which it waits, so it is on one thread. On
/// a busy machine a turn lasts longer and does not cost more, so what follows must not wait for that.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(time.tv_sec.unsigned_abs(), nanoseconds)
}

/// Loads, added up.
#[derive(Default)]
struct LoadSum {
    total: f64,
    count: f64,
}
