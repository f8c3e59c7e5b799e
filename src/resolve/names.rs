//! Names: looks up every configured name when what is known of it has expired, and says when something has changed.
//!
//! One task for each family of each name, so that none is asked for twice at once and none waits for another; a semaphore
//! caps how many ask together.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::IpFamily;
use super::ask::{ResolverSettings, StubResolver, UpstreamServers};
use super::known::{ResolvedName, ResolverEvent};
use crate::dns::Name;

/// Most names that are asked for at once.
const IN_FLIGHT: usize = 32;
/// Most news that wait for somebody to take them.
const MOST_NEWS: usize = 1000;

/// What is known, by name.
pub type KnownNames = HashMap<Name, ResolvedName>;

/// Resolves until it is dropped.
pub struct NameResolver {
    shared: Arc<Shared>,
    tasks: Mutex<Tasks>,
}

/// Who asks for which name, and whom.
struct Tasks {
    resolver: Arc<StubResolver>,
    settings: ResolverSettings,
    running: HashMap<(Name, IpFamily), AbortHandle>,
}

struct Shared {
    book: Mutex<Book>,
    permits: Semaphore,
    version: watch::Sender<u64>,
    /// Families of names that had no result yet.
    untried: watch::Sender<usize>,
}

#[derive(Default)]
struct Book {
    known: KnownNames,
    news: VecDeque<(Name, ResolverEvent)>,
}

impl NameResolver {
    /// Begins to resolve these; must be called inside a tokio runtime. `remembered` is what was known before a restart.
    pub fn start(
        settings: &ResolverSettings,
        names: HashSet<Name>,
        remembered: KnownNames,
    ) -> NameResolver {
        let shared = Shared {
            book: Mutex::new(Book {
                known: remembered,
                news: VecDeque::new(),
            }),
            permits: Semaphore::new(IN_FLIGHT),
            version: watch::Sender::new(0),
            untried: watch::Sender::new(0),
        };
        let resolver = Arc::new(StubResolver::new(servers(settings, &names)));
        let tasks = Tasks {
            resolver,
            settings: settings.clone(),
            running: HashMap::new(),
        };
        let this = NameResolver {
            shared: Arc::new(shared),
            tasks: Mutex::new(tasks),
        };
        this.replace(settings, names);
        this
    }

    /// Resolves these from now on; what is known of those that stay is kept. Must be called inside a tokio runtime.
    pub fn replace(&self, settings: &ResolverSettings, names: HashSet<Name>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let servers = servers(settings, &names);
        let asks_others = *tasks.resolver.servers() != servers;
        if asks_others {
            tasks.resolver = Arc::new(StubResolver::new(servers));
        }
        tasks.settings = settings.clone();
        tasks.running.retain(|(name, _), task| {
            let stays = names.contains(name) && !asks_others;
            if !stays {
                task.abort();
            }
            stays
        });
        let mut book = self.shared.book();
        book.known.retain(|name, _| names.contains(name));
        for name in names {
            book.known.entry(name.clone()).or_default();
            for family in IpFamily::ALL {
                let key = (name.clone(), family);
                if tasks.running.contains_key(&key) {
                    continue;
                }
                let follow = follow(
                    self.shared.clone(),
                    tasks.resolver.clone(),
                    name.clone(),
                    family,
                );
                tasks
                    .running
                    .insert(key, tokio::spawn(follow).abort_handle());
            }
        }
        self.shared.publish(&book);
    }

    /// What is known now.
    pub fn known(&self) -> KnownNames {
        self.shared.book().known.clone()
    }

    /// Changes whenever something of [`NameResolver::known`] has.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// What has happened since this was last asked, oldest first.
    pub fn news(&self) -> Vec<(Name, ResolverEvent)> {
        self.shared.book().news.drain(..).collect()
    }

    /// Waits until every family of every name has had a result, at most as long as one look-up may take. Says whether all have.
    pub async fn first_round(&self) -> bool {
        let timeout = self
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .settings
            .timeout;
        let mut untried = self.shared.untried.subscribe();
        let all = untried.wait_for(|left| *left == 0);
        tokio::time::timeout(timeout + Duration::from_millis(200), all)
            .await
            .is_ok()
    }
}

impl Drop for NameResolver {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.running.values().for_each(AbortHandle::abort);
    }
}

/// The system's servers are of interest only where there is something to ask them.
fn servers(settings: &ResolverSettings, names: &HashSet<Name>) -> UpstreamServers {
    match names.is_empty() {
        true => ResolverSettings {
            servers: vec![([127, 0, 0, 1], 53).into()],
            ..settings.clone()
        }
        .servers(),
        false => settings.servers(),
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, book: &Book) {
        let left = book.known.values().map(ResolvedName::untried).sum();
        self.untried
            .send_if_modified(|before| std::mem::replace(before, left) != left);
    }

    /// Takes in one answer; when the family is due again, or `None`: nobody wants to know the name any more.
    fn take(&self, name: &Name, family: IpFamily, answer: &super::FamilyAnswer) -> Option<Instant> {
        let mut book = self.book();
        let known = book.known.get_mut(name)?;
        let before = known.clone();
        let news = known.take(family, answer);
        let changed = !known.is_like(&before);
        let due = known
            .retry_after(family)
            .map_or(answer.until, |pause| Instant::now() + pause);
        if let Some(news) = news {
            book.news.push_back((name.clone(), news));
            let surplus = book.news.len().saturating_sub(MOST_NEWS);
            book.news.drain(..surplus);
        }
        self.publish(&book);
        if changed {
            self.version.send_modify(|version| *version += 1);
        }
        Some(due)
    }
}

/// The life of one family of a name.
async fn follow(shared: Arc<Shared>, resolver: Arc<StubResolver>, name: Name, family: IpFamily) {
    loop {
        let Ok(permit) = shared.permits.acquire().await else {
            return;
        };
        let answer = resolver.addresses(&name, family).await;
        drop(permit);
        let Some(due) = shared.take(&name, family, &answer) else {
            return;
        };
        // An answer that has just expired may be in the cache still for the time of a glance.
        let least = Instant::now() + Duration::from_millis(10);
        tokio::time::sleep_until(due.max(least).into()).await;
    }
}
