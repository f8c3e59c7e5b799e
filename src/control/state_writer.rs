//! The state writer: one thread that writes the files of the state directory.
//!
//! Other threads hand it a file by name, with a function that writes it, and get a [`WriteTicket`]
//! that they can wait for. A disk that hangs therefore blocks neither the controller nor the admin
//! server. A file that cannot be written is tried again every second until it succeeds or a newer
//! version of the same file arrives. The log gets one line when a file starts to fail, and one when
//! it can be written again.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// How long a write that failed waits for the next attempt.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Writes one file as a whole, or returns the error. It is called until it succeeds.
pub type FileWrite = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The queue of files to write, and the thread that writes them. The thread ends when this is
/// dropped, after the write in progress.
pub struct StateWriter {
    shared: Arc<WriterShared>,
}

/// Identifies one version of a file that was handed in. Later versions have greater tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteTicket(u64);

/// What the thread and its callers share.
#[derive(Default)]
struct WriterShared {
    queue: Mutex<WriteQueue>,
    /// Wakes the thread, and callers that wait until the queue is empty.
    changed: Condvar,
    /// Counts attempts, for callers that wait for the result of theirs.
    attempts: watch::Sender<u64>,
}

#[derive(Default)]
struct WriteQueue {
    /// The newest version of each file that is not written yet, oldest first.
    waiting: Vec<PendingWrite>,
    /// The newest attempt at each file.
    attempts: Vec<WriteAttempt>,
    last_ticket: u64,
    closed: bool,
}

#[derive(Clone)]
struct PendingWrite {
    name: &'static str,
    ticket: WriteTicket,
    write: FileWrite,
}

struct WriteAttempt {
    name: &'static str,
    ticket: WriteTicket,
    result: Result<(), String>,
}

impl StateWriter {
    /// Starts the thread.
    pub fn start() -> StateWriter {
        let shared = Arc::new(WriterShared::default());
        let of_thread = shared.clone();
        let started = std::thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || of_thread.run());
        if let Err(error) = started {
            tracing::error!(
                "cannot start the thread that writes the state directory: {error}; nothing is kept"
            );
        }
        StateWriter { shared }
    }

    /// Queues a file. It replaces a version under the same name that still waits.
    pub fn hand(&self, name: &'static str, write: FileWrite) -> WriteTicket {
        let mut queue = self.shared.lock();
        queue.last_ticket += 1;
        let ticket = WriteTicket(queue.last_ticket);
        queue.waiting.retain(|pending| pending.name != name);
        queue.waiting.push(PendingWrite {
            name,
            ticket,
            write,
        });
        self.shared.changed.notify_all();
        ticket
    }

    /// Waits until this version of a file, or a newer one, is on disk. It blocks no thread.
    ///
    /// # Errors
    /// A sentence: the write failed, or takes longer than `patience`. The thread goes on trying.
    pub async fn wait(
        &self,
        name: &'static str,
        ticket: WriteTicket,
        patience: Duration,
    ) -> Result<(), String> {
        match tokio::time::timeout(patience, self.shared.result_of(name, ticket)).await {
            Ok(result) => result,
            Err(_) => Err(format!(
                "the disk has not taken {name} in {} s",
                patience.as_secs_f32()
            )),
        }
    }

    /// Waits until everything is written, at most for `patience`.
    pub fn finish(&self, patience: Duration) {
        let queue = self.shared.lock();
        drop(
            self.shared
                .changed
                .wait_timeout_while(queue, patience, |queue| !queue.waiting.is_empty()),
        );
    }
}

impl Drop for StateWriter {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl WriteQueue {
    fn attempt_at(&self, name: &str) -> Option<&WriteAttempt> {
        self.attempts.iter().find(|attempt| attempt.name == name)
    }

    /// The result of this version of a file, or of a newer one.
    fn result_of(&self, name: &str, ticket: WriteTicket) -> Option<Result<(), String>> {
        let attempt = self.attempt_at(name)?;
        if attempt.ticket < ticket {
            return None;
        }
        Some(attempt.result.clone())
    }

    /// Records an attempt. A write that failed goes to the end of the queue, behind other files,
    /// unless a newer version has replaced it.
    fn record(&mut self, pending: PendingWrite, result: Result<(), String>) {
        let (name, ticket) = (pending.name, pending.ticket);
        if let Some(at) = self.waiting.iter().position(|waits| waits.ticket == ticket) {
            self.waiting.remove(at);
            if result.is_err() {
                self.waiting.push(pending);
            }
        }
        self.attempts.retain(|attempt| attempt.name != name);
        self.attempts.push(WriteAttempt {
            name,
            ticket,
            result,
        });
    }
}

impl WriterShared {
    fn lock(&self) -> MutexGuard<'_, WriteQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an attempt at this version of a file, or at a newer one.
    async fn result_of(&self, name: &str, ticket: WriteTicket) -> Result<(), String> {
        let mut attempts = self.attempts.subscribe();
        loop {
            if let Some(result) = self.lock().result_of(name, ticket) {
                return result;
            }
            // The sender is a field of `self`, so it outlives this.
            let _ = attempts.changed().await;
        }
    }

    /// The thread: writes one file after the other until the writer is dropped.
    fn run(&self) {
        while let Some(pending) = self.next() {
            let result = (pending.write)();
            let failed = result.is_err();
            self.finish_attempt(pending, result);
            if failed {
                let queue = self.lock();
                drop(
                    self.changed
                        .wait_timeout_while(queue, RETRY_DELAY, |queue| !queue.closed),
                );
            }
        }
    }

    /// The write that has waited longest. It stays in the queue while it is written; `None`: the
    /// writer was dropped.
    fn next(&self) -> Option<PendingWrite> {
        let queue = self
            .changed
            .wait_while(self.lock(), |queue| {
                queue.waiting.is_empty() && !queue.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        if queue.closed {
            return None;
        }
        queue.waiting.first().cloned()
    }

    /// Records an attempt, wakes all waiting threads, and logs when a file starts or stops failing.
    fn finish_attempt(&self, pending: PendingWrite, result: Result<(), String>) {
        let mut queue = self.lock();
        let failed_before = queue
            .attempt_at(pending.name)
            .is_some_and(|attempt| attempt.result.is_err());
        log_change(pending.name, &result, failed_before);
        queue.record(pending, result);
        drop(queue);
        self.changed.notify_all();
        self.attempts.send_modify(|attempts| *attempts += 1);
    }
}

fn log_change(name: &str, result: &Result<(), String>, failed_before: bool) {
    match result {
        Err(reason) if !failed_before => {
            tracing::error!(
                "{reason}; what changed would not outlive a restart until it can be written"
            );
        }
        Ok(()) if failed_before => tracing::info!("{name} can be written again"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_wait_for_a_hanging_disk_has_a_limit_and_the_newest_version_is_written_later() {
        let writer = StateWriter::start();
        let ((began, begun), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
        let (going, written) = (Mutex::new(going), Arc::new(AtomicU32::new(0)));
        let hanging = writer.hand(
            "one",
            Arc::new(move || {
                began.send(()).unwrap();
                going.lock().unwrap().recv().unwrap();
                Ok(())
            }),
        );
        begun.recv().unwrap();
        let write = |number| {
            let written = written.clone();
            Arc::new(move || {
                written.fetch_add(number, Ordering::Relaxed);
                Ok(())
            })
        };
        let replaced = writer.hand("one", write(1));
        let newest = writer.hand("one", write(10));
        let told = writer
            .wait("one", hanging, Duration::from_millis(1))
            .await
            .unwrap_err();
        assert_eq!(told, "the disk has not taken one in 0.001 s");
        go.send(()).unwrap();
        for ticket in [hanging, replaced, newest] {
            assert_eq!(writer.wait("one", ticket, LONG).await, Ok(()));
        }
        writer.finish(LONG);
        assert_eq!(written.load(Ordering::Relaxed), 10);
    }

    #[tokio::test]
    async fn a_failed_write_is_reported_and_retried_and_blocks_no_other_write() {
        let writer = StateWriter::start();
        let full = Arc::new(AtomicBool::new(true));
        let still = full.clone();
        let write = move || {
            if still.load(Ordering::Relaxed) {
                Err("no space".to_owned())
            } else {
                Ok(())
            }
        };
        let failing = writer.hand("one", Arc::new(write));
        let other = writer.hand("two", Arc::new(|| Ok(())));
        assert_eq!(
            writer.wait("one", failing, LONG).await,
            Err("no space".to_owned())
        );
        assert_eq!(writer.wait("two", other, LONG).await, Ok(()));
        full.store(false, Ordering::Relaxed);
        writer.finish(LONG);
        assert_eq!(writer.wait("one", failing, LONG).await, Ok(()));
    }
}
