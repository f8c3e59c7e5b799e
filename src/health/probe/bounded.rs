//! A connection that is read no further than it may be.
//!
//! The HTTP library waits through as many interim answers (`100 Continue`), pings and chunks as an endpoint cares to send.
//! What comes before the head of the final answer has one bound, what comes in all has another; whoever sends more has
//! failed. A TLS connection that ends without a goodbye ends like any other: whether an answer is whole is known by
//! its length or its chunks, and one that has neither is as long as it is.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most octets up to the end of the final answer's head, all interim answers included.
const BEFORE_HEAD: usize = 128 * 1024;
/// The most octets in all: a body of [`super::expect::BODY_LIMIT`] in chunks of one octet each takes 384 KiB.
const IN_ALL: usize = 1024 * 1024;

/// A stream with a bound to what is read from it.
pub struct BoundedStream<S> {
    stream: S,
    read: usize,
    allowance: ReadAllowance,
}

/// How much may be read of a [`BoundedStream`] stream.
#[derive(Debug, Clone)]
pub struct ReadAllowance(Arc<AtomicUsize>);

impl ReadAllowance {
    /// The head of the final answer is here: the body may follow.
    pub fn extend(&self) {
        self.0.store(IN_ALL, Ordering::Relaxed);
    }
}

impl<S> BoundedStream<S> {
    /// Bounds a stream; the allowance is for the head at first.
    pub fn new(stream: S) -> (BoundedStream<S>, ReadAllowance) {
        let allowance = ReadAllowance(Arc::new(AtomicUsize::new(BEFORE_HEAD)));
        (
            BoundedStream {
                stream,
                read: 0,
                allowance: allowance.clone(),
            },
            allowance,
        )
    }

    fn too_much(&self) -> Option<io::Error> {
        let allowed = self.allowance.0.load(Ordering::Relaxed);
        if self.read < allowed {
            return None;
        }
        let what = if allowed == BEFORE_HEAD {
            " and no answer in them"
        } else {
            ""
        };
        Some(io::Error::other(format!(
            "it sent more than {} KiB{what}",
            allowed >> 10
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.too_much() {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        match ready!(Pin::new(&mut self.stream).poll_read(context, buffer)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) => {
                self.read += buffer.filled().len() - before;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoundedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
