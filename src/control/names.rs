//! Feeds the addresses of endpoint names into control.
//!
//! The resolver runs in the background. At most a few times a second it hands new results to the
//! controller as a [`Change::Resolved`]. The start and every reload wait for the first results of
//! new names, for no longer than one look-up may take.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;

use super::change::{Change, KeptName};
use super::events::{EventDraft, EventTopic};
use super::resolving::{BackgroundResolver, load};
use super::running::Control;
use crate::config::Config;
use crate::resolve::{KnownNames, NameResolver};

/// The least time between two changes of resolved names.
const PAUSE: Duration = Duration::from_millis(200);

impl Control {
    /// Begins to resolve the names of endpoints and waits for the first results, for no longer than
    /// one look-up may take. Must be called inside a tokio runtime, before health starts.
    pub async fn start_names(&self) {
        let state = self.state();
        let base = &state.derived.base;
        let wanted = base.resolved_names();
        let is_idle = wanted.is_empty();
        let directory = state.directory.as_ref().filter(|_| !is_idle);
        let remembered = directory
            .map(|directory| load(directory.path()))
            .unwrap_or_default();
        let names = NameResolver::start(&base.resolver, wanted, remembered);
        let runtime = Handle::current();
        let resolving = self.names.get_or_init(|| BackgroundResolver {
            names,
            runtime,
            kept: Mutex::default(),
        });
        if is_idle {
            return;
        }
        if !resolving.names.first_round().await {
            tracing::warn!(
                "some names of endpoints are not resolved yet; no clients are sent there until they are"
            );
        }
        let (names, kept) = self.report_names();
        self.use_names(names, kept).await;
    }

    /// Applies every change of resolved names. Runs until it is dropped.
    pub async fn keep_names(self: Arc<Control>) {
        let Some(mut changes) = self.names.get().map(|resolving| resolving.names.changes()) else {
            return;
        };
        changes.mark_changed();
        while changes.changed().await.is_ok() {
            let (names, kept) = self.report_names();
            self.use_names(names, kept).await;
            // Thousands of names may change all the time. A pause limits how often services are
            // compiled.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Hands resolved names to the controller and waits until services are served with them.
    async fn use_names(&self, names: KnownNames, kept: Option<Vec<KeptName>>) {
        let edition = self
            .controller
            .ask(|reply| Change::Resolved { names, kept, reply })
            .await;
        if let Ok(edition) = edition {
            self.compiled(edition).await;
        }
    }

    /// The known addresses of the names of endpoints.
    pub fn known_names(&self) -> KnownNames {
        self.names
            .get()
            .map(|resolving| resolving.names.known())
            .unwrap_or_default()
    }

    /// Resolves the names of a new configuration in addition to the present ones, and waits for the
    /// first results. Must be called from a thread that may block.
    pub(super) fn resolve_new_names(&self, new: &Config) {
        let Some(resolving) = self.names.get() else {
            return;
        };
        let _entered = resolving.runtime.enter();
        let mut wanted = self.state().derived.base.resolved_names();
        wanted.extend(new.resolved_names());
        resolving.names.replace(&new.resolver, wanted);
        resolving.runtime.block_on(resolving.names.first_round());
    }

    /// Resolves only the names of the configuration in force from now on.
    pub(super) fn drop_old_names(&self) {
        let Some(resolving) = self.names.get() else {
            return;
        };
        let _entered = resolving.runtime.enter();
        let base = self.state().derived.base.clone();
        resolving
            .names
            .replace(&base.resolver, base.resolved_names());
    }

    /// Applies the addresses that are known now. Must be called from a thread that may block.
    pub(super) fn apply_names(&self) {
        let Some(resolving) = self.names.get() else {
            return;
        };
        let (names, kept) = self.report_names();
        if let Ok(edition) =
            self.controller
                .ask_and_wait(|reply| Change::Resolved { names, kept, reply })
        {
            resolving.runtime.block_on(self.compiled(edition));
        }
    }

    /// Reports changes of names. Returns the addresses that are known now, and the list to save if
    /// it has changed.
    fn report_names(&self) -> (KnownNames, Option<Vec<KeptName>>) {
        let Some(resolving) = self.names.get() else {
            return (KnownNames::new(), None);
        };
        for (name, news) in resolving.names.news() {
            let (sentence, cause) = (format!("{name} {}", news.sentence), news.cause);
            match &cause {
                Some(cause) if news.is_bad => {
                    tracing::warn!(name = name.to_string(), "{sentence}: {cause}")
                }
                Some(cause) => tracing::info!(name = name.to_string(), "{sentence} ({cause})"),
                None => tracing::info!(name = name.to_string(), "{sentence}"),
            }
            self.events().tell(EventDraft {
                endpoint: Some(name.to_string()),
                cause,
                ..EventDraft::new(EventTopic::Name, sentence)
            });
        }
        (resolving.names.known(), resolving.to_keep())
    }
}
