//! Orders and releases over NATS: a bucket of JetStream's key-value store for each, in every fleet.
//!
//! A bucket is named `meridian_FLEET_orders` or `meridian_FLEET_releases`, and keeps the last 64 values
//! of each key. A session
//! reads all of it and then follows it; it begins anew when the link was lost, when the bucket says
//! something else than what arrived, and every few minutes. So neither a consumer that has died nor a
//! bucket that was replaced goes unnoticed for longer than two seconds. Every request has a deadline.
//! Nothing is sent while there is no connection, because what waited might take effect much later.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy, push};
use async_nats::jetstream::context::{CreateStreamErrorKind, PublishError, PublishErrorKind};
use async_nats::jetstream::stream::{self, DiscardPolicy, StorageType};
use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{Client, Event, HeaderMap, ServerAddr, header};
use futures_util::StreamExt;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::timeout;

use self::session::SessionEnd;
use super::desired::{BucketEntry, MOST_KEYS};
use super::nats::NatsSettings;
use super::order_carrier::{KeyWrite, OrderCommand, OrderNews, PastValue, WriteFault};
use super::release::MOST_RELEASE;

mod archives;
mod session;

/// How many values of each key are kept; the most that JetStream's key-value stores allow.
pub const HISTORY: i64 = 64;
/// The longest message of a bucket, in octets: an order or a release, its key, and the headers of a
/// write.
const LONGEST_MESSAGE: i32 = MOST_RELEASE as i32 + 2_048;
/// The deadline of a request.
const REQUEST: Duration = Duration::from_millis(1500);
/// The deadline of reading past values.
const HISTORY_TIME: Duration = Duration::from_secs(5);
/// Most past values that are read; the newest are kept.
const MOST_PAST: usize = 8_192;
/// Most commands at once.
const AT_ONCE: usize = 16;
/// The pause before a session begins again.
const PAUSE: Duration = Duration::from_millis(250);

/// How to reach the bucket.
#[derive(Clone)]
pub struct KvSettings {
    /// The way to the NATS servers.
    pub nats: NatsSettings,
    /// How many NATS servers keep a bucket that this server makes, 1 to 3.
    pub replicas: usize,
    /// What is in it.
    pub bucket: KvBucket,
}

/// What is in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvBucket {
    /// The orders of a fleet.
    Orders,
    /// The newest release of its configuration, and what servers report of it.
    Releases,
}

impl KvBucket {
    fn word(self) -> &'static str {
        match self {
            KvBucket::Orders => "orders",
            KvBucket::Releases => "releases",
        }
    }
}

/// A bucket of a fleet.
fn bucket(fleet: &str, word: &str) -> String {
    format!("meridian_{fleet}_{word}")
}

/// What the two halves of the adapter share.
struct KvLink {
    client: Client,
    context: Context,
    bucket: String,
    word: &'static str,
    /// The bucket of the archives of releases, which is not followed.
    archives: String,
    replicas: usize,
    news: mpsc::Sender<OrderNews>,
    /// The bucket is to be read again.
    reread: Notify,
    /// The greatest revision that a write of this server was given.
    written: watch::Sender<u64>,
}

impl KvLink {
    fn stream(&self) -> String {
        format!("KV_{}", self.bucket)
    }

    fn subject(&self, key: &str) -> String {
        format!("$KV.{}.{key}", self.bucket)
    }

    fn is_linked(&self) -> bool {
        self.client.connection_state() == State::Connected
    }
}

/// Carries news and commands between the bucket and the channels, until the channels are dropped.
pub(super) async fn carry(
    settings: KvSettings,
    news: mpsc::Sender<OrderNews>,
    commands: mpsc::Receiver<OrderCommand>,
) {
    let (changed, changes) = watch::channel(0_u64);
    let word = settings.bucket.word();
    let Some(client) = connect(&settings.nats, word, &news, changed).await else {
        return;
    };
    let link = Arc::new(KvLink {
        context: ContextBuilder::new()
            .timeout(REQUEST)
            .ack_timeout(REQUEST)
            .build(client.clone()),
        client,
        bucket: bucket(&settings.nats.fleet, word),
        word,
        archives: bucket(&settings.nats.fleet, "archives"),
        replicas: settings.replicas,
        news,
        reread: Notify::new(),
        written: watch::Sender::new(0),
    });
    tokio::select! {
        () = follow(&link, changes) => {}
        () = obey(&link, commands) => {}
    }
}

/// The client, which connects in the background. Only addresses that cannot be used at all end this.
async fn connect(
    settings: &NatsSettings,
    word: &str,
    news: &mpsc::Sender<OrderNews>,
    changed: watch::Sender<u64>,
) -> Option<Client> {
    let mut servers: Vec<ServerAddr> = Vec::with_capacity(settings.servers.len());
    for url in &settings.servers {
        // The adapter of votes has told what is wrong with an address.
        servers.extend(url.parse().ok());
    }
    let tell = news.clone();
    let options = settings
        .connection(&format!("meridian {} {word}", settings.voter))
        .custom_inbox_prefix(format!("_INBOX.meridian.{}", settings.voter))
        .event_callback(move |event| {
            match event {
                Event::ServerError(error) => {
                    let _ = tell.try_send(OrderNews::Refused(error.to_string()));
                }
                Event::Connected | Event::Disconnected | Event::Closed => {
                    changed.send_modify(|count| *count += 1);
                }
                _ => {}
            }
            std::future::ready(())
        });
    match options.connect(servers).await {
        Ok(client) => Some(client),
        Err(error) => {
            let _ = news.try_send(OrderNews::Refused(error.to_string()));
            None
        }
    }
}

/// One session after the other.
async fn follow(link: &Arc<KvLink>, mut changes: watch::Receiver<u64>) {
    let mut was_linked = None;
    loop {
        changes.borrow_and_update();
        let is_linked = link.is_linked();
        if was_linked.replace(is_linked) != Some(is_linked) {
            let news = if is_linked {
                OrderNews::Linked
            } else {
                OrderNews::Unlinked
            };
            if link.news.send(news).await.is_err() {
                return;
            }
        }
        if !is_linked {
            // The state may have changed without an event between the look and the wait.
            let _ = timeout(PAUSE, changes.changed()).await;
            continue;
        }
        let end = session::run(link, &mut changes).await;
        let news = match end {
            SessionEnd::Again => None,
            SessionEnd::Missing => Some(OrderNews::Missing),
            SessionEnd::Failed(sentence) => Some(OrderNews::Refused(sentence)),
            SessionEnd::Closed => return,
        };
        if let Some(news) = news
            && link.news.send(news).await.is_err()
        {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = link.reread.notified() => {}
        }
    }
}

/// Carries out commands, some at once.
async fn obey(link: &Arc<KvLink>, mut commands: mpsc::Receiver<OrderCommand>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(command) = commands.recv().await {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let link = link.clone();
        tokio::spawn(async move {
            match command {
                // Nobody waits for it any more, and was told that it may not have been made.
                OrderCommand::Write { reply, .. } if reply.is_closed() => {}
                OrderCommand::Write { write, reply } => drop(reply.send(link.write(write).await)),
                OrderCommand::Make(reply) => drop(reply.send(link.make().await)),
                OrderCommand::Store { key, octets, reply } => {
                    drop(reply.send(link.store(&key, octets).await));
                }
                OrderCommand::Load { key, reply } => drop(reply.send(link.load(&key).await)),
                OrderCommand::Reread => link.reread.notify_one(),
                OrderCommand::History { key, reply } => {
                    let reading = timeout(HISTORY_TIME, link.history(key.as_deref()));
                    let read = reading.await.unwrap_or_else(|_| Err(no_answer()));
                    drop(reply.send(read));
                }
            }
            drop(place);
        });
    }
}

fn no_answer() -> String {
    "the NATS servers do not answer in time".to_owned()
}

impl KvLink {
    /// Writes a value if its key has the expected revision.
    async fn write(&self, write: KeyWrite) -> Result<u64, WriteFault> {
        if !self.is_linked() {
            let clause = "no NATS server can be reached".to_owned();
            return Err(WriteFault::NotMade(clause));
        }
        let mut headers = HeaderMap::new();
        let expected = write.expected.to_string();
        headers.insert(
            header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
            expected.as_str(),
        );
        let subject = self.subject(&write.key);
        let sending =
            self.context
                .publish_with_headers(subject.clone(), headers, write.value.into());
        let Ok(sent) = timeout(REQUEST, sending).await else {
            return Err(WriteFault::Unconfirmed(no_answer()));
        };
        let acked = match sent {
            Ok(acked) => acked.await,
            Err(error) => Err(error),
        };
        match acked {
            Ok(ack) => {
                let revision = ack.sequence;
                self.written
                    .send_modify(|last| *last = (*last).max(revision));
                Ok(revision)
            }
            Err(error) => Err(self.fault(&error, &subject).await),
        }
    }

    async fn fault(&self, error: &PublishError, subject: &str) -> WriteFault {
        match error.kind() {
            PublishErrorKind::WrongLastSequence => {
                WriteFault::Conflict(self.current(subject).await)
            }
            PublishErrorKind::StreamNotFound => WriteFault::NotMade(
                "no NATS server takes orders now: JetStream has no leader, or there is no bucket"
                    .to_owned(),
            ),
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                WriteFault::Unconfirmed(no_answer())
            }
            _ => WriteFault::NotMade(format!("NATS refuses it: {error}")),
        }
    }

    /// The value that a subject has now.
    async fn current(&self, subject: &str) -> Option<Vec<u8>> {
        let stream = self.context.get_stream_no_info(self.stream()).await.ok()?;
        let reading = stream.get_last_raw_message_by_subject(subject);
        let message = timeout(REQUEST, reading).await.ok()?.ok()?;
        Some(message.payload.into())
    }

    /// Makes the bucket; it is no error if there is one.
    async fn make(&self) -> Result<(), WriteFault> {
        let config = stream::Config {
            name: self.stream(),
            description: Some(format!(
                "The {} of a fleet of Meridian nameservers",
                self.word
            )),
            subjects: vec![self.subject(">")],
            max_messages_per_subject: HISTORY,
            max_message_size: LONGEST_MESSAGE,
            storage: StorageType::File,
            num_replicas: self.replicas,
            discard: DiscardPolicy::New,
            // Neither messages nor keys can be made away with; a key can still be marked as deleted.
            allow_rollup: false,
            deny_delete: true,
            deny_purge: true,
            allow_direct: true,
            ..stream::Config::default()
        };
        let made = match timeout(REQUEST, self.context.create_stream(config)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.kind() != CreateStreamErrorKind::TimedOut => Err(
                WriteFault::NotMade(format!("the bucket cannot be made: {error}")),
            ),
            _ => Err(WriteFault::Unconfirmed(no_answer())),
        };
        self.reread.notify_one();
        made
    }

    /// The values that keys have and had, oldest first.
    async fn history(&self, key: Option<&str>) -> Result<Vec<PastValue>, String> {
        if !self.is_linked() {
            return Err("no NATS server can be reached".to_owned());
        }
        let stream = self.context.get_stream(self.stream()).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let config = push::OrderedConfig {
            deliver_subject: self.client.new_inbox(),
            filter_subject: self.subject(key.unwrap_or(">")),
            replay_policy: ReplayPolicy::Instant,
            deliver_policy: DeliverPolicy::All,
            ..push::OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await;
        let consumer = consumer.map_err(|error| error.to_string())?;
        let mut past = VecDeque::new();
        if consumer.cached_info().num_pending == 0 {
            return Ok(Vec::new());
        }
        let messages = consumer.messages().await;
        let mut messages = messages.map_err(|error| error.to_string())?;
        let prefix = self.subject("");
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| error.to_string())?;
            let info = message.info().map_err(|error| error.to_string())?;
            let (revision, pending) = (info.stream_sequence, info.pending);
            let at = u64::try_from(info.published.unix_timestamp_nanos() / 1_000_000);
            if let Some(key) = message.subject.strip_prefix(&prefix) {
                let is_value = !is_deletion(message.headers.as_ref());
                past.push_back(PastValue {
                    entry: BucketEntry {
                        key: key.to_owned(),
                        revision,
                        value: is_value.then(|| message.payload.to_vec()),
                    },
                    at: at.unwrap_or(0),
                });
            }
            if past.len() > MOST_PAST {
                past.pop_front();
            }
            if pending == 0 {
                break;
            }
        }
        Ok(past.into())
    }
}

/// Whether a message says that its key was deleted.
fn is_deletion(headers: Option<&HeaderMap>) -> bool {
    headers.is_some_and(|headers| headers.get("KV-Operation").is_some())
}

/// Whether a bucket has more keys than a fleet may have.
fn is_too_large(keys: usize) -> bool {
    // Its mark is a key, too.
    keys > MOST_KEYS + 1
}
