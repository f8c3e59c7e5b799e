//! Names at work: what the names of endpoints resolve to joins the present, at the start, at reloads and as it changes.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::Control;
use super::events::{EventDraft, EventTopic};
use super::keep::{self, NAMES};
use crate::config::Config;
use crate::resolve::{KnownNames, NameResolver, ResolvedName};

/// The least time between two changes of what names have come to.
const PAUSE: Duration = Duration::from_millis(200);
/// How long what was known before a restart may be kept by others, in seconds.
const OLD: u32 = 5;

/// Who resolves, and the runtime that he lives in.
pub(super) struct BackgroundResolver {
    names: NameResolver,
    runtime: Handle,
    /// As it was last handed in to be kept.
    kept: Mutex<Vec<Kept>>,
}

/// What a name was resolved to, for the time after a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    name: String,
    addresses: Vec<IpAddr>,
}

impl Control {
    /// Begins to resolve the names of endpoints and waits for the first results, no longer than one look-up may take. Must
    /// be called inside a tokio runtime, before health starts.
    pub async fn start_names(&self) {
        let (base, state) = {
            let current = self.current();
            (current.base.clone(), current.state.clone())
        };
        let wanted = base.resolved_names();
        let is_idle = wanted.is_empty();
        let remembered = state
            .filter(|_| !is_idle)
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
                "some names of endpoints are not resolved yet; nobody is sent there until they are"
            );
        }
        self.follow_names();
    }

    /// Takes in every change of what names resolve to. Runs until it is dropped.
    pub async fn keep_names(self: Arc<Control>) {
        let Some(mut changes) = self.names.get().map(|resolving| resolving.names.changes()) else {
            return;
        };
        changes.mark_changed();
        while changes.changed().await.is_ok() {
            let control = self.clone();
            // Compiling and waiting for probes would hold up the runtime.
            let _ = self.threads.names.run(move || control.follow_names()).await;
            // Thousands of names change all the time; what they come to is worked out a few times a second only.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What is known of the names of endpoints.
    pub fn known_names(&self) -> KnownNames {
        self.names
            .get()
            .map(|resolving| resolving.names.known())
            .unwrap_or_default()
    }

    /// Resolves the names of a new configuration beside those of the present one, and waits for the first results. To be
    /// called from a thread that may wait.
    pub(super) fn meet_names(&self, new: &Config) {
        let Some(resolving) = self.names.get() else {
            return;
        };
        let _entered = resolving.runtime.enter();
        let mut wanted = self.current().base.resolved_names();
        wanted.extend(new.resolved_names());
        resolving.names.replace(&new.resolver, wanted);
        resolving.runtime.block_on(resolving.names.first_round());
    }

    /// Resolves the names of what is served now, and no others any more.
    pub(super) fn settle_names(&self) {
        let Some(resolving) = self.names.get() else {
            return;
        };
        let _entered = resolving.runtime.enter();
        let base = self.current().base.clone();
        resolving
            .names
            .replace(&base.resolver, base.resolved_names());
    }

    /// Tells what has happened to names, and lets it take effect.
    fn follow_names(&self) {
        let Some(resolving) = self.names.get() else {
            return;
        };
        let _one_at_a_time = self.one_at_a_time();
        for (name, news) in resolving.names.news() {
            let (sentence, cause) = (format!("{name} {}", news.sentence), news.cause);
            match &cause {
                Some(cause) if news.is_bad => {
                    tracing::warn!(name = name.to_string(), "{sentence}: {cause}")
                }
                Some(cause) => tracing::info!(name = name.to_string(), "{sentence} ({cause})"),
                None => tracing::info!(name = name.to_string(), "{sentence}"),
            }
            self.events.tell(EventDraft {
                endpoint: Some(name.to_string()),
                cause,
                ..EventDraft::new(EventTopic::Name, sentence)
            });
        }
        self.rebuild();
        if let Some(kept) = resolving.to_keep() {
            self.keep_list(&self.current(), NAMES, kept);
        }
    }
}

impl BackgroundResolver {
    /// The last good addresses, if they are others than were last kept.
    fn to_keep(&self) -> Option<Vec<Kept>> {
        let mut now = Vec::new();
        for (name, known) in self.names.known() {
            let addresses = known.addresses();
            if !addresses.is_empty() {
                now.push(Kept {
                    name: name.to_string(),
                    addresses,
                });
            }
        }
        now.sort_by(|one, other| one.name.cmp(&other.name));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if *kept == now {
            return None;
        }
        kept.clone_from(&now);
        Some(now)
    }
}

/// What was known before the restart, for as long as nothing newer is.
fn load(directory: &Path) -> KnownNames {
    let (kept, warning) = keep::load::<Kept>(directory, NAMES);
    warning
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    let known = |kept: Kept| {
        Some((
            kept.name.parse().ok()?,
            ResolvedName::remembered(kept.addresses, OLD),
        ))
    };
    kept.items.into_iter().filter_map(known).collect()
}
