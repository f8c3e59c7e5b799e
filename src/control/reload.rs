//! What is being served, and how it is replaced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::watch;

use super::clock::BootTime;
use super::coverage::CoverageDesk;
use super::effect::EffectiveOverrides;
use super::events::{EventDraft, EventLog, EventTopic};
use super::fingerprint::ContentPrints;
use super::guard::{self, ConfirmedRisks};
use super::health::MonitorHandle;
use super::health_news::LogState;
use super::identity::{self, OfEach};
use super::keeper::StateWriter;
use super::load::{AtlasCache, ConfigOrigin, LoadedState, needs_restart, prints};
use super::names::BackgroundResolver;
use super::operate::{OperatorState, with_services};
use super::overlay;
use super::probed::ProbeAccount;
use super::process;
use super::reloads::{ReloadHistory, ReloadResult};
use super::standing::AvailabilityMemory;
use super::state_directory::StateDirectory;
use super::targets::ProbePlan;
use super::threads::WorkerThreads;
use super::traffic::{self, TrafficRates};
use super::watchdog::Watchdog;
use super::watched::{self, FileStates, WatchedFiles};
use super::worker::NotDone;
use crate::answer::Snapshot;
use crate::config::Config;
use crate::files::FilePrint;
use crate::resolve::KnownNames;
use crate::server::PublishedSnapshot;
use crate::server::encrypted::TlsIdentity;

/// The running state and where it comes from.
pub struct Control {
    origin: ConfigOrigin,
    published: Arc<PublishedSnapshot>,
    identity: OfEach<Arc<TlsIdentity>>,
    /// Whoever publishes holds this.
    current: Mutex<ControlState>,
    /// One reload at a time. Nothing else ever waits for this.
    reloading: Mutex<()>,
    /// One change of services at a time; a reload's last step is one.
    pub(super) changing: Mutex<()>,
    /// The edition of the demands that services are compiled with.
    pub(super) compiled: watch::Sender<u64>,
    pub(super) threads: WorkerThreads,
    reloads: Mutex<ReloadHistory>,
    /// Absent until probing starts.
    pub(super) watch: OnceLock<MonitorHandle>,
    /// Absent until names are resolved.
    pub(super) names: OnceLock<BackgroundResolver>,
    pub(super) keeper: StateWriter,
    pub(super) events: EventLog,
    pub(super) coverage: CoverageDesk,
    /// Another server is about to take over, and has read what is kept.
    closed: AtomicBool,
    pub(super) watchdog: Watchdog,
}

/// What is served now, and what must be known to serve it on.
pub(super) struct ControlState {
    /// As the file has it.
    pub(super) base: Arc<Config>,
    /// With leased endpoints, the addresses of aliases and ordered weights.
    pub(super) config: Arc<Config>,
    pub(super) demands: OperatorState,
    /// Where orders and the rest are kept; `None`: nowhere.
    pub(super) state: Option<Arc<StateDirectory>>,
    pub(super) plan: Arc<ProbePlan>,
    pub(super) memory: AvailabilityMemory,
    pub(super) moving: bool,
    pub(super) told: LogState,
    pub(super) traffic: TrafficRates,
    atlas: AtlasCache,
    pub(super) databases: Vec<Option<FilePrint>>,
    pub(super) identity: OfEach<identity::IdentityPrints>,
    pub(super) prints: ContentPrints,
    /// The configuration as it stood in the file.
    pub(super) text: Arc<str>,
    pub(super) watched: WatchedFiles,
}

/// What was read, and is about to be served.
struct Draft {
    /// As the file has it.
    base: Arc<Config>,
    /// What its names have come to.
    names: KnownNames,
    /// With the demands of the moment at which it was read.
    laid: Arc<Config>,
    /// Of `base`.
    plain: Snapshot,
    /// Of `laid`; `None`: nothing is laid over it.
    overlaid: Option<Snapshot>,
    atlas: AtlasCache,
    databases: Vec<Option<FilePrint>>,
    identity: OfEach<identity::FoundIdentity>,
    prints: ContentPrints,
    text: Arc<str>,
    files: FileStates,
    /// What takes the place of the state directory; `None`: it stays.
    state: Option<Option<StateDirectory>>,
}

impl ControlState {
    /// For the next load.
    pub(super) fn atlas(&self) -> AtlasCache {
        self.atlas.clone()
    }
}

impl Control {
    /// Takes charge of what was loaded first, and of what was kept before the restart.
    ///
    /// # Errors
    /// A sentence: a thread that it needs cannot be made.
    pub fn new(
        origin: ConfigOrigin,
        loaded: LoadedState,
        state: Option<StateDirectory>,
    ) -> Result<Control, String> {
        let threads = WorkerThreads::start()?;
        let LoadedState {
            config: base,
            snapshot,
            atlas,
            identity,
            prints: content,
            files,
            text,
            ..
        } = loaded;
        let shown = OfEach::<Arc<TlsIdentity>>::default();
        shown.dns.show(identity.dns.key);
        shown.admin.show(identity.admin.key);
        let mut demands = OperatorState::load(state.as_ref());
        let server = base.server.nsid.clone().unwrap_or_else(process::host_name);
        let base = Arc::new(base);
        let (config, snapshot) = overlaid(&base, &demands, &KnownNames::new(), snapshot);
        demands.effect = Arc::new(EffectiveOverrides::of(
            &demands.book,
            &config,
            BootTime::now(),
        ));
        let current = ControlState {
            databases: prints(&config),
            plan: Arc::new(ProbePlan::of(&config, &KnownNames::new())),
            identity: OfEach {
                dns: identity.dns.prints,
                admin: identity.admin.prints,
            },
            base,
            config,
            demands,
            state: state.map(Arc::new),
            memory: AvailabilityMemory::default(),
            moving: false,
            told: LogState::default(),
            traffic: TrafficRates::default(),
            atlas,
            prints: content,
            text,
            watched: WatchedFiles::of(watched::as_read(&files)),
        };
        Ok(Control {
            origin,
            published: Arc::new(PublishedSnapshot::from_pointee(snapshot)),
            identity: shown,
            current: Mutex::new(current),
            reloading: Mutex::default(),
            changing: Mutex::default(),
            compiled: watch::Sender::default(),
            threads,
            reloads: Mutex::default(),
            watch: OnceLock::new(),
            names: OnceLock::new(),
            keeper: StateWriter::start(),
            events: EventLog::new(server),
            coverage: CoverageDesk::default(),
            closed: AtomicBool::new(false),
            watchdog: Watchdog::default(),
        })
    }

    /// From now on nothing is changed by operators, and all that was is on disk: another server is to know it.
    pub(super) fn close_for_changes(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.finish_keeping();
    }

    /// The other server did not come to be.
    pub(super) fn open_for_changes(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }

    /// Whether another server is about to take over.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// What the workers answer from.
    pub fn published(&self) -> Arc<PublishedSnapshot> {
        self.published.clone()
    }

    /// What the encrypted transports and the admin server show.
    pub fn identity(&self) -> OfEach<Arc<TlsIdentity>> {
        self.identity.clone()
    }

    /// What is being answered from at this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.published.load_full()
    }

    /// Where the configuration comes from.
    pub fn origin(&self) -> &ConfigOrigin {
        &self.origin
    }

    /// What happens, for those who watch.
    pub fn events(&self) -> &EventLog {
        &self.events
    }

    /// Reloads so far.
    pub fn reloads(&self) -> ReloadHistory {
        self.reloads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn current(&self) -> MutexGuard<'_, ControlState> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, snapshot: Snapshot) {
        self.published.store(Arc::new(snapshot));
    }

    /// Reads everything anew and swaps it in whole, or refuses it whole; what is confirmed is done whatever
    /// `[guard]` says. It is done on the thread for reloads, whatever it hangs on.
    ///
    /// # Errors
    /// Another reload is under way, and some wait for it already.
    pub async fn reload(
        self: &Arc<Control>,
        confirmed: ConfirmedRisks,
    ) -> Result<ReloadResult, NotDone> {
        let control = self.clone();
        self.threads
            .reload
            .run(move || control.reload_now(confirmed))
            .await
    }

    /// Looks for databases and a certificate that have changed, and takes them in. What is read may hang.
    ///
    /// # Errors
    /// A reload is under way, and some wait for it already.
    pub async fn look_at_files(self: &Arc<Control>) -> Result<(), NotDone> {
        let control = self.clone();
        let look = move || {
            if control.databases_changed() || control.files_changed() {
                control.reload_now(ConfirmedRisks::default()).log();
            } else {
                control.renew_identity();
            }
        };
        self.threads.reload.run(look).await
    }

    /// One reload at a time. Waits for the first results of endpoints that are new, so it must be called from a thread
    /// that may wait.
    fn reload_now(&self, confirmed: ConfirmedRisks) -> ReloadResult {
        let _one_reload = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        let result = self.replace(confirmed);
        let ok = result.is_ok();
        if !ok {
            // A database that was refused is not read again until it changes again.
            let config = self.current().config.clone();
            let databases = prints(&config);
            self.current().databases = databases;
        }
        let messages = result.unwrap_or_else(|mistakes| mistakes);
        let done = ReloadResult {
            at: SystemTime::now(),
            took: start.elapsed(),
            ok,
            messages,
        };
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        *if ok {
            &mut reloads.ok
        } else {
            &mut reloads.refused
        } += 1;
        reloads.last = Some(done.clone());
        drop(reloads);
        let sentence = if ok {
            "reloaded"
        } else {
            "a reload was refused"
        };
        let cause = Some(done.messages.join("; "));
        self.events.tell(EventDraft {
            cause,
            ..EventDraft::new(EventTopic::Reload, sentence.to_owned())
        });
        done
    }

    /// Returns the warnings, or every mistake. Reading, comparing and the first probes hold no lock that anybody else
    /// waits for: only [`Control::swap_in`] does.
    fn replace(&self, confirmed: ConfirmedRisks) -> Result<Vec<String>, Vec<String>> {
        let (config, atlas) = {
            let current = self.current();
            (current.config.clone(), current.atlas.clone())
        };
        // Taken before reading: a file that changes meanwhile is read again.
        let databases = prints(&config);
        let loaded = self.origin.load_settled(&atlas)?;
        let mut warnings = loaded.warnings;
        warnings.extend(loaded.prints.same_serials(&self.current().prints.zones()));
        if needs_restart(&loaded.config, &config) {
            warnings.push(format!(
                "{}: new listen addresses, workers and [admin] need a restart",
                self.origin
            ));
        }
        let base = Arc::new(loaded.config);
        let databases = if base.geo.databases == config.geo.databases {
            databases
        } else {
            prints(&base)
        };
        self.meet_names(&base);
        let names = self.known_names();
        let laid = self.overlay(&base, &names);
        let overlaid = (!Arc::ptr_eq(&base, &laid)).then(|| with_services(&loaded.snapshot, &laid));
        if !confirmed.moves {
            let (now, new) = (
                self.snapshot(),
                overlaid.as_ref().unwrap_or(&loaded.snapshot),
            );
            if let Some(sentence) = guard::refusal((&now.catalog, &config), (&new.catalog, &laid)) {
                self.settle_names();
                return Err(vec![format!("{}: {sentence}", self.origin)]);
            }
        }
        let state = self
            .other_state_directory(&base)
            .inspect_err(|_| self.settle_names());
        let state = state.map_err(|sentence| vec![sentence])?;
        let plan = ProbePlan::of(&laid, &names);
        self.meet(&plan, ProbeAccount::Reload);
        let new = &overlaid.as_ref().unwrap_or(&loaded.snapshot).catalog;
        let limit = config.min_covered.filter(|_| !confirmed.uncovers);
        self.guard_coverage(limit, new, &laid, &plan)
            .inspect_err(|_| self.settle_names())?;
        let (atlas, identity) = (loaded.atlas, loaded.identity);
        let (prints, text) = (loaded.prints, loaded.text);
        let (files, plain) = (watched::as_read(&loaded.files), loaded.snapshot);
        let draft = Draft {
            base,
            names,
            laid,
            plain,
            overlaid,
            atlas,
            databases,
            identity,
            prints,
            text,
            files,
            state,
        };
        self.swap_in(draft);
        self.settle_names();
        Ok(warnings)
    }

    /// The demands of this moment laid over a configuration.
    fn overlay(&self, base: &Arc<Config>, names: &KnownNames) -> Arc<Config> {
        let current = self.current();
        overlay::effective(base, &current.demands.book, &current.demands.leases, names)
    }

    /// Serves what was read. Leases and weights wait meanwhile; what came of them while it was read is laid over it anew.
    fn swap_in(&self, draft: Draft) {
        let _one_at_a_time = self.one_at_a_time();
        let Draft {
            base,
            names,
            laid,
            plain,
            overlaid,
            atlas,
            databases,
            identity,
            prints,
            text,
            files,
            state,
        } = draft;
        let edition = self.current().demands.edition();
        let now = self.overlay(&base, &names);
        let (new, snapshot) = if now.has_services_of(&laid) {
            (laid, overlaid.unwrap_or(plain))
        } else {
            let snapshot = with_services(&plain, &now);
            (now, snapshot)
        };
        let plan = Arc::new(ProbePlan::of(&new, &names));
        traffic::go_on_noting(&self.snapshot().catalog, &snapshot.catalog);
        let mut current = self.current();
        current.databases = databases;
        current.base = base;
        self.adopt(&mut current, new, plan.clone());
        if let Some(elsewhere) = state {
            current.state = elsewhere.map(Arc::new);
            self.keep_everything(&mut current);
        }
        current.atlas = atlas;
        current.identity = OfEach {
            dns: identity.dns.prints,
            admin: identity.admin.prints,
        };
        current.prints = prints;
        self.keep_zones(&current);
        current.text = text;
        current.watched = WatchedFiles::of(files);
        self.identity.dns.show(identity.dns.key);
        // Whether the admin server speaks TLS at all needs a restart.
        if identity.admin.key.is_some() {
            self.identity.admin.show(identity.admin.key);
        }
        self.refresh(&mut current, Some(snapshot));
        drop(current);
        self.settle(&plan, ProbeAccount::Reload);
        self.is_compiled(edition);
        if self.known_names() != names {
            // They have come to something else since it was laid out.
            self.rebuild();
        }
    }
}

/// A configuration that was read and its snapshot, with leased endpoints, the addresses of aliases and ordered weights.
fn overlaid(
    base: &Arc<Config>,
    demands: &OperatorState,
    names: &KnownNames,
    snapshot: Snapshot,
) -> (Arc<Config>, Snapshot) {
    let config = overlay::effective(base, &demands.book, &demands.leases, names);
    let snapshot = if Arc::ptr_eq(base, &config) {
        snapshot
    } else {
        with_services(&snapshot, &config)
    };
    (config, snapshot)
}
