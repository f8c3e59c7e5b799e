//! DNS over TCP (RFC 7766): many queries on one connection, answered in order, within limits.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::seats::{Gate, Seat};
use super::{Event, Published, Tally};
use crate::answer::policy::Admission;
use crate::answer::{Answered, Transport, Verdict, answer, prohibit};
use crate::dns::Scratch;
use crate::steering::pick::next_draw;

/// Longest query that is read; a longer one ends the connection.
const QUERY: usize = 4096;
/// Longest message on a stream, with its length in front.
const FRAME: usize = 2 + u16::MAX as usize;
/// Replies are written when this much waits, or no whole query is left.
const FLUSH: usize = 16 << 10;
/// Pause after the system refuses a connection for want of descriptors, so that the loop does not spin.
const RECOVER: Duration = Duration::from_millis(100);

/// Accepts connections on one address.
pub struct Listener {
    listener: TcpListener,
    published: Arc<Published>,
    gate: Arc<Gate>,
    tally: Arc<Tally>,
}

impl Listener {
    /// Takes over a non-blocking listener. Needs a tokio runtime.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub fn new(
        listener: std::net::TcpListener,
        published: Arc<Published>,
        gate: Arc<Gate>,
        tally: Arc<Tally>,
    ) -> io::Result<Listener> {
        Ok(Listener { listener: TcpListener::from_std(listener)?, published, gate, tally })
    }

    /// Accepts until the task is aborted.
    pub async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, client)) => self.welcome(stream, client),
                // The client was gone again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if is_out_of_descriptors(&error) && self.gate.evict() {
                        self.tally.note(Event::Evicted);
                    }
                    tokio::time::sleep(RECOVER).await;
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, client: SocketAddr) {
        let Some(entry) = self.gate.enter(client.ip()) else { return self.tally.note(Event::TurnedAway) };
        if entry.evicted {
            self.tally.note(Event::Evicted);
        }
        let number = entry.seat.number;
        let connection = Connection {
            stream,
            client: client.ip(),
            published: self.published.clone(),
            tally: self.tally.clone(),
            idle: self.gate.idle(),
            draw: RandomState::new().hash_one(client),
            seat: entry.seat,
        };
        let task = tokio::spawn(async move {
            // Whatever ends a connection early is the client's affair, and no news at any hour.
            let _ = connection.serve().await;
        });
        self.gate.watch(number, task.abort_handle());
    }
}

/// No descriptor or memory is left, for this process or for all.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS))
}

/// One connection.
struct Connection {
    stream: TcpStream,
    client: IpAddr,
    published: Arc<Published>,
    tally: Arc<Tally>,
    idle: Duration,
    draw: u64,
    /// Free again when this is dropped.
    seat: Seat,
}

impl Connection {
    async fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut input = Vec::with_capacity(QUERY);
        let mut output = Vec::new();
        // Octets that drip in do not move it, only a query does: a connection is kept for those who ask.
        let mut deadline = Instant::now() + self.idle;
        loop {
            let used = self.answer_whole(&input, &mut output)?;
            input.drain(..used);
            if !output.is_empty() {
                timeout(self.idle, self.stream.write_all(&output)).await??;
                output.clear();
                self.seat.touch();
                deadline = Instant::now() + self.idle;
                continue;
            }
            input.reserve(QUERY);
            if timeout_at(deadline, self.stream.read_buf(&mut input)).await?? == 0 {
                return Ok(());
            }
        }
    }

    /// Answers the whole queries in `input` until enough waits in `output`; returns how much of `input` is used up.
    fn answer_whole(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<usize> {
        let mut used = 0;
        while output.len() < FLUSH {
            let Some((&length, rest)) = input.get(used..).and_then(|rest| rest.split_first_chunk::<2>()) else { break };
            let length = usize::from(u16::from_be_bytes(length));
            if length > QUERY {
                self.tally.count_shared(Verdict::Dropped);
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some(message) = rest.get(..length) else { break };
            self.answer_one(message, output)?;
            used += 2 + length;
        }
        Ok(used)
    }

    /// Appends the reply to one query, its length in front.
    fn answer_one(&mut self, message: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        self.draw = next_draw(self.draw);
        let snapshot = self.published.load();
        let start = output.len();
        output.resize(start + FRAME, 0);
        let (moment, reply) = (snapshot.moment(self.draw), &mut output[start + 2..]);
        let (client, scratch) = (self.client, &mut Scratch::default());
        let answered = match snapshot.policy.access.admit(client) {
            Admission::Serve => answer(message, client, Transport::Stream, &moment, scratch, reply),
            Admission::Refuse => {
                self.tally.note(Event::Denied);
                prohibit(message, client, Transport::Stream, &moment, scratch, reply)
            }
            Admission::Ignore => {
                self.tally.note(Event::Ignored);
                Answered::NOTHING
            }
        };
        self.tally.count_shared(answered.verdict);
        if answered.length == 0 {
            // A message that may not be answered is no query; nothing good follows it on a stream.
            output.truncate(start);
            return Err(io::ErrorKind::InvalidData.into());
        }
        output[start..start + 2].copy_from_slice(&(answered.length as u16).to_be_bytes());
        output.truncate(start + 2 + answered.length);
        Ok(())
    }
}
