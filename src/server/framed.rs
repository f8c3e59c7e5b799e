//! Messages on a stream, each after a length of two octets (RFC 7766 section 8).
//!
//! [`FramedConnection`] reads queries from a stream and answers them in order, as TCP and TLS need
//! it (RFC 7858 section 3.3). Replies are written together when no whole query is left in the
//! buffer. A client that sends no query within the idle timeout is disconnected. QUIC shares the
//! framing of a single message, [`answer_framed`].

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::connections::ConnectionPermit;
use super::conversation::{Conversation, QUERY};

/// Octets of replies that are collected before they are written.
const FLUSH: usize = 16 << 10;

/// A connection over TCP or TLS, and its limits.
pub struct FramedConnection {
    /// The exchange with the client.
    pub conversation: Conversation,
    /// How long it may be idle, or take to transfer one message.
    pub idle: Duration,
    /// Counts the connection against the limits until it is dropped.
    pub permit: ConnectionPermit,
}

impl FramedConnection {
    /// Answers until the client closes the connection or the idle timeout passes.
    pub async fn serve(
        mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut input = Vec::with_capacity(QUERY);
        let mut output = Vec::new();
        // Only a whole query extends the deadline, so a client that sends octet by octet cannot
        // hold the connection.
        let mut deadline = Instant::now() + self.idle;
        loop {
            let used = self.answer_whole(&input, &mut output)?;
            input.drain(..used);
            if !output.is_empty() {
                self.permit.touch();
                timeout(self.idle, send(stream, &output)).await??;
                output.clear();
                deadline = Instant::now() + self.idle;
                continue;
            }
            input.reserve(QUERY);
            if timeout_at(deadline, stream.read_buf(&mut input)).await?? == 0 {
                return Ok(());
            }
        }
    }

    /// Answers the whole queries in `input` until enough waits in `output`; returns how much of
    /// `input` is used up.
    fn answer_whole(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<usize> {
        let mut used = 0;
        while output.len() < FLUSH {
            let Some((&length, rest)) = input[used..].split_first_chunk::<2>() else {
                break;
            };
            let length = usize::from(u16::from_be_bytes(length));
            if length > QUERY {
                self.conversation.count_dropped();
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some(message) = rest.get(..length) else {
                break;
            };
            // A message that is not a query ends the connection.
            answer_framed(&mut self.conversation, message, output)
                .ok_or(io::ErrorKind::InvalidData)?;
            used += 2 + length;
        }
        Ok(used)
    }
}

/// Appends the reply to one query, with its length in front; `None`: there is no reply.
pub fn answer_framed(
    conversation: &mut Conversation,
    message: &[u8],
    output: &mut Vec<u8>,
) -> Option<()> {
    let start = output.len();
    output.extend([0; 2]);
    conversation.answer(message, output).ok()?;
    let length = (output.len() - start - 2) as u16;
    output[start..start + 2].copy_from_slice(&length.to_be_bytes());
    Some(())
}

/// Writes and flushes, because TLS buffers what it has encrypted.
async fn send(stream: &mut (impl AsyncWrite + Unpin), octets: &[u8]) -> io::Result<()> {
    stream.write_all(octets).await?;
    stream.flush().await
}
