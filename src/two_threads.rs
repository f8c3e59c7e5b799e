//! Runs work on two threads.
//!
//! A server waits while databases and zones are read and compiled, so the work is split over two
//! cores. If the system cannot start a thread, the two pieces run one after the other.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Runs `here` on this thread and `beside` on another one, or after `here` if no thread can be
/// started. A panic in either propagates to the caller.
pub fn both<A, B: Send>(here: impl FnOnce() -> A, beside: impl FnOnce() -> B + Send) -> (A, B) {
    // A failed spawn drops its closure, so `beside` is kept where both threads can take it.
    let waiting = Mutex::new(Some(beside));
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, || run(&waiting));
        let here = here();
        let beside = match thread {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => run(&waiting),
        };
        (here, beside)
    })
}

/// Does the same work for each item, on two threads. The results are in the order of the items.
pub fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let mut results = Vec::with_capacity(items.len());
    each_in_turn(items, work, |result| results.push(result));
    results
}

/// The same, but hands each result to `take` as soon as those before it were taken, so that they need
/// not all be in memory.
pub fn each_in_turn<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    take: impl FnMut(R) + Send,
) {
    let queue = Mutex::new(items.iter().enumerate());
    let results = Mutex::new(ResultQueue {
        early: BTreeMap::new(),
        next: 0,
        take,
    });
    let worker = || {
        loop {
            let next = lock(&queue).next();
            let Some((at, item)) = next else {
                return;
            };
            let result = work(item);
            lock(&results).add(at, result);
        }
    };
    if items.len() > 1 {
        both(worker, worker);
    } else {
        worker();
    }
}

/// The same for work that may fail; nothing behind the first error is taken.
///
/// # Errors
/// The first one.
pub fn try_each<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
    mut take: impl FnMut(R) + Send,
) -> Result<(), E> {
    let mut done = Ok(());
    each_in_turn(items, work, |result| match (&done, result) {
        (Ok(()), Ok(result)) => take(result),
        (Ok(()), Err(error)) => done = Err(error),
        (Err(_), _) => {}
    });
    done
}

/// Results that wait for earlier ones.
struct ResultQueue<R, F> {
    early: BTreeMap<usize, R>,
    next: usize,
    take: F,
}

impl<R, F: FnMut(R)> ResultQueue<R, F> {
    fn add(&mut self, at: usize, result: R) {
        self.early.insert(at, result);
        while let Some(result) = self.early.remove(&self.next) {
            self.next += 1;
            (self.take)(result);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run<B>(waiting: &Mutex<Option<impl FnOnce() -> B>>) -> B {
    let work = lock(waiting).take();
    let work = work.expect("exactly one of the thread and its maker runs it");
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_results_come_back() {
        assert_eq!(both(|| 1, || "two"), (1, "two"));
    }

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..1000).collect();
        let doubled: Vec<u32> = (0..1000).map(|item| item * 2).collect();
        assert_eq!(each(&items, |item| item * 2), doubled);
        assert_eq!(each(&[], |item: &u32| *item), Vec::<u32>::new());
    }

    #[test]
    fn nothing_behind_the_first_error_is_taken() {
        let items: Vec<u32> = (0..1000).collect();
        let mut taken = Vec::new();
        let done = try_each(
            &items,
            |item| if *item < 700 { Ok(*item) } else { Err(*item) },
            |item| taken.push(item),
        );
        assert_eq!(done, Err(700));
        assert_eq!(taken, items[..700]);
    }
}
