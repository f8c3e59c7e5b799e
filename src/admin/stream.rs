//! `GET /v1/events`: events as they happen, as server-sent events (WHATWG HTML section 9.2).
//!
//! Each stream has a task that sends it kept events first and then new ones. A client that does not
//! keep up is cut off. The number of streams is limited in all and for each address.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};

use super::context::AdminContext;
use super::error::ApiError;
use super::forms::{MOST_WHOLE, ParameterForm, read_whole};
use super::listener::AdminPeer;
use super::per_address::{AddressShare, PerAddress};
use super::query::{QueryPairs, QueryParameter};
use crate::control::events::Event;

/// Most event streams at a time. This is well below the most connections, so that other calls get
/// through.
const MOST: usize = 16;
/// Most event streams of one address.
const MOST_EACH: usize = 8;
/// How often a comment is sent when nothing happens, so that middleboxes keep the connection.
const QUIET: Duration = Duration::from_secs(15);
/// Events on their way to one client.
const AHEAD: usize = 16;
/// How long a client may accept nothing before its stream ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// The parameters of the query.
pub const PARAMETERS: &[QueryParameter] = &[QueryParameter {
    name: "after",
    needed: false,
    many: false,
    form: ParameterForm::Whole {
        least: 0,
        most: MOST_WHOLE,
    },
    about: "Start with the kept events after this number; the header Last-Event-ID takes precedence",
}];

/// The limits on streams.
#[derive(Clone)]
pub struct StreamSlots {
    all: Arc<Semaphore>,
    shares: Arc<PerAddress>,
}

impl Default for StreamSlots {
    fn default() -> StreamSlots {
        StreamSlots {
            all: Arc::new(Semaphore::new(MOST)),
            shares: PerAddress::new(MOST_EACH),
        }
    }
}

/// Streams events. With `Last-Event-ID` or `after`, those after that number that are still kept
/// come first.
pub async fn events(
    State(context): State<Arc<AdminContext>>,
    Extension(places): Extension<StreamSlots>,
    Extension(peer): Extension<AdminPeer>,
    head: HeaderMap,
    pairs: QueryPairs,
) -> Result<Response, ApiError> {
    pairs.check(PARAMETERS).map_err(ApiError::bad_request)?;
    let after = read_after(&pairs)?;
    let part = places
        .shares
        .take(peer.address)
        .ok_or_else(|| full(MOST_EACH, "from this address "))?;
    let place = places.all.try_acquire_owned().map_err(|_| full(MOST, ""))?;
    let events = context.control.events();
    let last = head
        .get("last-event-id")
        .and_then(|last| last.to_str().ok()?.trim().parse().ok());
    let (past, fresh) = events.watch(last.or(after).unwrap_or_else(|| events.count()));
    let (send, receive) = mpsc::channel(AHEAD);
    tokio::spawn(feed(past, fresh, send));
    let kind = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((
        kind,
        Body::new(Stream {
            receive,
            _place: (place, part),
        }),
    )
        .into_response())
}

fn full(most: usize, whose: &str) -> ApiError {
    let sentence = format!("{most} event streams are open {whose}already; close one of them");
    ApiError::unavailable(sentence)
}

/// The number after which events are wanted.
fn read_after(pairs: &QueryPairs) -> Result<Option<u64>, ApiError> {
    let Some(text) = pairs.first("after") else {
        return Ok(None);
    };
    match read_whole(text, 0, MOST_WHOLE) {
        Some(number) => Ok(Some(number)),
        None => Err(ApiError::bad_request("after is not the number of an event")),
    }
}

/// Sends events until the client leaves or is too slow.
async fn feed(
    past: Vec<Arc<Event>>,
    mut fresh: broadcast::Receiver<Arc<Event>>,
    send: mpsc::Sender<Bytes>,
) {
    let greeting = ": these are the events of meridian\n\n".to_owned();
    if !pass(&send, greeting).await {
        return;
    }
    for event in past {
        if !pass(&send, text_of(&event)).await {
            return;
        }
    }
    loop {
        let text = match tokio::time::timeout(QUIET, fresh.recv()).await {
            Ok(Ok(event)) => text_of(&event),
            Ok(Err(_)) => return,
            Err(_) => ": nothing new\n\n".to_owned(),
        };
        if !pass(&send, text).await {
            return;
        }
    }
}

/// Whether the client takes the text in time.
async fn pass(send: &mpsc::Sender<Bytes>, text: String) -> bool {
    send.send_timeout(text.into(), PATIENCE).await.is_ok()
}

/// `id`, `event` and `data`; JSON has no line ends of its own.
fn text_of(event: &Event) -> String {
    let data = serde_json::to_string(event).unwrap_or_default();
    format!(
        "id: {}\nevent: {}\ndata: {data}\n\n",
        event.number,
        event.news.topic.word()
    )
}

/// The body of the response. It releases its place when the connection ends.
struct Stream {
    receive: mpsc::Receiver<Bytes>,
    _place: (OwnedSemaphorePermit, AddressShare),
}

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.receive
            .poll_recv(task)
            .map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}
