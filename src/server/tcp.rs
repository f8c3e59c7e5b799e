//! DNS over TCP (RFC 7766): many queries on one connection, answered in order, within limits.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Published, Tally, TcpLimits};
use crate::answer::{Transport, answer};
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

/// Counts connections against the limits.
pub struct Gate {
    limits: TcpLimits,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Gate {
    /// No connection yet.
    pub fn new(limits: TcpLimits) -> Gate {
        Gate { limits, open: Mutex::new(HashMap::new()) }
    }

    /// A place for one more connection, if the limits leave one.
    fn enter(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&client).copied().unwrap_or(0);
        if own >= self.limits.connections_per_client || open.values().sum::<usize>() >= self.limits.connections {
            return None;
        }
        open.insert(client, own + 1);
        Some(Place { gate: self.clone(), client })
    }
}

/// One connection's place; it is free again when this is dropped.
struct Place {
    gate: Arc<Gate>,
    client: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.gate.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.client);
            }
        }
    }
}

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
                Err(_) => tokio::time::sleep(RECOVER).await,
            }
        }
    }

    fn welcome(&self, stream: TcpStream, client: SocketAddr) {
        let Some(place) = self.gate.enter(client.ip()) else { return };
        let connection = Connection {
            stream,
            client: client.ip(),
            published: self.published.clone(),
            tally: self.tally.clone(),
            idle: self.gate.limits.idle,
            draw: RandomState::new().hash_one(client),
        };
        tokio::spawn(async move {
            // Whatever ends a connection early is the client's affair, and no news at any hour.
            let _ = connection.serve().await;
            drop(place);
        });
    }
}

/// One connection.
struct Connection {
    stream: TcpStream,
    client: IpAddr,
    published: Arc<Published>,
    tally: Arc<Tally>,
    idle: Duration,
    draw: u64,
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
        let answered = answer(message, self.client, Transport::Stream, &moment, &mut Scratch::default(), reply);
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
