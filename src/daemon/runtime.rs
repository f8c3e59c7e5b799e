//! The runtime of everything that waits for the network, a file or the time.

use std::panic;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Threads of the runtime.
const WORKERS: usize = 2;
/// How long it may take to make them.
const TIME: Duration = Duration::from_secs(5);

/// Makes the runtime.
///
/// Tokio panics where the system makes no thread for it, and then waits for the threads that it has made already, which
/// wait for work. So it is made on a thread of its own, which is left behind if that happens.
///
/// # Errors
/// A sentence: the system makes no more threads, or no descriptors.
pub fn make() -> Result<Runtime, String> {
    let (send, receive) = sync_channel(1);
    let build = move || {
        let built = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build();
        let _ = send.send(built.map_err(|error| format!("cannot start the runtime: {error}")));
    };
    // The panic is told as an error, not as a defect.
    let reported = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let made = thread::Builder::new()
        .name("runtime".to_owned())
        .spawn(build);
    let built = made
        .map_err(|error| format!("cannot start the runtime: {error}"))
        .and_then(|_| {
            let none =
                |_| Err("cannot start the runtime: the system makes no more threads".to_owned());
            receive.recv_timeout(TIME).unwrap_or_else(none)
        });
    panic::set_hook(reported);
    built
}
