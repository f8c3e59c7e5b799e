//! Refusals by the HTTP library, rewritten into the form of the API.
//!
//! hyper itself answers a head that it cannot read (400, 414, 431), without a body and before any
//! handler runs. [`RefusalInterceptor`] sits between hyper and the stream. It counts the calls that
//! have begun and the answers that are written: an answer without a call is hyper's own. It
//! discards that answer and keeps the status, which the listener then sends by [`refusal`] with a
//! JSON body.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::ErrorBody;

/// A stream that discards the answers that hyper makes by itself.
pub struct RefusalInterceptor<S> {
    stream: S,
    /// Calls that have begun on this connection.
    calls: Arc<AtomicU64>,
    /// Answers of handlers that have begun.
    answers: u64,
    /// The status of the discarded answer; nothing is written after it.
    refused: Option<u16>,
}

impl<S> RefusalInterceptor<S> {
    /// The caller increments `calls` whenever a call begins.
    pub fn new(stream: S, calls: Arc<AtomicU64>) -> RefusalInterceptor<S> {
        RefusalInterceptor {
            stream,
            calls,
            answers: 0,
            refused: None,
        }
    }

    /// The stream, and the status of the discarded answer.
    pub fn into_parts(self) -> (S, Option<u16>) {
        (self.stream, self.refused)
    }

    /// Whether these octets, about to be written, are to be discarded.
    fn discards(&mut self, octets: &[u8]) -> bool {
        let is_interim = octets.starts_with(b"HTTP/1.1 1");
        let begins_answer = octets.starts_with(b"HTTP/1.") && !is_interim;
        if begins_answer && self.refused.is_none() {
            if self.answers < self.calls.load(Ordering::Relaxed) {
                self.answers += 1;
            } else {
                self.refused = Some(status_of(octets).unwrap_or(400));
            }
        }
        self.refused.is_some()
    }
}

/// The status in the first line of an answer.
fn status_of(octets: &[u8]) -> Option<u16> {
    let status = octets.get(9..12)?;
    str::from_utf8(status).ok()?.parse().ok()
}

impl<S: AsyncRead + Unpin> AsyncRead for RefusalInterceptor<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RefusalInterceptor<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.discards(octets) {
            return Poll::Ready(Ok(octets.len()));
        }
        Pin::new(&mut self.stream).poll_write(task, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.discards(parts.first().map_or(&[], |part| part)) {
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(task, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

/// A complete answer with this status, which says that the connection closes.
pub fn refusal(status: u16) -> String {
    let (reason, error) = match status {
        408 => (
            "Request Timeout",
            "the head of the request did not arrive in time",
        ),
        414 => ("URI Too Long", "the URL of the request is too long"),
        431 => (
            "Request Header Fields Too Large",
            "the head of the request is too long, or has too many fields",
        ),
        _ => ("Bad Request", "the request is not valid HTTP/1.1"),
    };
    answer(status, reason, error)
}

/// The answer to a plain HTTP request on a TLS address.
pub fn not_encrypted() -> String {
    answer(
        400,
        "Bad Request",
        "this server speaks HTTPS: use https:// instead of http://",
    )
}

fn body_of(error: &str) -> String {
    let body = ErrorBody {
        error: error.to_owned(),
        confirm: None,
    };
    serde_json::to_string(&body).unwrap_or_default()
}

fn answer(status: u16, reason: &str, error: &str) -> String {
    let body = body_of(error);
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
