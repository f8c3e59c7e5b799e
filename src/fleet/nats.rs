//! Votes over NATS: one subject for each voter, on core NATS, without JetStream.
//!
//! A voter publishes on `meridian.FLEET.votes.VOTER` and listens to `meridian.FLEET.votes.*`. The
//! permissions of the NATS servers say who may publish on which subject, so nobody votes as somebody
//! else. The client reconnects by itself, to any of the servers. Pings each second find a connection
//! that has died without a word. While there is no connection nothing is published: a view that waited
//! would only be old.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, Message, ServerAddr, Subscriber};
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio_rustls::rustls::ClientConfig;
use zeroize::Zeroizing;

use super::votes::VoteNews;

/// How often a silent connection is tried.
const PING: Duration = Duration::from_secs(1);
/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest wait before the next attempt to connect.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long a view may wait to be sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);
/// Most messages that the client holds for the reader.
const CAPACITY: usize = 1024;

/// How to reach the NATS servers.
#[derive(Clone)]
pub struct NatsSettings {
    /// The name of the fleet.
    pub fleet: String,
    /// The name of this server.
    pub voter: String,
    /// URLs of the servers.
    pub servers: Vec<String>,
    /// TLS, where it is wanted.
    pub tls: Option<Arc<ClientConfig>>,
    /// Whether TLS is demanded whatever the URLs say.
    pub needs_tls: bool,
    /// User and password.
    pub login: Option<(String, Zeroizing<String>)>,
}

/// The part of a fleet's subjects about a topic that comes before the name of a server.
pub(super) fn prefix(fleet: &str, topic: &str) -> String {
    format!("meridian.{fleet}.{topic}.")
}

impl NatsSettings {
    fn options(&self, news: mpsc::Sender<VoteNews>) -> ConnectOptions {
        self.connection(&format!("meridian {}", self.voter))
            .no_echo()
            .subscription_capacity(CAPACITY)
            .event_callback(move |event| {
                tell(&news, &event);
                std::future::ready(())
            })
    }

    /// What all connections have in common; `name` is for the operators of the NATS servers.
    pub(super) fn connection(&self, name: &str) -> ConnectOptions {
        let mut options = ConnectOptions::new()
            .name(name)
            .ping_interval(PING)
            .connection_timeout(CONNECT_TIMEOUT)
            .retry_on_initial_connect()
            .reconnect_delay_callback(reconnect_delay);
        if let Some((user, password)) = &self.login {
            options = options.user_and_password(user.clone(), password.to_string());
        }
        if let Some(tls) = &self.tls {
            options = options
                .tls_client_config(ClientConfig::clone(tls))
                .require_tls(self.needs_tls);
        }
        options
    }
}

fn reconnect_delay(attempts: usize) -> Duration {
    let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    Duration::from_millis(50)
        .saturating_mul(attempts)
        .min(LONGEST_WAIT)
}

/// Passes an event of the client on. If nobody reads, the next one says the same.
fn tell(news: &mpsc::Sender<VoteNews>, event: &Event) {
    let news_of_it = match event {
        Event::Connected => VoteNews::Linked,
        Event::Disconnected | Event::Closed => VoteNews::Unlinked,
        Event::ServerError(error) => VoteNews::Refused(error.to_string()),
        Event::ClientError(error) => VoteNews::Refused(error.to_string()),
        Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => return,
    };
    let _ = news.try_send(news_of_it);
}

/// Carries views between the engine and the channels, until the channels are dropped.
pub(super) async fn carry(
    settings: NatsSettings,
    news: mpsc::Sender<VoteNews>,
    mut views: watch::Receiver<Vec<u8>>,
) {
    let prefix = prefix(&settings.fleet, "votes");
    let Some((client, mut subscriber)) = connect(&settings, &prefix, &news).await else {
        return;
    };
    let own = format!("{prefix}{}", settings.voter);
    loop {
        tokio::select! {
            message = subscriber.next() => {
                let Some(message) = message else { return };
                hand_on(&news, &prefix, message);
            }
            changed = views.changed() => {
                if changed.is_err() {
                    return;
                }
                let view = views.borrow_and_update().clone();
                if client.connection_state() == State::Connected {
                    // A view that cannot be sent is followed by another.
                    let sending = client.publish(own.clone(), view.into());
                    let _ = tokio::time::timeout(SEND_TIMEOUT, sending).await;
                }
            }
        }
    }
}

/// The client, which connects in the background, and its subscription to the subjects of all servers
/// below `prefix`. Only addresses that cannot be used at all end this.
pub(super) async fn connect(
    settings: &NatsSettings,
    prefix: &str,
    news: &mpsc::Sender<VoteNews>,
) -> Option<(Client, Subscriber)> {
    let mut servers: Vec<ServerAddr> = Vec::with_capacity(settings.servers.len());
    for url in &settings.servers {
        match url.parse() {
            Ok(server) => servers.push(server),
            Err(error) => {
                let sentence = format!("{url} cannot be used: {error}");
                let _ = news.try_send(VoteNews::Refused(sentence));
            }
        }
    }
    let client = match settings.options(news.clone()).connect(servers).await {
        Ok(client) => client,
        Err(error) => {
            let _ = news.try_send(VoteNews::Refused(error.to_string()));
            return None;
        }
    };
    let subject = format!("{prefix}*");
    match client.subscribe(subject).await {
        Ok(subscriber) => Some((client, subscriber)),
        Err(error) => {
            let _ = news.try_send(VoteNews::Refused(error.to_string()));
            None
        }
    }
}

/// Hands a message on. If too many wait already, it is lost.
pub(super) fn hand_on(news: &mpsc::Sender<VoteNews>, prefix: &str, message: Message) {
    let Some(voter) = message.subject.strip_prefix(prefix) else {
        return;
    };
    let view = VoteNews::View {
        voter: voter.to_owned(),
        octets: message.payload.into(),
    };
    let _ = news.try_send(view);
}
