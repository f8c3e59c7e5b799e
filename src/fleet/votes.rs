//! What carries views between the servers of a fleet.
//!
//! [`VoteCarrier`] has an adapter for each engine: none, for a server that decides alone, and NATS.
//! The carrier knows nothing of views. It is handed the octets of the newest one, of which it may
//! leave out any that a newer one has replaced, and returns what arrives as [`VoteNews`].

use tokio::sync::{mpsc, watch};

use super::nats;

/// Most messages that wait until they are read. What comes beyond that is lost, which costs a second.
pub const MOST_WAITING: usize = 1024;

/// What arrives from other servers, or of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoteNews {
    /// The engine can be reached.
    Linked,
    /// The engine cannot be reached any more.
    Unlinked,
    /// The engine, or the way to it, refuses something; a sentence.
    Refused(String),
    /// A message on the subject of a voter.
    View {
        /// The voter whose subject it is.
        voter: String,
        /// What was published.
        octets: Vec<u8>,
    },
}

/// Carries views.
#[derive(Debug)]
pub enum VoteCarrier {
    /// There are no other servers.
    Local,
    /// A NATS server, or several of them.
    Nats(VoteLink),
}

/// The two ends of an adapter's task.
#[derive(Debug)]
pub struct VoteLink {
    /// What arrives.
    pub news: mpsc::Receiver<VoteNews>,
    /// The newest view.
    pub newest: watch::Sender<Vec<u8>>,
}

impl VoteCarrier {
    /// Connects to NATS, in a task that runs until the carrier is dropped. Must be called inside a
    /// tokio runtime.
    pub fn nats(settings: nats::NatsSettings) -> VoteCarrier {
        let (send, news) = mpsc::channel(MOST_WAITING);
        let (newest, views) = watch::channel(Vec::new());
        tokio::spawn(nats::carry(settings, send, views));
        VoteCarrier::Nats(VoteLink { news, newest })
    }

    /// Waits for news.
    pub async fn next(&mut self) -> VoteNews {
        if let VoteCarrier::Nats(link) = self
            && let Some(news) = link.news.recv().await
        {
            return news;
        }
        std::future::pending().await
    }

    /// News that has arrived already.
    pub fn try_next(&mut self) -> Option<VoteNews> {
        match self {
            VoteCarrier::Local => None,
            VoteCarrier::Nats(link) => link.news.try_recv().ok(),
        }
    }

    /// Publishes a view, in place of one that was not sent yet.
    pub fn publish(&self, view: Vec<u8>) {
        if let VoteCarrier::Nats(link) = self {
            link.newest.send_replace(view);
        }
    }
}
