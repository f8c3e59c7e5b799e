//! Two things done at the same time. Databases are compiled while a server waits for them, on the two cores that every
//! machine has.

/// Does `here` on this thread and `beside` on another one. A panic of either is a panic of the caller.
pub fn both<A, B: Send>(here: impl FnOnce() -> A, beside: impl FnOnce() -> B + Send) -> (A, B) {
    std::thread::scope(|scope| {
        let beside = scope.spawn(beside);
        (here(), beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
