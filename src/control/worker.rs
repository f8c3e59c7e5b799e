//! Worker threads for work that may block.
//!
//! Each kind of work has its own threads and its own queue, so urgent work never waits behind slow
//! work. The threads are created when the server starts, and a failure is an error of the start.
//! Queues are bounded: work that finds no room is refused at once. Work that panics is reported to
//! its caller, and its thread continues. The threads end with their [`WorkerPool`], after their
//! current work. The stop does not wait for them, because a disk or a mount may hang for ever.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that do one kind of work.
pub struct WorkerPool {
    name: &'static str,
    jobs: SyncSender<Job>,
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDone {
    /// Every thread of this name is busy and the queue is full. The work was not begun.
    Busy(&'static str),
    /// The work panicked on a thread of this name; the log says where.
    Panicked(&'static str),
}

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotDone::Busy(name) => write!(
                f,
                "too much waits for the thread \"{name}\" already; try again in a moment"
            ),
            NotDone::Panicked(name) => {
                write!(f, "the call failed on the thread \"{name}\"; see the log")
            }
        }
    }
}

impl WorkerPool {
    /// Starts `threads` threads with this name of at most 15 octets. At most `room` jobs wait.
    ///
    /// # Errors
    /// A sentence: the system cannot start more threads.
    pub fn start(name: &'static str, threads: usize, room: usize) -> Result<WorkerPool, String> {
        let (jobs, waiting) = sync_channel::<Job>(room);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let waiting = waiting.clone();
            let made = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || work(&waiting));
            made.map_err(|error| {
                format!(
                    "cannot make the thread \"{name}\": {error}; raise the limit of threads (systemd: TasksMax, a \
                     container's pids limit, `ulimit -u`)"
                )
            })?;
        }
        Ok(WorkerPool { name, jobs })
    }

    /// Runs work and waits for the result. The work runs even if the caller stops waiting.
    ///
    /// # Errors
    /// There is no room for it, or it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let (send, result) = oneshot::channel();
        let taken = self.offer(move || {
            let _ = send.send(work());
        });
        self.result(taken, result).await
    }

    /// Like [`WorkerPool::run`], but work whose caller has stopped waiting is not begun.
    ///
    /// # Errors
    /// There is no room for it, or it panicked.
    pub async fn run_if_awaited<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let (send, result) = oneshot::channel();
        let taken = self.offer(move || {
            if !send.is_closed() {
                let _ = send.send(work());
            }
        });
        self.result(taken, result).await
    }

    /// Runs work if the queue has room, without waiting for it. Returns whether there was room.
    pub fn offer(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.jobs.try_send(Box::new(work)).is_ok()
    }

    async fn result<T>(&self, taken: bool, result: oneshot::Receiver<T>) -> Result<T, NotDone> {
        if !taken {
            return Err(NotDone::Busy(self.name));
        }
        result.await.map_err(|_| NotDone::Panicked(self.name))
    }
}

/// The loop of a thread: runs one job after the other, until the pool is dropped.
fn work(waiting: &Mutex<Receiver<Job>>) {
    loop {
        // One thread waits for the next job and holds the lock; the others wait for the lock.
        let job = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(job) = job else { return };
        // The panic hook logs the panic. The caller sees it because its result is dropped unsent.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn results_come_back_and_a_panic_ends_no_thread() {
        let workers = WorkerPool::start("test", 1, 4).unwrap();
        assert_eq!(workers.run(|| 7).await, Ok(7));
        let name = workers
            .run(|| std::thread::current().name().map(str::to_owned))
            .await;
        assert_eq!(name, Ok(Some("test".to_owned())));
        assert_eq!(
            workers.run(|| panic!("on purpose")).await,
            Err::<(), _>(NotDone::Panicked("test"))
        );
        assert_eq!(workers.run(|| 8).await, Ok(8));
    }

    #[tokio::test]
    async fn a_job_without_room_in_the_queue_is_refused_at_once() {
        let workers = WorkerPool::start("test", 1, 1).unwrap();
        let ((began, begun), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
        assert!(workers.offer(move || {
            began.send(()).unwrap();
            let _ = going.recv();
        }));
        begun.recv().unwrap();
        let second = workers.run(|| 2);
        tokio::pin!(second);
        assert!(is_pending(&mut second).await, "it waits for the first");
        assert_eq!(workers.run(|| 3).await, Err(NotDone::Busy("test")));
        go.send(()).unwrap();
        assert_eq!(second.await, Ok(2));
    }

    #[tokio::test]
    async fn a_job_whose_caller_has_gone_is_not_started() {
        let workers = WorkerPool::start("test", 1, 2).unwrap();
        let ((began, begun), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
        assert!(workers.offer(move || {
            began.send(()).unwrap();
            let _ = going.recv();
        }));
        begun.recv().unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let sets = done.clone();
        {
            let given_up = workers.run_if_awaited(move || sets.store(true, Ordering::Relaxed));
            tokio::pin!(given_up);
            assert!(is_pending(&mut given_up).await);
        }
        go.send(()).unwrap();
        assert_eq!(workers.run(|| ()).await, Ok(()));
        assert!(!done.load(Ordering::Relaxed));
    }

    /// Whether it waits still after a first look at it.
    async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|task| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(task).is_pending())
        })
        .await
    }
}
