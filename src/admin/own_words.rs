//! Refusals of the HTTP server itself, in the form of the API.
//!
//! hyper answers a head that it cannot read (400, 414, 431) by itself, without a body, before any call of ours begins. The
//! connection recognises such an answer by that no call of ours has been begun for it, holds it back, and leaves its
//! status to be told by `refusal`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::ErrorBody;

/// A connection that holds back what hyper refuses by itself.
pub struct OwnWords<S> {
    stream: S,
    /// Calls that were begun on this connection.
    calls: Arc<AtomicU64>,
    /// Answers of ours that were begun.
    answers: u64,
    /// What was held back; nothing follows it.
    refused: Option<u16>,
}

impl<S> OwnWords<S> {
    /// `calls` is to be raised whenever a call begins.
    pub fn new(stream: S, calls: Arc<AtomicU64>) -> OwnWords<S> {
        OwnWords {
            stream,
            calls,
            answers: 0,
            refused: None,
        }
    }

    /// The stream, and the status of what was held back.
    pub fn into_parts(self) -> (S, Option<u16>) {
        (self.stream, self.refused)
    }

    /// Whether these octets, about to be written, are held back.
    fn is_held_back(&mut self, octets: &[u8]) -> bool {
        if self.refused.is_none()
            && octets.starts_with(b"HTTP/1.")
            && !octets.starts_with(b"HTTP/1.1 1")
        {
            if self.answers < self.calls.load(Ordering::Relaxed) {
                self.answers += 1;
            } else {
                let status = octets
                    .get(9..12)
                    .and_then(|status| str::from_utf8(status).ok()?.parse().ok());
                self.refused = Some(status.unwrap_or(400));
            }
        }
        self.refused.is_some()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for OwnWords<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for OwnWords<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_held_back(octets) {
            return Poll::Ready(Ok(octets.len()));
        }
        Pin::new(&mut self.stream).poll_write(task, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_held_back(parts.first().map_or(&[], |part| part)) {
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

/// A whole answer with this status, after which the connection is closed.
pub fn refusal(status: u16) -> String {
    let (reason, error) = match status {
        408 => (
            "Request Timeout",
            "the head of the request did not come in time",
        ),
        414 => ("URI Too Long", "the address of the request is too long"),
        431 => (
            "Request Header Fields Too Large",
            "the head of the request is too long, or has too many fields",
        ),
        _ => ("Bad Request", "the request is not of the form of HTTP/1.1"),
    };
    whole(status, reason, error)
}

/// The answer to a request in clear where TLS is spoken.
pub fn in_clear() -> String {
    whole(
        400,
        "Bad Request",
        "this server speaks HTTPS: ask by https://, not by http://",
    )
}

fn whole(status: u16, reason: &str, error: &str) -> String {
    let body = serde_json::to_string(&ErrorBody {
        error: error.to_owned(),
        confirm: None,
    })
    .unwrap_or_default();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n\
         {body}",
        body.len()
    )
}
