//! Signals, watched by a thread of their own from before anything is read until the process has ended.
//!
//! SIGTERM and SIGINT ask the server to end. It ends by itself where it can; where something holds it up, the thread ends
//! the process, so that a signal is obeyed within a second whatever the rest is waiting for. A second one ends it at once.
//! SIGHUP asks for a reload. SIGUSR1 and SIGUSR2 mean nothing here, and so they do not end the process either.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::log;

/// How long the server may take to end by itself. What writes the last lines of the log takes up to half of what is left
/// of a second.
const PATIENCE: Duration = Duration::from_millis(700);

/// What signals have asked for.
pub struct Signals {
    ended: watch::Receiver<bool>,
    hangups: Option<mpsc::Receiver<()>>,
}

/// What SIGHUP asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hangup {
    Reloads,
    Ends,
}

/// Those that are watched.
struct Watched {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user_1: Signal,
    user_2: Signal,
}

impl Signals {
    /// Watches from now on.
    ///
    /// # Errors
    /// A sentence: the system does not let it.
    pub fn watch() -> Result<Signals, String> {
        Signals::with(Hangup::Reloads)
    }

    /// The same, but SIGHUP ends the process: its terminal was closed.
    ///
    /// # Errors
    /// A sentence: the system does not let it.
    pub fn of_a_terminal() -> Result<Signals, String> {
        Signals::with(Hangup::Ends)
    }

    fn with(hangup: Hangup) -> Result<Signals, String> {
        let told = |error: std::io::Error| format!("cannot watch for signals: {error}");
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(told)?;
        let watched = runtime.block_on(async { Watched::all() }).map_err(told)?;
        let (end, ended) = watch::channel(false);
        let (reload, hangups) = mpsc::channel(1);
        let work = move || runtime.block_on(watched.follow(&end, &reload, hangup));
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(work)
            .map_err(told)?;
        Ok(Signals {
            ended,
            hangups: Some(hangups),
        })
    }

    /// Waits until the server is to end.
    pub fn end(&self) -> impl Future<Output = ()> + use<> {
        let mut ended = self.ended.clone();
        async move {
            // The other half lives as long as the process.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }

    /// One for each SIGHUP from the beginning on; several at once may be one. There is one such receiver.
    pub fn take_hangups(&mut self) -> Option<mpsc::Receiver<()>> {
        self.hangups.take()
    }

    /// Does `work`, unless the server is to end before it is done.
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

impl Watched {
    /// Needs a tokio runtime.
    fn all() -> std::io::Result<Watched> {
        Ok(Watched {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Passes on what signals ask for, and ends the process when it is to end and does not.
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
                    // One that waits already stands for this one, too.
                    Hangup::Reloads => drop(reload.try_send(())),
                },
                _ = self.user_1.recv() => means_nothing("SIGUSR1"),
                _ = self.user_2.recv() => means_nothing("SIGUSR2"),
            }
        }
        end.send_replace(true);
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = tokio::time::sleep(PATIENCE) => {}
        }
        log::finish();
        std::process::exit(0)
    }
}

fn means_nothing(name: &str) {
    tracing::info!("{name} means nothing here; SIGHUP reloads, SIGTERM ends");
}
