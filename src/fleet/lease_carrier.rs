//! What carries news of leases between the servers of a fleet.
//!
//! [`LeaseCarrier`] has an adapter for each engine: none, for a server whose leases are its own, and
//! NATS, with one subject for each server, on core NATS without JetStream. A renewal is not kept by
//! anybody: what is lost comes again with the next one. While there is no connection nothing is
//! sent; when there is one again, servers ask each other for everything.

use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::nats::{self, NatsSettings};
use super::votes::VoteNews;

/// Most messages that wait, in each direction. What comes beyond that is lost.
const MOST_WAITING: usize = 1024;
/// How long a message may wait to be sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Carries messages about leases.
#[derive(Debug)]
pub enum LeaseCarrier {
    /// The leases of this server are its own.
    Local,
    /// NATS servers.
    Nats(LeaseLink),
}

/// The two ends of an adapter's task.
#[derive(Debug)]
pub struct LeaseLink {
    news: mpsc::Receiver<VoteNews>,
    messages: mpsc::Sender<Vec<u8>>,
}

impl LeaseCarrier {
    /// Connects to NATS, in a task that runs until the carrier is dropped. Must be called inside a
    /// tokio runtime.
    pub fn nats(settings: NatsSettings) -> LeaseCarrier {
        let (send, news) = mpsc::channel(MOST_WAITING);
        let (messages, to_send) = mpsc::channel(MOST_WAITING);
        tokio::spawn(carry(settings, send, to_send));
        LeaseCarrier::Nats(LeaseLink { news, messages })
    }

    /// Waits for news: a link that is made or lost, or a message of another server.
    pub async fn next(&mut self) -> VoteNews {
        if let LeaseCarrier::Nats(link) = self
            && let Some(news) = link.news.recv().await
        {
            return news;
        }
        std::future::pending().await
    }

    /// Hands a message over, if there is room.
    pub fn publish(&self, message: Vec<u8>) {
        if let LeaseCarrier::Nats(link) = self {
            let _ = link.messages.try_send(message);
        }
    }
}

/// Carries messages between the engine and the channels, until the channels are dropped.
async fn carry(
    settings: NatsSettings,
    news: mpsc::Sender<VoteNews>,
    mut messages: mpsc::Receiver<Vec<u8>>,
) {
    let prefix = nats::prefix(&settings.fleet, "leases");
    let Some((client, mut subscriber)) = nats::connect(&settings, &prefix, &news).await else {
        return;
    };
    let own = format!("{prefix}{}", settings.voter);
    loop {
        tokio::select! {
            message = subscriber.next() => {
                let Some(message) = message else { return };
                nats::hand_on(&news, &prefix, message);
            }
            message = messages.recv() => {
                let Some(message) = message else { return };
                send(&client, &own, message).await;
            }
        }
    }
}

async fn send(client: &Client, subject: &str, message: Vec<u8>) {
    if client.connection_state() == State::Connected {
        let sent = client.publish(subject.to_owned(), message.into());
        let _ = timeout(SEND_TIMEOUT, sent).await;
    }
}
