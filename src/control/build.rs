//! The values that worker threads take and return: services to compile, and the files of a reload.
//!
//! The controller sends a [`BuildJob`] to the compile thread, which returns [`BuiltServices`]. A
//! reload travels along as a [`ReloadDraft`], so that its files and its services take effect
//! together.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::fingerprint::ContentPrints;
use super::inputs::Derived;
use super::load::AtlasCache;
use super::state_directory::StateDirectory;
use crate::answer::Snapshot;
use crate::catalog::{Availability, LiveState};
use crate::config::{Config, SourceFile};
use crate::resolve::KnownNames;

/// The files of a reload, read and derived.
pub struct ReloadDraft {
    /// The configuration as the file has it.
    pub base: Arc<Config>,
    /// Derived from it with the overrides and leases at the time of reading.
    pub derived: Derived,
    /// Compiled from `base`.
    pub plain: Snapshot,
    /// Compiled from `derived`; `None`: the same as `plain`.
    pub overlaid: Option<Snapshot>,
    /// Everything in it besides services.
    pub rest: DraftRest,
}

/// The parts of a reload besides its services.
pub struct DraftRest {
    /// The addresses of its names.
    pub names: Arc<KnownNames>,
    /// The files that were read.
    pub files: LoadedFiles,
    /// The new state directory; `None`: it does not change.
    pub state: Option<Option<StateDirectory>>,
}

/// The files that were loaded, as later reloads need them.
#[derive(Clone)]
pub struct LoadedFiles {
    /// Databases that the next load can reuse.
    pub atlas: AtlasCache,
    /// Fingerprints of configuration and zones.
    pub prints: ContentPrints,
    /// The configuration file and those that it includes.
    pub sources: Arc<[SourceFile]>,
}

/// Services that are to be compiled, and whose new endpoints are to be probed.
pub struct BuildJob {
    /// The configuration and plan to compile.
    pub derived: Derived,
    /// The snapshot whose zones to use; `None`: keep the services that are served.
    pub before: Option<Arc<Snapshot>>,
    /// The reload that this completes.
    pub reload: Option<(Box<ReloadDraft>, oneshot::Sender<()>)>,
}

/// Services that are ready to be served.
pub struct BuiltServices {
    /// The configuration and the plan that were compiled.
    pub derived: Derived,
    /// The snapshot; `None`: keep the services that are served.
    pub snapshot: Option<Snapshot>,
    /// The reload that this completes.
    pub reload: Option<(Box<ReloadDraft>, oneshot::Sender<()>)>,
}

impl BuildJob {
    /// Compiles the services. Every endpoint counts as up until the next step.
    pub fn compile(self) -> BuiltServices {
        let BuildJob {
            derived,
            before,
            reload,
        } = self;
        let before = match &reload {
            Some((draft, _)) => Some(&draft.plain),
            None => before.as_deref(),
        };
        let snapshot = before.map(|before| with_services(before, &derived.config));
        BuiltServices {
            derived,
            snapshot,
            reload,
        }
    }
}

/// The same zones with the services of another configuration, with every endpoint up.
pub fn with_services(before: &Snapshot, config: &Config) -> Snapshot {
    let catalog = before.catalog.with_services(config);
    let live = LiveState::compile(&catalog, &Availability::all_up(config), Some(&before.live));
    Snapshot {
        catalog: Arc::new(catalog),
        ..before.with(live)
    }
}
