//! Messages on a stream, each with its length in front (RFC 7766 section 8): many queries, answered in order. TCP and
//! TLS are the same here (RFC 7858 section 3.3).

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::connections::ConnectionPermit;
use super::conversation::{Conversation, QUERY};

/// Replies are written when this much waits, or no whole query is left.
const FLUSH: usize = 16 << 10;

/// One connection.
pub struct FramedConnection {
    /// With whom.
    pub conversation: Conversation,
    /// How long it may be idle, or take over one message.
    pub idle: Duration,
    /// Free again when this is dropped.
    pub permit: ConnectionPermit,
}

impl FramedConnection {
    /// Answers until the client has no more to ask, or takes too long.
    pub async fn serve(
        mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut input = Vec::with_capacity(QUERY);
        let mut output = Vec::new();
        // Octets that drip in do not move it, only a query does: a connection is kept for those who ask.
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

    /// Answers the whole queries in `input` until enough waits in `output`; returns how much of `input` is used up.
    fn answer_whole(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<usize> {
        let mut used = 0;
        while output.len() < FLUSH {
            let Some((&length, rest)) = input
                .get(used..)
                .and_then(|rest| rest.split_first_chunk::<2>())
            else {
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
            // A message that may not be answered is no query; nothing good follows it on a stream.
            answer_framed(&mut self.conversation, message, output)
                .ok_or(io::ErrorKind::InvalidData)?;
            used += 2 + length;
        }
        Ok(used)
    }
}

/// Appends the reply to one query, its length in front.
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

/// TLS keeps what it has encrypted until it is told to let go.
async fn send(stream: &mut (impl AsyncWrite + Unpin), octets: &[u8]) -> io::Result<()> {
    stream.write_all(octets).await?;
    stream.flush().await
}
