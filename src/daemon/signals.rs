//! Signal handling, on a thread of its own for the whole life of the process.
//!
//! SIGTERM and SIGINT stop the server. If it does not stop in time, the thread ends the process, so
//! that a signal takes effect within a second even while the server is blocked. A second signal
//! ends the process at once. SIGHUP asks for a reload. SIGUSR1 and SIGUSR2 are logged and ignored.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::log;

/// How long the server may take to stop by itself. Flushing the log takes up to half of the rest of
/// the second.
const STOP_TIMEOUT: Duration = Duration::from_millis(700);

/// What the received signals request.
pub struct Signals {
    ended: watch::Receiver<bool>,
    hangups: Option<mpsc::Receiver<()>>,
}

/// The meaning of SIGHUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hangup {
    Reloads,
    Ends,
}

/// The streams of all watched signals.
struct WatchedSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user_1: Signal,
    user_2: Signal,
}

impl Signals {
    /// Starts watching for signals.
    ///
    /// # Errors
    /// A sentence: the system refuses.
    pub fn watch() -> Result<Signals, String> {
        Signals::start(Hangup::Reloads)
    }

    /// Starts watching for signals. SIGHUP ends the process, because it means a closed terminal.
    ///
    /// # Errors
    /// A sentence: the system refuses.
    pub fn of_a_terminal() -> Result<Signals, String> {
        Signals::start(Hangup::Ends)
    }

    fn start(hangup: Hangup) -> Result<Signals, String> {
        Signals::try_start(hangup).map_err(|error| format!("cannot watch for signals: {error}"))
    }

    fn try_start(hangup: Hangup) -> io::Result<Signals> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let watched = runtime.block_on(async { WatchedSignals::all() })?;
        let (end, ended) = watch::channel(false);
        let (reload, hangups) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(watched.follow(&end, &reload, hangup)))?;
        Ok(Signals {
            ended,
            hangups: Some(hangups),
        })
    }

    /// Waits until a signal asks the server to stop.
    pub fn end(&self) -> impl Future<Output = ()> + use<> {
        let mut ended = self.ended.clone();
        async move {
            // The sender lives as long as the process.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }

    /// Receives a message for each SIGHUP since the start; several may be merged. There is one
    /// receiver.
    pub fn take_hangups(&mut self) -> Option<mpsc::Receiver<()>> {
        self.hangups.take()
    }

    /// Runs `work`; `None` if a signal stops the server before it is done.
    pub fn unless_ended<T>(&self, runtime: &Runtime, work: impl Future<Output = T>) -> Option<T> {
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.end() => None,
                done = work => Some(done),
            }
        })
    }
}

impl WatchedSignals {
    /// Registers the signals. Needs a tokio runtime.
    fn all() -> io::Result<WatchedSignals> {
        Ok(WatchedSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Forwards signals, and ends the process if it does not stop in time.
    async fn follow(
        mut self,
        end: &watch::Sender<bool>,
        reload: &mpsc::Sender<()>,
        hangup: Hangup,
    ) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hangup.recv() => match hangup {
                    Hangup::Ends => break,
                    // A request that is already in the channel covers this one.
                    Hangup::Reloads => drop(reload.try_send(())),
                },
                _ = self.user_1.recv() => log_ignored("SIGUSR1"),
                _ = self.user_2.recv() => log_ignored("SIGUSR2"),
            }
        }
        end.send_replace(true);
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = tokio::time::sleep(STOP_TIMEOUT) => {}
        }
        log::finish();
        std::process::exit(0)
    }
}

fn log_ignored(name: &str) {
    tracing::info!("{name} is ignored; SIGHUP reloads, SIGTERM stops the server");
}
