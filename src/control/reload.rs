//! Reloads: everything is read again, and is served as a whole or refused as a whole.
//!
//! A reload runs on its own thread, because reading may hang on a mount or wait for a name server.
//! The thread resolves the names of the new configuration, compiles its services, asks the guard,
//! and probes its new endpoints. Only then does it become a `Change::Reload` for the controller.
//! One reload runs at a time, and nothing else waits for it.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use super::build::{DraftRest, LoadedFiles, ReloadDraft, with_services};
use super::change::Change;
use super::clock::BootTime;
use super::events::{EventDraft, EventTopic};
use super::guard::{self, ConfirmedRisks};
use super::inputs::{ControlInputs, Derived};
use super::load::{ConfigOrigin, LoadedState, needs_restart, prints};
use super::memory;
use super::probed::ProbeAccount;
use super::reloads::ReloadResult;
use super::running::{Control, FileMemory};
use super::signing::{self, LoadPurpose};
use super::state_directory::StateDirectory;
use super::targets::ProbePlan;
use super::worker::NotDone;
use crate::config::{Config, FleetConfig};

impl Control {
    /// Reads everything again, and serves all of it or refuses all of it. Confirmed risks are not
    /// checked against `[guard]`. It runs on the thread for reloads, because reading may hang.
    ///
    /// # Errors
    /// Another reload is under way, and some wait for it already.
    pub async fn reload(
        self: &Arc<Control>,
        confirmed: ConfirmedRisks,
    ) -> Result<ReloadResult, NotDone> {
        let control = self.clone();
        let workers = &self.threads.reload;
        workers.run(move || control.reload_own(confirmed)).await
    }

    fn reload_own(&self, confirmed: ConfirmedRisks) -> ReloadResult {
        self.reload_now(&self.origin, &mut self.file_memory(), confirmed)
    }

    /// Loads databases and certificates that have changed. Reading them may hang.
    ///
    /// # Errors
    /// A reload is under way, and some wait for it already.
    pub async fn look_at_files(self: &Arc<Control>) -> Result<(), NotDone> {
        let control = self.clone();
        self.threads
            .reload
            .run(move || control.look_at_files_now())
            .await
    }

    /// Reloads if databases or other files have changed, and else only renews certificates.
    fn look_at_files_now(&self) {
        let mut files = self.file_memory();
        let config = self.state().derived.config.clone();
        if files.rolls.advance(&config, &self.parents) {
            files.signing_due = Some(0);
        }
        if files.databases_changed(&config)
            || files.files_changed(&config)
            || signing::is_due(files.signing_due)
        {
            let confirmed = ConfirmedRisks::default();
            self.reload_now(&self.origin, &mut files, confirmed).log();
        } else {
            self.renew_identity(&mut files.identity, &config);
        }
    }

    pub(super) fn file_memory(&self) -> MutexGuard<'_, FileMemory> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reloads from `origin` on this thread. The thread must be allowed to block, because this waits
    /// for the first probes of new endpoints.
    pub(super) fn reload_now(
        &self,
        origin: &ConfigOrigin,
        files: &mut FileMemory,
        confirmed: ConfirmedRisks,
    ) -> ReloadResult {
        let start = Instant::now();
        let result = self.replace(origin, files, confirmed);
        let ok = result.is_ok();
        if !ok {
            // A database that was refused is not read again until it changes again.
            files.databases = prints(&self.state().derived.config);
            if signing::is_due(files.signing_due) {
                files.signing_due = Some(signing::next_try());
            }
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
        self.events().tell(EventDraft {
            cause,
            ..EventDraft::new(EventTopic::Reload, sentence.to_owned())
        });
        done
    }

    /// Returns the warnings, or every mistake.
    fn replace(
        &self,
        origin: &ConfigOrigin,
        files: &mut FileMemory,
        confirmed: ConfirmedRisks,
    ) -> Result<Vec<String>, Vec<String>> {
        let state = self.state();
        let config = &state.derived.config;
        // Fingerprints are taken before reading, so a file that changes meanwhile is read again.
        let databases = prints(config);
        let mut loaded = origin.load_settled(&state.files.atlas, LoadPurpose::Serve)?;
        let mut warnings = std::mem::take(&mut loaded.warnings);
        warnings.extend(loaded.prints.same_serials(&state.files.prints.zones()));
        if needs_restart(&loaded.config, config) {
            warnings.push(format!(
                "{}: new listen addresses, workers and [admin] need a restart",
                self.origin
            ));
        }
        let fleet = loaded.config.fleet.as_ref();
        if !self.is_in_fleet(fleet) {
            warnings.push(format!(
                "{}: {}",
                self.origin,
                change_sentence(fleet.is_some())
            ));
        }
        let databases = if loaded.config.geo.databases == config.geo.databases {
            databases
        } else {
            prints(&loaded.config)
        };
        self.resolve_new_names(&loaded.config);
        let memory = FileMemory::of(&loaded, databases);
        let result = self.serve_loaded(loaded, config, confirmed);
        if result.is_ok() {
            let before = std::mem::replace(files, memory);
            files.rolls.go_on_from(&before.rolls);
        }
        memory::give_back();
        self.drop_old_names();
        // The names may have other addresses than when the probes were planned.
        self.apply_names();
        result.map(|()| warnings)
    }

    /// Whether this server is in the fleet of a configuration, as that says, or in none.
    pub(super) fn is_in_fleet(&self, config: Option<&FleetConfig>) -> bool {
        match self.fleet() {
            Some(joined) => joined.is_of(config),
            None => config.is_none(),
        }
    }

    /// Puts a loaded configuration in force, unless a check refuses it.
    fn serve_loaded(
        &self,
        loaded: LoadedState,
        config: &Arc<Config>,
        confirmed: ConfirmedRisks,
    ) -> Result<(), Vec<String>> {
        let LoadedState {
            config: base,
            snapshot: plain,
            atlas,
            identity,
            prints,
            sources,
            ..
        } = loaded;
        let (state, names) = (self.state(), Arc::new(self.known_names()));
        let inputs = ControlInputs {
            names: names.clone(),
            ..ControlInputs::new(Arc::new(base), state.book.clone(), state.leases.clone())
        };
        let derived = Derived::first(&inputs, BootTime::now());
        let is_plain = Arc::ptr_eq(&inputs.base, &derived.config);
        let overlaid = (!is_plain).then(|| with_services(&plain, &derived.config));
        let new = &overlaid.as_ref().unwrap_or(&plain).catalog;
        if !confirmed.moves {
            let now = self.snapshot();
            if let Some(sentence) = guard::refusal((&now.catalog, config), (new, &derived.config)) {
                return Err(vec![format!("{}: {sentence}", self.origin)]);
            }
        }
        let directory = self
            .other_state_directory(&inputs.base)
            .map_err(|sentence| vec![sentence])?;
        self.probe_new_targets(&derived.plan)?;
        let limit = config.min_covered.filter(|_| !confirmed.uncovers);
        if let Some(sentence) = limit.and_then(|limit| self.uncovering(limit, new, &derived)) {
            self.probe(&ProbePlan::default())?;
            return Err(vec![format!("{}: {sentence}", self.origin)]);
        }
        let files = LoadedFiles {
            atlas,
            prints,
            sources,
        };
        let base = inputs.base;
        let draft = Box::new(ReloadDraft {
            base,
            derived,
            plain,
            overlaid,
            rest: DraftRest {
                names,
                files,
                state: directory,
            },
        });
        self.controller
            .ask_and_wait(|reply| Change::Reload { draft, reply })
            .map_err(refused)?;
        self.identity.dns.show(identity.dns.key);
        // Whether the admin server speaks TLS at all needs a restart.
        if identity.admin.key.is_some() {
            self.identity.admin.show(identity.admin.key);
        }
        Ok(())
    }

    /// Probes the targets that a reload adds, beside the current ones, and waits for their first
    /// results.
    fn probe_new_targets(&self, plan: &ProbePlan) -> Result<(), Vec<String>> {
        self.probe(plan)?;
        if let Some(watch) = self.watch() {
            watch
                .runtime
                .block_on(watch.monitor.first_round_of(&plan.targets));
        }
        Ok(())
    }

    fn probe(&self, plan: &ProbePlan) -> Result<(), Vec<String>> {
        let (targets, account) = (plan.targets.clone(), ProbeAccount::Reload);
        self.controller
            .ask_and_wait(|reply| Change::Probe {
                targets,
                account,
                reply,
            })
            .map_err(refused)
    }

    /// The state directory under a new configuration; `None`: it does not change.
    ///
    /// # Errors
    /// A sentence: another server owns it.
    fn other_state_directory(
        &self,
        new: &Config,
    ) -> Result<Option<Option<StateDirectory>>, String> {
        match (self.state_directory(), &new.state_directory) {
            (None, None) => Ok(None),
            (Some(state), Some(path)) if state.is_at(path) => Ok(None),
            (_, path) => path
                .as_deref()
                .map(StateDirectory::own)
                .transpose()
                .map(Some),
        }
    }
}

/// What a reload says about another `[fleet]`. `has_one`: the new configuration has one.
fn change_sentence(has_one: bool) -> &'static str {
    if has_one {
        "[fleet] has changed, which counts from the next restart on; \
         until then this server votes, orders and connects as before"
    } else {
        "[fleet] is gone, which counts from the next restart on; until then this server is a member"
    }
}

fn refused(not_done: NotDone) -> Vec<String> {
    vec![not_done.to_string()]
}
