//! Names at work: what the names of endpoints resolve to joins the present, at the start, at reloads and as it changes.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::Control;
use super::events::Topic;
use crate::config::Config;
use crate::resolve::{Known, Names};

/// Who resolves, and the runtime that he lives in.
pub(super) struct Resolving {
    names: Names,
    runtime: Handle,
}

impl Control {
    /// Begins to resolve the names of endpoints and waits for the first results, no longer than one look-up may take. Must
    /// be called inside a tokio runtime, before health starts.
    pub async fn start_names(&self) {
        let base = self.current().base.clone();
        let wanted = base.resolved_names();
        let is_idle = wanted.is_empty();
        let names = Names::start(&base.resolver, wanted);
        let resolving = self.names.get_or_init(|| Resolving { names, runtime: Handle::current() });
        if is_idle {
            return;
        }
        if !resolving.names.first_round().await {
            tracing::warn!("some names of endpoints are not resolved yet; nobody is sent there until they are");
        }
        self.follow_names();
    }

    /// Takes in every change of what names resolve to. Runs until it is dropped.
    pub async fn keep_names(self: Arc<Control>) {
        let Some(mut changes) = self.names.get().map(|resolving| resolving.names.changes()) else { return };
        changes.mark_changed();
        while changes.changed().await.is_ok() {
            let control = self.clone();
            // Compiling and waiting for probes would hold up the runtime.
            let _ = tokio::task::spawn_blocking(move || control.follow_names()).await;
        }
    }

    /// What is known of the names of endpoints.
    pub fn known_names(&self) -> Known {
        self.names.get().map(|resolving| resolving.names.known()).unwrap_or_default()
    }

    /// Resolves the names of a new configuration and no others any more, and waits for the first results. To be called
    /// from a thread that may wait.
    pub(super) fn meet_names(&self, base: &Config) {
        let Some(resolving) = self.names.get() else { return };
        let _entered = resolving.runtime.enter();
        resolving.names.replace(&base.resolver, base.resolved_names());
        resolving.runtime.block_on(resolving.names.first_round());
    }

    /// Tells what has happened to names, and lets it take effect.
    fn follow_names(&self) {
        let Some(resolving) = self.names.get() else { return };
        let _one_at_a_time = self.one_at_a_time();
        for (name, news) in resolving.names.news() {
            let (sentence, cause) = (format!("{name} {}", news.sentence), news.cause);
            match &cause {
                Some(cause) if news.is_bad => tracing::warn!(name = name.to_string(), "{sentence}: {cause}"),
                Some(cause) => tracing::info!(name = name.to_string(), "{sentence} ({cause})"),
                None => tracing::info!(name = name.to_string(), "{sentence}"),
            }
            self.events.tell(Topic::Name, sentence, cause);
        }
        self.rebuild();
    }
}
