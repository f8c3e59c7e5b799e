//! The background resolver: keeps the addresses of every configured name up to date.
//!
//! Each family of each name has a task of its own, which looks it up again when its answer expires
//! or a retry is due. No name waits for another, and none is looked up twice at once. A semaphore
//! limits how many lookups run together. [`NameResolver::known`] returns the current addresses,
//! [`NameResolver::changes`] signals when they change, and [`NameResolver::news`] returns what
//! operators should know.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::resolved_name::{ResolvedName, ResolverEvent};
use super::stub::{FamilyAnswer, ResolverSettings, StubResolver, UpstreamServers};
use super::{IpFamily, LookupKey};
use crate::dns::Name;

/// The most lookups that run at once.
const IN_FLIGHT: usize = 32;
/// The most events that wait to be read. Older ones are dropped.
const MOST_NEWS: usize = 1000;
/// How long [`NameResolver::first_round`] waits beyond the timeout of a lookup.
const FIRST_ROUND_GRACE: Duration = Duration::from_millis(200);

/// The addresses of every name.
pub type KnownNames = HashMap<Name, ResolvedName>;

/// Resolves names until it is dropped.
pub struct NameResolver {
    shared: Arc<Shared>,
    tasks: Mutex<Tasks>,
}

/// The running lookups, and the servers that they ask.
struct Tasks {
    resolver: Arc<StubResolver>,
    settings: ResolverSettings,
    running: HashMap<LookupKey, AbortHandle>,
}

struct Shared {
    results: Mutex<Results>,
    permits: Semaphore,
    version: watch::Sender<u64>,
    /// The number of families without a first result.
    untried: watch::Sender<usize>,
}

#[derive(Default)]
struct Results {
    known: KnownNames,
    news: VecDeque<(Name, ResolverEvent)>,
}

impl Results {
    fn push_event(&mut self, name: Name, event: ResolverEvent) {
        self.news.push_back((name, event));
        if self.news.len() > MOST_NEWS {
            self.news.pop_front();
        }
    }
}

impl NameResolver {
    /// Starts resolving these names. Must be called inside a tokio runtime. `remembered` holds the
    /// addresses from before a restart.
    pub fn start(
        settings: &ResolverSettings,
        names: HashSet<Name>,
        remembered: KnownNames,
    ) -> NameResolver {
        let shared = Shared {
            results: Mutex::new(Results {
                known: remembered,
                news: VecDeque::new(),
            }),
            permits: Semaphore::new(IN_FLIGHT),
            version: watch::Sender::new(0),
            untried: watch::Sender::new(0),
        };
        let tasks = Tasks {
            resolver: Arc::new(StubResolver::new(servers_for(settings, &names))),
            settings: settings.clone(),
            running: HashMap::new(),
        };
        let resolver = NameResolver {
            shared: Arc::new(shared),
            tasks: Mutex::new(tasks),
        };
        resolver.replace(settings, names);
        resolver
    }

    /// Replaces the settings and the names. Names that remain keep their addresses. Must be called
    /// inside a tokio runtime.
    pub fn replace(&self, settings: &ResolverSettings, names: HashSet<Name>) {
        let mut tasks = self.tasks();
        let servers = servers_for(settings, &names);
        let servers_changed = *tasks.resolver.servers() != servers;
        if servers_changed {
            tasks.resolver = Arc::new(StubResolver::new(servers));
        }
        tasks.settings = settings.clone();
        tasks.running.retain(|key, task| {
            let stays = names.contains(&key.name) && !servers_changed;
            if !stays {
                task.abort();
            }
            stays
        });
        let mut results = self.shared.results();
        results.known.retain(|name, _| names.contains(name));
        for name in names {
            for family in IpFamily::ALL {
                let name = name.clone();
                tasks.spawn(&self.shared, LookupKey { name, family });
            }
            results.known.entry(name).or_default();
        }
        self.shared.publish_untried(&results);
    }

    /// The current addresses of every name.
    pub fn known(&self) -> KnownNames {
        self.shared.results().known.clone()
    }

    /// Receives a new value whenever [`NameResolver::known`] changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// Removes and returns the events since the last call, oldest first.
    pub fn news(&self) -> Vec<(Name, ResolverEvent)> {
        self.shared.results().news.drain(..).collect()
    }

    /// Waits until every family of every name has had a result, at most slightly longer than one
    /// lookup can take. Returns whether all of them have.
    pub async fn first_round(&self) -> bool {
        let timeout = self.tasks().settings.timeout;
        let mut untried = self.shared.untried.subscribe();
        let all_tried = untried.wait_for(|left| *left == 0);
        tokio::time::timeout(timeout + FIRST_ROUND_GRACE, all_tried)
            .await
            .is_ok()
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NameResolver {
    fn drop(&mut self) {
        for task in self.tasks().running.values() {
            task.abort();
        }
    }
}

impl Tasks {
    /// Starts the task of one family of a name, unless it is running.
    fn spawn(&mut self, shared: &Arc<Shared>, key: LookupKey) {
        if self.running.contains_key(&key) {
            return;
        }
        let task = shared.clone().follow(self.resolver.clone(), key.clone());
        self.running.insert(key, tokio::spawn(task).abort_handle());
    }
}

/// The servers to ask. Without names, the system's servers do not matter and are not read.
fn servers_for(settings: &ResolverSettings, names: &HashSet<Name>) -> UpstreamServers {
    if !names.is_empty() {
        return settings.servers();
    }
    let unused = ResolverSettings {
        servers: vec![([127, 0, 0, 1], 53).into()],
        ..settings.clone()
    };
    unused.servers()
}

impl Shared {
    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish_untried(&self, results: &Results) {
        let left = results.known.values().map(ResolvedName::untried).sum();
        self.untried.send_if_modified(|untried| {
            let changed = *untried != left;
            *untried = left;
            changed
        });
    }

    /// The task of one family of a name: looks it up until the name is removed.
    async fn follow(self: Arc<Self>, resolver: Arc<StubResolver>, key: LookupKey) {
        loop {
            let Ok(permit) = self.permits.acquire().await else {
                return;
            };
            let answer = resolver.addresses(&key.name, key.family).await;
            drop(permit);
            let Some(due) = self.take(&key, &answer) else {
                return;
            };
            // The cache may return an answer for a moment after it has expired.
            let earliest = Instant::now() + Duration::from_millis(10);
            tokio::time::sleep_until(due.max(earliest).into()).await;
        }
    }

    /// Stores an answer and returns when the next lookup is due. Returns `None` if the name has
    /// been removed.
    fn take(&self, key: &LookupKey, answer: &FamilyAnswer) -> Option<Instant> {
        let mut results = self.results();
        let known = results.known.get_mut(&key.name)?;
        let before = known.clone();
        let event = known.take(key.family, answer);
        let changed = !known.is_like(&before);
        let due = match known.retry_after(key.family) {
            Some(pause) => Instant::now() + pause,
            None => answer.until,
        };
        if let Some(event) = event {
            results.push_event(key.name.clone(), event);
        }
        self.publish_untried(&results);
        if changed {
            self.version.send_modify(|version| *version += 1);
        }
        Some(due)
    }
}
