//! Runs work on two threads.
//!
//! A server waits while databases and zones are read and compiled, so the work is split over two
//! cores. If the system cannot start a thread, the two pieces run one after the other.

use std::sync::{Mutex, PoisonError};
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
    let queue = Mutex::new(items.iter().enumerate());
    let take = || {
        let mut done = Vec::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((at, item)) = next else {
                return done;
            };
            done.push((at, work(item)));
        }
    };
    let (mut done, beside) = if items.len() > 1 {
        both(take, take)
    } else {
        (take(), Vec::new())
    };
    done.extend(beside);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

fn run<B>(waiting: &Mutex<Option<impl FnOnce() -> B>>) -> B {
    let work = waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
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
}
