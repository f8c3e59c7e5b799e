//! What carries reports, and questions of one server to another.
//!
//! [`StatusCarrier`] has an adapter for each engine: none, and NATS. It has a connection of its own,
//! so nothing here can delay a vote or an order, and a NATS server that forbids it forbids nothing
//! else. The carrier knows nothing of reports. Questions and answers are opaque, bounded, and have a
//! deadline ([`ASK_TIME`]).

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::nats::NatsSettings;
use super::nats_status;

/// Most news, and most commands, that wait. What comes beyond that is lost.
const MOST_WAITING: usize = 1024;
/// How long an answer may take.
pub const ASK_TIME: Duration = Duration::from_secs(2);
/// The longest question, in octets.
pub const LONGEST_QUESTION: usize = 16_384;
/// The longest answer, in octets; NATS carries 1 MiB.
pub const LONGEST_ANSWER: usize = 1_000_000;

/// What arrives from other servers, or of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusNews {
    /// The engine can be reached.
    Linked,
    /// The engine cannot be reached any more.
    Unlinked,
    /// The engine, or the way to it, refuses something; a sentence.
    Refused(String),
    /// A message on the subject of a server.
    Report {
        /// The server whose subject it is.
        server: String,
        /// What was published.
        octets: Vec<u8>,
    },
    /// Another server asks something.
    Question {
        /// What it asks.
        octets: Vec<u8>,
        /// Where it waits for the answer.
        reply_to: String,
    },
}

/// What an adapter is told to do.
#[derive(Debug)]
pub enum StatusCommand {
    /// Publish a report.
    Publish(Vec<u8>),
    /// Answer a question.
    Answer {
        /// Where the answer is awaited.
        reply_to: String,
        /// The answer.
        octets: Vec<u8>,
    },
    /// Ask another server.
    Ask {
        /// Its name.
        server: String,
        /// The question.
        octets: Vec<u8>,
        /// Receives the answer.
        reply: oneshot::Sender<Result<Vec<u8>, AskFault>>,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskFault {
    /// The engine cannot be reached, or refuses; a clause.
    Unlinked(String),
    /// No server of this name listens.
    Nobody,
    /// It does not answer in time.
    Silent,
}

/// Carries reports and questions.
#[derive(Debug)]
pub enum StatusCarrier {
    /// There are no other servers.
    Local,
    /// A NATS server, or several of them.
    Nats(StatusLink),
}

/// The two ends of an adapter's task.
#[derive(Debug)]
pub struct StatusLink {
    news: mpsc::Receiver<StatusNews>,
    commands: mpsc::Sender<StatusCommand>,
}

impl StatusCarrier {
    /// Connects to NATS, in a task that runs until the carrier is dropped. Must be called inside a
    /// tokio runtime.
    pub fn nats(settings: NatsSettings) -> StatusCarrier {
        let (send, news) = mpsc::channel(MOST_WAITING);
        let (commands, received) = mpsc::channel(MOST_WAITING);
        tokio::spawn(nats_status::carry(settings, send, received));
        StatusCarrier::Nats(StatusLink { news, commands })
    }

    /// Waits for news.
    pub async fn next(&mut self) -> StatusNews {
        if let StatusCarrier::Nats(link) = self
            && let Some(news) = link.news.recv().await
        {
            return news;
        }
        std::future::pending().await
    }

    /// News that has arrived already.
    pub fn try_next(&mut self) -> Option<StatusNews> {
        match self {
            StatusCarrier::Local => None,
            StatusCarrier::Nats(link) => link.news.try_recv().ok(),
        }
    }

    /// What hands commands to the adapter.
    pub fn commander(&self) -> StatusCommander {
        match self {
            StatusCarrier::Local => StatusCommander(None),
            StatusCarrier::Nats(link) => StatusCommander(Some(link.commands.clone())),
        }
    }
}

/// Hands commands to an adapter.
#[derive(Debug, Clone)]
pub struct StatusCommander(Option<mpsc::Sender<StatusCommand>>);

impl StatusCommander {
    /// Hands a command over, if the adapter takes any.
    pub fn command(&self, command: StatusCommand) {
        if let Some(commands) = &self.0 {
            let _ = commands.try_send(command);
        }
    }

    /// Asks another server and waits for its answer, [`ASK_TIME`] at most.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn ask(&self, server: &str, question: Vec<u8>) -> Result<Vec<u8>, AskFault> {
        let (reply, answer) = oneshot::channel();
        self.command(StatusCommand::Ask {
            server: server.to_owned(),
            octets: question,
            reply,
        });
        let not_taken = AskFault::Unlinked("no NATS server is connected".to_owned());
        answer.await.unwrap_or(Err(not_taken))
    }
}
