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
use crate::control::running::Control;
use crate::control::signing::LoadPurpose;
use crate::control::worker::NotDone;

/// So many mistakes stand in a report.
const MOST_TOLD: usize = 3;
/// What `[guard]` says about a reload, and what it means for a push.
const CONFIRMATIONS: [(&str, &str); 2] = [
    ("`meridian reload --yes-move`", "`meridian push --yes`"),
    ("`meridian reload --yes`", "`meridian push --yes`"),
];

impl Control {
    /// The own file with a release.
    fn with_release(&self, release: Option<PathBuf>) -> Result<ConfigOrigin, String> {
        let (file, only_checks) = match self.origin() {
            ConfigOrigin::File(file) => (file, false),
            ConfigOrigin::Checks(file) => (file, true),
            _ => return Err("this server has no configuration file".to_owned()),
        };
        Ok(ConfigOrigin::Released {
            file: file.clone(),
            release,
            only_checks,
        })
    }

    /// Reads and checks a release on the thread for reloads; a clause says what is wrong.
    pub(super) async fn check_release(
        self: &Arc<Control>,
        folder: PathBuf,
    ) -> Result<Result<(), String>, NotDone> {
        let control = self.clone();
        let workers = &self.threads.reload;
        workers.run(move || control.check_now(folder)).await
    }

    fn check_now(&self, folder: PathBuf) -> Result<(), String> {
        let origin = self.with_release(Some(folder))?;
        let state = self.state();
        let loaded = origin.load_for(LoadPurpose::Inspect, Some(&state.files.atlas));
        loaded.map(drop).map_err(|mistakes| told(&mistakes))
    }

    /// Serves a release, or the server's own files, as a reload does; a clause says why not.
    pub(super) async fn serve_release(
        self: &Arc<Control>,
        store: ReleaseStore,
        digest: Option<String>,
        confirmed: ConfirmedRisks,
    ) -> Result<Result<(), String>, NotDone> {
        let control = self.clone();
        let workers = &self.threads.reload;
        let served = workers.run(move || control.serve_now(&store, digest.as_deref(), confirmed));
        served.await
    }

    fn serve_now(
        &self,
        store: &ReleaseStore,
        digest: Option<&str>,
        confirmed: ConfirmedRisks,
    ) -> Result<(), String> {
        let origin = self.with_release(digest.map(|digest| store.folder_of(digest)))?;
        let mut files = self.file_memory();
        let result = self.reload_now(&origin, &mut files, confirmed);
        result.log();
        if !result.ok {
            return Err(told(&result.messages));
        }
        // Before another reload can begin.
        if let Err(error) = store.mark_served(digest) {
            tracing::error!("the release that is served is forgotten by a restart: {error}");
        }
        Ok(())
    }
}

/// The first mistakes as a clause.
fn told(mistakes: &[String]) -> String {
    let (first, others) = mistakes.split_at(mistakes.len().min(MOST_TOLD));
    let mut clause = first.join("; ");
    if !others.is_empty() {
        clause += &format!("; and {} more mistakes", others.len());
    }
    of_push(clause)
}

/// What the guard says, for somebody who pushes.
fn of_push(mut clause: String) -> String {
    for (reload, push) in CONFIRMATIONS {
        clause = clause.replace(reload, push);
    }
    clause
}
