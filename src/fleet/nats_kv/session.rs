//! One session with the bucket: reads all of it, then follows it until something is odd.
//!
//! JetStream tells a watcher of every new value. That a consumer has died with its NATS server shows
//! only after ten seconds, so the session asks the bucket for its last revision once a second, and
//! begins again if it lacks something. The same question notices a bucket that is gone or has lost
//! values.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::kv::{Entry, Operation, Store, Watch};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{KvLink, REQUEST, is_too_large, no_answer};
use crate::fleet::desired::{BucketEntry, BucketSnapshot};
use crate::fleet::order_carrier::OrderNews;

/// How often the bucket is asked for its last revision.
const LOOK: Duration = Duration::from_secs(1);
/// How long a value that this server has written may take to arrive.
const ARRIVAL: Duration = Duration::from_millis(300);
/// How long the newest values may take to arrive.
const SNAPSHOT_TIME: Duration = Duration::from_secs(5);
/// How long a session lasts at most.
const LIFE: Duration = Duration::from_secs(300);
/// So many questions without an answer end a session.
const MOST_UNANSWERED: u32 = 3;

/// Why a session has ended.
pub(super) enum SessionEnd {
    /// It is time to begin again.
    Again,
    /// There is no bucket.
    Missing,
    /// The bucket cannot be read; a sentence.
    Failed(String),
    /// Nobody wants to know any more.
    Closed,
}

/// What a session has seen.
#[derive(Default)]
struct SeenBucket {
    keys: BTreeSet<String>,
    revision: u64,
}

impl SeenBucket {
    fn note(&mut self, entry: Entry) -> BucketEntry {
        self.revision = self.revision.max(entry.revision);
        self.keys.insert(entry.key.clone());
        BucketEntry {
            value: value_of(&entry),
            key: entry.key,
            revision: entry.revision,
        }
    }
}

/// The value of an entry; `None`: its key was deleted by hand.
fn value_of(entry: &Entry) -> Option<Vec<u8>> {
    (entry.operation == Operation::Put).then(|| entry.value.to_vec())
}

/// Reads the bucket and follows it.
pub(super) async fn run(link: &KvLink, changes: &mut watch::Receiver<u64>) -> SessionEnd {
    let store = match timeout(REQUEST, open(link)).await {
        Ok(Ok(store)) => store,
        Ok(Err(end)) => return end,
        Err(_) => return SessionEnd::Failed(no_answer()),
    };
    let watch = match timeout(REQUEST, store.watch_with_history(">")).await {
        Ok(Ok(watch)) => watch,
        Ok(Err(error)) => return SessionEnd::Failed(format!("the bucket: {error}")),
        Err(_) => return SessionEnd::Failed(no_answer()),
    };
    let mut following = Following {
        link,
        store,
        watch,
        seen: SeenBucket::default(),
    };
    let snapshot = match timeout(SNAPSHOT_TIME, following.read()).await {
        Ok(Ok(snapshot)) => snapshot,
        Ok(Err(end)) => return end,
        Err(_) => return SessionEnd::Failed(no_answer()),
    };
    if link.news.send(OrderNews::Snapshot(snapshot)).await.is_err() {
        return SessionEnd::Closed;
    }
    following.follow(changes).await
}

/// The bucket, with what it says of itself.
async fn open(link: &KvLink) -> Result<Store, SessionEnd> {
    let stream = link.context.get_stream(link.stream()).await;
    let stream = stream.map_err(|error| unusable(&error))?;
    Ok(Store {
        name: link.bucket.clone(),
        stream_name: link.stream(),
        prefix: link.subject(""),
        put_prefix: None,
        use_jetstream_prefix: false,
        stream,
    })
}

fn unusable(error: &GetStreamError) -> SessionEnd {
    if let GetStreamErrorKind::JetStream(answer) = error.kind()
        && answer.error_code() == ErrorCode::STREAM_NOT_FOUND
    {
        return SessionEnd::Missing;
    }
    SessionEnd::Failed(format!("the bucket cannot be read: {error}"))
}

/// A bucket that is being followed.
struct Following<'l> {
    link: &'l KvLink,
    store: Store,
    watch: Watch,
    seen: SeenBucket,
}

impl Following<'_> {
    /// The newest values of all keys.
    async fn read(&mut self) -> Result<BucketSnapshot, SessionEnd> {
        let state = &self.store.stream.cached_info().state;
        let mut snapshot = BucketSnapshot {
            last_revision: state.last_sequence,
            entries: Vec::new(),
        };
        self.seen.revision = state.last_sequence;
        if state.messages == 0 {
            return Ok(snapshot);
        }
        loop {
            let entry = match self.watch.next().await {
                Some(Ok(entry)) => entry,
                Some(Err(error)) => return Err(SessionEnd::Failed(error.to_string())),
                None => return Err(SessionEnd::Again),
            };
            let is_last = entry.delta == 0;
            snapshot.entries.push(self.seen.note(entry));
            if is_too_large(snapshot.entries.len()) {
                let sentence = "the bucket has more keys than a fleet may have".to_owned();
                return Err(SessionEnd::Failed(sentence));
            }
            if is_last {
                return Ok(snapshot);
            }
        }
    }

    /// Passes new values on until something is odd.
    async fn follow(mut self, changes: &mut watch::Receiver<u64>) -> SessionEnd {
        let end = Instant::now() + LIFE;
        let mut look = tokio::time::interval_at(Instant::now() + LOOK, LOOK);
        let mut written = self.link.written.subscribe();
        let mut arrival: Option<Instant> = None;
        let (mut last_look, mut unanswered) = (0, 0);
        loop {
            let is_late = arrival.unwrap_or(end);
            tokio::select! {
                entry = self.watch.next() => {
                    let Some(Ok(entry)) = entry else { return SessionEnd::Again };
                    let entry = self.seen.note(entry);
                    if *written.borrow() <= self.seen.revision {
                        arrival = None;
                    }
                    if self.link.news.send(OrderNews::Entry(entry)).await.is_err() {
                        return SessionEnd::Closed;
                    }
                }
                _ = written.changed() => {
                    if *written.borrow_and_update() > self.seen.revision {
                        arrival = Some(Instant::now() + ARRIVAL);
                    }
                }
                _ = changes.changed() => return SessionEnd::Again,
                () = self.link.reread.notified() => return SessionEnd::Again,
                () = tokio::time::sleep_until(is_late) => return SessionEnd::Again,
                _ = look.tick() => match timeout(REQUEST, look_at(self.link, &self.store, &self.seen, last_look)).await {
                    Ok(Ok(last)) => (last_look, unanswered) = (last, 0),
                    Ok(Err(Some(end))) => return end,
                    Ok(Err(None)) | Err(_) => unanswered += 1,
                },
            }
            if unanswered >= MOST_UNANSWERED {
                return SessionEnd::Again;
            }
        }
    }
}

/// Asks the bucket for its last revision. One that was there at the last look has arrived by now.
async fn look_at(
    link: &KvLink,
    store: &Store,
    seen: &SeenBucket,
    last_look: u64,
) -> Result<u64, Option<SessionEnd>> {
    let stream = match link.context.get_stream(link.stream()).await {
        Ok(stream) => stream,
        Err(error) => {
            let end = unusable(&error);
            return Err(matches!(end, SessionEnd::Missing).then_some(end));
        }
    };
    let info = stream.cached_info();
    let last = info.state.last_sequence;
    let lacks = last_look > seen.revision;
    let is_other = last < seen.revision;
    let has_lost = info.state.messages < seen.keys.len() as u64;
    let was_made_anew = info.created != store.stream.cached_info().created;
    if lacks || is_other || has_lost || was_made_anew {
        return Err(Some(SessionEnd::Again));
    }
    Ok(last)
}
