//! A client that asks the service address all the time, and notes who answers.
//!
//! It is a thread in the client's network namespace, which asks every [`PACE`] and waits as long for
//! the answer. So the time without answers is known to a few hundredths of a second.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::lab::{PATIENCE, SERVICE};
use crate::harness::netns::enter;

const PACE: Duration = Duration::from_millis(20);

/// `who.example.com` TXT, without its id.
const QUERY: &[u8] = b"\0\0\x00\x01\0\0\0\0\0\0\x03who\x07example\x03com\0\x00\x10\x00\x01";

/// What the client has seen.
#[derive(Default)]
struct Seen {
    /// The last answer, and since when it is this server that answers.
    last: Option<(String, Instant)>,
    /// When anybody answered last.
    answered: Option<Instant>,
    /// The longest time between two answers.
    gap: Duration,
}

/// The client, while it asks.
pub struct Client {
    seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    pub fn start(namespace: &str) -> Client {
        let (seen, is_over) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (namespace, noted, ends) = (namespace.to_owned(), seen.clone(), is_over.clone());
        let thread = thread::spawn(move || {
            enter(&namespace);
            let mut id = 0_u16;
            while !ends.load(Ordering::SeqCst) {
                id = id.wrapping_add(1);
                if let Some(who) = ask(id) {
                    note(&mut noted.lock().expect("nobody panics with it"), who);
                } else {
                    thread::sleep(PACE);
                }
            }
        });
        Client {
            seen,
            is_over,
            thread: Some(thread),
        }
    }

    /// Waits until this server answers; the longest time without answers since the last call.
    #[track_caller]
    pub fn await_server(&self, name: &str) -> Duration {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut seen = self.seen.lock().expect("nobody panics with it");
            let last = seen.last.as_ref().map(|(who, _)| who.as_str());
            if last == Some(name) {
                return std::mem::take(&mut seen.gap);
            }
            let last = last.map(str::to_owned);
            drop(seen);
            assert!(
                Instant::now() < deadline,
                "{last:?} answers, and not {name}"
            );
            thread::sleep(PACE);
        }
    }

    /// For this long, only this server answers.
    #[track_caller]
    pub fn stays(&self, name: &str, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let seen = self.seen.lock().expect("nobody panics with it");
            let last = seen.last.as_ref().map(|(who, _)| who.clone());
            let answered = seen.answered;
            drop(seen);
            assert_eq!(last.as_deref(), Some(name));
            let silence = answered.map(|at| at.elapsed());
            assert!(
                silence < Some(Duration::from_secs(1)),
                "no answers for {silence:?}"
            );
            thread::sleep(PACE);
        }
    }

    /// Waits until nobody has answered for a while.
    #[track_caller]
    pub fn await_silence(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.seen.lock().expect("nobody panics with it");
            let silence = seen.answered.map(|at| at.elapsed());
            drop(seen);
            if silence > Some(Duration::from_secs(1)) {
                return;
            }
            assert!(Instant::now() < deadline, "somebody still answers");
            thread::sleep(PACE);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Asks once; who answers.
fn ask(id: u16) -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect((SERVICE, 53)).ok()?;
    socket.set_read_timeout(Some(PACE * 5)).ok()?;
    let query = [&id.to_be_bytes(), QUERY].concat();
    socket.send(&query).ok()?;
    let mut reply = [0; 512];
    let size = socket.recv(&mut reply).ok()?;
    let reply = reply.get(..size)?;
    let (record, is_ours) = (
        reply.get(query.len()..)?,
        reply.starts_with(&id.to_be_bytes()),
    );
    let length = usize::from(*record.get(12)?);
    let text = record.get(13..13 + length).filter(|_| is_ours)?;
    thread::sleep(PACE);
    Some(String::from_utf8_lossy(text).into_owned())
}

fn note(seen: &mut Seen, who: String) {
    let now = Instant::now();
    if let Some(before) = seen.answered.replace(now) {
        seen.gap = seen.gap.max(now - before);
    }
    if seen.last.as_ref().is_none_or(|(last, _)| *last != who) {
        seen.last = Some((who, now));
    }
}
