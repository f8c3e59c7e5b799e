//! A stream that limits how much a probe reads.
//!
//! The HTTP library accepts any number of interim answers (`100 Continue`), pings and chunks. A
//! hostile or broken endpoint could keep a core busy with them until the timeout. [`BoundedStream`]
//! has one limit for everything before the final answer's head and another for the whole exchange.
//! The probe fails when the endpoint exceeds either.
//!
//! A TLS connection that ends without `close_notify` ends like any other. The length or the chunks
//! of an answer show whether it is complete.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most octets before the body of the final answer, including all interim answers.
const BEFORE_HEAD: usize = 128 * 1024;
/// The most octets in total. A body of [`super::expect::BODY_LIMIT`] in chunks of one octet takes
/// 384 KiB.
const IN_ALL: usize = 1024 * 1024;

/// A stream with a limit on what is read from it.
pub struct BoundedStream<S> {
    stream: S,
    read: usize,
    allowance: ReadAllowance,
}

/// How much may be read from a [`BoundedStream`].
#[derive(Debug, Clone)]
pub struct ReadAllowance(Arc<AtomicUsize>);

impl ReadAllowance {
    /// Raises the limit for the body, after the head of the final answer.
    pub fn extend(&self) {
        self.0.store(IN_ALL, Ordering::Relaxed);
    }
}

impl<S> BoundedStream<S> {
    /// Limits a stream. The allowance covers only the head at first.
    pub fn new(stream: S) -> (BoundedStream<S>, ReadAllowance) {
        let allowance = ReadAllowance(Arc::new(AtomicUsize::new(BEFORE_HEAD)));
        let bounded = BoundedStream {
            stream,
            read: 0,
            allowance: allowance.clone(),
        };
        (bounded, allowance)
    }

    fn check_limit(&self) -> io::Result<()> {
        let allowed = self.allowance.0.load(Ordering::Relaxed);
        if self.read < allowed {
            return Ok(());
        }
        let what = if allowed == BEFORE_HEAD {
            " before its answer"
        } else {
            ""
        };
        Err(io::Error::other(format!(
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
        if let Err(error) = self.check_limit() {
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
