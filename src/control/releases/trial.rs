//! What a release is tried with: the load and the checks of a reload.
//!
//! A release is read from its folder beside the server's own file. Checking it reads everything and
//! publishes nothing. Serving it is a reload, with its guard, and the release is named as the served
//! one before another reload can begin.

use std::path::PathBuf;
use std::sync::Arc;

use super::store::ReleaseStore;
use crate::control::guard::ConfirmedRisks;
use crate::control::load::ConfigOrigin;
use crate::control::reloads::ReloadResult;
use crate::control::running::Control;
use crate::control::signing::LoadPurpose;
use crate::control::worker::NotDone;

/// What `[guard]` says about a reload, and what it means for a push.
const CONFIRMATIONS: [(&str, &str); 2] = [
    ("`meridian reload --yes-move`", "`meridian push --yes`"),
    ("`meridian reload --yes`", "`meridian push --yes`"),
];

impl Control {
    /// The own file with a release; `None`: this server has no file.
    fn with_release(&self, release: Option<PathBuf>) -> Option<ConfigOrigin> {
        match self.origin() {
            ConfigOrigin::File(file) => Some(ConfigOrigin::Released {
                file: file.clone(),
                release,
            }),
            _ => None,
        }
    }

    /// Reads and checks a release on the thread for reloads; a clause says what is wrong.
    pub(super) async fn check_release(
        self: &Arc<Control>,
        folder: PathBuf,
    ) -> Result<Result<(), String>, NotDone> {
        let control = self.clone();
        let check = move || {
            let Some(origin) = control.with_release(Some(folder)) else {
                return Err("this server has no configuration file".to_owned());
            };
            let state = control.state();
            let loaded = origin.load_for(LoadPurpose::Inspect, Some(&state.files.atlas));
            loaded.map(drop).map_err(|mistakes| told(&mistakes))
        };
        self.threads.reload.run(check).await
    }

    /// Serves a release, or the server's own files, as a reload does; a clause says why not.
    pub(super) async fn serve_release(
        self: &Arc<Control>,
        store: ReleaseStore,
        digest: Option<String>,
        confirmed: ConfirmedRisks,
    ) -> Result<Result<(), String>, NotDone> {
        let control = self.clone();
        let serve = move || {
            let folder = digest.as_ref().map(|digest| store.folder_of(digest));
            let Some(origin) = control.with_release(folder) else {
                return Err("this server has no configuration file".to_owned());
            };
            let mut files = control.file_memory();
            let result = control.reload_now(&origin, &mut files, confirmed);
            result.log();
            let ReloadResult { ok, messages, .. } = result;
            if !ok {
                return Err(told(&messages));
            }
            if let Err(error) = store.mark_served(digest.as_deref()) {
                tracing::error!("the release that is served is forgotten by a restart: {error}");
            }
            Ok(())
        };
        self.threads.reload.run(serve).await
    }
}

/// The first mistakes as a clause.
fn told(mistakes: &[String]) -> String {
    const MOST: usize = 3;
    let mut clause = mistakes
        .iter()
        .take(MOST)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    if mistakes.len() > MOST {
        clause += &format!("; and {} more mistakes", mistakes.len() - MOST);
    }
    for (reload, push) in CONFIRMATIONS {
        clause = clause.replace(reload, push);
    }
    clause
}
