//! The keeper: one thread that writes what must outlive a restart, so that a disk which hangs holds up nothing else.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// How long a write that failed waits for the next attempt.
const AGAIN: Duration = Duration::from_secs(1);

/// Writes one file whole, or says why it cannot be. It is called until it succeeds.
pub type FileWrite = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A desk that files are left at, and the thread behind it. The thread ends with the keeper, after what it is doing.
pub struct StateWriter {
    desk: Arc<Desk>,
}

/// What was left at the desk at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteTicket(u64);

#[derive(Default)]
struct Desk {
    papers: Mutex<Papers>,
    /// For the thread, and for whoever waits for the end of all work.
    changed: Condvar,
    /// Grows with every attempt, for those who wait for theirs.
    attempts: watch::Sender<u64>,
}

#[derive(Default)]
struct Papers {
    /// The newest of each file, in the order in which they came.
    waiting: Vec<Paper>,
    /// What became of the newest attempt at each file.
    tried: Vec<(&'static str, WriteTicket, Result<(), String>)>,
    given: u64,
    closed: bool,
}

#[derive(Clone)]
struct Paper {
    name: &'static str,
    ticket: WriteTicket,
    write: FileWrite,
}

impl StateWriter {
    /// Starts the thread.
    pub fn start() -> StateWriter {
        let desk = Arc::new(Desk::default());
        let behind = desk.clone();
        let started = std::thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || behind.work());
        if let Err(error) = started {
            tracing::error!(
                "cannot start the thread that writes the state directory: {error}; nothing is kept"
            );
        }
        StateWriter { desk }
    }

    /// Has a file written; what waits under the same name gives way to it.
    pub fn hand(&self, name: &'static str, write: FileWrite) -> WriteTicket {
        let mut papers = self.desk.lock();
        papers.given += 1;
        let ticket = WriteTicket(papers.given);
        papers.waiting.retain(|paper| paper.name != name);
        papers.waiting.push(Paper {
            name,
            ticket,
            write,
        });
        self.desk.changed.notify_all();
        ticket
    }

    /// Waits until a file is on disk, as it was handed in or newer. It holds up no thread meanwhile.
    ///
    /// # Errors
    /// A sentence: it could not be written, or the disk takes longer than `patience`. It is tried on.
    pub async fn wait(
        &self,
        name: &'static str,
        ticket: WriteTicket,
        patience: Duration,
    ) -> Result<(), String> {
        let mut attempts = self.desk.attempts.subscribe();
        let tried = async {
            loop {
                if let Some(outcome) = self.desk.lock().outcome(name, ticket) {
                    return outcome;
                }
                // The sender is the desk's own, so it outlives this.
                let _ = attempts.changed().await;
            }
        };
        let late = |_| {
            Err(format!(
                "the disk has not taken {name} in {} s",
                patience.as_secs_f32()
            ))
        };
        tokio::time::timeout(patience, tried)
            .await
            .unwrap_or_else(late)
    }

    /// Waits until nothing is left to write, or `patience` is over.
    pub fn finish(&self, patience: Duration) {
        let busy = |papers: &mut Papers| !papers.waiting.is_empty();
        drop(
            self.desk
                .changed
                .wait_timeout_while(self.desk.lock(), patience, busy),
        );
    }
}

impl Drop for StateWriter {
    fn drop(&mut self) {
        self.desk.lock().closed = true;
        self.desk.changed.notify_all();
    }
}

impl Papers {
    fn outcome(&self, name: &str, ticket: WriteTicket) -> Option<Result<(), String>> {
        let (_, tried, result) = self.tried.iter().find(|(tried, ..)| *tried == name)?;
        (tried.0 >= ticket.0).then(|| result.clone())
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the papers one by one. What cannot be written goes back, unless a newer one has come.
    fn work(&self) {
        while let Some(paper) = self.next() {
            let result = (paper.write)();
            let failed = result.is_err();
            self.note(paper, result);
            if failed {
                let open = |papers: &mut Papers| !papers.closed;
                drop(self.changed.wait_timeout_while(self.lock(), AGAIN, open));
            }
        }
    }

    /// What has waited longest. It stays on the desk while it is written; `None`: the keeper is gone.
    fn next(&self) -> Option<Paper> {
        let idle = |papers: &mut Papers| papers.waiting.is_empty() && !papers.closed;
        let papers = self
            .changed
            .wait_while(self.lock(), idle)
            .unwrap_or_else(PoisonError::into_inner);
        if papers.closed {
            None
        } else {
            papers.waiting.first().cloned()
        }
    }

    /// Tells everybody what became of a paper, and the log when that is another thing than before.
    fn note(&self, paper: Paper, result: Result<(), String>) {
        let mut papers = self.lock();
        let Papers { waiting, tried, .. } = &mut *papers;
        let kept_before = tried
            .iter()
            .find(|(name, ..)| *name == paper.name)
            .is_none_or(|(.., result)| result.is_ok());
        match &result {
            Err(reason) if kept_before => {
                tracing::error!(
                    "{reason}; what changed would not outlive a restart until it can be written"
                );
            }
            Ok(()) if !kept_before => tracing::info!("{} can be written again", paper.name),
            _ => {}
        }
        tried.retain(|(name, ..)| *name != paper.name);
        // What failed goes to the end, so that it does not keep others waiting.
        let stays = waiting.iter().any(|waits| waits.ticket == paper.ticket) && result.is_err();
        waiting.retain(|waits| waits.ticket != paper.ticket);
        tried.push((paper.name, paper.ticket, result));
        waiting.extend(stays.then_some(paper));
        drop(papers);
        self.changed.notify_all();
        self.attempts.send_modify(|attempts| *attempts += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_disk_that_hangs_is_waited_for_only_so_long_and_the_newest_is_written_after_it() {
        let keeper = StateWriter::start();
        let ((began, begun), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
        let (going, written) = (Mutex::new(going), Arc::new(AtomicU32::new(0)));
        let hanging = keeper.hand(
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
        let replaced = keeper.hand("one", write(1));
        let newest = keeper.hand("one", write(10));
        let told = keeper
            .wait("one", hanging, Duration::from_millis(1))
            .await
            .unwrap_err();
        assert_eq!(told, "the disk has not taken one in 0.001 s");
        go.send(()).unwrap();
        for ticket in [hanging, replaced, newest] {
            assert_eq!(keeper.wait("one", ticket, LONG).await, Ok(()));
        }
        keeper.finish(LONG);
        assert_eq!(written.load(Ordering::Relaxed), 10);
    }

    #[tokio::test]
    async fn what_fails_is_told_and_tried_again_and_keeps_nobody_waiting() {
        let keeper = StateWriter::start();
        let full = Arc::new(AtomicBool::new(true));
        let still = full.clone();
        let write = move || {
            if still.load(Ordering::Relaxed) {
                Err("no space".to_owned())
            } else {
                Ok(())
            }
        };
        let failing = keeper.hand("one", Arc::new(write));
        let other = keeper.hand("two", Arc::new(|| Ok(())));
        assert_eq!(
            keeper.wait("one", failing, LONG).await,
            Err("no space".to_owned())
        );
        assert_eq!(keeper.wait("two", other, LONG).await, Ok(()));
        full.store(false, Ordering::Relaxed);
        keeper.finish(LONG);
        assert_eq!(keeper.wait("one", failing, LONG).await, Ok(()));
    }
}
