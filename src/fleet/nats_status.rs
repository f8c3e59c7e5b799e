//! Reports and questions over NATS, on core NATS, without JetStream.
//!
//! A server publishes on `meridian.FLEET.reports.SERVER`, listens to `meridian.FLEET.reports.*`, and
//! answers what arrives on `meridian.FLEET.explain.SERVER`. The permissions of the NATS servers say
//! who may publish where. An answer goes only to the inbox of a server of Meridian, so nobody can have
//! this server write into a subject that they may not write to themselves.

use std::sync::Arc;

use async_nats::client::RequestErrorKind;
use async_nats::connection::State;
use async_nats::{Client, Event, Message, Request, ServerAddr, Subscriber};
use futures_util::StreamExt;
use tokio::sync::{Semaphore, mpsc};

use super::nats::NatsSettings;
use super::status_carrier::{
    ASK_TIME, AskFault, LONGEST_ANSWER, LONGEST_QUESTION, StatusCommand, StatusNews,
};

/// Most questions that this server waits for at once.
const AT_ONCE: usize = 16;
/// What the inboxes of all servers begin with.
const INBOXES: &str = "_INBOX.meridian.";

/// The subjects of a server.
struct StatusSubjects {
    /// Reports, before the server.
    reports: String,
    /// Questions, before the server.
    questions: String,
    server: String,
}

impl StatusSubjects {
    fn of(settings: &NatsSettings) -> StatusSubjects {
        let fleet = &settings.fleet;
        StatusSubjects {
            reports: format!("meridian.{fleet}.reports."),
            questions: format!("meridian.{fleet}.explain."),
            server: settings.voter.clone(),
        }
    }
}

/// Carries news and commands between the engine and the channels, until the channels are dropped.
pub(super) async fn carry(
    settings: NatsSettings,
    news: mpsc::Sender<StatusNews>,
    mut commands: mpsc::Receiver<StatusCommand>,
) {
    let Some(client) = connect(&settings, &news).await else {
        return;
    };
    let subjects = StatusSubjects::of(&settings);
    let all = format!("{}*", subjects.reports);
    let own = format!("{}{}", subjects.questions, subjects.server);
    let (Some(mut reports), Some(mut questions)) = (
        listen(&client, all, &news).await,
        listen(&client, own, &news).await,
    ) else {
        return;
    };
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        tokio::select! {
            message = reports.next() => {
                let Some(message) = message else { return };
                hand_on(&news, &subjects.reports, message);
            }
            message = questions.next() => {
                let Some(message) = message else { return };
                hand_question_on(&news, message);
            }
            command = commands.recv() => {
                let Some(command) = command else { return };
                obey(&client, &subjects, &places, command).await;
            }
        }
    }
}

/// The client, which connects in the background. Only addresses that cannot be used at all end this.
async fn connect(settings: &NatsSettings, news: &mpsc::Sender<StatusNews>) -> Option<Client> {
    let mut servers: Vec<ServerAddr> = Vec::with_capacity(settings.servers.len());
    for url in &settings.servers {
        // The adapter of votes has told what is wrong with an address.
        servers.extend(url.parse().ok());
    }
    let tell = news.clone();
    let options = settings
        .connection(&format!("meridian {} status", settings.voter))
        .custom_inbox_prefix(format!("{INBOXES}{}", settings.voter))
        .no_echo()
        .event_callback(move |event| {
            let told = match event {
                Event::Connected => Some(StatusNews::Linked),
                Event::Disconnected | Event::Closed => Some(StatusNews::Unlinked),
                Event::ServerError(error) => Some(StatusNews::Refused(error.to_string())),
                _ => None,
            };
            if let Some(told) = told {
                let _ = tell.try_send(told);
            }
            std::future::ready(())
        });
    match options.connect(servers).await {
        Ok(client) => Some(client),
        Err(error) => {
            let _ = news.try_send(StatusNews::Refused(error.to_string()));
            None
        }
    }
}

async fn listen(
    client: &Client,
    subject: String,
    news: &mpsc::Sender<StatusNews>,
) -> Option<Subscriber> {
    match client.subscribe(subject).await {
        Ok(subscriber) => Some(subscriber),
        Err(error) => {
            let _ = news.try_send(StatusNews::Refused(error.to_string()));
            None
        }
    }
}

/// Hands a report on. If too many wait already, it is lost.
fn hand_on(news: &mpsc::Sender<StatusNews>, prefix: &str, message: Message) {
    if let Some(server) = message.subject.strip_prefix(prefix) {
        let server = server.to_owned();
        let octets = message.payload.into();
        let _ = news.try_send(StatusNews::Report { server, octets });
    }
}

/// Hands a question on, if it can be answered.
fn hand_question_on(news: &mpsc::Sender<StatusNews>, message: Message) {
    if let Some(reply_to) = message.reply
        && reply_to.starts_with(INBOXES)
        && message.payload.len() <= LONGEST_QUESTION
    {
        let _ = news.try_send(StatusNews::Question {
            octets: message.payload.into(),
            reply_to: reply_to.to_string(),
        });
    }
}

async fn obey(
    client: &Client,
    subjects: &StatusSubjects,
    places: &Arc<Semaphore>,
    command: StatusCommand,
) {
    let is_linked = client.connection_state() == State::Connected;
    match command {
        // What waited until the link is back would only be old.
        StatusCommand::Publish(octets) if is_linked => {
            let subject = format!("{}{}", subjects.reports, subjects.server);
            let _ = tokio::time::timeout(ASK_TIME, client.publish(subject, octets.into())).await;
        }
        StatusCommand::Answer { reply_to, octets } if is_linked => {
            let _ = tokio::time::timeout(ASK_TIME, client.publish(reply_to, octets.into())).await;
        }
        StatusCommand::Publish(_) | StatusCommand::Answer { .. } => {}
        StatusCommand::Ask {
            server,
            octets,
            reply,
        } => {
            let Ok(place) = places.clone().try_acquire_owned() else {
                let clause = "too many questions are under way".to_owned();
                let _ = reply.send(Err(AskFault::Unlinked(clause)));
                return;
            };
            let (client, subject) = (client.clone(), format!("{}{server}", subjects.questions));
            tokio::spawn(async move {
                let answer = ask(&client, subject, octets).await;
                let _ = reply.send(answer);
                drop(place);
            });
        }
    }
}

async fn ask(client: &Client, subject: String, octets: Vec<u8>) -> Result<Vec<u8>, AskFault> {
    if client.connection_state() != State::Connected {
        let clause = "no NATS server can be reached".to_owned();
        return Err(AskFault::Unlinked(clause));
    }
    let request = Request::new()
        .payload(octets.into())
        .timeout(Some(ASK_TIME));
    match client.send_request(subject, request).await {
        Ok(answer) if answer.payload.len() <= LONGEST_ANSWER => Ok(answer.payload.into()),
        Ok(_) => Err(AskFault::Unlinked("the answer is too long".to_owned())),
        Err(error) => Err(match error.kind() {
            RequestErrorKind::NoResponders => AskFault::Nobody,
            RequestErrorKind::TimedOut => AskFault::Silent,
            _ => AskFault::Unlinked(error.to_string()),
        }),
    }
}
