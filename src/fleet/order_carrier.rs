//! What carries the orders of a fleet between its servers, and in the same way its releases.
//!
//! [`OrderCarrier`] has an adapter for each engine: none, for a server whose orders are its own, and
//! NATS. An adapter knows nothing of orders or releases. It tells what is in the bucket as [`OrderNews`], and
//! carries out [`OrderCommand`]s, each within its deadline.

use tokio::sync::{mpsc, oneshot};

use super::desired::{BucketEntry, BucketSnapshot};
use super::nats_kv::{self, KvSettings};

/// Most news, and most commands, that wait.
const MOST_WAITING: usize = 256;

/// What arrives from the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderNews {
    /// The engine can be reached.
    Linked,
    /// The engine cannot be reached any more.
    Unlinked,
    /// The engine, or the way to it, refuses something; a sentence.
    Refused(String),
    /// There is no bucket.
    Missing,
    /// Everything that is in the bucket.
    Snapshot(BucketSnapshot),
    /// A new value.
    Entry(BucketEntry),
}

/// What an adapter is told to do.
#[derive(Debug)]
pub enum OrderCommand {
    /// Write a value if its key still has the expected revision.
    Write {
        /// What to write.
        write: KeyWrite,
        /// Receives the new revision.
        reply: oneshot::Sender<Result<u64, WriteFault>>,
    },
    /// Make the bucket.
    Make(oneshot::Sender<Result<(), WriteFault>>),
    /// Write a piece of an archive, which is kept beside the bucket.
    Store {
        /// Its key.
        key: String,
        /// The piece.
        octets: Vec<u8>,
        /// Receives a clause if it was not written.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Read a piece of an archive.
    Load {
        /// Its key.
        key: String,
        /// Receives it; `None`: it is not there.
        reply: oneshot::Sender<Result<Option<Vec<u8>>, String>>,
    },
    /// Read the bucket again.
    Reread,
    /// Read past values, the last 64 of each key.
    History {
        /// The key; `None`: all keys.
        key: Option<String>,
        /// Receives them, oldest first.
        reply: oneshot::Sender<Result<Vec<PastValue>, String>>,
    },
}

/// A value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWrite {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// The revision that the key must have; 0: it must be new.
    pub expected: u64,
}

/// Why a write was not made, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteFault {
    /// Somebody else was first; the value that they wrote, where it can be read.
    Conflict(Option<Vec<u8>>),
    /// It was not made; a clause.
    NotMade(String),
    /// Nobody has confirmed it, and it may still be made; a clause.
    Unconfirmed(String),
}

/// A value that a key has or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastValue {
    /// The entry.
    pub entry: BucketEntry,
    /// When the engine took it, in milliseconds since 1970.
    pub at: u64,
}

/// Carries orders.
#[derive(Debug)]
pub enum OrderCarrier {
    /// The orders of this server are its own.
    Local,
    /// A bucket of NATS JetStream.
    Nats(OrderLink),
}

/// The two ends of an adapter's task.
#[derive(Debug)]
pub struct OrderLink {
    /// What arrives.
    news: mpsc::Receiver<OrderNews>,
    /// What the adapter has to do.
    commands: mpsc::Sender<OrderCommand>,
}

impl OrderCarrier {
    /// Connects to NATS, in a task that runs until the carrier is dropped. Must be called inside a
    /// tokio runtime.
    pub fn nats(settings: KvSettings) -> OrderCarrier {
        let (send, news) = channel();
        let (commands, received) = channel();
        tokio::spawn(nats_kv::carry(settings, send, received));
        OrderCarrier::Nats(OrderLink { news, commands })
    }

    /// Waits for news.
    pub async fn next(&mut self) -> OrderNews {
        if let OrderCarrier::Nats(link) = self
            && let Some(news) = link.news.recv().await
        {
            return news;
        }
        std::future::pending().await
    }

    /// What hands commands to the adapter.
    pub fn commander(&self) -> OrderCommander {
        match self {
            OrderCarrier::Local => OrderCommander(None),
            OrderCarrier::Nats(link) => OrderCommander(Some(link.commands.clone())),
        }
    }
}

fn channel<T>() -> (mpsc::Sender<T>, mpsc::Receiver<T>) {
    mpsc::channel(MOST_WAITING)
}

/// Hands commands to an adapter.
#[derive(Debug, Clone)]
pub struct OrderCommander(Option<mpsc::Sender<OrderCommand>>);

impl OrderCommander {
    /// Hands a command over, if the adapter takes any. The reply of a command that was not taken is
    /// dropped.
    pub fn command(&self, command: OrderCommand) {
        if let Some(commands) = &self.0 {
            let _ = commands.try_send(command);
        }
    }

    /// Writes a value and waits for the result.
    ///
    /// # Errors
    /// It was not made, or may not have been.
    pub async fn write(&self, write: KeyWrite) -> Result<u64, WriteFault> {
        let (reply, result) = oneshot::channel();
        self.command(OrderCommand::Write { write, reply });
        result.await.unwrap_or_else(|_| Err(not_taken()))
    }

    /// Writes a piece of an archive and waits for the result.
    ///
    /// # Errors
    /// A clause: it was not written.
    pub async fn store(&self, key: String, octets: Vec<u8>) -> Result<(), String> {
        let (reply, result) = oneshot::channel();
        self.command(OrderCommand::Store { key, octets, reply });
        result.await.unwrap_or_else(|_| Err(NOT_TAKEN.to_owned()))
    }

    /// Reads a piece of an archive; `None`: it is not there.
    ///
    /// # Errors
    /// A clause: it cannot be read now.
    pub async fn load(&self, key: String) -> Result<Option<Vec<u8>>, String> {
        let (reply, result) = oneshot::channel();
        self.command(OrderCommand::Load { key, reply });
        result.await.unwrap_or_else(|_| Err(NOT_TAKEN.to_owned()))
    }

    /// Makes the bucket and waits for the result.
    ///
    /// # Errors
    /// It was not made, or may not have been.
    pub async fn make(&self) -> Result<(), WriteFault> {
        let (reply, result) = oneshot::channel();
        self.command(OrderCommand::Make(reply));
        result.await.unwrap_or_else(|_| Err(not_taken()))
    }
}

/// Why a command was dropped.
const NOT_TAKEN: &str = "too many orders wait already";

fn not_taken() -> WriteFault {
    WriteFault::NotMade(NOT_TAKEN.to_owned())
}
