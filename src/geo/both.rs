//! Two pieces of work at the same time.
//!
//! Databases and zones are read and compiled while a server waits for them, on the two cores that every machine has.
//! The second core is a convenience: where the system has no thread to give, the work is done one after the other,
//! and takes longer.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does `here` on this thread and `beside` on another one, or after it where there is no other. A panic of either is a
/// panic of the caller.
pub fn both<A, B: Send>(here: impl FnOnce() -> A, beside: impl FnOnce() -> B + Send) -> (A, B) {
    // A closure that is given to a thread which cannot be made is lost, so it waits where both can take it.
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
}
