//! The interface of control to the rest of the program.
//!
//! [`Control`] starts the [`Controller`] with the loaded configuration and the saved state. It
//! holds the queue of the controller, the state that readers see, and the worker threads. It
//! changes nothing itself: its methods, in the files beside this one, read files or wait for
//! probes, and then send a change to the controller.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::announcement::AnnouncementDesk;
use super::build::{LoadedFiles, with_services};
use super::change::Change;
use super::clock::ClockReading;
use super::controller::{Controller, MonitorHandle, Shared, StateView};
use super::coverage_cache::CoverageCache;
use super::events::EventLog;
use super::fleet::leases::LeasesHandle;
use super::fleet::orders::OrdersHandle;
use super::fleet::reports::ReportsHandle;
use super::fleet::{FleetHandle, voter_of};
use super::identity::{self, OfEach};
use super::inputs::{ControlInputs, Derived};
use super::kept_demands::KeptDemands;
use super::load::{ConfigOrigin, LoadedState, prints};
use super::memory;
use super::process;
use super::releases::ReleasesHandle;
use super::reloads::ReloadHistory;
use super::resolving::BackgroundResolver;
use super::rolls::{ParentBoard, RollBoard};
use super::signing_ahead::SignedAhead;
use super::state::ControlState;
use super::state_directory::StateDirectory;
use super::state_writer::{FileWrite, StateWriter};
use super::threads::WorkerThreads;
use super::watchdog::Watchdog;
use super::watched::{self, WatchedFiles};
use crate::answer::Snapshot;
use crate::config::Config;
use crate::dns::Name;
use crate::files::FilePrint;
use crate::server::PublishedSnapshot;
use crate::server::encrypted::TlsIdentity;

/// How long a stop waits until the state is saved.
const PATIENCE: Duration = Duration::from_secs(5);

/// The running state and where it comes from.
pub struct Control {
    pub(super) origin: ConfigOrigin,
    pub(super) identity: OfEach<Arc<TlsIdentity>>,
    pub(super) controller: Controller,
    pub(super) shared: Shared,
    pub(super) threads: WorkerThreads,
    /// The files as they were last read. One reload at a time works with them.
    pub(super) files: Mutex<FileMemory>,
    pub(super) reloads: Mutex<ReloadHistory>,
    /// Absent until names are resolved.
    pub(super) names: OnceLock<BackgroundResolver>,
    /// Absent unless the fleet has releases.
    pub(super) releases: OnceLock<ReleasesHandle>,
    pub(super) coverage: CoverageCache,
    pub(super) signed_ahead: SignedAhead,
    /// What the parents of zones have answered.
    pub(super) parents: ParentBoard,
    /// Another server is about to take over, and has read the saved state.
    closed: AtomicBool,
}

/// Fingerprints of the files that were read, to detect changes.
pub(super) struct FileMemory {
    pub(super) databases: Vec<Option<FilePrint>>,
    pub(super) identity: OfEach<identity::IdentityPrints>,
    pub(super) watched: WatchedFiles,
    /// When a load is due that signs anew, in seconds since 1970.
    pub(super) signing_due: Option<u64>,
    /// The rolls of keys that are under way, as they are served.
    pub(super) rolls: RollBoard,
}

impl FileMemory {
    /// The files that a load has read. `databases` were looked at before it.
    pub(super) fn of(loaded: &LoadedState, databases: Vec<Option<FilePrint>>) -> FileMemory {
        FileMemory {
            databases,
            identity: OfEach {
                dns: loaded.identity.dns.prints.clone(),
                admin: loaded.identity.admin.prints.clone(),
            },
            watched: WatchedFiles::of(watched::as_read(&loaded.files)),
            signing_due: loaded.signing_due,
            rolls: RollBoard::new(loaded.rolls.clone()),
        }
    }
}

impl Control {
    /// Starts control with the first loaded configuration and the state that was saved before the
    /// restart.
    ///
    /// # Errors
    /// A sentence: the system cannot start a thread.
    pub fn new(
        origin: ConfigOrigin,
        loaded: LoadedState,
        directory: Option<StateDirectory>,
    ) -> Result<Control, String> {
        let threads = WorkerThreads::start()?;
        let files = FileMemory::of(&loaded, prints(&loaded.config));
        drop(loaded.files);
        memory::give_back();
        let shown = OfEach::<Arc<TlsIdentity>>::default();
        shown.dns.show(loaded.identity.dns.key);
        shown.admin.show(loaded.identity.admin.key);
        let clocks = ClockReading::now();
        let server = loaded
            .config
            .server
            .nsid
            .clone()
            .unwrap_or_else(process::host_name);
        let fleet = loaded.config.fleet.as_ref();
        let fleet = fleet.filter(|fleet| fleet.keeps_orders());
        // Without a name the server does not start: joining the fleet fails.
        let voter = fleet.and_then(|fleet| voter_of(fleet).ok());
        let fleet = fleet.map(|fleet| fleet.name.as_str());
        let voter = voter.unwrap_or_default();
        let kept = KeptDemands::load(directory.as_ref(), fleet, &voter, &clocks);
        let inputs = ControlInputs::new(
            Arc::new(loaded.config),
            Arc::new(kept.book),
            Arc::new(kept.leases),
        );
        let derived = Derived::first(&inputs, clocks.boot);
        let is_plain = Arc::ptr_eq(&inputs.base, &derived.config);
        let snapshot = if is_plain {
            loaded.snapshot
        } else {
            with_services(&loaded.snapshot, &derived.config)
        };
        let read = LoadedFiles {
            atlas: loaded.atlas,
            prints: loaded.prints,
            sources: loaded.sources,
        };
        let mut state =
            ControlState::new(inputs, derived, Arc::new(snapshot), read, directory, clocks);
        state.seen = kept.seen.map(Arc::new);
        let shared = Shared {
            published: Arc::new(PublishedSnapshot::new(state.snapshot.clone())),
            view: Arc::new(ArcSwap::from_pointee(StateView::of(&state))),
            compiled: tokio::sync::watch::Sender::default(),
            watch: Arc::default(),
            fleet: Arc::default(),
            fleet_orders: Arc::default(),
            fleet_leases: Arc::default(),
            fleet_reports: Arc::default(),
            announcement: Arc::default(),
            state_writer: Arc::new(StateWriter::start()),
            events: Arc::new(EventLog::new(server)),
            watchdog: Arc::default(),
        };
        Ok(Control {
            origin,
            identity: shown,
            controller: Controller::start(state, shared.clone())?,
            shared,
            threads,
            files: Mutex::new(files),
            reloads: Mutex::default(),
            names: OnceLock::new(),
            releases: OnceLock::new(),
            coverage: CoverageCache::default(),
            signed_ahead: SignedAhead::default(),
            parents: ParentBoard::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// Refuses changes by operators from now on and saves everything, before another server takes
    /// over.
    pub(super) fn close_for_changes(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(fleet) = self.fleet() {
            fleet.be_silent(true);
        }
        self.finish_keeping();
    }

    /// Accepts changes again, after a takeover has failed.
    pub(super) fn open_for_changes(&self) {
        self.closed.store(false, Ordering::SeqCst);
        if let Some(fleet) = self.fleet() {
            fleet.be_silent(false);
        }
    }

    /// Whether another server is about to take over.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Saves everything before a stop. It waits only briefly for a hanging disk or a stuck
    /// controller.
    pub fn finish_keeping(&self) {
        let (reply, handed) = sync_channel(1);
        if self.controller.offer(Change::WriteAll { reply }) {
            let _ = handed.recv_timeout(PATIENCE);
        }
        self.shared.state_writer.finish(PATIENCE);
    }

    /// The cell from which the workers take the snapshot.
    pub fn published(&self) -> Arc<PublishedSnapshot> {
        self.shared.published.clone()
    }

    /// The certificates of the encrypted transports and the admin server.
    pub fn identity(&self) -> OfEach<Arc<TlsIdentity>> {
        self.identity.clone()
    }

    /// The snapshot in force now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.published.load_full()
    }

    /// The state of control now.
    pub(super) fn state(&self) -> Arc<StateView> {
        self.shared.view.load_full()
    }

    /// The monitor; `None`: nothing is probed yet.
    pub(super) fn watch(&self) -> Option<&MonitorHandle> {
        self.shared.watch.get()
    }

    /// What the announcer of this server says.
    pub fn announcement(&self) -> &AnnouncementDesk {
        &self.shared.announcement
    }

    /// The fleet; `None`: this server decides alone.
    pub fn fleet(&self) -> Option<&FleetHandle> {
        self.shared.fleet.get()
    }

    /// The orders of the fleet; `None`: orders are this server's own.
    pub fn fleet_orders(&self) -> Option<&OrdersHandle> {
        self.shared.fleet_orders.get()
    }

    /// The leases of the fleet; `None`: leases are this server's own.
    pub fn fleet_leases(&self) -> Option<&LeasesHandle> {
        self.shared.fleet_leases.get()
    }

    /// The reports of the fleet's servers; `None`: there is no fleet.
    pub fn fleet_reports(&self) -> Option<&ReportsHandle> {
        self.shared.fleet_reports.get()
    }

    /// Where the configuration comes from.
    pub fn origin(&self) -> &ConfigOrigin {
        &self.origin
    }

    /// The log of events.
    pub fn events(&self) -> &EventLog {
        &self.shared.events
    }

    /// The rolls of keys that are under way, and what each waits for, by zone.
    pub fn roll_sentences(&self) -> Vec<(Name, String)> {
        self.parents.sentences()
    }

    /// Has a file of the state directory written.
    pub(super) fn hand_to_writer(&self, name: &'static str, write: FileWrite) {
        // Nobody waits for it.
        let _ = self.shared.state_writer.hand(name, write);
    }

    /// The watchdog, which knows whether a part is stuck.
    pub fn watchdog(&self) -> &Watchdog {
        &self.shared.watchdog
    }

    /// The fingerprint of the configuration and the zones in force.
    pub fn fingerprint(&self) -> String {
        self.state().files.prints.whole().to_string()
    }

    /// The fingerprint of what this server has in common with others of its fleet.
    pub fn shared_fingerprint(&self) -> String {
        self.state().files.prints.shared().to_string()
    }

    /// The configuration in force, with the endpoints of aliases and leases.
    pub fn config(&self) -> Arc<Config> {
        self.state().derived.config.clone()
    }

    /// The state directory; `None`: nothing is saved.
    pub fn state_directory(&self) -> Option<Arc<StateDirectory>> {
        self.state().directory.clone()
    }

    /// Reloads so far.
    pub fn reloads(&self) -> ReloadHistory {
        self.reloads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
