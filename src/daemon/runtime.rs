//! The tokio runtime of everything except the UDP workers.
//!
//! Tokio panics if the system has no thread for it. [`make`] turns that into an error, so that a
//! server on a full machine ends with a sentence instead of a crash.

use std::panic;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Worker threads of the runtime.
const WORKERS: usize = 2;
/// How long building the runtime may take.
const BUILD_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the runtime.
///
/// If the system refuses another thread, tokio panics and then waits for the threads that it has
/// already started, which never end. So the runtime is built on a separate thread, which is
/// abandoned in that case.
///
/// # Errors
/// A sentence: the system has no threads or descriptors left.
pub fn make() -> Result<Runtime, String> {
    let (send, receive) = sync_channel(1);
    // Without the hook, the panic is reported as the returned error only.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let spawned = thread::Builder::new()
        .name("runtime".to_owned())
        .spawn(move || {
            let built = Builder::new_multi_thread()
                .worker_threads(WORKERS)
                .enable_all()
                .build();
            let _ = send.send(built);
        });
    let built = match spawned {
        Ok(_) => receive.recv_timeout(BUILD_TIMEOUT),
        Err(error) => Ok(Err(error)),
    };
    panic::set_hook(hook);
    match built {
        Ok(Ok(runtime)) => Ok(runtime),
        Ok(Err(error)) => Err(format!("cannot start the runtime: {error}")),
        Err(_) => Err("cannot start the runtime: the system has no more threads".to_owned()),
    }
}
