//! A spinner on stderr for work that takes longer than a second.
//!
//! Loading a large configuration can take some seconds, and the spinner shows that it goes on. It
//! appears only if stderr is a terminal, so scripts and logs never see it.

use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shorter work shows no spinner.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the spinner turns.
const BEAT: Duration = Duration::from_millis(100);

/// Runs `work`. If it takes longer than a second and stderr is a terminal, shows a spinner with the
/// text `doing` and the elapsed time.
pub fn during<T>(doing: &str, work: impl FnOnce() -> T) -> T {
    if !stderr().is_terminal() {
        return work();
    }
    let (end, ended) = channel::<()>();
    std::thread::scope(|scope| {
        // Without a thread, the work is done without a spinner.
        let _ = std::thread::Builder::new().spawn_scoped(scope, move || {
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                spin_until(doing, &ended);
            }
        });
        let done = work();
        drop(end);
        done
    })
}

fn spin_until(doing: &str, ended: &Receiver<()>) {
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(doing.to_owned())
        .with_elapsed(PATIENCE);
    while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
        bar.tick();
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_comes_back() {
        assert_eq!(during("counting", || 7), 7);
    }
}
