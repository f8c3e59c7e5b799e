//! A UDP worker: one thread, one socket, whole batches.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::batch::Batch;
use super::{Published, Tally};
use crate::answer::{Snapshot, Transport, answer};
use crate::dns::Scratch;

/// One thread's share of the queries to one address.
pub struct Worker {
    socket: UdpSocket,
    published: Arc<Published>,
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
}

impl Worker {
    /// A worker that is not running yet.
    pub fn new(socket: UdpSocket, published: Arc<Published>, stop: Arc<AtomicBool>, tally: Arc<Tally>) -> Worker {
        Worker { socket, published, stop, tally }
    }

    /// Starts the thread. It ends when `stop` is set.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn spawn(self) -> io::Result<JoinHandle<()>> {
        let wildcard = self.socket.local_addr()?.ip().is_unspecified();
        std::thread::Builder::new().name("dns-udp".to_owned()).spawn(move || {
            // Nothing a client sends may panic. Should it happen all the same, one batch is lost, not a worker.
            while catch_unwind(AssertUnwindSafe(|| self.run(Batch::new(wildcard)))).is_err() {
                tracing::error!("a worker stumbled over a query; it lost a batch and goes on");
            }
        })
    }

    fn run(&self, mut batch: Batch) {
        let mut seed = RandomState::new().hash_one(0);
        // A cache of the pointer: as long as nothing was published, a batch costs one atomic load.
        let mut published = arc_swap::Cache::new(&*self.published);
        let mut scratch = Scratch::default();
        while !self.stop.load(Ordering::Relaxed) {
            match batch.receive(&self.socket) {
                Ok(count) => seed = self.answer_batch(published.load(), &mut batch, count, seed, &mut scratch),
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "a UDP socket does not receive any more");
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
            }
        }
    }

    /// Answers all of a batch from one snapshot; returns the last seed.
    #[inline]
    fn answer_batch(
        &self,
        snapshot: &Snapshot,
        batch: &mut Batch,
        count: usize,
        mut seed: u64,
        scratch: &mut Scratch,
    ) -> u64 {
        for at in 0..count {
            seed = seed.wrapping_add(1);
            let Some(datagram) = batch.datagram(at) else { continue };
            let moment = snapshot.moment(seed);
            let answered = answer(datagram.octets, datagram.source, Transport::Udp, &moment, scratch, datagram.reply);
            self.tally.count(answered.verdict);
            if answered.length > 0 {
                batch.reply(at, answered.length);
            }
        }
        batch.send(&self.socket);
        seed
    }
}

/// Nothing came in time, a signal came, or the kernel reports an earlier reply's failure.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable, TimedOut, WouldBlock};
    matches!(
        error.kind(),
        WouldBlock | Interrupted | TimedOut | ConnectionRefused | HostUnreachable | NetworkUnreachable
    )
}
